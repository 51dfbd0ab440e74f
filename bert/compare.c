/* Every stage of an encrypted forward against the plain model.
 *
 * The plain tensors are kept in such form that a decrypted value times one unit is one of them:
 *   q                 unit sqrt(hd) (hi - lo)/2 of exp, times 2^rounds;    k minus delta, v: 1
 *                     q over bert_boot_scale of scores, v over bert_value_scale
 *   scores            (of a head with previous > 0: q is 0, s the pattern of plan.h)
 *                     z - (lo + hi)/2, z = (s - delta.q/sqrt(hd))/2^rounds - c_h; unit (hi - lo)/2
 *   probs             exp(z) times the mask's value, shown without rounds, which leave the scale of
 *                     a row to the last 1/d; unit 1/(sigma t_1), columns
 *                     shape, whose mask comes with v, times the mask's value
 *   context           unit scale/(sigma t_1);     of a head with previous > 0, that of the pattern
 *   ln1_in, ln2_in    less the mean of the row;                unit 1/xc_scale
 *   ln1, ln2          that over the standard deviation
 *   out               less the mean of the row;                unit 1/bert_join_scale
 *   ffn_in            gelu_r;    gelu, pooled, logits: 1
 * Only rows and keys of tokens are compared, and pooled at token 0.  Token 0 of a causal model, for
 * which something stands in, has its true key and value, and nothing else is compared.
 *
 * Bounds.  acc = 2^-12 for the engine's noise, plus the stated errors of all polynomials before
 * (exp.err, inv.err, rsqrt.err, gelu.err over its size, tanh.err); bound = 8 acc max(1, size): 8
 * leaves room for what the weights amplify.  A wrong slot, scale or key gives an error of the
 * tensor's size. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/causal.h"
#include "bert/circuit.h"
#include "bert/reference.h"

#define NOISE 0x1p-12
#define GROWTH 8

struct tensor {
    int layer, rows, cols;
    char stage[12];
    double unit, bound, size, *x;
};

struct bert_compare {
    const struct bert_model *m;
    const struct bert_plan *p;
    struct bert_shape s;
    struct tensor *t;
    int n, cap, st;
    double acc;
    void (*pair)(void *ctx, double got, double want);
    void *ctx;
};

static const struct tensor *find(const struct bert_compare *c, int layer, const char *stage) {
    for (int i = 0; i < c->n; i++)
        if (c->t[i].layer == layer && !strcmp(c->t[i].stage, stage)) return &c->t[i];
    return NULL;
}

static double *keep(struct bert_compare *c, int layer, const char *stage, const double *x, int rows,
                    int cols, double unit) {
    size_t n = (size_t)rows * (size_t)cols;
    if (c->n == c->cap) {
        int cap = 2 * c->cap + 32;
        struct tensor *t = realloc(c->t, (size_t)cap * sizeof *t);
        if (!t) return NULL;
        c->t = t;
        c->cap = cap;
    }
    struct tensor *t = &c->t[c->n];
    *t = (struct tensor){.layer = layer, .rows = rows, .cols = cols, .unit = unit};
    strncpy(t->stage, stage, sizeof t->stage - 1);
    t->x = malloc(n * sizeof *t->x);
    if (!t->x) return NULL;
    memcpy(t->x, x, n * sizeof *x);
    c->n++;
    return t->x;
}

// the first that is compared
static int first_row(const struct bert_compare *c, const struct tensor *t) {
    return c->s.causal && strcmp(t->stage, "k") != 0 && strcmp(t->stage, "v") != 0;
}

// sizes and bounds once the last kept tensor has its final form
static void close_tensor(struct bert_compare *c) {
    struct tensor *t = &c->t[c->n - 1];
    for (int i = first_row(c, t) * t->cols; i < t->rows * t->cols; i++)
        t->size = fmax(t->size, fabs(t->x[i]));
    t->bound = GROWTH * c->acc * fmax(1, t->size);
}

static void see_qkv(struct bert_compare *c, int layer, const char *stage, const double *x, int rows,
                    int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    double unit = 1;
    if (*stage == 'q')
        unit = ldexp(sqrt(c->s.head_size) * (p->exp.hi - p->exp.lo) / 2, p->rounds) /
               bert_boot_scale(&c->s, p->boot[BERT_U], 1);
    if (*stage == 'v') unit /= bert_value_scale(&c->s);
    double *to = keep(c, layer, stage, x, rows, cols, unit);
    for (int i = 0; to && *stage == 'k' && i < rows * cols; i++) to[i] -= p->delta[i % cols];
    for (int i = 0; to && *stage == 'q' && i < rows * cols; i++)
        to[i] = p->previous[i % cols / c->s.head_size] > 0 ? 0 : to[i];
    if (to)
        close_tensor(c);
    else
        c->st = THOR_MEMORY;
}

static int is_hidden(const struct bert_compare *c, int query, int key) {
    return c->s.causal && bert_hides(query, key);
}

// z of head a, query i, and the same through exp
static void see_scores(struct bert_compare *c, int layer, const double *x, int rows, int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    int hd = c->s.head_size;
    double *s = keep(c, layer, "scores", x, rows, cols, (p->exp.hi - p->exp.lo) / 2);
    double unit = (c->s.packing->mask.p ? 1 : bert_mask_value(cols)) /
                  (p->inv[p->rounds].sigma * bert_pair_scale(p, p->rounds));
    double *e = s ? keep(c, layer, "probs", x, rows, cols, unit) : NULL;
    const struct tensor *q = find(c, layer, "q");
    if (!e || !q) {
        c->st = THOR_MEMORY;
        return;
    }
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
    c->n--;
    close_tensor(c);
    c->n++;
    c->acc += ldexp(p->exp.err, p->rounds);
    close_tensor(c);
}

static void see_norm(struct bert_compare *c, int layer, int which, const double *x, int rows,
                     int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    double *a = keep(c, layer, which ? "ln2_in" : "ln1_in", x, rows, cols, 1 / p->xc_scale[which]);
    double *b = a ? keep(c, layer, which ? "ln2" : "ln1", x, rows, cols, 1) : NULL;
    if (!b) {
        c->st = THOR_MEMORY;
        return;
    }
    for (int r = 0; r < rows; r++) {
        double mean = 0, var = 0, *ra = a + r * cols;
        for (int k = 0; k < cols; k++) mean += ra[k] / cols;
        for (int k = 0; k < cols; k++) {
            ra[k] -= mean;
            var += ra[k] * ra[k] / cols;
        }
        for (int k = 0; k < cols; k++) b[r * cols + k] = ra[k] / sqrt(var + c->m->cfg.eps);
    }
    c->n--;
    close_tensor(c);
    c->n++;
    c->acc += p->rsqrt[which].err;
    close_tensor(c);
}

// the stream that leaves a layer of a causal model
static void see_out(struct bert_compare *c, int layer, const double *x, int rows, int cols) {
    double *to = keep(c, layer, "out", x, rows, cols, 1 / bert_join_scale(c->p, layer, 1));
    if (!to) {
        c->st = THOR_MEMORY;
        return;
    }
    bert_centre(to, rows, cols);
    close_tensor(c);
}

// the context that the patterns of heads with previous > 0 give: x, rows x cols, in place
static void follow_patterns(const struct bert_compare *c, int layer, double *x, int rows,
                            int cols) {
    const struct bert_layer_plan *p = &c->p->layer[layer];
    const struct tensor *v = find(c, layer, "v");
    int hd = c->s.head_size;
    for (int h = 0; v && h < c->s.heads; h++)
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

static void see_simple(struct bert_compare *c, int layer, const char *stage, const double *x,
                       int rows, int cols) {
    const struct bert_layer_plan *p = layer < c->p->layers ? &c->p->layer[layer] : NULL;
    double unit = 1;
    if (!strcmp(stage, "context")) {
        unit = p->inv[p->rounds].scale / (p->inv[p->rounds].sigma * bert_pair_scale(p, p->rounds));
        c->acc += p->inv[p->rounds].err;
    } else if (!strcmp(stage, "ffn_in")) {
        unit = p->gelu_r;
    } else if (!strcmp(stage, "gelu")) {
        c->acc += p->gelu.err;
    } else if (!strcmp(stage, "pooled")) {
        c->acc += c->p->tanh.err;
    }
    double *to = keep(c, layer, stage, x, rows, cols, unit);
    if (!to) {
        c->st = THOR_MEMORY;
        return;
    }
    if (!strcmp(stage, "context")) follow_patterns(c, layer, to, rows, cols);
    close_tensor(c);
}

static void see(void *ctx, int layer, const char *stage, const double *x, int rows, int cols) {
    static const char *const simple[] = {"context", "ffn_in", "gelu", "pooled", "logits"};
    struct bert_compare *c = ctx;
    if (layer < 0 || c->st) return;
    if (!strcmp(stage, "q") || !strcmp(stage, "k") || !strcmp(stage, "v"))
        see_qkv(c, layer, stage, x, rows, cols);
    else if (!strcmp(stage, "scores"))
        see_scores(c, layer, x, rows, cols);
    else if (!strcmp(stage, "ln1_in") || !strcmp(stage, "ln2_in"))
        see_norm(c, layer, stage[2] == '2', x, rows, cols);
    else if (!strcmp(stage, "out"))
        see_out(c, layer, x, rows, cols);
    for (size_t i = 0; i < sizeof simple / sizeof *simple; i++)
        if (!strcmp(stage, simple[i])) see_simple(c, layer, stage, x, rows, cols);
}

int bert_compare_new(struct bert_compare **out, const struct bert_model *m,
                     const struct bert_plan *p, const struct bert_shape *s,
                     const struct bert_tokens *tok) {
    int st = THOR_OK;
    struct bert_compare *c = calloc(1, sizeof *c);
    *out = NULL;
    if (!c) TRY(thor_fail(THOR_MEMORY, "no memory to compare stages"));
    *c = (struct bert_compare){.m = m, .p = p, .s = *s, .acc = NOISE};
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
    for (int i = 0; i < c->n; i++) free(c->t[i].x);
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

static void compare_heads(struct bert_compare_result *r, const struct bert_compare *c,
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
                          const struct tensor *t, int index, const double *slots) {
    int qkv = !strcmp(t->stage, "q") || !strcmp(t->stage, "k") || !strcmp(t->stage, "v");
    int inner = qkv || !strcmp(t->stage, "context");
    enum bert_layout at = inner ? BERT_INNER : BERT_OUTER;
    enum bert_order by = inner ? BERT_BY_HEAD : BERT_HIDDEN;
    for (int k = 0; k < c->s.columns; k++) {
        int f = bert_feature(&c->s, by, index, k);
        for (int i = first_row(c, t); i < t->rows && f < t->cols; i++)
            note(r, c, t->unit * slots[bert_slot(&c->s, at, k, 0, i)], t->x[i * t->cols + f]);
    }
}

int bert_compare_stage(struct bert_compare_result *r, const struct bert_compare *c, int layer,
                       const char *stage, int index, const double *slots) {
    const struct tensor *t = find(c, layer, stage);
    if (!t) return thor_fail(THOR_INTERNAL, "no plain tensor '%s' in layer %d", stage, layer);
    *r = (struct bert_compare_result){.size = t->size, .bound = t->bound};
    if (!strcmp(stage, "scores") || !strcmp(stage, "probs"))
        compare_heads(r, c, t, index, slots);
    else
        compare_state(r, c, t, index, slots);
    return THOR_OK;
}
