/* Characters of a text, and the steps they go through before they are cut into words. */
#ifndef BERT_TEXTCLEAN_H
#define BERT_TEXTCLEAN_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_char { /* c: a Unicode scalar value, made of the bytes start .. end-1 of the text */
    int32_t c;
    uint32_t start, end;
    uint32_t begins; /* 1: a word begins here (textcuts.c) */
};

struct bert_chars { /* free(c) is the owner's */
    struct bert_char *c;
    size_t n;
};

enum bert_clean {
    BERT_CLEAN_CONTROLS,   /* drop U+0000, U+FFFD, categories Cc, Cf, Co; white space to blanks */
    BERT_CLEAN_IDEOGRAPHS, /* a blank before and behind each CJK ideograph */
    BERT_CLEAN_NFC,
    BERT_CLEAN_NFD,
    BERT_CLEAN_NFKC,
    BERT_CLEAN_NFKD,
    BERT_CLEAN_MN,    /* drop the marks of category Mn */
    BERT_CLEAN_MARKS, /* drop the categories Mn, Mc, Me */
    BERT_CLEAN_LOWER, /* each character by itself */
    BERT_CLEAN_NMT,   /* drop some controls; line ends, marks of width 0 and U+2581 to blanks */
    BERT_CLEANS
};

/* `len` bytes of valid UTF-8.  All three fail with THOR_MEMORY, and with THOR_INPUT where a text is
 * or becomes longer than 2^24 characters. */
int bert_chars_decode(struct bert_chars *out, const char *text, size_t len);
int bert_chars_clean(struct bert_chars *t, enum bert_clean step);
/* Room for n characters, and a refusal where there is none. */
int bert_chars_room(struct bert_char **c, size_t n);

#ifdef __cplusplus
}
#endif
#endif
