/* q, k and v of the wide shape: from source order into doubled ciphertexts, two a group of heads
 * (packing.h: skew, pick).
 *
 * k and v travel as z = (k + i v)/2: one linear map, one skew and conjugation a doubled ciphertext.
 * Then the two of a group share one: k_0 + i k_1, v_0 + i v_1 (attention.c).
 * Every doubled ciphertext starts in block 0, first places, so that all share the encoded masks.
 * The sums X of the skew are added up by Horner's rule, so that few rotation keys serve all blocks:
 *   H_w = X_w0 + rot(X_w1 + rot(X_w2 + .., delta), delta), delta = hd - hd kappa
 *   H_0 + rot(H_1, -T). */
#include <stdlib.h>

#include "bert/circuit.h"

static int blocks_of(const struct bert_shape *s, int source)
{
    int left = s->groups - source * bert_blocks(s);
    return left < bert_blocks(s) ? left : bert_blocks(s);
}

/* ---- q ---- */

// out = heads of parity x in block y of src
static int pick(struct ckks_ct *out, struct bert_run *r, const struct ckks_ct *src, int y, int x)
{
    int st = THOR_OK, step = r->s->head_size * bert_kappa(r->s);
    bert_spread_pick(r->vec, r->s, y, x);
    TRY(ckks_mul_plain(out, src, r->vec, NULL, (size_t)bert_shape_slots(r->s)));
    if (x)
        TRY(ckks_rotate(out, out, r->s->tokens));
    TRY(bert_sum_steps(out, step, bert_log2(bert_blocks(r->s))));
out:
    return st;
}

// q of one sentence, from its n sources
static int pick_all(struct ckks_ct *q, struct bert_run *r, struct ckks_ct *src, int n)
{
    int st = THOR_OK, blocks = bert_blocks(r->s);
    for (int i = 0; i < n; i++) {
        TRY(ckks_adjust(&src[i], &src[i], r->v->qk - 1));
        for (int e = 0; e < 2 * blocks_of(r->s, i); e++)
            TRY(pick(&q[2 * i * blocks + e], r, &src[i], e / 2, e % 2));
    }
out:
    return st;
}

static int make_q(struct ckks_ct *heads, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, n = bert_sources(r->s);
    struct bert_linear_map map = {
        .shape = r->s, .move = BERT_TO_INNER, .map = {&r->w.q}, .paired = 1};
    struct ckks_ct *src = bert_cts_new(r->n * n);
    if (!src)
        return THOR_MEMORY;
    TRY(bert_apply_maps(src, n, r, y, &map, 1, r->v->qk));
    bert_see(r, "q", n, src);
    for (int i = 0; i < r->n; i++)
        TRY(pick_all(heads + i * bert_heads(r->s), r, src + i * n, n));
out:
    bert_cts_free(src, r->n * n);
    return st;
}

/* ---- k and v ---- */

// h = sum of x[rho] rotated by rho (hd - hd kappa), rho < blocks
static int sum_blocks(struct ckks_ct *h, const struct bert_shape *s, const struct ckks_ct *x)
{
    int st = THOR_OK, blocks = bert_blocks(s), hd = s->head_size;
    TRY(ckks_copy(h, &x[blocks - 1]));
    for (int rho = blocks - 2; rho >= 0; rho--) {
        TRY(ckks_rotate(h, h, hd - hd * bert_kappa(s)));
        TRY(ckks_add(h, h, &x[rho]));
    }
out:
    return st;
}

struct masks { /* of the skew, encoded */
    struct ckks_linear t;
    struct ckks_linear_cache *cache;
};

// d = the skewed doubled ciphertext whose source begins z
static int double_up(struct ckks_ct *d, const struct bert_shape *s, const struct ckks_ct *z,
                     const struct masks *m)
{
    int st = THOR_OK, T = s->tokens, blocks = bert_blocks(s);
    struct ckks_ct h = {0}, *X = bert_cts_new(2 * blocks);
    if (!X)
        return THOR_MEMORY;
    TRY(ckks_linear_run(X, &z, &m->t, m->cache));
    TRY(sum_blocks(d, s, X));
    TRY(sum_blocks(&h, s, X + blocks));
    TRY(ckks_rotate(&h, &h, -T));
    TRY(ckks_add(d, d, &h));
    TRY(ckks_rotate(&h, d, -T));
    TRY(ckks_add(d, d, &h));
out:
    ckks_ct_free(&h);
    bert_cts_free(X, 2 * blocks);
    return st;
}

// k and v of doubled ciphertext x, from z, into those of their group
static int add_lane(struct ckks_ct *k, struct ckks_ct *v, const struct bert_run *r,
                    const struct ckks_ct *z, int x)
{
    int st = THOR_OK;
    struct ckks_ct k1 = {0}, v1 = {0};
    TRY(x ? bert_split(&k1, &v1, z) : bert_split(k, v, z));
    if (x) {
        TRY(ckks_mul_i(&k1, &k1, 1));
        TRY(ckks_mul_i(&v1, &v1, 1));
        TRY(ckks_add(k, k, &k1));
        TRY(ckks_add(v, v, &v1));
        TRY(ckks_adjust(k, k, r->v->u_in + 1));
        TRY(ckks_adjust(v, v, r->v->C + 1));
    }
out:
    ckks_ct_free(&k1);
    ckks_ct_free(&v1);
    return st;
}

// k, v: of the groups of one source z, which is used up
static int skew(struct ckks_ct *k, struct ckks_ct *v, struct bert_run *r, struct ckks_ct *z,
                int blocks, const struct masks *m)
{
    int st = THOR_OK, T = r->s->tokens, block = r->s->head_size * bert_kappa(r->s);
    struct ckks_ct at = {0}, d = {0};
    for (int e = 0; e < 2 * blocks; e++) {
        if (e % 2)
            TRY(ckks_rotate(&at, &at, T));
        else
            TRY(e ? ckks_rotate(&at, z, e / 2 * block) : ckks_copy(&at, z));
        TRY(double_up(&d, r->s, &at, m));
        TRY(add_lane(&k[e / 2], &v[e / 2], r, &d, e % 2));
    }
    ckks_ct_free(z);
out:
    ckks_ct_free(&at);
    ckks_ct_free(&d);
    return st;
}

// only for hooks.see: k and v before the skew
static int see_kv(struct bert_run *r, const struct ckks_ct *z, int n)
{
    int st = THOR_OK;
    struct ckks_ct d = {0}, *kv = bert_cts_new(2 * n);
    if (!kv)
        return THOR_MEMORY;
    for (int i = 0; i < n; i++) {
        TRY(ckks_adjust(&d, &z[i], r->v->kv - 2)); // where there is a key
        TRY(bert_split(&kv[i], &kv[n + i], &d));
    }
    bert_see(r, "k", n, kv);
    bert_see(r, "v", n, kv + n);
out:
    ckks_ct_free(&d);
    bert_cts_free(kv, 2 * n);
    return st;
}

// k and v of one sentence, from its n sources, which are used up
static int skew_all(struct ckks_ct *k, struct bert_run *r, struct ckks_ct *z, int n,
                    const struct masks *m)
{
    int st = THOR_OK, blocks = bert_blocks(r->s);
    struct ckks_ct *v = k + r->s->groups;
    for (int i = 0; i < n; i++)
        TRY(skew(&k[i * blocks], &v[i * blocks], r, &z[i], blocks_of(r->s, i), m));
out:
    return st;
}

static int make_kv(struct ckks_ct *heads, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, n = bert_sources(r->s), q = r->s->groups * bert_lanes(r->s);
    struct bert_linear_map map = {
        .shape = r->s, .move = BERT_TO_INNER, .map = {&r->w.k, &r->w.v}, .paired = 1};
    struct masks m = {.cache = NULL};
    struct ckks_ct *z = bert_cts_new(r->n * n);
    if (!z)
        return THOR_MEMORY;
    TRY(bert_apply_paired(z, n, r, y, &map, 2, r->v->kv));
    if (r->hooks.see)
        TRY(see_kv(r, z, n));
    bert_skew_set(&m.t, r->s);
    TRY(ckks_linear_prepare(&m.cache, r->cx, &m.t, r->v->kv - 1, 0));
    for (int i = 0; i < r->n; i++)
        TRY(skew_all(heads + i * bert_heads(r->s) + q, r, z + i * n, n, &m));
out:
    ckks_linear_cache_free(m.cache);
    bert_cts_free(z, r->n * n);
    return st;
}

int bert_wide_heads(struct ckks_ct *heads, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK;
    TRY(make_q(heads, r, y));
    TRY(make_kv(heads, r, y));
out:
    return st;
}
