/* Classes of characters, as the parts of the reference library have them (charclass.c). */
#ifndef BERT_CHARCLASS_H
#define BERT_CHARCLASS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

int bert_is_white(int32_t c);       /* Unicode's White_Space */
int bert_is_punctuation(int32_t c); /* categories P.., and the symbols of ASCII */
int bert_is_letter(int32_t c);      /* \p{L} */
int bert_is_number(int32_t c);      /* \p{N} */
int bert_is_digit(int32_t c);       /* the same, some later ones too: Digits */
int bert_is_word(int32_t c);        /* \w: letters, marks, digits, connectors */
int bert_is_mark(int32_t c);        /* categories M..: StripAccents */
int bert_is_mn(int32_t c);          /* category Mn: BertNormalizer */
int bert_is_dropped(int32_t c);     /* U+0000, U+FFFD, Cc, Cf, Co, but not tab and line ends */
int bert_is_ideograph(int32_t c);   /* of CJK */
int32_t bert_lower(int32_t c);      /* of one character; U+0130 is the caller's */
int bert_has_compat(int32_t c);     /* 0: NFKC and NFKD leave it as it is */

#ifdef __cplusplus
}
#endif
#endif
