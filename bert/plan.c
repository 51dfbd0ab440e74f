/* From ranges to polynomials and iterations.
 *
 * Margins are asymmetric: generous on the side where a polynomial or the iteration runs away (a
 * denominator above 1, a score below the interval, a variance above it), tight where it only loses
 * accuracy (a denominator below e).  Degrees are 2^L - 1, the most that L levels buy, for the
 * smallest L that meets the error budget; what is left of the budget is spent on range, as far as
 * the error stays within half of it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/shape.h"
#include "bert/polyfit.h"

#define EXP_ERR 0.02        /* of a denominator, relative */
#define INV_ERR 0.01        /* relative */
#define ROUND_ERR 0.2       /* of the inverses of rounds: the next sum takes it up */
#define LN_ERR 4e-3         /* relative */
#define GELU_ERR 2e-3       /* absolute */
#define TANH_ERR 2e-3       /* absolute */
#define PREVIOUS_STRAY 0.01 /* mean weight of other keys that is given up */
#define PREVIOUS_NATS 8     /* denominators that span less are inverted as they are */
#define PREVIOUS_TOP -0.05  /* the score of the token before: denominators stay below 1 */
/* Nats that the largest denominator may lie higher than the calibration's margins allow, where that
 * costs no bootstrap: at this end the inverse runs away.  Beyond the margins were 7 of 643 odd
 * texts (words repeated, emoji, code ..), by 0.01 to 0.29 nats, and 40 of 1,500 words each repeated
 * 62 times, by up to 1.03.  With these nats, and what the iteration that they cost reaches above
 * them, it is none and one.  With 0.2 layer 1 of the default model gains nothing (30 of the 1,500),
 * with 0.38 MiniLM has no plan (bench/RESULTS.md). */
#define ODD_NATS 0.3
#define WINDOW_LOW 0.5 /* of the smallest window: room below, where no accuracy is needed */
#define FIT_BEYOND 1.5 /* bert_fit_rsqrt_within bounds what is so far above its accurate part */
#define MIN_LEVELS 3
#define MAX_LEVELS 8
/* Beyond these not even BERT_MAX_DEGREE is enough (errors are 0.08 and more), and no time is spent
 * on finding out: 1/sqrt by the ratio of its ends, GELU and tanh by their reach. */
#define MOST_RATIO 1e5
#define MOST_REACH 1e3

int bert_shape_of(struct bert_shape *s, const struct bert_model *m, int tokens) {
    if (tokens != 32 && tokens != 64 && tokens != 128)
        return thor_fail(THOR_MODEL, "bucket of %d tokens: supported are 32, 64 and 128", tokens);
    return bert_shape_make(s, &m->cfg, tokens, 1 << BERT_LOG_SLOTS);
}

double bert_mask_value(int n) {
    return n > 3 ? sqrt(3.0 / n) : 1;
}

double bert_row_shift(int tokens, int t) {
    return log(bert_mask_value(t + 1) / bert_mask_value(tokens));
}

double bert_join_scale(const struct bert_plan *p, int l, int which) {
    if (!p->shape.causal) return p->layer[l].xc_scale[which];
    if (!which) return p->layer[l].xc_scale[1];
    return l + 1 < p->layers ? p->layer[l + 1].xc_scale[0] : BERT_LAST_SCALE;
}

int bert_bucket(int *tokens, const struct bert_model *m, int n) {
    struct bert_shape s;
    int most = 0;
    for (int t = 32; t <= 128; t *= 2) {
        if (bert_shape_of(&s, m, t) != THOR_OK) continue;
        most = t;
        if (n <= t) {
            *tokens = t;
            return THOR_OK;
        }
    }
    if (!most) return THOR_MODEL; /* with bert_shape_make's message */
    return thor_fail(
        THOR_INPUT, "%d tokens; encrypted, this model takes at most %d: shorten the text", n, most);
}

double bert_previous_score(const struct bert_layer_plan *p, int head, int query, int key) {
    if (key == (query > 0 ? query - 1 : 0)) return PREVIOUS_TOP;
    return key ? p->exp.lo : PREVIOUS_TOP + log(p->previous[head]);
}

// log-sums of head h, of scores over 2^rounds
static void sums_of(double *lo, double *hi, const struct bert_layer_ranges *y,
                    const struct bert_ranges *r, int rounds, int h) {
    int at = (rounds - 1) * r->heads + h;
    *lo = rounds ? y->round_lo[at] : y->den_lo[h];
    *hi = rounds ? y->round_hi[at] : y->den_hi[h];
}

// what the inverse of a head must span: no margin below, where 1/d only falls short
static double span_of(const struct bert_layer_ranges *y, const struct bert_ranges *r, int rounds,
                      int h) {
    double lo, hi;
    sums_of(&lo, &hi, y, r, rounds, h);
    return (hi - lo) * (1 + r->margin) + r->top;
}

static int is_previous(const struct bert_layer_ranges *y, int h) {
    return y->stray[h] < PREVIOUS_STRAY && y->den_hi[h] - y->den_lo[h] > PREVIOUS_NATS;
}

// m for a span in nats, then the smallest e that m iterations reach with half of the error
static int plan_inverse(struct bert_inverse *v, double span, double err, int layer) {
    double e = exp(-span);
    int m = bert_inverse_iterations(e, err);
    if (m > BERT_MAX_ITER)
        return thor_fail(
            THOR_MODEL,
            "layer %d: softmax denominators span %.1f nats, more than %d iterations take", layer,
            span, BERT_MAX_ITER);
    while (bert_inverse_iterations(e * 0.93, err / 2) <= m) e *= 0.93;
    bert_inverse_set(v, e, m, 0);
    return THOR_OK;
}

// the first inverse for the range of all heads with margins; those after a square for what can be
static int plan_inverses(struct bert_layer_plan *p, const struct bert_layer_ranges *y,
                         const struct bert_ranges *r, int tokens, int layer) {
    int st = THOR_OK;
    double most = 0;
    for (int h = 0; h < r->heads; h++)
        most = fmax(most, is_previous(y, h) && !p->rounds ? 1 : span_of(y, r, p->rounds, h));
    for (int k = 0; k < p->rounds; k++) {
        TRY(plan_inverse(&p->inv[k], most, ROUND_ERR, layer));
        most = bert_square_span(tokens, p->inv[k].err);
    }
    TRY(plan_inverse(&p->inv[p->rounds], most, INV_ERR, layer));
out:
    return st;
}

// a row of padding at the largest bucket has a denominator of e, that of the token 0 alone
static double previous_of(const struct bert_layer_plan *p, int tokens) {
    return fmax(p->inv[0].e / (bert_mask_value(tokens) * exp(PREVIOUS_TOP)), 1e-3);
}

// the log-denominator that becomes 1: three quarters of the slack above
static double top_of(const struct bert_layer_ranges *y, const struct bert_ranges *r, int rounds,
                     int h, double least) {
    double lo, hi;
    sums_of(&lo, &hi, y, r, rounds, h);
    return hi + r->margin * (hi - lo) + r->top + 0.75 * (-least - span_of(y, r, rounds, h));
}

// delta and c_h; returns the lowest score
static double plan_shifts(struct bert_layer_plan *p, const struct bert_layer_ranges *y,
                          const struct bert_ranges *r, int tokens) {
    double lo = -1, least = log(p->inv[0].e);
    for (int h = 0; h < r->heads; h++) {
        p->previous[h] = is_previous(y, h) && !p->rounds ? previous_of(p, tokens) : 0;
        if (p->previous[h] > 0) continue;
        double top = top_of(y, r, p->rounds, h, least);
        p->shift[h] = ldexp(y->shift[h], -p->rounds) + top;
        memcpy(p->delta + h * r->head_size, y->delta + h * r->head_size,
               (size_t)r->head_size * sizeof *p->delta);
        lo = fmin(lo, (ldexp(y->score_lo[h], -p->rounds) - top) * (1 + r->margin) - 0.5);
    }
    return lo;
}

// a row with largest score s has d >= max(mask value * exp(s), e), so that d <= 1 bounds s, and at
// most 0.4 T keys add up their errors, which squares double
static int plan_exp(struct bert_layer_plan *p, double lo, int tokens, int layer) {
    int st = THOR_OK, levels = MIN_LEVELS;
    struct bert_poly wider;
    double each = ldexp(1 / (0.4 * tokens), -p->rounds), hi = -log(bert_mask_value(tokens));
    double least = p->inv[0].e;
    for (;; levels++) {
        if (levels > MAX_LEVELS)
            return thor_fail(THOR_MODEL,
                             "layer %d: scores reach %.0f, too low for a polynomial of degree %d",
                             layer, lo, BERT_MAX_DEGREE);
        TRY(bert_fit_exp(&p->exp, lo, hi, least, (1 << levels) - 1));
        if (p->exp.err < EXP_ERR * each) break;
    }
    for (int i = 0; i < 6; i++) {
        TRY(bert_fit_exp(&wider, p->exp.lo * 1.08, hi, least, p->exp.degree));
        if (wider.err > EXP_ERR / 2 * each) break;
        p->exp = wider;
    }
out:
    return st;
}

/* 1/sqrt is accurate on var, the variances with margins; its interval holds what else comes there
 * too, in the columns shape windows of variances (windows.h): none may be above, and how low one is
 * matters little.  Those of a causal model's neighbours of token 0 share what stands in for that,
 * whose half is about var_lo (fold.h). */
static void norm_intervals(double var[2], double all[2], const struct bert_layer_ranges *y, int i,
                           double margin, const struct bert_shape *s) {
    const int windows = s->packing->windows;
    const double most = s->causal ? y->var_hi[i] + y->var_lo[i] : 0;
    double t = margin * log(y->var_hi[i] / y->var_lo[i]) + 0.2, over = exp(fmin(t, 0.5) + 0.2);
    var[0] = y->var_lo[i] * exp(-t);
    var[1] = y->var_hi[i] * over;
    all[0] = windows ? fmin(var[0], WINDOW_LOW * y->win_lo[i]) : var[0];
    all[1] = windows ? fmax(var[1], over * fmax(most, y->win_hi[i])) : var[1];
    var[1] = fmax(var[1], all[1] / FIT_BEYOND);
}

static int plan_norm(struct bert_layer_plan *p, int i, const struct bert_layer_ranges *y,
                     double margin, const struct bert_shape *s, int layer) {
    int st = THOR_OK, levels = MIN_LEVELS;
    struct bert_poly *f = &p->rsqrt[i], wider;
    double var[2], all[2];
    norm_intervals(var, all, y, i, margin, s);
    for (;; levels++) {
        if (levels > MAX_LEVELS || var[1] / var[0] > MOST_RATIO)
            return thor_fail(
                THOR_MODEL,
                "layer %d: variances of LayerNorm %d span %.3g to %.3g, too wide for degree %d",
                layer, i + 1, var[0], var[1], BERT_MAX_DEGREE);
        TRY(bert_fit_rsqrt_within(f, all[0], all[1], var[0], var[1], (1 << levels) - 1));
        if (f->err < LN_ERR) break;
    }
    for (int k = 0; k < 4; k++) {
        TRY(bert_fit_rsqrt_within(&wider, f->lo / 1.06, f->hi * 1.2, var[0] / 1.06, var[1] * 1.2,
                                  f->degree));
        if (wider.err > LN_ERR / 2) break;
        *f = wider;
        var[0] /= 1.06;
        var[1] *= 1.2;
    }
    p->var_lo[i] = var[0];
    p->var_hi[i] = var[1];
    p->xc_scale[i] = sqrt(2 / (s->hidden * (f->hi - f->lo)));
    p->r_mult[i] = (int)ceil((1 + f->err) / (p->xc_scale[i] * sqrt(var[0])));
out:
    return st;
}

typedef int fit_fn(struct bert_poly *p, double r, int degree);

// GELU and tanh: a symmetric interval of half width *r
static int plan_even(struct bert_poly *p, double *r, fit_fn *fit, double budget, int rounds,
                     const char *what) {
    int st = THOR_OK, levels = MIN_LEVELS;
    struct bert_poly wider;
    for (;; levels++) {
        if (levels > MAX_LEVELS || *r > MOST_REACH)
            return thor_fail(THOR_MODEL, "%s reaches +-%.1f, too far for a polynomial of degree %d",
                             what, *r, BERT_MAX_DEGREE);
        TRY(fit(p, *r, (1 << levels) - 1));
        if (p->err < budget) break;
    }
    for (int i = 0; i < rounds; i++) {
        TRY(fit(&wider, *r * 1.1, p->degree));
        if (wider.err > budget / 2) break;
        *p = wider;
        *r *= 1.1;
    }
out:
    return st;
}

static int plan_layer(struct bert_plan *p, const struct bert_ranges *r, int l) {
    int st = THOR_OK;
    struct bert_layer_plan *to = &p->layer[l];
    const struct bert_layer_ranges *y = &r->layer[l];
    for (int i = 0; i < 2; i++) TRY(plan_norm(to, i, y, r->margin, &p->shape, l));
    to->gelu_r = y->gelu * (1 + r->margin) + 0.3;
    TRY(plan_even(&to->gelu, &to->gelu_r, bert_fit_activation[p->activation], GELU_ERR, 4,
                  "the input of GELU"));
out:
    return st;
}

static int check(const struct bert_model *m, const struct bert_ranges *r, int tokens,
                 const struct bert_shape *s) {
    if (r->model_hash != m->hash || r->layers != m->cfg.layers || r->heads != m->cfg.heads ||
        r->activation != m->cfg.activation)
        return thor_fail(THOR_MODEL, "the calibration was measured on another model");
    if (tokens > r->tokens)
        return thor_fail(THOR_MODEL,
                         "the calibration covers texts up to %d tokens, not %d: calibrate again",
                         r->tokens, tokens);
    if (s->packing->windows && !bert_ranges_windows(r))
        return thor_fail(THOR_MODEL, "the calibration has no windows of variances (window_min), "
                                     "which this model's packing needs: calibrate again");
    return THOR_OK;
}

static int finite_poly(const struct bert_poly *p, double scale) {
    int ok = isfinite(p->lo) && isfinite(p->hi) && p->lo < p->hi && isfinite(p->err);
    for (int k = 0; k <= p->degree; k++) ok &= isfinite(scale * p->c[k]) != 0;
    return ok;
}

// every number that is folded into a weight or a polynomial
static int finite_layer(const struct bert_layer_plan *p, int heads, int hd) {
    const double sigma = p->inv[0].sigma;
    int ok = finite_poly(&p->exp, sigma) && finite_poly(&p->gelu, 1) && isfinite(p->gelu_r);
    for (int k = 0; k <= p->rounds; k++) {
        const struct bert_inverse *v = &p->inv[k];
        ok &= v->e > 0 && isfinite(v->sigma) && isfinite(v->scale) && isfinite(v->alpha);
    }
    for (int i = 0; i < 2; i++)
        ok &= p->xc_scale[i] > 0 && isfinite(p->xc_scale[i]) &&
              finite_poly(&p->rsqrt[i], 1 / p->xc_scale[i]);
    for (int i = 0; i < heads * (hd + 2); i++)
        ok &= isfinite(p->delta[i]) != 0; // delta, shift and previous are one array
    return ok;
}

// what the ranges' limits promise, said rather than trusted
static int check_finite(const struct bert_plan *p) {
    const struct bert_shape *s = &p->shape;
    for (int l = 0; l < p->layers; l++)
        if (!finite_layer(&p->layer[l], s->heads, s->head_size))
            return thor_fail(THOR_MODEL,
                             "layer %d: its ranges give no finite plan: calibrate again "
                             "with other texts",
                             l);
    if (!p->at_client && (!finite_poly(&p->tanh, 1) || !isfinite(p->tanh_r)))
        return thor_fail(THOR_MODEL, "the range of tanh gives no finite plan: calibrate again with "
                                     "other texts");
    return THOR_OK;
}

static int plan_alloc(struct bert_plan **out, const struct bert_ranges *r) {
    struct bert_plan *p = *out = calloc(1, sizeof *p);
    size_t each = (size_t)(r->heads * (r->head_size + 2));
    double *block = calloc((size_t)r->layers * each, sizeof *block);
    if (p) p->layer = calloc((size_t)r->layers, sizeof *p->layer);
    if (!p || !p->layer || !block) {
        free(block);
        return thor_fail(THOR_MEMORY, "no memory for a plan of %d layers", r->layers);
    }
    p->layers = r->layers;
    for (int l = 0; l < r->layers; l++) {
        p->layer[l].delta = block + (size_t)l * each;
        p->layer[l].shift = p->layer[l].delta + r->heads * r->head_size;
        p->layer[l].previous = p->layer[l].shift + r->heads;
    }
    return THOR_OK;
}

// exp and inverses of a layer with p->rounds
static int plan_softmax(struct bert_plan *p, const struct bert_ranges *r, int l) {
    int st = THOR_OK;
    struct bert_layer_plan *to = &p->layer[l];
    TRY(plan_inverses(to, &r->layer[l], r, p->tokens, l));
    TRY(plan_exp(to, plan_shifts(to, &r->layer[l], r, p->tokens), p->tokens, l));
out:
    return st;
}

// the fewest rounds with which the layer has a plan
static int plan_rounds(struct bert_plan *p, const struct bert_ranges *r, int l) {
    int st, most = bert_ranges_rounds(r) ? BERT_MAX_ROUNDS : 0, *rounds = &p->layer[l].rounds;
    for (*rounds = 0;; ++*rounds) {
        st = plan_softmax(p, r, l);
        if (st != THOR_MODEL && (st != THOR_OK || bert_placeable(p, l))) return st;
        if (*rounds == most) break;
    }
    if (st == THOR_OK || most) return st; // bert_place says what is missing
    return thor_fail(THOR_MODEL,
                     "layer %d: its softmax needs rounds of normalising and squaring, which the "
                     "calibration did not measure (round_sum_min): calibrate again",
                     l);
}

// what hangs on the denominators: exp and inverses of every layer, bootstraps
static int plan_attention(struct bert_plan *p, const struct bert_ranges *r) {
    int st = THOR_OK;
    for (int l = 0; l < p->layers; l++) TRY(plan_rounds(p, r, l));
    TRY(check_finite(p));
    TRY(bert_place(p));
out:
    return st;
}

// denominators up to ODD_NATS higher, unless bootstraps or the plan itself would be the price
static int make_room(struct bert_plan *p, const struct bert_ranges *r) {
    struct bert_ranges higher = *r;
    int full[2], sparse[2];
    higher.top += ODD_NATS;
    bert_plan_bootstraps(p, &full[0], &sparse[0]);
    int st = plan_attention(p, &higher);
    if (st == THOR_OK) {
        bert_plan_bootstraps(p, &full[1], &sparse[1]);
        if (full[1] <= full[0] && sparse[1] <= sparse[0]) return THOR_OK;
    }
    return st == THOR_OK || st == THOR_MODEL ? plan_attention(p, r) : st;
}

int bert_plan_new(struct bert_plan **out, const struct bert_model *m, const struct bert_ranges *r,
                  int tokens) {
    int st = THOR_OK;
    struct bert_plan *p = NULL;
    struct bert_shape shape;
    *out = NULL;
    TRY(bert_shape_of(&shape, m, tokens));
    TRY(check(m, r, tokens, &shape));
    TRY(bert_ranges_check(r, "calibration"));
    TRY(plan_alloc(&p, r));
    p->tokens = tokens;
    p->shape = shape;
    p->activation = m->cfg.activation;
    p->model_hash = m->hash;
    p->calibration_rows = r->rows;
    for (int l = 0; l < p->layers; l++) TRY(plan_layer(p, r, l));
    p->at_client = bert_head_at_client(&m->cfg);
    p->tanh_r = r->tanh * (1 + r->margin) + 0.3;
    if (!p->at_client)
        TRY(plan_even(&p->tanh, &p->tanh_r, bert_fit_tanh, TANH_ERR, 8, "the input of tanh"));
    TRY(plan_attention(p, r));
    TRY(make_room(p, r));
    *out = p;
    p = NULL;
out:
    bert_plan_free(p);
    return st;
}

void bert_plan_free(struct bert_plan *p) {
    if (!p) return;
    if (p->layer) free(p->layer[0].delta);
    free(p->layer);
    free(p);
}

static void print_levels(FILE *f, const struct bert_layer_plan *p,
                         const struct bert_node_row *row) {
    fprintf(f, "  levels    ");
    for (int i = 0; i < BERT_NODES; i++) {
        if (!row[i].name) continue;
        int k, pair = bert_which_sums(&k, (enum bert_node)i) == BERT_PAIR;
        if (pair && !p->boot[i]) continue;
        fprintf(f, "%s%s %d%s", i == BERT_Y ? "" : ", ", row[i].name, p->level[i],
                p->boot[i] ? "*" : "");
        if (pair) fprintf(f, " (after %d)", p->boot[i]);
    }
    fprintf(f, "\n");
}

static void print_layer(FILE *f, const struct bert_layer_plan *p, int l, const struct bert_shape *s,
                        enum bert_activation a) {
    struct bert_node_row row[BERT_NODES];
    bert_nodes_set(row, p, s);
    fprintf(f, "layer %d\n", l);
    for (int h = 0; h < s->heads; h++)
        if (p->previous[h] > 0)
            fprintf(f, "  head %-4d attends to the token before, weight %.3f to token 0\n", h,
                    p->previous[h]);
    if (p->rounds)
        fprintf(f, "  softmax   of scores / %d, then %d times normalised and squared\n",
                1 << p->rounds, p->rounds);
    for (int i = 0; i < BERT_NODES; i++)
        if (row[i].fit.by)
            fprintf(f, "  %-9s on [%.4g, %.4g]  %s %d  error %.1e%s\n",
                    i == BERT_F ? bert_activations[a].title : row[i].name, row[i].fit.lo,
                    row[i].fit.hi, row[i].fit.by, row[i].fit.count, row[i].fit.err,
                    i == BERT_F ? "" : " relative");
    print_levels(f, p, row);
}

static void print_head(FILE *f, const struct bert_plan *p) {
    if (p->at_client) {
        fprintf(f, "head\n  at the client, from the final state at level %d\n", p->level_logits);
        return;
    }
    fprintf(f,
            "head\n  tanh      on +-%.1f  degree %d  error %.1e\n  levels    pooler %d, tanh %d, "
            "logits %d\n",
            p->tanh_r, p->tanh.degree, p->tanh.err, p->level_pooler, p->level_tanh,
            p->level_logits);
}

void bert_plan_print(FILE *f, const struct bert_plan *p) {
    int full, sparse;
    fprintf(f, "plan for %d tokens, %d layers, from %d calibration texts (* bootstrap)\n",
            p->tokens, p->layers, p->calibration_rows);
    for (int l = 0; l < p->layers; l++) print_layer(f, &p->layer[l], l, &p->shape, p->activation);
    print_head(f, p);
    bert_plan_bootstraps(p, &full, &sparse);
    fprintf(f, "bootstraps: %d with full slots, %d sparse\n", full, sparse);
}
