/* Chains, hostile rows and guarded buffers for the tests of kernels/. */
#ifndef THOR_TESTS_HARNESS_H
#define THOR_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "kernels/uniform.h"

enum fill { FILL_ZERO, FILL_TOP, FILL_SPIKE, FILL_RANDOM, FILLS };
enum { GUARD_ROWS = 1 };

int harness_is_prime(uint32_t q);
/* `n` different primes = 1 mod 2^(log_n+1) below 2^28: the smallest and the largest in turn. */
void harness_chain(uint32_t *q, int n, int log_n);
/* The basis of the `n` primes from number `first` on. */
struct kbasis harness_basis(int first, int n);
/* Next word of a fixed stream (splitmix64). */
uint64_t harness_next(uint64_t *state);
/* limbs x polys rows of `words` words, polynomial p at x + p * pitch * words: all 0, all q - 1, one
 * q - 1 at a place that depends on the row, or uniform. */
void harness_fill(uint32_t *x, const struct kernels *k, const struct kbasis *b, int polys,
                  size_t pitch, size_t words, enum fill kind, uint64_t seed);

/* Fails the test unless both back ends counted the same work. */
void harness_same_counts(const struct kernels_counts *a, const struct kernels_counts *b);

/* The entries mod_up and rebase on operands of some shape; the same by the entries that they stand
 * for; or in place, where that is allowed. */
enum how { HOW_ENTRY, HOW_STEPS, HOW_IN_PLACE };
/* x, `limbs` rows, the first of ext, shared out among the digits. */
void harness_mod_up(struct kernels *k, struct kvec out, uint32_t *x, int limbs, int digits,
                    const struct kbasis *ext, int centred, enum how how);
/* mod_up_sum of these digits with a random key, or key_sum of random ones with two (`stored`), out
 * random before; plus_polys 0: nothing joins. */
struct harness_key {
    int stored, accumulate, plus_polys, plus_rows, scaled, split, gap;
    int made; /* second halves from a seed, which the steps store */
    uint32_t g;
    uint64_t seed;
};
void harness_keys(struct kernels *k, struct kvec out, uint32_t *x, int limbs, int digits,
                  const struct kbasis *ext, int centred, struct harness_key h, enum how how);
/* x over `limbs` primes from number `fresh` on; the first `front` and the last `back` go, the first
 * `fresh` primes of all come; seed: of the scalars; plus: where none come, the rows that stay are
 * added once more. */
struct harness_rebase {
    int fresh, limbs, front, back, plus;
    uint64_t seed;
};
void harness_rebase(struct kernels *k, struct kvec out, struct kvec x, struct harness_rebase s,
                    int polys, enum how how);

/* Rows of a back end with guard rows in front and behind, and a copy of what they held at first. */
struct guarded {
    struct kernels *k;
    uint32_t *base; /* back end memory */
    uint32_t *p;    /* the first row to use */
    uint32_t *host; /* `all` words, the first contents */
    size_t words, all;
};

/* `words` words with these contents (NULL: a pattern that is no residue). */
void guarded_open(struct guarded *g, struct kernels *k, const uint32_t *contents, size_t words);
/* What the rows hold now, malloc'ed; fails the test when a guard word changed. */
uint32_t *guarded_read(const struct guarded *g);
void guarded_close(struct guarded *g);

#endif
