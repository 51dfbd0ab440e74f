/* A bootstrap: a ciphertext without levels computes on.
 *
 *   bootstrap [SET]
 *
 * x is multiplied by itself until no level is left, refreshed, and squared once more.  SET is toy10
 * unless said: the secure n16 takes some gigabytes of keys and a minute. */
#include <stdlib.h>

#include "example.h"

enum { LOG_SLOTS = 5, SLOTS = 1 << LOG_SLOTS };

static int compute(double *slots, const double *x, struct ckks *cx,
                   const struct ckks_secret *secret, const struct ckks_boot *boot) {
    int st = CKKS_OK;
    struct ckks_rng *rng = NULL;
    struct ckks_ct *ct = NULL;
    TRY(ckks_rng_new(&rng));
    TRY(ckks_ct_new(&ct, 1));
    TRY(ckks_encrypt_secret(ct, cx, x, NULL, SLOTS, ckks_boot_levels(LOG_SLOTS), secret, rng));
    printf("before: level %d\n", ckks_ct_level(ct));
    TRY(ckks_bootstrap(ct, ct, boot));
    printf("after:  level %d\n", ckks_ct_level(ct));
    TRY(ckks_mul(ct, ct, ct));
    TRY(ckks_decrypt(slots, NULL, ct, secret));
out:
    ckks_ct_delete(ct, 1);
    ckks_rng_free(rng);
    return st;
}

/* Those of the bootstrap, and the one of products at all levels. */
static int make_keys(struct ckks_keys **keys, struct ckks *cx, const struct ckks_secret *secret) {
    int st = CKKS_OK, n;
    struct ckks_need *need = NULL;
    TRY(ckks_boot_needs(&need, &n, ckks_params_of(cx), LOG_SLOTS, 0));
    TRY(ckks_keys_new(keys, cx, secret, need, n, NULL, NULL, NULL));
out:
    ckks_boot_needs_free(need);
    return st;
}

static int run(const char *set) {
    int st = CKKS_OK, wrong = 0;
    const struct ckks_params *p;
    struct ckks *cx = NULL;
    struct ckks_secret *secret = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_boot *boot = NULL;
    double x[SLOTS], *slots = NULL;
    for (int s = 0; s < SLOTS; s++) x[s] = sin(s);
    TRY(ckks_params_get(&p, set, 1)); // 1: insecure sets too, to try things out
    TRY(ckks_open_on(&cx, p, CKKS_CPU, 0));
    TRY(ckks_secret_new(&secret, p, NULL));
    TRY(make_keys(&keys, cx, secret));
    ckks_use_keys(cx, keys);
    TRY(ckks_boot_new(&boot, cx, LOG_SLOTS, 0));
    slots = calloc((size_t)ckks_slots(cx), sizeof *slots);
    if (slots) TRY(compute(slots, x, cx, secret, boot));
    for (int s = 1; s < 4; s++)
        wrong += differs("sin^2", slots ? slots[s] : NAN, x[s] * x[s], 1e-3);
out:
    free(slots);
    ckks_boot_free(boot);
    ckks_keys_free(keys);
    ckks_secret_free(secret);
    ckks_close(cx);
    return finish(st, wrong);
}

int main(int argc, char **argv) {
    return run(argc > 1 ? argv[1] : "toy10");
}
