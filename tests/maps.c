#include "tests/maps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <gmp.h>

enum { A, W, OUT, OPERANDS };

struct shape {
    struct klinear l;
    size_t words[OPERANDS];
};

static struct kmany members(const struct maps *m, int n) {
    const size_t gap = (size_t)(m->limbs + m->apart);
    if (m->across) return (struct kmany){.step = gap, .pitch = gap * (size_t)n};
    return (struct kmany){.step = gap * (size_t)m->polys, .pitch = gap};
}

/* No row behind the last one that is used. */
static size_t rows_of(struct kmany v, const struct maps *m, int n) {
    return (size_t)(n - 1) * v.step + (size_t)(m->polys - 1) * v.pitch + (size_t)m->limbs;
}

static struct shape shape_of(const struct maps *m, int log_n) {
    struct shape s = {.l = {.out = members(m, m->outputs),
                            .a = members(m, m->terms),
                            .outputs = m->outputs,
                            .terms = m->terms,
                            .log_rep = m->log_rep,
                            .w_pitch = (size_t)(m->limbs + m->apart),
                            .accumulate = m->accumulate}};
    if (m->repeat) s.l.a.step = 0;
    const size_t weights = (size_t)(m->outputs * m->terms);
    s.words[A] = rows_of(s.l.a, m, m->terms) << log_n;
    s.words[OUT] = rows_of(s.l.out, m, m->outputs) << log_n;
    s.words[W] = ((weights - 1) * s.l.w_pitch + (size_t)m->limbs) << (log_n - m->log_rep);
    return s;
}

static uint32_t *take(size_t n) {
    uint32_t *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static void fill(uint32_t *x, const struct maps *m, const struct kernels *k, struct kmany v, int n,
                 uint64_t seed) {
    const struct kbasis b = harness_basis(m->first, m->limbs);
    const size_t row = (size_t)1 << k->log_n;
    for (int i = 0; i < n; i++)
        harness_fill(x + (size_t)i * v.step * row, k, &b, m->polys, v.pitch, row, m->kind,
                     seed + (uint64_t)i);
}

/* Returns the rows of out after the map; the operands that are read must not change. */
static uint32_t *run(const struct maps *m, struct kernels *k, struct shape s,
                     uint32_t *const host[OPERANDS]) {
    const struct kbasis b = harness_basis(m->first, m->limbs);
    struct guarded g[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) guarded_open(&g[i], k, host[i], s.words[i]);
    s.l.a.p = g[A].p, s.l.w = g[W].p, s.l.out.p = g[OUT].p;
    assert_int_equal(k->linear(k, &s.l, &b, m->polys), THOR_OK);
    uint32_t *out = guarded_read(&g[OUT]);
    for (int i = 0; i < OPERANDS; i++) {
        if (i != OUT) {
            uint32_t *after = guarded_read(&g[i]);
            assert_memory_equal(after, host[i], s.words[i] * sizeof *after);
            free(after);
        }
        guarded_close(&g[i]);
    }
    return out;
}

/* The definition in kernels.h, in GMP; words between rows are as they were. */
static uint32_t *exactly(const struct maps *m, const struct kernels *k, const struct shape *s,
                         uint32_t *const host[OPERANDS]) {
    const size_t n = (size_t)1 << k->log_n, shorter = n >> m->log_rep;
    uint32_t *out = take(s->words[OUT]);
    mpz_t sum;
    mpz_init(sum);
    for (size_t i = 0; i < s->words[OUT]; i++) out[i] = host[OUT][i];
    for (int i = 0; i < m->outputs * m->polys * m->limbs; i++) {
        const size_t o = (size_t)(i / m->limbs / m->polys), h = (size_t)(i / m->limbs % m->polys);
        const size_t r = (size_t)(i % m->limbs);
        uint32_t *to = out + (o * s->l.out.step + h * s->l.out.pitch + r) * n;
        for (size_t x = 0; x < n; x++) {
            mpz_set_ui(sum, m->accumulate ? to[x] : 0);
            for (size_t j = 0; j < (size_t)m->terms; j++) {
                const uint64_t a = host[A][(j * s->l.a.step + h * s->l.a.pitch + r) * n + x];
                const size_t w = (o * (size_t)m->terms + j) * s->l.w_pitch + r;
                mpz_t term;
                mpz_init_set_ui(term, a);
                mpz_addmul_ui(sum, term, host[W][w * shorter + (x >> m->log_rep)]);
                mpz_clear(term);
            }
            to[x] = (uint32_t)mpz_fdiv_ui(sum, k->q[m->first + (int)r]);
        }
    }
    mpz_clear(sum);
    return out;
}

static void same(const struct maps *m, const struct kernels *k, const uint32_t *got,
                 const uint32_t *want, size_t words) {
    for (size_t i = 0; i < words; i++)
        if (got[i] != want[i])
            fail_msg("linear on %s: 2^%d, %d outputs, %d terms, %d polys, %d rows from prime %d, "
                     "rep %d, acc %d, "
                     "apart %d, across %d, repeat %d, fill %d: word %zu is %u, not %u",
                     k->tier, k->log_n, m->outputs, m->terms, m->polys, m->limbs, m->first,
                     m->log_rep, m->accumulate, m->apart, m->across, m->repeat, (int)m->kind, i,
                     got[i], want[i]);
}

void maps_compare(struct maps m, struct kernels *const *k, int n, int exact) {
    const struct shape s = shape_of(&m, k[0]->log_n);
    const struct kbasis b = harness_basis(m.first, m.limbs);
    uint32_t *host[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) host[i] = take(s.words[i]);
    fill(host[A], &m, k[0], s.l.a, m.repeat ? 1 : m.terms, 61);
    fill(host[OUT], &m, k[0], s.l.out, m.outputs, 67);
    harness_fill(host[W], k[0], &b, m.outputs * m.terms, s.l.w_pitch,
                 (size_t)1 << (k[0]->log_n - m.log_rep), m.kind, 71);
    uint32_t *want = run(&m, k[0], s, host);
    if (exact) {
        uint32_t *truth = exactly(&m, k[0], &s, host);
        same(&m, k[0], want, truth, s.words[OUT]);
        free(truth);
    }
    for (int i = 1; i < n; i++) {
        uint32_t *got = run(&m, k[i], s, host);
        same(&m, k[i], got, want, s.words[OUT]);
        free(got);
    }
    for (int i = 0; i < OPERANDS; i++) free(host[i]);
    free(want);
}

void maps_shapes(const struct kernels *k, void (*fn)(struct maps m)) {
    static const int outputs[] = {1, 2, 3, 4, 5, 6, 7, 13, 33},
                     terms[] = {1, 2, 3, 16, 17, 254, 255, 256, 511}, limbs[] = {1, 2, 31};
    for (int i = 0; i < 27; i++)
        for (int f = 0; f < FILLS; f++) {
            struct maps m = {.outputs = outputs[i % 9],
                             .terms = terms[(i * 5 + f) % 9],
                             .limbs = limbs[i % 3],
                             .polys = 1 + (i + f) % 3,
                             .log_rep = (i + 2 * f) % (k->log_n + 1),
                             .accumulate = (i + f) % 2,
                             .apart = i % 2,
                             .across = (i / 2 + f) % 2,
                             .repeat = i % 5 == 4,
                             .kind = (enum fill)f};
            m.first = m.limbs == 1; /* the largest prime */
            if (m.limbs == 31) m.terms = m.terms > 17 ? 5 : m.terms, m.outputs = m.outputs % 8 + 1;
            fn(m);
        }
}

static void refused(struct kernels *k, struct klinear l, int rows, int polys) {
    const struct kbasis b = harness_basis(0, rows);
    const uint64_t before = k->counts.launches;
    assert_int_equal(k->linear(k, &l, &b, polys), THOR_INTERNAL);
    assert_int_equal(k->counts.launches, before);
}

void maps_refusals(struct kernels *k) {
    const size_t n = (size_t)1 << k->log_n;
    uint32_t *p = NULL;
    assert_int_equal(k->alloc(k, &p, 32), THOR_OK);
    const struct klinear good = {.out = {p, 2, 1},
                                 .a = {p + 4 * n, 2, 1},
                                 .outputs = 2,
                                 .terms = 3,
                                 .w = p + 10 * n,
                                 .w_pitch = 1};
    const struct kbasis one = harness_basis(0, 1);
    k->zero(k, (struct kvec){p, 1}, 1, 32);
    assert_int_equal(k->linear(k, &good, &one, 2), THOR_OK);
    struct klinear l = good;
    l.a.p = p + 3 * n, refused(k, l, 1, 2); /* the last row of out is the first of a */
    l = good, l.a.p = p, refused(k, l, 1, 2);
    l = good, l.w = p + 3 * n, refused(k, l, 1, 2);
    l = good, l.out.p = p + 15 * n, refused(k, l, 1, 2); /* the last weight */
    l = good, l.out.step = 1, refused(k, l, 1, 2);
    l = good, l.out.pitch = 0, refused(k, l, 1, 2);
    l = good, l.outputs = 0, refused(k, l, 1, 2);
    l = good, l.terms = 0, refused(k, l, 1, 2);
    l = good, l.log_rep = -1, refused(k, l, 1, 2);
    l = good, l.log_rep = k->log_n + 1, refused(k, l, 1, 2);
    refused(k, good, 0, 2);
    refused(k, good, 1, 0);
    refused(k, good, 2, 2); /* two rows do not fit a pitch of one */
    assert_int_equal(k->sync(k), THOR_OK);
    k->release(k, p);
}
