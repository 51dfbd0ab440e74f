/* The matrices of SlotsToCoeffs and CoeffsToSlots, as bands of merged butterfly stages. */
#ifndef THOR_CKKS_BOOTMAT_H
#define THOR_CKKS_BOOTMAT_H

#include "ckks/internal.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CKKS_BAND 5 /* most stages merged into one matrix */

/* Stages of each of the ckks_boot_levels(log_slots) bands (the last one may have fewer): evenly
 * wide bands have the fewest diagonals. */
int ckks_band_width(int log_slots);

struct ckks_band {
    struct ckks_linear t; /* t.ctx is the band itself */
    int first, count;     /* diagonals: rotation stride * (first + m) */
    size_t period;
    double *re, *im; /* count x period; a zero diagonal has zero[m] = 1 */
    uint8_t zero[64];
};

/* Band `index` (stages index * width .. of vectors of period 2^log_slots) times `factor`; inverse:
 * of CoeffsToSlots.
 * doubled: of period 2^(log_slots+1), the second half times -i (both lanes of the result side by
 * side). */
int ckks_band_make(struct ckks_band *b, const struct ckks *cx, int log_slots, int index,
                   int inverse, double factor, int doubled);
void ckks_band_free(struct ckks_band *b);

#ifdef __cplusplus
}
#endif
#endif
