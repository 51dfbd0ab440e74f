#include "tests/sealoracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

uint64_t sealoracle_word(const uint8_t *at) {
    uint64_t x = 0;
    for (int i = 7; i >= 0; i--) x = x << 8 | at[i];
    return x;
}

static uint64_t power(uint64_t x, uint64_t e, uint64_t q) {
    uint64_t r = 1;
    for (; e; e >>= 1, x = x * x % q)
        if (e & 1) r = r * x % q;
    return r;
}

/* The least number whose n-th power is -1; that of the latest q is kept. */
static uint64_t least_root(uint64_t q, size_t n) {
    static uint64_t kept, of_q, of_n;
    if (of_q == q && of_n == n) return kept;
    for (kept = 2; power(kept, n, q) != q - 1;) kept++;
    of_q = q;
    of_n = n;
    return kept;
}

/* out[j] = r^j, j < 2n */
static uint64_t *roots(uint64_t q, size_t n) {
    uint64_t r = least_root(q, n), *out = malloc(2 * n * sizeof *out);
    out[0] = 1;
    for (size_t j = 1; j < 2 * n; j++) out[j] = out[j - 1] * r % q;
    return out;
}

static size_t reversed(size_t x, size_t n) {
    size_t r = 0;
    for (size_t bit = 1; bit < n; bit *= 2, x /= 2) r = 2 * r + x % 2;
    return r;
}

/* Place i of a row holds m(r^(2 brv(i) + 1)), so m_k = 1/n sum of v_i r^(-(2 brv(i) + 1) k). */
static void interpolate(double *out, const uint64_t *v, uint64_t q, size_t n) {
    uint64_t *w = roots(q, n);
    const uint64_t inverse = power(n, q - 2, q);
    for (size_t k = 0; k < n; k++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < n; i++) {
            sum += v[i] * w[(2 * n - (2 * reversed(i, n) + 1) * k % (2 * n)) % (2 * n)];
            if (i % 128 == 127) sum %= q; // products are below 2^56
        }
        sum = sum % q * inverse % q;
        out[k] = sum > q / 2 ? -(double)(q - sum) : (double)sum;
    }
    free(w);
}

void sealoracle_phase(double *out, const uint8_t *c0, const uint8_t *c1, const uint8_t *s,
                      uint64_t q, size_t n) {
    uint64_t *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = (sealoracle_word(c0 + 8 * i) +
                sealoracle_word(c1 + 8 * i) * sealoracle_word(s + 8 * i)) %
               q;
    interpolate(out, v, q, n);
    free(v);
}

/* Slot s = m(exp(i pi 3^s / n)). */
static void embed(double *re, double *im, const double *m, size_t n) {
    double *c = malloc(4 * n * sizeof *c);
    for (size_t j = 0; j < 2 * n; j++) {
        c[j] = cos(M_PI * (double)j / (double)n);
        c[2 * n + j] = sin(M_PI * (double)j / (double)n);
    }
    for (size_t s = 0, e = 1; s < n / 2; s++, e = 3 * e % (2 * n)) {
        re[s] = im[s] = 0;
        for (size_t k = 0; k < n; k++) {
            re[s] += m[k] * c[e * k % (2 * n)];
            im[s] += m[k] * c[2 * n + e * k % (2 * n)];
        }
    }
    free(c);
}

void sealoracle_slots(double *re, double *im, const uint8_t *cipher, const uint8_t *secret,
                      uint64_t q, size_t n) {
    double scale, *m = malloc(n * sizeof *m);
    const size_t primes = sealoracle_word(cipher + SEAL_AT_SCALE - 8);
    const uint8_t *c0 = cipher + SEAL_AT_CIPHER;
    memcpy(&scale, cipher + SEAL_AT_SCALE, sizeof scale);
    sealoracle_phase(m, c0, c0 + 8 * primes * n, secret + SEAL_AT_PLAIN, q, n);
    for (size_t k = 0; k < n; k++) m[k] /= scale;
    embed(re, im, m, n);
    free(m);
}
