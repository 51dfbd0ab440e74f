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
    V q = set1(p->q);
    for (size_t i = 0; i < n; i += 8) {
        store(o + i, canonical(subv(load(x + i), load(y + i)), q));
    }
}

static void neg_avx2(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p) {
    V q = set1(p->q), zero = _mm256_setzero_si256();
    for (size_t i = 0; i < n; i += 8) {
        store(o + i, canonical(subv(zero, load(x + i)), q));
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

static void lincomb_avx2(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y,
                         uint32_t sy, size_t n, const struct kprime *p) {
    uint32_t mx = kern_mul_mod(sx, p->r1, p->q), my = kern_mul_mod(sy, p->r1, p->q);
    V q = set1(p->q), q2 = set1(2 * p->q);
    V wx = set1(mx), wxp = set1(mx * p->qinv), wy = set1(my), wyp = set1(my * p->qinv);
    if (!y) {
        for (size_t i = 0; i < n; i += 8) {
            store(o + i, canonical(mont1(load(x + i), wx, wxp, q), q));
        }
        return;
    }
    for (size_t i = 0; i < n; i += 8) {
        V s = addv(mont1(load(x + i), wx, wxp, q), mont1(load(y + i), wy, wyp, q));
        s = min_u(s, addv(s, q2)); /* (-2q, 2q) to [0, 2q) */
        store(o + i, min_u(s, subv(s, q)));
    }
}

/* ---- sums of products ---- */

struct red { V q, qinv, c64, r2, r2p; };

static inline struct red red_of(const struct kprime *p) {
    struct red r = {set1(p->q), set1(p->qinv), set1(p->c64), set1(p->r2), set1(p->r2 * p->qinv)};
    return r;
}

/* 64-bit t of even and odd lanes below 2^61 -> canonical residues */
static inline V reduce61(V te, V to, const struct red *r) {
    V me = _mm256_mul_epu32(_mm256_mul_epu32(te, r->qinv), r->q);
    V mo = _mm256_mul_epu32(_mm256_mul_epu32(to, r->qinv), r->q);
    V h = high_halves(_mm256_sub_epi64(te, me), _mm256_sub_epi64(to, mo)); /* (-q, 2^29) */
    return canonical(mont1(h, r->r2, r->r2p, r->q), r->q);
}

/* any 64-bit sums, folded at 2^32 first */
static inline V reduce64(V e, V o, const struct red *r) {
    V te = _mm256_add_epi64(even(e), _mm256_mul_epu32(odd(e), r->c64));
    V to = _mm256_add_epi64(even(o), _mm256_mul_epu32(odd(o), r->c64));
    return reduce61(te, to, r);
}

static void mul_avx2(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                     const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 8) {
        V a = load(x + i), b = load(y + i);
        V e = _mm256_mul_epu32(a, b), f = _mm256_mul_epu32(odd(a), odd(b));
        store(o + i, reduce61(e, f, &r));
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

/* The automorphism maps every aligned block of 8 places to one, permuted: in bit-reversed order the
 * upper bits of a place are the lower bits of its exponent, and those of a product depend on them
 * alone. */
static inline size_t block_of(const uint32_t *map, size_t i) {
    return map ? map[i] & ~(uint32_t)7 : i;
}

static inline void dot_body(uint32_t *const o[2], int polys, const uint32_t *const *a,
                            const uint32_t *const (*b)[2], int terms, const uint32_t *map,
                            int log_rep, int acc, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 8) {
        V s[2][2] = {{_mm256_setzero_si256(), _mm256_setzero_si256()},
                     {_mm256_setzero_si256(), _mm256_setzero_si256()}};
        V order = map ? load(map + i) : _mm256_setzero_si256();
        size_t from = block_of(map, i);
        for (int h = 0; acc && h < polys; h++) {
            V t = load(o[h] + i);
            s[h][0] = even(t), s[h][1] = odd(t);
        }
        for (int j = 0; j < terms; j++) {
            V x = load(a[j] + from);
            if (map) x = _mm256_permutevar8x32_epi32(x, order);
            V xo = odd(x);
            for (int h = 0; h < polys; h++) {
                V y = load_rep(b[j][h], i, log_rep), yo = log_rep ? y : odd(y);
                if (log_rep == 1 || log_rep == 2) yo = odd(y);
                s[h][0] = _mm256_add_epi64(s[h][0], _mm256_mul_epu32(x, y));
                s[h][1] = _mm256_add_epi64(s[h][1], _mm256_mul_epu32(xo, yo));
            }
        }
        for (int h = 0; h < polys; h++) {
            store(o[h] + i, reduce64(s[h][0], s[h][1], &r));
        }
    }
}

/* One copy of the loop for each case that matters: the constants choose it. */
static void dot_avx2(uint32_t *const o[2], int polys, const uint32_t *const *a,
                     const uint32_t *const (*b)[2], int terms, const uint32_t *map, int log_rep,
                     int acc, size_t n, const struct kprime *p) {
    int two = polys > 1;
    if (log_rep == 0 && map && two) dot_body(o, 2, a, b, terms, map, 0, acc, n, p);
    else if (log_rep == 0 && map) dot_body(o, 1, a, b, terms, map, 0, acc, n, p);
    else if (log_rep == 0 && two) dot_body(o, 2, a, b, terms, NULL, 0, acc, n, p);
    else if (log_rep == 0) dot_body(o, 1, a, b, terms, NULL, 0, acc, n, p);
    else if (two) dot_body(o, 2, a, b, terms, map, log_rep, acc, n, p);
    else dot_body(o, 1, a, b, terms, map, log_rep, acc, n, p);
}

static void autom_avx2(uint32_t *o, const uint32_t *x, const uint32_t *map, size_t n) {
    for (size_t i = 0; i < n; i += 8) {
        store(o + i, _mm256_permutevar8x32_epi32(load(x + block_of(map, i)), load(map + i)));
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
    V top = _mm256_slli_epi64(_mm256_mul_epu32(y, fix_high), 32);
    return _mm256_srli_epi64(_mm256_add_epi64(_mm256_mul_epu32(y, fix), top), 28);
}

static void scale_columns(struct columns *s, const uint32_t *x, size_t xpitch, const uint32_t *k,
                          const struct kbconv *c, int centred) {
    V half = _mm256_set1_epi64x(1ll << 31);
    for (int j = 0; j < REGS; j++) {
        s->v[j] = s->vo[j] = centred ? half : _mm256_setzero_si256();
    }
    for (int i = 0; i < c->src.n; i++) {
        V q = set1(c->sp[i].q), w = set1(k[i]), wp = set1(k[i] * c->sp[i].qinv);
        V fix = _mm256_set1_epi64x((long long)c->fix[i]), fix_high = odd(fix);
        for (int j = 0; j < REGS; j++) {
            V a = load(x + (size_t)i * xpitch + (size_t)j * 8);
            a = canonical(mont1(a, w, wp, q), q);
            s->y[i][j] = a;
            s->yo[i][j] = odd(a);
            if (!centred) continue;
            s->v[j] = _mm256_add_epi64(s->v[j], share(a, fix, fix_high));
            s->vo[j] = _mm256_add_epi64(s->vo[j], share(odd(a), fix, fix_high));
        }
    }
    for (int j = 0; j < REGS; j++) {
        s->v[j] = odd(s->v[j]), s->vo[j] = odd(s->vo[j]);
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
            struct red r = red_of(&c->dp[d]);
            V nq = set1(c->nq[d]), e[REGS], f[REGS];
            for (int j = 0; j < REGS; j++) {
                e[j] = _mm256_mul_epu32(s.v[j], nq), f[j] = _mm256_mul_epu32(s.vo[j], nq);
            }
            for (int i = 0; i < c->src.n; i++) {
                V m = set1(c->m[d][i]);
                for (int j = 0; j < REGS; j++) {
                    e[j] = _mm256_add_epi64(e[j], _mm256_mul_epu32(s.y[i][j], m));
                    f[j] = _mm256_add_epi64(f[j], _mm256_mul_epu32(s.yo[i][j], m));
                }
            }
            for (int j = 0; j < REGS; j++) {
                store(o + (size_t)d * opitch + t + (size_t)j * 8, reduce64(e[j], f[j], &r));
            }
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
        V x = reduce64(e, f, &r), minus = subv(r.q, x);
        minus = min_u(minus, subv(minus, r.q)); /* q to 0 */
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
    r->autom = autom_avx2;
    r->ntt_fwd = ntt_fwd_avx2;
    r->ntt_inv = ntt_inv_avx2;
    r->bconv = bconv_avx2;
    r->lift = lift_avx2;
    return 1;
}

#else

int krows_avx2(struct krows *r) {
    (void)r;
    return 0;
}

#endif
