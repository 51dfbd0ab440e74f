/* SentencePiece's map of characters, its bytes as they are: a text goes through what was taken. */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/input/charsmap.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = "a\xcc\x81 \xef\xac\x81\xc3\xa9\t\xe1\x84\x80\xe1\x85\xa1\xf0\x9f\x98\x80x";
    const size_t len = strlen(text), room = sodium_base64_ENCODED_LEN(size, 1);
    struct bert_charsmap *map;
    struct bert_chars t;
    char *coded = malloc(room);
    FUZZ_MUST(coded);
    sodium_bin2base64(coded, room, data, size, sodium_base64_VARIANT_ORIGINAL);
    int st = bert_charsmap_open(&map, coded, strlen(coded));
    free(coded);
    fuzz_verdict(st, THOR_MODEL);
    if (st != THOR_OK) return 0;
    FUZZ_MUST(bert_chars_decode(&t, text, len) == THOR_OK);
    fuzz_verdict(bert_charsmap_apply(&t, map), THOR_MODEL);
    for (size_t i = 0; i < t.n; i++)
        FUZZ_MUST(t.c[i].c >= 0 && t.c[i].c < 0x110000 && t.c[i].start < t.c[i].end &&
                  t.c[i].end <= len);
    free(t.c);
    bert_charsmap_free(map);
    return 0;
}
