/* Uniform numbers of the AVX-512 tier: sixteen blocks at a time. */
#include "kernels/uniform_lanes.h"

#ifdef __AVX512F__

void uniform_avx512(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream, size_t n,
                    uint32_t q) {
    uniform_lanes(o, seed, stream, n, q);
}

#endif
