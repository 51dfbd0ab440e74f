/* Vocabularies and texts of synthetic models (synth.h): syllables of a consonant and a vowel, words
 * of them, WordPiece or byte-level BPE. */
#ifndef BERT_SYNTHWORDS_H
#define BERT_SYNTHWORDS_H

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A number that is a function of (key, i) alone: the output function of splitmix64. */
static inline uint64_t bert_synth_draw(uint64_t key, uint64_t i) {
    uint64_t z = key + i * 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* THOR_USAGE for a vocabulary that cannot be made. */
int bert_synth_check(const struct bert_config *c);
/* vocab.txt, or vocab.json and merges.txt of a GPT-2; beside them tokenizer_config.json where the
 * architecture's usual tokenizer is another. */
int bert_synth_vocab(const char *dir, const struct bert_config *c);
/* tokenizer.json and tokenizer_config.json of the byte-level BPE that a GPT-2 of `size` tokens has,
 * the last of them in front of every text; size as bert_synth_check wants it of a GPT-2. */
int bert_synth_tokenizer(const char *dir, int size);
/* Half of the rows have up to 30 words, a quarter up to 62, a quarter up to 126. */
int bert_synth_texts(const char *path, const struct bert_config *c, uint64_t seed, int rows);

#ifdef __cplusplus
}
#endif
#endif
