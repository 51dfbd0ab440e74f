/* The distributions of secrets and errors, drawn from the streams of random.c. */
#include <assert.h>
#include <string.h>

#include "ckks/random.h"

int ckks_ternary_put(int64_t *out, uint32_t pair) {
    *out = (int64_t)pair - 1;
    return (int)(~(pair & pair >> 1) & 1);
}

/* A byte is four pairs of bits; a 3 is passed over, and the next one written in its place.  What
 * the time and the addresses depend on is how many were passed over before each place.  Pairs are
 * independent and each of 0, 1, 2, 3 with probability 1/4: given that a pair is none of the 3s it
 * is 0, 1 or 2 with probability 1/3, whatever the others are and wherever the 3s stand.  So they
 * say nothing about the numbers that are kept. */
void ckks_rng_ternary(struct ckks_rng *r, int64_t *out, size_t n) {
    size_t have = 0;
    while (have < n) {
        uint8_t four;
        ckks_rng_bytes(r, &four, 1);
        for (int k = 0; k < 4 && have < n; k++)
            have += (size_t)ckks_ternary_put(out + have, (uint32_t)four >> (2 * k) & 3);
    }
}

/* Number of ones, without tables (which would tell secrets through the cache). */
static inline uint64_t ones(uint64_t x) {
    x -= (x >> 1) & 0x5555555555555555u;
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (x * 0x0101010101010101u) >> 56;
}

void ckks_rng_cbd21(struct ckks_rng *r, int64_t *out, size_t n) {
    const uint64_t coins = (1u << 21) - 1;
    for (size_t have = 0; have < n;) {
        size_t words = ckks_rng_words(r, 8);
        if (words > n - have) words = n - have;
        for (size_t i = 0; i < words; i++) {
            uint64_t w;
            memcpy(&w, r->buf + r->used + 8 * i, 8);
            out[have + i] = (int64_t)ones(w & coins) - (int64_t)ones((w >> 21) & coins);
        }
        r->used += 8 * words;
        have += words;
    }
}

int ckks_sparse_put(int64_t *out, size_t n, uint32_t word) {
    const uint32_t place = word & ckks_mask_of((uint32_t)(n - 1));
    const int64_t value = 2 * (int64_t)(word >> 31) - 1;
    int64_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        const int64_t take = (int64_t)(i == place) & ~out[i] & 1;
        out[i] += take * value;
        kept |= take;
    }
    return (int)kept;
}

/* Draws a place until it is a free one: every set of h places is equally likely.  How many draws
 * are passed over is all that the time tells. */
void ckks_rng_sparse(struct ckks_rng *r, int64_t *out, size_t n, int h) {
    assert(n >= 1 && n < (1u << 31) && h >= 0 && (size_t)h <= n);
    memset(out, 0, n * sizeof *out);
    for (int have = 0; have < h;) {
        uint32_t w;
        ckks_rng_bytes(r, &w, sizeof w);
        have += ckks_sparse_put(out, n, w);
    }
}
