/* The numbers of uniform.h, a block a lane: the code of both vector tiers. */
#ifndef THOR_UNIFORM_LANES_H
#define THOR_UNIFORM_LANES_H

#ifdef __AVX512F__
#include "kernels/lanes_avx512.h"
#else
#include "kernels/lanes_avx2.h"
#endif

#ifdef __AVX2__

typedef uint32_t U __attribute__((vector_size(sizeof(V))));
typedef uint64_t W __attribute__((vector_size(sizeof(V))));
enum { LANES = sizeof(V) / 4 };

#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define QUARTER(a, b, c, d)                                                                        \
    do {                                                                                           \
        a += b, d = ROTATE(d ^ a, 16);                                                             \
        c += d, b = ROTATE(b ^ c, 12);                                                             \
        a += b, d = ROTATE(d ^ a, 8);                                                              \
        c += d, b = ROTATE(b ^ c, 7);                                                              \
    } while (0)

static inline U all(uint32_t x) {
    return (U)set1(x);
}

/* blocks `from` and those after it */
static inline void chacha_lanes(U x[16], const uint32_t seed[UNIFORM_WORDS], uint32_t from,
                                uint32_t stream) {
    static const uint32_t text[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
    U count = all(from);
    for (uint32_t l = 0; l < LANES; l++) count[l] += l;
    for (int i = 0; i < 4; i++) x[i] = all(text[i]);
    for (int i = 0; i < 8; i++) x[4 + i] = all(seed[i]);
    x[12] = count, x[14] = all(stream), x[13] = x[15] = all(0);
    for (int i = 0; i < 10; i++) {
        QUARTER(x[0], x[4], x[8], x[12]);
        QUARTER(x[1], x[5], x[9], x[13]);
        QUARTER(x[2], x[6], x[10], x[14]);
        QUARTER(x[3], x[7], x[11], x[15]);
        QUARTER(x[0], x[5], x[10], x[15]);
        QUARTER(x[1], x[6], x[11], x[12]);
        QUARTER(x[2], x[7], x[8], x[13]);
        QUARTER(x[3], x[4], x[9], x[14]);
    }
    for (int i = 0; i < 4; i++) x[i] += all(text[i]);
    for (int i = 0; i < 8; i++) x[4 + i] += all(seed[i]);
    x[12] += count, x[14] += all(stream);
}

/* The step of uniform.h in 64-bit lanes: its residues, f moved on; l in the lower words. */
static inline W step_lanes(W *f, W l, V q) {
    const W low = (W)set1(0) + UINT32_MAX;
    const W p0 = (W)mul_u((V)*f, q), p1 = (W)mul_u((V)(*f >> 32), q) + (p0 >> 32),
            p2 = (W)mul_u((V)l, q) + (p1 >> 32);
    *f = p2 << 36 | (p1 & low) << 4 | (p0 & low) >> 28;
    return p2 >> 28;
}

static inline void uniform_lanes(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream,
                                 size_t n, uint32_t q) {
    const W low = (W)set1(0) + UINT32_MAX;
    for (size_t c = 0; c < n / 16; c += LANES) {
        uint32_t *to = o + c / 16 * 256 + c % 16;
        U x[16], high = all(0), rest = all(0);
        chacha_lanes(x, seed, (uint32_t)c, stream);
        for (int k = 0; k < 8; k++) high = high << 4 | x[k] >> 28;
        for (int k = 8; k < 16; k++) rest = rest << 4 | x[k] >> 28;
        W even_f = (W)high << 32 | ((W)rest & low), odd_f = ((W)high & ~low) | (W)rest >> 32;
        for (int k = 0; k < 16; k++) {
            const W l = (W)(x[k] & 0xfffffff);
            const W even_r = step_lanes(&even_f, l, set1(q)),
                    odd_r = step_lanes(&odd_f, l >> 32, set1(q));
            store(to + 16 * k, (V)(even_r | odd_r << 32));
        }
    }
}

#endif
#endif
