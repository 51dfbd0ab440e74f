/* merges.txt of a vocabulary; a word is cut by what was taken, and its tokens make it up again. */
#include <stdlib.h>
#include <string.h>

#include "bert/input/tokenmodel.h"
#include "tests/fuzz/fuzz.h"

static const char tokens[] =
    "{\"a\":0,\"b\":1,\"ab\":2,\"ba\":3,\"aba\":4,\"abab\":5,\"aa\":6,\"bb\":7}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const words[] = {"a", "abababba", "aaaabbbbaabb"};
    static struct bert_vocab *v;
    static struct bert_tokens t;
    struct bert_writer w = {.out = &t, .limit = BERT_MAX_TOKENS};
    struct bert_bpe *b;
    if (!v) {
        json_t *o = json_loads(tokens, 0, NULL);
        FUZZ_MUST(bert_vocab_from_json(&v, o, "vocab.json") == THOR_OK);
        json_decref(o);
    }
    fuzz_verdict(bert_bpe_load(&b, v, fuzz_file(data, size)), THOR_MODEL);
    for (size_t i = 0; b && i < sizeof words / sizeof *words; i++) {
        struct bert_chars c;
        const char *at = words[i];
        FUZZ_MUST(bert_chars_decode(&c, at, strlen(at)) == THOR_OK);
        w.n = 0;
        FUZZ_MUST(bert_bpe_put(&w, b, v, c.c, c.n) == THOR_OK);
        for (int k = 0; k < w.n; k++) {
            const char *text = bert_vocab_token(v, t.ids[k]);
            FUZZ_MUST(text && strncmp(at, text, strlen(text)) == 0);
            at += strlen(text);
        }
        FUZZ_MUST(*at == 0);
        free(c.c);
    }
    bert_bpe_free(b);
    free(w.scratch);
    return 0;
}
