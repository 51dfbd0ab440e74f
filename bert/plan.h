/* The plan of an encrypted forward: ranges, polynomials, iterations and bootstraps of every layer.
 *
 * Made by calibration (calibrate.c) from the plain model on sample texts, checked in doubles
 * (approx.c), followed by the encrypted forward (encrypted.c).  Notation: T tokens (bucket), hd =
 * H/heads, e.g. T 64, hd 64.  "level" is that of ckks; a fresh ciphertext is at 16, a bootstrap
 * returns 16.
 *
 * One layer, y the normalised hidden state (before gamma and beta, which fold into the next
 * weights; the first layer's y is the embedding output itself, gamma 1, beta 0); the levels of
 * each step are those of nodes.c:
 *
 *   q, k, v  = linear(y)
 *   u        = (2 (q.(k - delta_h)/sqrt(hd) - c_h) - lo - hi) / (hi - lo)        in [-1,1]
 *   E        = sigma * exp(u's score)
 *   P        = E * mask                        (encrypted: sqrt(3/n) on n tokens, else 0)
 *   D        = sum over keys of P              D = sigma d, d in [e, 1]
 *   C        = P.v
 *   a        = product of (s_i + g_i)          see struct bert_inverse
 *   x1       = xc_scale1 * centre(Wo (C a) + bo + y's residual)
 *   r1       = rsqrt1(sum of x1^2)/xc_scale1
 *   y1       = x1 r1
 *   w        = (W1 y1 + b1) / gelu_r           in [-1,1]
 *   f        = GELU(gelu_r w) = gelu_r w / 2 + P(2 w^2 - 1);   GELU is here and below the
 *              model's activation, by erf or by tanh (activation.h)
 *   x2       = xc_scale2 * centre(W2 f + b2 + y1's residual)
 *   r2, y2   as r1, y1.
 * Where denominators span too much for one inverse, softmax takes 1 to 4 rounds of normalising and
 * squaring: s is divided by 2^rounds, so that the sums span as much less, and each round replaces
 *   E <- (E / sum over keys of E * mask)^2,
 * of which the sums are between 1/T and 1 but for the mask's value: softmax of s in the end, as the
 * last 1/d takes what the scales leave.  softmax.c has the scale of a round.
 * Columns shape: P = E, and the mask is with D and with v.
 * A causal model (GPT-2) has its LayerNorms before the halves; y is the stream, centred and scaled:
 *   r0, y0   as r1, y1, of y               q, k, v of y0
 *   x1       = join scale * centre(Wo (C a) + bo) + y's share, the scale that of y1's LayerNorm
 *   x2       = join scale * centre(W2 f + b2) + x1's share, that of the next layer's, y of which it
 *              is; BERT_LAST_SCALE behind the last
 * A score of a key behind its query is the lowest, -1, whose E, known beforehand, is subtracted;
 * those of row t are raised by bert_row_shift.  Texts are as long as the bucket (bert_gpt2_fill).
 * Token 0 is public and in no range: something stands in for it, and biases of its own turn that
 * into its key and value, at no level (fold.h).
 * Head: tanh(Wp y + bp) on token 0 only, then the classifier; or, at the client, all of it from y.
 * The mask's value cancels between C and D; it brings denominators of short and long texts
 * together, which grow with n in some heads and not in others. Padding rows are copies of the row
 * of [CLS], so that every slot stays inside the calibrated ranges. bert/fold.h owns what each of
 * these linear maps becomes when gamma, beta, scales and means are folded in.
 */
#ifndef THOR_BERT_PLAN_H
#define THOR_BERT_PLAN_H

#include <stdint.h>
#include <stdio.h>

#include "bert/input/model.h"
#include "bert/nodes.h"
#include "bert/input/text.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_DEGREE 255
#define BERT_MAX_ITER 16

/* A polynomial on [lo, hi] in the Chebyshev basis of u = (2x - lo - hi)/(hi - lo). */
struct bert_poly {
    double lo, hi;
    int degree;
    double err; /* largest error of the fit: absolute, or relative where the owner says so */
    double c[BERT_MAX_DEGREE + 1];
};

/* 1/d on [e, 1] by Goldschmidt's iteration with adaptive over-relaxation, written so that a step is
 * one squaring and one addition.  k_i = 2/(e_(i-1) + 1), e_i = k_i e_(i-1) (2 - k_i e_(i-1)), e_0 =
 * e, i = 1..m; eps_i = 1 - k_i b_(i-1) (b_0 = d, b_i -> 1), 1/d = out * prod k_i (1 + eps_i) up to
 * `err`; g_i = s_i eps_i with s_m = 1, s_i = sqrt(s_(i+1) k_(i+1)) obeys
 *   g_1 = s_1 - sigma d (sigma = s_1 k_1),   g_(i+1) = g_i^2 + add_(i+1),  add_i = s_i (1 - k_i).
 * The product is kept scaled, a_1 = alpha (s_1 + g_1), a_i = a_(i-1) (s_i + g_i), alpha such that
 * the largest of a_1 .. a_i up to and including a bootstrap is 4 (scale is 1 when there is none):
 *   1/d = scale * a_m,  scale = out * prod(k_i / s_i) / alpha.
 * A bootstrap after i iterations refreshes the pair (a_i, g_(i+1)): both stand i levels below D. */
struct bert_inverse {
    double e;
    int m;
    double k[BERT_MAX_ITER + 1], s[BERT_MAX_ITER + 1], add[BERT_MAX_ITER + 1]; /* 1-based */
    double sigma, alpha, scale, err;
};

struct bert_layer_plan {
    int rounds;    /* before the last inverse; scores are divided by 2^rounds */
    double *delta; /* heads x hd: subtracted from every key of the head */
    double *shift; /* heads: c_h of the divided scores */
    /* heads: 0, or that of a head that attends to the token before: its scores become a pattern
     * that the plan knows */
    double *previous;
    /* exp(s), s = score - c_h in [lo, hi], one for all heads, without sigma; err is relative to
     * max(exp(s), inv[0].e) */
    struct bert_poly exp;
    /* of sums k, the last being k = rounds; those before are rough, the next sum takes it up */
    struct bert_inverse inv[BERT_MAX_ROUNDS + 1];
    struct bert_poly rsqrt[2]; /* (variance)^(-1/2), relative error on [var_lo, var_hi]; LN1, LN2 */
    double var_lo[2], var_hi[2]; /* within [lo, hi] of rsqrt, where windows of variances lie too */
    double xc_scale[2];          /* sqrt(2/(H (hi-lo))): sum of x^2 is then u + (hi+lo)/(hi-lo) */
    int r_mult[2];               /* integer >= largest r: see bert_root_mult */
    double gelu_r;
    struct bert_poly gelu; /* GELU(x) - x/2 in z = 2 (x/gelu_r)^2 - 1 on [-1, 1] */
    int boot[BERT_NODES];  /* 1: it is bootstrapped (nodes.h); of BERT_PAIR after so many steps */
    int level[BERT_NODES]; /* after the operation and its bootstrap, if any */
};

/* After how many iterations the pair of sums k is bootstrapped. */
static inline int bert_boot_inv(const struct bert_layer_plan *p, int k) {
    return p->boot[bert_of_sums(BERT_PAIR, k)];
}

/* What 1/sqrt is divided by, to be in [0, 1], and multiplied by after: where it is bootstrapped,
 * and in the columns shape, whose masked coefficients must be encoded; else 1. */
static inline int bert_root_mult(const struct bert_shape *s, const struct bert_layer_plan *p,
                                 int i) {
    return s->packing->windows || p->boot[bert_of_norm(s, BERT_R1, i)] ? p->r_mult[i] : 1;
}

struct bert_plan {
    int tokens; /* bucket T */
    int layers;
    struct bert_shape shape;
    struct bert_layer_plan *layer;
    int at_client; /* 1: the head is computed there (bert_head_at_client), and there is no tanh */
    double tanh_r;
    struct bert_poly tanh; /* tanh(tanh_r w), w in [-1,1] */
    int level_pooler, level_tanh, level_logits;
    enum bert_activation activation;
    uint64_t model_hash; /* of the weights the ranges were measured on */
    int calibration_rows;
};

/* s of a head with previous > 0 in row `query`: its softmax gives the token before (token 0:
 * itself) all weight but `previous`, which key 0 has, for rows of padding have no token before
 * them. */
double bert_previous_score(const struct bert_layer_plan *p, int head, int query, int key);

/* The mask of each of n tokens: sqrt(3/n), 1 for the shortest text. */
double bert_mask_value(int n);
/* Causal: what makes the mask of T tokens, on row t, that of the t + 1 tokens that it sees. */
double bert_row_shift(int tokens, int t);

/* What the sum behind half `which` of layer l is multiplied by, for the LayerNorm that takes it;
 * where none is left, the state of a causal model that leaves. */
#define BERT_LAST_SCALE 0x1p-3
double bert_join_scale(const struct bert_plan *p, int l, int which);

/* What the plain model met on sample texts.  s is a score after 1/sqrt(hd), f = q.delta_h/sqrt(hd)
 * + c_h the regression of its row's log-denominator; h runs over heads. */
struct bert_layer_ranges {
    double *delta;               /* heads x hd, minimax regression on q/sqrt(hd) */
    double *shift;               /* c_h */
    double *score_lo, *score_hi; /* s - f */
    double *den_lo, *den_hi;     /* log(mask value * sum of exp(s)) - f */
    double *stray; /* mean weight of other keys than the token before (token 0: itself) */
    /* the same log-sums of exp(s / 2^r) less f / 2^r, of r rounds: at [(r - 1) heads + h]; all 0:
     * not measured */
    double *round_lo, *round_hi;
    double var_lo[2], var_hi[2]; /* variances at LN1, LN2 */
    double win_lo[2], win_hi[2]; /* windows of variances (windows.h) of every C; 0: not measured */
    double gelu;                 /* largest |GELU input| */
};

/* Ranges of one model, as stored in calibration.json beside it.  They hold for every bucket up to
 * `tokens`. */
struct bert_ranges {
    int tokens, rows; /* longest text allowed, texts used */
    int layers, heads, head_size;
    uint64_t model_hash;
    enum bert_activation activation; /* of the model they were measured on */
    double margin, top; /* relative margin of ranges; extra nats above the largest denominator */
    struct bert_layer_ranges *layer;
    double tanh; /* largest |pooler output before tanh| */
};

/* Run the plain model over `texts` (`pairs` may be NULL) and record ranges.  Texts that do not fit
 * in `tokens` (0: the largest supported bucket), or are no text, are left out; rows counts those
 * used.  Padding rows are copies of [CLS] and masked, so they need no run of their own. */
int bert_calibrate(struct bert_ranges **out, const struct bert_model *m, const char *const *texts,
                   const char *const *pairs, int n, int tokens);
int bert_calibrate_tokens(struct bert_ranges **out, const struct bert_model *m,
                          const struct bert_tokens *t, int n, int tokens);
/* An estimate of how many texts will leave the ranges of a calibration on `texts` (leaveout.c):
 * `texts` of those were judged by ranges that they had no part in, `outside` of them had a value
 * outside a polynomial's interval.  tokens: a bucket.  No text judged, where too few fit. */
struct bert_left_out {
    int texts, outside;
};
int bert_leave_out(struct bert_left_out *out, const struct bert_model *m, const char *const *texts,
                   const char *const *pairs, int n, int tokens);
/* *leaves: 1 when a value of the plain model on these tokens is outside its interval. */
int bert_plan_leaves(int *leaves, const struct bert_model *m, const struct bert_plan *p,
                     const struct bert_tokens *t);
/* The bucket that a calibration is for: *tokens as asked, 0 for the largest one.  THOR_USAGE names
 * the nearest bucket where there is none of that size, THOR_MODEL what is supported where the model
 * has none at all. */
int bert_calibrate_tokens_for(int *tokens, const struct bert_model *m);
int bert_ranges_new(struct bert_ranges **out, int layers, int heads, int head_size); /* zeroed */
int bert_ranges_save(const struct bert_ranges *r, const char *path);
/* THOR_MODEL when the file is missing, damaged, or made from other weights than m's. */
int bert_ranges_load(struct bert_ranges **out, const char *path, const struct bert_model *m);
void bert_ranges_free(struct bert_ranges *r);
/* THOR_MODEL unless a plan can use every value: finite, of ordinary size, no range empty.  The
 * message names `path`, the field as the file has it, its value and its limits. */
int bert_ranges_check(const struct bert_ranges *r, const char *path);
int bert_ranges_windows(const struct bert_ranges *r); /* 1: they are measured, in every layer */
int bert_ranges_rounds(const struct bert_ranges *r);  /* the same of round_lo and round_hi */
size_t bert_ranges_heads(int heads, int head_size);   /* values of a layer from delta to round_hi */
int bert_ranges_same(const struct bert_ranges *a,
                     const struct bert_ranges *b); /* 1: value by value */

/* In 2^BERT_LOG_SLOTS slots.  THOR_MODEL when the model has no packing for this bucket; the message
 * says what is supported. */
int bert_shape_of(struct bert_shape *s, const struct bert_model *m, int tokens);
/* The smallest supported bucket for a text of n tokens; THOR_INPUT when the text is too long for
 * all. */
int bert_bucket(int *tokens, const struct bert_model *m, int n);

/* Fit polynomials with margins, choose degrees and iterations, then place bootstraps (placement.c).
 * */
int bert_plan_new(struct bert_plan **out, const struct bert_model *m, const struct bert_ranges *r,
                  int tokens);
void bert_plan_free(struct bert_plan *p);
/* Levels, bootstraps, intervals, degrees, expected errors as a table of plain lines. */
void bert_plan_print(FILE *f, const struct bert_plan *p);
/* Number of ciphertexts bootstrapped: returns full + sparse (full: all slots in use). */
int bert_plan_bootstraps(const struct bert_plan *p, int *full, int *sparse);
/* placement.c: choose boot[] and fill level[] of every layer; degrees and inv[].m are given.
 * THOR_MODEL when a layer has no legal placement. */
int bert_place(struct bert_plan *p);
/* 1 when layer l has a legal placement, entered at the highest level. */
int bert_placeable(const struct bert_plan *p, int l);
/* Levels of pooler (columns shape: of token 0, which is masked), tanh and classifier; none where
 * the head is at the client. */
int bert_head_levels(const struct bert_plan *p);

struct bert_outside {  /* of the calibrated ranges, in one text; zeros: nothing */
    int values;        /* so many */
    int layer;         /* where the first of them were; `layers`: the head */
    const char *stage; /* exp, inverse, norm1, gelu, norm2 or head */
    double factor;     /* how far: times its range, 1 at its end */
    double witness;    /* above 1: worth nothing, an encrypted answer says so (witness.c) */
};

/* The polynomial pipeline in doubles with the engine's noise (`seed` 0: no noise);
 * out[bert_outputs].  outside may be NULL. */
int bert_approx_forward(double *out, const struct bert_model *m, const struct bert_plan *p,
                        const struct bert_tokens *tok, uint64_t seed, struct bert_outside *outside);

/* Levels a Chebyshev polynomial of this degree costs: ceil(log2(degree + 1)). */
int bert_poly_levels(int degree);

#ifdef __cplusplus
}
#endif
#endif
