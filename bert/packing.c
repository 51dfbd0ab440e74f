#include "bert/packing.h"

#include <string.h>

void bert_pack_state(double *out, const struct bert_shape *s, int i, const double *x, int rows) {
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++) {
            int f = bert_feature(s, BERT_HIDDEN, i, c);
            size_t row = (size_t)(t < rows ? t : 0) * (size_t)s->hidden;
            out[bert_slot(s, BERT_OUTER, c, 0, t)] = f < s->hidden ? x[row + (size_t)f] : 0;
        }
}

void bert_pack_mask(double *out, const struct bert_shape *s, int rows) {
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < bert_group_columns(s); c++)
        for (int t = 0; t < s->tokens; t++) {
            int token = (t + c / s->hp) % s->tokens < rows;
            if (token) out[bert_slot(s, BERT_INNER, c, 0, t)] = bert_mask_value(rows);
        }
}

// tokens of a plain vector: where columns lie side by side, its period is one token
static int vector_tokens(const struct bert_shape *s) {
    return bert_column_step(s) == 1 ? 1 : s->tokens;
}

size_t bert_spread_outer(double *out, const struct bert_shape *s, int i, const double *v, int width,
                         int first_token) {
    int tokens = first_token ? s->tokens : vector_tokens(s);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < tokens; t++) {
            int f = bert_feature(s, BERT_HIDDEN, i, c);
            out[bert_slot(s, BERT_OUTER, c, 0, t)] = f < width && !(first_token && t) ? v[f] : 0;
        }
    return (size_t)(tokens * s->columns);
}

size_t bert_spread_inner(double *out, const struct bert_shape *s, int i, const double *v,
                         int first_copy) {
    int tokens = vector_tokens(s);
    for (int c = 0; c < s->columns; c++)
        for (int rho = 0; rho < s->repeats; rho++)
            for (int t = 0; t < tokens; t++) {
                int f = bert_feature(s, BERT_BY_HEAD, i, c);
                out[bert_slot(s, BERT_INNER, c, rho, t)] =
                    f >= s->hidden || (first_copy && rho) ? 0 : v[f];
            }
    return (size_t)(s->repeats * tokens * s->columns);
}

size_t bert_spread_scores(double *out, const struct bert_shape *s, int d,
                          const struct bert_folded_layer *f) {
    int head, key;
    memset(out, 0, (size_t)bert_shape_slots(s) * sizeof *out);
    for (int c = 0; c < s->columns; c++)
        for (int t = 0; t < s->tokens; t++)
            if (bert_score_at(&head, &key, s, d, c, t))
                out[bert_slot(s, BERT_INNER, c, 0, t)] = bert_score_add(f, head, t, key);
    return (size_t)bert_shape_slots(s);
}

/* ---- linear maps ---- */

double bert_map_weight(const struct bert_linear_map *m, int which, int out, int in) {
    const struct bert_map *w = m->map[which];
    return out < w->out && in < w->in ? w->w[(size_t)out * (size_t)w->in + (size_t)in] : 0;
}

double bert_paired_lanes(int *re, int *im, const struct bert_linear_map *m, int o) {
    int half = (m->total + 1) / 2;
    *re = o;
    *im = m->paired && o + half < m->total ? o + half : -1;
    return m->paired ? 0.5 : 1;
}

static int ceil_div(int a, int b) {
    return (a + b - 1) / b;
}

void bert_linear_set(struct ckks_linear *t, struct bert_linear_map *m, int maps) {
    const struct bert_shape *s = m->shape;
    m->ins = m->move == BERT_TO_OUTER ? s->contexts : ceil_div(m->map[0]->in, s->columns);
    m->outs = m->move == BERT_TO_INNER ? s->groups : ceil_div(m->map[0]->out, s->columns);
    m->total = maps * m->outs;
    m->paired = m->paired && m->total > 1;
    s->packing->linear(t, m);
}
