/* How many texts will leave the ranges: a fifth of the texts is left out, the others are calibrated
 * on and planned from, and each text left out runs through the plain model.  It leaves the ranges
 * when a value lies outside the interval of the polynomial or the iteration that takes it.
 *
 * Fifths are taken until 60 texts are judged or all are: one of 300 texts and more, all five of
 * sixty and fewer.  Every fifth text belongs to one fifth, so that a sorted table is cut evenly. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/causal.h"
#include "bert/plan.h"
#include "bert/reference.h"
#include "bert/windows.h"

#define FIFTHS 5
#define JUDGED 60
#define SLACK 1e-4 /* of an interval, as in approx.c */

struct judge { /* of one text */
    const struct bert_plan *p;
    double *q; /* queries of the layer at hand, tokens x hidden */
    int outside;
};

struct part { /* the texts of a calibration without one fifth */
    const char **text, **pair;
    int n;
};

static void want(struct judge *j, const double *x, int n, double lo, double hi) {
    double slack = SLACK * (hi - lo);
    for (int i = 0; i < n; i++) j->outside |= !(x[i] >= lo - slack && x[i] <= hi + slack);
}

// scores on the interval of exp, denominators in [e, 1], both less the shift of their row
static void judge_scores(struct judge *j, const struct bert_layer_plan *p, const double *s, int n) {
    const struct bert_shape *g = &j->p->shape;
    for (int row = 0; row < g->heads * n; row++, s += n) {
        int h = row / n, keys = g->causal ? row % n + 1 : n;
        if (p->previous[h] > 0) continue;        // a pattern that the plan knows
        if (g->causal && row % n == 0) continue; // the public token
        const double *q = j->q + (size_t)(row % n) * (size_t)g->hidden + h * g->head_size;
        double f = ldexp(p->shift[h], p->rounds), sum = 0;
        for (int k = 0; k < g->head_size; k++)
            f += q[k] * p->delta[h * g->head_size + k] / sqrt(g->head_size);
        if (g->causal) f -= ldexp(bert_row_shift(n, row % n), p->rounds);
        want(j, s, keys, ldexp(p->exp.lo, p->rounds) + f, ldexp(p->exp.hi, p->rounds) + f);
        for (int k = 0; k < keys; k++) sum += exp(ldexp(s[k] - f, -p->rounds));
        sum *= bert_mask_value(n);
        want(j, &sum, 1, p->inv[0].e, 1);
    }
}

static void judge_windows(struct judge *j, const struct bert_poly *f, const double *x, int rows) {
    const struct bert_shape *s = &j->p->shape;
    double w[2] = {INFINITY, 0};
    if (!s->packing->windows) return;
    bert_windows(&w[0], &w[1], x, rows, s->hidden, s->columns);
    want(j, w, 2, f->lo, f->hi);
}

static void judge_tensor(void *ctx, int layer, const char *name, const double *x, int rows,
                         int cols) {
    struct judge *j = ctx;
    const struct bert_tensor *t = bert_tensor_called(name);
    const int in_head = layer == j->p->layers, first = j->p->shape.causal;
    if (!t || layer < 0 || (in_head && j->p->at_client)) return;
    const struct bert_layer_plan *p = in_head ? NULL : &j->p->layer[layer];
    const double most = in_head ? j->p->tanh_r : p->gelu_r;
    const int n = (rows - first) * cols; // all but the public token
    switch (t->measure) {
    case BERT_UNMEASURED:
        break;
    case BERT_QUERIES:
        memcpy(j->q, x, (size_t)rows * (size_t)cols * sizeof *x);
        break;
    case BERT_SCORES:
        judge_scores(j, p, x, cols);
        break;
    case BERT_WINDOWS:
        judge_windows(j, &p->rsqrt[t->which], x + first * cols, rows - first);
        break;
    case BERT_VARIANCES:
        want(j, x + first, n, p->var_lo[t->which], p->var_hi[t->which]);
        break;
    case BERT_MOST:
        want(j, x + first * cols, n, -most, most);
        break;
    }
}

int bert_plan_leaves(int *leaves, const struct bert_model *m, const struct bert_plan *p,
                     const struct bert_tokens *t) {
    struct judge j = {.p = p};
    const struct bert_trace trace = {judge_tensor, &j};
    struct bert_tokens full = *t;
    if (p->shape.causal) bert_gpt2_fill(&full, t, p->tokens);
    j.q = malloc((size_t)full.n * (size_t)m->cfg.hidden * sizeof *j.q);
    if (!j.q) return thor_fail(THOR_MEMORY, "no memory for the queries of %d tokens", t->n);
    int st = bert_forward(NULL, m, &full, &trace);
    free(j.q);
    *leaves = j.outside;
    return st;
}

// the plan of all texts but each FIFTHS-th from `fifth` on
static int plan_without(struct bert_plan **out, const struct bert_model *m, struct part *to,
                        const char *const *texts, const char *const *pairs, int n, int tokens,
                        int fifth) {
    int st = THOR_OK;
    struct bert_ranges *r = NULL;
    to->n = 0;
    for (int i = 0; i < n; i++)
        if (i % FIFTHS != fifth) {
            to->text[to->n] = texts[i];
            to->pair[to->n++] = pairs ? pairs[i] : NULL;
        }
    TRY(bert_calibrate(&r, m, to->text, to->pair, to->n, tokens));
    TRY(bert_plan_new(out, m, r, tokens));
out:
    bert_ranges_free(r);
    return st;
}

static int judge_fifth(struct bert_left_out *out, const struct bert_model *m,
                       const struct bert_plan *p, const char *const *texts,
                       const char *const *pairs, int n, int fifth) {
    int judged = 0, outside = 0, failed = 0;
#pragma omp parallel for schedule(dynamic) reduction(+ : judged, outside, failed)
    for (int i = fifth; i < n; i += FIFTHS) {
        int leaves = 0;
        struct bert_tokens *t = malloc(sizeof *t);
        int st =
            t ? bert_tokenize(t, m, texts[i], pairs ? pairs[i] : NULL, p->tokens) : THOR_MEMORY;
        if (st == THOR_OK) st = bert_plan_leaves(&leaves, m, p, t);
        judged += st == THOR_OK;
        outside += leaves;
        failed += st != THOR_OK && st != THOR_INPUT; // what is no text is left out
        free(t);
    }
    out->texts += judged;
    out->outside += outside;
    return failed ? thor_fail(THOR_MEMORY, "no memory to judge %d texts", n) : THOR_OK;
}

int bert_leave_out(struct bert_left_out *out, const struct bert_model *m, const char *const *texts,
                   const char *const *pairs, int n, int tokens) {
    int st = THOR_OK;
    struct part part = {calloc((size_t)n + 1, sizeof *part.text),
                        calloc((size_t)n + 1, sizeof *part.pair), 0};
    *out = (struct bert_left_out){0};
    if (!part.text || !part.pair) TRY(thor_fail(THOR_MEMORY, "no memory for %d texts", n));
    for (int fifth = 0; fifth < FIFTHS && fifth < n && out->texts < JUDGED; fifth++) {
        struct bert_plan *p = NULL;
        st = plan_without(&p, m, &part, texts, pairs, n, tokens, fifth);
        if (st == THOR_OK) st = judge_fifth(out, m, p, texts, pairs, n, fifth);
        bert_plan_free(p);
        if (st == THOR_MODEL || st == THOR_INPUT)
            st = THOR_OK; // the others give no plan: nothing is said of this fifth
        TRY(st);
    }
out:
    free(part.text);
    free(part.pair);
    return st;
}
