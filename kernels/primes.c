/* Exact arithmetic on words, the constants that all back ends share, and closing one of them. */
#include <stdlib.h>
#include <string.h>

#include "kernels/rows.h"

uint32_t kern_pow_mod(uint32_t x, uint64_t e, uint32_t q) {
    uint64_t r = 1, b = x % q;
    for (; e; e >>= 1) {
        if (e & 1) r = r * b % q;
        b = b * b % q;
    }
    return (uint32_t)r;
}

uint32_t kern_inv_mod(uint32_t x, uint32_t q) {
    return kern_pow_mod(x, q - 2, q);
}

uint32_t kernels_psi(uint32_t q, int log_n) {
    for (uint32_t x = 2;; x++) {
        uint32_t g = kern_pow_mod(x, (q - 1) / (2u << log_n), q);
        if (kern_pow_mod(g, 1u << log_n, q) == q - 1) return g;
    }
}

int kern_check_prime(uint32_t q, int log_n) {
    int prime = q > 2 && q % 2 && q < KERN_MAX_PRIME;
    for (uint32_t d = 3; prime && d * d <= q; d += 2) {
        prime = q % d != 0;
    }
    if (!prime || (q - 1) % (2u << log_n)) {
        return thor_fail(THOR_USAGE,
                         "%u does not fit degree 2^%d: primes = 1 mod 2^%d below 2^28 do", q, log_n,
                         log_n + 1);
    }
    return THOR_OK;
}

void kprime_fill(struct kprime *p, uint32_t q) {
    uint32_t inv = q; /* Newton: q * inv = 1 mod 2^32 */
    for (int i = 0; i < 5; i++) {
        inv *= 2 - q * inv;
    }
    p->q = q;
    p->qinv = inv;
    p->r1 = (uint32_t)(((uint64_t)1 << 32) % q);
    p->r2 = kern_mul_mod(p->r1, p->r1, q);
}

/* the product of the primes of src but for number `skip`, mod q */
static uint32_t product_but(const struct kprime *prime, const struct kbasis *src, int skip,
                            uint32_t q) {
    uint32_t h = 1;
    for (int j = 0; j < src->n; j++) {
        if (j != skip) h = kern_mul_mod(h, prime[src->prime[j]].q % q, q);
    }
    return h;
}

void kbconv_places(struct kbconv *v, const struct kbasis *src, const struct kbasis *dst) {
    v->src = *src;
    for (int d = 0; d < dst->n; d++) {
        if (memchr(src->prime, dst->prime[d], (size_t)src->n)) continue;
        v->at[v->dst.n] = (uint8_t)d;
        v->dst.prime[v->dst.n++] = dst->prime[d];
    }
}

void kbconv_fill(struct kbconv *v, const struct kprime *prime, const struct kbasis *src,
                 const struct kbasis *dst) {
    kbconv_places(v, src, dst);
    dst = &v->dst;
    for (int i = 0; i < src->n; i++) {
        v->sp[i] = prime[src->prime[i]];
        uint32_t q = v->sp[i].q;
        v->hinv[i] = kern_inv_mod(product_but(prime, src, i, q), q);
        v->fix[i] = ((uint64_t)1 << 60) / q;
    }
    for (int d = 0; d < dst->n; d++) {
        v->dp[d] = prime[dst->prime[d]];
        uint32_t q = v->dp[d].q, all = product_but(prime, src, -1, q);
        for (int i = 0; i < src->n; i++) {
            v->m[d][i] = product_but(prime, src, i, q);
            v->m_r[d][i] = kern_mul_mod(v->m[d][i], v->dp[d].r1, q);
        }
        v->nq[d] = all ? q - all : 0;
        v->nq_r[d] = kern_mul_mod(v->nq[d], v->dp[d].r1, q);
    }
}

static uint32_t reversed(uint32_t x, int bits) {
    uint32_t r = 0;
    for (int i = 0; i < bits; i++) {
        r = r << 1 | (x >> i & 1);
    }
    return r;
}

struct kautom *kautom_new(uint32_t g, int log_n) {
    int high = log_n - 4;
    uint32_t blocks = 1u << high, mask = (2u << log_n) - 1;
    struct kautom *a = malloc(sizeof *a + blocks * sizeof a->block[0]);
    if (!a) return NULL;
    a->g = g;
    a->users = 1;
    for (uint32_t c = 0; c < 16; c++) {
        for (uint32_t l = 0; l < 16; l++) {
            a->perm[c][l] = reversed((c + g * reversed(l, 4)) & 15, 4);
        }
    }
    for (uint32_t b = 0; b < blocks; b++) {
        uint32_t half = ((2 * reversed(b, high) + 1) * g & mask) >> 1;
        a->block[b] = 16 * reversed(half & (blocks - 1), high) + (half >> high);
    }
    return a;
}

void kernels_close(struct kernels *k) {
    if (k) k->close(k);
}
