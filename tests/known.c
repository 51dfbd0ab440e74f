#include "tests/known.h"

#include <stdlib.h>
#include <xxhash.h>

#include "tests/engine.h"

/* Computed by the portable tier; test_determinism prints what it finds where that differs. */
const struct known known[KNOWN_SETS] = {
    {"n16", 0xbcf7a15e2f85db97, 0xc99d7dcb062affcf, 0xbdb4a18e79a65830},
    {"n15", 0x8fde7836cbfa757a, 0x52f8ab7eea545668, 0x367f693aa39d8b81},
    {"toy10", 0xc2c11dc1c7a68137, 0xd8e0dc557b70f5ea, 0xc8bc847638e61a7a},
    {"toy11", 0x95d743ee33709cef, 0xcd4bcd71d2bc0447, 0x9806a61d7bc9f2e0},
    {"toy12", 0x62036f68e7c69c37, 0x05155b4ee860cd5d, 0x6097ca8cf8f07043},
    {"toy13", 0x1724fe4f19f987ec, 0x65eb8607aea8c325, 0x5db46f3ba13229b4},
};

static int add_words(uint64_t *hash, struct ckks *cx, const uint32_t *from, size_t words) {
    uint32_t *host = malloc(words * sizeof *host);
    if (!host) return thor_fail(THOR_MEMORY, "no memory for %zu words", words);
    cx->k->download(cx->k, host, from, words);
    int st = cx->k->sync(cx->k);
    *hash = XXH3_64bits_withSeed(host, words * sizeof *host, *hash);
    free(host);
    return st;
}

static int add_ct(uint64_t *hash, const struct ckks_ct *a) {
    int st = THOR_OK;
    const size_t n = (size_t)1 << a->cx->params->log_n, words = (size_t)ckks_ct_limbs(a) * n;
    for (int p = 0; p < a->polys; p++)
        TRY(add_words(hash, a->cx, a->c + (size_t)(p * a->rows) * n, words));
out:
    return st;
}

static int hash_keys(uint64_t *hash, struct ckks *cx, const struct ckks_secret *s,
                     const struct ckks_public *p, const struct ckks_keys *k) {
    int st = THOR_OK;
    const size_t n = (size_t)1 << cx->params->log_n;
    *hash = XXH3_64bits(s->s, n);
    *hash = XXH3_64bits_withSeed(s->id, sizeof s->id, *hash);
    *hash = XXH3_64bits_withSeed(p->b, (size_t)p->rows * n * sizeof *p->b, *hash);
    for (int i = 0; i < k->n; i++)
        TRY(add_words(hash, cx, k->key[i].data,
                      (size_t)(k->key[i].digits * k->key[i].rows) *
                          (cx->k->generates ? n : 2 * n)));
out:
    return st;
}

int known_answer(struct known *out, int i, enum kern_kind kind, enum kern_tier tier, int threads) {
    int st = THOR_OK;
    const double half[1] = {0.5};
    const uint8_t seed[CKKS_SEED] = {1, 2, 3};
    const struct ckks_params *params;
    struct ckks *cx = NULL;
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    struct ckks_keys *k = NULL;
    struct ckks_ct a = {0}, b = {0};
    struct ckks_rng rng;
    TRY(ckks_params_get(&params, known[i].set, 1));
    const struct ckks_need need[] = {{CKKS_KEY_RELIN, 2}, {5, 2}, {(2u << params->log_n) - 1, 2}};
    *out = (struct known){.set = known[i].set};
    TRY(ckks_open(&cx, params, kind, tier, threads));
    TRY(ckks_secret_new(&s, params, seed));
    TRY(ckks_public_new(&p, cx, s, seed));
    TRY(ckks_keys_new(&k, cx, s, need, 3, seed, NULL, NULL));
    TRY(hash_keys(&out->keys, cx, s, p, k));
    ckks_use_keys(cx, k);
    ckks_rng_init(&rng, seed, 7);
    TRY(ckks_encrypt_secret(&a, cx, half, NULL, 1, 2, s, &rng));
    TRY(ckks_encrypt_public(&b, cx, half, NULL, 1, 2, p, &rng));
    TRY(add_ct(&out->ciphers, &a));
    TRY(add_ct(&out->ciphers, &b));
    TRY(ckks_mul(&a, &a, &b));
    TRY(add_ct(&out->results, &a));
    TRY(ckks_rotate(&a, &a, 1));
    TRY(add_ct(&out->results, &a));
    TRY(ckks_conj(&a, &a));
    TRY(add_ct(&out->results, &a));
out:
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    ckks_keys_free(k);
    ckks_public_free(p);
    ckks_secret_free(s);
    ckks_close(cx);
    return st;
}

/* ---- a circuit of every kind of step ---- */

static int diagonal(void *ctx, int o, int i, int m, double *re, double *im) {
    (void)ctx, (void)im;
    for (int s = 0; s < 8; s++) re[s] = 0.1 * (1 + s + m) / (1 + o + i);
    return 1;
}

static int circuit(struct ckks_ct *y, struct ckks *cx, const struct ckks_secret *s) {
    static const struct ckks_linear t = {.stride = 1,
                                         .first = 0,
                                         .count = 6,
                                         .baby = 3,
                                         .period = 8,
                                         .inputs = 1,
                                         .outputs = 1,
                                         .diag = diagonal};
    const double c[8] = {0.1, 0.5, -0.2, 0.1, 0.05, 0.3, -0.1, 0.02};
    const uint8_t seed[CKKS_SEED] = {4};
    double x[8];
    struct ckks_rng rng;
    struct ckks_boot *boot = NULL;
    int st = THOR_OK;
    engine_message(x, 8, 0.1, 5);
    ckks_rng_init(&rng, seed, 7);
    TRY(ckks_encrypt_secret(y, cx, x, NULL, 8, 7, s, &rng));
    const struct ckks_ct *in[1] = {y};
    TRY(ckks_linear_apply(y, in, &t));
    TRY(ckks_cheb(y, y, c, 7));
    TRY(ckks_boot_new(&boot, cx, 3, 0));
    TRY(ckks_bootstrap(y, y, boot));
out:
    ckks_boot_free(boot);
    return st;
}

int known_circuit(uint64_t *hash, enum kern_kind kind, enum kern_tier tier, int threads) {
    int st = THOR_OK;
    const uint8_t seed[CKKS_SEED] = {5};
    const struct ckks_params *params;
    struct ckks *dry = NULL, *cx = NULL;
    struct ckks_secret *s = NULL;
    struct ckks_keys *k = NULL;
    struct ckks_ct y = {0}, none = {0};
    *hash = 0;
    TRY(ckks_params_get(&params, "toy10", 1));
    TRY(ckks_secret_new(&s, params, seed));
    TRY(ckks_open(&dry, params, KERN_DRY, KERN_TIER_BEST, 0));
    TRY(circuit(&none, dry, s));
    TRY(ckks_open(&cx, params, kind, tier, threads));
    TRY(ckks_keys_new(&k, cx, s, dry->needs, dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(cx, k);
    TRY(circuit(&y, cx, s));
    TRY(add_ct(hash, &y));
out:
    ckks_ct_free(&none);
    ckks_ct_free(&y);
    ckks_keys_free(k);
    ckks_secret_free(s);
    ckks_close(dry);
    ckks_close(cx);
    return st;
}
