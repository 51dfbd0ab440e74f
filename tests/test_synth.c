/* Synthetic models: the same bytes for the same seed, a folder that loads and tokenises its own
 * texts, activations within what trained models show, and scores as wide as asked for. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bert/plan.h"
#include "bert/reference.h"
#include "bert/synth/synth.h"
#include "bert/input/table.h"
#include "bert/input/vocab.h"
#include "tests/dose.h"
#include "tests/scratch.h"

enum { ROWS = 24 };

static struct bert_config small_shape(void) {
    struct bert_config c;
    assert_true(bert_synth_shape(&c, "bert-tiny"));
    c.vocab = 2000;
    c.positions = c.max_positions = 64;
    c.labels = 3;
    c.activation = BERT_GELU_TANH;
    strcpy(c.label_names[2], "2");
    return c;
}

static const char *folder(const char *name) {
    assert_int_equal(mkdir(scratch_path(name), 0700), 0);
    return scratch_path(name);
}

static void write_model(const char *name, uint64_t seed) {
    const struct bert_config c = small_shape();
    assert_int_equal(bert_synth_write(folder(name), &c, seed, ROWS, 0), THOR_OK);
}

static int same(const char *a, const char *b, const char *file) {
    char name[2][64];
    size_t n[2];
    snprintf(name[0], sizeof name[0], "%s/%s", a, file);
    snprintf(name[1], sizeof name[1], "%s/%s", b, file);
    uint8_t *x = scratch_read(name[0], &n[0]), *y = scratch_read(name[1], &n[1]);
    int eq = n[0] == n[1] && memcmp(x, y, n[0]) == 0;
    free(x);
    free(y);
    return eq;
}

static void test_seeds(void **state) {
    static const char *const file[] = {"config.json", "vocab.txt", "model.safetensors",
                                       "texts.tsv"};
    (void)state;
    write_model("a", 1);
    write_model("b", 1);
    write_model("c", 2);
    for (int i = 0; i < 4; i++) {
        assert_true(same("a", "b", file[i]));
        assert_int_equal(same("a", "c", file[i]), i < 2);
    }
}

static void test_refusals(void **state) {
    struct bert_config c = small_shape();
    (void)state;
    assert_int_equal(bert_synth_write(scratch_path("a"), &c, 3, 1, 0), THOR_USAGE);
    assert_non_null(strstr(thor_error(), "not overwritten"));
    assert_int_equal(bert_synth_write(scratch_path("nowhere"), &c, 3, 1, 0), THOR_IO);
    c.vocab = 10;
    assert_int_equal(bert_synth_write(scratch_path("c"), &c, 3, 1, 0), THOR_USAGE);
    assert_int_equal(bert_synth_shape(&c, "bert"), 0);
}

static void test_names(void **state) {
    char list[256], *at = list, *name;
    struct bert_config c;
    (void)state;
    bert_synth_names(list, sizeof list);
    while ((name = strsep(&at, ", ")))
        if (*name) assert_true(bert_synth_shape(&c, name) && c.hidden % c.heads == 0);
}

/* Words of the texts are tokens of the vocabulary, so that a row of k words has k + 2 tokens. */
static void test_texts(void **state) {
    struct bert_model *m = NULL;
    struct bert_table *t = NULL;
    static struct bert_tokens tok;
    (void)state;
    assert_int_equal(bert_model_load(&m, scratch_path("a")), THOR_OK);
    assert_int_equal(bert_table_load(&t, scratch_path("a/texts.tsv"), NULL), THOR_OK);
    assert_int_equal(m->cfg.activation, BERT_GELU_TANH);
    assert_int_equal(t->n, ROWS);
    for (int i = 0; i < t->n; i++) {
        int words = 1;
        for (const char *s = t->row[i].text; *s; s++) words += *s == ' ';
        assert_int_equal(bert_tokenize(&tok, m, t->row[i].text, NULL, 0), THOR_OK);
        assert_int_equal(tok.n, words + 2);
        assert_in_range(t->row[i].label, 0, 2);
    }
    assert_int_equal(
        bert_tokenize(&tok, m, "No [UNKNOWN]: every printable ~ character, 100%!", NULL, 0),
        THOR_OK);
    for (int i = 0; i < tok.n; i++)
        assert_int_not_equal(tok.ids[i], bert_vocab_special(m->vocab, BERT_UNK));
    bert_table_free(t);
    bert_model_free(m);
}

/* A GPT-2 has a byte-level vocabulary: a word is one token where the vocabulary reaches so far,
 * else two or more. */
static void test_gpt2(void **state) {
    static struct bert_config c;
    static struct bert_tokens tok;
    (void)state;
    for (int big = 0; big < 2; big++) {
        const char *name = big ? "gpt2-big" : "gpt2-small";
        struct bert_model *m = NULL;
        struct bert_table *t = NULL;
        char path[64];
        assert_true(bert_synth_shape(&c, "bert-tiny"));
        c.vocab = big ? 13200 : 340;
        c.max_positions = 64;
        bert_synth_arch(&c, BERT_ARCH_GPT2);
        assert_int_equal(bert_synth_write(folder(name), &c, 1, ROWS, 0), THOR_OK);
        if (bert_model_load(&m, scratch_path(name))) fail_msg("%s", thor_error());
        assert_int_equal(m->cfg.arch, BERT_ARCH_GPT2);
        snprintf(path, sizeof path, "%s/texts.tsv", name);
        assert_int_equal(bert_table_load(&t, scratch_path(path), NULL), THOR_OK);
        for (int i = 0; i < ROWS; i++) {
            int words = 1;
            for (const char *s = t->row[i].text; *s; s++) words += *s == ' ';
            assert_int_equal(bert_tokenize(&tok, m, t->row[i].text, NULL, 0), THOR_OK);
            assert_int_equal(tok.ids[0], c.vocab - 1);
            if (big)
                assert_int_equal(tok.n, words + 1);
            else
                assert_true(tok.n > 2 * words && tok.n <= 64);
            assert_int_equal(bert_forward(NULL, m, &tok, NULL), THOR_OK);
        }
        bert_table_free(t);
        bert_model_free(m);
    }
    c.vocab = 300;
    assert_int_equal(bert_synth_write(folder("gpt2-none"), &c, 1, 1, 0), THOR_USAGE);
}

/* Scores within 10 of a row's reference and not flat, variances over a decade, GELU and tanh off
 * zero. */
static void check_ranges(const struct bert_ranges *r) {
    double spread = 0;
    for (int l = 0; l < r->layers; l++) {
        const struct bert_layer_ranges *y = &r->layer[l];
        for (int h = 0; h < r->heads; h++) {
            assert_true(y->score_lo[h] > -12 && y->score_hi[h] < 12);
            assert_true(y->score_hi[h] - y->score_lo[h] > 2);
        }
        assert_true(y->gelu > 1 && y->gelu < 20);
        spread = y->var_hi[1] / y->var_lo[1] > spread ? y->var_hi[1] / y->var_lo[1] : spread;
        assert_true(y->var_hi[0] / y->var_lo[0] < 200 && y->var_hi[1] / y->var_lo[1] < 200);
    }
    assert_true(spread > 8);
    assert_true(r->tanh > 0.5 && r->tanh < 8);
}

static void load_texts(struct bert_model **m, struct bert_table **t, const char *text[ROWS],
                       const char *name) {
    char path[64];
    snprintf(path, sizeof path, "%s/texts.tsv", name);
    assert_int_equal(bert_model_load(m, scratch_path(name)), THOR_OK);
    assert_int_equal(bert_table_load(t, scratch_path(path), NULL), THOR_OK);
    for (int i = 0; i < ROWS; i++) text[i] = (*t)->row[i].text;
}

static void test_statistics(void **state) {
    struct bert_model *m = NULL;
    struct bert_table *t = NULL;
    struct bert_ranges *r = NULL;
    struct bert_plan *p = NULL;
    const char *text[ROWS];
    (void)state;
    load_texts(&m, &t, text, "a");
    assert_int_equal(bert_calibrate(&r, m, text, NULL, ROWS, 64), THOR_OK);
    check_ranges(r);
    assert_int_equal(bert_plan_new(&p, m, r, 64), THOR_OK);
    bert_plan_free(p);
    bert_ranges_free(r);
    bert_table_free(t);
    bert_model_free(m);
}

// more than one answer, and logits that differ from text to text
static void check_answers(const struct bert_model *m, const char *const *text) {
    double logits[BERT_MAX_LABELS], lo = INFINITY, hi = -INFINITY;
    int seen = 0;
    static struct bert_tokens tok;
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(bert_tokenize(&tok, m, text[i], NULL, 0), THOR_OK);
        assert_int_equal(bert_forward(logits, m, &tok, NULL), THOR_OK);
        lo = fmin(lo, logits[0]);
        hi = fmax(hi, logits[0]);
        seen |= 1 << (logits[1] > logits[0] ? 1 + (logits[2] > logits[1])
                                            : 2 * (logits[2] > logits[0]));
    }
    assert_true(hi - lo > 0.5);
    assert_true(seen & (seen - 1));
}

/* Heads 0 and 4 of layers 0 and 4 span what was asked for, the others what they do without. */
static void test_wide_scores(void **state) {
    static const int nats[] = {20, 45, 70};
    struct bert_config c = small_shape();
    (void)state;
    c.layers = 5;
    c.heads = 8;
    for (int i = dose_small() ? 2 : 0; i < 3; i++) {
        struct bert_model *m = NULL;
        struct bert_table *t = NULL;
        struct bert_ranges *r = NULL;
        const char *text[ROWS];
        char name[16];
        snprintf(name, sizeof name, "wide%d", nats[i]);
        assert_int_equal(bert_synth_write(folder(name), &c, 1, ROWS, nats[i]), THOR_OK);
        load_texts(&m, &t, text, name);
        check_answers(m, text);
        assert_int_equal(bert_calibrate(&r, m, text, NULL, ROWS, 64), THOR_OK);
        for (int l = 0; l < c.layers; l++)
            for (int h = 0; h < c.heads; h++) {
                const double span = r->layer[l].den_hi[h] - r->layer[l].den_lo[h];
                if (l % 4 || h % 4)
                    assert_true(span < 6);
                else
                    assert_true(span > 0.75 * nats[i] && span < 1.3 * nats[i]);
            }
        bert_ranges_free(r);
        bert_table_free(t);
        bert_model_free(m);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_names),       cmocka_unit_test(test_texts),
        cmocka_unit_test(test_statistics),  cmocka_unit_test(test_gpt2),
        cmocka_unit_test(test_wide_scores),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
