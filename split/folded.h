/* A text as it is searched: without case, accents, compatibility forms and characters that nobody
 * sees, dashes, quotes and spaces of every kind as those of ASCII, digits of every script as 0 to
 * 9; and where in the text each character stands. */
#ifndef SPLIT_FOLDED_H
#define SPLIT_FOLDED_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_folded {
    int32_t *c; /* n of them, and a 0 behind */
    size_t *at; /* byte of the text where each begins; at[n]: its length */
    size_t n;
};

/* THOR_INPUT when the text is not UTF-8. */
int split_fold(struct split_folded *f, const char *text);
void split_folded_free(struct split_folded *f); /* also of one set to zero */

/* Of folded characters. */
int split_is_digit(int32_t c);
int split_is_word(int32_t c); /* letters and digits */
/* 1: between i - 1 and i a word may begin or end.  Each ideograph is a word. */
int split_word_break(const struct split_folded *f, size_t i);

#ifdef __cplusplus
}
#endif
#endif
