/* A linear map in tiles: what the vector tiers share, over the lanes for which a file is compiled.
 * Only linmap_avx2.c and linmap_avx512.c include it.  Where weights stand for fewer places than a
 * tile has, sums go place by place: linear_in_words().
 *
 * One class of words is a product of matrices, outputs x terms by terms x words.  Its weights are a
 * panel of blocks of LINEAR_BLOCK outputs, [block][term][output], read in order; its words of a are
 * a tile of blocks of LANES VECS words, [block][term][word], of which one stays in L1 while all
 * outputs pass over it.  The sums of such a block of outputs and of words are registers. */
#ifndef THOR_LINMAP_TILES_H
#define THOR_LINMAP_TILES_H

#if defined(__AVX512F__)
#include "kernels/lanes_avx512.h"
enum { LANES = 16, VECS = 2 }; /* words of a register; registers of words in work at once */
#elif defined(__AVX2__)
#include "kernels/lanes_avx2.h"
enum { LANES = 8, VECS = 1 };
#endif

#ifdef __AVX2__
#define TILES_INLINE static inline __attribute__((always_inline))
enum { TILE = LANES * VECS, B = LINEAR_BLOCK };

/* some terms and outputs of a row, and how far apart the panels of classes are */
struct part {
    const struct klinear_row *l;
    int first_term, terms, first_out, outs;
    size_t panel;
};

/* ---- panels ---- */

/* 8 x 8 words */
TILES_INLINE void transpose8(__m256i v[8]) {
    __m256i t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
        t[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) {
        v[i] = _mm256_unpacklo_epi64(t[i], t[i + 2]);
        v[i + 1] = _mm256_unpackhi_epi64(t[i], t[i + 2]);
        v[i + 2] = _mm256_unpacklo_epi64(t[i + 1], t[i + 3]);
        v[i + 3] = _mm256_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x20);
        t[i + 4] = _mm256_permute2x128_si256(v[i], v[i + 4], 0x31);
    }
    for (int i = 0; i < 8; i++) v[i] = t[i];
}

static const uint32_t *weight(const struct part *t, int o, int k) {
    const struct klinear_row *l = t->l;
    return l->w + ((size_t)(t->first_out + o) * (size_t)l->terms + (size_t)(t->first_term + k)) *
                      l->w_step;
}

/* Classes [from, from + 8) of a block: six words are meant, eight stored; the next term, or the
 * slack behind the panel, takes the other two. */
static void pack8(uint32_t *panel, const struct part *t, size_t from, int o, int k) {
    __m256i v[8];
    for (int j = 0; j < 8; j++)
        v[j] = j < B && o + j < t->outs
                   ? _mm256_loadu_si256((const void *)(weight(t, o + j, k) + from))
                   : _mm256_setzero_si256();
    transpose8(v);
    for (size_t c = 0; c < 8; c++) _mm256_storeu_si256((void *)(panel + c * t->panel), v[c]);
}

static void pack1(uint32_t *panel, const struct part *t, size_t from, int o, int k) {
    for (int j = 0; j < B; j++) panel[j] = o + j < t->outs ? weight(t, o + j, k)[from] : 0;
}

enum { AHEAD = 8 }; /* terms that are asked for before they are packed: each begins new lines */

static void pack_weights(uint32_t *panels, const struct part *t, size_t from, size_t to) {
    for (int o = 0; o < t->outs; o += B)
        for (int k = 0; k < t->terms; k++) {
            uint32_t *at = panels + (size_t)(o * t->terms + k * B);
            size_t c = from;
            if (k + AHEAD < t->terms)
                for (int j = 0; j < B && o + j < t->outs; j++)
                    for (size_t i = from; i < to; i += 16)
                        __builtin_prefetch(weight(t, o + j, k + AHEAD) + i);
            for (; c + 8 <= to; c += 8) pack8(at + (c - from) * t->panel, t, c, o, k);
            for (; c < to; c++) pack1(at + (c - from) * t->panel, t, c, o, k);
        }
}

/* ---- tiles ---- */

/* The words behind these are those of the next class: they are asked for, too. */
static void pack_words(uint32_t *tile, const uint32_t *a, size_t step, int terms, size_t words) {
    for (int k = 0; k < terms; k++, a += step, tile += TILE)
        for (size_t i = 0; i < words; i += TILE)
            for (size_t v = 0; v < TILE; v += LANES) {
                if (v % 16 == 0) __builtin_prefetch(a + words + i + v, 0, 2);
                store(tile + i * (size_t)terms + v, load(a + i + v));
            }
}

/* n outputs, TILE words of each */
TILES_INLINE void sums_of(uint32_t *o, size_t step, const uint32_t *x, const uint32_t *w, int terms,
                          const int n, int accumulate, const struct red *r) {
    V e[B][VECS], f[B][VECS];
#pragma GCC unroll 8
    for (int j = 0; j < n; j++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) {
            V s = accumulate ? load(o + (size_t)j * step + v * LANES) : set1(0);
            e[j][v] = even(s), f[j][v] = odd(s);
        }
    for (int k = 0; k < terms; k++, x += TILE, w += B) {
        V a[VECS], b[VECS];
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) a[v] = load(x + v * LANES), b[v] = odd(a[v]);
#pragma GCC unroll 8
        for (int j = 0; j < n; j++) {
            const V y = set1(w[j]);
#pragma GCC unroll 2
            for (int v = 0; v < VECS; v++) {
                e[j][v] = add64(e[j][v], mul_u(a[v], y));
                f[j][v] = add64(f[j][v], mul_u(b[v], y));
            }
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < n; j++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++)
            store(o + (size_t)j * step + v * LANES, reduce64(e[j][v], f[j][v], r));
}

static void sums(uint32_t *o, size_t step, const uint32_t *x, const uint32_t *w, int terms, int n,
                 int accumulate, const struct red *r) {
    switch (n) {
    case 1:
        sums_of(o, step, x, w, terms, 1, accumulate, r);
        break;
    case 2:
        sums_of(o, step, x, w, terms, 2, accumulate, r);
        break;
    case 3:
        sums_of(o, step, x, w, terms, 3, accumulate, r);
        break;
    case 4:
        sums_of(o, step, x, w, terms, 4, accumulate, r);
        break;
    case 5:
        sums_of(o, step, x, w, terms, 5, accumulate, r);
        break;
    default:
        sums_of(o, step, x, w, terms, 6, accumulate, r);
        break;
    }
}

/* ---- a row ---- */

/* Words [at, at + words) of polynomial h, all of one class with this panel. */
static void one_tile(const struct part *t, size_t h, size_t at, size_t words, const uint32_t *panel,
                     uint32_t *tile, const struct red *r) {
    const struct klinear_row *l = t->l;
    const int accumulate = l->accumulate || t->first_term;
    uint32_t *out = l->out + (size_t)t->first_out * l->out_step + h * l->out_pitch + at;
    pack_words(tile, l->a + (size_t)t->first_term * l->a_step + h * l->a_pitch + at, l->a_step,
               t->terms, words);
    for (size_t i = 0; i < words; i += TILE)
        for (int o = 0; o < t->outs; o += B)
            sums(out + (size_t)o * l->out_step + i, l->out_step, tile + i * (size_t)t->terms,
                 panel + (size_t)(o * t->terms), t->terms, t->outs - o < B ? t->outs - o : B,
                 accumulate, r);
}

static void one_part(const struct part *t, size_t from, size_t to, uint32_t *work,
                     const struct red *r) {
    const size_t run = (size_t)1 << t->l->log_rep, words = run < LINEAR_WORDS ? run : LINEAR_WORDS;
    uint32_t *panels = work + LINEAR_WORDS * (size_t)t->terms;
    pack_weights(panels, t, from, to);
    for (size_t c = from; c < to; c++)
        for (size_t h = 0; h < (size_t)t->l->polys; h++)
            for (size_t i = 0; i < run; i += words)
                one_tile(t, h, c * run + i, words, panels + (c - from) * t->panel, work, r);
}

static int less_of(int a, int b) {
    return a < b ? a : b;
}

/* ---- runs shorter than a tile: every word of a weight is spread over its places ---- */

enum { FEW = LANES / 4, BOTH = 2 }; /* outputs and polynomials of sums in registers */

struct words { /* LANES places of a row, with the words of weights that they share */
    const struct klinear_row *l;
    V index, mask; /* lane i takes word i >> log_rep of those that are read */
    size_t place;
};

#if defined(__AVX512F__)
static V lanes_over(int log_rep) {
    const V lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return _mm512_srl_epi32(lane, _mm_cvtsi32_si128(log_rep));
}
static V words_read(int log_rep) {
    return set1(0xffffu >> (LANES - (LANES >> log_rep)));
}
TILES_INLINE V spread(const uint32_t *w, const struct words *at) {
    const __mmask16 m = (__mmask16)_mm_cvtsi128_si32(_mm512_castsi512_si128(at->mask));
    return _mm512_permutexvar_epi32(at->index, _mm512_maskz_loadu_epi32(m, w));
}
#else
static V lanes_over(int log_rep) {
    const V lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_srl_epi32(lane, _mm_cvtsi32_si128(log_rep));
}
static V words_read(int log_rep) {
    const V lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(set1((uint32_t)(LANES >> log_rep)), lane);
}
TILES_INLINE V spread(const uint32_t *w, const struct words *at) {
    return _mm256_permutevar8x32_epi32(_mm256_maskload_epi32((const int *)w, at->mask), at->index);
}
#endif

/* n outputs from o on, `both` polynomials from h on; alike: a word is in both lanes of a pair. */
TILES_INLINE void few_sums(const struct words *at, int o, int h, const int n, const int both,
                           const int alike, const struct red *r) {
    const struct klinear_row *l = at->l;
    const uint32_t *a = l->a + (size_t)h * l->a_pitch + at->place,
                   *w = l->w + (size_t)o * (size_t)l->terms * l->w_step + (at->place >> l->log_rep);
    uint32_t *out = l->out + (size_t)o * l->out_step + (size_t)h * l->out_pitch + at->place;
    V e[FEW][BOTH], f[FEW][BOTH];
    int accumulate = l->accumulate;
    for (int k = 0, end; k < l->terms; k = end, accumulate = 1) {
        end = less_of(l->terms, k + KERN_MAX_SUM);
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
#pragma GCC unroll 2
            for (int v = 0; v < both; v++) {
                const V s = accumulate
                                ? load(out + (size_t)j * l->out_step + (size_t)v * l->out_pitch)
                                : set1(0);
                e[j][v] = even(s), f[j][v] = odd(s);
            }
        for (int i = k; i < end; i++) {
            V x[BOTH], y[BOTH];
#pragma GCC unroll 2
            for (int v = 0; v < both; v++) {
                x[v] = load(a + (size_t)i * l->a_step + (size_t)v * l->a_pitch);
                y[v] = odd(x[v]);
            }
#pragma GCC unroll 4
            for (int j = 0; j < n; j++) {
                const V z = spread(w + (size_t)(j * l->terms + i) * l->w_step, at),
                        z2 = alike ? z : odd(z);
#pragma GCC unroll 2
                for (int v = 0; v < both; v++) {
                    e[j][v] = add64(e[j][v], mul_u(x[v], z));
                    f[j][v] = add64(f[j][v], mul_u(y[v], z2));
                }
            }
        }
#pragma GCC unroll 4
        for (int j = 0; j < n; j++)
#pragma GCC unroll 2
            for (int v = 0; v < both; v++)
                store(out + (size_t)j * l->out_step + (size_t)v * l->out_pitch,
                      reduce64(e[j][v], f[j][v], r));
    }
}

TILES_INLINE void some_sums(const struct words *at, int o, int h, int n, int both, const int alike,
                            const struct red *r) {
    if (n == FEW && both == BOTH)
        few_sums(at, o, h, FEW, BOTH, alike, r);
    else if (n == FEW)
        few_sums(at, o, h, FEW, 1, alike, r);
    else
        for (int j = 0; j < n; j++)
            for (int v = 0; v < both; v++) few_sums(at, o + j, h + v, 1, 1, alike, r);
}

/* A slot of struct krows, for runs shorter than TILE and whole registers of places. */
static void linear_in_words(const struct klinear_row *l, size_t from, size_t to,
                            const struct kprime *p) {
    const struct red r = red_of(p);
    struct words at = {.l = l, .index = lanes_over(l->log_rep), .mask = words_read(l->log_rep)};
    for (int h = 0; h < l->polys; h += BOTH)
        for (int o = 0; o < l->outputs; o += FEW)
            for (at.place = from << l->log_rep; at.place < to << l->log_rep; at.place += LANES) {
                const int n = less_of(l->outputs - o, FEW), both = less_of(l->polys - h, BOTH);
                if (l->log_rep)
                    some_sums(&at, o, h, n, both, 1, &r);
                else
                    some_sums(&at, o, h, n, both, 0, &r);
            }
}

/* ---- any run ---- */

static int is_whole(const struct klinear_row *l, size_t classes) {
    return (classes << l->log_rep) % LANES == 0;
}

/* A slot of struct krows, for runs of at least TILE words. */
static void linear_in_tiles(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                            const struct kprime *p) {
    const struct red r = red_of(p);
    struct part t = {.l = l};
    for (t.first_term = 0; t.first_term < l->terms; t.first_term += t.terms) {
        t.terms = less_of(l->terms - t.first_term, KERN_MAX_SUM);
        for (t.first_out = 0; t.first_out < l->outputs; t.first_out += t.outs) {
            t.outs = less_of(l->outputs - t.first_out, LINEAR_OUTPUTS);
            t.panel = (size_t)((t.outs + B - 1) / B * B * t.terms + 16);
            one_part(&t, from, to, work, &r);
        }
    }
}

#endif
#endif
