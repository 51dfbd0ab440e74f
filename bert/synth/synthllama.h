/* A folder of a Llama-like decoder with random weights: to time and test split mode, which alone
 * computes such models. */
#ifndef BERT_SYNTHLLAMA_H
#define BERT_SYNTHLLAMA_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_synth_llama {
    const char *name;
    int hidden, layers, heads, groups, head, ffn, vocab, positions;
    double theta, eps;
    double factor; /* of rope_type llama3, 0: the default */
    int original;  /* its original_max_position_embeddings */
    int tied;      /* 1: the head is the word embeddings */
};

/* The shape called `name`; NULL when there is none. */
const struct bert_synth_llama *bert_synth_llama_shape(const char *name);
/* Those names with commas between them, cut off at size - 1 bytes. */
void bert_synth_llama_names(char *list, size_t size);

/* Into the folder `dir`: config.json, tokenizer.json (byte-level BPE), tokenizer_config.json,
 * model.safetensors (BF16) and texts.tsv, as synth.h.  THOR_USAGE when there are weights already.
 */
int bert_synth_llama_write(const char *dir, const struct bert_synth_llama *s, uint64_t seed,
                           int texts);

#ifdef __cplusplus
}
#endif
#endif
