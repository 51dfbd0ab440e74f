#include "bert/encrypted.h"

#include <math.h>
#include <stdlib.h>

#include "bert/circuit.h"

/* ---- shared helpers (circuit.h) ---- */

struct ckks_ct *bert_cts_new(int n)
{
    struct ckks_ct *x = calloc((size_t)n, sizeof *x);
    if (!x)
        thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", n);
    return x;
}

void bert_cts_free(struct ckks_ct *x, int n)
{
    for (int i = 0; x && i < n; i++)
        ckks_ct_free(&x[i]);
    free(x);
}

// of a group: qkv, dense, ffn1, gelu, ffn2 and the head come once for all
static int all_stages(const struct bert_run *r)
{
    int shared = 5 * r->srv->plan->layers + 1;
    return shared + r->n * (bert_server_stages(r->srv) - shared);
}

int bert_stage(struct bert_run *r, const char *stage)
{
    const struct bert_hooks *h = &r->hooks;
    if (r->stage) {
        r->done++;
        if (h->end)
            h->end(h->ctx, r->stage_layer, r->stage);
        if (h->progress)
            h->progress(h->ctx, r->done, all_stages(r));
    }
    r->stage = stage;
    r->stage_layer = r->l;
    if (!stage)
        return THOR_OK;
    if (h->begin)
        h->begin(h->ctx, r->l, stage);
    return h->stop ? h->stop(h->ctx) : THOR_OK;
}

void bert_see(struct bert_run *r, const char *stage, int n, const struct ckks_ct *x)
{
    for (int i = 0; r->hooks.see && i < n; i++)
        r->hooks.see(r->hooks.ctx, r->l, stage, i, &x[i]);
}

int bert_sum_steps(struct ckks_ct *x, int step, int times)
{
    int st = THOR_OK;
    struct ckks_ct t = {0};
    for (int i = 0; i < times; i++) {
        TRY(ckks_rotate(&t, x, step * (1 << i)));
        TRY(ckks_add(x, x, &t));
    }
out:
    ckks_ct_free(&t);
    return st;
}

int bert_split(struct ckks_ct *a, struct ckks_ct *b, const struct ckks_ct *z)
{
    int st = THOR_OK;
    struct ckks_ct c = {0};
    TRY(ckks_conj(&c, z));
    if (b) {
        TRY(ckks_sub(b, z, &c));
        TRY(ckks_mul_i(b, b, -1));
    }
    TRY(ckks_add(a, z, &c));
out:
    ckks_ct_free(&c);
    return st;
}

// the bias of output o of all maps, times scale
static void spread_bias(double *out, const struct bert_linear_map *m, int o, double scale)
{
    const struct bert_shape *s = m->shape;
    int which = o / m->outs, i = o % m->outs;
    const struct bert_map *f = m->map[which];
    if (m->move != BERT_TO_INNER)
        bert_spread_outer(out, s, i, f->b, f->out, m->only_first[which]);
    else if (s->wide)
        bert_spread_source(out, s, i, f->b);
    else
        bert_spread_inner(out, s, i, f->b, m->only_first[which]);
    for (int k = 0; k < (m->move == BERT_TO_INNER ? s->repeats : 1) * s->tokens * s->columns; k++)
        out[k] *= scale;
}

static int add_bias(struct ckks_ct *x, struct bert_run *r, const struct bert_linear_map *m, int o)
{
    int n = bert_shape_slots(r->s), half = (m->total + 1) / 2;
    double *im = m->paired && o + half < m->total ? r->vec + n : NULL;
    size_t period = (size_t)(m->move == BERT_TO_INNER ? n : r->s->tokens * r->s->columns);
    spread_bias(r->vec, m, o, m->paired ? 0.5 : 1);
    if (im)
        spread_bias(im, m, o + half, 0.5);
    return ckks_add_plain(x, x, r->vec, im, period);
}

int bert_apply_linear(struct ckks_ct *x, int step, const struct bert_run *r,
                      const struct ckks_ct *in, int in_step, struct ckks_linear *t, int level)
{
    int st = THOR_OK, ins = r->n * t->inputs, outs = r->n * t->outputs;
    struct ckks_ct *low = bert_cts_new(ins + outs), *out = low + ins;
    const struct ckks_ct **at = low ? calloc((size_t)ins, sizeof *at) : NULL;
    if (!at)
        TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", ins));
    for (int i = 0; i < ins; i++) {
        TRY(ckks_adjust(&low[i], &in[i / t->inputs * in_step + i % t->inputs], level));
        at[i] = &low[i];
    }
    t->sets = r->n;
    TRY(ckks_linear_apply(out, at, t));
    for (int o = 0; o < outs; o++) {
        struct ckks_ct *to = &x[o / t->outputs * step + o % t->outputs];
        ckks_ct_free(to);
        *to = out[o];
        out[o] = (struct ckks_ct){0};
    }
out:
    bert_cts_free(low, ins + outs);
    free(at);
    return st;
}

int bert_apply_paired(struct ckks_ct *x, int step, struct bert_run *r, const struct ckks_ct *in,
                      struct bert_linear_map *m, int maps, int level)
{
    int st = THOR_OK;
    struct ckks_linear t;
    bert_linear_set(&t, m, maps);
    TRY(bert_apply_linear(x, step, r, in, m->ins, &t, level));
    for (int o = 0; o < r->n * t.outputs; o++)
        TRY(add_bias(&x[o / t.outputs * step + o % t.outputs], r, m, o % t.outputs));
out:
    return st;
}

int bert_apply_maps(struct ckks_ct *x, int step, struct bert_run *r, const struct ckks_ct *in,
                    struct bert_linear_map *m, int maps, int level)
{
    int st = THOR_OK;
    TRY(bert_apply_paired(x, step, r, in, m, maps, level));
    int half = (m->total + 1) / 2;
    for (int i = 0; m->paired && i < r->n; i++, x += step)
        for (int o = 0; o < half; o++)
            TRY(bert_split(&x[o], o + half < m->total ? &x[o + half] : NULL, &x[o]));
out:
    return st;
}

/* ---- bootstraps ---- */

// x and, where given, other: as the two parts of complex slots
static int refresh_pair(struct ckks_ct *x, struct ckks_ct *other, const struct bert_run *r,
                        int level)
{
    int st = THOR_OK;
    struct ckks_ct z = {0};
    if (other) {
        TRY(ckks_mul_i(&z, other, 1));
        TRY(ckks_add(&z, &z, x));
    }
    TRY(ckks_bootstrap(&z, other ? &z : x, r->srv->boot[BERT_BOOT_X]));
    TRY(ckks_adjust(&z, &z, level));
    TRY(bert_split(x, other, &z));
out:
    ckks_ct_free(&z);
    return st;
}

int bert_refresh(struct bert_run *r, const char *stage, struct ckks_ct *x, int n,
                 enum bert_boot kind, int level, int mult)
{
    int st = THOR_OK, wide = r->s->wide;
    TRY(bert_stage(r, stage));
    for (int i = 0; i < n; i += wide ? 2 : 1) {
        if (wide) {
            TRY(refresh_pair(&x[i], i + 1 < n ? &x[i + 1] : NULL, r, level));
        } else {
            TRY(ckks_bootstrap(&x[i], &x[i], r->srv->boot[kind]));
            TRY(ckks_adjust(&x[i], &x[i], level));
        }
    }
    for (int i = 0; i < n && mult > 1; i++)
        TRY(ckks_mul_int(&x[i], &x[i], mult));
out:
    return st;
}

int bert_state_mult(const struct bert_shape *s)
{
    return (int)ceil(sqrt(s->hidden) / 8);
}

/* ---- the server ---- */

static int need_boot(struct bert_server *s, enum bert_boot kind, int log_slots, int lanes)
{
    return s->boot[kind] ? THOR_OK : ckks_boot_new(&s->boot[kind], s->cx, log_slots, lanes);
}

static int layer_boots(struct bert_server *s, const struct bert_layer_plan *p)
{
    int st = THOR_OK, full = bert_log2(bert_shape_slots(&s->shape));
    const struct bert_shape *g = &s->shape;
    int states = p->boot_x[0] | p->boot_x[1] | p->boot_y | p->boot_y1;
    if (states || (g->wide && p->boot_scores))
        TRY(need_boot(s, BERT_BOOT_X, bert_log2(g->tokens * g->columns), g->wide));
    if (p->boot_scores && !g->wide)
        TRY(need_boot(s, BERT_BOOT_SCORES, full, 0));
    if (p->boot_r[0] | p->boot_r[1])
        TRY(need_boot(s, BERT_BOOT_R, bert_log2(g->tokens), 0));
    if (p->boot_inv)
        TRY(need_boot(s, BERT_BOOT_PAIR, bert_log2(bert_pair_slots(g, p->join_inv)), 1));
out:
    return st;
}

int bert_server_new(struct bert_server **out, struct ckks *cx, const struct bert_model *m,
                    const struct bert_plan *p)
{
    int st = THOR_OK;
    struct bert_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s)
        TRY(thor_fail(THOR_MEMORY, "no memory for the server"));
    s->cx = cx;
    s->model = m;
    s->plan = p;
    if (p->model_hash != m->hash)
        TRY(thor_fail(THOR_MODEL, "the plan was made for another model"));
    TRY(bert_shape_make(&s->shape, &m->cfg, p->tokens, ckks_slots(cx)));
    s->level = calloc((size_t)p->layers + 1, sizeof *s->level);
    if (!s->level)
        TRY(thor_fail(THOR_MEMORY, "no memory for the server"));
    TRY(bert_levels_set(s->level, p, &s->shape));
    for (int l = 0; l < p->layers; l++)
        TRY(layer_boots(s, &p->layer[l]));
    *out = s;
    s = NULL;
out:
    bert_server_free(s);
    return st;
}

void bert_server_free(struct bert_server *s)
{
    if (!s)
        return;
    bert_recorded_free(s);
    for (int i = 0; i < BERT_BOOTS; i++)
        ckks_boot_free(s->boot[i]);
    free(s->level);
    free(s);
}

const struct bert_shape *bert_server_shape(const struct bert_server *s)
{
    return &s->shape;
}

int bert_server_stages(const struct bert_server *s)
{
    int n = 1;
    for (int l = 0; l < s->plan->layers; l++) {
        const struct bert_layer_plan *p = &s->plan->layer[l];
        n += 11 + p->boot_scores + p->boot_x[0] + p->boot_x[1] + p->boot_r[0] + p->boot_r[1];
        n += p->boot_y + p->boot_y1;
        /* the stage "inverse" is split */
        n += p->boot_inv ? 2 * (p->join_inv ? 1 : s->shape.groups) : 0;
    }
    return n;
}

/* ---- one forward ---- */

static void scale(double *x, int n, double by)
{
    for (int i = 0; i < n; i++)
        x[i] *= by;
}

static void scale_map(struct bert_map *m, double by)
{
    scale(m->w, m->in * m->out, by);
    scale(m->b, m->out, by);
}

// the factor t_1 of attention.c: into E, out of Wo
static void fold_pair_scale(struct bert_run *r)
{
    double t = bert_pair_scale(r->p);
    scale(r->w.exp_c, r->p->exp.degree + 1, t);
    scale(r->w.o.w, r->w.o.in * r->w.o.out, 1 / t);
}

// bert_boot_scale of everything that is bootstrapped
static void fold_boot_scales(struct bert_run *r)
{
    const struct bert_layer_plan *p = r->p;
    const struct bert_shape *s = r->s;
    struct bert_map *into[2] = {&r->w.o, &r->w.ffn2};
    scale_map(&r->w.q, bert_lane_scale(s) * bert_boot_scale(s, p->boot_scores, 1));
    scale(r->w.score_add[0], 3 * s->heads, bert_boot_scale(s, p->boot_scores, 1));
    scale_map(&r->w.v, bert_lane_scale(s));
    for (int i = 0; i < 2; i++) {
        scale_map(into[i], bert_boot_scale(s, p->boot_x[i], 1));
        scale(r->w.res[i], s->hidden, bert_boot_scale(s, p->boot_x[i], 1));
        scale(r->w.rsqrt_c[i], p->rsqrt[i].degree + 1,
              bert_boot_scale(s, r->boot_y[i], bert_state_mult(s)));
    }
}

// w -> GELU(gelu_r w), in place
static int gelu(struct ckks_ct *w, const struct bert_run *r)
{
    int st = THOR_OK;
    double half = r->p->gelu_r / 2;
    const struct ckks_ct *x = w;
    struct ckks_ct z = {0}, linear = {0};
    TRY(ckks_mul(&z, w, w));
    TRY(ckks_mul_int(&z, &z, 2));
    TRY(ckks_add_const(&z, &z, -1));
    TRY(ckks_cheb(&z, &z, r->p->gelu.c, r->p->gelu.degree));
    TRY(ckks_combine(&linear, &x, &half, 1, 0, z.level));
    TRY(ckks_add(w, &z, &linear));
out:
    ckks_ct_free(&z);
    ckks_ct_free(&linear);
    return st;
}

// x = dense map of the FFN's output, at v->x_in[1]
static int ffn(struct ckks_ct *x, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, nx = r->s->nx, nf = bert_nf(r->s);
    struct bert_linear_map up = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&r->w.ffn1}, .paired = 1};
    struct bert_linear_map down = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&r->w.ffn2}, .paired = 1};
    struct ckks_ct *f = bert_cts_new(r->n * nf);
    if (!f)
        return THOR_MEMORY;
    TRY(bert_stage(r, "ffn1"));
    TRY(bert_apply_maps(f, nf, r, y, &up, 1, r->v->w + 1));
    bert_see(r, "ffn_in", nf, f);
    TRY(bert_stage(r, "gelu"));
    for (int i = 0; i < r->n * nf; i++)
        TRY(gelu(&f[i], r));
    bert_see(r, "gelu", nf, f);
    TRY(bert_stage(r, "ffn2"));
    TRY(bert_apply_maps(x, nx, r, f, &down, 1, r->v->f));
out:
    bert_cts_free(f, r->n * nf);
    return st;
}

static int norms(struct ckks_ct *y, struct bert_run *r, int which, struct ckks_ct *x)
{
    int st = THOR_OK;
    for (int i = 0; i < r->n; i++)
        TRY(bert_norm(y + i * r->s->nx, r, which, x + i * r->s->nx));
out:
    return st;
}

int bert_layer(struct ckks_ct *y, struct bert_run *r)
{
    int st = THOR_OK, nx = r->s->nx, n = r->n * (nx + r->s->groups);
    struct bert_linear_map out = {
        .shape = r->s, .move = BERT_TO_OUTER, .map = {&r->w.o}, .paired = 1};
    struct ckks_ct *x = bert_cts_new(n), *c = x + r->n * nx;
    if (!x)
        return THOR_MEMORY;
    TRY(bert_fold_layer(&r->w, r->srv->model, r->srv->plan, r->l));
    fold_pair_scale(r);
    fold_boot_scales(r);
    TRY(bert_attention(c, r, y));
    TRY(bert_stage(r, "dense"));
    TRY(bert_apply_maps(x, nx, r, c, &out, 1, r->v->c));
    for (struct ckks_ct *i = c; i < x + n; i++)
        ckks_ct_free(i);
    TRY(norms(y, r, 0, x));
    TRY(ffn(x, r, y));
    TRY(norms(y, r, 1, x));
out:
    bert_fold_layer_free(&r->w);
    bert_cts_free(x, n);
    return st;
}

static int head(struct ckks_ct *logits, struct bert_run *r, const struct ckks_ct *y)
{
    int st = THOR_OK, nx = r->s->nx, level = r->v->y;
    const struct bert_plan *p = r->srv->plan;
    struct bert_folded_head w = {0};
    struct ckks_ct *t = bert_cts_new(r->n * nx);
    if (!t)
        return THOR_MEMORY;
    TRY(bert_stage(r, "head"));
    TRY(bert_fold_head(&w, r->srv->model, p));
    struct bert_linear_map pooler = {.shape = r->s,
                                     .move = BERT_STAY_OUTER,
                                     .map = {&w.pooler},
                                     .only_first = {1},
                                     .paired = 1};
    struct bert_linear_map classifier = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&w.classifier}, .only_first = {1}};
    TRY(bert_apply_maps(t, nx, r, y, &pooler, 1, level));
    for (int i = 0; i < r->n * nx; i++)
        TRY(ckks_cheb(&t[i], &t[i], p->tanh.c, p->tanh.degree));
    bert_see(r, "pooled", nx, t);
    TRY(bert_apply_maps(logits, 1, r, t, &classifier, 1, 1));
    bert_see(r, "logits", 1, logits);
    TRY(bert_stage(r, NULL));
out:
    bert_fold_head_free(&w);
    bert_cts_free(t, r->n * nx);
    return st;
}

static int all_layers(struct ckks_ct *logits, struct bert_run *r, struct ckks_ct *y)
{
    int st = THOR_OK, layers = r->srv->plan->layers;
    for (r->l = 0; r->l < layers; r->l++) {
        r->p = &r->srv->plan->layer[r->l];
        r->v = &r->srv->level[r->l];
        r->boot_y[0] = r->p->boot_y1;
        r->boot_y[1] = r->l + 1 < layers && r->p[1].boot_y;
        TRY((r->recorded ? bert_recorded_layer : bert_layer)(y, r));
    }
    r->v = &r->srv->level[r->l];
    st = head(logits, r, y);
out:
    return st;
}

int bert_server_forward_group(struct ckks_ct *logits, struct bert_server *s,
                              const struct ckks_ct *const *in, int n,
                              const struct bert_hooks *hooks)
{
    int st = THOR_OK, nx = s->shape.nx;
    struct bert_run r = {.srv = s, .cx = s->cx, .s = &s->shape, .in = in, .n = n};
    struct ckks_ct *y = bert_cts_new(n * nx);
    if (hooks)
        r.hooks = *hooks;
    if (n > 1)
        r.hooks.see = NULL;
    r.vec = malloc(2 * (size_t)bert_shape_slots(&s->shape) * sizeof *r.vec);
    if (!y || !r.vec)
        TRY(thor_fail(THOR_MEMORY, "no memory for a forward pass"));
    for (int i = 0; i < n * nx; i++)
        TRY(ckks_copy(&y[i], &in[i / nx][i % nx]));
    TRY(bert_recorded_begin(&r));
    st = all_layers(logits, &r, y);
out:
    bert_cts_free(y, n * nx);
    free(r.vec);
    return st;
}

int bert_server_forward(struct ckks_ct *logits, struct bert_server *s, const struct ckks_ct *in,
                        const struct bert_hooks *hooks)
{
    return bert_server_forward_group(logits, s, &in, 1, hooks);
}
