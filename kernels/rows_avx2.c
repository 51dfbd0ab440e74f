/* AVX2 tier: all rows but the transforms, which are in ntt_avx2.c. */
#include "kernels/lanes_avx2.h"

#ifdef __AVX2__

/* ---- pointwise ---- */

static void add_avx2(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                     const struct kprime *p) {
    V q = set1(p->q);
    for (size_t i = 0; i < n; i += 8) {
        V s = addv(load(x + i), load(y + i));
        store(o + i, min_u(s, subv(s, q)));
    }
}

static void sub_avx2(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                     const struct kprime *p) {
    struct vprime v = vprime_of(p);
    for (size_t i = 0; i < n; i += 8) {
        store(o + i, canonical(subv(load(x + i), load(y + i)), &v));
    }
}

static void neg_avx2(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p) {
    struct vprime v = vprime_of(p);
    V zero = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        store(o + i, canonical(subv(zero, load(x + i)), &v));
    }
}

static void add_scalar_avx2(uint32_t *o, const uint32_t *x, uint32_t s, size_t n,
                            const struct kprime *p) {
    V q = set1(p->q), c = set1(s);
    for (size_t i = 0; i < n; i += 8) {
        V t = addv(load(x + i), c);
        store(o + i, min_u(t, subv(t, q)));
    }
}

static inline V scaled(V x, V w, const struct vprime *p) {
    return canonical(mont(x, w, w, p), p);
}

/* x sx + y sy is below 2 q^2 < 2^32 q / 8 */
static void lincomb_avx2(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y,
                         uint32_t sy, size_t n, const struct kprime *p) {
    struct vprime v = vprime_of(p);
    V wx = set1(kern_mul_mod(sx, p->r1, p->q)), wy = set1(kern_mul_mod(sy, p->r1, p->q));
    for (size_t i = 0; !y && i < n; i += 8) {
        store(o + i, scaled(load(x + i), wx, &v));
    }
    for (size_t i = 0; y && i < n; i += 8) {
        V a = load(x + i), b = load(y + i);
        V e = add64(mul_u(a, wx), mul_u(b, wy)), f = add64(mul_u(odd(a), wx), mul_u(odd(b), wy));
        store(o + i, canonical(redc(e, f, &v), &v));
    }
}

/* ---- sums of products ---- */

static void mul_avx2(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                     const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 8) {
        V a = load(x + i), b = load(y + i);
        store(o + i, reduce60(mul_u(a, b), mul_u(odd(a), odd(b)), &r));
    }
}

/* Places i .. i+7 of a row whose words stand for 2^log_rep places; reads those words only. */
static inline V load_rep(const uint32_t *b, size_t i, int log_rep) {
    const uint32_t *w = b + (i >> log_rep);
    if (log_rep == 0) return load(w);
    if (log_rep >= 3) return set1(*w);
    if (log_rep == 1) {
        V four = _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)w));
        return _mm256_permutevar8x32_epi32(four, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    }
    V two = _mm256_castsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)w));
    return _mm256_permutevar8x32_epi32(two, _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
}

/* Places i .. i+7 of autom(x), or of x.  Eight neighbours come from eight neighbours, permuted: in
 * a block of 16, place l comes from brv4(c + g brv4(l)), and whether that is in the upper half, the
 * parity of c + g brv4(l), depends on c and on the half of l alone. */
static inline V load_map(const uint32_t *x, size_t i, const struct kautom *g) {
    if (!g) return load(x + i);
    uint32_t b = g->block[i >> 4];
    x += (b & ~(uint32_t)15) + ((8 * (size_t)b ^ i) & 8);
    return _mm256_permutevar8x32_epi32(load(x), load(g->perm[b & 15] + (i & 8)));
}

static inline void dot_body(uint32_t *const o[2], int polys, const uint32_t *const *a,
                            const uint32_t *const (*b)[2], int terms, const struct kautom *g,
                            int log_rep, int acc, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 8) {
        V zero = _mm256_setzero_si256(), s[2][2] = {{zero, zero}, {zero, zero}};
        for (int j = 0; g && i % KERN_CHUNK == 0 && j < terms; j++) {
            kautom_fetch(a[j], i, n, g);
        }
        for (int h = 0; acc && h < polys; h++) {
            V t = load(o[h] + i);
            s[h][0] = even(t), s[h][1] = odd(t);
        }
        for (int j = 0; j < terms; j++) {
            V x = load_map(a[j], i, g), xo = odd(x);
            for (int h = 0; h < polys; h++) {
                V y = load_rep(b[j][h], i, log_rep), yo = log_rep >= 3 ? y : odd(y);
                s[h][0] = add64(s[h][0], mul_u(x, y));
                s[h][1] = add64(s[h][1], mul_u(xo, yo));
            }
        }
        for (int h = 0; h < polys; h++) {
            store(o[h] + i, reduce64(s[h][0], s[h][1], &r));
        }
    }
}

/* One copy of the loop for each case that matters: the constants choose it. */
static void dot_avx2(uint32_t *const o[2], int polys, const uint32_t *const *a,
                     const uint32_t *const (*b)[2], int terms, const struct kautom *g, int log_rep,
                     int acc, size_t n, const struct kprime *p) {
    int two = polys > 1;
    if (log_rep == 0 && g && two)
        dot_body(o, 2, a, b, terms, g, 0, acc, n, p);
    else if (log_rep == 0 && g)
        dot_body(o, 1, a, b, terms, g, 0, acc, n, p);
    else if (log_rep == 0 && two)
        dot_body(o, 2, a, b, terms, NULL, 0, acc, n, p);
    else if (log_rep == 0)
        dot_body(o, 1, a, b, terms, NULL, 0, acc, n, p);
    else if (two)
        dot_body(o, 2, a, b, terms, g, log_rep, acc, n, p);
    else
        dot_body(o, 1, a, b, terms, g, log_rep, acc, n, p);
}

static void autom_avx2(uint32_t *o, const uint32_t *x, const struct kautom *g, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        if (i % KERN_CHUNK == 0) kautom_fetch(x, i, n, g);
        V a = load_map(x, i, g), b = load_map(x, i + 8, g);
        store(o + i, a), store(o + i + 8, b);
    }
}

/* ---- change of basis ---- */

enum { BLOCK = 32, REGS = BLOCK / 8 }; /* columns whose scaled residues wait in L1 */

/* even and odd lanes of the scaled residues, and of the overflow count (zero unless centred) */
struct columns {
    V y[KERN_MAX_SRC][REGS], yo[KERN_MAX_SRC][REGS], v[REGS], vo[REGS];
};

/* y fix mod 2^64 >> 28, y in the even lanes, the upper halves anything; y fix <= 2^60 */
static inline V share(V y, V fix, V fix_high) {
    V top = _mm256_slli_epi64(mul_u(y, fix_high), 32);
    return _mm256_srli_epi64(add64(mul_u(y, fix), top), 28);
}

static void scale_columns(struct columns *s, const uint32_t *x, size_t xpitch, const uint32_t *k,
                          const struct kbconv *c, int centred) {
    V half = _mm256_set1_epi64x(1ll << 31);
    for (int j = 0; j < REGS; j++) {
        s->v[j] = s->vo[j] = centred ? half : _mm256_setzero_si256();
    }
    for (int i = 0; i < c->src.n; i++) {
        struct vprime p = vprime_of(&c->sp[i]);
        V w = set1(k[i]);
        V fix = _mm256_set1_epi64x((long long)c->fix[i]), fix_high = odd(fix);
        for (int j = 0; j < REGS; j++) {
            V a = scaled(load(x + (size_t)i * xpitch + (size_t)j * 8), w, &p);
            s->y[i][j] = a;
            s->yo[i][j] = odd(a);
            if (!centred) continue;
            s->v[j] = add64(s->v[j], share(a, fix, fix_high));
            s->vo[j] = add64(s->vo[j], share(odd(a), fix, fix_high));
        }
    }
    for (int j = 0; j < REGS; j++) {
        s->v[j] = odd(s->v[j]), s->vo[j] = odd(s->vo[j]);
    }
}

/* Row d of a block: sum y_i (Q/q_i) - v Q with the constants times R, below n (max q_i) q_d < 2^32
 * q_d, so that one Montgomery step ends it. */
static void sum_row(uint32_t *o, const struct columns *s, const struct kbconv *c, int d) {
    struct vprime p = vprime_of(&c->dp[d]);
    V q = set1(c->nq_r[d]), e[REGS], f[REGS];
    for (int j = 0; j < REGS; j++) {
        e[j] = mul_u(s->v[j], q), f[j] = mul_u(s->vo[j], q);
    }
    for (int i = 0; i < c->src.n; i++) {
        V m = set1(c->m_r[d][i]);
        for (int j = 0; j < REGS; j++) {
            e[j] = add64(e[j], mul_u(s->y[i][j], m));
            f[j] = add64(f[j], mul_u(s->yo[i][j], m));
        }
    }
    for (int j = 0; j < REGS; j++) {
        store(o + (size_t)j * 8, canonical(redc_u(e[j], f[j], &p), &p));
    }
}

static void bconv_avx2(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch,
                       const uint32_t *pre, const struct kbconv *c, int centred, size_t from,
                       size_t to) {
    uint32_t k[KERN_MAX_SRC];
    struct columns s;
    if ((to - from) % BLOCK) {
        struct krows ref;
        krows_ref(&ref);
        ref.bconv(o, opitch, x, xpitch, pre, c, centred, from, to);
        return;
    }
    for (int i = 0; i < c->src.n; i++) {
        uint32_t q = c->sp[i].q, h = pre ? kern_mul_mod(pre[i], c->hinv[i], q) : c->hinv[i];
        k[i] = kern_mul_mod(h, c->sp[i].r1, q);
    }
    for (size_t t = from; t < to; t += BLOCK) {
        scale_columns(&s, x + t, xpitch, k, c, centred);
        for (int d = 0; d < c->dst.n; d++) {
            sum_row(o + (size_t)c->at[d] * opitch + t, &s, c, d);
        }
    }
}

/* |c| in 64-bit lanes, all ones in `sign` where it was negative */
static inline V magnitude(V c, V *sign) {
    *sign = _mm256_cmpgt_epi64(_mm256_setzero_si256(), c);
    return _mm256_sub_epi64(_mm256_xor_si256(c, *sign), *sign);
}

static void lift_avx2(uint32_t *o, const int64_t *c, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    if (n < 8) {
        struct krows ref;
        krows_ref(&ref);
        ref.lift(o, c, n, p);
        return;
    }
    for (size_t i = 0; i < n; i += 8) { /* places 0 1 4 5 2 3 6 7 until the last permutation */
        V a = load(c + i), b = load(c + i + 4), se, so;
        V e = magnitude(_mm256_unpacklo_epi64(a, b), &se);
        V f = magnitude(_mm256_unpackhi_epi64(a, b), &so);
        V x = reduce64(e, f, &r), minus = subv(r.p.q, x);
        minus = min_u(minus, subv(minus, r.p.q)); /* q to 0 */
        x = _mm256_blendv_epi8(x, minus, _mm256_blend_epi32(se, so, 0xAA));
        store(o + i, _mm256_permute4x64_epi64(x, 0xD8));
    }
}

int krows_avx2(struct krows *r) {
    if (!__builtin_cpu_supports("avx2")) return 0;
    r->add = add_avx2;
    r->sub = sub_avx2;
    r->neg = neg_avx2;
    r->mul = mul_avx2;
    r->lincomb = lincomb_avx2;
    r->add_scalar = add_scalar_avx2;
    r->dot = dot_avx2;
    r->linear = linear_avx2;
    r->autom = autom_avx2;
    r->ntt_fwd = ntt_fwd_avx2;
    r->ntt_inv = ntt_inv_avx2;
    r->bconv = bconv_avx2;
    r->lift = lift_avx2;
    r->uniform = uniform_avx2;
    return 1;
}

#else

int krows_avx2(struct krows *r) {
    (void)r;
    return 0;
}

#endif
