/* The engine at toy rings: every operation against plain vectors, with bounds in bits.
 *
 * Bounds.  Fresh error per component at N = 2^10 is about 2^-34 worst 2^-32; each operation that
 * rescales leaves 2^-31 or so worst; errors scale with sqrt(N) x sqrt(N) = one bit per doubling of
 * N (figures of the design's prototype: rotation worst 2^-29.3 at 2^12, products 2^-29).  Asserted:
 * 2^-26 at toy10, which a single missing rounding correction or a wrong scale (2^-20 and worse)
 * breaks.  Bounds from the noise: test_precision.c. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/engine.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { N10 = 512 };

static void near(const double *a, const double *b, size_t n, double bits) {
    double w = bits_worst(a, b, n);
    if (w > bits) print_error("worst error 2^%.2f, bound 2^%.2f\n", w, bits);
    assert_true(w <= bits);
}

struct vec {
    double re[N10], im[N10];
};

static int diag3(void *ctx, int o, int i, int m, double *re, double *im) {
    (void)ctx;
    if (m == 5) return 0;
    engine_message(re, N10, 0.2, (uint64_t)(1000 + 100 * o + 10 * i + m));
    engine_message(im, N10, 0.2, (uint64_t)(2000 + 100 * o + 10 * i + m));
    return 1;
}
static const struct ckks_linear lin = {.stride = 3,
                                       .first = -4,
                                       .count = 11,
                                       .baby = 4,
                                       .period = N10,
                                       .inputs = 2,
                                       .outputs = 2,
                                       .diag = diag3};
static double cheb_c[64];

struct state {
    struct ckks_ct a, b, o[8];
    struct vec A, B;
};

enum { SETS = 3 };
static const struct ckks_linear lin_sets = {.stride = 3,
                                            .first = -4,
                                            .count = 11,
                                            .baby = 4,
                                            .period = N10,
                                            .inputs = 2,
                                            .outputs = 2,
                                            .sets = SETS,
                                            .diag = diag3};

static int circuit(struct ckks *cx, void *arg) {
    struct state *s = arg;
    struct ckks_ct *o = s->o;
    int st = THOR_OK, dry = cx->k->kind == KERN_DRY, rots[3] = {1, 0, -7};
    if (dry) {
        TRY(ckks_zero(&s->a, cx, 16));
        TRY(ckks_zero(&s->b, cx, 9));
    }
    for (int i = 0; i < 8; i++) ckks_ct_free(&o[i]);
    TRY(ckks_mul(&o[0], &s->a, &s->b));
    TRY(ckks_rotate(&o[1], &s->a, 5));
    TRY(ckks_conj(&o[2], &s->b));
    const struct ckks_ct *in[2] = {&s->a, &s->b};
    TRY(ckks_linear_apply(&o[3], in, &lin));
    TRY(ckks_rotate_many(&o[5], &s->a, rots, 3));
    if (dry) {
        struct ckks_ct y = {0};
        TRY(ckks_cheb(&y, &s->a, cheb_c, 59));
        TRY(ckks_mul(&y, &s->a, &s->a));
        ckks_ct_free(&y);
        for (int i = 0; i < 8; i++) ckks_ct_free(&o[i]);
        ckks_ct_free(&s->a);
        ckks_ct_free(&s->b);
    }
out:
    return st;
}

static struct engine E;
static struct state S;

static int setup(void **ctx) {
    (void)ctx;
    for (int k = 0; k < 64; k++) cheb_c[k] = k < 32 ? 1.0 / (1 + k) - 0.02 * k : 0.5 / k;
    engine_message(S.A.re, N10, 0.7, 1);
    engine_message(S.A.im, N10, 0.7, 2);
    engine_message(S.B.re, N10, 0.7, 3);
    engine_message(S.B.im, N10, 0.7, 4);
    engine_open(&E, "toy10", circuit, &S);
    OK(ckks_encrypt_secret(&S.a, E.cx, S.A.re, S.A.im, N10, 16, E.sk, &E.rng));
    OK(ckks_encrypt_secret(&S.b, E.cx, S.B.re, S.B.im, N10, 9, E.sk, &E.rng));
    return 0;
}

static int teardown(void **ctx) {
    (void)ctx;
    for (int i = 0; i < 8; i++) ckks_ct_free(&S.o[i]);
    ckks_ct_free(&S.a);
    ckks_ct_free(&S.b);
    engine_close(&E);
    return 0;
}

static struct vec dec(const struct ckks_ct *c) {
    struct vec v;
    OK(ckks_decrypt(v.re, v.im, c, E.sk));
    return v;
}

static void is(const struct ckks_ct *c, const struct vec *want, double bits) {
    struct vec v = dec(c);
    near(v.re, want->re, N10, bits);
    near(v.im, want->im, N10, bits);
}

static void test_fft(void **ctx) {
    (void)ctx;
    static double c[2 * N10];
    struct vec z;
    /* slot s of the polynomial X^3 is zeta^(3*5^s) */
    memset(c, 0, sizeof c);
    c[3] = 1;
    ckks_fft_slots(E.cx, z.re, z.im, c);
    size_t g = 1;
    for (int s = 0; s < N10; s++) {
        double a = M_PI * (double)(3 * g % (4 * N10)) / (2 * N10);
        assert_true(fabs(z.re[s] - cos(a)) < 1e-13 && fabs(z.im[s] - sin(a)) < 1e-13);
        g = g * 5 % (4 * N10);
    }
}

static void test_fresh(void **ctx) {
    (void)ctx;
    is(&S.a, &S.A, -30);
    is(&S.b, &S.B, -30);
    struct ckks_public *pk;
    uint8_t seed[CKKS_SEED] = {9};
    OK(ckks_public_new(&pk, E.cx, E.sk, seed));
    for (int l = 0; l <= 16; l += 5) {
        struct ckks_ct c = {0};
        OK(ckks_encrypt_public(&c, E.cx, S.A.re, S.A.im, N10, l, pk, &E.rng));
        is(&c, &S.A, -27);
        ckks_ct_free(&c);
    }
    ckks_public_free(pk);
}

static void test_arithmetic(void **ctx) {
    (void)ctx;
    OK(circuit(E.cx, &S));
    struct vec w;
    for (int s = 0; s < N10; s++) {
        w.re[s] = S.A.re[s] * S.B.re[s] - S.A.im[s] * S.B.im[s];
        w.im[s] = S.A.re[s] * S.B.im[s] + S.A.im[s] * S.B.re[s];
    }
    is(&S.o[0], &w, -26);
    assert_int_equal(S.o[0].level, 8);
    for (int s = 0; s < N10; s++) w.re[s] = S.A.re[(s + 5) % N10], w.im[s] = S.A.im[(s + 5) % N10];
    is(&S.o[1], &w, -26);
    for (int s = 0; s < N10; s++) w.re[s] = S.B.re[s], w.im[s] = -S.B.im[s];
    is(&S.o[2], &w, -26);
    is(&S.o[6], &S.A, -30);
    for (int s = 0; s < N10; s++) {
        w.re[s] = S.A.re[(s + N10 - 7) % N10];
        w.im[s] = S.A.im[(s + N10 - 7) % N10];
    }
    is(&S.o[7], &w, -26);
}

static void test_linear(void **ctx) {
    (void)ctx;
    for (int o = 0; o < 2; o++) {
        struct vec w = {{0}, {0}}, d;
        for (int i = 0; i < 2; i++)
            for (int m = 0; m < lin.count; m++) {
                memset(&d, 0, sizeof d);
                if (!diag3(NULL, o, i, m, d.re, d.im)) continue;
                const struct vec *x = i ? &S.B : &S.A;
                for (int s = 0; s < N10; s++) {
                    int f = (s + 3 * (m - 4) + 4 * N10) % N10;
                    w.re[s] += d.re[s] * x->re[f] - d.im[s] * x->im[f];
                    w.im[s] += d.re[s] * x->im[f] + d.im[s] * x->re[f];
                }
            }
        assert_int_equal(S.o[3 + o].level, 8);
        is(&S.o[3 + o], &w, -24);
    }
}

static void same_bits(const struct ckks_ct *a, const struct ckks_ct *b) {
    assert_true(a->level == b->level && a->polys == b->polys && a->rows == b->rows);
    assert_memory_equal(a->c, b->c, (size_t)(a->polys * a->rows) * 2 * N10 * sizeof *a->c);
}

/* Sets together and one by one, with and without a cache: the same bits, and no plaintext is made
 * twice. */
static void test_linear_sets(void **ctx) {
    (void)ctx;
    const struct ckks_ct *in[2 * SETS] = {&S.a, &S.b, &S.b, &S.a, &S.b, &S.b};
    struct ckks_linear_cache *cache;
    struct ckks_ct y[2 * SETS] = {{0}}, z[2 * SETS] = {{0}}, one[2] = {{0}};
    const uint64_t before = E.cx->count.encodes;
    OK(ckks_linear_prepare(&cache, E.cx, &lin, S.b.level, 0));
    const uint64_t each = E.cx->count.encodes - before;
    OK(ckks_linear_apply(y, in, &lin_sets));
    assert_true(each > 0 && E.cx->count.encodes - before == 2 * each);
    OK(ckks_linear_run(z, in, &lin_sets, cache));
    assert_true(E.cx->count.encodes - before == 2 * each);
    for (int s = 0; s < SETS; s++) {
        OK(ckks_linear_apply(one, in + 2 * s, &lin));
        for (int o = 0; o < 2; o++) {
            same_bits(&y[2 * s + o], &one[o]);
            same_bits(&z[2 * s + o], &one[o]);
            ckks_ct_free(&y[2 * s + o]);
            ckks_ct_free(&z[2 * s + o]);
        }
    }
    for (int o = 0; o < 2; o++) ckks_ct_free(&one[o]);
    ckks_linear_cache_free(cache);
}

static void test_adjust_combine(void **ctx) {
    (void)ctx;
    for (int l = 15; l >= 0; l--) {
        struct ckks_ct c = {0};
        OK(ckks_adjust(&c, &S.a, l));
        assert_int_equal(c.level, l);
        is(&c, &S.A, -27);
        ckks_ct_free(&c);
        if (l < 9) {
            const struct ckks_ct *x[2] = {&S.a, &S.b};
            double k[2] = {0.375, -1.7};
            struct vec w;
            for (int s = 0; s < N10; s++) {
                w.re[s] = k[0] * S.A.re[s] + k[1] * S.B.re[s] + 0.25;
                w.im[s] = k[0] * S.A.im[s] + k[1] * S.B.im[s];
            }
            OK(ckks_combine(&c, x, k, 2, 0.25, l));
            assert_int_equal(c.level, l);
            is(&c, &w, -26);
            ckks_ct_free(&c);
        }
    }
}

static void test_plain_ops(void **ctx) {
    (void)ctx;
    struct ckks_ct c = {0};
    struct vec w;
    OK(ckks_mul_plain(&c, &S.a, S.B.re, S.B.im, N10));
    for (int s = 0; s < N10; s++) {
        w.re[s] = S.A.re[s] * S.B.re[s] - S.A.im[s] * S.B.im[s];
        w.im[s] = S.A.re[s] * S.B.im[s] + S.A.im[s] * S.B.re[s];
    }
    is(&c, &w, -26);
    OK(ckks_mul_plain(&c, &S.a, S.B.re, NULL, 8)); /* a periodic plaintext */
    for (int s = 0; s < N10; s++)
        w.re[s] = S.A.re[s] * S.B.re[s % 8], w.im[s] = S.A.im[s] * S.B.re[s % 8];
    is(&c, &w, -26);
    OK(ckks_mul_i(&c, &S.a, -1));
    for (int s = 0; s < N10; s++) w.re[s] = S.A.im[s], w.im[s] = -S.A.re[s];
    is(&c, &w, -30);
    OK(ckks_add_plain(&c, &S.a, S.B.re, S.B.im, N10));
    OK(ckks_add_const(&c, &c, -3.25));
    OK(ckks_sub(&c, &c, &S.b));
    for (int s = 0; s < N10; s++) w.re[s] = S.A.re[s] - 3.25, w.im[s] = S.A.im[s];
    is(&c, &w, -27);
    double bad[1] = {NAN};
    assert_int_equal(ckks_mul_plain(&c, &S.a, bad, NULL, 1), THOR_RANGE);
    ckks_ct_free(&c);
}

static double clenshaw(const double *c, int d, double x) {
    double b1 = 0, b2 = 0;
    for (int k = d; k > 0; k--) {
        double b = 2 * x * b1 - b2 + c[k];
        b2 = b1, b1 = b;
    }
    return x * b1 - b2 + c[0];
}

static void test_cheb(void **ctx) {
    (void)ctx;
    struct ckks_ct x = {0}, y = {0};
    OK(ckks_encrypt_secret(&x, E.cx, S.A.re, NULL, N10, 16, E.sk, &E.rng));
    static const int degrees[] = {1, 2, 3, 4, 5, 7, 8, 11, 15, 16, 23, 31};
    for (size_t i = 0; i < sizeof degrees / sizeof *degrees; i++) {
        int d = degrees[i];
        struct vec w;
        memset(&w, 0, sizeof w);
        for (int s = 0; s < N10; s++) w.re[s] = clenshaw(cheb_c, d, S.A.re[s]);
        OK(ckks_cheb(&y, &x, cheb_c, d));
        assert_int_equal(y.level, 16 - ckks_cheb_levels(d));
        is(&y, &w, -22);
    }
    ckks_ct_free(&x);
    ckks_ct_free(&y);
}

/* One polynomial with and without a mask: the same level and bound, and noise alone where the mask
 * is 0. */
static void test_cheb_masked(void **ctx) {
    (void)ctx;
    enum { PERIOD = 32, MASKS = 4 };
    struct ckks_ct x = {0}, y = {0}, z = {0}, top = {0}, same = {0};
    double mask[MASKS][PERIOD] = {{0}};
    for (int s = 0; s < PERIOD; s++) mask[0][s] = s < PERIOD / 2, mask[3][s] = 1;
    mask[1][0] = 1;
    engine_message(mask[2], PERIOD, 1, 40);
    static const int degrees[] = {1, 7, 8, 15, 31, 59};
    for (size_t i = 0; i < MASKS * sizeof degrees / sizeof *degrees; i++) {
        int d = degrees[i / MASKS];
        const double *by = mask[i % MASKS];
        struct vec w = {{0}, {0}}, v = {{0}, {0}};
        for (int s = 0; s < N10; s++) {
            w.re[s] = clenshaw(cheb_c, d, S.A.re[s]);
            v.re[s] = by[s % PERIOD] * w.re[s];
        }
        OK(ckks_encrypt_secret(&x, E.cx, S.A.re, NULL, N10, 16, E.sk, &E.rng));
        OK(ckks_cheb(&same, &x, cheb_c, d));
        OK(ckks_cheb_parts(&(struct ckks_cheb_part){&z, by, PERIOD}, 1, NULL, &x, cheb_c, d));
        is(&z, &v, -22);
        struct vec got = dec(&z);
        /* one rescale and one relinearisation a step of the splitting */
        for (int t = 0; t < N10; t++)
            if (by[t % PERIOD] == 0)
                assert_true(fabs(got.re[t]) < 0x1p-27 && fabs(got.im[t]) < 0x1p-27);
        const struct ckks_cheb_part parts[2] = {{&x, NULL, 0}, {&y, by, PERIOD}};
        OK(ckks_cheb_parts(parts, 2, &top, &x, cheb_c, d));
        same_bits(&x, &same);
        same_bits(&y, &z);
        assert_int_equal(y.level, 16 - ckks_cheb_levels(d));
        assert_true(top.level >= y.level);
    }
    mask[0][0] = NAN;
    OK(ckks_adjust(&x, &S.a, 5));
    const struct ckks_cheb_part bad[2] = {{&x, NULL, 0}, {&y, mask[0], PERIOD}};
    assert_int_equal(ckks_cheb_parts(bad, 2, NULL, &x, cheb_c, 7), THOR_RANGE);
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    ckks_ct_free(&z);
    ckks_ct_free(&top);
    ckks_ct_free(&same);
}

static void test_errors(void **ctx) {
    (void)ctx;
    struct ckks_ct c = {0};
    OK(ckks_adjust(&c, &S.a, 0));
    assert_int_equal(ckks_mul(&c, &c, &c), THOR_INTERNAL); /* no level left */
    assert_int_equal(ckks_rotate(&c, &S.a, 77), THOR_KEY); /* no such key */
    ckks_ct_free(&c);
    const struct ckks_params *p;
    assert_int_equal(ckks_params_get(&p, "toy10", 0), THOR_KEY);
    assert_int_equal(ckks_params_get(&p, "nonsense", 1), THOR_USAGE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fft),         cmocka_unit_test(test_fresh),
        cmocka_unit_test(test_arithmetic),  cmocka_unit_test(test_linear),
        cmocka_unit_test(test_linear_sets), cmocka_unit_test(test_adjust_combine),
        cmocka_unit_test(test_plain_ops),   cmocka_unit_test(test_cheb),
        cmocka_unit_test(test_cheb_masked), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
