/* Linear maps of the kernel table: the same bits on every tier, exact against GMP, weights as
 * encode and the short transform make them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/maps.h"

enum { TIERS = 3, PRIMES = 32 };
static struct kernels *tier[TIERS];
static int tiers;

static void open_ring(int log_n, int threads) {
    static const enum kern_tier all[TIERS] = {KERN_TIER_REF, KERN_TIER_AVX2, KERN_TIER_AVX512};
    uint32_t q[PRIMES];
    harness_chain(q, PRIMES, log_n);
    tiers = 0;
    for (int i = 0; i < TIERS; i++) {
        struct kernels *k;
        assert_int_equal(kernels_open_cpu(&k, log_n, q, PRIMES, all[i], threads), THOR_OK);
        if (i && !strcmp(k->tier, tier[tiers - 1]->tier))
            kernels_close(k); /* not on this machine */
        else
            tier[tiers++] = k;
    }
}

static void close_ring(void) {
    for (int i = 0; i < tiers; i++) {
        assert_int_equal(tier[i]->counts.bytes_now, 0);
        harness_same_counts(&tier[i]->counts, &tier[0]->counts);
    }
    for (int i = 0; i < tiers; i++) kernels_close(tier[i]);
}

static void one(struct maps m) {
    maps_compare(m, tier, tiers, 0);
}
static void one_exact(struct maps m) {
    maps_compare(m, tier, tiers, 1);
}

static void exact_shapes(void **state) {
    (void)state;
    open_ring(4, 1);
    maps_shapes(tier[0], one_exact);
    close_ring();
}

static void shapes(void **state) {
    (void)state;
    for (int log_n = 5; log_n <= 8; log_n += 3) {
        open_ring(log_n, 1 + log_n % 2);
        maps_shapes(tier[0], one);
        close_ring();
    }
}

/* 255 products of (q - 1)^2 and q - 1 for the largest prime: the closest to 2^64. */
static void largest_sums(void **state) {
    (void)state;
    open_ring(6, 1);
    for (int terms = 253; terms <= 512; terms++) {
        if (terms > 257 && terms < 508) continue;
        maps_compare((struct maps){.outputs = 7,
                                   .terms = terms,
                                   .polys = 1,
                                   .limbs = 1,
                                   .first = 1,
                                   .log_rep = 5,
                                   .accumulate = 1,
                                   .kind = FILL_TOP},
                     tier, tiers, 1);
    }
    close_ring();
}

/* More outputs than a tier takes at once, classes that fill its panels and a few over, a long run.
 */
static void many_outputs(void **state) {
    (void)state;
    open_ring(10, 2);
    struct maps m = {
        .outputs = 260, .terms = 3, .polys = 2, .limbs = 1, .log_rep = 5, .kind = FILL_RANDOM};
    one(m);
    m.outputs = 11, m.terms = 300, m.log_rep = 10;
    one(m);
    m.log_rep = 6, m.accumulate = 1;
    one(m);
    for (m.log_rep = 0; m.log_rep < 5; m.log_rep++) { /* runs shorter than a tile */
        m.polys = 3 - m.log_rep % 2, m.accumulate = m.log_rep < 2;
        m.kind = m.log_rep ? FILL_RANDOM : FILL_TOP;
        one(m);
    }
    close_ring();
}

/* sum w a with weights from encode and the short transform, against the same polynomials in
 * X^(N/2C) transformed whole and multiplied one by one. */
static void encoded_weights(void **state) {
    (void)state;
    enum { OUTPUTS = 3, TERMS = 4, LOG_SLOTS = 4, LIMBS = 2, SLOTS = 1 << LOG_SLOTS };
    open_ring(10, 1);
    struct kernels *k = tier[tiers - 1];
    const struct kbasis b = harness_basis(2, LIMBS);
    const size_t n = (size_t)1 << 10, shorter = 2 * SLOTS, gap = n / shorter;
    const int weights = OUTPUTS * TERMS;
    uint64_t rng = 3;
    double z[OUTPUTS * TERMS * 2 * SLOTS];
    uint32_t *p = NULL, *host = calloc(n, sizeof *host);
    for (size_t i = 0; i < sizeof z / sizeof *z; i++) z[i] = (double)(harness_next(&rng) % 1000);
    assert_int_equal(k->alloc(k, &p, 40), THOR_OK);
    uint32_t *a = p + 12 * n, *out = a + TERMS * LIMBS * n, *want = out + OUTPUTS * LIMBS * n,
             *full = want + LIMBS * n;
    struct kvec w = {p, LIMBS}, wide = {full, LIMBS}, sum = {want, LIMBS};
    for (size_t i = 0; i < TERMS * LIMBS; i++) {
        for (size_t j = 0; j < n; j++)
            host[j] = (uint32_t)(harness_next(&rng) % k->q[2 + i % LIMBS]);
        k->upload(k, a + i * n, host, n);
    }
    k->encode(k, w, z, LOG_SLOTS, 0, 1024, &b, weights);
    k->ntt_fwd(k, w, &b, weights, LOG_SLOTS + 1);
    const struct klinear l = {.out = {out, LIMBS, 0},
                              .a = {a, LIMBS, 0},
                              .outputs = OUTPUTS,
                              .terms = TERMS,
                              .w = p,
                              .w_pitch = LIMBS,
                              .log_rep = 10 - LOG_SLOTS - 1};
    assert_int_equal(k->linear(k, &l, &b, 1), THOR_OK);
    k->encode(k, w, z, LOG_SLOTS, 0, 1024, &b, weights); /* coefficients */
    for (int o = 0; o < OUTPUTS; o++) {
        uint32_t got[LIMBS << 10], right[LIMBS << 10], c[2 * SLOTS];
        k->zero(k, sum, LIMBS, 1);
        for (int t = 0; t < TERMS; t++) {
            for (size_t r = 0; r < LIMBS; r++) {
                k->download(k, c, p + ((size_t)(o * TERMS + t) * LIMBS + r) * shorter, shorter);
                memset(host, 0, n * sizeof *host);
                for (size_t i = 0; i < shorter; i++) host[i * gap] = c[i];
                k->upload(k, full + r * n, host, n);
            }
            k->ntt_fwd(k, wide, &b, 1, 10);
            k->mul(k, wide, wide, (struct kvec){a + (size_t)t * LIMBS * n, LIMBS}, &b, 1);
            k->add(k, sum, sum, wide, &b, 1);
        }
        k->download(k, got, out + (size_t)o * LIMBS * n, LIMBS * n);
        k->download(k, right, want, LIMBS * n);
        assert_memory_equal(got, right, sizeof got);
    }
    k->release(k, p);
    free(host);
    for (int i = 0; i < tiers; i++) kernels_close(tier[i]);
}

static void refusals(void **state) {
    (void)state;
    struct kernels *dry;
    open_ring(4, 1);
    for (int i = 0; i < tiers; i++) maps_refusals(tier[i]);
    assert_int_equal(kernels_open_dry(&dry, 4, tier[0]->q, PRIMES), THOR_OK);
    maps_refusals(dry);
    harness_same_counts(&dry->counts, &tier[0]->counts);
    kernels_close(dry);
    close_ring();
}

static void dry_counts(void **state) {
    (void)state;
    struct kernels *k;
    uint32_t q[3], *p = NULL;
    const struct kbasis b = harness_basis(0, 3);
    harness_chain(q, 3, 10);
    assert_int_equal(kernels_open_dry(&k, 10, q, 3), THOR_OK);
    assert_int_equal(k->alloc(k, &p, 200), THOR_OK);
    struct klinear l = {.out = {p, 6, 3},
                        .a = {p + 30 * 1024, 6, 3},
                        .outputs = 5,
                        .terms = 7,
                        .w = p + 80 * 1024,
                        .w_pitch = 3,
                        .log_rep = 4};
    assert_int_equal(k->linear(k, &l, &b, 2), THOR_OK);
    assert_int_equal(k->counts.rows_dot, 5 * 7 * 3 * 2);
    assert_int_equal(k->counts.products, 5 * 7 * 3 * 2 * 1024);
    assert_int_equal(k->counts.launches, 1);
    assert_int_equal(k->counts.bytes_moved, 4 * ((5 + 7) * 3 * 2 * 1024 + 5 * 7 * 3 * 64));
    l.accumulate = 1;
    assert_int_equal(k->linear(k, &l, &b, 2), THOR_OK);
    assert_int_equal(k->counts.bytes_moved,
                     4 * ((5 + 5 + 7 + 5 + 7) * 3 * 2 * 1024 + 2 * 5 * 7 * 3 * 64));
    k->release(k, p);
    kernels_close(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_shapes),    cmocka_unit_test(shapes),
        cmocka_unit_test(largest_sums),    cmocka_unit_test(many_outputs),
        cmocka_unit_test(encoded_weights), cmocka_unit_test(refusals),
        cmocka_unit_test(dry_counts),
    };
    return cmocka_run_group_tests_name("linear maps", tests, NULL, NULL);
}
