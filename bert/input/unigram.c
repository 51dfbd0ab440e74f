/* The best path over a word's characters: Viterbi in doubles, as SentencePiece's "optimized" one.
 * Tokens that begin at a character are found in the sorted vocabulary, whose stretch with the bytes
 * read so far narrows byte by byte. */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/tokenmodel.h"

#define UNKNOWN_PENALTY 10.0 /* below the lowest score */
enum { NOWHERE = -1 };

struct piece {
    const char *text; /* the vocabulary's, with a NUL behind it */
    size_t len;
    int id;
    double score;
};

struct bert_unigram {
    struct piece *piece; /* in the order of their bytes */
    size_t n;
    double unknown_score;
    struct bert_unknown unknown;
};

void bert_unigram_free(struct bert_unigram *u) {
    if (!u) return;
    free(u->piece);
    free(u);
}

/* ---- one word */

struct node { /* the best path that ends before a character */
    double score;
    int id, from; /* the path's last token and its first character; NOWHERE: no path yet */
    int next;     /* the end of the token that begins here, on the best path of all */
    uint32_t byte;
};

struct stretch {
    size_t lo, hi;
};

/* First of the pieces at lo .. hi-1, which agree in `depth` bytes, whose next one is >= byte. */
static size_t first_from(const struct bert_unigram *u, struct stretch s, size_t depth, int byte) {
    while (s.lo < s.hi) {
        const size_t mid = s.lo + (s.hi - s.lo) / 2;
        if ((uint8_t)u->piece[mid].text[depth] < byte)
            s.lo = mid + 1;
        else
            s.hi = mid;
    }
    return s.lo;
}

static struct stretch narrow(const struct bert_unigram *u, struct stretch s, size_t depth,
                             const char *text, size_t len) {
    for (size_t i = 0; i < len && s.lo < s.hi; i++) {
        const int byte = (uint8_t)text[i];
        s.lo = first_from(u, s, depth + i, byte);
        s.hi = first_from(u, s, depth + i, byte + 1);
    }
    return s;
}

/* 1: it is better than what is there. */
static int offer(struct node *to, double score, int id, int from) {
    if (to->from != NOWHERE && score <= to->score) return 0;
    to->score = score;
    to->id = id;
    to->from = from;
    return 1;
}

static int walk(struct node *node, const struct bert_unigram *u, const char *text,
                const struct bert_char *c, int n) {
    for (int i = 0; i < n; i++) {
        struct stretch s = {0, u->n};
        const double score = node[i].score;
        int single = 0;
        for (int j = i; j < n && s.lo < s.hi; j++) {
            const size_t depth = node[j].byte - node[i].byte;
            const size_t len = node[j + 1].byte - node[j].byte;
            s = narrow(u, s, depth, text + node[j].byte, len);
            if (s.lo == s.hi || u->piece[s.lo].len != depth + len) continue;
            offer(&node[j + 1], u->piece[s.lo].score + score, u->piece[s.lo].id, i);
            single |= j == i;
        }
        if (!single && offer(&node[i + 1], u->unknown_score + score, u->unknown.id, i) &&
            u->unknown.id < 0)
            return bert_refuse_unknown(c + i);
    }
    return THOR_OK;
}

/* Tokens <0xNN> for the bytes of the unknown characters from .. to-1, where all exist. */
static int put_bytes(struct bert_writer *w, const struct bert_vocab *v, const struct node *node,
                     const char *text, const struct bert_char *c, int from, int to) {
    for (uint32_t b = node[from].byte; b < node[to].byte; b++)
        if (bert_byte_token(v, (uint8_t)text[b]) < 0) return 0;
    for (int i = from; i < to; i++)
        for (uint32_t b = node[i].byte; b < node[i + 1].byte; b++)
            bert_put(w, bert_byte_token(v, (uint8_t)text[b]), c + i, 1);
    return 1;
}

static void put_part(struct bert_writer *w, const struct bert_unigram *u,
                     const struct bert_vocab *v, const struct node *node, const char *text,
                     const struct bert_char *c, int from, int to) {
    const int id =
        bert_vocab_id(v, text + node[from].byte, node[to].byte - (size_t)node[from].byte);
    if (id < 0 && u->unknown.bytes && put_bytes(w, v, node, text, c, from, to)) return;
    bert_put(w, id < 0 ? u->unknown.id : id, c + from, (size_t)(to - from));
}

/* The path is read from its end; unknown characters next to each other are one. */
static void put_path(struct bert_writer *w, const struct bert_unigram *u,
                     const struct bert_vocab *v, struct node *node, const char *text,
                     const struct bert_char *c, int n) {
    int unknown = 0, end = n;
    for (int to = n; to > 0; to = node[to].from) {
        const int unk = node[to].id == u->unknown.id;
        if (!(unk && unknown)) end = to;
        unknown = unk;
        node[node[to].from].next = end;
    }
    for (int i = 0; i < n; i = node[i].next) put_part(w, u, v, node, text, c, i, node[i].next);
}

int bert_unigram_put(struct bert_writer *w, const struct bert_unigram *u,
                     const struct bert_vocab *v, const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    uint32_t len = 0;
    TRY(bert_writer_scratch(w, (n + 1) * (sizeof(struct node) + 4)));
    struct node *node = w->scratch;
    char *text = (char *)(node + n + 1);
    for (size_t i = 0; i <= n; i++) {
        node[i] = (struct node){.from = NOWHERE, .byte = len};
        if (i < n) len += (uint32_t)utf8proc_encode_char(c[i].c, (utf8proc_uint8_t *)text + len);
    }
    TRY(walk(node, u, text, c, (int)n));
    put_path(w, u, v, node, text, c, (int)n);
out:
    return st;
}

/* ---- tokenizer.json */

static int by_bytes(const void *a, const void *b) {
    return strcmp(((const struct piece *)a)->text, ((const struct piece *)b)->text);
}

/* Scores of equal tokens: the last one's, as their id. */
static int take_scores(struct bert_unigram *u, const json_t *list, const struct bert_vocab *v,
                       const char *path) {
    double least = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *score = json_array_get(json_array_get(list, i), 1);
        const char *text = bert_vocab_token(v, (int)i);
        if (!json_is_number(score))
            return thor_fail(THOR_MODEL, "%.300s: token %zu of the vocabulary has no score", path,
                             i);
        if (i == 0 || json_number_value(score) < least) least = json_number_value(score);
        if (text && *text)
            u->piece[u->n++] = (struct piece){text, strlen(text), (int)i, json_number_value(score)};
    }
    u->unknown_score = least - UNKNOWN_PENALTY;
    qsort(u->piece, u->n, sizeof *u->piece, by_bytes);
    return THOR_OK;
}

static int read_unknown(struct bert_unigram *u, const json_t *model, size_t n, const char *path) {
    const json_t *unk = json_object_get(model, "unk_id");
    u->unknown = (struct bert_unknown){BERT_UNKNOWN_REFUSED, 1,
                                       json_is_true(json_object_get(model, "byte_fallback"))};
    if (!unk || json_is_null(unk)) return THOR_OK;
    if (!json_is_integer(unk) || json_integer_value(unk) < 0 ||
        (size_t)json_integer_value(unk) >= n)
        return thor_fail(THOR_MODEL, "%.300s: unk_id is no token of the vocabulary", path);
    u->unknown.id = (int)json_integer_value(unk);
    return THOR_OK;
}

int bert_unigram_from_json(struct bert_unigram **out, const json_t *model,
                           const struct bert_vocab *v, const char *path) {
    int st = THOR_OK;
    const json_t *list = json_object_get(model, "vocab");
    struct bert_unigram *u = calloc(1, sizeof *u);
    *out = NULL;
    if (u) u->piece = calloc(json_array_size(list) + 1, sizeof *u->piece);
    if (!u || !u->piece) TRY(thor_fail(THOR_MEMORY, "%.300s: no memory for its tokens", path));
    TRY(take_scores(u, list, v, path));
    TRY(read_unknown(u, model, json_array_size(list), path));
    *out = u;
    u = NULL;
out:
    bert_unigram_free(u);
    return st;
}
