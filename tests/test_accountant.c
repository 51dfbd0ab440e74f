/* What noise costs: published values to their digits, integrals, and what is out of range. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "split/accountant.h"

static void near(double got, double want, double within) {
    if (!(fabs(got - want) <= within)) fail_msg("%.12g instead of %.12g", got, want);
}

/* Runs of DP-SGD whose epsilon other accountants have published. */
static void known_epsilons(void **state) {
    (void)state;
    static const struct {
        double q, sigma, delta, epsilon, order;
        long steps;
    } runs[] = {
        {0.04, 1.5, 1e-5, 7.329111171, 3.9, 2250},
        {150.0 / 60000, 1.3, 1e-5, 0.724223403, 19, 6000},
        {100.0 / 100000, 1, 1e-7, 1.415498850, 13, 30 * 1000},
        {1, 10, 1e-5, 4.728507067, 5.4, 100},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        struct split_spent s;
        double order;
        split_spent_none(&s, NULL);
        split_spend(&s, runs[i].q, runs[i].sigma, runs[i].steps);
        near(split_spent_epsilon(&order, &s, runs[i].delta), runs[i].epsilon, 1e-9);
        near(order, runs[i].order, 1e-12);
    }
}

static void known_epsilons_of_whole_orders(void **state) {
    (void)state;
    struct split_orders o;
    struct split_spent s;
    double order;
    split_orders_whole(&o, 2, 64);
    split_spent_none(&s, &o);
    split_spend(&s, 0.04, 1.5, 2250);
    near(split_spent_epsilon(&order, &s, 1e-5), 7.329876774, 1e-9);
    assert_true(order == 4);
    split_orders_whole(&o, 2, 32); // two mechanisms
    split_spent_none(&s, &o);
    split_spend(&s, 1e-5, 1, 10);
    split_spend(&s, 1e-4, 3, 4);
    near(split_spent_epsilon(&order, &s, 1e-5), 0.336344063, 1e-9);
    assert_true(order == 23);
}

static void known_divergences(void **state) {
    (void)state;
    static const struct {
        double a, r, within; // half of the last digit that is published
    } known[] = {{1.5, 6.5007089719e-4, 5e-15},
                 {2.5, 1.0854180569e-3, 5e-14},
                 {5, 2.18075656e-3, 5e-12},
                 {50, 2.38460375e-2, 5e-11},
                 {100, 167.416308, 5e-7}};
    for (int i = 0; i < 5; i++)
        near(50 * split_rdp(known[i].a, 0.01, 2.5), known[i].r, known[i].within);
    near(split_rdp(7, 1, 3), 7.0 / 18, 1e-15);
    assert_true(split_rdp(7, 0, 3) == 0);
    assert_true(isinf(split_rdp(7, 0.1, 0)));
}

/* log of the integral of N(z; 0, sigma^2) ((1-q) + q exp((2z-1) / 2 sigma^2))^a, by the rule of
 * trapezoids, which converges exponentially here; over (a - 1). */
static double integrated(double a, double q, double sigma) {
    const double step = sigma / 64, root = sqrt(2 * acos(-1)) * sigma;
    double sum = 0;
    for (int i = -64 * 30; i <= 64 * (30 + (int)(a / sigma) + 30); i++) {
        const double z = i * step;
        const double part = log((1 - q) + q * exp((2 * z - 1) / (2 * sigma * sigma)));
        sum += exp(a * part - z * z / (2 * sigma * sigma)) * step / root;
    }
    return log(sum) / (a - 1);
}

static void divergences_are_integrals(void **state) {
    (void)state;
    static const double points[][3] = {
        {1.1, 0.05, 1},  {1.1, 0.5, 1},  {1.1, 0.95, 1},   {1.1, 0.5, 5}, {1.1, 0.8, 5},
        {2.5, 0.3, 0.8}, {10.9, 0.2, 2}, {9.3, 0.01, 1.1}, {3, 0.3, 1.5}, {12, 0.05, 4}};
    for (int i = 0; i < 10; i++) {
        const double a = points[i][0], q = points[i][1], sigma = points[i][2];
        near(split_rdp(a, q, sigma) / integrated(a, q, sigma), 1, 1e-9);
    }
}

static void tiny_rates_keep_their_digits(void **state) {
    (void)state; // A - 1 = q^2 (e^(1/sigma^2) - 1) for a = 2, far below what 1 + x resolves
    near(split_rdp(2, 1e-9, 1) / (1e-18 * expm1(1)), 1, 1e-12);
    assert_true(split_rdp(1.1, 1e-9, 1) >= 0);
}

static void divergences_grow(void **state) {
    (void)state;
    struct split_orders o;
    split_orders_usual(&o);
    assert_int_equal(o.n, 151);
    near(o.a[0], 1.1, 0), near(o.a[98], 10.9, 0), near(o.a[99], 12, 0), near(o.a[150], 63, 0);
    for (int i = 1; i < o.n; i++) {
        assert_true(split_rdp(o.a[i], 0.02, 1.1) > split_rdp(o.a[i - 1], 0.02, 1.1));
        assert_true(split_rdp(o.a[i], 0.03, 1.1) > split_rdp(o.a[i], 0.02, 1.1));
        assert_true(split_rdp(o.a[i], 0.02, 1.2) < split_rdp(o.a[i], 0.02, 1.1));
        assert_true(isfinite(split_rdp(o.a[i], 0.5, 0.05)));
    }
}

static void noise_for_a_budget(void **state) {
    (void)state; // published as 1.416 and 1.3562, of searches that end within 0.01 of epsilon
    double sigma;
    assert_int_equal(split_sigma_for(&sigma, 8, 1e-5, 0.04, 90 * 25), THOR_OK);
    near(sigma, 1.416, 0.0005);
    assert_int_equal(split_sigma_for(&sigma, 8, 1e-5, 0.04, 2000), THOR_OK);
    near(sigma, 1.3562, 0.0001);
    struct split_spent s;
    split_spent_none(&s, NULL);
    split_spend(&s, 0.04, sigma, 2000);
    const double spent = split_spent_epsilon(NULL, &s, 1e-5);
    assert_true(spent <= 8 && spent > 8 - 1e-4);
}

static void nothing_is_spent_by_nothing(void **state) {
    (void)state;
    struct split_spent s;
    split_spent_none(&s, NULL);
    assert_true(split_spent_epsilon(NULL, &s, 1e-5) == 0);
    split_spend(&s, 0.5, 1, 0);
    assert_true(split_spent_epsilon(NULL, &s, 1e-5) == 0);
    split_spend(&s, 0.5, 1, 1);
    assert_true(split_spent_epsilon(NULL, &s, 1e-5) > 0);
}

static void steps_add_up(void **state) {
    (void)state;
    struct split_spent once, again, one;
    split_spent_none(&once, NULL), split_spent_none(&again, NULL), split_spent_none(&one, NULL);
    split_spend(&once, 0.1, 2, 300);
    split_spend(&one, 0.1, 2, 1);
    for (int i = 0; i < 3; i++) split_spend_again(&again, &one, 100);
    near(split_spent_epsilon(NULL, &again, 1e-6) / split_spent_epsilon(NULL, &once, 1e-6), 1,
         1e-12);
}

static double phi(double x) {
    return erfc(-x / sqrt(2)) / 2;
}

static void analytic_gaussian(void **state) {
    (void)state;
    static const double known[][2] = {
        {0.5, 7.031826676}, {1, 3.730631635}, {2, 1.993812446}, {4, 1.081161850}, {8, 0.600229072}};
    double r;
    for (int i = 0; i < 5; i++) {
        const double e = known[i][0];
        assert_int_equal(split_analytic_sigma(&r, e, 1e-5), THOR_OK);
        near(r, known[i][1], 1e-9);
        near(phi(0.5 / r - e * r) - exp(e) * phi(-0.5 / r - e * r), 1e-5, 1e-14);
    }
    assert_int_equal(split_analytic_sigma(&r, 1000, 1e-12), THOR_OK); // e^1000 is no double
    assert_true(r > 0.01 && r < 0.1);
    assert_int_equal(split_analytic_sigma(&r, 1e-3, 1e-12), THOR_OK);
    assert_true(r > 1000 && r < 1e5);
}

static void out_of_range(void **state) {
    (void)state;
    double x = 42;
    assert_int_equal(split_sigma_for(&x, 0, 1e-5, 0.1, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 8, 0, 0.1, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 8, 1, 0.1, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 8, 1e-5, 0, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 8, 1e-5, 1.5, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 8, 1e-5, 0.1, 0), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, NAN, 1e-5, 0.1, 10), THOR_USAGE);
    assert_int_equal(split_sigma_for(&x, 0.01, 1e-5, 0.1, 10), THOR_USAGE); // orders end at 63
    assert_int_equal(split_analytic_sigma(&x, -1, 1e-5), THOR_USAGE);
    assert_int_equal(split_analytic_sigma(&x, 1, NAN), THOR_USAGE);
    assert_true(x == 42);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_epsilons),
        cmocka_unit_test(known_epsilons_of_whole_orders),
        cmocka_unit_test(known_divergences),
        cmocka_unit_test(divergences_are_integrals),
        cmocka_unit_test(tiny_rates_keep_their_digits),
        cmocka_unit_test(divergences_grow),
        cmocka_unit_test(noise_for_a_budget),
        cmocka_unit_test(nothing_is_spent_by_nothing),
        cmocka_unit_test(steps_add_up),
        cmocka_unit_test(analytic_gaussian),
        cmocka_unit_test(out_of_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
