/* Small models with random weights as Hugging Face folders, one of each family, with a service of
 * their maps and an adapter: the models of tests/splitgolden.py. */
#ifndef TESTS_SPLITFOLDER_H
#define TESTS_SPLITFOLDER_H

#include "split/gradient.h"

enum { SPLITFOLDER_TENSORS = 64, SPLITFOLDER_ASKS = 64 };

struct splitfolder_tensor {
    char name[80];
    int rows, cols; /* cols 0: a vector */
    float *w;
};

struct splitfolder {
    struct split_service service; /* computes with the tensors below, in doubles */
    struct splitfolder_tensor tensor[SPLITFOLDER_TENSORS];
    int n;
    struct split_ask asked[SPLITFOLDER_ASKS]; /* the first of them */
    int asks, fail_at;                        /* fail_at: the ask that fails, from 1; 0: none */
};

/* name: "bert", "bert-head", "gpt2", "llama", "qwen2", "gpt2-score", "llama-score".  dir is there.
 */
void splitfolder_write(struct splitfolder *f, const char *dir, const char *name);
void splitfolder_free(struct splitfolder *f);

/* Every map, rank 2, alpha 3, and a classifier of so many labels; values of the golden script. */
void splitfolder_adapter(struct split_adapter *a, const struct split_model *m, int classes);

/* The numbers (-105 .. 105)/1024 that all is made of; x[i] = one + gain times the i-th. */
void splitfolder_draw(double *x, size_t n, uint32_t seed, double gain, double one);

#endif
