/* vocab.txt, or the vocabulary of tokenizer.json: token -> id by open addressing, at most half
 * full. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

#include "bert/readfile.h"
#include "bert/vocab.h"

#define VOCAB_BYTES_MAX ((size_t)64 << 20)

struct token {
    const char *text;
    uint32_t len;
};

struct bert_vocab {
    char *file; /* the file's text, a NUL in place of each line end */
    struct token *token;
    int n;
    int *slot; /* id, or -1 */
    size_t mask;
    int special[BERT_NSPECIAL];
    size_t longest;
};

static const char *const special_text[BERT_NSPECIAL] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]"};

static size_t find_slot(const struct bert_vocab *v, const char *text, size_t len) {
    size_t at = (size_t)XXH3_64bits(text, len) & v->mask;
    while (v->slot[at] >= 0) {
        const struct token *t = &v->token[v->slot[at]];
        if (t->len == len && memcmp(t->text, text, len) == 0)
            break;
        at = (at + 1) & v->mask;
    }
    return at;
}

int bert_vocab_id(const struct bert_vocab *v, const char *text, size_t len) {
    return len > v->longest ? -1 : v->slot[find_slot(v, text, len)];
}

size_t bert_vocab_longest(const struct bert_vocab *v) {
    return v->longest;
}

int bert_vocab_special(const struct bert_vocab *v, enum bert_special which) {
    return v->special[which];
}

const char *bert_vocab_token(const struct bert_vocab *v, int id) {
    return id >= 0 && id < v->n ? v->token[id].text : NULL;
}

int bert_vocab_has_capitals(const struct bert_vocab *v) {
    for (int i = 0; i < v->n; i++)
        if (v->token[i].text[0] != '[' && strpbrk(v->token[i].text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
            return 1;
    return 0;
}

void bert_vocab_free(struct bert_vocab *v) {
    if (!v)
        return;
    free(v->file);
    free(v->token);
    free(v->slot);
    free(v);
}

static int add_line(struct bert_vocab *v, char *line, size_t len, const char *path) {
    size_t at;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    if (len == 0 || bert_utf8_valid(line, len) != len || memchr(line, 0, len))
        return thor_fail(THOR_MODEL, "%s: line %d is empty or is not UTF-8 text", path, v->n + 1);
    at = find_slot(v, line, len);
    if (v->slot[at] >= 0)
        return thor_fail(THOR_MODEL, "%s: line %d repeats the token of line %d", path, v->n + 1,
                         v->slot[at] + 1);
    line[len] = 0;
    v->token[v->n] = (struct token){line, (uint32_t)len};
    v->slot[at] = v->n++;
    if (len > v->longest)
        v->longest = len;
    return THOR_OK;
}

static int add_lines(struct bert_vocab *v, size_t size, const char *path, int want) {
    int st = THOR_OK;
    char *p = v->file, *end = p + size;
    while (p < end) {
        char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop)
            stop = end;
        if (v->n == want)
            TRY(thor_fail(THOR_MODEL, "%s: more than the %d tokens that config.json announces",
                          path, want));
        TRY(add_line(v, p, (size_t)(stop - p), path));
        p = stop + 1;
    }
    if (v->n != want)
        TRY(thor_fail(THOR_MODEL, "%s: %d tokens, but config.json announces %d", path, v->n, want));
out:
    return st;
}

static int find_specials(struct bert_vocab *v, const char *path) {
    for (int s = 0; s < BERT_NSPECIAL; s++) {
        v->special[s] = bert_vocab_id(v, special_text[s], strlen(special_text[s]));
        if (v->special[s] < 0)
            return thor_fail(THOR_MODEL, "%s: the token %s is missing", path, special_text[s]);
    }
    return THOR_OK;
}

/* ---- tokenizer.json, turned into the text of a vocab.txt */

static int sort_tokens(const char **by_id, json_t *vocab, const char *path, int want) {
    const char *name;
    json_t *id;
    if ((int)json_object_size(vocab) != want)
        return thor_fail(THOR_MODEL, "%s: %zu tokens, but config.json announces %d", path,
                         json_object_size(vocab), want);
    json_object_foreach(vocab, name, id) {
        const json_int_t i = json_is_integer(id) ? json_integer_value(id) : -1;
        if (i < 0 || i >= want || by_id[i])
            return thor_fail(THOR_MODEL, "%s: the id of token %.40s is none of its own in 0..%d",
                             path, name, want - 1);
        by_id[i] = name;
    }
    return THOR_OK;
}

static int join_tokens(char **text, size_t *size, const char **by_id, int n, const char *path) {
    size_t at = 0;
    for (int i = 0; i < n; i++)
        at += strlen(by_id[i]) + 1;
    *text = malloc(at + 1);
    if (!*text)
        return thor_fail(THOR_MEMORY, "%s: no memory for its %d tokens", path, n);
    *size = at;
    at = 0;
    for (int i = 0; i < n; i++) {
        const size_t len = strlen(by_id[i]);
        memcpy(*text + at, by_id[i], len);
        (*text)[at + len] = '\n';
        at += len + 1;
    }
    (*text)[at] = 0;
    return THOR_OK;
}

static int read_json(char **text, size_t *size, const char *path, int want) {
    int st = THOR_OK;
    char *file = NULL;
    size_t len = 0;
    json_error_t err;
    json_t *root = NULL, *vocab;
    const char **by_id = calloc((size_t)want, sizeof *by_id), *type;
    if (!by_id)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d tokens", path, want));
    TRY(bert_read_file(&file, &len, path, VOCAB_BYTES_MAX, THOR_MODEL));
    root = json_loadb(file, len, JSON_REJECT_DUPLICATES, &err);
    vocab = json_object_get(json_object_get(root, "model"), "vocab");
    type = json_string_value(json_object_get(json_object_get(root, "model"), "type"));
    if (!json_is_object(vocab) || (type && strcmp(type, "WordPiece") != 0))
        TRY(thor_fail(THOR_MODEL, "%s: holds no WordPiece vocabulary: %.80s", path,
                      root ? (type ? type : "model.vocab is missing") : err.text));
    TRY(sort_tokens(by_id, vocab, path, want));
    TRY(join_tokens(text, size, by_id, want, path));
out:
    json_decref(root);
    free(file);
    free(by_id);
    return st;
}

static int read_tokens(struct bert_vocab *v, size_t *size, const char *path, int want) {
    const char *dot = strrchr(path, '.');
    if (dot && strcmp(dot, ".json") == 0)
        return read_json(&v->file, size, path, want);
    return bert_read_file(&v->file, size, path, VOCAB_BYTES_MAX, THOR_MODEL);
}

int bert_vocab_load(struct bert_vocab **out, const char *path, int want) {
    int st = THOR_OK;
    size_t size = 0, slots = 16;
    struct bert_vocab *v = calloc(1, sizeof *v);
    *out = NULL;
    if (!v)
        return thor_fail(THOR_MEMORY, "%s: no memory for the vocabulary", path);
    TRY(read_tokens(v, &size, path, want));
    while (slots < 2 * (size_t)want)
        slots *= 2;
    v->mask = slots - 1;
    v->token = calloc((size_t)want, sizeof *v->token);
    v->slot = malloc(slots * sizeof *v->slot);
    if (!v->token || !v->slot)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d tokens", path, want));
    memset(v->slot, 0xff, slots * sizeof *v->slot); // every slot -1
    TRY(add_lines(v, size, path, want));
    TRY(find_specials(v, path));
    *out = v;
    v = NULL;
out:
    bert_vocab_free(v);
    return st;
}
