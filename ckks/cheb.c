/* Polynomials in the Chebyshev basis, by Paterson-Stockmeyer splitting at powers of two.
 *
 * T_k is made at level L - ceil(log2 k) from T_(a+b) = 2 T_a T_b - T_|a-b|, a the power of two
 * below k.
 * p of degree d < 2^D at level L - D:  p = q T_m + r, m = 2^(D-1),
 *   q_0 = c_m, q_i = 2 c_(m+i), r_j = c_j - c_(2m-j)   (from T_(m+i) = 2 T_m T_i - T_(m-i)),
 * q at one level higher, r split again at the same level, so that p is one sum of products with one
 * relinearisation, and what is left: a part of degree < `leaf` whose T_k are high enough, one
 * linear combination.  leaf is the power of two with which the whole is cheapest.
 * mask p comes from the same splitting: the coefficients of all those combinations are multiplied
 * by the mask. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum { MAX_DEGREE = 1023, MAX_LEAF = 16, MAX_SPLITS = 10 };
/* a relinearisation over a linear combination, in modular products */
#define RELIN_COST 5

struct basis {         /* the T_k made so far */
    struct ckks_ct *t; /* `width` of each, index k * width; NULL: only the cost is counted */
    int width, level, leaf, cost;
    uint8_t made[MAX_DEGREE + 1];
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
    int st = THOR_OK, a = 1, b;
    if (k == 1 || B->made[k]) return THOR_OK;
    while (2 * a < k) a *= 2;
    b = k - a;
    TRY(make_t(B, a));
    TRY(make_t(B, b));
    if (a != b) TRY(make_t(B, a - b));
    B->made[k] = 1;
    B->cost += RELIN_COST;
    if (!B->t) return THOR_OK;
    const int w = B->width;
    struct ckks_ct *t = &B->t[k * w];
    const struct ckks_ct *x = &B->t[a * w], *y = &B->t[b * w], *less = &B->t[(a - b) * w];
    const double half = -0.5;
    TRY(ckks_dot_plus(t, w, &x, &y, 1, &less, &half, a != b, a == b ? half : 0, NULL));
    for (int i = 0; i < w; i++) TRY(ckks_add(&t[i], &t[i], &t[i]));
out:
    return st;
}

static const struct ckks_ct *made_t(const struct basis *B, int k) {
    return B->t ? &B->t[k * B->width] : NULL;
}

/* Highest level at which all T_k with a non-zero coefficient exist. */
static int leaf_level(const struct basis *B, const double *c, int d) {
    int l = B->level;
    for (int k = 1; k <= d; k++)
        if (c[k] != 0 && B->level - ceil_log2(k) < l) l = B->level - ceil_log2(k);
    return l;
}

struct sum { /* of a part: products x y and a linear combination of T_k */
    int n, terms;
    const struct ckks_ct *x[MAX_SPLITS], *y[MAX_SPLITS], *t[MAX_LEAF + MAX_SPLITS];
    double w[MAX_LEAF + MAX_SPLITS];
};

/* Adds all T_k that c still has. */
static int leaf(struct sum *s, struct basis *B, const double *c, int d) {
    int st = THOR_OK;
    for (int k = 1; k <= d; k++) {
        if (c[k] == 0) continue;
        TRY(make_t(B, k));
        s->t[s->terms] = made_t(B, k);
        s->w[s->terms++] = c[k];
    }
out:
    return st;
}

static int add_up(struct ckks_ct *out, struct basis *B, struct sum *s, double c0, int level,
                  const struct ckks_mask *mask) {
    int st = THOR_OK;
    B->cost += s->n ? RELIN_COST : 1;
    if (!B->t) return THOR_OK;
    if (s->n) return ckks_dot_plus(out, B->width, s->x, s->y, s->n, s->t, s->w, s->terms, c0, mask);
    if (!s->terms) s->t[0] = made_t(B, 1), s->w[s->terms++] = 0;
    for (int i = 0; i < B->width; i++) {
        TRY(ckks_combine_masked(&out[i], s->t, s->w, s->terms, c0, level, mask));
        for (int j = 0; j < s->terms; j++) s->t[j]++;
    }
out:
    return st;
}

/* q of c, of degree d, at m; r is left in c, and c_m where q is no more than that. */
static void split(double *q, double *c, int d, int m) {
    q[0] = c[m];
    for (int i = 1; i <= d - m; i++) {
        q[i] = 2 * c[m + i];
        if (i < m) c[m - i] -= c[m + i];
        c[m + i] = 0;
    }
    if (d > m) c[m] = 0;
}

/* c is used up.  mask NULL: p itself */
static int eval(struct ckks_ct *out, struct basis *B, double *c, int degree, int level,
                const struct ckks_mask *mask) {
    int st = THOR_OK, m = 1;
    struct ckks_ct q[MAX_SPLITS][KERN_MAX_SUMS] = {{{0}}};
    struct sum s = {0};
    double *part = malloc((size_t)(degree + 1) * sizeof *part);
    if (!part) return thor_fail(THOR_MEMORY, "no memory for a polynomial");
    while (2 * m <= degree) m *= 2;
    for (int d = degree;; d = m - 1) {
        while (d > 0 && c[d] == 0) d--;
        if (d < B->leaf && leaf_level(B, c, d) > level) break;
        while (m > d) m /= 2;
        split(part, c, d, m);
        if (d == m) continue; /* c_m T_m goes with the leaf */
        TRY(make_t(B, m));
        TRY(eval(q[s.n], B, part, d - m, level + 1, mask));
        s.x[s.n] = q[s.n];
        s.y[s.n++] = made_t(B, m);
    }
    TRY(leaf(&s, B, c, degree));
    TRY(add_up(out, B, &s, c[0], level, mask));
out:
    free(part);
    for (int i = 0; i < s.n * B->width; i++) ckks_ct_free(&q[i / B->width][i % B->width]);
    return st;
}

/* The cheapest leaf, whatever the parts, so that each has the bits that it has alone. */
static int plan(struct basis *B, const double *c, int degree, int level) {
    int st = THOR_OK, best = 0, which = 1;
    struct basis *try = calloc(1, sizeof *try);
    double *own = malloc((size_t)(degree + 1) * sizeof *own);
    struct ckks_ct none = {0};
    if (!try || !own) TRY(thor_fail(THOR_MEMORY, "no memory for a polynomial"));
    for (int l = 2; l <= MAX_LEAF; l *= 2) {
        *try = (struct basis){.width = 1, .level = B->level, .leaf = l};
        memcpy(own, c, (size_t)(degree + 1) * sizeof *own);
        TRY(eval(&none, try, own, degree, level, NULL));
        if (!best || try->cost < best) best = try->cost, which = l;
    }
    B->leaf = which;
out:
    free(try);
    free(own);
    return st;
}

/* Of `width` ciphertexts in a row; part[i].out and top are as many. */
static int cheb_parts(const struct ckks_cheb_part *part, int n, struct ckks_ct *top,
                      const struct ckks_ct *x, int width, const double *c, int degree) {
    int st = THOR_OK, m = 1;
    struct basis B = {.width = width, .level = x->level};
    struct ckks_ct *res = NULL;
    double *own = NULL;
    if (degree < 1 || degree > MAX_DEGREE)
        return thor_fail(THOR_INTERNAL, "a polynomial of degree %d", degree);
    int level = x->level - ckks_cheb_levels(degree);
    if (level < (x->boot ? CKKS_MSG_TOP : 0))
        return thor_fail(THOR_INTERNAL, "a polynomial of degree %d needs more levels than %d",
                         degree, x->level);
    B.t = calloc((size_t)((degree + 1 + n) * width), sizeof *B.t);
    if (!B.t) return thor_fail(THOR_MEMORY, "no memory for a polynomial");
    res = B.t + (degree + 1) * width;
    own = malloc((size_t)(degree + 1) * sizeof *own);
    if (!own) TRY(thor_fail(THOR_MEMORY, "no memory for a polynomial"));
    TRY(plan(&B, c, degree, level));
    for (int i = 0; i < width; i++) TRY(ckks_copy(&B.t[width + i], &x[i]));
    for (int i = 0; i < n; i++) {
        const struct ckks_mask by = {part[i].mask, part[i].period};
        memcpy(own, c, (size_t)(degree + 1) * sizeof *own);
        TRY(eval(&res[i * width], &B, own, degree, level, part[i].period ? &by : NULL));
    }
    while (2 * m <= degree) m *= 2;
    if (top) TRY(make_t(&B, m));
    for (int i = 0; top && i < width; i++) ckks_ct_move(&top[i], &B.t[m * width + i]);
    for (int i = 0; i < n * width; i++) ckks_ct_move(&part[i / width].out[i % width], &res[i]);
out:
    for (int k = 0; k < (degree + 1 + n) * width; k++) ckks_ct_free(&B.t[k]);
    free(B.t);
    free(own);
    return st;
}

int ckks_cheb_parts(const struct ckks_cheb_part *part, int n, struct ckks_ct *top,
                    const struct ckks_ct *x, const double *c, int degree) {
    return cheb_parts(part, n, top, x, 1, c, degree);
}

int ckks_cheb_wide(struct ckks_ct *out, const struct ckks_ct *x, int width, const double *c,
                   int degree) {
    const struct ckks_cheb_part whole = {out, NULL, 0};
    return cheb_parts(&whole, 1, NULL, x, width, c, degree);
}

int ckks_cheb_top(struct ckks_ct *out, struct ckks_ct *top, const struct ckks_ct *x,
                  const double *c, int degree) {
    const struct ckks_cheb_part whole = {out, NULL, 0};
    return ckks_cheb_parts(&whole, 1, top, x, c, degree);
}

int ckks_cheb(struct ckks_ct *out, const struct ckks_ct *x, const double *c, int degree) {
    return ckks_cheb_top(out, NULL, x, c, degree);
}
