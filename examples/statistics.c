/* Mean and variance of numbers that the computing side never sees.
 *
 * A client encrypts 1,000 measurements under its public key.  A server, which has evaluation keys
 * alone, adds up the slots by rotations and returns mean and variance as ciphertexts:
 *   mean = (1/m) sum x,   variance = (1/m) sum x^2 - mean^2. */
#include <stdlib.h>

#include "example.h"

enum { COUNT = 1000, LOG_PERIOD = 10, PERIOD = 1 << LOG_PERIOD };

/* Every slot = the sum of the PERIOD slots round it. */
static int sum_slots(struct ckks_ct *x, struct ckks_ct *tmp) {
    int st = CKKS_OK;
    for (int by = 1; by < PERIOD; by *= 2) {
        TRY(ckks_rotate(tmp, x, by));
        TRY(ckks_add(x, x, tmp));
    }
out:
    return st;
}

static int server(struct ckks_ct *mean, struct ckks_ct *variance, const struct ckks_ct *x) {
    int st = CKKS_OK;
    const double part = 1.0 / COUNT;
    struct ckks_ct *tmp = NULL;
    TRY(ckks_ct_new(&tmp, 1));
    TRY(ckks_mul_plain(mean, x, &part, NULL, 1));
    TRY(sum_slots(mean, tmp));
    TRY(ckks_mul(variance, x, x));
    TRY(ckks_mul_plain(variance, variance, &part, NULL, 1));
    TRY(sum_slots(variance, tmp));
    TRY(ckks_mul(tmp, mean, mean));
    TRY(ckks_sub(variance, variance, tmp));
out:
    ckks_ct_delete(tmp, 1);
    return st;
}

/* The keys of the server: products, and rotations by powers of two. */
static int make_keys(struct ckks_keys **keys, struct ckks *cx, const struct ckks_secret *secret,
                     int level) {
    struct ckks_need need[1 + LOG_PERIOD] = {{CKKS_KEY_RELIN, level}};
    for (int i = 0; i < LOG_PERIOD; i++)
        need[1 + i] = (struct ckks_need){ckks_key_rotation(ckks_params_of(cx), 1 << i), level - 1};
    return ckks_keys_new(keys, cx, secret, need, 1 + LOG_PERIOD, NULL, NULL, NULL);
}

/* x[0] and so on: the mean, the variance */
static int compute(double result[2], const double *data, const struct ckks_params *p) {
    int st = CKKS_OK;
    struct ckks *cx = NULL;
    struct ckks_secret *secret = NULL;
    struct ckks_public *public = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_rng *rng = NULL;
    struct ckks_ct *ct = NULL;
    double *slots = NULL;
    const int level = 3;
    TRY(ckks_open_on(&cx, p, CKKS_CPU, 0));
    TRY(ckks_secret_new(&secret, p, NULL));
    TRY(ckks_public_new(&public, cx, secret, NULL));
    TRY(make_keys(&keys, cx, secret, level));
    ckks_use_keys(cx, keys);

    TRY(ckks_ct_new(&ct, 3));
    TRY(ckks_rng_new(&rng));
    TRY(ckks_encrypt_public(ct, cx, data, NULL, PERIOD, level, public, rng));
    TRY(server(ckks_ct_at(ct, 1), ckks_ct_at(ct, 2), ct));

    slots = calloc((size_t)ckks_slots(cx), sizeof *slots);
    for (int i = 0; slots && i < 2; i++) {
        TRY(ckks_decrypt(slots, NULL, ckks_ct_at(ct, 1 + i), secret));
        result[i] = slots[0];
    }
out:
    free(slots);
    ckks_ct_delete(ct, 3);
    ckks_rng_free(rng);
    ckks_keys_free(keys);
    ckks_public_free(public);
    ckks_secret_free(secret);
    ckks_close(cx);
    return st;
}

int main(void) {
    int st = CKKS_OK, wrong = 0;
    const struct ckks_params *p;
    double x[PERIOD] = {0}, result[2] = {NAN, NAN}, mean = 0, squares = 0;
    for (int i = 0; i < COUNT; i++) {
        x[i] = 1.5 + 0.5 * sin(i);
        mean += x[i] / COUNT;
        squares += x[i] * x[i] / COUNT;
    }
    TRY(ckks_params_get(&p, "n15", 0));
    TRY(compute(result, x, p));
    wrong += differs("mean", result[0], mean, 1e-5);
    wrong += differs("variance", result[1], squares - mean * mean, 1e-5);
out:
    return finish(st, wrong);
}
