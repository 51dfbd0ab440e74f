/* The lowest levels at which every step of an encrypted forward can run.
 *
 * plan.h's levels say that a placement of bootstraps is legal: they count down from what is
 * available.  Work is proportional to the limbs of a level, so the server counts up from what is
 * needed, logits at level 0, with the same bootstraps ("in": before a bootstrap, its bands):
 *   y2 = Y (needed by the next layer, or bands)    r2 = y2 + 1
 *   x2 = max(y2 + 1, r2 in + d_rsqrt2 + 1)
 *   f = x2 in + 1    w = f + d_gelu + 1    y1 = max(w, x2 in + mean) + 1    r1, x1 as r2, x2
 *   c (C a) = x1 in + 1    C = c + 1    a = c + 1, columns shape c + 2 (parted by groups)
 *   D = a + m, or with the bootstrap of the pair after i iterations: its bands + i
 *   copies:   P = max(C + 1, D)        E = P + 1    u = E + d_exp    q = k = u in + 1
 *             v = C + 1                qk = q + 2 and v_in = v + 2 entering: map and skew
 *   columns:  P = E = max(C, D) + 1    u = E + d_exp    q = k = u in + 2: S, then its mask
 *             v = C + 2, masked C + 1  qk = k + 2 and v_in = v + 2 entering
 *   With rounds P of the last sums is that of a square: a bootstrap before it, 16.  Of each round,
 *   X = E a: its bands   a = X + 1, columns X + 2   D from a as above   P = max(X, D), columns
 *   max(X, D) + 1
 *   y = max(qk, v_in, x1 in + 1 + mean for the residual).  mean: the levels that the mean of the
 *   residual takes beyond the product (bert_mean_levels).  The head masks token 0 of the columns
 *   shape: one level.
 */
#ifndef BERT_LEVELS_H
#define BERT_LEVELS_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_sum_levels { /* of the sums of a round: E times the mask, the sums, their inverse */
    int P, D, a;
};

struct bert_levels { /* of one layer; *_in: before a bootstrap, equal when there is none */
    int y, qk, v_in, kv, u_in, u, P, D, C, a, c; /* kv: columns, q, k and v: max(qk, v_in) */
    int x_in[2], x[2], r_in[2], r[2], y_out[2];  /* y_out: before a bootstrap */
    int w, f, y1;
    struct bert_sum_levels round[BERT_MAX_ROUNDS]; /* P, D and a of rounds before the last sums */
};

/* level[layers + 1]: the last has only y, the level at which the head is entered.  THOR_MODEL
 * when the plan does not fit. */
int bert_levels_set(struct bert_levels *level, const struct bert_plan *p,
                    const struct bert_shape *s);

/* Levels of the ciphertexts that the client sends, state and mask: no higher than the server uses
 * them. */
int bert_input_levels(int *state, int *mask, const struct bert_plan *p, const struct bert_shape *s);

#ifdef __cplusplus
}
#endif
#endif
