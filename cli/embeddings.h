/* Embeddings as files: NumPy's .npy (float32, one row a text, NaN for a text without a result), or
 * JSON lines {"target_idx": 3, "embedding": [..]}. */
#ifndef CLI_EMBEDDINGS_H
#define CLI_EMBEDDINGS_H

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct embeddings {
    int n, dim;
    int *index; /* of each row in the table; -1: a text of the command line */
    float *x;   /* n x dim */
};

int embeddings_new(struct embeddings *e, int n, int dim); /* all NaN */
void embeddings_free(struct embeddings *e);
void embeddings_set(struct embeddings *e, int row, int index, const double *x);
/* The object of a row; NULL for one without a result. */
json_t *embeddings_json(const struct embeddings *e, int row);
/* THOR_USAGE unless the name ends in .npy or .jsonl. */
int embeddings_check(const char *path);
int embeddings_save(const struct embeddings *e, const char *path); /* whole or not at all */

#ifdef __cplusplus
}
#endif
#endif
