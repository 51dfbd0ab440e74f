/* Memory of secrets: does the system lock it, and the stream that texts are encrypted with. */
#include <sodium.h>

#include "ckks/internal.h"

/* Of one set of keys in work: the key, the key as numbers, errors, seeds, and pages around them. */
enum { BYTES_A_COEFFICIENT = 32 };

int ckks_secrets_locked(const struct ckks_params *p) {
    size_t bytes = (size_t)BYTES_A_COEFFICIENT << p->log_n;
    if (ckks_random_start() != THOR_OK) return 0;
    unsigned char *probe = sodium_malloc(bytes); // locks it when it can, and does not tell
    int locked = probe && sodium_mlock(probe, bytes) == 0;
    sodium_free(probe);
    return locked;
}

int ckks_rng_new(struct ckks_rng **r) {
    int st = ckks_random_start();
    struct ckks_rng *w = *r = st == THOR_OK ? sodium_malloc(sizeof *w) : NULL;
    if (st != THOR_OK) return st;
    if (!w) return thor_fail(THOR_MEMORY, "no locked memory for random numbers");
    ckks_random_seed(w->key);
    w->domain = w->block = 0;
    w->used = sizeof w->buf;
    return THOR_OK;
}

void ckks_rng_free(struct ckks_rng *r) {
    sodium_free(r); // wipes
}
