/* The vocabulary: token text <-> id. */
#ifndef BERT_VOCAB_H
#define BERT_VOCAB_H

#include <stddef.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_vocab;

enum bert_special { BERT_PAD, BERT_UNK, BERT_CLS, BERT_SEP, BERT_NSPECIAL };

/* Read vocab.txt: one token a line, exactly `want` of them, the four special tokens among them.  Or
 * a tokenizer.json (any name that ends in .json): the same from its WordPiece model. */
int bert_vocab_load(struct bert_vocab **out, const char *path, int want);
void bert_vocab_free(struct bert_vocab *v); /* NULL is allowed */

int bert_vocab_special(const struct bert_vocab *v, enum bert_special which);
/* Id of the token `text`; -1 when there is none. */
int bert_vocab_id(const struct bert_vocab *v, const char *text, size_t len);
/* The token with this id; NULL when there is none.  Valid as long as the vocabulary. */
const char *bert_vocab_token(const struct bert_vocab *v, int id);
/* 1 when a token other than those in brackets has a capital letter of ASCII: a cased vocabulary. */
int bert_vocab_has_capitals(const struct bert_vocab *v);
size_t bert_vocab_longest(const struct bert_vocab *v); /* bytes of the longest token */

#ifdef __cplusplus
}
#endif
#endif
