/* The residual and LayerNorm, encrypted (plan.h, fold.h, packing.h; all in outer layout).
 *
 *   x += res .* y - mean(res .* y): p = res .* y at one level; the mean is -(1/H) sum over columns
 *        and ciphertexts of the same products; x itself is already centred.  Where the last
 *        ciphertext has columns without a feature, the mean is masked out of them: one level
 *        A causal model's streams are centred, so no mean is subtracted
 *   u = sum of x^2 - norm_sub     r = rsqrt_c(u)     y = x r
 *
 * Sums over columns are rotations by 2^i columns.  Copies shape: every column holds the sum.
 * Columns shape: column 0 does, the others hold windows of variances (windows.h), which must be in
 * the range of rsqrt_c and nothing more.  Column 0 alone goes on, and is spread by rotations back:
 * the mean by a mask, one level, 1/sqrt by its masked coefficients, at none. */
#include <stdlib.h>

#include "bert/circuit.h"

static int sum_columns(struct ckks_ct *x, const struct bert_shape *s) {
    return bert_sum_steps(x, bert_column_step(s), bert_log2(s->columns));
}

// columns shape: column 0 into all columns; the others are zero
static int spread(struct ckks_ct *x, const struct bert_shape *s) {
    return s->packing->windows ? bert_sum_steps(x, -1, bert_log2(s->columns)) : THOR_OK;
}

// q = -mean(res .* y) in every column, at `level`
static int minus_mean(struct ckks_ct *q, struct bert_run *r, int which, const struct ckks_ct *y,
                      int level) {
    int st = THOR_OK;
    struct ckks_ct t = {0}, p = {0};
    for (int i = 0; i < r->s->nx; i++) {
        TRY(ckks_adjust(&t, &y[i], level + 1 + r->s->packing->windows));
        size_t n = bert_spread_outer(r->vec, r->s, i, r->w.res[which], r->s->hidden, 0);
        for (size_t s = 0; s < n; s++) r->vec[s] /= -r->s->hidden;
        TRY(ckks_mul_plain(i ? &p : q, &t, r->vec, NULL, n));
        if (i) TRY(ckks_add(q, q, &p));
    }
    TRY(sum_columns(q, r->s));
    if (r->s->packing->windows) {
        size_t n = bert_spread_first(r->vec, r->s, 1);
        TRY(ckks_mul_plain(q, q, r->vec, NULL, n));
    }
    TRY(spread(q, r->s));
out:
    ckks_ct_free(&t);
    ckks_ct_free(&p);
    return st;
}

// q = 0 in the columns of the last ciphertext that have no feature, as the columns shape has them
static int mask_padding(struct ckks_ct *q, struct bert_run *r) {
    for (int c = 0; c < r->s->columns; c++)
        r->vec[c] = bert_feature(r->s, BERT_HIDDEN, r->s->nx - 1, c) < r->s->hidden;
    return ckks_mul_plain(q, q, r->vec, NULL, (size_t)r->s->columns);
}

// x += centre(res .* y)
static int add_residual(struct ckks_ct *x, struct bert_run *r, int which, const struct ckks_ct *y) {
    int st = THOR_OK, level = r->v->in[bert_of_half(which)], last = r->s->nx - 1;
    struct ckks_ct q = {0}, t = {0};
    if (!r->s->causal) TRY(minus_mean(&q, r, which, y, level + bert_padded(r->s)));
    for (int i = 0; i <= last; i++) {
        TRY(ckks_adjust(&t, &y[i], level + 1));
        size_t n = bert_spread_outer(r->vec, r->s, i, r->w.res[which], r->s->hidden, 0);
        TRY(ckks_mul_plain(&t, &t, r->vec, NULL, n));
        TRY(ckks_add(&x[i], &x[i], &t));
        if (r->s->causal) continue;
        if (i == last && bert_padded(r->s)) TRY(mask_padding(&q, r));
        TRY(ckks_add(&x[i], &x[i], &q));
    }
out:
    ckks_ct_free(&q);
    ckks_ct_free(&t);
    return st;
}

// f = rsqrt_c(f), in the columns shape of column 0, and 0 elsewhere
static int evaluate_root(struct ckks_ct *f, struct bert_run *r, int which) {
    const double *c = r->w.rsqrt_c[which];
    int degree = r->p->rsqrt[which].degree;
    if (!r->s->packing->windows) return bert_cheb_watched(f, r, c, degree);
    const struct ckks_cheb_part first = {f, r->vec, bert_spread_first(r->vec, r->s, 1)};
    return bert_cheb_parts(&first, 1, r, f, c, degree);
}

// f = rsqrt_c(sum of x^2 - norm_sub), bootstrapped when the plan says so
static int inverse_root(struct ckks_ct *f, struct bert_run *r, int which, const struct ckks_ct *x) {
    int st = THOR_OK, nx = r->s->nx;
    enum bert_node root = bert_of_norm(r->s, BERT_R1, which);
    int level = r->v->in[root] + bert_poly_levels(r->p->rsqrt[which].degree) + 1;
    struct ckks_ct *low = bert_cts_new(nx);
    const struct ckks_ct **at = low ? calloc((size_t)nx, sizeof *at) : NULL;
    if (!at) TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", nx));
    for (int i = 0; i < nx; i++) {
        TRY(ckks_adjust(&low[i], &x[i], level));
        at[i] = &low[i];
    }
    TRY(ckks_dot(f, at, at, nx, 1));
    TRY(sum_columns(f, r->s));
    TRY(ckks_add_const(f, f, -r->w.norm_sub[which]));
    TRY(evaluate_root(f, r, which));
    TRY(spread(f, r->s)); // before a bootstrap: its noise is not spread
    TRY(bert_refresh(r, root, f, 1, 1));
    TRY(ckks_mul_int(f, f, bert_root_mult(r->s, r->p, which)));
out:
    bert_cts_free(low, nx);
    free(at);
    return st;
}

int bert_join(struct ckks_ct *x, struct bert_run *r, int which, const struct ckks_ct *from) {
    int st = THOR_OK;
    TRY(add_residual(x, r, which, from));
    TRY(bert_refresh(r, bert_of_half(which), x, r->s->nx, 1));
    bert_see(r, bert_of_half(which), r->s->nx, x);
out:
    return st;
}

int bert_norm(struct ckks_ct *y, struct bert_run *r, int which, const struct ckks_ct *x) {
    int st = THOR_OK;
    enum bert_node out = bert_of_norm(r->s, BERT_Y1, which);
    struct ckks_ct f = {0}, t = {0};
    TRY(bert_stage(r, which ? "norm2" : "norm1"));
    TRY(inverse_root(&f, r, which, x));
    for (int i = 0; i < r->s->nx; i++) {
        TRY(ckks_adjust(&t, &x[i], r->v->in[out] + 1));
        TRY(ckks_mul(&y[i], &t, &f));
    }
    TRY(bert_refresh(r, out, y, r->s->nx, bert_state_mult(r->s)));
    bert_see(r, out, r->s->nx, y);
out:
    ckks_ct_free(&f);
    ckks_ct_free(&t);
    return st;
}
