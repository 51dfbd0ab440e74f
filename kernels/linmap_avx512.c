/* Linear maps of the AVX-512 tier: 6 outputs and 32 words are 24 registers of sums. */
#include "kernels/linmap_tiles.h"
#include "kernels/tiers_avx512.h"

#ifdef __AVX512F__

void linear_avx512(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                   const struct kprime *p) {
    struct krows ref;
    krows_ref(&ref);
    if ((size_t)1 << l->log_rep >= TILE)
        linear_in_tiles(l, from, to, work, p);
    else if (is_whole(l, to - from))
        linear_in_words(l, from, to, p);
    else
        ref.linear(l, from, to, work, p);
}

#endif
