#include "bert/input/tokenrules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "bert/input/tokenfolder.h"

#define CONFIG_BYTES_MAX ((size_t)4 << 20)
#define VOCAB_BYTES_MAX ((size_t)64 << 20)

static const char *const file_name[BERT_TOKEN_FILES] = {"tokenizer.json", "tokenizer_config.json",
                                                        "special_tokens_map.json",
                                                        "added_tokens.json", "config.json"};

int bert_folder_refuse(const struct bert_folder *f, enum bert_which file, const char *field,
                       const char *what) {
    return thor_fail(THOR_MODEL, "%.300s: %.60s %s", f->path[file], field, what);
}

json_t *bert_folder_get(const struct bert_folder *f, enum bert_which file, const char *key) {
    json_t *v = json_object_get(f->json[file], key);
    return json_is_null(v) ? NULL : v;
}

int bert_folder_flag(int *flag, const struct bert_folder *f, enum bert_which file, const json_t *in,
                     const char *key) {
    const json_t *v = json_object_get(in, key);
    if (!v || json_is_null(v)) return THOR_OK;
    if (!json_is_boolean(v)) return bert_folder_refuse(f, file, key, "must be true or false");
    *flag = json_is_true(v);
    return THOR_OK;
}

static int open_folder(struct bert_folder *f, const char *dir) {
    int st = THOR_OK;
    f->dir = dir;
    for (int i = 0; i < BERT_TOKEN_FILES; i++) {
        const int big = i == BERT_TOKENIZER;
        snprintf(f->path[i], sizeof f->path[i], "%s/%s", dir, file_name[i]);
        if (bert_file_exists(f->path[i])) // whole numbers like 1e30 stand in tokenizer_config.json
            TRY(bert_json_read(&f->json[i], f->path[i], big ? VOCAB_BYTES_MAX : CONFIG_BYTES_MAX,
                               big ? BERT_JSON_VOCAB : BERT_JSON_SMALL,
                               i == BERT_TOKENIZER_CONFIG ? JSON_DECODE_INT_AS_REAL : 0,
                               THOR_MODEL));
    }
out:
    return st;
}

/* ---- the class */

#define BERT_NAMES                                                                                 \
    { "[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]" }
#define ROBERTA_NAMES                                                                              \
    { "<unk>", "</s>", "<pad>", "<s>", "<mask>", "<s>", "</s>" }

#define LLAMA_CLASS "LlamaTokenizer"

static const struct bert_class classes[] = {
    {"BertTokenizer", BERT_FAMILY_BERT, BERT_TYPES_TEMPLATE, BERT_NAMES, 0},
    {"ElectraTokenizer", BERT_FAMILY_BERT, BERT_TYPES_TEMPLATE, BERT_NAMES, 0},
    {"DistilBertTokenizer", BERT_FAMILY_BERT, BERT_TYPES_ZERO, BERT_NAMES, 0},
    {"RobertaTokenizer", BERT_FAMILY_BYTES, BERT_TYPES_ZERO, ROBERTA_NAMES, 1},
    {"GPT2Tokenizer",
     BERT_FAMILY_BYTES,
     BERT_TYPES_ZERO,
     {"<|endoftext|>", NULL, NULL, NULL, NULL, "<|endoftext|>", "<|endoftext|>"},
     0},
    {"Qwen2Tokenizer",
     BERT_FAMILY_SENTENCE,
     BERT_TYPES_ZERO,
     {NULL, NULL, "<|endoftext|>", NULL, NULL, NULL, "<|endoftext|>"},
     0},
    {LLAMA_CLASS, BERT_FAMILY_SENTENCE, BERT_TYPES_ZERO, {0}, 0},
    {"XLMRobertaTokenizer", BERT_FAMILY_SENTENCE, BERT_TYPES_ZERO, ROBERTA_NAMES, 1},
    {"CamembertTokenizer", BERT_FAMILY_SENTENCE, BERT_TYPES_ZERO, ROBERTA_NAMES, 1},
    {"AlbertTokenizer",
     BERT_FAMILY_SENTENCE,
     BERT_TYPES_UNKNOWN, // versions of the library differ
     {"<unk>", "[SEP]", "<pad>", "[CLS]", "[MASK]", "[CLS]", "[SEP]"},
     1},
    {"PreTrainedTokenizer", BERT_FAMILY_OWN, BERT_TYPES_UNKNOWN, {0}, 0}, // likewise
    {"TokenizersBackend", BERT_FAMILY_OWN, BERT_TYPES_UNKNOWN, {0}, 0}};

/* With or without "Fast" behind it; PreTrainedTokenizer is none without. */
static const struct bert_class *class_named(const char *name) {
    for (size_t i = 0; name && i < sizeof classes / sizeof *classes; i++) {
        const size_t n = strlen(classes[i].name);
        const int fast = strcmp(name + (strlen(name) < n ? 0 : n), "Fast") == 0;
        if (strncmp(name, classes[i].name, n) == 0 &&
            (fast || (!name[n] && strcmp(name, "PreTrainedTokenizer") != 0)))
            return &classes[i];
    }
    return NULL;
}

static const struct bert_class *class_of_type(const char *type) {
    static const char *const pair[][2] = {
        {"bert", "BertTokenizer"},           {"distilbert", "DistilBertTokenizer"},
        {"electra", "ElectraTokenizer"},     {"roberta", "RobertaTokenizer"},
        {"gpt2", "GPT2Tokenizer"},           {"xlm-roberta", "XLMRobertaTokenizer"},
        {"camembert", "CamembertTokenizer"}, {"albert", "AlbertTokenizer"},
        {"llama", "TokenizersBackend"},      {"mistral", "TokenizersBackend"},
        {"qwen2", "Qwen2Tokenizer"}};
    for (size_t i = 0; type && i < sizeof pair / sizeof *pair; i++)
        if (strcmp(type, pair[i][0]) == 0) return class_named(pair[i][1]);
    return &classes[0];
}

static int find_class(struct bert_folder *f) {
    const enum bert_which file = bert_folder_get(f, BERT_TOKENIZER_CONFIG, "tokenizer_class")
                                     ? BERT_TOKENIZER_CONFIG
                                     : BERT_MODEL_CONFIG;
    const json_t *said = bert_folder_get(f, file, "tokenizer_class");
    const char *name = json_string_value(said);
    f->kind =
        said
            ? class_named(name)
            : class_of_type(json_string_value(bert_folder_get(f, BERT_MODEL_CONFIG, "model_type")));
    if (!f->kind)
        return thor_fail(
            THOR_MODEL,
            "%.300s: tokenizer_class is \"%.60s\"; supported are those of Bert, "
            "DistilBert, Electra, Roberta, GPT2, Llama, Qwen2, XLMRoberta, Camembert, Albert and "
            "PreTrainedTokenizerFast",
            f->path[file], name ? name : "?");
    if (f->kind->family < BERT_FAMILY_SENTENCE || f->json[BERT_TOKENIZER]) return THOR_OK;
    return thor_fail(THOR_MODEL,
                     "%.300s: %s needs a tokenizer.json: python3 -c \"from transformers import "
                     "AutoTokenizer as T; T.from_pretrained('DIR').save_pretrained('DIR')\"",
                     f->path[file], f->kind->name);
}

/* ---- steps */

/* The class of the folder has steps of its own, and older versions of the library keep what
 * tokenizer.json says instead, newer ones do not: such a folder has no one answer. */
static int check_type(const struct bert_folder *f, const char *field, const char *want) {
    const json_t *o = bert_folder_get(f, BERT_TOKENIZER, field);
    const char *type = json_string_value(json_object_get(o, "type"));
    if (!f->json[BERT_TOKENIZER] || (want ? type && strcmp(type, want) == 0 : !o)) return THOR_OK;
    return thor_fail(THOR_MODEL,
                     "%.300s: %s is no %s, as a %s has it: set tokenizer_class to "
                     "PreTrainedTokenizerFast in tokenizer_config.json if it is meant",
                     f->path[BERT_TOKENIZER], field, want ? want : "null", f->kind->name);
}

static int bert_steps(struct bert_rules *r, const struct bert_folder *f) {
    int st = THOR_OK, ideographs = 1, strip = -1, lower = 1;
    const json_t *in = f->json[BERT_TOKENIZER_CONFIG];
    TRY(check_type(f, "pre_tokenizer", "BertPreTokenizer"));
    TRY(check_type(f, "normalizer", "BertNormalizer"));
    TRY(bert_folder_flag(&ideographs, f, BERT_TOKENIZER_CONFIG, in, "tokenize_chinese_chars"));
    TRY(bert_folder_flag(&strip, f, BERT_TOKENIZER_CONFIG, in, "strip_accents"));
    TRY(bert_folder_flag(&lower, f, BERT_TOKENIZER_CONFIG, in, "do_lower_case"));
    TRY(bert_steps_bert(&r->normalizer, 1, ideographs, strip, lower));
    TRY(bert_steps_bert_words(&r->cuts));
out:
    return st;
}

static int byte_steps(struct bert_rules *r, const struct bert_folder *f) {
    int st = THOR_OK, prefix = 0, pattern = 1;
    const json_t *o = bert_folder_get(f, BERT_TOKENIZER, "pre_tokenizer");
    TRY(check_type(f, "pre_tokenizer", "ByteLevel"));
    TRY(check_type(f, "normalizer", NULL));
    TRY(bert_folder_flag(&prefix, f, BERT_TOKENIZER_CONFIG, f->json[BERT_TOKENIZER_CONFIG],
                         "add_prefix_space"));
    TRY(bert_folder_flag(&pattern, f, BERT_TOKENIZER, o, "use_regex"));
    if (!pattern) TRY(bert_folder_refuse(f, BERT_TOKENIZER, "use_regex", "must be true"));
    TRY(bert_steps_bytelevel(&r->cuts, prefix, 1));
out:
    return st;
}

static int own_steps(struct bert_rules *r, const struct bert_folder *f) {
    int st = THOR_OK;
    const char *path = f->path[BERT_TOKENIZER];
    TRY(bert_steps_normalizer(&r->normalizer, bert_folder_get(f, BERT_TOKENIZER, "normalizer"),
                              path));
    TRY(bert_steps_pretokenizer(&r->cuts, bert_folder_get(f, BERT_TOKENIZER, "pre_tokenizer"),
                                path));
out:
    return st;
}

/* config.json is not read for casing by the library: a folder that relies on it is told so. */
static int check_casing(const struct bert_config *cfg, const struct bert_folder *f) {
    int st = THOR_OK, said = 1;
    const json_t *v = bert_folder_get(f, BERT_MODEL_CONFIG, "do_lower_case");
    TRY(bert_folder_flag(&said, f, BERT_MODEL_CONFIG, f->json[BERT_MODEL_CONFIG], "do_lower_case"));
    if (v && said != cfg->lower_case)
        TRY(bert_folder_refuse(f, BERT_MODEL_CONFIG, "do_lower_case",
                               "is not what the tokenizer does, which does not read "
                               "it there: put it into tokenizer_config.json"));
out:
    return st;
}

static int set_steps(struct bert_rules *r, struct bert_config *cfg, const struct bert_folder *f) {
    int st = THOR_OK;
    const enum bert_family family = f->kind->family;
    TRY(family == BERT_FAMILY_BERT    ? bert_steps(r, f)
        : family == BERT_FAMILY_BYTES ? byte_steps(r, f)
                                      : own_steps(r, f));
    cfg->lower_case = 0;
    for (int i = 0; i < r->normalizer.n; i++) {
        const struct bert_step *s = &r->normalizer.step[i];
        cfg->lower_case |= s->kind == BERT_STEP_CLEAN && s->clean == BERT_CLEAN_LOWER;
    }
    TRY(check_casing(cfg, f));
out:
    return st;
}

int bert_rules_default(struct bert_rules *r, const struct bert_vocab *v, int lower_case) {
    int st = THOR_OK;
    *r = (struct bert_rules){.wordpiece = {"##", 100, bert_vocab_special(v, BERT_UNK)}};
    TRY(bert_steps_bert(&r->normalizer, 1, 1, -1, lower_case));
    TRY(bert_steps_bert_words(&r->cuts));
    bert_templates_bert(&r->templates, bert_vocab_special(v, BERT_CLS),
                        bert_vocab_special(v, BERT_SEP));
out:
    return st;
}

/* ---- the model of tokenizer.json, and what stands in for it */

static int read_wordpiece(struct bert_rules *r, const struct bert_folder *f,
                          const struct bert_vocab *v) {
    const json_t *m = bert_folder_get(f, BERT_TOKENIZER, "model");
    const json_t *unk = json_object_get(m, "unk_token");
    const json_t *prefix = json_object_get(m, "continuing_subword_prefix");
    const json_t *chars = json_object_get(m, "max_input_chars_per_word");
    const char *text = prefix ? json_string_value(prefix) : "##";
    const char *name = json_is_string(unk) ? json_string_value(unk) : "[UNK]";
    const json_int_t most = chars ? json_integer_value(chars) : 100;
    r->wordpiece.unk = bert_vocab_id(v, name, strlen(name));
    if (r->wordpiece.unk < 0)
        return thor_fail(THOR_MODEL, "%.300s: the token %.40s is missing, which unk_token names",
                         f->path[BERT_TOKENIZER], name);
    if (!text || strlen(text) > BERT_PREFIX_MAX)
        return bert_folder_refuse(f, BERT_TOKENIZER, "continuing_subword_prefix",
                                  "must be of 16 bytes at most");
    if (most < 1 || most > BERT_WORD_CHARS_MAX)
        return bert_folder_refuse(f, BERT_TOKENIZER, "max_input_chars_per_word",
                                  "must be in 1..1000");
    if (f->kind->family == BERT_FAMILY_BERT &&
        (most != 100 || strcmp(text, "##") != 0 || strcmp(name, "[UNK]") != 0))
        return bert_folder_refuse(
            f, BERT_TOKENIZER, "model",
            "is not that of a BertTokenizer: set tokenizer_class "
            "to PreTrainedTokenizerFast in tokenizer_config.json if it is meant");
    strcpy(r->wordpiece.prefix, text);
    r->wordpiece.word_chars = (int)most;
    return THOR_OK;
}

/* Files from before 2021 say no type: a list is Unigram's, merges are BPE's. */
static const char *model_type(const json_t *m) {
    const char *type = json_string_value(json_object_get(m, "type"));
    if (type) return type;
    if (json_is_array(json_object_get(m, "vocab"))) return "Unigram";
    return json_object_get(m, "merges") ? "BPE" : "WordPiece";
}

/* BERT's four must be there: that the library would add them helps no model. */
static int check_specials(const struct bert_folder *f, const struct bert_vocab *v) {
    for (int i = 0; i < 4 && f->kind->family == BERT_FAMILY_BERT; i++)
        if (bert_vocab_id(v, f->kind->token[i], strlen(f->kind->token[i])) < 0)
            return thor_fail(THOR_MODEL, "%.300s: the token %s is missing", f->path[BERT_TOKENIZER],
                             f->kind->token[i]);
    return THOR_OK;
}

static int read_model(struct bert_rules *r, struct bert_vocab **v, const struct bert_folder *f) {
    static const char *const wanted[] = {"WordPiece", "BPE"}; // by family
    int st = THOR_OK;
    const char *path = f->path[BERT_TOKENIZER];
    const json_t *m = bert_folder_get(f, BERT_TOKENIZER, "model");
    const json_t *vocab = json_object_get(m, "vocab");
    const char *type = model_type(m);
    const int list = strcmp(type, "Unigram") == 0, bpe = strcmp(type, "BPE") == 0;
    if (f->kind->family < BERT_FAMILY_SENTENCE && strcmp(type, wanted[f->kind->family]) != 0)
        TRY(thor_fail(THOR_MODEL, "%.300s: holds no %s vocabulary, as a %s has it: %.80s", path,
                      wanted[f->kind->family], f->kind->name, type));
    if (!list && !bpe && strcmp(type, "WordPiece") != 0)
        TRY(thor_fail(THOR_MODEL, "%.300s: the model \"%.60s\" is not supported", path, type));
    if (list ? !json_is_array(vocab) : !json_is_object(vocab))
        TRY(thor_fail(THOR_MODEL, "%.300s: model.vocab is missing", path));
    TRY(bert_vocab_from_json(v, vocab, path));
    TRY(check_specials(f, *v));
    TRY(list  ? bert_unigram_from_json(&r->unigram, m, *v, path)
        : bpe ? bert_bpe_from_json(&r->bpe, m, *v, path)
              : read_wordpiece(r, f, *v));
out:
    return st;
}

static int load_vocab_txt(struct bert_rules *r, struct bert_vocab **v,
                          const struct bert_folder *f) {
    char path[4300];
    snprintf(path, sizeof path, "%s/vocab.txt", f->dir);
    const int st = bert_vocab_load(v, path);
    if (st == THOR_OK)
        r->wordpiece = (struct bert_wordpiece){"##", 100, bert_vocab_special(*v, BERT_UNK)};
    return st;
}

static int load_vocab_json(struct bert_rules *r, struct bert_vocab **v,
                           const struct bert_folder *f) {
    int st = THOR_OK;
    char path[4300];
    json_t *o = NULL;
    snprintf(path, sizeof path, "%s/vocab.json", f->dir);
    TRY(bert_json_read(&o, path, VOCAB_BYTES_MAX, BERT_JSON_VOCAB, 0, THOR_MODEL));
    TRY(bert_vocab_from_json(v, o, path));
    snprintf(path, sizeof path, "%s/merges.txt", f->dir);
    TRY(bert_bpe_load(&r->bpe, *v, path));
out:
    json_decref(o);
    return st;
}

/* ---- what stands around a text */

/* A LlamaTokenizer puts tokens around a text by add_bos_token and add_eos_token in some versions of
 * the library, by the post_processor in others: such a folder has one answer where they agree. */
static int check_ends(const struct bert_folder *f, const struct bert_template *t) {
    int st = THOR_OK, bos = 1, eos = 0;
    const json_t *in = f->json[BERT_TOKENIZER_CONFIG];
    TRY(bert_folder_flag(&bos, f, BERT_TOKENIZER_CONFIG, in, "add_bos_token"));
    TRY(bert_folder_flag(&eos, f, BERT_TOKENIZER_CONFIG, in, "add_eos_token"));
    if (bos != (t->item[0].id >= 0))
        TRY(bert_folder_refuse(f, BERT_TOKENIZER_CONFIG, "add_bos_token",
                               "is not what the post_processor of tokenizer.json does"));
    if (eos != (t->item[t->n - 1].id >= 0))
        TRY(bert_folder_refuse(f, BERT_TOKENIZER_CONFIG, "add_eos_token",
                               "is not what the post_processor of tokenizer.json does"));
out:
    return st;
}

static int set_templates(struct bert_rules *r, const struct bert_folder *f,
                         const struct bert_vocab *v) {
    int st = THOR_OK;
    const int cls = bert_vocab_special(v, BERT_CLS), sep = bert_vocab_special(v, BERT_SEP);
    const int bert = f->kind->family == BERT_FAMILY_BERT,
              plain = !f->kind->token[0] || !f->kind->token[3];
    struct bert_templates want;
    bert_templates_plain(&want);
    if (bert) bert_templates_bert(&want, cls, sep);
    if (f->kind->family == BERT_FAMILY_BYTES && !plain) bert_templates_roberta(&want, cls, sep);
    r->templates = want;
    if (!f->json[BERT_TOKENIZER]) return THOR_OK;
    TRY(bert_templates_read(&r->templates, bert_folder_get(f, BERT_TOKENIZER, "post_processor"),
                            f->path[BERT_TOKENIZER]));
    if (f->kind->family < BERT_FAMILY_SENTENCE && !plain &&
        !bert_templates_equal(&r->templates, &want))
        TRY(bert_folder_refuse(f, BERT_TOKENIZER, "post_processor",
                               bert ? "must make [CLS] A [SEP] B [SEP]"
                                    : "must make <s> A </s></s> B </s>"));
    if (strcmp(f->kind->name, LLAMA_CLASS) == 0) TRY(check_ends(f, &r->templates.single));
out:
    return st;
}

static int read_types(struct bert_rules *r, const struct bert_folder *f) {
    const json_t *names = bert_folder_get(f, BERT_TOKENIZER_CONFIG, "model_input_names");
    int there = 0;
    if (names && !json_is_array(names))
        return bert_folder_refuse(f, BERT_TOKENIZER_CONFIG, "model_input_names", "must be a list");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        there |= name && strcmp(name, "token_type_ids") == 0;
    }
    r->types = f->kind->types;
    if (names) r->types = there ? BERT_TYPES_TEMPLATE : BERT_TYPES_ZERO;
    return THOR_OK;
}

/* ---- all */

static int load_rules(struct bert_rules *r, struct bert_vocab **v, struct bert_config *cfg,
                      struct bert_folder *f, const char *dir) {
    int st = THOR_OK;
    TRY(open_folder(f, dir));
    TRY(find_class(f));
    TRY(f->json[BERT_TOKENIZER]               ? read_model(r, v, f)
        : f->kind->family == BERT_FAMILY_BERT ? load_vocab_txt(r, v, f)
                                              : load_vocab_json(r, v, f));
    TRY(set_steps(r, cfg, f));
    TRY(read_types(r, f));
    TRY(bert_folder_added(r, f, *v));
    TRY(set_templates(r, f, *v));
out:
    return st;
}

int bert_rules_load(struct bert_rules **rules, struct bert_vocab **vocab, struct bert_config *cfg,
                    const char *dir) {
    int st = THOR_OK;
    struct bert_folder *f = calloc(1, sizeof *f);
    struct bert_rules *r = calloc(1, sizeof *r);
    *rules = NULL;
    *vocab = NULL;
    if (!f || !r) TRY(thor_fail(THOR_MEMORY, "%.300s: no memory for its tokenizer", dir));
    TRY(load_rules(r, vocab, cfg, f, dir));
    *rules = r;
    r = NULL;
out:
    for (int i = 0; f && i < BERT_TOKEN_FILES; i++) json_decref(f->json[i]);
    free(f);
    bert_rules_free(r);
    if (st != THOR_OK) {
        bert_vocab_free(*vocab);
        *vocab = NULL;
    }
    return st;
}

void bert_rules_free(struct bert_rules *r) {
    if (!r) return;
    bert_adding_free(&(struct bert_adding){.item = r->added, .n = r->n});
    bert_steps_free(&r->normalizer);
    bert_steps_free(&r->cuts);
    bert_bpe_free(r->bpe);
    bert_unigram_free(r->unigram);
    free(r);
}
