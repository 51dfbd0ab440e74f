#include "kernels/extents.h"

#include <stdlib.h>
#include <string.h>

void extents_open(struct extents *e, size_t size) {
    memset(e, 0, sizeof *e);
    e->size = size;
}

void extents_close(struct extents *e) {
    free(e->idle);
    memset(e, 0, sizeof *e);
}

static void remove_idle(struct extents *e, int i) {
    memmove(e->idle + i, e->idle + i + 1, (size_t)(--e->n - i) * sizeof *e->idle);
}

/* The smallest idle extent that is large enough, cut to size. */
static size_t take_idle(struct extents *e, size_t bytes) {
    int best = -1;
    for (int i = 0; i < e->n; i++)
        if (e->idle[i].bytes >= bytes && (best < 0 || e->idle[i].bytes < e->idle[best].bytes))
            best = i;
    if (best < 0) return EXTENTS_FULL;
    size_t at = e->idle[best].at;
    e->idle[best].at += bytes;
    e->idle[best].bytes -= bytes;
    if (!e->idle[best].bytes) remove_idle(e, best);
    return at;
}

size_t extents_take(struct extents *e, size_t bytes) {
    size_t at = take_idle(e, bytes);
    if (at != EXTENTS_FULL || bytes > e->size - e->top) return at;
    at = e->top;
    e->top += bytes;
    if (e->top > e->high) e->high = e->top;
    return at;
}

/* The first idle extent behind `at`. */
static int behind(const struct extents *e, size_t at) {
    int lo = 0, hi = e->n;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (e->idle[mid].at > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static int make_room(struct extents *e) {
    if (e->n < e->cap) return 1;
    int cap = e->cap ? 2 * e->cap : 256;
    struct extent *p = realloc(e->idle, (size_t)cap * sizeof *p);
    if (!p) return 0;
    e->idle = p;
    e->cap = cap;
    return 1;
}

void extents_give(struct extents *e, size_t at, size_t bytes) {
    if (!make_room(e)) return; /* the extent is lost until close */
    int i = behind(e, at);
    memmove(e->idle + i + 1, e->idle + i, (size_t)(e->n++ - i) * sizeof *e->idle);
    e->idle[i] = (struct extent){at, bytes};
    if (i + 1 < e->n && at + bytes == e->idle[i + 1].at) {
        e->idle[i].bytes += e->idle[i + 1].bytes;
        remove_idle(e, i + 1);
    }
    if (i > 0 && e->idle[i - 1].at + e->idle[i - 1].bytes == at) {
        e->idle[i - 1].bytes += e->idle[i].bytes;
        remove_idle(e, i--);
    }
    if (e->idle[i].at + e->idle[i].bytes == e->top) e->top = e->idle[e->n-- - 1].at;
}
