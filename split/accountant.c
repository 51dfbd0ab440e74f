/* R(a) = log A / (a - 1), where A is the mean under N(0, sigma^2) of ((1 - q) + q L(z))^a, and
 * L(z) = exp((2 z - 1) / 2 sigma^2) is the likelihood ratio.
 *
 * Whole a: the binomial theorem, and E L^k = exp((k^2 - k) / 2 sigma^2).  The same sum without the
 * exponentials is 1, so that
 *   A - 1 = sum over k = 2 .. a of binom(a, k) (1-q)^(a-k) q^k (exp((k^2 - k) / 2 sigma^2) - 1),
 * all of it positive: nothing cancels, however small q is.
 *
 * Other a: the binomial series converges where its second part is the smaller one.  The parts are
 * equal at z0 = sigma^2 log(1/q - 1) + 1/2; below, the series is in powers of L, above, in powers
 * of 1/L.  With M(t, half) the part of E L^t on one side of z0, which has an erfc in it,
 *   A = sum over i of binom(a, i) [ (1-q)^(a-i) q^i M(i, below) + (1-q)^i q^(a-i) M(a-i, above) ].
 * Terms are kept as logarithms, in long double: A - 1 may be 1e-6 and is wanted to ten digits.
 */
#include "split/accountant.h"

#include <math.h>
#include <string.h>

enum { TERMS = 1000, WHOLE_FROM = 12, WHOLE_TO = 63 };

/* ---- orders */

void split_orders_usual(struct split_orders *o) {
    split_orders_whole(o, WHOLE_FROM, WHOLE_TO);
    memmove(o->a + 99, o->a, (size_t)o->n * sizeof o->a[0]);
    for (int i = 0; i < 99; i++) o->a[i] = (11 + i) / 10.0;
    o->n += 99;
}

void split_orders_whole(struct split_orders *o, int first, int last) {
    o->n = 0;
    for (int a = first; a <= last && o->n < SPLIT_ORDERS; a++) o->a[o->n++] = a;
}

/* ---- the sampled Gaussian */

/* Numbers given by their logarithms: the sum is exp(top) * sum. */
struct logsum {
    long double top, sum;
};

static void logsum_add(struct logsum *s, long double factor, long double log_term) {
    if (log_term > s->top) {
        s->sum *= expl(s->top - log_term);
        s->top = log_term;
    }
    s->sum += factor * expl(log_term - s->top);
}

/* log binom(a, i) without its sign; -inf where it is 0. */
static long double log_binom(long double a, int i) {
    int sign;
    return lgammal_r(a + 1, &sign) - lgammal_r((long double)i + 1, &sign) -
           lgammal_r(a - (long double)i + 1, &sign);
}

/* log(exp(x) - 1), x > 0. */
static long double log_expm1(long double x) {
    return x > 40 ? x : logl(expm1l(x));
}

/* log of half of erfc(x).  Beyond 50, where erfc itself underflows soon, by its asymptotic series:
 * the first term left out is 105 / (16 x^8) < 2e-13. */
static long double log_half_erfc(long double x) {
    if (x < 50) return logl(erfcl(x) / 2);
    const long double y = 1 / (2 * x * x);
    return -x * x - logl(2 * x * sqrtl(acosl(-1))) + log1pl(-y + 3 * y * y - 15 * y * y * y);
}

/* log(A - 1), a whole. */
static long double log_excess_whole(int a, long double q, long double sigma) {
    struct logsum s = {-INFINITY, 0};
    for (int k = 2; k <= a; k++)
        logsum_add(&s, 1,
                   log_binom(a, k) + k * logl(q) + (a - k) * log1pl(-q) +
                       log_expm1(((long double)k * k - k) / (2 * sigma * sigma)));
    return s.top + logl(s.sum);
}

/* log A, any a.  The terms with i > a alternate, and fall at least as i^(-a-1): where they fall
 * slowly, the last two partial sums are averaged as 1 : 2 : 1, which leaves their second
 * difference. */
static long double log_mean_any(long double a, long double q, long double sigma) {
    const long double z0 = sigma * sigma * (log1pl(-q) - logl(q)) + 0.5L;
    const long double root = sigma * sqrtl(2), width = 2 * sigma * sigma;
    struct logsum s = {-INFINITY, 0};
    for (int i = 0; i < TERMS; i++) {
        const long double j = a - i, size = log_binom(a, i);
        const int odd = i > a && ((i - (int)a) % 2 == 0);
        const long double below = size + i * logl(q) + j * log1pl(-q) +
                                  ((long double)i * i - i) / width + log_half_erfc((i - z0) / root);
        const long double above = size + j * logl(q) + i * log1pl(-q) + (j * j - j) / width +
                                  log_half_erfc((z0 - j) / root);
        const long double last = i == TERMS - 1 ? 0.25L : i == TERMS - 2 ? 0.75L : 1;
        logsum_add(&s, odd ? -last : last, below);
        logsum_add(&s, odd ? -last : last, above);
        if (i > a && fmaxl(below, above) < s.top - 50) break;
    }
    return s.top + logl(s.sum);
}

double split_rdp(double a, double q, double sigma) {
    if (q == 0) return 0;
    if (!(sigma > 0)) return INFINITY;
    if (q == 1) return a / (2 * sigma * sigma);
    long double log_mean;
    if (a == floor(a)) {
        const long double excess = log_excess_whole((int)a, q, sigma);
        log_mean = excess > 40 ? excess : log1pl(expl(excess));
    } else {
        log_mean = log_mean_any(a, q, sigma);
    }
    return fmax(0, (double)(log_mean / ((long double)a - 1)));
}

/* ---- composition */

void split_spent_none(struct split_spent *s, const struct split_orders *orders) {
    memset(s, 0, sizeof *s);
    if (orders)
        s->orders = *orders;
    else
        split_orders_usual(&s->orders);
}

void split_spend(struct split_spent *s, double q, double sigma, long steps) {
    if (steps < 1) return;
    for (int i = 0; i < s->orders.n; i++)
        s->r[i] += (double)steps * split_rdp(s->orders.a[i], q, sigma);
}

void split_spend_again(struct split_spent *s, const struct split_spent *one, long steps) {
    if (steps < 1) return;
    for (int i = 0; i < s->orders.n; i++) s->r[i] += (double)steps * one->r[i];
}

double split_spent_epsilon(double *order, const struct split_spent *s, double delta) {
    double least = INFINITY, at = 0;
    int spent = 0;
    for (int i = 0; i < s->orders.n; i++) {
        const double a = s->orders.a[i];
        const double epsilon =
            s->r[i] - (log(delta) + log(a)) / (a - 1) + log1p(-1 / a); // log((a - 1) / a)
        spent |= s->r[i] > 0;
        if (!(epsilon < least)) continue;
        least = epsilon;
        at = a;
    }
    if (order) *order = at;
    return spent ? fmax(0, least) : 0;
}

/* ---- how much noise */

static double epsilon_of(double sigma, double delta, double q, long steps) {
    struct split_spent s;
    split_spent_none(&s, NULL);
    split_spend(&s, q, sigma, steps);
    return split_spent_epsilon(NULL, &s, delta);
}

static int check_budget(double epsilon, double delta) {
    if (!(epsilon > 0 && epsilon <= 1000))
        return thor_fail(THOR_USAGE, "epsilon %g: give one above 0, at most 1000", epsilon);
    if (!(delta > 0 && delta < 1))
        return thor_fail(THOR_USAGE, "delta %g: give one between 0 and 1, below 1 / rows", delta);
    return THOR_OK;
}

int split_sigma_for(double *sigma, double epsilon, double delta, double q, long steps) {
    int st = THOR_OK;
    TRY(check_budget(epsilon, delta));
    if (!(q > 0 && q <= 1) || steps < 1)
        return thor_fail(THOR_USAGE,
                         "sampling rate %g, %ld steps: give a rate above 0, at most 1, and at "
                         "least one step",
                         q, steps);
    double low = 0.01, high = 0.5;
    while (epsilon_of(high, delta, q, steps) > epsilon && high < 1e6) low = high, high *= 2;
    if (high >= 1e6)
        return thor_fail(THOR_USAGE,
                         "epsilon %g at delta %g: no noise shows as little as that with these "
                         "orders; give a larger epsilon or delta",
                         epsilon, delta);
    while (high - low > 1e-6 * high) {
        const double middle = (low + high) / 2;
        if (epsilon_of(middle, delta, q, steps) > epsilon)
            low = middle;
        else
            high = middle;
    }
    *sigma = high;
out:
    return st;
}

/* Phi(1 / 2r - epsilon r) - e^epsilon Phi(-1 / 2r - epsilon r), r = sigma / D. */
static double delta_of(double r, double epsilon) {
    const long double near = 0.5L / r, far = (long double)epsilon * r, root = sqrtl(2);
    return (double)(erfcl((far - near) / root) / 2 -
                    expl(epsilon + log_half_erfc((far + near) / root)));
}

int split_analytic_sigma(double *ratio, double epsilon, double delta) {
    int st = THOR_OK;
    double low = 1e-6, high = 1;
    TRY(check_budget(epsilon, delta));
    while (delta_of(high, epsilon) > delta) low = high, high *= 2;
    while (high - low > 1e-12 * high) {
        const double middle = (low + high) / 2;
        if (delta_of(middle, epsilon) > delta)
            low = middle;
        else
            high = middle;
    }
    *ratio = high;
out:
    return st;
}
