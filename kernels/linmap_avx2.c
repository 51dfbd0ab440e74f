/* Linear maps of the AVX2 tier: 6 outputs and 8 words are 12 registers of sums. */
#include "kernels/linmap_tiles.h"

#ifdef __AVX2__

void linear_avx2(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
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
