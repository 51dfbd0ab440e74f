/* calibration.json: the ranges of a model of 1 layer and 2 heads. */
#include "bert/plan.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct bert_model m = {.cfg = {.hidden = 8, .layers = 1, .heads = 2},
                                        .hash = 0x5eed};
    struct bert_ranges *r;
    int st = bert_ranges_load(&r, fuzz_file(data, size), &m);
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (r != NULL));
    if (r) FUZZ_MUST(bert_ranges_check(r, "ranges") == THOR_OK && bert_ranges_same(r, r));
    bert_ranges_free(r);
    return 0;
}
