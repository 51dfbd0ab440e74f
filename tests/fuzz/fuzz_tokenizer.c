/* tokenizer.json with any model, steps and template, on texts that reach all of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bert/input/text.h"
#include "bert/input/tokenrules.h"
#include "tests/fuzz/fuzz.h"

static char config[160];

static void remove_config(void) {
    unlink(config);
}

/* The folder's class is the one that follows tokenizer.json. */
static void write_config(const char *folder) {
    snprintf(config, sizeof config, "%s/tokenizer_config.json", folder);
    FILE *f = fopen(config, "w");
    FUZZ_MUST(f);
    fputs("{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"model_input_names\":[]}", f);
    FUZZ_MUST(fclose(f) == 0);
    atexit(remove_config);
}

static void check(const struct bert_tokens *t, const char *text) {
    const int len = (int)strlen(text);
    FUZZ_MUST(t->n > 0 && t->n <= 512);
    for (int i = 0; i < t->n; i++) {
        FUZZ_MUST(t->ids[i] >= 0 && t->type_ids[i] == 0 && t->word[i] >= -1);
        FUZZ_MUST(t->start[i] >= 0 && t->start[i] <= t->end[i] && t->end[i] <= len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const texts[] = {"the abab's  <s> 12-x",
                                        "e\xcc\x81 \xef\xac\x81\xc3\xa9\t\xe2\x96\x81q",
                                        "\xf0\x9f\x98\x80\xe2\x80\x8b  aaaaaaaaaaaaaaaaaaaa"};
    static struct bert_tokens t;
    struct bert_model m = {.cfg = {.max_positions = 512, .type_vocab = 2, .vocab = 1 << 30}};
    const char *folder = fuzz_folder("tokenizer.json", data, size);
    if (!config[0]) write_config(folder);
    int st = bert_rules_load(&m.rules, &m.vocab, &m.cfg, folder);
    fuzz_verdict(st, THOR_MODEL);
    FUZZ_MUST((st == THOR_OK) == (m.rules != NULL));
    for (size_t i = 0; st == THOR_OK && i < sizeof texts / sizeof *texts; i++) {
        const int one = bert_tokenize(&t, &m, texts[i], i ? texts[i - 1] : NULL, 0);
        fuzz_verdict(one, one == THOR_MODEL ? THOR_MODEL : THOR_INPUT); // a charsmap out of itself
        if (one == THOR_OK && i == 0) check(&t, texts[i]);
    }
    bert_rules_free(m.rules);
    bert_vocab_free(m.vocab);
    return 0;
}
