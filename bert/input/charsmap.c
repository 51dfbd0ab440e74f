#include "bert/input/charsmap.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>
#include <utf8proc.h>

#include "bert/input/readfile.h"

enum { GRAPHEME_BYTES = 6 }; /* a longer or equal one is mapped character by character */

struct bert_charsmap {
    uint8_t *bytes; /* all of it; the others point into it, at odd places perhaps */
    const uint8_t *unit;
    size_t units;
    const char *text;
    size_t text_len;
};

void bert_charsmap_free(struct bert_charsmap *m) {
    if (!m) return;
    free(m->bytes);
    free(m);
}

static uint32_t word(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int divide(struct bert_charsmap *m, size_t len) {
    const size_t trie = len < 4 ? 0 : word(m->bytes);
    if (trie < 4 || trie % 4 || trie > len - 4)
        return thor_fail(THOR_MODEL, "its trie of %zu bytes does not lie in its %zu bytes", trie,
                         len);
    m->unit = m->bytes + 4;
    m->units = trie / 4;
    m->text = (const char *)m->unit + trie;
    m->text_len = len - 4 - trie;
    if (bert_utf8_valid(m->text, m->text_len) != m->text_len)
        return thor_fail(THOR_MODEL, "its texts are not UTF-8");
    return THOR_OK;
}

int bert_charsmap_open(struct bert_charsmap **out, const char *base64, size_t len) {
    int st = THOR_OK;
    size_t n = 0;
    const char *end = NULL;
    struct bert_charsmap *m = calloc(1, sizeof *m);
    *out = NULL;
    if (m) m->bytes = malloc(len + 1);
    TRY(m && m->bytes ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for its %zu bytes", len));
    if (sodium_base642bin(m->bytes, len + 1, base64, len, NULL, &n, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        end != base64 + len)
        TRY(thor_fail(THOR_MODEL, "it is not base64"));
    TRY(divide(m, n));
    *out = m;
    m = NULL;
out:
    bert_charsmap_free(m);
    return st;
}

/* A unit of the double array: bit 8 says that the node ends a text, whose value the unit at its
 * offset holds; bits 0-7 and 31 are the label; bits 10-30 the offset, bit 9 says shifted by 8. */
static size_t offset_of(uint32_t unit) {
    return (size_t)(unit >> 10) << ((unit & 512u) >> 6);
}

/* Text for the shortest beginning of key that has one: *to, or NULL.  THOR_MODEL where the trie
 * leads out of itself. */
static int look_up(const char **to, const struct bert_charsmap *m, const uint8_t *key, size_t len) {
    size_t node = offset_of(word(m->unit)), at;
    *to = NULL;
    for (size_t i = 0; i < len && key[i]; i++) {
        node ^= key[i];
        if (node >= m->units) goto out;
        const uint32_t unit = word(m->unit + 4 * node);
        if ((unit & 0x800000ffu) != key[i]) return THOR_OK;
        node ^= offset_of(unit);
        if (!(unit >> 8 & 1u)) continue;
        if (node >= m->units) goto out;
        at = word(m->unit + 4 * node) & 0x7fffffffu;
        if (at >= m->text_len || ((uint8_t)m->text[at] & 0xc0) == 0x80) goto out;
        *to = m->text + at;
        return THOR_OK;
    }
    return THOR_OK;
out:
    return thor_fail(THOR_MODEL, "the tokenizer's precompiled_charsmap is damaged");
}

struct growing {
    struct bert_char *c;
    size_t n, room;
};

static int put(struct growing *g, struct bert_char c) {
    if (g->n == g->room) {
        const size_t room = 2 * g->room + 64;
        struct bert_char *more = realloc(g->c, room * sizeof *more);
        if (!more) return thor_fail(THOR_MEMORY, "no memory for a text of %zu characters", room);
        g->c = more;
        g->room = room;
    }
    g->c[g->n++] = c;
    return THOR_OK;
}

/* `text` up to its NUL (the file's text ends where it ends), of the bytes of all n characters. */
static int put_text(struct growing *g, const struct bert_charsmap *m, const char *text,
                    const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    struct bert_char one = {.start = c->start, .end = c[n - 1].end};
    const char *stop = m->text + m->text_len;
    while (text < stop && *text) {
        text += utf8proc_iterate((const utf8proc_uint8_t *)text, stop - text, &one.c);
        TRY(put(g, one));
    }
out:
    return st;
}

/* n characters together: 1 in *done when the map has them. */
static int map_one(struct growing *g, int *done, const struct bert_charsmap *m,
                   const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    uint8_t key[4 * GRAPHEME_BYTES];
    size_t len = 0;
    const char *to = NULL;
    *done = 0;
    for (size_t i = 0; i < n && len < GRAPHEME_BYTES; i++)
        len += (size_t)utf8proc_encode_char(c[i].c, key + len);
    if (n > 1 && len >= GRAPHEME_BYTES) return THOR_OK;
    TRY(look_up(&to, m, key, len));
    if (to) TRY(put_text(g, m, to, c, n));
    *done = to != NULL;
out:
    return st;
}

static int map_grapheme(struct growing *g, const struct bert_charsmap *m, const struct bert_char *c,
                        size_t n) {
    int st = THOR_OK, done = 0;
    if (n > 1) TRY(map_one(g, &done, m, c, n));
    for (size_t i = 0; !done && i < n; i++) {
        int mapped;
        TRY(map_one(g, &mapped, m, c + i, 1));
        if (!mapped) TRY(put(g, c[i]));
    }
out:
    return st;
}

/* Grapheme by grapheme, as SentencePiece's port does it: what the map has for a beginning of a
 * grapheme stands for all of it. */
int bert_charsmap_apply(struct bert_chars *t, const struct bert_charsmap *m) {
    int st = THOR_OK;
    struct growing g = {0};
    utf8proc_int32_t state = 0;
    TRY(bert_chars_room(&g.c, t->n));
    g.room = t->n + 1;
    for (size_t i = 0, end; i < t->n; i = end) {
        for (end = i + 1; end < t->n; end++)
            if (utf8proc_grapheme_break_stateful(t->c[end - 1].c, t->c[end].c, &state)) break;
        TRY(map_grapheme(&g, m, t->c + i, end - i));
    }
    if (g.n > 0) g.c[0].start = t->c[0].start; // though what stood before it was dropped
    free(t->c);
    *t = (struct bert_chars){g.c, g.n};
    g.c = NULL;
out:
    free(g.c);
    return st;
}
