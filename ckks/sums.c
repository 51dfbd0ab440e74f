/* Sums of rotated sums of products, undivided:
 *
 *   sum over g of rot( sum over j of a_gj b_gj, by_g )
 *
 * The third part of an inner sum is switched to the other two in basis Q P, which is a giant step's
 * input (linear.c): of it the second part alone is divided by P and switched, into the common sum
 * in Q P, and one conversion at the end divides by P and rescales.  A term costs two
 * decompositions, two key products and a third of what dividing it twice would. */
#include <stdlib.h>

#include "ckks/internal.h"

void ckks_sum_free(struct ckks_sum *s) {
    if (s->acc) s->cx->k->release(s->cx->k, s->acc);
    *s = (struct ckks_sum){0};
}

/* s->acc = or += rot(x, by), x the sum whose three parts are d */
static int add_rotated(struct ckks_sum *s, uint32_t *d, int by, int accumulate) {
    int st = THOR_OK;
    struct ckks *cx = s->cx;
    size_t rows = (size_t)ckks_with_special(s->cx->params, ckks_basis(s->cx->params, s->level)).n;
    uint32_t *x = NULL, g = ckks_galois(cx, by);
    if (g == 1) return ckks_relinearise(cx, &s->acc, &d, 1, s->level, accumulate);
    TRY(cx->k->alloc(cx->k, &x, 3 * rows));
    TRY(ckks_relinearise(cx, &x, &d, 1, s->level, 0));
    TRY(ckks_giant(cx, s->acc, x, s->level, g, x + 2 * rows * ckks_n(cx), accumulate));
out:
    cx->k->release(cx->k, x);
    return st;
}

int ckks_sum_add(struct ckks_sum *s, const struct ckks_ct *const a[],
                 const struct ckks_ct *const b[], int n, int by) {
    int st = THOR_OK, level, first = !s->acc;
    uint32_t *d = NULL;
    if ((st = ckks_products(&d, &level, a, b, n))) {
        ckks_sum_free(s);
        return st;
    }
    struct ckks *cx = a[0]->cx;
    if (first) {
        *s = (struct ckks_sum){.cx = cx, .level = level, .boot = a[0]->boot};
        TRY(cx->k->alloc(
            cx->k, &s->acc,
            (size_t)(2 * ckks_with_special(cx->params, ckks_basis(cx->params, level)).n)));
    } else if (s->level != level || s->boot != a[0]->boot) {
        TRY(thor_fail(THOR_INTERNAL, "products at level %d cannot join a sum of those at %d", level,
                      s->level));
    }
    TRY(add_rotated(s, d, by, !first));
out:
    cx->k->release(cx->k, d);
    if (st) ckks_sum_free(s);
    return st;
}

int ckks_sum_end(struct ckks_ct *out, struct ckks_sum *s, int rescale) {
    int st = THOR_OK;
    if (!s->acc) return thor_fail(THOR_INTERNAL, "an empty sum of products was used");
    st = ckks_divide(out, s->cx, s->acc, s->level, s->boot, rescale);
    ckks_sum_free(s);
    return st;
}
