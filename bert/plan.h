/* The plan of an encrypted forward: ranges, polynomials, iterations and bootstraps of every layer.
 *
 * Made by calibration (calibrate.c) from the plain model on sample texts, checked in doubles
 * (approx.c), followed by the encrypted forward (encrypted.c).  Notation: T tokens (bucket), hd = H/heads,
 * e.g. T 64, hd 64.  "level" is that of ckks; a fresh ciphertext is at 16, a bootstrap returns 16.
 *
 * One layer, y the normalised hidden state (before gamma and beta, which fold into the next weights;
 * the first layer's y is the embedding output itself, gamma 1, beta 0):
 *
 *   q, k, v  = linear(y)                       q: 1 level; k, v: 2 (linear, then the skew)
 *   u        = (2 (q.(k - delta_h)/sqrt(hd) - c_h) - lo - hi) / (hi - lo)        1 level, in [-1,1]
 *   E        = sigma * exp(u's score)          exp.degree: ceil(log2(degree+1)) levels
 *   P        = E * mask                        1 level (0/1, encrypted: tokens that are not padding)
 *   D        = sum over keys of P              0 levels;  D = sigma d, d in [e, 1]
 *   C        = P.v                             1 level
 *   a        = product of (s_i + g_i)          inv.m levels after D (see struct bert_inverse)
 *   x1       = xc_scale1 * centre(Wo (C a) + bo + y's residual)                   2 levels (C a, then Wo)
 *   r1       = rsqrt1(sum of x1^2)             1 + ceil(log2(degree+1)) levels
 *   y1       = x1 r1                           1 level
 *   w        = (W1 y1 + b1) / gelu_r           1 level, in [-1,1]
 *   f        = GELU(gelu_r w) = gelu_r w / 2 + P(2 w^2 - 1)      1 + ceil(log2(degree+1)) levels
 *   x2       = xc_scale2 * centre(W2 f + b2 + y1's residual)      1 level
 *   r2, y2   as r1, y1.
 * Head: tanh(Wp y + bp) on token 0 only: 1 + ceil(log2(degree+1)) levels, then the classifier: 1.
 * Padding rows are copies of the row of [CLS], so that every slot stays inside the calibrated ranges.
 */
#ifndef THOR_BERT_PLAN_H
#define THOR_BERT_PLAN_H

#include <stdint.h>
#include <stdio.h>

#include "bert/model.h"

#define BERT_MAX_DEGREE 255
#define BERT_MAX_ITER 16

/* A polynomial on [lo, hi] in the Chebyshev basis of u = (2x - lo - hi)/(hi - lo). */
struct bert_poly {
    double lo, hi;
    int degree;
    double err; /* largest error of the fit: absolute, or relative where the owner says so */
    double c[BERT_MAX_DEGREE + 1];
};

/* 1/d on [e, 1] by Goldschmidt's iteration with adaptive over-relaxation, written so that a step is one
 * squaring and one addition.  k_i = 2/(e_(i-1) + 1), e_i = k_i e_(i-1) (2 - k_i e_(i-1)), e_0 = e, i = 1..m;
 * eps_i = 1 - k_i b_(i-1) (b_0 = d, b_i -> 1), 1/d = out * prod k_i (1 + eps_i) up to `err`;
 * g_i = s_i eps_i with s_m = 1, s_i = sqrt(s_(i+1) k_(i+1)) obeys
 *   g_1 = s_1 - sigma d (sigma = s_1 k_1),   g_(i+1) = g_i^2 + add_(i+1),  add_i = s_i (1 - k_i).
 * The product is kept scaled, a_1 = alpha (s_1 + g_1), a_i = a_(i-1) (s_i + g_i), alpha such that no a_i up
 * to and including a bootstrap exceeds 1:   1/d = scale * a_m, scale = out * prod(k_i / s_i) / alpha. */
struct bert_inverse {
    double e;
    int m;
    double k[BERT_MAX_ITER + 1], s[BERT_MAX_ITER + 1], add[BERT_MAX_ITER + 1]; /* 1-based */
    double sigma, alpha, scale, err;
};

struct bert_layer_plan {
    double *delta;             /* heads x hd: subtracted from every key of the head */
    double *shift;             /* heads: c_h */
    struct bert_poly exp;      /* exp(s), s = score - c_h in [lo, hi], one for all heads (sigma not included) */
    struct bert_inverse inv;
    struct bert_poly rsqrt[2]; /* (variance)^(-1/2) on [lo, hi], relative error; LN1, LN2 */
    double xc_scale[2];        /* sqrt(2/(H (hi-lo))): sum of squares of x is then u + (hi+lo)/(hi-lo) */
    double xc_max[2];          /* largest |x| met in calibration, in scaled units, times the margin */
    double gelu_r;
    struct bert_poly gelu;     /* even part GELU(x) - x/2 as a polynomial in z = 2 (x/gelu_r)^2 - 1 on [-1,1] */
    /* bootstraps */
    int boot_scores;           /* u, before exp */
    int boot_inv;              /* pair (a_i, g_i) after i iterations, 1 <= i < m; 0: none */
    int boot_x[2];             /* x1, x2 */
    int boot_r[2];             /* r1, r2 (few distinct values: a very sparse bootstrap) */
    /* levels, after the operation (and its bootstrap, if any) */
    struct {
        int y_in, q, kv, u, E, P, C, a, x1, r1, y1, w, f, x2, r2, y_out;
    } level;
};

struct bert_plan {
    int tokens;   /* bucket T */
    int layers;
    struct bert_layer_plan *layer;
    double tanh_r;
    struct bert_poly tanh; /* tanh(tanh_r w), w in [-1,1] */
    int level_pooler, level_tanh, level_logits;
    uint64_t model_hash;   /* of the weights the ranges were measured on */
    int calibration_rows;
};

/* Ranges of one model and bucket, as stored in calibration.json beside the model. */
struct bert_ranges;

/* Run the plain model over `texts` (padded to `tokens`, padding rows copies of [CLS], masked) and record
 * ranges: per-head regressions delta_h and log-denominators, score ranges, variances, GELU and tanh inputs. */
int bert_calibrate(struct bert_ranges **out, const struct bert_model *m, const char *const *texts,
                   const char *const *pairs, int n, int tokens);
int bert_ranges_save(const struct bert_ranges *r, const char *path);
int bert_ranges_load(struct bert_ranges **out, const char *path, const struct bert_model *m);
void bert_ranges_free(struct bert_ranges *r);

/* Fit polynomials with margins, choose degrees and iterations, then place bootstraps (placement.c). */
int bert_plan_new(struct bert_plan **out, const struct bert_model *m, const struct bert_ranges *r, int tokens);
void bert_plan_free(struct bert_plan *p);
/* Levels, bootstraps, intervals, degrees, expected errors as a table of plain lines. */
void bert_plan_print(FILE *f, const struct bert_plan *p);
int bert_plan_bootstraps(const struct bert_plan *p, int *full, int *sparse);

/* The polynomial pipeline in doubles with the engine's noise (`seed` 0: no noise); logits of `labels` values.
 * out_of_range: how many values left their calibrated range. */
int bert_approx_forward(double *logits, const struct bert_model *m, const struct bert_plan *p,
                        const struct bert_tokens *tok, uint64_t seed, int *out_of_range);

/* Levels a Chebyshev polynomial of this degree costs: ceil(log2(degree + 1)). */
int bert_poly_levels(int degree);

#endif
