#include "bert/input/tokenrules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"

#define CONFIG_BYTES_MAX ((size_t)4 << 20)
#define VOCAB_BYTES_MAX ((size_t)64 << 20)

enum which { TOKENIZER, CONFIG, SPECIAL_MAP, ADDED, MODEL, FILES };
static const char *const file_name[FILES] = {"tokenizer.json", "tokenizer_config.json",
                                             "special_tokens_map.json", "added_tokens.json",
                                             "config.json"};

struct folder {
    const char *dir;
    char path[FILES][4300];
    json_t *json[FILES]; /* NULL: not there */
    int own;             /* the steps are tokenizer.json's */
};

static int refuse(const struct folder *f, enum which file, const char *field, const char *what) {
    return thor_fail(THOR_MODEL, "%.300s: %.60s %s", f->path[file], field, what);
}

static json_t *get(const struct folder *f, enum which file, const char *key) {
    json_t *v = json_object_get(f->json[file], key);
    return json_is_null(v) ? NULL : v;
}

static int get_flag(int *flag, const struct folder *f, enum which file, const json_t *in,
                    const char *key) {
    const json_t *v = json_object_get(in, key);
    if (!v || json_is_null(v)) return THOR_OK;
    if (!json_is_boolean(v)) return refuse(f, file, key, "must be true or false");
    *flag = json_is_true(v);
    return THOR_OK;
}

static int open_folder(struct folder *f, const char *dir) {
    int st = THOR_OK;
    f->dir = dir;
    for (int i = 0; i < FILES; i++) {
        const int big = i == TOKENIZER;
        snprintf(f->path[i], sizeof f->path[i], "%s/%s", dir, file_name[i]);
        if (bert_file_exists(f->path[i])) // whole numbers like 1e30 stand in tokenizer_config.json
            TRY(bert_json_read(&f->json[i], f->path[i], big ? VOCAB_BYTES_MAX : CONFIG_BYTES_MAX,
                               big ? BERT_JSON_VOCAB : BERT_JSON_SMALL,
                               i == CONFIG ? JSON_DECODE_INT_AS_REAL : 0, THOR_MODEL));
    }
out:
    return st;
}

/* ---- whose rules */

static int find_class(struct folder *f) {
    static const char *const known[] = {"BertTokenizer", "BertTokenizerFast",
                                        "PreTrainedTokenizerFast", "TokenizersBackend"};
    const enum which file = get(f, CONFIG, "tokenizer_class") ? CONFIG : MODEL;
    const char *name = json_string_value(get(f, file, "tokenizer_class"));
    size_t i = 0;
    if (!get(f, file, "tokenizer_class")) return THOR_OK;
    while (i < 4 && (!name || strcmp(name, known[i]) != 0)) i++;
    if (i == 4)
        return thor_fail(THOR_MODEL,
                         "%.300s: tokenizer_class is \"%.60s\"; only BertTokenizer and "
                         "PreTrainedTokenizerFast are supported",
                         f->path[file], name ? name : "?");
    f->own = i >= 2;
    if (f->own && !f->json[TOKENIZER])
        return refuse(f, file, name, "needs a tokenizer.json: save the tokenizer again");
    return THOR_OK;
}

/* ---- steps */

static int add_step(struct bert_rules *r, enum bert_step step) {
    if (r->steps == BERT_STEPS_MAX)
        return thor_fail(THOR_MODEL, "the normalizer has more than %d steps", BERT_STEPS_MAX);
    r->step[r->steps++] = step;
    return THOR_OK;
}

struct bert_flags {
    int clean, ideographs, strip, lower; /* strip -1: as lower */
};

static void bert_steps(struct bert_rules *r, struct bert_flags b) {
    r->steps = 0;
    if (b.clean) r->step[r->steps++] = BERT_STEP_CLEAN;
    if (b.ideographs) r->step[r->steps++] = BERT_STEP_IDEOGRAPHS;
    if (b.strip < 0 ? b.lower : b.strip) {
        r->step[r->steps++] = BERT_STEP_NFD;
        r->step[r->steps++] = BERT_STEP_DROP_MN;
    }
    if (b.lower) r->step[r->steps++] = BERT_STEP_LOWER;
}

void bert_rules_default(struct bert_rules *r, int lower_case) {
    *r = (struct bert_rules){.prefix = "##", .word_chars = 100, .pair_type = 1};
    bert_steps(r, (struct bert_flags){1, 1, -1, lower_case});
}

static int read_bert_flags(struct bert_flags *b, const struct folder *f, enum which file,
                           const json_t *in, const char *ideographs, const char *lower) {
    int st = THOR_OK;
    *b = (struct bert_flags){1, 1, -1, 1};
    TRY(get_flag(&b->ideographs, f, file, in, ideographs));
    TRY(get_flag(&b->strip, f, file, in, "strip_accents"));
    TRY(get_flag(&b->lower, f, file, in, lower));
    if (file == TOKENIZER) TRY(get_flag(&b->clean, f, file, in, "clean_text"));
out:
    return st;
}

static int read_bert_normalizer(struct bert_rules *r, const struct folder *f, const json_t *in) {
    int st = THOR_OK;
    struct bert_flags b;
    struct bert_rules own = {.steps = 0};
    TRY(read_bert_flags(&b, f, TOKENIZER, in, "handle_chinese_chars", "lowercase"));
    bert_steps(&own, b);
    for (int i = 0; i < own.steps; i++) TRY(add_step(r, own.step[i]));
out:
    return st;
}

static const char *type_of(const json_t *o) {
    const char *type = json_string_value(json_object_get(o, "type"));
    return type ? type : "?";
}

static int read_step(struct bert_rules *r, const struct folder *f, const json_t *in) {
    static const struct {
        const char *type;
        enum bert_step step;
    } known[] = {{"NFC", BERT_STEP_NFC},
                 {"NFD", BERT_STEP_NFD},
                 {"NFKC", BERT_STEP_NFKC},
                 {"NFKD", BERT_STEP_NFKD},
                 {"StripAccents", BERT_STEP_DROP_MARKS},
                 {"Lowercase", BERT_STEP_LOWER}};
    const char *type = type_of(in);
    if (strcmp(type, "BertNormalizer") == 0) return read_bert_normalizer(r, f, in);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(type, known[i].type) == 0) return add_step(r, known[i].step);
    return thor_fail(THOR_MODEL, "%.300s: the normalizer \"%.60s\" is not supported",
                     f->path[TOKENIZER], type);
}

/* Those of tokenizer.json; a Sequence inside a Sequence is followed no further. */
static int read_steps(struct bert_rules *r, const struct folder *f) {
    int st = THOR_OK;
    const json_t *in = get(f, TOKENIZER, "normalizer");
    const json_t *all = json_object_get(in, "normalizers");
    r->steps = 0;
    if (in && strcmp(type_of(in), "Sequence") == 0)
        for (size_t i = 0; i < json_array_size(all); i++)
            TRY(read_step(r, f, json_array_get(all, i)));
    else if (in)
        TRY(read_step(r, f, in));
out:
    return st;
}

/* BertTokenizer makes its steps from tokenizer_config.json.  Older versions of the library keep
 * what is not a BertNormalizer in tokenizer.json, newer ones do not: such a folder has no one
 * answer. */
static int config_steps(struct bert_rules *r, const struct folder *f) {
    int st = THOR_OK;
    struct bert_flags b;
    const char *type = type_of(get(f, TOKENIZER, "normalizer"));
    if (f->json[TOKENIZER] && strcmp(type, "BertNormalizer") != 0)
        TRY(refuse(f, TOKENIZER, "normalizer",
                   "is no BertNormalizer: set tokenizer_class to "
                   "PreTrainedTokenizerFast in tokenizer_config.json if it is meant"));
    TRY(read_bert_flags(&b, f, CONFIG, f->json[CONFIG], "tokenize_chinese_chars", "do_lower_case"));
    bert_steps(r, b);
out:
    return st;
}

int bert_rules_apply(struct bert_chars *t, const struct bert_rules *r) {
    int st = THOR_OK;
    for (int i = 0; i < r->steps; i++) TRY(bert_chars_apply(t, r->step[i]));
out:
    return st;
}

/* config.json is not read for casing by the library: a folder that relies on it is told so. */
static int check_casing(struct bert_config *cfg, const struct folder *f) {
    int st = THOR_OK, said = 1;
    const json_t *v = get(f, MODEL, "do_lower_case");
    TRY(get_flag(&said, f, MODEL, f->json[MODEL], "do_lower_case"));
    if (v && said != cfg->lower_case)
        TRY(refuse(f, MODEL, "do_lower_case",
                   "is not what the tokenizer does, which does not read "
                   "it there: put it into tokenizer_config.json"));
out:
    return st;
}

static int set_steps(struct bert_rules *r, struct bert_config *cfg, const struct folder *f) {
    int st = THOR_OK;
    TRY(f->own ? read_steps(r, f) : config_steps(r, f));
    cfg->lower_case = 0;
    for (int i = 0; i < r->steps; i++) cfg->lower_case |= r->step[i] == BERT_STEP_LOWER;
    TRY(check_casing(cfg, f));
out:
    return st;
}

/* ---- the other parts of tokenizer.json */

static int read_wordpiece(struct bert_rules *r, const struct folder *f) {
    const json_t *m = get(f, TOKENIZER, "model");
    const char *type = json_string_value(json_object_get(m, "type"));
    const char *unk = json_string_value(json_object_get(m, "unk_token"));
    const json_t *prefix = json_object_get(m, "continuing_subword_prefix");
    const json_t *chars = json_object_get(m, "max_input_chars_per_word");
    const char *text = prefix ? json_string_value(prefix) : "##";
    const json_int_t most = chars ? json_integer_value(chars) : 100;
    if (!json_is_object(json_object_get(m, "vocab")) || (type && strcmp(type, "WordPiece") != 0))
        return thor_fail(THOR_MODEL, "%.300s: holds no WordPiece vocabulary: %.80s",
                         f->path[TOKENIZER], type ? type : "model.vocab is missing");
    if (unk && strcmp(unk, "[UNK]") != 0) return refuse(f, TOKENIZER, "unk_token", "must be [UNK]");
    if (!text || strlen(text) > BERT_PREFIX_MAX)
        return refuse(f, TOKENIZER, "continuing_subword_prefix", "must be of 16 bytes at most");
    if (most < 1 || most > BERT_WORD_CHARS_MAX)
        return refuse(f, TOKENIZER, "max_input_chars_per_word", "must be in 1..1000");
    if (!f->own && (most != 100 || strcmp(text, "##") != 0))
        return refuse(f, TOKENIZER, "model",
                      "is not that of a BertTokenizer: set tokenizer_class "
                      "to PreTrainedTokenizerFast in tokenizer_config.json if it is meant");
    strcpy(r->prefix, text);
    r->word_chars = (int)most;
    return THOR_OK;
}

/* An item of a template: 1 when it is the token `want`, or the text `want` ("A", "B"). */
static int is_item(const json_t *item, const char *kind, const char *want, int *type) {
    const json_t *o = json_object_get(item, kind);
    const char *id = json_string_value(json_object_get(o, "id"));
    *type = (int)json_integer_value(json_object_get(o, "type_id"));
    return id && strcmp(id, want) == 0;
}

static int is_template(const json_t *list, int pair, int *pair_type) {
    static const char *const want[] = {"[CLS]", "A", "[SEP]", "B", "[SEP]"};
    const size_t n = pair ? 5 : 3;
    int type, second = -1;
    if (json_array_size(list) != n) return 0;
    for (size_t i = 0; i < n; i++) {
        if (!is_item(json_array_get(list, i), i % 2 ? "Sequence" : "SpecialToken", want[i], &type))
            return 0;
        if (i == 3) second = type;
        if (i < 3 ? type != 0 : type != second || type < 0 || type > 1) return 0;
    }
    *pair_type = second;
    return 1;
}

/* The template's ids of [CLS] and [SEP] are the vocabulary's. */
static int special_ids(const json_t *specials, const struct bert_vocab *v) {
    static const char *const name[] = {"[CLS]", "[SEP]"};
    for (int i = 0; i < 2; i++) {
        const json_t *ids = json_object_get(json_object_get(specials, name[i]), "ids");
        if (json_array_size(ids) != 1 || json_integer_value(json_array_get(ids, 0)) !=
                                             bert_vocab_special(v, i ? BERT_SEP : BERT_CLS))
            return 0;
    }
    return 1;
}

static int is_bert_pair(const json_t *pair, const char *name, int id) {
    const char *text = json_string_value(json_array_get(pair, 0));
    return text && strcmp(text, name) == 0 && json_integer_value(json_array_get(pair, 1)) == id;
}

static int read_template(struct bert_rules *r, const struct folder *f, const struct bert_vocab *v) {
    const json_t *o = get(f, TOKENIZER, "post_processor");
    const char *type = type_of(o);
    int none, good = 0;
    if (strcmp(type, "TemplateProcessing") == 0)
        good = is_template(json_object_get(o, "single"), 0, &none) &&
               is_template(json_object_get(o, "pair"), 1, &r->pair_type) &&
               special_ids(json_object_get(o, "special_tokens"), v);
    else if (strcmp(type, "BertProcessing") == 0)
        good = is_bert_pair(json_object_get(o, "sep"), "[SEP]", bert_vocab_special(v, BERT_SEP)) &&
               is_bert_pair(json_object_get(o, "cls"), "[CLS]", bert_vocab_special(v, BERT_CLS));
    if (!f->own && good && r->pair_type != 1) good = 0;
    return good ? THOR_OK
                : refuse(f, TOKENIZER, "post_processor", "must make [CLS] A [SEP] B [SEP]");
}

static int read_tokenizer(struct bert_rules *r, struct bert_vocab **v, const struct folder *f) {
    int st = THOR_OK;
    if (strcmp(type_of(get(f, TOKENIZER, "pre_tokenizer")), "BertPreTokenizer") != 0)
        TRY(refuse(f, TOKENIZER, "pre_tokenizer",
                   "must be a BertPreTokenizer: others are not "
                   "supported"));
    TRY(bert_vocab_from_json(v, json_object_get(get(f, TOKENIZER, "model"), "vocab"),
                             f->path[TOKENIZER]));
    TRY(read_template(r, f, *v));
out:
    return st;
}

/* ---- types */

static int read_types(struct bert_rules *r, const struct folder *f) {
    const json_t *names = get(f, CONFIG, "model_input_names");
    int there = 0;
    if (names && !json_is_array(names))
        return refuse(f, CONFIG, "model_input_names", "must be a list");
    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        there |= name && strcmp(name, "token_type_ids") == 0;
    }
    if (names && !there)
        r->pair_type = 0;
    else if (!names && f->own) // versions of the library differ
        r->pair_type = BERT_PAIR_UNKNOWN;
    return THOR_OK;
}

/* ---- added tokens */

static int put_flags(struct bert_adding *a, const struct folder *f, enum which file,
                     const json_t *o, int id) {
    int st = THOR_OK;
    const json_t *text = json_object_get(o, "content");
    struct bert_added t = {.id = id};
    if (!json_is_string(text)) TRY(refuse(f, file, "content", "of an added token is missing"));
    TRY(get_flag(&t.special, f, file, o, "special"));
    t.normalized = !t.special;
    TRY(get_flag(&t.normalized, f, file, o, "normalized"));
    TRY(get_flag(&t.single_word, f, file, o, "single_word"));
    TRY(get_flag(&t.lstrip, f, file, o, "lstrip"));
    TRY(get_flag(&t.rstrip, f, file, o, "rstrip"));
    TRY(bert_adding_put(a, json_string_value(text), json_string_length(text), t));
out:
    return st;
}

static int add_from_tokenizer(struct bert_adding *a, const struct folder *f) {
    int st = THOR_OK;
    const json_t *list = get(f, TOKENIZER, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        TRY(put_flags(a, f, TOKENIZER, o, (int)json_integer_value(json_object_get(o, "id"))));
    }
out:
    return st;
}

static int add_from_decoder(struct bert_adding *a, const struct folder *f) {
    int st = THOR_OK;
    json_t *all = get(f, CONFIG, "added_tokens_decoder"), *o;
    const char *key;
    json_object_foreach(all, key, o) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (*key == 0 || *end || id < 0 || id > 10000000)
            TRY(refuse(f, CONFIG, "added_tokens_decoder", "holds an id that is no number"));
        TRY(put_flags(a, f, CONFIG, o, (int)id));
    }
out:
    return st;
}

static int add_from_old_file(struct bert_adding *a, const struct folder *f) {
    int st = THOR_OK;
    const char *name;
    json_t *id;
    json_object_foreach(f->json[ADDED], name, id) {
        const json_int_t n = json_is_integer(id) ? json_integer_value(id) : -1;
        if (n < 0 || n > 10000000) TRY(refuse(f, ADDED, name, "has no id"));
        TRY(bert_adding_put(a, name, strlen(name),
                            (struct bert_added){.id = (int)n, .normalized = 1}));
    }
out:
    return st;
}

/* A special token's name, or an object with its flags; what is known of it already stays. */
static int put_special(struct bert_adding *a, const struct folder *f, enum which file,
                       const json_t *v) {
    const char *text = json_string_value(v);
    if (json_is_object(v)) text = json_string_value(json_object_get(v, "content"));
    if (!text) return refuse(f, file, "a special token", "must be a text");
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->name[i], text) == 0 && a->item[i].special) return THOR_OK;
    if (json_is_object(v)) return put_flags(a, f, file, v, -1);
    return bert_adding_put(a, text, strlen(text), (struct bert_added){.id = -1, .special = 1});
}

/* The five of BERT under their usual names: the others of this code rely on them. */
static int put_named(struct bert_adding *a, const struct folder *f) {
    static const char *const key[] = {"unk_token", "sep_token", "pad_token", "cls_token",
                                      "mask_token"};
    static const char *const text[] = {"[UNK]", "[SEP]", "[PAD]", "[CLS]", "[MASK]"};
    int st = THOR_OK;
    for (int i = 0; i < 5; i++) {
        const enum which file = get(f, CONFIG, key[i]) ? CONFIG : SPECIAL_MAP;
        const json_t *v = get(f, file, key[i]);
        const char *said = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
        if (v && (!said || strcmp(said, text[i]) != 0))
            TRY(thor_fail(THOR_MODEL, "%.300s: %s is \"%.40s\"; only \"%s\" is supported",
                          f->path[file], key[i], said ? said : "?", text[i]));
        if (v) {
            TRY(put_special(a, f, file, v));
        } else if (!f->own) {
            json_t *usual = json_string(text[i]);
            st = put_special(a, f, CONFIG, usual);
            json_decref(usual);
            TRY(st);
        }
    }
out:
    return st;
}

static int put_more_specials(struct bert_adding *a, const struct folder *f) {
    static const char *const key[] = {"additional_special_tokens", "extra_special_tokens"};
    int st = THOR_OK;
    for (int k = 0; k < 4; k++) {
        const enum which file = k < 2 ? SPECIAL_MAP : CONFIG;
        const json_t *list = get(f, file, key[k % 2]);
        if (json_is_object(list) && json_object_size(list))
            TRY(refuse(f, file, key[k % 2], "must be a list"));
        for (size_t i = 0; i < json_array_size(list); i++)
            TRY(put_special(a, f, file, json_array_get(list, i)));
    }
out:
    return st;
}

static int read_added(struct bert_rules *r, const struct folder *f, const struct bert_vocab *v) {
    int st = THOR_OK, split = 0;
    struct bert_adding a = {0};
    TRY(get_flag(&split, f, CONFIG, f->json[CONFIG], "split_special_tokens"));
    if (split) TRY(refuse(f, CONFIG, "split_special_tokens", "is not supported"));
    if (!get(f, CONFIG, "added_tokens_decoder")) // else the older file is not read
        TRY(add_from_old_file(&a, f));
    TRY(add_from_tokenizer(&a, f));
    TRY(add_from_decoder(&a, f));
    TRY(put_named(&a, f));
    TRY(put_more_specials(&a, f));
    TRY(bert_adding_finish(r, &a, v, f->dir));
out:
    bert_adding_free(&a);
    return st;
}

/* ---- all */

static int load_rules(struct bert_rules *r, struct bert_vocab **v, struct bert_config *cfg,
                      struct folder *f, const char *dir) {
    int st = THOR_OK;
    char path[4300];
    TRY(open_folder(f, dir));
    TRY(find_class(f));
    bert_rules_default(r, 1);
    snprintf(path, sizeof path, "%s/vocab.txt", dir);
    if (f->json[TOKENIZER]) {
        TRY(read_wordpiece(r, f));
        TRY(read_tokenizer(r, v, f));
    } else {
        TRY(bert_vocab_load(v, path));
    }
    TRY(set_steps(r, cfg, f));
    TRY(read_types(r, f));
    TRY(read_added(r, f, *v));
out:
    return st;
}

int bert_rules_load(struct bert_rules **rules, struct bert_vocab **vocab, struct bert_config *cfg,
                    const char *dir) {
    int st = THOR_OK;
    struct folder *f = calloc(1, sizeof *f);
    struct bert_rules *r = calloc(1, sizeof *r);
    *rules = NULL;
    *vocab = NULL;
    if (!f || !r) TRY(thor_fail(THOR_MEMORY, "%.300s: no memory for its tokenizer", dir));
    TRY(load_rules(r, vocab, cfg, f, dir));
    *rules = r;
    r = NULL;
out:
    for (int i = 0; f && i < FILES; i++) json_decref(f->json[i]);
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
    for (int i = 0; i < r->n; i++) free(r->added[i].text.c);
    free(r->added);
    free(r);
}
