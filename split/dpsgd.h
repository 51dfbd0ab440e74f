/* DP-SGD (Abadi et al., 2016): every row's gradient is clipped by itself, noise goes on the sum.
 *
 *   g = (sum over the chosen rows of clip(g_i, C) + N(0, sigma^2 C^2 I)) / (q N)
 *
 * Rows are chosen by themselves with probability q = batch / N: a batch may have any size, also
 * none, and is a step all the same.  What the epsilon covers is what is made of the g of all steps,
 * the trained adapter.  It does not cover what else is shown of the rows: losses, norms, the size
 * of a batch, results of evaluating on the same rows.
 */
#ifndef SPLIT_DPSGD_H
#define SPLIT_DPSGD_H

#include <stddef.h>

#include "ckks/random.h"
#include "split/accountant.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_dpsgd_ask {
    int rows;       /* N, at least 1 */
    double batch;   /* q N on average, above 0, at most N */
    long steps;     /* planned, at least 1 */
    double clip;    /* C > 0 */
    double epsilon; /* the budget; 0: none, with a sigma alone */
    double delta;
    double sigma; /* of the noise, in units of C; 0: the smallest for (epsilon, delta, steps) */
};

struct split_dpsgd {
    struct split_dpsgd_ask ask; /* sigma is filled in */
    double q;
    long steps;             /* taken so far */
    struct split_spent one; /* what a step costs */
    struct ckks_rng *rng;   /* of a seed of the system */
};

/* THOR_USAGE names what is out of range.  On success split_dpsgd_end wipes the stream. */
int split_dpsgd_start(struct split_dpsgd *p, const struct split_dpsgd_ask *ask);
void split_dpsgd_end(struct split_dpsgd *p); /* also of one set to zero */
/* Goes on behind a checkpoint; the stream is a new one. */
void split_dpsgd_resume(struct split_dpsgd *p, long steps);

/* The rows of the next step, in order; how many.  chosen has room for all. */
int split_dpsgd_batch(struct split_dpsgd *p, int *chosen);
/* example[n], the gradient of one row, is clipped and added to sum[n]; its norm before. */
double split_dpsgd_take(const struct split_dpsgd *p, double *sum, double *example, size_t n);
/* sum[n] of this step becomes g; the step is counted.  THOR_USAGE, sum as it was, when it would
 * pass the budget. */
int split_dpsgd_step(struct split_dpsgd *p, double *sum, size_t n);

/* Spent so far, at ask.delta. */
double split_dpsgd_epsilon(const struct split_dpsgd *p);
/* 1: one step more would pass the budget. */
int split_dpsgd_used_up(const struct split_dpsgd *p);

#ifdef __cplusplus
}
#endif
#endif
