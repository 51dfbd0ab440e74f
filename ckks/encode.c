/* Encoding: the canonical embedding in doubles, rounding, residues.
 *
 * A vector z of period p (p a power of two <= N/2) is the polynomial m(Y) of 2p real coefficients, Y = X^(N/2p),
 * with m(exp(i pi 5^s / 2p)) = z_s for 0 <= s < p.  With u_k = c_k + i c_(k+p) the map u -> z is a bit reversal
 * and log2 p butterfly stages of length len = 2, 4, .. p with twiddles exp(2 pi i (5^j mod 4 len) / (4 len)),
 * j < len/2, which do not depend on p.  Error: a few 2^-53 of the largest coefficient. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

int ckks_fft_tables(struct ckks *cx) {
    size_t n = ckks_n(cx) / 2;
    struct ckks_tables *t = cx->tables;
    t->fft_re = malloc(n * sizeof(double));
    t->fft_im = malloc(n * sizeof(double));
    if (!t->fft_re || !t->fft_im) return thor_fail(THOR_MEMORY, "no memory for the encoder");
    for (size_t len = 2; len <= n; len *= 2) {
        size_t power = 1;
        for (size_t j = 0; j < len / 2; j++) {
            double a = 2 * M_PI * (double)power / (double)(4 * len);
            t->fft_re[len / 2 + j] = cos(a);
            t->fft_im[len / 2 + j] = sin(a);
            power = power * 5 % (4 * len);
        }
    }
    return THOR_OK;
}

static void bit_reverse(double *re, double *im, int log_len) {
    size_t n = (size_t)1 << log_len;
    for (size_t i = 1, j = 0; i < n; i++) {
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i < j) {
            double a = re[i], b = im[i];
            re[i] = re[j], im[i] = im[j];
            re[j] = a, im[j] = b;
        }
    }
}

void ckks_fft_fwd(const struct ckks *cx, double *re, double *im, int log_len) {
    size_t n = (size_t)1 << log_len;
    bit_reverse(re, im, log_len);
    for (size_t len = 2; len <= n; len *= 2) {
        size_t h = len / 2;
        const double *restrict wr = cx->tables->fft_re + h, *restrict wi = cx->tables->fft_im + h;
        for (size_t i = 0; i < n; i += len) {
            double *restrict ar = re + i, *restrict ai = im + i, *restrict br = re + i + h, *restrict bi = im + i + h;
            for (size_t j = 0; j < h; j++) {
                double vr = br[j] * wr[j] - bi[j] * wi[j], vi = br[j] * wi[j] + bi[j] * wr[j];
                br[j] = ar[j] - vr, bi[j] = ai[j] - vi;
                ar[j] += vr, ai[j] += vi;
            }
        }
    }
}

void ckks_fft_inv(const struct ckks *cx, double *re, double *im, int log_len) {
    size_t n = (size_t)1 << log_len;
    for (size_t len = n; len >= 2; len /= 2) {
        size_t h = len / 2;
        const double *restrict wr = cx->tables->fft_re + h, *restrict wi = cx->tables->fft_im + h;
        for (size_t i = 0; i < n; i += len) {
            double *restrict ar = re + i, *restrict ai = im + i, *restrict br = re + i + h, *restrict bi = im + i + h;
            for (size_t j = 0; j < h; j++) {
                double dr = ar[j] - br[j], di = ai[j] - bi[j];
                ar[j] += br[j], ai[j] += bi[j];
                br[j] = dr * wr[j] + di * wi[j], bi[j] = di * wr[j] - dr * wi[j];
            }
        }
    }
    bit_reverse(re, im, log_len);
    for (size_t i = 0; i < n; i++) re[i] /= (double)n, im[i] /= (double)n;
}

static int log2_of(size_t n) {
    int l = 0;
    while (((size_t)1 << l) < n) l++;
    return l;
}

int ckks_encode_coeffs(int64_t *c, const struct ckks *cx, double *re, double *im, size_t period, double scale) {
    ckks_fft_inv(cx, re, im, log2_of(period));
    int bad = 0;
    for (size_t k = 0; k < period; k++) {
        double a = re[k] * scale, b = im[k] * scale;
        if (!(fabs(a) < 0x1p62) || !(fabs(b) < 0x1p62)) bad = 1, a = b = 0;
        c[k] = llrint(a);
        c[k + period] = llrint(b);
    }
    return bad ? thor_fail(THOR_RANGE, "a plaintext holds NaN, infinity or a value too large for its scale") : THOR_OK;
}

void ckks_pt_free(struct ckks_pt *p) {
    if (p->c) p->cx->k->release(p->cx->k, p->c);
    memset(p, 0, sizeof *p);
}

int ckks_encode(struct ckks_pt *out, struct ckks *cx, const double *re, const double *im, size_t period, double scale,
                const struct kbasis *b) {
    int st = THOR_OK;
    double *z = NULL;
    int64_t *c = NULL;
    struct ckks_pt r = {.cx = cx, .basis = *b};
    size_t n = ckks_n(cx);
    if (period == 0 || period > n / 2 || (period & (period - 1)))
        return thor_fail(THOR_INTERNAL, "a plaintext of period %zu cannot be encoded", period);
    r.log_rep = cx->params->log_n - 1 - log2_of(period);
    size_t words = 2 * period;
    TRY(cx->k->alloc(cx->k, &r.c, ((size_t)b->n * words + n - 1) / n));
    cx->count.encodes++;
    if (!ckks_is_dry(cx)) {
        z = malloc(words * sizeof(double));
        c = malloc(words * sizeof(int64_t));
        if (!z || !c) {
            st = thor_fail(THOR_MEMORY, "no memory for a plaintext");
            goto out;
        }
        memcpy(z, re, period * sizeof(double));
        if (im) memcpy(z + period, im, period * sizeof(double));
        else memset(z + period, 0, period * sizeof(double));
        TRY(ckks_encode_coeffs(c, cx, z, z + period, period, scale));
    }
    cx->k->lift(cx->k, kv(r.c, b->n), c, words, b, 1);
    cx->k->ntt_fwd(cx->k, kv(r.c, b->n), b, 1, log2_of(words));
    ckks_pt_free(out);
    *out = r;
    r.c = NULL;
out:
    free(z);
    free(c);
    ckks_pt_free(&r);
    return st;
}

int ckks_fft_slots(struct ckks *cx, double *re, double *im, const double *coeff) {
    size_t n = ckks_n(cx) / 2;
    memcpy(re, coeff, n * sizeof(double));
    memcpy(im, coeff + n, n * sizeof(double));
    ckks_fft_fwd(cx, re, im, cx->params->log_n - 1);
    return THOR_OK;
}

int ckks_fft_coeffs(struct ckks *cx, double *coeff, const double *re, const double *im) {
    size_t n = ckks_n(cx) / 2;
    memcpy(coeff, re, n * sizeof(double));
    memcpy(coeff + n, im, n * sizeof(double));
    ckks_fft_inv(cx, coeff, coeff + n, cx->params->log_n - 1);
    return THOR_OK;
}
