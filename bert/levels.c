#include "bert/levels.h"

#include <stdlib.h>

#include "bert/packing.h"

static int max_int(int a, int b)
{
    return a > b ? a : b;
}

// LayerNorm i whose product y is needed at level `need`
static void norm_levels(struct bert_levels *v, const struct bert_layer_plan *p,
                        const struct bert_shape *s, int i, int need)
{
    v->y_out[i] = need;
    v->r[i] = need + 1;
    v->r_in[i] = p->boot_r[i] ? bert_boot_bands(bert_log2(s->tokens)) : v->r[i];
    v->x[i] = max_int(need + 1, v->r_in[i] + bert_poly_levels(p->rsqrt[i].degree) + 1);
    v->x_in[i] = p->boot_x[i] ? bert_boot_bands(bert_log2(s->tokens * s->columns)) : v->x[i];
}

static void attention_levels(struct bert_levels *v, const struct bert_layer_plan *p,
                             const struct bert_shape *s)
{
    v->c = v->x_in[0] + 1;
    v->C = v->a = v->c + 1;
    v->D = p->boot_inv ? bert_boot_bands(bert_log2(bert_kappa(s))) + p->boot_inv : v->a + p->inv.m;
    v->P = max_int(v->C + 1, v->D);
    v->u = v->P + 1 + bert_poly_levels(p->exp.degree);
    v->u_in = p->boot_scores ? bert_boot_bands(bert_log2(bert_shape_slots(s))) : v->u;
    v->qk = v->u_in + 3;
    v->v_in = v->C + 3;
    v->y = max_int(max_int(v->qk, v->v_in), v->x_in[0] + 1);
}

static int layer_fits(const struct bert_levels *v, const struct bert_layer_plan *p)
{
    int top = max_int(v->y, v->u);
    for (int i = 0; i < 2; i++)
        top = max_int(top, max_int(v->x[i], v->r[i]));
    return top <= BERT_FRESH_LEVEL &&
           (!p->boot_inv || v->a + p->inv.m - p->boot_inv <= BERT_PAIR_LEVEL);
}

int bert_levels_set(struct bert_levels *level, const struct bert_plan *p,
                    const struct bert_shape *s)
{
    level[p->layers] = (struct bert_levels){.y = 2 + bert_poly_levels(p->tanh.degree)};
    for (int l = p->layers - 1; l >= 0; l--) {
        struct bert_levels *v = &level[l];
        const struct bert_layer_plan *q = &p->layer[l];
        *v = (struct bert_levels){0};
        norm_levels(v, q, s, 1, v[1].y);
        v->f = v->x_in[1] + 1;
        v->w = v->f + bert_poly_levels(q->gelu.degree) + 1;
        norm_levels(v, q, s, 0, max_int(v->w, v->x_in[1]) + 1);
        attention_levels(v, q, s);
        if (!layer_fits(v, q))
            return thor_fail(THOR_MODEL, "layer %d of the plan needs more levels than a "
                                         "ciphertext has; make the plan again", l);
    }
    return THOR_OK;
}

int bert_input_levels(int *state, int *mask, const struct bert_plan *p, const struct bert_shape *s)
{
    int st = THOR_OK;
    struct bert_levels *v = calloc((size_t)p->layers + 1, sizeof *v);
    if (!v)
        return thor_fail(THOR_MEMORY, "no memory for the levels of %d layers", p->layers);
    TRY(bert_levels_set(v, p, s));
    *state = v[0].y;
    *mask = 0;
    for (int l = 0; l < p->layers; l++)
        *mask = max_int(*mask, v[l].P + 1);
out:
    free(v);
    return st;
}
