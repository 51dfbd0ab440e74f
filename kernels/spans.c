#include "kernels/spans.h"

#include <stdlib.h>
#include <string.h>

static size_t place(const struct spans *s, const uint32_t *p) {
    return (size_t)(((uintptr_t)p >> 6) * 0x9e3779b97f4a7c15ull >> 20) & (s->cap - 1);
}

static void insert(struct spans *s, const struct span *v) {
    size_t i = place(s, v->p);
    while (s->cell[i].p) i = (i + 1) & (s->cap - 1);
    s->cell[i] = *v;
    s->n++;
}

static int grow(struct spans *s) {
    struct spans t = {.cap = s->cap ? 2 * s->cap : 512};
    t.cell = calloc(t.cap, sizeof *t.cell);
    if (!t.cell) return 0;
    for (size_t i = 0; i < s->cap; i++)
        if (s->cell[i].p) insert(&t, &s->cell[i]);
    free(s->cell);
    *s = t;
    return 1;
}

int spans_put(struct spans *s, const struct span *v) {
    if (2 * s->n >= s->cap && !grow(s)) return 0;
    insert(s, v);
    return 1;
}

/* Empty cell i and move up what was pushed behind it. */
static void erase(struct spans *s, size_t i) {
    size_t mask = s->cap - 1;
    for (size_t j = (i + 1) & mask; s->cell[j].p; j = (j + 1) & mask)
        if (((j - place(s, s->cell[j].p)) & mask) >= ((j - i) & mask)) {
            s->cell[i] = s->cell[j];
            i = j;
        }
    s->cell[i].p = NULL;
    s->n--;
}

int spans_take(struct spans *s, const uint32_t *p, struct span *out) {
    if (!s->cap || !p) return 0;
    for (size_t i = place(s, p); s->cell[i].p; i = (i + 1) & (s->cap - 1))
        if (s->cell[i].p == p) {
            *out = s->cell[i];
            erase(s, i);
            return 1;
        }
    return 0;
}

void spans_close(struct spans *s) {
    free(s->cell);
    memset(s, 0, sizeof *s);
}
