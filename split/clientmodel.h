/* The client's half of a model: all but the maps of its layers, which are a service's (service.h).
 * Read from a Hugging Face folder, in which those maps may be missing:
 *
 *   BERT     bert, roberta, electra, distilbert: embeddings, LayerNorms, biases, pooler, classifier
 *   GPT-2    embeddings, LayerNorms, biases; the head is the word embeddings
 *   Llama    llama, mistral, qwen2: embeddings, RMS norms, biases if any, rotary positions;
 *            the head, or the word embeddings for it
 *   both     as ..ForSequenceClassification: the classifier score.weight instead of the head; the
 *            last token is pooled
 *
 * A model is immutable; any number of threads may read it.
 */
#ifndef SPLIT_CLIENTMODEL_H
#define SPLIT_CLIENTMODEL_H

#include "bert/input/text.h"
#include "split/adapter.h"
#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

enum split_family { SPLIT_BERT, SPLIT_GPT2, SPLIT_LLAMA };

struct split_config {
    enum split_family family;
    int hidden, layers, ffn, vocab;
    int heads, groups, head; /* query heads, heads of k and v that they share, columns of a head */
    int max_positions;       /* tokens that a text may have */
    int labels;              /* of the model's own classifier, 0: a language model, or no head */
    double eps;
};

struct split_model;

int split_model_open(struct split_model **out, const char *folder);
void split_model_free(struct split_model *m); /* NULL is allowed */

const struct split_config *split_model_config(const struct split_model *m);
const char *split_model_label(const struct split_model *m, int label); /* its name in config.json */
/* The model's own classifier (labels x hidden, labels), where a trained one begins: its labels, 0
 * where it has none; w, b NULL: the number alone. */
int split_model_head(double *w, double *b, const struct split_model *m);

/* Columns into and out of each map; 0 and 0 where the family has none (GATE but in Llama). */
void split_model_widths(int in[SPLIT_MAPS], int out[SPLIT_MAPS], const struct split_model *m);
/* What a service of this model must be. */
void split_model_shape(struct split_shape *shape, const struct split_model *m);
/* 1: row i sees rows 0 .. i alone. */
int split_model_causal(const struct split_model *m);

/* As bert_tokenize; GPT-2's and Llama's first token (bos) stands in front where the tokenizer puts
 * it, and always with a GPT-2 that is no classifier.  pair may be NULL. */
int split_tokenize(struct bert_tokens *out, const struct split_model *m, const char *text,
                   const char *pair, int max_tokens);
/* The token that ends a text, which its tokenizer names; -1: none. */
int split_model_end(const struct split_model *m);
/* The bytes that a token stands for, as bert_token_bytes. */
int split_token_bytes(char *out, size_t room, const struct split_model *m, int id);

#ifdef __cplusplus
}
#endif
#endif
