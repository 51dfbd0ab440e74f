/* One stretch of addresses, cut into extents: released ones join their free neighbours and are
 * handed out again, best fit.  These are numbers only: the stretch may be memory of the host, of a
 * device, or nothing at all. The caller locks. */
#ifndef THOR_KERNELS_EXTENTS_H
#define THOR_KERNELS_EXTENTS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXTENTS_FULL SIZE_MAX

struct extent {
    size_t at, bytes;
};

struct extents {
    /* of the stretch; below which extents were cut; the most that top ever was */
    size_t size, top, high;
    struct extent *idle; /* sorted by place, never adjacent to each other */
    int n, cap;
};

void extents_open(struct extents *e, size_t size);
void extents_close(struct extents *e);
/* The place of `bytes` > 0 bytes, or EXTENTS_FULL. */
size_t extents_take(struct extents *e, size_t bytes);
void extents_give(struct extents *e, size_t at, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
