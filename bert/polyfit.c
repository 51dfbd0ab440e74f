#include "bert/polyfit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PI_L 3.14159265358979323846264338327950288L
#define LAWSON_ROUNDS 30
#define OUTSIDE 0.05L /* weight where a polynomial need only stay bounded */

struct lawson { /* n + 1 nodes u_i = cos(pi i/n) */
    int n, degree;
    long double *cosine; /* cos(pi j/n), j < 2n: T_k(u_i) = cosine[k i mod 2n] */
    long double *y, *weight, *mass, *pull, *moment, *gram, *c;
    long double *block;
};

static void lawson_free(struct lawson *w) {
    free(w->block);
}

static int lawson_new(struct lawson *w, int degree) {
    size_t n = (size_t)(12 * degree > 128 ? 12 * degree : 128), d = (size_t)degree + 1;
    w->n = (int)n;
    w->degree = degree;
    w->block = calloc(2 * n + 4 * (n + 1) + 2 * d + d * d + d, sizeof *w->block);
    if (!w->block)
        return thor_fail(THOR_MEMORY, "no memory to fit a polynomial of degree %d", degree);
    w->cosine = w->block;
    w->y = w->cosine + 2 * n;
    w->weight = w->y + n + 1;
    w->mass = w->weight + n + 1;
    w->pull = w->mass + n + 1;
    w->moment = w->pull + n + 1;
    w->gram = w->moment + 2 * d;
    w->c = w->gram + d * d;
    for (size_t j = 0; j < 2 * n; j++) w->cosine[j] = cosl(PI_L * (long double)j / (long double)n);
    return THOR_OK;
}

// s + sum of a_i cosine[step i], i = 0 .. n: the values T_step at all nodes, or all T_i at one node
static long double cheb_sum(const struct lawson *w, long double s, const long double *a, int n,
                            int step) {
    const int around = 2 * w->n;
    for (int i = 0, at = 0; i <= n; i++) {
        s += a[i] * w->cosine[at];
        at += step;
        at -= at >= around ? around : 0;
    }
    return s;
}

// Gram matrix of T_0 .. T_degree under the masses: G_jk = (m_(j+k) + m_|j-k|)/2, m_k = sum w T_k
static void lawson_normal(struct lawson *w) {
    int d = w->degree;
    for (int i = 0; i <= w->n; i++) w->pull[i] = w->mass[i] * w->weight[i] * w->weight[i];
    for (int k = 0; k <= 2 * d; k++) w->moment[k] = cheb_sum(w, 0, w->pull, w->n, k);
    for (int i = 0; i <= w->n; i++) w->pull[i] *= w->y[i];
    for (int k = 0; k <= d; k++) w->c[k] = cheb_sum(w, 0, w->pull, w->n, k);
    for (int j = 0; j <= d; j++)
        for (int k = 0; k <= j; k++)
            w->gram[j * (d + 1) + k] = (w->moment[j + k] + w->moment[j - k]) / 2;
}

// Cholesky in place, then both triangular solves; 0 when the matrix is not positive definite
static int lawson_solve(struct lawson *w) {
    int d = w->degree + 1;
    long double *g = w->gram, *c = w->c;
    for (int j = 0; j < d; j++)
        for (int k = 0; k <= j; k++) {
            long double s = g[j * d + k];
            for (int i = 0; i < k; i++) s -= g[j * d + i] * g[k * d + i];
            if (j == k && s <= 0) return 0;
            g[j * d + k] = j == k ? sqrtl(s) : s / g[k * d + k];
        }
    for (int j = 0; j < d; j++) {
        for (int i = 0; i < j; i++) c[j] -= g[j * d + i] * c[i];
        c[j] /= g[j * d + j];
    }
    for (int j = d - 1; j >= 0; j--) {
        for (int i = j + 1; i < d; i++) c[j] -= g[i * d + j] * c[i];
        c[j] /= g[j * d + j];
    }
    return 1;
}

// multiply the masses by the residuals; the largest residual, and a bound below the minimax error
static long double lawson_update(struct lawson *w, long double *low) {
    long double worst = 0, square = 0, total = 0;
    for (int i = 0; i <= w->n; i++) {
        const long double r = fabsl(cheb_sum(w, -w->y[i], w->c, w->degree, i)) * w->weight[i];
        worst = r <= worst ? worst : r; // NaN stays
        square += w->mass[i] * r * r;
        w->mass[i] *= r;
        total += w->mass[i];
    }
    *low = sqrtl(square);
    for (int i = 0; i <= w->n && total > 0; i++) w->mass[i] /= total;
    return worst;
}

// the largest error on [from, to]
static double measure(const struct bert_poly *p, const struct bert_curve *c, double from, double to,
                      int n) {
    const int part = from > p->lo || to < p->hi;
    double worst = 0;
    for (int i = 0; i <= n; i++) {
        long double u = cosl(PI_L * i / n), x = (from + to) / 2 + u * (to - from) / 2;
        if (part) u = (2 * x - p->lo - p->hi) / (p->hi - p->lo);
        long double e = bert_cheb_eval(p->c, p->degree, (double)u) - c->f(x, c->par);
        e = fabsl(e) * (c->weight ? c->weight(x, c->par) : 1);
        if (!isfinite(e)) return INFINITY;
        worst = (double)e > worst ? (double)e : worst;
    }
    return worst;
}

// values and weights at the nodes; a node rounded to beyond an end of [lo, hi] is inside
static void lawson_begin(struct lawson *w, const struct bert_curve *c, double lo, double hi,
                         double from, double to) {
    for (int i = 0; i <= w->n; i++) {
        long double x = (lo + hi) / 2.0L + w->cosine[i] * (hi - lo) / 2.0L;
        w->y[i] = c->f(x, c->par);
        w->weight[i] = c->weight ? c->weight(x, c->par) : 1;
        if ((from > lo && x < from) || (to < hi && x > to)) w->weight[i] *= OUTSIDE;
        w->mass[i] = 1.0L / (w->n + 1);
    }
}

// on [lo, hi], the error minimised and measured on [from, to], weighted by OUTSIDE on the rest
static int fit_within(struct bert_poly *p, const struct bert_curve *c, double lo, double hi,
                      double from, double to, int degree) {
    int st = THOR_OK;
    long double best = INFINITY, low = 0;
    struct lawson w = {0};
    if (degree < 1 || degree > BERT_MAX_DEGREE || !(lo <= from && from < to && to <= hi))
        return thor_fail(THOR_INTERNAL, "polynomial of degree %d on [%g, %g] of [%g, %g]", degree,
                         from, to, lo, hi);
    TRY(lawson_new(&w, degree));
    lawson_begin(&w, c, lo, hi, from, to);
    *p = (struct bert_poly){.lo = lo, .hi = hi, .degree = degree};
    for (int round = 0; round < LAWSON_ROUNDS && !(best <= 1.02L * low); round++) {
        lawson_normal(&w);
        if (!lawson_solve(&w)) break;
        long double worst = lawson_update(&w, &low);
        if (worst < best) {
            best = worst;
            for (int k = 0; k <= degree; k++) p->c[k] = (double)w.c[k];
        }
    }
    p->err = isfinite(best) ? measure(p, c, from, to, 3 * w.n) : INFINITY;
out:
    lawson_free(&w);
    return st;
}

int bert_poly_fit(struct bert_poly *p, const struct bert_curve *c, double lo, double hi,
                  int degree) {
    return fit_within(p, c, lo, hi, lo, hi, degree);
}

double bert_cheb_eval(const double *c, int degree, double u) {
    double b1 = 0, b2 = 0;
    for (int k = degree; k > 0; k--) {
        double b = 2 * u * b1 - b2 + c[k];
        b2 = b1;
        b1 = b;
    }
    return u * b1 - b2 + c[0];
}

int bert_poly_levels(int degree) {
    int l = 0;
    while ((1 << l) < degree + 1) l++;
    return l;
}

static long double curve_exp(long double x, double par) {
    (void)par;
    return expl(x);
}

static long double weight_exp(long double x, double floor) {
    return 1 / fmaxl(expl(x), floor);
}

// below `from` the first terms of its series there: as smooth, and finite at 0
static long double curve_rsqrt(long double x, double from) {
    if (x >= from) return 1 / sqrtl(x);
    const long double d = 1 - x / from;
    return (1 + d / 2 + d * d * 3 / 8) / sqrtl(from);
}

static long double weight_rsqrt(long double x, double from) {
    return sqrtl(fmaxl(x, from));
}

// x >= 0 of z = 2 (x/r)^2 - 1
static long double from_square(long double z, double r) {
    return r * sqrtl(fmaxl(z + 1, 0) / 2);
}

static long double curve_gelu(long double z, double r) {
    long double x = from_square(z, r);
    return x * erfl(x / sqrtl(2)) / 2;
}

static long double curve_gelu_tanh(long double z, double r) {
    long double x = from_square(z, r);
    return x * tanhl(sqrtl(2 / acosl(-1)) * (x + 0.044715L * x * x * x)) / 2;
}

static long double curve_tanh(long double w, double r) {
    return tanhl(r * w);
}

int bert_fit_exp(struct bert_poly *p, double lo, double hi, double floor, int degree) {
    const struct bert_curve c = {curve_exp, weight_exp, floor};
    return bert_poly_fit(p, &c, lo, hi, degree);
}

int bert_fit_rsqrt_within(struct bert_poly *p, double lo, double hi, double from, double to,
                          int degree) {
    const struct bert_curve c = {curve_rsqrt, weight_rsqrt, from > lo ? from : 0};
    return fit_within(p, &c, lo, hi, from, to, degree);
}

int bert_fit_gelu(struct bert_poly *p, double r, int degree) {
    const struct bert_curve c = {curve_gelu, NULL, r};
    return bert_poly_fit(p, &c, -1, 1, degree);
}

int bert_fit_gelu_tanh(struct bert_poly *p, double r, int degree) {
    const struct bert_curve c = {curve_gelu_tanh, NULL, r};
    return bert_poly_fit(p, &c, -1, 1, degree);
}

int (*const bert_fit_activation[BERT_ACTIVATIONS])(struct bert_poly *, double, int) = {
    [BERT_GELU] = bert_fit_gelu,
    [BERT_GELU_TANH] = bert_fit_gelu_tanh,
};

int bert_fit_tanh(struct bert_poly *p, double r, int degree) {
    const struct bert_curve c = {curve_tanh, NULL, r};
    return bert_poly_fit(p, &c, -1, 1, degree);
}
