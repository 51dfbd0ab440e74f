/* Maps as the engine multiplies with them, kept between products: what a server encodes once and
 * not for each request.
 *
 * A map lies here by layer, stage, direction, form and columns of the packing.  Requests go through
 * a model's maps in turns, so those that are least used are no better than others: what is kept
 * stays until it has not been asked for during STALE rounds of all maps, both ways.  Where a budget
 * takes only part of the maps, that part is kept and the rest encoded for each request. */
#ifndef SPLIT_KEPTMAPS_H
#define SPLIT_KEPTMAPS_H

#include "split/product.h"
#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_kept;

struct split_kept_map {
    const struct ckks_linear_cache *map; /* NULL: there is no room for it */
    int log_u;
};

/* The map of a stage, out x in, into w. */
typedef int split_read_fn(float *w, const void *from, int layer, enum split_stage stage);

/* At most `bytes` of maps for products of cx, which outlives them; 0: none are kept. */
int split_kept_open(struct split_kept **out, struct ckks *cx, const struct split_shape *shape,
                    size_t bytes);
void split_kept_close(struct split_kept *k); /* NULL is allowed */

/* The map of `ask`, read and encoded where it is not there but has room.  By one thread at a time.
 * THOR_MODEL for NaN or infinity in it; what `read` says. */
int split_kept_get(struct split_kept_map *got, struct split_kept *k, const struct split_ask *ask,
                   const struct split_packing *p, split_read_fn *read, const void *from);

struct split_kept_state {
    size_t bytes, most; /* kept, and the budget */
    int maps;
    uint64_t hits, misses; /* products with a kept map, and with one that was encoded */
};
struct split_kept_state split_kept_state(const struct split_kept *k);

/* A budget where none is named: a quarter of what is free. */
size_t split_kept_room(void);

#ifdef __cplusplus
}
#endif
#endif
