/* Known answers of the engine: the same seed gives the same bits on every back end and tier. */
#ifndef THOR_TESTS_KNOWN_H
#define THOR_TESTS_KNOWN_H

#include "ckks/ckks.h"

struct known { /* XXH3-64 each */
    const char *set;
    uint64_t keys; /* secret, public and three switching keys */
    /* one encryption under either key, of the constant 1/2, whose encoding is exact */
    uint64_t ciphers;
    uint64_t results; /* their product, it turned by one, and conjugated */
};
enum { KNOWN_SETS = 6 };
extern const struct known known[KNOWN_SETS];

/* Compute them for set number i. */
int known_answer(struct known *out, int i, enum kern_kind kind, enum kern_tier tier, int threads);
/* XXH3 of a sparse bootstrap, a linear transform and a polynomial at toy10, of random messages. */
int known_circuit(uint64_t *hash, enum kern_kind kind, enum kern_tier tier, int threads);

#endif
