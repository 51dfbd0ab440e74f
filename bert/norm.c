/* The residual and LayerNorm, encrypted (plan.h, fold.h, packing.h; all in outer layout).
 *
 *   x += res .* y - mean(res .* y): p = res .* y at one level; the mean is -(1/H) sum over columns
 *        (rotations T 2^i) and ciphertexts of the same products, so every column holds it; x
 *        itself is already centred.  Where the last ciphertext has columns without a feature, the
 *        products of the mean start a level higher, and it is masked out of those columns
 *   u = sum of x^2 - norm_sub     r = rsqrt_c(u)     y = x r */
#include <stdlib.h>

#include "bert/circuit.h"

// q = -mean(res .* y) in every column, at `level`
static int minus_mean(struct ckks_ct *q, struct bert_run *r, int which, const struct ckks_ct *y,
                      int level)
{
    int st = THOR_OK, n = r->s->tokens * r->s->columns;
    struct ckks_ct t = {0}, p = {0};
    for (int i = 0; i < r->s->nx; i++) {
        TRY(ckks_adjust(&t, &y[i], level + 1));
        bert_spread_outer(r->vec, r->s, i, r->w.res[which], r->s->hidden, 0);
        for (int s = 0; s < n; s++)
            r->vec[s] /= -r->s->hidden;
        TRY(ckks_mul_plain(i ? &p : q, &t, r->vec, NULL, (size_t)n));
        if (i)
            TRY(ckks_add(q, q, &p));
    }
    TRY(bert_sum_steps(q, r->s->tokens, bert_log2(r->s->columns)));
out:
    ckks_ct_free(&t);
    ckks_ct_free(&p);
    return st;
}

// q = 0 in the columns of the last ciphertext that have no feature
static int mask_padding(struct ckks_ct *q, struct bert_run *r)
{
    int T = r->s->tokens, C = r->s->columns;
    for (int k = 0; k < T * C; k++)
        r->vec[k] = bert_feature(r->s, BERT_HIDDEN, r->s->nx - 1, k / T) < r->s->hidden;
    return ckks_mul_plain(q, q, r->vec, NULL, (size_t)(T * C));
}

// x += centre(res .* y)
static int add_residual(struct ckks_ct *x, struct bert_run *r, int which, const struct ckks_ct *y)
{
    int st = THOR_OK, level = r->v->x_in[which], last = r->s->nx - 1;
    struct ckks_ct q = {0}, t = {0};
    TRY(minus_mean(&q, r, which, y, level + bert_padded(r->s)));
    for (int i = 0; i <= last; i++) {
        TRY(ckks_adjust(&t, &y[i], level + 1));
        bert_spread_outer(r->vec, r->s, i, r->w.res[which], r->s->hidden, 0);
        TRY(ckks_mul_plain(&t, &t, r->vec, NULL, (size_t)(r->s->tokens * r->s->columns)));
        TRY(ckks_add(&x[i], &x[i], &t));
        if (i == last && bert_padded(r->s))
            TRY(mask_padding(&q, r));
        TRY(ckks_add(&x[i], &x[i], &q));
    }
out:
    ckks_ct_free(&q);
    ckks_ct_free(&t);
    return st;
}

// f = rsqrt_c(sum of x^2 - norm_sub), bootstrapped when the plan says so
static int inverse_root(struct ckks_ct *f, struct bert_run *r, int which, const struct ckks_ct *x)
{
    int st = THOR_OK, nx = r->s->nx;
    int level = r->v->r_in[which] + bert_poly_levels(r->p->rsqrt[which].degree) + 1;
    struct ckks_ct *low = bert_cts_new(nx);
    const struct ckks_ct **at = low ? calloc((size_t)nx, sizeof *at) : NULL;
    if (!at)
        TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", nx));
    for (int i = 0; i < nx; i++) {
        TRY(ckks_adjust(&low[i], &x[i], level));
        at[i] = &low[i];
    }
    TRY(ckks_dot(f, at, at, nx, 1));
    TRY(bert_sum_steps(f, r->s->tokens, bert_log2(r->s->columns)));
    TRY(ckks_add_const(f, f, -r->w.norm_sub[which]));
    TRY(bert_cheb_watched(f, r, r->w.rsqrt_c[which], r->p->rsqrt[which].degree));
    if (r->p->boot_r[which]) {
        TRY(bert_stage(r, which ? "boot r2" : "boot r1"));
        TRY(ckks_bootstrap(f, f, r->srv->boot[BERT_BOOT_R]));
        TRY(ckks_adjust(f, f, r->v->r[which]));
        TRY(ckks_mul_int(f, f, r->p->r_mult[which]));
    }
out:
    bert_cts_free(low, nx);
    free(at);
    return st;
}

int bert_norm(struct ckks_ct *y, struct bert_run *r, int which, struct ckks_ct *x)
{
    int st = THOR_OK;
    struct ckks_ct f = {0};
    TRY(add_residual(x, r, which, y));
    if (r->p->boot_x[which])
        TRY(bert_refresh(r, which ? "boot x2" : "boot x1", x, r->s->nx, BERT_BOOT_X, r->v->x[which],
                         1));
    bert_see(r, which ? "ln2_in" : "ln1_in", r->s->nx, x);
    TRY(bert_stage(r, which ? "norm2" : "norm1"));
    TRY(inverse_root(&f, r, which, x));
    for (int i = 0; i < r->s->nx; i++) {
        TRY(ckks_adjust(&x[i], &x[i], r->v->y_out[which] + 1));
        TRY(ckks_mul(&y[i], &x[i], &f));
        ckks_ct_free(&x[i]);
    }
    if (r->boot_y[which])
        TRY(bert_refresh(r, which ? "boot y2" : "boot y1", y, r->s->nx, BERT_BOOT_X,
                         which ? r->v[1].y : r->v->y1, bert_state_mult(r->s)));
    bert_see(r, which ? "ln2" : "ln1", r->s->nx, y);
out:
    ckks_ct_free(&f);
    return st;
}
