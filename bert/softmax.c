/* The inverse of softmax's denominators, whatever the packing.
 *
 * A bootstrap of the pair (a_i, g_(i+1)) takes z = a/2 + i g/2 and gives a = z + conj z,
 * g = -i (z - conj z) at no level.  The half of a folds into alpha; that of g must be there
 * before: with G_j = t_j g_j, t_(j+1) = t_j^2 and t_(i+1) = 1/2, i.e. t_j = 2^-(2^(j-i-1)),
 *   G_1 = t_1 s_1 - t_1 D,   G_(j+1) = G_j^2 + t_(j+1) add_(j+1),   a_j = a_(j-1) (t_j s_j + G_j),
 * alpha divided by 2 t_2 .. t_i; t_1 is multiplied into E (so into P, D, C) and out of Wo. */
#include <math.h>

#include "bert/circuit.h"

static double pair_t(const struct bert_layer_plan *p, int j) /* t_j */
{
    return p->boot[BERT_PAIR] && j <= p->boot[BERT_PAIR] + 1
               ? exp2(-exp2(j - p->boot[BERT_PAIR] - 1))
               : 1;
}

double bert_pair_scale(const struct bert_layer_plan *p) {
    return pair_t(p, 1);
}

static double first_alpha(const struct bert_layer_plan *p) {
    double alpha = p->inv.alpha;
    for (int j = 2; j <= p->boot[BERT_PAIR]; j++) alpha /= pair_t(p, j);
    return p->boot[BERT_PAIR] ? alpha / 2 : alpha;
}

static int refresh(struct ckks_ct *a, struct ckks_ct *g, struct bert_run *r) {
    int st = THOR_OK;
    struct ckks_ct z = {0};
    TRY(bert_stage(r, "boot inverse"));
    TRY(ckks_mul_i(&z, g, 1));
    TRY(ckks_add(&z, &z, a));
    TRY(bert_refresh_parts(a, g, &z, r, BERT_PAIR));
    TRY(bert_stage(r, "inverse"));
out:
    ckks_ct_free(&z);
    return st;
}

int bert_invert(struct ckks_ct *a, struct bert_run *r, struct ckks_ct *d) {
    int st = THOR_OK;
    const struct bert_inverse *v = &r->p->inv;
    double t1 = pair_t(r->p, 1), alpha = first_alpha(r->p), c = -alpha / t1;
    struct ckks_ct *g = d, f = {0};
    const struct ckks_ct *x = d;
    TRY(ckks_combine(a, &x, &c, 1, 2 * alpha * v->s[1], d->level - 1));
    TRY(ckks_mul_int(g, d, -1));
    TRY(ckks_add_const(g, g, t1 * v->s[1]));
    for (int j = 2; j <= v->m; j++) {
        double t = pair_t(r->p, j);
        TRY(ckks_mul(g, g, g));
        TRY(ckks_add_const(g, g, t * v->add[j]));
        if (j - 1 == r->p->boot[BERT_PAIR]) {
            TRY(refresh(a, g, r));
            t = 1;
        }
        TRY(ckks_add_const(&f, g, t * v->s[j]));
        TRY(ckks_mul(a, a, &f));
    }
    TRY(bert_inverse_watched(r, g));
out:
    ckks_ct_free(&f);
    return st;
}
