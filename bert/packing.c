#include "bert/packing.h"

#include <string.h>

int bert_log2(int n)
{
    int l = 0;
    while (1 << l < n)
        l++;
    return l;
}

static int is_power(int n)
{
    return n > 0 && !(n & (n - 1));
}

static int copies_shape(struct bert_shape *s, int slots)
{
    int T = s->tokens, H = s->hidden;
    if (s->head_size % T || !is_power(s->heads) || s->ffn % H || 4 * T * H > slots)
        return 0;
    s->wide = 0;
    s->hp = s->heads;
    s->columns = H;
    s->nx = s->groups = 1;
    s->repeats = slots / (T * H);
    s->span = s->head_size;
    return 1;
}

static int wide_shape(struct bert_shape *s, int slots)
{
    int T = s->tokens;
    s->wide = s->repeats = 1;
    s->span = T > s->head_size ? T : s->head_size;
    if (2 * T * s->span > slots)
        return 0;
    s->hp = slots / (T * s->span);
    s->columns = slots / T;
    s->nx = (s->hidden + s->columns - 1) / s->columns;
    s->groups = (s->heads + s->hp - 1) / s->hp;
    return 1;
}

int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots)
{
    int hd = c->hidden / c->heads;
    *s = (struct bert_shape){
        .tokens = tokens, .hidden = c->hidden, .heads = c->heads, .head_size = hd, .ffn = c->ffn};
    if (c->hidden % c->heads || !is_power(hd) || !is_power(tokens))
        return thor_fail(THOR_MODEL, "%d tokens with heads of %d columns: both must be powers of "
                         "two", tokens, hd);
    if (!copies_shape(s, slots) && !wide_shape(s, slots))
        return thor_fail(THOR_MODEL, "%d tokens with heads of %d columns do not fit in %d slots: "
                         "2 x tokens x the larger of both must not be more", tokens, hd, slots);
    if (c->labels > s->columns)
        return thor_fail(THOR_MODEL, "%d labels do not fit in %d columns", c->labels, s->columns);
    return THOR_OK;
}

size_t bert_slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t)
{
    int p = at == BERT_OUTER ? s->columns * rho + c : s->repeats * c + rho;
    return (size_t)s->tokens * (size_t)p + (size_t)t;
}

int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c)
{
    if (by == BERT_HIDDEN)
        return s->columns * i + c;
    return s->head_size * (s->hp * i + c % s->hp) + c / s->hp;
}

void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++) {
            size_t row = (size_t)(t < rows ? t : 0) * (size_t)s->hidden;
            out[bert_slot(s, BERT_OUTER, c, 0, t)] =
                x[row + (size_t)bert_feature(s, BERT_HIDDEN, i, c)];
        }
}

void bert_pack_mask(double *out, const struct bert_shape *s, int rows)
{
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            out[bert_slot(s, BERT_INNER, c, 0, t)] =
                (t + c / s->hp) % s->tokens < rows ? bert_mask_value(rows) : 0;
}

void bert_unpack_state(double *x, int width, const struct bert_shape *s, enum bert_layout at,
                       enum bert_order by, int i, const double *slots)
{
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            x[(size_t)t * (size_t)width + (size_t)bert_feature(s, by, i, c)] =
                slots[bert_slot(s, at, c, 0, t)];
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

void bert_spread_heads(double *out, const struct bert_shape *s, int i, const double *v)
{
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            out[bert_slot(s, BERT_INNER, c, 0, t)] = v[s->hp * i + c % s->hp];
}

static double weight(const struct bert_linear_map *m, int which, int out, int in)
{
    const struct bert_map *w = m->map[which];
    return out < w->out ? w->w[(size_t)out * (size_t)w->in + (size_t)in] : 0;
}

// the T slots of one column: v, or v at token 0 only
static void fill(double *re, int tokens, double v, int first_token)
{
    for (int t = 0; t < tokens; t++)
        re[t] = first_token && t ? 0 : v;
}

static int map_diag(void *ctx, int o, int i, int m, double *re, double *im)
{
    const struct bert_linear_map *l = ctx;
    const struct bert_shape *s = l->shape;
    int T = s->tokens, C = s->columns, R = s->repeats, which = o / l->outs,
        first = l->only_first[which];
    (void)im;
    o %= l->outs;
    for (int p = 0; p < (l->move == BERT_STAY_OUTER ? C : R * C); p++) {
        int out, in;
        if (l->move == BERT_TO_INNER) {
            out = bert_feature(s, BERT_BY_HEAD, o, p / R);
            in = bert_feature(s, BERT_HIDDEN, i, (p + m) % C);
        } else if (l->move == BERT_TO_OUTER) {
            out = bert_feature(s, BERT_HIDDEN, o, p % C);
            in = bert_feature(s, BERT_BY_HEAD, i, (p / R + m) % C);
        } else {
            out = bert_feature(s, BERT_HIDDEN, o, p);
            in = bert_feature(s, BERT_HIDDEN, i, (p + m) % C);
        }
        int skip = first && l->move == BERT_TO_INNER && p % R;
        fill(re + p * T, T, skip ? 0 : weight(l, which, out, in),
             first && l->move == BERT_STAY_OUTER);
    }
    return 1;
}

void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps)
{
    const struct bert_shape *s = m->shape;
    int inner = m->move == BERT_TO_OUTER;
    m->ins = m->map[0]->in / s->columns;
    m->outs = (m->map[0]->out + s->columns - 1) / s->columns;
    *t = (struct ckks_linear){.stride = (inner ? s->repeats : 1) * s->tokens,
                              .count = s->columns,
                              .baby = s->columns < BERT_MAX_BABY ? s->columns : BERT_MAX_BABY,
                              .period = (size_t)(m->move == BERT_STAY_OUTER ? s->tokens * s->columns
                                                                            : bert_shape_slots(s)),
                              .inputs = m->ins,
                              .outputs = maps * m->outs,
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

void bert_skew_set(struct ckks_linear *t, const struct bert_shape *s)
{
    *t = (struct ckks_linear){.stride = 1,
                              .count = s->tokens,
                              .baby = s->tokens < 8 ? s->tokens : 8,
                              .period = (size_t)(s->tokens * bert_kappa(s)),
                              .inputs = 1,
                              .outputs = 1,
                              .diag = skew_diag,
                              .ctx = (void *)(uintptr_t)s};
}
