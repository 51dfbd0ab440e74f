/* The entries of the AVX-512 tier that have a file of their own. */
#ifndef THOR_TIERS_AVX512_H
#define THOR_TIERS_AVX512_H

#include "kernels/rows.h"

#ifdef __cplusplus
extern "C" {
#endif

/* log >= 8 */
void ntt_fwd_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                    const uint32_t *next);
void ntt_inv_avx512(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t);

void linear_avx512(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                   const struct kprime *p);

/* from and to are multiples of BCONV_BLOCK */
enum { BCONV_BLOCK = 64 };
void bconv_avx512(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch, const uint32_t *pre,
                  const struct kbconv *c, int centred, size_t from, size_t to);

#ifdef __cplusplus
}
#endif
#endif
