#include "bert/shape.h"

int bert_log2(int n) {
    int l = 0;
    while (1 << l < n) l++;
    return l;
}

int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots) {
    const struct bert_packing *const all[] = {&bert_copies_packing, &bert_columns_packing, NULL},
                                     *const *k = all + bert_is_causal(c);
    int hd = c->hidden / c->heads;
    *s = (struct bert_shape){.tokens = tokens,
                             .hidden = c->hidden,
                             .heads = c->heads,
                             .head_size = hd,
                             .ffn = c->ffn,
                             .causal = bert_is_causal(c)};
    if (c->hidden % c->heads || !bert_is_power(hd) || !bert_is_power(tokens))
        return thor_fail(THOR_MODEL,
                         "%d tokens with heads of %d columns: both must be powers of "
                         "two",
                         tokens, hd);
    for (; (s->packing = *k) && !s->packing->fit(s, slots); k++) {
    }
    if (!s->packing)
        return thor_fail(THOR_MODEL, "%d tokens with %d heads of %d columns do not fit in %d slots",
                         tokens, c->heads, hd, slots);
    if (!bert_head_at_client(c) && c->labels > s->columns)
        return thor_fail(THOR_MODEL, "%d labels do not fit in %d columns", c->labels, s->columns);
    return THOR_OK;
}

int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c) {
    int head = s->hp * i + c % s->hp;
    if (by == BERT_HIDDEN) return s->columns * i + c;
    if (c >= bert_group_columns(s) || head >= s->heads) return s->hidden;
    return s->head_size * head + c / s->hp;
}

int bert_score_at(int *head, int *key, const struct bert_shape *s, int d, int c, int t) {
    int width = bert_group_columns(s), half = c / width, j = c % width / s->hp,
        lanes = s->blocks / 2, group = lanes ? d / lanes : 2 * d + half,
        block = lanes ? 2 * (d % lanes) + half : 0;
    *head = s->hp * group + c % s->hp;
    *key = (t + s->head_size * block + j) % s->tokens;
    return *head >= s->heads ? 0 : j < s->tokens ? 1 : 2;
}
