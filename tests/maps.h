/* Linear maps on several back ends: the same operands, the same bits. */
#ifndef THOR_TESTS_MAPS_H
#define THOR_TESTS_MAPS_H

#include "tests/harness.h"

struct maps {
    int outputs, terms, polys, limbs, log_rep, accumulate;
    int first;  /* prime of the first row; the others follow */
    int apart;  /* rows left between polynomials and between weights */
    int across; /* polynomials of members side by side: pitch above step */
    int repeat; /* one member of a for all terms */
    enum fill kind;
};

/* Every back end leaves the bits that k[0] does, and all guard words; with `exact`, k[0] those of
 * GMP. */
void maps_compare(struct maps m, struct kernels *const *k, int n, int exact);
/* Odd shapes at k's ring for each content of rows, one call of fn for each. */
void maps_shapes(const struct kernels *k, void (*fn)(struct maps m));
/* Operands that break the contract are refused, and nothing is counted. */
void maps_refusals(struct kernels *k);

#endif
