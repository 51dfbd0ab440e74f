/* A model folder with random weights: to time and test shapes whose trained weights are not at
 * hand. */
#ifndef BERT_SYNTH_H
#define BERT_SYNTH_H

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The shape called `name` ("bert-tiny", "roberta-base", ..); 0 when there is none. */
int bert_synth_shape(struct bert_config *c, const char *name);
/* Those names with commas between them, cut off at size - 1 bytes. */
void bert_synth_names(char *list, size_t size);
/* The same shape in another architecture: its activation, embeddings, positions and head. */
void bert_synth_arch(struct bert_config *c, enum bert_arch a);

/* Into the folder `dir`: config.json, vocab.txt (WordPiece, as
 * tokenizer_config.json says where it is not the usual one; vocab.json and merges.txt of a GPT-2),
 * model.safetensors (F16) and texts.tsv, `texts` rows of random words of the vocabulary, 1 .. 126
 * words a row as far as the model's positions go.  The same bytes for the same shape and seed on
 * every machine.  `wide` above 4: every fourth head of every fourth layer, the first included,
 * attends sharply, by queries and keys so long that what calibration leaves of the logarithms of
 * its softmax denominators (den_hi - den_lo) spans about `wide` nats.  THOR_USAGE when there are
 * weights already. */
int bert_synth_write(const char *dir, const struct bert_config *c, uint64_t seed, int texts,
                     double wide);

#ifdef __cplusplus
}
#endif
#endif
