#include "bert/shape.h"

int bert_log2(int n)
{
    int l = 0;
    while (1 << l < n)
        l++;
    return l;
}

int bert_pair_slots(const struct bert_shape *s, int joined)
{
    return bert_kappa(s) << (joined ? bert_log2(s->groups) : 0);
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
    int j = c / s->hp, h = c % s->hp, hd = s->head_size;
    if (by == BERT_HIDDEN)
        return s->columns * i + c;
    if (by == BERT_SOURCE)
        i = i * bert_blocks(s) + j / hd;
    return hd * (s->hp * i + h) + j % hd;
}
