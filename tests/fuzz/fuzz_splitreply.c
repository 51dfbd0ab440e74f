/* What a server of split mode sends back: the head, and ciphertexts that the client decrypts. */
#include <math.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/splitwire.h"

enum { VALUES = 3 * 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct splitwire w;
    double y[VALUES], seconds = -1;
    if (!w.caller) FUZZ_MUST(splitwire_open(&w));
    for (int i = 0; i < VALUES; i++) y[i] = 7;
    const int st = split_call_end(y, &seconds, &w.call, w.caller, data, size);
    fuzz_verdict(st, THOR_IO);
    for (int i = 0; i < VALUES; i++) FUZZ_MUST(st == THOR_OK ? isfinite(y[i]) : y[i] == 7);
    FUZZ_MUST(st != THOR_OK || (seconds >= 0 && seconds < 1e9));
    return 0;
}
