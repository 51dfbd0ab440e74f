/* The weight container, as it is and with right checksums (format: bert/container.c). */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bert/container.h"
#include "tests/fuzz/fuzz.h"

enum {
    HEAD_2 = 72,
    HEAD_3 = 80,
    HEAD_6 = 96,
    ENTRY_BYTES = 16,
    BYTES_AT = 64,
    MOST_BLOCKS = 16 * 64 + 5
};

static uint32_t word(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, sizeof x);
    return x;
}

/* Values of block i; sizes beyond the bounds of the format need no seal. */
static uint64_t values(const uint8_t *d, uint32_t i) {
    const uint64_t h = word(d + 16) % 4097, layers = word(d + 20), heads = word(d + 24) % 65;
    const uint64_t f = word(d + 28) % 16385, labels = word(d + 36) % 9;
    const uint64_t layer[16] = {h * h, h, h * h, h, h * h, h, h * h, h,
                                h,     h, h * f, f, h * f, h, h,     h};
    const uint64_t ranges = 3 + layers * (h + 6 * heads + (word(d + 8) > 3 ? 9 : 7));
    const uint64_t head[5] = {h * h, h, h * labels, labels, ranges};
    return i < 16 * layers ? layer[i % 16] : head[i - 16 * layers];
}

static void seal(uint8_t *d, size_t size) {
    static const uint64_t each[4] = {2, 2, 4, 8};
    const uint64_t bytes = size, layers = word(d + 20), blocks = 16 * layers + 5;
    const uint64_t table = word(d + 8) == 2 ? HEAD_2 : word(d + 8) < 6 ? HEAD_3 : HEAD_6;
    uint64_t at = table + ENTRY_BYTES * blocks + 8, hash;
    if (blocks > MOST_BLOCKS || at > size) return;
    memcpy(d + BYTES_AT, &bytes, sizeof bytes);
    for (uint32_t i = 0; i < blocks; i++) {
        uint8_t *entry = d + table + ENTRY_BYTES * i;
        uint64_t part = values(d, i) * each[word(entry) % 4];
        if (part > size - at) break;
        hash = XXH3_64bits(d + at, part);
        memcpy(entry + 8, &hash, sizeof hash);
        at += part;
    }
    at = table + ENTRY_BYTES * blocks;
    hash = XXH3_64bits(d, at);
    memcpy(d + at, &hash, sizeof hash);
}

static void load(const char *path) {
    struct bert_model *m;
    struct bert_ranges *r;
    struct bert_container_info info;
    int st = bert_container_load(&m, &r, path);
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (m != NULL) && (st == THOR_OK) == (r != NULL));
    if (r) FUZZ_MUST(bert_ranges_check(r, "ranges") == THOR_OK);
    bert_model_free(m);
    bert_ranges_free(r);
    fuzz_verdict(bert_container_describe(&info, path), THOR_MODEL);
    (void)bert_container_is(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    FUZZ_MUST(copy);
    load(fuzz_file(data, size));
    memcpy(copy, data, size);
    if (size >= HEAD_6) {
        seal(copy, size);
        load(fuzz_file(copy, size));
    }
    free(copy);
    return 0;
}
