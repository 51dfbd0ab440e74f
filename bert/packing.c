#include "bert/packing.h"

#include <string.h>

void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++) {
            int f = bert_feature(s, BERT_HIDDEN, i, c);
            size_t row = (size_t)(t < rows ? t : 0) * (size_t)s->hidden;
            out[bert_slot(s, BERT_OUTER, c, 0, t)] = f < s->hidden ? x[row + (size_t)f] : 0;
        }
}

void bert_pack_mask(double *out, const struct bert_shape *s, int rows)
{
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++) {
            int token = (t + c / s->hp) % s->tokens < rows, first = !(s->wide && c % 2);
            out[bert_slot(s, BERT_INNER, c, 0, t)] = token && first ? bert_mask_value(rows) : 0;
        }
}

void bert_unpack_state(double *x, int width, const struct bert_shape *s, enum bert_layout at,
                       enum bert_order by, int i, const double *slots)
{
    for (int c = 0; c < s->columns; c++) {
        int f = bert_feature(s, by, i, c);
        for (int t = 0; t < s->tokens && f < width; t++)
            x[(size_t)t * (size_t)width + (size_t)f] = slots[bert_slot(s, at, c, 0, t)];
    }
}

void bert_unpack_scores(double *e, const struct bert_shape *s, int h, const double *slots)
{
    for (int j = 0; j < s->tokens; j++)
        for (int t = 0; t < s->tokens; t++)
            e[t * s->tokens + (t + j) % s->tokens] =
                slots[bert_slot(s, BERT_INNER, s->hp * j + h, 0, t)];
}

void bert_spread_outer(double *out, const struct bert_shape *s, int i, const double *v, int width,
                       int first_token)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++) {
            int f = bert_feature(s, BERT_HIDDEN, i, c);
            out[bert_slot(s, BERT_OUTER, c, 0, t)] = f < width && !(first_token && t) ? v[f] : 0;
        }
}

void bert_spread_inner(double *out, const struct bert_shape *s, int i, const double *v,
                       int first_copy)
{
    for (int c = 0; c < s->columns; c++)
        for (int rho = 0; rho < s->repeats; rho++)
            for (int t = 0; t < s->tokens; t++)
                out[bert_slot(s, BERT_INNER, c, rho, t)] =
                    first_copy && rho ? 0 : v[bert_feature(s, BERT_BY_HEAD, i, c)];
}

// the head itself, or head 0 in place of one that is missing
static int head_or_first(const struct bert_shape *s, int head)
{
    return head < s->heads ? head : 0;
}

void bert_spread_scores(double *out, const struct bert_shape *s, int i,
                        const struct bert_folded_layer *f)
{
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            out[bert_slot(s, BERT_INNER, c, 0, t)] = bert_score_add(
                f, head_or_first(s, s->hp * i + c % s->hp), t, (t + c / s->hp) % s->tokens);
}

static int source_feature(const struct bert_shape *s, int i, int c)
{
    int f = bert_feature(s, BERT_SOURCE, i, c), hd = s->head_size;
    return hd * head_or_first(s, f / hd) + f % hd;
}

void bert_spread_source(double *out, const struct bert_shape *s, int i, const double *v)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            out[bert_slot(s, BERT_OUTER, c, 0, t)] = v[source_feature(s, i, c)];
}

void bert_spread_pick(double *out, const struct bert_shape *s, int y, int x)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            out[bert_slot(s, BERT_OUTER, c, 0, t)] =
                c % 2 == x && c / (s->hp * s->head_size) == y;
}

static double weight(const struct bert_linear_map *m, int which, int out, int in)
{
    const struct bert_map *w = m->map[which];
    return out < w->out && in < w->in ? w->w[(size_t)out * (size_t)w->in + (size_t)in] : 0;
}

static void columns_of(const struct bert_linear_map *l, int o, int i, int m, int p, int *out,
                       int *in)
{
    const struct bert_shape *s = l->shape;
    int C = s->columns, R = s->repeats;
    *out = bert_feature(s, BERT_HIDDEN, o, p % C);
    *in = bert_feature(s, BERT_HIDDEN, i, (p + m) % C);
    if (l->move == BERT_TO_INNER)
        *out = s->wide ? source_feature(s, o, p) : bert_feature(s, BERT_BY_HEAD, o, p / R);
    if (l->move == BERT_TO_OUTER)
        *in = bert_feature(s, BERT_BY_HEAD, i, (p / R + m) % (s->hp * s->head_size));
}

// token 0 only: else all tokens of a column have the same number
static int first_token(const struct bert_linear_map *l)
{
    return l->only_first[0] && l->move == BERT_STAY_OUTER;
}

// diagonal m of output o, of all maps, times `scale`: one number a column, or its T slots
static void map_lane(const struct bert_linear_map *l, int o, int i, int m, double scale, double *re)
{
    const struct bert_shape *s = l->shape;
    int C = s->columns, R = s->repeats, which = o / l->outs, out, in,
        step = first_token(l) ? s->tokens : 1;
    for (int p = 0; p < (l->move == BERT_STAY_OUTER ? C : R * C); p++) {
        columns_of(l, o % l->outs, i, m, p, &out, &in);
        int skip = l->only_first[which] && l->move == BERT_TO_INNER && p % R;
        memset(re + p * step, 0, (size_t)step * sizeof *re);
        re[p * step] = skip ? 0 : scale * weight(l, which, out, in);
    }
}

static int map_diag(void *ctx, int o, int i, int m, double *re, double *im)
{
    const struct bert_linear_map *l = ctx;
    int half = (l->total + 1) / 2;
    map_lane(l, o, i, m, l->paired ? 0.5 : 1, re);
    if (l->paired && o + half < l->total)
        map_lane(l, o + half, i, m, 0.5, im);
    return 1;
}

static int ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}

void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps)
{
    const struct bert_shape *s = m->shape;
    int heads_in = m->move == BERT_TO_OUTER, heads_out = m->move == BERT_TO_INNER;
    int count = heads_in ? s->hp * s->head_size : s->columns;
    m->ins = heads_in ? s->groups : ceil_div(m->map[0]->in, s->columns);
    m->outs = heads_out ? bert_sources(s) : ceil_div(m->map[0]->out, s->columns);
    m->total = maps * m->outs;
    m->paired = m->paired && m->total > 1;
    *t = (struct ckks_linear){.stride = (heads_in ? s->repeats : 1) * s->tokens,
                              .count = count,
                              .baby = count < BERT_MAX_BABY ? count : BERT_MAX_BABY,
                              .period = (size_t)(m->move == BERT_STAY_OUTER ? s->tokens * s->columns
                                                                            : bert_shape_slots(s)),
                              .inputs = m->ins,
                              .outputs = m->paired ? ceil_div(m->total, 2) : m->total,
                              .log_run = first_token(m) ? 0 : bert_log2(s->tokens),
                              .diag = map_diag,
                              .ctx = m};
    while (t->inputs * t->baby > 255)
        t->baby /= 2;
}

static int skew_diag(void *ctx, int o, int i, int m, double *re, double *im)
{
    const struct bert_shape *s = ctx;
    int block = bert_kappa(s);
    (void)o;
    (void)i;
    (void)im;
    for (int j = 0; j < s->tokens; j++)
        for (int k = 0; k < block; k++)
            re[j * block + k] = j == m;
    return 1;
}

static int wide_skew_diag(void *ctx, int o, int i, int L, double *re, double *im)
{
    const struct bert_shape *s = ctx;
    int T = s->tokens, hd = s->head_size, blocks = bert_blocks(s), n = bert_shape_slots(s);
    int rho = o % blocks, w = o / blocks;
    int from = w ? -L : hd * rho, to = w ? hd * rho : T - L;
    (void)i;
    (void)im;
    if (from >= to)
        return 0;
    memset(re, 0, (size_t)n * sizeof *re);
    for (int j = L; j < hd; j += T)
        for (int h = 0; h < s->hp; h += 2)
            for (int t = from; t < to; t++)
                re[(T * (s->hp * j + h) + t + n) % n] = 1;
    return 1;
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

void bert_skew_set(struct ckks_linear *t, const struct bert_shape *s)
{
    int shifts = min_int(s->tokens, s->head_size);
    *t = (struct ckks_linear){.stride = 1,
                              .count = shifts,
                              .baby = min_int(shifts, s->wide ? 32 : 8),
                              .period = (size_t)(s->wide ? bert_shape_slots(s)
                                                         : s->tokens * bert_kappa(s)),
                              .inputs = 1,
                              .outputs = s->wide ? 2 * bert_blocks(s) : 1,
                              .diag = s->wide ? wide_skew_diag : skew_diag,
                              .ctx = (void *)(uintptr_t)s};
}
