/* What is trained: low-rank updates (LoRA) of the layers' maps,
 * y = W x + b + alpha/rank B A x, and a classifier. */
#ifndef SPLIT_ADAPTER_H
#define SPLIT_ADAPTER_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_RANK_MAX 256

enum split_map {
    SPLIT_MAP_Q,
    SPLIT_MAP_K,
    SPLIT_MAP_V,
    SPLIT_MAP_O,
    SPLIT_MAP_GATE, /* Llama alone */
    SPLIT_MAP_UP,
    SPLIT_MAP_DOWN,
    SPLIT_MAPS
};

struct split_lora {
    int in, out;
    double *a, *b; /* rank x in, out x rank; NULL: not adapted */
};

struct split_adapter {
    int layers, rank;
    double alpha;
    unsigned maps;           /* bit m: map m of every layer has one */
    int frozen_a;            /* FFA-LoRA: A stays as it was drawn */
    struct split_lora *lora; /* layers x SPLIT_MAPS */
    int labels, hidden;      /* of the trained classifier; labels 0: none */
    double *head_w, *head_b; /* labels x hidden, labels; head_b NULL: a classifier without biases */
    uint64_t base;           /* hash of the weights that it was trained on; 0: not known */
    double *values;          /* everything above lies in this one block: every A, every B, the
                                classifier's weights and biases */
    size_t n;
};

/* in, out: columns of each map, 0 where the model has none (split_model_widths). */
struct split_adapter_ask {
    int layers, in[SPLIT_MAPS], out[SPLIT_MAPS];
    int rank; /* 1 .. SPLIT_RANK_MAX */
    double alpha;
    unsigned maps;
    int frozen_a;
    int labels, hidden, no_bias; /* no_bias: the classifier has weights alone */
};

/* A uniform in +-1/sqrt(in) (Kaiming's with a = sqrt 5, as is usual for LoRA), B and the classifier
 * zero.  seed: CKKS_SEED bytes, for tests and comparisons; NULL: of the system.  THOR_USAGE for
 * what is out of range or maps that the model has not.  On failure *a is all zeros. */
int split_adapter_make(struct split_adapter *a, const struct split_adapter_ask *ask,
                       const uint8_t *seed);
/* The same shape, all values zero: gradients, moments of an optimiser, sums. */
int split_adapter_like(struct split_adapter *a, const struct split_adapter *as);
int split_adapter_copy(struct split_adapter *a, const struct split_adapter *of);
void split_adapter_free(struct split_adapter *a); /* wipes; also of one set to zero */

/* The part of a->values that is trained, all of it or, with frozen_a, what follows the A's. */
double *split_adapter_trained(const struct split_adapter *a, size_t *n);
/* 1: the same layers, rank, alpha, maps and classifier, so that values may be added. */
int split_adapter_alike(const struct split_adapter *a, const struct split_adapter *b);
/* The widths that such an adapter has, with its other properties. */
void split_adapter_asked(struct split_adapter_ask *ask, const struct split_adapter *a);

#ifdef __cplusplus
}
#endif
#endif
