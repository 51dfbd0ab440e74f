/* Polynomials in the Chebyshev basis, by Paterson-Stockmeyer splitting at powers of two.
 *
 * T_k is made at level L - ceil(log2 k) from T_(a+b) = 2 T_a T_b - T_|a-b|, a the power of two
 * below k.
 * p of degree d < 2^D at level L - D:  p = q T_m + r, m = 2^(D-1),
 *   q_0 = c_m, q_i = 2 c_(m+i), r_j = c_j - c_(2m-j)   (from T_(m+i) = 2 T_m T_i - T_(m-i)),
 * q at one level higher; parts of degree < 8 whose T_k are high enough are one linear combination.
 * mask p comes from the same splitting: the coefficients of all those combinations are multiplied
 * by the mask. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum { MAX_DEGREE = 1023 };

struct basis {         /* the T_k made so far */
    struct ckks_ct *t; /* index k */
    int level;
};

static int ceil_log2(int k) {
    int l = 0;
    while ((1 << l) < k) l++;
    return l;
}

int ckks_cheb_levels(int degree) {
    return ceil_log2(degree + 1);
}

static int make_t(struct basis *B, int k) {
    int st = THOR_OK;
    struct ckks_ct *t = &B->t[k];
    if (t->c) return THOR_OK;
    int a = 1 << (ceil_log2(k) - 1), b = k - a;
    TRY(make_t(B, a));
    TRY(make_t(B, b));
    if (a != b) TRY(make_t(B, a - b));
    TRY(ckks_mul(t, &B->t[a], &B->t[b]));
    TRY(ckks_add(t, t, t));
    if (a == b)
        TRY(ckks_add_const(t, t, -1));
    else
        TRY(ckks_sub(t, t, &B->t[a - b]));
out:
    return st;
}

/* Highest level at which all T_k with a non-zero coefficient exist. */
static int leaf_level(const struct basis *B, const double *c, int d) {
    int l = B->level;
    for (int k = 1; k <= d; k++)
        if (c[k] != 0 && B->level - ceil_log2(k) < l) l = B->level - ceil_log2(k);
    return l;
}

static int leaf(struct ckks_ct *out, struct basis *B, const double *c, int d, int level,
                const struct ckks_mask *mask) {
    int st = THOR_OK, n = 0;
    const struct ckks_ct *x[8];
    double w[8];
    for (int k = 1; k <= d; k++) {
        if (c[k] == 0) continue;
        TRY(make_t(B, k));
        x[n] = &B->t[k];
        w[n++] = c[k];
    }
    if (!n) x[0] = &B->t[1], w[0] = 0, n = 1;
    TRY(ckks_combine_masked(out, x, w, n, c[0], level, mask));
out:
    return st;
}

/* mask NULL: p itself */
static int eval(struct ckks_ct *out, struct basis *B, const double *c, int d, int level,
                const struct ckks_mask *mask) {
    int st = THOR_OK;
    double *q = NULL, *r = NULL;
    struct ckks_ct lo = {0}, hi = {0};
    while (d > 0 && c[d] == 0) d--;
    if (d < 8 && leaf_level(B, c, d) > level) return leaf(out, B, c, d, level, mask);
    int m = 1;
    while (2 * m <= d) m *= 2;
    q = calloc((size_t)(d - m + 1), sizeof *q);
    r = malloc((size_t)m * sizeof *r);
    if (!q || !r) {
        st = thor_fail(THOR_MEMORY, "no memory for a polynomial");
        goto out;
    }
    memcpy(r, c, (size_t)m * sizeof *r);
    q[0] = c[m];
    for (int i = 1; i <= d - m; i++) {
        q[i] = 2 * c[m + i];
        if (i < m) r[m - i] -= c[m + i];
    }
    TRY(make_t(B, m));
    if (d == m) { /* q is a constant */
        const struct ckks_ct *x = &B->t[m];
        TRY(ckks_combine_masked(&hi, &x, q, 1, 0, level, mask));
    } else {
        TRY(eval(&hi, B, q, d - m, level + 1, mask));
        TRY(ckks_mul(&hi, &hi, &B->t[m]));
    }
    TRY(eval(&lo, B, r, m - 1, level, mask));
    TRY(ckks_add(out, &hi, &lo));
out:
    free(q);
    free(r);
    ckks_ct_free(&lo);
    ckks_ct_free(&hi);
    return st;
}

int ckks_cheb_parts(const struct ckks_cheb_part *part, int n, struct ckks_ct *top,
                    const struct ckks_ct *x, const double *c, int degree) {
    int st = THOR_OK, m = 1;
    struct basis B = {.level = x->level};
    struct ckks_ct *res = NULL;
    if (degree < 1 || degree > MAX_DEGREE)
        return thor_fail(THOR_INTERNAL, "a polynomial of degree %d", degree);
    int level = x->level - ckks_cheb_levels(degree);
    if (level < (x->boot ? CKKS_MSG_TOP : 0))
        return thor_fail(THOR_INTERNAL, "a polynomial of degree %d needs more levels than %d",
                         degree, x->level);
    B.t = calloc((size_t)(degree + 1 + n), sizeof *B.t);
    if (!B.t) return thor_fail(THOR_MEMORY, "no memory for a polynomial");
    res = B.t + degree + 1;
    TRY(ckks_copy(&B.t[1], x));
    for (int i = 0; i < n; i++) {
        const struct ckks_mask by = {part[i].mask, part[i].period};
        TRY(eval(&res[i], &B, c, degree, level, part[i].period ? &by : NULL));
    }
    while (2 * m <= degree) m *= 2;
    if (top) TRY(make_t(&B, m));
    if (top) ckks_ct_move(top, &B.t[m]);
    for (int i = 0; i < n; i++) ckks_ct_move(part[i].out, &res[i]);
out:
    for (int k = 0; k <= degree + n; k++) ckks_ct_free(&B.t[k]);
    free(B.t);
    return st;
}

int ckks_cheb_top(struct ckks_ct *out, struct ckks_ct *top, const struct ckks_ct *x,
                  const double *c, int degree) {
    const struct ckks_cheb_part whole = {out, NULL, 0};
    return ckks_cheb_parts(&whole, 1, top, x, c, degree);
}

int ckks_cheb(struct ckks_ct *out, const struct ckks_ct *x, const double *c, int degree) {
    return ckks_cheb_top(out, NULL, x, c, degree);
}
