/* The dot product of two encrypted vectors: how alike are two profiles that nobody shows?
 *
 * One product of ciphertexts, then the slots are added up by rotations.  The keys that this takes
 * are not listed by hand: the same code runs first over a context that computes nothing and notes
 * them (CKKS_DRY). */
#include <stdlib.h>

#include "example.h"

enum { LENGTH = 256 };

/* out = sum over s of a[s] b[s], in every slot */
static int dot(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b) {
    int st = CKKS_OK;
    struct ckks_ct *turned = NULL;
    TRY(ckks_ct_new(&turned, 1));
    TRY(ckks_mul(out, a, b));
    for (int by = LENGTH / 2; by; by /= 2) {
        TRY(ckks_rotate(turned, out, by));
        TRY(ckks_add(out, out, turned));
    }
out:
    ckks_ct_delete(turned, 1);
    return st;
}

static int make_keys(struct ckks_keys **keys, struct ckks *cx, const struct ckks_secret *secret) {
    int st = CKKS_OK, n;
    struct ckks *dry = NULL;
    struct ckks_ct *x = NULL;
    const struct ckks_need *need;
    TRY(ckks_open_on(&dry, ckks_params_of(cx), CKKS_DRY, 0));
    TRY(ckks_ct_new(&x, 1));
    TRY(ckks_zero(x, dry, 1));
    TRY(dot(x, x, x));
    n = ckks_needs(&need, dry);
    TRY(ckks_keys_new(keys, cx, secret, need, n, NULL, NULL, NULL));
out:
    ckks_ct_delete(x, 1);
    ckks_close(dry);
    return st;
}

static int compute(double *result, const double *a, const double *b, const struct ckks_params *p) {
    int st = CKKS_OK;
    struct ckks *cx = NULL;
    struct ckks_secret *secret = NULL;
    struct ckks_keys *keys = NULL;
    struct ckks_rng *rng = NULL;
    struct ckks_ct *ct = NULL;
    double *slots = NULL;
    TRY(ckks_open_on(&cx, p, CKKS_CPU, 0));
    TRY(ckks_secret_new(&secret, p, NULL));
    TRY(make_keys(&keys, cx, secret));
    ckks_use_keys(cx, keys);

    TRY(ckks_ct_new(&ct, 2));
    TRY(ckks_rng_new(&rng));
    TRY(ckks_encrypt_secret(ckks_ct_at(ct, 0), cx, a, NULL, LENGTH, 1, secret, rng));
    TRY(ckks_encrypt_secret(ckks_ct_at(ct, 1), cx, b, NULL, LENGTH, 1, secret, rng));
    TRY(dot(ct, ct, ckks_ct_at(ct, 1)));

    slots = calloc((size_t)ckks_slots(cx), sizeof *slots);
    if (slots) TRY(ckks_decrypt(slots, NULL, ct, secret));
    *result = slots ? slots[0] : NAN;
out:
    free(slots);
    ckks_ct_delete(ct, 2);
    ckks_rng_free(rng);
    ckks_keys_free(keys);
    ckks_secret_free(secret);
    ckks_close(cx);
    return st;
}

int main(void) {
    int st = CKKS_OK, wrong = 0;
    const struct ckks_params *p;
    double a[LENGTH], b[LENGTH], plain = 0, result = NAN;
    for (int s = 0; s < LENGTH; s++) {
        a[s] = cos(0.1 * s) / 16;
        b[s] = cos(0.1 * s + 0.5) / 16;
        plain += a[s] * b[s];
    }
    TRY(ckks_params_get(&p, "n15", 0));
    TRY(compute(&result, a, b, p));
    wrong = differs("dot product", result, plain, 1e-6);
out:
    return finish(st, wrong);
}
