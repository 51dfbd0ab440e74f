/* How a model lies in slots: shapes, layouts and the slot of every number.
 *
 * n slots, T tokens, hd head size, H hidden, F FFN, powers of two but for H and F.  Everything is
 * real, but where two real ciphertexts share one as its real and imaginary parts.
 * rot(x, r)[s] = x[s + r], cyclic.  Two shapes:
 *   copies  T | hd, one ciphertext holds all H columns R >= 4 times: C = H, J = hd, hp = heads
 *   wide    anything else with 2 T J <= n, J = max(T, hd): C = n/T columns a ciphertext, R = 1,
 *           nX = ceil(H/C) ciphertexts a state, nF = ceil(F/C), hp = n/(T J) heads a ciphertext of
 *           scores, ceil(heads/hp) of those ("groups"); missing features are 0
 *
 *   column c of ciphertext i
 *     "hidden" order (states, FFN):         feature C i + c
 *     "by head" order (context, scores):    c = hp j + h', head hp i + h', feature hd head + j
 *     "source" order (wide q, k, v):        c = hp (L + hd y) + h': as column hp L + h' of
 *                                           by-head ciphertext (J/hd) i + y
 *   outer layout:  slot = T C rho + T c + t    period T C: all copies rho are equal
 *   inner layout:  slot = R T c + T rho + t    (wide: the same as outer)
 * Column shifts are rotations without masks: outer by T a column, inner by R T a column,
 * kappa = R T hp an index j, n = kappa J.  Heads of a group that do not exist are copies of head 0
 * up to the product with a, so that they stay inside calibrated ranges, and have no weight in Wo.
 */
#ifndef BERT_SHAPE_H
#define BERT_SHAPE_H

#include <stddef.h>

#include "bert/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_shape {
    int tokens, hidden, heads, head_size, ffn;
    int wide;    /* 0: the copies shape, 1: the wide one */
    int hp;      /* heads in one ciphertext of scores */
    int columns; /* C: columns in one ciphertext of a state */
    int nx;      /* ceil(H / C): ciphertexts of one state */
    int repeats; /* R = n / (T C) */
    int groups;  /* ceil(heads / hp): ciphertexts of scores, and of denominators */
    int span;    /* J: column indices of a head in a ciphertext of scores */
};

/* The shape in a ring of that many slots: copies when T | hd, the heads are a power of two, H | F
 * and 4 T H <= n; else wide when 2 T max(T, hd) <= n.  THOR_MODEL names what is supported. */
int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots);
static inline int bert_shape_slots(const struct bert_shape *s)
{
    return s->repeats * s->tokens * s->columns;
}
static inline int bert_kappa(const struct bert_shape *s) { return s->repeats * s->tokens * s->hp; }
/* Period of a bootstrapped pair: of one group, or of all groups joined, each in its column indices
 * j = group mod that many. */
int bert_pair_slots(const struct bert_shape *s, int joined);
static inline int bert_nf(const struct bert_shape *s)
{
    return (s->ffn + s->columns - 1) / s->columns;
}
/* 1 where the last ciphertext of a state has columns without a feature. */
static inline int bert_padded(const struct bert_shape *s)
{
    return s->nx * s->columns > s->hidden;
}
int bert_log2(int n); /* rounded up */

enum bert_layout { BERT_OUTER, BERT_INNER };
enum bert_order { BERT_HIDDEN, BERT_BY_HEAD, BERT_SOURCE };
size_t bert_slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t);
/* The feature of a column; beyond the last one where there is none. */
int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c);
/* J/hd: blocks of column indices, which in source order are groups of heads. */
static inline int bert_blocks(const struct bert_shape *s) { return s->span / s->head_size; }
/* Ciphertexts of q, and of k and v, before heads are picked. */
static inline int bert_sources(const struct bert_shape *s)
{
    return (s->groups + bert_blocks(s) - 1) / bert_blocks(s);
}
/* 2 in the wide shape, else 1: ciphertexts of q, k, v and P a group. */
static inline int bert_lanes(const struct bert_shape *s) { return s->wide ? 2 : 1; }

#ifdef __cplusplus
}
#endif
#endif
