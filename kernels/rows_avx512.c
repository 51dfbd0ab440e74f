/* AVX-512 tier: 16 residues a register; the transforms are in ntt_avx512.c. */
#include "kernels/lanes_avx512.h"
#include "kernels/tiers_avx512.h"

#ifdef __AVX512F__

/* for rows and runs that are too short: the portable tier, the one below */
static struct krows ref, lower;

/* ---- pointwise ---- */

static void add_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                       const struct kprime *p) {
    V q = set1(p->q);
    for (size_t i = 0; i < n; i += 16) {
        V s = addv(load(x + i), load(y + i));
        store(o + i, min_u(s, subv(s, q)));
    }
}

static void sub_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                       const struct kprime *p) {
    struct vprime v = vprime_of(p);
    for (size_t i = 0; i < n; i += 16) store(o + i, canonical(subv(load(x + i), load(y + i)), &v));
}

static void neg_avx512(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p) {
    struct vprime v = vprime_of(p);
    V zero = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) store(o + i, canonical(subv(zero, load(x + i)), &v));
}

static void add_scalar_avx512(uint32_t *o, const uint32_t *x, uint32_t s, size_t n,
                              const struct kprime *p) {
    V q = set1(p->q), c = set1(s);
    for (size_t i = 0; i < n; i += 16) {
        V t = addv(load(x + i), c);
        store(o + i, min_u(t, subv(t, q)));
    }
}

/* x sx + y sy is below 2 q^2 < 2^32 q / 8 */
static void lincomb_avx512(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y,
                           uint32_t sy, size_t n, const struct kprime *p) {
    struct vprime v = vprime_of(p);
    V wx = set1(kern_mul_mod(sx, p->r1, p->q)), wy = set1(kern_mul_mod(sy, p->r1, p->q));
    if (!y) {
        for (size_t i = 0; i < n; i += 16)
            store(o + i, canonical(mont(load(x + i), wx, wx, &v), &v));
        return;
    }
    for (size_t i = 0; i < n; i += 16) {
        V a = load(x + i), b = load(y + i);
        V e = add64(mul_u(a, wx), mul_u(b, wy)), f = add64(mul_u(odd(a), wx), mul_u(odd(b), wy));
        store(o + i, canonical(redc(e, f, &v), &v));
    }
}

/* ---- sums of products ---- */

static void mul_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                       const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 16) {
        V a = load(x + i), b = load(y + i);
        store(o + i, reduce60(mul_u(a, b), mul_u(odd(a), odd(b)), &r));
    }
}

/* 16 words of a row of plaintext whose words stand for 2^log_rep places, places i .. i+15 */
static inline V load_rep(const uint32_t *b, size_t i, int log_rep) {
    if (log_rep == 0) return load(b + i);
    if (log_rep >= 4) return set1(b[i >> log_rep]);
    V lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    V idx = _mm512_srl_epi32(lane, _mm_cvtsi32_si128(log_rep));
    __mmask16 have = (__mmask16)((1u << (16 >> log_rep)) - 1);
    return _mm512_permutexvar_epi32(idx, _mm512_maskz_loadu_epi32(have, b + (i >> log_rep)));
}

/* 16 places of autom(a), or of a */
static inline V load_map(const uint32_t *a, size_t i, const struct kautom *g) {
    if (!g) return load(a + i);
    uint32_t b = g->block[i >> 4];
    return _mm512_permutexvar_epi32(load(g->perm[b & 15]), load(a + (b & ~(uint32_t)15)));
}

/* Which place of a to ask for at place i, so that the chunk after this one has arrived when its
 * turn comes, while the other operands stream; the first chunk is fetched at once. */
LANES_INLINE size_t place_ahead(size_t i, size_t n, const struct kautom *g) {
    size_t next = (i | (KERN_CHUNK - 1)) + 1;
    if (next >= n) return i;
    return (g->block[next >> 4] & ~(size_t)(KERN_CHUNK - 1)) + (i & (KERN_CHUNK - 1));
}

static inline void dot_body(uint32_t *const o[2], int polys, const uint32_t *const *a,
                            const uint32_t *const (*b)[2], int terms, const struct kautom *g,
                            int log_rep, int acc, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    V low = _mm512_set1_epi64(0xffffffffll);
    for (size_t i = 0; i < n; i += 16) {
        V e0, o0, e1, o1;
        for (int j = 0; g && i == 0 && j < terms; j++) kautom_fetch(a[j], i, n, g);
        size_t ahead = g ? place_ahead(i, n, g) : 0;
        e0 = o0 = e1 = o1 = _mm512_setzero_si512();
        if (acc) {
            V t = load(o[0] + i);
            e0 = _mm512_and_si512(t, low), o0 = odd(t);
            if (polys > 1) t = load(o[1] + i), e1 = _mm512_and_si512(t, low), o1 = odd(t);
        }
        for (int j = 0; j < terms; j++) {
            V x = load_map(a[j], i, g), xo = odd(x), y = load_rep(b[j][0], i, log_rep);
            if (g) __builtin_prefetch(a[j] + ahead, 0, 2);
            e0 = _mm512_add_epi64(e0, _mm512_mul_epu32(x, y));
            o0 = _mm512_add_epi64(o0, _mm512_mul_epu32(xo, odd(y)));
            if (polys > 1) {
                y = load_rep(b[j][1], i, log_rep);
                e1 = _mm512_add_epi64(e1, _mm512_mul_epu32(x, y));
                o1 = _mm512_add_epi64(o1, _mm512_mul_epu32(xo, odd(y)));
            }
        }
        store(o[0] + i, reduce64(e0, o0, &r));
        if (polys > 1) store(o[1] + i, reduce64(e1, o1, &r));
    }
}

/* The same for log_rep >= 6: one word of b for at least four registers of a. */
LANES_INLINE void dot_wide(uint32_t *const o[2], int polys, const uint32_t *const *a,
                           const uint32_t *const (*b)[2], int terms, const struct kautom *g,
                           int log_rep, int acc, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    V low = set1_64(0xffffffff);
    for (size_t i = 0; i < n; i += 64) {
        V e[2][4], f[2][4];
        for (int j = 0; g && i == 0 && j < terms; j++) kautom_fetch(a[j], i, n, g);
        size_t ahead = g ? place_ahead(i, n, g) : 0;
        for (int h = 0; h < polys; h++) {
            for (size_t v = 0; v < 4; v++) {
                V t = acc ? load(o[h] + i + 16 * v) : _mm512_setzero_si512();
                e[h][v] = _mm512_and_si512(t, low), f[h][v] = odd(t);
            }
        }
        for (int j = 0; j < terms; j++) {
            V y[2];
            for (int h = 0; h < polys; h++) y[h] = set1(b[j][h][i >> log_rep]);
            for (size_t v = 0; v < 4; v++) {
                V x = load_map(a[j], i + 16 * v, g), xo = odd(x);
                if (g) __builtin_prefetch(a[j] + ahead + 16 * v, 0, 2);
                for (int h = 0; h < polys; h++) {
                    e[h][v] = add64(e[h][v], mul_u(x, y[h]));
                    f[h][v] = add64(f[h][v], mul_u(xo, y[h]));
                }
            }
        }
        for (int h = 0; h < polys; h++) {
            for (size_t v = 0; v < 4; v++) {
                store(o[h] + i + 16 * v, reduce64(e[h][v], f[h][v], &r));
            }
        }
    }
}

static void dot_avx512(uint32_t *const o[2], int polys, const uint32_t *const *a,
                       const uint32_t *const (*b)[2], int terms, const struct kautom *g,
                       int log_rep, int acc, size_t n, const struct kprime *p) {
    if (polys > 1 && log_rep == 0)
        dot_body(o, 2, a, b, terms, g, 0, acc, n, p);
    else if (log_rep == 0)
        dot_body(o, 1, a, b, terms, g, 0, acc, n, p);
    else if (log_rep >= 6 && polys > 1)
        dot_wide(o, 2, a, b, terms, g, log_rep, acc, n, p);
    else if (log_rep >= 6)
        dot_wide(o, 1, a, b, terms, g, log_rep, acc, n, p);
    else
        dot_body(o, polys, a, b, terms, g, log_rep, acc, n, p);
}

static void autom_avx512(uint32_t *o, const uint32_t *x, const struct kautom *g, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        if (i == 0) kautom_fetch(x, i, n, g);
        __builtin_prefetch(x + place_ahead(i, n, g), 0, 2);
        store(o + i, load_map(x, i, g));
    }
}

/* ---- transforms ---- */

static void ntt_fwd(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                    const uint32_t *next) {
    (log < 8 ? ref.ntt_fwd : ntt_fwd_avx512)(x, log, p, t, next);
}

static void ntt_inv(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    (log < 8 ? ref.ntt_inv : ntt_inv_avx512)(x, log, p, t);
}

static void lift_avx512(uint32_t *o, const int64_t *c, size_t n, const struct kprime *p) {
    if (n < 16) {
        ref.lift(o, c, n, p);
        return;
    }
    struct red r = red_of(p);
    V from_e = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0),
      from_o = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    for (size_t i = 0; i < n; i += 16) {
        V a = _mm512_loadu_si512(c + i), b = _mm512_loadu_si512(c + i + 8);
        V e = _mm512_permutex2var_epi64(a, from_e, b), f = _mm512_permutex2var_epi64(a, from_o, b);
        __mmask8 ne = _mm512_movepi64_mask(e), nf = _mm512_movepi64_mask(f);
        V v = reduce64(_mm512_abs_epi64(e), _mm512_abs_epi64(f), &r);
        unsigned neg = 0;
        for (int k = 0; k < 8; k++)
            neg |= (unsigned)((ne >> k) & 1) << (2 * k) | (unsigned)((nf >> k) & 1) << (2 * k + 1);
        V w = subv(r.p.q, v);
        v = _mm512_mask_mov_epi32(v, (__mmask16)neg, min_u(w, subv(w, r.p.q)));
        store(o + i, v);
    }
}

static void bconv(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch, const uint32_t *pre,
                  const struct kbconv *c, int centred, size_t from, size_t to) {
    ((to - from) % BCONV_BLOCK ? ref.bconv : bconv_avx512)(o, opitch, x, xpitch, pre, c, centred,
                                                           from, to);
}

int krows_avx512(struct krows *r) {
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    krows_ref(&ref);
    lower = *r;
    r->add = add_avx512;
    r->sub = sub_avx512;
    r->neg = neg_avx512;
    r->mul = mul_avx512;
    r->lincomb = lincomb_avx512;
    r->add_scalar = add_scalar_avx512;
    r->dot = dot_avx512;
    r->linear = linear_avx512;
    r->autom = autom_avx512;
    r->ntt_fwd = ntt_fwd;
    r->ntt_inv = ntt_inv;
    r->bconv = bconv;
    r->lift = lift_avx512;
    r->uniform = uniform_avx512;
    return 1;
}

#else
int krows_avx512(struct krows *r) {
    (void)r;
    return 0;
}
#endif
