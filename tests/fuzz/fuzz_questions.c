/* Questions with options, in MedQA's layout. */
#include "split/multiplechoice.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct split_questions q;
    const int st = split_questions_load(&q, fuzz_file(data, size));
    fuzz_verdict(st, THOR_INPUT);
    FUZZ_MUST((st == THOR_OK) == (q.n > 0));
    for (int i = 0; i < q.n; i++) {
        const struct split_question *k = &q.item[i];
        FUZZ_MUST(*k->text && k->options >= 2 && k->options <= SPLIT_OPTIONS);
        FUZZ_MUST(k->answer >= 0 && k->answer < k->options);
        for (int o = 0; o < k->options; o++) FUZZ_MUST(*k->option[o]);
    }
    split_questions_free(&q);
    return 0;
}
