/* One encrypted layer: attention, dense map, LayerNorm, FFN, LayerNorm (circuit.h, bert_layer). */
#include "bert/circuit.h"

static void scale(double *x, int n, double by) {
    for (int i = 0; i < n; i++) x[i] *= by;
}

static void scale_map(struct bert_map *m, double by) {
    scale(m->w, m->in * m->out, by);
    scale(m->b, m->out, by);
    if (m->first) scale(m->first, m->out, by);
}

// the factor t_1 of softmax.c: into E, out of Wo
static void fold_pair_scale(struct bert_run *r) {
    scale(r->w.exp_c, r->p->exp.degree + 1, bert_pair_scale(r->p, 0));
    scale(r->w.o.w, r->w.o.in * r->w.o.out, 1 / bert_pair_scale(r->p, r->p->rounds));
}

// bert_boot_scale of everything that is bootstrapped
static void fold_boot_scales(struct bert_run *r) {
    const struct bert_layer_plan *p = r->p;
    const struct bert_shape *s = r->s;
    struct bert_map *into[2] = {&r->w.o, &r->w.ffn2};
    scale_map(&r->w.q, bert_boot_scale(s, p->boot[BERT_U], 1));
    scale(r->w.score_add[0], 3 * s->heads + (s->causal ? s->tokens + 1 : 0),
          bert_boot_scale(s, p->boot[BERT_U], 1));
    scale_map(&r->w.v, bert_value_scale(s));
    for (int i = 0; i < 2; i++) {
        double x = bert_boot_scale(s, p->boot[bert_of_half(i)], 1);
        scale_map(into[i], x);
        scale(r->w.res[i], s->hidden, x);
        scale(r->w.rsqrt_c[i], p->rsqrt[i].degree + 1,
              bert_boot_scale(s, p->boot[bert_of_norm(s, BERT_Y1, i)], bert_state_mult(s)) *
                  bert_boot_scale(s, p->boot[bert_of_norm(s, BERT_R1, i)], 1));
    }
}

// w -> GELU(gelu_r w), in place
static int gelu(struct ckks_ct *w, struct bert_run *r) {
    int st = THOR_OK;
    double half = r->p->gelu_r / 2;
    const struct ckks_ct *x = w;
    struct ckks_ct z = {0}, linear = {0};
    TRY(ckks_mul(&z, w, w));
    TRY(ckks_mul_int(&z, &z, 2));
    TRY(ckks_add_const(&z, &z, -1));
    TRY(bert_cheb_watched(&z, r, r->p->gelu.c, r->p->gelu.degree));
    TRY(ckks_combine(&linear, &x, &half, 1, 0, z.level));
    TRY(ckks_add(w, &z, &linear));
out:
    ckks_ct_free(&z);
    ckks_ct_free(&linear);
    return st;
}

// x = dense map of the FFN's output, as LayerNorm 1 takes it
static int ffn(struct ckks_ct *x, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, nx = r->s->nx, nf = bert_nf(r->s);
    struct bert_linear_map up = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&r->w.ffn1}, .paired = 1};
    struct bert_linear_map down = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&r->w.ffn2}, .paired = 1};
    struct ckks_ct *f = bert_cts_new(r->n * nf);
    if (!f) return THOR_MEMORY;
    TRY(bert_stage(r, "ffn1"));
    TRY(bert_apply_maps(f, nf, r, y, &up, 1, r->v->out[BERT_W] + 1));
    bert_see(r, BERT_W, nf, f);
    TRY(bert_stage(r, "gelu"));
    for (int i = 0; i < r->n * nf; i++) {
        r->who = i / nf;
        TRY(gelu(&f[i], r));
    }
    bert_see(r, BERT_F, nf, f);
    TRY(bert_stage(r, "ffn2"));
    TRY(bert_apply_maps(x, nx, r, f, &down, 1, r->v->out[BERT_F]));
out:
    bert_cts_free(f, r->n * nf);
    return st;
}

static int norms(struct ckks_ct *y, struct bert_run *r, int which, const struct ckks_ct *x) {
    int st = THOR_OK;
    for (int i = 0; i < r->n; i++) {
        r->who = i;
        TRY(bert_norm(y + i * r->s->nx, r, which, x + i * r->s->nx));
    }
out:
    return st;
}

static int joins(struct ckks_ct *x, struct bert_run *r, int which, const struct ckks_ct *from) {
    int st = THOR_OK, nx = r->s->nx;
    for (int i = 0; i < r->n; i++) TRY(bert_join(x + i * nx, r, which, from + i * nx));
out:
    return st;
}

// x = dense map of the context of y
static int attention(struct ckks_ct *x, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, n = r->n * r->s->contexts;
    struct bert_linear_map out = {
        .shape = r->s, .move = BERT_TO_OUTER, .map = {&r->w.o}, .paired = 1};
    struct ckks_ct *c = bert_cts_new(n);
    if (!c) return THOR_MEMORY;
    TRY(r->s->packing->attention(c, r, y));
    TRY(bert_stage(r, "dense"));
    TRY(bert_apply_maps(x, r->s->nx, r, c, &out, 1, r->v->out[BERT_CA]));
out:
    bert_cts_free(c, n);
    return st;
}

// y = LN1(x + residual of y) behind attention, y = LN2(..) behind the FFN
static int post_norm(struct ckks_ct *y, struct bert_run *r, struct ckks_ct *x) {
    int st = THOR_OK;
    TRY(attention(x, r, y));
    TRY(joins(x, r, 0, y));
    TRY(norms(y, r, 0, x));
    for (int i = 0; i < r->n * r->s->nx; i++) ckks_ct_free(&x[i]);
    TRY(ffn(x, r, y));
    TRY(joins(x, r, 1, y));
    TRY(norms(y, r, 1, x));
out:
    return st;
}

// y += attention of LN1(y), y += FFN of LN2(y)
static int pre_norm(struct ckks_ct *y, struct bert_run *r, struct ckks_ct *x) {
    int st = THOR_OK, n = r->n * r->s->nx;
    struct ckks_ct *t = bert_cts_new(n);
    if (!t) return THOR_MEMORY;
    TRY(norms(t, r, 0, y));
    TRY(attention(x, r, t));
    TRY(joins(x, r, 0, y));
    TRY(norms(t, r, 1, x));
    TRY(ffn(y, r, t));
    TRY(joins(y, r, 1, x));
out:
    bert_cts_free(t, n);
    return st;
}

int bert_layer(struct ckks_ct *y, struct bert_run *r) {
    int st = THOR_OK, n = r->n * r->s->nx;
    struct ckks_ct *x = bert_cts_new(n);
    if (!x) return THOR_MEMORY;
    TRY(bert_fold_layer(&r->w, r->srv->model, r->srv->plan, r->s, r->l));
    fold_pair_scale(r);
    fold_boot_scales(r);
    TRY((r->s->causal ? pre_norm : post_norm)(y, r, x));
    TRY(bert_witness_close(r));
out:
    bert_fold_layer_free(&r->w);
    bert_cts_free(x, n);
    return st;
}
