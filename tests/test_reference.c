/* The plain forward against the framework's logits, and stage by stage against its equations. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "bert/input/readfile.h"
#include "bert/reference.h"
#include "bert/input/table.h"
#include "tests/dose.h"
#include "tests/worse.h"

#define SHARED "../shared/data/"
/* The expected logits are a float32 computation, printed with six decimals: 5e-7 from printing and
 * about as much again per layer from rounding.  Measured: 1e-6 (2 layers), 4e-6 (6 layers). */
#define GOLDEN_TOLERANCE 1e-5

static struct bert_model *tiny;

static int load(void **state) {
    (void)state;
    return bert_model_load(&tiny, "data/sst2-tiny");
}

static int unload(void **state) {
    (void)state;
    bert_model_free(tiny);
    return 0;
}

struct score {
    int rows, right;
    double error;
};

static void ids_of(struct bert_tokens *t, const json_t *o) {
    const json_t *ids = json_object_get(o, "input_ids"),
                 *types = json_object_get(o, "token_type_ids");
    t->n = (int)json_array_size(ids);
    for (int i = 0; i < t->n; i++) {
        t->ids[i] = (int)json_integer_value(json_array_get(ids, (size_t)i));
        t->type_ids[i] = (int)json_integer_value(json_array_get(types, (size_t)i));
    }
}

/* Lines of {label, input_ids, token_type_ids?, logits}; at most `rows` of them. */
static struct score golden(const struct bert_model *m, const char *path, int rows) {
    struct score s = {0};
    struct bert_tokens t;
    double logits[BERT_MAX_LABELS];
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(path, "r");
    for (; f && s.rows < rows && getline(&line, &room, f) > 0; s.rows++) {
        json_t *o = json_loads(line, 0, NULL);
        const json_t *want = json_object_get(o, "logits");
        ids_of(&t, o);
        assert_int_equal(bert_forward(logits, m, &t, NULL), THOR_OK);
        assert_int_equal(json_array_size(want), m->cfg.labels);
        for (int c = 0; c < m->cfg.labels; c++)
            s.error =
                worse(s.error, fabs(logits[c] - json_real_value(json_array_get(want, (size_t)c))));
        s.right +=
            bert_argmax(logits, m->cfg.labels) == json_integer_value(json_object_get(o, "label"));
        json_decref(o);
    }
    free(line);
    if (f) fclose(f);
    return s;
}

static void test_golden(void **state) {
    (void)state;
    struct score s = golden(tiny, "tests/data/sst2-tiny-golden.jsonl", 1000);
    assert_int_equal(s.rows, 40);
    assert_true(s.error < GOLDEN_TOLERANCE);
}

/* 355 of the first 436 rows of SST-2 dev: 81.42 % (the whole set of 872: 82.91 %). */
static void test_accuracy(void **state) {
    (void)state;
    const int few = dose_small();
    struct score s = golden(tiny, SHARED "sst2-tiny/dev_expected.jsonl", few ? 100 : 1000);
    if (s.rows == 0) skip();
    assert_int_equal(s.rows, few ? 100 : 436);
    assert_true(s.error < GOLDEN_TOLERANCE);
    assert_int_equal(s.right, few ? 80 : 355);
}

static void test_pairs(void **state) {
    struct bert_model *m = NULL;
    (void)state;
    if (!bert_file_exists(SHARED "minilm-l6-mrpc/model.safetensors")) skip();
    assert_int_equal(bert_model_load(&m, SHARED "minilm-l6-mrpc"), THOR_OK);
    const int rows = dose_small() ? 3 : 12;
    struct score s = golden(m, SHARED "minilm-l6-mrpc/dev_expected.jsonl", rows);
    assert_int_equal(s.rows, rows);
    assert_true(s.error < GOLDEN_TOLERANCE);
    bert_model_free(m);
}

/* The examples: predicted with a margin that an encrypted forward cannot turn, and honestly. */
static void test_examples(void **state) {
    struct bert_table *table = NULL;
    struct bert_tokens t;
    double logits[2];
    int right = 0, shortest = 128, longest = 0;
    (void)state;
    assert_int_equal(bert_table_load(&table, "data/examples.tsv", NULL), THOR_OK);
    assert_int_equal(table->n, 40);
    for (int i = 0; i < table->n; i++) {
        assert_int_equal(bert_tokenize(&t, tiny, table->row[i].text, table->row[i].text2, 64),
                         THOR_OK);
        assert_int_equal(bert_forward(logits, tiny, &t, NULL), THOR_OK);
        assert_true(fabs(logits[1] - logits[0]) > 0.2);
        right += bert_argmax(logits, 2) == table->row[i].label;
        shortest = t.n < shortest ? t.n : shortest;
        longest = t.n > longest ? t.n : longest;
    }
    assert_int_equal(right, 38);
    assert_int_equal(shortest, 4);
    assert_int_equal(longest, 45);
    bert_table_free(table);
}

#define STAGES_MAX 64

struct seen {
    int n;
    struct {
        int layer, rows, cols;
        char stage[16];
        double *x;
    } at[STAGES_MAX];
};

static void keep(void *ctx, int layer, const char *stage, const double *x, int rows, int cols) {
    struct seen *s = ctx;
    const size_t bytes = (size_t)rows * (size_t)cols * sizeof *x;
    assert_true(s->n < STAGES_MAX);
    s->at[s->n].layer = layer;
    s->at[s->n].rows = rows;
    s->at[s->n].cols = cols;
    snprintf(s->at[s->n].stage, sizeof s->at[s->n].stage, "%s", stage);
    s->at[s->n].x = malloc(bytes);
    assert_non_null(s->at[s->n].x);
    memcpy(s->at[s->n++].x, x, bytes);
}

static const double *stage(const struct seen *s, int layer, const char *name, int rows, int cols) {
    for (int i = 0; i < s->n; i++)
        if (s->at[i].layer == layer && strcmp(s->at[i].stage, name) == 0) {
            assert_int_equal(s->at[i].rows, rows);
            assert_int_equal(s->at[i].cols, cols);
            return s->at[i].x;
        }
    fail_msg("no stage %s of layer %d", name, layer);
    return NULL;
}

static void drop(struct seen *s) {
    for (int i = 0; i < s->n; i++) free(s->at[i].x);
}

/* A sum of n products in doubles, in any order, errs by at most (n + 1) 2^-53 of the sum of
 * magnitudes, plus the term of second order: doubling covers it and the rounding of what it is
 * compared with. */
static double sum_bound(int n, long double magnitude) {
    return (double)(2 * (n + 1) * magnitude) * 0x1p-53;
}

static void check_linear(const double *y, const double *x, int n, const struct bert_linear *l) {
    for (int i = 0; i < n; i++)
        for (int o = 0; o < l->out; o++) {
            long double sum = l->b[o], size = fabsl(sum);
            for (int c = 0; c < l->in; c++) {
                long double term = (long double)x[i * l->in + c] * l->w[o * l->in + c];
                sum += term;
                size += fabsl(term);
            }
            assert_true(fabs((double)(y[i * l->out + o] - sum)) <= sum_bound(l->in + 1, size));
        }
}

/* Mean, deviations, variance and root each round by at most 2^-53 times the H = 2^7 terms summed:
 * 2^-44 relative in all.  Values lie within sqrt(H) < 12 deviations, gamma is below 4: so 2^-38. */
static void check_norm(const double *y, const double *var, const double *x, int n, int H,
                       double eps, const struct bert_norm *g) {
    for (int i = 0; i < n; i++) {
        long double mean = 0, sq = 0;
        for (int c = 0; c < H; c++) mean += x[i * H + c];
        mean /= H;
        for (int c = 0; c < H; c++) sq += (x[i * H + c] - mean) * (x[i * H + c] - mean);
        assert_true(fabsl(var[i] - sq / H) <= 0x1p-44L * (sq / H));
        for (int c = 0; c < H; c++) {
            long double z = (x[i * H + c] - mean) / sqrtl(sq / H + eps);
            assert_true(fabsl(y[i * H + c] - (z * g->gamma[c] + g->beta[c])) <= 0x1p-38L);
        }
    }
}

static void check_sum(const double *y, const double *a, const double *b, int count) {
    for (int i = 0; i < count; i++) assert_true(fabs(y[i] - (a[i] + b[i])) <= 0x1p-52 * fabs(y[i]));
}

static void check_attention(const struct seen *s, int layer, int n, int H, int heads) {
    const int d = H / heads;
    const double *q = stage(s, layer, "q", n, H), *k = stage(s, layer, "k", n, H);
    const double *v = stage(s, layer, "v", n, H), *context = stage(s, layer, "context", n, H);
    const double *scores = stage(s, layer, "scores", heads * n, n);
    const double *probs = stage(s, layer, "probs", heads * n, n);
    for (int r = 0; r < heads * n; r++) {
        const int a = r / n, i = r % n;
        long double total = 0;
        for (int j = 0; j < n; j++) {
            long double sum = 0, size = 0;
            for (int c = a * d; c < a * d + d; c++) {
                sum += (long double)q[i * H + c] * k[j * H + c];
                size += fabsl((long double)q[i * H + c] * k[j * H + c]);
            }
            assert_true(fabsl(scores[r * n + j] - sum / sqrtl(d)) <= sum_bound(d + 2, size));
            total += expl(scores[r * n + j]);
        }
        for (int j = 0; j < n;
             j++) // exp of a rounded difference below 2^7, and n + 2 roundings more
            assert_true(fabsl(probs[r * n + j] - expl(scores[r * n + j]) / total) <= 0x1p-44L);
        for (int c = a * d; c < a * d + d; c++) {
            long double sum = 0, size = 0;
            for (int j = 0; j < n; j++) {
                sum += (long double)probs[r * n + j] * v[j * H + c];
                size += fabsl((long double)probs[r * n + j] * v[j * H + c]);
            }
            assert_true(fabsl(context[i * H + c] - sum) <= sum_bound(n, size));
        }
    }
}

static long double activation(long double u) {
    if (tiny->cfg.activation == BERT_GELU) return u * erfcl(-u * M_SQRT1_2) / 2;
    // 1 + tanh(y) = 2 / (1 + exp(-2 y))
    return u / (1 + expl(-sqrtl(8 / acosl(-1)) * u * (1 + 0.044715L * u * u)));
}

static void check_layer(const struct seen *s, int at, int n, const double *x) {
    const struct bert_layer *l = &tiny->layer[at];
    const int H = tiny->cfg.hidden, F = tiny->cfg.ffn;
    const double *ln1 = stage(s, at, "ln1", n, H), *u = stage(s, at, "ffn_in", n, F);
    const double *g = stage(s, at, "gelu", n, F);
    check_linear(stage(s, at, "q", n, H), x, n, &l->q);
    check_linear(stage(s, at, "k", n, H), x, n, &l->k);
    check_linear(stage(s, at, "v", n, H), x, n, &l->v);
    check_attention(s, at, n, H, tiny->cfg.heads);
    check_linear(stage(s, at, "attn_out", n, H), stage(s, at, "context", n, H), n, &l->o);
    check_sum(stage(s, at, "ln1_in", n, H), stage(s, at, "attn_out", n, H), x, n * H);
    check_norm(ln1, stage(s, at, "ln1_var", n, 1), stage(s, at, "ln1_in", n, H), n, H,
               tiny->cfg.eps, &l->ln1);
    check_linear(u, ln1, n, &l->ffn1);
    for (int i = 0; i < n * F; i++) // erf or tanh within an ulp or two of at most 1
        assert_true(fabsl(g[i] - activation(u[i])) <= fabs(u[i]) * 0x1p-50);
    check_linear(stage(s, at, "ffn_out", n, H), g, n, &l->ffn2);
    check_sum(stage(s, at, "ln2_in", n, H), stage(s, at, "ffn_out", n, H), ln1, n * H);
    check_norm(stage(s, at, "ln2", n, H), stage(s, at, "ln2_var", n, 1),
               stage(s, at, "ln2_in", n, H), n, H, tiny->cfg.eps, &l->ln2);
}

static void check_head(const struct seen *s, int n, const double *logits) {
    const int H = tiny->cfg.hidden, L = tiny->cfg.layers;
    const double *in = stage(s, L, "pooled_in", 1, H), *pooled = stage(s, L, "pooled", 1, H);
    check_linear(in, stage(s, L - 1, "ln2", n, H), 1, &tiny->pooler);
    for (int c = 0; c < H; c++) assert_true(fabsl(pooled[c] - tanhl(in[c])) <= 0x1p-51);
    check_linear(logits, pooled, 1, &tiny->classifier);
    assert_memory_equal(stage(s, L, "logits", 1, tiny->cfg.labels), logits,
                        (size_t)tiny->cfg.labels * sizeof *logits);
}

static void check_equations(void) {
    struct seen s = {0};
    const struct bert_trace trace = {keep, &s};
    struct bert_tokens t;
    double logits[BERT_MAX_LABELS];
    assert_int_equal(bert_tokenize(&t, tiny, "a warm , funny film", "dull and predictable .", 0),
                     0);
    assert_int_equal(bert_forward(logits, tiny, &t, &trace), THOR_OK);
    const int n = t.n, H = tiny->cfg.hidden;
    const double *sum = stage(&s, -1, "emb_sum", n, H), *x = stage(&s, -1, "emb", n, H);
    for (int i = 0; i < n * H; i++)
        assert_true(
            fabs(sum[i] - ((double)tiny->word[t.ids[i / H] * H + i % H] + tiny->position[i] +
                           tiny->type[t.type_ids[i / H] * H + i % H])) <= 0x1p-50);
    check_norm(x, stage(&s, -1, "emb_var", n, 1), sum, n, H, tiny->cfg.eps, &tiny->emb_ln);
    for (int l = 0; l < tiny->cfg.layers; l++, x = stage(&s, l - 1, "ln2", n, H))
        check_layer(&s, l, n, x);
    check_head(&s, n, logits);
    drop(&s);
}

static void test_equations(void **state) {
    (void)state;
    for (int a = 0; a < BERT_ACTIVATIONS; a++) {
        tiny->cfg.activation = (enum bert_activation)a;
        check_equations();
    }
    tiny->cfg.activation = BERT_GELU;
}

static void test_trace_order(void **state) {
    static const char *const first[] = {"emb_sum", "emb_var", "emb"};
    static const char *const each[] = {
        "q",       "k",   "v",      "scores", "probs",   "context", "attn_out", "ln1_in",
        "ln1_var", "ln1", "ffn_in", "gelu",   "ffn_out", "ln2_in",  "ln2_var",  "ln2"};
    static const char *const last[] = {"pooled_in", "pooled", "logits"};
    struct seen s = {0};
    const struct bert_trace trace = {keep, &s};
    const struct bert_tokens t = {.n = 3, .ids = {101, 3376, 102}};
    double logits[2];
    (void)state;
    assert_int_equal(bert_forward(logits, tiny, &t, &trace), THOR_OK);
    assert_int_equal(s.n, 3 + 16 * 2 + 3);
    for (int i = 0; i < s.n; i++) {
        const int layer = i < 3 ? -1 : (i - 3) / 16;
        assert_string_equal(s.at[i].stage, i < 3       ? first[i]
                                           : layer < 2 ? each[(i - 3) % 16]
                                                       : last[(i - 3) % 16]);
        assert_int_equal(s.at[i].layer, layer);
    }
    drop(&s);
}

/* The client's half and the server's half are the whole, bit for bit. */
static void test_two_halves(void **state) {
    struct bert_tokens t;
    double whole[2], halves[2];
    (void)state;
    assert_int_equal(bert_tokenize(&t, tiny, "gripping , clever and beautifully shot .", NULL, 0),
                     0);
    double *x = malloc((size_t)t.n * (size_t)tiny->cfg.hidden * sizeof *x);
    assert_non_null(x);
    assert_int_equal(bert_embed(x, tiny, &t), THOR_OK);
    assert_int_equal(bert_forward_embedded(halves, tiny, x, t.n, NULL), THOR_OK);
    assert_int_equal(bert_forward(whole, tiny, &t, NULL), THOR_OK);
    assert_memory_equal(whole, halves, sizeof whole);
    free(x);
}

static void test_refusals(void **state) {
    struct bert_tokens t = {.n = 3, .ids = {101, 30522, 102}};
    double logits[2], x[1] = {0};
    (void)state;
    assert_int_equal(bert_forward(logits, tiny, &t, NULL), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "30522"));
    t.ids[1] = -1;
    assert_int_equal(bert_forward(logits, tiny, &t, NULL), THOR_INPUT);
    t.ids[1] = 5;
    t.type_ids[1] = 2;
    assert_int_equal(bert_embed(x, tiny, &t), THOR_INPUT);
    t.type_ids[1] = 0;
    t.n = 129;
    assert_int_equal(bert_forward(logits, tiny, &t, NULL), THOR_INPUT);
    assert_int_equal(bert_forward_embedded(logits, tiny, x, 0, NULL), THOR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),     cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_pairs),      cmocka_unit_test(test_examples),
        cmocka_unit_test(test_equations),  cmocka_unit_test(test_trace_order),
        cmocka_unit_test(test_two_halves), cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
