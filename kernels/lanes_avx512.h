/* Sixteen 32-bit lanes: what the files of the AVX-512 tier share.  Only they include it. */
#ifndef THOR_LANES_AVX512_H
#define THOR_LANES_AVX512_H

#include "kernels/rows.h"

#ifdef __AVX512F__
#include <immintrin.h>

#define LANES_INLINE static inline __attribute__((always_inline))

typedef __m512i V;

LANES_INLINE V load(const uint32_t *p) {
    return _mm512_loadu_si512(p);
}
LANES_INLINE void store(uint32_t *p, V v) {
    _mm512_storeu_si512(p, v);
}
LANES_INLINE V set1(uint32_t x) {
    return _mm512_set1_epi32((int)x);
}
LANES_INLINE V set1_64(uint64_t x) {
    return _mm512_set1_epi64((long long)x);
}
LANES_INLINE V odd(V a) {
    return _mm512_srli_epi64(a, 32);
}
LANES_INLINE V even(V a) {
    return _mm512_and_si512(a, set1_64(0xffffffff));
}
LANES_INLINE V min_u(V a, V b) {
    return _mm512_min_epu32(a, b);
}
LANES_INLINE V addv(V a, V b) {
    return _mm512_add_epi32(a, b);
}
LANES_INLINE V subv(V a, V b) {
    return _mm512_sub_epi32(a, b);
}
LANES_INLINE V mul_s(V a, V b) {
    return _mm512_mul_epi32(a, b);
} /* even lanes, signed */
LANES_INLINE V mul_u(V a, V b) {
    return _mm512_mul_epu32(a, b);
} /* even lanes */
LANES_INLINE V add64(V a, V b) {
    return _mm512_add_epi64(a, b);
}
LANES_INLINE V sub64(V a, V b) {
    return _mm512_sub_epi64(a, b);
}

/* Even lanes: the upper halves of the 64-bit lanes of e; odd lanes: those of o. */
LANES_INLINE V high_halves(V e, V o) {
    return _mm512_mask_shuffle_epi32(o, 0x5555, e, (_MM_PERM_ENUM)0xF5);
}

/* A prime in all lanes; `inv` is about 1/q, for quotients of a few units. */
struct vprime {
    V q, qinv;
    __m512 inv;
};

LANES_INLINE struct vprime vprime_of(const struct kprime *p) {
    return (struct vprime){set1(p->q), set1(p->qinv), _mm512_set1_ps(1.0f / (float)p->q)};
}

/* The 64-bit signed products e, o of even and odd lanes over 2^32, modulo q: (p - m q) / 2^32 with
 * m = p q^-1 as a signed word, so |.| <= |p| / 2^32 + q / 2. */
LANES_INLINE V redc(V e, V o, const struct vprime *p) {
    V me = mul_s(mul_u(e, p->qinv), p->q), mo = mul_s(mul_u(o, p->qinv), p->q);
    return high_halves(sub64(e, me), sub64(o, mo));
}

/* The same for unsigned 64-bit sums below 2^32 q, in (-q, q). */
LANES_INLINE V redc_u(V e, V o, const struct vprime *p) {
    V me = mul_u(mul_u(e, p->qinv), p->q), mo = mul_u(mul_u(o, p->qinv), p->q);
    return high_halves(sub64(e, me), sub64(o, mo));
}

/* a w, w in Montgomery form and canonical: below (|a| / 2^32 + 1/2) q.  we, wo: w for even
 * and odd lanes. */
LANES_INLINE V mont(V a, V we, V wo, const struct vprime *p) {
    return redc(mul_s(a, we), mul_s(odd(a), wo), p);
}

/* (-q, q) -> [0, q) */
LANES_INLINE V canonical(V x, const struct vprime *p) {
    return min_u(x, addv(x, p->q));
}

/* (-8q, 8q) -> a residue of size (1/2 + 2^-20) q, the quotient being rounded in single precision */
LANES_INLINE V shrink(V x, const struct vprime *p) {
    V quotient = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(x), p->inv));
    return subv(x, _mm512_mullo_epi32(quotient, p->q));
}

/* ---- ends of sums of products ---- */

struct red {
    struct vprime p;
    V r1, r2;
};

LANES_INLINE struct red red_of(const struct kprime *p) {
    return (struct red){vprime_of(p), set1_64(p->r1), set1(p->r2)};
}

/* 64-bit sums of even and odd lanes below 2^32 q -> canonical residues */
LANES_INLINE V reduce60(V e, V o, const struct red *r) {
    return canonical(mont(redc_u(e, o, &r->p), r->r2, r->r2, &r->p), &r->p);
}

/* any 64-bit sums: the upper halves times 2^32 mod q leave less than 2^32 q */
LANES_INLINE V reduce64(V e, V o, const struct red *r) {
    return reduce60(add64(even(e), mul_u(odd(e), r->r1)), add64(even(o), mul_u(odd(o), r->r1)), r);
}

#endif
#endif
