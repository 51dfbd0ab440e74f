/* The product of encrypted rows with a map in the clear: what the server computes, and how exact it
 * is.
 *
 * Scales.  The caller brings each row to length L = 2^34 (in units of the plaintext), the server
 * multiplies the map by a power of two u so that no result can leave Q / 4:
 *   a coefficient of a plaintext is at most the root mean square of its slots; those of a result
 *   hold 2 n/C tokens' C columns, each token's of length at most ||W_o||_F u L, W_o the C rows in
 *   question: |coefficient| <= sqrt(2/C) max_o ||W_o||_F u L <= Q / 4.  Of a single row p slots are
 *   of that length together, those of spread outputs with the 2 p rows that they hold, shares with
 *   C: |coefficient| <= sqrt(1/p) max_o ||W_o||_F u L.
 * So nothing wraps, whatever the rows hold.  Results are read at the scale u L / (length of the
 * row). */
#ifndef SPLIT_PRODUCT_H
#define SPLIT_PRODUCT_H

#include "split/columnsfast.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_LOG_LENGTH 34 /* log2 L */

struct split_map_view { /* a map and which way it is taken */
    const float *w;     /* out x in, row major */
    int out, in, transposed;
};
static inline int split_view_in(const struct split_map_view *m) {
    return m->transposed ? m->out : m->in;
}
static inline int split_view_out(const struct split_map_view *m) {
    return m->transposed ? m->in : m->out;
}

/* log2 u; THOR_MODEL for a map with NaN or infinity. */
int split_map_exponent(int *log_u, const struct ckks *cx, const struct split_packing *p,
                       const struct split_map_view *m);

/* y = the map times x: pieces of the result, set by set, for pieces of the rows, set by set.  x at
 * level 0, y pending.  kept: of split_product_keep for that map and as many columns, whatever the
 * tokens, and then m->w may be NULL; NULL where the map is encoded now. */
int split_product(struct ckks_ct *y, const struct ckks_ct *const *x, const struct split_packing *p,
                  const struct split_map_view *m, int log_u, const struct ckks_linear_cache *kept);

/* The map as the engine multiplies with it, to be freed with ckks_linear_cache_free, and its size:
 * 4 residues a weight and prime (twice the diagonals that it has, twice the words that reals
 * need). */
int split_product_keep(struct ckks_linear_cache **kept, struct ckks *cx,
                       const struct split_packing *p, const struct split_map_view *m, int log_u);
size_t split_product_bytes(const struct ckks *cx, const struct split_packing *p,
                           const struct split_map_view *m);

#ifdef __cplusplus
}
#endif
#endif
