/* vocab.txt, or the vocabulary of tokenizer.json: token -> id by open addressing, at most half
 * full. */
#include "bert/input/vocab.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "bert/input/filekind.h"
#include "bert/input/readfile.h"

#define VOCAB_BYTES_MAX ((size_t)64 << 20)
enum { IDS_MAX = 2000000 };

struct token {
    const char *text;
    uint32_t len;
    int id;
};

struct bert_vocab {
    char *file; /* what the tokens' text points into, a NUL behind each */
    struct token *token;
    int n;     /* different tokens */
    int end;   /* tokens, equal ones of a list counted each */
    int *slot; /* index of a token, or -1 */
    size_t mask;
    int *by_id; /* index of a token, or -1; ids of them */
    int ids;
    int special[BERT_NSPECIAL];
    size_t longest;
};

static const char *const special_text[BERT_NSPECIAL] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};

static size_t find_slot(const struct bert_vocab *v, const char *text, size_t len) {
    size_t at = (size_t)XXH3_64bits(text, len) & v->mask;
    while (v->slot[at] >= 0) {
        const struct token *t = &v->token[v->slot[at]];
        if (t->len == len && memcmp(t->text, text, len) == 0) break;
        at = (at + 1) & v->mask;
    }
    return at;
}

int bert_vocab_id(const struct bert_vocab *v, const char *text, size_t len) {
    const int at = len == 0 || len > v->longest ? -1 : v->slot[find_slot(v, text, len)];
    return at < 0 ? -1 : v->token[at].id;
}

int bert_vocab_end(const struct bert_vocab *v) {
    return v->end;
}

int bert_vocab_special(const struct bert_vocab *v, enum bert_special which) {
    return v->special[which];
}

void bert_vocab_set_special(struct bert_vocab *v, enum bert_special which, int id) {
    v->special[which] = id;
}

const char *bert_vocab_token(const struct bert_vocab *v, int id) {
    return id >= 0 && id < v->ids && v->by_id[id] >= 0 ? v->token[v->by_id[id]].text : NULL;
}

void bert_vocab_free(struct bert_vocab *v) {
    if (!v) return;
    free(v->file);
    free(v->token);
    free(v->slot);
    free(v->by_id);
    free(v);
}

/* Room for n tokens with ids below `ids`. */
static int make_room(struct bert_vocab *v, size_t n, size_t ids, const char *path) {
    size_t slots = 16;
    if (n > IDS_MAX || ids > IDS_MAX)
        return thor_fail(THOR_MODEL, "%s: more than %d tokens", path, IDS_MAX);
    while (slots < 2 * n) slots *= 2;
    v->mask = slots - 1;
    v->ids = (int)ids;
    v->token = calloc(n + 1, sizeof *v->token);
    v->slot = malloc(slots * sizeof *v->slot);
    v->by_id = malloc((ids + 1) * sizeof *v->by_id);
    if (!v->token || !v->slot || !v->by_id)
        return thor_fail(THOR_MEMORY, "%s: no memory for %zu tokens", path, n);
    memset(v->slot, 0xff, slots * sizeof *v->slot); // all -1
    memset(v->by_id, 0xff, (ids + 1) * sizeof *v->by_id);
    return THOR_OK;
}

/* `text` has a NUL behind it and stays. */
static void add(struct bert_vocab *v, const char *text, size_t len, int id) {
    const size_t at = find_slot(v, text, len);
    if (v->slot[at] < 0) {
        v->slot[at] = v->n;
        v->token[v->n++] = (struct token){text, (uint32_t)len, id};
    }
    struct token *t = &v->token[v->slot[at]];
    if (v->by_id[t->id] == v->slot[at]) v->by_id[t->id] = -1; // a line before it with the same text
    t->id = id;
    v->by_id[id] = v->slot[at];
    if (len > v->longest) v->longest = len;
}

static int find_specials(struct bert_vocab *v, const char *path) {
    for (int s = 0; s < BERT_NSPECIAL; s++) {
        v->special[s] = bert_vocab_id(v, special_text[s], strlen(special_text[s]));
        if (v->special[s] < 0)
            return thor_fail(THOR_MODEL, "%s: the token %s is missing", path, special_text[s]);
    }
    return THOR_OK;
}

static struct bert_vocab *new_vocab(const char *path) {
    struct bert_vocab *v = calloc(1, sizeof *v);
    if (!v) (void)thor_fail(THOR_MEMORY, "%s: no memory for the vocabulary", path);
    for (int s = 0; v && s < BERT_NSPECIAL; s++) v->special[s] = -1;
    return v;
}

/* ---- vocab.txt */

static int add_line(struct bert_vocab *v, char *line, size_t len, int id, const char *path) {
    if (len > 0 && line[len - 1] == '\r') len--;
    if (bert_utf8_valid(line, len) != len || memchr(line, 0, len))
        return thor_fail(THOR_MODEL, "%s: line %d is not UTF-8 text", path, id + 1);
    line[len] = 0;
    add(v, line, len, id);
    return THOR_OK;
}

static int add_lines(struct bert_vocab *v, size_t size, const char *path) {
    int st = THOR_OK, id = 0;
    char *p = v->file, *end = p + size;
    while (p < end) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        TRY(add_line(v, p, (size_t)(stop - p), id++, path));
        p = stop + 1;
    }
out:
    return st;
}

static size_t count_lines(const char *text, size_t size) {
    size_t n = size > 0 && text[size - 1] != '\n';
    for (size_t i = 0; i < size; i++) n += text[i] == '\n';
    return n;
}

int bert_vocab_load(struct bert_vocab **out, const char *path) {
    int st = THOR_OK;
    size_t size = 0, lines;
    struct bert_vocab *v = new_vocab(path);
    *out = NULL;
    if (!v) return THOR_MEMORY;
    TRY(bert_read_file(&v->file, &size, path, VOCAB_BYTES_MAX, THOR_MODEL));
    TRY(bert_file_is_text(path, v->file, size, THOR_MODEL));
    lines = count_lines(v->file, size);
    TRY(make_room(v, lines, lines, path));
    TRY(add_lines(v, size, path));
    v->end = v->n;
    TRY(find_specials(v, path));
    *out = v;
    v = NULL;
out:
    bert_vocab_free(v);
    return st;
}

/* ---- tokenizer.json, vocab.json */

/* Token by token of an object (id by name) or a list (the first of two texts, its number); the walk
 * ends with 0. */
struct walk {
    json_t *vocab;
    void *at;
    size_t i;
};

static int next_token(struct walk *k, const char **text, json_int_t *id) {
    const json_t *o;
    if (json_is_array(k->vocab)) {
        *text = json_string_value(json_array_get(json_array_get(k->vocab, k->i), 0));
        *id = (json_int_t)k->i;
        return k->i++ < json_array_size(k->vocab);
    }
    k->at = k->at ? json_object_iter_next(k->vocab, k->at) : json_object_iter(k->vocab);
    if (!k->at) return 0;
    *text = json_object_iter_key(k->at);
    o = json_object_iter_value(k->at);
    *id = json_is_integer(o) ? json_integer_value(o) : -1;
    return 1;
}

static int measure(size_t *bytes, int *last, json_t *vocab, const char *path) {
    struct walk k = {.vocab = vocab};
    const char *name;
    json_int_t i;
    *bytes = 0;
    *last = -1;
    while (next_token(&k, &name, &i)) {
        if (!name)
            return thor_fail(THOR_MODEL, "%s: token %lld of the vocabulary is no text", path,
                             (long long)i);
        if (i < 0 || i >= IDS_MAX)
            return thor_fail(THOR_MODEL, "%s: the id of token %.40s is none in 0..%d", path, name,
                             IDS_MAX - 1);
        *bytes += strlen(name) + 1;
        if (i > *last) *last = (int)i;
    }
    return THOR_OK;
}

static void copy_tokens(struct bert_vocab *v, json_t *vocab) {
    struct walk k = {.vocab = vocab};
    const char *name;
    json_int_t id;
    char *at = v->file;
    while (next_token(&k, &name, &id)) {
        const size_t len = strlen(name);
        memcpy(at, name, len + 1);
        add(v, at, len, (int)id);
        at += len + 1;
    }
    v->end = json_is_array(vocab) ? (int)json_array_size(vocab) : v->n;
}

static size_t tokens_of(const json_t *vocab) {
    return json_is_array(vocab) ? json_array_size(vocab) : json_object_size(vocab);
}

int bert_vocab_from_json(struct bert_vocab **out, const json_t *vocab, const char *path) {
    int st = THOR_OK, last = -1;
    size_t bytes = 0;
    json_t *tokens = (json_t *)(uintptr_t)vocab; // to walk over it, no more
    struct bert_vocab *v = new_vocab(path);
    *out = NULL;
    if (!v) return THOR_MEMORY;
    TRY(measure(&bytes, &last, tokens, path));
    v->file = malloc(bytes + 1);
    if (!v->file) TRY(thor_fail(THOR_MEMORY, "%s: no memory for its tokens", path));
    TRY(make_room(v, tokens_of(vocab), (size_t)(last + 1), path));
    copy_tokens(v, tokens);
    *out = v;
    v = NULL;
out:
    bert_vocab_free(v);
    return st;
}
