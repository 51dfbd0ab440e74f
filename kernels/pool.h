/* Memory of the CPU back end: one reserved stretch of addresses, cut into extents.
 *
 * Ciphertexts and keys come and go by the thousand; first touches of fresh pages cost more than the
 * arithmetic on them.  No page goes back to the system before pool_close.  Under AddressSanitizer
 * every extent is a malloc of its own. */
#ifndef THOR_KERNELS_POOL_H
#define THOR_KERNELS_POOL_H

#include <pthread.h>
#include <stddef.h>

#include "kernels/extents.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pool {
    pthread_mutex_t lock;
    char *map; /* reserved addresses, `reserved` bytes */
    size_t reserved;
    char *base; /* place 0 of `e`: the first huge page */
    struct extents e;
};

int pool_open(struct pool *p); /* 0, or -1 when no addresses can be reserved */
void pool_close(struct pool *p);
/* 64-byte aligned; NULL when memory is exhausted.  *bytes: what it takes in all. */
void *pool_take(struct pool *p, size_t want, size_t *bytes);
size_t pool_give(struct pool *p, void *mem); /* returns the bytes it took */

#ifdef __cplusplus
}
#endif
#endif
