/* The encrypted schedule in doubles: the same folded weights, polynomials, iterations and order
 * (plan.h, fold.h), with the engine's noise where the engine has it.
 *
 * Noise is Gaussian and independent: rms 2^-28 max(1, largest value of the tensor) after a product,
 * rms 2^-19.6 max(1, largest value / 2) after a bootstrap (measured on full complex slots, per
 * component).  What shares a bootstrap as real and imaginary part is halved before it, and y is
 * divided by ceil(sqrt(H)/8), so that its noise is as much larger. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/circuit.h"
#include "bert/polyfit.h"
#include "bert/reference.h"
#include "bert/windows.h"
#include "bert/witness.h"

#define PRODUCT_NOISE 3.7252902984619141e-09 /* 2^-28 */
#define BOOT_NOISE 1.2583e-06                /* 2^-19.6 */
#define SLACK 1e-4 /* of an interval: noise alone is not counted as out of range */

struct run {
    const struct bert_plan *p;
    int T, H, F, heads, hd, n; /* n: tokens that are not padding */
    uint64_t seed;             /* 0: no noise */
    uint64_t rng[2];
    int l; /* the layer */
    struct bert_outside out;
    double *y, *q, *k, *v, *e, *d, *g, *a, *c, *x, *r, *f, *block;
};

static uint64_t next_random(struct run *s) /* xoroshiro128+ */
{
    uint64_t a = s->rng[0], b = s->rng[1], sum = a + b;
    b ^= a;
    s->rng[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
    s->rng[1] = b << 37 | b >> 27;
    return sum;
}

static double uniform(struct run *s) {
    return ((double)(next_random(s) >> 11) + 0.5) * 0x1p-53;
}

// rms times the largest value, or times `least` when that is more
static void add_noise(struct run *s, double *x, size_t n, double rms, double least) {
    double most = least;
    if (!s->seed) return;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    for (size_t i = 0; i < n; i += 2) { // Box and Muller: two at a time
        double r = rms * most * sqrt(-2 * log(uniform(s))), t = 2 * M_PI * uniform(s);
        x[i] += r * cos(t);
        if (i + 1 < n) x[i + 1] += r * sin(t);
    }
}

static void product_noise(struct run *s, double *x, size_t n) {
    add_noise(s, x, n, PRODUCT_NOISE, 1);
}

// of x / by, bootstrapped and multiplied back
static void boot_noise(struct run *s, double *x, size_t n, int boot, int by) {
    if (boot) add_noise(s, x, n, BOOT_NOISE / 2, 2 * by);
}

static void state_noise(struct run *s, double *x, int boot, int by) {
    boot_noise(s, x, (size_t)s->T * (size_t)s->H, boot, s->p->shape.packing->share * by);
}

// so many values left a range at a stage, the farthest by `factor`, with this witness
static void note_outside(struct run *s, const char *stage, int values, double factor,
                         double witness) {
    struct bert_outside *o = &s->out;
    double part = witness / bert_witness_limit(s->p, &s->p->shape);
    if (values && !o->values) {
        o->layer = s->l;
        o->stage = stage;
    }
    if (values && o->layer == s->l && !strcmp(o->stage, stage)) o->factor = fmax(o->factor, factor);
    o->values += values;
    if (!(part <= o->witness)) // NaN counts, and stays
        o->witness = isnan(part) ? INFINITY : part;
}

// x: what should be within +-1, into a polynomial; of GELU the square of it
static void watch(struct run *s, const char *stage, const double *x, size_t n, int degree,
                  int even) {
    double most = 0;
    int values = 0;
    for (size_t i = 0; i < n; i++) {
        values += !(fabs(x[i]) <= 1 + 2 * SLACK);
        most = fabs(x[i]) <= most ? most : isnan(x[i]) ? INFINITY : fabs(x[i]);
    }
    note_outside(s, stage, values, most,
                 bert_witness_of(even ? 2 * most * most - 1 : most, degree));
}

// d: denominators, and what their inverses left over
static void watch_inverse(struct run *s, const struct bert_inverse *v) {
    double factor = 0, rest = 0;
    int values = 0;
    for (int r = 0; r < s->T; r++) {
        double d = s->d[r] / v->sigma, by = d >= 1 ? d : d > 0 ? v->e / d : INFINITY;
        values += !(by <= 1 + SLACK);
        factor = fmax(factor, by);
        rest = fabs(s->g[r]) <= rest ? rest : isnan(s->g[r]) ? INFINITY : fabs(s->g[r]);
    }
    note_outside(s, "inverse", values, factor, bert_witness_of_inverse(v, rest));
}

static double dot(const double *x, const double *y, int n) {
    double s = 0;
#pragma omp simd reduction(+ : s)
    for (int i = 0; i < n; i++) s += x[i] * y[i];
    return s;
}

static void map_rows(struct run *s, double *out, const struct bert_map *f, const double *x,
                     int rows) {
    size_t in = (size_t)f->in, wide = (size_t)f->out;
    for (size_t r = 0; r < (size_t)rows; r++)
        for (size_t o = 0; o < wide; o += 4) {
            const double *w = f->w + o * in, *xr = x + r * in;
            double s0 = 0, s1 = 0, s2 = 0, s3 = 0;
            if (o + 4 > wide) {
                for (size_t i = o; i < wide; i++)
                    out[r * wide + i] = f->b[i] + dot(f->w + i * in, xr, f->in);
                break;
            }
#pragma omp simd reduction(+ : s0, s1, s2, s3)
            for (size_t i = 0; i < in; i++) {
                s0 += xr[i] * w[i];
                s1 += xr[i] * w[in + i];
                s2 += xr[i] * w[2 * in + i];
                s3 += xr[i] * w[3 * in + i];
            }
            out[r * wide + o] = f->b[o] + s0;
            out[r * wide + o + 1] = f->b[o + 1] + s1;
            out[r * wide + o + 2] = f->b[o + 2] + s2;
            out[r * wide + o + 3] = f->b[o + 3] + s3;
        }
    for (size_t o = 0; f->first && o < wide; o++) out[o] += f->first[o] - f->b[o];
    product_noise(s, out, (size_t)rows * wide);
}

static size_t hidden_size(const struct run *s) {
    return (size_t)s->T * (size_t)s->H;
}

// e = E = exp_c(u) of one head
static void exponentials(struct run *s, const struct bert_folded_layer *w,
                         const struct bert_layer_plan *p, int h) {
    size_t T = (size_t)s->T, H = (size_t)s->H, at = (size_t)h * (size_t)s->hd;
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++)
            s->e[i * T + j] = (bert_is_hidden(w, (int)i, (int)j)
                                   ? 0
                                   : dot(s->q + i * H + at, s->k + j * H + at, s->hd)) +
                              bert_score_add(w, h, (int)i, (int)j);
    product_noise(s, s->e, T * T);
    watch(s, "exp", s->e, T * T, p->exp.degree, 0);
    boot_noise(s, s->e, T * T, p->boot[BERT_U], s->p->shape.packing->share);
    for (size_t i = 0; i < T * T; i++) s->e[i] = bert_cheb_eval(w->exp_c, p->exp.degree, s->e[i]);
    for (size_t i = 0; i < T * T; i++)
        if (bert_is_hidden(w, (int)(i / T), (int)(i % T)))
            s->e[i] -= bert_cheb_eval(w->exp_c, p->exp.degree, -1);
    product_noise(s, s->e, T * T);
}

// d = sum over keys of E times the mask; sigma for the public token, which has none
static void denominators(struct run *s, double sigma) {
    const double mask = bert_mask_value(s->n);
    for (int i = 0; i < s->T; i++) {
        s->d[i] = s->p->shape.causal && !i ? sigma : 0;
        for (int j = 0; j < s->n; j++) s->d[i] += mask * s->e[i * s->T + j];
    }
    product_noise(s, s->d, (size_t)s->T);
}

// a = 1/(d scale) from d = D = sigma * denominators, all rows of one head
static void invert(struct run *s, const struct bert_inverse *v, int boot) {
    size_t T = (size_t)s->T;
    for (size_t r = 0; r < T; r++) {
        s->g[r] = v->s[1] - s->d[r];
        s->a[r] = v->alpha * (v->s[1] + s->g[r]);
    }
    product_noise(s, s->a, T);
    for (int i = 2; i <= v->m; i++) { // at the head of a turn: a_(i-1), g_(i-1)
        for (size_t r = 0; r < T; r++) s->g[r] *= s->g[r];
        product_noise(s, s->g, T);
        for (size_t r = 0; r < T; r++) s->g[r] += v->add[i];
        boot_noise(s, s->a, T, i - 1 == boot, 2);
        boot_noise(s, s->g, T, i - 1 == boot, 2);
        for (size_t r = 0; r < T; r++) s->a[r] *= v->s[i] + s->g[r];
        product_noise(s, s->a, T);
    }
    watch_inverse(s, v);
}

// e = (lambda e a)^2 of round k: softmax.c
static void square(struct run *s, const struct bert_layer_plan *p, int k) {
    const size_t n = (size_t)s->T * (size_t)s->T;
    const double lambda = bert_round_factor(p, k, s->T);
    for (size_t i = 0; i < n; i++) s->e[i] *= lambda * s->a[i / (size_t)s->T];
    product_noise(s, s->e, n);
    boot_noise(s, s->e, n, 1, s->p->shape.packing->share);
    for (size_t i = 0; i < n; i++) s->e[i] *= s->e[i];
    product_noise(s, s->e, n);
}

// c = (P.v) a of one head, into its columns
static void attend(struct run *s, int h, double *most) {
    size_t T = (size_t)s->T, H = (size_t)s->H, at = (size_t)h * (size_t)s->hd, hd = (size_t)s->hd;
    for (size_t i = 0; i < T; i++) {
        double *c = s->c + i * H + at;
        memset(c, 0, hd * sizeof *c);
        for (size_t j = 0; j < (size_t)s->n; j++)
            for (size_t k = 0; k < hd; k++) c[k] += s->e[i * T + j] * s->v[j * H + at + k];
        for (size_t k = 0; k < hd; k++) c[k] *= bert_mask_value(s->n);
        add_noise(s, c, hd, PRODUCT_NOISE, 1);
        for (size_t k = 0; k < hd; k++) {
            c[k] *= s->a[i];
            *most = fmax(*most, fabs(c[k]));
        }
    }
}

static void attention(struct run *s, const struct bert_folded_layer *w,
                      const struct bert_layer_plan *p) {
    double most = 0;
    map_rows(s, s->q, &w->q, s->y, s->T);
    map_rows(s, s->k, &w->k, s->y, s->T);
    map_rows(s, s->v, &w->v, s->y, s->T);
    for (int h = 0; h < s->heads; h++) {
        exponentials(s, w, p, h);
        for (int k = 0; k <= p->rounds; k++) {
            denominators(s, p->inv[k].sigma);
            invert(s, &p->inv[k], bert_boot_inv(p, k));
            if (k < p->rounds) square(s, p, k);
        }
        attend(s, h, &most);
    }
    product_noise(s, s->c, hidden_size(s));
}

// columns shape: what stands beside the sums of squares goes through the same polynomial
static void watch_windows(struct run *s, int i, double sub, int degree) {
    double u[2] = {INFINITY, 0};
    if (!s->p->shape.packing->windows) return;
    bert_windows(&u[0], &u[1], s->x, s->T, s->H, s->p->shape.columns);
    for (int k = 0; k < 2; k++) u[k] = u[k] * s->H - sub;
    watch(s, i ? "norm2" : "norm1", u, 2, degree, 0);
}

// x = map of `from` + residual of y, of a causal model of x, behind half i
static void join(struct run *s, const struct bert_folded_layer *w, const struct bert_layer_plan *p,
                 int i, const struct bert_map *map, const double *from) {
    size_t T = (size_t)s->T, H = (size_t)s->H;
    const int causal = s->p->shape.causal;
    const double *base = causal ? s->x : s->y;
    map_rows(s, s->q, map, from, s->T);
    for (size_t r = 0; r < T; r++) {
        double mean = causal ? 0 : dot(w->res[i], base + r * H, s->H) / s->H;
        for (size_t k = 0; k < H; k++)
            s->x[r * H + k] = s->q[r * H + k] + w->res[i][k] * base[r * H + k] - mean;
    }
    product_noise(s, s->x, T * H);
    state_noise(s, s->x, p->boot[bert_of_half(i)], 1);
}

// y = LayerNorm i of x, before gamma and beta
static void norm(struct run *s, const struct bert_folded_layer *w, const struct bert_layer_plan *p,
                 int i) {
    size_t T = (size_t)s->T, H = (size_t)s->H;
    const struct bert_shape *shape = &s->p->shape;
    const struct bert_poly *f = &p->rsqrt[i];
    double mult = bert_root_mult(shape, p, i);
    for (size_t r = 0; r < T; r++) s->r[r] = dot(s->x + r * H, s->x + r * H, s->H) - w->norm_sub[i];
    product_noise(s, s->r, T);
    watch(s, i ? "norm2" : "norm1", s->r, T, f->degree, 0);
    watch_windows(s, i, w->norm_sub[i], f->degree);
    for (size_t r = 0; r < T; r++) s->r[r] = bert_cheb_eval(w->rsqrt_c[i], f->degree, s->r[r]);
    product_noise(s, s->r, T);
    boot_noise(s, s->r, T, p->boot[bert_of_norm(shape, BERT_R1, i)], shape->packing->share);
    for (size_t r = 0; r < T; r++)
        for (size_t k = 0; k < H; k++) s->y[r * H + k] = s->x[r * H + k] * s->r[r] * mult;
    product_noise(s, s->y, T * H);
    state_noise(s, s->y, p->boot[bert_of_norm(shape, BERT_Y1, i)], bert_state_mult(shape));
}

static void ffn(struct run *s, const struct bert_folded_layer *w, const struct bert_layer_plan *p) {
    size_t n = (size_t)s->T * (size_t)s->F;
    map_rows(s, s->f, &w->ffn1, s->y, s->T);
    watch(s, "gelu", s->f, n, p->gelu.degree, 1);
    for (size_t i = 0; i < n; i++)
        s->f[i] = p->gelu_r / 2 * s->f[i] +
                  bert_cheb_eval(p->gelu.c, p->gelu.degree, 2 * s->f[i] * s->f[i] - 1);
    product_noise(s, s->f, n);
}

static int layer(struct run *s, const struct bert_model *m, int l) {
    struct bert_folded_layer w;
    const struct bert_layer_plan *p = &s->p->layer[l];
    int st = bert_fold_layer(&w, m, s->p, &s->p->shape, l);
    if (st != THOR_OK) return st;
    const int causal = s->p->shape.causal;
    for (int i = 0; i < 2; i++) {
        if (causal) norm(s, &w, p, i);
        (i ? ffn : attention)(s, &w, p);
        join(s, &w, p, i, i ? &w.ffn2 : &w.o, i ? s->f : s->c);
        if (!causal) norm(s, &w, p, i);
    }
    bert_fold_layer_free(&w);
    return THOR_OK;
}

static int head_at_client(struct run *s, const struct bert_model *m, int rows, double *out) {
    double *y = s->p->shape.causal ? s->x : s->y;
    const int st = bert_final_state(y, m, rows);
    if (st) return st;
    return bert_head_forward(out, m, y, rows);
}

static int head(struct run *s, const struct bert_model *m, double *logits) {
    struct bert_folded_head w;
    int st = bert_fold_head(&w, m, s->p);
    if (st != THOR_OK) return st;
    map_rows(s, s->q, &w.pooler, s->y, 1);
    watch(s, "head", s->q, (size_t)s->H, s->p->tanh.degree, 0);
    for (int i = 0; i < s->H; i++)
        s->q[i] = bert_cheb_eval(s->p->tanh.c, s->p->tanh.degree, s->q[i]);
    product_noise(s, s->q, (size_t)s->H);
    map_rows(s, logits, &w.classifier, s->q, 1);
    bert_fold_head_free(&w);
    return THOR_OK;
}

static int run_new(struct run *s, const struct bert_model *m, const struct bert_plan *p,
                   uint64_t seed) {
    const struct bert_config *c = &m->cfg;
    *s = (struct run){
        .p = p, .T = p->tokens, .H = c->hidden, .F = c->ffn, .heads = c->heads, .seed = seed};
    s->hd = s->H / s->heads;
    s->rng[0] = seed * 0x9e3779b97f4a7c15u + 1;
    s->rng[1] = (seed ^ 0xd1b54a32d192ed03u) * 0xbf58476d1ce4e5b9u;
    for (int i = 0; i < 16; i++) next_random(s);
    size_t T = (size_t)s->T, h = hidden_size(s);
    double *at = s->block = malloc((6 * h + T * T + 4 * T + T * (size_t)s->F) * sizeof *at);
    if (!at)
        return thor_fail(THOR_MEMORY, "no memory for %d tokens of the approximate model", s->T);
    double **hidden[] = {&s->y, &s->q, &s->k, &s->v, &s->c, &s->x},
           **row[] = {&s->d, &s->g, &s->a, &s->r};
    for (int i = 0; i < 6; i++, at += h) *hidden[i] = at;
    for (int i = 0; i < 4; i++, at += T) *row[i] = at;
    s->e = at;
    s->f = at + T * T;
    return THOR_OK;
}

int bert_approx_forward(double *out, const struct bert_model *m, const struct bert_plan *p,
                        const struct bert_tokens *tok, uint64_t seed,
                        struct bert_outside *outside) {
    int st = THOR_OK;
    struct run s = {0};
    if (p->model_hash != m->hash)
        return thor_fail(THOR_MODEL, "the plan was made for another model");
    if (tok->n > p->tokens)
        return thor_fail(
            THOR_INPUT,
            "the text has %d tokens, the plan takes %d: use a larger bucket or shorten it", tok->n,
            p->tokens);
    TRY(run_new(&s, m, p, seed));
    double *first = p->shape.causal ? s.x : s.y;
    TRY(bert_first_state(first, &s.n, m, p, &p->shape, tok));
    for (int i = s.n; i < s.T; i++)
        memcpy(first + (size_t)i * (size_t)s.H, first, (size_t)s.H * sizeof *s.y);
    for (s.l = 0; s.l < p->layers; s.l++) TRY(layer(&s, m, s.l));
    TRY(p->at_client ? head_at_client(&s, m, tok->n, out) : head(&s, m, out));
    if (outside) *outside = s.out;
out:
    free(s.block);
    return st;
}
