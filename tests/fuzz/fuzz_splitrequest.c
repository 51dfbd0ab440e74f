/* What a client of split mode sends: the head, and ciphertexts that the server computes with. */
#include <stdlib.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/splitwire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct splitwire w;
    static uint8_t *reply;
    struct split_ask ask;
    uint8_t seed[CKKS_SEED];
    if (!reply) {
        FUZZ_MUST(splitwire_open(&w));
        reply = malloc(splitwire_room(&w));
        FUZZ_MUST(reply);
    }
    const int head = split_get_request(&ask, seed, data, size);
    const int st = splitwire_answer(reply, &w, data, size);
    fuzz_verdict(head, THOR_USAGE);
    fuzz_verdict(st, THOR_USAGE);
    FUZZ_MUST(st != THOR_OK || head == THOR_OK);
    if (st != THOR_OK) return 0;
    double seconds; // what it answers is a reply
    int log_u;
    FUZZ_MUST(split_get_reply(&log_u, &seconds, reply, SPLIT_HEAD) == THOR_OK);
    return 0;
}
