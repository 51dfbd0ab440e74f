/* config.json: every field that the forward pass depends on, each within its range. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/architecture.h"
#include "bert/input/jsonfile.h"
#include "bert/input/pooling.h"
#include "bert/input/text.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)
#define POSITIONS_MAX 65536

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

/* Old files name no kind: they are BERT's. */
static int get_arch(struct bert_config *c, const struct source *s) {
    const json_t *field = json_object_get(s->json, "model_type");
    const char *type = json_string_value(field);
    const char *what = type ? bert_arch_unsupported(type) : NULL;
    char list[200];
    c->arch = BERT_ARCH_BERT;
    if (!field || json_is_null(field)) return THOR_OK;
    if (type && bert_arch_find(&c->arch, type)) {
        c->squash = bert_archs[c->arch].squash;
        return THOR_OK;
    }
    bert_arch_list(list, sizeof list);
    return thor_fail(THOR_MODEL, "%s: model_type is \"%.60s\"%s%s; supported are %s", s->path,
                     type ? type : "?", what ? ", which has " : "", what ? what : "", list);
}

/* A group of layers, or a layer of groups, as no published ALBERT has. */
static int want_one(const struct source *s, const char *key) {
    const json_t *field = json_object_get(s->json, key);
    if (!field || json_is_null(field) || json_integer_value(field) == 1) return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s must be 1: other models are not supported", s->path, key);
}

/* Heads that were cut off, or weights of a few bits, with how to make sense of them. */
static int want_empty(const struct source *s, const char *key, const char *what) {
    const json_t *field = json_object_get(s->json, key);
    if (!field || json_is_null(field) || (json_is_object(field) && !json_object_size(field)))
        return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s: %s are not supported", s->path, key, what);
}

/* GPT-2 as it was published. */
static int check_causal(const struct source *s) {
    int st = THOR_OK;
    TRY(want_bool(s, "scale_attn_weights", 1));
    TRY(want_bool(s, "scale_attn_by_inverse_layer_idx", 0));
    TRY(want_bool(s, "add_cross_attention", 0));
    TRY(want_bool(s, "tie_word_embeddings", 1));
out:
    return st;
}

static int check_kind(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    TRY(get_arch(c, s));
    if (bert_is_causal(c)) return check_causal(s);
    TRY(want_text(s, "position_embedding_type", "absolute"));
    TRY(want_bool(s, "is_decoder", 0));
    TRY(want_bool(s, "is_encoder_decoder", 0));
    TRY(want_bool(s, "add_cross_attention", 0));
    TRY(want_one(s, "num_hidden_groups"));
    TRY(want_one(s, "inner_group_num"));
    TRY(want_empty(s, "pruned_heads", "pruned heads"));
    TRY(want_empty(s, "quantization_config", "quantised weights"));
out:
    return st;
}

static int get_activation(struct bert_config *c, const struct source *s) {
    const struct bert_arch_row *a = &bert_archs[c->arch];
    const json_t *field = json_object_get(s->json, a->key.activation);
    const char *name = json_string_value(field);
    char list[200];
    c->activation = a->activation; // the framework's default
    if (!field || json_is_null(field) || (name && bert_activation_find(&c->activation, name)))
        return THOR_OK;
    bert_activation_list(list, sizeof list);
    return thor_fail(THOR_MODEL, "%s: %s is \"%.60s\"; supported are %s", s->path,
                     a->key.activation, name ? name : "?", list);
}

/* Embeddings: their columns, and where positions begin. */
static int get_embeddings(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const struct bert_arch_row *a = &bert_archs[c->arch];
    const int causal = bert_is_causal(c);
    TRY(get_int(&c->vocab, s, "vocab_size", causal ? 2 : BERT_NSPECIAL, 1000000));
    if (a->pad_first) {
        c->first_position = 1; // the framework's default of pad_token_id
        if (json_object_get(s->json, "pad_token_id"))
            TRY(get_int(&c->first_position, s, "pad_token_id", 0, BERT_MAX_TOKENS));
        c->first_position++;
    }
    TRY(get_int(&c->positions, s, a->key.positions, 4 + c->first_position,
                causal ? BERT_MAX_TOKENS : POSITIONS_MAX));
    c->max_positions = c->positions - c->first_position;
    if (c->max_positions > BERT_MAX_TOKENS) c->max_positions = BERT_MAX_TOKENS;
    if (a->key.types) TRY(get_int(&c->type_vocab, s, a->key.types, 1, 16));
    if (a->key.embedding) TRY(get_int(&c->embedding, s, a->key.embedding, 8, 4096));
    if (c->embedding == c->hidden && !a->map_always) c->embedding = 0;
out:
    return st;
}

static int get_eps(struct bert_config *c, const struct source *s) {
    const char *key = bert_archs[c->arch].key.eps;
    const json_t *eps = key ? json_object_get(s->json, key) : NULL;
    c->eps = eps ? json_number_value(eps) : bert_is_causal(c) ? 1e-5 : 1e-12; // the framework's
    if ((!eps || json_is_number(eps)) && c->eps >= 0 && c->eps <= 1e-3) return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s must be in 0..0.001", s->path, key);
}

static int get_ffn(struct bert_config *c, const struct source *s) {
    const char *key = bert_archs[c->arch].key.ffn;
    const json_t *field = json_object_get(s->json, key);
    c->ffn = 4 * c->hidden; // the framework's default, of a GPT-2 alone
    if (bert_is_causal(c) && (!field || json_is_null(field))) return THOR_OK;
    return get_int(&c->ffn, s, key, 8, 16384);
}

/* What is first in every text of a GPT-2. */
static int get_first_token(struct bert_config *c, const struct source *s) {
    c->first_token = c->vocab - 1; // the framework's default is the published model's
    if (!json_object_get(s->json, "bos_token_id")) return THOR_OK;
    return get_int(&c->first_token, s, "bos_token_id", 0, c->vocab - 1);
}

static int get_sizes(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const struct bert_arch_keys *key = &bert_archs[c->arch].key;
    TRY(get_int(&c->hidden, s, key->hidden, 8, 4096));
    TRY(get_int(&c->layers, s, key->layers, 1, 64));
    TRY(get_int(&c->heads, s, key->heads, 1, 64));
    TRY(get_ffn(c, s));
    if (c->hidden % c->heads)
        TRY(thor_fail(THOR_MODEL, "%s: %s %d is not a multiple of %s %d", s->path, key->hidden,
                      c->hidden, key->heads, c->heads));
    TRY(get_embeddings(c, s));
    TRY(get_eps(c, s));
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

/* The names count, whatever num_labels says, as in the usual library. */
static int get_labels(struct bert_config *c, const struct source *s) {
    int st = THOR_OK;
    const json_t *names = json_object_get(s->json, "id2label");
    char key[16];
    c->labels = 2; // the framework's default
    if (names && !json_is_null(names)) {
        size_t n = json_object_size(names);
        if (!json_is_object(names) || n < 1 || n > BERT_MAX_LABELS)
            TRY(thor_fail(THOR_MODEL, "%s: id2label must name 1..%d labels", s->path,
                          BERT_MAX_LABELS));
        c->labels = (int)n;
    } else if (json_object_get(s->json, "num_labels")) {
        TRY(get_int(&c->labels, s, "num_labels", 1, BERT_MAX_LABELS));
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

/* What the logits of a classifier say; the usual library takes one label for a regression. */
static int get_task(struct bert_config *c, const struct source *s) {
    const json_t *field = json_object_get(s->json, "problem_type");
    const char *type = json_is_null(field) ? NULL : json_string_value(field);
    c->task = BERT_ONE_OF;
    if (c->head == BERT_HEAD_TOKENS || c->head == BERT_HEAD_STATE) return THOR_OK;
    if (field && !type && !json_is_null(field)) type = "?";
    if (!type || strcmp(type, "single_label_classification") == 0)
        c->task = c->labels == 1 ? BERT_SCORE : BERT_ONE_OF;
    else if (strcmp(type, "multi_label_classification") == 0)
        c->task = BERT_ANY_OF;
    else if (strcmp(type, "regression") == 0 && c->labels == 1)
        c->task = BERT_SCORE;
    else if (strcmp(type, "regression") == 0)
        return thor_fail(THOR_MODEL, "%s: a regression of %d values: only one is supported",
                         s->path, c->labels);
    else
        return thor_fail(
            THOR_MODEL,
            "%s: problem_type is \"%.60s\"; supported are single_label_classification, "
            "multi_label_classification and regression",
            s->path, type);
    return THOR_OK;
}

int bert_labels_read(struct bert_config *cfg, const char *path) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    TRY(load_json(&s, path));
    cfg->head = BERT_HEAD_CLASSIFIER;
    TRY(get_labels(cfg, &s));
    TRY(get_task(cfg, &s));
out:
    json_decref(s.json);
    return st;
}

/* Classes of the usual library by how their names end; those of language models have the encoder's
 * state, of which embeddings are made. */
static int is_head(enum bert_head *head, const char *name) {
    static const struct {
        const char *end;
        enum bert_head head;
    } known[] = {{"ForSequenceClassification", BERT_HEAD_CLASSIFIER},
                 {"ForTokenClassification", BERT_HEAD_TOKENS},
                 {"BertForNextSentencePrediction", BERT_HEAD_NEXT_SENTENCE},
                 {"BertForPreTraining", BERT_HEAD_NEXT_SENTENCE},
                 {"ForMaskedLM", BERT_HEAD_STATE},
                 {"Model", BERT_HEAD_STATE}};
    for (size_t i = 0; name && i < sizeof known / sizeof *known; i++) {
        const size_t n = strlen(name), end = strlen(known[i].end);
        if (n < end || strcmp(name + n - end, known[i].end) != 0) continue;
        *head = known[i].head;
        return 1;
    }
    return 0;
}

/* The head that `architectures` names, the first that is one.  A head that the file lacks must not
 * be replaced by another that it has, and tensors of a head for answers are no classifier's. */
static int get_head(struct bert_config *c, const struct source *s) {
    const json_t *names = json_object_get(s->json, "architectures");
    const char *name = NULL;
    if (!names || json_is_null(names) || (json_is_array(names) && json_array_size(names) == 0))
        return THOR_OK;
    for (size_t i = 0; i < json_array_size(names); i++) {
        enum bert_head head;
        name = json_string_value(json_array_get(names, i));
        if (is_head(&head, name) && (c->head == BERT_HEAD_ANY || c->head == BERT_HEAD_STATE))
            c->head = head;
    }
    if (c->head != BERT_HEAD_ANY) return THOR_OK;
    return thor_fail(THOR_MODEL,
                     "%s: architectures names %.60s, whose head is not supported; supported are "
                     "..ForSequenceClassification, ..ForTokenClassification, "
                     "BertForNextSentencePrediction and, for embeddings, ..Model and ..ForMaskedLM",
                     s->path, name ? name : "no model");
}

static int read_config(struct bert_config *cfg, const char *path, int with_head) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    *cfg = (struct bert_config){.lower_case = 1};
    TRY(load_json(&s, path));
    TRY(check_kind(cfg, &s));
    TRY(get_activation(cfg, &s));
    TRY(get_sizes(cfg, &s));
    if (bert_is_causal(cfg)) { // no labels
        cfg->head = BERT_HEAD_STATE;
        cfg->lower_case = 0;
        st = get_first_token(cfg, &s);
        goto out;
    }
    TRY(get_labels(cfg, &s));
    TRY(with_head ? get_head(cfg, &s) : THOR_OK);
    TRY(get_task(cfg, &s));
out:
    json_decref(s.json);
    return st;
}

int bert_config_read(struct bert_config *cfg, const char *path) {
    return read_config(cfg, path, 0);
}

int bert_config_load(struct bert_config *cfg, const char *dir) {
    int st = THOR_OK;
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    TRY(read_config(cfg, path, 1));
    TRY(bert_pooling_load(cfg, dir));
out:
    return st;
}
