/* Keys in memory: their uniform halves, finding one, their end.  Nothing here sees a secret:
 * keygen.c makes keys. */
#include <stdlib.h>

#include "ckks/internal.h"

void ckks_key_uniform(const struct ckks *cx, struct kvec out, const uint8_t seed[CKKS_SEED],
                      int digit, const struct kbasis *b, int digits) {
    cx->k->uniform(cx->k, out, seed, 64 * (uint32_t)digit, b, digits);
}

const uint8_t *ckks_key_seed(const struct ckks *cx, const struct ckks_ksk *key) {
    static const uint8_t any[CKKS_SEED]; // of a dry run
    if (!cx->k->generates) return NULL;
    return key ? key->seed : any;
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
    free(p->a);
    free(p);
}

const uint8_t *ckks_public_id(const struct ckks_public *p) {
    return p->id;
}
