/* Requests and answers: the note of a ciphertext file, read before its ciphertexts; with right
 * checksums too. */
#include <stdlib.h>
#include <string.h>

#include "bert/message.h"
#include "tests/fuzz/fuzz.h"
#include "tests/keyfiles.h"

static void read_as(enum bert_role role, const char *path) {
    struct bert_message m;
    struct serial_head h = {0};
    struct ckks_ct *ct = NULL;
    int n = 0, st = bert_message_peek(&m, &h, path, role);
    fuzz_verdict(st, THOR_KEY);
    if (st == THOR_OK) {
        FUZZ_MUST(m.role == role);
        struct bert_shape s;
        static const struct bert_model model = {.cfg = {.hidden = 48,
                                                        .heads = 3,
                                                        .layers = 1,
                                                        .ffn = 80,
                                                        .labels = 2,
                                                        .head = BERT_HEAD_STATE},
                                                .hash = 0x5eed};
        fuzz_verdict(bert_answer_check(&s, &m, &h, &model, path), THOR_KEY);
        fuzz_verdict(bert_message_model(&m, 0x5eed, path), THOR_KEY);
        fuzz_verdict(bert_message_load(&ct, &n, &m, &h, fuzz_ring(), path), THOR_KEY);
        for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
        free(ct);
    }
    serial_free(&h);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    uint64_t bytes = size;
    FUZZ_MUST(copy);
    memcpy(copy, data, size);
    for (int sealed = 0; sealed < 2; sealed++) {
        const char *path = fuzz_file(copy, size);
        read_as(BERT_REQUEST, path);
        read_as(BERT_ANSWER, path);
        if (size < HEAD) break;
        memcpy(copy + AT_BYTES, &bytes, sizeof bytes);
        reseal(copy, size);
    }
    free(copy);
    return 0;
}
