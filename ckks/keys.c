/* Shapes of keys, their public halves, their end.  Nothing here sees a secret: keygen.c makes keys. */
#include <stdlib.h>

#include "ckks/internal.h"

/* Limbs of a key's rows: terminals and mains of the level, then the specials; the key into the sparse secret
 * lives at the two primes of level 0 and one special prime alone (logQP 83.6), which is what makes a secret of
 * weight 32 safe there. */
struct kbasis ckks_key_basis(uint32_t id, int level, int *digits) {
    struct kbasis b = ckks_basis(level), r = {0};
    if (id == CKKS_KEY_TO_SPARSE) {
        b.prime[b.n++] = CKKS_SPECIAL0;
        *digits = 2;
        return b;
    }
    int last = b.prime[b.n - 1];
    for (int i = 0; i <= last; i++) r.prime[r.n++] = (uint8_t)i;
    *digits = ckks_digit_of(last) + 1;
    return ckks_with_special(r);
}

int ckks_key_check(const struct ckks_params *p, uint32_t id, int level) {
    int galois = id % 2 == 1 && id < (2u << p->log_n);
    if (!galois && id != CKKS_KEY_RELIN && id != CKKS_KEY_TO_SPARSE && id != CKKS_KEY_FROM_SPARSE)
        return thor_fail(THOR_KEY, "%u names a key for no operation", id);
    if (id == CKKS_KEY_TO_SPARSE && level != 0)
        return thor_fail(THOR_KEY, "the key to the sparse secret is at level %d: it is only secure at level 0", level);
    return ckks_params_check(p, level);
}

size_t ckks_ksk_rows(const struct ckks_params *p, uint32_t id, int level, int *digits) {
    (void)p;
    return (size_t)ckks_key_basis(id, level, digits).n;
}

size_t ckks_needs_bytes(const struct ckks_params *p, const struct ckks_need *need, int n) {
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        int digits;
        size_t rows = ckks_ksk_rows(p, need[i].id, need[i].level, &digits);
        sum += rows * (size_t)digits * 2 * sizeof(uint32_t) << p->log_n;
    }
    return sum;
}

void ckks_uniform_row(const struct ckks *cx, uint32_t *host, const uint8_t seed[CKKS_SEED], int digit,
                      const struct kbasis *b, int r) {
    struct ckks_rng rng;
    size_t n = ckks_n(cx);
    ckks_rng_init(&rng, seed, (uint64_t)(64 * digit + r));
    ckks_rng_uniform(&rng, host + (size_t)r * n, n, cx->params->prime[b->prime[r]]);
}

void ckks_uniform_rows(const struct ckks *cx, uint32_t *host, const uint8_t seed[CKKS_SEED], int digit,
                       const struct kbasis *b) {
#pragma omp parallel for schedule(static) num_threads(cx->k->threads)
    for (int r = 0; r < b->n; r++) ckks_uniform_row(cx, host, seed, digit, b, r);
}

void ckks_keys_free(struct ckks_keys *k) {
    if (!k) return;
    if (k->cx && k->cx->keys == k) k->cx->keys = NULL;
    if (k->n) k->cx->k->record_drop(k->cx->k, 0); /* recordings read the keys */
    for (int i = 0; i < k->n; i++) k->cx->k->release(k->cx->k, k->key[i].data);
    ckks_keystore_free(k->store);
    free(k->key);
    free(k);
}

struct kbasis ckks_public_basis(const struct ckks_params *p) {
    struct kbasis b = ckks_basis(p->max_level), r = {0};
    for (int i = 0; i <= b.prime[b.n - 1]; i++) r.prime[r.n++] = (uint8_t)i;
    return r;
}

void ckks_public_free(struct ckks_public *p) {
    if (!p) return;
    free(p->b);
    free(p);
}
