/* modules.json of a model folder. */
#include "bert/input/pooling.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bert_config c;
    c = (struct bert_config){.head = BERT_HEAD_STATE};
    fuzz_verdict(bert_pooling_load(&c, fuzz_folder("modules.json", data, size)), THOR_MODEL);
    FUZZ_MUST(c.pool == BERT_POOL_MEAN && c.normalize >= 0 && c.normalize <= 1);
    return 0;
}
