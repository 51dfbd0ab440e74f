/* Any text by byte-level BPE and by Unigram: tokens that are the vocabulary's, spans within the
 * text that begin and end at characters, and of the first the bytes of the text again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bert/input/readfile.h"
#include "bert/input/text.h"
#include "bert/input/tokenrules.h"
#include "tests/fuzz/fuzz.h"

static struct bert_model model[2];
static const char *const config =
    "{\"tokenizer_class\":\"PreTrainedTokenizerFast\",\"model_input_names\":[]}";

static void put(const char *folder, const char *name, const char *text) {
    char path[64];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (!text) FUZZ_MUST(unlink(path) == 0);
    FILE *f = text ? fopen(path, "w") : NULL;
    FUZZ_MUST(!text || (f && fputs(text, f) >= 0 && fclose(f) == 0));
}

static void load(struct bert_model *m, const char *file) {
    char folder[] = "/tmp/thor-fuzz-XXXXXX", *text;
    size_t len;
    FUZZ_MUST(mkdtemp(folder) && bert_read_file(&text, &len, file, 1 << 20, THOR_MODEL) == THOR_OK);
    put(folder, "tokenizer.json", text);
    put(folder, "tokenizer_config.json", config);
    m->cfg.max_positions = BERT_MAX_TOKENS;
    m->cfg.vocab = 1 << 20;
    FUZZ_MUST(bert_rules_load(&m->rules, &m->vocab, &m->cfg, folder) == THOR_OK);
    put(folder, "tokenizer.json", NULL);
    put(folder, "tokenizer_config.json", NULL);
    rmdir(folder);
    free(text);
}

static int at_character(const char *text, int at, size_t len) {
    return (size_t)at == len || ((uint8_t)text[at] & 0xc0) != 0x80;
}

static void check(const struct bert_tokens *t, const char *text, size_t len) {
    for (int i = 0; i < t->n; i++) {
        FUZZ_MUST(t->start[i] >= 0 && t->start[i] <= t->end[i] && (size_t)t->end[i] <= len);
        FUZZ_MUST(at_character(text, t->start[i], len) && at_character(text, t->end[i], len));
        FUZZ_MUST(t->ids[i] >= 0 && t->word[i] >= -1);
    }
}

/* Tokens of the template stand first and last; a text that names special ones is passed over. */
static void check_back(const struct bert_tokens *t, const char *text, size_t len) {
    char back[64];
    size_t at = 0;
    if (memchr(text, '<', len) || memmem(text, len, "filmstar", 8)) return;
    for (int i = 1; i + 1 < t->n; i++) {
        const int n = bert_token_bytes(back, sizeof back, &model[0], t->ids[i]);
        FUZZ_MUST(n > 0 && (size_t)n <= sizeof back && at + (size_t)n <= len);
        FUZZ_MUST(memcmp(text + at, back, (size_t)n) == 0);
        at += (size_t)n;
    }
    FUZZ_MUST(at == len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bert_tokens t;
    const char *text = (const char *)data;
    if (!model[0].rules) {
        load(&model[0], "tests/data/bytebpe.json");
        load(&model[1], "tests/data/unigram.json");
    }
    for (int k = 0; k < 2; k++) {
        const int st = bert_tokenize_bytes(&t, &model[k], text, size, NULL, 0, 0);
        fuzz_verdict(st, THOR_INPUT);
        if (st != THOR_OK) continue;
        check(&t, text, size);
        if (k == 0) check_back(&t, text, size);
    }
    return 0;
}
