/* Every stage of an encrypted forward against the plain model.
 *
 * The plain tensors are kept in such form that a decrypted value times one unit is one of them
 * (nodes.h has their names and where they lie):
 *   q                 unit sqrt(hd) (hi - lo)/2 of exp, times 2^rounds;    k minus delta, v: 1
 *                     q over bert_boot_scale of scores, v over bert_value_scale
 *   scores            (of a head with previous > 0: q is 0, s the pattern of plan.h)
 *                     z - (lo + hi)/2, z = (s - delta.q/sqrt(hd))/2^rounds - c_h; unit (hi - lo)/2
 *   exp               exp(z) times the mask's value, shown without rounds, which leave the scale of
 *                     a row to the last 1/d; unit 1/(sigma t_1), columns
 *                     shape, whose mask comes with v, times the mask's value
 *   context           unit scale/(sigma t_1);     of a head with previous > 0, that of the pattern
 *   x1, x2            less the mean of the row;                unit 1/bert_join_scale
 *   y0, y1, y2        x over the standard deviation
 *   input of GELU     gelu_r;    GELU, pooled, logits: 1
 * Only rows and keys of tokens are compared, and pooled at token 0.  Token 0 of a causal model, for
 * which something stands in, has its true key and value, and nothing else is compared.
 *
 * Bounds.  acc = 2^-12 for the engine's noise, plus the stated errors of the polynomials of all
 * nodes up to this one; bound = 8 acc max(1, size): 8 leaves room for what the weights amplify.  A
 * wrong slot, scale or key gives an error of the tensor's size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/causal.h"
#include "bert/circuit.h"
#include "bert/reference.h"

#define NOISE 0x1p-12
#define GROWTH 8

struct tensor {
    int rows, cols;
    double unit, acc, size, *x; /* x: NULL where none is kept */
};

struct bert_compare {
    const struct bert_model *m;
    const struct bert_plan *p;
    struct bert_shape s;
    struct tensor *t; /* (layers + 1) x BERT_TENSORS */
    int st;
    void (*pair)(void *ctx, double got, double want);
    void *ctx;
};

static struct tensor *tensor_at(const struct bert_compare *c, int layer, enum bert_node node) {
    return &c->t[layer * BERT_TENSORS + (int)node];
}

// what the polynomial of a node leaves in all that follows
static double error_of(const struct bert_layer_plan *p, const struct bert_node_row *row, int node) {
    int k;
    const enum bert_node of = bert_which_sums(&k, (enum bert_node)node);
    if (of == BERT_E) return ldexp(row->fit.err, p->rounds);
    return of == BERT_A && k < p->rounds ? 0 : row->fit.err; // the next sum takes it up
}

static void set_errors(struct bert_compare *c) {
    struct bert_node_row row[BERT_NODES];
    double acc = NOISE;
    for (int l = 0; l < c->p->layers; l++) {
        const struct bert_layer_plan *p = &c->p->layer[l];
        bert_nodes_set(row, p, &c->s);
        for (int i = 0; i < BERT_NODES; i++)
            tensor_at(c, l, i)->acc = acc += error_of(p, &row[i], i);
    }
    acc += c->p->tanh.err;
    for (int i = BERT_POOLED; i < BERT_TENSORS; i++) tensor_at(c, c->p->layers, i)->acc = acc;
}

// what a slot is multiplied by to be the plain value
static double unit_of(const struct bert_compare *c, int layer, enum bert_node node, int tokens) {
    if (layer == c->p->layers) return 1;
    const struct bert_layer_plan *p = &c->p->layer[layer];
    const struct bert_inverse *last = &p->inv[p->rounds];
    const double half = (p->exp.hi - p->exp.lo) / 2, pair = bert_pair_scale(p, p->rounds);
    switch (node) {
    case BERT_Q:
        return ldexp(sqrt(c->s.head_size) * half, p->rounds) /
               bert_boot_scale(&c->s, p->boot[BERT_U], 1);
    case BERT_V:
        return 1 / bert_value_scale(&c->s);
    case BERT_U:
        return half;
    case BERT_E:
        return (c->s.packing->mask.p ? 1 : bert_mask_value(tokens)) / (last->sigma * pair);
    case BERT_CA:
        return last->scale / (last->sigma * pair);
    case BERT_X1:
    case BERT_X2:
        return 1 / bert_join_scale(c->p, layer, node == BERT_X2);
    case BERT_W:
        return p->gelu_r;
    default:
        return 1;
    }
}

// a copy of x as the plain tensor of a node; NULL without memory
static double *keep(struct bert_compare *c, int layer, enum bert_node node, const double *x,
                    int rows, int cols) {
    struct tensor *t = tensor_at(c, layer, node);
    size_t n = (size_t)rows * (size_t)cols;
    t->rows = rows;
    t->cols = cols;
    t->unit = unit_of(c, layer, node, cols);
    t->x = malloc(n * sizeof *t->x);
    if (t->x)
        memcpy(t->x, x, n * sizeof *x);
    else
        c->st = THOR_MEMORY;
    return t->x;
}

// the first row that is compared
static int first_row(const struct bert_compare *c, enum bert_node node) {
    return c->s.causal && node != BERT_K && node != BERT_V;
}

// the kept tensor has its final form
static void measure(struct bert_compare *c, int layer, enum bert_node node) {
    struct tensor *t = tensor_at(c, layer, node);
    for (int i = first_row(c, node) * t->cols; i < t->rows * t->cols; i++)
        t->size = fmax(t->size, fabs(t->x[i]));
}

static int is_hidden(const struct bert_compare *c, int query, int key) {
    return c->s.causal && bert_hides(query, key);
}

// z of head a, query i, and the same through exp
static void see_scores(struct bert_compare *c, int layer, const double *x, int rows, int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    int hd = c->s.head_size;
    double *s = keep(c, layer, BERT_U, x, rows, cols), *e = keep(c, layer, BERT_E, x, rows, cols);
    const struct tensor *q = tensor_at(c, layer, BERT_Q);
    if (!s || !e) return;
    for (int r = 0; r < rows; r++) {
        const double *qr = q->x + (size_t)(r % cols) * (size_t)q->cols + r / cols * hd;
        double f = 0;
        for (int k = 0; k < hd; k++) f += qr[k] * p->delta[r / cols * hd + k] / sqrt(hd);
        for (int k = 0; k < cols; k++) {
            double z = p->previous[r / cols] > 0
                           ? bert_previous_score(p, r / cols, r % cols, k)
                           : ldexp(x[r * cols + k] - f, -p->rounds) - p->shift[r / cols];
            if (c->s.causal) z += bert_row_shift(cols, r % cols);
            if (is_hidden(c, r % cols, k)) z = (p->exp.lo + p->exp.hi) / 2; // not compared
            s[r * cols + k] = z - (p->exp.lo + p->exp.hi) / 2;
            e[r * cols + k] = bert_mask_value(cols) * exp(z);
        }
    }
    measure(c, layer, BERT_U);
    measure(c, layer, BERT_E);
}

// y = LayerNorm of x, rows x cols without means, before gamma and beta
static void keep_norm(struct bert_compare *c, int layer, enum bert_node node, const double *x,
                      int rows, int cols) {
    double *y = keep(c, layer, node, x, rows, cols);
    for (int r = 0; y && r < rows; r++, x += cols, y += cols) {
        double var = 0;
        for (int k = 0; k < cols; k++) var += x[k] * x[k] / cols;
        for (int k = 0; k < cols; k++) y[k] = x[k] / sqrt(var + c->m->cfg.eps);
    }
    if (y) measure(c, layer, node);
}

// the context that the patterns of heads with previous > 0 give: x, rows x cols, in place
static void follow_patterns(const struct bert_compare *c, int layer, double *x, int rows,
                            int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    const struct tensor *v = tensor_at(c, layer, BERT_V);
    int hd = c->s.head_size;
    for (int h = 0; h < c->s.heads; h++)
        for (int r = 0; p->previous[h] > 0 && r < rows; r++) {
            double *to = x + (size_t)r * (size_t)cols + h * hd, sum = 0;
            memset(to, 0, (size_t)hd * sizeof *to);
            for (int key = 0; key < (c->s.causal ? r + 1 : rows); key++) {
                double e = exp(bert_previous_score(p, h, r, key));
                sum += e;
                for (int k = 0; k < hd; k++)
                    to[k] += e * v->x[(size_t)key * (size_t)cols + (size_t)(h * hd + k)];
            }
            for (int k = 0; k < hd; k++) to[k] /= sum;
        }
}

// what the encrypted forward has instead of the plain tensor x, in place
static void follow(const struct bert_compare *c, int layer, enum bert_node node, double *x,
                   int rows, int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    if (node == BERT_K)
        for (int i = 0; i < rows * cols; i++) x[i] -= p->delta[i % cols];
    if (node == BERT_Q)
        for (int i = 0; i < rows * cols; i++)
            x[i] = p->previous[i % cols / c->s.head_size] > 0 ? 0 : x[i];
    if (node == BERT_CA) follow_patterns(c, layer, x, rows, cols);
    if (node == BERT_Y || node == BERT_X1 || node == BERT_X2) bert_centre(x, rows, cols);
}

static void see(void *ctx, int layer, const char *name, const double *x, int rows, int cols) {
    struct bert_compare *c = ctx;
    const struct bert_tensor *t = bert_tensor_called(name);
    const enum bert_node node = t ? t->node[c->s.causal] : BERT_NONE;
    if (layer < 0 || c->st || node == BERT_NONE || t->measure == BERT_VARIANCES) return;
    if (t->measure == BERT_SCORES) see_scores(c, layer, x, rows, cols);
    if (c->st || tensor_at(c, layer, node)->x) return; // made from what came before
    double *to = keep(c, layer, node, x, rows, cols);
    if (!to) return;
    follow(c, layer, node, to, rows, cols);
    measure(c, layer, node);
    if (t->measure == BERT_WINDOWS)
        keep_norm(c, layer, bert_of_norm(&c->s, BERT_Y1, t->which), to, rows, cols);
}

int bert_compare_new(struct bert_compare **out, const struct bert_model *m,
                     const struct bert_plan *p, const struct bert_shape *s,
                     const struct bert_tokens *tok) {
    int st = THOR_OK;
    struct bert_compare *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) TRY(thor_fail(THOR_MEMORY, "no memory to compare stages"));
    *c = (struct bert_compare){.m = m, .p = p, .s = *s};
    c->t = calloc(((size_t)p->layers + 1) * BERT_TENSORS, sizeof *c->t);
    if (!c->t) TRY(thor_fail(THOR_MEMORY, "no memory to compare stages"));
    set_errors(c);
    struct bert_tokens full = *tok;
    if (s->causal) bert_gpt2_fill(&full, tok, p->tokens);
    TRY(bert_forward(NULL, m, &full, &(struct bert_trace){see, c}));
    if (c->st) TRY(thor_fail(THOR_MEMORY, "no memory to compare stages"));
    *out = c;
    c = NULL;
out:
    bert_compare_free(c);
    return st;
}

void bert_compare_free(struct bert_compare *c) {
    if (!c) return;
    for (int i = 0; c->t && i < (c->p->layers + 1) * BERT_TENSORS; i++) free(c->t[i].x);
    free(c->t);
    free(c);
}

void bert_compare_watch(struct bert_compare *c, void (*pair)(void *ctx, double got, double want),
                        void *ctx) {
    c->pair = pair;
    c->ctx = ctx;
}

static void note(struct bert_compare_result *r, const struct bert_compare *c, double got,
                 double want) {
    double d = fabs(got - want);
    if (c->pair) c->pair(c->ctx, got, want);
    if (!(d <= r->err) && !isnan(r->err)) // NaN counts, and stays
        r->err = d;
}

static void compare_scores(struct bert_compare_result *r, const struct bert_compare *c,
                           const struct tensor *t, int index, const double *slots) {
    int n = t->cols, head, key;
    for (int k = 0; k < c->s.columns; k++)
        for (int i = 0; i < n; i++)
            if (bert_score_at(&head, &key, &c->s, index, k, i) == 1 && key < n &&
                !is_hidden(c, i, key))
                note(r, c, t->unit * slots[bert_slot(&c->s, BERT_INNER, k, 0, i)],
                     t->x[((size_t)head * (size_t)n + (size_t)i) * (size_t)n + (size_t)key]);
}

static void compare_state(struct bert_compare_result *r, const struct bert_compare *c,
                          const struct tensor *t, int first, enum bert_order by, int index,
                          const double *slots) {
    enum bert_layout at = by == BERT_BY_HEAD ? BERT_INNER : BERT_OUTER;
    for (int k = 0; k < c->s.columns; k++) {
        int f = bert_feature(&c->s, by, index, k);
        for (int i = first; i < t->rows && f < t->cols; i++)
            note(r, c, t->unit * slots[bert_slot(&c->s, at, k, 0, i)], t->x[i * t->cols + f]);
    }
}

int bert_compare_node(struct bert_compare_result *r, const struct bert_compare *c, int layer,
                      enum bert_node node, int index, const double *slots) {
    const struct bert_tensor *is = bert_tensor_of(&c->s, node);
    const struct tensor *t = tensor_at(c, layer, node);
    if (!is || !t->x)
        return thor_fail(THOR_INTERNAL, "layer %d has no plain tensor of node %d", layer, node);
    *r = (struct bert_compare_result){.size = t->size, .bound = GROWTH * t->acc * fmax(1, t->size)};
    if (is->order == BERT_BY_KEY)
        compare_scores(r, c, t, index, slots);
    else
        compare_state(r, c, t, first_row(c, node), is->order, index, slots);
    return THOR_OK;
}
