/* Recordings of the back end (kernels.h, replay), with the operations that a context counts. */
#include "ckks/internal.h"

/* a += sign b; the struct is nothing but such counts */
static void count_plus(struct ckks_count *a, const struct ckks_count *b, uint64_t sign) {
    uint64_t *x = (uint64_t *)a;
    for (size_t i = 0; i < sizeof *a / sizeof *x; i++) x[i] += sign * ((const uint64_t *)b)[i];
}

int ckks_recorded(struct ckks *cx, struct ckks_recording *r, int (*work)(void *ctx), void *ctx) {
    int st = THOR_OK;
    struct kernels *k = cx->k;
    const struct ckks_count before = cx->count;
    const uint64_t id = (uintptr_t)r;
    if (k->replay(k, id)) {
        count_plus(&cx->count, &r->count, 1);
        return THOR_OK;
    }
    do {
        cx->count = before;
        k->record_begin(k, id);
        st = work(ctx);
    } while (!k->record_end(k, id, st == THOR_OK) && st == THOR_OK);
    r->count = cx->count;
    count_plus(&r->count, &before, -1ull);
    return st;
}

void ckks_recording_drop(struct ckks *cx, struct ckks_recording *r) {
    cx->k->record_drop(cx->k, (uintptr_t)r);
}
