/* config.json: every field that the forward pass depends on, each within its range. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/readfile.h"
#include "bert/text.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)

struct source {
    char path[4200];
    json_t *json;
};

static int load_json(struct source *s, const char *path) {
    int st = THOR_OK;
    char *text = NULL;
    size_t len = 0;
    json_error_t err;
    s->json = NULL;
    if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
        TRY(thor_fail(THOR_MODEL, "%.60s..: the folder's name is too long", path));
    TRY(bert_read_file(&text, &len, s->path, CONFIG_BYTES_MAX, THOR_MODEL));
    s->json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &err);
    if (!json_is_object(s->json))
        TRY(thor_fail(THOR_MODEL, "%s: not a JSON object: %s (line %d)", s->path,
                      s->json ? "another kind of value" : err.text, s->json ? 1 : err.line));
out:
    free(text);
    return st;
}

static int get_int(int *v, const struct source *s, const char *key, int min, int max) {
    const json_t *field = json_object_get(s->json, key);
    json_int_t n = json_integer_value(field);
    if (!field)
        return thor_fail(THOR_MODEL, "%s: %s is missing", s->path, key);
    if (!json_is_integer(field) || n < min || n > max)
        return thor_fail(THOR_MODEL, "%s: %s must be a whole number in %d..%d", s->path, key, min,
                         max);
    *v = (int)n;
    return THOR_OK;
}

/* A field that, when there and not null, must be this text: other models compute otherwise. */
static int want_text(const struct source *s, const char *key, const char *want) {
    const json_t *field = json_object_get(s->json, key);
    const char *text = json_string_value(field);
    if (!field || json_is_null(field) || (text && strcmp(text, want) == 0))
        return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s is \"%.60s\"; only \"%s\" is supported", s->path, key,
                     text ? text : "?", want);
}

/* Likewise for true and false. */
static int want_bool(const struct source *s, const char *key, int want) {
    const json_t *field = json_object_get(s->json, key);
    if (!field || json_is_null(field) || (json_is_boolean(field) && json_is_true(field) == want))
        return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s must be %s: other models are not supported", s->path, key,
                     want ? "true" : "false");
}

static int check_kind(const struct source *s) {
    int st = THOR_OK;
    TRY(want_text(s, "model_type", "bert"));
    TRY(want_text(s, "hidden_act", "gelu"));
    TRY(want_text(s, "position_embedding_type", "absolute"));
    TRY(want_text(s, "problem_type", "single_label_classification"));
    TRY(want_bool(s, "is_decoder", 0));
    TRY(want_bool(s, "add_cross_attention", 0));
out:
    return st;
}

static int get_sizes(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const json_t *eps = json_object_get(s->json, "layer_norm_eps");
    TRY(get_int(&c->hidden, s, "hidden_size", 8, 4096));
    TRY(get_int(&c->layers, s, "num_hidden_layers", 1, 64));
    TRY(get_int(&c->heads, s, "num_attention_heads", 1, 64));
    TRY(get_int(&c->ffn, s, "intermediate_size", 8, 16384));
    TRY(get_int(&c->vocab, s, "vocab_size", BERT_NSPECIAL, 1000000));
    TRY(get_int(&c->max_positions, s, "max_position_embeddings", 4, BERT_MAX_TOKENS));
    TRY(get_int(&c->type_vocab, s, "type_vocab_size", 1, 16));
    if (c->hidden % c->heads)
        TRY(thor_fail(THOR_MODEL, "%s: hidden_size %d is not a multiple of num_attention_heads %d",
                      s->path, c->hidden, c->heads));
    c->eps = eps ? json_number_value(eps) : 1e-12;
    if (!(c->eps > 0 && c->eps <= 1e-3)) // also not a number: json_number_value is then 0
        TRY(thor_fail(THOR_MODEL, "%s: layer_norm_eps must be in (0, 0.001]", s->path));
out:
    return st;
}

static int get_label(char *name, const struct source *s, const json_t *text, int i) {
    const char *t = json_string_value(text);
    const size_t len = t ? json_string_length(text) : 0;
    if (len == 0 || len >= BERT_LABEL_BYTES)
        return thor_fail(THOR_MODEL, "%s: id2label %d must be a name of 1..%d bytes", s->path, i,
                         BERT_LABEL_BYTES - 1);
    for (size_t k = 0; k < len; k++)
        if (iscntrl((unsigned char)t[k]))
            return thor_fail(THOR_MODEL, "%s: id2label %d holds a control character", s->path, i);
    memcpy(name, t, len + 1);
    return THOR_OK;
}

static int get_labels(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const json_t *names = json_object_get(s->json, "id2label");
    char key[16];
    c->labels = 2; // the framework's default
    if (names) {
        size_t n = json_object_size(names);
        if (!json_is_object(names) || n < 2 || n > BERT_MAX_LABELS)
            TRY(thor_fail(THOR_MODEL, "%s: id2label must name 2..%d labels", s->path,
                          BERT_MAX_LABELS));
        c->labels = (int)n;
    } else if (json_object_get(s->json, "num_labels")) {
        TRY(get_int(&c->labels, s, "num_labels", 2, BERT_MAX_LABELS));
    }
    for (int i = 0; i < c->labels; i++) {
        snprintf(key, sizeof key, "%d", i);
        snprintf(c->label_names[i], BERT_LABEL_BYTES, "%d", i);
        if (names)
            TRY(get_label(c->label_names[i], s, json_object_get(names, key), i));
    }
out:
    return st;
}

static int get_lower(int *lower, const struct source *s) {
    const json_t *field = json_object_get(s->json, "do_lower_case");
    if (!field || json_is_null(field))
        return THOR_OK;
    if (!json_is_boolean(field))
        return thor_fail(THOR_MODEL, "%s: do_lower_case must be true or false", s->path);
    *lower = json_is_true(field);
    return THOR_OK;
}

/* tokenizer_config.json, when it is there, goes before config.json. */
static int get_casing(struct bert_config *c, const char *dir) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    char path[4200];
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    if (!bert_file_exists(path))
        goto out;
    TRY(load_json(&s, path));
    TRY(get_lower(&c->lower_case, &s));
    TRY(want_bool(&s, "strip_accents", c->lower_case != 0));
    TRY(want_bool(&s, "tokenize_chinese_chars", 1));
out:
    json_decref(s.json);
    return st;
}

int bert_config_read(struct bert_config *cfg, const char *path) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    *cfg = (struct bert_config){.lower_case = BERT_CASE_NOT_SAID};
    TRY(load_json(&s, path));
    TRY(check_kind(&s));
    TRY(get_sizes(cfg, &s));
    TRY(get_labels(cfg, &s));
    TRY(get_lower(&cfg->lower_case, &s));
out:
    json_decref(s.json);
    return st;
}

int bert_config_load(struct bert_config *cfg, const char *dir) {
    int st = THOR_OK;
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    TRY(bert_config_read(cfg, path));
    TRY(get_casing(cfg, dir));
out:
    return st;
}
