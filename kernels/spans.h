/* Memory that a back end has handed out, found again by its address. The caller locks. */
#ifndef THOR_KERNELS_SPANS_H
#define THOR_KERNELS_SPANS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct span {
    uint32_t *p;
    size_t bytes;
    size_t at, shadow; /* what follows is the back end's own */
    int home, pass;
};

struct spans { /* a hash table with linear probing, at most half full */
    struct span *cell;
    size_t n, cap;
};

int spans_put(struct spans *s, const struct span *v); /* 0 when there is no memory */
/* out of the table; 0 when not in it */
int spans_take(struct spans *s, const uint32_t *p, struct span *out);
void spans_close(struct spans *s);

#ifdef __cplusplus
}
#endif
#endif
