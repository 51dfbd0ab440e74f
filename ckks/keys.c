/* Keys in memory: their uniform halves, finding one, their end.  Nothing here sees a secret:
 * keygen.c makes keys. */
#include <stdlib.h>

#include "ckks/internal.h"

void ckks_uniform_row(const struct ckks *cx, uint32_t *host, const uint8_t seed[CKKS_SEED],
                      int digit, const struct kbasis *b, int r) {
    struct ckks_rng rng;
    size_t n = ckks_n(cx);
    ckks_rng_init(&rng, seed, (uint64_t)(64 * digit + r));
    ckks_rng_uniform(&rng, host + (size_t)r * n, n, cx->params->prime[b->prime[r]]);
}

void ckks_uniform_rows(const struct ckks *cx, uint32_t *host, const uint8_t seed[CKKS_SEED],
                       int digit, const struct kbasis *b) {
#pragma omp parallel for schedule(static) num_threads(cx->k->threads)
    for (int r = 0; r < b->n; r++) ckks_uniform_row(cx, host, seed, digit, b, r);
}

const struct ckks_ksk *ckks_find_key(struct ckks *cx, uint32_t id, int level, int *st) {
    *st = THOR_OK;
    if (ckks_is_dry(cx)) {
        ckks_note_need(cx, id, level);
        return NULL;
    }
    int lo = 0, hi = cx->keys ? cx->keys->n : 0;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (cx->keys->key[mid].id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (cx->keys && lo < cx->keys->n && cx->keys->key[lo].id == id &&
        cx->keys->key[lo].level >= level)
        return cx->keys->store && (*st = cx->keys->store->use(cx->keys->store, lo))
                   ? NULL
                   : &cx->keys->key[lo];
    *st = thor_fail(
        THOR_KEY,
        "the evaluation keys lack key %u at level %d: make keys for this model and length", id,
        level);
    return NULL;
}

void ckks_keys_free(struct ckks_keys *k) {
    if (!k) return;
    if (k->cx && k->cx->keys == k) k->cx->keys = NULL;
    if (k->n) k->cx->k->record_drop(k->cx->k, 0); /* recordings read the keys */
    for (int i = 0; i < k->n; i++) k->cx->k->release(k->cx->k, k->key[i].data);
    if (k->store) k->store->free(k->store);
    free(k->key);
    free(k);
}

void ckks_public_free(struct ckks_public *p) {
    if (!p) return;
    free(p->b);
    free(p);
}
