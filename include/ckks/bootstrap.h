/** @file bootstrap.h
 * Bootstrapping: a ciphertext without levels gets them back. */
#ifndef CKKS_BOOTSTRAP_H
#define CKKS_BOOTSTRAP_H

#include "arithmetic.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The matrices and polynomials of a bootstrap. */
struct ckks_boot;

/** A bootstrap of vectors of period 2^log_slots.
 * @param complex_lanes 0: the imaginary part is dropped, the result is at ckks_params_levels();
 * 1: it is kept, and costs a level where vectors do not fill the slots. */
CKKS_CHECKED int ckks_boot_new(struct ckks_boot **out, struct ckks *cx, int log_slots,
                               int complex_lanes);
/** NULL is allowed. */
CKKS_API void ckks_boot_free(struct ckks_boot *b);
/** Levels that the input must still have. */
CKKS_API int ckks_boot_levels(int log_slots);
/** The keys of such a bootstrap, by a dry run.
 * @param out a list to be ended by ckks_boot_needs_free(). */
CKKS_CHECKED int ckks_boot_needs(struct ckks_need **out, int *n, const struct ckks_params *p,
                                 int log_slots, int complex_lanes);
/** NULL is allowed. */
CKKS_API void ckks_boot_needs_free(struct ckks_need *list);
/** out = a, with the levels of a fresh ciphertext.  Slots must be at most 8 in absolute value:
 * beyond, the result is wrong and nothing tells. Precision: about 2^-16 worst, 2^-20 mean. */
CKKS_CHECKED int ckks_bootstrap(struct ckks_ct *out, const struct ckks_ct *a,
                                const struct ckks_boot *b);

#ifdef __cplusplus
}
#endif
#endif
