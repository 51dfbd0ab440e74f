/* Text to tokens, with any bytes in the text; a 0xff byte parts the text from its pair. */
#include <string.h>

#include "bert/input/text.h"
#include "tests/fuzz/fuzz.h"

static const char words[] =
    "[PAD]\n[UNK]\n[CLS]\n[SEP]\na\nb\n##b\n##a\nthe\n##ing\n\xc3\xa9\n##\xc3\xa9\n"
    "\xe4\xbd\xa0\n.\n##.\n";
enum { WORDS = 15 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bert_model m = {
        .cfg = {.max_positions = 64, .type_vocab = 2, .vocab = WORDS, .lower_case = 1}};
    static struct bert_tokens t;
    if (!m.vocab)
        FUZZ_MUST(bert_vocab_load(&m.vocab, fuzz_file((const uint8_t *)words, sizeof words - 1)) ==
                  THOR_OK);
    const char *text = (const char *)data, *pair = size ? memchr(text, 0xff, size) : NULL;
    const size_t first = pair ? (size_t)(pair - text) : size, second = pair ? size - first - 1 : 0;
    m.cfg.lower_case = size % 2;
    int st = bert_tokenize_bytes(&t, &m, text, first, pair ? pair + 1 : NULL, second, 0);
    fuzz_verdict(st, THOR_INPUT);
    if (st != THOR_OK) return 0;
    FUZZ_MUST(t.n >= 3 && t.n <= 64);
    for (int i = 0; i < t.n; i++)
        FUZZ_MUST(t.ids[i] >= 0 && t.ids[i] < WORDS && t.type_ids[i] >= 0 && t.type_ids[i] < 2);
    return 0;
}
