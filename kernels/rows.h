/* One row at a time: what a CPU tier provides.  Portable C (rows_ref.c) fills every slot and is the
 * specification; rows_avx2.c and rows_avx512.c overlay the slots they have.  Ranges are canonical
 * in and out, as kernels.h says; lazy ranges live inside a function.  Every function returns the
 * same bits in all tiers. */
#ifndef THOR_KERNELS_ROWS_H
#define THOR_KERNELS_ROWS_H

#include "kernels/kernels.h"
#include "kernels/uniform.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Montgomery constants of a prime, R = 2^32. */
struct kprime {
    uint32_t q, qinv; /* qinv = q^-1 mod R */
    uint32_t r1, r2;  /* R, R^2 mod q */
};

/* Twiddles of a prime: w[m + i] R mod q, m the number of blocks of a stage (bit-reversed powers of
 * psi); the inverse table holds powers of 1/psi. */
struct ktwiddle {
    const uint32_t *w, *iw;
};

/* X -> X^g in evaluation form.  Place i = 16 H + l has the exponent 2 (brv4(l) N/16 + brv(H)) + 1;
 * g times it, less 1, halved is (brv4(l) g + c) N/16 + h mod N, where H alone fixes c and h.  So
 * aligned blocks of 16 places come from aligned blocks, permuted in one of 16 ways. */
struct kautom {
    uint32_t g;
    int users;             /* references: the cache of cpu.c and the calls under way */
    uint32_t perm[16][16]; /* [c][l]: source place in its block */
    uint32_t block[];      /* [H]: 16 * source block + c */
};

static inline size_t kautom_place(const struct kautom *g, size_t i) {
    uint32_t b = g->block[i >> 4];
    return (b & ~(uint32_t)15) + g->perm[b & 15][i & 15];
}

/* The same holds for larger aligned chunks.  Their blocks come in an order that no prefetcher
 * foresees, so the chunk from which places i .. i + KERN_CHUNK - 1 come (i a multiple) is asked for
 * in its own order first. */
enum { KERN_CHUNK = 4096 };
static inline void kautom_fetch(const uint32_t *x, size_t i, size_t n, const struct kautom *g) {
    size_t chunk = n < KERN_CHUNK ? n : (size_t)KERN_CHUNK;
    x += g->block[i >> 4] & ~(uint32_t)(chunk - 1);
    for (size_t j = 0; j < chunk; j += 16) __builtin_prefetch(x + j);
}

/* One row of a linear map: operands at this row, all distances in words. */
struct klinear_row {
    int outputs, terms, polys, log_rep, accumulate;
    uint32_t *out;
    const uint32_t *a, *w;
    size_t out_step, out_pitch, a_step, a_pitch, w_step; /* w_step: from one weight to the next */
};

/* Classes are the words of a weight.  A tier takes LINEAR_CLASSES at a time: it copies the weights
 * of LINEAR_OUTPUTS outputs into panels, one a class, and LINEAR_WORDS words of a from each term
 * into a tile. */
enum {
    LINEAR_CLASSES = 16,
    LINEAR_BLOCK = 6,
    LINEAR_OUTPUTS = 42 * LINEAR_BLOCK,
    LINEAR_WORDS = 256
};

struct krows {
    void (*add)(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                const struct kprime *p);
    void (*sub)(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                const struct kprime *p);
    void (*neg)(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p);
    void (*mul)(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                const struct kprime *p);
    /* y may be NULL */
    void (*lincomb)(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y, uint32_t sy,
                    size_t n, const struct kprime *p);
    void (*add_scalar)(uint32_t *o, const uint32_t *x, uint32_t s, size_t n,
                       const struct kprime *p);
    /* o[h] = (acc ? o[h] : 0) + sum_j autom(a_j) b_(j,h), h < polys <= 2; a_j is shared; g NULL: no
     * automorphism; b words each stand for 2^log_rep places. */
    void (*dot)(uint32_t *const o[2], int polys, const uint32_t *const *a,
                const uint32_t *const (*b)[2], int terms, const struct kautom *g, int log_rep,
                int acc, size_t n, const struct kprime *p);
    void (*autom)(uint32_t *o, const uint32_t *x, const struct kautom *g, size_t n);
    /* classes [from, to) of a row, at most LINEAR_CLASSES; work: kern_linear_work() words at a
     * multiple of 64 bytes */
    void (*linear)(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                   const struct kprime *p);
    /* next: the row that will be transformed after this one, to be fetched ahead into the cache;
     * NULL: none */
    void (*ntt_fwd)(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                    const uint32_t *next);
    void (*ntt_inv)(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);
    /* columns [from, to) of a base conversion; see struct kbconv */
    void (*bconv)(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch, const uint32_t *pre,
                  const struct kbconv *c, int centred, size_t from, size_t to);
    void (*lift)(uint32_t *o, const int64_t *c, size_t n, const struct kprime *p);
    void (*uniform)(uint32_t *o, const uint32_t *seed, uint32_t stream, size_t n, uint32_t q);
};

struct kbconv {
    struct kbasis src, dst;     /* dst: without primes of src, */
    uint8_t at[KERN_MAX_LIMBS]; /* at these rows of out */
    struct kprime sp[KERN_MAX_SRC], dp[KERN_MAX_LIMBS];
    uint32_t hinv[KERN_MAX_SRC];              /* (Q/q_i)^-1 mod q_i */
    uint64_t fix[KERN_MAX_SRC];               /* floor(2^60 / q_i) */
    uint32_t m[KERN_MAX_LIMBS][KERN_MAX_SRC]; /* Q/q_i mod d */
    uint32_t nq[KERN_MAX_LIMBS];              /* -Q mod d */
    /* the same times R: one Montgomery step ends the sum */
    uint32_t m_r[KERN_MAX_LIMBS][KERN_MAX_SRC];
    uint32_t nq_r[KERN_MAX_LIMBS];
};

void krows_ref(struct krows *r);
int krows_avx2(struct krows *r); /* 0 when this machine lacks it */
int krows_avx512(struct krows *r);

/* Entries of a back end without recordings and without memory of its own to reserve
 * (unrecorded.c). */
void kern_unrecorded(struct kernels *k);
/* Does l keep the contract of linear()?  THOR_INTERNAL if not (linmap.c). */
int kern_linear_check(const struct kernels *k, const struct klinear *l, const struct kbasis *b,
                      int polys);
/* Words of workspace for a thread, a multiple of 16. */
size_t kern_linear_work(const struct klinear *l);
/* Does q fit a ring of degree 2^log_n? THOR_USAGE if not. */
int kern_check_prime(uint32_t q, int log_n);
void kprime_fill(struct kprime *p, uint32_t q);
/* src, dst and at of a conversion; v all zeros. */
void kbconv_places(struct kbconv *v, const struct kbasis *src, const struct kbasis *dst);
/* All its constants; `prime` is the whole chain. */
void kbconv_fill(struct kbconv *v, const struct kprime *prime, const struct kbasis *src,
                 const struct kbasis *dst);
/* The map of X -> X^g with one user; NULL when there is no memory. */
struct kautom *kautom_new(uint32_t g, int log_n);

static inline uint32_t kern_mul_mod(uint32_t a, uint32_t b, uint32_t q) {
    return (uint32_t)((uint64_t)a * b % q);
}

/* a b R^-1 mod q, canonical, for a < 2^32 and b < q. */
static inline uint32_t kern_mont(uint32_t a, uint32_t b, const struct kprime *p) {
    uint64_t t = (uint64_t)a * b;
    uint32_t m = (uint32_t)t * p->qinv, h = (uint32_t)(t >> 32),
             g = (uint32_t)((uint64_t)m * p->q >> 32);
    uint32_t r = h - g;
    return h < g ? r + p->q : r;
}

/* s mod q, canonical, any 64-bit s. */
static inline uint32_t kern_reduce64(uint64_t s, const struct kprime *p) {
    uint64_t t = (uint64_t)(uint32_t)s + (s >> 32) * p->r1; /* < 2^61 */
    uint32_t m = (uint32_t)t * p->qinv, h = (uint32_t)(t >> 32),
             g = (uint32_t)((uint64_t)m * p->q >> 32);
    uint32_t r = h - g; /* h < 2^29, g < q */
    if (h < g) r += p->q;
    return kern_mont(r, p->r2, p);
}

#ifdef __cplusplus
}
#endif
#endif
