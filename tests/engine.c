#include "tests/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/worse.h"

static void must(int st) {
    if (st) {
        fprintf(stderr, "engine: %s\n", thor_error());
        abort();
    }
}

void engine_open(struct engine *e, const char *set, int (*circuit)(struct ckks *cx, void *arg),
                 void *arg) {
    uint8_t seed[CKKS_SEED] = {7};
    memset(e, 0, sizeof *e);
    must(ckks_params_get(&e->p, set, 1));
    struct ckks *dry;
    must(ckks_open(&dry, e->p, KERN_DRY, KERN_TIER_BEST, 0));
    must(circuit(dry, arg));
    must(ckks_open(&e->cx, e->p, KERN_CPU, KERN_TIER_BEST, 0));
    must(ckks_secret_new(&e->sk, e->p, seed));
    must(ckks_keys_new(&e->keys, e->cx, e->sk, dry->needs, dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(e->cx, e->keys);
    ckks_close(dry);
    ckks_rng_init(&e->rng, seed, 99);
}

void engine_close(struct engine *e) {
    ckks_keys_free(e->keys);
    ckks_secret_free(e->sk);
    ckks_close(e->cx);
}

void engine_message(double *z, size_t n, double a, uint64_t stream) {
    uint8_t seed[CKKS_SEED] = {3};
    struct ckks_rng r;
    ckks_rng_init(&r, seed, stream);
    for (size_t i = 0; i < n; i++) {
        uint32_t w;
        ckks_rng_bytes(&r, &w, sizeof w);
        z[i] = a * (2.0 * w / 4294967295.0 - 1);
    }
}

double bits_worst(const double *a, const double *b, size_t n) {
    double m = 0;
    for (size_t i = 0; i < n; i++) m = worse(m, fabs(a[i] - b[i]));
    return log2(m + 1e-300);
}
