/* Deterministic streams of secret and public randomness: ChaCha20 (libsodium) keyed by a 32-byte
 * seed, one stream per (seed, domain).  Seeds come from the system (randombytes_buf); a fixed seed
 * is for tests. */
#ifndef THOR_CKKS_RANDOM_H
#define THOR_CKKS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

#include "include/ckks/cipher.h"
#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct ckks_rng {
    uint8_t key[CKKS_SEED];
    uint64_t domain, block;
    uint8_t buf[4096];
    size_t used;
};

/* sodium_init once per process; THOR_INTERNAL when the library cannot start. */
int ckks_random_start(void);
void ckks_random_seed(uint8_t seed[CKKS_SEED]);
/* child = BLAKE2b(parent, label): separates the streams of one master seed. */
void ckks_seed_derive(uint8_t child[CKKS_SEED], const uint8_t parent[CKKS_SEED], uint64_t label);

void ckks_rng_init(struct ckks_rng *r, const uint8_t seed[CKKS_SEED], uint64_t domain);
void ckks_rng_wipe(struct ckks_rng *r);
void ckks_rng_bytes(struct ckks_rng *r, void *out, size_t n);
/* n words uniform in [0, q), q < 2^28, by rejection: exactly uniform. */
void ckks_rng_uniform(struct ckks_rng *r, uint32_t *out, size_t n, uint32_t q);

/* ---- sampler.c: secrets and errors ---- */
/* Each in {-1, 0, 1} with probability 1/3 exactly.  Time and addresses tell which pairs of bits
 * were passed over, and nothing of the others: see sampler.c. */
void ckks_rng_ternary(struct ckks_rng *r, int64_t *out, size_t n);
/* Centred binomial, 21 + 21 coins: variance 10.5, |x| <= 21.  Constant time. */
void ckks_rng_cbd21(struct ckks_rng *r, int64_t *out, size_t n);
/* Exactly h places +-1, the rest 0. */
void ckks_rng_sparse(struct ckks_rng *r, int64_t *out, size_t n, int h);

/* One draw of each in -1, 0, 1: *out = pair - 1, and 1, unless the pair of bits is 3, which is
 * passed over.  Constant time. */
int ckks_ternary_put(int64_t *out, uint32_t pair);
/* One draw of h places: +-1, by bit 31 of the word, at the place that its low bits name, where
 * there is such a place below n and it holds 0; 1 when there is.  Constant time: looks at every
 * place. */
int ckks_sparse_put(int64_t *out, size_t n, uint32_t word);

/* ---- for sampler.c ---- */
/* Words of `size` bytes (4 or 8) left in the buffer, at least one, from the next aligned place
 * r->used. */
size_t ckks_rng_words(struct ckks_rng *r, size_t size);
/* 2^bits - 1 for the least bits with x <= that. */
static inline uint32_t ckks_mask_of(uint32_t x) {
    return x == 0 ? 0 : UINT32_MAX >> __builtin_clz(x);
}

#ifdef __cplusplus
}
#endif
#endif
