/* safetensors: the header, and the tensors of the seed by name. */

#include "bert/input/safetensors.h"
#include "tests/fuzz/fuzz.h"

static const struct {
    const char *name;
    int rows, cols;
} tensors[] = {{"a", 2, 3}, {"b", 0, 4}, {"c", 1, 2}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bert_tensors *t;
    float w[6];
    int st = bert_tensors_open(&t, fuzz_file(data, size));
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (t != NULL));
    for (int i = 0; t && i < 3; i++) {
        fuzz_verdict(bert_tensors_expect(t, tensors[i].name, tensors[i].rows, tensors[i].cols),
                     THOR_MODEL);
        fuzz_verdict(bert_tensors_read(w, t, tensors[i].name, tensors[i].rows, tensors[i].cols),
                     THOR_MODEL);
    }
    uint64_t hash;
    if (t) fuzz_verdict(bert_tensors_hash(&hash, t), THOR_MODEL);
    bert_tensors_close(t);
    return 0;
}
