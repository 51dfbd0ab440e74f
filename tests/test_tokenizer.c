/* The ids of the reference tokenizer, and what is refused. */
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
#include "bert/input/table.h"
#include "bert/input/text.h"
#include "tests/scratch.h"

#define SHARED "../shared/data/"

static struct bert_model model; /* configuration and vocabulary are all that a tokenizer needs */
static struct bert_tokens tokens;

static int load(void **state) {
    return scratch_open(state) || bert_config_load(&model.cfg, "data/sst2-tiny") ||
           bert_vocab_load(&model.vocab, "data/sst2-tiny/vocab.txt");
}

static int unload(void **state) {
    bert_vocab_free(model.vocab);
    return scratch_close(state);
}

static void expect_ids(const json_t *ids, const json_t *types) {
    assert_int_equal(tokens.n, json_array_size(ids));
    for (int i = 0; i < tokens.n; i++) {
        assert_int_equal(tokens.ids[i], json_integer_value(json_array_get(ids, (size_t)i)));
        if (types)
            assert_int_equal(tokens.type_ids[i],
                             json_integer_value(json_array_get(types, (size_t)i)));
    }
}

/* One JSON object a line: text, perhaps pair, ids, perhaps type_ids. */
static int check_fixtures(const char *path, int *empty) {
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    for (; getline(&line, &room, f) > 0; n++) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        const json_t *text = json_object_get(o, "text"), *pair = json_object_get(o, "pair");
        const json_t *ids = json_object_get(o, "ids");
        assert_non_null(ids);
        int st =
            bert_tokenize_bytes(&tokens, &model, json_string_value(text), json_string_length(text),
                                json_string_value(pair), json_string_length(pair), 0);
        if (json_array_size(ids) == 2) { // [CLS] [SEP]: nothing to classify, which we refuse
            assert_int_equal(st, THOR_INPUT);
            ++*empty;
        } else {
            assert_int_equal(st, THOR_OK);
            expect_ids(ids, json_object_get(o, "type_ids"));
        }
        json_decref(o);
    }
    free(line);
    fclose(f);
    return n;
}

static void test_fixtures(void **state) {
    int empty = 0;
    (void)state;
    assert_int_equal(check_fixtures("tests/data/tokenizer.jsonl", &empty), 36);
    assert_int_equal(empty, 2);
}

static void test_shared_fixtures(void **state) {
    int empty = 0, n = check_fixtures(SHARED "tokenizer-fixtures.jsonl", &empty);
    (void)state;
    if (n == 0) skip();
    assert_int_equal(n, 136);
    assert_int_equal(empty, 2);
}

static void check_dev(const char *table, const char *expected, int rows) {
    struct bert_table *t = NULL;
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen(expected, "r");
    if (!f || !bert_file_exists(table)) skip();
    assert_int_equal(bert_table_load(&t, table, NULL), THOR_OK);
    assert_int_equal(t->n, rows);
    for (int i = 0; i < t->n; i++) {
        assert_true(getline(&line, &room, f) > 0);
        json_t *o = json_loads(line, 0, NULL);
        assert_int_equal(t->row[i].label, json_integer_value(json_object_get(o, "label")));
        assert_int_equal(bert_tokenize(&tokens, &model, t->row[i].text, t->row[i].text2, 0),
                         THOR_OK);
        expect_ids(json_object_get(o, "input_ids"), json_object_get(o, "token_type_ids"));
        json_decref(o);
    }
    free(line);
    fclose(f);
    bert_table_free(t);
}

static void test_dev_sentences(void **state) {
    (void)state;
    check_dev(SHARED "sst2-tiny/dev.tsv", SHARED "sst2-tiny/dev_expected.jsonl", 436);
}

static void test_dev_pairs(void **state) {
    (void)state;
    check_dev(SHARED "minilm-l6-mrpc/dev.tsv", SHARED "minilm-l6-mrpc/dev_expected.jsonl", 408);
}

static void expect_refusal(const char *text, size_t len, int max, const char *says) {
    assert_int_equal(bert_tokenize_bytes(&tokens, &model, text, len, NULL, 0, max), THOR_INPUT);
    assert_int_equal(tokens.n, 0);
    assert_non_null(strstr(thor_error(), says));
}

static void test_refusals(void **state) {
    static const char *const broken[] = {"a \xff b", "\xc3", "a\xed\xa0\x80", "\xc0\xaf",
                                         "\xf4\x90\x80\x80"};
    static char big[(1 << 20) + 1];
    (void)state;
    expect_refusal("", 0, 0, "empty");
    expect_refusal(" \t\n\xe2\x80\x8b", 6, 0, "empty");
    expect_refusal("\0\0", 2, 0, "empty");
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        expect_refusal(broken[i], strlen(broken[i]), 0, "UTF-8");
    memset(big, 'a', sizeof big);
    expect_refusal(big, sizeof big, 0, "bytes");
    assert_int_equal(bert_tokenize(&tokens, &model, "good", "", 0), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "second text"));
}

/* n one-token words give n + 2 tokens: the last that fits, the first that does not. */
static void test_length_limit(void **state) {
    char text[2 * 1100 + 1], says[64];
    const int limits[] = {128, 64, 5};
    (void)state;
    for (int i = 0; i < 1100; i++) memcpy(text + 2 * i, "a ", 3);
    for (size_t k = 0; k < sizeof limits / sizeof *limits; k++) {
        size_t fits = 2 * (size_t)(limits[k] - 2);
        assert_int_equal(bert_tokenize_bytes(&tokens, &model, text, fits, NULL, 0, limits[k]), 0);
        assert_int_equal(tokens.n, limits[k]);
        snprintf(says, sizeof says, "%d tokens", limits[k] + 1);
        expect_refusal(text, fits + 1, limits[k], says);
        snprintf(says, sizeof says, "limit is %d", limits[k]);
        expect_refusal(text, fits + 1, limits[k], says);
    }
    expect_refusal(text, 2 * 1100, 0, "1102 tokens");
    expect_refusal(text, 2 * 1100, 9999, "limit is 128");
}

static void test_pair_types(void **state) {
    const int types[] = {0, 0, 0, 1, 1, 1};
    (void)state;
    assert_int_equal(bert_tokenize(&tokens, &model, "good", "bad film", 0), THOR_OK);
    assert_int_equal(tokens.n, 6);
    assert_memory_equal(tokens.type_ids, types, sizeof types);
    assert_int_equal(tokens.ids[0], bert_vocab_special(model.vocab, BERT_CLS));
    assert_int_equal(tokens.ids[2], bert_vocab_special(model.vocab, BERT_SEP));
    assert_int_equal(tokens.ids[5], bert_vocab_special(model.vocab, BERT_SEP));
}

static void expect_pieces(const struct bert_model *m, const char *text, const char *want) {
    char got[256] = "";
    assert_int_equal(bert_tokenize(&tokens, m, text, NULL, 0), THOR_OK);
    for (int i = 1; i < tokens.n - 1; i++) {
        strcat(got, i > 1 ? " " : "");
        strcat(got, bert_vocab_token(m->vocab, tokens.ids[i]));
    }
    assert_string_equal(got, want);
}

/* A cased vocabulary keeps capitals and accents; "##" belongs to continuations only. */
static void test_casing(void **state) {
    static const char words[] =
        "[PAD]\n[UNK]\n[CLS]\n[SEP]\ncaf\nCaf\n##\xc3\xa9\n##e\nAB\n##B\nA\n#\n";
    struct bert_model m = {.cfg = {.max_positions = 64, .type_vocab = 2, .vocab = 12}};
    (void)state;
    scratch_write("vocab.txt", words, sizeof words - 1, 0600);
    assert_int_equal(bert_vocab_load(&m.vocab, scratch_path("vocab.txt")), THOR_OK);
    expect_pieces(&m, "Caf\xc3\xa9 cafe ABB CAF", "Caf ##\xc3\xa9 caf ##e AB ##B [UNK]");
    expect_pieces(&m, "##B", "# # [UNK]"); // the text's own signs
    m.cfg.lower_case = 1;
    expect_pieces(&m, "Caf\xc3\xa9 CAFE", "caf ##e caf ##e");
    bert_vocab_free(m.vocab);
}

static void expect_vocab_refusal(const char *text, const char *says) {
    struct bert_vocab *v = NULL;
    scratch_write("vocab.txt", text, strlen(text), 0600);
    assert_int_equal(bert_vocab_load(&v, scratch_path("vocab.txt")), THOR_MODEL);
    assert_null(v);
    assert_non_null(strstr(thor_error(), says));
}

static void test_vocab_refusals(void **state) {
    struct bert_vocab *v = NULL;
    (void)state;
    expect_vocab_refusal("[PAD]\n[UNK]\n[CLS]\na\n", "[SEP]");
    expect_vocab_refusal("[PAD]\n\n[CLS]\n[SEP]\n", "[UNK]");
    expect_vocab_refusal("[PAD]\n[UNK]\n[CLS]\n[SEP]\n\xff\n", "line 5");
    assert_int_equal(bert_vocab_load(&v, "no such folder/vocab.txt"), THOR_MODEL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fixtures),       cmocka_unit_test(test_shared_fixtures),
        cmocka_unit_test(test_dev_sentences),  cmocka_unit_test(test_dev_pairs),
        cmocka_unit_test(test_refusals),       cmocka_unit_test(test_length_limit),
        cmocka_unit_test(test_pair_types),     cmocka_unit_test(test_casing),
        cmocka_unit_test(test_vocab_refusals),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
