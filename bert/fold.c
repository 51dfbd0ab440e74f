#include "bert/fold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/causal.h"
#include "bert/polyfit.h"

#define STAND_IN 1.25 /* of the least variance, in each of two features: half of its own */

static struct bert_map take_map(double **at, int in, int out, int causal) {
    struct bert_map f = {in, out, *at, *at + (size_t)in * (size_t)out, NULL};
    *at = f.b + out;
    if (causal) f.first = *at;
    *at += causal ? out : 0;
    return f;
}

static size_t map_size(int in, int out, int causal) {
    return ((size_t)in + 1 + (size_t)causal) * (size_t)out;
}

// f = scale (W (gamma x + beta) + b); norm NULL: gamma 1, beta 0
static void fold_map(struct bert_map *f, const struct bert_linear *l, const struct bert_norm *norm,
                     double scale, double scale_b) {
    for (int o = 0; o < f->out; o++) {
        const float *row = l->w + (size_t)o * (size_t)f->in;
        double *to = f->w + (size_t)o * (size_t)f->in, b = l->b[o];
        for (int i = 0; i < f->in; i++) {
            to[i] = scale * row[i] * (norm ? (double)norm->gamma[i] : 1);
            b += norm ? (double)row[i] * norm->beta[i] : 0;
        }
        f->b[o] = scale_b * b;
    }
}

// every column of w, and b, less its mean
static void centre_map(struct bert_map *f) {
    for (int i = 0; i <= f->in; i++) {
        double *col = i < f->in ? f->w + i : f->b, mean = 0;
        size_t step = i < f->in ? (size_t)f->in : 1;
        for (int o = 0; o < f->out; o++) mean += col[(size_t)o * step] / f->out;
        for (int o = 0; o < f->out; o++) col[(size_t)o * step] -= mean;
    }
}

// residual of half `i`: gamma of the LayerNorm before it into res, its beta into the bias of the
// map it joins
static void fold_residual(struct bert_folded_layer *f, int i, struct bert_map *into,
                          const struct bert_norm *norm, double scale) {
    for (int o = 0; o < into->out; o++) {
        f->res[i][o] = scale * (norm ? (double)norm->gamma[o] : 1);
        into->b[o] += scale * (norm ? (double)norm->beta[o] : 0);
    }
    centre_map(into);
}

static void fold_polynomials(struct bert_folded_layer *f, const struct bert_layer_plan *p,
                             const struct bert_shape *s) {
    for (int k = 0; k <= p->exp.degree; k++) f->exp_c[k] = p->inv[0].sigma * p->exp.c[k];
    for (int i = 0; i < 2; i++) {
        const struct bert_poly *r = &p->rsqrt[i];
        double scale = 1 / p->xc_scale[i] / bert_root_mult(s, p, i);
        f->norm_sub[i] = (r->hi + r->lo) / (r->hi - r->lo);
        for (int k = 0; k <= r->degree; k++) f->rsqrt_c[i][k] = scale * r->c[k];
    }
}

static int layer_new(struct bert_folded_layer *f, const struct bert_config *c, int tokens) {
    const int H = c->hidden, F = c->ffn, causal = bert_is_causal(c);
    size_t n = 4 * map_size(H, H, causal) + map_size(H, F, causal) + map_size(F, H, causal) +
               (size_t)(2 * H + 3 * c->heads + tokens + 1);
    double *at = f->block = malloc(n * sizeof *at);
    if (!at) return thor_fail(THOR_MEMORY, "no memory to fold a layer of %zu weights", n);
    f->q = take_map(&at, H, H, causal);
    f->k = take_map(&at, H, H, causal);
    f->v = take_map(&at, H, H, causal);
    f->o = take_map(&at, H, H, causal);
    f->ffn1 = take_map(&at, H, F, causal);
    f->ffn2 = take_map(&at, F, H, causal);
    f->res[0] = at;
    f->res[1] = at + H;
    for (int i = 0; i < 3; i++) f->score_add[i] = at + 2 * H + i * c->heads;
    if (!causal) return THOR_OK;
    f->row_add = f->score_add[2] + c->heads;
    f->tokens = tokens;
    return THOR_OK;
}

static void fold_scores(struct bert_folded_layer *f, const struct bert_layer_plan *p, int heads,
                        int hd) {
    static const int example[3][2] = {{2, 2}, {2, 1}, {2, 0}}; // query and key of each kind
    for (int h = 0; h < heads; h++) {
        size_t at = (size_t)(h * hd);
        for (int i = 0; i < 3; i++) {
            double s = p->previous[h] > 0 ? bert_previous_score(p, h, example[i][0], example[i][1])
                                          : -p->shift[h];
            f->score_add[i][h] = (2 * s - p->exp.lo - p->exp.hi) / (p->exp.hi - p->exp.lo);
        }
        if (p->previous[h] > 0) {
            memset(f->q.w + at * (size_t)f->q.in, 0, (size_t)(hd * f->q.in) * sizeof *f->q.w);
            memset(f->q.b + at, 0, (size_t)hd * sizeof *f->q.b);
        }
    }
}

// scores: what rows add, and what stands for keys behind the query
static void fold_rows(struct bert_folded_layer *f, const struct bert_layer_plan *p) {
    for (int t = 0; f->row_add && t < f->tokens; t++)
        f->row_add[t] = 2 * bert_row_shift(f->tokens, t) / (p->exp.hi - p->exp.lo);
    if (f->row_add) f->row_add[f->tokens] = -1;
}

// Wo, FFN and residuals
static void fold_halves(struct bert_folded_layer *f, const struct bert_model *m,
                        const struct bert_norm *before, const struct bert_plan *p, int l) {
    const struct bert_layer *w = &m->layer[l];
    const struct bert_layer_plan *lp = &p->layer[l];
    const struct bert_inverse *last = &lp->inv[lp->rounds];
    const struct bert_norm *inner = p->shape.causal ? &w->ln2 : &w->ln1;
    const double x1 = bert_join_scale(p, l, 0), x2 = bert_join_scale(p, l, 1);
    fold_map(&f->o, &w->o, NULL, x1 * last->scale / last->sigma, x1);
    fold_map(&f->ffn1, &w->ffn1, inner, 1 / lp->gelu_r, 1 / lp->gelu_r);
    fold_map(&f->ffn2, &w->ffn2, NULL, x2, x2);
    if (p->shape.causal) {
        fold_residual(f, 0, &f->o, NULL, x1 / lp->xc_scale[0]);
        fold_residual(f, 1, &f->ffn2, NULL, x2 / x1);
    } else {
        fold_residual(f, 0, &f->o, before, x1);
        fold_residual(f, 1, &f->ffn2, inner, x2);
    }
}

/* ---- the stand-in for token 0 of a causal model (fold.h) ---- */

// x[hidden], which LayerNorm `which` of layer l takes; 0 behind the last
static void stand_in(double *x, const struct bert_plan *p, const struct bert_shape *s, int l,
                     int which) {
    memset(x, 0, (size_t)s->hidden * sizeof *x);
    if (l == p->layers) return;
    const struct bert_layer_plan *lp = &p->layer[l];
    x[0] = lp->xc_scale[which] * sqrt(STAND_IN * lp->var_lo[which] * s->hidden);
    x[(s->columns < s->hidden ? s->columns : s->hidden) - 1] = -x[0];
}

// y = what the LayerNorm makes of it
static void norm_stand_in(double *y, const struct bert_folded_layer *f, const double *x,
                          const struct bert_plan *p, const struct bert_shape *s, int l, int which) {
    const struct bert_layer_plan *lp = &p->layer[l];
    double u = -f->norm_sub[which];
    for (int i = 0; i < s->hidden; i++) u += x[i] * x[i];
    const double r = bert_cheb_eval(f->rsqrt_c[which], lp->rsqrt[which].degree, u) *
                     bert_root_mult(s, lp, which);
    for (int i = 0; i < s->hidden; i++) y[i] = r * x[i];
}

// the bias with which x becomes `want`, or 0 where that is NULL
static void set_first(struct bert_map *f, const double *want, const double *x) {
    for (int o = 0; o < f->out; o++) {
        const double *w = f->w + (size_t)o * (size_t)f->in;
        f->first[o] = want ? want[o] : 0;
        for (int i = 0; i < f->in; i++) f->first[o] -= w[i] * x[i];
    }
}

static int fold_public(struct bert_folded_layer *f, const struct bert_model *m,
                       const struct bert_plan *p, const struct bert_shape *s, int l) {
    int st = THOR_OK;
    const int H = s->hidden, F = s->ffn;
    const struct bert_layer_plan *lp = &p->layer[l];
    double *x = malloc((size_t)(5 * H + F) * sizeof *x), *y, *k, *v, *next, *g;
    if (!x) return thor_fail(THOR_MEMORY, "no memory for the states of token 0");
    y = x + H, k = y + H, v = k + H, next = v + H, g = next + H;
    TRY(bert_public_stream(x, m, l));
    bert_public_key(k, v, m, l, x);
    for (int i = 0; i < H; i++) k[i] -= lp->delta[i];
    stand_in(x, p, s, l, 0);
    norm_stand_in(y, f, x, p, s, l, 0);
    set_first(&f->q, NULL, y);
    set_first(&f->k, k, y);
    set_first(&f->v, v, y);
    stand_in(next, p, s, l, 1);
    for (int i = 0; i < H; i++) f->o.first[i] = next[i] - f->res[0][i] * x[i];
    norm_stand_in(y, f, next, p, s, l, 1);
    set_first(&f->ffn1, NULL, y);
    for (int i = 0; i < F; i++) g[i] = bert_cheb_eval(lp->gelu.c, lp->gelu.degree, -1);
    stand_in(x, p, s, l + 1, 0);
    for (int i = 0; i < H; i++) x[i] -= f->res[1][i] * next[i];
    set_first(&f->ffn2, x, g);
out:
    free(x);
    return st;
}

int bert_fold_layer(struct bert_folded_layer *f, const struct bert_model *m,
                    const struct bert_plan *p, const struct bert_shape *s, int layer) {
    int st = THOR_OK;
    const struct bert_layer *w = &m->layer[layer];
    const struct bert_layer_plan *lp = &p->layer[layer];
    const struct bert_norm *before = layer ? &m->layer[layer - 1].ln2 : NULL;
    int hd = m->cfg.hidden / m->cfg.heads;
    double q = ldexp(2 / (sqrt(hd) * (lp->exp.hi - lp->exp.lo)), -lp->rounds);
    if (p->shape.causal) before = &w->ln1;
    *f = (struct bert_folded_layer){0};
    if (layer_new(f, &m->cfg, p->tokens) != THOR_OK) return THOR_MEMORY;
    fold_map(&f->q, &w->q, before, q, q);
    fold_map(&f->k, &w->k, before, 1, 1);
    fold_map(&f->v, &w->v, before, 1, 1);
    for (int i = 0; i < m->cfg.hidden; i++) f->k.b[i] -= lp->delta[i];
    fold_scores(f, lp, m->cfg.heads, hd);
    fold_rows(f, lp);
    fold_halves(f, m, before, p, layer);
    fold_polynomials(f, lp, &p->shape);
    if (p->shape.causal) TRY(fold_public(f, m, p, s, layer));
out:
    return st;
}

void bert_fold_layer_free(struct bert_folded_layer *f) {
    free(f->block);
    *f = (struct bert_folded_layer){0};
}

int bert_fold_head(struct bert_folded_head *f, const struct bert_model *m,
                   const struct bert_plan *p) {
    const struct bert_config *c = &m->cfg;
    size_t n = map_size(c->hidden, c->hidden, 0) + map_size(c->hidden, c->labels, 0);
    double *at = f->block = malloc(n * sizeof *at);
    if (!at) return thor_fail(THOR_MEMORY, "no memory to fold a head of %zu weights", n);
    f->pooler = take_map(&at, c->hidden, c->hidden, 0);
    f->classifier = take_map(&at, c->hidden, c->labels, 0);
    fold_map(&f->pooler, &m->pooler, &m->layer[c->layers - 1].ln2, 1 / p->tanh_r, 1 / p->tanh_r);
    fold_map(&f->classifier, &m->classifier, NULL, 1, 1);
    return THOR_OK;
}

void bert_fold_head_free(struct bert_folded_head *f) {
    free(f->block);
    *f = (struct bert_folded_head){0};
}

int bert_first_state(double *x, int *rows, const struct bert_model *m, const struct bert_plan *p,
                     const struct bert_shape *s, const struct bert_tokens *tok) {
    int st = THOR_OK;
    struct bert_tokens full;
    *rows = tok->n;
    if (!p->shape.causal) return bert_embed(x, m, tok);
    if (tok->ids[0] != m->cfg.first_token)
        TRY(thor_fail(THOR_INPUT, "the text begins with token %d: put token %d before it",
                      tok->ids[0], m->cfg.first_token));
    bert_gpt2_fill(&full, tok, p->tokens);
    *rows = full.n;
    TRY(bert_embed(x, m, &full));
    if (m->before) TRY(bert_causal_layers(x, m, full.n, -m->before, 0));
    bert_centre(x, full.n, m->cfg.hidden);
    for (int i = 0; i < full.n * m->cfg.hidden; i++) x[i] *= p->layer[0].xc_scale[0];
    stand_in(x, p, s, 0, 0);
out:
    return st;
}

int bert_final_state(double *y, const struct bert_model *m, int rows) {
    int st = THOR_OK;
    const int H = m->cfg.hidden, causal = bert_is_causal(&m->cfg), n = m->cfg.layers;
    const struct bert_norm *g = &m->layer[n - 1].ln2;
    for (int i = 0; i < rows * H; i++)
        y[i] = causal ? y[i] / BERT_LAST_SCALE : y[i] * g->gamma[i % H] + g->beta[i % H];
    if (!causal) return THOR_OK;
    TRY(bert_public_stream(y, m, n));
    bert_centre(y, 1, H);
    if (!m->after) return THOR_OK;
    TRY(bert_causal_layers(y, m, rows, n, n + m->after));
    bert_centre(y, rows, H);
out:
    return st;
}
