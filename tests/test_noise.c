/* Noise, clipping, sampling, and the steps made of them.  The statistics run on a fixed seed; a
 * fresh one would raise a false alarm with a probability below 1e-9 each: six standard deviations,
 * or chi2_k >= k + 2 sqrt(k t) + 2 t with t = 30 (tests/test_random.c). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "split/dpforward.h"
#include "split/dpsgd.h"
#include "split/gaussian.h"

enum { N = 200000, CELLS = 64 };
static double noise[N];

static struct ckks_rng stream(uint64_t domain) {
    static const uint8_t seed[CKKS_SEED] = {7, 1};
    struct ckks_rng r;
    ckks_rng_init(&r, seed, domain);
    return r;
}

static int draw(void **state) {
    (void)state;
    struct ckks_rng r = stream(1);
    split_normals(&r, noise, N);
    return 0;
}

static double moment(int power) {
    double sum = 0;
    for (int i = 0; i < N; i++) sum += pow(noise[i], power);
    return sum / N;
}

/* E x^p = 1, 3, 15 for p = 2, 4, 6; the variance of x^p is E x^2p - (E x^p)^2. */
static void moments(void **state) {
    (void)state;
    const double root = sqrt(N);
    assert_true(fabs(moment(1)) < 6 / root);
    assert_true(fabs(moment(2) - 1) < 6 * sqrt(2) / root);
    assert_true(fabs(moment(3)) < 6 * sqrt(15) / root);
    assert_true(fabs(moment(4) - 3) < 6 * sqrt(96) / root);
    assert_true(fabs(moment(6) - 15) < 6 * sqrt(10170) / root);
}

/* Cells of equal probability under Phi. */
static double chi2(const double *x, int n) {
    double seen[CELLS] = {0}, sum = 0;
    for (int i = 0; i < n; i++) {
        const int cell = (int)(CELLS * erfc(-x[i] / sqrt(2)) / 2);
        seen[cell < CELLS ? cell : CELLS - 1]++;
    }
    for (int c = 0; c < CELLS; c++)
        sum += (seen[c] - n / (double)CELLS) * (seen[c] - n / (double)CELLS) * CELLS / n;
    return sum;
}

static void distribution(void **state) {
    (void)state;
    static double wrong[N];
    const double k = CELLS - 1, limit = k + 2 * sqrt(k * 30) + 60;
    assert_true(chi2(noise, N) < limit);
    for (int i = 0; i < N; i++) wrong[i] = 1.03 * noise[i]; // the test sees 3 % too much
    assert_true(chi2(wrong, N) > limit);
    for (int i = 0; i < N; i++) wrong[i] = noise[i] + 0.03;
    assert_true(chi2(wrong, N) > limit);
}

static void independence(void **state) {
    (void)state; // neighbours, the pairs of one draw, and their squares
    for (int lag = 1; lag < 5; lag++) {
        double sum = 0, squares = 0;
        for (int i = 0; i + lag < N; i++) {
            sum += noise[i] * noise[i + lag];
            squares += (noise[i] * noise[i] - 1) * (noise[i + lag] * noise[i + lag] - 1);
        }
        assert_true(fabs(sum) < 6 * sqrt(N));
        assert_true(fabs(squares) < 6 * 2 * sqrt(N));
    }
}

static void tails(void **state) {
    (void)state; // 4 standard deviations: 6.3e-5 of them, 12.7 of these, by Poisson 1 .. 40
    int far = 0;
    for (int i = 0; i < N; i++) far += fabs(noise[i]) > 4;
    assert_in_range(far, 1, 40);
}

static void streams(void **state) {
    (void)state;
    double a[7], b[7], c[7];
    struct ckks_rng r = stream(3), s = stream(3), t = stream(4);
    split_normals(&r, a, 7), split_normals(&s, b, 7), split_normals(&t, c, 7);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static double norm_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

static void clipping(void **state) {
    (void)state;
    double x[3] = {3, 0, -4}, small[2] = {0.3, 0.4}, none[2] = {0, 0}, odd[3] = {1, NAN, 2},
           wide[2] = {1e200, 1e200};
    assert_true(split_clip(x, 3, 2) == 5);
    assert_true(fabs(norm_of(x, 3) - 2) < 1e-15 && fabs(x[0] - 1.2) < 1e-15 && x[2] < 0);
    assert_true(split_clip(small, 2, 1) == 0.5 && small[0] == 0.3);
    assert_true(split_clip(none, 2, 1) == 0 && none[0] == 0);
    assert_true(isnan(split_clip(odd, 3, 1)) && norm_of(odd, 3) == 0);
    assert_true(isinf(split_clip(wide, 2, 1)) && norm_of(wide, 2) == 0);
}

static void sampling(void **state) {
    (void)state;
    enum { ROWS = 500, ROUNDS = 400 };
    static int seen[ROWS];
    int chosen[ROWS], sizes = 0;
    double squares = 0;
    const double q = 0.1;
    struct ckks_rng r = stream(5);
    for (int k = 0; k < ROUNDS; k++) {
        const int n = split_poisson(&r, chosen, ROWS, q);
        for (int i = 0; i < n; i++) {
            if (i > 0) assert_true(chosen[i] > chosen[i - 1]);
            seen[chosen[i]]++;
        }
        sizes += n;
        squares += (n - ROWS * q) * (n - ROWS * q);
    }
    assert_true(fabs(sizes - ROWS * ROUNDS * q) < 6 * sqrt(ROWS * ROUNDS * q * (1 - q)));
    // batches differ in size as rows chosen by themselves do: variance 45, no fixed size
    assert_true(fabs(squares / ROUNDS - ROWS * q * (1 - q)) < 6 * 45 * sqrt(2.0 / ROUNDS));
    for (int i = 0; i < ROWS; i++)
        assert_true(fabs(seen[i] - ROUNDS * q) < 7 * sqrt(ROUNDS * q * (1 - q)));
    assert_int_equal(split_poisson(&r, chosen, ROWS, 0), 0);
    assert_int_equal(split_poisson(&r, chosen, ROWS, 1), ROWS);
}

static const struct split_dpsgd_ask usual = {
    .rows = 1000, .batch = 50, .steps = 40, .clip = 0.5, .epsilon = 8, .delta = 1e-5};

/* One row of 1 everywhere is clipped to C; what is left of it is drowned, and the noise is that of
 * sigma C / (q N). */
static void a_step(void **state) {
    (void)state;
    enum { W = 40000 };
    static double sum[W], row[W];
    struct split_dpsgd p;
    assert_int_equal(split_dpsgd_start(&p, &usual), THOR_OK);
    for (int i = 0; i < W; i++) row[i] = 1;
    assert_true(fabs(split_dpsgd_take(&p, sum, row, W) - 200) < 1e-9);
    assert_true(fabs(norm_of(sum, W) - usual.clip) < 1e-12);
    assert_int_equal(split_dpsgd_step(&p, sum, W), THOR_OK);
    double squares = 0;
    const double expected = p.ask.sigma * usual.clip / usual.batch;
    for (int i = 0; i < W; i++) squares += sum[i] * sum[i];
    assert_true(fabs(squares / W / (expected * expected) - 1) < 6 * sqrt(2.0 / W));
    split_dpsgd_end(&p);
}

static void the_budget_ends(void **state) {
    (void)state;
    struct split_dpsgd p;
    struct split_dpsgd_ask ask = usual;
    double g[2] = {0, 0};
    assert_int_equal(split_dpsgd_start(&p, &ask), THOR_OK);
    for (int i = 0; i < ask.steps; i++) {
        assert_false(split_dpsgd_used_up(&p));
        assert_int_equal(split_dpsgd_step(&p, g, 2), THOR_OK);
    }
    const double spent = split_dpsgd_epsilon(&p);
    assert_true(spent <= 8 && spent > 7.999);
    assert_true(split_dpsgd_used_up(&p));
    g[0] = 17;
    assert_int_equal(split_dpsgd_step(&p, g, 2), THOR_USAGE);
    assert_true(g[0] == 17 && p.steps == ask.steps);
    split_dpsgd_end(&p);
    ask.sigma = 1; // less noise than asked for: fewer steps
    assert_int_equal(split_dpsgd_start(&p, &ask), THOR_OK);
    split_dpsgd_resume(&p, 39);
    const double later = split_dpsgd_epsilon(&p);
    split_dpsgd_resume(&p, 3);
    assert_true(split_dpsgd_epsilon(&p) < later && split_dpsgd_epsilon(&p) > 0);
    split_dpsgd_end(&p);
}

static void asks_that_are_refused(void **state) {
    (void)state;
    struct split_dpsgd p;
    struct split_dpsgd_ask ask[7];
    for (int i = 0; i < 7; i++) ask[i] = usual;
    ask[0].batch = 1001, ask[1].clip = 0, ask[2].epsilon = 0, ask[3].delta = 0, ask[4].steps = 0;
    ask[5].rows = 0, ask[6].epsilon = NAN;
    for (int i = 0; i < 7; i++) {
        assert_int_equal(split_dpsgd_start(&p, &ask[i]), THOR_USAGE);
        split_dpsgd_end(&p);
    }
    struct split_dpforward f;
    assert_int_equal(split_dpforward_start(&f, 1, 1e-5, 0), THOR_USAGE);
    assert_int_equal(split_dpforward_start(&f, 0, 1e-5, 1), THOR_USAGE);
}

static void noise_on_embeddings(void **state) {
    (void)state;
    enum { T = 50, D = 400 };
    static double x[T * D];
    struct split_dpforward p;
    assert_int_equal(split_dpforward_start(&p, 1, 1e-5, 3), THOR_OK);
    assert_true(fabs(p.sigma - 3.730631635 * 6) < 1e-7); // two texts differ by 2C, not by C
    for (int i = 0; i < T * D; i++) x[i] = 1000;
    split_dpforward_apply(NULL, x, T, D);
    assert_true(x[0] == 1000);
    split_dpforward_apply(&p, x, T, D);
    double sum = 0, squares = 0;
    for (int i = 0; i < T * D; i++) sum += x[i], squares += x[i] * x[i];
    // the whole matrix has norm 3 after clipping: 0.02 a value, below the noise
    assert_true(fabs(sum / (T * D) - 3 / sqrt(T * D)) < 6 * p.sigma / sqrt(T * D));
    assert_true(fabs(squares / (T * D) / (p.sigma * p.sigma) - 1) < 6 * sqrt(2.0 / (T * D)));
    split_dpforward_end(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moments),
        cmocka_unit_test(distribution),
        cmocka_unit_test(independence),
        cmocka_unit_test(tails),
        cmocka_unit_test(streams),
        cmocka_unit_test(clipping),
        cmocka_unit_test(sampling),
        cmocka_unit_test(a_step),
        cmocka_unit_test(the_budget_ends),
        cmocka_unit_test(asks_that_are_refused),
        cmocka_unit_test(noise_on_embeddings),
    };
    return cmocka_run_group_tests(tests, draw, NULL);
}
