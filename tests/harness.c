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

static uint32_t pattern(size_t i) { return 0xdead0000u ^ (uint32_t)i * 2654435761u; }

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
    assert_int_equal(x->products, y->products);
    assert_int_equal(x->launches, y->launches);
    assert_int_equal(x->bytes_moved, y->bytes_moved);
}
