/* The numbers of the tests against SEAL, for programs in C and in C++, and how far results may be
 * off. */
#ifndef THOR_TESTS_SEAL_VALUES_H
#define THOR_TESTS_SEAL_VALUES_H

#include <math.h>
#include <stdint.h>

#define SEAL_CASES 100 /* a level */

/* In [-1, 1), by a counter's hash (splitmix64). */
static inline double seal_value(int level, int number, int slot, int imaginary) {
    uint64_t x = ((uint64_t)(unsigned)level << 48 | (uint64_t)(unsigned)number << 32 |
                  (uint64_t)(unsigned)slot << 1 | (uint64_t)(unsigned)imaginary) *
                 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return (double)(int64_t)(x ^ x >> 31) * 0x1p-63;
}

/* SEAL's steps of the rotations: odd ones are with a conjugation here. */
static inline int seal_step(int number) {
    static const int steps[] = {1, 2, 3, -2, 100, -1};
    return steps[number % 6];
}

/* Eight deviations of the noise e u + e1 + e2 s of an encryption under a public key, errors of
 * deviation 3.3 and ternary u, s, in a slot; and of what comes of two such after a product and its
 * rescale, or of one after a key switch. */
static inline double seal_bound_fresh(double n, double scale) {
    return 8 * 3.3 * sqrt(4 * n / 3 + 1) * sqrt(n) / scale;
}
static inline double seal_bound_product(double n, double scale) {
    return 6 * seal_bound_fresh(n, scale);
}
static inline double seal_bound_rotated(double n, double scale) {
    return 3 * seal_bound_fresh(n, scale);
}

#endif
