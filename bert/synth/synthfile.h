/* model.safetensors of a synthetic model, made as it is written. */
#ifndef BERT_SYNTHFILE_H
#define BERT_SYNTHFILE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_synth_place {
    const char *name;
    int rows, cols; /* rows 0: a vector */
};

struct bert_synth_file {
    int tensors;
    const char *type; /* F16 or BF16 */
    const void *of;   /* the maker's, for both functions */
    struct bert_synth_place (*place)(const void *of, int i);
    /* to[n]: the values of tensor i from element `from` on; key is the tensor's */
    void (*make)(uint16_t *to, const void *of, int i, uint64_t key, size_t from, size_t n);
};

int bert_synth_file_write(const char *path, const struct bert_synth_file *w, uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
