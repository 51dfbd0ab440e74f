#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    fuzz_keyfile(CKKS_FILE_PUBLIC, data, size);
    return 0;
}
