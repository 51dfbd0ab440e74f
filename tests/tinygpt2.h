/* A small GPT-2 with random weights as a model folder: config.json and model.safetensors (F32).
 * tests/constants.py makes the same weights for the golden values of test_gpt2.c. */
#ifndef TESTS_TINYGPT2_H
#define TESTS_TINYGPT2_H

#include "bert/input/text.h"

struct tinygpt2 {
    int hidden, layers, heads, vocab, positions;
    const char *front;  /* of the names: "transformer." or "" */
    const char *config; /* more of config.json: "" or ", .." */
    int head;           /* 1: with an lm_head.weight, 2: with one that is not the embeddings */
};

/* dir is there. */
void tinygpt2_write(const char *dir, const struct tinygpt2 *t);
struct bert_model *tinygpt2_load(const struct tinygpt2 *t); /* from the scratch folder */
void tinygpt2_tokens(struct bert_tokens *t, const struct bert_model *m, int n, unsigned seed);

#endif
