/* Exact arithmetic on words, the roots of unity that all back ends share, and closing one of them. */
#include <stdlib.h>

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
        return thor_fail(THOR_USAGE, "%u does not fit degree 2^%d: primes = 1 mod 2^%d below 2^28 do", q, log_n,
                         log_n + 1);
    }
    return THOR_OK;
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
