/* Streams of randomness.
 *
 * Stream.  Bytes of ChaCha20 (20 rounds, 64-bit nonce, 64-bit block counter) keyed by the seed,
 * nonce = domain in little endian, read in order from block 0.  Part of the key format: the halves
 * `a` of keys are stored as seeds, so what the samplers below take from the stream must never
 * change without a new file version. Words are little endian; a sampler of words begins at the next
 * place that is a multiple of its word size.
 */
#include "ckks/random.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "streams and files are little endian");
_Static_assert(CKKS_SEED == crypto_stream_chacha20_KEYBYTES, "a seed is a ChaCha20 key");
_Static_assert(CKKS_SEED >= crypto_generichash_KEYBYTES_MIN &&
                   CKKS_SEED <= crypto_generichash_KEYBYTES_MAX,
               "a seed is a BLAKE2b key");

enum { BLOCK = 64 };

int ckks_random_start(void) {
    if (sodium_init() < 0)
        return thor_fail(THOR_INTERNAL,
                         "libsodium does not start: the system gives no random numbers");
    return THOR_OK;
}

void ckks_random_seed(uint8_t seed[CKKS_SEED]) {
    randombytes_buf(seed, CKKS_SEED);
}

void ckks_seed_derive(uint8_t child[CKKS_SEED], const uint8_t parent[CKKS_SEED], uint64_t label) {
    uint8_t key[CKKS_SEED], text[13 + sizeof label] = "thor seed v1";
    memcpy(key, parent, sizeof key); // child may be parent
    memcpy(text + 13, &label, sizeof label);
    crypto_generichash(child, CKKS_SEED, text, sizeof text, key, sizeof key);
    sodium_memzero(key, sizeof key);
}

void ckks_rng_init(struct ckks_rng *r, const uint8_t seed[CKKS_SEED], uint64_t domain) {
    memcpy(r->key, seed, CKKS_SEED);
    r->domain = domain;
    r->block = 0;
    r->used = sizeof r->buf;
}

void ckks_rng_wipe(struct ckks_rng *r) {
    sodium_memzero(r, sizeof *r);
    r->used = sizeof r->buf;
}

/* `n` bytes of the stream, a multiple of 64, from the next block. */
static void blocks(struct ckks_rng *r, uint8_t *out, size_t n) {
    uint8_t nonce[crypto_stream_chacha20_NONCEBYTES];
    memcpy(nonce, &r->domain, sizeof nonce);
    memset(out, 0, n);
    crypto_stream_chacha20_xor_ic(out, out, n, nonce, r->block, r->key);
    r->block += n / BLOCK;
}

static void refill(struct ckks_rng *r) {
    blocks(r, r->buf, sizeof r->buf);
    r->used = 0;
}

size_t ckks_rng_words(struct ckks_rng *r, size_t size) {
    r->used = (r->used + size - 1) / size * size;
    if (r->used >= sizeof r->buf) refill(r);
    return (sizeof r->buf - r->used) / size;
}

void ckks_rng_bytes(struct ckks_rng *r, void *out, size_t n) {
    uint8_t *to = out;
    while (n > 0) {
        if (r->used >= sizeof r->buf) refill(r);
        size_t take = sizeof r->buf - r->used;
        if (take > n) take = n;
        memcpy(to, r->buf + r->used, take);
        r->used += take;
        to += take;
        n -= take;
    }
}

void ckks_rng_uniform(struct ckks_rng *r, uint32_t *out, size_t n, uint32_t q) {
    assert(q >= 1 && q < (1u << 28));
    const uint32_t mask = ckks_mask_of(q - 1);
    size_t have = 0;
    while (have < n) {
        size_t words = ckks_rng_words(r, 4);
        const uint8_t *from = r->buf + r->used;
        size_t i = 0;
        if (words > n - have) { // could fill up before the words end
            for (; i < words && have < n; i++) {
                uint32_t w;
                memcpy(&w, from + 4 * i, 4);
                out[have] = w & mask;
                have += (w & mask) < q;
            }
        } else {
            for (; i < words; i++) { // have <= n - 1 at every write: no branch
                uint32_t w;
                memcpy(&w, from + 4 * i, 4);
                out[have] = w & mask;
                have += (w & mask) < q;
            }
        }
        r->used += 4 * i;
    }
}
