/* Words modulo a prime q < 2^28 on the device; the same arithmetic as kernels/rows.h.
 *
 * Canonical words are unsigned, in [0, q).  Lazy words are signed, |x| <= B q with B < 8, so that
 * they fit an int.  With R = 2^32:
 *   lazy_mul(v, w)  v w / R mod q for |v| < 2^31, |w| <= q/2:  |result| < q/2 + |v|/32 + 2,
 *                   for |w| < q:  < q
 *   shrink(x)       x mod q for |x| <= 7.5 q:  |result| < 3/4 q
 * A Montgomery step is a wide multiply-add: t + m q, m = -t/q mod R, has a low word of zeros, and
 * the high word is t/R mod q.  No separate high products, no borrow between them. */
#ifndef THOR_RESIDUE_CUH
#define THOR_RESIDUE_CUH

#include "kernels/cuda/gpu.cuh"

#define GPU_LOGS 18

struct gprime {
    uint32_t q, qinv;         /* q^-1 mod R */
    uint32_t r1, r2;          /* R, R^2 mod q */
    int32_t recip;            /* round(R / q) */
    int32_t halves[GPU_LOGS]; /* R / 2^i mod q */
};

/* Of two words that differ by q the canonical one is the smaller: the other is at least q, or it is
 * negative and wraps around. */
__device__ __forceinline__ uint32_t add_mod(uint32_t x, uint32_t y, uint32_t q) {
    const uint32_t s = x + y;
    return umin(s, s - q);
}

__device__ __forceinline__ uint32_t sub_mod(uint32_t x, uint32_t y, uint32_t q) {
    const uint32_t d = x - y;
    return umin(d, d + q);
}

/* t / R mod q, below q + t / R, for t < R (R - q) */
__device__ __forceinline__ uint32_t redc_lazy(uint64_t t, uint32_t q, uint32_t minus_qinv) {
    return (uint32_t)HIGH_WORD(t + (uint64_t)((uint32_t)t * minus_qinv) * q);
}

/* the same, canonical, for t < q R */
__device__ __forceinline__ uint32_t redc(uint64_t t, uint32_t q, uint32_t minus_qinv) {
    const uint32_t r = redc_lazy(t, q, minus_qinv);
    return umin(r, r - q);
}

/* a b / R mod q, canonical, for b < q */
__device__ __forceinline__ uint32_t mont_mul(uint32_t a, uint32_t b, const gprime &p) {
    return redc((uint64_t)a * b, p.q, 0 - p.qinv);
}

/* s mod q, canonical: the high word times R, then t / R times R^2 / R */
__device__ __forceinline__ uint32_t reduce64(uint64_t s, const gprime &p) {
    const uint64_t t = (uint64_t)(uint32_t)s + (s >> 32) * p.r1; /* < 2^61 */
    return mont_mul(redc_lazy(t, p.q, 0 - p.qinv), p.r2, p);
}

/* minus_q = -q: two wide multiply-adds and one narrow product */
__device__ __forceinline__ int32_t lazy_mul(int32_t v, int32_t w, uint32_t qinv, int32_t minus_q) {
    const int64_t t = (int64_t)v * w;
    return HIGH_WORD(t + (int64_t)(int32_t)((uint32_t)t * qinv) * minus_q);
}

/* k = floor((x + q/2) recip / R) is (x + q/2) / q with an error in (-5/4, 1/4) */
__device__ __forceinline__ int32_t shrink(int32_t x, int32_t q, int32_t recip) {
    return x - __mulhi(x + (q >> 1), recip) * q;
}

__device__ __forceinline__ uint32_t canonical(int32_t x, int32_t q) {
    return umin((uint32_t)x, (uint32_t)x + (uint32_t)q);
}

/* Source of place i under X -> X^g in evaluation form: place i holds the value at psi^(2 brv(i) +
 * 1). */
__device__ __forceinline__ uint32_t autom_place(uint32_t i, uint32_t g, int log_n) {
    uint32_t e = (2 * (__brev(i) >> (32 - log_n)) + 1) * g;
    return __brev((e >> 1) & ((1u << log_n) - 1)) >> (32 - log_n);
}

#endif
