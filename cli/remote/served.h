/* What the server says of its models: one of them in one length bucket. */
#ifndef CLI_REMOTE_SERVED_H
#define CLI_REMOTE_SERVED_H

#include <jansson.h>

#include "cli/remote/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct served {
    char id[20], name[80], params[24]; /* id: XXH3-64 of the weights in hex */
    int tokens;                        /* of the bucket */
    uint64_t key_bytes, request_bytes, answer_bytes, block_bytes;
    double seconds; /* of a sentence, or -1: not known */
};

/* A reply's JSON object from GET path; the caller releases it. */
int served_get(json_t **o, struct wire *w, const char *path);
/* THOR_MODEL when the server does not have this model in that bucket and of those parameters. */
int served_find(struct served *out, struct wire *w, uint64_t model, int tokens, const char *params);
/* The model of split mode: id, name, params, key_bytes, block_bytes; the rest 0. */
int served_split(struct served *out, struct wire *w);
/* What keys of that size are for.  `named`: name or id of a model, or NULL; tokens: a bucket, or 0:
 * the longest. THOR_KEY when there is none, THOR_USAGE when several models could be meant. */
int served_for_keys(struct served *out, struct wire *w, uint64_t bytes, const char *params,
                    const char *named, int tokens);

#ifdef __cplusplus
}
#endif
#endif
