/* Evaluation keys as they arrive and stay (keys/KEY of the store).
 *
 * meta.json says whose they are, what for, and the XXH3-128 of every block.  `part` grows block by
 * block; `offset` is a lower bound of what is known to be good: what lies behind it is looked at
 * again when an upload goes on.  A whole and checked file becomes eval.key. */
#ifndef SERVE_UPLOADS_H
#define SERVE_UPLOADS_H

#include <jansson.h>
#include <stdint.h>
#include <xxhash.h>

#include "cli/serve/store.h"
#include "cli/serve/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { UPLOAD_BLOCK = 4 << 20, UPLOAD_HASH = 33 };

struct upload { /* what is known of one */
    char key[STORE_ID], owner[ACCOUNT_NAME], pair[STORE_ID], model[17];
    int tokens, blocks, ready;
    uint64_t bytes, offset;
    char (*hash)[UPLOAD_HASH]; /* blocks of them; freed by upload_free */
    time_t created, used, expires;
};

/* The name of the keys of a pair for a model and bucket (0: split mode), of an account. */
void upload_name(char key[STORE_ID], const char *owner, const char *pair, const char *model,
                 int tokens);
/* Writes u, whose key, created and offset are set here: THOR_OK, or 1 when it is there already. */
int upload_create(struct upload *u, const struct store *s);
/* THOR_INPUT when it is not there. */
int upload_load(struct upload *u, const struct store *s, const char *key);
void upload_free(struct upload *u);
int upload_is_ready(const struct store *s, const char *key);
void upload_file(char path[STORE_PATH], const struct store *s, const char *key);
void upload_used(const struct store *s, const char *key);
json_t *upload_json(const struct upload *u, int resident);
uint64_t uploads_bytes(const struct store *s, const char *owner); /* of all that are declared */
/* Remove what has expired. */
void uploads_expire(const struct store *s);

/* ---- appending ---- */
struct append {
    const struct upload *u;
    int fd, bad;    /* bad: 1 + the block that was not what its hash says */
    uint64_t at;    /* where the next byte goes; all blocks before are good */
    uint64_t begun; /* start of the block in work */
    XXH3_state_t *hash;
};
/* Opens and locks it: THOR_OK, or 1 when another is at work on it.  u->offset is the true one. */
int append_open(struct append *a, struct upload *u, const struct store *s);
/* THOR_INPUT: a bad block (a->bad), or more than was declared. */
int append_bytes(struct append *a, const void *data, size_t n);
/* Onto the disk; what is within a block is forgotten.  *whole: all bytes are there. */
int append_flush(struct append *a, struct upload *u, const struct store *s, int *whole);
void append_close(struct append *a);
/* A whole upload becomes eval.key, still locked; the caller has looked into upload_part. */
int upload_finish(struct upload *u, const struct store *s);
void upload_part(char path[STORE_PATH], const struct store *s, const char *key);

#ifdef __cplusplus
}
#endif
#endif
