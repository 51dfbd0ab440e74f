/* Text to token ids: the WordPiece tokenizer of BERT, id for id. */
#ifndef BERT_TEXT_H
#define BERT_TEXT_H

#include "bert/input/model.h"
#include "bert/input/vocab.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_TOKENS 1024 /* no model with more positions is accepted */

struct bert_tokens { /* [CLS] text [SEP], or [CLS] text [SEP] pair [SEP] */
    int n;
    int ids[BERT_MAX_TOKENS];
    int type_ids[BERT_MAX_TOKENS]; /* 0, and 1 from the pair's first token to its [SEP] */
};

/* Tokenize `text`, and `pair` unless it is NULL.  max_tokens counts the special tokens; 0, or more
 * than the model's positions, means the model's positions.  Nothing is ever cut: text of more
 * tokens is refused with THOR_INPUT, and so is text that is empty or not UTF-8. */
int bert_tokenize(struct bert_tokens *out, const struct bert_model *m, const char *text,
                  const char *pair, int max_tokens);

/* The same for text that may hold NUL bytes (which are dropped, as every control character is). */
int bert_tokenize_bytes(struct bert_tokens *out, const struct bert_model *m, const char *text,
                        size_t text_len, const char *pair, size_t pair_len, int max_tokens);

#ifdef __cplusplus
}
#endif
#endif
