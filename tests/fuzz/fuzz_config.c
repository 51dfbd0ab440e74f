/* config.json of a model folder. */
#include <string.h>

#include "bert/input/architecture.h"
#include "bert/input/text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct bert_config c;
    int st = bert_config_load(&c, fuzz_folder("config.json", data, size));
    fuzz_verdict(st, THOR_MODEL);
    if (st != THOR_OK) return 0;
    FUZZ_MUST(c.hidden >= 8 && c.heads >= 1 && c.hidden % c.heads == 0 && c.layers >= 1 &&
              c.ffn >= 8);
    FUZZ_MUST(c.arch < BERT_ARCHS && c.type_vocab >= 0 && c.type_vocab <= 16 &&
              (c.embedding == 0 || c.embedding >= 8));
    FUZZ_MUST(c.max_positions >= 4 && c.max_positions <= BERT_MAX_TOKENS && c.first_position >= 0 &&
              c.first_position + c.max_positions <= c.positions);
    FUZZ_MUST(c.labels >= 1 && c.labels <= BERT_MAX_LABELS && c.eps >= 0);
    for (int i = 0; i < c.labels; i++) FUZZ_MUST(memchr(c.label_names[i], 0, BERT_LABEL_BYTES));
    return 0;
}
