/* The numbers of kernels/uniform.h: a thread makes the 16 residues of a block.  Some 62
 * instructions a residue are ChaCha20's, 13 the multiplications that follow; 16 registers hold its
 * state. */
#ifndef THOR_CHACHA_CUH
#define THOR_CHACHA_CUH

#include "kernels/cuda/device.cuh"
#include "kernels/uniform.h"

struct gseed {
    uint32_t w[UNIFORM_WORDS];
};

static inline gseed seed_of(const uint8_t *seed) {
    gseed s = {};
    if (seed) memcpy(s.w, seed, sizeof s.w);
    return s;
}

__device__ __forceinline__ uint32_t rotate(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

__device__ __forceinline__ void quarter(uint32_t &a, uint32_t &b, uint32_t &c, uint32_t &d) {
    a += b, d = rotate(d ^ a, 16);
    c += d, b = rotate(b ^ c, 12);
    a += b, d = rotate(d ^ a, 8);
    c += d, b = rotate(b ^ c, 7);
}

__device__ __forceinline__ void chacha(uint32_t *x, const gseed &s, uint32_t block,
                                       uint32_t stream) {
    const uint32_t text[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] = text[i];
#pragma unroll
    for (int i = 0; i < UNIFORM_WORDS; i++) x[4 + i] = s.w[i];
    x[12] = block, x[14] = stream;
    x[13] = x[15] = 0;
#pragma unroll 1
    for (int i = 0; i < 10; i++) {
        quarter(x[0], x[4], x[8], x[12]);
        quarter(x[1], x[5], x[9], x[13]);
        quarter(x[2], x[6], x[10], x[14]);
        quarter(x[3], x[7], x[11], x[15]);
        quarter(x[0], x[5], x[10], x[15]);
        quarter(x[1], x[6], x[11], x[12]);
        quarter(x[2], x[7], x[8], x[13]);
        quarter(x[3], x[4], x[9], x[14]);
    }
#pragma unroll
    for (int i = 0; i < 4; i++) x[i] += text[i];
#pragma unroll
    for (int i = 0; i < UNIFORM_WORDS; i++) x[4 + i] += s.w[i];
    x[12] += block, x[14] += stream;
}

/* use(k, residue k of the block), k = 0 .. 15 */
template <class USE>
__device__ __forceinline__ void uniform_block(const gseed &s, uint32_t block, uint32_t stream,
                                              uint32_t q, USE use) {
    uint32_t x[UNIFORM_TEAM], high = 0, low = 0;
    chacha(x, s, block, stream);
#pragma unroll
    for (int k = 0; k < 8; k++) high = high << 4 | x[k] >> 28;
#pragma unroll
    for (int k = 8; k < 16; k++) low = low << 4 | x[k] >> 28;
#pragma unroll
    for (int k = 0; k < UNIFORM_TEAM; k++) {
        const uint64_t p0 = (uint64_t)low * q, p1 = (uint64_t)high * q + (p0 >> 32),
                       p2 = (uint64_t)(x[k] & 0xfffffff) * q + (p1 >> 32);
        use(k, (uint32_t)(p2 >> 28));
        high = (uint32_t)p2 << 4 | (uint32_t)p1 >> 28;
        low = (uint32_t)p1 << 4 | (uint32_t)p0 >> 28;
    }
}

#endif
