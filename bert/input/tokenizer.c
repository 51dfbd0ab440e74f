/* Text to tokens in four steps:
 *
 *   added tokens   those of the rules that are matched in the text as it is become one token each;
 *                  what is left between them goes on by itself
 *   normalizer     of the rules (textsteps.h); then the added tokens that are `normalized`
 *   words          by the pre-tokenizer, whose steps end with a mark where each word begins
 *   tokens         of each word by the model (tokenmodel.h), the template around them
 *
 * A model without rules (its vocabulary alone) is BERT's without added tokens: "[SEP]" in a text is
 * then five characters, where a model folder makes it the special token, as the usual library does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#include "bert/input/charclass.h"
#include "bert/input/readfile.h"
#include "bert/input/text.h"
#include "bert/input/tokenrules.h"

#define TEXT_BYTES_MAX ((size_t)1 << 20)

/* ---- what models use */

void bert_put(struct bert_writer *w, int id, const struct bert_char *c, size_t n) {
    const int i = w->n++;
    struct bert_tokens *t = w->out;
    if (i >= w->limit) return;
    t->ids[i] = id;
    t->type_ids[i] = w->type;
    t->second[i] = w->second;
    t->word[i] = n > 0 ? w->word : -1;
    t->start[i] = t->end[i] = n > 0 ? (int)c->start : 0;
    for (size_t k = 0; k < n; k++) { // a normal form may have put marks in another order
        if ((int)c[k].start < t->start[i]) t->start[i] = (int)c[k].start;
        if ((int)c[k].end > t->end[i]) t->end[i] = (int)c[k].end;
    }
}

int bert_writer_scratch(struct bert_writer *w, size_t bytes) {
    if (bytes <= w->scratch_bytes) return THOR_OK;
    void *more = malloc(bytes);
    if (!more) return thor_fail(THOR_MEMORY, "no memory for a word of the text");
    free(w->scratch);
    w->scratch = more;
    w->scratch_bytes = bytes;
    return THOR_OK;
}

int bert_refuse_unknown(const struct bert_char *c) {
    return thor_fail(THOR_INPUT,
                     "the text holds U+%04X, which the vocabulary does not, and the tokenizer "
                     "names no unk_token: leave it out",
                     (unsigned)c->c);
}

int bert_byte_token(const struct bert_vocab *v, uint8_t byte) {
    char name[8];
    return bert_vocab_id(v, name, (size_t)snprintf(name, sizeof name, "<0x%02X>", byte));
}

/* ---- added tokens */

struct job {
    struct bert_writer *w;
    const struct bert_vocab *v;
    const struct bert_rules *r;
};

/* The longest added token at c[at], NULL when there is none; *other: another one of the same
 * text. */
static const struct bert_added *token_at(const struct bert_added **other,
                                         const struct bert_rules *r, const struct bert_char *c,
                                         size_t n, int normalized) {
    const struct bert_added *best = NULL;
    *other = NULL;
    if (!(r->starts[c->c & 255] & 1 << normalized)) return NULL;
    for (int i = 0; i < r->n; i++) {
        const struct bert_added *t = &r->added[i];
        if (t->normalized != normalized || (best && t->text.n < best->text.n) ||
            !bert_chars_match(c, n, &t->text))
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

static int stands_alone(const struct bert_char *c, size_t n, size_t begin, size_t end) {
    return (begin == 0 || !bert_is_word(c[begin - 1].c)) && (end == n || !bert_is_word(c[end].c));
}

static void put_added(struct job *k, const struct bert_added *t, const struct bert_char *c,
                      size_t n) {
    if (n == 0) return; // the token before it took all of it
    bert_put(k->w, t->id, c, n);
    k->w->word++;
}

typedef int stretch_fn(struct job *k, const struct bert_char *c, size_t n);

/* Added tokens in c, `each` for what stands between them. */
static int put_stretches(struct job *k, const struct bert_char *c, size_t n, int normalized,
                         stretch_fn *each) {
    int st = THOR_OK;
    size_t done = 0;
    const struct bert_added *other;
    for (size_t at = 0; at < n;) {
        const struct bert_added *t = token_at(&other, k->r, c + at, n - at, normalized);
        size_t begin = at, end = at + (t ? t->text.n : 1);
        at = end;
        TRY(other ? refuse_two(t, other) : THOR_OK);
        if (!t || (t->single_word && !stands_alone(c, n, begin, end))) continue;
        while (t->lstrip && begin > done && bert_is_white(c[begin - 1].c)) begin--;
        if (t->lstrip && begin < done) begin = done;
        while (t->rstrip && end < n && bert_is_white(c[end].c)) end++;
        if (begin > done) // the token before may have taken white space that this one begins with
            TRY(each(k, c + done, begin - done));
        put_added(k, t, c + begin, end > begin ? end - begin : 0);
        done = end;
    }
    TRY(each(k, c + done, n - done));
out:
    return st;
}

/* ---- words */

static int put_word(struct job *k, const struct bert_char *c, size_t n) {
    if (k->r->bpe) return bert_bpe_put(k->w, k->r->bpe, k->v, c, n);
    if (k->r->unigram) return bert_unigram_put(k->w, k->r->unigram, k->v, c, n);
    return bert_wordpiece_put(k->w, &k->r->wordpiece, k->v, c, n);
}

static int copy(struct bert_chars *t, const struct bert_char *c, size_t n) {
    const int st = bert_chars_room(&t->c, n);
    t->n = st == THOR_OK ? n : 0;
    if (t->n > 0) memcpy(t->c, c, n * sizeof *c);
    return st;
}

static int put_clean(struct job *k, const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    struct bert_chars t = {0};
    if (n == 0) return THOR_OK;
    TRY(copy(&t, c, n));
    t.c[0].begins = 1;
    TRY(bert_steps_apply(&t, &k->r->cuts));
    for (size_t at = 0, end; at < t.n; at = end) {
        for (end = at + 1; end < t.n && !t.c[end].begins;) end++;
        TRY(put_word(k, t.c + at, end - at));
        k->w->word++;
    }
out:
    free(t.c);
    return st;
}

static int put_raw(struct job *k, const struct bert_char *c, size_t n) {
    int st = THOR_OK;
    struct bert_chars t = {0};
    if (n == 0) return THOR_OK;
    TRY(copy(&t, c, n));
    TRY(bert_steps_apply(&t, &k->r->normalizer));
    TRY(put_stretches(k, t.c, t.n, 1, put_clean));
out:
    free(t.c);
    return st;
}

/* ---- one text */

/* White space at both ends of a token belongs to no word. */
static void trim(struct bert_tokens *t, int i, const char *text) {
    const utf8proc_uint8_t *u = (const utf8proc_uint8_t *)text;
    int32_t c;
    while (t->start[i] < t->end[i]) {
        const int len = (int)utf8proc_iterate(u + t->start[i], t->end[i] - t->start[i], &c);
        if (!bert_is_white(c)) break;
        t->start[i] += len;
    }
    while (t->start[i] < t->end[i]) {
        int at = t->end[i] - 1;
        while (at > t->start[i] && (u[at] & 0xc0) == 0x80) at--;
        utf8proc_iterate(u + at, t->end[i] - at, &c);
        if (!bert_is_white(c)) break;
        t->end[i] = at;
    }
}

static int put_text(struct job *k, const char *text, size_t len, const char *what) {
    int st = THOR_OK, before = k->w->n;
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
    k->w->word = 0;
    TRY(put_stretches(k, chars.c, chars.n, 0, put_raw));
    if (k->w->n == before) TRY(thor_fail(THOR_INPUT, "%s is empty: give at least one word", what));
    for (int i = before; i < k->w->n && i < k->w->limit; i++) trim(k->w->out, i, text);
out:
    free(chars.c);
    return st;
}

/* ---- the template around texts */

struct texts {
    const char *text[2]; /* [1]: NULL for one text */
    size_t len[2];
};

static int check_types(const struct bert_rules *r, const struct bert_template *t, int type_vocab,
                       int pair) {
    int most = 0; // a model that knows no types takes any
    for (int i = 0; type_vocab && i < t->n; i++)
        if (t->item[i].type > most) most = t->item[i].type;
    if (most > 0 && r->types == BERT_TYPES_UNKNOWN)
        return thor_fail(THOR_INPUT, "tokenizer_config.json does not say whether a second text has "
                                     "a type of its own: add model_input_names");
    if (most > 0 && r->types == BERT_TYPES_TEMPLATE && type_vocab <= most)
        return thor_fail(THOR_INPUT, pair ? "this model takes one text, not a pair"
                                          : "the tokenizer gives types that the model has not");
    return THOR_OK;
}

static int put_template(struct job *k, const struct bert_model *m, const struct texts *in) {
    int st = THOR_OK;
    const struct bert_template *t = in->text[1] ? &k->r->templates.pair : &k->r->templates.single;
    TRY(check_types(k->r, t, m->cfg.type_vocab, in->text[1] != NULL));
    if (bert_is_causal(&m->cfg) && m->cfg.head != BERT_HEAD_CLASSIFIER && t->n &&
        t->item[0].id != m->cfg.first_token)
        bert_put(k->w, m->cfg.first_token, NULL, 0); // GPT-2's own template has none
    for (int i = 0; i < t->n; i++) {
        const int id = t->item[i].id, b = id == BERT_TEXT_B;
        k->w->type = k->r->types == BERT_TYPES_TEMPLATE ? t->item[i].type : 0;
        k->w->second = b || (i > 0 && k->w->second); // tokens behind a text are its own
        if (id >= 0)
            bert_put(k->w, id, NULL, 0);
        else
            TRY(put_text(k, in->text[b], in->len[b], b ? "the second text" : "the text"));
    }
out:
    return st;
}

static const struct bert_added *added_of(const struct bert_rules *r, int id) {
    for (int i = 0; r && i < r->n; i++)
        if (r->added[i].id == id) return &r->added[i];
    return NULL;
}

static const char *name_of(const struct bert_model *m, int id) {
    const struct bert_added *t = added_of(m->rules, id);
    return t ? t->name : bert_vocab_token(m->vocab, id);
}

static int check_ids(const struct bert_model *m, const struct bert_writer *w) {
    if (w->n > w->limit)
        return thor_fail(THOR_INPUT,
                         "the text has %d tokens, special ones counted; the limit is %d: "
                         "shorten it",
                         w->n, w->limit);
    for (int i = 0; i < w->n; i++)
        if (w->out->ids[i] >= m->cfg.vocab) {
            const char *name = name_of(m, w->out->ids[i]);
            return thor_fail(THOR_INPUT,
                             "the text holds the token %.40s, whose id %d has no row in "
                             "the model's embedding of %d",
                             name ? name : "?", w->out->ids[i], m->cfg.vocab);
        }
    return THOR_OK;
}

int bert_tokenize_bytes(struct bert_tokens *out, const struct bert_model *m, const char *text,
                        size_t text_len, const char *pair, size_t pair_len, int max_tokens) {
    int st = THOR_OK;
    struct bert_rules usual;
    struct bert_writer w = {.out = out, .limit = m->cfg.max_positions};
    struct job k = {&w, m->vocab, m->rules ? m->rules : &usual};
    const struct texts in = {{text, pair}, {text_len, pair_len}};
    out->n = 0;
    if (w.limit > BERT_MAX_TOKENS) w.limit = BERT_MAX_TOKENS;
    if (max_tokens > 0 && max_tokens < w.limit) w.limit = max_tokens;
    if (!m->rules) TRY(bert_rules_default(&usual, m->vocab, m->cfg.lower_case));
    TRY(put_template(&k, m, &in));
    TRY(check_ids(m, &w));
    out->n = w.n;
out:
    free(w.scratch);
    return st;
}

int bert_tokenize(struct bert_tokens *out, const struct bert_model *m, const char *text,
                  const char *pair, int max_tokens) {
    return bert_tokenize_bytes(out, m, text, strlen(text), pair, pair ? strlen(pair) : 0,
                               max_tokens);
}

/* ---- back */

/* Bytes of a byte-level token; -1 where a character stands for none. */
static int undo_bytes(char *out, size_t room, const char *name) {
    int n = 0;
    for (int32_t c; *name; n++) {
        name += utf8proc_iterate((const utf8proc_uint8_t *)name, -1, &c);
        const int byte = bert_char_byte(c);
        if (byte < 0) return -1;
        if ((size_t)n < room) out[n] = (char)byte;
    }
    return n;
}

/* What stands for a blank in the names of tokens, as Metaspace and Replace have it; 0: none. */
static int32_t blank_sign(const struct bert_rules *r) {
    const struct bert_steps *const all[] = {&r->normalizer, &r->cuts};
    for (int k = 0; k < 2; k++)
        for (int i = 0; i < all[k]->n; i++) {
            const struct bert_step *s = &all[k]->step[i];
            if (s->kind == BERT_STEP_REPLACE && !s->least && s->what.n == 1 && s->with.n == 1 &&
                s->what.c[0].c == ' ')
                return s->with.c[0].c;
        }
    return 0;
}

/* "<0xNN>" of a model that falls back to bytes; -1: no such token. */
static int fallback_byte(const struct bert_rules *r, const char *name) {
    unsigned byte;
    int end = 0;
    if (!r->bpe || !bert_bpe_falls_back(r->bpe) || strlen(name) != 6) return -1;
    if (sscanf(name, "<0x%2X>%n", &byte, &end) != 1 || end != 6) return -1;
    return (int)byte;
}

/* The name with blanks for what stands for them. */
static int undo_blanks(char *out, size_t room, const char *name, int32_t sign) {
    size_t n = 0;
    for (int32_t c; *name;) {
        const size_t len = (size_t)utf8proc_iterate((const utf8proc_uint8_t *)name, -1, &c);
        const char *from = c == sign ? " " : name;
        for (size_t i = 0; i < (c == sign ? 1 : len); i++, n++)
            if (n < room) out[n] = from[i];
        name += len;
    }
    return (int)n;
}

int bert_token_bytes(char *out, size_t room, const struct bert_model *m, int id) {
    const char *name = name_of(m, id);
    const int bytes = m->rules && (m->rules->cuts.bytes || m->rules->normalizer.bytes);
    const int undone = name && bytes ? undo_bytes(out, room, name) : -1;
    if (!name || undone >= 0) return name ? undone : -1;
    const int32_t sign = m->rules && !added_of(m->rules, id) ? blank_sign(m->rules) : 0;
    const int byte = m->rules ? fallback_byte(m->rules, name) : -1;
    if (byte >= 0 && room > 0) out[0] = (char)byte;
    return byte >= 0 ? 1 : undo_blanks(out, room, name, sign);
}
