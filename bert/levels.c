#include "bert/levels.h"

#include <stdlib.h>

#include "bert/shape.h"

static int max_int(int a, int b) {
    return a > b ? a : b;
}

static int state_bands(const struct bert_shape *s) {
    return bert_boot_bands(bert_state_log(s));
}

static int full_bands(const struct bert_shape *s) {
    return bert_boot_bands(bert_log2(bert_shape_slots(s)));
}

// LayerNorm i whose product y is needed at level `need`, after a bootstrap if `boot`
static void norm_levels(struct bert_levels *v, const struct bert_layer_plan *p,
                        const struct bert_shape *s, int i, int need, int boot) {
    v->y_out[i] = boot ? state_bands(s) : need;
    v->r[i] = v->y_out[i] + 1;
    v->r_in[i] = p->boot_r[i] ? bert_boot_bands(bert_root_log(s)) : v->r[i];
    v->x[i] = max_int(v->r[i], v->r_in[i] + bert_poly_levels(p->rsqrt[i].degree) + 1);
    v->x_in[i] = p->boot_x[i] ? state_bands(s) : v->x[i];
}

static void ffn_levels(struct bert_levels *v, const struct bert_layer_plan *p,
                       const struct bert_shape *s) {
    v->f = v->x_in[1] + 1;
    v->w = v->f + bert_poly_levels(p->gelu.degree) + 1;
    v->y1 = max_int(v->w, v->x_in[1] + bert_mean_levels(s)) + 1;
}

// P: of E times the mask; in the columns shape of E
static void round_levels(struct bert_sum_levels *v, const struct bert_round *p,
                         const struct bert_shape *s) {
    int columns = s->by_columns, x = full_bands(s);
    v->a = x + 1 + columns;
    v->D = v->a + p->inv.m;
    if (p->boot_inv) v->D = bert_boot_bands(bert_pair_log(s)) + p->boot_inv;
    v->P = max_int(x + columns, v->D + columns);
}

static void attention_levels(struct bert_levels *v, const struct bert_layer_plan *p,
                             const struct bert_shape *s) {
    int columns = s->by_columns;
    v->c = v->x_in[0] + 1;
    v->C = v->c + 1;
    v->a = v->c + 1 + columns;
    v->D = v->a + p->inv.m;
    if (p->boot_inv) v->D = bert_boot_bands(bert_pair_log(s)) + p->boot_inv;
    v->P = max_int(v->C + 1, v->D + columns);
    for (int k = 0; k < p->rounds; k++) round_levels(&v->round[k], &p->round[k], s);
    int P = p->rounds ? v->round[0].P : v->P;
    v->u = P + !columns + bert_poly_levels(p->exp.degree);
    v->u_in = p->boot_scores ? full_bands(s) : v->u;
    v->qk = v->u_in + 3 + columns;
    v->v_in = v->C + 3 + columns;
    v->kv = max_int(v->qk, v->v_in);
    v->y = max_int(v->kv, v->x_in[0] + 1 + bert_mean_levels(s));
}

static int layer_fits(const struct bert_levels *v, const struct bert_layer_plan *p,
                      const struct bert_shape *s) {
    int top = max_int(max_int(v->y, v->u), max_int(v->f, v->c));
    top = max_int(top, v->y1);
    for (int i = 0; i < 2; i++) top = max_int(top, max_int(v->x[i], v->r[i]));
    for (int k = 0; k <= p->rounds; k++) {
        int P = k < p->rounds ? v->round[k].P : v->P, most = BERT_FRESH_LEVEL - 2;
        if (k && P > most) return 0;
    }
    return top <= BERT_FRESH_LEVEL &&
           (!p->boot_inv || v->a + p->inv.m - p->boot_inv <= bert_pair_level(s));
}

int bert_levels_set(struct bert_levels *level, const struct bert_plan *p,
                    const struct bert_shape *s) {
    if (s->by_columns != p->shape.by_columns)
        return thor_fail(THOR_MODEL,
                         "the plan packs this model otherwise than so small a parameter "
                         "set can: use a larger one");
    if (p->layer[0].boot_y)
        return thor_fail(THOR_MODEL, "the plan bootstraps the input of its first layer");
    level[p->layers] =
        (struct bert_levels){.y = 2 + s->by_columns + bert_poly_levels(p->tanh.degree)};
    for (int l = p->layers - 1; l >= 0; l--) {
        struct bert_levels *v = &level[l];
        const struct bert_layer_plan *q = &p->layer[l];
        *v = (struct bert_levels){0};
        norm_levels(v, q, s, 1, v[1].y, l + 1 < p->layers && q[1].boot_y);
        ffn_levels(v, q, s);
        norm_levels(v, q, s, 0, v->y1, q->boot_y1);
        attention_levels(v, q, s);
        if (!layer_fits(v, q, s))
            return thor_fail(THOR_MODEL,
                             "layer %d of the plan needs more levels than a "
                             "ciphertext has; make the plan again",
                             l);
    }
    return THOR_OK;
}

int bert_input_levels(int *state, int *mask, const struct bert_plan *p,
                      const struct bert_shape *s) {
    int st = THOR_OK;
    struct bert_levels *v = calloc((size_t)p->layers + 1, sizeof *v);
    if (!v) return thor_fail(THOR_MEMORY, "no memory for the levels of %d layers", p->layers);
    TRY(bert_levels_set(v, p, s));
    *state = v[0].y;
    *mask = 0;
    for (int l = 0; l < p->layers; l++) { // columns: C + 2 for v is not more
        *mask = max_int(*mask, v[l].P + 1);
        for (int k = 0; k < p->layer[l].rounds; k++) *mask = max_int(*mask, v[l].round[k].P + 1);
    }
out:
    free(v);
    return st;
}
