#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/filekind.h"
#include "bert/input/readfile.h"
#include "bert/input/tokenmodel.h"

#define MERGES_BYTES_MAX ((size_t)64 << 20)
enum { MERGES_MAX = 2000000, AFFIX_MAX = 64, NONE = -1 };

struct merge { /* tokens left, right become `id`; the smaller rank goes first */
    int left, right, rank, id;
};

struct bert_bpe {
    struct merge *merge; /* open addressing, at most half full; rank NONE: free */
    size_t mask;
    struct bert_unknown unknown;
    int whole;              /* a word that is a token is not cut */
    char prefix[AFFIX_MAX]; /* of each character but a word's first */
    char suffix[AFFIX_MAX]; /* of a word's last character */
};

void bert_bpe_free(struct bert_bpe *b) {
    if (!b) return;
    free(b->merge);
    free(b);
}

int bert_bpe_falls_back(const struct bert_bpe *b) {
    return b->unknown.bytes;
}

static struct merge *find(const struct bert_bpe *b, int left, int right) {
    uint64_t h = ((uint64_t)(uint32_t)left << 32 | (uint32_t)right) * 0x9e3779b97f4a7c15u;
    size_t at = (size_t)(h ^ h >> 32) & b->mask;
    while (b->merge[at].rank != NONE && (b->merge[at].left != left || b->merge[at].right != right))
        at = (at + 1) & b->mask;
    return &b->merge[at];
}

/* ---- one word */

struct symbol {
    int id, prev, next; /* NONE at the ends; id NONE: merged into the one before it */
    uint32_t from, to;  /* characters of the word */
};

struct candidate {
    int rank, at, id;
};

struct work {
    struct symbol *s;
    struct candidate *heap;
    int n, waiting;
};

static int before(const struct candidate *a, const struct candidate *b) {
    return a->rank != b->rank ? a->rank < b->rank : a->at < b->at;
}

static void push(struct work *k, struct candidate c) {
    int i = k->waiting++;
    for (int up; i > 0 && before(&c, &k->heap[up = (i - 1) / 2]); i = up) k->heap[i] = k->heap[up];
    k->heap[i] = c;
}

static struct candidate pop(struct work *k) {
    const struct candidate top = k->heap[0], last = k->heap[--k->waiting];
    int i = 0;
    for (int down; (down = 2 * i + 1) < k->waiting; i = down) {
        down += down + 1 < k->waiting && before(&k->heap[down + 1], &k->heap[down]);
        if (!before(&k->heap[down], &last)) break;
        k->heap[i] = k->heap[down];
    }
    k->heap[i] = last;
    return top;
}

static void propose(struct work *k, const struct bert_bpe *b, int left, int right) {
    if (left == NONE || right == NONE) return;
    const struct merge *m = find(b, k->s[left].id, k->s[right].id);
    if (m->rank != NONE) push(k, (struct candidate){m->rank, left, m->id});
}

/* A pair that was merged otherwise meanwhile is passed over; one that has become another pair of
 * the same token is not, as in the library. */
static void merge_all(struct work *k, const struct bert_bpe *b) {
    for (int i = 0; i + 1 < k->n; i++) propose(k, b, i, i + 1);
    while (k->waiting > 0) {
        const struct candidate c = pop(k);
        struct symbol *s = &k->s[c.at];
        if (s->id == NONE || s->next == NONE) continue;
        struct symbol *right = &k->s[s->next];
        const struct merge *m = find(b, s->id, right->id);
        if (m->rank == NONE || m->id != c.id) continue;
        s->id = c.id;
        s->to = right->to;
        s->next = right->next;
        right->id = NONE;
        if (s->next != NONE) k->s[s->next].prev = c.at;
        propose(k, b, s->prev, c.at);
        propose(k, b, c.at, s->next);
    }
}

static void add(struct work *k, int id, size_t from, size_t to) {
    const int at = k->n++;
    k->s[at] = (struct symbol){id, at - 1, NONE, (uint32_t)from, (uint32_t)to};
    if (at > 0) k->s[at - 1].next = at;
}

struct pending { /* an unknown character, or several in a row */
    int there;
    size_t from, to;
};

static void flush(struct work *k, struct pending *p, const struct bert_bpe *b) {
    if (p->there) add(k, b->unknown.id, p->from, p->to);
    p->there = 0;
}

/* 1: the bytes of `text` have a token each, which stand for character i. */
static int add_bytes(struct work *k, const struct bert_vocab *v, const char *text, size_t len,
                     size_t i) {
    for (size_t j = 0; j < len; j++)
        if (bert_byte_token(v, (uint8_t)text[j]) < 0) return 0;
    for (size_t j = 0; j < len; j++) add(k, bert_byte_token(v, (uint8_t)text[j]), i, i + 1);
    return 1;
}

static int add_unknown(struct work *k, struct pending *p, const struct bert_bpe *b,
                       const struct bert_char *c, size_t i) {
    if (b->unknown.id == BERT_UNKNOWN_REFUSED) return bert_refuse_unknown(c + i);
    if (b->unknown.id == BERT_UNKNOWN_DROPPED) return THOR_OK;
    if (!b->unknown.fused) flush(k, p, b);
    if (!p->there) p->from = i;
    p->there = 1;
    p->to = i + 1;
    return THOR_OK;
}

/* UTF-8 of character i of n, with what is put before and behind it. */
static size_t spell(char *text, const struct bert_bpe *b, const struct bert_char *c, size_t i,
                    size_t n) {
    size_t len = i > 0 ? strlen(b->prefix) : 0;
    memcpy(text, b->prefix, len);
    len += (size_t)utf8proc_encode_char(c[i].c, (utf8proc_uint8_t *)text + len);
    if (i + 1 < n) return len;
    memcpy(text + len, b->suffix, strlen(b->suffix));
    return len + strlen(b->suffix);
}

static int begin(struct work *k, const struct bert_bpe *b, const struct bert_vocab *v,
                 const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    char text[2 * AFFIX_MAX + 4];
    struct pending p = {0};
    for (size_t i = 0; i < n; i++) {
        const size_t len = spell(text, b, c, i, n);
        const int id = bert_vocab_id(v, text, len);
        if (id >= 0) {
            flush(k, &p, b);
            add(k, id, i, i + 1);
        } else if (!b->unknown.bytes || !add_bytes(k, v, text, len, i)) {
            TRY(add_unknown(k, &p, b, c, i));
        }
    }
    flush(k, &p, b);
out:
    return st;
}

static int whole_word(const struct bert_vocab *v, char *text, const struct bert_char *c, size_t n) {
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += (size_t)utf8proc_encode_char(c[i].c, (utf8proc_uint8_t *)text + len);
    return bert_vocab_id(v, text, len);
}

/* Each character is at most one symbol, or one for each of its bytes with prefix and suffix; each
 * merge takes a symbol away and proposes two pairs. */
int bert_bpe_put(struct bert_writer *w, const struct bert_bpe *b, const struct bert_vocab *v,
                 const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    const size_t each = b->unknown.bytes ? 4 + strlen(b->prefix) : 1, most = n * each + AFFIX_MAX;
    struct work k = {0};
    TRY(bert_writer_scratch(w, most * (sizeof *k.s + 3 * sizeof *k.heap)));
    k.s = w->scratch;
    k.heap = (struct candidate *)(k.s + most);
    if (b->whole) {
        const int id = whole_word(v, w->scratch, c, n);
        if (id >= 0) {
            bert_put(w, id, c, n);
            return THOR_OK;
        }
    }
    TRY(begin(&k, b, v, c, n));
    merge_all(&k, b);
    for (int i = k.n > 0 ? 0 : NONE; i != NONE; i = k.s[i].next)
        bert_put(w, k.s[i].id, c + k.s[i].from, k.s[i].to - k.s[i].from);
out:
    return st;
}

/* ---- the list of merges */

static int make_room(struct bert_bpe **out, size_t merges, const char *path) {
    size_t slots = 16;
    struct bert_bpe *b = calloc(1, sizeof *b);
    *out = b;
    if (merges > MERGES_MAX)
        return thor_fail(THOR_MODEL, "%.300s: more than %d merges", path, MERGES_MAX);
    while (slots < 2 * merges) slots *= 2;
    if (b) b->merge = malloc(slots * sizeof *b->merge);
    if (!b || !b->merge)
        return thor_fail(THOR_MEMORY, "%.300s: no memory for %zu merges", path, merges);
    b->mask = slots - 1;
    for (size_t i = 0; i < slots; i++) b->merge[i].rank = NONE;
    b->unknown.id = BERT_UNKNOWN_DROPPED;
    return THOR_OK;
}

struct part {
    const char *text;
    size_t len;
};

static int refuse_merge(const char *path, int rank, const char *why) {
    return thor_fail(THOR_MODEL, "%.300s: merge %d %s", path, rank + 1, why);
}

/* Of equal pairs the last counts. */
static int add_merge(struct bert_bpe *b, const struct bert_vocab *v, struct part left,
                     struct part right, int rank, const char *path) {
    char joined[2048];
    const size_t cut = strlen(b->prefix);
    const int l = bert_vocab_id(v, left.text, left.len);
    const int r = bert_vocab_id(v, right.text, right.len);
    if (l < 0 || r < 0)
        return refuse_merge(path, rank, "names a token that is not in the vocabulary");
    if (right.len < cut || left.len + right.len - cut > sizeof joined)
        return refuse_merge(path, rank, "is too short or too long");
    memcpy(joined, left.text, left.len);
    memcpy(joined + left.len, right.text + cut, right.len - cut);
    const int id = bert_vocab_id(v, joined, left.len + right.len - cut);
    if (id < 0) return refuse_merge(path, rank, "makes a token that is not in the vocabulary");
    *find(b, l, r) = (struct merge){l, r, rank, id};
    return THOR_OK;
}

/* "left right" */
static int add_line(struct bert_bpe *b, const struct bert_vocab *v, const char *line, size_t len,
                    int rank, const char *path) {
    const char *blank = memchr(line, ' ', len);
    if (!blank || memchr(blank + 1, ' ', len - (size_t)(blank + 1 - line)))
        return refuse_merge(path, rank, "is not two tokens with one blank between them");
    const size_t left = (size_t)(blank - line);
    return add_merge(b, v, (struct part){line, left}, (struct part){blank + 1, len - left - 1},
                     rank, path);
}

static int is_version(const char *line, size_t len) {
    return len >= 8 && memcmp(line, "#version", 8) == 0;
}

static int add_lines(struct bert_bpe *b, const struct bert_vocab *v, const char *text, size_t size,
                     const char *path) {
    int st = THOR_OK, rank = 0;
    for (const char *p = text, *end = text + size, *stop; p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t len = (size_t)(stop - p);
        if (len > 0 && p[len - 1] == '\r') len--;
        if (len == 0 || is_version(p, len)) continue;
        TRY(add_line(b, v, p, len, rank++, path));
    }
out:
    return st;
}

int bert_bpe_load(struct bert_bpe **out, const struct bert_vocab *v, const char *path) {
    int st = THOR_OK;
    char *text = NULL;
    size_t size = 0, lines = 1;
    *out = NULL;
    TRY(bert_read_file(&text, &size, path, MERGES_BYTES_MAX, THOR_MODEL));
    TRY(bert_file_is_text(path, text, size, THOR_MODEL));
    for (size_t i = 0; i < size; i++) lines += text[i] == '\n';
    TRY(make_room(out, lines, path));
    TRY(add_lines(*out, v, text, size, path));
out:
    free(text);
    if (st != THOR_OK) {
        bert_bpe_free(*out);
        *out = NULL;
    }
    return st;
}

/* ---- tokenizer.json */

static int read_affix(char *affix, const json_t *model, const char *key, const char *path) {
    const json_t *o = json_object_get(model, key);
    if (!o || json_is_null(o)) return THOR_OK;
    if (!json_is_string(o) || json_string_length(o) >= AFFIX_MAX)
        return thor_fail(THOR_MODEL, "%.300s: %s must be a text of less than %d bytes", path, key,
                         AFFIX_MAX);
    strcpy(affix, json_string_value(o));
    return THOR_OK;
}

static int read_settings(struct bert_bpe *b, const json_t *model, const struct bert_vocab *v,
                         const char *path) {
    int st = THOR_OK;
    const json_t *unk = json_object_get(model, "unk_token");
    if (json_number_value(json_object_get(model, "dropout")) != 0)
        TRY(thor_fail(THOR_MODEL, "%.300s: dropout of a BPE model is not supported: set it to null",
                      path));
    TRY(read_affix(b->prefix, model, "continuing_subword_prefix", path));
    TRY(read_affix(b->suffix, model, "end_of_word_suffix", path));
    b->unknown.fused = json_is_true(json_object_get(model, "fuse_unk"));
    b->unknown.bytes = json_is_true(json_object_get(model, "byte_fallback"));
    b->whole = json_is_true(json_object_get(model, "ignore_merges"));
    if (json_is_string(unk)) {
        b->unknown.id = bert_vocab_id(v, json_string_value(unk), json_string_length(unk));
        if (b->unknown.id < 0) b->unknown.id = BERT_UNKNOWN_REFUSED;
    }
out:
    return st;
}

static struct part part_of(const json_t *text) {
    return (struct part){json_string_value(text), json_string_length(text)};
}

/* A merge is "left right" or, since 2024, ["left", "right"]. */
static int add_items(struct bert_bpe *b, const json_t *list, const struct bert_vocab *v,
                     const char *path) {
    int st = THOR_OK, rank = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *o = json_array_get(list, i), *l = json_array_get(o, 0);
        const json_t *r = json_array_get(o, 1);
        if (json_is_string(o) && is_version(json_string_value(o), json_string_length(o))) continue;
        if (json_is_string(o))
            TRY(add_line(b, v, json_string_value(o), json_string_length(o), rank, path));
        else if (json_array_size(o) == 2 && json_is_string(l) && json_is_string(r))
            TRY(add_merge(b, v, part_of(l), part_of(r), rank, path));
        else
            TRY(refuse_merge(path, rank, "is neither a text nor two of them"));
        rank++;
    }
out:
    return st;
}

int bert_bpe_from_json(struct bert_bpe **out, const json_t *model, const struct bert_vocab *v,
                       const char *path) {
    int st = THOR_OK;
    const json_t *list = json_object_get(model, "merges");
    *out = NULL;
    if (!json_is_array(list)) TRY(thor_fail(THOR_MODEL, "%.300s: model.merges is missing", path));
    TRY(make_room(out, json_array_size(list), path));
    TRY(read_settings(*out, model, v, path));
    TRY(add_items(*out, list, v, path));
out:
    if (st != THOR_OK) {
        bert_bpe_free(*out);
        *out = NULL;
    }
    return st;
}
