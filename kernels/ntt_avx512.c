/* The transforms of the AVX-512 tier, rows of 256 words and more.
 *
 * Passes of up to four stages hold 2^r registers a group; blocks of 256 words take their eight
 * stages in one go.  Values are signed and lazy inside.  With B the bound in units of q (q < 2^28,
 * so B <= 8 fits a word) and w canonical, a product of a lazy value is below B/16 + 1/2.
 *
 * Forward: a stage takes B to 1.0625 B + 1/2, that is 9 * 1.0625^s - 8 after s stages from
 * canonical
 * input: 7.53 after the nine that 2^17 needs in front of the blocks.  There the additive halves
 * shrink to 0.5, the first stage leaves 1.5, seven more 6.5; the end makes canonical words of them.
 *
 * Inverse: a sum doubles B, a product is below 1 for B <= 8.  A pass starts and ends below 2.
 *
 * The first pass forward reads sixteen places of a row at a time, which no prefetcher foresees: the
 * last pass of a row fetches the next one. */
#include "kernels/lanes_avx512.h"
#include "kernels/tiers_avx512.h"

#ifdef __AVX512F__

/* The bounds of these loops are plain variables: with shifts in them, instrumented code cannot
 * unroll. */
#define UNROLL _Pragma("GCC unroll 16")

LANES_INLINE void fwd_butterfly(V *u, V *v, V we, V wo, const struct vprime *p) {
    V z = mont(*v, we, wo, p);
    *v = subv(*u, z);
    *u = addv(*u, z);
}

LANES_INLINE void inv_butterfly(V *u, V *v, V we, V wo, const struct vprime *p) {
    V d = subv(*u, *v);
    *u = addv(*u, *v);
    *v = mont(d, we, wo, p);
}

/* r stages across the registers a[0 .. 2^r), which are block k - m of the m blocks of the first
 * stage. */
LANES_INLINE void fwd_across(V *a, int r, size_t k, const uint32_t *w, const struct vprime *p) {
    const int regs = 1 << r;
    UNROLL for (int t = 0; t < r; t++) {
        int half = 1 << (r - 1 - t);
        UNROLL for (int i = 0; i < regs; i++) {
            if (i & half) continue;
            V f = set1(w[(k << t) + (size_t)(i >> (r - t))]);
            fwd_butterfly(&a[i], &a[i | half], f, f, p);
        }
    }
}

LANES_INLINE void fwd_pass(uint32_t *x, int r, size_t m, size_t n, const struct kprime *prime,
                           const uint32_t *w) {
    const int regs = 1 << r;
    struct vprime p = vprime_of(prime);
    size_t size = n / m, step = size >> r;
    for (size_t b = 0; b < m; b++) {
        for (size_t j = 0; j < step; j += 16) {
            uint32_t *d = x + b * size + j;
            V a[16];
            UNROLL for (int i = 0; i < regs; i++) a[i] = load(d + (size_t)i * step);
            fwd_across(a, r, m + b, w, &p);
            UNROLL for (int i = 0; i < regs; i++) store(d + (size_t)i * step, a[i]);
        }
    }
}

/* Places in the lanes of (u, v) while two registers A, B go through half lengths 8, 4, 2, 1; the
 * digits are hexadecimal places, capital letters stand for a register: 8: A0..7 B0..7 | 4: A0..3
 * B0..3 A8..b B8..b | 2: A01 A45 B01 B45 A89 Acd B89 Bcd 1: A0 A4 A2 A6 B0 B4 B2 B6 A8 Ac Aa Ae B8
 * Bc Ba Be             (v: the places h further) */
#define SHUF64(a, b, imm) _mm512_shuffle_i64x2(a, b, imm)
#define SHUF32(a, b, imm)                                                                          \
    _mm512_castps_si512(_mm512_shuffle_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), imm))

static const uint32_t spread_8[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
static const uint32_t spread_8_inv[16] = {0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1};
static const uint32_t spread_4[16] = {0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3};
static const uint32_t spread_2[16] = {0, 0, 1, 1, 4, 4, 5, 5, 2, 2, 3, 3, 6, 6, 7, 7};
static const uint32_t spread_1[16] = {0, 2, 1, 3, 8, 10, 9, 11, 4, 6, 5, 7, 12, 14, 13, 15};
/* lanes of (u, v) of half length 1 that make A and B, and back */
static const uint32_t join_a[16] = {0, 16, 2, 18, 1, 17, 3, 19, 8, 24, 10, 26, 9, 25, 11, 27};
static const uint32_t join_b[16] = {4, 20, 6, 22, 5, 21, 7, 23, 12, 28, 14, 30, 13, 29, 15, 31};
static const uint32_t part_u[16] = {0, 4, 2, 6, 16, 20, 18, 22, 8, 12, 10, 14, 24, 28, 26, 30};
static const uint32_t part_v[16] = {1, 5, 3, 7, 17, 21, 19, 23, 9, 13, 11, 15, 25, 29, 27, 31};

struct lanes {
    V s8, s4, s2, s1, x, y;
};

/* The last four stages of two neighbours; k: twiddle of the block of A, that of B is k + 1 */
LANES_INLINE void fwd_within(V *a, V *b, size_t k, const uint32_t *w, const struct lanes *l,
                             const struct vprime *p) {
    V u = SHUF64(*a, *b, 0x44), v = SHUF64(*a, *b, 0xEE), f, s;
    f = _mm512_permutexvar_epi32(l->s8, load(w + k));
    fwd_butterfly(&u, &v, f, f, p);
    s = SHUF64(u, v, 0x88), v = SHUF64(u, v, 0xDD), u = s;
    f = _mm512_permutexvar_epi32(l->s4, load(w + 2 * k));
    fwd_butterfly(&u, &v, f, f, p);
    s = _mm512_unpacklo_epi64(u, v), v = _mm512_unpackhi_epi64(u, v), u = s;
    f = _mm512_permutexvar_epi32(l->s2, load(w + 4 * k));
    fwd_butterfly(&u, &v, f, f, p);
    s = SHUF32(u, v, 0x88), v = SHUF32(u, v, 0xDD), u = s;
    f = _mm512_permutexvar_epi32(l->s1, load(w + 8 * k));
    fwd_butterfly(&u, &v, f, odd(f), p);
    *a = _mm512_permutex2var_epi32(u, l->x, v);
    *b = _mm512_permutex2var_epi32(u, l->y, v);
}

static void fwd_blocks(uint32_t *x, size_t n, const struct kprime *prime, const uint32_t *w,
                       const uint32_t *next) {
    struct vprime p = vprime_of(prime);
    struct lanes l = {load(spread_8), load(spread_4), load(spread_2),
                      load(spread_1), load(join_a),   load(join_b)};
    for (size_t b = 0; b < n / 256; b++) {
        uint32_t *d = x + 256 * b;
        size_t k = n / 256 + b;
        V a[16];
        UNROLL for (int i = 0; i < 16 && next; i++)
            __builtin_prefetch(next + 256 * b + 16 * i, 1, 2);
        UNROLL for (int i = 0; i < 16; i++) a[i] = load(d + 16 * i);
        UNROLL for (int i = 0; i < 8; i++) a[i] = shrink(a[i], &p);
        fwd_across(a, 4, k, w, &p);
        UNROLL for (int i = 0; i < 16; i += 2) {
            fwd_within(&a[i], &a[i + 1], 16 * k + (size_t)i, w, &l, &p);
            store(d + 16 * i, canonical(shrink(a[i], &p), &p));
            store(d + 16 * i + 16, canonical(shrink(a[i + 1], &p), &p));
        }
    }
}

void ntt_fwd_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                    const uint32_t *next) {
    size_t n = (size_t)1 << log, m = 1;
    for (int left = log - 8, r; left; left -= r, m <<= r) {
        int passes = (left + 3) / 4;
        r = (left + passes - 1) / passes;
        if (r == 4)
            fwd_pass(x, 4, m, n, p, t->w);
        else if (r == 3)
            fwd_pass(x, 3, m, n, p, t->w);
        else if (r == 2)
            fwd_pass(x, 2, m, n, p, t->w);
        else
            fwd_pass(x, 1, m, n, p, t->w);
    }
    fwd_blocks(x, n, p, t->w, next);
}

/* Registers that are sums of sums reach 4 B <= 8 after the second stage: shrink them. */
LANES_INLINE void inv_across(V *a, int r, size_t k, const uint32_t *w, const struct vprime *p,
                             int stop) {
    const int regs = 1 << r;
    UNROLL for (int t = 0; t < stop; t++) {
        int half = 1 << t;
        UNROLL for (int i = 0; i < regs; i++) {
            if (i & half) continue;
            V f = set1(w[(k << (r - 1 - t)) + (size_t)(i >> (t + 1))]);
            inv_butterfly(&a[i], &a[i | half], f, f, p);
        }
        if (t == 1) {
            UNROLL for (int i = 0; i < regs; i += 4) a[i] = shrink(a[i], p);
        }
    }
}

/* Is register i above 2 after r stages?  It ended with a run of z sums since its last product,
 * which was below 1; register 0 took all sums, but was shrunk to 1/2 with at most two to go. */
LANES_INLINE int inv_grown(int i, int r) {
    if (i == 0) return r == 1;
    int z = 0;
    while (z < r && !(i >> (r - 1 - z) & 1)) z++;
    return z > 1;
}

LANES_INLINE void inv_pass(uint32_t *x, int r, size_t m, size_t n, const struct kprime *prime,
                           const uint32_t *w) {
    const int regs = 1 << r;
    struct vprime p = vprime_of(prime);
    size_t size = n / m, step = size >> r;
    for (size_t b = 0; b < m; b++) {
        for (size_t j = 0; j < step; j += 16) {
            uint32_t *d = x + b * size + j;
            V a[16];
            UNROLL for (int i = 0; i < regs; i++) a[i] = load(d + (size_t)i * step);
            inv_across(a, r, m + b, w, &p, r);
            UNROLL for (int i = 0; i < regs; i++) {
                store(d + (size_t)i * step, inv_grown(i, r) ? shrink(a[i], &p) : a[i]);
            }
        }
    }
}

/* The pass that ends the transform: its last stage multiplies by 1/n, sums and products alike. */
LANES_INLINE void inv_final(uint32_t *x, int r, size_t n, const struct kprime *prime,
                            const uint32_t *w, uint32_t scale) {
    const int regs = 1 << r, half = regs / 2;
    struct vprime p = vprime_of(prime);
    V f = set1(scale), g = set1(kern_mont(w[1], scale, prime));
    for (size_t j = 0; j < n >> r; j += 16) {
        V a[16];
        UNROLL for (int i = 0; i < regs; i++) a[i] = load(x + j + (size_t)i * (n >> r));
        inv_across(a, r, 1, w, &p, r - 1);
        UNROLL for (int i = 0; i < half; i++) {
            V s = addv(a[i], a[i + half]), d = subv(a[i], a[i + half]);
            store(x + j + (size_t)i * (n >> r), canonical(mont(s, f, f, &p), &p));
            store(x + j + (size_t)(i + half) * (n >> r), canonical(mont(d, g, g, &p), &p));
        }
    }
}

typedef void inv_pass_fn(uint32_t *x, size_t m, size_t n, const struct kprime *p,
                         const uint32_t *w);
typedef void inv_final_fn(uint32_t *x, size_t n, const struct kprime *p, const uint32_t *w,
                          uint32_t scale);
#define INV_PASS(r)                                                                                \
    static void inv_pass_##r(uint32_t *x, size_t m, size_t n, const struct kprime *p,              \
                             const uint32_t *w) {                                                  \
        inv_pass(x, r, m, n, p, w);                                                                \
    }                                                                                              \
    static void inv_final_##r(uint32_t *x, size_t n, const struct kprime *p, const uint32_t *w,    \
                              uint32_t scale) {                                                    \
        inv_final(x, r, n, p, w, scale);                                                           \
    }

INV_PASS(1)
INV_PASS(2)
INV_PASS(3)
INV_PASS(4)

/* From canonical values; three stages of sums stay below 8, then the sums shrink; out below 2. Half
 * length 8 works on A0..3 B0..3 A4..7 B4..7. */
LANES_INLINE void inv_within(V *a, V *b, size_t k, const uint32_t *w, const struct lanes *l,
                             const struct vprime *p) {
    V u = _mm512_permutex2var_epi32(*a, l->x, *b), v = _mm512_permutex2var_epi32(*a, l->y, *b), f,
      s;
    f = _mm512_permutexvar_epi32(l->s1, load(w + 8 * k));
    inv_butterfly(&u, &v, f, odd(f), p);
    s = _mm512_unpacklo_epi32(u, v), v = _mm512_unpackhi_epi32(u, v), u = s;
    f = _mm512_permutexvar_epi32(l->s2, load(w + 4 * k));
    inv_butterfly(&u, &v, f, f, p);
    s = _mm512_unpacklo_epi64(u, v), v = _mm512_unpackhi_epi64(u, v), u = s;
    f = _mm512_permutexvar_epi32(l->s4, load(w + 2 * k));
    inv_butterfly(&u, &v, f, f, p);
    u = shrink(u, p);
    s = SHUF64(u, v, 0x44), v = SHUF64(u, v, 0xEE), u = s;
    f = _mm512_permutexvar_epi32(l->s8, load(w + k));
    inv_butterfly(&u, &v, f, f, p);
    *a = SHUF64(u, v, 0x88);
    *b = SHUF64(u, v, 0xDD);
}

static void inv_blocks(uint32_t *x, size_t n, const struct kprime *prime, const uint32_t *w) {
    struct vprime p = vprime_of(prime);
    struct lanes l = {load(spread_8_inv), load(spread_4), load(spread_2),
                      load(spread_1),     load(part_u),   load(part_v)};
    for (size_t b = 0; b < n / 256; b++) {
        uint32_t *d = x + 256 * b;
        size_t k = n / 256 + b;
        V a[16];
        UNROLL for (int i = 0; i < 16; i++) a[i] = load(d + 16 * i);
        UNROLL for (int i = 0; i < 16; i += 2)
            inv_within(&a[i], &a[i + 1], 16 * k + (size_t)i, w, &l, &p);
        inv_across(a, 4, k, w, &p, 4);
        UNROLL for (int i = 0; i < 16; i++)
            store(d + 16 * i, inv_grown(i, 4) ? shrink(a[i], &p) : a[i]);
    }
}

static void scale_row(uint32_t *x, size_t n, const struct kprime *prime, uint32_t scale) {
    struct vprime p = vprime_of(prime);
    V f = set1(scale);
    for (size_t i = 0; i < n; i += 16) store(x + i, canonical(mont(load(x + i), f, f, &p), &p));
}

void ntt_inv_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    size_t n = (size_t)1 << log, m = n / 256;
    static inv_pass_fn *const inv_passes[] = {NULL, inv_pass_1, inv_pass_2, inv_pass_3, inv_pass_4};
    static inv_final_fn *const inv_finals[] = {NULL, inv_final_1, inv_final_2, inv_final_3,
                                               inv_final_4};
    /* n divides q - 1, so n (q - (q - 1) / n) = 1 mod q */
    uint32_t scale = kern_mul_mod(p->q - ((p->q - 1) >> log), p->r1, p->q);
    inv_blocks(x, n, p, t->iw);
    if (log == 8) scale_row(x, n, p, scale);
    for (int left = log - 8, r; left; left -= r) {
        int passes = (left + 3) / 4;
        r = (left + passes - 1) / passes;
        m >>= r;
        if (m > 1)
            inv_passes[r](x, m, n, p, t->iw);
        else
            inv_finals[r](x, n, p, t->iw, scale);
    }
}

#endif
