/* WordPiece in three steps, each on the whole text:
 *
 *   clean   drop U+0000, U+FFFD and the categories Cc, Cf, Co; every white space becomes a blank;
 *           a blank goes before and behind each CJK ideograph
 *   fold    uncased models: canonical decomposition, drop the marks of category Mn, lower each
 *           character
 *   split   words end at blanks; each punctuation character is a word of its own; a word is cut
 *           from the left into the longest tokens there are ("##x" inside a word); [UNK] for a word
 *           that cannot be cut or has more than 100 characters
 *
 * Text never becomes a special token: "[SEP]" in the input is the five characters.
 * The classes are those of the reference implementation (Hugging Face tokenizers: BertNormalizer,
 * BertPreTokenizer), with its gap at U+2B820..U+2B91F among the ideographs.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/readfile.h"
#include "bert/text.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)
#define WORD_CHARS_MAX 100
#define WORD_BYTES_MAX (4 * WORD_CHARS_MAX)

struct writer { /* counts on when the list is full, so that a refusal can name the number */
    struct bert_tokens *out;
    int limit, n, type;
};

static void put(struct writer *w, int id) {
    if (w->n < w->limit) {
        w->out->ids[w->n] = id;
        w->out->type_ids[w->n] = w->type;
    }
    w->n++;
}

static int is_dropped(utf8proc_int32_t c) {
    if (c == '\t' || c == '\n' || c == '\r')
        return 0;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return 1;
    default:
        return c == 0 || c == 0xfffd;
    }
}

static int is_blank(utf8proc_int32_t c) { // White_Space that is_dropped leaves
    if (c == '\t' || c == '\n' || c == '\r')
        return 1;
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return 1;
    default:
        return 0;
    }
}

static int is_ideograph(utf8proc_int32_t c) {
    static const struct {
        utf8proc_int32_t first, last;
    } block[] = {{0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xf900, 0xfaff},   {0x20000, 0x2a6df},
                 {0x2a700, 0x2b73f}, {0x2b740, 0x2b81f}, {0x2b920, 0x2ceaf}, {0x2f800, 0x2fa1f}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (c >= block[i].first && c <= block[i].last)
            return 1;
    return 0;
}

static int is_punctuation(utf8proc_int32_t c) {
    if (c < 128) // in ASCII the symbols count too
        return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
               (c >= 123 && c <= 126);
    switch (utf8proc_category(c)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
        return 1;
    default:
        return 0;
    }
}

/* Valid UTF-8 to cleaned UTF-8.  An ideograph has 3 bytes or more, so to[2 * len] is enough. */
static size_t clean(utf8proc_uint8_t *to, const char *text, size_t len) {
    size_t n = 0;
    for (size_t at = 0; at < len;) {
        utf8proc_int32_t c;
        at += (size_t)utf8proc_iterate((const utf8proc_uint8_t *)text + at,
                                       (utf8proc_ssize_t)(len - at), &c);
        if (is_dropped(c))
            continue;
        if (is_blank(c)) {
            to[n++] = ' ';
            continue;
        }
        int alone = is_ideograph(c);
        if (alone)
            to[n++] = ' ';
        n += (size_t)utf8proc_encode_char(c, to + n);
        if (alone)
            to[n++] = ' ';
    }
    return n;
}

/* Cleaned UTF-8 to characters; *chars is the caller's to free. */
static int fold(utf8proc_int32_t **chars, size_t *count, const utf8proc_uint8_t *text, size_t len,
                int lower) {
    const utf8proc_option_t how = lower ? UTF8PROC_STABLE | UTF8PROC_DECOMPOSE : 0;
    utf8proc_ssize_t room = utf8proc_decompose(text, (utf8proc_ssize_t)len, NULL, 0, how), n;
    utf8proc_int32_t *c;
    size_t kept = 0;
    if (room < 0)
        return thor_fail(THOR_INTERNAL, "the text does not decompose: %s", utf8proc_errmsg(room));
    c = malloc(((size_t)room + 1) * sizeof *c);
    if (!c)
        return thor_fail(THOR_MEMORY, "no memory for a text of %zd characters", room);
    n = utf8proc_decompose(text, (utf8proc_ssize_t)len, c, room, how);
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        if (lower && utf8proc_category(c[i]) == UTF8PROC_CATEGORY_MN)
            continue;
        c[kept++] = lower ? utf8proc_tolower(c[i]) : c[i];
    }
    *chars = c;
    *count = kept;
    return THOR_OK;
}

/* Longest token that is a prefix of the characters `from` .. `chars`-1, whose UTF-8 begins at
 * start[]; the two bytes before text[0] are free for "##".  Returns its id and the next character,
 * or -1. */
static int longest_piece(const struct bert_vocab *v, char *text, const int *start, int from,
                         int chars, int *next) {
    char *p = text + start[from], before[2];
    const size_t mark = from > 0 ? 2 : 0;
    int id = -1, to = chars;
    memcpy(before, p - 2, 2);
    memcpy(p - 2, "##", 2);
    for (; to > from && id < 0; to--)
        id = bert_vocab_id(v, p - mark, (size_t)(start[to] - start[from]) + mark);
    memcpy(p - 2, before, 2);
    *next = to + 1;
    return id;
}

static void put_word(struct writer *w, const struct bert_vocab *v, const utf8proc_int32_t *c,
                     size_t n) {
    char room[2 + WORD_BYTES_MAX], *text = room + 2;
    int start[WORD_CHARS_MAX + 1], first = w->n, len = 0;
    if (n > WORD_CHARS_MAX) {
        put(w, bert_vocab_special(v, BERT_UNK));
        return;
    }
    memset(room, 0, 2);
    for (size_t i = 0; i < n; i++) {
        start[i] = len;
        len += (int)utf8proc_encode_char(c[i], (utf8proc_uint8_t *)text + len);
    }
    start[n] = len;
    for (int at = 0; at < (int)n;) {
        int id = longest_piece(v, text, start, at, (int)n, &at);
        if (id < 0) {
            w->n = first;
            put(w, bert_vocab_special(v, BERT_UNK));
            return;
        }
        put(w, id);
    }
}

static void put_words(struct writer *w, const struct bert_vocab *v, const utf8proc_int32_t *c,
                      size_t n) {
    for (size_t at = 0; at < n;) {
        size_t end = at;
        if (c[at] == ' ') {
            at++;
            continue;
        }
        if (is_punctuation(c[at]))
            end = at + 1;
        else
            while (end < n && c[end] != ' ' && !is_punctuation(c[end]))
                end++;
        put_word(w, v, c + at, end - at);
        at = end;
    }
}

/* One text and its [SEP]. */
static int put_text(struct writer *w, const struct bert_model *m, const char *text, size_t len,
                    const char *what) {
    int st = THOR_OK, before = w->n;
    utf8proc_uint8_t *cleaned = NULL;
    utf8proc_int32_t *chars = NULL;
    size_t n = 0, good;
    if (len > TEXT_BYTES_MAX)
        TRY(thor_fail(THOR_INPUT, "%s has %zu bytes; the limit is %zu: split it", what, len,
                      TEXT_BYTES_MAX));
    good = bert_utf8_valid(text, len);
    if (good != len)
        TRY(thor_fail(THOR_INPUT, "%s is not UTF-8 (byte %zu): convert it to UTF-8", what,
                      good + 1));
    cleaned = malloc(2 * len + 1);
    if (!cleaned)
        TRY(thor_fail(THOR_MEMORY, "no memory for %s of %zu bytes", what, len));
    n = clean(cleaned, text, len);
    TRY(fold(&chars, &n, cleaned, n, m->cfg.lower_case));
    put_words(w, m->vocab, chars, n);
    if (w->n == before)
        TRY(thor_fail(THOR_INPUT, "%s is empty: give at least one word", what));
    put(w, bert_vocab_special(m->vocab, BERT_SEP));
out:
    free(cleaned);
    free(chars);
    return st;
}

int bert_tokenize_bytes(struct bert_tokens *out, const struct bert_model *m, const char *text,
                        size_t text_len, const char *pair, size_t pair_len, int max_tokens) {
    int st = THOR_OK;
    struct writer w = {.out = out, .limit = m->cfg.max_positions};
    out->n = 0;
    if (max_tokens > 0 && max_tokens < w.limit)
        w.limit = max_tokens;
    put(&w, bert_vocab_special(m->vocab, BERT_CLS));
    TRY(put_text(&w, m, text, text_len, "the text"));
    if (pair && m->cfg.type_vocab < 2)
        TRY(thor_fail(THOR_INPUT, "this model takes one text, not a pair"));
    w.type = 1;
    if (pair)
        TRY(put_text(&w, m, pair, pair_len, "the second text"));
    if (w.n > w.limit)
        TRY(thor_fail(THOR_INPUT,
                      "the text has %d tokens with [CLS] and [SEP]; the limit is %d: shorten it",
                      w.n, w.limit));
    out->n = w.n;
out:
    return st;
}

int bert_tokenize(struct bert_tokens *out, const struct bert_model *m, const char *text,
                  const char *pair, int max_tokens) {
    return bert_tokenize_bytes(out, m, text, strlen(text), pair, pair ? strlen(pair) : 0,
                               max_tokens);
}
