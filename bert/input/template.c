#include "bert/input/template.h"

#include <string.h>

enum { ID_MAX = 10000000 };

static void fill(struct bert_template *t, const struct bert_item *item, int n) {
    *t = (struct bert_template){.n = n};
    memcpy(t->item, item, (size_t)n * sizeof *item);
}

void bert_templates_plain(struct bert_templates *t) {
    const struct bert_item all[] = {{BERT_TEXT_A, 0}, {BERT_TEXT_B, 1}};
    fill(&t->single, all, 1);
    fill(&t->pair, all, 2);
}

void bert_templates_bert(struct bert_templates *t, int cls, int sep) {
    const struct bert_item all[] = {
        {cls, 0}, {BERT_TEXT_A, 0}, {sep, 0}, {BERT_TEXT_B, 1}, {sep, 1}};
    fill(&t->single, all, 3);
    fill(&t->pair, all, 5);
}

void bert_templates_roberta(struct bert_templates *t, int cls, int sep) {
    const struct bert_item all[] = {{cls, 0}, {BERT_TEXT_A, 0}, {sep, 0},
                                    {sep, 0}, {BERT_TEXT_B, 0}, {sep, 0}};
    fill(&t->single, all, 3);
    fill(&t->pair, all, 6);
}

static int same(const struct bert_template *a, const struct bert_template *b) {
    return a->n == b->n && memcmp(a->item, b->item, (size_t)a->n * sizeof *a->item) == 0;
}

int bert_templates_equal(const struct bert_templates *a, const struct bert_templates *b) {
    return same(&a->single, &b->single) && same(&a->pair, &b->pair);
}

/* ---- post_processor */

static int refuse(const char *path, const char *what) {
    return thor_fail(THOR_MODEL, "%.300s: post_processor %.100s", path, what);
}

static int put(struct bert_template *t, json_int_t id, json_int_t type, const char *path) {
    if (t->n == BERT_TEMPLATE_MAX) return refuse(path, "is longer than 32 items");
    if (id < BERT_TEXT_B || id > ID_MAX) return refuse(path, "holds an id that is no token's");
    if (type < 0 || type > 1) return refuse(path, "holds a type_id that is neither 0 nor 1");
    t->item[t->n++] = (struct bert_item){(int)id, (int)type};
    return THOR_OK;
}

static int put_special(struct bert_template *t, const json_t *o, const json_t *specials,
                       const char *path) {
    int st = THOR_OK;
    const char *name = json_string_value(json_object_get(o, "id"));
    const json_t *ids = name ? json_object_get(json_object_get(specials, name), "ids") : NULL;
    const json_int_t type = json_integer_value(json_object_get(o, "type_id"));
    if (json_array_size(ids) == 0) TRY(refuse(path, "names a special token without ids"));
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const json_t *id = json_array_get(ids, i);
        TRY(put(t,
                json_is_integer(id) && json_integer_value(id) >= 0 ? json_integer_value(id)
                                                                   : ID_MAX + 1,
                type, path));
    }
out:
    return st;
}

static int put_text(struct bert_template *t, const json_t *o, const char *path) {
    const char *name = json_string_value(json_object_get(o, "id"));
    const int a = name && strcmp(name, "A") == 0, b = name && strcmp(name, "B") == 0;
    if (!a && !b) return refuse(path, "names a text that is neither A nor B");
    return put(t, a ? BERT_TEXT_A : BERT_TEXT_B, json_integer_value(json_object_get(o, "type_id")),
               path);
}

static int count(const struct bert_template *t, int id) {
    int n = 0;
    for (int i = 0; i < t->n; i++) n += t->item[i].id == id;
    return n;
}

static int read_list(struct bert_template *t, const json_t *list, const json_t *specials, int pair,
                     const char *path) {
    int st = THOR_OK;
    *t = (struct bert_template){.n = 0};
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *text = json_object_get(o, "Sequence");
        const json_t *token = json_object_get(o, "SpecialToken");
        if (!text && !token) TRY(refuse(path, "holds an item that is no token and no text"));
        TRY(text ? put_text(t, text, path) : put_special(t, token, specials, path));
    }
    if (count(t, BERT_TEXT_A) != 1 || count(t, BERT_TEXT_B) != pair)
        TRY(refuse(path, pair ? "must make a pair of A and B, each once"
                              : "must make one text of A once, and not of B"));
out:
    return st;
}

/* ["[SEP]", 102] */
static json_int_t pair_id(const json_t *o, const char *key) {
    const json_t *id = json_array_get(json_object_get(o, key), 1);
    return json_is_integer(id) ? json_integer_value(id) : -1;
}

static int read_one(struct bert_templates *t, int *made, const json_t *o, const char *path) {
    int st = THOR_OK;
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_int_t sep = pair_id(o, "sep"), cls = pair_id(o, "cls");
    const json_t *specials = json_object_get(o, "special_tokens");
    if (type && strcmp(type, "ByteLevel") == 0) return THOR_OK; // offsets alone, trimmed anyway
    if (*made) return refuse(path, "holds two that add tokens");
    *made = 1;
    if (type && strcmp(type, "TemplateProcessing") == 0) {
        TRY(read_list(&t->single, json_object_get(o, "single"), specials, 0, path));
        TRY(read_list(&t->pair, json_object_get(o, "pair"), specials, 1, path));
        return THOR_OK;
    }
    const int bert = type && strcmp(type, "BertProcessing") == 0;
    if (!bert && !(type && strcmp(type, "RobertaProcessing") == 0))
        return thor_fail(THOR_MODEL, "%.300s: the post_processor \"%.60s\" is not supported", path,
                         type ? type : "?");
    if (sep < 0 || sep > ID_MAX || cls < 0 || cls > ID_MAX)
        return refuse(path, "must have sep and cls, each a token and its id");
    (bert ? bert_templates_bert : bert_templates_roberta)(t, (int)cls, (int)sep);
out:
    return st;
}

int bert_templates_read(struct bert_templates *t, const json_t *o, const char *path) {
    int st = THOR_OK, made = 0;
    const char *type = json_string_value(json_object_get(o, "type"));
    const json_t *all = json_object_get(o, "processors");
    bert_templates_plain(t);
    if (!o || json_is_null(o)) return THOR_OK;
    if (!type || strcmp(type, "Sequence") != 0) return read_one(t, &made, o, path);
    for (size_t i = 0; i < json_array_size(all); i++)
        TRY(read_one(t, &made, json_array_get(all, i), path));
out:
    return st;
}
