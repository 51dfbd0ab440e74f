/* Minimax polynomials in the Chebyshev basis, and the constants of Goldschmidt's inverse.
 *
 * Fits minimise max |weight (p - f)| over Chebyshev extrema by Lawson's iteration (least squares
 * whose weights are multiplied by the last residual), stopped within 2 % of the lower bound that
 * the weighted mean square gives.  bert_poly.err is then measured on a grid three times as dense;
 * it is infinite when the weights span more than the arithmetic (long double) resolves.
 */
#ifndef BERT_POLYFIT_H
#define BERT_POLYFIT_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_curve { /* f and its weight (NULL: 1) on [lo, hi], with one parameter */
    long double (*f)(long double x, double par);
    long double (*weight)(long double x, double par);
    double par;
};

int bert_poly_fit(struct bert_poly *p, const struct bert_curve *c, double lo, double hi,
                  int degree);
double bert_cheb_eval(const double *c, int degree, double u); /* Clenshaw; |u| <= 1 for err */

/* exp on [lo, hi]; err relative to max(exp(x), floor). */
int bert_fit_exp(struct bert_poly *p, double lo, double hi, double floor, int degree);
/* x^(-1/2) on [lo, hi], lo >= 0; its relative error is minimised, and measured, on [from, to]
 * alone; lo <= from < to <= hi.  On the rest it is bounded: |p(x)| < 2.5 from^(-1/2), which a test
 * asserts for every lo, hi <= 1.5 to, to <= 100 from and degrees from 7. */
int bert_fit_rsqrt_within(struct bert_poly *p, double lo, double hi, double from, double to,
                          int degree);
/* x erf(x/sqrt 2)/2 = GELU(x) - x/2 for |x| <= r, in z = 2 (x/r)^2 - 1; absolute error. */
int bert_fit_gelu(struct bert_poly *p, double r, int degree);
/* x tanh(sqrt(2/pi) (x + 0.044715 x^3))/2, its tanh form, in the same way. */
int bert_fit_gelu_tanh(struct bert_poly *p, double r, int degree);
/* Of each activation, f(x) - x/2: one of these two. */
extern int (*const bert_fit_activation[BERT_ACTIVATIONS])(struct bert_poly *p, double r,
                                                          int degree);
/* tanh(r w), w in [-1, 1]; absolute error. */
int bert_fit_tanh(struct bert_poly *p, double r, int degree);

/* Iterations until e_m >= 1 - 2 err; more than BERT_MAX_ITER when that many do not suffice. */
int bert_inverse_iterations(double e, double err);
double bert_inverse_low(double e, int i); /* e_i */
/* All constants of m iterations on [e, 1]; `boot` as boot[BERT_PAIR] of the layer's plan. */
void bert_inverse_set(struct bert_inverse *v, double e, int m, int boot);
/* Smallest and largest a_i over d in [e, 1]. */
void bert_inverse_span(const struct bert_inverse *v, int i, double *lo, double *hi);
/* Denominators after a square of weights that 1/d with that error normalised, in nats: the largest
 * one, and how far below it they can be.  Sum over n tokens of mask (p/mask)^2, the sum of p^2
 * between 1/n and 1, the mask's value sqrt(3/n), n <= T: -log(3T)/2 .. log(T/3)/2. */
double bert_square_top(int tokens, double err);
double bert_square_span(int tokens, double err);
/* 1/d as the encrypted schedule computes it, without noise. */
double bert_inverse_eval(const struct bert_inverse *v, double d);

#ifdef __cplusplus
}
#endif
#endif
