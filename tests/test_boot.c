/* Bootstrapping at a toy ring: full complex slots, one real lane, sparse real and sparse complex.
 *
 * Bounds.  A bootstrap returns r/(2 pi) sin(2 pi m/r), r = q_0/S_0 = 2^13.87, at most 2^-25 from
 * m.  The fitted polynomial is 2^-29.0 from that at I = 0, less than 2^-27.6 at the others that
 * occur (ckks/evalmod.c).  The noise that counts is the rounding of the rescale that makes
 * u = 2 z^2 - 1: per slot 2 sqrt(R N/2)/B, R = (1 + 2N/3)/12 as both halves are rounded and one is
 * multiplied by the secret, B = 2^55.56 the scale, 2 as the square is doubled.  The polynomial is
 * a^(1/8) cos(w z), w = 2 pi 16.25/8; at z = (I - 1/4)/16.25 its derivative by u is
 *   -a^(1/8) w sin(w z) / 4z,
 * and the three double angles multiply it by 8 a^(7/8) / sin(w z).  Over 2 pi a that is
 * g = 16.25^2/(4 |I - 1/4|): 264 at I = 0, 88 and 53 at I = 1 and -1, less than 38 beyond.
 * T_2(u), the same a quarter as steep, adds 1/32; what follows, less.  So sigma = 2 sqrt(R N/2)/B
 * r g 33/32 = 2^-25.18 where I = 0.  A slot's noise is the secret there, about a complex Gaussian,
 * times that of the rounding: its parts have Laplace's distribution, P(|e| > x) = exp(-sqrt(2)
 * x/sigma).
 *   worst: a chance of 1e-4 for the 0.24 * 1024 parts with I = 0 is 10.4 sigma; and both errors
 *   of the function: 2^-21.6
 *   median, against the sine: with I as the rounded sum of 33 uniforms (deviation 1.66) a part is
 *   below 2^-27.4 half of the time; below 2^-27.1 by 0.633 = 1/2 + 3/sqrt(4 * 128), for samples of
 *   128 slots and more, and 2^-26.7 with what follows; were all slots at I = 0, 0.49 sigma, the
 *   polynomial's error and 3 deviations of a sample of 512: 2^-25.8, for fewer slots, which share
 *   an I, 2^-25.4 with what follows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tests/engine.h"
#include "tests/worse.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { SLOTS = 512 };

static const struct {
    int log_slots, lanes, level_out;
} kinds[] = {
    {9, 1, 16}, {9, 0, 16}, {7, 0, 16}, {7, 1, 15}, {4, 1, 15}, {1, 0, 16},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static double re[KINDS][SLOTS], im[KINDS][SLOTS];
static struct ckks_ct in[KINDS], outs[KINDS];
static struct engine E;

static int circuit(struct ckks *cx, void *arg) {
    int st = THOR_OK;
    (void)arg;
    for (int i = 0; i < KINDS; i++) {
        struct ckks_boot *b = NULL;
        TRY(ckks_boot_new(&b, cx, kinds[i].log_slots, kinds[i].lanes));
        st = ckks_bootstrap(&outs[i], &in[i], b);
        ckks_boot_free(b);
        if (st) return st;
        if (cx->k->kind == KERN_DRY) ckks_ct_free(&outs[i]);
    }
out:
    return st;
}

static int encrypt_all(void) {
    int st = THOR_OK;
    for (int i = 0; i < KINDS; i++) {
        size_t p = (size_t)1 << kinds[i].log_slots;
        engine_message(re[i], p, 1, (uint64_t)i);
        engine_message(im[i], p, kinds[i].lanes, (uint64_t)(50 + i));
        TRY(ckks_encrypt_secret(&in[i], E.cx, re[i], im[i], p, 3, E.sk, &E.rng));
    }
out:
    return st;
}

static int dry_circuit(struct ckks *cx, void *arg) {
    int st = THOR_OK;
    for (int i = 0; i < KINDS; i++) TRY(ckks_zero(&in[i], cx, 3));
    TRY(circuit(cx, arg));
out:
    for (int i = 0; i < KINDS; i++) ckks_ct_free(&in[i]);
    return st;
}

static int setup(void **ctx) {
    (void)ctx;
    engine_open(&E, "toy10", dry_circuit, NULL);
    return encrypt_all();
}

static int teardown(void **ctx) {
    (void)ctx;
    for (int i = 0; i < KINDS; i++) {
        ckks_ct_free(&in[i]);
        ckks_ct_free(&outs[i]);
    }
    engine_close(&E);
    return 0;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* log2 of the median difference to what the sine makes of the message */
static double bits_median(const double *a, const double *m) {
    const double by = 2 * M_PI / exp2(13.87);
    double e[SLOTS];
    for (int s = 0; s < SLOTS; s++) e[s] = fabs(a[s] - sin(by * m[s]) / by);
    qsort(e, SLOTS, sizeof *e, by_size);
    return log2(e[SLOTS / 2]);
}

static void test_kinds(void **ctx) {
    (void)ctx;
    OK(circuit(E.cx, NULL));
    for (int i = 0; i < KINDS; i++) {
        double a[SLOTS], b[SLOTS], want_re[SLOTS], want_im[SLOTS];
        for (int s = 0; s < SLOTS; s++) {
            want_re[s] = re[i][s % (1 << kinds[i].log_slots)];
            want_im[s] = im[i][s % (1 << kinds[i].log_slots)];
        }
        assert_int_equal(outs[i].level, kinds[i].level_out);
        OK(ckks_decrypt(a, b, &outs[i], E.sk));
        double w = worse(bits_worst(a, want_re, SLOTS), bits_worst(b, want_im, SLOTS));
        double m = bits_median(a, want_re);
        if (kinds[i].lanes) m = worse(m, bits_median(b, want_im));
        print_message("2^%d slots, lanes %d: worst 2^%.2f, median 2^%.2f, level %d\n",
                      kinds[i].log_slots, 1 + kinds[i].lanes, w, m, outs[i].level);
        assert_true(w <= -21.6);
        assert_true(m <= (kinds[i].log_slots >= 7 ? -26.7 : -25.4));
    }
}

/* The real part alone of complex slots: what a bootstrap without lanes makes of them; of fewer
 * slots all of the message. */
static void test_real_part(void **ctx) {
    (void)ctx;
    const int of[] = {0, 3};
    for (int i = 0; i < 2; i++) {
        const struct ckks_ct *x = &in[of[i]];
        struct ckks_boot *both = NULL, *one = NULL;
        struct ckks_ct y = {0}, z = {0};
        OK(ckks_boot_new(&both, E.cx, kinds[of[i]].log_slots, 1));
        OK(ckks_boot_new(&one, E.cx, kinds[of[i]].log_slots, i));
        OK(ckks_bootstrap_real(&y, x, both));
        OK(ckks_bootstrap(&z, x, one));
        assert_int_equal(y.level, z.level);
        assert_memory_equal(y.c, z.c, (size_t)(2 * ckks_ct_limbs(&y)) * 2 * SLOTS * sizeof *y.c);
        ckks_ct_free(&y);
        ckks_ct_free(&z);
        ckks_boot_free(both);
        ckks_boot_free(one);
    }
}

/* Matrices that are expanded at each use: the same bits out of a fraction of the memory. */
static void test_lean(void **ctx) {
    (void)ctx;
    struct kernels *k = E.cx->k;
    for (int i = 0; i < KINDS; i++) {
        struct ckks_boot *full = NULL, *lean = NULL;
        struct ckks_ct y = {0};
        size_t before = k->counts.bytes_now;
        OK(ckks_boot_new(&full, E.cx, kinds[i].log_slots, kinds[i].lanes));
        size_t of_full = k->counts.bytes_now - before;
        E.cx->lean = 1;
        E.cx->kept_bytes = 0;
        OK(ckks_boot_new(&lean, E.cx, kinds[i].log_slots, kinds[i].lanes));
        E.cx->lean = 0;
        assert_true(E.cx->kept_bytes > 0);
        assert_true(4 * (k->counts.bytes_now - before - of_full + E.cx->kept_bytes) < of_full);
        for (int twice = 0; twice < 2; twice++) { // the slots kept are not spent by a use
            OK(ckks_bootstrap(&y, &in[i], lean));
            assert_int_equal(y.level, outs[i].level);
            size_t words = (size_t)(2 * ckks_ct_limbs(&y)) << E.cx->params->log_n;
            assert_memory_equal(y.c, outs[i].c, words * sizeof *y.c);
        }
        ckks_ct_free(&y);
        ckks_boot_free(lean);
        ckks_boot_free(full);
    }
}

/* A bootstrapped ciphertext is an ordinary one: 13 products later, which shrink the bootstrap's
 * error and add less than 2^-29 each, it still is right. */
static void test_levels_left(void **ctx) {
    (void)ctx;
    struct ckks_ct x = {0};
    double one[1] = {0.97}, a[SLOTS], b[SLOTS], want[SLOTS];
    OK(ckks_copy(&x, &outs[1]));
    for (int s = 0; s < SLOTS; s++) want[s] = re[1][s];
    while (x.level > 3) {
        OK(ckks_mul_plain(&x, &x, one, NULL, 1));
        for (int s = 0; s < SLOTS; s++) want[s] *= 0.97;
    }
    OK(ckks_decrypt(a, b, &x, E.sk));
    assert_true(bits_worst(a, want, SLOTS) <= -21.6);
    ckks_ct_free(&x);
}

static void test_refusals(void **ctx) {
    (void)ctx;
    struct ckks_boot *b = NULL;
    struct ckks_ct low = {0};
    OK(ckks_boot_new(&b, E.cx, 9, 1));
    OK(ckks_adjust(&low, &in[0], 1));
    assert_int_equal(ckks_bootstrap(&low, &low, b), THOR_INTERNAL);
    ckks_ct_free(&low);
    ckks_boot_free(b);
    assert_int_equal(ckks_boot_new(&b, E.cx, 10, 1), THOR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),    cmocka_unit_test(test_real_part),
        cmocka_unit_test(test_lean),     cmocka_unit_test(test_levels_left),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
