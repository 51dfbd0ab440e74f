/* What the parts of the server share, private to bert/: steps.c below softmax.c, the two attentions
 * and norm.c, below layer.c, below recorded.c, below encrypted.c. */
#ifndef BERT_CIRCUIT_H
#define BERT_CIRCUIT_H

#include "bert/encrypted.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_server {
    struct ckks *cx;
    const struct bert_model *model;
    const struct bert_plan *plan;
    struct bert_shape shape;
    struct bert_levels *level;          /* layers + 1 */
    struct ckks_boot *boot[BERT_BOOTS]; /* those that the plan uses */
    struct bert_recorded *recorded;     /* NULL: layers are not recorded */
};

enum { BERT_WITNESS_PARTS = 32 };

struct bert_witness {                             /* of one sentence: witness.c */
    struct ckks_ct sum, part[BERT_WITNESS_PARTS]; /* sum at level 0, empty before the first layer */
    int parts;
};

struct bert_run { /* one forward of n sentences in lock step */
    struct bert_server *srv;
    struct ckks *cx;
    const struct bert_shape *s;
    struct bert_hooks hooks;
    const struct ckks_ct *const *in; /* of every sentence */
    int n;
    int l, done;
    const char *stage;               /* the open one */
    int stage_layer;                 /* where it was opened */
    struct bert_recorded *recorded;  /* NULL: not this forward */
    const struct bert_layer_plan *p; /* of layer l */
    const struct bert_levels *v;
    struct bert_folded_layer w;
    double *vec;                  /* 2 n numbers of scratch */
    struct bert_witness *witness; /* of every sentence */
    int who;                      /* the sentence in work: whose witness is told */
};

/* ---- steps.c ---- */
/* Close the open stage and open the next; NULL: only close.  The status of hooks.stop. */
int bert_stage(struct bert_run *r, const char *stage);
/* Show the n ciphertexts x of a node. */
void bert_see(struct bert_run *r, enum bert_node node, int n, const struct ckks_ct *x);

/* witness.c: that values were in the ranges of the polynomials.
 * x = the polynomial of x, in place, in the witness of sentence r->who. */
int bert_cheb_watched(struct ckks_ct *x, struct bert_run *r, const double *c, int degree);
/* The same times several masks (ckks_cheb_parts). */
int bert_cheb_parts(const struct ckks_cheb_part *part, int n, struct bert_run *r,
                    const struct ckks_ct *x, const double *c, int degree);
/* g = eps_m of an inverse, which is small when the denominator was in its range. */
int bert_inverse_watched(struct bert_run *r, const struct ckks_ct *g, const struct bert_inverse *v);
/* After every layer and the head: squares what was told since. */
int bert_witness_close(struct bert_run *r);
int bert_witness_add(struct bert_witness *w, const struct ckks_ct *x); /* sum += x, at level 0 */
/* Each of the answer's ciphertexts, `each` a sentence, += i (witness + what says that there is
 * one). */
int bert_witness_join(struct ckks_ct *answer, int each, struct bert_run *r);
struct bert_witness *bert_witness_new(int n); /* NULL without memory, and thor_fail is set */
void bert_witness_free(struct bert_witness *w, int n); /* NULL is allowed */

struct ckks_ct *bert_cts_new(int n); /* zeroed; NULL without memory, and thor_fail is set */
void bert_cts_free(struct ckks_ct *x, int n); /* NULL is allowed */

/* x += x rotated by step, 2 step, .. : the sum over 2^times positions. */
int bert_sum_steps(struct ckks_ct *x, int step, int times);
/* a = z + conj z, b = -i (z - conj z); b may be NULL, a may be z. */
int bert_split(struct ckks_ct *a, struct ckks_ct *b, const struct ckks_ct *z);

/* What all sentences do at once: here each plaintext is made once for the whole group.  Those of
 * sentence i are at x + i step.
 * x = the maps m of in (m->ins a sentence), at `level`, plus their biases; only_first of the maps
 * holds for the biases too.  bert_apply_paired leaves pairs of outputs together, halved. */
int bert_apply_maps(struct ckks_ct *x, int step, struct bert_run *r, const struct ckks_ct *in,
                    struct bert_linear_map *m, int maps, int level);
int bert_apply_paired(struct ckks_ct *z, int step, struct bert_run *r, const struct ckks_ct *in,
                      struct bert_linear_map *m, int maps, int level);
/* x = t of in, adjusted to `level`; x may be in where their steps are the same. */
int bert_apply_linear(struct ckks_ct *x, int step, const struct bert_run *r,
                      const struct ckks_ct *in, int in_step, struct ckks_linear *t, int level);

/* Where the plan says so, bootstrap the n ciphertexts x of a node to r->v->out, multiply by `mult`:
 * a stage.  x holds what is wanted times bert_boot_scale.  In the columns shape two share a
 * bootstrap, and an odd one is bootstrapped as what is real. */
int bert_refresh(struct bert_run *r, enum bert_node node, struct ckks_ct *x, int n, int mult);
static inline double bert_boot_scale(const struct bert_shape *s, int boot, int mult) {
    return boot ? 1.0 / (mult * s->packing->share) : 1;
}
/* Bootstrap x and, where given, other as the two parts of complex slots, which gives twice each; x
 * alone as the real part. */
int bert_refresh_pair(struct ckks_ct *x, struct ckks_ct *other, const struct bert_run *r,
                      enum bert_node node);
/* Divisor that brings |y| <= sqrt(H) within the bootstrap's +-8. */
int bert_state_mult(const struct bert_shape *s);
/* sum += rot(sum over i < n of x[i] y[i], by) */
int bert_add_products(struct ckks_sum *sum, const struct ckks_ct *const x[],
                      const struct ckks_ct *const y[], int n, int by);

/* On v, where twice of what it gives is taken. */
static inline double bert_value_scale(const struct bert_shape *s) {
    return s->blocks > 1 ? 0.5 : 1;
}

/* ---- softmax.c ---- */
/* a = 1/D up to scale, of sums k; d is used up.  times: whole, a factor on what a round multiplies
 * by a, to be squared. */
int bert_invert(struct ckks_ct *a, int *times, struct bert_run *r, struct ckks_ct *d, int k);
/* The factor t_1 on E, P, D and C that leaves the bootstrapped pair halved. */
double bert_pair_scale(const struct bert_layer_plan *p, int k);
/* lambda: what E a of round k is multiplied by before the square. */
double bert_round_factor(const struct bert_layer_plan *p, int k, int tokens);
/* The level of one of sums k (bert_of_sums). */
static inline int bert_sums_level(const struct bert_run *r, int k, enum bert_node of) {
    return r->v->out[bert_of_sums(of, k)];
}

/* ---- norm.c ---- */
/* x[nX] += the residual of half i, of `from`. */
int bert_join(struct ckks_ct *x, struct bert_run *r, int i, const struct ckks_ct *from);
/* y[nX] = LayerNorm i (before gamma and beta) of x. */
int bert_norm(struct ckks_ct *y, struct bert_run *r, int i, const struct ckks_ct *x);

/* ---- layer.c ---- */
/* One layer: y[nX] of every sentence in the state entering it, out the one leaving it; r->l, r->p
 * and r->v are its. */
int bert_layer(struct ckks_ct *y, struct bert_run *r);
/* ---- recorded.c ---- */
/* The same, recorded; and whether this forward is, for which its masks are put in place. */
int bert_recorded_layer(struct ckks_ct *y, struct bert_run *r);
int bert_recorded_begin(struct bert_run *r);
void bert_recorded_free(struct bert_server *s);

#ifdef __cplusplus
}
#endif
#endif
