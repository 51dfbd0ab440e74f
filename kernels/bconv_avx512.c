/* Base conversion of the AVX-512 tier: blocks of columns that stay in the first cache. */
#include "kernels/lanes_avx512.h"
#include "kernels/tiers_avx512.h"

#ifdef __AVX512F__

/* Outputs of more words than fit a cache go past it: they would be read in before they are
 * overwritten. */
enum { VECS = BCONV_BLOCK / 16, STREAM_WORDS = 1 << 20 };

struct scaled { /* y_i of a block, and v: even lanes as they are, odd lanes moved down */
    V even[KERN_MAX_SRC][VECS], odd[KERN_MAX_SRC][VECS];
    V v_even[VECS], v_odd[VECS];
};

/* (y f) >> 28, y in the lower words: y f < 2^60 */
LANES_INLINE V quotient(V y, V f) {
    V low = _mm512_and_si512(y, set1_64(0xffffffff));
    return _mm512_srli_epi64(_mm512_mullo_epi64(low, f), 28);
}

static void scale_block(struct scaled *s, const uint32_t *x, size_t xpitch, const uint32_t *k,
                        const struct kbconv *c, int centred) {
    for (int j = 0; j < VECS; j++) s->v_even[j] = s->v_odd[j] = set1_64(centred ? 1u << 31 : 0);
    for (int i = 0; i < c->src.n; i++) {
        struct vprime p = vprime_of(&c->sp[i]);
        V w = set1(k[i]), f = set1_64(c->fix[i]);
        for (int j = 0; j < VECS; j++) {
            V y = canonical(mont(load(x + (size_t)i * xpitch + (size_t)j * 16), w, w, &p), &p);
            s->even[i][j] = y;
            s->odd[i][j] = odd(y);
            if (!centred) continue;
            s->v_even[j] = add64(s->v_even[j], quotient(y, f));
            s->v_odd[j] = add64(s->v_odd[j], quotient(s->odd[i][j], f));
        }
    }
    for (int j = 0; j < VECS; j++) s->v_even[j] = odd(s->v_even[j]), s->v_odd[j] = odd(s->v_odd[j]);
}

/* Rows d .. d + rows - 1 of one block: sum y_i (Q/q_i) - v Q, below n (max q_i) q_k < 2^32 q_k, so
 * that one Montgomery step ends it. */
LANES_INLINE void sum_rows(uint32_t *o, size_t opitch, const struct scaled *s,
                           const struct kbconv *c, int d, int rows, int stream) {
    V e[2][VECS], f[2][VECS];
    for (int h = 0; h < rows; h++) {
        V q = set1(c->nq_r[d + h]);
        for (int j = 0; j < VECS; j++)
            e[h][j] = mul_u(s->v_even[j], q), f[h][j] = mul_u(s->v_odd[j], q);
    }
    for (int i = 0; i < c->src.n; i++) {
        for (int h = 0; h < rows; h++) {
            V m = set1(c->m_r[d + h][i]);
            for (int j = 0; j < VECS; j++) {
                e[h][j] = add64(e[h][j], mul_u(s->even[i][j], m));
                f[h][j] = add64(f[h][j], mul_u(s->odd[i][j], m));
            }
        }
    }
    for (int h = 0; h < rows; h++) {
        struct vprime p = vprime_of(&c->dp[d + h]);
        for (int j = 0; j < VECS; j++) {
            uint32_t *at = o + (size_t)c->at[d + h] * opitch + (size_t)j * 16;
            V r = canonical(redc_u(e[h][j], f[h][j], &p), &p);
            if (stream)
                _mm512_stream_si512((V *)at, r);
            else
                store(at, r);
        }
    }
}

LANES_INLINE void all_rows(uint32_t *o, size_t opitch, const struct scaled *s,
                           const struct kbconv *c, int stream) {
    int d = 0;
    for (; d + 2 <= c->dst.n; d += 2) sum_rows(o, opitch, s, c, d, 2, stream);
    if (d < c->dst.n) sum_rows(o, opitch, s, c, d, 1, stream);
}

void bconv_avx512(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch, const uint32_t *pre,
                  const struct kbconv *c, int centred, size_t from, size_t to) {
    uint32_t k[KERN_MAX_SRC];
    const int stream =
        (size_t)c->dst.n * opitch >= STREAM_WORDS && opitch % 16 == 0 && (uintptr_t)o % 64 == 0;
    for (int i = 0; i < c->src.n; i++) {
        uint32_t q = c->sp[i].q, s = pre ? kern_mul_mod(pre[i], c->hinv[i], q) : c->hinv[i];
        k[i] = kern_mul_mod(s, c->sp[i].r1, q);
    }
    for (size_t t = from; t < to; t += BCONV_BLOCK) {
        struct scaled s;
        scale_block(&s, x + t, xpitch, k, c, centred);
        if (stream)
            all_rows(o + t, opitch, &s, c, 1);
        else
            all_rows(o + t, opitch, &s, c, 0);
    }
    if (stream) _mm_sfence();
}

#endif
