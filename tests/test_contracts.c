/* The borders of every operation: the last legal argument works, the first illegal one is refused
 * with the promised status, and a refusal leaves the output as it was. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/engine.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { SLOTS = 512 };
static struct engine E;
static double re[SLOTS], im[SLOTS], back[SLOTS];

static int encrypt(struct ckks_ct *out, int level) {
    return ckks_encrypt_secret(out, E.cx, re, im, SLOTS, level, E.sk, &E.rng);
}

static int circuit(struct ckks *cx, void *arg) {
    int st = THOR_OK;
    (void)arg;
    struct ckks_ct x = {0};
    TRY(ckks_zero(&x, cx, 2));
    TRY(ckks_rotate(&x, &x, 1));
    TRY(ckks_mul(&x, &x, &x));
out:
    ckks_ct_free(&x);
    return st;
}

static int setup(void **state) {
    (void)state;
    engine_message(re, SLOTS, 0.7, 1);
    engine_message(im, SLOTS, 0.7, 2);
    engine_open(&E, "toy10", circuit, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    engine_close(&E);
    return 0;
}

static void decrypts(const struct ckks_ct *x) {
    OK(ckks_decrypt(back, NULL, x, E.sk));
    assert_true(bits_worst(back, re, SLOTS) < -24);
}

static void levels_of_messages(void **state) {
    (void)state;
    struct ckks_ct x = {0}, z = {0};
    struct ckks_public *pk;
    uint8_t seed[CKKS_SEED] = {1};
    OK(ckks_public_new(&pk, E.cx, E.sk, seed));
    static const int good[] = {0, 1, 16}, bad[] = {-1, 17, 27, 1000};
    for (size_t i = 0; i < 3; i++) {
        OK(encrypt(&x, good[i]));
        assert_int_equal(x.level, good[i]);
        decrypts(&x);
        OK(ckks_encrypt_public(&x, E.cx, re, im, SLOTS, good[i], pk, &E.rng));
        decrypts(&x);
        OK(ckks_zero(&z, E.cx, good[i]));
        assert_int_equal(z.level, good[i]);
        OK(ckks_decrypt(back, NULL, &z, E.sk));
        for (int s = 0; s < SLOTS; s++) assert_true(back[s] == 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(encrypt(&x, bad[i]), THOR_INTERNAL);
        assert_int_equal(ckks_encrypt_public(&x, E.cx, re, im, SLOTS, bad[i], pk, &E.rng),
                         THOR_INTERNAL);
        assert_int_equal(ckks_zero(&x, E.cx, bad[i]), THOR_INTERNAL);
        decrypts(&x); /* as it was */
    }
    ckks_public_free(pk);
    ckks_ct_free(&x);
    ckks_ct_free(&z);
}

static void periods(void **state) {
    (void)state;
    struct ckks_ct x = {0};
    static const size_t good[] = {1, 2, 256, 512}, bad[] = {0, 3, 511, 513, 1024};
    for (size_t i = 0; i < 4; i++) {
        OK(ckks_encrypt_secret(&x, E.cx, re, NULL, good[i], 2, E.sk, &E.rng));
        OK(ckks_decrypt(back, NULL, &x, E.sk));
        for (size_t s = 0; s < SLOTS; s++) assert_true(fabs(back[s] - re[s % good[i]]) < 1e-7);
    }
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(ckks_encrypt_secret(&x, E.cx, re, NULL, bad[i], 2, E.sk, &E.rng),
                         THOR_INTERNAL);
    ckks_ct_free(&x);
}

static void values(void **state) {
    (void)state;
    struct ckks_ct x = {0}, y = {0};
    const double odd[] = {NAN, INFINITY, -INFINITY, 1e300};
    OK(encrypt(&x, 2));
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ckks_encrypt_secret(&y, E.cx, &odd[i], NULL, 1, 2, E.sk, &E.rng),
                         THOR_RANGE);
        assert_int_equal(ckks_encrypt_secret(&y, E.cx, re, &odd[i], 1, 2, E.sk, &E.rng),
                         THOR_RANGE);
        assert_int_equal(ckks_add_plain(&y, &x, &odd[i], NULL, 1), THOR_RANGE);
        assert_int_equal(ckks_mul_plain(&y, &x, &odd[i], NULL, 1), THOR_RANGE);
        assert_int_equal(ckks_add_const(&y, &x, odd[i]), THOR_RANGE);
        const struct ckks_ct *one[1] = {&x};
        assert_int_equal(ckks_combine(&y, one, &odd[i], 1, 0, 1), THOR_RANGE);
        assert_null(y.c);
    }
    ckks_ct_free(&x);
}

static void adjusting(void **state) {
    (void)state;
    struct ckks_ct x = {0}, y = {0};
    OK(encrypt(&x, 5));
    OK(ckks_adjust(&y, &x, 5));
    decrypts(&y);
    OK(ckks_adjust(&y, &x, 0));
    decrypts(&y);
    assert_int_equal(ckks_adjust(&y, &x, 6), THOR_INTERNAL);
    assert_int_equal(ckks_adjust(&y, &x, 16), THOR_INTERNAL);
    assert_int_equal(ckks_adjust(&y, &x, -1), THOR_INTERNAL);
    decrypts(&y);
    ckks_ct_free(&x);
    ckks_ct_free(&y);
}

static void unrescaled_products(void **state) {
    (void)state;
    struct ckks_ct x = {0}, p = {0}, y = {0};
    OK(encrypt(&x, 2));
    const struct ckks_ct *one[1] = {&x}, *pending[1] = {&p};
    const double c[1] = {0.5};
    const int by[1] = {1};
    OK(ckks_dot(&p, one, one, 1, 0));
    assert_int_equal(p.pending, 1);
    assert_int_equal(p.level, 2);
    assert_int_equal(ckks_decrypt(back, NULL, &p, E.sk), THOR_INTERNAL);
    assert_int_equal(ckks_adjust(&y, &p, 1), THOR_INTERNAL);
    assert_int_equal(ckks_mul(&y, &p, &x), THOR_INTERNAL);
    assert_int_equal(ckks_mul(&y, &x, &p), THOR_INTERNAL);
    assert_int_equal(ckks_mul_plain(&y, &p, re, NULL, SLOTS), THOR_INTERNAL);
    assert_int_equal(ckks_add(&y, &p, &x), THOR_INTERNAL);
    assert_int_equal(ckks_sub(&y, &x, &p), THOR_INTERNAL);
    assert_int_equal(ckks_combine(&y, pending, c, 1, 0, 1), THOR_INTERNAL);
    assert_int_equal(ckks_cheb(&y, &p, (const double[2]){0, 1}, 1), THOR_INTERNAL);
    assert_int_equal(ckks_rescale(&y, &x), THOR_INTERNAL);
    assert_null(y.c);
    OK(ckks_add(&y, &p, &p)); /* both pending: fine */
    assert_int_equal(y.pending, 1);
    OK(ckks_rescale(&y, &y));
    assert_int_equal(y.pending, 0);
    assert_int_equal(y.level, 1);
    OK(ckks_rotate(&y, &p, 1)); /* rotations take both */
    OK(ckks_rotate_many(&y, &x, by, 1));
    ckks_ct_free(&x);
    ckks_ct_free(&p);
    ckks_ct_free(&y);
}

/* All products of a sum have one level; a refused one empties it. */
static void sums_of_one_level(void **state) {
    (void)state;
    struct ckks_ct x = {0}, low = {0}, y = {0};
    struct ckks_sum sum = {0};
    OK(encrypt(&x, 2));
    OK(encrypt(&low, 1));
    const struct ckks_ct *high[1] = {&x}, *lower[1] = {&low};
    assert_int_equal(ckks_sum_end(&y, &sum, 1), THOR_INTERNAL);
    OK(ckks_sum_add(&sum, high, high, 1, 1));
    assert_int_equal(ckks_sum_add(&sum, lower, high, 1, 0), THOR_INTERNAL);
    assert_null(sum.acc);
    assert_int_equal(ckks_sum_end(&y, &sum, 1), THOR_INTERNAL);
    OK(ckks_sum_add(&sum, high, lower, 1, 0));
    OK(ckks_sum_end(&y, &sum, 0));
    assert_null(sum.acc);
    assert_true(y.pending == 1 && y.level == 1);
    ckks_ct_free(&x);
    ckks_ct_free(&low);
    ckks_ct_free(&y);
}

static void last_level(void **state) {
    (void)state;
    struct ckks_ct x = {0}, y = {0}, none = {0};
    OK(encrypt(&x, 0));
    const struct ckks_ct *one[1] = {&x};
    const double c[1] = {0.5};
    assert_int_equal(ckks_mul(&y, &x, &x), THOR_INTERNAL);
    assert_int_equal(ckks_dot(&y, one, one, 1, 0), THOR_INTERNAL);
    assert_int_equal(ckks_mul_plain(&y, &x, re, NULL, SLOTS), THOR_INTERNAL);
    assert_int_equal(ckks_combine(&y, one, c, 1, 0, 0), THOR_INTERNAL);
    assert_int_equal(ckks_combine(&y, one, c, 1, 0, -1), THOR_INTERNAL);
    assert_int_equal(ckks_dot(&y, one, one, 0, 1), THOR_INTERNAL);
    assert_int_equal(ckks_dot(&y, one, one, 128, 1), THOR_INTERNAL);
    assert_int_equal(ckks_mul(&y, &none, &x), THOR_INTERNAL);
    assert_int_equal(ckks_rotate(&y, &none, 1), THOR_INTERNAL);
    assert_int_equal(ckks_conj(&y, &none), THOR_INTERNAL);
    assert_int_equal(ckks_rotate_many(&y, &none, (const int[1]){1}, 1), THOR_INTERNAL);
    assert_int_equal(ckks_cheb(&y, &x, (const double[2]){0, 1}, 1), THOR_INTERNAL);
    assert_int_equal(ckks_cheb(&y, &x, c, 0), THOR_INTERNAL);
    assert_null(y.c);
    OK(ckks_add_const(&y, &x, 0.25));
    ckks_ct_free(&x);
    ckks_ct_free(&y);
}

static void keys_that_are_missing(void **state) {
    (void)state;
    struct ckks_ct x = {0}, y = {0};
    const int by[2] = {1, 2};
    OK(encrypt(&x, 2));
    assert_int_equal(ckks_rotate(&y, &x, 2), THOR_KEY);
    assert_int_equal(ckks_rotate_many(&y, &x, by + 1, 1), THOR_KEY);
    assert_int_equal(ckks_conj(&y, &x), THOR_KEY);
    OK(encrypt(&x, 3)); /* the keys are for level 2 */
    assert_int_equal(ckks_mul(&y, &x, &x), THOR_KEY);
    assert_null(y.c);
    ckks_ct_free(&x);
}

/* ---- the list of a dry run: no key is missing, and without any one the circuit is refused ---- */

static int diagonal(void *ctx, int o, int i, int m, double *d_re, double *d_im) {
    (void)ctx, (void)d_im;
    for (int s = 0; s < SLOTS; s++) d_re[s] = 0.01 * (1 + (s + o + i + m) % 7);
    return 1;
}

static int transform(struct ckks *cx, const struct ckks_ct *x) {
    static const struct ckks_linear t = {.stride = 1,
                                         .first = 0,
                                         .count = 9,
                                         .baby = 4,
                                         .period = SLOTS,
                                         .inputs = 1,
                                         .outputs = 1,
                                         .diag = diagonal};
    static const struct ckks_linear few = {.stride = 16,
                                           .first = 0,
                                           .count = 3,
                                           .baby = 4,
                                           .period = SLOTS,
                                           .inputs = 1,
                                           .outputs = 1,
                                           .diag = diagonal};
    struct ckks_ct y = {0}, z = {0};
    const struct ckks_ct *in[1];
    int st = THOR_OK;
    if (x)
        TRY(ckks_copy(&z, x));
    else
        TRY(ckks_zero(&z, cx, 3));
    in[0] = &z;
    TRY(ckks_linear_apply(&y, in, &few));
    TRY(ckks_linear_apply(&y, in, &t));
    TRY(ckks_mul(&y, &y, &y));
out:
    ckks_ct_free(&y);
    ckks_ct_free(&z);
    return st;
}

static void exact_list_of_keys(void **state) {
    (void)state;
    struct ckks *dry, *cx;
    struct ckks_keys *keys, some;
    struct ckks_ct x = {0};
    uint8_t seed[CKKS_SEED] = {1};
    OK(ckks_open(&dry, E.p, KERN_DRY, KERN_TIER_BEST, 0));
    OK(transform(dry, NULL));
    /* each key in one run, in the order of first use */
    assert_int_equal(dry->n_uses, dry->n_needs);
    for (int i = 0; i < dry->n_uses; i++) assert_int_equal(dry->uses[i], dry->needs[i].id);
    OK(ckks_open(&cx, E.p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_keys_new(&keys, cx, E.sk, dry->needs, dry->n_needs, seed, NULL, NULL));
    OK(ckks_encrypt_secret(&x, cx, re, NULL, SLOTS, 3, E.sk, &E.rng));
    ckks_use_keys(cx, keys);
    OK(transform(cx, &x));
    /* steps 16, 32; baby steps 1, 2, 3; giant steps 4, 8; the product */
    assert_int_equal(keys->n, 2 + 3 + 2 + 1);
    some = *keys;
    some.key = malloc((size_t)keys->n * sizeof *some.key);
    size_t bytes = 0;
    for (int i = 0; i < keys->n; i++) {
        some.n = 0;
        for (int j = 0; j < keys->n; j++)
            if (j != i) some.key[some.n++] = keys->key[j];
        ckks_use_keys(cx, &some);
        assert_int_equal(transform(cx, &x), THOR_KEY);
        bytes +=
            (size_t)(keys->key[i].digits * 2 * keys->key[i].rows) * 2 * SLOTS * sizeof(uint32_t);
    }
    assert_int_equal(ckks_needs_bytes(dry, dry->needs, dry->n_needs), bytes);
    ckks_use_keys(cx, NULL);
    free(some.key);
    ckks_ct_free(&x);
    ckks_keys_free(keys);
    ckks_close(cx);
    ckks_close(dry);
}

static void sums_of_many_products(void **state) {
    (void)state;
    enum { MANY = 9 };
    struct ckks_ct x[MANY] = {{0}}, y = {0};
    const struct ckks_ct *a[MANY], *b[MANY];
    double want[SLOTS] = {0};
    for (int i = 0; i < MANY; i++) {
        OK(ckks_encrypt_secret(&x[i], E.cx, re, NULL, SLOTS, 2, E.sk, &E.rng));
        a[i] = &x[i], b[i] = &x[(i + 1) % MANY];
        for (int s = 0; s < SLOTS; s++) want[s] += re[s] * re[s];
    }
    OK(ckks_dot(&y, a, b, MANY, 1));
    OK(ckks_decrypt(back, NULL, &y, E.sk));
    assert_true(bits_worst(back, want, SLOTS) < -24);
    for (int i = 0; i < MANY; i++) ckks_ct_free(&x[i]);
    ckks_ct_free(&y);
}

static void other_parameters(void **state) {
    (void)state;
    const struct ckks_params *p;
    struct ckks_secret *s;
    struct ckks_ct x = {0}, y = {0};
    uint8_t seed[CKKS_SEED] = {1};
    OK(ckks_params_get(&p, "toy11", 1));
    OK(ckks_secret_new(&s, p, seed));
    OK(encrypt(&x, 2));
    assert_int_equal(ckks_encrypt_secret(&y, E.cx, re, NULL, 1, 2, s, &E.rng), THOR_KEY);
    assert_int_equal(ckks_decrypt(back, NULL, &x, s), THOR_KEY);
    struct ckks_public *pk = NULL;
    assert_int_equal(ckks_public_new(&pk, E.cx, s, seed), THOR_KEY);
    assert_null(pk);
    ckks_secret_free(s);
    ckks_ct_free(&x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels_of_messages),
        cmocka_unit_test(periods),
        cmocka_unit_test(values),
        cmocka_unit_test(adjusting),
        cmocka_unit_test(unrescaled_products),
        cmocka_unit_test(sums_of_one_level),
        cmocka_unit_test(last_level),
        cmocka_unit_test(keys_that_are_missing),
        cmocka_unit_test(exact_list_of_keys),
        cmocka_unit_test(sums_of_many_products),
        cmocka_unit_test(other_parameters),
    };
    return cmocka_run_group_tests_name("contracts", tests, setup, teardown);
}
