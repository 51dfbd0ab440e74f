/* AVX-512 tier: 16 residues a register.
 *
 * mont(a, w, wp) = hi32(a w) - hi32(lo32(a wp) q), signed, w = W R mod q, wp = w q^-1 mod R: congruent to a W,
 * in (-q, q) for |a| < 2^31.  The upper halves of the 64-bit products of even and odd lanes are merged by one
 * masked shuffle.
 * Forward transform: values are signed and lazy, each stage adds at most q to a bound of at most 8 q < 2^31;
 * bounds (in q): 1, three stages 4, three stages 7, the additive halves reduced, 5, ... (see fwd_pass).
 * Inverse: sums double, so each pass of three stages brings its outputs back into (-q, q) by unsigned minima. */
#include "kernels/rows.h"

#ifdef __AVX512F__
#include <immintrin.h>

typedef __m512i V;

static inline V load(const uint32_t *p) { return _mm512_loadu_si512(p); }
static inline void store(uint32_t *p, V v) { _mm512_storeu_si512(p, v); }
static inline V set1(uint32_t x) { return _mm512_set1_epi32((int)x); }
static inline V odd(V a) { return _mm512_srli_epi64(a, 32); }
static inline V min_u(V a, V b) { return _mm512_min_epu32(a, b); }
static inline V addv(V a, V b) { return _mm512_add_epi32(a, b); }
static inline V subv(V a, V b) { return _mm512_sub_epi32(a, b); }

/* even lanes: upper half of e's 64-bit lanes; odd lanes: of o's */
static inline V high_halves(V e, V o) {
    return _mm512_mask_shuffle_epi32(o, 0x5555, e, (_MM_PERM_ENUM)0xF5);
}

/* w, wp: any lanes; q in every lane */
static inline V mont(V a, V w, V wp, V q) {
    V ao = odd(a), m = _mm512_mullo_epi32(a, wp);
    V e = _mm512_sub_epi64(_mm512_mul_epi32(a, w), _mm512_mul_epi32(m, q));
    V o = _mm512_sub_epi64(_mm512_mul_epi32(ao, odd(w)), _mm512_mul_epi32(odd(m), q));
    return high_halves(e, o);
}

/* w the same in all lanes */
static inline V mont1(V a, V w, V wp, V q) {
    V ao = odd(a), m = _mm512_mullo_epi32(a, wp);
    V e = _mm512_sub_epi64(_mm512_mul_epi32(a, w), _mm512_mul_epi32(m, q));
    V o = _mm512_sub_epi64(_mm512_mul_epi32(ao, w), _mm512_mul_epi32(odd(m), q));
    return high_halves(e, o);
}

static inline V canonical(V x, V q) { return min_u(x, addv(x, q)); } /* from (-q, q) */

/* ---- pointwise ---- */

static void add_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n, const struct kprime *p) {
    V q = set1(p->q);
    for (size_t i = 0; i < n; i += 16) {
        V s = addv(load(x + i), load(y + i));
        store(o + i, min_u(s, subv(s, q)));
    }
}

static void sub_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n, const struct kprime *p) {
    V q = set1(p->q);
    for (size_t i = 0; i < n; i += 16) store(o + i, canonical(subv(load(x + i), load(y + i)), q));
}

static void neg_avx512(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p) {
    V q = set1(p->q), zero = _mm512_setzero_si512();
    for (size_t i = 0; i < n; i += 16) store(o + i, canonical(subv(zero, load(x + i)), q));
}

static void add_scalar_avx512(uint32_t *o, const uint32_t *x, uint32_t s, size_t n, const struct kprime *p) {
    V q = set1(p->q), c = set1(s);
    for (size_t i = 0; i < n; i += 16) {
        V t = addv(load(x + i), c);
        store(o + i, min_u(t, subv(t, q)));
    }
}

static void lincomb_avx512(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y, uint32_t sy, size_t n,
                           const struct kprime *p) {
    uint32_t mx = kern_mul_mod(sx, p->r1, p->q), my = kern_mul_mod(sy, p->r1, p->q);
    V q = set1(p->q), wx = set1(mx), wxp = set1(mx * p->qinv), wy = set1(my), wyp = set1(my * p->qinv);
    if (!y) {
        for (size_t i = 0; i < n; i += 16) store(o + i, canonical(mont1(load(x + i), wx, wxp, q), q));
        return;
    }
    for (size_t i = 0; i < n; i += 16) {
        V s = addv(canonical(mont1(load(x + i), wx, wxp, q), q), canonical(mont1(load(y + i), wy, wyp, q), q));
        store(o + i, min_u(s, subv(s, q)));
    }
}

/* ---- sums of products ---- */

struct red { V q, qinv, c64, r2, r2p; };

static inline struct red red_of(const struct kprime *p) {
    struct red r = {set1(p->q), set1(p->qinv), _mm512_set1_epi64(p->c64), set1(p->r2), set1(p->r2 * p->qinv)};
    return r;
}

/* 64-bit sums of even and odd lanes -> canonical residues */
static inline V reduce64(V e, V o, const struct red *r) {
    V low = _mm512_set1_epi64(0xffffffffll);
    V te = _mm512_add_epi64(_mm512_and_si512(e, low), _mm512_mul_epu32(odd(e), r->c64));
    V to = _mm512_add_epi64(_mm512_and_si512(o, low), _mm512_mul_epu32(odd(o), r->c64));
    V me = _mm512_mul_epu32(_mm512_mul_epu32(te, r->qinv), r->q);
    V mo = _mm512_mul_epu32(_mm512_mul_epu32(to, r->qinv), r->q);
    V h = high_halves(_mm512_sub_epi64(te, me), _mm512_sub_epi64(to, mo)); /* (-q, 2^29) signed */
    return canonical(mont1(h, r->r2, r->r2p, r->q), r->q);
}

static void mul_avx512(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    for (size_t i = 0; i < n; i += 16) {
        V a = load(x + i), b = load(y + i);
        store(o + i, reduce64(_mm512_mul_epu32(a, b), _mm512_mul_epu32(odd(a), odd(b)), &r));
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

/* The automorphism maps every aligned block of 16 places to one, permuted: the index of a place in the
 * bit-reversed order depends, in its upper bits, on upper bits alone. */
static inline V load_map(const uint32_t *a, size_t i, const uint32_t *map) {
    if (!map) return load(a + i);
    return _mm512_permutexvar_epi32(load(map + i), load(a + (map[i] & ~(uint32_t)15)));
}

static inline void dot_body(uint32_t *const o[2], int polys, const uint32_t *const *a, const uint32_t *const (*b)[2],
                            int terms, const uint32_t *map, int log_rep, int acc, size_t n, const struct kprime *p) {
    struct red r = red_of(p);
    V low = _mm512_set1_epi64(0xffffffffll);
    for (size_t i = 0; i < n; i += 16) {
        V e0, o0, e1, o1;
        e0 = o0 = e1 = o1 = _mm512_setzero_si512();
        if (acc) {
            V t = load(o[0] + i);
            e0 = _mm512_and_si512(t, low), o0 = odd(t);
            if (polys > 1) t = load(o[1] + i), e1 = _mm512_and_si512(t, low), o1 = odd(t);
        }
        for (int j = 0; j < terms; j++) {
            V x = load_map(a[j], i, map), xo = odd(x), y = load_rep(b[j][0], i, log_rep);
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

static void dot_avx512(uint32_t *const o[2], int polys, const uint32_t *const *a, const uint32_t *const (*b)[2],
                       int terms, const uint32_t *map, int log_rep, int acc, size_t n, const struct kprime *p) {
    if (polys > 1 && log_rep == 0) dot_body(o, 2, a, b, terms, map, 0, acc, n, p);
    else if (log_rep == 0) dot_body(o, 1, a, b, terms, map, 0, acc, n, p);
    else dot_body(o, polys, a, b, terms, map, log_rep, acc, n, p);
}

static void autom_avx512(uint32_t *o, const uint32_t *x, const uint32_t *map, size_t n) {
    for (size_t i = 0; i < n; i += 16) store(o + i, load_map(x, i, map));
}

/* ---- forward transform ---- */

#define BFLY(u, v, w, wp)             \
    do {                              \
        V z_ = mont1(v, w, wp, q);    \
        v = subv(u, z_);              \
        u = addv(u, z_);              \
    } while (0)

/* (-8q, 8q) or less to (-q, q), as 8 q < 2^31 */
static inline V shrink(V x, V one, V onep, V q) { return mont1(x, one, onep, q); }

/* Three stages from m blocks of half length h (h >= 64): 8 rows of h/4 places each per block. */
static void fwd_pass8(uint32_t *x, size_t m, size_t h, int reduce, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), one = set1(p->r1), onep = set1(p->r1 * p->qinv);
    size_t s = h / 4;
    for (size_t b = 0; b < m; b++) {
        V w[7], wp[7];
        size_t k[7] = {m + b, 2 * (m + b), 2 * (m + b) + 1, 4 * (m + b), 4 * (m + b) + 1, 4 * (m + b) + 2,
                       4 * (m + b) + 3};
        for (int i = 0; i < 7; i++) w[i] = set1(t->w[k[i]]), wp[i] = set1(t->wp[k[i]]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < s; j += 16) {
            V a0 = load(d + j), a1 = load(d + j + s), a2 = load(d + j + 2 * s), a3 = load(d + j + 3 * s);
            V a4 = load(d + j + 4 * s), a5 = load(d + j + 5 * s), a6 = load(d + j + 6 * s), a7 = load(d + j + 7 * s);
            if (reduce) {
                a0 = shrink(a0, one, onep, q), a1 = shrink(a1, one, onep, q);
                a2 = shrink(a2, one, onep, q), a3 = shrink(a3, one, onep, q);
            }
            BFLY(a0, a4, w[0], wp[0]);
            BFLY(a1, a5, w[0], wp[0]);
            BFLY(a2, a6, w[0], wp[0]);
            BFLY(a3, a7, w[0], wp[0]);
            BFLY(a0, a2, w[1], wp[1]);
            BFLY(a1, a3, w[1], wp[1]);
            BFLY(a4, a6, w[2], wp[2]);
            BFLY(a5, a7, w[2], wp[2]);
            BFLY(a0, a1, w[3], wp[3]);
            BFLY(a2, a3, w[4], wp[4]);
            BFLY(a4, a5, w[5], wp[5]);
            BFLY(a6, a7, w[6], wp[6]);
            store(d + j, a0), store(d + j + s, a1), store(d + j + 2 * s, a2), store(d + j + 3 * s, a3);
            store(d + j + 4 * s, a4), store(d + j + 5 * s, a5), store(d + j + 6 * s, a6), store(d + j + 7 * s, a7);
        }
    }
}

static void fwd_pass2(uint32_t *x, size_t m, size_t h, int reduce, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), one = set1(p->r1), onep = set1(p->r1 * p->qinv);
    for (size_t b = 0; b < m; b++) {
        V w = set1(t->w[m + b]), wp = set1(t->wp[m + b]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < h; j += 16) {
            V u = load(d + j), v = load(d + j + h);
            if (reduce) u = shrink(u, one, onep, q);
            BFLY(u, v, w, wp);
            store(d + j, u), store(d + j + h, v);
        }
    }
}

/* Lane patterns of the last four stages of a pair of registers (32 places).  A stage of half length h wants
 * u = the lower halves of its blocks, v = the upper ones, in order of place. */
static struct { /* filled once by krows_avx512 */
    int u[4][16], v[4][16];           /* stage s from the lanes (u, v) of stage s-1; s = 0: from (A, B) */
    int back_u[4][16], back_v[4][16]; /* and backwards */
    int tw[4][16];                    /* block of a lane */
    int in_u[16], in_v[16], out_a[16], out_b[16]; /* (A, B) <-> stage 3 */
} lanes;

static int place_of(int stage, int lane, int upper) { /* place held by lane of u or v before stage 0..3 (h = 8..1) */
    int h = 8 >> stage;
    return lane / h * 2 * h + lane % h + upper * h;
}

/* lane of (u, v) of `stage` that holds `place`; stage -1: the place itself */
static int lane_of(int stage, int place) {
    for (int k = 0; stage >= 0 && k < 32; k++)
        if (place_of(stage, k % 16, k / 16) == place) return k;
    return place;
}

static void fill_lanes(void) {
    for (int s = 0; s < 4; s++)
        for (int k = 0; k < 16; k++) {
            lanes.u[s][k] = lane_of(s - 1, place_of(s, k, 0));
            lanes.v[s][k] = lane_of(s - 1, place_of(s, k, 1));
            int pu = s ? place_of(s - 1, k, 0) : k, pv = s ? place_of(s - 1, k, 1) : k + 16;
            lanes.back_u[s][k] = lane_of(s, pu);
            lanes.back_v[s][k] = lane_of(s, pv);
            lanes.tw[s][k] = k / (8 >> s);
        }
    for (int k = 0; k < 16; k++) {
        lanes.in_u[k] = place_of(3, k, 0);
        lanes.in_v[k] = place_of(3, k, 1);
        lanes.out_a[k] = lane_of(3, k);
        lanes.out_b[k] = lane_of(3, k + 16);
    }
}

static inline V iload(const int *p) { return _mm512_loadu_si512(p); }
static inline V perm2(V a, V idx, V b) { return _mm512_permutex2var_epi32(a, idx, b); }

/* The `n` twiddles from index k, one for each of n blocks, spread over lanes */
static inline V spread(const uint32_t *w, size_t k, int n, V pattern) {
    if (n == 16) return load(w + k);
    return _mm512_permutexvar_epi32(pattern, _mm512_maskz_loadu_epi32((__mmask16)((1u << n) - 1), w + k));
}

/* The last four stages and canonical values.  Bound on entry below 8 q; the additive half is reduced first,
 * so the bound on exit is 5 q < 8 q. */
static void fwd_last(uint32_t *x, size_t n, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), one = set1(p->r1), onep = set1(p->r1 * p->qinv);
    V q5 = set1(5 * p->q), q8 = set1(8 * p->q), q4 = set1(4 * p->q), q2 = set1(2 * p->q);
    V pu[4], pv[4], tw[4], oa = iload(lanes.out_a), ob = iload(lanes.out_b);
    for (int s = 0; s < 4; s++) pu[s] = iload(lanes.u[s]), pv[s] = iload(lanes.v[s]), tw[s] = iload(lanes.tw[s]);
    for (size_t i = 0; i < n; i += 32) {
        V a = load(x + i), b = load(x + i + 16), u, v, z;
        u = shrink(perm2(a, pu[0], b), one, onep, q);
        v = perm2(a, pv[0], b);
        for (int s = 0; s < 4; s++) {
            int blocks = 2 << s;
            size_t k = (n >> (4 - s)) + (i >> (4 - s)); /* n/16 blocks of 16 places at stage 0: m + first block */
            if (s) {
                V nu = perm2(u, pu[s], v), nv = perm2(u, pv[s], v);
                u = nu, v = nv;
            }
            z = mont(v, spread(t->w, k, blocks, tw[s]), spread(t->wp, k, blocks, tw[s]), q);
            v = subv(u, z);
            u = addv(u, z);
        }
        a = addv(perm2(u, oa, v), q5);
        b = addv(perm2(u, ob, v), q5);
        a = min_u(a, subv(a, q8)), b = min_u(b, subv(b, q8));
        a = min_u(a, subv(a, q4)), b = min_u(b, subv(b, q4));
        a = min_u(a, subv(a, q2)), b = min_u(b, subv(b, q2));
        store(x + i, min_u(a, subv(a, q))), store(x + i + 16, min_u(b, subv(b, q)));
    }
}

static struct krows ref;

/* Bounds in units of q: b on entry of a pass; radix 8 adds 3, radix 2 adds 1; above 8 is never reached. */
static void ntt_fwd_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    if (log < 5) {
        ref.ntt_fwd(x, log, p, t);
        return;
    }
    size_t n = (size_t)1 << log;
    int stages = log - 4, s = 0, bound = 1;
    while (s < stages) {
        size_t m = (size_t)1 << s, h = n >> (s + 1);
        int three = stages - s >= 3, grow = three ? 3 : 1, reduce = bound + grow > 7;
        if (reduce) bound = 1;
        (three ? fwd_pass8 : fwd_pass2)(x, m, h, reduce, p, t);
        bound += grow;
        s += grow;
    }
    fwd_last(x, n, p, t);
}

/* ---- inverse transform ---- */

#define IBFLY(u, v, w, wp)                  \
    do {                                    \
        V d_ = subv(u, v);                  \
        u = addv(u, v);                     \
        v = mont1(d_, w, wp, q);            \
    } while (0)

/* (-2q, 2q), (-4q, 4q), (-8q, 8q) to [-q, q) */
static inline V from2(V x, V q, V q2) {
    x = addv(x, q2);
    return subv(min_u(x, subv(x, q2)), q);
}
static inline V from4(V x, V q, V q2, V q4) {
    x = addv(x, q4);
    x = min_u(x, subv(x, q4));
    return subv(min_u(x, subv(x, q2)), q);
}
static inline V from8(V x, V q, V q2, V q4, V q8) {
    x = addv(x, q8);
    x = min_u(x, subv(x, q8));
    x = min_u(x, subv(x, q4));
    return subv(min_u(x, subv(x, q2)), q);
}

/* Half lengths 1, 2, 4, 8 inside pairs of registers; in canonical, out in [-q, q). */
static void inv_first(uint32_t *x, size_t n, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), q2 = set1(2 * p->q), q4 = set1(4 * p->q);
    V pu[4], pv[4], tw[4], in_u = iload(lanes.in_u), in_v = iload(lanes.in_v);
    for (int s = 0; s < 4; s++)
        pu[s] = iload(lanes.back_u[s]), pv[s] = iload(lanes.back_v[s]), tw[s] = iload(lanes.tw[s]);
    for (size_t i = 0; i < n; i += 32) {
        V a = load(x + i), b = load(x + i + 16), u = perm2(a, in_u, b), v = perm2(a, in_v, b);
        for (int s = 3; s >= 0; s--) {
            int blocks = 2 << s;
            size_t k = (n >> (4 - s)) + (i >> (4 - s));
            V d = subv(u, v);
            u = addv(u, v);
            v = mont(d, spread(t->iw, k, blocks, tw[s]), spread(t->iwp, k, blocks, tw[s]), q);
            if (s == 2 || s == 0) u = from4(u, q, q2, q4);
            V nu = perm2(u, pu[s], v), nv = perm2(u, pv[s], v);
            u = nu, v = nv;
        }
        store(x + i, u), store(x + i + 16, v);
    }
}

/* Three stages ending with m blocks of half length h; in and out in [-q, q], or canonical and times ninv. */
static void inv_pass8(uint32_t *x, size_t m, size_t h, uint32_t ninv, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), q2 = set1(2 * p->q), q4 = set1(4 * p->q), q8 = set1(8 * p->q);
    V nv = set1(ninv), nvp = set1(ninv * p->qinv);
    size_t s = h / 4;
    for (size_t b = 0; b < m; b++) {
        V w[7], wp[7];
        size_t k[7] = {m + b, 2 * (m + b), 2 * (m + b) + 1, 4 * (m + b), 4 * (m + b) + 1, 4 * (m + b) + 2,
                       4 * (m + b) + 3};
        for (int i = 0; i < 7; i++) w[i] = set1(t->iw[k[i]]), wp[i] = set1(t->iwp[k[i]]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < s; j += 16) {
            V a0 = load(d + j), a1 = load(d + j + s), a2 = load(d + j + 2 * s), a3 = load(d + j + 3 * s);
            V a4 = load(d + j + 4 * s), a5 = load(d + j + 5 * s), a6 = load(d + j + 6 * s), a7 = load(d + j + 7 * s);
            IBFLY(a0, a1, w[3], wp[3]);
            IBFLY(a2, a3, w[4], wp[4]);
            IBFLY(a4, a5, w[5], wp[5]);
            IBFLY(a6, a7, w[6], wp[6]);
            IBFLY(a0, a2, w[1], wp[1]);
            IBFLY(a1, a3, w[1], wp[1]);
            IBFLY(a4, a6, w[2], wp[2]);
            IBFLY(a5, a7, w[2], wp[2]);
            IBFLY(a0, a4, w[0], wp[0]);
            IBFLY(a1, a5, w[0], wp[0]);
            IBFLY(a2, a6, w[0], wp[0]);
            IBFLY(a3, a7, w[0], wp[0]);
            if (ninv) { /* the last pass: a0 up to 8 q < 2^31 */
                a0 = canonical(mont1(a0, nv, nvp, q), q), a1 = canonical(mont1(a1, nv, nvp, q), q);
                a2 = canonical(mont1(a2, nv, nvp, q), q), a3 = canonical(mont1(a3, nv, nvp, q), q);
                a4 = canonical(mont1(a4, nv, nvp, q), q), a5 = canonical(mont1(a5, nv, nvp, q), q);
                a6 = canonical(mont1(a6, nv, nvp, q), q), a7 = canonical(mont1(a7, nv, nvp, q), q);
            } else { /* bounds: a0 8, a1 4, a2 and a3 2, the products 1 */
                a0 = from8(a0, q, q2, q4, q8);
                a1 = from4(a1, q, q2, q4);
                a2 = from2(a2, q, q2), a3 = from2(a3, q, q2);
            }
            store(d + j, a0), store(d + j + s, a1), store(d + j + 2 * s, a2), store(d + j + 3 * s, a3);
            store(d + j + 4 * s, a4), store(d + j + 5 * s, a5), store(d + j + 6 * s, a6), store(d + j + 7 * s, a7);
        }
    }
}

static void inv_pass2(uint32_t *x, size_t m, size_t h, uint32_t ninv, const struct kprime *p, const struct ktwiddle *t) {
    V q = set1(p->q), q2 = set1(2 * p->q), nv = set1(ninv), nvp = set1(ninv * p->qinv);
    for (size_t b = 0; b < m; b++) {
        V w = set1(t->iw[m + b]), wp = set1(t->iwp[m + b]);
        uint32_t *d = x + 2 * b * h;
        for (size_t j = 0; j < h; j += 16) {
            V u = load(d + j), v = load(d + j + h);
            IBFLY(u, v, w, wp);
            if (ninv) u = canonical(mont1(u, nv, nvp, q), q), v = canonical(mont1(v, nv, nvp, q), q);
            else u = from2(u, q, q2);
            store(d + j, u), store(d + j + h, v);
        }
    }
}

static void ntt_inv_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    if (log < 6) {
        ref.ntt_inv(x, log, p, t);
        return;
    }
    size_t n = (size_t)1 << log;
    uint32_t ninv = kern_mul_mod(kern_inv_mod((uint32_t)(n % p->q), p->q), p->r1, p->q);
    inv_first(x, n, p, t);
    int s = log - 4; /* stages left: half lengths 16 .. n/2 */
    while (s > 0) {
        int take = s % 3 ? 1 : 3;
        s -= take;
        size_t m = (size_t)1 << s, h = n >> (s + 1);
        (take == 3 ? inv_pass8 : inv_pass2)(x, m, h, s ? 0 : ninv, p, t);
    }
}

/* ---- change of basis ---- */

enum { BLOCK = 64 }; /* columns whose scaled residues wait in L1: 16 sources x 2 x 256 bytes */

static void bconv_avx512(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch, const uint32_t *pre,
                         const struct kbconv *c, int centred, size_t from, size_t to) {
    uint32_t k[KERN_MAX_SRC];
    int n = c->src.n;
    if ((to - from) % BLOCK) {
        ref.bconv(o, opitch, x, xpitch, pre, c, centred, from, to);
        return;
    }
    for (int i = 0; i < n; i++) {
        uint32_t q = c->sp[i].q, s = pre ? kern_mul_mod(pre[i], c->hinv[i], q) : c->hinv[i];
        k[i] = kern_mul_mod(s, c->sp[i].r1, q);
    }
    for (size_t t = from; t < to; t += BLOCK) {
        V y[KERN_MAX_SRC][BLOCK / 16], yo[KERN_MAX_SRC][BLOCK / 16], ve[BLOCK / 16], vo[BLOCK / 16];
        for (int j = 0; j < BLOCK / 16; j++) {
            V se = _mm512_setzero_si512(), so = se, low = _mm512_set1_epi64(0xffffffffll);
            for (int i = 0; i < n; i++) {
                V q = set1(c->sp[i].q), a = load(x + (size_t)i * xpitch + t + (size_t)j * 16);
                a = canonical(mont1(a, set1(k[i]), set1(k[i] * c->sp[i].qinv), q), q);
                y[i][j] = a;
                yo[i][j] = odd(a);
                if (!centred) continue;
                V f = _mm512_set1_epi64((long long)c->fix[i]);
                se = _mm512_add_epi64(se, _mm512_srli_epi64(_mm512_mullo_epi64(_mm512_and_si512(a, low), f), 28));
                so = _mm512_add_epi64(so, _mm512_srli_epi64(_mm512_mullo_epi64(yo[i][j], f), 28));
            }
            V half = _mm512_set1_epi64(1ll << 31);
            ve[j] = centred ? _mm512_srli_epi64(_mm512_add_epi64(se, half), 32) : se;
            vo[j] = centred ? _mm512_srli_epi64(_mm512_add_epi64(so, half), 32) : so;
        }
        for (int d = 0; d < c->dst.n; d++) {
            struct red r = red_of(&c->dp[d]);
            V nq = _mm512_set1_epi64(c->nq[d]), e[BLOCK / 16], f[BLOCK / 16];
            for (int j = 0; j < BLOCK / 16; j++) e[j] = _mm512_mul_epu32(ve[j], nq), f[j] = _mm512_mul_epu32(vo[j], nq);
            for (int i = 0; i < n; i++) {
                V m = _mm512_set1_epi64(c->m[d][i]);
                for (int j = 0; j < BLOCK / 16; j++) {
                    e[j] = _mm512_add_epi64(e[j], _mm512_mul_epu32(y[i][j], m));
                    f[j] = _mm512_add_epi64(f[j], _mm512_mul_epu32(yo[i][j], m));
                }
            }
            for (int j = 0; j < BLOCK / 16; j++)
                store(o + (size_t)d * opitch + t + (size_t)j * 16, reduce64(e[j], f[j], &r));
        }
    }
}

static void lift_avx512(uint32_t *o, const int64_t *c, size_t n, const struct kprime *p) {
    if (n < 16) {
        ref.lift(o, c, n, p);
        return;
    }
    struct red r = red_of(p);
    V from_e = _mm512_set_epi64(14, 12, 10, 8, 6, 4, 2, 0), from_o = _mm512_set_epi64(15, 13, 11, 9, 7, 5, 3, 1);
    for (size_t i = 0; i < n; i += 16) {
        V a = _mm512_loadu_si512(c + i), b = _mm512_loadu_si512(c + i + 8);
        V e = _mm512_permutex2var_epi64(a, from_e, b), f = _mm512_permutex2var_epi64(a, from_o, b);
        __mmask8 ne = _mm512_movepi64_mask(e), nf = _mm512_movepi64_mask(f);
        V v = reduce64(_mm512_abs_epi64(e), _mm512_abs_epi64(f), &r);
        unsigned neg = 0;
        for (int k = 0; k < 8; k++) neg |= (unsigned)((ne >> k) & 1) << (2 * k) | (unsigned)((nf >> k) & 1) << (2 * k + 1);
        V w = subv(r.q, v);
        v = _mm512_mask_mov_epi32(v, (__mmask16)neg, min_u(w, subv(w, r.q)));
        store(o + i, v);
    }
}

int krows_avx512(struct krows *r) {
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512dq") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512vl"))
        return 0;
    krows_ref(&ref);
    fill_lanes();
    r->add = add_avx512;
    r->sub = sub_avx512;
    r->neg = neg_avx512;
    r->mul = mul_avx512;
    r->lincomb = lincomb_avx512;
    r->add_scalar = add_scalar_avx512;
    r->dot = dot_avx512;
    r->autom = autom_avx512;
    r->ntt_fwd = ntt_fwd_avx512;
    r->ntt_inv = ntt_inv_avx512;
    r->bconv = bconv_avx512;
    r->lift = lift_avx512;
    return 1;
}

#else
int krows_avx512(struct krows *r) {
    (void)r;
    return 0;
}
#endif
