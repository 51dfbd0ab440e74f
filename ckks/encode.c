/* Encoding: slots to plaintexts by the embedding of kernels/embed.c, which the back end
 * computes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

int ckks_check_slots(const double *z, size_t n, double scale) {
    int bad = 0;
    for (size_t i = 0; i < n; i++) bad |= !(fabs(z[i]) * scale < 0x1p61); /* NaN is bad */
    return bad ? thor_fail(THOR_RANGE,
                           "a plaintext holds NaN, infinity or a value too large for its scale")
               : THOR_OK;
}

void ckks_pt_free(struct ckks_pt *p) {
    if (p->c) p->cx->k->release(p->cx->k, p->c);
    memset(p, 0, sizeof *p);
}

int ckks_encode(struct ckks_pt *out, struct ckks *cx, const double *re, const double *im,
                size_t period, double scale, const struct kbasis *b) {
    int st = THOR_OK;
    double *z = NULL;
    struct ckks_pt r = {.cx = cx, .basis = *b};
    size_t n = ckks_n(cx);
    if (period == 0 || period > n / 2 || (period & (period - 1)))
        return thor_fail(THOR_INTERNAL, "a plaintext of period %zu cannot be encoded", period);
    r.log_rep = cx->params->log_n - 1 - ckks_log2(period);
    size_t words = 2 * period;
    TRY(cx->k->alloc(cx->k, &r.c, ((size_t)b->n * words + n - 1) / n));
    cx->count.encodes++;
    if (!ckks_is_dry(cx)) {
        z = malloc(words * sizeof(double));
        if (!z) {
            st = thor_fail(THOR_MEMORY, "no memory for a plaintext");
            goto out;
        }
        memcpy(z, re, period * sizeof(double));
        if (im)
            memcpy(z + period, im, period * sizeof(double));
        else
            memset(z + period, 0, period * sizeof(double));
        TRY(ckks_check_slots(z, words, scale));
    }
    cx->k->encode(cx->k, kv(r.c, b->n), z, ckks_log2(period), 0, scale, b, 1);
    cx->k->ntt_fwd(cx->k, kv(r.c, b->n), b, 1, ckks_log2(words));
    ckks_pt_free(out);
    *out = r;
    r.c = NULL;
out:
    free(z);
    ckks_pt_free(&r);
    return st;
}

int ckks_fft_slots(struct ckks *cx, double *re, double *im, const double *coeff) {
    size_t n = ckks_n(cx) / 2;
    memcpy(re, coeff, n * sizeof(double));
    memcpy(im, coeff + n, n * sizeof(double));
    kern_embed_fwd(cx->k, re, im, cx->params->log_n - 1);
    return THOR_OK;
}

int ckks_fft_coeffs(struct ckks *cx, double *coeff, const double *re, const double *im) {
    size_t n = ckks_n(cx) / 2;
    memcpy(coeff, re, n * sizeof(double));
    memcpy(coeff + n, im, n * sizeof(double));
    kern_embed_inv(cx->k, coeff, coeff + n, cx->params->log_n - 1);
    for (size_t i = 0; i < 2 * n; i++) coeff[i] /= (double)n;
    return THOR_OK;
}

/* Centred value modulo the product of rows' primes (at most CKKS_CENTRED, below 2^112), by Garner's
 * mixed radix. */
static double crt_centred(const uint32_t *const row[], const uint32_t *q, int rows, size_t i) {
    unsigned __int128 x = row[0][i], m = q[0];
    for (int r = 1; r < rows; r++) {
        uint32_t xr = (uint32_t)(x % q[r]), mr = (uint32_t)(m % q[r]);
        uint32_t d = (row[r][i] + q[r] - xr) % q[r];
        x += m * mul_mod(d, kern_inv_mod(mr, q[r]), q[r]);
        m *= q[r];
    }
    return x > m / 2 ? -(double)(m - x) : (double)x;
}

void ckks_centred(double *coeff, const struct ckks *cx, const uint32_t *rows,
                  const struct kbasis *b) {
    const size_t n = ckks_n(cx);
    const uint32_t *row[CKKS_CENTRED];
    uint32_t prime[CKKS_CENTRED];
    for (int i = 0; i < b->n; i++)
        row[i] = rows + (size_t)i * n, prime[i] = cx->params->prime[b->prime[i]];
#pragma omp parallel for schedule(static) num_threads(cx->k->threads)
    for (size_t i = 0; i < n; i++) coeff[i] = crt_centred(row, prime, b->n, i);
}
