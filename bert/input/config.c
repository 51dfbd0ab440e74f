/* config.json: every field that the forward pass depends on, each within its range. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/text.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)

struct source {
    char path[4200];
    json_t *json;
};

static int load_json(struct source *s, const char *path) {
    s->json = NULL;
    if (snprintf(s->path, sizeof s->path, "%s", path) >= (int)sizeof s->path)
        return thor_fail(THOR_MODEL, "%.60s..: the folder's name is too long", path);
    return bert_json_read(&s->json, path, CONFIG_BYTES_MAX, BERT_JSON_SMALL, 0, THOR_MODEL);
}

static int get_int(int *v, const struct source *s, const char *key, int min, int max) {
    const json_t *field = json_object_get(s->json, key);
    json_int_t n = json_integer_value(field);
    if (!field) return thor_fail(THOR_MODEL, "%s: %s is missing", s->path, key);
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
    if (!field || json_is_null(field) || (text && strcmp(text, want) == 0)) return THOR_OK;
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
    TRY(want_text(s, "position_embedding_type", "absolute"));
    TRY(want_text(s, "problem_type", "single_label_classification"));
    TRY(want_bool(s, "is_decoder", 0));
    TRY(want_bool(s, "add_cross_attention", 0));
out:
    return st;
}

static int get_activation(struct bert_config *c, const struct source *s) {
    const json_t *field = json_object_get(s->json, "hidden_act");
    const char *name = json_string_value(field);
    char list[200];
    c->activation = BERT_GELU; // the framework's default
    if (!field || json_is_null(field) || (name && bert_activation_find(&c->activation, name)))
        return THOR_OK;
    bert_activation_list(list, sizeof list);
    return thor_fail(THOR_MODEL, "%s: hidden_act is \"%.60s\"; supported are %s", s->path,
                     name ? name : "?", list);
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
    if ((eps && !json_is_number(eps)) || !(c->eps >= 0 && c->eps <= 1e-3))
        TRY(thor_fail(THOR_MODEL, "%s: layer_norm_eps must be in 0..0.001", s->path));
out:
    return st;
}

static int get_label(char *name, const struct source *s, const json_t *text, int i) {
    char digits[32];
    if (json_is_integer(text)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(text));
        memcpy(name, digits, strlen(digits) + 1);
        return THOR_OK;
    }
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

/* The usual library takes such a head for a regression. */
static int refuse_one_label(const struct source *s) {
    return thor_fail(THOR_MODEL,
                     "%s: the head has one label: a score, not a class, is not "
                     "supported",
                     s->path);
}

/* The names count, whatever num_labels says, as in the usual library. */
static int get_labels(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const json_t *names = json_object_get(s->json, "id2label");
    char key[16];
    c->labels = 2; // the framework's default
    if (names && !json_is_null(names)) {
        size_t n = json_object_size(names);
        TRY(n == 1 ? refuse_one_label(s) : THOR_OK);
        if (!json_is_object(names) || n < 2 || n > BERT_SERVER_LABELS)
            TRY(thor_fail(THOR_MODEL, "%s: id2label must name 2..%d labels", s->path,
                          BERT_SERVER_LABELS));
        c->labels = (int)n;
    } else if (json_object_get(s->json, "num_labels")) {
        if (json_integer_value(json_object_get(s->json, "num_labels")) == 1)
            TRY(refuse_one_label(s));
        TRY(get_int(&c->labels, s, "num_labels", 2, BERT_SERVER_LABELS));
    }
    for (int i = 0; i < c->labels; i++) {
        snprintf(key, sizeof key, "%d", i);
        snprintf(c->label_names[i], BERT_LABEL_BYTES, "%d", i);
        if (json_is_object(names))
            TRY(get_label(c->label_names[i], s, json_object_get(names, key), i));
    }
out:
    return st;
}

/* The head that `architectures` names.  A head that the file lacks must not be replaced by another
 * that it has, and tensors of a head for tokens or answers are no classifier's. */
static int get_head(struct bert_config *c, const struct source *s) {
    const json_t *names = json_object_get(s->json, "architectures");
    const char *name = NULL;
    if (!names || json_is_null(names) || (json_is_array(names) && json_array_size(names) == 0))
        return THOR_OK;
    for (size_t i = 0; i < json_array_size(names); i++) {
        name = json_string_value(json_array_get(names, i));
        if (name && strstr(name, "ForSequenceClassification"))
            c->head = BERT_HEAD_CLASSIFIER;
        else if (name && (strcmp(name, "BertForNextSentencePrediction") == 0 ||
                          strcmp(name, "BertForPreTraining") == 0))
            c->head = BERT_HEAD_NEXT_SENTENCE;
        if (c->head != BERT_HEAD_ANY) return THOR_OK;
    }
    return thor_fail(THOR_MODEL,
                     "%s: architectures names %.60s, which is no classifier of texts; "
                     "only BertForSequenceClassification and BertForNextSentencePrediction are "
                     "supported: fine-tune it as one, or take another model",
                     s->path, name ? name : "no model");
}

static int read_config(struct bert_config *cfg, const char *path, int with_head) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    *cfg = (struct bert_config){.lower_case = 1};
    TRY(load_json(&s, path));
    TRY(check_kind(&s));
    TRY(get_activation(cfg, &s));
    TRY(get_sizes(cfg, &s));
    TRY(get_labels(cfg, &s));
    TRY(with_head ? get_head(cfg, &s) : THOR_OK);
out:
    json_decref(s.json);
    return st;
}

int bert_config_read(struct bert_config *cfg, const char *path) {
    return read_config(cfg, path, 0);
}

int bert_config_load(struct bert_config *cfg, const char *dir) {
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    return read_config(cfg, path, 1);
}
