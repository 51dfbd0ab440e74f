/* vocab.txt: a token is found under the id that it has. */
#include <string.h>

#include "bert/input/vocab.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bert_vocab *v;
    int lines = size && data[size - 1] != '\n';
    for (size_t i = 0; i < size; i++) lines += data[i] == '\n';
    int st = bert_vocab_load(&v, fuzz_file(data, size));
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (v != NULL));
    for (int i = 0; v && i < lines; i++) {
        const char *word = bert_vocab_token(v, i);
        FUZZ_MUST(!word || !*word || bert_vocab_id(v, word, strlen(word)) == i);
    }
    bert_vocab_free(v);
    return 0;
}
