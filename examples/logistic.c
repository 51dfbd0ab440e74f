/* Logistic regression on encrypted patients: a server with a model returns risks that it cannot
 * read.
 *
 * 2,048 patients of 8 features lie in one ciphertext, slot 8 i + f.  The model is the server's:
 *   z = (w . x + b) / RANGE by one plain product and three rotations,
 *   risk = 1 / (1 + exp(-RANGE z)) by its Chebyshev polynomial of degree 15. */
#include <stdlib.h>

#include "example.h"

enum { FEATURES = 8, PATIENTS = 2048, DEGREE = 15, LEVEL = 5 };
#define RANGE 6.0 /* of w . x + b */
static const double pi = 3.14159265358979323846;
static const double weight[FEATURES] = {0.9, -0.4, 0.3, 0.7, -0.8, 0.5, 0.2, -0.6};
static const double bias = -0.25;

static double sigmoid(double t) {
    return 1 / (1 + exp(-t));
}

/* c[k] = (2/m) sum over j < m of f(cos t_j) cos(k t_j), t_j = pi (j + 1/2) / m; half at k = 0 */
static void chebyshev(double c[DEGREE + 1]) {
    enum { M = 64 };
    for (int k = 0; k <= DEGREE; k++) {
        c[k] = 0;
        for (int j = 0; j < M; j++) {
            double t = pi * (j + 0.5) / M;
            c[k] += sigmoid(RANGE * cos(t)) * cos(k * t) * (k ? 2.0 : 1.0) / M;
        }
    }
}

/* The server: slot 8 i of out is the risk of patient i. */
static int predict(struct ckks_ct *out, const struct ckks_ct *x) {
    int st = CKKS_OK;
    double w[FEATURES], c[DEGREE + 1];
    struct ckks_ct *turned = NULL;
    for (int f = 0; f < FEATURES; f++) w[f] = weight[f] / RANGE;
    chebyshev(c);
    TRY(ckks_ct_new(&turned, 1));
    TRY(ckks_mul_plain(out, x, w, NULL, FEATURES));
    for (int by = FEATURES / 2; by; by /= 2) {
        TRY(ckks_rotate(turned, out, by));
        TRY(ckks_add(out, out, turned));
    }
    TRY(ckks_add_const(out, out, bias / RANGE));
    TRY(ckks_cheb(out, out, c, DEGREE));
out:
    ckks_ct_delete(turned, 1);
    return st;
}

static int compute(double *slots, const double *x, struct ckks *cx,
                   const struct ckks_secret *secret) {
    int st = CKKS_OK;
    const struct ckks_params *p = ckks_params_of(cx);
    const struct ckks_need need[] = {{CKKS_KEY_RELIN, LEVEL},
                                     {ckks_key_rotation(p, 1), LEVEL},
                                     {ckks_key_rotation(p, 2), LEVEL},
                                     {ckks_key_rotation(p, 4), LEVEL}};
    struct ckks_keys *keys = NULL;
    struct ckks_rng *rng = NULL;
    struct ckks_ct *ct = NULL;
    TRY(ckks_keys_new(&keys, cx, secret, need, 4, NULL, NULL, NULL));
    ckks_use_keys(cx, keys);
    TRY(ckks_rng_new(&rng));
    TRY(ckks_ct_new(&ct, 1));
    TRY(ckks_encrypt_secret(ct, cx, x, NULL, PATIENTS * FEATURES, LEVEL, secret, rng));
    TRY(predict(ct, ct));
    TRY(ckks_decrypt_rounded(slots, NULL, ct, secret, 12));
out:
    ckks_ct_delete(ct, 1);
    ckks_rng_free(rng);
    ckks_keys_free(keys);
    return st;
}

int main(void) {
    int st = CKKS_OK, wrong = 0;
    const struct ckks_params *p;
    struct ckks *cx = NULL;
    struct ckks_secret *secret = NULL;
    double *x = calloc(PATIENTS * FEATURES, sizeof *x), *slots = NULL;
    for (int i = 0; x && i < PATIENTS * FEATURES; i++) x[i] = sin(1.7 * i);
    TRY(ckks_params_get(&p, "n15", 0));
    TRY(ckks_open_on(&cx, p, CKKS_CPU, 0));
    TRY(ckks_secret_new(&secret, p, NULL));
    slots = calloc((size_t)ckks_slots(cx), sizeof *slots);
    if (!x || !slots) {
        wrong = 1;
        goto out;
    }
    TRY(compute(slots, x, cx, secret));
    for (int i = 0; i < 4; i++) {
        double t = bias;
        for (int f = 0; f < FEATURES; f++) t += weight[f] * x[FEATURES * i + f];
        wrong += differs("risk", slots[FEATURES * i], sigmoid(t), 3e-3);
    }
out:
    free(x);
    free(slots);
    ckks_secret_free(secret);
    ckks_close(cx);
    return finish(st, wrong);
}
