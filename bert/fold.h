/* What the weights of one layer become when gamma, beta, the plan's scales and means are folded in.
 *
 * y is the normalised state entering the layer, gamma and beta those of the LayerNorm before it (1
 * and 0 in front of layer 0), gamma1 and beta1 those of LN1; centre(x) = x - mean(x) over the H
 * columns; indices of bert_layer_plan dropped.  All matrices are out x in, row major, doubles.
 *
 *   q      = [Wq gamma] y + Wq beta + bq,            both times 2/(sqrt(hd) (hi - lo)) of exp,
 *            over 2^rounds
 *   k      = [Wk gamma] y + Wk beta + bk - delta
 *   v      = [Wv gamma] y + Wv beta + bv
 *   u      = q.k + score_add_h                       score_add_h = (-2 c_h - lo - hi)/(hi - lo)
 *            a head with previous > 0: Wq and bq are 0, and score_add is the pattern of plan.h
 *   E      = exp_c(u)                                coefficients times sigma of the first inverse
 *   x1     = [centre Wo] (C a) + centre(bo + beta) + centre(res1 y)
 *            Wo times xc_scale1 scale/sigma, the bias times xc_scale1, res1 = xc_scale1 gamma
 *   r1     = rsqrt_c1(u1), u1 = sum of x1^2 - norm_sub1, coefficients over xc_scale1, over
 *            bert_root_mult
 *   w      = [W1 gamma1] y1 + W1 beta1 + b1,         both over gelu_r
 *   f      = gelu_r w / 2 + gelu_c(2 w^2 - 1)
 *   x2     = [centre W2] f + centre(b2 + beta1) + centre(res2 y1)
 *            all times xc_scale2, res2 = xc_scale2 gamma1
 *   r2     = rsqrt_c2(sum of x2^2 - norm_sub2)       as r1
 * Head, gamma and beta of the last LN2:
 *   t      = tanh_c([Wp gamma] y + Wp beta + bp),    both over tanh_r
 *   logits = Wc t + bc
 * A causal model: gamma and beta are those of LN1, and gamma1 and beta1 of LN2, of the layer
 * itself; its streams are centred, as Wo, W2 and the embeddings are, and keep no gamma:
 *   x1     = [centre Wo] (C a) + centre(bo) + res1 y,    Wo and bo times bert_join_scale, res1 the
 *            ratio of the scales of x1 and y; x2 likewise, of W2, b2, x1
 *   u      + the row's shift, and where the key is behind the query, hidden instead of all
 * Token 0 of a causal model is public (causal.h), its states may be far from all others, and none
 * of them is ever encrypted.  In its slots a known stand-in goes through the layer, +a and -a in
 * two features, a^2 = 5/4 H (least variance of the LayerNorm that takes it) xc_scale^2; biases of
 * its own, `first`, make of it at no level
 *   q = 0, k = k_0 - delta, v = v_0: the true key and value, so that score column 0 is q k_0, and
 *       its exp and v_0 go into sums and context as those of any key
 *   x1, x2 = the next stand-in, 0 behind the last layer;   w = 0, f = gelu_c(-1)
 * Its own scores are hidden, all of them: its E and its context are 0, and sigma is added to its D
 * (d = 1).  Why two features, the first and last of a ciphertext's columns (of all features when
 * fewer): variance is 2.5 that least one, and the windows (windows.h) that it shares with its
 * neighbours, which have one or the other in them, are at least 1.25 and at most as much more than
 * the neighbour's variance (plan.c).
 * centre is linear and folds into Wo, W2 and the biases; the mean of the residual is subtracted
 * apart.
 */
#ifndef BERT_FOLD_H
#define BERT_FOLD_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_map { /* y = w x + b */
    int in, out;
    double *w, *b;
    double *first; /* b of token 0, where that is public (causal); else NULL */
};

struct bert_folded_layer {
    struct bert_map q, k, v, o, ffn1, ffn2;
    double *score_add[3]; /* heads each, one array: any key, the token before, token 0 */
    /* behind score_add in the same array; causal, else NULL: of each row; hidden = row_add[T] */
    double *row_add;
    int tokens;     /* T: 1 + T more numbers in that array, or 0 */
    double *res[2]; /* H each: LN1's, LN2's residual */
    double norm_sub[2];
    double exp_c[BERT_MAX_DEGREE + 1], rsqrt_c[2][BERT_MAX_DEGREE + 1];
    double *block; /* owns every array above */
};

static inline int bert_is_hidden(const struct bert_folded_layer *f, int query, int key) {
    return f->row_add && bert_hides(query, key);
}
/* What is added to the score of `key` in the row of `query`. */
static inline double bert_score_add(const struct bert_folded_layer *f, int head, int query,
                                    int key) {
    int before = query > 0 ? query - 1 : 0;
    double add = f->score_add[key == before ? 1 : key == 0 ? 2 : 0][head];
    if (!f->row_add) return add;
    return bert_is_hidden(f, query, key) ? f->row_add[f->tokens] : add + f->row_add[query];
}

struct bert_folded_head {
    struct bert_map pooler, classifier;
    double *block;
};

int bert_fold_layer(struct bert_folded_layer *f, const struct bert_model *m,
                    const struct bert_plan *p, const struct bert_shape *s, int layer);
void bert_fold_layer_free(struct bert_folded_layer *f); /* a zeroed struct is allowed */
int bert_fold_head(struct bert_folded_head *f, const struct bert_model *m,
                   const struct bert_plan *p);
void bert_fold_head_free(struct bert_folded_head *f);
/* x[tokens * hidden], the state entering the first layer, of *rows rows: the embedded text; of a
 * causal model, of the text filled up to the bucket (bert_gpt2_fill), centred and scaled, with the
 * stand-in for token 0, which must be the public one: THOR_INPUT. */
int bert_first_state(double *x, int *rows, const struct bert_model *m, const struct bert_plan *p,
                     const struct bert_shape *s, const struct bert_tokens *tok);
/* y[rows * hidden], which left the last layer before gamma and beta, becomes the final state; of a
 * causal model token 0 is computed here. */
int bert_final_state(double *y, const struct bert_model *m, int rows);

#ifdef __cplusplus
}
#endif
#endif
