/* Model folders: what is read is what was written, and each kind of damage is refused by name. */
#include <ctype.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "bert/input/jsonfile.h"
#include "bert/input/model.h"
#include "bert/input/safetensors.h"
#include "bert/input/text.h"
#include "tests/scratch.h"

/* A model of hidden 8, one layer of 2 heads, FFN 16, 5 words, 4 positions, 2 types, 3 labels. */
#define CONFIG                                                                                     \
    "{\"model_type\":\"bert\",\"hidden_act\":\"gelu\",\"hidden_size\":8,\"num_hidden_layers\":1,"  \
    "\"num_attention_heads\":2,\"intermediate_size\":16,\"vocab_size\":5,"                         \
    "\"max_position_embeddings\":4,\"type_vocab_size\":2,\"layer_norm_eps\":1e-6,"                 \
    "\"id2label\":{\"0\":\"no\",\"1\":\"yes\",\"2\":\"maybe\"}}"
#define VOCAB "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n"
#define L0 "bert.encoder.layer.0."

enum dtype { F32, F16, BF16, F64 };

struct entry {
    const char *name;
    int rows, cols;
};

static const struct entry entries[] = {
    {"bert.embeddings.word_embeddings.weight", 5, 8},
    {"bert.embeddings.position_embeddings.weight", 4, 8},
    {"bert.embeddings.token_type_embeddings.weight", 2, 8},
    {"bert.embeddings.LayerNorm.weight", 0, 8},
    {"bert.embeddings.LayerNorm.bias", 0, 8},
    {L0 "attention.self.query.weight", 8, 8},
    {L0 "attention.self.query.bias", 0, 8},
    {L0 "attention.self.key.weight", 8, 8},
    {L0 "attention.self.key.bias", 0, 8},
    {L0 "attention.self.value.weight", 8, 8},
    {L0 "attention.self.value.bias", 0, 8},
    {L0 "attention.output.dense.weight", 8, 8},
    {L0 "attention.output.dense.bias", 0, 8},
    {L0 "attention.output.LayerNorm.weight", 0, 8},
    {L0 "attention.output.LayerNorm.bias", 0, 8},
    {L0 "intermediate.dense.weight", 16, 8},
    {L0 "intermediate.dense.bias", 0, 16},
    {L0 "output.dense.weight", 8, 16},
    {L0 "output.dense.bias", 0, 8},
    {L0 "output.LayerNorm.weight", 0, 8},
    {L0 "output.LayerNorm.bias", 0, 8},
    {"bert.pooler.dense.weight", 8, 8},
    {"bert.pooler.dense.bias", 0, 8},
    {"classifier.weight", 3, 8},
    {"classifier.bias", 0, 3},
};
#define NENTRIES ((int)(sizeof entries / sizeof *entries))

struct image { /* a safetensors file being made; odd things are done to its header as text */
    char header[8192];
    unsigned char data[32768];
    size_t n; /* bytes of data */
};

static int entry_size(const struct entry *e) {
    return (e->rows ? e->rows : 1) * e->cols;
}

/* Weight i of tensor e: a multiple of 1/8 below 8, so exact in all four types. */
static float value(int e, int i) {
    return (float)((e * 37 + i * 11) % 127 - 63) / 8;
}

static unsigned half_of(float v) { // exact for the values above
    int e;
    float f = frexpf(fabsf(v), &e);
    unsigned bits = v == 0 ? 0 : (unsigned)(e + 14) << 10 | ((unsigned)ldexpf(f, 11) & 1023);
    return bits | (v < 0 ? 0x8000u : 0);
}

static const struct {
    const char *name;
    int bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}};

static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void put_value(struct image *m, float v, enum dtype type) {
    uint32_t single;
    memcpy(&single, &v, sizeof single);
    const uint64_t narrow = type == F16 ? half_of(v) : type == BF16 ? single >> 16 : single;
    const uint64_t bits = type == F64 ? bits_of((double)v) : narrow;
    for (int k = 0; k < dtypes[type].bytes; k++) m->data[m->n++] = (unsigned char)(bits >> 8 * k);
}

static void build(struct image *m, enum dtype type) {
    size_t at = (size_t)sprintf(m->header, "{\"__metadata__\":{\"format\":\"pt\"}");
    m->n = 0;
    for (int e = 0; e < NENTRIES; e++) {
        const size_t begin = m->n;
        char shape[32];
        for (int i = 0; i < entry_size(&entries[e]); i++) put_value(m, value(e, i), type);
        snprintf(shape, sizeof shape, "%d", entries[e].cols);
        if (entries[e].rows)
            snprintf(shape, sizeof shape, "%d,%d", entries[e].rows, entries[e].cols);
        at += (size_t)sprintf(
            m->header + at, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
            entries[e].name, dtypes[type].name, shape, begin, m->n);
        assert_true(at + 300 < sizeof m->header && m->n + 2000 < sizeof m->data);
    }
    strcat(m->header, "}");
}

/* In the header, `old` (which must be there) becomes `new`. */
static void replace(struct image *m, const char *old, const char *new) {
    char *p = strstr(m->header, old), tail[sizeof m->header];
    assert_non_null(p);
    strcpy(tail, p + strlen(old));
    assert_true(strlen(m->header) + strlen(new) < sizeof m->header);
    strcpy(p, new);
    strcat(p, tail);
}

/* header_len < 0: the true one.  cut: bytes left away at the end. */
static void write_image(const struct image *m, int64_t header_len, size_t cut) {
    static unsigned char file[8 + sizeof m->header + sizeof m->data];
    const size_t len = strlen(m->header);
    const uint64_t told = header_len < 0 ? len : (uint64_t)header_len;
    for (int k = 0; k < 8; k++) file[k] = (unsigned char)(told >> 8 * k);
    memcpy(file + 8, m->header, len);
    memcpy(file + 8 + len, m->data, m->n);
    assert_true(cut <= 8 + len + m->n);
    scratch_write("model.safetensors", file, 8 + len + m->n - cut, 0600);
}

static void write_folder(const struct image *m, const char *config, const char *vocab) {
    scratch_empty();
    scratch_write("config.json", config, strlen(config), 0600);
    scratch_write("vocab.txt", vocab, strlen(vocab), 0600);
    write_image(m, -1, 0);
}

static void refuse(const char *says, const char *says_too) {
    struct bert_model *model = (struct bert_model *)&model;
    assert_int_equal(bert_model_load(&model, scratch_path(".")), THOR_MODEL);
    assert_null(model);
    if (!strstr(thor_error(), says) || !strstr(thor_error(), says_too))
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", thor_error(), says, says_too);
}

static struct bert_model *accept(void) {
    struct bert_model *model = NULL;
    if (bert_model_load(&model, scratch_path("."))) fail_msg("%s", thor_error());
    return model;
}

static void expect_tensor(const float *w, int e) {
    for (int i = 0; i < entry_size(&entries[e]); i++) assert_true(w[i] == value(e, i));
}

static void test_types(void **state) {
    static struct image m;
    (void)state;
    for (enum dtype type = F32; type <= F64; type++) {
        build(&m, type);
        write_folder(&m, CONFIG, VOCAB);
        struct bert_model *b = accept();
        const struct bert_layer *l = &b->layer[0];
        const float *const order[NENTRIES] = {
            b->word,     b->position, b->type,     b->emb_ln.gamma, b->emb_ln.beta,
            l->q.w,      l->q.b,      l->k.w,      l->k.b,          l->v.w,
            l->v.b,      l->o.w,      l->o.b,      l->ln1.gamma,    l->ln1.beta,
            l->ffn1.w,   l->ffn1.b,   l->ffn2.w,   l->ffn2.b,       l->ln2.gamma,
            l->ln2.beta, b->pooler.w, b->pooler.b, b->classifier.w, b->classifier.b};
        for (int e = 0; e < NENTRIES; e++) expect_tensor(order[e], e);
        assert_int_equal(l->ffn1.in, 8);
        assert_int_equal(l->ffn1.out, 16);
        assert_int_equal(b->classifier.out, 3);
        bert_model_free(b);
    }
}

static void test_extremes_of_half(void **state) {
    /* smallest subnormal, largest subnormal, smallest normal, largest, minus zero, one */
    static const uint16_t bits[] = {0x0001, 0x03ff, 0x0400, 0x7bff, 0x8000, 0x3c00, 0x0000, 0xbc00};
    static const float want[] = {0x1p-24f, 0x1.ff8p-15f, 0x1p-14f, 65504, -0.0f, 1, 0, -1};
    static struct image m;
    (void)state;
    build(&m, F16);
    for (int i = 0; i < 8; i++) {
        m.data[2 * i] = (unsigned char)bits[i];
        m.data[2 * i + 1] = (unsigned char)(bits[i] >> 8);
    }
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept();
    assert_memory_equal(b->word, want, sizeof want);
    bert_model_free(b);
}

static void put_doubles(struct image *m, const double *x, int n) {
    for (int i = 0; i < 8 * n; i++) m->data[i] = (unsigned char)(bits_of(x[i / 8]) >> 8 * (i % 8));
}

/* A double is rounded to the nearest float, ties to even. */
static void test_doubles(void **state) {
    static const double from[] = {0.1,  1 + 0x1p-24, 1 + 0x3p-24, 1 + 0x1.000002p-24,
                                  -0.0, 0x1p-149,    0x1p-151,    -0x1.fffffep127};
    static const float want[] = {0.1f,      1, 1 + 0x1p-22f,    1 + 0x1p-23f, -0.0f,
                                 0x1p-149f, 0, -0x1.fffffep127f};
    static struct image m;
    (void)state;
    build(&m, F64);
    put_doubles(&m, from, 8);
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept();
    assert_memory_equal(b->word, want, sizeof want);
    bert_model_free(b);
    put_doubles(&m, (const double[]){1e39}, 1); // finite, and beyond every float
    write_folder(&m, CONFIG, VOCAB);
    refuse("word_embeddings.weight: element 0", "infinite");
}

static void test_configuration(void **state) {
    static struct image m;
    size_t n = 0;
    (void)state;
    build(&m, F32);
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept();
    assert_int_equal(b->cfg.heads, 2);
    assert_int_equal(b->cfg.max_positions, 4);
    assert_int_equal(b->cfg.labels, 3);
    assert_string_equal(b->cfg.label_names[2], "maybe");
    assert_true(b->cfg.eps == 1e-6);
    assert_int_equal(b->cfg.lower_case, 1);
    assert_int_equal(bert_vocab_special(b->vocab, BERT_SEP), 3);
    unsigned char *file = scratch_read("model.safetensors", &n);
    assert_true(b->hash == XXH3_64bits(file, n));
    free(file);
    bert_model_free(b);
    scratch_write("tokenizer_config.json", "{\"do_lower_case\":false}", 23, 0600);
    b = accept();
    assert_int_equal(b->cfg.lower_case, 0);
    bert_model_free(b);
}

/* Other names of the same tensors: gamma and beta, the head of next-sentence prediction. */
static void test_old_names(void **state) {
    static struct image m;
    (void)state;
    build(&m, F16);
    replace(&m, "embeddings.LayerNorm.weight", "embeddings.LayerNorm.gamma");
    replace(&m, "embeddings.LayerNorm.bias", "embeddings.LayerNorm.beta");
    replace(&m, "\"classifier.weight", "\"cls.seq_relationship.weight");
    replace(&m, "\"classifier.bias", "\"cls.seq_relationship.bias");
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept();
    expect_tensor(b->emb_ln.gamma, 3);
    expect_tensor(b->emb_ln.beta, 4);
    expect_tensor(b->classifier.w, NENTRIES - 2);
    bert_model_free(b);
    char named[2 * sizeof CONFIG];
    snprintf(named, sizeof named, "{\"architectures\":[\"BertForSequenceClassification\"],%s",
             CONFIG + 1);
    write_folder(&m, named, VOCAB);
    refuse("classifier.weight", "is missing");
    for (int i = 0; i < 2; i++) {
        snprintf(named, sizeof named, "{\"architectures\":[\"BertFor%s\"],%s",
                 i ? "PreTraining" : "NextSentencePrediction", CONFIG + 1);
        write_folder(&m, named, VOCAB);
        bert_model_free(accept());
    }
    build(&m, F16);
    write_folder(&m, named, VOCAB);
    refuse("cls.seq_relationship.weight", "is missing");
}

/* A checkpoint of the bare encoder names its tensors without "bert."; its head keeps its own
 * name. */
static void test_without_prefix(void **state) {
    static struct image m;
    char *at;
    (void)state;
    build(&m, BF16);
    while ((at = strstr(m.header, "\"bert."))) memmove(at + 1, at + 6, strlen(at + 6) + 1);
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept();
    expect_tensor(b->layer[0].ffn2.w, 17);
    expect_tensor(b->pooler.b, 22);
    expect_tensor(b->classifier.w, 23);
    bert_model_free(b);
    replace(&m, "embeddings.word_embeddings", "distilbert.embeddings.word_embeddings");
    write_folder(&m, CONFIG, VOCAB);
    refuse("model.safetensors", "no weights of a BERT");
}

/* What programs around the usual library write: a wrapper's name in front, and a classifier of
 * their own behind the encoder; of two that may be it none is taken. */
static void test_other_names(void **state) {
    static struct image m;
    (void)state;
    build(&m, F16);
    for (char *at = m.header; (at = strstr(at, "\"bert.")); at += 12) {
        memmove(at + 8, at + 1, strlen(at + 1) + 1);
        memcpy(at + 1, "module.", 7);
    }
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *b = accept(); // with a head that is not wrapped
    expect_tensor(b->layer[0].ffn2.w, 17);
    expect_tensor(b->classifier.w, 23);
    bert_model_free(b);
    replace(&m, "\"classifier.weight", "\"module.fc.weight");
    replace(&m, "\"classifier.bias", "\"module.fc.bias");
    write_folder(&m, CONFIG, VOCAB);
    b = accept();
    expect_tensor(b->classifier.w, 23);
    expect_tensor(b->classifier.b, 24);
    bert_model_free(b);
    replace(&m, "bert.pooler.dense.bias", "linear.weight");
    char named[2 * sizeof CONFIG];
    snprintf(named, sizeof named, "{\"architectures\":[\"BertForSequenceClassification\"],%s",
             CONFIG + 1);
    write_folder(&m, named, VOCAB);
    refuse("model.safetensors", "is missing");
}

/* The weights by their own name, whatever it is; the other files lie beside them. */
static void test_bare_file(void **state) {
    static struct image m;
    struct bert_model *b = NULL;
    char dir[512];
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB);
    assert_int_equal(rename(scratch_path("model.safetensors"), scratch_path("tuned.safetensors")),
                     0);
    assert_int_equal(bert_model_load(&b, scratch_path("tuned.safetensors")), THOR_OK);
    expect_tensor(b->word, 0);
    bert_model_free(b);
    assert_int_equal(bert_model_load(&b, scratch_path("other.safetensors")), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "other.safetensors"));
    assert_int_equal(bert_model_folder(dir, sizeof dir, "a/b.safetensors"), THOR_OK);
    assert_string_equal(dir, "a");
    assert_int_equal(bert_model_folder(dir, sizeof dir, "b.safetensors"), THOR_OK);
    assert_string_equal(dir, ".");
    assert_int_equal(bert_model_folder(dir, sizeof dir, "/b.safetensors"), THOR_OK);
    assert_string_equal(dir, "/");
    assert_int_equal(bert_model_folder(dir, sizeof dir, "some/folder"), THOR_OK);
    assert_string_equal(dir, "some/folder");
    assert_int_equal(bert_model_folder(dir, 5, "some/folder"), THOR_MODEL);
}

#define SPLIT "\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},"
#define WORDS                                                                                      \
    "\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":4,\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,"    \
    "\"[SEP]\":3}}"
#define ENDS(sep)                                                                                  \
    "\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"[SEP]\"," #sep                     \
    "],\"cls\":[\"[CLS]\",2]}"

#define LOWER "\"normalizer\":{\"type\":\"BertNormalizer\"}"

/* tokenizer.json goes before vocab.txt, as in the usual library. */
static void test_tokenizer_json(void **state) {
    static const struct {
        const char *text, *says;
    } bad[] = {{"{", "tokenizer.json: not a JSON object"},
               {"{\"model\":{\"type\":\"BPE\",\"vocab\":{}}}", "BPE"},
               {"{\"model\":{\"vocab\":[1]}}", "Unigram"},
               {"{\"model\":{\"vocab\":1}}", "model.vocab is missing"},
               {"{\"model\":{\"vocab\":{}}}", "[UNK] is missing"},
               {"{" WORDS "}", "pre_tokenizer"},
               {"{" SPLIT "\"model\":{\"vocab\":{\"a\":-1}}}", "the id of token a"},
               {"{" SPLIT "\"model\":{\"vocab\":{\"[PAD]\":0,\"[UNK]\":1,\"[CLS]\":2,\"b\":3}}}",
                "[SEP] is missing"},
               {"{" SPLIT WORDS "," LOWER "}", "post_processor"},
               {"{" SPLIT WORDS "," LOWER "," ENDS(7) "}", "post_processor"},
               {"{" SPLIT WORDS "," ENDS(3) "}", "normalizer"},
               {"{" SPLIT WORDS "," ENDS(3) ",\"normalizer\":{\"type\":\"NFC\"}}", "normalizer"}};
    const char *good = "{" SPLIT WORDS "," ENDS(3) "," LOWER "}";
    static struct image m;
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB);
    remove(scratch_path("vocab.txt"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write("tokenizer.json", bad[i].text, strlen(bad[i].text), 0600);
        refuse("tokenizer.json", bad[i].says);
    }
    scratch_write("tokenizer.json", good, strlen(good), 0600);
    struct bert_model *b = accept();
    assert_int_equal(bert_vocab_id(b->vocab, "a", 1), 4);
    assert_int_equal(bert_vocab_special(b->vocab, BERT_SEP), 3);
    bert_model_free(b);
}

static void expect_lower(const char *tokenizer, const char *config, const char *vocab, int want) {
    static struct image m;
    build(&m, F16);
    write_folder(&m, config, vocab);
    if (tokenizer) scratch_write("tokenizer_config.json", tokenizer, strlen(tokenizer), 0600);
    struct bert_model *b = accept();
    assert_int_equal(b->cfg.lower_case, want);
    bert_model_free(b);
}

/* tokenizer_config.json says whether text is lowered; without it it is, whatever the vocabulary. */
static void test_casing(void **state) {
    char cased[2 * sizeof CONFIG];
    (void)state;
    const char *paris = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nParis\n";
    snprintf(cased, sizeof cased, "{\"do_lower_case\":false,%s", CONFIG + 1);
    expect_lower(NULL, CONFIG, VOCAB, 1);
    expect_lower(NULL, CONFIG, paris, 1);
    expect_lower("{}", CONFIG, paris, 1);
    expect_lower("{\"do_lower_case\":false,\"strip_accents\":null}", CONFIG, VOCAB, 0);
    expect_lower("{\"do_lower_case\":false}", cased, VOCAB, 0);
    scratch_write("tokenizer_config.json", "{}", 2, 0600);
    refuse("config.json", "put it into tokenizer_config.json");
    scratch_write("tokenizer_config.json", "{\"do_lower_case\":1}", 19, 0600);
    refuse("tokenizer_config.json", "do_lower_case must be");
    scratch_write("tokenizer_config.json", "{\"tokenizer_class\":\"BertJapaneseTokenizer\"}", 43,
                  0600);
    refuse("tokenizer_config.json", "BertJapaneseTokenizer");
    scratch_write("tokenizer_config.json", "{\"tokenizer_class\":\"PreTrainedTokenizerFast\"}", 45,
                  0600);
    refuse("tokenizer_config.json", "needs a tokenizer.json");
}

static void test_tensors_refused(void **state) {
    static const struct {
        const char *old, *new, *says, *too;
    } damage[] = {
        {L0 "attention.self.key.bias", "x.bias", L0 "attention.self.key.bias", "is missing"},
        {"\"shape\":[5,8]", "\"shape\":[8,5]", "word_embeddings.weight is 8 x 5", "asks for 5 x 8"},
        {"\"shape\":[5,8]", "\"shape\":[40]", "is 40", "asks for 5 x 8"},
        {"\"shape\":[5,8]", "\"shape\":[6,8]", "word_embeddings", "different lengths"},
        {"\"shape\":[5,8]", "\"shape\":[-5,-8]", "word_embeddings", "shape is malformed"},
        {"\"shape\":[5,8]", "\"shape\":[4294967296,4294967296]", "word_embeddings", "too large"},
        {"\"shape\":[5,8]", "\"shape\":[1,1,1,1,1,1,1,5,8]", "word_embeddings", "malformed"},
        {"\"shape\":[5,8]", "\"shape\":\"5,8\"", "word_embeddings", "malformed"},
        {"\"dtype\":\"F16\"", "\"dtype\":\"I16\"", "holds I16", "F32, F16, BF16 and F64"},
        {"\"dtype\":\"F16\"", "\"dtype\":\"F4\"", "word_embeddings", "unknown dtype"},
        {"\"data_offsets\":[0,80]", "\"data_offsets\":[80,0]", "word_embeddings", "malformed"},
        {"\"data_offsets\":[0,80]", "\"data_offsets\":[0]", "word_embeddings", "malformed"},
        {"\"data_offsets\":[0,80]", "\"data_offsets\":[0,9e9]", "word_embeddings", "malformed"},
        {"\"data_offsets\":[0,80]", "\"data_offsets\":[9000000000,9000000080]", "word_embeddings",
         "truncated"},
        {"\"data_offsets\":[0,80]", "\"data_offsets\":[80,160]", "leave a gap at byte 80", "again"},
        {"\"data_offsets\":[80,", "\"data_offsets\":[0,", "different lengths", ""},
        {"[8],\"data_offsets\":[192,208]", "[8],\"data_offsets\":[176,192]", "overlap at byte 176",
         "again"},
        {"token_type_embeddings.weight", "position_embeddings.weight", "not a JSON object",
         "duplicate"},
        {"embeddings.word", "embeddings\\u001b[31m", "malformed name", ""},
        {"{\"__metadata__\"", "[\"__metadata__\"", "not a JSON object", ""},
    };
    static struct image m;
    (void)state;
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        build(&m, F16);
        replace(&m, damage[i].old, damage[i].new);
        write_folder(&m, CONFIG, VOCAB);
        refuse(damage[i].says, damage[i].too);
    }
}

static void test_not_finite(void **state) {
    static const struct {
        enum dtype type;
        unsigned top; /* the two upper bytes */
        const char *says;
    } bad[] = {{F16, 0x7e00, "NaN"},       {F16, 0xfc00, "infinite"}, {BF16, 0x7fc0, "NaN"},
               {BF16, 0xff80, "infinite"}, {F32, 0x7fc0, "NaN"},      {F32, 0x7f80, "infinite"},
               {F64, 0x7ff8, "NaN"},       {F64, 0xfff0, "infinite"}};
    static struct image m;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const size_t each = (size_t)dtypes[bad[i].type].bytes;
        build(&m, bad[i].type);
        memset(m.data + 7 * each, 0, each);
        m.data[8 * each - 2] = (unsigned char)bad[i].top;
        m.data[8 * each - 1] = (unsigned char)(bad[i].top >> 8);
        write_folder(&m, CONFIG, VOCAB);
        refuse("word_embeddings.weight: element 7", bad[i].says);
    }
}

static void test_file_ends(void **state) {
    static struct image m;
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB);
    const size_t size = 8 + strlen(m.header) + m.n;
    for (size_t cut = 1; cut <= size; cut += cut < 64 ? 1 : 97) { // every length is refused
        write_image(&m, -1, cut);
        refuse("model.safetensors", "");
    }
    write_image(&m, -1, 2);
    refuse("classifier.bias", "truncated");
    write_image(&m, INT64_MAX, 0);
    refuse("header", "truncated");
    write_image(&m, 0, 0);
    refuse("not a JSON object", "");
    write_image(&m, (int64_t)strlen(m.header) - 1, 0);
    refuse("not a JSON object", "");
    m.data[m.n++] = 0;
    write_image(&m, -1, 0);
    refuse("1 bytes behind the last tensor", "");
}

#define INDEX "model.safetensors.index.json"

/* Tensors from `cut` on stand in b.safetensors, those before it in a.safetensors; each file has the
 * others too, under names in capitals. */
static void write_shards(const struct image *m, int cut) {
    for (int file = 0; file < 2; file++) {
        static struct image part;
        part = *m;
        for (int e = 0; e < NENTRIES; e++) {
            char *p = strstr(part.header, entries[e].name);
            for (; (e < cut) == file && *p != '"'; p++) *p = (char)toupper((unsigned char)*p);
        }
        write_image(&part, -1, 0);
        assert_int_equal(rename(scratch_path("model.safetensors"),
                                scratch_path(file ? "b.safetensors" : "a.safetensors")),
                         0);
    }
}

static void write_index(int cut, const char *old, const char *new) {
    char text[8192] = "{\"metadata\":{\"total_size\":1},\"weight_map\":{", tail[8192];
    for (int e = 0; e < NENTRIES; e++)
        sprintf(text + strlen(text), "%s\"%s\":\"%s\"", e ? "," : "", entries[e].name,
                e < cut ? "a.safetensors" : "b.safetensors");
    strcat(text, "}}");
    char *p = strstr(text, old);
    assert_non_null(p);
    strcpy(tail, p + strlen(old));
    strcat(strcpy(p, new), tail);
    scratch_write(INDEX, text, strlen(text), 0600);
}

/* Every cut gives the same weights, and each a hash of its own. */
static void test_shards(void **state) {
    static struct image m;
    uint64_t hash[NENTRIES] = {0};
    (void)state;
    build(&m, BF16);
    write_folder(&m, CONFIG, VOCAB);
    struct bert_model *whole = accept();
    remove(scratch_path("model.safetensors"));
    for (int cut = 1; cut < NENTRIES; cut++) {
        write_shards(&m, cut);
        write_index(cut, "", "");
        struct bert_model *b = accept();
        assert_int_equal(b->nweights, whole->nweights);
        assert_memory_equal(b->weights, whole->weights, b->nweights * sizeof *b->weights);
        hash[cut] = b->hash;
        assert_true(hash[cut] != hash[cut - 1] && hash[cut] != whole->hash);
        bert_model_free(b);
    }
    bert_model_free(whole);
}

static void test_shards_refused(void **state) {
    static const struct {
        const char *old, *new, *says, *too;
    } bad[] = {
        {"{\"metadata", "[\"metadata", INDEX, "not a JSON object"},
        {"weight_map", "weights", INDEX, "weight_map is missing"},
        {"{\"bert", "[\"bert", INDEX, "not a JSON object"},
        {"bias\":\"b.safetensors", "bias\":\"/b.safetensors", "classifier.bias", "plain name"},
        {"bias\":\"b.safetensors", "bias\":\"..\\\\b.safetensors", "classifier.bias", "plain name"},
        {"bias\":\"b.safetensors", "bias\":\"b\\u0007.safetensors", "classifier.bias",
         "plain name"},
        {"bias\":\"b.safetensors", "bias\":\"..", "classifier.bias", "plain name"},
        {"bias\":\"b.safetensors", "bias\":\"", "classifier.bias", "plain name"},
        {"bias\":\"b.safetensors", "bias\":\"c.safetensors", "c.safetensors", "No such file"},
        {"bias\":\"b.safetensors", "bias\":\"a.safetensors", "classifier.bias", "does not hold it"},
        {"classifier.bias", "classifier.bia", "classifier.bia:", "does not hold it"},
        {"classifier.bias", "classifier.weight", INDEX, "duplicate"},
        {",\"classifier.bias\":\"b.safetensors\"", "", INDEX ": tensor classifier.bias",
         "is missing"},
        {"\"b.safetensors\"}", "7}", "classifier.bias", "plain name"},
    };
    static struct image m;
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB);
    write_shards(&m, NENTRIES - 2);
    remove(scratch_path("model.safetensors"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_index(NENTRIES - 2, bad[i].old, bad[i].new);
        refuse(bad[i].says, bad[i].too);
    }
    write_index(NENTRIES - 2, "", "");
    bert_model_free(accept());
    write_image(&m, -1, 0);
    assert_int_equal(rename(scratch_path("model.safetensors"), scratch_path("a.safetensors")), 0);
    refuse(INDEX ": tensor classifier.weight: a.safetensors", "holds it too");
    scratch_write("b.safetensors", "12345678", 8, 0600);
    refuse("b.safetensors", "truncated");
    write_image(&m, -1, 0); // the one file goes first
    bert_model_free(accept());
}

/* In CONFIG, old becomes new. */
static void refuse_config(const char *old, const char *new, const char *says) {
    static struct image m;
    char text[2 * sizeof CONFIG];
    const char *p = strstr(CONFIG, old);
    assert_non_null(p);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(p - CONFIG), CONFIG, new, p + strlen(old));
    build(&m, F16);
    write_folder(&m, text, VOCAB);
    refuse("config.json", says);
}

static void test_configurations_refused(void **state) {
    (void)state;
    refuse_config("\"num_attention_heads\":2", "\"num_attention_heads\":3", "not a multiple");
    refuse_config("\"num_attention_heads\":2", "\"num_attention_heads\":0", "num_attention_heads");
    refuse_config("\"hidden_size\":8", "\"hidden_size\":8.0", "hidden_size must be a whole number");
    refuse_config("\"hidden_size\":8", "\"hidden_size\":-8", "hidden_size");
    refuse_config("\"hidden_size\":8", "\"hidden_size\":4104", "hidden_size");
    refuse_config("\"hidden_size\":8,", "", "hidden_size is missing");
    refuse_config("\"hidden_size\":8", "\"hidden_size\":8,\"hidden_size\":8", "duplicate");
    refuse_config("\"vocab_size\":5", "\"vocab_size\":1000001", "vocab_size");
    refuse_config("\"num_hidden_layers\":1", "\"num_hidden_layers\":65", "num_hidden_layers");
    refuse_config("\"intermediate_size\":16", "\"intermediate_size\":99999999999", "intermediate");
    refuse_config("embeddings\":4", "embeddings\":65537", "max_position_embeddings");
    refuse_config("\"type_vocab_size\":2", "\"type_vocab_size\":true", "type_vocab_size");
    refuse_config("1e-6", "-1e-9", "layer_norm_eps");
    refuse_config("1e-6", "\"1e-6\"", "layer_norm_eps");
    refuse_config("1e-6", "0.5", "layer_norm_eps");
    refuse_config("\"gelu\"", "\"relu\"", "hidden_act is \"relu\"; supported are gelu, ");
    refuse_config("\"gelu\"", "7", "hidden_act");
    refuse_config("\"bert\"", "\"gpt_neox\"", "model_type is \"gpt_neox\"; supported are bert, ");
    refuse_config("\"bert\"", "\"deberta-v2\"", "\"deberta-v2\", which has relative positions");
    refuse_config("\"bert\"", "\"modernbert\"", "which has rotary positions, gated FFNs");
    refuse_config("\"bert\"", "7", "model_type is \"?\"");
    refuse_config("\"bert\"", "\"roberta\"",
                  "max_position_embeddings must be a whole number in 6..");
    refuse_config("\"bert\"", "\"distilbert\"", "dim is missing");
    refuse_config("\"bert\"", "\"electra\"", "embedding_size is missing");
    refuse_config("\"bert\"", "\"albert\",\"inner_group_num\":2", "inner_group_num must be 1");
    refuse_config("\"bert\"", "\"albert\",\"num_hidden_groups\":2", "num_hidden_groups must be 1");
    refuse_config("\"bert\"", "\"bert\",\"pruned_heads\":{\"0\":[1]}", "pruned heads are not");
    refuse_config("\"bert\"", "\"bert\",\"quantization_config\":{\"bits\":4}", "quantised weights");
    refuse_config("\"bert\"", "\"bert\",\"is_encoder_decoder\":true", "is_encoder_decoder");
    refuse_config("{\"model_type\"", "{\"position_embedding_type\":\"relative_key\",\"model_type\"",
                  "relative_key");
    refuse_config("{\"model_type\"", "{\"problem_type\":\"regression\",\"model_type\"",
                  "a regression of 3 values");
    refuse_config("{\"model_type\"", "{\"problem_type\":\"ranking\",\"model_type\"", "\"ranking\"");
    refuse_config("{\"model_type\"", "{\"problem_type\":3,\"model_type\"", "problem_type is");
    refuse_config("{\"model_type\"", "{\"is_decoder\":true,\"model_type\"", "is_decoder");
    refuse_config("{\"model_type\"", "{\"do_lower_case\":1,\"model_type\"", "do_lower_case");
    refuse_config("\"id2label\":{\"0\":\"no\"", "\"id2label\":{\"3\":\"no\"", "id2label 0");
    refuse_config("maybe", "may\\u0007be", "control");
    char name[BERT_LABEL_BYTES + 1] = "";
    memset(name, 'n', BERT_LABEL_BYTES);
    refuse_config("maybe", name, "id2label 2");
    refuse_config("{\"0\":\"no\",\"1\":\"yes\",\"2\":\"maybe\"}", "{}", "1..1000 labels");
    refuse_config("{\"model_type\"",
                  "{\"architectures\":[\"BertForQuestionAnswering\"],\"model_type\"",
                  "architectures names BertForQuestionAnswering");
    refuse_config("{\"model_type\"", "{\"architectures\":\"BertModel\",\"model_type\"",
                  "architectures names");
    refuse_config("{\"model_type\"", "[\"model_type\"", "not a JSON object");
}

/* The model of CONFIG with `front` before its fields. */
static struct bert_model *accept_with(const struct image *m, const char *front) {
    static char text[2 * sizeof CONFIG];
    snprintf(text, sizeof text, "{%s,%s", front, CONFIG + 1);
    write_folder(m, text, VOCAB);
    return accept();
}

static void expect_head(const struct image *m, const char *front, enum bert_head head,
                        enum bert_task task, int pooler, int classifier) {
    struct bert_model *b = accept_with(m, front);
    assert_int_equal(b->cfg.head, head);
    assert_int_equal(b->cfg.task, task);
    assert_int_equal(b->pooler.w != NULL, pooler);
    assert_int_equal(b->classifier.w != NULL, classifier);
    if (classifier) expect_tensor(b->classifier.w, NENTRIES - 2);
    bert_model_free(b);
}

static void test_heads(void **state) {
    static struct image m;
    (void)state;
    build(&m, F32);
    expect_head(&m, "\"architectures\":[\"BertForSequenceClassification\"]", BERT_HEAD_CLASSIFIER,
                BERT_ONE_OF, 1, 1);
    expect_head(&m, "\"problem_type\":\"multi_label_classification\"", BERT_HEAD_ANY, BERT_ANY_OF,
                1, 1);
    expect_head(&m, "\"architectures\":[\"BertForTokenClassification\"]", BERT_HEAD_TOKENS,
                BERT_ONE_OF, 0, 1);
    expect_head(&m, "\"architectures\":[\"BertModel\"]", BERT_HEAD_STATE, BERT_ONE_OF, 0, 0);
    expect_head(&m, "\"architectures\":[\"BertForMaskedLM\"],\"problem_type\":\"regression\"",
                BERT_HEAD_STATE, BERT_ONE_OF, 0, 0);
    replace(&m, "\"classifier.weight", "\"classifier.we1ght"); // no head, and none is named
    expect_head(&m, "\"architectures\":[]", BERT_HEAD_STATE, BERT_ONE_OF, 0, 0);
    write_folder(&m, "{\"architectures\":[\"BertForTokenClassification\"],\"model_type\":\"bert\"}",
                 VOCAB);
    assert_int_equal(bert_outputs(&(struct bert_config){.head = BERT_HEAD_TOKENS, .labels = 3}, 5),
                     15);
}

static void test_folder_refused(void **state) {
    static struct image m;
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB "b\n\na\n"); // the tail has no rows
    bert_model_free(accept());
    remove(scratch_path("vocab.txt"));
    refuse("vocab.txt", "No such file");
    write_folder(&m, CONFIG, VOCAB);
    remove(scratch_path("model.safetensors"));
    refuse("model.safetensors", "No such file");
    remove(scratch_path("config.json"));
    refuse("config.json", "No such file");
    write_folder(&m, CONFIG, VOCAB);
    scratch_write("tokenizer_config.json", "{\"strip_accents\":1}", 19, 0600);
    refuse("tokenizer_config.json", "strip_accents");
    write_folder(&m, CONFIG, VOCAB);
    scratch_write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n", 43, 0600);
    refuse("model.safetensors", "git lfs pull");
    remove(scratch_path("model.safetensors"));
    scratch_write("pytorch_model.bin", "PK", 2, 0600);
    refuse("pytorch_model.bin", ".architectures[0]).from_pretrained(i).save_pretrained(o, ");
}

/* A tree of values is not built when it would be larger than any real one. */
static void test_json_bounds(void **state) {
    static char zeros[2 * BERT_JSON_SMALL + 64];
    static struct image m;
    (void)state;
    build(&m, F16);
    write_folder(&m, CONFIG, VOCAB);
    strcpy(zeros, "{\"x\":[0");
    for (char *p = zeros + 7; p < zeros + 2 * BERT_JSON_SMALL + 60; p += 2) memcpy(p, ",0", 2);
    scratch_write("config.json", zeros, sizeof zeros, 0600);
    refuse("config.json", "values");
    memset(zeros, '[', sizeof zeros);
    scratch_write("config.json", zeros, sizeof zeros, 0600);
    refuse("config.json", "levels");
}

static void test_default_model(void **state) {
    struct bert_model *b = NULL;
    (void)state;
    assert_int_equal(bert_model_load(&b, "data/sst2-tiny"), THOR_OK);
    assert_int_equal(b->cfg.hidden, 128);
    assert_int_equal(b->cfg.layers, 2);
    assert_int_equal(b->cfg.heads, 2);
    assert_int_equal(b->cfg.ffn, 512);
    assert_string_equal(b->cfg.label_names[0], "negative");
    assert_string_equal(b->cfg.label_names[1], "positive");
    assert_int_equal(b->nweights * 2, 8674052); // bytes of F16 data in the file
    bert_model_free(b);
    bert_model_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_extremes_of_half),
        cmocka_unit_test(test_configuration),
        cmocka_unit_test(test_old_names),
        cmocka_unit_test(test_other_names),
        cmocka_unit_test(test_without_prefix),
        cmocka_unit_test(test_bare_file),
        cmocka_unit_test(test_casing),
        cmocka_unit_test(test_tokenizer_json),
        cmocka_unit_test(test_tensors_refused),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_file_ends),
        cmocka_unit_test(test_configurations_refused),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_folder_refused),
        cmocka_unit_test(test_default_model),
        cmocka_unit_test(test_json_bounds),
        cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_shards_refused),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
