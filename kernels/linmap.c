/* The contract of the table's linear(), and the workspace of its tiers. */
#include "kernels/rows.h"

/* Rows from the first to behind the last of `members` members. */
static size_t span(struct kmany v, int members, int polys, int limbs) {
    return (size_t)(members - 1) * v.step + (size_t)(polys - 1) * v.pitch + (size_t)limbs;
}

/* Members lie in a row of polynomials, or polynomials in a row of members: no row twice. */
static int is_disjoint(struct kmany v, int members, int polys, int limbs) {
    int near_polys = polys == 1 || v.pitch >= (size_t)limbs,
        near_members = members == 1 || v.step >= (size_t)limbs;
    return (near_polys && (members == 1 || v.step >= span(v, 1, polys, limbs))) ||
           (near_members && (polys == 1 || v.pitch >= span(v, members, 1, limbs)));
}

static int meet(const uint32_t *a, size_t a_words, const uint32_t *b, size_t b_words) {
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x < y + b_words * sizeof *b && y < x + a_words * sizeof *a;
}

int kern_linear_check(const struct kernels *k, const struct klinear *l, const struct kbasis *b,
                      int polys) {
    if (l->outputs < 1 || l->terms < 1 || polys < 1 || b->n < 1 || l->log_rep < 0 ||
        l->log_rep > k->log_n)
        return thor_fail(
            THOR_INTERNAL,
            "a linear map of %d outputs, %d terms, %d polynomials, %d rows, weights of 2^%d "
            "places",
            l->outputs, l->terms, polys, b->n, l->log_rep);
    if (!is_disjoint(l->out, l->outputs, polys, b->n))
        return thor_fail(THOR_INTERNAL, "outputs of a linear map overlap");
    size_t out = span(l->out, l->outputs, polys, b->n) << k->log_n,
           a = span(l->a, l->terms, polys, b->n) << k->log_n;
    size_t weights = (size_t)l->outputs * (size_t)l->terms;
    size_t w = ((weights - 1) * l->w_pitch + (size_t)b->n) << (k->log_n - l->log_rep);
    if (meet(l->out.p, out, l->a.p, a) || meet(l->out.p, out, l->w, w))
        return thor_fail(THOR_INTERNAL, "a linear map writes over what it reads");
    return THOR_OK;
}

size_t kern_linear_work(const struct klinear *l) {
    size_t outputs = (size_t)(l->outputs < LINEAR_OUTPUTS ? l->outputs : LINEAR_OUTPUTS);
    size_t terms = (size_t)(l->terms < KERN_MAX_SUM ? l->terms : KERN_MAX_SUM);
    size_t blocks = (outputs + LINEAR_BLOCK - 1) / LINEAR_BLOCK;
    size_t words = LINEAR_WORDS * terms + LINEAR_CLASSES * (blocks * LINEAR_BLOCK * terms + 16);
    return (words + 15) / 16 * 16;
}
