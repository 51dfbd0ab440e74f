/* Text to tokens in three steps:
 *
 *   added tokens   those of the rules that are matched in the text as it is become one token each;
 *                  what is left between them goes on by itself
 *   steps          of the rules (textclean.h); then the added tokens that are `normalized`
 *   words          end at white space; each punctuation character is a word of its own; a word is
 *                  cut from the left into the longest tokens there are ("##x" inside a word);
 *                  [UNK] for a word that cannot be cut or is too long
 *
 * A model without rules (its vocabulary alone) has no added tokens: "[SEP]" in a text is then five
 * characters, where a model folder makes it the special token, as the usual library does.
 */
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/readfile.h"
#include "bert/input/text.h"
#include "bert/input/tokenrules.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)

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

struct cutter {
    const struct bert_vocab *v;
    const struct bert_rules *r;
    size_t prefix;
    int start[BERT_WORD_CHARS_MAX + 1]; /* bytes of each character of the word in text */
    char text[BERT_PREFIX_MAX + 4 * BERT_WORD_CHARS_MAX];
};

/* Longest token that is a prefix of the characters `from` .. `chars`-1, whose UTF-8 begins at
 * start[]; the bytes before are free for the prefix.  Returns its id and the next character, or
 * -1. */
static int longest_piece(struct cutter *k, int from, int chars, int *next) {
    char *p = k->text + BERT_PREFIX_MAX + k->start[from], before[BERT_PREFIX_MAX];
    const size_t mark = from > 0 ? k->prefix : 0;
    int id = -1, to = chars;
    memcpy(before, p - mark, mark);
    memcpy(p - mark, k->r->prefix, mark);
    for (; to > from && id < 0; to--)
        id = bert_vocab_id(k->v, p - mark, (size_t)(k->start[to] - k->start[from]) + mark);
    memcpy(p - mark, before, mark);
    *next = to + 1;
    return id;
}

static void put_word(struct writer *w, struct cutter *k, const int32_t *c, size_t n) {
    const int first = w->n;
    int len = 0;
    if (n > (size_t)k->r->word_chars) {
        put(w, bert_vocab_special(k->v, BERT_UNK));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        k->start[i] = len;
        len += (int)utf8proc_encode_char(c[i], (utf8proc_uint8_t *)k->text + BERT_PREFIX_MAX + len);
    }
    k->start[n] = len;
    for (int at = 0; at < (int)n;) {
        const int id = longest_piece(k, at, (int)n, &at);
        if (id < 0) {
            w->n = first;
            put(w, bert_vocab_special(k->v, BERT_UNK));
            return;
        }
        put(w, id);
    }
}

static void put_words(struct writer *w, struct cutter *k, const int32_t *c, size_t n) {
    for (size_t at = 0; at < n;) {
        size_t end = at + 1;
        if (bert_is_white(c[at])) {
            at++;
            continue;
        }
        if (!bert_is_punctuation(c[at]))
            while (end < n && !bert_is_white(c[end]) && !bert_is_punctuation(c[end])) end++;
        put_word(w, k, c + at, end - at);
        at = end;
    }
}

/* The longest added token at c[at], NULL when there is none; *other: another one of the same
 * text. */
static const struct bert_added *token_at(const struct bert_added **other,
                                         const struct bert_rules *r, const int32_t *c, size_t n,
                                         size_t at, int normalized) {
    const struct bert_added *best = NULL;
    *other = NULL;
    for (int i = 0; i < r->n; i++) {
        const struct bert_added *t = &r->added[i];
        if (t->normalized != normalized || t->text.n > n - at || c[at] != t->text.c[0] ||
            (best && t->text.n < best->text.n) ||
            memcmp(c + at, t->text.c, t->text.n * sizeof *c) != 0)
            continue;
        *other = best && best->text.n == t->text.n ? best : NULL;
        best = t;
    }
    return best;
}

/* Versions of the usual library differ in which of the two they take. */
static int refuse_two(const struct bert_added *a, const struct bert_added *b) {
    return thor_fail(THOR_INPUT,
                     "the text holds what two added tokens have become, those of ids "
                     "%d and %d: remove one from the tokenizer",
                     b->id, a->id);
}

static int stands_alone(const int32_t *c, size_t n, size_t begin, size_t end) {
    return (begin == 0 || !bert_is_word(c[begin - 1])) && (end == n || !bert_is_word(c[end]));
}

typedef int stretch_fn(struct writer *w, struct cutter *k, const int32_t *c, size_t n);

/* Added tokens in c, `each` for what stands between them. */
static int put_stretches(struct writer *w, struct cutter *k, const int32_t *c, size_t n,
                         int normalized, stretch_fn *each) {
    int st = THOR_OK;
    size_t done = 0;
    const struct bert_added *other;
    for (size_t at = 0; at < n;) {
        const struct bert_added *t = token_at(&other, k->r, c, n, at, normalized);
        size_t begin = at, end = at + (t ? t->text.n : 1);
        at = end;
        TRY(other ? refuse_two(t, other) : THOR_OK);
        if (!t || (t->single_word && !stands_alone(c, n, begin, end))) continue;
        while (t->lstrip && begin > done && bert_is_white(c[begin - 1])) begin--;
        if (t->lstrip && begin < done) begin = done;
        while (t->rstrip && end < n && bert_is_white(c[end])) end++;
        if (begin > done) // the token before may have taken white space that this one begins with
            TRY(each(w, k, c + done, begin - done));
        if (begin < end) put(w, t->id);
        done = end;
    }
    TRY(each(w, k, c + done, n - done));
out:
    return st;
}

static int put_clean(struct writer *w, struct cutter *k, const int32_t *c, size_t n) {
    put_words(w, k, c, n);
    return THOR_OK;
}

static int put_raw(struct writer *w, struct cutter *k, const int32_t *c, size_t n) {
    int st = THOR_OK;
    struct bert_chars t = {.c = malloc((n + 1) * sizeof *c), .n = n};
    if (!t.c) TRY(thor_fail(THOR_MEMORY, "no memory for a text of %zu characters", n));
    memcpy(t.c, c, n * sizeof *c);
    TRY(bert_rules_apply(&t, k->r));
    TRY(put_stretches(w, k, t.c, t.n, 1, put_clean));
out:
    free(t.c);
    return st;
}

static int put_chars(struct writer *w, const struct bert_model *m, const struct bert_chars *t) {
    struct bert_rules usual;
    struct cutter k = {.v = m->vocab, .r = m->rules ? m->rules : &usual};
    bert_rules_default(&usual, m->cfg.lower_case);
    k.prefix = strlen(k.r->prefix);
    return put_stretches(w, &k, t->c, t->n, 0, put_raw);
}

/* One text and its [SEP]. */
static int put_text(struct writer *w, const struct bert_model *m, const char *text, size_t len,
                    const char *what) {
    int st = THOR_OK, before = w->n;
    struct bert_chars chars = {0};
    size_t good;
    if (len > TEXT_BYTES_MAX)
        TRY(thor_fail(THOR_INPUT, "%s has %zu bytes; the limit is %zu: split it", what, len,
                      TEXT_BYTES_MAX));
    good = bert_utf8_valid(text, len);
    if (good != len)
        TRY(thor_fail(THOR_INPUT, "%s is not UTF-8 (byte %zu): convert it to UTF-8", what,
                      good + 1));
    TRY(bert_chars_decode(&chars, text, len));
    TRY(put_chars(w, m, &chars));
    if (w->n == before) TRY(thor_fail(THOR_INPUT, "%s is empty: give at least one word", what));
    put(w, bert_vocab_special(m->vocab, BERT_SEP));
out:
    free(chars.c);
    return st;
}

static const char *name_of(const struct bert_model *m, int id) {
    const char *name = bert_vocab_token(m->vocab, id);
    return name ? name : "(added)";
}

int bert_tokenize_bytes(struct bert_tokens *out, const struct bert_model *m, const char *text,
                        size_t text_len, const char *pair, size_t pair_len, int max_tokens) {
    int st = THOR_OK;
    struct writer w = {.out = out, .limit = m->cfg.max_positions};
    out->n = 0;
    if (max_tokens > 0 && max_tokens < w.limit) w.limit = max_tokens;
    put(&w, bert_vocab_special(m->vocab, BERT_CLS));
    TRY(put_text(&w, m, text, text_len, "the text"));
    w.type = m->rules ? m->rules->pair_type : 1;
    if (pair && w.type == BERT_PAIR_UNKNOWN)
        TRY(thor_fail(THOR_INPUT,
                      "tokenizer_config.json of a PreTrainedTokenizerFast does not say "
                      "whether a second text has a type of its own: add model_input_names"));
    if (pair && m->cfg.type_vocab <= w.type)
        TRY(thor_fail(THOR_INPUT, "this model takes one text, not a pair"));
    if (pair) TRY(put_text(&w, m, pair, pair_len, "the second text"));
    if (w.n > w.limit)
        TRY(thor_fail(THOR_INPUT,
                      "the text has %d tokens with [CLS] and [SEP]; the limit is %d: shorten it",
                      w.n, w.limit));
    for (int i = 0; i < w.n; i++)
        if (out->ids[i] >= m->cfg.vocab)
            TRY(thor_fail(THOR_INPUT,
                          "the text holds the token %.40s, whose id %d has no row in "
                          "the model's embedding of %d",
                          name_of(m, out->ids[i]), out->ids[i], m->cfg.vocab));
    out->n = w.n;
out:
    return st;
}

int bert_tokenize(struct bert_tokens *out, const struct bert_model *m, const char *text,
                  const char *pair, int max_tokens) {
    return bert_tokenize_bytes(out, m, text, strlen(text), pair, pair ? strlen(pair) : 0,
                               max_tokens);
}
