/* AVX2 transforms.  Forward: Cooley-Tukey, every stage adds at most q to the size of a signed
 * value, and 8 q < 2^31; the additive half is brought back to (-q, q) before a pass would exceed 7
 * q.  Inverse: sums double, so every pass ends by bringing its sums back to [-q, q) by unsigned
 * minima. The four stages of half length 8, 4, 2, 1 are done on 16 places in two registers. */
#include "kernels/lanes_avx2.h"

#ifdef __AVX2__

struct mod {
    struct vprime p;
    V q2, q4, q8, one;
};

static inline struct mod mod_of(const struct kprime *p) {
    return (struct mod){vprime_of(p), set1(2 * p->q), set1(4 * p->q), set1(8 * p->q), set1(p->r1)};
}

static inline V times(V x, V w, const struct mod *m) {
    return mont(x, w, w, &m->p);
}

static inline V shrink(V x, const struct mod *m) { /* |x| < 2^31 to (-q, q) */
    return times(x, m->one, m);
}

/* (-2q, 2q), (-4q, 4q), (-8q, 8q) to [-q, q) */
static inline V from2(V x, const struct mod *m) {
    x = addv(x, m->q2);
    return subv(min_u(x, subv(x, m->q2)), m->p.q);
}
static inline V from4(V x, const struct mod *m) {
    x = addv(x, m->q4);
    x = min_u(x, subv(x, m->q4));
    return subv(min_u(x, subv(x, m->q2)), m->p.q);
}
static inline V from8(V x, const struct mod *m) {
    x = addv(x, m->q8);
    x = min_u(x, subv(x, m->q8));
    x = min_u(x, subv(x, m->q4));
    return subv(min_u(x, subv(x, m->q2)), m->p.q);
}

/* (-5q, 5q) to [0, q) */
static inline V canonical5(V x, const struct mod *m) {
    x = addv(x, addv(m->q4, m->p.q));
    x = min_u(x, subv(x, m->q8));
    x = min_u(x, subv(x, m->q4));
    x = min_u(x, subv(x, m->q2));
    return min_u(x, subv(x, m->p.q));
}

/* ---- forward ---- */

#define BFLY(u, v, w)                                                                              \
    do {                                                                                           \
        V z_ = times(v, w, &m);                                                                    \
        v = subv(u, z_);                                                                           \
        u = addv(u, z_);                                                                           \
    } while (0)

/* Two stages from `blocks` blocks of half length h: four rows of h/2 places a block. */
static void fwd_pass4(uint32_t *x, size_t blocks, size_t h, int reduce, const struct kprime *p,
                      const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    size_t s = h / 2;
    for (size_t b = 0; b < blocks; b++) {
        size_t k = blocks + b;
        V w0 = set1(t->w[k]), w1 = set1(t->w[2 * k]), w2 = set1(t->w[2 * k + 1]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < s; j += 8) {
            V a0 = load(d + j), a1 = load(d + j + s);
            V a2 = load(d + j + 2 * s), a3 = load(d + j + 3 * s);
            if (reduce) a0 = shrink(a0, &m), a1 = shrink(a1, &m);
            BFLY(a0, a2, w0);
            BFLY(a1, a3, w0);
            BFLY(a0, a1, w1);
            BFLY(a2, a3, w2);
            store(d + j, a0), store(d + j + s, a1);
            store(d + j + 2 * s, a2), store(d + j + 3 * s, a3);
        }
    }
}

static void fwd_pass2(uint32_t *x, size_t blocks, size_t h, int reduce, const struct kprime *p,
                      const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    for (size_t b = 0; b < blocks; b++) {
        V w = set1(t->w[blocks + b]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < h; j += 8) {
            V u = load(d + j), v = load(d + j + h);
            if (reduce) u = shrink(u, &m);
            BFLY(u, v, w);
            store(d + j, u), store(d + j + h, v);
        }
    }
}

/* Twiddles of the 1, 2, 4 or 8 blocks from index k, each over the lanes of its block. */
static inline V spread(const uint32_t *w, size_t k, int stage) {
    const __m128i *at = (const __m128i *)(const void *)(w + k);
    if (stage == 0) return set1(w[k]);
    if (stage == 1)
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadl_epi64(at)),
                                           _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1));
    if (stage == 2)
        return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(_mm_loadu_si128(at)),
                                           _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
    return load(w + k);
}

static inline V lower(V a, V b) { /* lower 128 bits of both */
    return _mm256_permute2x128_si256(a, b, 0x20);
}
static inline V upper(V a, V b) {
    return _mm256_permute2x128_si256(a, b, 0x31);
}
static inline V evens(V a, V b) { /* a0 b0 a2 b2 a4 b4 a6 b6 */
    return _mm256_blend_epi32(a, _mm256_slli_epi64(b, 32), 0xAA);
}
static inline V odds(V a, V b) { /* a1 b1 a3 b3 a5 b5 a7 b7 */
    return _mm256_blend_epi32(_mm256_srli_epi64(a, 32), b, 0xAA);
}

#define FWD_STAGE(stage)                                                                           \
    do {                                                                                           \
        size_t k_ = (n >> (4 - (stage))) + (i >> (4 - (stage)));                                   \
        V w_ = spread(t->w, k_, stage), z_ = mont(v, w_, (stage) == 3 ? odd(w_) : w_, &m.p);       \
        v = subv(u, z_);                                                                           \
        u = addv(u, z_);                                                                           \
    } while (0)

/* The last four stages: entry below 8 q in size, the additive half reduced to q, exit 5 q, then
 * canonical.  Places in (u, v): half length 8: 0-7, 8-15; 4: 0-3 8-11, 4-7 12-15; 2: 0 1 4 5 ...,
 * 2 3 6 7 ...; 1: the even ones, the odd ones. */
static void fwd_last(uint32_t *x, size_t n, const struct kprime *p, const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    for (size_t i = 0; i < n; i += 16) {
        V u = shrink(load(x + i), &m), v = load(x + i + 8), s;
        FWD_STAGE(0);
        s = lower(u, v), v = upper(u, v), u = s;
        FWD_STAGE(1);
        s = _mm256_unpacklo_epi64(u, v), v = _mm256_unpackhi_epi64(u, v), u = s;
        FWD_STAGE(2);
        s = evens(u, v), v = odds(u, v), u = s;
        FWD_STAGE(3);
        u = canonical5(u, &m), v = canonical5(v, &m);
        s = _mm256_unpacklo_epi32(u, v), v = _mm256_unpackhi_epi32(u, v);
        store(x + i, lower(s, v)), store(x + i + 8, upper(s, v));
    }
}

void ntt_fwd_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                  const uint32_t *next) {
    (void)next;
    size_t n = (size_t)1 << log;
    int stages = log - 4, s = 0, bound = 1; /* of the size of a value, in q */
    if (log < 4) {
        struct krows ref;
        krows_ref(&ref);
        ref.ntt_fwd(x, log, p, t, NULL);
        return;
    }
    while (s < stages) {
        size_t blocks = (size_t)1 << s, h = n >> (s + 1);
        int take = (stages - s) % 2 ? 1 : 2, reduce = bound + take > 7;
        if (reduce) bound = 1;
        (take == 2 ? fwd_pass4 : fwd_pass2)(x, blocks, h, reduce, p, t);
        bound += take;
        s += take;
    }
    fwd_last(x, n, p, t);
}

/* ---- inverse ---- */

#define IBFLY(u, v, w)                                                                             \
    do {                                                                                           \
        V d_ = subv(u, v);                                                                         \
        u = addv(u, v);                                                                            \
        v = times(d_, w, &m);                                                                      \
    } while (0)

#define INV_STAGE(stage)                                                                           \
    do {                                                                                           \
        size_t k_ = (n >> (4 - (stage))) + (i >> (4 - (stage)));                                   \
        V w_ = spread(t->iw, k_, stage), d_ = subv(u, v);                                          \
        u = addv(u, v);                                                                            \
        v = mont(d_, w_, (stage) == 3 ? odd(w_) : w_, &m.p);                                       \
    } while (0)

/* Half lengths 1, 2, 4, 8; in canonical, out in [-q, q). */
static void inv_first(uint32_t *x, size_t n, const struct kprime *p, const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    for (size_t i = 0; i < n; i += 16) {
        V a = load(x + i), b = load(x + i + 8), u = lower(a, b), v = upper(a, b), s;
        s = _mm256_shuffle_epi32(u, 0xD8), b = _mm256_shuffle_epi32(v, 0xD8); /* 0 2 1 3, 4 6 5 7 */
        u = _mm256_unpacklo_epi64(s, b), v = _mm256_unpackhi_epi64(s, b);
        INV_STAGE(3); /* u in [0, 2q), v in (-q, q) */
        s = evens(u, v), v = odds(u, v), u = s;
        INV_STAGE(2);
        u = from4(u, &m);
        s = _mm256_unpacklo_epi64(u, v), v = _mm256_unpackhi_epi64(u, v), u = s;
        INV_STAGE(1); /* u in [-2q, 2q) */
        s = lower(u, v), v = upper(u, v), u = s;
        INV_STAGE(0);
        store(x + i, from4(u, &m)), store(x + i + 8, v);
    }
}

/* Two stages that end with `blocks` blocks of half length h; in and out in [-q, q), or canonical
 * and times ninv. */
static void inv_pass4(uint32_t *x, size_t blocks, size_t h, uint32_t ninv, const struct kprime *p,
                      const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    V nv = set1(ninv);
    size_t s = h / 2;
    for (size_t b = 0; b < blocks; b++) {
        size_t k = blocks + b;
        V w0 = set1(t->iw[k]), w1 = set1(t->iw[2 * k]), w2 = set1(t->iw[2 * k + 1]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < s; j += 8) {
            V a0 = load(d + j), a1 = load(d + j + s);
            V a2 = load(d + j + 2 * s), a3 = load(d + j + 3 * s);
            IBFLY(a0, a1, w1);
            IBFLY(a2, a3, w2);
            IBFLY(a0, a2, w0);
            IBFLY(a1, a3, w0);
            if (ninv) {
                a0 = canonical(times(a0, nv, &m), &m.p), a1 = canonical(times(a1, nv, &m), &m.p);
                a2 = canonical(times(a2, nv, &m), &m.p), a3 = canonical(times(a3, nv, &m), &m.p);
            } else { /* a0 below 4 q, a1 below 2 q, the products below q */
                a0 = from4(a0, &m), a1 = from2(a1, &m);
            }
            store(d + j, a0), store(d + j + s, a1);
            store(d + j + 2 * s, a2), store(d + j + 3 * s, a3);
        }
    }
}

static void inv_pass2(uint32_t *x, size_t blocks, size_t h, uint32_t ninv, const struct kprime *p,
                      const struct ktwiddle *t) {
    struct mod m = mod_of(p);
    V nv = set1(ninv);
    for (size_t b = 0; b < blocks; b++) {
        V w = set1(t->iw[blocks + b]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < h; j += 8) {
            V u = load(d + j), v = load(d + j + h);
            IBFLY(u, v, w);
            if (ninv) {
                u = canonical(times(u, nv, &m), &m.p), v = canonical(times(v, nv, &m), &m.p);
            } else {
                u = from2(u, &m);
            }
            store(d + j, u), store(d + j + h, v);
        }
    }
}

void ntt_inv_avx2(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    size_t n = (size_t)1 << log;
    int s = log - 4; /* stages left: half lengths 16 .. n/2 */
    if (log < 5) {
        struct krows ref;
        krows_ref(&ref);
        ref.ntt_inv(x, log, p, t);
        return;
    }
    uint32_t ninv = kern_mul_mod(kern_inv_mod((uint32_t)(n % p->q), p->q), p->r1, p->q);
    inv_first(x, n, p, t);
    while (s > 0) {
        int take = s % 2 ? 1 : 2;
        s -= take;
        size_t blocks = (size_t)1 << s, h = n >> (s + 1);
        (take == 2 ? inv_pass4 : inv_pass2)(x, blocks, h, s ? 0 : ninv, p, t);
    }
}

#endif
