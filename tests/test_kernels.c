/* Every entry of the kernel table on every tier of this machine: the same bits as the portable tier
 * over shapes and hostile contents, guard words intact.  `test_kernels bench [LOG_N]` is timing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tests/calls.h"
#include "tests/dose.h"

enum { TIERS = 3 };
static const char *const names[TIERS] = {"ref", "avx2", "avx512"};

/* ---- a ring on all tiers ---- */

struct ring {
    struct kernels *k[TIERS];
    int log_n, n_tiers;
};

static void ring_open(struct ring *r, int log_n, int primes, int threads) {
    static const enum kern_tier tiers[TIERS] = {KERN_TIER_REF, KERN_TIER_AVX2, KERN_TIER_AVX512};
    uint32_t q[PRIMES];
    *r = (struct ring){.log_n = log_n};
    harness_chain(q, primes, log_n);
    for (int i = 0; i < TIERS; i++) {
        struct kernels *k;
        assert_int_equal(kernels_open_cpu(&k, log_n, q, primes, tiers[i], threads), THOR_OK);
        if (strcmp(k->tier, names[i])) {
            kernels_close(k); /* not on this machine */
        } else {
            r->k[r->n_tiers++] = k;
        }
    }
    assert_string_equal(r->k[0]->tier, "ref");
}

static void ring_close(struct ring *r) {
    for (int i = 0; i < r->n_tiers; i++) {
        kernels_close(r->k[i]);
    }
}

/* fn on every tier: x, y and out must end with the same bits. */
static void compare(struct ring *r, const char *entry, struct call c, call_fn *fn) {
    c.entry = entry, c.fn = fn;
    call_compare(c, r->k, r->n_tiers);
}

/* The smaller the ring, the more of its shapes: fn is called for each. */
static void each_shape(void (*fn)(struct ring *r, struct call c)) {
    static const int logs[] = {4, 5, 8, 10, 13}, limbs[] = {1, 2, 31};
    for (size_t l = 0; l < sizeof logs / sizeof *logs; l++) {
        struct ring r;
        ring_open(&r, logs[l], PRIMES, 1);
        for (int i = 0; i < 3; i++) {
            for (int polys = 1; polys <= 3; polys++) {
                for (int f = 0; f < FILLS; f++) {
                    int large = logs[l] == 13;
                    if (large && (f == FILL_ZERO || f == FILL_SPIKE || polys == 1 + i)) continue;
                    if (dose_small() && logs[l] > 8 && (i + polys + f) % 2) continue;
                    fn(&r, call_of(r.k[0], limbs[i], polys, (enum fill)f));
                }
            }
        }
        ring_close(&r);
    }
}

static const struct pointwise {
    const char *name;
    call_fn *fn;
    int has_y, has_x;
} pointwise[] = {
    {"add", do_add, 1, 1},
    {"sub", do_sub, 1, 1},
    {"neg", do_neg, 0, 1},
    {"mul", do_mul, 1, 1},
    {"lincomb", do_lincomb, 1, 1},
    {"lincomb of one", do_scale, 0, 1},
    {"add_scalar", do_add_scalar, 0, 1},
    {"copy", do_copy, 0, 1},
    {"zero", do_zero, 0, 0},
};

static void pointwise_shape(struct ring *r, struct call c) {
    for (size_t i = 0; i < sizeof pointwise / sizeof *pointwise; i++) {
        const struct pointwise *e = &pointwise[i];
        for (int a = 0; a <= (e->has_y ? ALIAS_Y : ALIAS_X); a++) {
            c.alias = (enum alias)a;
            c.repeat = 0;
            compare(r, e->name, c, e->fn);
        }
        c.alias = ALIAS_NONE;
        c.repeat = e->has_x;
        compare(r, e->name, c, e->fn);
    }
}

static void pointwise_entries(void **state) {
    (void)state;
    each_shape(pointwise_shape);
}

static void dot_shape(struct ring *r, struct call c) {
    static const int terms[] = {1, 2, 3, 4, 5, 8, 16, 17, 33, 255};
    const uint32_t two_n = 2u << r->log_n, gs[] = {1, 5, two_n - 1, 3, two_n / 2 + 1, 25 * 25};
    int many = r->log_n <= 8 ? 10 : r->log_n == 10 ? 8 : 3;
    for (int i = 0; i < many; i++) {
        c.terms = terms[i];
        c.g = gs[(i + c.polys) % 6] % two_n;
        c.log_rep = (i * c.polys) % (r->log_n + 1) % (r->log_n > 8 ? 9 : 99);
        c.accumulate = (i + (int)c.kind) % 2;
        c.same_a = (i + c.polys) % 2, c.same_b = (i + c.polys) / 2 % 2;
        compare(r, "dot", c, do_dot);
        c.log_rep = 0, c.gap = c.limbs > 1;
        c.accumulate ^= 1;
        compare(r, "dot", c, do_dot);
        c.gap = 0;
    }
}

static void dot_entry(void **state) {
    (void)state;
    each_shape(dot_shape);
}

static void sums_shape(struct ring *r, struct call c) {
    if (dose_small() && r->log_n < 13 && (c.limbs + c.polys + (int)c.kind) % 3) return;
    call_sums(c, r->k, r->n_tiers);
}

static void sums(void **state) {
    (void)state;
    each_shape(sums_shape);
}

static void dot_repetitions(void **state) {
    (void)state;
    struct ring r;
    ring_open(&r, 10, PRIMES, 1);
    for (int rep = 0; rep <= 10; rep++) {
        for (int polys = 1; polys <= 2; polys++) {
            struct call c = call_of(r.k[0], 3, polys, FILL_RANDOM);
            c.terms = 6, c.log_rep = rep, c.same_a = 1, c.g = 5;
            compare(&r, "dot", c, do_dot);
            c.g = 1, c.accumulate = 1;
            compare(&r, "dot", c, do_dot);
        }
    }
    ring_close(&r);
}

static void transform_shape(struct ring *r, struct call c) {
    int least = r->log_n > 10 ? r->log_n - 1 : 0;
    for (c.log = least; c.log <= r->log_n; c.log++) {
        compare(r, "ntt_fwd", c, do_ntt_fwd);
        compare(r, "ntt_inv", c, do_ntt_inv);
    }
}

static void transforms(void **state) {
    (void)state;
    each_shape(transform_shape);
    for (int log_n = 11; log_n <= 17; log_n++) { /* every split of the stages into passes */
        struct ring r;
        ring_open(&r, log_n, 2, 1);
        for (int kind = FILL_TOP; kind < FILLS; kind++) {
            transform_shape(&r, call_of(r.k[0], 2, 1, (enum fill)kind));
        }
        ring_close(&r);
    }
}

static void autom_shape(struct ring *r, struct call c) {
    const uint32_t n = 1u << r->log_n, gs[] = {1, 3, 5, 125 % (2 * n), n - 1, n + 1, 2 * n - 1};
    for (size_t i = 0; i < sizeof gs / sizeof *gs; i += r->log_n == 13 ? 3 : 1) {
        c.g = gs[i];
        compare(r, "autom", c, do_autom);
    }
}

static void autom_entry(void **state) {
    (void)state;
    each_shape(autom_shape);
}

static void bconv_shape(struct ring *r, struct call c) {
    static const int sources[] = {1, 2, 16};
    int n = sources[c.limbs == 31 ? 2 : c.limbs - 1];
    c.limbs = n;
    c.b = harness_basis(0, n);
    for (int all = 0; all < 2; all++) {
        c.dst = harness_basis(n, all ? PRIMES - n : 1 + n % 7);
        for (int v = 0; v < 4; v++) {
            c.centred = v & 1, c.with_pre = v >> 1;
            if (r->log_n == 13 && (v == 1 || v == 2)) continue;
            compare(r, "bconv", c, do_bconv);
        }
    }
}

static void bconv_entry(void **state) {
    (void)state;
    each_shape(bconv_shape);
    struct ring r;
    ring_open(&r, 8, PRIMES, 1);
    for (int n = 1; n <= 16; n++) {
        struct call c = call_of(r.k[0], n, 1, FILL_TOP);
        c.b = harness_basis(0, n), c.dst = harness_basis(PRIMES - n, n), c.centred = c.with_pre = 1;
        compare(&r, "bconv", c, do_bconv);
    }
    ring_close(&r);
}

static void mod_up_shape(struct ring *r, struct call c) {
    call_mod_ups(c, r->k, r->n_tiers);
}

static void mod_up_entry(void **state) {
    (void)state;
    each_shape(mod_up_shape);
}

static void keys_shape(struct ring *r, struct call c) {
    if (r->log_n >= 8) compare(r, "uniform", c, do_uniform);
    call_keys(c, r->k, r->n_tiers);
}

static void key_entries(void **state) {
    (void)state;
    each_shape(keys_shape);
}

static void rebase_shape(struct ring *r, struct call c) {
    call_rebases(c, r->k, r->n_tiers);
}

static void rebase_entry(void **state) {
    (void)state;
    each_shape(rebase_shape);
}

static void lift_shape(struct ring *r, struct call c) {
    int64_t *v = call_integers(c.kind, (size_t)c.polys << r->log_n);
    c.c = v;
    for (c.log = r->log_n > 10 ? r->log_n - 1 : 0; c.log <= r->log_n; c.log++)
        compare(r, "lift", c, do_lift);
    free(v);
}

static void lift_entry(void **state) {
    (void)state;
    each_shape(lift_shape);
}

static void full_ring(void **state) {
    (void)state;
    struct ring r;
    ring_open(&r, 16, 12, 1);
    struct call c = call_of(r.k[0], 3, 2, FILL_RANDOM);
    pointwise_shape(&r, c);
    transform_shape(&r, c);
    c.terms = 4, c.g = 5, c.same_a = 1;
    compare(&r, "dot", c, do_dot);
    compare(&r, "autom", c, do_autom);
    c.terms = 2, c.log_rep = 7, c.accumulate = 1;
    compare(&r, "dot", c, do_dot);
    c = call_of(r.k[0], 5, 1, FILL_RANDOM);
    c.b = harness_basis(0, 5), c.dst = harness_basis(5, 7), c.centred = 1;
    compare(&r, "bconv", c, do_bconv);
    ring_close(&r);
}

/* ---- threads ---- */

static void threads_agree(void **state) {
    (void)state;
    uint32_t q[PRIMES];
    struct ring r = {.log_n = 12, .n_tiers = 3};
    harness_chain(q, PRIMES, 12);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(
            kernels_open_cpu(&r.k[i], 12, q, PRIMES, KERN_TIER_BEST, i == 2 ? 7 : i + 1), THOR_OK);
    }
    for (int limbs = 1; limbs < 7; limbs += 2) {
        struct call c = call_of(r.k[0], limbs, 2, FILL_RANDOM);
        pointwise_shape(&r, c);
        transform_shape(&r, c);
        dot_shape(&r, c);
        sums_shape(&r, c);
        c.dst = harness_basis(limbs + 1, 9), c.centred = 1;
        compare(&r, "bconv", c, do_bconv);
    }
    ring_close(&r);
}

/* Callers in parallel: many automorphisms at once, memory taken and given back. */
static void callers_in_parallel(void **state) {
    (void)state;
    struct ring r;
    int wrong = 0;
    ring_open(&r, 8, 2, 2);
    struct kernels *k = r.k[r.n_tiers - 1];
    size_t n = 256;
    struct kbasis b = harness_basis(0, 2);
    uint32_t *x = words(2 * n), *shared = NULL;
    harness_fill(x, k, &b, 1, 2, n, FILL_RANDOM, 41);
    assert_int_equal(k->alloc(k, &shared, 2), THOR_OK);
    k->upload(k, shared, x, 2 * n);
#pragma omp parallel for num_threads(4) reduction(+ : wrong)
    for (int i = 0; i < 4000; i++) {
        uint32_t *p = NULL, *s = NULL, g = (uint32_t)(2 * i + 1) & 511, back = 1, got[2 * 256];
        while ((back * g & 511) != 1) back += 2;
        if (k->alloc(k, &p, 2 + (size_t)i % 3) || k->alloc(k, &s, 2)) {
            wrong++;
            continue;
        }
        k->autom(k, (struct kvec){p, 2}, (struct kvec){shared, 2}, g, 2, 1);
        k->autom(k, (struct kvec){s, 2}, (struct kvec){p, 2}, back, 2, 1);
        k->download(k, got, s, 2 * n);
        wrong += memcmp(got, x, sizeof got) != 0;
        k->release(k, p);
        k->release(k, s);
    }
    assert_int_equal(wrong, 0);
    k->release(k, shared);
    assert_int_equal(k->counts.bytes_now, 0);
    free(x);
    ring_close(&r);
}

/* ---- memory, counting, refusals ---- */

static void check_memory(struct kernels *k) {
    enum { SPANS = 40 };
    uint32_t *p[SPANS];
    size_t n = (size_t)1 << k->log_n, total = 0;
    for (int turn = 0; turn < 3; turn++) {
        total = 0;
        for (size_t i = 0; i < SPANS; i++) {
            size_t rows = 1 + i * i % 23;
            assert_int_equal(k->alloc(k, &p[i], rows), THOR_OK);
            total += rows * n * sizeof(uint32_t);
            assert_int_equal((uintptr_t)p[i] % 64, 0);
            for (size_t j = 0; j < i; j++) { /* disjoint, and so are the addresses inside */
                size_t other = 1 + j * j % 23;
                assert_true(p[i] + rows * n <= p[j] || p[j] + other * n <= p[i]);
            }
        }
        assert_true(k->counts.bytes_now >= total);
        for (size_t i = 0; i < SPANS; i++) {
            k->release(k, p[(i * 7) % SPANS]);
        }
        k->release(k, NULL);
        assert_int_equal(k->counts.bytes_now, 0);
    }
    assert_true(k->counts.bytes_peak >= total && k->counts.bytes_peak < 2 * total);
}

static void memory_of_back_ends(void **state) {
    (void)state;
    struct ring r;
    struct kernels *dry;
    ring_open(&r, 10, 2, 1);
    check_memory(r.k[0]);
    assert_int_equal(kernels_open_dry(&dry, 10, r.k[0]->q, 2), THOR_OK);
    check_memory(dry);
    uint32_t host[3] = {1, 2, 3}, *p = NULL;
    assert_int_equal(dry->alloc(dry, &p, 1), THOR_OK);
    dry->upload(dry, p, host, 3);
    dry->download(dry, host, p, 3);
    assert_true(host[0] == 0 && host[1] == 0 && host[2] == 0);
    kernels_close(dry);
    ring_close(&r);
}

/* The polynomial of p slots takes at exp(i pi 5^s / 2p) the value scale z_s, but for rounding
 * its 2p coefficients by at most 1/2 each (and doubles: 2^-53 of 2^21).  Every number is that of
 * 2^log_run slots. */
static void check_encoding(struct kernels *k, int log_slots, int log_run, double scale) {
    enum { MOST = 512 };
    const size_t p = (size_t)1 << log_slots, n = (size_t)1 << k->log_n;
    const struct kbasis b = harness_basis(1, 1);
    const uint32_t q = k->q[1];
    uint64_t rng = 5;
    double z[2 * MOST];
    uint32_t *row = NULL, c[2 * MOST];
    assert_true(p <= MOST && 2 * p <= n);
    for (size_t i = 0; i < 2 * p; i++) z[i] = (double)(int64_t)harness_next(&rng) * 0x1p-63;
    assert_int_equal(k->alloc(k, &row, 1), THOR_OK);
    k->encode(k, (struct kvec){row, 1}, z, log_slots, log_run, scale, &b, 1);
    k->download(k, c, row, 2 * p);
    k->release(k, row);
    size_t power = 1;
    for (size_t s = 0; s < p; s++, power = power * 5 % (4 * p)) {
        long double re = 0, im = 0;
        for (size_t j = 0; j < 2 * p; j++) {
            const long double a = M_PI * (long double)(power * j % (4 * p)) / (long double)(2 * p);
            const long double v = c[j] > q / 2 ? (long double)c[j] - q : c[j];
            re += v * cosl(a), im += v * sinl(a);
        }
        const double *at = z + (s >> log_run);
        const long double off = hypotl(re - scale * at[0], im - scale * at[p >> log_run]);
        assert_true(off <= (long double)p + 1e-6L);
    }
}

static void encoding_by_definition(void **state) {
    (void)state;
    struct ring r;
    ring_open(&r, 10, 2, 1);
    for (int log_slots = 0; log_slots <= 9; log_slots++) {
        check_encoding(r.k[0], log_slots, 0, 0x1p20);
        check_encoding(r.k[0], log_slots, (log_slots + 1) / 2, 0x1p20);
    }
    ring_close(&r);
}

/* Short polynomials together, in whole batches and a part of one, and one by one: the same words,
 * and none where the rows have a gap. */
static void encoding_of_many(void **state) {
    (void)state;
    enum { MANY = 150, LIMBS = 2, PITCH = 3, LOG_SLOTS = 4, WORDS = 2 << LOG_SLOTS, RUN = 1 };
    enum { NUMBERS = WORDS >> RUN, ALL = MANY * PITCH * WORDS, LOG_N = 10, SPARE = 1 };
    const struct kbasis b = harness_basis(0, LIMBS);
    static uint32_t at_once[ALL], alone[ALL];
    static double z[MANY * NUMBERS];
    uint64_t rng = 7;
    for (size_t i = 0; i < MANY * NUMBERS; i++)
        z[i] = (double)(int64_t)harness_next(&rng) * 0x1p-63;
    for (int threads = 1; threads <= 3; threads++) {
        struct ring r;
        uint32_t *rows = NULL;
        ring_open(&r, LOG_N, LIMBS, threads);
        struct kernels *k = r.k[0];
        assert_int_equal(k->alloc(k, &rows, (ALL >> LOG_N) + SPARE), THOR_OK);
        for (int way = 0; way < 2; way++) {
            memset(way ? alone : at_once, 0xff, sizeof alone);
            k->upload(k, rows, way ? alone : at_once, ALL);
            for (int i = 0; i < (way ? MANY : 1); i++)
                k->encode(k, (struct kvec){rows + i * PITCH * WORDS, PITCH}, z + i * NUMBERS,
                          LOG_SLOTS, RUN, 0x1p20, &b, way ? 1 : MANY);
            k->download(k, way ? alone : at_once, rows, ALL);
        }
        assert_memory_equal(at_once, alone, sizeof alone);
        for (size_t i = LIMBS * WORDS; i < PITCH * WORDS; i++)
            assert_true(at_once[i] == UINT32_MAX);
        k->release(k, rows);
        ring_close(&r);
    }
}

/* Each sum of several operands, in two shapes. */
static void many_sums(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b) {
    const size_t n = (size_t)1 << k->log_n, one = x.pitch * n;
    uint32_t s[KERN_MAX_LIMBS] = {0};
    const struct kstream in[3] = {{x, s}, {{x.p, 0}, s}, {x, s}};
    const struct kpair pair[2] = {{x.p, x.p, x.pitch, x.pitch}, {x.p, x.p + one, x.pitch, 0}};
    uint32_t *o[2] = {out.p, out.p + 2 * out.pitch * n};
    const uint32_t *a[2] = {x.p, x.p + one}, *w[4] = {x.p, NULL, x.p + one, x.p};
    for (int i = 0; i < 2; i++) {
        const struct kdots d = {.out = o,
                                .a = a,
                                .out_pitch = out.pitch,
                                .a_pitch = 0,
                                .outputs = 1 + i,
                                .terms = 2,
                                .b = w,
                                .log_rep = 3 * i,
                                .accumulate = (unsigned)i};
        k->combine(k, out, in, 2 + i, b, 1 + i);
        k->tensor(k, out, pair, 1 + i, b);
        k->dots(k, &d, b, 1 + i);
    }
}

/* Entries of several steps, on any back end. */
static void many_steps(struct kernels *k) {
    enum { LIMBS = 6, EXT = 8 };
    const struct kbasis b = harness_basis(0, LIMBS), ext = harness_basis(0, EXT);
    const double z[4] = {1, 2, 3, 4};
    uint32_t *p = NULL;
    assert_int_equal(k->alloc(k, &p, 40 + 2 * LIMBS), THOR_OK);
    const struct kvec x = {p + ((size_t)40 << k->log_n), LIMBS}, out = {p, EXT};
    k->zero(k, x, LIMBS, 2);
    harness_mod_up(k, out, x.p, LIMBS, 2, &ext, 1, HOW_ENTRY);
    many_sums(k, out, x, &b);
    for (int i = 0; i < 4; i++) {
        const struct harness_key h = {.stored = i % 2,
                                      .accumulate = i / 2,
                                      .plus_polys = i % 3,
                                      .plus_rows = LIMBS,
                                      .split = LIMBS,
                                      .gap = i,
                                      .g = 5};
        harness_keys(k, out, x.p, LIMBS, 2, &ext, 1, h, HOW_ENTRY);
    }
    harness_rebase(k, out, x, (struct harness_rebase){.limbs = LIMBS, .back = 2, .plus = 1}, 2,
                   HOW_ENTRY);
    harness_rebase(k, out, x, (struct harness_rebase){.fresh = 1, .limbs = LIMBS, .front = 3}, 1,
                   HOW_ENTRY);
    k->record_begin(k, 1);
    k->encode(k, x, z, k->log_n - 1, k->log_n - 2, 1024, &b, 1);
    assert_int_equal(k->record_end(k, 1, 1), 1);
    k->encode(k, x, z, k->log_n - 1, k->log_n - 2, 1024, &b, 1);
    k->release(k, p);
}

static void dry_counts_the_same(void **state) {
    (void)state;
    uint32_t q[PRIMES];
    struct kernels *dry;
    struct ring r;
    ring_open(&r, 10, PRIMES, 1);
    harness_chain(q, PRIMES, 10);
    assert_int_equal(kernels_open_dry(&dry, 10, q, PRIMES), THOR_OK);
    many_steps(r.k[0]);
    many_steps(dry);
    harness_same_counts(&r.k[0]->counts, &dry->counts);
    assert_int_equal(dry->counts.bytes_constant, 0);
    dry->records = 1;
    many_steps(dry);
    assert_int_equal(dry->counts.bytes_constant, 4 * sizeof(double)); /* of the recorded one */
    kernels_close(dry);
    ring_close(&r);
}

static void dry_counts(void **state) {
    (void)state;
    uint32_t q[PRIMES], *p = NULL, s[3] = {1, 2, 3};
    struct kernels *k;
    struct kbconv *v;
    struct kbasis b = harness_basis(0, 3), dst = harness_basis(3, 5);
    int64_t c[4] = {0};
    harness_chain(q, 8, 10);
    assert_int_equal(kernels_open_dry(&k, 10, q, 8), THOR_OK);
    assert_int_equal(k->kind, KERN_DRY);
    assert_string_equal(k->tier, "dry");
    assert_int_equal(k->alloc(k, &p, 30), THOR_OK);
    struct kvec x = {p, 3}, y = {p + 6 * 1024, 3}, z = {p + 12 * 1024, 3};
    const struct kterm one = {.a = x.p, .b = y.p, .b_pitch = 3}, t[4] = {one, one, one, one};
    k->add(k, z, x, y, &b, 2);
    k->lincomb(k, z, x, s, y, s, &b, 1);
    assert_int_equal(k->counts.rows_pointwise, 9);
    assert_int_equal(k->counts.launches, 2);
    assert_int_equal(k->counts.bytes_moved, 9 * 3 * 4096);
    k->ntt_fwd(k, x, &b, 2, 10);
    k->ntt_inv(k, x, &b, 1, 10);
    k->autom(k, z, x, 5, 3, 2);
    k->dot(k, z, t, 4, 5, 0, 0, &b, 2);
    k->lift(k, z, c, 4, &b, 1);
    assert_int_equal(k->bconv_new(k, &v, &b, &dst), THOR_OK);
    k->bconv(k, y, x, NULL, v, 1, 2);
    k->bconv_free(k, v);
    assert_int_equal(k->sync(k), THOR_OK);
    assert_int_equal(k->counts.rows_ntt, 6);
    assert_int_equal(k->counts.rows_intt, 3);
    assert_int_equal(k->counts.rows_autom, 6);
    assert_int_equal(k->counts.rows_dot, 4 * 3 * 2);
    assert_int_equal(k->counts.rows_lift, 3);
    assert_int_equal(k->counts.macs_bconv, 3 * 5 * 2 * 1024);
    assert_int_equal(k->counts.launches, 8);
    k->release(k, p);
    assert_int_equal(k->counts.bytes_peak, 30 * 4096);
    kernels_close(k);
}

/* Pointwise entries count the same work on the processor as dry. */
static void pointwise_counts(void **state) {
    (void)state;
    struct kernels *k[2];
    uint32_t q[3];
    harness_chain(q, 3, 10);
    assert_int_equal(kernels_open_cpu(&k[0], 10, q, 3, KERN_TIER_BEST, 1), THOR_OK);
    assert_int_equal(kernels_open_dry(&k[1], 10, q, 3), THOR_OK);
    for (size_t e = 0; e < sizeof pointwise / sizeof *pointwise; e++) {
        for (int i = 0; i < 2; i++) {
            struct call c = {.limbs = 3, .polys = 2, .b = harness_basis(0, 3)};
            uint32_t *p;
            assert_int_equal(k[i]->alloc(k[i], &p, 18), THOR_OK);
            struct kvec x = {p, 3}, y = {p + 6 * 1024, 3}, z = {p + 12 * 1024, 3};
            k[i]->zero(k[i], x, 3, 6);
            pointwise[e].fn(k[i], &c, z, x, y);
            k[i]->release(k[i], p);
        }
        harness_same_counts(&k[0]->counts, &k[1]->counts);
    }
    kernels_close(k[0]);
    kernels_close(k[1]);
}

static void refuse(int log_n, uint32_t q, int primes) {
    uint32_t chain[KERN_MAX_LIMBS + 1] = {q};
    struct kernels *k = NULL;
    assert_int_equal(kernels_open_cpu(&k, log_n, chain, primes, KERN_TIER_BEST, 1), THOR_USAGE);
    assert_null(k);
    assert_true(strlen(thor_error()) > 10);
    assert_int_equal(kernels_open_dry(&k, log_n, chain, primes), THOR_USAGE);
    assert_null(k);
}

static void refusals(void **state) {
    (void)state;
    refuse(3, 97, 1);
    refuse(18, 7340033, 1);
    refuse(10, 12289, 0);
    refuse(10, 12289, KERN_MAX_LIMBS + 1);
    refuse(10, 0, 1);
    refuse(10, 1, 1);
    refuse(10, 12289 + 1, 1);
    refuse(10, 10241, 1);     /* 1 mod 2^11, but 7 * 7 * 11 * 19 */
    refuse(10, 268441601, 1); /* 1 mod 2^11, above 2^28 */
    refuse(13, 12289, 1);     /* only 1 mod 2^12 */
    kernels_close(NULL);
}

static void tier_of_the_environment(void **state) {
    (void)state;
    static const char *const asked[] = {"ref", "avx2", "avx512"};
    const uint32_t q = 12289;
    const char *before = getenv("THOR_CPU");
    char *saved = before ? strdup(before) : NULL;
    int last = -1;
    for (int i = 0; i < TIERS; i++) {
        struct kernels *k;
        int have = 0;
        setenv("THOR_CPU", asked[i], 1);
        assert_int_equal(kernels_open_cpu(&k, 10, &q, 1, KERN_TIER_BEST, 1), THOR_OK);
        while (strcmp(names[have], k->tier)) have++;
        assert_true(have <= i && have >= last);
        last = have;
        kernels_close(k);
        assert_int_equal(kernels_open_cpu(&k, 10, &q, 1, KERN_TIER_REF, 1), THOR_OK);
        assert_string_equal(k->tier, "ref");
        kernels_close(k);
    }
    if (saved)
        setenv("THOR_CPU", saved, 1);
    else
        unsetenv("THOR_CPU");
    free(saved);
}

/* Says in the summary which tiers were not compared. */
static void tiers_of_this_machine(void **state) {
    (void)state;
    struct ring r;
    ring_open(&r, 4, 1, 1);
    int have = r.n_tiers;
    ring_close(&r);
    if (have < TIERS) skip();
}

/* ---- timing ---- */

struct bench {
    const char *name;
    call_fn *fn;
    struct call c;
    int rows;
};

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int less(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* microseconds of a call: the median of its runs, and the least */
static double median_us(struct kernels *k, const struct bench *b, struct kvec out, struct kvec x,
                        struct kvec y, double *least) {
    double t[101];
    int n = 0;
    for (double end = now() + 0.25; n < 3 || (n < 101 && now() < end); n++) {
        double s = now();
        b->fn(k, &b->c, out, x, y);
        t[n] = 1e6 * (now() - s);
    }
    qsort(t, (size_t)n, sizeof *t, less);
    *least = t[0];
    return t[n / 2];
}

static void bench_tier(const uint32_t *q, int log_n, enum kern_tier tier, int threads) {
    enum { ROWS = 61 };
    struct kernels *k;
    struct call all = {.limbs = ROWS,
                       .polys = 2,
                       .log = log_n,
                       .terms = 4,
                       .g = 1,
                       .apart = 2 * ROWS,
                       .same_a = 1,
                       .b = harness_basis(0, ROWS)};
    struct call one = all, turn = all, mixed = all, rep = all, conv = all, down = all;
    one.polys = 1;
    turn.g = 5, mixed.same_a = 0;
    rep.log_rep = log_n > 9 ? 7 : 2, rep.same_a = 0, rep.same_b = 1, rep.terms = 16;
    conv.polys = down.polys = 1, conv.b = harness_basis(0, 12), conv.dst = harness_basis(12, 49);
    down.b = harness_basis(0, 13), down.dst = harness_basis(13, 48), down.centred = 1;
    const struct bench entries[] = {
        {"ntt_fwd, a row", do_ntt_fwd, one, ROWS},
        {"ntt_inv, a row", do_ntt_inv, one, ROWS},
        {"add 61 x 2", do_add, all, 1},
        {"mul 61 x 2", do_mul, all, 1},
        {"lincomb 61 x 2", do_lincomb, all, 1},
        {"dot 4 x 61 x 2, a shared", do_dot, all, 1},
        {"dot 4 x 61 x 2, g 5", do_dot, turn, 1},
        {"dot 16 x 61 x 2, short b", do_dot, rep, 1},
        {"dot 4 x 61 x 2, a twice", do_dot, mixed, 1},
        {"autom 61 x 2", do_autom, turn, 1},
        {"bconv 12 -> 49, plain", do_bconv, conv, 1},
        {"bconv 13 -> 48, centred", do_bconv, down, 1},
    };
    if (kernels_open_cpu(&k, log_n, q, ROWS, tier, threads)) return;
    if (!strcmp(k->tier, names[tier - KERN_TIER_REF])) {
        uint32_t *p = NULL;
        size_t rows = 8 * ROWS, words_all = 3 * rows << log_n;
        assert_int_equal(k->alloc(k, &p, 3 * rows), THOR_OK);
        for (size_t i = 0; i < words_all; i++) p[i] = (uint32_t)i & 1023; /* below all primes */
        size_t part = rows << log_n;
        struct kvec x = {p, ROWS}, y = {p + part, ROWS}, out = {p + 2 * part, ROWS};
        for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
            double least, per = entries[i].rows;
            double us = median_us(k, &entries[i], out, x, y, &least);
            printf("%-7s %d thread%s  %-26s %10.1f us, at best %.1f\n", k->tier, threads,
                   threads > 1 ? "s" : " ", entries[i].name, us / per, least / per);
        }
        k->release(k, p);
    }
    kernels_close(k);
}

static int bench(int log_n) {
    uint32_t q[KERN_MAX_LIMBS], all[2 * KERN_MAX_LIMBS];
    harness_chain(all, 2 * 61, log_n);
    for (int i = 0; i < 61; i++) q[i] = all[2 * i + 1]; /* the large ones, as in the real chain */
    for (int threads = 1; threads <= 2; threads++) {
        for (int t = KERN_TIER_REF; t <= KERN_TIER_AVX512; t++) {
            bench_tier(q, log_n, (enum kern_tier)t, threads);
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "bench")) return bench(argc > 2 ? atoi(argv[2]) : 16);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_of_this_machine),
        cmocka_unit_test(tier_of_the_environment),
        cmocka_unit_test(refusals),
        cmocka_unit_test(pointwise_entries),
        cmocka_unit_test(dot_entry),
        cmocka_unit_test(dot_repetitions),
        cmocka_unit_test(sums),
        cmocka_unit_test(transforms),
        cmocka_unit_test(autom_entry),
        cmocka_unit_test(bconv_entry),
        cmocka_unit_test(mod_up_entry),
        cmocka_unit_test(key_entries),
        cmocka_unit_test(rebase_entry),
        cmocka_unit_test(lift_entry),
        cmocka_unit_test(full_ring),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(callers_in_parallel),
        cmocka_unit_test(memory_of_back_ends),
        cmocka_unit_test(encoding_by_definition),
        cmocka_unit_test(encoding_of_many),
        cmocka_unit_test(dry_counts),
        cmocka_unit_test(dry_counts_the_same),
        cmocka_unit_test(pointwise_counts),
    };
    return cmocka_run_group_tests_name("kernel tiers", tests, NULL, NULL);
}
