/* Precision of every operation, in bits, against bounds derived from the noise; relations that hold
 * without knowing any value; random circuits beside plain vectors.
 *
 * Noise is measured as a variance of coefficients, in units of the scale S = 2^41.68; a coefficient
 * variance V gives every real and imaginary part of a slot the variance V N/2 / S^2.
 *   encoding      1/12                      (rounding to nearest)
 *   encryption    10.5 + 1/12 (secret key), 10.5 (1 + 4N/3) + 1/12 (public key)
 *   rescaling     R = (1 + 2N/3)/12         (both halves are rounded, one is multiplied by the
 *                 secret)
 *   key switch    R + 4 N 10.5/12 2^-5      (four digits of at most 2^361, over P = 2^363.5)
 *   x y           V_x |y|^2 + V_y |x|^2 + R
 * The median stays below 0.6745 standard deviations (1 + 5 / sqrt(2n)).  The secret is one vector
 * for all: the noise that it multiplies is greatest in the slot where |s(zeta)|^2, 2N/3 on average,
 * has its maximum, so the worst of 2n values is taken against 6.5 standard deviations of that slot
 * (a chance of 1e-7); under the public key, where a fresh ternary u multiplies too, against 23 =
 * ln(1024 / 1e-7) times the average.  Fresh ciphertexts may also not be better than their noise:
 * that would be no encryption. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/dose.h"
#include "tests/engine.h"
#include "tests/harness.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { N = 1024, SLOTS = N / 2, ROTATIONS = 4 };
static const int rotations[ROTATIONS] = {1, 5, 6, -7};

struct vec {
    double re[SLOTS], im[SLOTS];
};
static struct engine E;
static struct vec A, B, C;
static struct ckks_ct a, b, c; /* at levels 16, 9, 4 */
static double peak;            /* max |s(zeta)|^2 / (2N/3) */
static const double R = (1 + 2.0 * N / 3) / 12,
                    KS = (1 + 2.0 * N / 3) / 12 + 4 * N * 10.5 / 12 / 32;
static const double FRESH = 10.5 + 1.0 / 12, CODE = 1.0 / 12;

/* ---- a dry run for the keys: everything at the highest levels used ---- */

static int circuit(struct ckks *cx, void *arg) {
    int st = THOR_OK;
    (void)arg;
    struct ckks_ct x = {0}, y = {0};
    TRY(ckks_zero(&x, cx, 16));
    for (int i = 0; i < ROTATIONS; i++) TRY(ckks_rotate(&y, &x, rotations[i]));
    TRY(ckks_conj(&y, &x));
    TRY(ckks_mul(&y, &x, &x));
out:
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    return st;
}

static void encrypt(struct ckks_ct *out, const struct vec *v, int level) {
    OK(ckks_encrypt_secret(out, E.cx, v->re, v->im, SLOTS, level, E.sk, &E.rng));
}

static void random_vec(struct vec *v, double size, uint64_t stream) {
    engine_message(v->re, SLOTS, size, 2 * stream);
    engine_message(v->im, SLOTS, size, 2 * stream + 1);
}

static double peak_of_secret(void) {
    static double coeff[N], re[SLOTS], im[SLOTS];
    double most = 0;
    for (int i = 0; i < N; i++) coeff[i] = E.sk->s[i];
    OK(ckks_fft_slots(E.cx, re, im, coeff));
    for (int s = 0; s < SLOTS; s++) most = fmax(most, re[s] * re[s] + im[s] * im[s]);
    return most / (2.0 * N / 3);
}

static int setup(void **state) {
    (void)state;
    engine_open(&E, "toy10", circuit, NULL);
    peak = peak_of_secret();
    random_vec(&A, 0.7, 1);
    random_vec(&B, 0.7, 2);
    random_vec(&C, 0.7, 3);
    encrypt(&a, &A, 16);
    encrypt(&b, &B, 9);
    encrypt(&c, &C, 4);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    ckks_ct_free(&c);
    engine_close(&E);
    return 0;
}

/* ---- plain vectors ---- */

static struct vec product(const struct vec *x, const struct vec *y) {
    struct vec z;
    for (int s = 0; s < SLOTS; s++) {
        z.re[s] = x->re[s] * y->re[s] - x->im[s] * y->im[s];
        z.im[s] = x->re[s] * y->im[s] + x->im[s] * y->re[s];
    }
    return z;
}

static struct vec linear(const struct vec *x, double k, const struct vec *y, double l) {
    struct vec z;
    for (int s = 0; s < SLOTS; s++)
        z.re[s] = k * x->re[s] + l * y->re[s], z.im[s] = k * x->im[s] + l * y->im[s];
    return z;
}

static struct vec turned(const struct vec *x, int r) {
    struct vec z;
    for (int s = 0; s < SLOTS; s++)
        z.re[s] = x->re[(s + r + SLOTS) % SLOTS], z.im[s] = x->im[(s + r + SLOTS) % SLOTS];
    return z;
}

static struct vec conjugate(const struct vec *x) {
    struct vec z = *x;
    for (int s = 0; s < SLOTS; s++) z.im[s] = -z.im[s];
    return z;
}

/* ---- errors ---- */

static double sigma_of(double variance) { // of a slot's real or imaginary part
    return sqrt(variance * N / 2) / exp2(41.677);
}

static int by_size(const void *x, const void *y) {
    return (*(const double *)x > *(const double *)y) - (*(const double *)x < *(const double *)y);
}

/* Sorted absolute errors of the decryption of x against v. */
static void errors(double e[2 * SLOTS], const struct ckks_ct *x, const struct vec *v) {
    struct vec d;
    OK(ckks_decrypt(d.re, d.im, x, E.sk));
    for (int s = 0; s < SLOTS; s++)
        e[s] = fabs(d.re[s] - v->re[s]), e[SLOTS + s] = fabs(d.im[s] - v->im[s]);
    for (int s = 0; s < 2 * SLOTS; s++) assert_true(isfinite(e[s]));
    qsort(e, 2 * SLOTS, sizeof *e, by_size);
}

static void check_peak(const char *what, const struct ckks_ct *x, const struct vec *v,
                       double variance, double top) {
    double e[2 * SLOTS], sigma = sigma_of(variance);
    errors(e, x, v);
    double worst = e[2 * SLOTS - 1], median = e[SLOTS], most = 6.5 * sigma * sqrt(top);
    double half = 0.6745 * sigma * (1 + 5 / sqrt(2.0 * SLOTS));
    print_message("%-28s worst 2^%6.2f (bound 2^%6.2f), median 2^%6.2f (bound 2^%6.2f)\n", what,
                  log2(worst), log2(most), log2(median), log2(half));
    assert_true(worst <= most);
    assert_true(median <= half);
}

static void check(const char *what, const struct ckks_ct *x, const struct vec *v, double variance) {
    check_peak(what, x, v, variance, peak);
}

/* And no better than the noise that makes it secret: half of its median at least. */
static void check_noisy(const char *what, const struct ckks_ct *x, const struct vec *v,
                        double variance, double top) {
    double e[2 * SLOTS];
    check_peak(what, x, v, variance, top);
    errors(e, x, v);
    assert_true(e[SLOTS] >= 0.5 * 0.6745 * sigma_of(variance));
}

/* ---- every operation ---- */

static void fresh(void **state) {
    (void)state;
    struct ckks_public *pk;
    uint8_t seed[CKKS_SEED] = {9};
    check_noisy("secret key, level 16", &a, &A, FRESH, 1);
    check_noisy("secret key, level 9", &b, &B, FRESH, 1);
    OK(ckks_public_new(&pk, E.cx, E.sk, seed));
    for (int level = 0; level <= 16; level += 8) {
        struct ckks_ct x = {0};
        OK(ckks_encrypt_public(&x, E.cx, A.re, A.im, SLOTS, level, pk, &E.rng));
        check_noisy("public key", &x, &A, 10.5 * (1 + 4.0 * N / 3) + CODE, 23);
        ckks_ct_free(&x);
    }
    ckks_public_free(pk);
}

static void additive(void **state) {
    (void)state;
    struct ckks_ct x = {0};
    struct vec v = linear(&A, 1, &B, 1);
    OK(ckks_add(&x, &a, &b)); /* a is brought to b's level first */
    check("x + y", &x, &v, 2 * FRESH + R);
    v = linear(&A, 1, &B, -1);
    OK(ckks_sub(&x, &a, &b));
    check("x - y", &x, &v, 2 * FRESH + R);
    OK(ckks_add_plain(&x, &a, B.re, B.im, SLOTS));
    v = linear(&A, 1, &B, 1);
    check("x + plain", &x, &v, FRESH + CODE);
    OK(ckks_mul_int(&x, &a, -5));
    v = linear(&A, -5, &B, 0);
    check("5 x", &x, &v, 25 * FRESH);
    OK(ckks_add_const(&x, &a, -3.25));
    v = A;
    for (int s = 0; s < SLOTS; s++) v.re[s] -= 3.25;
    check("x + constant", &x, &v, FRESH + 1.0 / (2 * N)); /* half a unit, in one coefficient */
    OK(ckks_mul_i(&x, &a, 1));
    for (int s = 0; s < SLOTS; s++) v.re[s] = -A.im[s], v.im[s] = A.re[s];
    check_noisy("i x", &x, &v, FRESH, 1);
    ckks_ct_free(&x);
}

static void multiplicative(void **state) {
    (void)state;
    struct ckks_ct x = {0};
    const struct ckks_ct *two[2] = {&a, &b}, *two_y[2] = {&b, &c};
    const double k[2] = {0.375, -0.8};
    struct vec v = product(&A, &A), u;
    OK(ckks_mul(&x, &a, &a));
    check("x x", &x, &v, 4 * FRESH + R);
    v = product(&A, &B);
    OK(ckks_mul(&x, &a, &b));
    check("x y", &x, &v, 2 * FRESH + 2 * R);
    OK(ckks_mul_plain(&x, &a, B.re, B.im, SLOTS));
    check("x plain", &x, &v, FRESH + CODE + R);
    OK(ckks_dot(&x, two, two_y, 2, 1));
    u = product(&B, &C);
    v = linear(&v, 1, &u, 1);
    check("x y + y z", &x, &v, 4 * FRESH + 4 * R + R);
    struct ckks_sum sum = {0};
    OK(ckks_sum_add(&sum, two, two + 1, 1, 1));
    OK(ckks_sum_add(&sum, two + 1, two + 1, 1, 0));
    OK(ckks_sum_end(&x, &sum, 1));
    u = product(&A, &B);
    u = turned(&u, 1);
    v = product(&B, &B);
    v = linear(&u, 1, &v, 1);
    check("(x y rotated) + y y", &x, &v, 6 * FRESH + 2 * R);
    OK(ckks_combine(&x, two, k, 2, 0.25, 5));
    v = linear(&A, k[0], &B, k[1]);
    for (int s = 0; s < SLOTS; s++) v.re[s] += 0.25;
    check("a x + b y + c", &x, &v, FRESH + 3 * R);
    ckks_ct_free(&x);
}

static void turning(void **state) {
    (void)state;
    struct ckks_ct x = {0}, many[3] = {{0}};
    struct vec v;
    for (int i = 0; i < ROTATIONS; i++) {
        v = turned(&A, rotations[i]);
        OK(ckks_rotate(&x, &a, rotations[i]));
        check("rotation, level 16", &x, &v, FRESH + KS);
        v = turned(&C, rotations[i]);
        OK(ckks_rotate(&x, &c, rotations[i]));
        check("rotation, level 4", &x, &v, FRESH + KS);
    }
    v = conjugate(&B);
    OK(ckks_conj(&x, &b));
    check("conjugate", &x, &v, FRESH + KS);
    OK(ckks_rotate_many(many, &b, rotations, 3));
    for (int i = 0; i < 3; i++) {
        v = turned(&B, rotations[i]);
        check("hoisted rotation", &many[i], &v, FRESH + KS);
        ckks_ct_free(&many[i]);
    }
    ckks_ct_free(&x);
}

static void lower_levels(void **state) {
    (void)state;
    struct ckks_ct x = {0};
    for (int level = 15; level >= 0; level--) {
        OK(ckks_adjust(&x, &a, level));
        check(level % 2 ? "lowered, odd" : "lowered, even", &x, &A, FRESH + R + 1);
    }
    ckks_ct_free(&x);
}

/* ---- relations ---- */

/* x = y, with noise of that variance between them. */
static void check_same(const char *what, const struct ckks_ct *x, const struct ckks_ct *y,
                       double variance) {
    struct vec v;
    OK(ckks_decrypt(v.re, v.im, y, E.sk));
    check(what, x, &v, variance);
}

static void relations(void **state) {
    (void)state;
    struct ckks_ct x = {0}, y = {0}, z = {0};
    OK(ckks_rotate(&x, &a, 1));
    OK(ckks_rotate(&x, &x, 5));
    OK(ckks_rotate(&y, &a, 6));
    check_same("rotate 1 then 5 = rotate 6", &x, &y, 3 * KS);
    OK(ckks_rotate(&x, &b, 5));
    OK(ckks_conj(&x, &x));
    OK(ckks_conj(&y, &b));
    OK(ckks_rotate(&y, &y, 5));
    check_same("conjugate and rotate commute", &x, &y, 4 * KS);
    OK(ckks_conj(&x, &a));
    OK(ckks_conj(&x, &x));
    check_same("conjugate twice", &x, &a, 2 * KS);
    OK(ckks_add(&x, &a, &b));
    OK(ckks_mul(&x, &x, &c));
    OK(ckks_mul(&y, &a, &c));
    OK(ckks_mul(&z, &b, &c));
    OK(ckks_add(&y, &y, &z));
    check_same("(x + y) z = x z + y z", &x, &y, 10 * R);
    OK(ckks_mul(&x, &a, &b));
    OK(ckks_rotate(&x, &x, 5));
    OK(ckks_rotate(&y, &a, 5));
    OK(ckks_rotate(&z, &b, 5));
    OK(ckks_mul(&y, &y, &z));
    check_same("rotated product", &x, &y, 4 * KS + 4 * R);
    OK(ckks_mul(&x, &a, &b));
    OK(ckks_mul(&y, &b, &a));
    check_same("x y = y x", &x, &y, 2 * R);
    OK(ckks_mul(&x, &a, &b));
    OK(ckks_conj(&x, &x));
    OK(ckks_conj(&y, &a));
    OK(ckks_conj(&z, &b));
    OK(ckks_mul(&y, &y, &z));
    check_same("conjugate of a product", &x, &y, 4 * KS + 4 * R);
    OK(ckks_mul_i(&x, &a, 1));
    OK(ckks_mul_i(&x, &x, -1));
    check_same("i then -i", &x, &a, 1e-3);
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    ckks_ct_free(&z);
}

/* ---- random circuits ---- */

enum { REGISTERS = 4, STEPS = 30 };
struct reg {
    struct ckks_ct ct;
    struct vec v;
    double variance;
};

static double size_of(const struct vec *v) {
    double m = 0;
    for (int s = 0; s < SLOTS; s++) m = fmax(m, hypot(v->re[s], v->im[s]));
    return m;
}

static void step(struct reg *o, struct reg *x, struct reg *y, uint64_t dice) {
    const int r = rotations[dice / 16 % ROTATIONS],
              low = x->ct.level < y->ct.level ? x->ct.level : y->ct.level;
    const double X = size_of(&x->v), Y = size_of(&y->v), halves = 0.5;
    switch (dice % 8) {
    case 0:
        o->v = linear(&x->v, 1, &y->v, 1), o->variance = x->variance + y->variance + R;
        OK(ckks_add(&o->ct, &x->ct, &y->ct));
        break;
    case 1:
        o->v = linear(&x->v, 1, &y->v, -1), o->variance = x->variance + y->variance + R;
        OK(ckks_sub(&o->ct, &x->ct, &y->ct));
        break;
    case 2:
        if (low < 1) return;
        // + 2R also when x is y
        o->variance = X * X * (y->variance + R) + Y * Y * (x->variance + R) + 2 * R;
        if (x == y) o->variance *= 2;
        o->v = product(&x->v, &y->v);
        OK(ckks_mul(&o->ct, &x->ct, &y->ct));
        break;
    case 3:
        o->v = turned(&x->v, r), o->variance = x->variance + KS;
        OK(ckks_rotate(&o->ct, &x->ct, r));
        break;
    case 4:
        o->v = conjugate(&x->v), o->variance = x->variance + KS;
        OK(ckks_conj(&o->ct, &x->ct));
        break;
    case 5:
        if (x->ct.level < 1) return;
        o->v = product(&x->v, &C), o->variance = x->variance + X * X * CODE + R;
        OK(ckks_mul_plain(&o->ct, &x->ct, C.re, C.im, SLOTS));
        break;
    case 6:
        o->v = linear(&x->v, 1, &C, 1), o->variance = x->variance + CODE;
        OK(ckks_add_plain(&o->ct, &x->ct, C.re, C.im, SLOTS));
        break;
    default:
        if (x->ct.level < 1) return;
        o->v = linear(&x->v, halves, &x->v, 0), o->variance = x->variance / 4 + 4 * R;
        const struct ckks_ct *one[1] = {&x->ct};
        OK(ckks_combine(&o->ct, one, &halves, 1, 0, x->ct.level - 1));
    }
}

/* Vectors that have grown are cut down by an encryption anew. */
static void keep_small(struct reg *o, uint64_t dice) {
    if (size_of(&o->v) <= 2 && o->ct.level > 0) return;
    random_vec(&o->v, 0.7, 1000 + dice % 1000);
    encrypt(&o->ct, &o->v, (int)(dice / 8 % 17));
    o->variance = FRESH;
}

static void random_circuits(void **state) {
    (void)state;
    const int circuits = dose("THOR_CIRCUITS", 100);
    for (int t = 0; t < circuits; t++) {
        uint64_t stream = 77 + (uint64_t)t;
        struct reg r[REGISTERS] = {0};
        for (int i = 0; i < REGISTERS; i++) keep_small(&r[i], harness_next(&stream));
        for (int k = 0; k < STEPS; k++) {
            uint64_t dice = harness_next(&stream);
            struct reg *o = &r[dice >> 40 & 3], *x = &r[dice >> 42 & 3], *y = &r[dice >> 44 & 3];
            step(o, x, y, dice);
            double e[2 * SLOTS];
            errors(e, &o->ct, &o->v);
            if (e[2 * SLOTS - 1] > 6.5 * sigma_of(o->variance * peak))
                fail_msg("circuit %d, step %d, operation %d: 2^%.2f, bound 2^%.2f", t, k,
                         (int)(dice % 8), log2(e[2 * SLOTS - 1]),
                         log2(6.5 * sigma_of(o->variance * peak)));
            keep_small(o, dice);
        }
        for (int i = 0; i < REGISTERS; i++) ckks_ct_free(&r[i].ct);
    }
}

/* The tail of a sum of 33 uniform numbers, by the formula and by another way: convolution on a
 * grid, coarse enough to be an upper bound when every number is moved outwards to its grid line. */
static void failure_probability(void **state) {
    (void)state;
    const struct ckks_params *p;
    OK(ckks_params_get(&p, "n16", 1));
    enum { CELLS = 512, TERMS = CKKS_SPARSE_H + 1, ALL = CELLS * TERMS + 1 };
    static double d[ALL], e[ALL];
    double upper = 0;
    d[0] = 1;
    // distances from the greatest sum, each rounded down
    for (int t = 1, top = 0; t <= TERMS; t++) {
        double run = 0;
        for (int i = 0; i <= top + CELLS - 1; i++) {
            run += (i <= top ? d[i] : 0) - (i >= CELLS ? d[i - CELLS] : 0);
            e[i] = run / CELLS;
        }
        top += CELLS - 1;
        memcpy(d, e, (size_t)(top + 1) * sizeof *d);
    }
    for (int i = 0; i <= 4 * CELLS; i++) upper += d[i]; // the sum is at least 16.5 - 4
    double bound = log2(upper) + 1 + p->log_n, have = ckks_boot_overflow(p, 12);
    print_message("P(|I| > 12) = 2^%.2f a bootstrap (grid: at most 2^%.2f), P(|I| > 15) = 2^%.1f\n",
                  have, bound, ckks_boot_overflow(p, 15));
    assert_true(have <= bound && have > bound - 1);
    assert_true(have < -39);
    assert_true(ckks_boot_overflow(p, 15) < -100);
    assert_true(isinf(ckks_boot_overflow(p, 16)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh),           cmocka_unit_test(additive),
        cmocka_unit_test(multiplicative),  cmocka_unit_test(turning),
        cmocka_unit_test(lower_levels),    cmocka_unit_test(relations),
        cmocka_unit_test(random_circuits), cmocka_unit_test(failure_probability),
    };
    return cmocka_run_group_tests_name("precision", tests, setup, teardown);
}
