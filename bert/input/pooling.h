/* How the final state of a text becomes its embedding, as sentence-transformers says it in a model
 * folder: modules.json with a Transformer, a Pooling (1_Pooling/config.json: mean over the tokens,
 * or that of [CLS]) and perhaps a Normalize (length 1).  Without modules.json: the mean, as it is.
 */
#ifndef BERT_POOLING_H
#define BERT_POOLING_H

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* pool and normalize of *c.  Other poolings and modules are kept out with THOR_MODEL where the
 * model has no head of its own. */
int bert_pooling_load(struct bert_config *c, const char *dir);

/* e[hidden] of the final state x[rows * hidden]; e may be x. */
void bert_pool(double *e, const struct bert_config *c, const double *x, int rows);
/* The cosine of two of n numbers; 0 where one of them is 0. */
double bert_cosine(const double *a, const double *b, int n);

#ifdef __cplusplus
}
#endif
#endif
