/* Fits against the functions on dense grids, and the constants of Goldschmidt's inverse. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bert/polyfit.h"
#include "tests/worse.h"

#define GRID 20011 /* prime: no multiple of the fit's own grid */

static double value(const struct bert_poly *p, double x) {
    return bert_cheb_eval(p->c, p->degree, (2 * x - p->lo - p->hi) / (p->hi - p->lo));
}

static double worst(const struct bert_poly *p, double (*f)(double), double (*weight)(double)) {
    double e = 0;
    for (int i = 0; i <= GRID; i++) {
        double x = p->lo + (p->hi - p->lo) * i / GRID;
        e = worse(e, fabs(value(p, x) - f(x)) * (weight ? weight(x) : 1));
    }
    return e;
}

// the error stated is the error met, up to the grid and to rounding
static void assert_error(double met, double stated, double at_most) {
    assert_true(met <= stated * 1.01 + 1e-13);
    assert_true(stated <= met * 1.01 + 1e-13);
    assert_true(stated < at_most);
}

static double rsqrt(double x) {
    return 1 / sqrt(x);
}

static double exp_weight(double x) {
    return 1 / fmax(exp(x), 1e-3);
}

static void fits_rsqrt(void **state) {
    (void)state;
    struct bert_poly p;
    assert_int_equal(bert_fit_rsqrt_within(&p, 0.5, 5, 0.5, 5, 7), THOR_OK);
    assert_error(worst(&p, rsqrt, sqrt), p.err, 3e-3);
    assert_int_equal(bert_fit_rsqrt_within(&p, 0.14, 300, 0.14, 300, 127), THOR_OK);
    assert_error(worst(&p, rsqrt, sqrt), p.err, 2e-3);
}

// [from, to] = [1, ratio] of [below, above * ratio]: the error there, the bound everywhere
static void fit_part(double below, double above, double ratio, int degree) {
    struct bert_poly p, alone;
    double inside = 0, most = 0, hi = above * ratio;
    assert_int_equal(bert_fit_rsqrt_within(&p, below, hi, 1, ratio, degree), THOR_OK);
    assert_int_equal(bert_fit_rsqrt_within(&alone, 1, ratio, 1, ratio, degree), THOR_OK);
    assert_true(p.lo == below && p.hi == hi && p.degree == degree);
    for (int i = 0; i <= GRID; i++) {
        double x = 1 + (ratio - 1) * i / GRID, y = below + (hi - below) * i / GRID;
        inside = worse(inside, fabs(value(&p, x) / rsqrt(x) - 1));
        most = worse(most, fabs(value(&p, y)));
    }
    assert_true(inside <= p.err * 1.01 + 1e-13 && p.err <= inside * 1.01 + 1e-13);
    assert_true(p.err >= alone.err * 0.98 - 1e-13); // that one has less to do
    assert_true(most < 2.5);
    assert_true(p.err < 5 * alone.err + (degree == 7 ? 2e-3 : 3e-4)); // the price of the rest
}

static void fits_rsqrt_within(void **state) {
    (void)state;
    static const double below[] = {1, 0.5, 0.3, 0.05, 1e-9, 0}, above[] = {1, 1.2, 1.5};
    for (int degree = 7; degree <= 31; degree = 2 * degree + 1)
        for (double ratio = 2; ratio <= 100; ratio *= 3.5)
            for (int b = 0; b < 6; b++)
                for (int a = 0; a < 3; a++) fit_part(below[b], above[a], ratio, degree);
    struct bert_poly p;
    assert_int_equal(bert_fit_rsqrt_within(&p, 1, 5, 0.9, 4, 7), THOR_INTERNAL);
    assert_int_equal(bert_fit_rsqrt_within(&p, 1, 5, 2, 5.1, 7), THOR_INTERNAL);
    assert_int_equal(bert_fit_rsqrt_within(&p, 1, 5, 3, 3, 7), THOR_INTERNAL);
}

static void fits_exp(void **state) {
    (void)state;
    struct bert_poly p;
    assert_int_equal(bert_fit_exp(&p, -27, 0.3, 1e-3, 31), THOR_OK);
    assert_error(worst(&p, exp, exp_weight), p.err, 1e-6);
    assert_int_equal(bert_fit_exp(&p, -18, 0.3, 1e-3, 15), THOR_OK);
    assert_error(worst(&p, exp, exp_weight), p.err, 1e-3);
}

static double even_gelu(double z) {
    double x = 5 * sqrt((z + 1) / 2);
    return x * erf(x / sqrt(2)) / 2;
}

static double tanh3(double w) {
    return tanh(3 * w);
}

static void fits_gelu_and_tanh(void **state) {
    (void)state;
    struct bert_poly p;
    assert_int_equal(bert_fit_gelu(&p, 5, 7), THOR_OK);
    assert_error(worst(&p, even_gelu, NULL), p.err, 2e-3);
    assert_int_equal(bert_fit_tanh(&p, 3, 15), THOR_OK);
    assert_error(worst(&p, tanh3, NULL), p.err, 5e-4);
    for (int k = 0; k <= 15; k += 2) assert_true(fabs(p.c[k]) < 1e-12);
}

static double cubic_d(double x) {
    return x * x * x - x;
}

static long double cubic(long double x, double par) {
    (void)par;
    return x * x * x - x;
}

static long double absolute(long double x, double par) {
    (void)par;
    return fabsl(x);
}

// p is exact on polynomials, and on |x| meets the known minimax error: 1/8 in degree 2
static void fits_known_cases(void **state) {
    (void)state;
    struct bert_poly p;
    struct bert_curve c = {cubic, NULL, 0};
    assert_int_equal(bert_poly_fit(&p, &c, -2, 3, 3), THOR_OK);
    assert_true(worst(&p, cubic_d, NULL) < 1e-12);
    c.f = absolute; /* best x^2 + 1/8 on [-1, 1], error 1/8 */
    assert_int_equal(bert_poly_fit(&p, &c, -1, 1, 2), THOR_OK);
    assert_true(p.err >= 0.125 - 1e-9 && p.err < 0.125 * 1.02);
    assert_int_equal(bert_poly_fit(&p, &c, 1, -1, 2), THOR_INTERNAL);
}

static void levels_of_degrees(void **state) {
    (void)state;
    const int want[][2] = {{1, 1}, {2, 2},  {3, 2},  {4, 3},  {7, 3},
                           {8, 4}, {15, 4}, {31, 5}, {127, 7}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_int_equal(bert_poly_levels(want[i][0]), want[i][1]);
}

// scale a_m = 1/d (1 +- err) on [e, 1], tight, whatever the bootstrap; scaled products stay below 4
static void inverse_one(double e, double err, int boot) {
    struct bert_inverse v;
    double worst = 0, lo, hi, top = 0;
    int m = bert_inverse_iterations(e, err);
    bert_inverse_set(&v, e, m, boot);
    assert_true(v.err <= err * 1.0001);
    for (int i = 0; i <= GRID; i++) {
        double d = exp(log(e) * i / GRID);
        worst = worse(worst, fabs(bert_inverse_eval(&v, d) * d - 1));
    }
    assert_true(worst <= v.err * (1 + 1e-9) + 1e-12);
    assert_true(worst >= v.err * 0.99);
    for (int i = 1; i <= boot; i++) {
        bert_inverse_span(&v, i, &lo, &hi);
        assert_true(lo > 0);
        top = worse(top, hi);
    }
    if (boot)
        assert_true(fabs(top - 4) < 1e-9);
    else
        assert_true(fabs(v.scale - 1) < 1e-12);
}

static void inverses(void **state) {
    (void)state;
    for (double e = 0.2; e > 1e-5; e /= 3)
        for (int boot = 0; boot < bert_inverse_iterations(e, 0.01); boot++)
            inverse_one(e, 0.01, boot);
    assert_int_equal(bert_inverse_iterations(exp2(-11), 0.01), 7);
    assert_true(bert_inverse_iterations(1e-30, 0.01) > BERT_MAX_ITER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fits_rsqrt),         cmocka_unit_test(fits_exp),
        cmocka_unit_test(fits_gelu_and_tanh), cmocka_unit_test(fits_known_cases),
        cmocka_unit_test(levels_of_degrees),  cmocka_unit_test(inverses),
        cmocka_unit_test(fits_rsqrt_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
