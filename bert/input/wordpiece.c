#include <string.h>

#include <utf8proc.h>

#include "bert/input/tokenmodel.h"

struct cutter {
    const struct bert_vocab *v;
    const char *prefix;
    size_t prefix_len;
    int start[BERT_WORD_CHARS_MAX + 1]; /* bytes of each character of the word in text */
    char text[BERT_PREFIX_MAX + 4 * BERT_WORD_CHARS_MAX];
};

/* Longest token that is a prefix of the characters `from` .. `chars`-1, whose UTF-8 begins at
 * start[]; the bytes before are free for the prefix.  Returns its id and the next character, or
 * -1. */
static int longest_piece(struct cutter *k, int from, int chars, int *next) {
    char *p = k->text + BERT_PREFIX_MAX + k->start[from], before[BERT_PREFIX_MAX];
    const size_t mark = from > 0 ? k->prefix_len : 0;
    int id = -1, to = chars;
    memcpy(before, p - mark, mark);
    memcpy(p - mark, k->prefix, mark);
    for (; to > from && id < 0; to--)
        id = bert_vocab_id(k->v, p - mark, (size_t)(k->start[to] - k->start[from]) + mark);
    memcpy(p - mark, before, mark);
    *next = to + 1;
    return id;
}

int bert_wordpiece_put(struct bert_writer *w, const struct bert_wordpiece *p,
                       const struct bert_vocab *v, const struct bert_char *c, size_t n) {
    struct cutter k = {.v = v, .prefix = p->prefix, .prefix_len = strlen(p->prefix)};
    const int first = w->n;
    int len = 0;
    if (n > (size_t)p->word_chars) {
        bert_put(w, p->unk, c, n);
        return THOR_OK;
    }
    for (size_t i = 0; i < n; i++) {
        k.start[i] = len;
        len +=
            (int)utf8proc_encode_char(c[i].c, (utf8proc_uint8_t *)k.text + BERT_PREFIX_MAX + len);
    }
    k.start[n] = len;
    for (int at = 0, next; at < (int)n; at = next) {
        const int id = longest_piece(&k, at, (int)n, &next);
        if (id < 0) {
            w->n = first;
            bert_put(w, p->unk, c, n);
            return THOR_OK;
        }
        bert_put(w, id, c + at, (size_t)(next - at));
    }
    return THOR_OK;
}
