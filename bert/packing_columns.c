/* The columns shape: slot = C t + c, so that what has one number a column is a plaintext of period
 * C, a polynomial in X^(N/2C), which costs nothing to expand.
 *
 * Linear maps by non-cyclic diagonals, one level:
 *   y[c] = sum over m = -(C-1) .. C-1 of diag_m[c] x[c + m],   diag_m[c] = w[f_o(c)][f_i(c + m)],
 * zero where c + m leaves the token or either column has no feature: no mask, no value of another
 * token, any rectangle of w; m runs over the columns in use.  Inputs and outputs:
 *   to inner  (q, k, v)   state -> group i in the first half of its columns, zero in the second
 *   to outer  (Wo)        ciphertext e holds the contexts of groups 2 e and 2 e + 1, one a half
 *   outer     (FFN, head) state -> state
 * Skew: rotations C m, diag_m[c] = [c in the first half, j(c) mod T = m]/2.
 *
 * Baby steps: a map takes inputs * babies hoisted products, outputs * giants and as many products
 * by weights as both make.  A baby is a key product divided by P, a giant a decomposition and a key
 * product at the same level: GIANT_COST of a baby, as measured back to back on one core (1.14 at
 * level 16, 0.94 at 14, 0.89 at 10, 0.57 at 5: by the digits); a product by a weight WEIGHT_COST
 * (`thor bench linear`). */
#include <math.h>
#include <string.h>

#include "bert/packing.h"

#define GIANT_COST 0.9
#define WEIGHT_COST 0.025
#define REAL_COST 0.75 /* of a bootstrap of real slots, as measured */
enum { SKEW_BABY = 8, MAX_TERMS = 255 };

static int fit(struct bert_shape *s, int slots) {
    int T = s->tokens, hd = s->head_size;
    s->repeats = 1;
    s->columns = slots / T;
    s->hp = s->columns / 2 / hd;
    s->blocks = T > hd ? T / hd : 1;
    if (!s->hp) return 0;
    s->nx = (s->hidden + s->columns - 1) / s->columns;
    s->groups = (s->heads + s->hp - 1) / s->hp;
    s->contexts = (s->groups + 1) / 2;
    s->scores = s->blocks > 1 ? s->groups * s->blocks / 2 : s->contexts;
    return s->groups <= hd;
}

static size_t slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t) {
    (void)at;
    (void)rho;
    return (size_t)s->columns * (size_t)t + (size_t)c;
}

// feature of column c of ciphertext i on a side of the map
static int feature(const struct bert_shape *s, enum bert_move move, int output, int i, int c) {
    int half = s->columns / 2;
    if (move == BERT_TO_INNER && output) return bert_feature(s, BERT_BY_HEAD, i, c);
    if (move == BERT_TO_OUTER && !output)
        return bert_feature(s, BERT_BY_HEAD, 2 * i + c / half, c % half);
    return bert_feature(s, BERT_HIDDEN, i, c);
}

// diag_shift of output o of all maps, times scale; 0 when all of it is zero
static int map_lane(const struct bert_linear_map *l, int o, int i, int shift, double scale,
                    double *out) {
    const struct bert_shape *s = l->shape;
    int C = s->columns, from = shift < 0 ? -shift : 0, to = shift < 0 ? C : C - shift, any = 0;
    memset(out, 0, (size_t)C * sizeof *out);
    for (int c = from; c < to; c++) {
        out[c] = scale * bert_map_weight(l, o / l->outs, feature(s, l->move, 1, o % l->outs, c),
                                         feature(s, l->move, 0, i, c + shift));
        any |= out[c] != 0;
    }
    return any;
}

// columns in use on a side of the map: all diagonals between are there
static int width(const struct bert_linear_map *l, int output) {
    const struct bert_shape *s = l->shape;
    int C = s->columns, features = output ? l->map[0]->out : l->map[0]->in;
    if (l->move == (output ? BERT_TO_INNER : BERT_TO_OUTER))
        return output || s->groups == 1 ? C / 2 : C;
    return features < C ? features : C;
}

static int map_diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct bert_linear_map *l = ctx;
    int a, b, shift = m - (width(l, 1) - 1);
    double scale = bert_map_lanes(&a, &b, l, o);
    int any = map_lane(l, a, i, shift, scale, re);
    return b >= 0 ? any | map_lane(l, b, i, shift, scale, im) : any;
}

// the cheapest number of babies
static int babies(int inputs, int outputs, int count) {
    int best = 1;
    double least = INFINITY;
    for (int b = 1; b <= count && b * inputs <= MAX_TERMS; b++) {
        int terms = inputs * b, members = outputs * ((count + b - 1) / b);
        double cost = terms + GIANT_COST * members + WEIGHT_COST * terms * members;
        if (cost < least) least = cost, best = b;
    }
    return best;
}

static void linear(struct ckks_linear *t, struct bert_linear_map *m) {
    int count = width(m, 1) + width(m, 0) - 1, outputs = m->paired ? (m->total + 1) / 2 : m->total;
    if (m->move == BERT_TO_INNER) outputs = (m->outs + 1) / 2 + m->outs; // pairs of q, k + i v
    *t = (struct ckks_linear){.stride = 1,
                              .first = 1 - width(m, 1),
                              .count = count,
                              .baby = babies(m->ins, outputs, count),
                              .period = (size_t)m->shape->columns,
                              .inputs = m->ins,
                              .outputs = outputs,
                              .diag = map_diag,
                              .ctx = m};
}

static int skew_diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct bert_shape *s = ctx;
    (void)o;
    (void)i;
    (void)im;
    for (int c = 0; c < s->columns; c++)
        re[c] = c < s->columns / 2 && c / s->hp % s->tokens == m ? 0.5 : 0;
    return 1;
}

static void skew(struct ckks_linear *t, const struct bert_shape *s) {
    int shifts = s->tokens < s->head_size ? s->tokens : s->head_size;
    *t = (struct ckks_linear){.stride = s->columns,
                              .count = shifts,
                              .baby = shifts < SKEW_BABY ? shifts : SKEW_BABY,
                              .period = (size_t)s->columns,
                              .inputs = 1,
                              .outputs = 1,
                              .diag = skew_diag,
                              .ctx = (void *)(uintptr_t)s};
}

static double lanes(int *re, int *im, const struct bert_linear_map *m, int o) {
    int groups = m->outs, nq = (groups + 1) / 2, half = o < nq ? nq : groups;
    if (m->move != BERT_TO_INNER) return bert_paired_lanes(re, im, m, o);
    *re = o < nq ? o : groups + o - nq;
    *im = o < nq && o + half >= groups ? -1 : *re + half;
    return o < nq ? 0.5 : 1;
}

// all slots are in use, of as many complex numbers but for an odd ciphertext, which is real
static struct bert_boot_rule boot(const struct bert_shape *s, enum bert_boot kind) {
    const int of[BERT_BOOTS] = {[BERT_BOOT_X] = s->nx,
                                [BERT_BOOT_SCORES] = s->scores,
                                [BERT_BOOT_PAIR] = 2,
                                [BERT_BOOT_R] = 1};
    int n = of[kind], count = (n + 1) / 2;
    return (struct bert_boot_rule){.by = BERT_BOOT_X,
                                   .log_slots = bert_log2(bert_shape_slots(s)),
                                   .lanes = 1,
                                   .count = count,
                                   .cost = (n / 2 + n % 2 * REAL_COST) / count,
                                   .level = BERT_FRESH_LEVEL};
}

const struct bert_packing bert_columns_packing = {
    .fit = fit,
    .slot = slot,
    .linear = linear,
    .skew = skew,
    .lanes = lanes,
    .boot = boot,
    .attention = bert_attention_columns,
    .share = 2,
    .windows = 1,
    .mask = {.u = 1, .d = 1, .v = 1, .a = 1, .square = 1, .head = 1}};

/* ---- numbers of columns ---- */

size_t bert_spread_first(double *out, const struct bert_shape *s, double value) {
    for (int c = 0; c < s->columns; c++) out[c] = c ? 0 : value;
    return (size_t)s->columns;
}

size_t bert_spread_half(double *out, const struct bert_shape *s, double value) {
    for (int c = 0; c < s->columns; c++) out[c] = c < s->columns / 2 ? value : 0;
    return (size_t)s->columns;
}

// whether column c of ciphertext d of scores counts
static int counts(const struct bert_shape *s, int d, int c) {
    int head, key;
    return bert_score_at(&head, &key, s, d, c, 0) == 1;
}

size_t bert_spread_heads(double *out, const struct bert_shape *s, int d, int both) {
    for (int c = 0; c < s->columns; c++) out[c] = (both || c < s->columns / 2) && counts(s, d, c);
    return (size_t)s->columns;
}

size_t bert_spread_seen(double *out, const struct bert_shape *s, int d, int half, double value) {
    const int C = s->columns;
    int head, key;
    for (int i = 0; i < s->tokens * C; i++) {
        const int t = i / C, c = i % C;
        const int there = bert_score_at(&head, &key, s, d, c % (C / 2) + half * C / 2, t);
        out[i] = c < C / 2 && !(there && bert_hides(t, key)) ? value : 0;
    }
    return (size_t)(s->tokens * C);
}

size_t bert_spread_hidden(double *out, const struct bert_shape *s, int d, int both, double value) {
    const int C = s->columns;
    int head, key;
    for (int i = 0; i < s->tokens * C; i++) {
        const int t = i / C, c = i % C;
        const int there = bert_score_at(&head, &key, s, d, c, t) == 1;
        out[i] = there && bert_hides(t, key) && (both || c < C / 2) ? value : 0;
    }
    return (size_t)(s->tokens * C);
}

int bert_lacks_heads(const struct bert_shape *s, int d) {
    int lacks = 0;
    for (int c = 0; c < s->columns; c++) lacks |= !counts(s, d, c);
    return lacks;
}

int bert_block_width(const struct bert_shape *s) {
    return s->head_size >> bert_log2(s->groups);
}

size_t bert_spread_block(double *out, const struct bert_shape *s, int i, double value) {
    for (int c = 0; c < s->columns; c++)
        out[c] = c < s->columns / 2 && c / s->hp / bert_block_width(s) == i ? value : 0;
    return (size_t)s->columns;
}

size_t bert_spread_spare(double *out, const struct bert_shape *s, double value) {
    const int C = s->columns, rows = s->causal ? s->tokens : 1;
    for (int i = 0; i < rows * C; i++) {
        int c = i % C, group = c / s->hp / bert_block_width(s);
        int used = c < C / 2 && s->hp * group + c % s->hp < s->heads;
        out[i] = used && !(s->causal && i < C) ? 0 : value;
    }
    return (size_t)(rows * C);
}
