/* What stands in the slots of shape.h: states, masks, plain vectors, diagonals of linear maps.
 *
 * Token shifts.  In the copies shape a shift by tau < T is a rotation by tau, right in the copies
 * rho < R - 1.  In the wide shape q, k, v and P of a group lie in two "doubled" ciphertexts, x = 0
 * and 1, of its heads h' = x mod 2, each in the places of its pair: q and P in the first, the
 * second zero, k and v in both, so that rotations by 0 .. T are right in the first.  Two doubled
 * ciphertexts that are zero in second places make one of all heads: a_0 + rot(a_1, -T).
 *
 * Linear maps, one level each, m = 0 .. count-1 (w: out x in); f_o, f_i the features of a column:
 *   to inner  (q, k, v)        rotations T m,   diag_m[(c,rho,t)] = w[c][(R c + rho + m) mod C]
 *             outer's slot s = T p + t holds column p mod C, and p = R c + rho;
 *             "first copy only": times [rho = 0];   wide: w[source p][hidden p + m]
 *   to outer  (context -> Wo)  rotations R T m, m < hp hd,
 *             diag_m[T p + t] = w[p mod C][(p div R + m) mod hp hd]
 *   outer     (FFN, head)      rotations T m,   diag_m[T c + t] = w[c][(c + m) mod C], period T C;
 *             "first token only": times [t = 0]
 *   paired    two outputs in one product: diagonals (w_o + i w_o')/2; z + conj z, -i (z - conj z)
 *   skew      copies (k, v): rotations v < T, diag_v[(c,rho,t)] = [j(c) mod T = v]:
 *             out[c,rho,t] = x[c,rho,t + (j mod T)], period T kappa
 *             wide: z = k + i v in source order, rotated by T x + hd kappa y for the doubled
 *             ciphertext x of block y; the sum of rot(X, rho (hd - hd kappa) - T w) over
 *             rho < J/hd, w < 2,  X = sum over L < min(hd, T) of [j mod T = L, h' even, t' in I] rot(z, L),
 *             I = [hd rho, T - L) for w = 0, [-L, hd rho) for w = 1 (t' < 0: the place before):
 *             out[J, t] = z[J mod hd, (t + J) mod T] in first places, then added to second ones
 *   pick      (wide q): [h' = x mod 2 in block y], rot by T x, summed over blocks (rotations by
 *             hd kappa): q[J mod hd, t] for every J
 * Scores of ciphertext i: column hp j + h' of row t is the key (t + j) mod T, in copy 0.
 * Formulas of scores and context: attention.c.  Checked slot by slot in tests/test_packing.c and
 * tests/test_wide.c. */
#ifndef BERT_PACKING_H
#define BERT_PACKING_H

#include "bert/fold.h"
#include "bert/shape.h"
#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_BABY 16

/* Client side.  out: T C numbers (outer, one period) of ciphertext i of the state x (rows x H);
 * rows beyond are copies of row 0, so that padding stays inside calibrated ranges. */
void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows);
/* out: n numbers (inner): bert_mask_value(rows) where key (t + j) mod T is a token, below `rows`,
 * in copy 0, in the wide shape in the first place of every pair of heads. */
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
/* bert_score_add of every score, copy 0. */
void bert_spread_scores(double *out, const struct bert_shape *s, int i,
                        const struct bert_folded_layer *f);
void bert_spread_source(double *out, const struct bert_shape *s, int i, const double *v);
void bert_spread_pick(double *out, const struct bert_shape *s, int y, int x);

/* Maps for ckks_linear_apply: `maps` of the same input size, their outputs one after another.
 * Paired: half = ceil(total/2) outputs, each half of (output o) + i (output o + half). */
enum bert_move { BERT_TO_INNER, BERT_TO_OUTER, BERT_STAY_OUTER };
struct bert_linear_map {
    const struct bert_shape *shape;
    enum bert_move move;
    const struct bert_map *map[3];
    int only_first[3]; /* copy 0 only, or token 0 only (then of every map) */
    int paired;        /* bert_linear_set takes it back where there is but one output */
    int ins, outs;     /* ciphertexts of one map; bert_linear_set sets these */
    int total;         /* outputs of all maps */
};
void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps);
/* Wide: the sums X, output (J/hd) w + rho. */
void bert_skew_set(struct ckks_linear *t, const struct bert_shape *s);

#ifdef __cplusplus
}
#endif
#endif
