/* Encrypted attention in the copies shape (slots: packing_copies.c; constants: plan.h, fold.h).
 *
 * K and V skewed, k = B g + b < T, B at most 8 baby steps, kappa the slots of one index j:
 *   S = sum_g rot_(B g kappa)( sum_b rot_(b kappa)(Q) K_gb ),
 *   K_gb = rot_(T - B g - B)( rot_(b kappa + B - b)(K) )
 *   copy 0, column j of row t: sum over columns j' of Q[t,j'] K[t + j,j'], the score of key
 *   (t + j) mod T.  Where T < hd, token shifts of g and g + T/B are equal: rotations by T kappa u
 *   follow.  Q is zero outside copy 0, and so is S.  K is read one copy further.
 *   C = sum_g rot_(B g kappa)( sum_b rot_(b kappa)(P) rot_b( rot_(-B g kappa + B g)(V) ) )
 *   column j of row t: sum over keys of P[t,key] V[key,j].
 * One relinearisation a giant step g; giants are rotated before the one rescale at the end.
 * D = P summed over T columns, rotations kappa 2^i: of period kappa.  D is set to sigma (d = 1)
 * outside copy 0, an ordinary value for the inverse.
 * Rounds (softmax.c): E times a, bootstrapped, squared; a is in every column. */
#include <stdlib.h>

#include "bert/circuit.h"

enum { BABY = 8, MAX_GIANTS = 16, HEADS = 3 }; /* 4 T H <= n <= 2^15 and T <= hd: T is at most 64 */

struct steps { /* T = baby * giants token shifts */
    int baby, giants, kappa;
};

static struct steps steps_of(const struct bert_shape *s) {
    int baby = s->tokens < BABY ? s->tokens : BABY;
    return (struct steps){baby, s->tokens / baby, bert_kappa(s)};
}

static void free_all(struct ckks_ct *x, int n) {
    for (int i = 0; i < n; i++) ckks_ct_free(&x[i]);
}

/* ---- linear maps ---- */

// x of every sentence, in place
static int skew(struct ckks_ct *x, const struct bert_run *r, int level) {
    struct ckks_linear t;
    bert_skew_set(&t, r->s);
    return bert_apply_linear(x, HEADS, r, x, HEADS, &t, level);
}

/* q, k, v of every sentence; k and v skewed.  One call for the maps that start at the same level:
 * they share baby steps. */
static int project(struct ckks_ct *heads, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, from_k = r->v->out[BERT_K] + 2, from_v = r->v->out[BERT_V] + 2,
        together = from_k == from_v;
    struct bert_linear_map qk = {.shape = r->s,
                                 .move = BERT_TO_INNER,
                                 .map = {&r->w.q, &r->w.k, &r->w.v},
                                 .only_first = {1, 0, 0}};
    struct bert_linear_map v = {.shape = r->s, .move = BERT_TO_INNER, .map = {&r->w.v}};
    TRY(bert_apply_maps(heads, HEADS, r, y, &qk, together ? 3 : 2, from_k));
    if (!together) TRY(bert_apply_maps(heads + 2, HEADS, r, y, &v, 1, from_v));
    bert_see(r, BERT_Q, 1, heads);
    bert_see(r, BERT_K, 1, heads + 1);
    bert_see(r, BERT_V, 1, heads + 2);
    for (struct ckks_ct *q = heads; q < heads + r->n * HEADS; q += HEADS)
        TRY(ckks_adjust(q, q, from_k - 2));
    TRY(skew(heads + 1, r, from_k - 1));
    TRY(skew(heads + 2, r, from_v - 1));
out:
    return st;
}

/* ---- scores and context ---- */

// kt[b * giants + g] = k moved by b columns and -(B g + b) tokens
static int shifted_keys(struct ckks_ct *kt, const struct bert_shape *s, const struct ckks_ct *k) {
    int st = THOR_OK, to[BABY], by[MAX_GIANTS];
    struct steps n = steps_of(s);
    struct ckks_ct kb[BABY] = {{0}};
    for (int b = 0; b < n.baby; b++) to[b] = b * n.kappa + n.baby - b;
    for (int g = 0; g < n.giants; g++) by[g] = s->tokens - n.baby * (g + 1);
    TRY(ckks_rotate_many(kb, k, to, n.baby));
    for (int b = 0; b < n.baby; b++) {
        TRY(ckks_rotate_many(kt + b * n.giants, &kb[b], by, n.giants));
        ckks_ct_free(&kb[b]);
    }
out:
    free_all(kb, BABY);
    return st;
}

static int column_babies(struct ckks_ct *out, const struct ckks_ct *x, const struct steps *n) {
    int to[BABY];
    for (int b = 0; b < n->baby; b++) to[b] = b * n->kappa;
    return ckks_rotate_many(out, x, to, n->baby);
}

// sum += rot(sum over b of x[b] y[b * stride], r)
static int add_giant(struct ckks_sum *sum, const struct ckks_ct *x, const struct ckks_ct *y,
                     int stride, int n, int r) {
    const struct ckks_ct *a[BABY], *b[BABY];
    for (int i = 0; i < n; i++) {
        a[i] = &x[i];
        b[i] = &y[i * stride];
    }
    return bert_add_products(sum, a, b, n, r);
}

static int scores(struct ckks_ct *u, const struct bert_shape *s, const struct ckks_ct *q,
                  const struct ckks_ct *k) {
    int st = THOR_OK;
    struct steps n = steps_of(s);
    struct ckks_sum sum = {0};
    struct ckks_ct qb[BABY] = {{0}}, whole = {0}, *kt = bert_cts_new(n.baby * n.giants);
    if (!kt) return THOR_MEMORY;
    TRY(shifted_keys(kt, s, k));
    TRY(column_babies(qb, q, &n));
    for (int g = 0; g < n.giants; g++)
        TRY(add_giant(&sum, qb, kt + g, n.giants, n.baby, n.baby * g * n.kappa));
    TRY(ckks_sum_end(&whole, &sum, 0));
    TRY(bert_sum_steps(&whole, s->tokens * n.kappa, bert_log2(s->head_size / s->tokens)));
    TRY(ckks_rescale(u, &whole));
out:
    free_all(qb, BABY);
    ckks_sum_free(&sum);
    ckks_ct_free(&whole);
    bert_cts_free(kt, n.baby * n.giants);
    return st;
}

static int context(struct ckks_ct *c, const struct bert_shape *s, const struct ckks_ct *p,
                   const struct ckks_ct *v) {
    int st = THOR_OK, to[MAX_GIANTS], by[BABY];
    struct steps n = steps_of(s);
    struct ckks_ct pb[BABY] = {{0}}, vb[BABY] = {{0}}, vg[MAX_GIANTS] = {{0}};
    struct ckks_sum sum = {0};
    for (int g = 0; g < n.giants; g++)
        to[g] = (s->head_size - n.baby * g) % s->head_size * n.kappa + n.baby * g;
    for (int b = 0; b < n.baby; b++) by[b] = b;
    TRY(column_babies(pb, p, &n));
    TRY(ckks_rotate_many(vg, v, to, n.giants));
    for (int g = 0; g < n.giants; g++) {
        TRY(ckks_rotate_many(vb, &vg[g], by, n.baby));
        ckks_ct_free(&vg[g]);
        TRY(add_giant(&sum, pb, vb, 1, n.baby, n.baby * g * n.kappa));
    }
    TRY(ckks_sum_end(c, &sum, 1));
out:
    free_all(pb, BABY);
    free_all(vb, BABY);
    free_all(vg, MAX_GIANTS);
    ckks_sum_free(&sum);
    return st;
}

/* ---- softmax ---- */

static int make_scores(struct ckks_ct *u, struct bert_run *r, const struct ckks_ct *q,
                       const struct ckks_ct *k) {
    int st = THOR_OK;
    TRY(scores(u, r->s, q, k));
    size_t period = bert_spread_scores(r->vec, r->s, 0, &r->w);
    TRY(ckks_add_plain(u, u, r->vec, NULL, period));
    TRY(bert_refresh(r, BERT_U, u, 1, 1));
    bert_see(r, BERT_U, 1, u);
out:
    return st;
}

// d = sum over keys of P in copy 0, sigma elsewhere: sums k
static int denominators(struct ckks_ct *d, struct bert_run *r, const struct ckks_ct *P, int k) {
    int st = THOR_OK, kappa = bert_kappa(r->s), T = r->s->tokens;
    double one = r->p->inv[k].sigma * bert_pair_scale(r->p, k);
    TRY(ckks_adjust(d, P, bert_sums_level(r, k, BERT_D)));
    TRY(bert_sum_steps(d, kappa, bert_log2(T)));
    for (int i = 0; i < kappa; i++) r->vec[i] = i / T % r->s->repeats ? one : 0;
    st = ckks_add_plain(d, d, r->vec, NULL, (size_t)kappa);
out:
    return st;
}

// E = the square of E times a, at one level more than the next P
static int round_of(struct ckks_ct *E, struct bert_run *r, const struct ckks_ct *mask, int k) {
    int st = THOR_OK, times;
    struct ckks_ct P = {0}, a = {0}, d = {0};
    TRY(bert_stage(r, "round"));
    TRY(ckks_mul(&P, E, mask));
    TRY(denominators(&d, r, &P, k));
    TRY(bert_invert(&a, &times, r, &d, k));
    TRY(ckks_mul(E, E, &a));
    TRY(ckks_mul_int(E, E, times));
    TRY(bert_refresh(r, bert_of_sums(BERT_SQUARE, k), E, 1, 1));
    TRY(bert_stage(r, "round"));
    TRY(ckks_mul(E, E, E));
out:
    ckks_ct_free(&P);
    ckks_ct_free(&a);
    ckks_ct_free(&d);
    return st;
}

static int make_context(struct ckks_ct *c, struct bert_run *r, struct ckks_ct *P,
                        const struct ckks_ct *v, const struct ckks_ct *a) {
    int st = THOR_OK;
    TRY(ckks_adjust(P, P, r->v->out[BERT_C] + 1));
    TRY(context(c, r->s, P, v));
    TRY(ckks_mul(c, c, a));
    TRY(bert_sum_steps(c, -r->s->tokens, bert_log2(r->s->repeats))); // copy 0 into all copies
    bert_see(r, BERT_CA, 1, c);
out:
    return st;
}

// of one sentence, from its q, k and v, which are used up
static int attend(struct ckks_ct *c, struct bert_run *r, struct ckks_ct *q,
                  const struct ckks_ct *mask) {
    int st = THOR_OK, times, rounds = r->p->rounds;
    struct ckks_ct *k = q + 1, *v = q + 2, P = {0}, a = {0}, d = {0};
    TRY(bert_stage(r, "scores"));
    TRY(make_scores(&P, r, q, k));
    free_all(q, 2);
    TRY(bert_stage(r, "exp"));
    TRY(ckks_adjust(&P, &P, r->v->out[BERT_U]));
    TRY(bert_cheb_watched(&P, r, r->w.exp_c, r->p->exp.degree));
    for (int i = 0; i < rounds; i++) TRY(round_of(&P, r, mask, i));
    TRY(ckks_mul(&P, &P, mask));
    if (!rounds) bert_see(r, BERT_E, 1, &P);
    TRY(bert_stage(r, "inverse"));
    TRY(denominators(&d, r, &P, rounds));
    TRY(bert_invert(&a, &times, r, &d, rounds));
    TRY(bert_stage(r, "context"));
    TRY(make_context(c, r, &P, v, &a));
out:
    ckks_ct_free(v);
    ckks_ct_free(&P);
    ckks_ct_free(&a);
    ckks_ct_free(&d);
    return st;
}

int bert_attention_copies(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK;
    struct ckks_ct *heads = bert_cts_new(r->n * HEADS);
    if (!heads) return THOR_MEMORY;
    TRY(bert_stage(r, "qkv"));
    TRY(project(heads, r, y));
    for (int i = 0; i < r->n; i++) {
        r->who = i;
        TRY(attend(&c[i], r, heads + i * HEADS, &r->in[i][r->s->nx]));
    }
out:
    bert_cts_free(heads, r->n * HEADS);
    return st;
}
