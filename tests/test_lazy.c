/* The lazy ranges of the transforms: rows that reach their ends, and how far the twiddles let any
 * row go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/harness.h"

/* The twiddle of a block of the forward transform; stage s has the blocks 2^s .. 2^(s+1) - 1. */
static uint32_t twiddle(uint32_t psi, size_t block, int log_n, uint32_t q) {
    size_t e = 0;
    for (int j = 0; j < log_n; j++) e |= (block >> j & 1) << (log_n - 1 - j);
    return kern_pow_mod(psi, e, q);
}

/* A row that drives the values of a forward transform to their end on the way to place `path`.
 * The product of stage t comes from one input, at N/2^t (the rest of its tree is zero), so all can
 * be chosen: q/2 where it is added, -7q/16 where it is subtracted, both inside
 * (a w / 2^32 - q/2, a w / 2^32 + q/2), the range of a signed reduction, for every w < q < 2^28.
 * Unreduced, the place would end at no less than q (1 + 7/16 log). */
static void steep_row(uint32_t *x, uint32_t q, int log, size_t path) {
    uint32_t psi = kernels_psi(q, log), up = (q - 1) / 2, down = q - q / 16 * 7;
    memset(x, 0, sizeof *x << log);
    x[0] = q - 1;
    for (int t = 1; t <= log; t++) {
        uint32_t w = twiddle(psi, ((size_t)1 << log | path) >> (log - t + 1), log, q);
        uint64_t product = path >> (log - t) & 1 ? down : up;
        x[(size_t)1 << (log - t)] = (uint32_t)(product * kern_inv_mod(w, q) % q);
    }
}

/* What ntt_fwd and then ntt_inv make of x, one behind the other. */
static void there_and_back(uint32_t *both, struct kernels *k, const uint32_t *x) {
    const struct kbasis b = harness_basis(0, 1);
    const size_t n = (size_t)1 << k->log_n;
    struct guarded g;
    guarded_open(&g, k, x, n);
    for (int i = 0; i < 2; i++) {
        (i ? k->ntt_inv : k->ntt_fwd)(k, (struct kvec){g.p, 1}, &b, 1, k->log_n);
        uint32_t *y = guarded_read(&g);
        memcpy(both + (size_t)i * n, y, n * sizeof *y);
        free(y);
    }
    guarded_close(&g);
}

enum { REF, AVX2, AVX512, TIERS };

static void ends_are_reached(void **state) {
    (void)state;
    const enum kern_tier tiers[TIERS] = {KERN_TIER_REF, KERN_TIER_AVX2, KERN_TIER_AVX512};
    const size_t paths[] = {0, 0x1ffff, 0x15555, 0xaaaa, 0x1b3c7};
    for (int log = 12; log <= 17; log++) {
        struct kernels *k[TIERS];
        uint32_t q[2], *x = malloc(sizeof *x << log), *all[TIERS];
        size_t n = (size_t)1 << log;
        harness_chain(q, 2, log);
        for (int t = 0; t < TIERS; t++) {
            all[t] = malloc(2 * n * sizeof *x);
            assert_int_equal(kernels_open_cpu(&k[t], log, q + 1, 1, tiers[t], 1), THOR_OK);
        }
        for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
            steep_row(x, q[1], log, paths[i] % n);
            for (int t = 0; t < TIERS; t++) there_and_back(all[t], k[t], x);
            assert_memory_equal(all[REF] + n, x, n * sizeof *x);
            assert_memory_equal(all[AVX2], all[REF], 2 * n * sizeof *x);
            assert_memory_equal(all[AVX512], all[REF], 2 * n * sizeof *x);
        }
        for (int t = 0; t < TIERS; t++) free(all[t]), kernels_close(k[t]);
        free(x);
    }
}

/* The largest size of a value after `stages` stages without a reduction, for any canonical row: the
 * values of a block are in [low, high], its products in
 * [low w / 2^32 - q/2 - 1, high w / 2^32 + q/2 + 1]. */
static double largest(uint32_t q, int log_n, int stages) {
    static double low[2 << 10], high[2 << 10];
    const uint32_t psi = kernels_psi(q, log_n), r = (uint32_t)((1ull << 32) % q);
    double most = q;
    low[1] = 0, high[1] = q - 1;
    for (size_t k = 1; k < (size_t)1 << stages; k++) {
        double w = (double)((uint64_t)twiddle(psi, k, log_n, q) * r % q) * 0x1p-32;
        double least = w * low[k] - q / 2.0 - 1, top = w * high[k] + q / 2.0 + 1;
        low[2 * k] = low[k] + least, high[2 * k] = high[k] + top;
        low[2 * k + 1] = low[k] - top, high[2 * k + 1] = high[k] - least;
        for (size_t i = 2 * k; i <= 2 * k + 1; i++) {
            if (most < high[i]) most = high[i];
            if (most < -low[i]) most = -low[i];
        }
    }
    return most;
}

/* For any w < q < 2^28 nine stages are sure to stay below 8 q (kernels/ntt_avx512.c); with the
 * twiddles of the primes there are, ten stay below 2^31: no row of any ring would leave the words
 * of the AVX2 transform if it reduced one pass late (rows of 2^14 and 2^16). */
static void ten_stages_fit(void **state) {
    (void)state;
    for (int log_n = 14; log_n <= 17; log_n++) {
        uint32_t step = 2u << log_n;
        int primes = 0;
        for (uint32_t q = 1 + step; q < KERN_MAX_PRIME; q += step) {
            if (!harness_is_prime(q)) continue;
            primes++;
            double most = largest(q, log_n, 10);
            if (most >= 0x1p31) fail_msg("2^%d, prime %u: up to %.0f", log_n, q, most);
        }
        assert_true(primes > 100);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_are_reached),
        cmocka_unit_test(ten_stages_fit),
    };
    return cmocka_run_group_tests_name("lazy ranges", tests, NULL, NULL);
}
