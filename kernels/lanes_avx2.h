/* Eight residues a register, shared by the files of the AVX2 tier.
 *
 * mont(a, w, wp) = hi32(a w) - hi32(lo32(a wp) q), signed, with w = W R mod q and wp = w q^-1 mod R:
 * congruent to a W and in (-q, q) for |a| < 2^31, since both upper halves are at most q/2 in size.
 * The low halves of the two products agree, so one 64-bit subtraction leaves the result on top. */
#ifndef THOR_KERNELS_LANES_AVX2_H
#define THOR_KERNELS_LANES_AVX2_H

#include "kernels/rows.h"

#ifdef __AVX2__
#include <immintrin.h>

typedef __m256i V;

static inline V load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}
static inline void store(uint32_t *p, V v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}
static inline V set1(uint32_t x) {
    return _mm256_set1_epi32((int)x);
}
static inline V odd(V a) {
    return _mm256_srli_epi64(a, 32);
}
static inline V even(V a) {
    return _mm256_blend_epi32(a, _mm256_setzero_si256(), 0xAA);
}
static inline V min_u(V a, V b) {
    return _mm256_min_epu32(a, b);
}
static inline V addv(V a, V b) {
    return _mm256_add_epi32(a, b);
}
static inline V subv(V a, V b) {
    return _mm256_sub_epi32(a, b);
}

/* even lanes: upper half of e's 64-bit lanes; odd lanes: of o's */
static inline V high_halves(V e, V o) {
    return _mm256_blend_epi32(odd(e), o, 0xAA);
}

/* e and o: the products of the even and the odd lanes, m: lo32(a wp) */
static inline V mont_tail(V e, V o, V m, V q) {
    e = _mm256_sub_epi64(e, _mm256_mul_epi32(m, q));
    o = _mm256_sub_epi64(o, _mm256_mul_epi32(odd(m), q));
    return high_halves(e, o);
}

/* w, wp: any lanes; q in every lane */
static inline V mont(V a, V w, V wp, V q) {
    V e = _mm256_mul_epi32(a, w), o = _mm256_mul_epi32(odd(a), odd(w));
    return mont_tail(e, o, _mm256_mullo_epi32(a, wp), q);
}

/* w the same in all lanes */
static inline V mont1(V a, V w, V wp, V q) {
    V e = _mm256_mul_epi32(a, w), o = _mm256_mul_epi32(odd(a), w);
    return mont_tail(e, o, _mm256_mullo_epi32(a, wp), q);
}

/* from [-q, q) */
static inline V canonical(V x, V q) {
    return min_u(x, addv(x, q));
}

/* The transforms, ntt_avx2.c. */
void ntt_fwd_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);
void ntt_inv_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);

#endif
#endif
