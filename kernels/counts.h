/* What every back end counts of its own work, one way for all: `dry` does nothing else. */
#ifndef THOR_KERNELS_COUNTS_H
#define THOR_KERNELS_COUNTS_H

#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

static inline void count_add(uint64_t *n, uint64_t more) {
    __atomic_fetch_add(n, more, __ATOMIC_RELAXED);
}

static inline void count_bytes(struct kernels *k, uint64_t bytes) { /* one launch that moves them */
    count_add(&k->counts.launches, 1);
    count_add(&k->counts.bytes_moved, bytes);
}

static inline void count_rows(struct kernels *k, uint64_t rows) {
    count_bytes(k, rows * sizeof(uint32_t) << k->log_n);
}

/* `streams` operands of that many rows, outputs included */
static inline void count_point(struct kernels *k, int limbs, int polys, int streams) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys;
    count_add(&k->counts.rows_pointwise, rows);
    count_rows(k, rows * (uint64_t)streams);
}

/* pairs of polynomials read an `a` that they share once */
static inline void count_dot(struct kernels *k, const struct kterm *t, int terms, int log_rep,
                             int accumulate, int limbs, int polys) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys, products = rows * (uint64_t)terms;
    int shared = polys % 2 == 0;
    for (int j = 0; j < terms; j++) shared &= t[j].a_pitch == 0;
    count_add(&k->counts.rows_dot, products);
    count_add(&k->counts.products, products << k->log_n);
    count_rows(k, (rows << (accumulate != 0)) + (products >> shared) + (products >> log_rep));
}

/* a once for all outputs */
static inline void count_dots(struct kernels *k, const struct kdots *d, int limbs, int polys) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys, weights = 0;
    int outputs = d->outputs + __builtin_popcount(d->accumulate);
    for (int i = 0; i < d->outputs * d->terms; i++) weights += d->b[i] != NULL;
    count_add(&k->counts.rows_dot, weights * rows);
    count_add(&k->counts.products, weights * rows << k->log_n);
    count_rows(k,
               rows * (uint64_t)(outputs + d->terms) + (weights * (uint64_t)limbs >> d->log_rep));
}

/* a factor that is its own partner once */
static inline void count_tensor(struct kernels *k, const struct kpair *t, int n, int limbs) {
    uint64_t rows = 4 * (uint64_t)n * (uint64_t)limbs, streams = 3;
    for (int j = 0; j < n; j++) streams += t[j].a == t[j].b ? 2 : 4;
    count_add(&k->counts.rows_dot, rows);
    count_add(&k->counts.products, rows << k->log_n);
    count_rows(k, streams * (uint64_t)limbs);
}

/* each operand once: tiles of a serve all outputs */
static inline void count_linear(struct kernels *k, const struct klinear *l, int limbs, int polys) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys,
             weights = (uint64_t)l->outputs * (uint64_t)l->terms;
    uint64_t outputs = (uint64_t)l->outputs << (l->accumulate != 0);
    count_add(&k->counts.rows_dot, weights * rows);
    count_add(&k->counts.products, weights * rows << k->log_n);
    count_bytes(k, (4 * rows * (outputs + (uint64_t)l->terms) << k->log_n) +
                       (4 * (uint64_t)limbs * weights << (k->log_n - l->log_rep)));
}

static inline void count_autom(struct kernels *k, int limbs, int polys) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys;
    count_add(&k->counts.rows_autom, rows);
    count_rows(k, 2 * rows);
}

/* ---- rows that move, of transforms and conversions alone or as parts of an entry ---- */

/* rows: &k->counts.rows_ntt or rows_intt */
static inline uint64_t ntt_rows(struct kernels *k, uint64_t *rows, int limbs, int polys, int log) {
    uint64_t n = (uint64_t)limbs * (uint64_t)polys;
    count_add(rows, n);
    /* a butterfly for two words and stage */
    count_add(&k->counts.products, (n * (uint64_t)log << log) / 2);
    if (log > KERN_LINE_LOG) count_add(&k->counts.bytes_between, 2 * n * sizeof(uint32_t) << log);
    return 2 * n >> (k->log_n - log);
}

static inline void bconv_macs(struct kernels *k, int src, int dst, int polys) {
    uint64_t macs = ((uint64_t)src * (uint64_t)dst * (uint64_t)polys) << k->log_n;
    count_add(&k->counts.macs_bconv, macs);
    count_add(&k->counts.products, macs);
}

/* A conversion whose rows are transformed in the same passes: sources read, results written. */
static inline uint64_t raised_rows(struct kernels *k, int src, int dst, int polys) {
    bconv_macs(k, src, dst, polys);
    ntt_rows(k, &k->counts.rows_ntt, dst, polys, k->log_n);
    return (uint64_t)((src + dst) * polys);
}

static inline void count_ntt(struct kernels *k, uint64_t *rows, int limbs, int polys, int log) {
    count_rows(k, ntt_rows(k, rows, limbs, polys, log));
}

static inline void count_bconv(struct kernels *k, int src, int dst, int polys) {
    bconv_macs(k, src, dst, polys);
    count_rows(k, (uint64_t)((src + dst) * polys));
}

static inline uint64_t plus_rows(const struct kplus *plus) {
    return plus ? (uint64_t)(plus->polys * plus->rows) : 0;
}

static inline void count_uniform(struct kernels *k, int limbs, int polys) {
    uint64_t rows = (uint64_t)limbs * (uint64_t)polys;
    count_add(&k->counts.rows_uniform, rows);
    count_rows(k, rows);
}

/* out and the key */
static inline uint64_t key_rows(struct kernels *k, const struct kkey *key, int digits, int ext) {
    uint64_t sums = 2 * (uint64_t)ext, products = sums * (uint64_t)digits;
    uint64_t made = key->seed ? products / 2 : 0;
    count_add(&k->counts.rows_dot, products);
    count_add(&k->counts.products, products << k->log_n);
    count_add(&k->counts.rows_uniform, made);
    return (sums << (key->accumulate != 0)) + products - made;
}

/* the digits, and what joins, once */
static inline void count_key_sum(struct kernels *k, const struct kkey *key, int keys, int digits,
                                 const struct kplus *plus, int ext) {
    uint64_t rows = (uint64_t)(digits * ext) + plus_rows(plus);
    for (int i = 0; i < keys; i++) rows += key_rows(k, &key[i], digits, ext);
    count_rows(k, rows);
}

/* Digits from their coefficients; *own: rows that are there already.  Rows moved, those of the
 * digits included. */
static inline uint64_t digit_rows(struct kernels *k, uint64_t *own, uint64_t *made,
                                  const struct kdigit *d, int digits, int ext) {
    uint64_t moved = 0;
    for (int j = 0; j < digits; j++) {
        moved += raised_rows(k, d[j].n, ext - d[j].n, 1);
        *own += (uint64_t)d[j].n;
        *made += (uint64_t)(ext - d[j].n);
    }
    return moved + ntt_rows(k, &k->counts.rows_intt, (int)*own, 1, k->log_n);
}

static inline void count_mod_up(struct kernels *k, const struct kdigit *d, int digits, int ext) {
    uint64_t own = 0, made = 0, moved = digit_rows(k, &own, &made, d, digits, ext);
    count_add(&k->counts.rows_pointwise, own);
    count_rows(k, moved + 2 * own);
}

/* The digits stay where their last pass has them, the key is read for the first sum: on a card the
 * others take place beside it, and find its words in L2. */
static inline void count_mod_up_sum(struct kernels *k, int n, const struct kdigit *d, int digits,
                                    const struct kkey *key, const struct kplus *plus, int ext) {
    uint64_t moved = 0, stored = (uint64_t)(digits * ext) << !key->seed;
    for (int i = 0; i < n; i++) {
        uint64_t own = 0, made = 0;
        moved += digit_rows(k, &own, &made, d, digits, ext) - made + own;
        moved += key_rows(k, key, digits, ext) + plus_rows(plus ? &plus[i] : NULL);
        if (i) moved -= stored;
    }
    count_rows(k, moved);
}

static inline void count_rebase(struct kernels *k, const struct krebase *r, int polys) {
    uint64_t moved = ntt_rows(k, &k->counts.rows_intt, r->from.n, polys, k->log_n);
    moved += raised_rows(k, r->from.n, r->to.n, polys);
    count_add(&k->counts.rows_pointwise, (uint64_t)(r->to.n * polys));
    count_rows(k, moved + (uint64_t)((r->to.n - r->fresh) * polys + (r->plus ? r->to.n : 0)));
}

/* `numbers` of 8 bytes a polynomial to rows of `words` residues */
static inline void count_lift(struct kernels *k, uint64_t numbers, uint64_t words, int limbs,
                              int polys) {
    count_add(&k->counts.rows_lift, (uint64_t)limbs * (uint64_t)polys);
    count_bytes(k, (uint64_t)polys * (8 * numbers + 4 * words * (uint64_t)limbs));
}

/* Memory handed out and given back; the caller locks, or is the only one. */
static inline void count_alloc(struct kernels *k, size_t bytes) {
    size_t now = __atomic_add_fetch(&k->counts.bytes_now, bytes, __ATOMIC_RELAXED);
    if (now > k->counts.bytes_peak) k->counts.bytes_peak = now;
}

static inline void count_release(struct kernels *k, size_t bytes) {
    __atomic_sub_fetch(&k->counts.bytes_now, bytes, __ATOMIC_RELAXED);
}

/* What a recording keeps, and forgets. */
static inline void count_constant(struct kernels *k, size_t bytes) {
    __atomic_add_fetch(&k->counts.bytes_constant, bytes, __ATOMIC_RELAXED);
}

static inline void count_forgotten(struct kernels *k, size_t bytes) {
    __atomic_sub_fetch(&k->counts.bytes_constant, bytes, __ATOMIC_RELAXED);
}

#ifdef __cplusplus
}
#endif
#endif
