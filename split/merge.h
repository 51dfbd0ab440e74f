/* An adapter merged into its model: W + alpha/rank B A for each adapted map, the trained classifier
 * in place of the model's. */
#ifndef SPLIT_MERGE_H
#define SPLIT_MERGE_H

#include "split/basemodel.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out/model.safetensors, whole or not at all: tensors that change as F32 (small updates would be
 * lost in 16 bits), all others byte for byte, also where the model has several files.  THOR_MODEL
 * where a map of the adapter is not in the model. */
int split_merge(const char *out, const char *model, const struct split_base *b,
                const struct split_adapter *a);

#ifdef __cplusplus
}
#endif
#endif
