/* What the plain forward passes share, private to reference.c and causal.c. */
#ifndef BERT_PASS_H
#define BERT_PASS_H

#include <math.h>
#include <stddef.h>

#include "bert/reference.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pass {
    const struct bert_model *m;
    const struct bert_trace *trace;
    int n, layer;              /* tokens; the layer that the trace is told */
    double *x;                 /* n x H: input and output of a layer */
    double *q, *k, *v, *y, *t; /* n x H */
    double *s;                 /* (h n) x n */
    double *f;                 /* n x F */
    double *var;               /* n */
    double *row;               /* max(H, F): one row of weights as doubles */
    double *out;               /* bert_outputs, where the caller wants none */
};

static inline void see(const struct pass *p, const char *stage, const double *x, int rows,
                       int cols) {
    if (p->trace && p->trace->see) p->trace->see(p->trace->ctx, p->layer, stage, x, rows, cols);
}

/* sum a[i] b[i] in eight running sums, so that it vectorises without reordering by the compiler. */
static inline double dot(const double *a, const double *b, int n) {
    double sum[8] = {0}, tail = 0;
    int i = 0;
    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) tail += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + tail;
}

/* y[n][out] = x[n][in] w^T + b; row[in] is scratch. */
static inline void linear(double *y, const double *x, int n, const struct bert_linear *l,
                          double *row) {
    for (int o = 0; o < l->out; o++) {
        const float *w = l->w + (size_t)o * (size_t)l->in;
        for (int c = 0; c < l->in; c++) row[c] = w[c];
        for (int i = 0; i < n; i++)
            y[(size_t)i * (size_t)l->out + (size_t)o] =
                dot(x + (size_t)i * (size_t)l->in, row, l->in) + l->b[o];
    }
}

/* y[n][H] = LN(x[n][H]); var[n] = the rows' variances.  y may be x. */
static inline void layer_norm(double *y, double *var, const double *x, int n, int hidden,
                              double eps, const struct bert_norm *g) {
    for (int i = 0; i < n; i++) {
        const double *r = x + (size_t)i * (size_t)hidden;
        double *o = y + (size_t)i * (size_t)hidden, mean = 0, sq = 0;
        for (int c = 0; c < hidden; c++) mean += r[c];
        mean /= hidden;
        for (int c = 0; c < hidden; c++) sq += (r[c] - mean) * (r[c] - mean);
        var[i] = sq / hidden;
        const double inv = 1 / sqrt(var[i] + eps);
        for (int c = 0; c < hidden; c++) o[c] = (r[c] - mean) * inv * g->gamma[c] + g->beta[c];
    }
}

static inline void softmax(double *r, int n) {
    double top = r[0], sum = 0;
    for (int j = 1; j < n; j++) top = fmax(top, r[j]);
    for (int j = 0; j < n; j++) sum += r[j] = exp(r[j] - top);
    for (int j = 0; j < n; j++) r[j] /= sum;
}

static inline double gelu(double t) {
    return 0.5 * t * (1 + erf(t * M_SQRT1_2));
}

static inline double gelu_tanh(double t) {
    return 0.5 * t * (1 + tanh(sqrt(M_2_PI) * (t + 0.044715 * t * t * t)));
}

static inline void activate(double *x, size_t count, enum bert_activation a) {
    static double (*const act[BERT_ACTIVATIONS])(double) = {
        [BERT_GELU] = gelu, [BERT_GELU_TANH] = gelu_tanh};
    for (size_t i = 0; i < count; i++) x[i] = act[a](x[i]);
}

static inline void add(double *y, const double *x, size_t count) {
    for (size_t i = 0; i < count; i++) y[i] += x[i];
}

/* x, n x H -> p->q, p->k, p->v. */
static inline void project_qkv(struct pass *p, const double *x, const struct bert_layer *l) {
    const int n = p->n, H = p->m->cfg.hidden;
    linear(p->q, x, n, &l->q, p->row);
    see(p, "q", p->q, n, H);
    linear(p->k, x, n, &l->k, p->row);
    see(p, "k", p->k, n, H);
    linear(p->v, x, n, &l->v, p->row);
    see(p, "v", p->v, n, H);
}

/* p->y -> p->f: the first projection of the FFN and the activation. */
static inline void widen(struct pass *p, const struct bert_layer *l) {
    const int n = p->n, F = p->m->cfg.ffn;
    linear(p->f, p->y, n, &l->ffn1, p->row);
    see(p, "ffn_in", p->f, n, F);
    activate(p->f, (size_t)n * (size_t)F, p->m->cfg.activation);
    see(p, "gelu", p->f, n, F);
}

/* causal.c: p->x through one layer of GPT-2, in place. */
void bert_gpt2_layer(struct pass *p, const struct bert_layer *l);

#ifdef __cplusplus
}
#endif
#endif
