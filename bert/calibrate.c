/* Ranges of the plain model on sample texts: the regression of every row's log-denominator on its
 * query.
 *
 * For head h the row i of a text gives q_i/sqrt(hd), z_i = log(mask value * sum_j exp(s_ij)), min_j
 * s_ij and max_j s_ij. f(q) = delta_h.q/sqrt(hd) + c_h minimises the sum of (z - f)^8 over all rows
 * (Newton's method, from least squares): short ranges, and held by texts not seen, which those of
 * the minimax fit, that looks at hd + 2 rows only, are not.  Subtracting delta_h from every key and
 * c_h from every score then leaves denominators exp(z - f) of a short range, at no level: softmax
 * does not see a shift that is constant along a row.  Of s/2 to s/16, which rounds of
 * normalising and squaring begin with, the sums less f/2 to f/16 are measured too.
 *
 * Samples tend to be of middle length, users' texts are not: every single text (no pair) is also
 * run cut to its first 1 .. 5 tokens, and joined to the texts before it as far as the bucket
 * allows.
 *
 * Texts of a causal model are filled up to the bucket (bert_gpt2_fill) instead, every row counts
 * but that of token 0, which is public and never encrypted (fold.h), and row i has the sum over its
 * i + 1 keys.
 *
 * Sequences run QUEUE at a time on the threads there are; what each showed is added in their order,
 * so that the result does not depend on how many threads that were. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/causal.h"
#include "bert/plan.h"
#include "bert/reference.h"
#include "bert/windows.h"

#define MARGIN 0.12
#define TOP_NATS 1.0
#define POWER 8
#define ROUNDS 30
#define RIDGE 1e-9
#define CUTS 5
/* columns after the query: z, min s, max s, z of s/2 to s/16 */
#define EXTRA (3 + BERT_MAX_ROUNDS)
#define QUEUE 16

struct rows { /* of one head: hd + EXTRA floats each */
    float *x;
    size_t n, room;
};

struct shot { /* what some sequences showed */
    struct bert_ranges *r;
    double *q;       /* queries of the layer at hand, tokens x hidden */
    float *row;      /* head size + EXTRA */
    struct rows *of; /* layers x heads */
    int heads;       /* of all layers */
    int causal;
    int st;
};

struct collector {
    struct shot all, each[QUEUE];
    struct bert_tokens queue[QUEUE], joined;
    int queued;
};

struct fit { /* least squares with d = hd + 1 unknowns */
    int d;
    double *gram, *rhs, *b, *best, *mass;
};

static int push_row(struct rows *to, const float *row, size_t width) {
    if (to->n == to->room) {
        size_t room = to->room ? 2 * to->room : 1024;
        float *x = realloc(to->x, room * width * sizeof *x);
        if (!x)
            return thor_fail(THOR_MEMORY, "no memory for %zu rows of calibration; use fewer texts",
                             room);
        to->x = x;
        to->room = room;
    }
    memcpy(to->x + to->n++ * width, row, width * sizeof *row);
    return THOR_OK;
}

// log(mask value * sum of exp(s / 2^r)), hi the largest s
static double log_sum(const double *s, int n, double hi, int r) {
    double sum = 0;
    for (int j = 0; j < n; j++) sum += exp(ldexp(s[j] - hi, -r));
    return ldexp(hi, -r) + log(sum * bert_mask_value(n));
}

static void see_scores(struct shot *c, int layer, const double *s, int n) {
    int heads = c->r->heads, hd = c->r->head_size;
    for (int a = 0; a < heads && c->st == THOR_OK; a++)
        for (int i = c->causal; i < n && c->st == THOR_OK; i++) {
            const double *row = s + (size_t)(a * n + i) * (size_t)n;
            const int keys = c->causal ? i + 1 : n;
            double lo = row[0], hi = row[0], sum = 0;
            for (int j = 1; j < keys; j++) {
                lo = fmin(lo, row[j]);
                hi = fmax(hi, row[j]);
            }
            for (int j = 0; j < keys; j++) sum += exp(row[j] - hi);
            const double *q = c->q + (size_t)i * (size_t)(heads * hd) + a * hd;
            for (int k = 0; k < hd; k++) c->row[k] = (float)(q[k] / sqrt(hd));
            c->row[hd] = (float)(hi + log(sum * bert_mask_value(keys)));
            c->row[hd + 1] = (float)lo;
            c->row[hd + 2] = (float)hi;
            for (int k = 1; k <= BERT_MAX_ROUNDS; k++)
                c->row[hd + 2 + k] = (float)log_sum(row, keys, hi, k);
            c->r->layer[layer].stray[a] += 1 - exp(row[i ? i - 1 : 0] - hi) / sum;
            c->st = push_row(&c->of[layer * heads + a], c->row, (size_t)hd + EXTRA);
        }
}

// of every number of columns that a bucket may have
static void see_windows(struct bert_layer_ranges *l, int i, const double *x, int rows, int cols) {
    for (int columns = 16; columns < 2 * cols || columns == 16; columns *= 2)
        bert_windows(&l->win_lo[i], &l->win_hi[i], x, rows, cols, columns);
}

// a variance is a window too, here to the last bit
static void see_variance(struct bert_layer_ranges *l, int i, const double *x, int rows) {
    for (int r = 0; r < rows; r++) {
        l->var_lo[i] = fmin(l->var_lo[i], x[r]);
        l->var_hi[i] = fmax(l->var_hi[i], x[r]);
    }
    l->win_lo[i] = fmin(l->win_lo[i], l->var_lo[i]);
    l->win_hi[i] = fmax(l->win_hi[i], l->var_hi[i]);
}

static double most_of(double most, const double *x, int n) {
    for (int i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

static void see(void *ctx, int layer, const char *name, const double *x, int rows, int cols) {
    struct shot *c = ctx;
    const struct bert_tensor *t = bert_tensor_called(name);
    if (!t || layer < 0 || c->st != THOR_OK) return;
    struct bert_layer_ranges *l = layer < c->r->layers ? &c->r->layer[layer] : NULL;
    double *most = l ? &l->gelu : &c->r->tanh;
    const int first = c->causal; // row 0 is the public token's
    switch (t->measure) {
    case BERT_UNMEASURED:
        break;
    case BERT_QUERIES:
        memcpy(c->q, x, (size_t)rows * (size_t)cols * sizeof *x);
        break;
    case BERT_SCORES:
        see_scores(c, layer, x, cols);
        break;
    case BERT_WINDOWS:
        see_windows(l, t->which, x + first * cols, rows - first, cols);
        break;
    case BERT_VARIANCES:
        see_variance(l, t->which, x + first, rows - first);
        break;
    case BERT_MOST:
        *most = most_of(*most, x + first * cols, (rows - first) * cols);
        break;
    }
}

static void fit_normal(struct fit *f, const struct rows *x) {
    int d = f->d, hd = d - 1;
    memset(f->gram, 0, (size_t)(d * d) * sizeof *f->gram);
    memset(f->rhs, 0, (size_t)d * sizeof *f->rhs);
    for (size_t r = 0; r < x->n; r++) {
        const float *row = x->x + r * (size_t)(hd + EXTRA);
        double w = f->mass[r], z = row[hd];
        if (w <= 0) continue;
        for (int i = 0; i < d; i++) {
            double wi = w * (i < hd ? (double)row[i] : 1), *g = f->gram + i * d;
            for (int j = 0; j <= i && j < hd; j++) g[j] += wi * (double)row[j];
            f->rhs[i] += wi * z;
        }
        f->gram[hd * d + hd] += w;
    }
    double trace = 0;
    for (int i = 0; i < d; i++) trace += f->gram[i * d + i];
    for (int i = 0; i < hd; i++) f->gram[i * d + i] += RIDGE * trace / d;
}

// Cholesky of the lower half, then both triangular solves
static int fit_solve(struct fit *f) {
    int d = f->d;
    double *g = f->gram, *b = f->b;
    for (int j = 0; j < d; j++)
        for (int k = 0; k <= j; k++) {
            double s = g[j * d + k];
            for (int i = 0; i < k; i++) s -= g[j * d + i] * g[k * d + i];
            if (j == k && s <= 0) return 0;
            g[j * d + k] = j == k ? sqrt(s) : s / g[k * d + k];
        }
    memcpy(b, f->rhs, (size_t)d * sizeof *b);
    for (int j = 0; j < d; j++) {
        for (int i = 0; i < j; i++) b[j] -= g[j * d + i] * b[i];
        b[j] /= g[j * d + j];
    }
    for (int j = d - 1; j >= 0; j--) {
        for (int i = j + 1; i < d; i++) b[j] -= g[i * d + j] * b[i];
        b[j] /= g[j * d + j];
    }
    return 1;
}

static double predict(const double *b, const float *row, int hd) {
    double f = b[hd];
    for (int i = 0; i < hd; i++) f += b[i] * (double)row[i];
    return f;
}

// a step towards the solution b of the weighted equations, and the masses |residual|^(POWER - 2)
static void fit_step(struct fit *f, const struct rows *x, double step) {
    int hd = f->d - 1;
    double most = 1e-300;
    for (int i = 0; i < f->d; i++) f->best[i] += step * (f->b[i] - f->best[i]);
    for (size_t r = 0; r < x->n; r++) {
        const float *row = x->x + r * (size_t)(hd + EXTRA);
        f->mass[r] = fabs((double)row[hd] - predict(f->best, row, hd));
        most = fmax(most, f->mass[r]);
    }
    for (size_t r = 0; r < x->n; r++) {
        double square = (f->mass[r] / most) * (f->mass[r] / most);
        f->mass[r] = square < 1e-4 ? 0 : square * square * square;
    }
}

static int fit_new(struct fit *f, int hd, size_t rows) {
    size_t d = (size_t)hd + 1;
    f->d = (int)d;
    f->gram = malloc((d * d + 3 * d + rows) * sizeof *f->gram);
    if (!f->gram)
        return thor_fail(THOR_MEMORY, "no memory to fit %zu rows of calibration; use fewer texts",
                         rows);
    f->rhs = f->gram + d * d;
    f->b = f->rhs + d;
    f->best = f->b + d;
    f->mass = f->best + d;
    return THOR_OK;
}

static void note(double *lo, double *hi, double x) {
    *lo = fmin(*lo, x);
    *hi = fmax(*hi, x);
}

static void note_ranges(struct bert_layer_ranges *l, int h, int heads, const struct fit *f,
                        const struct rows *x) {
    int hd = f->d - 1;
    l->den_lo[h] = l->score_lo[h] = INFINITY;
    l->den_hi[h] = l->score_hi[h] = -INFINITY;
    for (int k = h; k < BERT_MAX_ROUNDS * heads; k += heads)
        l->round_lo[k] = INFINITY, l->round_hi[k] = -INFINITY;
    for (size_t r = 0; r < x->n; r++) {
        const float *row = x->x + r * (size_t)(hd + EXTRA);
        double p = predict(f->best, row, hd);
        note(&l->den_lo[h], &l->den_hi[h], (double)row[hd] - p);
        l->score_lo[h] = fmin(l->score_lo[h], (double)row[hd + 1] - p);
        l->score_hi[h] = fmax(l->score_hi[h], (double)row[hd + 2] - p);
        for (int k = 0; k < BERT_MAX_ROUNDS; k++)
            note(&l->round_lo[k * heads + h], &l->round_hi[k * heads + h],
                 (double)row[hd + 3 + k] - ldexp(p, -k - 1));
    }
    l->stray[h] /= (double)x->n;
    memcpy(l->delta + h * hd, f->best, (size_t)hd * sizeof *f->best);
    l->shift[h] = f->best[hd];
}

static int regress(struct bert_layer_ranges *l, int h, int heads, int hd, const struct rows *x) {
    int st = THOR_OK;
    struct fit f = {0};
    TRY(fit_new(&f, hd, x->n));
    for (size_t r = 0; r < x->n; r++) f.mass[r] = 1 / (double)x->n;
    memset(f.best, 0, (size_t)f.d * sizeof *f.best);
    for (int i = 0; i < ROUNDS; i++) {
        fit_normal(&f, x);
        if (!fit_solve(&f)) break;
        fit_step(&f, x, i ? 1.0 / (POWER - 1) : 1);
    }
    note_ranges(l, h, heads, &f, x);
out:
    free(f.gram);
    return st;
}

// no variance and no window
static void no_variances(struct bert_layer_ranges *l) {
    for (int i = 0; i < 2; i++) {
        l->var_lo[i] = l->win_lo[i] = INFINITY;
        l->var_hi[i] = l->win_hi[i] = 0;
    }
}

static int shot_new(struct shot *s, const struct bert_config *g, int tokens) {
    int st = THOR_OK;
    TRY(bert_ranges_new(&s->r, g->layers, g->heads, g->hidden / g->heads));
    for (int l = 0; l < g->layers; l++) no_variances(&s->r->layer[l]);
    s->heads = g->layers * g->heads;
    s->causal = bert_is_causal(g);
    s->q = malloc((size_t)tokens * (size_t)g->hidden * sizeof *s->q);
    s->row = malloc(((size_t)s->r->head_size + EXTRA) * sizeof *s->row);
    s->of = calloc((size_t)s->heads, sizeof *s->of);
    if (!s->q || !s->row || !s->of)
        st = thor_fail(THOR_MEMORY, "no memory to calibrate %d layers", g->layers);
out:
    return st;
}

static void shot_free(struct shot *s) {
    for (int i = 0; s->of && i < s->heads; i++) free(s->of[i].x);
    free(s->of);
    free(s->row);
    free(s->q);
    bert_ranges_free(s->r);
}

static void add_layer(struct bert_layer_ranges *to, struct bert_layer_ranges *from, int heads) {
    for (int i = 0; i < 2; i++) {
        to->var_lo[i] = fmin(to->var_lo[i], from->var_lo[i]);
        to->var_hi[i] = fmax(to->var_hi[i], from->var_hi[i]);
        to->win_lo[i] = fmin(to->win_lo[i], from->win_lo[i]);
        to->win_hi[i] = fmax(to->win_hi[i], from->win_hi[i]);
    }
    no_variances(from);
    for (int h = 0; h < heads; h++) {
        to->stray[h] += from->stray[h];
        from->stray[h] = 0;
    }
    to->gelu = fmax(to->gelu, from->gelu);
    from->gelu = 0;
}

// add what `from` saw, and empty it
static int add_shot(struct shot *to, struct shot *from) {
    size_t width = (size_t)to->r->head_size + EXTRA;
    for (int i = 0; i < to->heads; i++) {
        struct rows *a = &to->of[i], *b = &from->of[i];
        for (size_t r = 0; r < b->n; r++)
            if (push_row(a, b->x + r * width, width) != THOR_OK) return THOR_MEMORY;
        b->n = 0;
    }
    for (int l = 0; l < to->r->layers; l++)
        add_layer(&to->r->layer[l], &from->r->layer[l], to->r->heads);
    to->r->tanh = fmax(to->r->tanh, from->r->tanh);
    from->r->tanh = 0;
    return THOR_OK;
}

int bert_calibrate_tokens_for(int *tokens, const struct bert_model *m) {
    const int asked = *tokens;
    int least = 0, most = 0;
    struct bert_shape s;
    for (int t = 32; t <= 128; t *= 2)
        if (bert_shape_of(&s, m, t) == THOR_OK && t <= m->cfg.max_positions) {
            least = least ? least : t;
            most = t;
            if (t == asked) return THOR_OK;
        }
    if (!most && bert_shape_of(&s, m, 32) != THOR_OK)
        return THOR_MODEL; // with bert_shape_make's message
    if (!most)
        return thor_fail(THOR_MODEL, "a model of %d positions: the smallest bucket is 32 tokens",
                         m->cfg.max_positions);
    if (asked && asked < least)
        return thor_fail(THOR_USAGE, "--tokens %d: the smallest bucket is %d", asked, least);
    if (asked > most)
        return thor_fail(THOR_USAGE, "--tokens %d: the largest bucket of this model is %d", asked,
                         most);
    if (asked)
        return thor_fail(THOR_USAGE,
                         "--tokens %d: the next bucket is %d; a model is calibrated for "
                         "32, 64 or 128 tokens",
                         asked, asked < 64 ? 64 : 128);
    *tokens = most;
    return THOR_OK;
}

static int collector_new(struct collector **out, const struct bert_model *m, int tokens) {
    const struct bert_config *g = &m->cfg;
    int st = THOR_OK;
    struct collector *c = NULL;
    TRY(bert_calibrate_tokens_for(&tokens, m));
    c = *out = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory to calibrate %d layers", g->layers);
    TRY(shot_new(&c->all, g, tokens));
    for (int i = 0; i < QUEUE; i++) TRY(shot_new(&c->each[i], g, tokens));
    c->all.r->tokens = tokens;
    c->all.r->model_hash = m->hash;
    c->all.r->activation = g->activation;
    c->all.r->margin = MARGIN;
    c->all.r->top = TOP_NATS;
out:
    return st;
}

static void collector_free(struct collector *c) {
    if (!c) return;
    shot_free(&c->all);
    for (int i = 0; i < QUEUE; i++) shot_free(&c->each[i]);
    free(c);
}

static int run(struct shot *s, const struct bert_model *m, const struct bert_tokens *t) {
    const struct bert_trace trace = {see, s};
    int st = bert_forward(NULL, m, t, &trace);
    return st != THOR_OK ? st : s->st;
}

// run what is queued
static int flush(struct collector *c, const struct bert_model *m) {
    int st = THOR_OK, n = c->queued, result[QUEUE];
    c->queued = 0;
#pragma omp parallel for schedule(dynamic)
    for (int i = 0; i < n; i++) result[i] = run(&c->each[i], m, &c->queue[i]);
    for (int i = 0; i < n; i++) {
        if (result[i] != THOR_OK) // again, for its message in this thread
            TRY(run(&c->each[i], m, &c->queue[i]));
        TRY(add_shot(&c->all, &c->each[i]));
    }
out:
    return st;
}

static int collect(struct collector *c, const struct bert_model *m, const struct bert_tokens *t) {
    struct bert_tokens *to = &c->queue[c->queued++];
    if (to != t) *to = *t;
    if (c->all.causal) bert_gpt2_fill(to, to, c->all.r->tokens);
    return c->queued == QUEUE ? flush(c, m) : THOR_OK;
}

// t joined to what came before, or alone when that would be too long
static void join(struct bert_tokens *to, const struct bert_tokens *t, int tokens) {
    int keep = to->n ? to->n - 1 : 0, from = keep > 0;
    if (keep + t->n - from > tokens) keep = from = 0;
    memcpy(to->ids + keep, t->ids + from, (size_t)(t->n - from) * sizeof *t->ids);
    memset(to->type_ids, 0, sizeof to->type_ids);
    to->n = keep + t->n - from;
}

static int collect_text(struct collector *c, const struct bert_model *m,
                        const struct bert_tokens *t) {
    int st = THOR_OK, words = 1 + c->all.r->rows++ % CUTS;
    TRY(collect(c, m, t));
    if (t->type_ids[t->n - 1] || c->all.causal) goto out;
    join(&c->joined, t, c->all.r->tokens);
    if (c->joined.n > t->n) TRY(collect(c, m, &c->joined));
    if (t->n > words + 2) {
        struct bert_tokens *cut = &c->queue[c->queued];
        *cut = *t;
        cut->n = words + 2;
        cut->ids[words + 1] = t->ids[t->n - 1];
        TRY(collect(c, m, cut));
    }
out:
    return st;
}

// a LayerNorm whose inputs are all equal has no 1/sqrt; what else a plan cannot use
static int check_ranges(const struct bert_ranges *r) {
    for (int l = 0; l < r->layers; l++)
        for (int i = 0; i < 2; i++)
            if (!(r->layer[l].var_lo[i] > 1e-12))
                return thor_fail(THOR_MODEL,
                                 "layer %d: LayerNorm %d has variance %g on a text, all "
                                 "its inputs are equal: the weights of this model are damaged or "
                                 "were never trained",
                                 l, i + 1, r->layer[l].var_lo[i]);
    return bert_ranges_check(r, "the measured ranges");
}

static int finish(struct bert_ranges **out, struct collector *c, const struct bert_model *m,
                  int n) {
    int st = THOR_OK, heads = c->all.r->heads, short_of_memory = 0;
    struct shot *all = &c->all;
    TRY(flush(c, m));
    if (!all->r->rows)
        return thor_fail(THOR_INPUT, "none of %d calibration texts fits in %d tokens", n,
                         all->r->tokens);
#pragma omp parallel for schedule(dynamic) reduction(| : short_of_memory)
    for (int i = 0; i < all->heads; i++)
        short_of_memory |= regress(&all->r->layer[i / heads], i % heads, heads, all->r->head_size,
                                   &all->of[i]) != THOR_OK;
    if (short_of_memory)
        return thor_fail(THOR_MEMORY, "no memory to fit %zu rows of calibration; use fewer texts",
                         all->of->n);
    TRY(check_ranges(all->r));
    *out = all->r;
    all->r = NULL;
out:
    return st;
}

int bert_calibrate_tokens(struct bert_ranges **out, const struct bert_model *m,
                          const struct bert_tokens *t, int n, int tokens) {
    int st = THOR_OK;
    struct collector *c = NULL;
    *out = NULL;
    TRY(collector_new(&c, m, tokens));
    for (int i = 0; i < n; i++)
        if (t[i].n <= c->all.r->tokens) TRY(collect_text(c, m, &t[i]));
    TRY(finish(out, c, m, n));
out:
    collector_free(c);
    return st;
}

int bert_calibrate(struct bert_ranges **out, const struct bert_model *m, const char *const *texts,
                   const char *const *pairs, int n, int tokens) {
    int st = THOR_OK;
    struct collector *c = NULL;
    struct bert_tokens *t = malloc(sizeof *t);
    *out = NULL;
    if (!t) TRY(thor_fail(THOR_MEMORY, "no memory for the tokens of a text"));
    TRY(collector_new(&c, m, tokens));
    for (int i = 0; i < n; i++) {
        int use = bert_tokenize(t, m, texts[i], pairs ? pairs[i] : NULL, c->all.r->tokens);
        if (use != THOR_INPUT) {
            TRY(use);
            TRY(collect_text(c, m, t));
        }
    }
    TRY(finish(out, c, m, n));
out:
    free(t);
    collector_free(c);
    return st;
}
