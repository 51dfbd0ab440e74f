/* GPT-2 as it lies in a model folder: its own names in config.json, and tensors whose maps stand
 * the other way round (in x out), q, k and v in one. */
#ifndef BERT_GPT2_H
#define BERT_GPT2_H

#include <jansson.h>

#include "bert/input/model.h"
#include "bert/input/shards.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1 when config.json says so (model_type). */
int bert_gpt2_is(const json_t *config);
/* cfg of such a config.json, `path` for messages. */
int bert_gpt2_config(struct bert_config *cfg, const json_t *config, const char *path);
/* All weights of m, whose cfg is known; names with or without "transformer." in front.  The LM head
 * is the word embeddings: where the file has another (lm_head.weight), it must be equal. */
int bert_gpt2_weights(struct bert_model *m, const struct bert_shards *file, const char *path);

#ifdef __cplusplus
}
#endif
#endif
