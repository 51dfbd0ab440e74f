/* Linear transforms with short plaintexts against plain arithmetic: diagonals that do not wrap,
 * several inputs, outputs and sets, zeros of every kind, caches, parts of all sizes; the same bits
 * on every tier. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ckks/internal.h"
#include "tests/engine.h"
#include "tests/worse.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum {
    SLOTS = 512,
    PERIOD = 32,
    INPUTS = 3,
    OUTPUTS = 2,
    SETS = 2,
    TIERS = 3,
    SUMS = OUTPUTS * SETS
};

/* Kinds of zeros: single ones, a giant step of output 1, a baby of input 2, all of output 0. */
static int is_zero(const struct ckks_linear *t, int o, int i, int m) {
    return m % 7 == 5 || (o == 1 && m / t->baby == 2) || (i == 2 && m % t->baby == 3) ||
           (t->ctx && o == 0);
}

static int diag(void *ctx, int o, int i, int m, double *re, double *im);

/* as the packing of columns calls it */
static const struct ckks_linear plain = {.stride = 1,
                                         .first = 1 - PERIOD,
                                         .count = 2 * PERIOD - 1,
                                         .baby = 8,
                                         .period = PERIOD,
                                         .inputs = INPUTS,
                                         .outputs = OUTPUTS,
                                         .sets = SETS,
                                         .diag = diag};
static int all_zero = 1;
static const struct ckks_linear half = {.stride = 1,
                                        .first = 1 - PERIOD,
                                        .count = 2 * PERIOD - 1,
                                        .baby = 8,
                                        .period = PERIOD,
                                        .inputs = INPUTS,
                                        .outputs = OUTPUTS,
                                        .sets = SETS,
                                        .diag = diag,
                                        .ctx = &all_zero};
/* over tokens; runs of slots; fewer diagonals than babies */
static const struct ckks_linear tokens = {.stride = PERIOD,
                                          .count = SLOTS / PERIOD,
                                          .baby = 4,
                                          .period = PERIOD,
                                          .inputs = INPUTS,
                                          .outputs = OUTPUTS,
                                          .sets = SETS,
                                          .diag = diag};
static const struct ckks_linear runs = {.stride = 4,
                                        .first = -2,
                                        .count = 5,
                                        .baby = 8,
                                        .log_run = 2,
                                        .period = PERIOD,
                                        .inputs = INPUTS,
                                        .outputs = OUTPUTS,
                                        .sets = SETS,
                                        .diag = diag};
static const struct ckks_linear *const all[] = {&plain, &half, &tokens, &runs};
enum { MAPS = sizeof all / sizeof *all };
static const struct ckks_linear *now; /* whose diagonals are asked for */

static int diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const size_t n = PERIOD >> now->log_run;
    (void)ctx;
    if (is_zero(now, o, i, m)) return 0;
    engine_message(re, n, 0.2, (uint64_t)(1000 + 1000 * o + 100 * i + m));
    engine_message(im, n, 0.2, (uint64_t)(9000 + 1000 * o + 100 * i + m));
    for (int c = 0; c < (int)n && now->stride == 1; c++) /* zero where c + m leaves the token */
        if (c + now->first + m < 0 || c + now->first + m >= PERIOD) re[c] = im[c] = 0;
    return 1;
}

struct vec {
    double re[SLOTS], im[SLOTS];
};
static struct state {
    struct engine e;
    struct ckks_ct x[INPUTS * SETS], y[SUMS];
    struct vec v[INPUTS * SETS];
} S;

static int apply_all(struct ckks *cx, void *arg) {
    struct state *s = arg;
    int st = THOR_OK;
    const struct ckks_ct *in[INPUTS * SETS];
    for (int i = 0; i < INPUTS * SETS; i++) {
        TRY(ckks_zero(&s->x[i], cx, 9 - i % 2));
        in[i] = &s->x[i];
    }
    for (int j = 0; j < MAPS; j++) TRY(ckks_linear_apply(s->y, in, all[j]));
out:
    for (int i = 0; i < INPUTS * SETS; i++) ckks_ct_free(&s->x[i]);
    for (int i = 0; i < SUMS; i++) ckks_ct_free(&s->y[i]);
    return st;
}

static void open_state(void) {
    engine_open(&S.e, "toy10", apply_all, &S);
    for (int i = 0; i < INPUTS * SETS; i++) {
        engine_message(S.v[i].re, SLOTS, 0.7, (uint64_t)(1 + 2 * i));
        engine_message(S.v[i].im, SLOTS, 0.7, (uint64_t)(2 + 2 * i));
        OK(ckks_encrypt_secret(&S.x[i], S.e.cx, S.v[i].re, S.v[i].im, SLOTS, 9 - i % 2, S.e.sk,
                               &S.e.rng));
    }
}

static void close_state(void) {
    for (int i = 0; i < INPUTS * SETS; i++) ckks_ct_free(&S.x[i]);
    for (int i = 0; i < SUMS; i++) ckks_ct_free(&S.y[i]);
    engine_close(&S.e);
}

static struct vec expected(const struct ckks_linear *t, int o, int set) {
    struct vec w = {{0}, {0}};
    for (int j = 0; j < INPUTS * t->count; j++) {
        double re[PERIOD] = {0}, im[PERIOD] = {0};
        const int i = j / t->count, m = j % t->count;
        const struct vec *x = &S.v[set * INPUTS + i];
        if (!diag(NULL, o, i, m, re, im)) continue;
        for (int s = 0; s < SLOTS; s++) {
            int f = (s + t->stride * (t->first + m) + SLOTS) % SLOTS;
            double a = re[(s % PERIOD) >> t->log_run], b = im[(s % PERIOD) >> t->log_run];
            w.re[s] += a * x->re[f] - b * x->im[f];
            w.im[s] += a * x->im[f] + b * x->re[f];
        }
    }
    return w;
}

static const struct ckks_ct *const *inputs(void) {
    static const struct ckks_ct *in[INPUTS * SETS];
    for (int i = 0; i < INPUTS * SETS; i++) in[i] = &S.x[i];
    return in;
}

static void equals_the_plain_map(const struct ckks_linear *t) {
    for (int o = 0; o < OUTPUTS; o++)
        for (int s = 0; s < SETS; s++) {
            struct vec want = expected(t, o, s), got;
            const struct ckks_ct *y = &S.y[s * OUTPUTS + o];
            assert_int_equal(y->level, 7);
            OK(ckks_decrypt(got.re, got.im, y, S.e.sk));
            double bits = bits_worst(got.re, want.re, SLOTS);
            bits = worse(bits, bits_worst(got.im, want.im, SLOTS));
            if (!(bits < -24))
                fail_msg("map %d, output %d: worst error 2^%.2f", (int)t->count, o, bits);
        }
}

static size_t words(const struct ckks_ct *a) {
    return (size_t)(a->polys * a->rows) * 2 * SLOTS;
}

static void same_bits(const struct ckks_ct *a, const struct ckks_ct *b) {
    assert_true(a->level == b->level && a->rows == b->rows);
    assert_memory_equal(a->c, b->c, words(a) * sizeof *a->c);
}

static void every_tier(void **state) {
    static const char *const tier[TIERS] = {"ref", "avx2", "avx512"};
    uint32_t *first[MAPS * SUMS] = {NULL};
    (void)state;
    const char *set = getenv("THOR_CPU");
    for (int i = 0; i < TIERS; i++) {
        setenv("THOR_CPU", tier[i], 1);
        open_state();
        for (int j = 0; j < MAPS; j++) {
            now = all[j];
            OK(ckks_linear_apply(S.y, inputs(), now));
            equals_the_plain_map(now);
            for (int o = 0; o < SUMS; o++) {
                size_t bytes = words(&S.y[o]) * sizeof *S.y[o].c;
                uint32_t **was = &first[j * SUMS + o];
                if (!*was) *was = memcpy(malloc(bytes), S.y[o].c, bytes);
                assert_memory_equal(S.y[o].c, *was, bytes);
            }
        }
        close_state();
    }
    for (int i = 0; i < MAPS * SUMS; i++) free(first[i]);
    if (set)
        setenv("THOR_CPU", set, 1);
    else
        unsetenv("THOR_CPU");
}

/* One giant and one row at a time, two of each, in place: the same bits. */
static void parts_of_all_sizes(void **state) {
    (void)state;
    open_state();
    for (int j = 0; j < MAPS; j++) {
        struct ckks_ct z[SUMS] = {{0}};
        now = all[j];
        OK(ckks_linear_apply(S.y, inputs(), now));
        for (size_t bytes = 1; bytes < 1u << 23; bytes *= 8) {
            S.e.cx->tables->work_bytes = bytes;
            OK(ckks_linear_apply(z, inputs(), now));
            for (int o = 0; o < SUMS; o++) same_bits(&z[o], &S.y[o]);
        }
        S.e.cx->tables->work_bytes = 1u << 30;
        for (int o = 0; o < SUMS; o++) ckks_ct_free(&z[o]);
    }
    now = &plain;
    OK(ckks_linear_apply(S.y, inputs(), now));
    OK(ckks_linear_apply(S.x, inputs(), now)); /* in place */
    for (int o = 0; o < SUMS; o++) same_bits(&S.x[o], &S.y[o]);
    close_state();
}

/* Sets together and one by one, from caches of both kinds: the same bits; a diagonal is encoded
 * once for all sets, and zeros are not. */
static void caches_and_sets(void **state) {
    (void)state;
    open_state();
    for (int lean = 0; lean < 2; lean++) {
        struct ckks_linear_cache *cache;
        struct ckks_ct z[SUMS] = {{0}};
        struct ckks_linear one = plain;
        uint64_t diagonals = 0, before = S.e.cx->count.encodes;
        now = &plain;
        one.sets = 1;
        S.e.cx->lean = lean;
        for (int j = 0; j < OUTPUTS * INPUTS * plain.count; j++)
            diagonals +=
                !is_zero(now, j / plain.count / INPUTS, j / plain.count % INPUTS, j % plain.count);
        OK(ckks_linear_apply(S.y, inputs(), &plain));
        assert_int_equal(S.e.cx->count.encodes - before, diagonals);
        OK(ckks_linear_prepare(&cache, S.e.cx, &plain, 8, 0));
        OK(ckks_linear_run(z, inputs(), &plain, cache));
        for (int o = 0; o < SUMS; o++) same_bits(&z[o], &S.y[o]);
        for (int s = 0; s < SETS; s++) {
            OK(ckks_linear_run(z, inputs() + s * INPUTS, &one, cache));
            for (int o = 0; o < OUTPUTS; o++) same_bits(&z[o], &S.y[s * OUTPUTS + o]);
        }
        for (int o = 0; o < SUMS; o++) ckks_ct_free(&z[o]);
        ckks_linear_cache_free(cache);
    }
    close_state();
}

static int not_a_number(void *ctx, int o, int i, int m, double *re, double *im) {
    (void)ctx, (void)o, (void)i, (void)im;
    re[m % PERIOD] = m == 11 ? NAN : 1;
    return 1;
}

static void refusals(void **state) {
    (void)state;
    open_state();
    struct ckks_linear bad = plain, other = plain;
    struct ckks_linear_cache *cache;
    const uint64_t before = S.e.cx->k->counts.bytes_now;
    bad.diag = not_a_number;
    assert_int_equal(ckks_linear_apply(S.y, inputs(), &bad), THOR_RANGE);
    assert_int_equal(ckks_linear_prepare(&cache, S.e.cx, &bad, 8, 0), THOR_RANGE);
    now = &plain;
    other.stride = 3; /* no keys */
    assert_int_equal(ckks_linear_apply(S.y, inputs(), &other), THOR_KEY);
    OK(ckks_linear_prepare(&cache, S.e.cx, &plain, 7, 0));
    assert_int_equal(ckks_linear_run(S.y, inputs(), &plain, cache), THOR_INTERNAL); /* level */
    ckks_linear_cache_free(cache);
    assert_null(S.y[0].c);
    assert_int_equal(S.e.cx->k->counts.bytes_now, before);
    close_state();
}

/* A dry run counts what is done where no diagonal is zero. */
static int ones(void *ctx, int o, int i, int m, double *re, double *im) {
    (void)ctx, (void)im;
    for (int s = 0; s < PERIOD; s++) re[s] = 0.01 * (o + i + m + s);
    return 1;
}

static void dry_counts(void **state) {
    (void)state;
    open_state();
    struct ckks *dry;
    struct ckks_linear t = plain;
    struct ckks_ct x[INPUTS * SETS] = {{0}}, y[SUMS] = {{0}};
    const struct ckks_ct *in[INPUTS * SETS];
    t.diag = ones;
    OK(ckks_open(&dry, S.e.p, KERN_DRY, KERN_TIER_BEST, 0));
    for (int i = 0; i < INPUTS * SETS; i++) {
        OK(ckks_zero(&x[i], dry, 9 - i % 2));
        in[i] = &x[i];
    }
    memset(&dry->count, 0, sizeof dry->count);
    memset(&S.e.cx->count, 0, sizeof S.e.cx->count);
    struct kernels_counts *d = &dry->k->counts, *r = &S.e.cx->k->counts, d0 = *d, r0 = *r;
    OK(ckks_linear_apply(y, in, &t));
    OK(ckks_linear_apply(S.y, inputs(), &t));
    assert_memory_equal(&dry->count, &S.e.cx->count, sizeof dry->count);
    assert_int_equal(dry->count.ptct, SETS * OUTPUTS * INPUTS * t.count);
    assert_int_equal(dry->count.encodes, OUTPUTS * INPUTS * t.count);
    assert_int_equal(dry->count.decompositions, SETS * (INPUTS + OUTPUTS * 8));
    assert_int_equal(d->bytes_moved - d0.bytes_moved, r->bytes_moved - r0.bytes_moved);
    assert_int_equal(d->products - d0.products, r->products - r0.products);
    for (int i = 0; i < INPUTS * SETS; i++) ckks_ct_free(&x[i]);
    for (int i = 0; i < SUMS; i++) ckks_ct_free(&y[i]);
    ckks_close(dry);
    close_state();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_tier),      cmocka_unit_test(parts_of_all_sizes),
        cmocka_unit_test(caches_and_sets), cmocka_unit_test(refusals),
        cmocka_unit_test(dry_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
