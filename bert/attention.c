/* Encrypted attention, by ciphertexts of hp heads: one lane of q, k, v and P each in the copies
 * shape, two in the wide one (slots: packing.h; q, k, v of the wide shape: wide.c; constants:
 * plan.h, fold.h).
 *
 * K and V skewed, k = B g + b < min(T, hd), B at most 8 baby steps, kappa the slots of one index j:
 *   S = sum_g rot_(B g kappa)( sum_b rot_(b kappa)(Q) K_gb ),
 *   K_gb = rot_(T - B g - B)( rot_(b kappa + B - b)(K) )
 *   copy 0, column j of row t: sum over columns j' of Q[t,j'] K[t + j,j'], the score of key
 *   (t + j) mod T.  Where T < hd, token shifts of g and g + T/B are equal: rotations by T kappa u
 *   follow.  Q is zero outside copy 0 (first places), and so is S.  K is read one copy further.
 *   C = sum_g rot_(B g kappa)( sum_b rot_(b kappa)(P) rot_b( rot_(-B g kappa + B g)(V) ) )
 *   column j of row t: sum over keys of P[t,key] V[key,j]; where hd < T, over hd of the keys, and
 *   rotations by hd kappa u follow.
 * One relinearisation a giant step g; giants are rotated before the one rescale at the end.
 * Two lanes are joined as a_0 + rot(a_1, -T), E is parted by P_x = rot(E, T x) mask.  They share
 * rotations: K = K_0 + i K_1, V = V_0 + i V_1, so that S_0 and C_0 are the real parts of their
 * sums, S_1 and C_1 the imaginary ones; z_0 - i rot(z_1, -T) plus its conjugate is twice all of
 * S or C, whose half is in q and v.
 *
 * D = P summed over T columns, rotations kappa 2^i: of period kappa.  In the copies shape D is set
 * to sigma (d = 1) outside copy 0, an ordinary value for the inverse.
 * A bootstrap of the pair (a_i, g_(i+1)) takes z = a/2 + i g/2 and gives a = z + conj z,
 * g = -i (z - conj z) at no level.  The half of a folds into alpha; that of g must be there
 * before: with G_j = t_j g_j, t_(j+1) = t_j^2 and t_(i+1) = 1/2, i.e. t_j = 2^-(2^(j-i-1)),
 *   G_1 = t_1 s_1 - t_1 D,   G_(j+1) = G_j^2 + t_(j+1) add_(j+1),   a_j = a_(j-1) (t_j s_j + G_j),
 * alpha divided by 2 t_2 .. t_i; t_1 is multiplied into E (so into P, D, C) and out of Wo. */
#include <math.h>
#include <stdlib.h>

#include "bert/circuit.h"

enum { BABY = 8, MAX_GIANTS = 16 }; /* 2 T hd <= n <= 2^15: the smaller of both is at most 128 */

struct steps { /* min(T, hd) = baby * giants token shifts */
    int baby, giants, kappa;
};

static struct steps steps_of(const struct bert_shape *s)
{
    int shifts = s->tokens < s->head_size ? s->tokens : s->head_size;
    int baby = shifts < BABY ? shifts : BABY;
    return (struct steps){baby, shifts / baby, bert_kappa(s)};
}

static void free_all(struct ckks_ct *x, int n)
{
    for (int i = 0; i < n; i++)
        ckks_ct_free(&x[i]);
}

/* ---- linear maps ---- */

// x of every sentence, in place
static int skew(struct ckks_ct *x, const struct bert_run *r, int level)
{
    struct ckks_linear t;
    bert_skew_set(&t, r->s);
    return bert_apply_linear(x, bert_heads(r->s), r, x, bert_heads(r->s), &t, level);
}

/* q, k, v: nX each a sentence; k and v skewed.  One call for the maps that start at the same level:
 * they share baby steps. */
static int project(struct ckks_ct *heads, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, nx = r->s->nx, step = bert_heads(r->s), together = r->v->qk == r->v->v_in;
    struct bert_linear_map qk = {.shape = r->s,
                                 .move = BERT_TO_INNER,
                                 .map = {&r->w.q, &r->w.k, &r->w.v},
                                 .only_first = {1, 0, 0}};
    struct bert_linear_map v = {.shape = r->s, .move = BERT_TO_INNER, .map = {&r->w.v}};
    TRY(bert_apply_maps(heads, step, r, y, &qk, together ? 3 : 2, r->v->qk));
    if (!together)
        TRY(bert_apply_maps(heads + 2 * nx, step, r, y, &v, 1, r->v->v_in));
    bert_see(r, "q", nx, heads);
    bert_see(r, "k", nx, heads + nx);
    bert_see(r, "v", nx, heads + 2 * nx);
    for (int i = 0; i < nx; i++) {
        for (struct ckks_ct *q = heads + i; q < heads + r->n * step; q += step)
            TRY(ckks_adjust(q, q, r->v->qk - 2));
        TRY(skew(heads + nx + i, r, r->v->qk - 1));
        TRY(skew(heads + 2 * nx + i, r, r->v->v_in - 1));
    }
out:
    return st;
}

/* ---- scores and context ---- */

// kt[b * giants + g] = k moved by b columns and -(B g + b) tokens
static int shifted_keys(struct ckks_ct *kt, const struct bert_shape *s, const struct ckks_ct *k)
{
    int st = THOR_OK, to[BABY], by[MAX_GIANTS];
    struct steps n = steps_of(s);
    struct ckks_ct kb[BABY] = {{0}};
    for (int b = 0; b < n.baby; b++)
        to[b] = b * n.kappa + n.baby - b;
    for (int g = 0; g < n.giants; g++)
        by[g] = s->tokens - n.baby * (g + 1);
    TRY(ckks_rotate_many(kb, k, to, n.baby));
    for (int b = 0; b < n.baby; b++) {
        TRY(ckks_rotate_many(kt + b * n.giants, &kb[b], by, n.giants));
        ckks_ct_free(&kb[b]);
    }
out:
    free_all(kb, BABY);
    return st;
}

static int column_babies(struct ckks_ct *out, const struct ckks_ct *x, const struct steps *n)
{
    int to[BABY];
    for (int b = 0; b < n->baby; b++)
        to[b] = b * n->kappa;
    return ckks_rotate_many(out, x, to, n->baby);
}

// sum += rot(sum over b of x[b] y[b * stride], r); all pending
static int add_giant(struct ckks_ct *sum, const struct ckks_ct *x, const struct ckks_ct *y,
                     int stride, int n, int r)
{
    int st = THOR_OK;
    const struct ckks_ct *a[BABY], *b[BABY];
    struct ckks_ct t = {0};
    for (int i = 0; i < n; i++) {
        a[i] = &x[i];
        b[i] = &y[i * stride];
    }
    if (!r)
        return ckks_dot(sum, a, b, n, 0);
    TRY(ckks_dot(&t, a, b, n, 0));
    TRY(ckks_rotate(&t, &t, r));
    TRY(ckks_add(sum, sum, &t));
out:
    ckks_ct_free(&t);
    return st;
}

// sum += lane x of a group (the first one: sum = it); lane is used up
static int join(struct ckks_ct *sum, struct ckks_ct *lane, int x, const struct bert_shape *s)
{
    int st = THOR_OK;
    if (!x)
        return ckks_copy(sum, lane);
    TRY(ckks_rotate(lane, lane, -s->tokens));
    TRY(ckks_add(sum, sum, lane));
out:
    return st;
}

// x = rescaled sums of all lanes together; sum[] is used up
static int join_products(struct ckks_ct *x, struct ckks_ct *sum, const struct bert_shape *s)
{
    int st = THOR_OK, lanes = bert_lanes(s);
    for (int i = 0; i < lanes; i++) {
        TRY(ckks_rescale(&sum[i], &sum[i]));
        if (i)
            TRY(ckks_mul_i(&sum[i], &sum[i], -1));
        TRY(join(x, &sum[i], i, s));
    }
    if (lanes > 1)
        TRY(bert_split(x, NULL, x));
out:
    return st;
}

// q: the lanes, k: the one ciphertext of the group
static int scores(struct ckks_ct *u, const struct bert_shape *s, const struct ckks_ct *q,
                  const struct ckks_ct *k)
{
    int st = THOR_OK;
    struct steps n = steps_of(s);
    struct ckks_ct qb[BABY] = {{0}}, sum[2] = {{0}}, *kt = bert_cts_new(n.baby * n.giants);
    if (!kt)
        return THOR_MEMORY;
    TRY(shifted_keys(kt, s, k));
    for (int x = 0; x < bert_lanes(s); x++) {
        TRY(column_babies(qb, &q[x], &n));
        for (int g = 0; g < n.giants; g++)
            TRY(add_giant(&sum[x], qb, kt + g, n.giants, n.baby, n.baby * g * n.kappa));
        TRY(bert_sum_steps(&sum[x], s->tokens * n.kappa, bert_log2(s->head_size / s->tokens)));
    }
    TRY(join_products(u, sum, s));
out:
    free_all(qb, BABY);
    free_all(sum, 2);
    bert_cts_free(kt, n.baby * n.giants);
    return st;
}

// p: the lanes, v: the one ciphertext of the group
static int context(struct ckks_ct *c, const struct bert_shape *s, const struct ckks_ct *p,
                   const struct ckks_ct *v)
{
    int st = THOR_OK, to[MAX_GIANTS], by[BABY];
    struct steps n = steps_of(s);
    struct ckks_ct pb[2][BABY] = {{{0}}}, vb[BABY] = {{0}}, vg[MAX_GIANTS] = {{0}}, sum[2] = {{0}};
    for (int g = 0; g < n.giants; g++)
        to[g] = (s->span - n.baby * g) % s->span * n.kappa + n.baby * g;
    for (int b = 0; b < n.baby; b++)
        by[b] = b;
    for (int x = 0; x < bert_lanes(s); x++)
        TRY(column_babies(pb[x], &p[x], &n));
    TRY(ckks_rotate_many(vg, v, to, n.giants));
    for (int g = 0; g < n.giants; g++) {
        TRY(ckks_rotate_many(vb, &vg[g], by, n.baby));
        ckks_ct_free(&vg[g]);
        for (int x = 0; x < bert_lanes(s); x++)
            TRY(add_giant(&sum[x], pb[x], vb, 1, n.baby, n.baby * g * n.kappa));
    }
    TRY(join_products(c, sum, s));
out:
    free_all(pb[0], 2 * BABY);
    free_all(vb, BABY);
    free_all(vg, MAX_GIANTS);
    free_all(sum, 2);
    return st;
}

/* ---- softmax ---- */

double bert_pair_scale(const struct bert_layer_plan *p)
{
    return p->boot_inv ? exp2(-exp2(-p->boot_inv)) : 1;
}

static double pair_t(const struct bert_layer_plan *p, int j) /* t_j */
{
    return p->boot_inv && j <= p->boot_inv + 1 ? exp2(-exp2(j - p->boot_inv - 1)) : 1;
}

// u = exp_c(u), in place
static int exponentials(struct ckks_ct *u, struct bert_run *r)
{
    int st = THOR_OK;
    TRY(ckks_adjust(u, u, r->v->u));
    TRY(bert_cheb_watched(u, r, r->w.exp_c, r->p->exp.degree));
out:
    return st;
}

// P[x] = lane x of E = u, times the mask; u = P of all heads
static int mask_keys(struct ckks_ct *P, struct ckks_ct *u, const struct bert_run *r,
                     const struct ckks_ct *mask)
{
    int st = THOR_OK;
    struct ckks_ct t = {0};
    for (int x = 0; x < bert_lanes(r->s); x++) {
        TRY(x ? ckks_rotate(&t, u, x * r->s->tokens) : ckks_copy(&t, u));
        TRY(ckks_mul(&P[x], &t, mask));
    }
    for (int x = 0; x < bert_lanes(r->s); x++) {
        TRY(ckks_copy(&t, &P[x]));
        TRY(join(u, &t, x, r->s));
    }
out:
    ckks_ct_free(&t);
    return st;
}

// d = sum over keys of P; copies: in copy 0, sigma elsewhere
static int denominators(struct ckks_ct *d, struct bert_run *r, const struct ckks_ct *P)
{
    int st = THOR_OK, kappa = bert_kappa(r->s), T = r->s->tokens;
    TRY(ckks_adjust(d, P, r->v->D));
    TRY(bert_sum_steps(d, kappa, bert_log2(T)));
    for (int i = 0; i < kappa; i++)
        r->vec[i] = i / T % r->s->repeats ? r->p->inv.sigma * pair_t(r->p, 1) : 0;
    if (r->s->repeats > 1)
        st = ckks_add_plain(d, d, r->vec, NULL, (size_t)kappa);
out:
    return st;
}

static int refresh_pair(struct ckks_ct *a, struct ckks_ct *g, struct bert_run *r)
{
    int st = THOR_OK, level = r->v->a + r->p->join_inv + r->p->inv.m - r->p->boot_inv;
    struct ckks_ct z = {0};
    TRY(bert_stage(r, "boot inverse"));
    TRY(ckks_mul_i(&z, g, 1));
    TRY(ckks_add(&z, &z, a));
    TRY(ckks_bootstrap(&z, &z, r->srv->boot[BERT_BOOT_PAIR]));
    TRY(ckks_adjust(&z, &z, level));
    TRY(bert_split(a, g, &z));
    TRY(bert_stage(r, "inverse"));
out:
    ckks_ct_free(&z);
    return st;
}

static double first_alpha(const struct bert_layer_plan *p)
{
    double alpha = p->inv.alpha;
    for (int j = 2; j <= p->boot_inv; j++)
        alpha /= pair_t(p, j);
    return p->boot_inv ? alpha / 2 : alpha;
}

/* a = 1/d up to scale, from D; d is used up. */
static int inverse(struct ckks_ct *a, struct bert_run *r, struct ckks_ct *d)
{
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
        if (j - 1 == r->p->boot_inv) {
            TRY(refresh_pair(a, g, r));
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

// copy 0 into all copies; the others are zero
static int replicate(struct ckks_ct *x, const struct bert_shape *s)
{
    return bert_sum_steps(x, -s->tokens, bert_log2(s->repeats));
}

/* ---- all of it ---- */

static int make_scores(struct ckks_ct *u, struct bert_run *r, const struct ckks_ct *q,
                       const struct ckks_ct *k)
{
    int st = THOR_OK, lanes = bert_lanes(r->s);
    for (int i = 0; i < r->s->groups; i++) {
        TRY(scores(&u[i], r->s, &q[lanes * i], &k[i]));
        bert_spread_scores(r->vec, r->s, i, &r->w);
        TRY(ckks_add_plain(&u[i], &u[i], r->vec, NULL, (size_t)bert_shape_slots(r->s)));
    }
    if (r->p->boot_scores)
        TRY(bert_refresh(r, "boot scores", u, r->s->groups, BERT_BOOT_SCORES, r->v->u, 1));
    bert_see(r, "scores", r->s->groups, u);
out:
    return st;
}

static int make_context(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *P,
                        const struct ckks_ct *v, const struct ckks_ct *a)
{
    int st = THOR_OK, lanes = bert_lanes(r->s), block = r->s->head_size * bert_kappa(r->s);
    struct ckks_ct t[2] = {{0}};
    for (int i = 0; i < r->s->groups; i++) {
        for (int x = 0; x < lanes; x++)
            TRY(ckks_adjust(&t[x], &P[lanes * i + x], r->v->C + 1));
        TRY(context(&c[i], r->s, t, &v[i]));
        TRY(bert_sum_steps(&c[i], block, bert_log2(bert_blocks(r->s))));
        TRY(ckks_mul(&c[i], &c[i], &a[i]));
        TRY(replicate(&c[i], r->s));
    }
    bert_see(r, "context", r->s->groups, c);
out:
    free_all(t, 2);
    return st;
}

// p = x times 1 in the column indices of one group when all are joined; unused ones as group 0's
static int pick_group(struct ckks_ct *p, struct bert_run *r, const struct ckks_ct *x, int group,
                      int fill)
{
    int kappa = bert_kappa(r->s), n = bert_pair_slots(r->s, 1);
    for (int i = 0; i < n; i++) {
        int at = i / kappa;
        r->vec[i] = at == group || (fill && !group && at >= r->s->groups);
    }
    return ckks_mul_plain(p, x, r->vec, NULL, (size_t)n);
}

// of period kappa each: joined, inverted, split
static int joined_inverse(struct ckks_ct *a, struct bert_run *r, const struct ckks_ct *P)
{
    int st = THOR_OK, kappa = bert_kappa(r->s);
    struct ckks_ct d = {0}, sum = {0}, joined = {0};
    for (int i = 0; i < r->s->groups; i++) {
        TRY(denominators(&d, r, &P[i]));
        TRY(pick_group(i ? &d : &sum, r, &d, i, 1));
        if (i)
            TRY(ckks_add(&sum, &sum, &d));
    }
    TRY(inverse(&joined, r, &sum));
    for (int i = 0; i < r->s->groups; i++) {
        TRY(pick_group(&a[i], r, &joined, i, 0));
        TRY(bert_sum_steps(&a[i], kappa, bert_log2(r->s->groups)));
    }
out:
    ckks_ct_free(&d);
    ckks_ct_free(&sum);
    ckks_ct_free(&joined);
    return st;
}

static int make_inverses(struct ckks_ct *a, struct bert_run *r, const struct ckks_ct *P)
{
    int st = THOR_OK;
    struct ckks_ct d = {0};
    if (r->p->join_inv)
        return joined_inverse(a, r, P);
    for (int i = 0; i < r->s->groups; i++) {
        TRY(denominators(&d, r, &P[i]));
        TRY(inverse(&a[i], r, &d));
    }
out:
    ckks_ct_free(&d);
    return st;
}

// of one sentence, from its heads, which are used up
static int attend(struct ckks_ct *c, struct bert_run *r, struct ckks_ct *q,
                  const struct ckks_ct *mask)
{
    int st = THOR_OK, groups = r->s->groups, n = groups * bert_lanes(r->s);
    struct ckks_ct *k = q + n, *v = k + groups, *P = bert_cts_new(n + 2 * groups), *u = P + n,
                   *a = u + groups;
    if (!P)
        return THOR_MEMORY;
    TRY(bert_stage(r, "scores"));
    TRY(make_scores(u, r, q, k));
    free_all(q, n + groups);
    TRY(bert_stage(r, "exp"));
    for (int i = 0; i < groups; i++) {
        TRY(exponentials(&u[i], r));
        TRY(mask_keys(&P[i * bert_lanes(r->s)], &u[i], r, mask));
    }
    bert_see(r, "probs", groups, u);
    TRY(bert_stage(r, "inverse"));
    TRY(make_inverses(a, r, u));
    free_all(u, groups);
    TRY(bert_stage(r, "context"));
    TRY(make_context(c, r, P, v, a));
out:
    free_all(v, groups);
    bert_cts_free(P, n + 2 * groups);
    return st;
}

int bert_attention(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, step = bert_heads(r->s);
    struct ckks_ct *heads = bert_cts_new(r->n * step);
    if (!heads)
        return THOR_MEMORY;
    TRY(bert_stage(r, "qkv"));
    TRY(r->s->wide ? bert_wide_heads(heads, r, y) : project(heads, r, y));
    for (int i = 0; i < r->n; i++) {
        r->who = i;
        TRY(attend(c + i * r->s->groups, r, heads + i * step, &r->in[i][r->s->nx]));
    }
out:
    bert_cts_free(heads, r->n * step);
    return st;
}
