/* DP-Forward (Du et al., 2023): noise on a text's embeddings, before the first layer.
 *
 * The T x d matrix is clipped as a whole to Frobenius norm C, so that those of two texts differ by
 * at most D = 2C, and gets N(0, sigma^2) on each value, sigma by the analytic Gaussian for D.
 * That is (epsilon, delta) for any two texts of T tokens, each time that one goes through: a text
 * of ten epochs has spent ten of them.  It says nothing of labels, nor of how many tokens there
 * are, and is another promise than that of DP-SGD, which is about the presence of a row.
 */
#ifndef SPLIT_DPFORWARD_H
#define SPLIT_DPFORWARD_H

#include "ckks/random.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_dpforward {
    double clip, sigma;
    struct ckks_rng *rng; /* of a seed of the system */
};

/* THOR_USAGE names what is out of range. */
int split_dpforward_start(struct split_dpforward *p, double epsilon, double delta, double clip);
void split_dpforward_end(struct split_dpforward *p); /* also of one set to zero */
/* x: tokens x width.  NULL for p: x stays as it is. */
void split_dpforward_apply(const struct split_dpforward *p, double *x, int tokens, int width);

#ifdef __cplusplus
}
#endif
#endif
