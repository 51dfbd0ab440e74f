/* A small BERT with random weights, made in memory: H 64, 2 heads, 2 layers, FFN 128, 50 words. */
#ifndef TESTS_SYNTHETIC_H
#define TESTS_SYNTHETIC_H

#include "bert/plan.h"
#include "bert/input/text.h"

struct bert_model *synthetic_model(uint64_t seed);
/* H 48, 3 heads, FFN 80: of the columns shape in every ring, so that a plan serves toy rings
 * too. */
struct bert_model *synthetic_columns(uint64_t seed);
struct bert_model *synthetic_shape(uint64_t seed, int hidden, int heads, int ffn);
void synthetic_free(struct bert_model *m);
/* n tokens, the first and the last of them always 1 and 2. */
void synthetic_tokens(struct bert_tokens *t, const struct bert_model *m, int n, uint64_t seed);
/* Ranges of so many texts of 3 to `longest` tokens, for the bucket of 32. */
struct bert_ranges *synthetic_ranges(const struct bert_model *m, int texts, int longest);

#endif
