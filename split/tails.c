/* What stands behind the last layer, s its stream and L the loss of a text.
 *
 *   classifier   f = squash(Wp s[0] + bp) of a BERT (s[0] where its folder has no pooler); of a
 *                decoder the final norm of the last row whose token does not fill up texts
 *                z = Wc f + bc, the adapter's where it has one;   L = log sum exp(z) - z[label]
 *   words        h = final norm of each row that has a target;   z = E h, E: vocab x hidden
 *                L = the mean over those rows of log sum exp(z) - z[target]
 *
 * On the way back dz = softmax(z) - 1 at the label or target, over the number of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "split/inside.h"

/* z becomes dz; the loss. */
static double cross_entropy(double *z, int n, int right) {
    const double at = z[right];
    double top = z[0], sum = 0;
    for (int i = 1; i < n; i++) top = fmax(top, z[i]);
    for (int i = 0; i < n; i++) sum += exp(z[i] - top);
    for (int i = 0; i < n; i++) z[i] = exp(z[i] - top) / sum;
    z[right] -= 1;
    return log(sum) + top - at;
}

static int norms_last(const struct split_model *m) {
    return m->last.gamma != NULL;
}

/* ---- classifier */

struct classes {
    int labels;
    double *u, inv;       // of the final norm
    double *row, *pooled; // before and behind the pooler: hidden each
    double *f;            // the features
    double *z, *drow;     // labels; hidden
};

static int begin_classes(struct classes *k, const struct split_batch *b) {
    const size_t h = (size_t)b->m->cfg.hidden;
    k->labels = split_outputs(b->m, b->a);
    k->u = calloc(5 * h + (size_t)k->labels, sizeof *k->u);
    if (!k->u) return thor_fail(THOR_MEMORY, "no memory for a classifier");
    k->row = k->u + h;
    k->pooled = k->row + h;
    k->f = k->pooled + h;
    k->drow = k->f + h;
    k->z = k->drow + h;
    return THOR_OK;
}

static const struct bert_linear *pooler(const struct split_model *m) {
    return m->cfg.family == SPLIT_BERT && m->base->pooler.w ? &m->base->pooler : NULL;
}

static double squash(const struct split_model *m, double x) {
    const enum bert_squash how = m->base->cfg.squash;
    return how == BERT_TANH ? tanh(x) : how == BERT_RELU ? fmax(x, 0) : split_gelu(x);
}

static double squash_slope(const struct split_model *m, double x) {
    const enum bert_squash how = m->base->cfg.squash;
    if (how == BERT_SQUASH_GELU) return split_gelu_slope(x);
    return how == BERT_RELU ? x > 0 : 1 - tanh(x) * tanh(x);
}

// y[out] = W x + b
static void linear(double *y, const struct bert_linear *l, const double *x) {
    for (int o = 0; o < l->out; o++) {
        const float *w = l->w + (size_t)o * (size_t)l->in;
        y[o] = l->b[o];
        for (int c = 0; c < l->in; c++) y[o] += w[c] * x[c];
    }
}

// dx[in] += W^T dy
static void linear_back(double *dx, const struct bert_linear *l, const double *dy) {
    for (int o = 0; o < l->out; o++)
        for (int c = 0; c < l->in; c++)
            dx[c] += dy[o] * l->w[(size_t)o * (size_t)l->in + (size_t)c];
}

static int row_of(const struct split_batch *b, int text) { // that the classifier takes
    const struct split_text *t = &b->text[text];
    int last = t->n - 1;
    if (!norms_last(b->m)) return b->at[text];
    while (last > 0 && t->ids[last] == b->m->pad) last--;
    return b->at[text] + last;
}

static void features(struct classes *k, const struct split_batch *b, int text) {
    const struct split_model *m = b->m;
    const size_t h = (size_t)m->cfg.hidden;
    const double *s = b->stream + (size_t)row_of(b, text) * h;
    if (norms_last(m))
        split_norm_forward(k->row, k->u, &k->inv, s, 1, (int)h, m->cfg.eps, &m->last);
    else
        memcpy(k->row, s, h * sizeof *s);
    memcpy(k->f, k->row, h * sizeof *s);
    if (!pooler(m)) return;
    linear(k->pooled, pooler(m), k->row);
    for (size_t c = 0; c < h; c++) k->f[c] = squash(m, k->pooled[c]);
}

static void classify(struct classes *k, const struct split_batch *b, int text) {
    const size_t h = (size_t)b->m->cfg.hidden;
    const struct split_adapter *a = b->a;
    features(k, b, text);
    if (!a || !a->labels)
        linear(k->z, &b->m->base->classifier, k->f);
    else
        for (int o = 0; o < a->labels; o++)
            k->z[o] =
                split_dot(a->head_w + (size_t)o * h, k->f, h) + (a->head_b ? a->head_b[o] : 0);
}

// k->z: dz; k->f: the features, whose gradient is added to drow behind the pooler's
static void classify_back(struct classes *k, const struct split_batch *b, int text) {
    const struct split_model *m = b->m;
    const struct split_adapter *a = b->a;
    const size_t h = (size_t)m->cfg.hidden;
    double *own = b->grad + (size_t)text * a->n, *df = k->pooled; // what is there goes into slope
    double slope[h];
    for (size_t c = 0; c < h; c++) slope[c] = pooler(m) ? squash_slope(m, k->pooled[c]) : 1;
    memset(df, 0, h * sizeof *df);
    if (!a->labels) linear_back(df, &m->base->classifier, k->z);
    for (int o = 0; o < a->labels; o++) {
        split_axpy(own + (a->head_w - a->values) + (size_t)o * h, k->z[o], k->f, h);
        if (a->head_b) own[a->head_b - a->values + o] += k->z[o];
        split_axpy(df, k->z[o], a->head_w + (size_t)o * h, h);
    }
    for (size_t c = 0; c < h; c++) df[c] *= slope[c];
    memcpy(k->drow, df, h * sizeof *df);
    if (pooler(m)) {
        memset(k->drow, 0, h * sizeof *df);
        linear_back(k->drow, pooler(m), df);
    }
    if (norms_last(m)) split_norm_backward(k->drow, k->drow, k->u, &k->inv, 1, (int)h, &m->last);
}

static int classes_loss(double *loss, int *scored, const struct split_batch *b) {
    int st = THOR_OK;
    const size_t h = (size_t)b->m->cfg.hidden;
    struct classes k = {.labels = 0};
    TRY(begin_classes(&k, b));
    for (int i = 0; i < b->texts; i++) {
        const int scores = b->text[i].label >= 0;
        double *s = b->stream + (size_t)b->at[i] * h;
        if (scores) {
            classify(&k, b, i);
            loss[i] = cross_entropy(k.z, k.labels, b->text[i].label);
            scored[i] = 1;
        }
        if (!b->grad) continue;
        if (scores) classify_back(&k, b, i);
        memset(s, 0, (size_t)b->text[i].n * h * sizeof *s);
        if (scores) memcpy(b->stream + (size_t)row_of(b, i) * h, k.drow, h * sizeof *s);
    }
out:
    free(k.u);
    return st;
}

/* ---- words */

enum { TOGETHER = 16, COLUMNS = 64 }; // rows that share a reading of E; columns of a thread's part

struct words {
    double *z, *h, *dh, *u, *inv; // TOGETHER rows of vocab; of all rows
    int n, row[TOGETHER], text[TOGETHER];
};

static int begin_words(struct words *k, const struct split_batch *b) {
    const size_t wide = (size_t)b->rows * (size_t)b->m->cfg.hidden;
    k->h = calloc(3 * wide + (size_t)b->rows + TOGETHER * (size_t)b->m->cfg.vocab, sizeof *k->h);
    if (!k->h) return thor_fail(THOR_MEMORY, "no memory for the words of %d rows", b->rows);
    k->dh = k->h + wide;
    k->u = k->dh + wide;
    k->inv = k->u + wide;
    k->z = k->inv + b->rows;
    split_norm_forward(k->h, k->u, k->inv, b->stream, b->rows, b->m->cfg.hidden, b->m->cfg.eps,
                       &b->m->last);
    return THOR_OK;
}

// z of the rows that were gathered
static void words_forward(struct words *k, const struct split_model *m) {
    const size_t width = (size_t)m->cfg.hidden, vocab = (size_t)m->cfg.vocab;
#pragma omp parallel for schedule(static)
    for (size_t v = 0; v < vocab; v++) {
        double e[width];
        for (size_t c = 0; c < width; c++) e[c] = m->head[v * width + c];
        for (int r = 0; r < k->n; r++)
            k->z[(size_t)r * vocab + v] = split_dot(k->h + (size_t)k->row[r] * width, e, width);
    }
}

// dh = E^T dz
static void words_backward(struct words *k, const struct split_model *m) {
    const size_t width = (size_t)m->cfg.hidden, vocab = (size_t)m->cfg.vocab;
#pragma omp parallel for schedule(static)
    for (size_t from = 0; from < width; from += COLUMNS) {
        const size_t n = width - from < COLUMNS ? width - from : COLUMNS;
        for (size_t v = 0; v < vocab; v++) {
            const float *e = m->head + v * width + from;
            for (int r = 0; r < k->n; r++) {
                double *to = k->dh + (size_t)k->row[r] * width + from;
                const double dz = k->z[(size_t)r * vocab + v];
                for (size_t c = 0; c < n; c++) to[c] += dz * e[c];
            }
        }
    }
}

// the rows that were gathered
static void score(double *loss, const int *scored, struct words *k, const struct split_batch *b) {
    const size_t vocab = (size_t)b->m->cfg.vocab;
    words_forward(k, b->m);
    for (int r = 0; r < k->n; r++) {
        const int text = k->text[r];
        double *z = k->z + (size_t)r * vocab;
        loss[text] += cross_entropy(z, (int)vocab, b->text[text].targets[k->row[r] - b->at[text]]) /
                      scored[text];
        for (size_t v = 0; b->grad && v < vocab; v++) z[v] /= scored[text];
    }
    if (b->grad) words_backward(k, b->m);
    k->n = 0;
}

static int words_loss(double *loss, int *scored, const struct split_batch *b) {
    int st = THOR_OK;
    struct words k = {.n = 0};
    TRY(begin_words(&k, b));
    for (int i = 0; i < b->texts; i++)
        for (int t = 0; b->text[i].targets && t < b->text[i].n; t++)
            scored[i] += b->text[i].targets[t] >= 0;
    for (int i = 0; i < b->texts; i++)
        for (int t = 0; scored[i] && t < b->text[i].n; t++) {
            if (b->text[i].targets[t] < 0) continue;
            k.row[k.n] = b->at[i] + t;
            k.text[k.n++] = i;
            if (k.n == TOGETHER) score(loss, scored, &k, b);
        }
    if (k.n) score(loss, scored, &k, b);
    if (b->grad)
        split_norm_backward(b->stream, k.dh, k.u, k.inv, b->rows, b->m->cfg.hidden, &b->m->last);
out:
    free(k.h);
    return st;
}

/* ---- both */

static int is_classifier(const struct split_batch *b) {
    return b->m->cfg.labels || (b->a && b->a->labels);
}

int split_tail_loss(double *loss, int *scored, const struct split_batch *b) {
    return is_classifier(b) ? classes_loss(loss, scored, b) : words_loss(loss, scored, b);
}

int split_tail_logits(double *logits, const struct split_batch *b) {
    int st = THOR_OK;
    struct classes k = {.labels = 0};
    struct words w = {.n = 1, .row = {b->rows - 1}};
    if (is_classifier(b)) {
        TRY(begin_classes(&k, b));
        classify(&k, b, 0);
        memcpy(logits, k.z, (size_t)k.labels * sizeof *logits);
    } else {
        TRY(begin_words(&w, b));
        words_forward(&w, b->m);
        memcpy(logits, w.z, (size_t)b->m->cfg.vocab * sizeof *logits);
    }
out:
    free(k.u);
    free(w.h);
    return st;
}
