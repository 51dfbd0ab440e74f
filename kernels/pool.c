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
    for (;; p->reserved /= 2) { /* less where the system or a tool allows less */
        p->map = mmap(NULL, p->reserved, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p->map != MAP_FAILED || p->reserved < huge_page * 64) break;
    }
    if (p->map == MAP_FAILED) {
        p->map = NULL;
        return -1;
    }
    madvise(p->map, p->reserved, MADV_HUGEPAGE);
    /* secrets pass through here: not into a core file */
    madvise(p->map, p->reserved, MADV_DONTDUMP);
    p->base = p->map + (huge_page - (size_t)((uintptr_t)p->map % huge_page)) % huge_page;
    extents_open(&p->e, p->reserved - huge_page);
    return 0;
}

void pool_close(struct pool *p) {
    if (p->map) munmap(p->map, p->reserved);
    extents_close(&p->e);
    pthread_mutex_destroy(&p->lock);
}

void *pool_take(struct pool *p, size_t want, size_t *bytes) {
    size_t size = (want + HEADER + PAGE - 1) / PAGE * PAGE;
    char *m = NULL;
    if (want > SIZE_MAX / 2) return NULL;
    if (POOL_MALLOC) {
        m = aligned_alloc(HEADER, (want + 2 * HEADER - 1) / HEADER * HEADER);
    } else {
        pthread_mutex_lock(&p->lock);
        size_t at = extents_take(&p->e, size);
        if (at != EXTENTS_FULL) m = p->base + at;
        pthread_mutex_unlock(&p->lock);
    }
    if (!m) return NULL;
    memcpy(m, &size, sizeof size);
    *bytes = size;
    return m + HEADER;
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
    extents_give(&p->e, (size_t)(m - p->base), size);
    pthread_mutex_unlock(&p->lock);
    return size;
}
