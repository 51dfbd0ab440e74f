/* Exact arithmetic on words, the roots of unity that all back ends share, and closing one of them. */
#include "kernels/kernels.h"

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

void kernels_close(struct kernels *k) {
    if (k) k->close(k);
}
