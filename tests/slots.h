/* Vectors of slots in doubles: what the engine's operations do, for tests of packing formulas. */
#ifndef TESTS_SLOTS_H
#define TESTS_SLOTS_H

#include "bert/packing.h"

enum { MAX_SLOTS = 4096, MAX_STATE = 64 * 64 };

struct slots_vec {
    double x[MAX_SLOTS];
};
struct slots_map {
    struct bert_map m;
    double w[64 * 64], b[64];
};

/* A small shape and what its packing has to be. */
struct slots_micro {
    int hidden, heads, ffn, tokens, slots, hp, nx, groups, repeats, blocks, scores;
};
struct bert_shape slots_shape(const struct slots_micro *m);
/* Every head, row and key has one score, and bert_spread_scores adds to each what is its. */
void slots_score_places(const struct bert_shape *s);

void slots_random(double *x, int n); /* in [-1, 1) */
void slots_random_map(struct slots_map *p, int in, int out);
void slots_times(double *y, const struct slots_map *p, const double *x, int rows); /* no bias */

struct slots_vec slots_rot(const struct slots_vec *v, long r, int n);
void slots_add_product(struct slots_vec *sum, const struct slots_vec *a, const struct slots_vec *b,
                       int n);
void slots_add(struct slots_vec *sum, const struct slots_vec *a, int n);
/* Real and, where im is given, imaginary parts of the outputs of real inputs. */
void slots_apply(struct slots_vec *out, struct slots_vec *im, const struct slots_vec *in,
                 const struct ckks_linear *t, int n);
void slots_repeat(struct slots_vec *v, int period, int n);
/* The sums of attention_copies.c, spelt with slots only: scores of queries and skewed keys, and the
 * context of probabilities and skewed values. */
struct slots_vec slots_scores(const struct bert_shape *s, const struct slots_vec *q,
                              const struct slots_vec *k);
struct slots_vec slots_context(const struct bert_shape *s, const struct slots_vec *p,
                               const struct slots_vec *v);
/* x[T x width] at the features that ciphertext i holds, from n slots (copy 0). */
void slots_unpack(double *x, int width, const struct bert_shape *s, enum bert_layout at,
                  enum bert_order by, int i, const double *slots);
double slots_worst(const double *a, const double *b, int n); /* largest difference; NaN stays */

#endif
