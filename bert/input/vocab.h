/* The vocabulary: token text <-> id. */
#ifndef BERT_VOCAB_H
#define BERT_VOCAB_H

#include <stddef.h>

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_vocab;

enum bert_special { /* CLS: the first token of a text, or its bos; SEP: the last, or its eos */
                    BERT_PAD,
                    BERT_UNK,
                    BERT_CLS,
                    BERT_SEP,
                    BERT_NSPECIAL
};

/* Read vocab.txt: one token a line, its id the number of the line from 0, the four special tokens
 * among them.  Of equal lines the last counts; an empty line is no token of any text. */
int bert_vocab_load(struct bert_vocab **out, const char *path);
/* The same from model.vocab of a tokenizer.json, or from vocab.json: an object of ids by token, or
 * a list of [token, score] in the order of ids.  Their special tokens are set by who knows them. */
int bert_vocab_from_json(struct bert_vocab **out, const json_t *vocab, const char *path);
void bert_vocab_free(struct bert_vocab *v); /* NULL is allowed */

/* -1: the tokenizer has none. */
int bert_vocab_special(const struct bert_vocab *v, enum bert_special which);
void bert_vocab_set_special(struct bert_vocab *v, enum bert_special which, int id);
/* Id of the token `text`; -1 when there is none. */
int bert_vocab_id(const struct bert_vocab *v, const char *text, size_t len);
/* The token with this id; NULL when there is none.  Valid as long as the vocabulary. */
const char *bert_vocab_token(const struct bert_vocab *v, int id);
int bert_vocab_end(const struct bert_vocab *v); /* id of the first token added to it */

#ifdef __cplusplus
}
#endif
#endif
