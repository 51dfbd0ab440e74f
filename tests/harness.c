#include "tests/harness.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

int harness_is_prime(uint32_t q) {
    for (uint32_t d = 3; d * d <= q; d += 2) {
        if (q % d == 0) {
            return 0;
        }
    }
    return q > 2 && q % 2;
}

void harness_chain(uint32_t *q, int n, int log_n) {
    uint32_t step = 2u << log_n, low = 1, high = (KERN_MAX_PRIME / step) * step + 1;
    for (int i = 0; i < n; i++) {
        do {
            q[i] = i % 2 ? (high -= step) : (low += step);
        } while (!harness_is_prime(q[i]));
    }
    assert_true(low < high);
}

struct kbasis harness_basis(int first, int n) {
    struct kbasis b = {.n = n};
    for (int i = 0; i < n; i++) {
        b.prime[i] = (uint8_t)(first + i);
    }
    return b;
}

uint64_t harness_next(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void harness_fill(uint32_t *x, const struct kernels *k, const struct kbasis *b, int polys,
                  size_t pitch, size_t words, enum fill kind, uint64_t seed) {
    for (int i = 0; i < polys * b->n; i++) {
        uint32_t q = k->q[b->prime[i % b->n]];
        uint32_t *row = x + ((size_t)(i / b->n) * pitch + (size_t)(i % b->n)) * words;
        for (size_t j = 0; j < words; j++) {
            row[j] = kind == FILL_TOP      ? q - 1
                     : kind == FILL_RANDOM ? (uint32_t)(harness_next(&seed) % q)
                                           : 0;
        }
        if (kind == FILL_SPIKE) {
            row[(seed + 7 * (uint64_t)i) % words] = q - 1;
        }
    }
}

static uint32_t pattern(size_t i) {
    return 0xdead0000u ^ (uint32_t)i * 2654435761u;
}

/* Under the address sanitizer even a read of a guard word is found (the CPU's memory alone). */
static void guard(const struct guarded *g) {
    if (g->k->kind != KERN_CPU) return;
    size_t front = GUARD_ROWS * ((size_t)1 << g->k->log_n), back = front + g->words;
    ASAN_POISON_MEMORY_REGION(g->base, front * sizeof *g->base);
    ASAN_POISON_MEMORY_REGION(g->base + back, (g->all - back) * sizeof *g->base);
}

static void unguard(const struct guarded *g) {
    if (g->k->kind == KERN_CPU) ASAN_UNPOISON_MEMORY_REGION(g->base, g->all * sizeof *g->base);
}

void guarded_open(struct guarded *g, struct kernels *k, const uint32_t *contents, size_t words) {
    size_t n = (size_t)1 << k->log_n, rows = (words + n - 1) / n, front = GUARD_ROWS * n;
    *g = (struct guarded){.k = k, .words = words, .all = (rows + 2 * GUARD_ROWS) * n};
    g->host = malloc(g->all * sizeof *g->host);
    assert_non_null(g->host);
    assert_int_equal(k->alloc(k, &g->base, rows + 2 * GUARD_ROWS), THOR_OK);
    for (size_t i = 0; i < g->all; i++) {
        g->host[i] = pattern(i);
    }
    if (contents) {
        memcpy(g->host + front, contents, words * sizeof *contents);
    }
    k->upload(k, g->base, g->host, g->all);
    g->p = g->base + front;
    guard(g);
}

uint32_t *guarded_read(const struct guarded *g) {
    size_t front = GUARD_ROWS * ((size_t)1 << g->k->log_n);
    uint32_t *all = malloc(g->all * sizeof *all), *rows = malloc(g->words * sizeof *rows);
    assert_true(all && rows);
    unguard(g);
    g->k->download(g->k, all, g->base, g->all);
    assert_int_equal(g->k->sync(g->k), THOR_OK);
    guard(g);
    assert_memory_equal(all, g->host, front * sizeof *all);
    assert_memory_equal(all + front + g->words, g->host + front + g->words,
                        (g->all - front - g->words) * sizeof *all);
    memcpy(rows, all + front, g->words * sizeof *rows);
    free(all);
    return rows;
}

void guarded_close(struct guarded *g) {
    unguard(g);
    g->k->release(g->k, g->base);
    free(g->host);
}

void harness_same_counts(const struct kernels_counts *x, const struct kernels_counts *y) {
    assert_int_equal(x->rows_ntt, y->rows_ntt);
    assert_int_equal(x->rows_intt, y->rows_intt);
    assert_int_equal(x->rows_pointwise, y->rows_pointwise);
    assert_int_equal(x->rows_dot, y->rows_dot);
    assert_int_equal(x->macs_bconv, y->macs_bconv);
    assert_int_equal(x->rows_autom, y->rows_autom);
    assert_int_equal(x->rows_lift, y->rows_lift);
    assert_int_equal(x->rows_uniform, y->rows_uniform);
    assert_int_equal(x->products, y->products);
    assert_int_equal(x->launches, y->launches);
    assert_int_equal(x->bytes_moved, y->bytes_moved);
    assert_int_equal(x->bytes_between, y->bytes_between);
}

/* ---- mod_up and rebase ---- */

static struct kvec rows(struct kernels *k, struct kvec v, int row) {
    return (struct kvec){v.p + ((size_t)row << k->log_n), v.pitch};
}

static uint32_t *take_rows(struct kernels *k, int n) {
    uint32_t *p = NULL;
    assert_int_equal(k->alloc(k, &p, (size_t)n), THOR_OK);
    return p;
}

static struct kbasis run_of(const struct kbasis *b, int first, int n) {
    struct kbasis r = {.n = n};
    memcpy(r.prime, b->prime + first, (size_t)n);
    return r;
}

/* rows of x over b transformed to out, a row at a time */
static void coefficients(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                         int polys) {
    k->copy(k, out, x, b->n, polys);
    k->ntt_inv(k, out, b, polys, k->log_n);
}

static void digit_by_steps(struct kernels *k, struct kvec out, uint32_t *x, const struct kdigit *d,
                           const struct kbasis *ext, int centred) {
    const struct kbasis own = run_of(ext, d->first, d->n);
    struct kvec coeff = {take_rows(k, d->n), 0}, from = {x, 0};
    coefficients(k, coeff, rows(k, from, d->first), &own, 1);
    k->bconv(k, out, coeff, NULL, d->conv, centred, 1);
    for (int r = 0; r < ext->n; r++) {
        const struct kbasis one = run_of(ext, r, 1);
        const int is_own = r >= d->first && r < d->first + d->n;
        if (is_own)
            k->copy(k, rows(k, out, r), rows(k, from, r), 1, 1);
        else
            k->ntt_fwd(k, rows(k, out, r), &one, 1, k->log_n);
    }
    k->release(k, coeff.p);
}

static void share_out(struct kernels *k, struct kdigit *d, struct kbconv **c, int limbs, int digits,
                      const struct kbasis *ext) {
    for (int j = 0, first = 0; j < digits; first += d[j++].n) {
        const int left = digits - j;
        d[j] = (struct kdigit){.first = first, .n = (limbs - first + left - 1) / left};
        const struct kbasis own = run_of(ext, d[j].first, d[j].n);
        assert_int_equal(k->bconv_new(k, &c[j], &own, ext), THOR_OK);
        d[j].conv = c[j];
    }
}

static void mod_up_sum(struct kernels *k, const struct kvec *out, const uint32_t *const *x, int n,
                       int limbs, int digits, const struct kkey *key, const struct kplus *plus,
                       const struct kbasis *ext, int centred) {
    struct kdigit d[KERN_MAX_DIGITS];
    struct kbconv *c[KERN_MAX_DIGITS];
    uint32_t *work = take_rows(k, n * (limbs + digits * ext->n));
    share_out(k, d, c, limbs, digits, ext);
    k->mod_up_sum(k, out, x, n, work, d, digits, key, plus, ext, centred);
    for (int j = 0; j < digits; j++) k->bconv_free(k, c[j]);
    k->release(k, work);
}

void harness_mod_up(struct kernels *k, struct kvec out, uint32_t *x, int limbs, int digits,
                    const struct kbasis *ext, int centred, enum how how) {
    struct kdigit d[KERN_MAX_DIGITS];
    struct kbconv *c[KERN_MAX_DIGITS];
    uint32_t *work = take_rows(k, limbs);
    share_out(k, d, c, limbs, digits, ext);
    if (how != HOW_STEPS)
        k->mod_up(k, out, x, how == HOW_IN_PLACE ? x : work, d, digits, ext, centred);
    for (int j = 0; j < digits; j++) {
        const struct kvec to = {out.p + (((size_t)j * out.pitch) << k->log_n), out.pitch};
        if (how == HOW_STEPS) digit_by_steps(k, to, x, &d[j], ext, centred);
        k->bconv_free(k, c[j]);
    }
    k->release(k, work);
}

/* ---- key switching ---- */

static struct kvec random_rows(struct kernels *k, const struct kbasis *b, int polys,
                               uint64_t seed) {
    const size_t n = (size_t)1 << k->log_n, all = (size_t)(polys * b->n) * n;
    uint32_t *host = malloc(all * sizeof *host);
    struct kvec v = {take_rows(k, polys * b->n), (size_t)b->n};
    assert_non_null(host);
    harness_fill(host, k, b, polys, (size_t)b->n, n, FILL_RANDOM, seed);
    k->upload(k, v.p, host, all);
    free(host);
    return v;
}

/* The second halves that a key makes of its seed, where it would have them; distances as in
 * `wide`, which is what a row of the key belongs to. */
static void store_halves(struct kernels *k, const struct kkey *key, int digits,
                         const struct kbasis *wide) {
    for (int j = 0; j < digits; j++) {
        struct kvec out = {(uint32_t *)(uintptr_t)key->digit[j], key->pitch};
        out.p += key->pitch << k->log_n;
        k->uniform(k, out, key->seed, (uint32_t)(64 * j + key->first), wide, 1);
    }
}

static void key_by_steps(struct kernels *k, struct kvec out, struct kvec x, int digits,
                         const struct kkey *key, uint32_t g, const struct kplus *plus,
                         const struct kbasis *ext) {
    struct kterm t[KERN_MAX_DIGITS];
    uint32_t one[KERN_MAX_LIMBS];
    const struct kbasis first = run_of(ext, 0, plus->rows);
    for (int j = 0; j < digits; j++)
        t[j] = (struct kterm){.a = rows(k, x, j * (int)x.pitch).p,
                              .b = key->digit[j],
                              .b_pitch = key->pitch,
                              .split = key->split,
                              .gap = key->gap};
    k->dot(k, out, t, digits, g, 0, key->accumulate, ext, 2);
    if (!plus->polys) return;
    struct kvec more = {take_rows(k, plus->polys * plus->rows), (size_t)plus->rows};
    for (int i = 0; i < ext->n; i++) one[i] = 1;
    k->autom(k, more, plus->v, key->g, plus->rows, plus->polys);
    k->lincomb(k, out, out, one, more, plus->s ? plus->s : one, &first, plus->polys);
    k->release(k, more.p);
}

static void sum_by_steps(struct kernels *k, struct kvec out, uint32_t *x, int limbs, int digits,
                         const struct kkey *key, const struct kplus *plus, const struct kbasis *ext,
                         int centred) {
    struct kvec turned = {take_rows(k, limbs), 0},
                y = {take_rows(k, digits * ext->n), (size_t)ext->n};
    k->autom(k, turned, (struct kvec){x, 0}, key->g, limbs, 1);
    harness_mod_up(k, y, turned.p, limbs, digits, ext, centred, HOW_ENTRY);
    key_by_steps(k, out, y, digits, key, 1, plus, ext);
    k->release(k, turned.p);
    k->release(k, y.p);
}

/* of x, or of x and `second`, of which nothing joins; the sums are added up */
static void raised_sums(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *second,
                        int limbs, int digits, const struct kkey *key, const struct kplus *plus,
                        const struct kbasis *ext, int centred) {
    const uint32_t *const in[KERN_MAX_SUMS] = {x, second};
    const struct kvec to[KERN_MAX_SUMS] = {out, {take_rows(k, 2 * ext->n), (size_t)ext->n}};
    const struct kplus joins[KERN_MAX_SUMS] = {*plus, {.polys = 0}};
    k->copy(k, to[1], out, ext->n, 2);
    const int two = digits % 2;
    mod_up_sum(k, to, in, 1 + two, limbs, digits, key, plus->polys ? joins : NULL, ext, centred);
    if (two) k->add(k, out, out, to[1], ext, 2);
    k->release(k, to[1].p);
}

static void raised_steps(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *second,
                         int limbs, int digits, const struct kkey *key, const struct kplus *plus,
                         const struct kbasis *ext, int centred) {
    const struct kplus none = {.polys = 0};
    const struct kvec other = {take_rows(k, 2 * ext->n), (size_t)ext->n};
    k->copy(k, other, out, ext->n, 2);
    sum_by_steps(k, out, x, limbs, digits, key, plus, ext, centred);
    if (digits % 2) {
        sum_by_steps(k, other, second, limbs, digits, key, &none, ext, centred);
        k->add(k, out, out, other, ext, 2);
    }
    k->release(k, other.p);
}

/* two keys over the same two digits; the sums are added up */
static void stored_sums(struct kernels *k, struct kvec out, struct kvec x, int digits,
                        const struct kkey *key, const struct kplus *plus, const struct kbasis *ext,
                        const struct kbasis *wide, enum how how) {
    struct kvec o[2] = {out, {take_rows(k, 2 * ext->n), (size_t)ext->n}};
    struct kkey two[2] = {*key, *key};
    two[1].g = key->g * 5 & ((2u << k->log_n) - 1);
    if (!key->seed) two[1].digit[0] = key->digit[digits - 1];
    two[1].first = key->first + 1;
    k->copy(k, o[1], x, ext->n, 2);
    if (how == HOW_ENTRY) k->key_sum(k, o, x, digits, two, 2, plus->polys ? plus : NULL, ext);
    for (int i = 0; i < 2 && how == HOW_STEPS; i++) {
        if (key->seed) store_halves(k, &two[i], digits, wide);
        key_by_steps(k, o[i], x, digits, &two[i], two[i].g, plus, ext);
    }
    k->add(k, out, out, o[1], ext, 2);
    k->release(k, o[1].p);
}

static void scalars(uint32_t *s, const struct kernels *k, const struct kbasis *b, uint64_t seed);

void harness_keys(struct kernels *k, struct kvec out, uint32_t *x, int limbs, int digits,
                  const struct kbasis *ext, int centred, struct harness_key h, enum how how) {
    struct kbasis wide = run_of(ext, 0, h.split);
    for (int i = h.split; i < ext->n + h.gap; i++) /* the gap repeats a prime */
        wide.prime[wide.n++] = ext->prime[i < h.split + h.gap ? 0 : i - h.gap];
    struct kvec start = random_rows(k, ext, 2, h.seed), more = random_rows(k, ext, 2, h.seed + 2);
    uint32_t s[KERN_MAX_LIMBS];
    struct kkey key = {.pitch = (size_t)wide.n,
                       .split = h.split,
                       .gap = h.gap,
                       .g = h.g,
                       .accumulate = h.accumulate};
    const uint8_t seed[UNIFORM_SEED] = {1, 2, 3, [31] = (uint8_t)h.seed};
    if (h.made) key.seed = seed, key.first = 3;
    const struct kplus plus = {more, h.plus_polys, h.plus_rows, h.scaled ? s : NULL};
    const struct kvec pairs = random_rows(k, &wide, 2 * digits, h.seed + 1);
    scalars(s, k, ext, h.seed + 3);
    for (int j = 0; j < digits; j++) key.digit[j] = rows(k, pairs, 2 * j * wide.n).p;
    k->copy(k, out, start, ext->n, 2);
    const int stored = digits < 2 ? digits : 2;
    if (h.stored)
        stored_sums(k, out, start, stored, &key, &plus, ext, &wide, how);
    else if (how == HOW_ENTRY)
        raised_sums(k, out, x, start.p, limbs, digits, &key, &plus, ext, centred);
    else {
        if (h.made) store_halves(k, &key, digits, &wide);
        raised_steps(k, out, x, start.p, limbs, digits, &key, &plus, ext, centred);
    }
    k->release(k, start.p);
    k->release(k, pairs.p);
    k->release(k, more.p);
}

static void scalars(uint32_t *s, const struct kernels *k, const struct kbasis *b, uint64_t seed) {
    for (int i = 0; i < b->n; i++) s[i] = (uint32_t)(harness_next(&seed) % k->q[b->prime[i]]);
}

static void rebase_by_steps(struct kernels *k, struct kvec out, struct kvec x,
                            const struct krebase *r, int polys) {
    const int kept = r->to.n - r->fresh;
    const struct kbasis first = run_of(&r->to, 0, r->fresh), rest = run_of(&r->to, r->fresh, kept);
    struct kvec coeff = {take_rows(k, polys * r->from.n), (size_t)r->from.n};
    struct kvec y = {take_rows(k, polys * r->to.n), (size_t)r->to.n}, none = {NULL, 0};
    for (int i = 0; i < r->from.n; i++)
        k->copy(k, rows(k, coeff, i), rows(k, x, r->row[i]), 1, polys);
    k->ntt_inv(k, coeff, &r->from, polys, k->log_n);
    k->bconv(k, y, coeff, r->pre, r->conv, 1, polys);
    k->ntt_fwd(k, y, &r->to, polys, k->log_n);
    if (first.n) k->lincomb(k, out, y, r->sy, none, NULL, &first, polys);
    k->lincomb(k, rows(k, out, r->fresh), rows(k, x, r->kept), r->sx + r->fresh,
               rows(k, y, r->fresh), r->sy + r->fresh, &rest, polys);
    if (r->plus) {
        const struct kvec more = {(uint32_t *)(uintptr_t)r->plus, 0};
        k->add(k, out, out, more, &r->to, 1);
    }
    k->release(k, coeff.p);
    k->release(k, y.p);
}

void harness_rebase(struct kernels *k, struct kvec out, struct kvec x, struct harness_rebase s,
                    int polys, enum how how) {
    const int kept = s.limbs - s.front - s.back;
    struct krebase r = {.fresh = s.fresh, .kept = s.front};
    struct kbconv *conv;
    for (int i = 0; i < s.limbs; i++) {
        if (i >= s.front && i < s.front + kept) continue;
        r.row[r.from.n] = (uint8_t)i;
        r.from.prime[r.from.n++] = (uint8_t)(s.fresh + i);
    }
    for (int i = 0; i < s.fresh; i++) r.to.prime[r.to.n++] = (uint8_t)i;
    for (int i = 0; i < kept; i++) r.to.prime[r.to.n++] = (uint8_t)(s.fresh + s.front + i);
    scalars(r.pre, k, &r.from, s.seed);
    scalars(r.sx, k, &r.to, s.seed + 1);
    scalars(r.sy, k, &r.to, s.seed + 2);
    assert_int_equal(k->bconv_new(k, &conv, &r.from, &r.to), THOR_OK);
    r.conv = conv;
    if (s.plus && !s.fresh) r.plus = rows(k, x, r.kept).p;
    uint32_t *work = take_rows(k, polys * (r.from.n + r.to.n));
    if (how == HOW_STEPS)
        rebase_by_steps(k, out, x, &r, polys);
    else
        k->rebase(k, out, x, work, &r, polys);
    k->release(k, work);
    k->bconv_free(k, conv);
}
