/* Steps that text goes through before it is cut into words, each on characters. */
#ifndef BERT_TEXTCLEAN_H
#define BERT_TEXTCLEAN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_chars { /* Unicode scalar values; free(c) is the owner's */
    int32_t *c;
    size_t n;
};

enum bert_step {
    BERT_STEP_CLEAN,      /* drop U+0000, U+FFFD, categories Cc, Cf, Co; white space to blanks */
    BERT_STEP_IDEOGRAPHS, /* a blank before and behind each CJK ideograph */
    BERT_STEP_NFC,
    BERT_STEP_NFD,
    BERT_STEP_NFKC,
    BERT_STEP_NFKD,
    BERT_STEP_DROP_MN,    /* drop the marks of category Mn */
    BERT_STEP_DROP_MARKS, /* drop the categories Mn, Mc, Me */
    BERT_STEP_LOWER,      /* each character by itself */
};

/* `len` bytes of valid UTF-8.  THOR_MEMORY is the only failure of both. */
int bert_chars_decode(struct bert_chars *out, const char *text, size_t len);
int bert_chars_apply(struct bert_chars *t, enum bert_step step);

int bert_is_white(int32_t c);       /* Unicode's White_Space */
int bert_is_punctuation(int32_t c); /* categories P.., and the symbols of ASCII */
int bert_is_word(int32_t c);        /* letters, marks, digits, connectors */

#ifdef __cplusplus
}
#endif
#endif
