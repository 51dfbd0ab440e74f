/* Text to token ids, id for id as the model's own tokenizer gives them: WordPiece, byte-level and
 * other BPE, Unigram. */
#ifndef BERT_TEXT_H
#define BERT_TEXT_H

#include "bert/input/model.h"
#include "bert/input/vocab.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_TOKENS 1024 /* no model with more positions is accepted */

struct bert_tokens { /* as the template says: [CLS] text [SEP] pair [SEP], <s> text </s>, .. */
    int n;
    int ids[BERT_MAX_TOKENS];
    int type_ids[BERT_MAX_TOKENS]; /* as the template says, 0 where the model is given none */
    /* The token is made of the bytes start .. end-1 of its text, white space at both ends left out
     * (start = end: of white space alone, or a special token of the template) ..  */
    int start[BERT_MAX_TOKENS], end[BERT_MAX_TOKENS];
    /* .. and of the word of that number in its text, -1 for the template's; an added token is a
     * word.  Words are the pre-tokenizer's: BERT parts "state-of" into three. */
    int word[BERT_MAX_TOKENS];
    int second[BERT_MAX_TOKENS]; /* 1: of `pair` */
};

/* Tokenize `text`, and `pair` unless it is NULL.  max_tokens counts the special tokens; 0, or more
 * than the model's positions, means the model's positions.  Nothing is ever cut: text of more
 * tokens is refused with THOR_INPUT, and so is text that is empty or not UTF-8. */
int bert_tokenize(struct bert_tokens *out, const struct bert_model *m, const char *text,
                  const char *pair, int max_tokens);

/* The same for text that may hold NUL bytes (which are dropped, as every control character is). */
int bert_tokenize_bytes(struct bert_tokens *out, const struct bert_model *m, const char *text,
                        size_t text_len, const char *pair, size_t pair_len, int max_tokens);

/* The bytes that a token stands for, at most `room` of them into out: the number of all its bytes.
 * Byte-level tokens are undone, and "<0x41>" of a model that falls back to bytes; what stands for
 * a blank is one; others are their text, "##x" and the like. -1: no such id. */
int bert_token_bytes(char *out, size_t room, const struct bert_model *m, int id);

#ifdef __cplusplus
}
#endif
#endif
