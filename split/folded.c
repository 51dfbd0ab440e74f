#include "split/folded.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "bert/input/charclass.h"

enum { ROOM = 32 }; // no character folds to more: U+FDFA has 18

/* Digits of a script stand together, from its 0 on. */
static int32_t as_ascii_digit(int32_t c) {
    int32_t value = 0;
    if (c <= '9' || utf8proc_category(c) != UTF8PROC_CATEGORY_ND) return c;
    while (value < 9 && utf8proc_category(c - value - 1) == UTF8PROC_CATEGORY_ND) value++;
    return '0' + value;
}

/* Line ends and tabs are spaces here. */
static int32_t as_space(int32_t c) {
    return c >= '\t' && c <= '\r' ? ' ' : c;
}

static int put_character(struct split_folded *f, size_t *room, int32_t c, size_t at) {
    const utf8proc_option_t how = UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT | UTF8PROC_CASEFOLD |
                                  UTF8PROC_STRIPMARK | UTF8PROC_LUMP | UTF8PROC_IGNORE;
    utf8proc_int32_t parts[ROOM];
    int last = 0;
    utf8proc_ssize_t n = utf8proc_decompose_char(as_space(c), parts, ROOM, how, &last);
    if (n < 0 || n > ROOM) parts[0] = c, n = 1;
    if (f->n + (size_t)n >= *room) {
        const size_t more = 2 * *room + ROOM;
        int32_t *chars = realloc(f->c, more * sizeof *chars);
        if (chars) f->c = chars;
        size_t *places = realloc(f->at, more * sizeof *places);
        if (places) f->at = places;
        if (!chars || !places) return thor_fail(THOR_MEMORY, "no memory for a text to search");
        *room = more;
    }
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        f->c[f->n] = as_ascii_digit(parts[i]);
        f->at[f->n++] = at;
    }
    return THOR_OK;
}

int split_fold(struct split_folded *f, const char *text) {
    int st = THOR_OK;
    size_t room = 0, len = strlen(text), i = 0;
    memset(f, 0, sizeof *f);
    while (i < len) {
        utf8proc_int32_t c;
        const utf8proc_ssize_t bytes =
            utf8proc_iterate((const uint8_t *)text + i, (utf8proc_ssize_t)(len - i), &c);
        if (bytes < 1) {
            st = thor_fail(THOR_INPUT, "a text is not UTF-8");
            goto out;
        }
        TRY(put_character(f, &room, c, i));
        i += (size_t)bytes;
    }
    if (!f->c) { // an empty text, or of marks alone
        f->c = calloc(1, sizeof *f->c);
        f->at = calloc(1, sizeof *f->at);
        if (!f->c || !f->at) TRY(thor_fail(THOR_MEMORY, "no memory for a text to search"));
    }
    f->c[f->n] = 0;
    f->at[f->n] = len;
out:
    if (st != THOR_OK) split_folded_free(f);
    return st;
}

void split_folded_free(struct split_folded *f) {
    free(f->c);
    free(f->at);
    memset(f, 0, sizeof *f);
}

int split_is_digit(int32_t c) {
    return c >= '0' && c <= '9';
}

int split_is_word(int32_t c) {
    return split_is_digit(c) || (c >= 'a' && c <= 'z') ||
           (c > 127 && (bert_is_letter(c) || bert_is_number(c)));
}

int split_word_break(const struct split_folded *f, size_t i) {
    if (i == 0 || i >= f->n) return 1;
    const int32_t before = f->c[i - 1], here = f->c[i];
    return !split_is_word(before) || !split_is_word(here) || bert_is_ideograph(before) ||
           bert_is_ideograph(here);
}
