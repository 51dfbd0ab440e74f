/* The adapter's arithmetic at one map of one layer. */
#ifndef SPLIT_LORA_H
#define SPLIT_LORA_H

#include "split/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* y += s B A x, row by row; x: rows x l->in, y: rows of `stride` values. */
void split_lora_forward(double *y, size_t stride, const struct split_lora *l, int rank, double s,
                        const double *x, int rows);
/*   dB += s g (A x)^T    dA += s (B^T g) x^T    dx += s A^T (B^T g)
 * g: rows of `stride` values; da, dx NULL: not wanted. */
void split_lora_backward(double *dx, double *da, double *db, const struct split_lora *l, int rank,
                         double s, const double *x, const double *g, size_t stride, int rows);

#ifdef __cplusplus
}
#endif
#endif
