/* The normalizers and added tokens of tokenizer.json: the ids of the reference tokenizer, and what
 * is refused.
 *
 * tests/data/tokenrules.jsonl: the characters of the vocabulary (ids: five special tokens, then
 * each character and its "##" form), then a case a line.  The ids are those of tokenizers 0.23.3
 * (0.21.4 gives the same), in Python
 *     Tokenizer.from_str(json).encode(text).ids
 * for the json that write_tokenizer() makes of the case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <utf8proc.h>

#include "bert/input/text.h"
#include "bert/input/tokenrules.h"
#include "tests/scratch.h"

static json_t *vocab;
static struct bert_tokens tokens;

static void add_token(const char *text) {
    json_object_set_new(vocab, text, json_integer((json_int_t)json_object_size(vocab)));
}

static void make_vocab(const char *chars) {
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    vocab = json_object();
    for (int i = 0; i < 5; i++) add_token(special[i]);
    while (*chars) {
        utf8proc_int32_t c;
        char piece[16];
        const int n = (int)utf8proc_iterate((const utf8proc_uint8_t *)chars, -1, &c);
        assert_true(n > 0);
        snprintf(piece, sizeof piece, "##%.*s", n, chars);
        add_token(piece + 2);
        add_token(piece);
        chars += n;
    }
}

/* Tokens that are not in the vocabulary have the ids behind it. */
static void number(json_t *added) {
    size_t i;
    json_t *t;
    int next = (int)json_object_size(vocab);
    json_array_foreach(added, i, t) {
        json_t *known = json_object_get(vocab, json_string_value(json_object_get(t, "content")));
        json_object_set_new(t, "id", json_integer(known ? json_integer_value(known) : next++));
    }
}

static void write_tokenizer(json_t *normalizer, json_t *added) {
    static const char config[] = "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}";
    number(added);
    json_t *o = json_pack("{s:O, s:O, s:{s:s}, s:{s:s, s:[s, i], s:[s, i]}, s:{s:s, s:s, s:O}}",
                          "added_tokens", added, "normalizer", normalizer, "pre_tokenizer", "type",
                          "BertPreTokenizer", "post_processor", "type", "BertProcessing", "sep",
                          "[SEP]", 3, "cls", "[CLS]", 2, "model", "type", "WordPiece", "unk_token",
                          "[UNK]", "vocab", vocab);
    assert_non_null(o);
    assert_int_equal(json_dump_file(o, scratch_path("tokenizer.json"), 0), 0);
    json_decref(o);
    scratch_write("tokenizer_config.json", config, sizeof config - 1, 0600);
}

static int load(struct bert_model *m, json_t *normalizer, json_t *added) {
    *m = (struct bert_model){.cfg = {.max_positions = 512, .type_vocab = 2, .vocab = 1000}};
    write_tokenizer(normalizer, added);
    return bert_rules_load(&m->rules, &m->vocab, &m->cfg, scratch_path("."));
}

static void unload(struct bert_model *m) {
    bert_rules_free(m->rules);
    bert_vocab_free(m->vocab);
}

static void check_line(json_t *o, const char *line) {
    struct bert_model m;
    json_t *ids = json_object_get(o, "ids");
    const json_t *text = json_object_get(o, "text");
    assert_int_equal(load(&m, json_object_get(o, "normalizer"), json_object_get(o, "added")), 0);
    assert_int_equal(bert_tokenize_bytes(&tokens, &m, json_string_value(text),
                                         json_string_length(text), NULL, 0, 0),
                     THOR_OK);
    int same = tokens.n == (int)json_array_size(ids);
    for (int i = 0; same && i < tokens.n; i++)
        same = tokens.ids[i] == json_integer_value(json_array_get(ids, (size_t)i));
    if (!same) fail_msg("other ids than those of %s", line);
    unload(&m);
}

static void test_fixtures(void **state) {
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    FILE *f = fopen("tests/data/tokenrules.jsonl", "r");
    (void)state;
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; n++) {
        json_t *o = json_loads(line, 0, NULL);
        assert_non_null(o);
        if (n == 0)
            make_vocab(json_string_value(json_object_get(o, "chars")));
        else
            check_line(o, line);
        json_decref(o);
    }
    assert_int_equal(n, 103);
    free(line);
    fclose(f);
}

static json_t *parse(const char *text) {
    json_t *o = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(o);
    return o;
}

/* `text` NULL: the folder is refused, else the text. */
static void refuse(const char *normalizer, const char *added, const char *text, const char *says) {
    struct bert_model m;
    json_t *n = parse(normalizer), *a = parse(added);
    assert_int_equal(load(&m, n, a), text ? THOR_OK : THOR_MODEL);
    if (text) assert_int_equal(bert_tokenize(&tokens, &m, text, NULL, 0), THOR_INPUT);
    if (!strstr(thor_error(), says)) fail_msg("\"%s\" does not say \"%s\"", thor_error(), says);
    unload(&m);
    json_decref(n);
    json_decref(a);
}

static void test_refusals(void **state) {
    static const char *const other[] = {"NFKX", "BertNormaliser", "nfc", ""};
    (void)state;
    for (size_t i = 0; i < sizeof other / sizeof *other; i++) {
        char one[64], two[160];
        snprintf(one, sizeof one, "{\"type\":\"%s\"}", other[i]);
        snprintf(two, sizeof two, "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFC\"},%s]}",
                 one);
        refuse(one, "[]", NULL, "is not supported");
        refuse(two, "[]", NULL, "is not supported");
    }
    refuse("7", "[]", NULL, "\"?\" is not supported");
    refuse("null", "[{\"content\":\"foo\",\"lstrip\":1}]", NULL, "lstrip must be true or false");
    refuse("null", "[{\"content\":\"foo\",\"single_word\":\"\"}]", NULL, "single_word must be");
    refuse("null", "[{\"content\":\"\"}]", NULL, "an added token is empty");
    refuse("{\"type\":\"StripAccents\"}", "[{\"content\":\"\\u0301\",\"normalized\":true}]", NULL,
           "leaves nothing of the added token");
    // versions of the library differ: a text with it has no one answer, others have
    refuse("{\"type\":\"Lowercase\"}", "[{\"content\":\"Foo\"},{\"content\":\"FOO\"}]", "a foo",
           "what two added tokens have become");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fixtures),
                                       cmocka_unit_test(test_refusals)};
    const int failed = cmocka_run_group_tests(tests, scratch_open, scratch_close);
    json_decref(vocab);
    return failed;
}
