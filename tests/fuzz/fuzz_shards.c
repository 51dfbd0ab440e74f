/* model.safetensors.index.json, beside the two files of the seed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bert/input/shards.h"
#include "tests/fuzz/fuzz.h"

#define ENTRY(name) "{\"" name "\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}"

static char path[3][64];

static void remove_files(void) {
    unlink(path[0]);
    unlink(path[1]);
}

static void put_file(const char *to, const char *header) {
    const unsigned char length[8] = {(unsigned char)strlen(header)};
    const float values[2] = {1, 2};
    FILE *f = fopen(to, "wb");
    FUZZ_MUST(f && fwrite(length, 1, 8, f) == 8 && fputs(header, f) >= 0);
    FUZZ_MUST(fwrite(values, 1, sizeof values, f) == sizeof values && fclose(f) == 0);
}

static void make_files(const char *folder) {
    static const char *const name[] = {"1.safetensors", "2.safetensors", "index.json"};
    for (int i = 0; i < 3; i++) snprintf(path[i], sizeof path[i], "%s/%s", folder, name[i]);
    put_file(path[0], ENTRY("a"));
    put_file(path[1], ENTRY("b"));
    atexit(remove_files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const names[] = {"a", "b", "c"};
    struct bert_shards *s;
    float w[2];
    uint64_t hash;
    const char *folder = fuzz_folder("index.json", data, size);
    if (!path[0][0]) make_files(folder);
    const int st = bert_shards_open(&s, path[2]);
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (s != NULL));
    for (int i = 0; s && i < 3; i++) {
        FUZZ_MUST(!bert_shards_has(s, names[i]) || i < 2);
        fuzz_verdict(bert_shards_expect(s, names[i], 0, 2), THOR_MODEL);
        fuzz_verdict(bert_shards_read(w, s, names[i], 0, 2), THOR_MODEL);
    }
    if (s) fuzz_verdict(bert_shards_hash(&hash, s), THOR_MODEL);
    bert_shards_close(s);
    return 0;
}
