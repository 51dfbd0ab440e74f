#include "kernels/pool.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_MALLOC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_MALLOC 1
#endif
#endif
#ifndef POOL_MALLOC
#define POOL_MALLOC 0
#endif

enum { HEADER = 64, PAGE = 4096 }; /* an extent starts with its size; extents are whole pages */
static const size_t huge_page = (size_t)2 << 20;

int pool_open(struct pool *p) {
    memset(p, 0, sizeof *p);
    pthread_mutex_init(&p->lock, NULL);
    if (POOL_MALLOC) return 0;
    /* addresses for the memory of the machine four times over: fragments never use them up */
    size_t pages = (size_t)sysconf(_SC_PHYS_PAGES), page = (size_t)sysconf(_SC_PAGESIZE);
    p->reserved = pages * page * 4 + huge_page;
    p->base = mmap(NULL, p->reserved, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p->base == MAP_FAILED) {
        p->base = NULL;
        return -1;
    }
    madvise(p->base, p->reserved, MADV_HUGEPAGE);
    p->top = (huge_page - (size_t)((uintptr_t)p->base % huge_page)) % huge_page;
    return 0;
}

void pool_close(struct pool *p) {
    if (p->base) munmap(p->base, p->reserved);
    free(p->idle);
    pthread_mutex_destroy(&p->lock);
}

static void idle_remove(struct pool *p, int i) {
    memmove(p->idle + i, p->idle + i + 1, (size_t)(--p->n - i) * sizeof *p->idle);
}

/* The smallest idle extent that is large enough, cut to size; -1 when there is none. */
static long take_idle(struct pool *p, size_t bytes) {
    int best = -1;
    for (int i = 0; i < p->n; i++)
        if (p->idle[i].bytes >= bytes && (best < 0 || p->idle[i].bytes < p->idle[best].bytes))
            best = i;
    if (best < 0) return -1;
    size_t at = p->idle[best].at;
    p->idle[best].at += bytes;
    p->idle[best].bytes -= bytes;
    if (!p->idle[best].bytes) idle_remove(p, best);
    return (long)at;
}

static long take_top(struct pool *p, size_t bytes) {
    if (bytes > p->reserved - p->top) return -1;
    size_t at = p->top;
    p->top += bytes;
    return (long)at;
}

void *pool_take(struct pool *p, size_t want, size_t *bytes) {
    size_t size = (want + HEADER + PAGE - 1) / PAGE * PAGE;
    char *m = NULL;
    if (want > SIZE_MAX / 2) return NULL;
    if (POOL_MALLOC) {
        m = aligned_alloc(HEADER, (want + 2 * HEADER - 1) / HEADER * HEADER);
    } else {
        pthread_mutex_lock(&p->lock);
        long at = take_idle(p, size);
        if (at < 0) at = take_top(p, size);
        if (at >= 0) m = p->base + at;
        pthread_mutex_unlock(&p->lock);
    }
    if (!m) return NULL;
    memcpy(m, &size, sizeof size);
    *bytes = size;
    return m + HEADER;
}

static int idle_insert(struct pool *p, size_t at, size_t bytes) {
    int i = p->n;
    if (p->n == p->cap) {
        int cap = p->cap ? 2 * p->cap : 256;
        void *q = realloc(p->idle, (size_t)cap * sizeof *p->idle);
        if (!q) return -1; /* the extent is lost until close */
        p->idle = q;
        p->cap = cap;
    }
    while (i > 0 && p->idle[i - 1].at > at) i--;
    memmove(p->idle + i + 1, p->idle + i, (size_t)(p->n++ - i) * sizeof *p->idle);
    p->idle[i] = (struct pool_extent){at, bytes};
    if (i + 1 < p->n && at + bytes == p->idle[i + 1].at) {
        p->idle[i].bytes += p->idle[i + 1].bytes;
        idle_remove(p, i + 1);
    }
    if (i > 0 && p->idle[i - 1].at + p->idle[i - 1].bytes == at) {
        p->idle[i - 1].bytes += p->idle[i].bytes;
        idle_remove(p, i);
    }
    return 0;
}

size_t pool_give(struct pool *p, void *mem) {
    char *m = (char *)mem - HEADER;
    size_t size;
    memcpy(&size, m, sizeof size);
    if (POOL_MALLOC) {
        free(m);
        return size;
    }
    pthread_mutex_lock(&p->lock);
    idle_insert(p, (size_t)(m - p->base), size);
    if (p->n && p->idle[p->n - 1].at + p->idle[p->n - 1].bytes == p->top)
        p->top = p->idle[--p->n].at;
    pthread_mutex_unlock(&p->lock);
    return size;
}
