/* Ciphertext storage. */
#include <string.h>

#include "ckks/internal.h"

void ckks_ct_free(struct ckks_ct *a) {
    if (a->c) a->cx->k->release(a->cx->k, a->c);
    memset(a, 0, sizeof *a);
}

int ckks_ct_make(struct ckks_ct *a, struct ckks *cx, int polys, int level) {
    int rows = ckks_basis(cx->params, level).n;
    memset(a, 0, sizeof *a);
    a->cx = cx;
    a->polys = polys;
    a->rows = rows;
    a->level = level;
    return cx->k->alloc(cx->k, &a->c, (size_t)(polys * rows));
}

int ckks_zero(struct ckks_ct *out, struct ckks *cx, int level) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    if (level < 0 || level > cx->params->max_level)
        return thor_fail(THOR_INTERNAL, "messages are at levels 0..%d, not %d",
                         cx->params->max_level, level);
    TRY(ckks_ct_make(&r, cx, 2, level));
    cx->k->zero(cx->k, kv(r.c, r.rows), r.rows, 2);
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

void ckks_ct_move(struct ckks_ct *out, struct ckks_ct *a) {
    struct ckks_ct t = *a;
    memset(a, 0, sizeof *a);
    ckks_ct_free(out);
    *out = t;
}

int ckks_fill(struct ckks_ct *out, const struct ckks_ct *a) {
    if (out->level != a->level || out->polys != a->polys || out->pending != a->pending ||
        out->boot != a->boot)
        return thor_fail(THOR_INTERNAL, "a ciphertext of level %d has no place in one of level %d",
                         a->level, out->level);
    a->cx->k->copy(a->cx->k, kv(out->c, out->rows), kv(a->c, a->rows), a->rows, a->polys);
    return THOR_OK;
}

int ckks_copy(struct ckks_ct *out, const struct ckks_ct *a) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    if (out == a) return THOR_OK;
    TRY(ckks_ct_make(&r, a->cx, a->polys, a->level));
    r.pending = a->pending;
    r.boot = a->boot;
    TRY(ckks_fill(&r, a));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}
