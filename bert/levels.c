#include "bert/levels.h"

#include <stdlib.h>
#include <string.h>

static int max_int(int a, int b) {
    return a > b ? a : b;
}

// a layer whose y is needed at level `need`; whether it fits
static int set_layer(struct bert_levels *v, const struct bert_layer_plan *p,
                     const struct bert_shape *s, int need) {
    struct bert_node_row row[BERT_NODES];
    int fits = 1;
    memset(v, 0, sizeof *v);
    v->out[bert_leaving(s)] = need;
    bert_nodes_set(row, p, s);
    for (int i = BERT_Y2; i >= BERT_Y; i--) {
        const struct bert_boot_rule b = bert_boot_rule(s, i);
        v->in[i] = p->boot[i] ? b.bands : v->out[i];
        fits &= v->out[i] <= (p->boot[i] ? b.level : BERT_FRESH_LEVEL);
        for (int k = 0; k < 2; k++) {
            int *from = &v->out[row[i].in[k].from];
            *from = max_int(*from, v->in[i] + row[i].in[k].levels);
        }
    }
    return fits;
}

int bert_levels_set(struct bert_levels *level, const struct bert_plan *p,
                    const struct bert_shape *s) {
    if (s->packing != p->shape.packing)
        return thor_fail(THOR_MODEL,
                         "the plan packs this model otherwise than so small a parameter "
                         "set can: use a larger one");
    level[p->layers] = (struct bert_levels){.out[BERT_Y] = bert_head_levels(p)};
    for (int l = p->layers - 1; l >= 0; l--)
        if (!set_layer(&level[l], &p->layer[l], s, level[l + 1].out[BERT_Y]))
            return thor_fail(THOR_MODEL,
                             "layer %d of the plan needs more levels than a "
                             "ciphertext has; make the plan again",
                             l);
    return THOR_OK;
}

int bert_input_levels(int *state, int *mask, const struct bert_plan *p,
                      const struct bert_shape *s) {
    int st = THOR_OK;
    struct bert_levels *v = calloc((size_t)p->layers + 1, sizeof *v);
    if (!v) return thor_fail(THOR_MEMORY, "no memory for the levels of %d layers", p->layers);
    TRY(bert_levels_set(v, p, s));
    *state = v[0].out[BERT_Y];
    *mask = 0;
    for (int l = 0; l < p->layers; l++) // columns: C + 2 for v is not more
        for (int k = 0; k <= p->layer[l].rounds; k++)
            *mask = max_int(*mask, v[l].out[bert_of_sums(BERT_P, k)] + 1);
out:
    free(v);
    return st;
}
