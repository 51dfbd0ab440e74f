/* Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), with warm-up and linear
 * decay.
 *
 *   g += decay x                 Adam;      x -= rate decay x      AdamW
 *   m = b1 m + (1 - b1) g        v = b2 v + (1 - b2) g^2
 *   x -= rate / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *
 * t counts from 1.  rate = lr min(t / warmup, (steps - t + 1) / (steps - warmup)): up to lr at step
 * `warmup`, and down so that step `steps` is the last with one above 0.
 */
#ifndef SPLIT_ADAM_H
#define SPLIT_ADAM_H

#include <stddef.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_adam_ask {
    double lr, beta1, beta2, eps, decay;
    int coupled;        /* 1: Adam's decay, in the gradient; 0: AdamW's */
    long warmup, steps; /* steps 0: no linear decay */
};

struct split_adam {
    struct split_adam_ask ask;
    long step; /* taken so far */
    size_t n;
    double *m, *v;
};

/* lr 1e-3, 0.9, 0.999, 1e-8, no decay, neither warm-up nor linear decay. */
void split_adam_usual(struct split_adam_ask *ask);
/* THOR_USAGE names what is out of range. */
int split_adam_start(struct split_adam *o, const struct split_adam_ask *ask, size_t n);
void split_adam_end(struct split_adam *o); /* wipes; also of one set to zero */

/* The rate of step t. */
double split_adam_rate(const struct split_adam_ask *ask, long t);
/* x[n] by one step with the gradient g[n]. */
void split_adam_step(struct split_adam *o, double *x, const double *g);

#ifdef __cplusplus
}
#endif
#endif
