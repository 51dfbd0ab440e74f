/* Architectures: the plain forward of each against the usual library's states and logits (made by
 * constants.py from the same folders), folders as they come, and what the polynomials give. */
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
#include <jansson.h>

#include "bert/container.h"
#include "bert/input/architecture.h"
#include "bert/input/table.h"
#include "bert/reference.h"
#include "bert/synth/synth.h"
#include "tests/scratch.h"
#include "tests/worse.h"

#define GOLDEN "tests/data/architectures.jsonl"
#define GOLDEN_TOLERANCE 1e-9 /* doubles on both sides, printed with ten decimals */
#define BUDGET 0.05           /* of the polynomials, as in test_approx.c */

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

/* The folder that `thor synth --config tests/data/architecture.json --arch A --seed 7` writes. */
static struct bert_model *load(const char *arch, int texts) {
    static struct bert_config c;
    struct bert_model *m = NULL;
    enum bert_arch a;
    ok(bert_config_read(&c, "tests/data/architecture.json"));
    assert_true(bert_arch_find(&a, arch));
    bert_synth_arch(&c, a);
    if (mkdir(scratch_path(arch), 0700) == 0)
        ok(bert_synth_write(scratch_path(arch), &c, 7, texts, 0));
    ok(bert_model_load(&m, scratch_path(arch)));
    assert_int_equal(m->cfg.arch, a);
    assert_int_equal(m->cfg.squash, bert_archs[a].squash);
    assert_int_equal(m->cfg.first_position, c.first_position);
    assert_int_equal(m->cfg.max_positions, 40);
    return m;
}

/* ---- golden values ---- */

struct golden {
    const json_t *states; /* rows 0 and -1 of each */
    double error;
    int seen;
};

static double far(const double *x, const json_t *want, int n) {
    double most = 0;
    assert_int_equal(json_array_size(want), n);
    for (int i = 0; i < n; i++)
        most = worse(most, fabs(x[i] - json_real_value(json_array_get(want, (size_t)i))));
    return most;
}

static void see(void *ctx, int layer, const char *stage, const double *x, int rows, int cols) {
    struct golden *g = ctx;
    const json_t *want = json_array_get(g->states, (size_t)(layer + 1));
    if (strcmp(stage, "emb") != 0 && strcmp(stage, "ln2") != 0) return;
    g->error = worse(g->error, far(x, json_array_get(want, 0), cols));
    g->error = worse(g->error, far(x + (rows - 1) * cols, json_array_get(want, 1), cols));
    g->seen++;
}

static void numbers(int *to, const json_t *from, int n) {
    for (int i = 0; i < n; i++) to[i] = (int)json_integer_value(json_array_get(from, (size_t)i));
}

static void check_golden(const json_t *o) {
    static struct bert_tokens t;
    const char *arch = json_string_value(json_object_get(o, "arch"));
    struct golden g = {.states = json_object_get(o, "states")};
    const struct bert_trace trace = {see, &g};
    double logits[3], off;
    struct bert_model *m = load(arch, 40);
    t.n = (int)json_array_size(json_object_get(o, "ids"));
    numbers(t.ids, json_object_get(o, "ids"), t.n);
    numbers(t.type_ids, json_object_get(o, "types"), t.n);
    ok(bert_forward(logits, m, &t, &trace));
    off = far(logits, json_object_get(o, "logits"), 3);
    print_message("%s, %d tokens: states off by %.1e, logits by %.1e\n", arch, t.n, g.error, off);
    assert_int_equal(g.seen, json_array_size(g.states));
    assert_int_equal(g.seen, m->cfg.layers + 1);
    assert_true(g.error < GOLDEN_TOLERANCE && off < GOLDEN_TOLERANCE);
    bert_model_free(m);
}

static void test_golden(void **state) {
    char *line = NULL;
    size_t room = 0;
    int rows = 0;
    (void)state;
    FILE *f = fopen(GOLDEN, "r");
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; rows++) {
        json_t *o = json_loads(line, 0, NULL);
        check_golden(o);
        json_decref(o);
    }
    assert_int_equal(rows, 11);
    free(line);
    fclose(f);
}

/* ---- the rows of the table ---- */

static void test_rows(void **state) {
    char list[200];
    enum bert_arch a = BERT_ARCH_GPT2;
    (void)state;
    assert_true(bert_arch_find(&a, "xlm-roberta") && a == BERT_ARCH_ROBERTA);
    assert_true(bert_arch_find(&a, "camembert") && a == BERT_ARCH_ROBERTA);
    assert_false(bert_arch_find(&a, "robert"));
    bert_arch_list(list, sizeof list);
    assert_non_null(strstr(list, "bert, distilbert, roberta, xlm-roberta, camembert, electra, "));
    bert_arch_list(list, 8);
    assert_string_equal(list, "bert, d");
    for (int i = 0; i < BERT_ARCHS; i++)
        for (const char *const *type = bert_archs[i].types; *type; type++)
            assert_null(bert_arch_unsupported(*type));
    assert_non_null(bert_arch_unsupported("deberta"));
}

/* One layer's weights for all: the same pointers, and one layer in the file. */
static void test_shared_layers(void **state) {
    (void)state;
    struct bert_model *m = load("albert", 40);
    assert_int_equal(m->cfg.layers, 3);
    assert_int_equal(bert_stored_layers(&m->cfg), 1);
    for (int l = 1; l < 3; l++) {
        assert_ptr_equal(m->layer[l].q.w, m->layer[0].q.w);
        assert_ptr_equal(m->layer[l].ln2.beta, m->layer[0].ln2.beta);
    }
    assert_int_equal(m->cfg.embedding, 16);
    assert_int_equal(m->emb_map.out, 32);
    bert_model_free(m);
}

/* An ELECTRA whose embeddings are as wide as its state has no map. */
static void test_no_map(void **state) {
    static struct bert_config c;
    struct bert_model *m = NULL;
    (void)state;
    ok(bert_config_read(&c, "tests/data/architecture.json"));
    bert_synth_arch(&c, BERT_ARCH_ELECTRA);
    c.embedding = 0;
    assert_int_equal(mkdir(scratch_path("wide"), 0700), 0);
    ok(bert_synth_write(scratch_path("wide"), &c, 7, 4, 0));
    ok(bert_model_load(&m, scratch_path("wide")));
    assert_null(m->emb_map.w);
    assert_int_equal(m->cfg.embedding, 0);
    bert_model_free(m);
}

/* A table of more positions than any text has tokens, as that of XLM-R for long texts. */
static void test_long_table(void **state) {
    static struct bert_config c;
    struct bert_model *m = NULL;
    (void)state;
    ok(bert_config_read(&c, "tests/data/architecture.json"));
    c.max_positions = 1200;
    bert_synth_arch(&c, BERT_ARCH_ROBERTA);
    assert_int_equal(mkdir(scratch_path("long"), 0700), 0);
    ok(bert_synth_write(scratch_path("long"), &c, 7, 4, 0));
    ok(bert_model_load(&m, scratch_path("long")));
    assert_int_equal(m->cfg.positions, 1202);
    assert_int_equal(m->cfg.max_positions, BERT_MAX_TOKENS);
    assert_ptr_equal(m->type, m->position + 1202 * 32);
    bert_model_free(m);
}

/* ---- explained ---- */

static void expect_said(const struct bert_config *c, const char *const *says) {
    char *text = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&text, &n);
    assert_non_null(f);
    bert_arch_explain(f, c);
    fclose(f);
    for (; *says; says++)
        if (!strstr(text, *says)) fail_msg("\"%s\" does not say \"%s\"", text, *says);
    free(text);
}

static void test_explained(void **state) {
    static struct bert_config c;
    (void)state;
    assert_true(bert_synth_shape(&c, "albert-base"));
    expect_said(&c, (const char *[]){"an ALBERT: 12 layers of 768, 12 heads of 64", "gelu_new",
                                     "128 columns, mapped to 768", "one layer's weights for all",
                                     "tanh, 2 labels, on ciphertexts", NULL});
    assert_true(bert_synth_shape(&c, "distilbert"));
    expect_said(&c, (const char *[]){"a DistilBERT: 6 layers", "no types", "of its own",
                                     "ReLU, 2 labels, at the client", NULL});
    assert_true(bert_synth_shape(&c, "roberta-base"));
    expect_said(&c, (const char *[]){"50265 words, 512 positions from row 2, 1 type\n", NULL});
    c.head = BERT_HEAD_TOKENS;
    c.labels = 9;
    expect_said(&c, (const char *[]){"9 labels of each token, at the client", NULL});
    c.head = BERT_HEAD_STATE;
    expect_said(&c, (const char *[]){"the state of every token is the answer", NULL});
}

/* ---- tokens that a model cannot take ---- */

static void test_tokens(void **state) {
    static struct bert_tokens t;
    double logits[3];
    (void)state;
    struct bert_model *m = load("roberta", 40);
    t = (struct bert_tokens){.n = 3, .ids = {2, 9, 3}, .type_ids = {0, 1, 0}};
    assert_int_equal(bert_forward(logits, m, &t, NULL), THOR_INPUT); // one type of token
    t.type_ids[1] = 0;
    t.n = 41; // a row of the table more than texts may have tokens
    assert_int_equal(bert_forward(logits, m, &t, NULL), THOR_INPUT);
    t.n = 40;
    ok(bert_forward(logits, m, &t, NULL));
    assert_int_equal(bert_tokenize(&t, m, "a b", "c", 0), THOR_INPUT);
    bert_model_free(m);
    m = load("distilbert", 40);
    t = (struct bert_tokens){.n = 3, .ids = {2, 9, 3}, .type_ids = {0, 1, 0}}; // of no meaning here
    ok(bert_forward(logits, m, &t, NULL));
    ok(bert_tokenize(&t, m, "a b", "c", 0));
    bert_model_free(m);
}

/* ---- by the polynomials ---- */

static void check_polynomials(const char *arch) {
    static struct bert_tokens t;
    char name[64];
    struct bert_model *m = load(arch, 40);
    struct bert_table *table = NULL;
    struct bert_ranges *r = NULL;
    struct bert_plan *p = NULL;
    const char *text[40];
    double want[3], got[3], off = 0;
    snprintf(name, sizeof name, "%s/texts.tsv", arch);
    ok(bert_table_load(&table, scratch_path(name), NULL));
    for (int i = 0; i < 40; i++) text[i] = table->row[i].text;
    ok(bert_calibrate(&r, m, text, NULL, 40, 32));
    ok(bert_plan_new(&p, m, r, 32));
    for (int i = 0; i < 8; i++) {
        ok(bert_tokenize(&t, m, text[2 * i], NULL, 32));
        ok(bert_forward(want, m, &t, NULL));
        ok(bert_approx_forward(got, m, p, &t, 1, NULL));
        for (int k = 0; k < 3; k++) off = worse(off, fabs(got[k] - want[k]));
    }
    print_message("%s: logits off by %.1e\n", arch, off);
    assert_true(off < BUDGET);
    bert_plan_free(p);
    bert_ranges_free(r);
    bert_table_free(table);
    bert_model_free(m);
}

static void test_polynomials(void **state) {
    (void)state;
    for (int i = 0; i < BERT_ARCHS; i++)
        if (bert_archs[i].name.body) check_polynomials(bert_archs[i].types[0]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_shared_layers), cmocka_unit_test(test_no_map),
        cmocka_unit_test(test_long_table),    cmocka_unit_test(test_tokens),
        cmocka_unit_test(test_explained),     cmocka_unit_test(test_polynomials),
    };
    return cmocka_run_group_tests_name("architecture", tests, scratch_open, scratch_close);
}
