/* The steps that layers are made of (circuit.h): stages, maps, sums, splits, bootstraps. */
#include <math.h>
#include <stdlib.h>

#include "bert/circuit.h"

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
