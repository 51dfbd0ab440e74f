/* Linear maps of the AVX-512 tier: 6 outputs and 32 words are 24 registers of sums. */
#include "kernels/linmap_tiles.h"
#include "kernels/tiers_avx512.h"

#ifdef __AVX512F__

_Static_assert(TILE == 1 << LINEAR_LOG_RUN, "the shortest run is a tile");

void linear_avx512(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                   const struct kprime *p) {
    linear_in_tiles(l, from, to, work, p);
}

#endif
