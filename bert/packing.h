/* How a model lies in slots: the one owner of every slot formula.
 *
 * n slots, T tokens, hd head size, hp heads a ciphertext, C = hp hd columns a ciphertext,
 * R = n/(T C) >= 4 copies, nX = H/C ciphertexts a hidden state, nF = F/C for the FFN.  T, hd, hp
 * are powers of two, T | hd.  Everything is real.  rot(x, r)[s] = x[s + r], cyclic.
 *
 *   column c of ciphertext i:   c = hp j + h'  (head fastest), 0 <= j < hd
 *     "hidden" order (states, FFN):            feature C i + c
 *     "by head" order (q, k, v, context):      feature hd (hp i + h') + j
 *   outer layout:  slot = T C rho + T c + t    period T C: all copies rho are equal
 *   inner layout:  slot = R T c + T rho + t
 * Column shifts are rotations without masks: outer by T a column, inner by R T a column,
 * kappa = R T hp an index j.  In inner layout a token shift by tau < T is a rotation by tau, right
 * in the copies rho < R - 1 (each shift spoils one more copy, the last ones first: they read the
 * next column).
 *
 * Linear maps, one level each, m = 0 .. C-1 (w: out x in):
 *   to inner  (q, k, v)        rotations T m,   diag_m[(c,rho,t)] = w[c][(R c + rho + m) mod C]
 *             outer's slot s = T p + t holds column p mod C, and p = R c + rho;
 *             "first copy only": times [rho = 0]
 *   to outer  (context -> Wo)  rotations R T m, diag_m[T p + t] = w[p mod C][(p div R + m) mod C]
 *   outer     (FFN, head)      rotations T m,   diag_m[T c + t] = w[c][(c + m) mod C], period T C;
 *             "first token only": times [t = 0]
 *   skew      (k, v)           rotations v < T, diag_v[(c,rho,t)] = [j(c) mod T = v]:
 *             out[c,rho,t] = x[c,rho,t + (j mod T)], period T kappa
 * Scores of ciphertext i lie in inner layout, copy 0: column hp j + h' of row t is the key
 * (t + j) mod T.
 * Formulas of scores and context: attention.c.  Checked slot by slot in tests/test_packing.c. */
#ifndef BERT_PACKING_H
#define BERT_PACKING_H

#include "bert/fold.h"
#include "bert/plan.h"
#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_BABY 16

/* The shape in a ring of that many slots: copies when T | hd, the heads are a power of two, H | F
 * and 4 T H <= n; else wide when 2 T max(T, hd) <= n.  THOR_MODEL names what is supported. */
int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots);
static inline int bert_shape_slots(const struct bert_shape *s)
{
    return s->repeats * s->tokens * s->columns;
}
static inline int bert_kappa(const struct bert_shape *s) { return s->repeats * s->tokens * s->hp; }
static inline int bert_nf(const struct bert_shape *s)
{
    return (s->ffn + s->columns - 1) / s->columns;
}
int bert_log2(int n); /* of a power of two */

enum bert_layout { BERT_OUTER, BERT_INNER };
enum bert_order { BERT_HIDDEN, BERT_BY_HEAD };
size_t bert_slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t);
int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c);

/* Client side.  out: T C numbers (outer, one period) of ciphertext i of the state x (rows x H);
 * rows beyond are copies of row 0, so that padding stays inside calibrated ranges. */
void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows);
/* out: n numbers (inner): bert_mask_value(rows) in copy 0 where key (t + j) mod T is a token, below
 * `rows`. */
void bert_pack_mask(double *out, const struct bert_shape *s, int rows);
/* x[T x width] at the features that ciphertext i holds, from n slots (copy 0). */
void bert_unpack_state(double *x, int width, const struct bert_shape *s, enum bert_layout at,
                       enum bert_order by, int i, const double *slots);
/* e[T x T], row query, column key, of head hp i + h. */
void bert_unpack_scores(double *e, const struct bert_shape *s, int h, const double *slots);

/* Plain vectors for products and sums.  v: one number a feature. */
void bert_spread_outer(double *out, const struct bert_shape *s, int i, const double *v, int width,
                       int first_token);
void bert_spread_inner(double *out, const struct bert_shape *s, int i, const double *v,
                       int first_copy);
void bert_spread_heads(double *out, const struct bert_shape *s, int i,
                       const double *v); /* a number a head, copy 0 */

/* Maps for ckks_linear_apply: `maps` of the same input size, their outputs one after another. */
enum bert_move { BERT_TO_INNER, BERT_TO_OUTER, BERT_STAY_OUTER };
struct bert_linear_map {
    const struct bert_shape *shape;
    enum bert_move move;
    const struct bert_map *map[3];
    int only_first[3]; /* copy 0 only, or token 0 only */
    int ins, outs;     /* ciphertexts of one map */
};
void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps);
void bert_skew_set(struct ckks_linear *t, const struct bert_shape *s);

#ifdef __cplusplus
}
#endif
#endif
