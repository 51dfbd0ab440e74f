/* The entries of the AVX-512 tier that have a file of their own. */
#ifndef THOR_TIERS_AVX512_H
#define THOR_TIERS_AVX512_H

#include "kernels/rows.h"

/* log >= 8 */
void ntt_fwd_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);
void ntt_inv_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);

#endif
