/* Added tokens, special ones among them, from all files of a folder. */
#include <stdlib.h>
#include <string.h>

#include "bert/input/tokenfolder.h"

static int put_flags(struct bert_adding *a, const struct bert_folder *f, enum bert_which file,
                     const json_t *o, int id) {
    int st = THOR_OK;
    const json_t *text = json_object_get(o, "content");
    struct bert_added t = {.id = id};
    if (!json_is_string(text))
        TRY(bert_folder_refuse(f, file, "content", "of an added token is missing"));
    TRY(bert_folder_flag(&t.special, f, file, o, "special"));
    t.normalized = !t.special;
    TRY(bert_folder_flag(&t.normalized, f, file, o, "normalized"));
    TRY(bert_folder_flag(&t.single_word, f, file, o, "single_word"));
    TRY(bert_folder_flag(&t.lstrip, f, file, o, "lstrip"));
    TRY(bert_folder_flag(&t.rstrip, f, file, o, "rstrip"));
    TRY(bert_adding_put(a, json_string_value(text), json_string_length(text), t));
out:
    return st;
}

static int add_from_tokenizer(struct bert_adding *a, const struct bert_folder *f) {
    int st = THOR_OK;
    const json_t *list = bert_folder_get(f, BERT_TOKENIZER, "added_tokens");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i);
        TRY(put_flags(a, f, BERT_TOKENIZER, o, (int)json_integer_value(json_object_get(o, "id"))));
    }
out:
    return st;
}

static int add_from_decoder(struct bert_adding *a, const struct bert_folder *f) {
    int st = THOR_OK;
    json_t *all = bert_folder_get(f, BERT_TOKENIZER_CONFIG, "added_tokens_decoder"), *o;
    const char *key;
    json_object_foreach(all, key, o) {
        char *end;
        const long id = strtol(key, &end, 10);
        if (*key == 0 || *end || id < 0 || id > 10000000)
            TRY(bert_folder_refuse(f, BERT_TOKENIZER_CONFIG, "added_tokens_decoder",
                                   "holds an id that is no number"));
        TRY(put_flags(a, f, BERT_TOKENIZER_CONFIG, o, (int)id));
    }
out:
    return st;
}

static int add_from_old_file(struct bert_adding *a, const struct bert_folder *f) {
    int st = THOR_OK;
    const char *name;
    json_t *id;
    json_object_foreach(f->json[BERT_ADDED_FILE], name, id) {
        const json_int_t n = json_is_integer(id) ? json_integer_value(id) : -1;
        if (n < 0 || n > 10000000) TRY(bert_folder_refuse(f, BERT_ADDED_FILE, name, "has no id"));
        TRY(bert_adding_put(a, name, strlen(name),
                            (struct bert_added){.id = (int)n, .normalized = 1}));
    }
out:
    return st;
}

/* A special token's name, or an object with its flags; what is known of it already stays. */
static int put_special(struct bert_adding *a, const struct bert_folder *f, enum bert_which file,
                       const json_t *v) {
    const char *text = json_string_value(v);
    if (json_is_object(v)) text = json_string_value(json_object_get(v, "content"));
    if (!text) return bert_folder_refuse(f, file, "a special token", "must be a text");
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->item[i].name, text) == 0 && a->item[i].special) return THOR_OK;
    if (json_is_object(v)) return put_flags(a, f, file, v, -1);
    return bert_adding_put(a, text, strlen(text), (struct bert_added){.id = -1, .special = 1});
}

static const char *const role_key[] = {"unk_token",  "sep_token", "pad_token", "cls_token",
                                       "mask_token", "bos_token", "eos_token"};
enum { UNK, SEP, PAD, CLS, MASK, BOS, EOS, ROLES };

/* What the folder says of a role, its name in *name: that of the class, NULL, where it says
 * nothing. */
static const json_t *find_role(const char **name, enum bert_which *file,
                               const struct bert_folder *f, int role) {
    const char *key = role_key[role];
    *file =
        bert_folder_get(f, BERT_TOKENIZER_CONFIG, key) ? BERT_TOKENIZER_CONFIG : BERT_SPECIAL_MAP;
    const json_t *v = bert_folder_get(f, *file, key);
    *name = json_string_value(json_is_object(v) ? json_object_get(v, "content") : v);
    if (!v) *name = f->kind->token[role];
    return v;
}

/* BERT's five keep their usual names: newer versions of the library and older ones differ in what
 * others do. */
static int put_role(struct bert_adding *a, const struct bert_folder *f, int role) {
    const char *name, *usual = f->kind->token[role];
    enum bert_which file;
    const json_t *v = find_role(&name, &file, f, role);
    const struct bert_added flags = {
        .id = -1, .special = 1, .lstrip = role == MASK && f->kind->mask_lstrip};
    if (v && f->kind->family == BERT_FAMILY_BERT && role < BOS &&
        (!name || strcmp(name, usual) != 0))
        return thor_fail(THOR_MODEL, "%.300s: %s is \"%.40s\"; only \"%s\" is supported",
                         f->path[file], role_key[role], name ? name : "?", usual);
    if (json_is_object(v)) return put_special(a, f, file, v);
    if (v && !name) return bert_folder_refuse(f, file, role_key[role], "must be a text");
    if (!name) return THOR_OK;
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->item[i].name, name) == 0 && a->item[i].special) return THOR_OK;
    return bert_adding_put(a, name, strlen(name), flags);
}

static int id_of(const struct bert_rules *r, const struct bert_vocab *v, const char *name) {
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->added[i].name, name) == 0) return r->added[i].id;
    return bert_vocab_id(v, name, strlen(name));
}

/* The id of the first of the roles that the folder or the class names, else of the usual names that
 * the vocabulary has. */
static void set_special(struct bert_vocab *v, enum bert_special which, const struct bert_rules *r,
                        const struct bert_folder *f, const int *roles, const char *const *usual) {
    const char *name = NULL;
    enum bert_which file;
    int id = -1;
    for (int k = 0; k < 2 && !name; k++) find_role(&name, &file, f, roles[k]);
    if (name) id = id_of(r, v, name);
    for (int k = 0; k < 2 && !name && id < 0; k++) id = id_of(r, v, usual[k]);
    bert_vocab_set_special(v, which, id);
}

static void set_specials(struct bert_vocab *v, const struct bert_rules *r,
                         const struct bert_folder *f) {
    static const struct {
        enum bert_special which;
        int role[2];
        const char *usual[2];
    } all[] = {{BERT_PAD, {PAD, PAD}, {"[PAD]", "<pad>"}},
               {BERT_UNK, {UNK, UNK}, {"[UNK]", "<unk>"}},
               {BERT_CLS, {CLS, BOS}, {"[CLS]", "<s>"}},
               {BERT_SEP, {SEP, EOS}, {"[SEP]", "</s>"}}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        set_special(v, all[i].which, r, f, all[i].role, all[i].usual);
}

static int put_more_specials(struct bert_adding *a, const struct bert_folder *f) {
    static const char *const key[] = {"additional_special_tokens", "extra_special_tokens"};
    int st = THOR_OK;
    for (int k = 0; k < 4; k++) {
        const enum bert_which file = k < 2 ? BERT_SPECIAL_MAP : BERT_TOKENIZER_CONFIG;
        const json_t *list = bert_folder_get(f, file, key[k % 2]);
        if (json_is_object(list) && json_object_size(list))
            TRY(bert_folder_refuse(f, file, key[k % 2], "must be a list"));
        for (size_t i = 0; i < json_array_size(list); i++)
            TRY(put_special(a, f, file, json_array_get(list, i)));
    }
out:
    return st;
}

int bert_folder_added(struct bert_rules *r, const struct bert_folder *f, struct bert_vocab *v) {
    int st = THOR_OK, split = 0;
    struct bert_adding a = {0};
    TRY(bert_folder_flag(&split, f, BERT_TOKENIZER_CONFIG, f->json[BERT_TOKENIZER_CONFIG],
                         "split_special_tokens"));
    if (split)
        TRY(bert_folder_refuse(f, BERT_TOKENIZER_CONFIG, "split_special_tokens",
                               "is not supported"));
    if (!bert_folder_get(f, BERT_TOKENIZER_CONFIG,
                         "added_tokens_decoder")) // else the older file is not read
        TRY(add_from_old_file(&a, f));
    TRY(add_from_tokenizer(&a, f));
    TRY(add_from_decoder(&a, f));
    for (int role = 0; role < ROLES; role++) TRY(put_role(&a, f, role));
    TRY(put_more_specials(&a, f));
    TRY(bert_adding_finish(r, &a, v, f->dir));
    set_specials(v, r, f);
out:
    bert_adding_free(&a);
    return st;
}
