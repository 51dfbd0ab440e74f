/* Checkpoints of a training, as they are and with the right hash behind them. */
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "split/checkpoint.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/splitfiles.h"

static void load(const uint8_t *data, size_t size) {
    struct split_adapter a;
    struct split_trainer t;
    FUZZ_MUST(splitfiles_trainer(&t, &a));
    const double first = a.values[0];
    const int st = split_checkpoint_load(&t, fuzz_file(data, size), "settings", 7);
    fuzz_verdict(st, st == THOR_USAGE ? THOR_USAGE : THOR_MODEL);
    FUZZ_MUST(st == THOR_OK ? t.adam.step >= 0 : t.adam.step == 3 && a.values[0] == first);
    splitfiles_end(&t, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    enum { HASH = 8 };
    load(data, size);
    if (size < HASH) return 0;
    uint8_t *copy = malloc(size);
    FUZZ_MUST(copy);
    memcpy(copy, data, size);
    const uint64_t hash = XXH3_64bits(copy, size - HASH);
    for (int i = 0; i < HASH; i++) copy[size - HASH + (size_t)i] = (uint8_t)(hash >> 8 * i);
    load(copy, size);
    free(copy);
    return 0;
}
