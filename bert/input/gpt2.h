/* The weights of a GPT-2 as they lie in a model folder: maps stand the other way round (in x out),
 * q, k and v in one.  Its names in config.json are a row of architecture.c. */
#ifndef BERT_GPT2_H
#define BERT_GPT2_H

#include "bert/input/model.h"
#include "bert/input/shards.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All weights of m, whose cfg is known; names with or without "transformer." in front.  The LM head
 * is the word embeddings: where the file has another (lm_head.weight), it must be equal. */
int bert_gpt2_weights(struct bert_model *m, const struct bert_shards *file, const char *path);

#ifdef __cplusplus
}
#endif
#endif
