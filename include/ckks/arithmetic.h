/** @file arithmetic.h
 * Sums, products and rotations of ciphertexts.
 *
 * Outputs come first and may be one of the inputs.  Operands at different levels are brought to the
 * lower one; all belong to one context.  Plain operands: `period` numbers, a power of two, repeated
 * to fill the slots; im may be NULL. */
#ifndef CKKS_ARITHMETIC_H
#define CKKS_ARITHMETIC_H

#include "cipher.h"

#ifdef __cplusplus
extern "C" {
#endif

/** out = a, at a lower level. */
CKKS_CHECKED int ckks_adjust(struct ckks_ct *out, const struct ckks_ct *a, int level);
/** out = a + b. */
CKKS_CHECKED int ckks_add(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b);
/** out = a - b. */
CKKS_CHECKED int ckks_sub(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b);
/** out = a + re in every slot. */
CKKS_CHECKED int ckks_add_const(struct ckks_ct *out, const struct ckks_ct *a, double re);
/** out = a + a plain vector. */
CKKS_CHECKED int ckks_add_plain(struct ckks_ct *out, const struct ckks_ct *a, const double *re,
                                const double *im, size_t period);
/** out = i a (sign 1) or -i a (sign -1): no level. */
CKKS_CHECKED int ckks_mul_i(struct ckks_ct *out, const struct ckks_ct *a, int sign);
/** out = c a for a whole number: no level. */
CKKS_CHECKED int ckks_mul_int(struct ckks_ct *out, const struct ckks_ct *a, int64_t c);
/** out = a times a plain vector: one level. */
CKKS_CHECKED int ckks_mul_plain(struct ckks_ct *out, const struct ckks_ct *a, const double *re,
                                const double *im, size_t period);
/** out = a b: one level, key CKKS_KEY_RELIN. */
CKKS_CHECKED int ckks_mul(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b);
/** out = the sum of n products a[j] b[j]: one relinearisation for all.  Without `rescale` out is a
 * product that only ckks_add(), ckks_sub(), ckks_mul_int() and ckks_rescale() take. */
CKKS_CHECKED int ckks_dot(struct ckks_ct *out, const struct ckks_ct *const a[],
                          const struct ckks_ct *const b[], int n, int rescale);
/** The end of such a product: one level. */
CKKS_CHECKED int ckks_rescale(struct ckks_ct *out, const struct ckks_ct *a);
/** out = the sum of n terms c[j] x[j], + c0, at `level`, which is below that of every x[j]. */
CKKS_CHECKED int ckks_combine(struct ckks_ct *out, const struct ckks_ct *const x[],
                              const double c[], int n, double c0, int level);

/** out[s] = a[s + r], round the N/2 slots: key ckks_key_rotation(). */
CKKS_CHECKED int ckks_rotate(struct ckks_ct *out, const struct ckks_ct *a, int r);
/** out = the conjugate of a: key ckks_key_conjugation(). */
CKKS_CHECKED int ckks_conj(struct ckks_ct *out, const struct ckks_ct *a);
/** Number j of the row out = a rotated by r[j], j < n: cheaper than one by one. */
CKKS_CHECKED int ckks_rotate_many(struct ckks_ct *out, const struct ckks_ct *a, const int *r,
                                  int n);

#ifdef __cplusplus
}
#endif
#endif
