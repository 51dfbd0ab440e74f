/* The steps that layers are made of (circuit.h): stages, maps, sums, splits, bootstraps. */
#include <math.h>
#include <stdlib.h>

#include "bert/circuit.h"

struct ckks_ct *bert_cts_new(int n) {
    struct ckks_ct *x = calloc((size_t)n, sizeof *x);
    if (!x) thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", n);
    return x;
}

void bert_cts_free(struct ckks_ct *x, int n) {
    for (int i = 0; x && i < n; i++) ckks_ct_free(&x[i]);
    free(x);
}

// of a group: qkv, dense, ffn1, gelu, ffn2 and the head come once for all
static int all_stages(const struct bert_run *r) {
    int shared = 5 * r->srv->plan->layers + 1;
    return shared + r->n * (bert_server_stages(r->srv) - shared);
}

int bert_stage(struct bert_run *r, const char *stage) {
    const struct bert_hooks *h = &r->hooks;
    if (r->stage) {
        r->done++;
        if (h->end) h->end(h->ctx, r->stage_layer, r->stage);
        if (h->progress) h->progress(h->ctx, r->done, all_stages(r));
    }
    r->stage = stage;
    r->stage_layer = r->l;
    if (!stage) return THOR_OK;
    if (h->begin) h->begin(h->ctx, r->l, stage);
    return h->stop ? h->stop(h->ctx) : THOR_OK;
}

void bert_see(struct bert_run *r, enum bert_node node, int n, const struct ckks_ct *x) {
    for (int i = 0; r->hooks.see && i < n; i++) r->hooks.see(r->hooks.ctx, r->l, node, i, &x[i]);
}

int bert_sum_steps(struct ckks_ct *x, int step, int times) {
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

int bert_split(struct ckks_ct *a, struct ckks_ct *b, const struct ckks_ct *z) {
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

// b, one number a feature, in the slots of output o of all maps; its period
static size_t spread(double *out, const struct bert_linear_map *m, int o, const double *b) {
    int which = o / m->outs, i = o % m->outs, first = m->only_first[which];
    return m->move == BERT_TO_INNER
               ? bert_spread_inner(out, m->shape, i, b, first)
               : bert_spread_outer(out, m->shape, i, b, m->map[which]->out, first);
}

// the bias of output o of all maps, times scale; its period: one token, all with one of token 0
static size_t spread_bias(double *out, const struct bert_linear_map *m, int o, double scale) {
    const struct bert_map *f = m->map[o / m->outs];
    size_t n = spread(out, m, o, f->first ? f->first : f->b), tokens = 1;
    for (; f->first && tokens < (size_t)m->shape->tokens; tokens++)
        spread(out + tokens * n, m, o, f->b);
    n *= tokens;
    for (size_t k = 0; k < n; k++) out[k] *= scale;
    return n;
}

static int add_bias(struct ckks_ct *x, struct bert_run *r, const struct bert_linear_map *m, int o) {
    int a, b;
    double scale = bert_map_lanes(&a, &b, m, o), *im = r->vec + bert_shape_slots(r->s);
    size_t period = spread_bias(r->vec, m, a, scale);
    if (b >= 0) spread_bias(im, m, b, scale);
    return ckks_add_plain(x, x, r->vec, b >= 0 ? im : NULL, period);
}

int bert_apply_linear(struct ckks_ct *x, int step, const struct bert_run *r,
                      const struct ckks_ct *in, int in_step, struct ckks_linear *t, int level) {
    int st = THOR_OK, ins = r->n * t->inputs, outs = r->n * t->outputs;
    struct ckks_ct *low = bert_cts_new(ins + outs), *out = low + ins;
    const struct ckks_ct **at = low ? calloc((size_t)ins, sizeof *at) : NULL;
    if (!at) TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", ins));
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
                      struct bert_linear_map *m, int maps, int level) {
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
                    struct bert_linear_map *m, int maps, int level) {
    int st = THOR_OK;
    TRY(bert_apply_paired(x, step, r, in, m, maps, level));
    int half = (m->total + 1) / 2;
    for (int i = 0; m->paired && i < r->n; i++, x += step)
        for (int o = 0; o < half; o++)
            TRY(bert_split(&x[o], o + half < m->total ? &x[o + half] : NULL, &x[o]));
out:
    return st;
}

static int bootstrap(struct ckks_ct *x, const struct bert_run *r, enum bert_node node, int real) {
    int st = THOR_OK;
    const struct ckks_boot *by = r->srv->boot[bert_boot_rule(r->s, node).by];
    TRY((real ? ckks_bootstrap_real : ckks_bootstrap)(x, x, by));
    TRY(ckks_adjust(x, x, r->v->out[node]));
out:
    return st;
}

int bert_refresh_pair(struct ckks_ct *x, struct ckks_ct *other, const struct bert_run *r,
                      enum bert_node node) {
    int st = THOR_OK;
    struct ckks_ct z = {0};
    if (!other) {
        TRY(bootstrap(x, r, node, 1));
        return ckks_add(x, x, x);
    }
    TRY(ckks_mul_i(&z, other, 1));
    TRY(ckks_add(&z, &z, x));
    TRY(bootstrap(&z, r, node, 0));
    TRY(bert_split(x, other, &z));
out:
    ckks_ct_free(&z);
    return st;
}

int bert_refresh(struct bert_run *r, enum bert_node node, struct ckks_ct *x, int n, int mult) {
    int st = THOR_OK;
    const struct bert_boot_rule b = bert_boot_rule(r->s, node);
    if (!r->p->boot[node]) return THOR_OK;
    TRY(bert_stage(r, b.stage));
    for (int i = 0; i < n; i += 1 + b.lanes)
        TRY(b.lanes ? bert_refresh_pair(&x[i], i + 1 < n ? &x[i + 1] : NULL, r, node)
                    : bootstrap(&x[i], r, node, 0));
    for (int i = 0; i < n && mult > 1; i++) TRY(ckks_mul_int(&x[i], &x[i], mult));
out:
    return st;
}

int bert_state_mult(const struct bert_shape *s) {
    return (int)ceil(sqrt(s->hidden) / 8);
}

enum { MOST_PRODUCTS = 120 }; /* in one sum: ckks_dot */

int bert_add_products(struct ckks_sum *sum, const struct ckks_ct *const x[],
                      const struct ckks_ct *const y[], int n, int by) {
    int st = THOR_OK;
    for (int i = 0; i < n; i += MOST_PRODUCTS)
        TRY(ckks_sum_add(sum, x + i, y + i, n - i < MOST_PRODUCTS ? n - i : MOST_PRODUCTS, by));
out:
    return st;
}
