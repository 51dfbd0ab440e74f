/* The weight container: what is written is what is read, bit for bit; nothing else is read. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <xxhash.h>

#include "bert/causal.h"
#include "bert/container.h"
#include "bert/fold.h"
#include "bert/input/safetensors.h"
#include "tests/scratch.h"
#include "tests/synthetic.h"

#define OK(x) assert_int_equal((x), THOR_OK)
#define MODEL_DIR "data/sst2-tiny"
#ifdef __SANITIZE_ADDRESS__ // it keeps terabytes of addresses
#define LIMIT_MEMORY 0
#else
#define LIMIT_MEMORY 1
#endif

/* offsets in the file, as container.c's comment says */
enum {
    VERSION_AT = 8,
    BLOCKS_AT = 12,
    HIDDEN_AT = 16,
    LAYERS_AT = 20,
    HEADS_AT = 24,
    FFN_AT = 28,
    POSITIONS_AT = 32,
    LABELS_AT = 36,
    TOKENS_AT = 40,
    ROWS_AT = 44,
    EPS_AT = 48,
    BYTES_AT = 64,
    ACTIVATION_AT = 72,
    ARCH_AT = 76,
    HEAD_AT = 80,
    TASK_AT = 84,
    SQUASH_AT = 88,
    ZERO_AT = 92,
    TABLE_AT = 96
};

/* of a layer of the tiny model, in front of the sums of rounds, and with them */
enum { BEFORE_ROUNDS = 8 + 2 * 6, ROUNDS = 2 * 2 * BERT_MAX_ROUNDS };
enum { RANGES_VALUES = BEFORE_ROUNDS + ROUNDS + 9 };

/* ---- models and ranges ---- */

/* Cut the synthetic model down to H 8, F 16: a container of a few kilobytes. */
static struct bert_model *tiny_model(void) {
    struct bert_model *m = synthetic_model(5);
    struct bert_config *c = &m->cfg;
    c->hidden = 8;
    c->ffn = 16;
    for (int l = 0; l < c->layers; l++) {
        struct bert_layer *y = &m->layer[l];
        y->q.in = y->k.in = y->v.in = y->o.in = y->ffn1.in = y->ffn2.out = 8;
        y->q.out = y->k.out = y->v.out = y->o.out = 8;
        y->ffn1.out = y->ffn2.in = 16;
    }
    m->pooler.in = m->pooler.out = m->classifier.in = 8;
    return m;
}

static struct bert_ranges *some_ranges(const struct bert_model *m) {
    struct bert_ranges *r;
    const struct bert_config *c = &m->cfg;
    OK(bert_ranges_new(&r, c->layers, c->heads, c->hidden / c->heads));
    r->tokens = 32, r->rows = 7, r->model_hash = m->hash;
    r->margin = 0.1, r->top = 0.8, r->tanh = 2.2;
    for (int l = 0; l < c->layers; l++) {
        struct bert_layer_ranges *y = &r->layer[l];
        for (int i = 0; i < c->hidden; i++) y->delta[i] = sin(i + 100 * l);
        for (int h = 0; h < c->heads; h++) {
            y->shift[h] = cos(h + l), y->score_lo[h] = -3 - sqrt(h), y->score_hi[h] = sqrt(2 + h);
            y->den_lo[h] = -M_PI, y->den_hi[h] = l + 1 / 3.;
        }
        for (int k = 0; k < BERT_MAX_ROUNDS * c->heads; k++)
            y->round_lo[k] = -1 - k / 7., y->round_hi[k] = l + k / 3.;
        for (int i = 0; i < 2; i++)
            y->var_lo[i] = 0.1 + i, y->var_hi[i] = 7.7 + i, y->win_lo[i] = 0.1 - i / 30.,
            y->win_hi[i] = 9 + i / 3. + l;
        y->gelu = 6.1 + l;
    }
    return r;
}

typedef int (*tensor_fn)(float *a, float *b, size_t n, void *ctx);

/* fn on every tensor that a container holds, of two models side by side; the sum of its results. */
static int both(struct bert_model *a, struct bert_model *b, tensor_fn fn, void *ctx) {
    int sum = 0;
    const size_t H = (size_t)a->cfg.hidden;
    for (int l = 0; l <= a->cfg.layers; l++) {
        struct bert_layer *x = &a->layer[l], *y = &b->layer[l];
        const int last = l == a->cfg.layers;
        struct bert_linear *p[] = {&x->q, &x->k, &x->v, &x->o, &x->ffn1, &x->ffn2};
        struct bert_linear *q[] = {&y->q, &y->k, &y->v, &y->o, &y->ffn1, &y->ffn2};
        if (last)
            p[0] = &a->pooler, p[1] = &a->classifier, q[0] = &b->pooler, q[1] = &b->classifier;
        for (int i = 0; i < (last ? 2 : 6); i++) {
            assert_true(p[i]->in == q[i]->in && p[i]->out == q[i]->out && p[i]->in > 0);
            sum += fn(p[i]->w, q[i]->w, (size_t)p[i]->in * (size_t)p[i]->out, ctx);
            sum += fn(p[i]->b, q[i]->b, (size_t)p[i]->out, ctx);
        }
        if (last) break;
        sum += fn(x->ln1.gamma, y->ln1.gamma, H, ctx) + fn(x->ln1.beta, y->ln1.beta, H, ctx);
        sum += fn(x->ln2.gamma, y->ln2.gamma, H, ctx) + fn(x->ln2.beta, y->ln2.beta, H, ctx);
    }
    return sum;
}

static int differs(float *a, float *b, size_t n, void *ctx) {
    (void)ctx;
    return memcmp(a, b, n * sizeof *a) != 0;
}

/* Round to the type in ctx; every third tensor keeps its floats when ctx is NULL, another third is
 * F16. */
static int rounded(float *a, float *b, size_t n, void *ctx) {
    static const uint32_t drop[] = {0, 16, 13};
    static int turn;
    const uint32_t bits = drop[ctx ? *(int *)ctx : turn++ % 3];
    (void)b;
    for (size_t i = 0; i < n; i++) {
        uint32_t u;
        if (bits == 13 && fabsf(a[i]) < 0x1p-14f) a[i] = 0x1p-14f; // no subnormal halves here
        memcpy(&u, &a[i], sizeof u);
        u &= ~((1u << bits) - 1);
        memcpy(&a[i], &u, sizeof u);
    }
    if (bits == 16) a[n - 1] = 0x1.02p100f; // beyond F16, with all 7 bits of a BF16's fraction
    return 0;
}

static void assert_same_model(struct bert_model *m, struct bert_model *back) {
    const struct bert_config *c = &back->cfg;
    assert_int_equal(both(m, back, differs, NULL), 0);
    assert_true(back->hash == m->hash && c->eps == m->cfg.eps &&
                c->max_positions == m->cfg.max_positions && c->activation == m->cfg.activation);
    assert_true(c->labels == m->cfg.labels && c->heads == m->cfg.heads && c->ffn == m->cfg.ffn);
    assert_null(back->word);
    assert_null(back->position);
    assert_null(back->type);
    assert_null(back->emb_ln.gamma);
    assert_null(back->vocab);
}

static void round_trip(struct bert_model *m, const struct bert_ranges *r) {
    struct bert_model *back;
    struct bert_ranges *ranges;
    OK(bert_container_save(scratch_path("c"), m, r));
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    assert_same_model(m, back);
    assert_true(bert_ranges_same(r, ranges));
    OK(bert_container_match(back, m, "c"));
    bert_ranges_free(ranges);
    bert_model_free(back);
}

static uint8_t *container_bytes(size_t *n) { /* of the tiny model, in F32; also left in "c" */
    struct bert_model *m = tiny_model();
    struct bert_ranges *r = some_ranges(m);
    OK(bert_container_save(scratch_path("c"), m, r));
    bert_ranges_free(r);
    synthetic_free(m);
    return scratch_read("c", n);
}

static void refused(const char *name, const char *why) {
    struct bert_model *m = (void *)1;
    struct bert_ranges *r = (void *)1;
    assert_int_equal(bert_container_load(&m, &r, scratch_path(name)), THOR_MODEL);
    assert_null(m);
    assert_null(r);
    assert_non_null(strstr(thor_error(), name));
    assert_non_null(strstr(thor_error(), "thor encode"));
    assert_null(strchr(thor_error(), '\n'));
    if (why && !strstr(thor_error(), why))
        fail_msg("\"%s\" does not say \"%s\"", thor_error(), why);
}

/* ---- round trips ---- */

static void exact_in_every_type(void **state) {
    (void)state;
    const size_t values = 2 * (4 * 64 * 65 + 2 * 64 * 128 + 192 + 256) + 64 * 65 + 65 * 2;
    size_t found[3][3] = {{0}};
    for (int type = 0; type < 3; type++) { // F32, BF16, F16
        struct bert_model *m = synthetic_model(3);
        struct bert_ranges *r = some_ranges(m);
        struct bert_container_info info;
        both(m, m, rounded, &type);
        round_trip(m, r);
        OK(bert_container_describe(&info, scratch_path("c")));
        assert_int_equal(info.values, values);
        assert_int_equal(info.f16 + info.bf16 + info.f32, values);
        found[type][0] = info.f32, found[type][1] = info.bf16, found[type][2] = info.f16;
        assert_true(info.model_hash == m->hash && info.tokens == 32 && info.rows == 7);
        bert_ranges_free(r);
        synthetic_free(m);
    }
    for (int i = 0; i < 3; i++) assert_int_equal(found[i][i], values);
}

static void exact_when_types_are_mixed(void **state) {
    (void)state;
    struct bert_model *m = tiny_model();
    struct bert_ranges *r = some_ranges(m);
    struct bert_container_info info;
    both(m, m, rounded, NULL);
    m->layer[0].q.b[0] = -0.0f; // a zero keeps its sign
    m->layer[0].q.b[1] = 0x1p-149f;
    m->layer[0].k.b[0] = 0x1.fffffep127f;
    round_trip(m, r);
    OK(bert_container_describe(&info, scratch_path("c")));
    assert_true(info.f16 > 0 && info.bf16 > 0 && info.f32 > 0);
    bert_ranges_free(r);
    synthetic_free(m);
}

/* Every half of 65,536 goes there and back; what lies beside one is none. */
static void every_half(void **state) {
    (void)state;
    int finite = 0;
    for (uint32_t h = 0; h < 65536; h++) {
        const unsigned char raw[2] = {(unsigned char)h, (unsigned char)(h >> 8)};
        float x, beside;
        uint16_t back = 1;
        bert_tensors_widen(&x, raw, 1, "F16");
        if (!isfinite(x)) continue;
        finite++;
        assert_int_equal(bert_tensors_narrow(&back, &x, 1, "F16"), 1);
        assert_int_equal(back, h);
        beside = nextafterf(x, INFINITY);
        assert_int_equal(bert_tensors_narrow(&back, &beside, 1, "F16"), 0);
    }
    assert_int_equal(finite, 2 * 31 * 1024);
    const float beyond = 65536, tie = 0x1p-25f;
    uint16_t back;
    assert_int_equal(bert_tensors_narrow(&back, &beyond, 1, "F16"), 0);
    assert_int_equal(bert_tensors_narrow(&back, &tie, 1, "F16"), 0);
}

/* Plan and folded weights from the container equal those from the model, bit for bit. */
static void assert_same_folds(struct bert_model *m, const struct bert_ranges *r, int tokens) {
    struct bert_model *back;
    struct bert_ranges *ranges;
    struct bert_plan *p, *q;
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    OK(bert_plan_new(&p, m, r, tokens));
    OK(bert_plan_new(&q, back, ranges, tokens));
    const size_t H = (size_t)m->cfg.hidden, F = (size_t)m->cfg.ffn;
    for (int l = 0; l < m->cfg.layers; l++) {
        struct bert_folded_layer a, b;
        OK(bert_fold_layer(&a, m, p, &p->shape, l));
        OK(bert_fold_layer(&b, back, q, &q->shape, l));
        size_t n = 4 * H * (H + 1) + F * (H + 1) + H * (F + 1) + 2 * H + 3 * (size_t)m->cfg.heads;
        assert_memory_equal(a.block, b.block, n * sizeof(double));
        assert_memory_equal(a.exp_c, b.exp_c,
                            (size_t)(p->layer[l].exp.degree + 1) * sizeof(double));
        bert_fold_layer_free(&a);
        bert_fold_layer_free(&b);
    }
    struct bert_folded_head a, b;
    OK(bert_fold_head(&a, m, p));
    OK(bert_fold_head(&b, back, q));
    assert_memory_equal(a.block, b.block, (H + 1) * (H + (size_t)m->cfg.labels) * sizeof(double));
    bert_fold_head_free(&a);
    bert_fold_head_free(&b);
    bert_plan_free(p);
    bert_plan_free(q);
    bert_ranges_free(ranges);
    bert_model_free(back);
}

static void folds_the_same(void **state) {
    (void)state;
    struct bert_model *m = synthetic_model(7);
    struct bert_ranges *r = synthetic_ranges(m, 60, 32);
    round_trip(m, r);
    assert_same_folds(m, r, 32);
    bert_ranges_free(r);
    synthetic_free(m);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void the_default_model(void **state) {
    (void)state;
    struct bert_model *m;
    struct bert_ranges *r;
    struct stat s;
    if (access(MODEL_DIR "/model.safetensors", R_OK) || access(MODEL_DIR "/calibration.json", R_OK))
        skip();
    OK(bert_model_load(&m, MODEL_DIR));
    OK(bert_ranges_load(&r, MODEL_DIR "/calibration.json", m));
    double began = now(), written;
    OK(bert_container_save(scratch_path("c"), m, r));
    written = now() - began;
    assert_int_equal(stat(scratch_path("c"), &s), 0);
    round_trip(m, r);
    assert_same_folds(m, r, r->tokens);
    print_message("sst2-tiny: %lld bytes, written in %.1f ms\n", (long long)s.st_size,
                  1e3 * written);
    /* 2 (4 H(H+1) + F(H+1) + H(F+1) + 4H) + H(H+1) + 2(H+1) halves, the ranges, 96 + 16 * 37 + 8
     * bytes */
    const long long halves =
        2 * (4 * 128 * 129 + 512 * 129 + 128 * 513 + 512) + 128 * 129 + 2 * 129;
    assert_int_equal(s.st_size, 2 * halves +
                                    8 * (3 + 2 * (128 + 2 * (6 + 2 * BERT_MAX_ROUNDS) + 9)) + 96 +
                                    16 * 37 + 8);
    bert_ranges_free(r);
    bert_model_free(m);
}

/* ---- damage ---- */

static void cut_at_every_length(void **state) {
    (void)state;
    size_t n;
    struct bert_container_info info;
    uint8_t *data = container_bytes(&n);
    for (size_t i = n; i-- > 0;) {
        assert_int_equal(truncate(scratch_path("c"), (off_t)i), 0);
        assert_int_equal(bert_container_describe(&info, scratch_path("c")), THOR_MODEL);
        if (i > 0) refused("c", i < 72 ? "no weight container" : "cut short");
    }
    data = realloc(data, n + 1);
    data[n] = 0;
    scratch_write("c", data, n + 1, 0644);
    refused("c", "too long");
    free(data);
}

static void random_bit_flips(void **state) {
    (void)state;
    size_t n;
    uint64_t s = 9;
    uint8_t *data = container_bytes(&n);
    for (int i = 0; i < 2000; i++) {
        s = s * 6364136223846793005u + 1442695040888963407u;
        const size_t at = (size_t)(s >> 24) % n;
        const uint8_t bit = (uint8_t)(1 << (s >> 61));
        data[at] ^= bit;
        scratch_write("c", data, n, 0644);
        refused("c", NULL);
        data[at] ^= bit;
    }
    scratch_write("c", data, n, 0644);
    assert_true(bert_container_is(scratch_path("c")));
    free(data);
}

/* Put things in, with the checksum of the header made right again. */
static void forge(const uint8_t *data, size_t n, size_t at, const void *value, size_t bytes) {
    uint8_t *copy = malloc(n);
    uint32_t blocks;
    memcpy(copy, data, n);
    memcpy(copy + at, value, bytes);
    memcpy(&blocks, copy + BLOCKS_AT, sizeof blocks);
    const size_t end = TABLE_AT + 16 * (size_t)blocks;
    if (blocks < 10000 && end + 8 <= n) {
        uint64_t check = XXH3_64bits(copy, end);
        memcpy(copy + end, &check, sizeof check);
    }
    scratch_write("c", copy, n, 0644);
    free(copy);
}

static void forge_u32(const uint8_t *data, size_t n, size_t at, uint32_t value) {
    forge(data, n, at, &value, sizeof value);
}

static void forged_headers(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint32_t value;
        const char *why;
    } claims[] = {
        {VERSION_AT, 7, "version 7"},
        {VERSION_AT, 1, "version 1"},
        {VERSION_AT, 0, "version"},
        {VERSION_AT, 2, "checksum"},
        {VERSION_AT, 3, "checksum"},
        {VERSION_AT, 4, "checksum"},
        {VERSION_AT, 5, "checksum"},
        {ACTIVATION_AT, BERT_ACTIVATIONS, "the kind"},
        {ACTIVATION_AT, UINT32_MAX, "the kind"},
        {ARCH_AT, BERT_ARCHS, "the kind"},
        {ARCH_AT, BERT_ARCH_ALBERT, "a size"}, // one layer
        {HEAD_AT, BERT_HEADS, "the kind"},
        {HEAD_AT, BERT_HEAD_TOKENS, "a size"}, // no head
        {TASK_AT, BERT_TASKS, "the kind"},
        {SQUASH_AT, BERT_SQUASHES, "the kind"},
        {SQUASH_AT, BERT_RELU, "a size"},
        {ZERO_AT, 1, "the kind"},
        {BLOCKS_AT, 36, "a size"},
        {BLOCKS_AT, 0, "a size"},
        {BLOCKS_AT, UINT32_MAX, "a size"},
        {HIDDEN_AT, 0, "a size"},
        {HIDDEN_AT, UINT32_MAX, "a size"},
        {HIDDEN_AT, 4096, "size"},
        {HIDDEN_AT, 10, "size"},
        {LAYERS_AT, 0, "a size"},
        {LAYERS_AT, 1, "a size"},
        {LAYERS_AT, 65, "a size"},
        {HEADS_AT, 0, "a size"},
        {HEADS_AT, 3, "a size"},
        {HEADS_AT, 4, "size"},
        {FFN_AT, 16384, "size"},
        {FFN_AT, 15, "size"},
        {LABELS_AT, 129, "a size"}, // no head
        {LABELS_AT, 0, "a size"},
        {LABELS_AT, BERT_MAX_LABELS + 1, "a size"},
        {LABELS_AT, 3, "size"},
        {POSITIONS_AT, 1025, "a size"},
        {TOKENS_AT, 0, "a size"},
        {ROWS_AT, 0x80000000u, "a size"},
        {EPS_AT + 4, 0x7ff80000u, "a size"},
        {BYTES_AT, 100, "cut short"},
        {TABLE_AT, 3, "type"},
        {TABLE_AT, 1, "size"},
        {TABLE_AT, 99, "type"},
        {TABLE_AT + 4, 1, "type"},
        {TABLE_AT + 16 * 36, 2, "type"},
        {TABLE_AT + 8, 1, "checksum"},
    };
    size_t n;
    uint8_t *data = container_bytes(&n);
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        forge_u32(data, n, claims[i].at, claims[i].value);
        refused("c", claims[i].why);
    }
    struct bert_container_info info;
    forge_u32(data, n, VERSION_AT, 6); // as it was: the forger's own checksum is right
    OK(bert_container_describe(&info, scratch_path("c")));
    free(data);
}

/* A header that claims 64 layers of 4096 (48 GiB), sound in itself, in a small file: with no more
 * memory to be had than now the refusal is that of the size, not that of memory. */
static void huge_claims_take_no_memory(void **state) {
    (void)state;
    size_t n;
    struct rlimit old, low;
    uint8_t *data = container_bytes(&n), *big = calloc(1, 40000);
    memcpy(big, data, TABLE_AT);
    const uint32_t blocks = 16 * 64 + 5, sizes[4] = {4096, 64, 64, 16384}, f64 = 3;
    memcpy(big + BLOCKS_AT, &blocks, 4);
    memcpy(big + HIDDEN_AT, sizes, sizeof sizes);
    memcpy(big + TABLE_AT + 16 * (blocks - 1), &f64, 4);
    const uint64_t bytes = 40000;
    forge(big, 40000, BYTES_AT, &bytes, sizeof bytes);
    getrlimit(RLIMIT_AS, &old);
    low = old;
    low.rlim_cur = (rlim_t)1 << 30;
    if (LIMIT_MEMORY) setrlimit(RLIMIT_AS, &low);
    refused("c", "not of the size its header asks for");
    setrlimit(RLIMIT_AS, &old);
    free(data);
    free(big);
}

/* Sound checksums over values that no model has. */
static void forged_values(void **state) {
    (void)state;
    size_t n;
    uint8_t *data = container_bytes(&n), *copy = malloc(n);
    const uint32_t nan = 0x7fc00000, blocks = 37;
    const size_t start = TABLE_AT + 16 * blocks + 8, ranges = 8 * (3 + 2 * RANGES_VALUES);
    uint64_t hash;
    memcpy(copy, data, n);
    memcpy(copy + start + 4 * 5, &nan, 4); // in layer 0, query weight: 8 x 8 floats
    hash = XXH3_64bits(copy + start, 4 * 64);
    forge(copy, n, TABLE_AT + 8, &hash, 8);
    refused("c", "layer 0, query weight holds NaN");
    for (size_t i = 0; i < ranges / 8; i++) {
        const double inf = INFINITY;
        memcpy(copy, data, n);
        memcpy(copy + n - ranges + 8 * i, &inf, 8);
        hash = XXH3_64bits(copy + n - ranges, ranges);
        forge(copy, n, TABLE_AT + 16 * (blocks - 1) + 8, &hash, 8);
        refused("c", " inf");
    }
    free(copy);
    free(data);
}

/* The header of a version before 6, with which the file is 16 bytes shorter; the table's check. */
static size_t shorten_head(uint8_t *data, size_t n, uint32_t version) {
    enum { HEAD_3 = 80, END = HEAD_3 + 16 * 37 };
    const uint64_t bytes = n - (TABLE_AT - HEAD_3);
    memmove(data + HEAD_3, data + TABLE_AT, n - TABLE_AT);
    memcpy(data + VERSION_AT, &version, 4);
    memcpy(data + BYTES_AT, &bytes, 8);
    const uint64_t check = XXH3_64bits(data, END);
    memcpy(data + END, &check, 8);
    return bytes;
}

static void loaded(struct bert_model **m, struct bert_ranges **r, const uint8_t *data, size_t n) {
    scratch_write("c", data, n, 0644);
    OK(bert_container_load(m, r, scratch_path("c")));
}

/* Version 5 knew BERT alone. */
static void version_5_is_read(void **state) {
    (void)state;
    size_t n;
    uint8_t *data = container_bytes(&n);
    struct bert_model *m, *same = tiny_model();
    struct bert_ranges *r;
    n = shorten_head(data, n, 5);
    loaded(&m, &r, data, n);
    assert_same_model(same, m);
    assert_true(m->cfg.arch == BERT_ARCH_BERT && m->cfg.squash == BERT_TANH);
    bert_ranges_free(r);
    bert_model_free(m);
    synthetic_free(same);
    free(data);
}

/* Version 4 had no sums of rounds: they are not measured. */
static void version_4_is_read(void **state) {
    (void)state;
    size_t n;
    uint8_t *data = container_bytes(&n);
    const size_t ranges = 8 * (3 + 2 * RANGES_VALUES), less = 2 * 8 * ROUNDS;
    double *block = (double *)malloc(ranges);
    memcpy(block, data + n - ranges, ranges);
    for (int l = 0; l < 2; l++) {
        double *at = block + 3 + l * (BEFORE_ROUNDS + 9) + BEFORE_ROUNDS;
        memmove(at, at + ROUNDS, ranges - (size_t)(at + ROUNDS - block) * 8);
    }
    memcpy(data + n - ranges, block, ranges - less);
    const uint64_t hash = XXH3_64bits(block, ranges - less);
    memcpy(data + TABLE_AT + 16 * 36 + 8, &hash, 8);
    struct bert_model *m;
    struct bert_ranges *r;
    n = shorten_head(data, n - less, 4);
    loaded(&m, &r, data, n);
    assert_false(bert_ranges_rounds(r));
    assert_true(r->layer[1].den_hi[1] == 1 + 1 / 3. && r->layer[1].gelu == 6.1 + 1);
    assert_true(r->layer[0].var_lo[0] == 0.1 && r->layer[1].win_hi[1] == 9 + 1 / 3. + 1);
    bert_ranges_free(r);
    bert_model_free(m);
    free(block);
    free(data);
}

/* Layers that share their weights are one, and a head of the client's is not there. */
static void what_is_left_out(void **state) {
    (void)state;
    struct bert_model *m = tiny_model(), *back;
    struct bert_ranges *r = some_ranges(m), *ranges;
    struct bert_container_info info;
    m->cfg.arch = BERT_ARCH_ALBERT;
    m->cfg.task = BERT_ANY_OF;
    m->layer[1] = m->layer[0];
    round_trip(m, r);
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    assert_ptr_equal(back->layer[1].q.w, back->layer[0].q.w);
    assert_true(back->cfg.arch == BERT_ARCH_ALBERT && back->cfg.task == BERT_ANY_OF);
    m->cfg.arch = BERT_ARCH_BERT;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    bert_ranges_free(ranges);
    bert_model_free(back);
    m->cfg.arch = BERT_ARCH_ELECTRA;
    m->cfg.squash = BERT_SQUASH_GELU;
    m->cfg.head = BERT_HEAD_CLASSIFIER;
    OK(bert_container_save(scratch_path("c"), m, r));
    OK(bert_container_describe(&info, scratch_path("c")));
    assert_int_equal(info.blocks, 2 * 16 + 1);
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    assert_null(back->pooler.w);
    assert_null(back->classifier.w);
    // nothing of a head that is the client's
    assert_true(back->cfg.head == BERT_HEAD_STATE && back->cfg.squash == BERT_TANH);
    assert_true(back->cfg.labels == 1 && bert_head_at_client(&back->cfg));
    OK(bert_container_match(back, m, "c"));
    m->cfg.squash = BERT_TANH;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    bert_ranges_free(ranges);
    bert_model_free(back);
    bert_ranges_free(r);
    synthetic_free(m);
}

/* Of a GPT-2 the layers and its first token, which is public: its LM head is the client's. */
static void a_gpt2(void **state) {
    (void)state;
    struct bert_model *m = tiny_model(), *back;
    struct bert_ranges *r = some_ranges(m), *ranges;
    const struct bert_model was = *m;
    float word[3 * 8], position[2 * 8];
    for (int i = 0; i < 3 * 8; i++) word[i] = (float)sin(i);
    for (int i = 0; i < 2 * 8; i++) position[i] = (float)cos(i);
    m->word = word;
    m->position = position;
    m->type = NULL;
    m->emb_ln = (struct bert_norm){NULL, NULL};
    m->cfg.first_token = 2;
    m->cfg.vocab = 3;
    m->cfg.arch = BERT_ARCH_GPT2;
    assert_int_equal(bert_container_save(scratch_path("c"), m, r), THOR_MODEL); // with a classifier
    m->cfg.head = BERT_HEAD_STATE;
    OK(bert_container_save(scratch_path("c"), m, r));
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    assert_true(bert_is_causal(&back->cfg) && bert_head_at_client(&back->cfg));
    assert_memory_equal(back->layer[1].ffn2.w, m->layer[1].ffn2.w, 8 * 16 * sizeof(float));
    assert_true(bert_ranges_same(ranges, r));
    assert_int_equal(back->cfg.vocab, 1);
    assert_memory_equal(back->word, word + 2 * 8, 8 * sizeof(float));
    assert_memory_equal(back->position, position, 8 * sizeof(float));
    assert_null(back->last_ln.gamma);
    OK(bert_container_match(back, m, "c"));
    double x[8], y[8];
    OK(bert_public_stream(x, m, 1));
    OK(bert_public_stream(y, back, 1));
    assert_memory_equal(x, y, sizeof x);
    *m = was;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    bert_ranges_free(ranges);
    bert_model_free(back);
    bert_ranges_free(r);
    synthetic_free(m);
}

static void swapped_blocks(void **state) {
    (void)state;
    size_t n;
    uint8_t *data = container_bytes(&n), block[4 * 64];
    const size_t start = TABLE_AT + 16 * 37 + 8, step = 4 * (64 + 8); // query and key of layer 0
    memcpy(block, data + start, sizeof block);
    memmove(data + start, data + start + step, sizeof block);
    memcpy(data + start + step, block, sizeof block);
    scratch_write("c", data, n, 0644);
    refused("c", "layer 0, query weight is damaged");
    free(data);
}

/* ---- refusals around the file ---- */

static void other_files(void **state) {
    (void)state;
    scratch_empty();
    refused("absent", "no such file");
    char text[200];
    memset(text, 'x', sizeof text);
    scratch_write("text", text, sizeof text, 0644);
    refused("text", "no weight container");
    assert_false(bert_container_is(scratch_path("text")));
    scratch_write("empty", "", 0, 0644);
    assert_false(bert_container_is(scratch_path("empty")));
    assert_false(bert_container_is(scratch_path("absent")));
    struct bert_model *m;
    struct bert_ranges *r;
    assert_int_equal(bert_container_load(&m, &r, scratch_path("empty")), THOR_MODEL);
    assert_int_equal(mkfifo(scratch_path("pipe"), 0600), 0);
    // and does not wait
    assert_int_equal(bert_container_load(&m, &r, scratch_path("pipe")), THOR_MODEL);
    assert_int_equal(bert_container_load(&m, &r, scratch_path("")), THOR_MODEL);
}

static void other_weights(void **state) {
    (void)state;
    struct bert_model *m = tiny_model(), *back;
    struct bert_ranges *r = some_ranges(m), *ranges;
    OK(bert_container_save(scratch_path("c"), m, r));
    OK(bert_container_load(&back, &ranges, scratch_path("c")));
    OK(bert_container_match(back, m, "c"));
    m->hash ^= 1;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "other weights; run thor encode again"));
    m->hash ^= 1;
    m->cfg.activation = BERT_GELU_TANH;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "config.json"));
    m->cfg.activation = BERT_GELU;
    m->cfg.heads = 1;
    assert_int_equal(bert_container_match(back, m, "c"), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "config.json"));
    bert_ranges_free(ranges);
    bert_model_free(back);
    bert_ranges_free(r);
    synthetic_free(m);
}

static void refused_to_write(void **state) {
    (void)state;
    struct bert_model *m = tiny_model();
    struct bert_ranges *r = some_ranges(m);
    scratch_empty();
    m->layer[1].ffn2.w[3] = INFINITY;
    assert_int_equal(bert_container_save(scratch_path("c"), m, r), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "layer 1, FFN 2 weight"));
    m->layer[1].ffn2.w[3] = 0;
    r->model_hash++;
    assert_int_equal(bert_container_save(scratch_path("c"), m, r), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "--calibrate"));
    r->model_hash--;
    r->layer[1].var_lo[0] = 0;
    assert_int_equal(bert_container_save(scratch_path("c"), m, r), THOR_MODEL);
    r->layer[1].var_lo[0] = 1;
    assert_int_equal(bert_container_save(scratch_path("no/such/folder"), m, r), THOR_IO);
    assert_int_equal(scratch_files(), 0);
    OK(bert_container_save(scratch_path("c"), m, r));
    bert_ranges_free(r);
    synthetic_free(m);
}

/* The limit on file sizes refuses a write as a full disk does. */
static void disk_full(void **state) {
    (void)state;
    size_t n;
    struct rlimit old, low;
    struct bert_model *m = tiny_model();
    struct bert_ranges *r = some_ranges(m);
    scratch_empty();
    free(container_bytes(&n));
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (size_t limit = 0; limit < n; limit += 499) {
        low = old;
        low.rlim_cur = limit;
        setrlimit(RLIMIT_FSIZE, &low);
        int fresh = bert_container_save(scratch_path("d"), m, r),
            over = bert_container_save(scratch_path("c"), m, r);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_int_equal(fresh, THOR_IO);
        assert_int_equal(over, THOR_IO);
        assert_int_equal(scratch_files(), 1); // the old one,
    }
    struct bert_container_info info;
    OK(bert_container_describe(&info, scratch_path("c"))); // which is whole
    assert_int_equal(info.bytes, n);
    bert_ranges_free(r);
    synthetic_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_in_every_type),
        cmocka_unit_test(exact_when_types_are_mixed),
        cmocka_unit_test(every_half),
        cmocka_unit_test(folds_the_same),
        cmocka_unit_test(the_default_model),
        cmocka_unit_test(cut_at_every_length),
        cmocka_unit_test(random_bit_flips),
        cmocka_unit_test(forged_headers),
        cmocka_unit_test(huge_claims_take_no_memory),
        cmocka_unit_test(forged_values),
        cmocka_unit_test(version_5_is_read),
        cmocka_unit_test(version_4_is_read),
        cmocka_unit_test(what_is_left_out),
        cmocka_unit_test(a_gpt2),
        cmocka_unit_test(swapped_blocks),
        cmocka_unit_test(other_files),
        cmocka_unit_test(other_weights),
        cmocka_unit_test(refused_to_write),
        cmocka_unit_test(disk_full),
    };
    return cmocka_run_group_tests_name("container", tests, scratch_open, scratch_close);
}
