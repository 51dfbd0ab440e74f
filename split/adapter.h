/* What is trained: low-rank updates (LoRA) of the layers' maps, y = W x + b + alpha/rank B A x, and a
 * classifier. */
#ifndef SPLIT_ADAPTER_H
#define SPLIT_ADAPTER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

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
    double *head_w, *head_b; /* labels x hidden, labels */
    double *values;          /* everything above lies in this one block */
    size_t n;
};

#ifdef __cplusplus
}
#endif
#endif
