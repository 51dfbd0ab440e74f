/* The CUDA back end: every entry gives the bits of the portable tier, over shapes and hostile
 * contents; guard words around all operands stay as they were.
 *
 * `make check` links this with the CPU emulation of CUDA, which takes the threads of a block in
 * order, in reverse and at random.  The same file runs on a device: compiled as it is, it is linked
 * with nvcc's objects of kernels/cuda instead of those of the emulation (build/emu), and with the
 * helpers of tests/, libthor.a, cudart, cmocka and gmp; nothing else changes, see emulation.h.
 * test_cuda_engine.c likewise. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/calls.h"
#include "tests/emu/emulation.h"

static struct kernels *ref, *dev;

static void open_ring(int log_n, int primes) {
    uint32_t q[PRIMES];
    harness_chain(q, primes, log_n);
    assert_int_equal(kernels_open_cpu(&ref, log_n, q, primes, KERN_TIER_REF, 1), THOR_OK);
    assert_int_equal(kernels_open_cuda(&dev, log_n, q, primes, 0), THOR_OK);
    assert_int_equal(dev->kind, KERN_CUDA);
    assert_string_equal(dev->tier, "cuda");
}

static void close_ring(void) {
    assert_int_equal(dev->counts.bytes_now, 0);
    kernels_close(ref);
    kernels_close(dev);
    assert_int_equal(emulation_errors(), 0);
}

static void call(struct call c, const char *entry, call_fn *fn) {
    struct kernels *const both[2] = {ref, dev};
    c.entry = entry, c.fn = fn;
    call_compare(c, both, 2);
}
#define CALL(c, name) call(c, #name, do_##name)

/* Shapes: rings x rows x polynomials x contents; the order of threads changes all the time. */
static void each_shape(void (*fn)(struct call c)) {
    static const int logs[] = {4, 6, 10, 13}, limbs[] = {1, 2, 31};
    for (size_t l = 0; l < sizeof logs / sizeof *logs; l++) {
        open_ring(logs[l], PRIMES);
        for (int i = 0; i < 3; i++) {
            for (int polys = 1; polys <= 3; polys++) {
                for (int f = 0; f < FILLS; f++) {
                    if (logs[l] > 6 && (i + polys + f) % 4) continue;
                    if (logs[l] == 13 && (i == 2 || f == FILL_ZERO)) continue;
                    emulation_order((i + polys + f + (int)l) % 3, (unsigned)f + 1);
                    fn(call_of(ref, limbs[i], polys, (enum fill)f));
                }
            }
        }
        harness_same_counts(&ref->counts, &dev->counts);
        close_ring();
    }
    emulation_order(0, 1);
}

/* ---- entries ---- */

static void pointwise_shape(struct call c) {
    for (int a = ALIAS_NONE; a <= ALIAS_Y; a++) {
        c.alias = (enum alias)a;
        CALL(c, add);
        CALL(c, sub);
        CALL(c, mul);
        CALL(c, lincomb);
        if (a == ALIAS_Y) continue;
        CALL(c, neg);
        CALL(c, scale);
        CALL(c, add_scalar);
        CALL(c, copy);
    }
    c.alias = ALIAS_NONE;
    CALL(c, zero);
    c.repeat = 1;
    CALL(c, add);
    CALL(c, copy);
}

static void pointwise_entries(void **state) {
    (void)state;
    each_shape(pointwise_shape);
}

static void dot_shape(struct call c) {
    static const int terms[] = {1, 2, 16, 17, 255};
    const uint32_t two_n = 2u << ref->log_n, gs[] = {1, 5, two_n - 1, 3, two_n / 2 + 1};
    const int many = ref->log_n <= 6 ? 5 : ref->log_n == 10 ? 4 : 2;
    for (int i = 0; i < many; i++) {
        c.terms = terms[i];
        c.g = gs[(i + c.polys) % 5];
        c.log_rep = i * c.polys % (ref->log_n + 1);
        c.accumulate = (i + (int)c.kind) % 2;
        c.same_a = (i + c.polys) % 3 != 0, c.same_b = i % 2;
        CALL(c, dot);
        c.log_rep = 0, c.gap = c.limbs > 1;
        CALL(c, dot);
        c.gap = 0;
    }
}

static void dot_entry(void **state) {
    (void)state;
    each_shape(dot_shape);
}

static void sums_shape(struct call c) {
    call_sums(c, (struct kernels *[]){ref, dev}, 2);
}

static void sums(void **state) {
    (void)state;
    each_shape(sums_shape);
}

static void transform_shape(struct call c) {
    for (c.log = ref->log_n > 10 ? ref->log_n - 1 : 0; c.log <= ref->log_n; c.log++) {
        CALL(c, ntt_fwd);
        CALL(c, ntt_inv);
    }
}

static void transforms(void **state) {
    (void)state;
    each_shape(transform_shape);
}

/* Every split of the stages into two kernels, words q - 1 and random ones, the smallest and the
 * largest prime. */
static void transforms_of_all_degrees(void **state) {
    (void)state;
    for (int log_n = 5; log_n <= 17; log_n++) {
        open_ring(log_n, 2);
        for (int order = 0; order < 2; order++) {
            emulation_order(order, 1);
            struct call c = call_of(ref, 2, 1, order ? FILL_RANDOM : FILL_TOP);
            CALL(c, ntt_fwd);
            CALL(c, ntt_inv);
        }
        close_ring();
    }
    emulation_order(0, 1);
}

/* Each kind of column kernels that THOR_COLUMNS asks for, in all orders. */
static void transforms_of_all_kinds(void **state) {
    (void)state;
    static const char *const kinds[] = {"narrow", "turned", "wide"};
    for (int i = 0; i < 9; i++) {
        assert_int_equal(setenv("THOR_COLUMNS", kinds[i / 3], 1), 0);
        open_ring(14 + i / 3 % 2 * 2, 3);
        emulation_order(i % 3, 1);
        struct call c = call_of(ref, 3, i % 2 + 1, i % 2 ? FILL_TOP : FILL_RANDOM);
        CALL(c, ntt_fwd);
        CALL(c, ntt_inv);
        close_ring();
    }
    emulation_order(0, 1);
    setenv("THOR_COLUMNS", "tall", 1);
    const uint32_t q = 12289;
    struct kernels *k = NULL;
    assert_int_equal(kernels_open_cuda(&k, 10, &q, 1, 0), THOR_USAGE);
    assert_non_null(strstr(thor_error(), "THOR_COLUMNS"));
    unsetenv("THOR_COLUMNS");
}

static void autom_shape(struct call c) {
    const uint32_t two_n = 2u << ref->log_n,
                   gs[] = {1, 3, 5, two_n / 2 - 1, two_n / 2 + 1, two_n - 1};
    for (int i = 0; i < 6; i++) {
        c.g = gs[i];
        CALL(c, autom);
    }
}

static void autom_entry(void **state) {
    (void)state;
    each_shape(autom_shape);
}

static void bconv_shape(struct call c) {
    static const int sources[] = {1, 3, 16};
    const int n = sources[c.limbs == 31 ? 2 : c.limbs - 1];
    c.limbs = n;
    c.b = harness_basis(0, n);
    for (int all = 0; all < 2; all++) {
        c.dst = harness_basis(n, all ? PRIMES - n : 1 + n % 7);
        c.centred = (c.polys + all) % 2, c.with_pre = !all;
        CALL(c, bconv);
    }
}

static void bconv_entry(void **state) {
    (void)state;
    each_shape(bconv_shape);
    open_ring(6, PRIMES);
    for (int n = 1; n <= 16; n++) {
        struct call c = call_of(ref, n, 1, FILL_TOP);
        c.b = harness_basis(0, n), c.dst = harness_basis(PRIMES - n, n), c.centred = c.with_pre = 1;
        CALL(c, bconv);
    }
    close_ring();
}

static void mod_up_shape(struct call c) {
    call_mod_ups(c, (struct kernels *[]){ref, dev}, 2);
}

static void mod_up_entry(void **state) {
    (void)state;
    each_shape(mod_up_shape);
}

static void keys_shape(struct call c) {
    if (ref->log_n >= 8) CALL(c, uniform);
    call_keys(c, (struct kernels *[]){ref, dev}, 2);
}

static void key_entries(void **state) {
    (void)state;
    each_shape(keys_shape);
}

static void rebase_shape(struct call c) {
    call_rebases(c, (struct kernels *[]){ref, dev}, 2);
}

static void rebase_entry(void **state) {
    (void)state;
    each_shape(rebase_shape);
}

/* Conversions that go on into the columns of a transform: every number of their stages. */
static void columns_of_conversions(void **state) {
    (void)state;
    const int most = emulation_mode() == 4 ? 14 : 17; /* races are looked for slowly */
    for (int log_n = 10; log_n <= most; log_n++) {
        open_ring(log_n, 19);
        emulation_order(log_n % 3, 1);
        struct call c = call_of(ref, 1 + log_n % 2, 1 + log_n % 3 / 2, FILL_TOP);
        rebase_shape(c);
        keys_shape(c);
        mod_up_shape(c);
        close_ring();
    }
    emulation_order(0, 1);
}

static void lift_shape(struct call c) {
    int64_t *v = call_integers(c.kind, (size_t)c.polys << ref->log_n);
    c.c = v;
    for (c.log = ref->log_n > 6 ? ref->log_n - 1 : 0; c.log <= ref->log_n; c.log++) {
        CALL(c, lift);
    }
    free(v);
}

static void lift_entry(void **state) {
    (void)state;
    each_shape(lift_shape);
}

/* Up to the largest numbers allowed; scales that leave fractions, and one that leaves none. */
static void encode_shape(struct call c) {
    static const double scales[] = {1, 0x1.8p41, 0x1p55};
    uint64_t rng = 37;
    const size_t n = (size_t)c.polys << ref->log_n;
    double *z = malloc(n * sizeof *z);
    assert_non_null(z);
    c.scale = scales[(c.polys + (int)c.kind) % 3];
    const double top = 0x1.fffffffffffffp60 / c.scale;
    for (size_t i = 0; i < n; i++) {
        const double r = (double)(int64_t)harness_next(&rng) * 0x1p-63;
        const double spike = i == 3 ? top : i == 8 ? -top : 0;
        z[i] = c.kind == FILL_ZERO    ? 0
               : c.kind == FILL_TOP   ? (i % 2 ? top : -top)
               : c.kind == FILL_SPIKE ? spike
                                      : ldexp(r * top, -(int)(harness_next(&rng) % 64));
    }
    c.z = z;
    for (c.log = ref->log_n > 6 ? ref->log_n - 1 : 1; c.log <= ref->log_n; c.log++) {
        c.log_run = 0;
        CALL(c, encode);
        c.log_run = c.log / 2;
        CALL(c, encode);
    }
    free(z);
}

static void encode_entry(void **state) {
    (void)state;
    each_shape(encode_shape);
    for (int log_n = 14; log_n <= 17; log_n++) {
        open_ring(log_n, 2);
        encode_shape(call_of(ref, 1, 1, FILL_RANDOM));
        close_ring();
    }
}

/* ---- order, errors, refusals ---- */

/* Work that runs only when the host waits for it: nothing on the host is touched too late or read
 * too early. */
static void work_done_late(void **state) {
    (void)state;
    emulation_lazy(1);
    open_ring(10, PRIMES);
    struct call c = call_of(ref, 3, 2, FILL_RANDOM);
    pointwise_shape(c);
    dot_shape(c);
    sums_shape(c);
    transform_shape(c);
    lift_shape(c);
    encode_shape(c);
    bconv_shape(c);
    mod_up_shape(c);
    keys_shape(c);
    rebase_shape(c);
    close_ring();
    emulation_lazy(0);
}

static void errors_stick(void **state) {
    (void)state;
    open_ring(4, 2);
    uint32_t host[16] = {0}, *p = NULL, *none = NULL;
    assert_int_equal(dev->alloc(dev, &p, 1), THOR_OK);
    if (emulated()) fprintf(stderr, "one line of a copy to nowhere is expected here:\n");
    dev->upload(dev, NULL, host, 16);
    dev->upload(dev, p, host, 16);
    assert_int_equal(dev->sync(dev), THOR_INTERNAL);
    assert_non_null(strstr(thor_error(), "upload"));
    assert_int_equal(dev->sync(dev), THOR_OK);
    emulation_clear();
    dev->release(dev, NULL);
    dev->release(dev, p);
    assert_int_equal(dev->alloc(dev, &none, (size_t)1 << 50), THOR_MEMORY);
    assert_null(none);
    assert_int_equal(dev->sync(dev), THOR_OK);
    close_ring();
}

/* With THOR_CUDA_CHECK=1 an entry is done when it returns; without, when somebody waits. */
static void entries_wait_when_asked(void **state) {
    (void)state;
    if (emulation_mode() != 1) skip(); /* the host looks at the device's memory */
    emulation_lazy(1);
    for (int asked = 0; asked < 2; asked++) {
        assert_int_equal(setenv("THOR_CUDA_CHECK", asked ? "1" : "0", 1), 0);
        open_ring(4, 1);
        const struct kbasis b = harness_basis(0, 1);
        const uint32_t host[16] = {1}, s = 5;
        uint32_t *p = NULL;
        assert_int_equal(dev->alloc(dev, &p, 1), THOR_OK);
        dev->upload(dev, p, host, 16);
        assert_int_equal(dev->sync(dev), THOR_OK);
        dev->add_scalar(dev, (struct kvec){p, 1}, (struct kvec){p, 1}, &s, &b, 1);
        assert_int_equal(p[0], asked ? 6 : 1);
        assert_int_equal(dev->sync(dev), THOR_OK);
        assert_int_equal(p[0], 6);
        dev->release(dev, p);
        close_ring();
    }
    unsetenv("THOR_CUDA_CHECK");
    emulation_lazy(0);
}

/* More lines than 32 bits count are an error, and nothing is launched. */
static void too_large_a_transform(void **state) {
    (void)state;
    open_ring(16, 1);
    const struct kbasis b = harness_basis(0, 1);
    uint32_t *p = NULL;
    assert_int_equal(dev->alloc(dev, &p, 1), THOR_OK);
    dev->ntt_fwd(dev, (struct kvec){p, 0}, &b, 1 << 25, 16);
    assert_int_equal(dev->sync(dev), THOR_INTERNAL);
    assert_non_null(strstr(thor_error(), "a transform"));
    assert_int_equal(dev->sync(dev), THOR_OK);
    dev->release(dev, p);
    close_ring();
}

/* Memory set aside: blocks lie inside one stretch and come back when released, and there is more
 * beyond. */
static void memory_reserved(void **state) {
    (void)state;
    enum { BLOCKS = 12 };
    open_ring(10, 2);
    const size_t row = sizeof(uint32_t) << 10;
    uint32_t *p[BLOCKS], *more = NULL, *again = NULL, host[1024], back[1024];
    assert_int_equal(dev->reserve(dev, (size_t)1 << 60), THOR_MEMORY);
    assert_non_null(strstr(thor_error(), "--compact"));
    assert_int_equal(dev->reserve(dev, BLOCKS * row), THOR_OK);
    assert_int_equal(dev->reserve(dev, row), THOR_INTERNAL); /* once */
    for (int i = 0; i < BLOCKS; i++) {
        assert_int_equal(dev->alloc(dev, &p[i], 1), THOR_OK);
        assert_ptr_equal(p[i], p[0] + (size_t)i * 1024);
    }
    assert_int_equal(dev->alloc(dev, &more, 1), THOR_OK);
    assert_true(more < p[0] || more >= p[0] + BLOCKS * 1024);
    for (int i = 0; i < 1024; i++) host[i] = (uint32_t)i;
    dev->upload(dev, more, host, 1024);
    dev->copy(dev, (struct kvec){p[5], 1}, (struct kvec){more, 1}, 1, 1);
    dev->download(dev, back, p[5], 1024);
    assert_memory_equal(host, back, sizeof host);
    dev->release(dev, p[3]);
    dev->release(dev, p[5]);
    dev->release(dev, p[4]); /* joins both neighbours */
    assert_int_equal(dev->alloc(dev, &again, 3), THOR_OK);
    assert_ptr_equal(again, p[3]);
    dev->release(dev, again);
    dev->release(dev, more);
    for (int i = 0; i < BLOCKS; i++) {
        if (i < 3 || i > 5) dev->release(dev, p[i]);
    }
    assert_int_equal(dev->counts.bytes_peak, (BLOCKS + 1) * row);
    close_ring();
}

/* ---- recordings ---- */

enum work { WORK_OK, WORK_LIFTS, WORK_VARIES, WORK_SHRINKS, WORK_UPLOADS, WORK_KEEPS };

/* u = numbers of the host: the same in every pass, others, fewer, or not lifted */
static void from_host(struct kernels *k, uint32_t *u, enum work how, int pass) {
    struct kbasis b = harness_basis(0, 2);
    const int log = k->log_n, half = how == WORK_SHRINKS && pass;
    const double z[8] = {0.25, -3, 7, 1.5, how == WORK_VARIES ? pass : 2, 0, 1, 9};
    int64_t c[1024] = {1, -5};
    if (how == WORK_UPLOADS) {
        uint32_t host[2048] = {(uint32_t)pass};
        k->upload(k, u, host, (size_t)2 << log);
    } else if (how != WORK_OK) {
        k->encode(k, (struct kvec){u, 2}, z, log - 1, log - 3 + half, 1024, &b, 1);
        k->add(k, (struct kvec){u, 2}, (struct kvec){u, 2}, (struct kvec){u, 2}, &b, 1);
        k->lift(k, (struct kvec){u, 2}, c, (size_t)1 << log, &b, 1);
        k->encode(k, (struct kvec){u, 2}, z, log - 1, log - 3 + half, 1024, &b, 1);
    }
}

/* out = x + x x + what the host brings, by way of rows of its own; `kept` is not released. */
static void some_work(struct kernels *k, struct kvec out, struct kvec x, enum work how, int pass,
                      uint32_t **kept) {
    struct kbasis b = harness_basis(0, 2);
    uint32_t *t = NULL, *u = NULL;
    assert_int_equal(k->alloc(k, &t, 2), THOR_OK);
    k->mul(k, (struct kvec){t, 2}, x, x, &b, 1);
    assert_int_equal(k->alloc(k, &u, 2), THOR_OK);
    k->zero(k, (struct kvec){u, 2}, 2, 1);
    from_host(k, u, how, pass);
    k->add(k, (struct kvec){t, 2}, (struct kvec){t, 2}, (struct kvec){u, 2}, &b, 1);
    k->release(k, u);
    k->add(k, out, x, (struct kvec){t, 2}, &b, 1);
    if (how == WORK_KEEPS)
        *kept = t;
    else
        k->release(k, t);
}

static void recorded_work(struct kernels *k, uint64_t id, struct kvec out, struct kvec x,
                          enum work how, int pass, uint32_t **kept) {
    if (k->replay(k, id)) return;
    do {
        k->record_begin(k, id);
        some_work(k, out, x, how, pass, kept);
    } while (!k->record_end(k, id, 1));
}

/* The same passes over changing x on both back ends; returns how many were replayed. */
static uint64_t passes(uint64_t id, enum work how) {
    enum { PASSES = 5 };
    const struct kbasis b = harness_basis(0, 2);
    const size_t n_words = (size_t)2 << ref->log_n;
    const uint64_t before = dev->counts.replays;
    struct kernels *const both[2] = {ref, dev};
    uint32_t *host = words(n_words), *back[2], *x[2], *out[2], *kept[2][PASSES] = {{NULL}};
    for (int i = 0; i < 2; i++) {
        struct kernels *k = both[i];
        back[i] = words(PASSES * n_words);
        assert_int_equal(k->alloc(k, &x[i], 2), THOR_OK);
        assert_int_equal(k->alloc(k, &out[i], 2), THOR_OK);
        k->zero(k, (struct kvec){out[i], 2}, 2, 1);
        for (int pass = 0; pass < PASSES; pass++) {
            harness_fill(host, ref, &b, 1, 2, n_words / 2, FILL_RANDOM, (uint64_t)pass);
            k->upload(k, x[i], host, n_words);
            recorded_work(k, id, (struct kvec){out[i], 2}, (struct kvec){x[i], 2}, how, pass,
                          &kept[i][pass]);
            k->download(k, back[i] + (size_t)pass * n_words, out[i], n_words);
        }
        const int recorded = k == dev && dev->counts.replays > before && how == WORK_LIFTS;
        assert_int_equal(k->counts.bytes_constant, recorded ? 8 * (8 + (1 << k->log_n) + 8) : 0);
        k->record_drop(k, id);
        assert_int_equal(k->counts.bytes_constant, 0);
        for (int pass = 0; pass < PASSES; pass++) k->release(k, kept[i][pass]);
        k->release(k, x[i]);
        k->release(k, out[i]);
    }
    assert_memory_equal(back[0], back[1], PASSES * n_words * sizeof *host);
    free(host), free(back[0]), free(back[1]);
    return dev->counts.replays - before;
}

static void recordings(void **state) {
    (void)state;
    for (int reserved = 0; reserved < 2; reserved++) {
        open_ring(10, 2);
        if (reserved) assert_int_equal(dev->reserve(dev, 20 * 2 * 4096), THOR_OK);
        assert_int_equal(passes(1, WORK_OK), 4);
        assert_int_equal(passes(2, WORK_LIFTS), 4);
        assert_int_equal(passes(4, WORK_VARIES), 0); /* other numbers: never recorded */
        assert_int_equal(passes(5, WORK_SHRINKS), 0);
        assert_int_equal(passes(6, WORK_UPLOADS), 0);
        assert_int_equal(passes(3, WORK_KEEPS), 0);
        assert_int_equal(passes(1, WORK_OK), 4);
        harness_same_counts(&ref->counts, &dev->counts);
        assert_int_equal(dev->sync(dev), THOR_OK);
        assert_int_equal(emulation_refused(), 0);
        close_ring();
    }
}

/* What recordings work in is given up where the last memory is wanted, and the work goes on. */
static void workspace_given_up(void **state) {
    (void)state;
    enum { ROWS = 64 };
    uint32_t *x = NULL, *all = NULL, *none = NULL;
    open_ring(10, 2);
    const size_t row = sizeof(uint32_t) << 10;
    if (!emulation_memory((ROWS + 1) * row)) {
        close_ring();
        skip();
    }
    assert_int_equal(dev->reserve(dev, ROWS * row), THOR_OK);
    assert_int_equal(dev->alloc(dev, &x, 4), THOR_OK);
    dev->zero(dev, (struct kvec){x, 2}, 2, 2);
    for (int pass = 0; pass < 3; pass++)
        recorded_work(dev, 1, (struct kvec){x + 2048, 2}, (struct kvec){x, 2}, WORK_OK, pass, NULL);
    assert_int_equal(dev->counts.replays, 2);
    assert_int_equal(dev->alloc(dev, &all, ROWS - 4), THOR_OK); /* all that is left */
    assert_int_equal(dev->alloc(dev, &none, 2), THOR_MEMORY);
    dev->release(dev, all);
    for (int pass = 0; pass < 2; pass++)
        recorded_work(dev, 1, (struct kvec){x + 2048, 2}, (struct kvec){x, 2}, WORK_OK, pass, NULL);
    assert_int_equal(dev->counts.replays, 4); /* recorded again, and replayed */
    assert_int_equal(dev->sync(dev), THOR_OK);
    dev->record_drop(dev, 1);
    dev->release(dev, x);
    emulation_memory((size_t)1 << 33);
    close_ring();
}

/* Work that fails while it is recorded is forgotten, and what comes next runs as it is asked. */
static void failed_recording(void **state) {
    (void)state;
    struct kbasis b = harness_basis(0, 1);
    uint32_t *x = NULL, one = 1, two = 2, host[16];
    open_ring(4, 1);
    assert_int_equal(dev->alloc(dev, &x, 1), THOR_OK);
    dev->zero(dev, (struct kvec){x, 1}, 1, 1);
    for (int pass = 0; pass < 2; pass++) {
        dev->record_begin(dev, 9);
        dev->add_scalar(dev, (struct kvec){x, 1}, (struct kvec){x, 1}, &one, &b, 1);
        dev->record_end(dev, 9, pass == 0);
    }
    assert_int_equal(dev->replay(dev, 9), 0);
    dev->add_scalar(dev, (struct kvec){x, 1}, (struct kvec){x, 1}, &two, &b, 1);
    dev->download(dev, host, x, 16);
    assert_int_equal(host[7], 3); /* the failed pass did nothing */
    assert_int_equal(dev->sync(dev), THOR_OK);
    dev->release(dev, x);
    close_ring();
}

static void devices_described(void **state) {
    (void)state;
    int n = 0;
    struct kern_device_info info;
    assert_int_equal(kernels_cuda_devices(&n), THOR_OK);
    assert_true(n >= 1);
    assert_int_equal(kernels_cuda_device(&info, 0), THOR_OK);
    assert_true(strlen(info.name) > 0 && info.major >= 7 && info.processors > 0);
    assert_true(info.free > 0 && info.free <= info.total && info.runtime >= 12000);
    assert_int_equal(kernels_cuda_device(&info, n), THOR_USAGE);
    assert_int_equal(kernels_cuda_device(&info, -1), THOR_USAGE);
    if (!emulated()) return;
    emu_set_driver(12020);
    assert_int_equal(kernels_cuda_devices(&n), THOR_USAGE);
    assert_non_null(strstr(thor_error(), "12.2"));
    assert_non_null(strstr(thor_error(), "13.0"));
    emu_set_driver(0);
}

static void refuse(int log_n, uint32_t q, int primes, int device) {
    struct kernels *k = NULL;
    assert_int_equal(kernels_open_cuda(&k, log_n, &q, primes, device), THOR_USAGE);
    assert_null(k);
    assert_true(strlen(thor_error()) > 10);
}

static void refusals(void **state) {
    (void)state;
    refuse(3, 97, 1, 0);
    refuse(18, 7340033, 1, 0);
    refuse(10, 12289, 0, 0);
    refuse(10, 12289 + 1, 1, 0);
    refuse(10, 12289, 1, 1000);
    refuse(10, 12289, 1, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(errors_stick),
        cmocka_unit_test(entries_wait_when_asked),
        cmocka_unit_test(too_large_a_transform),
        cmocka_unit_test(memory_reserved),
        cmocka_unit_test(devices_described),
        cmocka_unit_test(recordings),
        cmocka_unit_test(failed_recording),
        cmocka_unit_test(workspace_given_up),
        cmocka_unit_test(pointwise_entries),
        cmocka_unit_test(dot_entry),
        cmocka_unit_test(sums),
        cmocka_unit_test(transforms),
        cmocka_unit_test(transforms_of_all_degrees),
        cmocka_unit_test(transforms_of_all_kinds),
        cmocka_unit_test(autom_entry),
        cmocka_unit_test(bconv_entry),
        cmocka_unit_test(mod_up_entry),
        cmocka_unit_test(key_entries),
        cmocka_unit_test(rebase_entry),
        cmocka_unit_test(columns_of_conversions),
        cmocka_unit_test(lift_entry),
        cmocka_unit_test(encode_entry),
        cmocka_unit_test(work_done_late),
    };
    return cmocka_run_group_tests_name("CUDA entries", tests, NULL, NULL);
}
