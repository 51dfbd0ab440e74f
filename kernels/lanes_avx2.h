/* Eight 32-bit lanes: what the files of the AVX2 tier share.  Only they include it. */
#ifndef THOR_LANES_AVX2_H
#define THOR_LANES_AVX2_H

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
static inline V mul_u(V a, V b) { /* even lanes */
    return _mm256_mul_epu32(a, b);
}
static inline V add64(V a, V b) {
    return _mm256_add_epi64(a, b);
}

/* even lanes: upper half of e's 64-bit lanes; odd lanes: of o's */
static inline V high_halves(V e, V o) {
    return _mm256_blend_epi32(odd(e), o, 0xAA);
}

/* A prime in all lanes. */
struct vprime {
    V q, qinv;
};

static inline struct vprime vprime_of(const struct kprime *p) {
    return (struct vprime){set1(p->q), set1(p->qinv)};
}

/* The signed 64-bit products e, o of even and odd lanes over 2^32, modulo q: (p - m q) / 2^32 with
 * m = p q^-1 as a signed word, so |.| <= |p| / 2^32 + q / 2.  The lower halves cancel. */
static inline V redc(V e, V o, const struct vprime *p) {
    V me = _mm256_mul_epi32(_mm256_mul_epu32(e, p->qinv), p->q);
    V mo = _mm256_mul_epi32(_mm256_mul_epu32(o, p->qinv), p->q);
    return high_halves(_mm256_sub_epi64(e, me), _mm256_sub_epi64(o, mo));
}

/* The same for sums below 2^32 q of products without sign, in (-q, q). */
static inline V redc_u(V e, V o, const struct vprime *p) {
    V me = mul_u(mul_u(e, p->qinv), p->q), mo = mul_u(mul_u(o, p->qinv), p->q);
    return high_halves(_mm256_sub_epi64(e, me), _mm256_sub_epi64(o, mo));
}

/* a w 2^-32, w canonical: in (-q, q) for |a| < 2^31.  we, wo: w for even and odd lanes */
static inline V mont(V a, V we, V wo, const struct vprime *p) {
    return redc(_mm256_mul_epi32(a, we), _mm256_mul_epi32(odd(a), wo), p);
}

/* from [-q, q) */
static inline V canonical(V x, const struct vprime *p) {
    return min_u(x, addv(x, p->q));
}

/* ---- ends of sums of products ---- */

struct red {
    struct vprime p;
    V r1, r2;
};

static inline struct red red_of(const struct kprime *p) {
    return (struct red){vprime_of(p), set1(p->r1), set1(p->r2)};
}

/* 64-bit sums of even and odd lanes below 2^32 q -> canonical residues */
static inline V reduce60(V e, V o, const struct red *r) {
    return canonical(mont(redc_u(e, o, &r->p), r->r2, r->r2, &r->p), &r->p);
}

/* any 64-bit sums: the upper halves times 2^32 mod q and the lower ones make less than 2^32 q */
static inline V reduce64(V e, V o, const struct red *r) {
    return reduce60(add64(even(e), mul_u(odd(e), r->r1)), add64(even(o), mul_u(odd(o), r->r1)), r);
}

#ifdef __cplusplus
extern "C" {
#endif

/* The transforms, ntt_avx2.c. */
void ntt_fwd_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                  const uint32_t *next);
void ntt_inv_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);
/* linmap_avx2.c */
void linear_avx2(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                 const struct kprime *p);

#ifdef __cplusplus
}
#endif

#endif
#endif
