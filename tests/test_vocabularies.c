/* Byte-level BPE, Unigram and the other parts of tokenizer.json: the ids of the tokenizers library,
 * which tests/vocabularies.py computed, the bytes and words of tokens, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "bert/input/charclass.h"
#include "bert/input/text.h"
#include "bert/input/tokenrules.h"
#include "tests/scratch.h"

static struct bert_tokens tokens;

/* ---- folders */

static void write_json(const char *name, const json_t *o) {
    assert_int_equal(json_dump_file(o, scratch_path(name), 0), 0);
}

static void write_text(const char *name, const char *text) {
    scratch_write(name, text, strlen(text), 0600);
}

static void clear_folder(void) {
    static const char *const all[] = {"tokenizer.json", "tokenizer_config.json", "vocab.json",
                                      "merges.txt", "config.json"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) remove(scratch_path(all[i]));
}

static int load(struct bert_model *m) {
    *m = (struct bert_model){.cfg = {.max_positions = 512, .type_vocab = 2, .vocab = 1000}};
    return bert_rules_load(&m->rules, &m->vocab, &m->cfg, scratch_path("."));
}

static void unload(struct bert_model *m) {
    bert_rules_free(m->rules);
    bert_vocab_free(m->vocab);
}

#define OWN                                                                                        \
    "{\"tokenizer_class\":\"PreTrainedTokenizerFast\","                                            \
    "\"model_input_names\":[\"input_ids\",\"token_type_ids\"]}"

static void load_fixture(struct bert_model *m, const char *file, const char *config) {
    json_t *o = json_load_file(file, 0, NULL);
    assert_non_null(o);
    clear_folder();
    write_json("tokenizer.json", o);
    write_text("tokenizer_config.json", config);
    assert_int_equal(load(m), THOR_OK);
    json_decref(o);
}

/* ---- lines of fixtures */

typedef void line_fn(const json_t *o, const char *line, void *context);

static int each_line(const char *path, line_fn *each, void *context) {
    char *line = NULL;
    size_t room = 0;
    int n = 0;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    for (; getline(&line, &room, f) > 0; n++) {
        json_t *o = json_loads(line, JSON_ALLOW_NUL, NULL);
        assert_non_null(o);
        each(o, line, context);
        json_decref(o);
    }
    free(line);
    fclose(f);
    return n;
}

static int tokenize(const struct bert_model *m, const json_t *text, const json_t *pair) {
    return bert_tokenize_bytes(&tokens, m, json_string_value(text), json_string_length(text),
                               json_string_value(pair), json_string_length(pair), 0);
}

static int at(const json_t *list, int i) {
    return (int)json_integer_value(json_array_get(list, (size_t)i));
}

static void expect_ids(const json_t *ids, const char *line) {
    int same = tokens.n == (int)json_array_size(ids);
    for (int i = 0; same && i < tokens.n; i++) same = tokens.ids[i] == at(ids, i);
    if (!same) fail_msg("other ids than those of %.400s", line);
}

struct awkward {
    struct bert_model m;
    const char *key; /* whose ids */
    int specials;    /* of one text: a line with these alone is empty, and refused */
    int refused, spans;
};

static void check_awkward(const json_t *o, const char *line, void *context) {
    struct awkward *a = context;
    const json_t *ids = json_object_get(o, a->key), *spans = json_object_get(o, "spans");
    const json_t *words = json_object_get(o, "words");
    const int st = tokenize(&a->m, json_object_get(o, "text"), json_object_get(o, "pair"));
    if ((int)json_array_size(ids) == a->specials) {
        assert_int_equal(st, THOR_INPUT);
        assert_non_null(strstr(thor_error(), "empty"));
        a->refused++;
        return;
    }
    if (st != THOR_OK) fail_msg("%s: %.400s", thor_error(), line);
    expect_ids(ids, line);
    if (!spans || strcmp(a->key, "bytes") != 0) return;
    a->spans++;
    for (int i = 0; i < tokens.n; i++)
        if (tokens.start[i] != at(json_array_get(spans, (size_t)i), 0) ||
            tokens.end[i] != at(json_array_get(spans, (size_t)i), 1) ||
            tokens.word[i] != at(words, i))
            fail_msg("token %d is %d..%d of word %d in %.400s", i, tokens.start[i], tokens.end[i],
                     tokens.word[i], line);
}

static void test_bytes(void **state) {
    struct awkward a = {.key = "bytes", .specials = 2};
    (void)state;
    load_fixture(&a.m, "tests/data/bytebpe.json", OWN);
    assert_int_equal(each_line("tests/data/awkward.jsonl", check_awkward, &a), 293);
    assert_int_equal(a.refused, 1);
    assert_true(a.spans >= 40);
    unload(&a.m);
}

static void test_pieces(void **state) {
    struct awkward a = {.key = "pieces", .specials = 2};
    (void)state;
    load_fixture(&a.m, "tests/data/unigram.json", OWN);
    assert_int_equal(each_line("tests/data/awkward.jsonl", check_awkward, &a), 293);
    assert_int_equal(a.refused, 2);
    unload(&a.m);
    // the classes of XLM-R and CamemBERT take the same file
    load_fixture(&a.m, "tests/data/unigram.json", "{\"tokenizer_class\":\"XLMRobertaTokenizer\"}");
    each_line("tests/data/awkward.jsonl", check_awkward, &a);
    assert_int_equal(bert_vocab_special(a.m.vocab, BERT_CLS), 0);
    assert_int_equal(bert_vocab_special(a.m.vocab, BERT_SEP), 2);
    assert_int_equal(bert_vocab_special(a.m.vocab, BERT_PAD), 1);
    assert_int_equal(bert_vocab_special(a.m.vocab, BERT_UNK), 3);
    unload(&a.m);
}

/* ---- vocab.json and merges.txt */

static void write_parts(void) {
    json_t *o = json_load_file("tests/data/bytebpe.json", 0, NULL);
    json_t *model = json_object_get(o, "model"), *list = json_object_get(model, "merges"), *merge;
    size_t i;
    clear_folder();
    write_json("vocab.json", json_object_get(model, "vocab"));
    FILE *f = fopen(scratch_path("merges.txt"), "w");
    assert_non_null(f);
    fputs("#version: 0.2\n", f);
    json_array_foreach(list, i, merge) fprintf(f, "%s\n", json_string_value(merge));
    fclose(f);
    json_decref(o);
}

static void check_without_filmstar(const json_t *o, const char *line, void *context) {
    if (!strstr(line, "filmstar")) check_awkward(o, line, context); // the token only that file adds
}

static void test_roberta_files(void **state) {
    struct awkward a = {.key = "bytes", .specials = 2};
    (void)state;
    write_parts();
    write_text("config.json", "{\"model_type\":\"roberta\"}");
    assert_int_equal(load(&a.m), THOR_OK);
    each_line("tests/data/awkward.jsonl", check_without_filmstar, &a);
    assert_int_equal(bert_vocab_special(a.m.vocab, BERT_SEP), 2);
    assert_int_equal(bert_tokenize(&tokens, &a.m, "a", "b", 0), THOR_OK);
    for (int i = 0; i < tokens.n; i++) assert_int_equal(tokens.type_ids[i], 0);
    assert_int_equal(tokens.n, 6);
    assert_int_equal(tokens.second[3], 0);
    assert_int_equal(tokens.second[4], 1);
    unload(&a.m);
    write_text("tokenizer_config.json", "{\"add_prefix_space\":true}");
    assert_int_equal(load(&a.m), THOR_OK);
    assert_int_equal(bert_tokenize(&tokens, &a.m, "the", NULL, 0), THOR_OK);
    assert_string_equal(bert_vocab_token(a.m.vocab, tokens.ids[1]), "\xc4\xa0the");
    assert_int_equal(tokens.start[1], 0);
    assert_int_equal(tokens.end[1], 3);
    unload(&a.m);
}

/* GPT-2: no template; ids turn back into the bytes of the text. */
static void check_back(const json_t *o, const char *line, void *context) {
    const struct bert_model *m = context;
    const json_t *text = json_object_get(o, "text");
    char back[4096];
    size_t n = 0;
    if (json_string_length(text) == 0) return;
    assert_int_equal(tokenize(m, text, NULL), THOR_OK);
    for (int i = 0; i < tokens.n; i++) {
        const int len = bert_token_bytes(back + n, sizeof back - n, m, tokens.ids[i]);
        assert_true(len > 0);
        n += (size_t)len;
    }
    if (n != json_string_length(text) || memcmp(back, json_string_value(text), n) != 0)
        fail_msg("not the bytes of %.400s", line);
}

static void test_gpt2_files(void **state) {
    struct bert_model m;
    char byte[2] = "";
    (void)state;
    write_parts();
    write_text("config.json", "{\"model_type\":\"gpt2\"}");
    assert_int_equal(load(&m), THOR_OK);
    assert_int_equal(each_line("tests/data/awkward.jsonl", check_back, &m), 293);
    const int end = bert_vocab_special(m.vocab, BERT_SEP);
    assert_int_equal(end, 520); // added behind the vocabulary
    assert_int_equal(bert_vocab_special(m.vocab, BERT_CLS), end);
    assert_int_equal(bert_token_bytes(byte, 1, &m, end), 13);
    assert_int_equal(byte[0], '<');
    assert_int_equal(bert_token_bytes(byte, 1, &m, 521), -1);
    assert_int_equal(bert_token_bytes(byte, 1, &m, -1), -1);
    unload(&m);
}

static void test_byte_chars(void **state) {
    (void)state;
    for (int b = 0; b < 256; b++) {
        const int32_t c = bert_byte_char((uint8_t)b);
        assert_int_equal(bert_char_byte(c), b);
        for (int o = 0; o < b; o++) assert_int_not_equal(bert_byte_char((uint8_t)o), c);
    }
    assert_int_equal(bert_byte_char(' '), 0x120);
    assert_int_equal(bert_char_byte(' '), -1);
    assert_int_equal(bert_char_byte(0x144), -1);
}

/* ---- classes of characters */

static uint32_t crc32(const uint8_t *p, size_t n) {
    uint32_t r = ~0u;
    for (size_t i = 0; i < n; i++) {
        r ^= p[i];
        for (int k = 0; k < 8; k++) r = r >> 1 ^ (0xedb88320u & -(r & 1u));
    }
    return ~r;
}

static int is_changed(int32_t c) {
    return bert_lower(c) != c;
}

/* The members of each class, and the CRC-32 of a bit for each character. */
static void test_classes(void **state) {
    static const struct {
        int (*is)(int32_t c);
        int members;
        uint32_t crc;
    } class[] = {
        {bert_is_letter, 141028, 0x0c4a273a},  {bert_is_number, 1911, 0x8364c985},
        {bert_is_digit, 1924, 0xd5e8578e},     {bert_is_white, 25, 0x1f1c2093},
        {bert_is_word, 144667, 0x24def7ad},    {bert_is_punctuation, 726, 0x24cd48fe},
        {bert_is_mark, 2097, 0x26db6552},      {bert_is_mn, 1567, 0x17dd8ae7},
        {bert_is_dropped, 137681, 0xc0d3538a}, {is_changed, 1488, 0x94924356},
    };
    static uint8_t bit[0x110000 / 8];
    (void)state;
    for (size_t k = 0; k < sizeof class / sizeof *class; k++) {
        int n = 0;
        memset(bit, 0, sizeof bit);
        for (int32_t c = 0; c < 0x110000; c++) {
            const int is = (c < 0xd800 || c > 0xdfff) && class[k].is(c);
            n += is;
            if (is) bit[c / 8] |= (uint8_t)(1 << c % 8);
        }
        if (n != class[k].members || crc32(bit, sizeof bit) != class[k].crc)
            fail_msg("class %zu: %d members, 0x%08x", k, n, crc32(bit, sizeof bit));
    }
}

/* ---- other models, steps, templates */

struct pipelines {
    json_t *models, *texts;
};

static void check_pipeline(const json_t *o, const char *line, void *context) {
    struct pipelines *p = context;
    struct bert_model m;
    const json_t *ids = json_object_get(o, "ids");
    if (!p->models) {
        p->models = json_deep_copy(json_object_get(o, "models"));
        p->texts = json_deep_copy(json_object_get(o, "texts"));
        return;
    }
    json_t *model =
        json_deep_copy(json_object_get(p->models, json_string_value(json_object_get(o, "model"))));
    json_object_update(model, json_object_get(o, "set"));
    json_t *all = json_pack("{s:o, s:O?, s:O?, s:O?}", "model", model, "normalizer",
                            json_object_get(o, "normalizer"), "pre_tokenizer",
                            json_object_get(o, "pre_tokenizer"), "post_processor",
                            json_object_get(o, "post_processor"));
    write_json("tokenizer.json", all);
    if (load(&m) != THOR_OK) fail_msg("%s: %.400s", thor_error(), line);
    for (size_t i = 0; i < json_array_size(ids); i++) {
        if (tokenize(&m, json_array_get(p->texts, i), NULL)) fail_msg("%s: %s", thor_error(), line);
        expect_ids(json_array_get(ids, i), line);
    }
    assert_int_equal(tokenize(&m, json_array_get(p->texts, 0), json_array_get(p->texts, 1)), 0);
    expect_ids(json_object_get(o, "pair"), line);
    unload(&m);
    json_decref(all);
}

static void test_pipelines(void **state) {
    struct pipelines p = {0};
    (void)state;
    clear_folder();
    write_text("tokenizer_config.json", OWN);
    assert_int_equal(each_line("tests/data/pipelines.jsonl", check_pipeline, &p), 50);
    json_decref(p.models);
    json_decref(p.texts);
}

/* ---- long words, refusals */

/* A word of a million characters, each pair of which could merge: n log n, and then refused. */
static void test_long_words(void **state) {
    static const char *const file[] = {"tests/data/bytebpe.json", "tests/data/unigram.json"};
    const size_t n = (size_t)1 << 20;
    char *text = malloc(n);
    (void)state;
    assert_non_null(text);
    for (int k = 0; k < 4; k++) {
        struct bert_model m;
        for (size_t i = 0; i < n; i++) text[i] = k < 2 ? "the"[i % 3] : ' ';
        load_fixture(&m, file[k % 2], OWN);
        const int st = bert_tokenize_bytes(&tokens, &m, text, n, NULL, 0, 0);
        assert_int_equal(st, k == 3 ? THOR_OK : THOR_INPUT); // unigram.json joins blanks
        if (k < 3) assert_non_null(strstr(thor_error(), "limit is 512"));
        unload(&m);
    }
    free(text);
}

static void test_texts_refused(void **state) {
    struct bert_model m;
    (void)state;
    load_fixture(&m, "tests/data/bytebpe.json", OWN);
    static const char *const broken[] = {"a \xff b", "\xc3", "a\xed\xa0\x80", "\xc0\xaf",
                                         "\xf4\x90\x80\x80"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        assert_int_equal(bert_tokenize(&tokens, &m, broken[i], NULL, 0), THOR_INPUT);
        assert_non_null(strstr(thor_error(), "UTF-8"));
    }
    unload(&m);
}

static void refuse_json(const char *text, const char *says) {
    struct bert_model m;
    write_text("tokenizer.json", text);
    assert_int_equal(load(&m), THOR_MODEL);
    assert_null(m.rules);
    assert_null(m.vocab);
    if (!strstr(thor_error(), says)) fail_msg("\"%s\" does not say \"%s\"", thor_error(), says);
    assert_null(strchr(thor_error(), '\n'));
}

#define MODEL "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"[UNK]\":0,\"a\":1}}"
#define BPE(rest) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2}" rest "}}"
#define UNIGRAM(rest) "{\"model\":{\"type\":\"Unigram\",\"vocab\":" rest "}}"
#define NORM(rest) "{" MODEL ",\"normalizer\":{\"type\":" rest "}}"
#define PRE(rest) "{" MODEL ",\"pre_tokenizer\":{\"type\":" rest "}}"
#define POST(rest) "{" MODEL ",\"post_processor\":{\"type\":" rest "}}"

static void test_folders_refused(void **state) {
    static const struct {
        const char *text, *says;
    } bad[] = {
        {"{\"model\":{\"type\":\"WordLevel\",\"vocab\":{}}}",
         "model \"WordLevel\" is not supported"},
        {"{\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":1}}}", "[UNK] is missing"},
        {BPE(""), "model.merges is missing"},
        {BPE(",\"merges\":[\"a c\"]"), "merge 1 names a token"},
        {BPE(",\"merges\":[\"a b\",\"b a\"]"), "merge 2 makes a token"},
        {BPE(",\"merges\":[\"a b c\"]"), "merge 1 is not two tokens"},
        {BPE(",\"merges\":[\"ab\"]"), "merge 1 is not two tokens"},
        {BPE(",\"merges\":[[\"a\"]]"), "merge 1 is neither"},
        {BPE(",\"merges\":[],\"dropout\":0.1"), "dropout"},
        {BPE(",\"merges\":[],\"end_of_word_suffix\":1"), "end_of_word_suffix"},
        {UNIGRAM("{\"a\":1}"), "model.vocab is missing"},
        {UNIGRAM("[[1,2]]"), "token 0 of the vocabulary is no text"},
        {UNIGRAM("[[\"a\",\"b\"]]"), "token 0 of the vocabulary has no score"},
        {UNIGRAM("[[\"a\",-1]],\"unk_id\":1"), "unk_id"},
        {NORM("\"Foo\""), "normalizer \"Foo\" is not supported"},
        {NORM("\"Replace\",\"pattern\":{\"Regex\":\"a|b\"},\"content\":\"\""), "pattern"},
        {NORM("\"Replace\",\"pattern\":{\"Regex\":\"a{2}\"},\"content\":\"\""), "pattern"},
        {NORM("\"Replace\",\"pattern\":{\"String\":\"a\"}"), "content"},
        {NORM("\"Precompiled\",\"precompiled_charsmap\":\"!\""), "precompiled_charsmap: it is not"},
        {NORM("\"Precompiled\",\"precompiled_charsmap\":\"AAAA\""), "its trie"},
        {NORM("\"Precompiled\",\"precompiled_charsmap\":\"BAAAAAAAAAD/\""), "are not UTF-8"},
        {PRE("\"UnicodeScripts\""), "pre_tokenizer \"UnicodeScripts\" is not supported"},
        {PRE("\"Split\",\"pattern\":{\"Regex\":\"\\\\d\"},\"behavior\":\"Isolated\""), "pattern"},
        {PRE("\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\""), "behavior"},
        {PRE("\"Metaspace\",\"replacement\":\"ab\""), "replacement"},
        {PRE("\"Metaspace\",\"prepend_scheme\":\"last\""), "prepend_scheme"},
        {PRE("\"ByteLevel\",\"use_regex\":1"), "use_regex must be true or false"},
        {POST("\"Foo\""), "post_processor \"Foo\" is not supported"},
        {POST("\"BertProcessing\""), "sep and cls"},
        {POST("\"TemplateProcessing\",\"single\":[]"), "one text of A once"},
        {POST("\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"x\"}}]"),
         "without ids"},
    };
    (void)state;
    clear_folder();
    write_text("tokenizer_config.json", OWN);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) refuse_json(bad[i].text, bad[i].says);
}

/* Classes whose files are not there, or are another model's. */
static void test_classes_refused(void **state) {
    struct bert_model m;
    (void)state;
    clear_folder();
    write_text("config.json", "{\"model_type\":\"xlm-roberta\"}");
    assert_int_equal(load(&m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "XLMRobertaTokenizer needs a tokenizer.json: python3 -c"));
    write_text("config.json", "{\"model_type\":\"roberta\"}");
    assert_int_equal(load(&m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "vocab.json"));
    refuse_json("{" MODEL "}", "holds no BPE vocabulary, as a RobertaTokenizer has it: WordPiece");
    refuse_json(BPE(",\"merges\":[]"), "pre_tokenizer is no ByteLevel");
    write_text("tokenizer_config.json", "{\"tokenizer_class\":\"GemmaTokenizer\"}");
    refuse_json("{" MODEL "}", "tokenizer_class is \"GemmaTokenizer\"; supported are");
}

/* ---- a LlamaTokenizer as of Llama 2: no words, blanks as U+2581, bytes for what is no token */

static void write_llama2(void) {
    FILE *f = fopen(scratch_path("tokenizer.json"), "w");
    assert_non_null(f);
    fputs(
        "{\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\","
        "\"prepend\":\"\xe2\x96\x81\"},{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
        "\"content\":\"\xe2\x96\x81\"}]},\"post_processor\":{\"type\":\"TemplateProcessing\","
        "\"single\":[{\"SpecialToken\":{\"id\":\"<s>\"}},{\"Sequence\":{\"id\":\"A\"}}],\"pair\":["
        "{\"Sequence\":{\"id\":\"A\"}},{\"Sequence\":{\"id\":\"B\"}}],\"special_tokens\":{\"<s>\":{"
        "\"ids\":[1]}}},\"model\":{\"type\":\"BPE\",\"unk_token\":\"<unk>\",\"fuse_unk\":true,"
        "\"byte_fallback\":true,\"merges\":[\"a b\",\"\xe2\x96\x81 ab\"],\"vocab\":{\"<unk>\":0,"
        "\"<s>\":1,\"</s>\":2,",
        f);
    for (int i = 0; i < 256; i++) fprintf(f, "\"<0x%02X>\":%d,", i, 3 + i);
    fputs("\"\xe2\x96\x81\":259,\"a\":260,\"b\":261,\"ab\":262,\"\xe2\x96\x81"
          "ab\":263}}}",
          f);
    assert_int_equal(fclose(f), 0);
}

static void test_llama2(void **state) {
    static const int want[] = {1, 263, 263, 259, 259, 3 + 0xc3, 3 + 0xa9};
    struct bert_model m;
    char back[64];
    size_t n = 0;
    (void)state;
    clear_folder();
    write_llama2();
    write_text("tokenizer_config.json",
               "{\"tokenizer_class\":\"LlamaTokenizer\",\"unk_token\":null,"
               "\"add_bos_token\":true,\"bos_token\":\"<s>\"}");
    assert_int_equal(load(&m), THOR_OK);
    assert_int_equal(bert_tokenize(&tokens, &m, "ab ab  \xc3\xa9", NULL, 0), THOR_OK);
    assert_int_equal(tokens.n, 7);
    assert_memory_equal(tokens.ids, want, sizeof want);
    for (int i = 1; i < 7; i++) {
        const int len = bert_token_bytes(back + n, sizeof back - n, &m, tokens.ids[i]);
        assert_true(len > 0);
        n += (size_t)len;
    }
    assert_int_equal(n, 10);
    assert_memory_equal(back, " ab ab  \xc3\xa9", n);
    unload(&m);
    write_text("tokenizer_config.json",
               "{\"tokenizer_class\":\"LlamaTokenizerFast\",\"add_bos_token\":false}");
    assert_int_equal(load(&m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "add_bos_token is not what the post_processor"));
    write_text("tokenizer_config.json",
               "{\"tokenizer_class\":\"LlamaTokenizer\",\"add_eos_token\":true}");
    assert_int_equal(load(&m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "add_eos_token is not what"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes),           cmocka_unit_test(test_pieces),
        cmocka_unit_test(test_roberta_files),   cmocka_unit_test(test_gpt2_files),
        cmocka_unit_test(test_byte_chars),      cmocka_unit_test(test_classes),
        cmocka_unit_test(test_pipelines),       cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_texts_refused),   cmocka_unit_test(test_folders_refused),
        cmocka_unit_test(test_classes_refused), cmocka_unit_test(test_llama2),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
