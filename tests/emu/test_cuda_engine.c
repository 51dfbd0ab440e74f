/* The engine on the CUDA back end, emulated or not (see test_cuda_entries.c): a toy context there and one on the CPU, the same seeds;
 * encrypt, multiply, rotate, bootstrap and decrypt give the same bits, so every ciphertext on the
 * way was the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/emu/emulation.h"
#include "tests/engine.h"
#include "tests/harness.h"

enum { SLOTS = 512, TURN = 5 };

struct stage {
    double re[SLOTS], im[SLOTS];
};
struct outcome {
    struct stage product, turned, refreshed;
    struct kernels_counts counts;
};

/* (x^2 turned by TURN places) at a low level, refreshed with all slots in use */
static int circuit(struct ckks *cx, const struct ckks_secret *sk, struct ckks_rng *rng,
                   struct outcome *o) {
    int st = THOR_OK;
    double re[SLOTS], im[SLOTS];
    struct ckks_ct x = {0}, y = {0};
    struct ckks_boot *b = NULL;
    engine_message(re, SLOTS, 1, 1);
    engine_message(im, SLOTS, 1, 2);
    TRY(ckks_encrypt_secret(&x, cx, re, im, SLOTS, 4, sk, rng));
    TRY(ckks_mul(&x, &x, &x));
    if (o) TRY(ckks_decrypt(o->product.re, o->product.im, &x, sk));
    TRY(ckks_rotate(&y, &x, TURN));
    if (o) TRY(ckks_decrypt(o->turned.re, o->turned.im, &y, sk));
    TRY(ckks_boot_new(&b, cx, 9, 1));
    TRY(ckks_bootstrap(&x, &y, b));
    if (o) TRY(ckks_decrypt(o->refreshed.re, o->refreshed.im, &x, sk));
out:
    ckks_boot_free(b);
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    return st;
}

static int run(struct outcome *o, enum kern_kind kind, int threads) {
    int st = THOR_OK;
    const struct ckks_params *p;
    const uint8_t seed[CKKS_SEED] = {7};
    struct ckks *dry = NULL, *cx = NULL;
    struct ckks_secret *sk = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_rng rng;
    TRY(ckks_params_get(&p, "toy10", 1));
    TRY(ckks_open(&dry, p, KERN_DRY, KERN_TIER_BEST, 0));
    TRY(ckks_secret_new(&sk, p, seed));
    ckks_rng_init(&rng, seed, 99);
    TRY(circuit(dry, sk, &rng, NULL));
    TRY(ckks_open(&cx, p, kind, KERN_TIER_BEST, threads));
    TRY(ckks_keys_new(&keys, cx, sk, dry->needs, dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(cx, keys);
    ckks_rng_init(&rng, seed, 99);
    TRY(circuit(cx, sk, &rng, o));
    TRY(cx->k->sync(cx->k));
    o->counts = cx->k->counts;
out:
    ckks_keys_free(keys);
    ckks_secret_free(sk);
    ckks_close(dry);
    ckks_close(cx);
    return st;
}

static struct outcome want, got;

static void same_bits(void **state) {
    (void)state;
    assert_int_equal(run(&want, KERN_CPU, 1), THOR_OK);
    int st = run(&got, KERN_CUDA, 0);
    if (st) fail_msg("%s", thor_error());
    assert_memory_equal(&got.product, &want.product, sizeof got.product);
    assert_memory_equal(&got.turned, &want.turned, sizeof got.turned);
    assert_memory_equal(&got.refreshed, &want.refreshed, sizeof got.refreshed);
    harness_same_counts(&got.counts, &want.counts);
    assert_int_equal(emulation_errors(), 0);
}

/* and what they hold is right: 2^-20.3 for the bootstrap, as in test_boot */
static void right_numbers(void **state) {
    (void)state;
    double re[SLOTS], im[SLOTS], sq_re[SLOTS], sq_im[SLOTS];
    engine_message(re, SLOTS, 1, 1);
    engine_message(im, SLOTS, 1, 2);
    for (int s = 0; s < SLOTS; s++) {
        const int from = (s + TURN) % SLOTS;
        sq_re[s] = re[from] * re[from] - im[from] * im[from];
        sq_im[s] = 2 * re[from] * im[from];
    }
    assert_true(bits_worst(got.refreshed.re, sq_re, SLOTS) <= -19.3);
    assert_true(bits_worst(got.refreshed.im, sq_im, SLOTS) <= -19.3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits),
                                       cmocka_unit_test(right_numbers)};
    return cmocka_run_group_tests_name("engine on CUDA", tests, NULL, NULL);
}
