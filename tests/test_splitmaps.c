/* The frozen maps as a service: names and shapes of every architecture, and products on ciphertexts
 * against doubles, forward and transposed, at odd shapes and on several rings, within the bound
 * that caller.h derives. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "bert/input/model.h"
#include "split/caller.h"
#include "split/host.h"
#include "split/product.h"
#include "tests/engine.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

/* ---- a Llama of odd shape: hidden 40, two query heads and one of k and v of 24, FFN 72, two
 * layers, in two files with an index ---- */
enum { HIDDEN = 40, HEADS = 2, HEAD = 24, FFN = 72, LAYERS = 2, MAPS = 7 };
static const struct {
    const char *name;
    int rows, cols;
    enum split_stage stage;
} maps[MAPS] = {{"self_attn.q_proj", HEADS *HEAD, HIDDEN, SPLIT_QKV},
                {"self_attn.k_proj", HEAD, HIDDEN, SPLIT_QKV},
                {"self_attn.v_proj", HEAD, HIDDEN, SPLIT_QKV},
                {"self_attn.o_proj", HIDDEN, HEADS *HEAD, SPLIT_O},
                {"mlp.gate_proj", FFN, HIDDEN, SPLIT_UP},
                {"mlp.up_proj", FFN, HIDDEN, SPLIT_UP},
                {"mlp.down_proj", HIDDEN, FFN, SPLIT_DOWN}};

static void weights_of(double *w, int layer, int map) {
    engine_message(w, (size_t)(maps[map].rows * maps[map].cols), 0.1,
                   (uint64_t)(100 * layer + map + 1));
}

static void write_shard(const char *name, int layer) {
    char *head = malloc(1 << 16);
    size_t n = 0, at = 0, room = 0;
    for (int m = 0; m < MAPS; m++) room += (size_t)(maps[m].rows * maps[m].cols);
    float *data = malloc(room * sizeof *data);
    double *w = malloc(room * sizeof *w);
    n += (size_t)sprintf(head + n, "{");
    for (int m = 0; m < MAPS; m++) {
        size_t values = (size_t)(maps[m].rows * maps[m].cols);
        weights_of(w, layer, m);
        for (size_t i = 0; i < values; i++) data[at + i] = (float)w[i];
        n += (size_t)sprintf(head + n,
                             "%s\"model.layers.%d.%s.weight\":{\"dtype\":\"F32\",\"shape\":[%d,%d],"
                             "\"data_offsets\":[%zu,%zu]}",
                             m ? "," : "", layer, maps[m].name, maps[m].rows, maps[m].cols, 4 * at,
                             4 * (at + values));
        at += values;
    }
    n += (size_t)sprintf(head + n, "}");
    uint8_t *file = malloc(8 + n + 4 * at);
    const uint64_t length = n;
    memcpy(file, &length, 8);
    memcpy(file + 8, head, n);
    memcpy(file + 8 + n, data, 4 * at);
    scratch_write(name, file, 8 + n + 4 * at, 0644);
    free(file);
    free(data);
    free(w);
    free(head);
}

static const char *llama(void) {
    static const char config[] =
        "{\"model_type\":\"llama\",\"hidden_size\":40,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":2,\"num_key_value_heads\":1,\"head_dim\":24,"
        "\"intermediate_size\":72}";
    char index[8192];
    size_t n = (size_t)sprintf(index, "{\"metadata\":{},\"weight_map\":{");
    for (int l = 0; l < LAYERS; l++)
        for (int m = 0; m < MAPS; m++)
            n += (size_t)sprintf(index + n, "%s\"model.layers.%d.%s.weight\":\"%c.safetensors\"",
                                 l + m ? "," : "", l, maps[m].name, 'a' + l);
    n += (size_t)sprintf(index + n, "}}");
    mkdir(scratch_path("llama"), 0755);
    scratch_write("llama/config.json", config, sizeof config - 1, 0644);
    write_shard("llama/a.safetensors", 0);
    write_shard("llama/b.safetensors", 1);
    scratch_write("llama/model.safetensors.index.json", index, n, 0644);
    return scratch_path("llama");
}

/* ---- names ---- */

static void shape_of_a_llama(void **state) {
    (void)state;
    struct split_weights *w;
    OK(split_weights_open(&w, llama()));
    const struct split_shape *s = split_weights_shape(w);
    static const int in[] = {HIDDEN, HEADS * HEAD, HIDDEN, FFN},
                     out[] = {(HEADS + 2) * HEAD, HIDDEN, 2 * FFN, HIDDEN};
    assert_int_equal(s->layers, LAYERS);
    assert_memory_equal(s->in, in, sizeof in);
    assert_memory_equal(s->out, out, sizeof out);
    float *have = malloc(2 * FFN * HIDDEN * sizeof *have);
    double *want = malloc(2 * FFN * HIDDEN * sizeof *want);
    OK(split_weights_read(have, w, 1, SPLIT_UP));
    weights_of(want, 1, 4);
    weights_of(want + FFN * HIDDEN, 1, 5);
    for (int i = 0; i < 2 * FFN * HIDDEN; i++) assert_true(have[i] == (float)want[i]);
    free(have);
    free(want);
    split_weights_close(w);
}

static void same_rows(const float *have, const struct bert_linear *l) {
    assert_memory_equal(have, l->w, (size_t)l->in * (size_t)l->out * sizeof *have);
}

/* Against the loader of the encrypted models, which knows the same names. */
static void maps_of_trained_models(void **state) {
    (void)state;
    static const char *const folder[] = {"data/sst2-tiny", "data/gpt2-tiny"};
    for (int f = 0; f < 2; f++) {
        struct split_weights *w;
        struct bert_model *m;
        OK(split_weights_open(&w, folder[f]));
        OK(bert_model_load(&m, folder[f]));
        const int h = m->cfg.hidden;
        float *have = malloc((size_t)(h * (m->cfg.ffn + 3 * h)) * sizeof *have);
        assert_int_equal(split_weights_shape(w)->layers, m->cfg.layers);
        for (int l = 0; l < m->cfg.layers; l++) {
            OK(split_weights_read(have, w, l, SPLIT_QKV));
            same_rows(have, &m->layer[l].q);
            same_rows(have + h * h, &m->layer[l].k);
            same_rows(have + 2 * h * h, &m->layer[l].v);
            OK(split_weights_read(have, w, l, SPLIT_O));
            same_rows(have, &m->layer[l].o);
            OK(split_weights_read(have, w, l, SPLIT_UP));
            same_rows(have, &m->layer[l].ffn1);
            OK(split_weights_read(have, w, l, SPLIT_DOWN));
            same_rows(have, &m->layer[l].ffn2);
        }
        free(have);
        bert_model_free(m);
        split_weights_close(w);
    }
}

static void broken_folders(void **state) {
    (void)state;
    struct split_weights *w = NULL;
    static const char wide[] = "{\"model_type\":\"llama\",\"hidden_size\":48,"
                               "\"num_hidden_layers\":2,\"num_attention_heads\":2,"
                               "\"num_key_value_heads\":1,\"head_dim\":24,"
                               "\"intermediate_size\":72}";
    assert_int_equal(split_weights_open(&w, scratch_path("nowhere")), THOR_MODEL);
    llama();
    scratch_write("llama/config.json", wide, sizeof wide - 1, 0644);
    assert_int_equal(split_weights_open(&w, scratch_path("llama")), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "q_proj"));
    scratch_write("llama/config.json", "{\"model_type\":\"llama\"}", 22, 0644);
    assert_int_equal(split_weights_open(&w, scratch_path("llama")), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "hidden_size"));
    assert_null(w);
}

/* ---- slots ---- */

enum { SLOTS = 2048 };

/* Rows times `factor` that go through slots: the packing's outputs where `as_inputs` is what it has
 * of them. */
static void there_and_back(const struct split_packing *p, int width, double factor) {
    static double re[SLOTS], im[SLOTS];
    const size_t n = (size_t)p->tokens * (size_t)width;
    struct split_packing as_inputs = *p;
    as_inputs.in = p->out;
    double *x = malloc(n * sizeof *x), *y = calloc(n, sizeof *y),
           *one = malloc((size_t)p->tokens * sizeof *one);
    engine_message(x, n, 1, 7);
    for (int t = 0; t < p->tokens; t++) one[t] = 1;
    for (int s = 0; s < p->sets; s++)
        for (int i = 0; i < split_pieces_out(p, width); i++) {
            split_to_slots(re, im, &as_inputs, x, one, width, s, i);
            split_from_slots(y, p, re, im, one, width, s, i);
        }
    for (size_t i = 0; i < n; i++) x[i] *= factor;
    assert_memory_equal(x, y, n * sizeof *x);
    free(x);
    free(y);
    free(one);
}

static void rows_to_slots_and_back(void **state) {
    (void)state;
    static const int tokens[] = {2, 16, 17, 128, 300}, width[] = {1, 40, 257};
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 3; b++) {
            const struct split_packing p = split_packing_of(SLOTS, tokens[a], width[b], width[b]);
            assert_int_equal(p.form, SPLIT_ROWS);
            assert_true(p.sets * split_tokens_in_set(&p) >= tokens[a]);
            assert_true((p.sets - 1) * split_tokens_in_set(&p) < tokens[a]);
            assert_true(split_tokens_in_set(&p) <= SPLIT_TOGETHER);
            there_and_back(&p, width[b], 1);
        }
    const struct split_packing table = split_packing_of(SLOTS, 16, 768, 768);
    assert_int_equal(table.columns, 256); /* 16 tokens x 256 columns */
}

/* Of a single row each side of each map of GPT-2 is one ciphertext. */
static void single_rows_to_slots_and_back(void **state) {
    (void)state;
    static const int narrow[] = {1, 64, 768, 768, 768, 2048, 5000},
                     wide[] = {1, 64, 768, 2304, 3072, 16384, 5001};
    for (int i = 0; i < 7; i++) {
        const struct split_packing s = split_packing_of(SLOTS, 1, narrow[i], wide[i]),
                                   g = split_packing_of(SLOTS, 1, wide[i], narrow[i]);
        assert_int_equal(s.form, SPLIT_SPREAD);
        assert_int_equal(g.form, narrow[i] < wide[i] ? SPLIT_GATHERED : SPLIT_SPREAD);
        assert_int_equal(s.period, g.period);
        if (wide[i] <= 3072) {
            assert_int_equal(split_pieces_in(&s, narrow[i]), 1);
            assert_int_equal(split_pieces_out(&s, wide[i]), 1);
            assert_int_equal(split_pieces_in(&g, wide[i]), 1);
            assert_int_equal(split_pieces_out(&g, narrow[i]), 1);
        }
        there_and_back(&s, wide[i], 1);
        there_and_back(&g, narrow[i], g.form == SPLIT_GATHERED ? g.period / g.columns : 1);
    }
}

static void numbers_of_all_widths(void **state) {
    (void)state;
    uint64_t c[33], d[33];
    uint8_t bytes[33 * 8];
    for (int bits = 1; bits < 57; bits++) {
        for (int i = 0; i < 33; i++) c[i] = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15u >> (64 - bits);
        split_pack(bytes, c, 33, bits);
        split_unpack(d, bytes, 33, bits);
        assert_memory_equal(c, d, sizeof c);
    }
}

/* ---- products ---- */

/* exp(-sqrt(2) 24) = 2e-15 for each of 10^5 numbers (caller.h) */
enum { BEYOND = 24 };

struct compared {
    double worst, squares; /* of |error| / deviation */
    double xy, xx, yy;
    size_t n;
};

/* Rows of very different size: each is scaled by itself. */
static void fill_rows(double *x, int tokens, int width, uint64_t stream) {
    engine_message(x, (size_t)(tokens * width), 1, stream);
    for (int t = 0; t < tokens; t++)
        for (int i = 0; i < width; i++) x[t * width + i] *= pow(10, t % 10 - 6);
}

static double length_of_row(const double *x, int n) {
    double s = 0;
    for (int i = 0; i < n; i++) s += x[i] * x[i];
    return sqrt(s);
}

/* Square of the length of row r of W, or of its column r; 0 behind the last one. */
static double map_row(const struct split_map_view *m, int r) {
    double s = 0;
    for (int i = 0; r < split_view_out(m) && i < split_view_in(m); i++) {
        double v = m->transposed ? m->w[(size_t)i * (size_t)m->in + (size_t)r]
                                 : m->w[(size_t)r * (size_t)m->in + (size_t)i];
        s += v * v;
    }
    return s;
}

/* The length that split_error_of() asks for: a row's that is spread is disturbed by its partner's
 * in the other lane. */
static double disturbing(const struct split_packing *p, const struct split_map_view *m, int o) {
    const double own = map_row(m, o);
    if (p->form != SPLIT_SPREAD) return sqrt(own);
    return sqrt(own + map_row(m, o % p->out < p->period ? o + p->period : o - p->period));
}

static void compare(struct compared *c, const struct split_map_view *m, const char *set,
                    const struct split_ask *ask, const double *x, const double *have,
                    const double *want) {
    const struct ckks_params *p;
    struct ckks *cx;
    int log_u, in = split_view_in(m), out = split_view_out(m);
    OK(ckks_params_get(&p, set, 1));
    OK(ckks_open(&cx, p, KERN_DRY, KERN_TIER_BEST, 1));
    struct split_packing pack = split_packing_of(ckks_slots(cx), ask->tokens, in, out);
    OK(split_map_exponent(&log_u, cx, &pack, m));
    for (int o = 0; o < out; o++) {
        const double deviation = split_error_of(p, &pack, disturbing(&pack, m, o), log_u);
        for (int t = 0; t < ask->tokens; t++) {
            const double length = length_of_row(x + t * in, in), a = have[t * out + o],
                         b = want[t * out + o], e = fabs(a - b) / (length * deviation);
            c->worst = e > c->worst ? e : c->worst;
            c->squares += e * e;
            c->xy += a * b / length / length;
            c->xx += a * a / length / length;
            c->yy += b * b / length / length;
            c->n++;
        }
    }
    ckks_close(cx);
}

/* One product on ciphertexts and in doubles. */
static void one_product(const char *folder, const char *set, struct split_service *plain,
                        struct split_service *he, struct split_ask ask, struct compared *all) {
    const struct split_shape *s = &plain->shape;
    const int in = ask.transposed ? s->out[ask.stage] : s->in[ask.stage],
              out = ask.transposed ? s->in[ask.stage] : s->out[ask.stage];
    double *x = malloc((size_t)(ask.tokens * in) * sizeof *x),
           *have = malloc((size_t)(ask.tokens * out) * sizeof *have),
           *want = malloc((size_t)(ask.tokens * out) * sizeof *want);
    float *w = malloc((size_t)(in * out) * sizeof *w);
    struct split_weights *file;
    struct compared c = {0};
    fill_rows(x, ask.tokens, in, (uint64_t)(ask.layer + 10 * (int)ask.stage));
    OK(plain->product(plain, want, &ask, x));
    OK(he->product(he, have, &ask, x));
    OK(split_weights_open(&file, folder));
    OK(split_weights_read(w, file, ask.layer, ask.stage));
    const struct split_map_view m = {w, s->out[ask.stage], s->in[ask.stage], ask.transposed};
    compare(&c, &m, set, &ask, x, have, want);
    if (!(c.worst <= BEYOND) || !(c.xy / sqrt(c.xx * c.yy) >= 0.9999))
        print_message("%s stage %d%s, %d tokens: %.2f deviations, correlation %.7f\n", set,
                      (int)ask.stage, ask.transposed ? " transposed" : "", ask.tokens, c.worst,
                      c.xy / sqrt(c.xx * c.yy));
    assert_true(c.worst <= BEYOND);
    assert_true(c.xy / sqrt(c.xx * c.yy) >= 0.9999);
    all->squares += c.squares;
    all->n += c.n;
    split_weights_close(file);
    free(x);
    free(have);
    free(want);
    free(w);
}

/* ---- a map of any shape, as one layer's O ---- */

struct bare_map {
    struct split_shape shape;
    float *w;
};

static int read_bare(float *w, const void *from, int layer, enum split_stage stage) {
    const struct bare_map *m = from;
    assert_int_equal(layer, 0);
    assert_int_equal(stage, SPLIT_O);
    memcpy(w, m->w, (size_t)(m->shape.in[SPLIT_O] * m->shape.out[SPLIT_O]) * sizeof *w);
    return THOR_OK;
}

static void bare_product(struct split_caller *c, const char *set, int out, int in, int transposed,
                         struct compared *all) {
    struct bare_map b = {.shape = {.layers = 1}, .w = malloc((size_t)(in * out) * sizeof *b.w)};
    const struct split_ask ask = {0, SPLIT_O, transposed, 1};
    const struct split_map_view m = {b.w, out, in, transposed};
    const int from = split_view_in(&m), to = split_view_out(&m);
    const struct split_host h = {split_caller_context(c), &b.shape, read_bare, &b, NULL};
    double *x = malloc((size_t)from * sizeof *x), *have = malloc((size_t)to * sizeof *have),
           *want = calloc((size_t)to, sizeof *want), *w = malloc((size_t)(in * out) * sizeof *w),
           seconds;
    struct split_call call;
    b.shape.in[SPLIT_O] = in;
    b.shape.out[SPLIT_O] = out;
    fill_rows(x, 1, from, 3);
    engine_message(w, (size_t)(in * out), 1, 4);
    for (int i = 0; i < in * out; i++) b.w[i] = (float)w[i];
    for (int o = 0; o < to; o++)
        for (int i = 0; i < from; i++) want[o] += b.w[transposed ? i * in + o : o * in + i] * x[i];
    OK(split_call_make(&call, c, &b.shape, &ask, x));
    uint8_t *reply = malloc(call.reply);
    OK(split_host_product(reply, &h, call.body, call.bytes));
    OK(split_call_end(have, &seconds, &call, c, reply, call.reply));
    compare(all, &m, set, &ask, x, have, want);
    split_call_free(&call);
    free(reply);
    free(x);
    free(have);
    free(want);
    free(w);
    free(b.w);
}

/* Single rows of several ciphertexts, in and out, on a ring of 512 slots. */
static void wide_single_rows(void **state) {
    (void)state;
    static const int shape[][2] = {{1100, 40}, {40, 1100}, {1300, 600}, {600, 1300}, {3, 2}};
    struct split_caller *c;
    struct ckks_keys *keys;
    struct compared all = {0};
    OK(split_caller_open(&c, "toy10", 1, 1));
    OK(split_caller_keys(&keys, c));
    ckks_use_keys(split_caller_context(c), keys);
    for (int i = 0; i < 10; i++)
        bare_product(c, "toy10", shape[i / 2][0], shape[i / 2][1], i % 2, &all);
    print_message("worst %.2f deviations, error / derived deviation %.3f\n", all.worst,
                  sqrt(all.squares / (double)all.n));
    assert_true(all.worst <= BEYOND);
    assert_true(sqrt(all.squares / (double)all.n) < 1.3);
    ckks_keys_free(keys);
    split_caller_close(c);
}

static void products_on(const char *set, const int *tokens, int n, struct compared *all) {
    const char *folder = llama();
    struct split_service *plain, *he;
    OK(split_plain_open(&plain, folder));
    OK(split_local_open(&he, folder, set, 1, 1));
    for (int i = 0; i < n; i++)
        for (int stage = 0; stage < SPLIT_STAGES; stage++)
            for (int transposed = 0; transposed < 2; transposed++) {
                struct split_ask ask = {(i + stage) % LAYERS, (enum split_stage)stage, transposed,
                                        tokens[i]};
                one_product(folder, set, plain, he, ask, all);
            }
    assert_int_equal(he->traffic.rounds, 8 * n);
    assert_true(he->traffic.up > 0 && he->traffic.down > 0 && he->traffic.server_seconds > 0);
    plain->close(plain);
    he->close(he);
}

/* Errors have the deviation that was derived, and none is BEYOND of it. */
static void products_at_n12(void **state) {
    (void)state;
    static const int tokens[] = {1, 16, 17, 128};
    struct compared all = {0};
    products_on("n12", tokens, 4, &all);
    const double rms = sqrt(all.squares / (double)all.n);
    print_message("error / derived deviation: %.3f\n", rms);
    assert_true(rms > 0.9 && rms < 1.1);
}

static void products_at_toys(void **state) {
    (void)state;
    static const int tokens[] = {1, 17, 130};
    struct compared all = {0};
    products_on("toy10", tokens, 3, &all);
    products_on("toy11", tokens, 2, &all);
    assert_true(sqrt(all.squares / (double)all.n) < 1.3);
}

/* Rows that all agree and a map of one sign: the largest coefficients there can be, and a map and
 * rows of zeros. */
static void nothing_wraps(void **state) {
    (void)state;
    enum { TOKENS = 16, WIDTH = 40 };
    const char *folder = llama();
    struct split_service *plain, *he;
    struct split_ask ask = {0, SPLIT_O, 0, TOKENS};
    static double x[TOKENS * HEADS * HEAD], have[TOKENS * HIDDEN], want[TOKENS * HIDDEN];
    OK(split_plain_open(&plain, folder));
    OK(split_local_open(&he, folder, "n12", 0, 1));
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = -1e9;
    OK(plain->product(plain, want, &ask, x));
    OK(he->product(he, have, &ask, x));
    for (int i = 0; i < TOKENS * HIDDEN; i++) assert_true(fabs(have[i] - want[i]) < 1e-2 * 1e9);
    memset(x, 0, sizeof x);
    OK(he->product(he, have, &ask, x));
    for (int i = 0; i < TOKENS * HIDDEN; i++) assert_true(have[i] == 0);
    x[5] = NAN;
    have[0] = 3;
    assert_int_equal(he->product(he, have, &ask, x), THOR_RANGE);
    assert_true(have[0] == 3);
    plain->close(plain);
    he->close(he);
}

static void foreign_asks(void **state) {
    (void)state;
    struct split_service *plain;
    double x = 0, y = 0;
    OK(split_plain_open(&plain, llama()));
    const struct split_ask bad[] = {{-1, SPLIT_O, 0, 1},     {LAYERS, SPLIT_O, 0, 1},
                                    {0, SPLIT_STAGES, 0, 1}, {0, SPLIT_O, 2, 1},
                                    {0, SPLIT_O, 0, 0},      {0, SPLIT_O, 0, SPLIT_TOKENS_MAX + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(plain->product(plain, &y, &bad[i], &x), THOR_USAGE);
    plain->close(plain);
}

/* A server refuses what is no request, takes any ciphertext, and needs keys. */
static void hostile_requests(void **state) {
    (void)state;
    struct split_weights *w;
    struct split_caller *c;
    struct split_call call;
    struct ckks_keys *keys;
    static double x[3 * HIDDEN];
    const struct split_ask ask = {1, SPLIT_UP, 0, 3};
    OK(split_weights_open(&w, llama()));
    OK(split_caller_open(&c, "n12", 0, 1));
    struct ckks *cx = split_caller_context(c);
    OK(split_call_make(&call, c, split_weights_shape(w), &ask, x));
    uint8_t *reply = malloc(call.reply);
    const struct split_host h = split_host_of(cx, w, NULL);
    assert_int_equal(split_host_product(reply, &h, call.body, call.bytes), THOR_KEY);
    OK(split_caller_keys(&keys, c));
    ckks_use_keys(cx, keys);
    OK(split_host_product(reply, &h, call.body, call.bytes));
    assert_int_equal(split_host_product(reply, &h, call.body, call.bytes - 1), THOR_USAGE);
    assert_int_equal(split_host_product(reply, &h, call.body, 63), THOR_USAGE);
    for (size_t at = 0; at < 32; at++) { /* every byte of the head but the seed */
        call.body[at] ^= 0x80;
        assert_int_equal(split_host_product(reply, &h, call.body, call.bytes), THOR_USAGE);
        call.body[at] ^= 0x80;
    }
    memset(call.body + SPLIT_HEAD, 0xff, call.bytes - SPLIT_HEAD);
    OK(split_host_product(reply, &h, call.body, call.bytes));
    double y[3 * 2 * FFN], seconds;
    assert_int_equal(split_call_end(y, &seconds, &call, c, reply, call.reply - 1), THOR_IO);
    reply[0] ^= 1;
    assert_int_equal(split_call_end(y, &seconds, &call, c, reply, call.reply), THOR_IO);
    reply[0] ^= 1;
    OK(split_call_end(y, &seconds, &call, c, reply, call.reply));
    const int32_t scale[] = {-201, 41}; /* of no map: the first would make infinities of rows */
    for (int i = 0; i < 2; i++) {
        memcpy(reply + 8, &scale[i], sizeof scale[i]);
        assert_int_equal(split_call_end(y, &seconds, &call, c, reply, call.reply), THOR_IO);
    }
    free(reply);
    split_call_free(&call);
    ckks_keys_free(keys);
    split_caller_close(c);
    split_weights_close(w);
}

/* ---- maps that are kept */

struct server { /* one of several over the same client and keys */
    struct split_caller *caller;
    struct split_weights *w;
};

/* The reply of h to random rows, less its seconds; the caller frees it. */
static uint8_t *reply_of(size_t *n, const struct server *s, struct split_kept *kept,
                         const struct split_call *call) {
    const struct split_host h = split_host_of(split_caller_context(s->caller), s->w, kept);
    uint8_t *reply = malloc(*n = call->reply);
    OK(split_host_product(reply, &h, call->body, call->bytes));
    memset(reply + 16, 0, 8);
    return reply;
}

static int reads;
static int count_reads(float *w, const void *from, int layer, enum split_stage stage) {
    reads++;
    return split_weights_read(w, from, layer, stage);
}

/* Bit for bit the products of maps that are encoded for each request, in any number of tokens; read
 * once. */
static void kept_maps(void **state) {
    (void)state;
    struct server s;
    struct ckks_keys *keys;
    struct split_kept *kept;
    static double x[140 * 2 * FFN]; /* the widest rows: of UP, backward */
    for (size_t i = 0; i < sizeof x / sizeof *x; i++) x[i] = (double)(i % 17) - 8;
    OK(split_weights_open(&s.w, llama()));
    OK(split_caller_open(&s.caller, "n12", 0, 2));
    struct ckks *cx = split_caller_context(s.caller);
    const struct split_shape *shape = split_weights_shape(s.w);
    OK(split_caller_keys(&keys, s.caller));
    ckks_use_keys(cx, keys);
    OK(split_kept_open(&kept, cx, shape, (size_t)1 << 30));
    for (int i = 0; i < 16; i++) {
        const int tokens[] = {1, 3, 128, 140};
        const struct split_ask ask = {i / 8, (enum split_stage)(i % 4), i / 4 % 2, tokens[i % 4]};
        struct split_call call;
        OK(split_call_make(&call, s.caller, shape, &ask, x));
        size_t n;
        uint8_t *want = reply_of(&n, &s, NULL, &call), *cold = reply_of(&n, &s, kept, &call),
                *warm = reply_of(&n, &s, kept, &call);
        assert_memory_equal(cold, want, n);
        assert_memory_equal(warm, want, n);
        free(want);
        free(cold);
        free(warm);
        split_call_free(&call);
    }
    const struct split_kept_state k = split_kept_state(kept);
    assert_int_equal(k.maps, 16);
    assert_true(k.hits == 16 && k.misses == 16 && k.bytes > 0 && k.bytes <= k.most);
    split_kept_close(kept);
    ckks_keys_free(keys);
    split_caller_close(s.caller);
    split_weights_close(s.w);
}

static int get(struct split_kept *k, const struct split_weights *w, int layer, int stage,
               const struct split_packing *p) {
    struct split_kept_map map;
    const struct split_ask ask = {layer, (enum split_stage)stage, 0, p->tokens};
    OK(split_kept_get(&map, k, &ask, p, count_reads, w));
    return map.map != NULL;
}

/* A budget of two maps of three keeps two, until one is not asked for any more; none of zero. */
static void kept_within_a_budget(void **state) {
    (void)state;
    struct split_caller *c;
    struct split_weights *w;
    struct split_kept *kept;
    OK(split_weights_open(&w, llama()));
    OK(split_caller_open(&c, "n12", 0, 1));
    struct ckks *cx = split_caller_context(c);
    const struct split_shape *shape = split_weights_shape(w);
    const struct split_packing p = split_packing_of(ckks_slots(cx), 128, 2 * FFN, HIDDEN);
    const struct split_map_view m = {NULL, shape->out[SPLIT_O], shape->in[SPLIT_O], 0};
    const size_t each = split_product_bytes(cx, &p, &m);
    OK(split_kept_open(&kept, cx, shape, 2 * each + each / 2));
    for (reads = 0; reads < 2;) assert_true(get(kept, w, reads, SPLIT_O, &p));
    const struct split_packing other =
        split_packing_of(ckks_slots(cx), 64, 2 * FFN, HIDDEN); /* of as many bytes */
    for (int i = 0; i < 20; i++) {
        assert_false(get(kept, w, 0, SPLIT_O, &other));
        assert_true(get(kept, w, i % 2, SPLIT_O, &p));
    }
    assert_int_equal(reads, 2);
    assert_true(split_kept_state(kept).bytes <= 2 * each + each / 2);
    int rounds = 0; /* layer 0 is not asked for */
    while (rounds < 1000 && !get(kept, w, 0, SPLIT_O, &other)) {
        assert_true(get(kept, w, 1, SPLIT_O, &p));
        rounds++;
    }
    print_message("gave way after %d rounds\n", rounds);
    assert_in_range(rounds, 4 * SPLIT_STAGES * LAYERS - 4, 4 * SPLIT_STAGES * LAYERS);
    assert_true(get(kept, w, 1, SPLIT_O, &p));
    split_kept_close(kept);
    OK(split_kept_open(&kept, cx, shape, 0));
    assert_false(get(kept, w, 0, SPLIT_O, &p));
    split_kept_close(kept);
    split_caller_close(c);
    split_weights_close(w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shape_of_a_llama),
        cmocka_unit_test(maps_of_trained_models),
        cmocka_unit_test(broken_folders),
        cmocka_unit_test(rows_to_slots_and_back),
        cmocka_unit_test(single_rows_to_slots_and_back),
        cmocka_unit_test(numbers_of_all_widths),
        cmocka_unit_test(products_at_n12),
        cmocka_unit_test(products_at_toys),
        cmocka_unit_test(wide_single_rows),
        cmocka_unit_test(nothing_wraps),
        cmocka_unit_test(foreign_asks),
        cmocka_unit_test(hostile_requests),
        cmocka_unit_test(kept_maps),
        cmocka_unit_test(kept_within_a_budget),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
