/* Where words begin: BERT_STEP_CUT. */
#include "bert/input/charclass.h"
#include "bert/input/textsteps.h"

static int is_word_class(int32_t c) { /* 0: white space, 1: word, 2: neither */
    if (bert_is_word(c)) return 1;
    return bert_is_white(c) ? 0 : 2;
}

static size_t match_word(const struct bert_char *c, size_t n) {
    const int class = is_word_class(c->c);
    size_t run = class > 0;
    while (class > 0 && run < n && is_word_class(c[run].c) == class) run++;
    return run;
}

/* ---- GPT-2's pattern */

static int32_t folded(int32_t c) { // U+017F is the long s, which any case of an s matches
    return c >= 'A' && c <= 'Z' ? c + 'a' - 'A' : c == 0x17f ? 's' : c;
}

static size_t contraction(const struct bert_char *c, size_t n, int any_case) {
    static const char *const ends[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (c->c != '\'') return 0;
    for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
        size_t i = 0;
        while (ends[k][i] && i + 1 < n &&
               (any_case ? folded(c[i + 1].c) : c[i + 1].c) == ends[k][i])
            i++;
        if (!ends[k][i]) return i + 1;
    }
    return 0;
}

static int gpt2_class(int32_t c) { /* 0: white space */
    if (bert_is_white(c)) return 0;
    return bert_is_letter(c) ? 1 : bert_is_number(c) ? 2 : 3;
}

/* c[0] is white space: all of the run but its last where something follows, which a blank is left
 * for. */
static size_t match_blanks(const struct bert_char *c, size_t n) {
    size_t run = 1;
    while (run < n && gpt2_class(c[run].c) == 0) run++;
    return run < n && run > 1 ? run - 1 : run;
}

static size_t match_gpt2(const struct bert_char *c, size_t n) {
    const size_t short_form = contraction(c, n, 0), blank = c->c == ' ' && n > 1;
    const int class = gpt2_class(c[blank].c);
    size_t run = blank + 1;
    if (short_form) return short_form;
    if (class == 0) return match_blanks(c, n);
    while (run < n && gpt2_class(c[run].c) == class) run++;
    return run;
}

/* ---- the pattern of Llama 3 and Qwen 2 */

static int is_line_end(int32_t c) {
    return c == '\r' || c == '\n';
}

// c[0] is white space: up to the last line end of the run, if there is one
static size_t match_lines(const struct bert_char *c, size_t n) {
    size_t end = 0;
    for (size_t run = 0; run < n && gpt2_class(c[run].c) == 0; run++)
        if (is_line_end(c[run].c)) end = run + 1;
    return end ? end : match_blanks(c, n);
}

static size_t run_of(const struct bert_char *c, size_t n, size_t from, int class) {
    while (from < n && gpt2_class(c[from].c) == class) from++;
    return from;
}

static size_t match_llama3(const struct bert_char *c, size_t n, size_t digits) {
    const size_t short_form = contraction(c, n, 1), blank = c->c == ' ' && n > 1;
    const int class = gpt2_class(c->c);
    size_t run;
    if (short_form) return short_form;
    if (class == 1) return run_of(c, n, 1, 1);
    if (class != 2 && !is_line_end(c->c) && n > 1 && gpt2_class(c[1].c) == 1)
        return run_of(c, n, 2, 1);
    if (class == 2) return run_of(c, n < digits ? n : digits, 1, 2);
    if (gpt2_class(c[blank].c) != 3) return match_lines(c, n);
    run = run_of(c, n, blank + 1, 3);
    while (run < n && is_line_end(c[run].c)) run++;
    return run;
}

/* ---- */

/* Characters of the match at c, 0 when there is none. */
static size_t match(const struct bert_char *c, size_t n, const struct bert_step *s) {
    switch (s->match) {
    case BERT_MATCH_WHITE:
        return (size_t)bert_is_white(c->c);
    case BERT_MATCH_PUNCTUATION:
        return (size_t)bert_is_punctuation(c->c);
    case BERT_MATCH_NUMBER:
        return (size_t)bert_is_digit(c->c);
    case BERT_MATCH_WORD:
        return match_word(c, n);
    case BERT_MATCH_GPT2:
        return match_gpt2(c, n);
    case BERT_MATCH_LLAMA3:
        return match_llama3(c, n, 3);
    case BERT_MATCH_QWEN2:
        return match_llama3(c, n, 1);
    default:
        return bert_chars_match(c, n, &s->what) ? s->what.n : 0;
    }
}

/* A word begins at a part that matches (is), where the one before it did (was), did not, or is
 * another word's (-1). */
static int begins(enum bert_cut cut, int is, int was) {
    if (was < 0) return 1;
    switch (cut) {
    case BERT_CUT_RUN:
        return is != was;
    case BERT_CUT_BEFORE:
        return !is || was;
    case BERT_CUT_BEHIND:
        return is || !was;
    default:
        return 1;
    }
}

static size_t word_end(const struct bert_chars *t, size_t at) {
    for (at++; at < t->n && !t->c[at].begins;) at++;
    return at;
}

/* Each word in parts, which match or do not. */
int bert_step_cut(struct bert_chars *t, const struct bert_step *s) {
    size_t kept = 0, word = 0;
    int was = -1, pending = 0;
    for (size_t i = 0, end; i < t->n; i = end) {
        if (i == word) {
            word = word_end(t, i);
            was = -1;
        }
        end = i + match(t->c + i, word - i, s);
        const int is = (end > i) != s->invert;
        if (end == i) // up to the next match
            for (end = i + 1; end < word && !match(t->c + end, word - end, s);) end++;
        const int first = begins(s->cut, is, was);
        was = is;
        if (is && s->cut == BERT_CUT_REMOVE) {
            pending = 1;
            continue;
        }
        if (first || pending) t->c[i].begins = 1;
        pending = 0;
        for (size_t k = i; k < end; k++) t->c[kept++] = t->c[k];
    }
    t->n = kept;
    return THOR_OK;
}
