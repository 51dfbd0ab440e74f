/* The inverses of softmax's denominators and the rounds of squaring, whatever the packing.
 *
 * A bootstrap of the pair (a_i, g_(i+1)) takes z = a/2 + i g/2 and gives a = z + conj z,
 * g = -i (z - conj z) at no level.  The half of a folds into alpha; that of g must be there
 * before: with G_j = t_j g_j, t_(j+1) = t_j^2 and t_(i+1) = 1/2, i.e. t_j = 2^-(2^(j-i-1)),
 *   G_1 = t_1 s_1 - t_1 D,   G_(j+1) = G_j^2 + t_(j+1) add_(j+1),   a_j = a_(j-1) (t_j s_j + G_j),
 * alpha divided by 2 t_2 .. t_i; t_1 is multiplied into E (so into P, D, C) and out of Wo.
 *
 * Round k: E = sigma_k E', D = sigma_k d and a = 1/(d scale_k), so that E a scale_k/sigma_k is P.
 * The next E is sigma_(k+1) e^-top P^2, top the largest sum there can be: the square of
 *   lambda E a,   lambda = scale_k/sigma_k sqrt(sigma_(k+1) e^-top),
 * bootstrapped before it is squared; with pairs that are bootstrapped, t_1 is in E and D, and
 * lambda over t_1, times the root of the next t_1.  lambda = times * rest, times whole, rest goes
 * into alpha. */
#include <math.h>

#include "bert/circuit.h"
#include "bert/polyfit.h"

static double pair_t(int boot, int j) { /* t_j */
    return boot && j <= boot + 1 ? exp2(-exp2(j - boot - 1)) : 1;
}

double bert_pair_scale(const struct bert_layer_plan *p, int k) {
    return pair_t(bert_boot_inv(p, k), 1);
}

double bert_round_factor(const struct bert_layer_plan *p, int k, int tokens) {
    const struct bert_inverse *v = &p->inv[k];
    double next = p->inv[k + 1].sigma;
    return v->scale / v->sigma * sqrt(next * exp(-bert_square_top(tokens, v->err)));
}

// of round k, a bootstrap's scale included, in two factors; 1 and 1 of the last inverse
static double round_parts(int *times, const struct bert_run *r, int k) {
    *times = 1;
    if (k == r->p->rounds) return 1;
    double all = bert_round_factor(r->p, k, r->s->tokens) * bert_boot_scale(r->s, 1, 1) *
                 sqrt(bert_pair_scale(r->p, k + 1)) / bert_pair_scale(r->p, k);
    *times = (int)fmax(1, ceil(all));
    return all / *times;
}

static double first_alpha(double alpha, int boot) {
    for (int j = 2; j <= boot; j++) alpha /= pair_t(boot, j);
    return boot ? alpha / 2 : alpha;
}

int bert_invert(struct ckks_ct *a, int *times, struct bert_run *r, struct ckks_ct *d, int k) {
    int st = THOR_OK, boot = bert_boot_inv(r->p, k);
    const struct bert_inverse *v = &r->p->inv[k];
    double t1 = pair_t(boot, 1), alpha = first_alpha(v->alpha * round_parts(times, r, k), boot);
    double c = -alpha / t1;
    struct ckks_ct *g = d, f = {0};
    const struct ckks_ct *x = d;
    TRY(ckks_combine(a, &x, &c, 1, 2 * alpha * v->s[1], d->level - 1));
    TRY(ckks_mul_int(g, d, -1));
    TRY(ckks_add_const(g, g, t1 * v->s[1]));
    for (int j = 2; j <= v->m; j++) {
        double t = pair_t(boot, j);
        TRY(ckks_mul(g, g, g));
        TRY(ckks_add_const(g, g, t * v->add[j]));
        if (j - 1 == boot) {
            const char *stage = r->stage;
            TRY(bert_stage(r, "boot inverse"));
            TRY(bert_refresh_pair(a, g, r, bert_of_sums(BERT_PAIR, k)));
            TRY(bert_stage(r, stage));
            t = 1;
        }
        TRY(ckks_add_const(&f, g, t * v->s[j]));
        TRY(ckks_mul(a, a, &f));
    }
    TRY(bert_inverse_watched(r, g, v));
out:
    ckks_ct_free(&f);
    return st;
}
