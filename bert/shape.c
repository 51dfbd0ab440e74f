#include "bert/shape.h"

int bert_log2(int n) {
    int l = 0;
    while (1 << l < n) l++;
    return l;
}

static int is_power(int n) {
    return n > 0 && !(n & (n - 1));
}

static int copies_shape(struct bert_shape *s, int slots) {
    int T = s->tokens, H = s->hidden;
    if (s->head_size % T || !is_power(s->heads) || s->ffn % H || 4 * T * H > slots) return 0;
    s->by_columns = 0;
    s->hp = s->heads;
    s->columns = H;
    s->nx = s->groups = s->blocks = s->scores = 1;
    s->repeats = slots / (T * H);
    return 1;
}

static int columns_shape(struct bert_shape *s, int slots) {
    int T = s->tokens, hd = s->head_size;
    s->by_columns = s->repeats = 1;
    s->columns = slots / T;
    s->hp = s->columns / 2 / hd;
    s->blocks = T > hd ? T / hd : 1;
    if (!s->hp) return 0;
    s->nx = (s->hidden + s->columns - 1) / s->columns;
    s->groups = (s->heads + s->hp - 1) / s->hp;
    s->scores = s->blocks > 1 ? s->groups * s->blocks / 2 : (s->groups + 1) / 2;
    return s->groups <= hd;
}

int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots) {
    int hd = c->hidden / c->heads;
    *s = (struct bert_shape){
        .tokens = tokens, .hidden = c->hidden, .heads = c->heads, .head_size = hd, .ffn = c->ffn};
    if (c->hidden % c->heads || !is_power(hd) || !is_power(tokens))
        return thor_fail(THOR_MODEL,
                         "%d tokens with heads of %d columns: both must be powers of "
                         "two",
                         tokens, hd);
    if (!copies_shape(s, slots) && !columns_shape(s, slots))
        return thor_fail(THOR_MODEL, "%d tokens with %d heads of %d columns do not fit in %d slots",
                         tokens, c->heads, hd, slots);
    if (c->labels > s->columns)
        return thor_fail(THOR_MODEL, "%d labels do not fit in %d columns", c->labels, s->columns);
    return THOR_OK;
}

size_t bert_slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t) {
    int p = at == BERT_OUTER ? s->columns * rho + c : s->repeats * c + rho;
    if (s->by_columns) return (size_t)s->columns * (size_t)t + (size_t)c;
    return (size_t)s->tokens * (size_t)p + (size_t)t;
}

int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c) {
    int head = s->hp * i + c % s->hp;
    if (by == BERT_HIDDEN) return s->columns * i + c;
    if (c >= bert_group_columns(s) || head >= s->heads) return s->hidden;
    return s->head_size * head + c / s->hp;
}

int bert_score_at(int *head, int *key, const struct bert_shape *s, int d, int c, int t) {
    int width = bert_group_columns(s), half = c / width, j = c % width / s->hp, group, block = 0;
    if (!s->by_columns) {
        group = d;
    } else if (s->blocks > 1) {
        group = d / (s->blocks / 2);
        block = 2 * (d % (s->blocks / 2)) + half;
    } else {
        group = 2 * d + half;
    }
    *head = s->hp * group + c % s->hp;
    *key = (t + s->head_size * block + j) % s->tokens;
    return *head >= s->heads ? 0 : j < s->tokens ? 1 : 2;
}
