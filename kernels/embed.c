/* The canonical embedding in doubles.
 *
 * A vector z of period p (a power of two <= N/2) is the polynomial m(Y) of 2p real coefficients, Y
 * = X^(N/2p), with m(exp(i pi 5^s / 2p)) = z_s for 0 <= s < p.  With u_k = c_k + i c_(k+p) the map
 * u -> z is a bit reversal and log2 p butterfly stages of length len = 2, 4, .. p with twiddles
 * exp(2 pi i (5^j mod 4 len) / (4 len)), j < len/2, which do not depend on p.  Error: a few 2^-53
 * of the largest coefficient.
 * Every product and sum is rounded by itself (ISO C without contraction, and __dmul_rn on a
 * device), so that all back ends encode to the same integers. */
#include "kernels/embed.h"

#include <math.h>
#include <stdlib.h>

int kern_roots_new(struct kernels *k) {
    size_t n = (size_t)1 << (k->log_n - 1);
    double *re = malloc(n * sizeof *re), *im = malloc(n * sizeof *im);
    k->root_re = re, k->root_im = im;
    if (!re || !im) return thor_fail(THOR_MEMORY, "no memory for the encoder");
    re[0] = im[0] = 0;
    for (size_t len = 2; len <= n; len *= 2) {
        size_t power = 1;
        for (size_t j = 0; j < len / 2; j++) {
            double a = 2 * M_PI * (double)power / (double)(4 * len);
            re[len / 2 + j] = cos(a);
            im[len / 2 + j] = sin(a);
            power = power * 5 % (4 * len);
        }
    }
    return THOR_OK;
}

void kern_roots_free(struct kernels *k) {
    free((void *)k->root_re);
    free((void *)k->root_im);
}

static void bit_reverse(double *re, double *im, size_t n) {
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

void kern_embed_fwd(const struct kernels *k, double *re, double *im, int log) {
    size_t n = (size_t)1 << log;
    bit_reverse(re, im, n);
    for (size_t h = 1; h < n; h *= 2) {
        const double *restrict wr = k->root_re + h, *restrict wi = k->root_im + h;
        for (size_t i = 0; i < n; i += 2 * h) {
            double *restrict ar = re + i, *restrict ai = im + i;
            double *restrict br = ar + h, *restrict bi = ai + h;
            for (size_t j = 0; j < h; j++) {
                double vr = br[j] * wr[j] - bi[j] * wi[j], vi = br[j] * wi[j] + bi[j] * wr[j];
                br[j] = ar[j] - vr, bi[j] = ai[j] - vi;
                ar[j] += vr, ai[j] += vi;
            }
        }
    }
}

void kern_embed_inv(const struct kernels *k, double *re, double *im, int log) {
    size_t n = (size_t)1 << log;
    for (size_t h = n / 2; h > 0; h /= 2) {
        const double *restrict wr = k->root_re + h, *restrict wi = k->root_im + h;
        for (size_t i = 0; i < n; i += 2 * h) {
            double *restrict ar = re + i, *restrict ai = im + i;
            double *restrict br = ar + h, *restrict bi = ai + h;
            for (size_t j = 0; j < h; j++) {
                double dr = ar[j] - br[j], di = ai[j] - bi[j];
                ar[j] += br[j], ai[j] += bi[j];
                br[j] = dr * wr[j] + di * wi[j], bi[j] = di * wr[j] - dr * wi[j];
            }
        }
    }
    bit_reverse(re, im, n);
}
