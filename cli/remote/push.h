/* Evaluation keys to the server: in blocks under a hash each, resumed where the server stands. */
#ifndef CLI_REMOTE_PUSH_H
#define CLI_REMOTE_PUSH_H

#include "cli/remote/served.h"

#ifdef __cplusplus
extern "C" {
#endif

struct push {
    char key[WIRE_LOCATION]; /* its path on the server */
    uint64_t bytes, began;   /* of the file; where the server stood */
    double seconds, hashing; /* in all; of it, to hash the file */
};

/* The file eval.key at `path` for what is served.  Progress on stderr unless `quiet`. */
int push_keys(struct push *out, struct wire *w, const char *path, const char *key_id,
              const struct served *to, int quiet);
/* The name of a key pair as the server has it: 32 hex digits. */
void push_name(char out[33], const uint8_t id[16]);

#ifdef __cplusplus
}
#endif
#endif
