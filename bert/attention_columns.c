/* Encrypted attention in the columns shape (slots: shape.h, packing_columns.c; constants: plan.h).
 *
 * tok(k) is a rotation by C k: token t + k in place of t.  col(k) is one by hp k: index j + k in
 * place of j.  A run of C columns has two halves of C/2, indices j < hd each.
 *
 *   q   doubled: both halves equal, so that col(k), k < hd, is right in the first half
 *   k   skewed, K[t, j] = k[t + j, j] in the first half, in the second the same hd tokens later
 *   v   skewed in the first half, times the mask; zero in the second
 *   Lanes.  nb = T/hd > 1: K + i tok(hd) K and v - i tok(hd) v; lane x of nb/2 is both at
 *   tok(2 hd x).
 *
 *   S_x = sum over k < hd of col(k) q  tok(-k) col(k) K_x
 *         first half: offset 2 hd x + j in the real part, hd more in the imaginary one.  The second
 *         half is a partial sum of two tokens and must not reach exp: masked, one level.  Parted by
 *         conjugation, the imaginary part goes into the second half: real and dense (shape.h).
 *         nb = 1: two groups, one a half
 *         Causal: S is masked where the key is behind its query too, by lane after it is parted;
 *         such scores become -1, and the E of that, a known number, is subtracted.  The same of
 *         all scores of token 0, which is public; as a key it is like any other (fold.h)
 *   E   = exp_c(S), whole and times [first half]: masked coefficients, no level; the rest is the
 *         second half.  E is 0 where heads are missing, and where T < hd for offsets from T on
 *   P_x = [b_2x | b_(2x+1)] + i [b_(2x+1) | b_(2x+2)] of the blocks b of E, cyclic
 *         nb = 1: [b|b]
 *   C   = sum over x, k of col(k) P_x  tok(k) v_x
 *         exact, as v is zero in the second half
 *   D   = the same with the mask for v, of group i in block i of the indices (width w): one
 *         ciphertext holds the denominators of all groups and heads in every row, elsewhere sigma
 *         (d = 1), causal in row 0 too
 *   Rounds (softmax.c): X = E times a of group i, in both halves; back from its bootstrap the next
 *         E is X^2, its first halves X (X [first half]).  Then P of that, and so on.
 *   a   = 1/D; of group i: times [block i], col(w i), then spread over all indices
 * Real parts by conjugation are twice as large: halves are in the mask of S, in v
 * (bert_value_scale) and in the mask of D.
 *
 * Steps.  k = B g + b, B <= 8.
 *   S: giants g = G2 g1 + g2 leave a part of the token shift to the giant's rotation, so that few
 *      versions of q and of K serve all k:  rot_(col(B g) tok(-B G2 g1)) of
 *      sum over b of [tok(B G2 g1) col(b) q] [tok(-B g2 - b) col(b) K]
 *   C: g = 2 g1 + g2, so that few versions of P and of v serve all k:  rot_(tok(B g2) col(2 B g1))
 *      of sum over b of [tok(-B g2) col(B g2 + b) P] [tok(2 B g1 + b) col(-2 B g1) v]
 *   D: the mask of group i in block i is tok(w i) col(-w i) that of block 0, so that versions
 *      tok(b) tok(e) col(-e) mask, e = B g + w i, serve all groups
 * One relinearisation a giant, undivided; giants are rotated before the one division and rescale of
 * a sum (ckks_sum_add). */
#include <stdlib.h>

#include "bert/circuit.h"
#include "bert/polyfit.h"

enum { BABY = 8 };

struct steps { /* hd = baby * giants; giants = outer * inner of the scores */
    int baby, giants, outer, inner;
    int tok, col, half; /* rotations: one token, one index j, half a run */
};

static struct steps steps_of(const struct bert_shape *s) {
    int hd = s->head_size, baby = hd < BABY ? hd : BABY, giants = hd / baby;
    int outer = 1 << bert_log2(giants) / 2;
    return (struct steps){.baby = baby,
                          .giants = giants,
                          .outer = outer,
                          .inner = giants / outer,
                          .tok = s->columns,
                          .col = s->hp,
                          .half = s->columns / 2};
}

/* Lanes of a group: P_x, K_x and v_x. */
static int lanes_of(const struct bert_shape *s) {
    return s->blocks > 1 ? s->blocks / 2 : 1;
}

struct heads {                 /* of one sentence, by group */
    struct ckks_ct *q, *k, *v; /* q doubled; k and v skewed, v masked */
};

// out = in rotated by `by`, then plus in
static int add_rotated(struct ckks_ct *x, int by) {
    return bert_sum_steps(x, by, 1);
}

// x += sign i tok(hd) x, where there are lanes
static int pair_lanes(struct ckks_ct *x, const struct bert_shape *s, int sign) {
    int st = THOR_OK;
    struct ckks_ct t = {0};
    if (s->blocks == 1) return THOR_OK;
    TRY(ckks_rotate(&t, x, s->head_size * s->columns));
    TRY(ckks_mul_i(&t, &t, sign));
    TRY(ckks_add(x, x, &t));
out:
    ckks_ct_free(&t);
    return st;
}

// out[x] = in at tok(2 hd x), of every lane
static int lane_shifts(struct ckks_ct *out, const struct ckks_ct *in, const struct bert_shape *s) {
    int st = THOR_OK;
    for (int x = 0; x < lanes_of(s); x++)
        TRY(x ? ckks_rotate(&out[x], in, 2 * s->head_size * x * s->columns) : ckks_copy(out, in));
out:
    return st;
}

/* ---- q, k and v ---- */

// q of one sentence from its pairs z
static int make_q(struct ckks_ct *q, struct bert_run *r, const struct ckks_ct *z) {
    int st = THOR_OK, groups = r->s->groups, pairs = (groups + 1) / 2;
    struct ckks_ct t = {0};
    for (int o = 0; o < pairs; o++) {
        TRY(ckks_adjust(&t, &z[o], r->v->out[BERT_K]));
        TRY(add_rotated(&t, -r->s->columns / 2));
        TRY(bert_split(&q[o], o + pairs < groups ? &q[o + pairs] : NULL, &t));
    }
    bert_see(r, BERT_Q, groups, q);
out:
    ckks_ct_free(&t);
    return st;
}

// only for hooks.see: k and v before the skew
static int see_kv(struct bert_run *r, const struct ckks_ct *z) {
    int st = THOR_OK, n = r->s->groups;
    const double half = 0.5;
    struct ckks_ct d = {0}, *kv = bert_cts_new(2 * n);
    if (!kv) return THOR_MEMORY;
    for (int i = 0; i < n; i++) {
        const struct ckks_ct *x = &z[i];
        TRY(ckks_combine(&d, &x, &half, 1, 0, z[i].level - 1));
        TRY(bert_split(&kv[i], &kv[n + i], &d));
    }
    bert_see(r, BERT_K, n, kv);
    bert_see(r, BERT_V, n, kv + n);
out:
    ckks_ct_free(&d);
    bert_cts_free(kv, 2 * n);
    return st;
}

// all groups of all sentences: z skewed, at level kv - 2
static int skew(struct ckks_ct *z, int n, const struct bert_run *r) {
    int st = THOR_OK;
    struct ckks_linear t;
    const struct ckks_ct **at = calloc((size_t)n, sizeof *at);
    if (!at) return thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", n);
    for (int i = 0; i < n; i++) at[i] = &z[i];
    bert_skew_set(&t, r->s);
    t.sets = n;
    st = ckks_linear_apply(z, at, &t);
    free(at);
    return st;
}

// k and v of one group from z, which is used up
static int part_kv(struct ckks_ct *k, struct ckks_ct *v, const struct bert_run *r,
                   struct ckks_ct *z, const struct ckks_ct *mask) {
    int st = THOR_OK;
    struct steps n = steps_of(r->s);
    TRY(bert_split(k, v, z));
    ckks_ct_free(z);
    TRY(ckks_adjust(k, k, r->v->out[BERT_K]));
    TRY(add_rotated(k, r->s->head_size * n.tok - n.half));
    TRY(pair_lanes(k, r->s, 1));
    TRY(ckks_adjust(v, v, r->v->out[BERT_V]));
    TRY(ckks_mul(v, v, mask));
    TRY(pair_lanes(v, r->s, -1));
out:
    return st;
}

static int project(struct heads *h, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, groups = r->s->groups, pairs = (groups + 1) / 2, each = pairs + groups;
    const int *need = r->v->out,
              level = 2 + (need[BERT_K] > need[BERT_V] ? need[BERT_K] : need[BERT_V]);
    struct bert_linear_map map = {
        .shape = r->s, .move = BERT_TO_INNER, .map = {&r->w.q, &r->w.k, &r->w.v}};
    struct ckks_ct *z = bert_cts_new(r->n * (each + groups)), *kv = z + r->n * each;
    if (!z) return THOR_MEMORY;
    TRY(bert_apply_paired(z, each, r, y, &map, 3, level));
    for (int i = 0; i < r->n; i++) {
        TRY(make_q(h[i].q, r, z + i * each));
        if (r->hooks.see) TRY(see_kv(r, z + i * each + pairs));
        for (int g = 0; g < groups; g++) {
            kv[i * groups + g] = z[i * each + pairs + g];
            z[i * each + pairs + g] = (struct ckks_ct){0};
        }
    }
    TRY(skew(kv, r->n * groups, r));
    for (int i = 0; i < r->n * groups; i++)
        TRY(part_kv(&h[i / groups].k[i % groups], &h[i / groups].v[i % groups], r, &kv[i],
                    &r->in[i / groups][r->s->nx]));
out:
    bert_cts_free(z, r->n * (each + groups));
    return st;
}

/* ---- scores ---- */

// out[i * baby + b] = x rotated by i far + b near, i < many, b < baby: `many` decompositions
static int versions_of(struct ckks_ct *out, const struct ckks_ct *x, int many, int far, int near,
                       int baby) {
    int st = THOR_OK, *to = malloc((size_t)(baby + many) * sizeof *to);
    if (!to) return thor_fail(THOR_MEMORY, "no memory for %d rotations", baby + many);
    for (int b = 0; b < baby; b++) to[b] = b * near;
    for (int i = 1; i < many; i++) to[baby + i - 1] = i * far;
    TRY(ckks_rotate_many(out, x, to, baby + many - 1));
    /* in place: the last first, which stands no further than its own versions begin */
    for (int i = many - 1; baby > 1 && i > 0; i--)
        TRY(ckks_rotate_many(out + i * baby, &out[baby + i - 1], to, baby));
out:
    free(to);
    return st;
}

// qv[g1 * baby + b] = tok(B G2 g1) col(b) q
static int query_versions(struct ckks_ct *qv, const struct ckks_ct *q, const struct steps *n) {
    return versions_of(qv, q, n->outer, n->baby * n->inner * n->tok, n->col, n->baby);
}

// kv[g2 * baby + b] = tok(-B g2 - b) col(b) k
static int key_versions(struct ckks_ct *kv, const struct ckks_ct *k, const struct steps *n) {
    return versions_of(kv, k, n->inner, -n->baby * n->tok, n->col - n->tok, n->baby);
}

// s = S_x of the versions, rescaled
static int sum_scores(struct ckks_ct *s, const struct ckks_ct *qv, const struct ckks_ct *kv,
                      const struct steps *n) {
    int st = THOR_OK;
    struct ckks_sum sum = {0};
    const struct ckks_ct *x[BABY], *y[BABY];
    for (int g = 0; g < n->giants; g++) {
        int g1 = g / n->inner, g2 = g % n->inner;
        for (int b = 0; b < n->baby; b++) {
            x[b] = &qv[g1 * n->baby + b];
            y[b] = &kv[g2 * n->baby + b];
        }
        TRY(bert_add_products(&sum, x, y, n->baby,
                              n->baby * (g * n->col - g1 * n->inner * n->tok)));
    }
    TRY(ckks_sum_end(s, &sum, 1));
out:
    ckks_sum_free(&sum);
    return st;
}

// x = its first half, times `value`; causal: 0 where the key, of that half of ciphertext d of
// scores, is behind the query
static int mask_scores(struct ckks_ct *x, struct bert_run *r, int d, int half, double value) {
    const size_t period = r->s->causal ? bert_spread_seen(r->vec, r->s, d, half, value)
                                       : bert_spread_half(r->vec, r->s, value);
    return ckks_mul_plain(x, x, r->vec, NULL, period);
}

// S of lane x of group i, masked, into its place of u
static int place_scores(struct ckks_ct *u, struct bert_run *r, struct ckks_ct *s, int i, int x) {
    int st = THOR_OK, half = r->s->columns / 2, lanes = r->s->blocks > 1;
    const int d = lanes ? i * lanes_of(r->s) + x : i / 2;
    struct ckks_ct *to = &u[d], im = {0};
    if (!lanes || !r->s->causal) TRY(mask_scores(s, r, d, i % 2, lanes ? 0.5 : 1));
    if (lanes) {
        TRY(bert_split(to, &im, s));
        if (r->s->causal) { // the parts have keys of their own
            TRY(mask_scores(to, r, d, 0, 0.5));
            TRY(mask_scores(&im, r, d, 1, 0.5));
        }
        TRY(ckks_rotate(&im, &im, -half));
        TRY(ckks_add(to, to, &im));
    } else if (i % 2) {
        TRY(ckks_rotate(s, s, -half));
        TRY(ckks_add(to, to, s));
    } else {
        TRY(ckks_copy(to, s));
    }
out:
    ckks_ct_free(&im);
    return st;
}

// the scores of group i into u; its q and k are used up
static int group_scores(struct ckks_ct *u, struct bert_run *r, struct heads *h, int i) {
    int st = THOR_OK, nq, nk, lanes = lanes_of(r->s);
    struct steps n = steps_of(r->s);
    nq = n.outer * n.baby;
    nk = n.inner * n.baby;
    struct ckks_ct s = {0}, *qv = bert_cts_new(nq + nk + lanes), *kv = qv + nq, *k = kv + nk;
    if (!qv) return THOR_MEMORY;
    TRY(query_versions(qv, &h->q[i], &n));
    TRY(lane_shifts(k, &h->k[i], r->s));
    for (int x = 0; x < lanes; x++) {
        TRY(key_versions(kv, &k[x], &n));
        TRY(sum_scores(&s, qv, kv, &n));
        TRY(place_scores(u, r, &s, i, x));
    }
    ckks_ct_free(&h->q[i]);
    ckks_ct_free(&h->k[i]);
out:
    ckks_ct_free(&s);
    bert_cts_free(qv, nq + nk + lanes);
    return st;
}

static int make_scores(struct ckks_ct *u, struct bert_run *r, struct heads *h) {
    int st = THOR_OK;
    for (int i = 0; i < r->s->groups; i++) TRY(group_scores(u, r, h, i));
    for (int d = 0; d < r->s->scores; d++) {
        size_t period = bert_spread_scores(r->vec, r->s, d, &r->w);
        TRY(ckks_add_plain(&u[d], &u[d], r->vec, NULL, period));
    }
    TRY(bert_refresh(r, BERT_U, u, r->s->scores, 1));
    bert_see(r, BERT_U, r->s->scores, u);
out:
    return st;
}

/* ---- exp and P ---- */

// causal: E of keys behind the query, which is that of -1, taken out of whole and lo
static int drop_hidden(struct ckks_ct *whole, struct ckks_ct *lo, struct bert_run *r, int d) {
    int st = THOR_OK;
    const double e = bert_cheb_eval(r->w.exp_c, r->p->exp.degree, -1);
    size_t period = bert_spread_hidden(r->vec, r->s, d, 1, -e);
    TRY(ckks_add_plain(whole, whole, r->vec, NULL, period));
    period = bert_spread_hidden(r->vec, r->s, d, 0, -e);
    TRY(ckks_add_plain(lo, lo, r->vec, NULL, period));
out:
    return st;
}

// whole = E of u = ciphertext d of scores; lo: its first halves; u is used up
static int exponentials(struct ckks_ct *whole, struct ckks_ct *lo, struct bert_run *r,
                        struct ckks_ct *u, int d) {
    int st = THOR_OK;
    double *both = r->vec, *first = r->vec + r->s->columns;
    size_t period = bert_spread_heads(first, r->s, d, 0);
    bert_spread_heads(both, r->s, d, 1);
    const struct ckks_cheb_part parts[2] = {{lo, first, period},
                                            {whole, both, bert_lacks_heads(r->s, d) ? period : 0}};
    TRY(ckks_adjust(u, u, r->v->out[BERT_U]));
    TRY(bert_cheb_parts(parts, 2, r, u, r->w.exp_c, r->p->exp.degree));
    if (r->s->causal) TRY(drop_hidden(whole, lo, r, d));
    ckks_ct_free(u);
out:
    return st;
}

// p = whole + i (whole - lo moved to the first half + lo of the next block to the second)
static int two_blocks(struct ckks_ct *p, const struct ckks_ct *whole, const struct ckks_ct *lo,
                      const struct ckks_ct *next, int half) {
    int st = THOR_OK;
    struct ckks_ct t = {0}, w = {0};
    TRY(ckks_sub(&t, whole, lo));
    TRY(ckks_rotate(&t, &t, half));
    TRY(ckks_rotate(&w, next, -half));
    TRY(ckks_add(&t, &t, &w));
    TRY(ckks_mul_i(&t, &t, 1));
    TRY(ckks_add(p, whole, &t));
out:
    ckks_ct_free(&t);
    ckks_ct_free(&w);
    return st;
}

// P: lanes of every group
static int make_P(struct ckks_ct *P, const struct bert_run *r, const struct ckks_ct *whole,
                  const struct ckks_ct *lo) {
    int st = THOR_OK, lanes = lanes_of(r->s), half = r->s->columns / 2;
    for (int i = 0; i < r->s->groups * lanes; i++) {
        int g = i / lanes, x = i % lanes;
        if (r->s->blocks > 1) {
            TRY(two_blocks(&P[i], &whole[i], &lo[i], &lo[g * lanes + (x + 1) % lanes], half));
            continue;
        }
        TRY(g % 2 ? ckks_sub(&P[i], &whole[g / 2], &lo[g / 2]) : ckks_copy(&P[i], &lo[g / 2]));
        TRY(add_rotated(&P[i], g % 2 ? half : -half));
    }
out:
    return st;
}

/* ---- sums with P ---- */

struct babies { /* col(b) P_x of every group: [(group * lanes + x) * baby + b] */
    struct steps n;
    int lanes, count;
    struct ckks_ct *p;
};

// of P, which is used up, at `level`
static int make_babies(struct babies *b, const struct bert_run *r, struct ckks_ct *P, int level) {
    int st = THOR_OK, to[BABY], all = r->s->groups * lanes_of(r->s);
    *b = (struct babies){.n = steps_of(r->s), .lanes = lanes_of(r->s)};
    b->count = all * b->n.baby;
    b->p = bert_cts_new(b->count);
    if (!b->p) return THOR_MEMORY;
    for (int i = 0; i < b->n.baby; i++) to[i] = i * b->n.col;
    for (int i = 0; i < all; i++) {
        TRY(ckks_adjust(&P[i], &P[i], level));
        TRY(ckks_rotate_many(b->p + i * b->n.baby, &P[i], to, b->n.baby));
        ckks_ct_free(&P[i]);
    }
out:
    return st;
}

static void free_babies(struct babies *b) {
    bert_cts_free(b->p, b->count);
    *b = (struct babies){.p = NULL};
}

// the real part of a sum, which is used up
static int end_sum(struct ckks_ct *out, const struct bert_shape *s, struct ckks_sum *sum) {
    int st = THOR_OK;
    TRY(ckks_sum_end(out, sum, 1));
    if (s->blocks > 1) TRY(bert_split(out, NULL, out));
out:
    return st;
}

struct versions { /* of the mask: [(x * steps + e / unit) * baby + b] = tok(e + b) col(-e) lane x */
    int unit, steps, count;
    struct ckks_ct *m;
};

static int mask_versions(struct versions *w, struct bert_run *r, const struct ckks_ct *mask,
                         const struct babies *p, int level) {
    int st = THOR_OK, width = bert_block_width(r->s), baby = p->n.baby;
    struct ckks_ct first = {0}, *lane = bert_cts_new(p->lanes);
    w->unit = width < baby ? width : baby;
    w->steps = ((p->n.giants - 1) * baby + (r->s->groups - 1) * width) / w->unit + 1;
    w->count = p->lanes * w->steps * baby;
    w->m = bert_cts_new(w->count);
    if (!lane || !w->m) TRY(THOR_MEMORY);
    size_t period = bert_spread_block(r->vec, r->s, 0, r->s->blocks > 1 ? 0.5 : 1);
    TRY(ckks_adjust(&first, mask, level + 1));
    TRY(ckks_mul_plain(&first, &first, r->vec, NULL, period));
    TRY(pair_lanes(&first, r->s, -1));
    TRY(lane_shifts(lane, &first, r->s));
    for (int l = 0; l < p->lanes; l++)
        TRY(versions_of(w->m + l * w->steps * baby, &lane[l], w->steps,
                        w->unit * (p->n.tok - p->n.col), p->n.tok, baby));
out:
    ckks_ct_free(&first);
    bert_cts_free(lane, lane ? p->lanes : 0);
    return st;
}

// U_g of D: the products of all groups
static int add_masked(struct ckks_sum *sum, const struct bert_run *r, const struct babies *p,
                      const struct versions *w, int g) {
    int groups = r->s->groups, baby = p->n.baby, k = 0, st;
    const struct ckks_ct **x = malloc(2 * (size_t)p->count * sizeof *x), **y = x + p->count;
    if (!x) return thor_fail(THOR_MEMORY, "no memory for %d products", p->count);
    for (int i = 0; i < groups; i++)
        for (int l = 0; l < p->lanes; l++)
            for (int b = 0; b < baby; b++, k++) {
                int e = (baby * g + bert_block_width(r->s) * i) / w->unit;
                x[k] = &p->p[k];
                y[k] = &w->m[(l * w->steps + e) * baby + b];
            }
    st = bert_add_products(sum, x, y, k, baby * g * p->n.col);
    free(x);
    return st;
}

// sums k, at their level D
static int denominators(struct ckks_ct *d, struct bert_run *r, const struct babies *p,
                        const struct ckks_ct *mask, int k) {
    int st = THOR_OK;
    struct ckks_sum sum = {0};
    struct versions w = {.m = NULL};
    double one = r->p->inv[k].sigma * bert_pair_scale(r->p, k);
    TRY(mask_versions(&w, r, mask, p, bert_sums_level(r, k, BERT_D) + 1));
    for (int g = 0; g < p->n.giants; g++) TRY(add_masked(&sum, r, p, &w, g));
    TRY(end_sum(d, r->s, &sum));
    size_t period = bert_spread_spare(r->vec, r->s, one);
    TRY(ckks_add_plain(d, d, r->vec, NULL, period));
out:
    ckks_sum_free(&sum);
    bert_cts_free(w.m, w.count);
    return st;
}

// vg[l * outer + g] = tok(e) col(-e) v at lane l, e = g unit; v is used up
static int turned_values(struct ckks_ct *vg, struct ckks_ct *v, const struct bert_shape *s,
                         const struct steps *n, int outer, int unit) {
    int st = THOR_OK, lanes = lanes_of(s);
    struct ckks_ct *lane = bert_cts_new(lanes);
    if (!lane) return THOR_MEMORY;
    TRY(lane_shifts(lane, v, s));
    ckks_ct_free(v);
    for (int l = 0; l < lanes; l++)
        TRY(versions_of(vg + l * outer, &lane[l], outer, unit * (n->tok - n->col), 0, 1));
out:
    bert_cts_free(lane, lanes);
    return st;
}

// pt[k] = tok(-B) col(B) baby k of group i
static int turned_babies(struct ckks_ct *pt, const struct babies *p, int i) {
    int st = THOR_OK, baby = p->n.baby;
    struct ckks_ct t = {0};
    for (int l = 0; l < p->lanes; l++) {
        TRY(ckks_rotate(&t, &p->p[(i * p->lanes + l) * baby], baby * (p->n.col - p->n.tok)));
        TRY(versions_of(pt + l * baby, &t, 1, 0, p->n.col, baby));
    }
out:
    ckks_ct_free(&t);
    return st;
}

// c = C of group i, whose v is used up
static int group_context(struct ckks_ct *c, const struct bert_run *r, const struct babies *p,
                         struct ckks_ct *v, int i) {
    const int baby = p->n.baby, each = p->lanes * baby, inner = p->n.giants > 1 ? 2 : 1;
    const int outer = p->n.giants / inner, all = p->lanes * outer;
    int st = THOR_OK;
    struct ckks_sum sum = {0};
    struct ckks_ct *vg = bert_cts_new(all + 2 * each), *vb = vg + all, *pt = vb + each;
    const struct ckks_ct **x = vg ? malloc(2 * (size_t)each * sizeof *x) : NULL, **y = x + each;
    if (!x) TRY(thor_fail(THOR_MEMORY, "no memory for %d products", each));
    if (inner > 1) TRY(turned_babies(pt, p, i));
    TRY(turned_values(vg, v, r->s, &p->n, outer, baby * inner));
    for (int g = 0; g < p->n.giants; g++) {
        int g1 = g / inner, g2 = g % inner;
        for (int l = 0; l < p->lanes && !g2; l++)
            TRY(versions_of(vb + l * baby, &vg[l * outer + g1], 1, 0, p->n.tok, baby));
        for (int k = 0; k < each; k++) {
            x[k] = g2 ? &pt[k] : &p->p[i * each + k];
            y[k] = &vb[k];
        }
        int by = baby * (g2 * p->n.tok + inner * g1 * p->n.col);
        TRY(bert_add_products(&sum, x, y, each, by));
    }
    TRY(end_sum(c, r->s, &sum));
out:
    ckks_sum_free(&sum);
    bert_cts_free(vg, vg ? all + 2 * each : 0);
    free(x);
    return st;
}

// t = 1/d of group i in the first half
static int part_inverse(struct ckks_ct *t, struct bert_run *r, const struct ckks_ct *a, int i) {
    int st = THOR_OK, width = bert_block_width(r->s), hp = r->s->hp;
    size_t period = bert_spread_block(r->vec, r->s, i, 1);
    TRY(ckks_mul_plain(t, a, r->vec, NULL, period));
    if (i) TRY(ckks_rotate(t, t, hp * width * i));
    TRY(bert_sum_steps(t, -hp * width, bert_log2(r->s->head_size / width)));
out:
    return st;
}

// x *= 1/d of group i
static int times_inverse(struct ckks_ct *x, struct bert_run *r, const struct ckks_ct *a, int i) {
    int st = THOR_OK;
    struct ckks_ct t = {0};
    TRY(part_inverse(&t, r, a, i));
    TRY(ckks_mul(x, x, &t));
out:
    ckks_ct_free(&t);
    return st;
}

/* ---- rounds ---- */

// t = 1/d of every half of ciphertext d of scores
static int score_inverse(struct ckks_ct *t, struct bert_run *r, const struct ckks_ct *a, int d) {
    int st = THOR_OK, half = r->s->columns / 2, first = 2 * d, lanes = lanes_of(r->s);
    struct ckks_ct w = {0};
    if (r->s->blocks > 1) {
        TRY(part_inverse(t, r, a, d / lanes));
        return add_rotated(t, -half);
    }
    TRY(part_inverse(t, r, a, first));
    if (first + 1 < r->s->groups) {
        TRY(part_inverse(&w, r, a, first + 1));
        TRY(ckks_rotate(&w, &w, -half));
        TRY(ckks_add(t, t, &w));
    }
out:
    ckks_ct_free(&w);
    return st;
}

// whole *= times 1/d
static int normalise(struct ckks_ct *whole, struct bert_run *r, const struct ckks_ct *a,
                     int times) {
    int st = THOR_OK;
    struct ckks_ct t = {0};
    for (int d = 0; d < r->s->scores; d++) {
        if (r->s->blocks == 1 || d % lanes_of(r->s) == 0) TRY(score_inverse(&t, r, a, d));
        TRY(ckks_mul(&whole[d], &whole[d], &t));
        TRY(ckks_mul_int(&whole[d], &whole[d], times));
    }
out:
    ckks_ct_free(&t);
    return st;
}

// whole and lo = the squares of whole and of its first halves, lo at `level`
static int square(struct ckks_ct *whole, struct ckks_ct *lo, struct bert_run *r, int level) {
    int st = THOR_OK;
    struct ckks_ct t = {0};
    for (int d = 0; d < r->s->scores; d++) {
        size_t period = bert_spread_half(r->vec, r->s, 1);
        TRY(ckks_mul_plain(&t, &whole[d], r->vec, NULL, period));
        TRY(ckks_mul(&lo[d], &t, &whole[d]));
        TRY(ckks_mul(&whole[d], &whole[d], &whole[d]));
        TRY(ckks_adjust(&whole[d], &whole[d], level));
    }
out:
    ckks_ct_free(&t);
    return st;
}

// round k of E
static int round_of(struct ckks_ct *whole, struct ckks_ct *lo, struct bert_run *r,
                    const struct ckks_ct *mask, int k) {
    int st = THOR_OK, n = r->s->scores, times, next = bert_sums_level(r, k + 1, BERT_P);
    int lanes = r->s->groups * lanes_of(r->s);
    struct babies p = {.p = NULL};
    struct ckks_ct a = {0}, d = {0}, *P = bert_cts_new(lanes);
    if (!P) return THOR_MEMORY;
    TRY(bert_stage(r, "round"));
    TRY(make_P(P, r, whole, lo));
    TRY(make_babies(&p, r, P, bert_sums_level(r, k, BERT_D) + 1));
    TRY(denominators(&d, r, &p, mask, k));
    free_babies(&p);
    TRY(bert_invert(&a, &times, r, &d, k));
    TRY(normalise(whole, r, &a, times));
    TRY(bert_refresh(r, bert_of_sums(BERT_SQUARE, k), whole, n, 1));
    TRY(bert_stage(r, "round"));
    TRY(square(whole, lo, r, next));
out:
    free_babies(&p);
    ckks_ct_free(&a);
    ckks_ct_free(&d);
    bert_cts_free(P, lanes);
    return st;
}

static int make_context(struct ckks_ct *c, struct bert_run *r, struct babies *p, struct heads *h,
                        const struct ckks_ct *a) {
    int st = THOR_OK, groups = r->s->groups;
    struct ckks_ct *x = bert_cts_new(groups);
    if (!x) return THOR_MEMORY;
    for (int i = 0; i < p->count; i++) TRY(ckks_adjust(&p->p[i], &p->p[i], r->v->out[BERT_C] + 1));
    for (int i = 0; i < groups; i++) {
        TRY(group_context(&x[i], r, p, &h->v[i], i));
        TRY(times_inverse(&x[i], r, a, i));
    }
    bert_see(r, BERT_CA, groups, x);
    for (int i = 0; i < groups; i++) { // two groups, one a half
        if (i % 2) TRY(ckks_rotate(&x[i], &x[i], -r->s->columns / 2));
        TRY(i % 2 ? ckks_add(&c[i / 2], &c[i / 2], &x[i]) : ckks_copy(&c[i / 2], &x[i]));
    }
out:
    bert_cts_free(x, groups);
    return st;
}

/* ---- all of it ---- */

// of one sentence, from its heads, which are used up
static int attend(struct ckks_ct *c, struct bert_run *r, struct heads *h,
                  const struct ckks_ct *mask) {
    int st = THOR_OK, n = r->s->scores, rounds = r->p->rounds, times;
    int lanes = r->s->groups * lanes_of(r->s), all = 3 * n + lanes;
    struct babies p = {.p = NULL};
    struct ckks_ct a = {0}, d = {0}, *u = bert_cts_new(all);
    struct ckks_ct *whole = u + n, *lo = whole + n, *P = lo + n;
    if (!u) return THOR_MEMORY;
    TRY(bert_stage(r, "scores"));
    TRY(make_scores(u, r, h));
    TRY(bert_stage(r, "exp"));
    for (int i = 0; i < n; i++) TRY(exponentials(&whole[i], &lo[i], r, &u[i], i));
    for (int k = 0; k < rounds; k++) TRY(round_of(whole, lo, r, mask, k));
    if (!rounds) bert_see(r, BERT_E, n, whole);
    TRY(bert_stage(r, "inverse"));
    TRY(make_P(P, r, whole, lo));
    for (struct ckks_ct *x = u; x < P; x++) ckks_ct_free(x);
    TRY(make_babies(&p, r, P, bert_sums_level(r, r->p->rounds, BERT_P)));
    TRY(denominators(&d, r, &p, mask, rounds));
    TRY(bert_invert(&a, &times, r, &d, rounds));
    TRY(bert_stage(r, "context"));
    TRY(make_context(c, r, &p, h, &a));
out:
    ckks_ct_free(&a);
    ckks_ct_free(&d);
    free_babies(&p);
    bert_cts_free(u, all);
    return st;
}

int bert_attention_columns(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, groups = r->s->groups;
    struct ckks_ct *all = bert_cts_new(3 * r->n * groups);
    struct heads *h = all ? calloc((size_t)r->n, sizeof *h) : NULL;
    if (!h) TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", 3 * r->n * groups));
    for (int i = 0; i < r->n; i++) {
        struct ckks_ct *at = all + 3 * i * groups;
        h[i] = (struct heads){at, at + groups, at + 2 * groups};
    }
    TRY(bert_stage(r, "qkv"));
    TRY(project(h, r, y));
    for (int i = 0; i < r->n; i++) {
        r->who = i;
        TRY(attend(c + i * r->s->contexts, r, &h[i], &r->in[i][r->s->nx]));
    }
out:
    bert_cts_free(all, all ? 3 * r->n * groups : 0);
    free(h);
    return st;
}
