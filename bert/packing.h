/* What stands in the slots of shape.h: states, masks, plain vectors, diagonals of linear maps.
 *
 * Plain vectors are written for one period, which the functions return.
 * Linear maps cost one level each.  packing_copies.c and packing_columns.c have their diagonals,
 * attention_copies.c and attention_columns.c the sums of scores and context.  Checked slot by slot
 * in tests/test_packing.c and tests/test_columns.c. */
#ifndef BERT_PACKING_H
#define BERT_PACKING_H

#include "bert/fold.h"
#include "bert/shape.h"
#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Client side.  out: T C numbers (outer, one period) of ciphertext i of the state x (rows x H);
 * rows beyond are copies of row 0, so that padding stays inside calibrated ranges. */
void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows);
/* out: n numbers (inner, copy 0): bert_mask_value(rows) where key (t + j) mod T is a token, below
 * `rows`.  Columns shape: in the first half of a run of columns. */
void bert_pack_mask(double *out, const struct bert_shape *s, int rows);

/* Plain vectors for products and sums; the period.  v: one number a feature. */
size_t bert_spread_outer(double *out, const struct bert_shape *s, int i, const double *v, int width,
                         int first_token);
size_t bert_spread_inner(double *out, const struct bert_shape *s, int i, const double *v,
                         int first_copy);
/* bert_score_add of every score of ciphertext d, copy 0. */
size_t bert_spread_scores(double *out, const struct bert_shape *s, int d,
                          const struct bert_folded_layer *f);

/* Maps for ckks_linear_apply: `maps` of the same input size, their outputs one after another.
 * Paired: half = ceil(total/2) outputs, each half of (output o) + i (output o + half). */
enum bert_move {
    BERT_TO_INNER,   /* hidden -> by head; columns shape: the three maps q, k, v, see below */
    BERT_TO_OUTER,   /* by head -> hidden */
    BERT_STAY_OUTER, /* hidden -> hidden */
};
struct bert_linear_map {
    const struct bert_shape *shape;
    enum bert_move move;
    const struct bert_map *map[3];
    /* copy 0 only, or token 0 only (then of every map); columns shape: of biases only, its inputs
     * are masked before */
    int only_first[3];
    int paired;    /* bert_linear_set takes it back where there is but one output */
    int ins, outs; /* ciphertexts of one map; bert_linear_set sets these */
    int total;     /* outputs of all maps */
};
void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps);
/* Which of the `total` outputs output o of the transform holds as its real and imaginary parts, *im
 * -1: none; the factor on both.  q, k, v of the columns shape: pairs of q halved, then k + i v of
 * every group, whole. */
static inline double bert_map_lanes(int *re, int *im, const struct bert_linear_map *m, int o) {
    return m->shape->packing->lanes(re, im, m, o);
}
/* k and v by offset: out[t, c] = x[t + j(c), c]; copies: per copy; columns: half of it, in the
 * first half of the run. */
static inline void bert_skew_set(struct ckks_linear *t, const struct bert_shape *s) {
    s->packing->skew(t, s);
}

/* ---- for the packings alone ---- */
int bert_attention_copies(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y);
int bert_attention_columns(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y);
double bert_paired_lanes(int *re, int *im, const struct bert_linear_map *m, int o);
/* The weight of map `which` from input feature to output feature; 0 where there is none. */
double bert_map_weight(const struct bert_linear_map *m, int which, int out, int in);

/* ---- columns shape (packing_columns.c): numbers of columns, of period C ---- */
size_t bert_spread_first(double *out, const struct bert_shape *s, double value); /* column 0 */
size_t bert_spread_half(double *out, const struct bert_shape *s, double value);  /* first half */
/* 1 where ciphertext d of scores has a head and an offset below T, in the first half or in both. */
size_t bert_spread_heads(double *out, const struct bert_shape *s, int d, int both);
/* Causal, of period n: `value` in the first half where the key of the same column of half `half` of
 * ciphertext d of scores is not hidden (bert_hides); and, in the first half or in both, where a
 * head has a key that is. */
size_t bert_spread_seen(double *out, const struct bert_shape *s, int d, int half, double value);
size_t bert_spread_hidden(double *out, const struct bert_shape *s, int d, int both, double value);
int bert_lacks_heads(const struct bert_shape *s, int d); /* is that 0 in some column of both? */
/* Denominators of group i stand in block i of the first half: so many indices j from i times as
 * many on, hd / (groups, rounded up to a power of two). */
int bert_block_width(const struct bert_shape *s);
size_t bert_spread_block(double *out, const struct bert_shape *s, int i, double value);
/* `value` where no denominator stands; causal, of period n, also those of token 0. */
size_t bert_spread_spare(double *out, const struct bert_shape *s, double value);

#ifdef __cplusplus
}
#endif
#endif
