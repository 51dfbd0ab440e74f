/* The engine on the CUDA back end, emulated or not (see test_cuda_entries.c): a toy context there
 * and one on the CPU, the same seeds; encrypt, multiply, rotate, bootstrap and decrypt give the
 * same bits, so every ciphertext on the way was the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/emu/emulation.h"
#include "tests/engine.h"
#include "tests/harness.h"

enum { SLOTS = 512, TURN = 5, BOOTS = 2, ROUNDS = 3 };
enum { WHOLE, REAL_PART, SPARSE, WAYS }; /* of bootstraps */

struct stage {
    double re[SLOTS], im[SLOTS];
};
struct outcome {
    struct stage product, turned, refreshed[ROUNDS][WAYS];
    struct kernels_counts before, after; /* the bootstraps */
};

static int first_way(int rounds) {
    return rounds == 1 || emulation_mode() > 1 ? SPARSE : WHOLE;
}

/* Bootstraps of two ciphertexts in turn: the first pass of each is measured, the second recorded,
 * the third replayed; rounds 1: only one pass over the sparse one, and only that one where it takes
 * long. */
static int refresh(struct outcome *o, struct ckks_boot *const *boot, const struct ckks_ct *x,
                   const struct ckks_ct *y, const struct ckks_secret *sk, int rounds) {
    int st = THOR_OK;
    struct ckks_ct z = {0};
    for (int r = 0; r < rounds; r++) {
        for (int j = first_way(rounds); j < WAYS; j++) {
            TRY((j == REAL_PART ? ckks_bootstrap_real : ckks_bootstrap)(&z, r % 2 ? x : y,
                                                                        boot[j == SPARSE]));
            if (o) TRY(ckks_decrypt(o->refreshed[r][j].re, o->refreshed[r][j].im, &z, sk));
        }
    }
out:
    ckks_ct_free(&z);
    return st;
}

/* x^2, and the same turned by TURN places, at a low level; both refreshed */
static int circuit(struct ckks *cx, const struct ckks_secret *sk, struct ckks_boot *const *boot,
                   struct outcome *o, int rounds) {
    int st = THOR_OK;
    const uint8_t seed[CKKS_SEED] = {7};
    double re[SLOTS], im[SLOTS];
    struct ckks_rng rng;
    struct ckks_ct x = {0}, y = {0};
    engine_message(re, SLOTS, 1, 1);
    engine_message(im, SLOTS, 1, 2);
    ckks_rng_init(&rng, seed, 99);
    TRY(ckks_encrypt_secret(&x, cx, re, im, SLOTS, 4, sk, &rng));
    TRY(ckks_mul(&x, &x, &x));
    if (o) TRY(ckks_decrypt(o->product.re, o->product.im, &x, sk));
    TRY(ckks_rotate(&y, &x, TURN));
    if (o) TRY(ckks_decrypt(o->turned.re, o->turned.im, &y, sk));
    if (o) o->before = cx->k->counts;
    TRY(refresh(o, boot, &x, &y, sk, rounds));
    if (o) o->after = cx->k->counts;
out:
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    return st;
}

static int open_boots(struct ckks_boot **boot, struct ckks *cx) {
    int st = THOR_OK;
    TRY(ckks_boot_new(&boot[0], cx, 9, 1)); /* all slots */
    TRY(ckks_boot_new(&boot[1], cx, 4, 1)); /* few, both lanes side by side */
out:
    return st;
}

static void close_boots(struct ckks_boot **boot) {
    for (int j = 0; j < BOOTS; j++) ckks_boot_free(boot[j]);
}

static int find_needs(struct ckks **dry, const struct ckks_params *p,
                      const struct ckks_secret *sk) {
    int st = THOR_OK;
    struct ckks_boot *boot[BOOTS] = {NULL, NULL};
    TRY(ckks_open(dry, p, KERN_DRY, KERN_TIER_BEST, 0));
    TRY(open_boots(boot, *dry));
    TRY(circuit(*dry, sk, boot, NULL, 2));
out:
    close_boots(boot);
    return st;
}

/* The circuit under one secret or two, one after the other, so with two sets of keys; `rounds` of
 * the first. */
static int run(struct outcome o[2], enum kern_kind kind, int threads, int rounds, int secrets) {
    int st = THOR_OK;
    const struct ckks_params *p;
    struct ckks *dry = NULL, *cx = NULL;
    struct ckks_secret *sk = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_boot *boot[BOOTS] = {NULL, NULL};
    TRY(ckks_params_get(&p, "toy10", 1));
    TRY(ckks_open(&cx, p, kind, KERN_TIER_BEST, threads));
    TRY(open_boots(boot, cx));
    for (uint8_t i = 0; i < secrets; i++) {
        const uint8_t seed[CKKS_SEED] = {(uint8_t)(7 + i)};
        TRY(ckks_secret_new(&sk, p, seed));
        if (!dry) TRY(find_needs(&dry, p, sk));
        TRY(ckks_keys_new(&keys, cx, sk, dry->needs, dry->n_needs, seed, NULL, NULL));
        ckks_use_keys(cx, keys);
        TRY(circuit(cx, sk, boot, &o[i], i ? 1 : rounds));
        TRY(cx->k->sync(cx->k));
        ckks_keys_free(keys);
        ckks_secret_free(sk);
        keys = NULL;
        sk = NULL;
    }
out:
    close_boots(boot);
    ckks_keys_free(keys);
    ckks_secret_free(sk);
    ckks_close(dry);
    ckks_close(cx);
    return st;
}

static struct outcome want[2], got[2];

static void same_stages(const struct outcome *a, const struct outcome *b, int rounds) {
    assert_memory_equal(&a->product, &b->product, sizeof a->product);
    assert_memory_equal(&a->turned, &b->turned, sizeof a->turned);
    for (int r = 0; r < rounds; r++) {
        for (int j = first_way(rounds); j < WAYS; j++) {
            assert_memory_equal(&a->refreshed[r][j], &b->refreshed[r][j], sizeof(struct stage));
        }
    }
}

static void same_bits(void **state) {
    (void)state;
    assert_int_equal(run(want, KERN_CPU, 1, ROUNDS, 2), THOR_OK);
    if (run(got, KERN_CUDA, 0, ROUNDS, 2)) fail_msg("%s", thor_error());
    same_stages(&got[0], &want[0], ROUNDS);
    same_stages(&got[1], &want[1], 1);
    assert_memory_not_equal(&got[0].refreshed[0], &got[0].refreshed[1], sizeof got[0].refreshed[0]);
    harness_same_counts(&got[0].before, &want[0].before);
    assert_int_equal(emulation_errors(), 0);
}

/* Of three rounds two are replays, and nothing was called that a capture cannot hold; other keys
 * end it. */
static void replayed(void **state) {
    (void)state;
    const uint64_t passes = (uint64_t)((ROUNDS - 1) * (WAYS - first_way(ROUNDS)));
    assert_int_equal(got[0].after.replays, passes);
    assert_int_equal(got[1].after.replays, passes);
    assert_int_equal(want[0].after.replays, 0);
    assert_int_equal(emulation_refused(), 0);
    uint64_t rows = want[0].after.rows_ntt - want[0].before.rows_ntt;
    assert_int_equal(got[0].after.rows_ntt - got[0].before.rows_ntt, rows);
}

/* Where every access is watched: once through it all. */
static void one_pass(void **state) {
    (void)state;
    assert_int_equal(run(want, KERN_CPU, 1, 1, 1), THOR_OK);
    if (run(got, KERN_CUDA, 0, 1, 1)) fail_msg("%s", thor_error());
    same_stages(&got[0], &want[0], 1);
    assert_int_equal(emulation_errors(), 0);
}

static void switched_off(void **state) {
    (void)state;
    static struct outcome plain[2];
    assert_int_equal(setenv("THOR_GRAPHS", "0", 1), 0);
    int st = run(plain, KERN_CUDA, 0, 1, 1);
    unsetenv("THOR_GRAPHS");
    assert_int_equal(st, THOR_OK);
    assert_int_equal(plain[0].after.replays, 0);
    same_stages(&plain[0], &want[0], 1);
}

/* and what they hold is right: the noise of test_boot.c, 2^-21.8 at worst, its polynomial, 2^-25,
 * and the sine, which for messages up to 2 is off by 2^-22 */
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
    assert_true(bits_worst(got[0].refreshed[0][0].re, sq_re, SLOTS) <= -20.8);
    assert_true(bits_worst(got[0].refreshed[0][0].im, sq_im, SLOTS) <= -20.8);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_bits), cmocka_unit_test(replayed),
                                       cmocka_unit_test(switched_off),
                                       cmocka_unit_test(right_numbers)};
    const struct CMUnitTest slow[] = {cmocka_unit_test(same_bits), cmocka_unit_test(replayed)};
    const struct CMUnitTest watched[] = {cmocka_unit_test(one_pass)};
    if (emulation_mode() == 4) return cmocka_run_group_tests(watched, NULL, NULL);
    if (emulation_mode() == 2) return cmocka_run_group_tests(slow, NULL, NULL);
    return cmocka_run_group_tests_name("engine on CUDA", tests, NULL, NULL);
}
