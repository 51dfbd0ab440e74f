/* The server's side of one product: bytes in, bytes out.  No secret key, nothing of a client but
 * what its request says. */
#ifndef SPLIT_HOST_H
#define SPLIT_HOST_H

#include "split/keptmaps.h"
#include "split/weights.h"
#include "split/wireformat.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_sizes { /* in bytes, but the pieces */
    size_t request, reply;
    int inputs, outputs;
    struct split_packing packing;
};
/* Of a product that has passed split_ask_check. */
struct split_sizes split_sizes_of(const struct ckks_params *p, const struct split_shape *shape,
                                  const struct split_ask *ask);

/* What a server multiplies with: a context that uses the keys of who asks, and the maps. */
struct split_host {
    struct ckks *cx;
    const struct split_shape *shape;
    split_read_fn *read;
    const void *from;
    struct split_kept *kept; /* NULL: each map is encoded for each request */
};
/* With maps of a folder. */
struct split_host split_host_of(struct ckks *cx, const struct split_weights *w,
                                struct split_kept *kept);

/* reply (sizes.reply bytes) of a request of n bytes.  THOR_USAGE for a request that is none or has
 * another size than it should; THOR_KEY where keys are missing. */
int split_host_product(uint8_t *reply, const struct split_host *h, const uint8_t *request,
                       size_t n);

#ifdef __cplusplus
}
#endif
#endif
