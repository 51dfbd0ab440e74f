/* The witness: what an answer says about the ranges of the polynomials behind it (witness.c). */
#ifndef BERT_WITNESS_H
#define BERT_WITNESS_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_NO_RESULT                                                                             \
    "out of range, no result: values left the calibrated ranges; shorten or reword the text, or "  \
    "calibrate with more texts like it"

/* What the sum of all witnesses in a slot may come to. */
double bert_witness_limit(const struct bert_plan *p, const struct bert_shape *s);
/* 1: all n slots w of an answer's imaginary part say that values were in range. */
int bert_witness_holds(const double *w, size_t n);
/* What an argument u of a polynomial of that degree adds to the sum; more than 1 outside [-1,
 * 1]. */
double bert_witness_of(double u, int degree);
/* The same of an inverse whose last eps_m is eps. */
double bert_witness_of_inverse(const struct bert_inverse *v, double eps);

/* 1: every row of y, a state before gamma and beta, is as long as a LayerNorm can give: at most
 * sqrt(hidden), with room for the errors of 1/sqrt and of noise; of a causal model, whose last sum
 * has no such limit, that it is a number. */
int bert_state_possible(const double *y, const struct bert_model *m, int rows);
/* 1: every logit is a number no larger than this classifier can give, |logit_l| <= sum_j |w_lj| +
 * |b_l| as |tanh| <= 1, with room for the errors of the polynomial (2e-3) and of noise. */
int bert_logits_possible(const double *logits, const struct bert_model *m);

#ifdef __cplusplus
}
#endif
#endif
