/* The weight container: all that the server needs of a model in one file, and nothing that only the
 * client needs (embeddings, but of a GPT-2 those of its public token 0, vocabulary, names of
 * labels).  The format stands in container.c. */
#ifndef BERT_CONTAINER_H
#define BERT_CONTAINER_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Write m's layers and head and the ranges r, whole or not at all.  THOR_MODEL when a value is NaN
 * or infinite or r belongs to another model; THOR_IO when the system refuses. */
int bert_container_save(const char *path, const struct bert_model *m, const struct bert_ranges *r);

/* Every refusal but THOR_MEMORY is THOR_MODEL, with a line that names file, thing and mend.  The
 * model's vocabulary and embeddings are NULL, but of a GPT-2 those of token 0, which is number 0
 * there; hash is that of the weights it was made from.  Both outputs are NULL on failure. */
int bert_container_load(struct bert_model **m, struct bert_ranges **r, const char *path);

/* THOR_MODEL unless a loaded container `server` was made from the weights and the shape of the
 * folder that `client` was loaded from. */
int bert_container_match(const struct bert_model *server, const struct bert_model *client,
                         const char *path);

int bert_container_is(const char *path); /* 1 when the file begins as one */

struct bert_container_info {
    struct bert_config cfg; /* without what only the client needs */
    uint64_t model_hash, bytes;
    int version, tokens, rows; /* of the ranges */
    int blocks;
    size_t values, f16, bf16, f32; /* weights; how many of them in which type */
};
int bert_container_describe(struct bert_container_info *info, const char *path); /* checks it all */

#ifdef __cplusplus
}
#endif
#endif
