/* SentencePiece's precompiled map of characters ("Precompiled" in tokenizer.json): base64 of the
 * bytes of a trie as a 32-bit word, the trie (words of a double array), the texts it leads to, each
 * with a NUL behind it. */
#ifndef BERT_CHARSMAP_H
#define BERT_CHARSMAP_H

#include "bert/input/textclean.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_charsmap;

/* THOR_MODEL when it is damaged: the line says how, without the file. */
int bert_charsmap_open(struct bert_charsmap **out, const char *base64, size_t len);
void bert_charsmap_free(struct bert_charsmap *m); /* NULL is allowed */

int bert_charsmap_apply(struct bert_chars *t, const struct bert_charsmap *m);

#ifdef __cplusplus
}
#endif
#endif
