/* The least that a program of others does, as C11 and as C++17, linked with the installed library:
 * (x + x) x, by a key that is named. */
#include <ckks.h>
#include <math.h>
#include <stdio.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((st = (call)) != CKKS_OK) goto out;                                                    \
    } while (0)

static int square_twice(double *worst, struct ckks *cx, const struct ckks_secret *secret) {
    int st = CKKS_OK;
    static double slots[512];
    const double x[2] = {0.5, -0.25};
    const struct ckks_need relin = {CKKS_KEY_RELIN, 2};
    struct ckks_keys *keys = NULL;
    struct ckks_rng *rng = NULL;
    struct ckks_ct *ct = NULL;
    TRY(ckks_keys_new(&keys, cx, secret, &relin, 1, NULL, NULL, NULL));
    ckks_use_keys(cx, keys);
    TRY(ckks_rng_new(&rng));
    TRY(ckks_ct_new(&ct, 2));
    TRY(ckks_encrypt_secret(ct, cx, x, NULL, 2, 2, secret, rng));
    TRY(ckks_add(ckks_ct_at(ct, 1), ct, ct));
    TRY(ckks_mul(ct, ct, ckks_ct_at(ct, 1)));
    TRY(ckks_decrypt(slots, NULL, ct, secret));
    *worst = 0;
    for (int i = 0; i < ckks_slots(cx); i++)
        *worst = fmax(*worst, fabs(slots[i] - 2 * x[i % 2] * x[i % 2]));
out:
    ckks_ct_delete(ct, 2);
    ckks_rng_free(rng);
    ckks_keys_free(keys);
    return st;
}

int main(void) {
    int st = CKKS_OK;
    double worst = INFINITY;
    const struct ckks_params *p;
    struct ckks *cx = NULL;
    struct ckks_secret *secret = NULL;
    TRY(ckks_params_get(&p, "toy10", 1));
    TRY(ckks_open_on(&cx, p, CKKS_CPU, 1));
    TRY(ckks_secret_new(&secret, p, NULL));
    TRY(square_twice(&worst, cx, secret));
    printf("%s: off by %.1e\n", ckks_version(), worst);
out:
    if (st != CKKS_OK) fprintf(stderr, "%s\n", ckks_error());
    ckks_secret_free(secret);
    ckks_close(cx);
    return st != CKKS_OK || !(worst < 1e-6);
}
