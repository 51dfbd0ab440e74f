/* The maps of a layer that share their input: one product of the service, the client's biases, and
 * the low-rank updates. */
#include "split/inside.h"
#include "split/lora.h"

int split_stage_maps(enum split_map map[3], const struct split_model *m, enum split_stage stage) {
    const int gated = m->gate == SPLIT_SWIGLU;
    static const enum split_map all[SPLIT_STAGES][3] = {
        [SPLIT_QKV] = {SPLIT_MAP_Q, SPLIT_MAP_K, SPLIT_MAP_V},
        [SPLIT_O] = {SPLIT_MAP_O},
        [SPLIT_UP] = {SPLIT_MAP_GATE, SPLIT_MAP_UP},
        [SPLIT_DOWN] = {SPLIT_MAP_DOWN}};
    const int n = stage == SPLIT_QKV ? 3 : stage == SPLIT_UP ? 2 : 1;
    const int skip = stage == SPLIT_UP && !gated;
    for (int i = skip; i < n; i++) map[i - skip] = all[stage][i];
    return n - skip;
}

struct piece { // one map's columns of a stage's output
    enum split_map map;
    size_t from, width;
    const struct split_lora *lora; // NULL: not adapted
};

static int pieces(struct piece p[3], const struct split_batch *b, int layer,
                  enum split_stage stage) {
    enum split_map map[3];
    int in[SPLIT_MAPS], out[SPLIT_MAPS];
    const int n = split_stage_maps(map, b->m, stage);
    split_model_widths(in, out, b->m);
    for (int i = 0; i < n; i++) {
        const struct split_lora *l = b->a ? &b->a->lora[layer * SPLIT_MAPS + (int)map[i]] : NULL;
        p[i] = (struct piece){.map = map[i], .width = (size_t)out[map[i]]};
        p[i].from = i ? p[i - 1].from + p[i - 1].width : 0;
        p[i].lora = l && l->b ? l : NULL;
    }
    return n;
}

static void add_bias(double *y, size_t stride, const float *bias, size_t width, int rows) {
    for (int i = 0; bias && i < rows; i++, y += stride)
        for (size_t c = 0; c < width; c++) y[c] += bias[c];
}

int split_stage_forward(double *y, const struct split_batch *b, int layer, enum split_stage stage,
                        const double *x) {
    int st = THOR_OK;
    struct piece p[3];
    const size_t stride = (size_t)b->shape.out[stage];
    const struct split_ask ask = {.layer = layer, .stage = stage, .tokens = b->rows};
    const int n = pieces(p, b, layer, stage);
    TRY(b->s->product(b->s, y, &ask, x));
    for (int i = 0; i < n; i++) {
        add_bias(y + p[i].from, stride, b->m->layer[layer].bias[p[i].map], p[i].width, b->rows);
        if (p[i].lora)
            split_lora_forward(y + p[i].from, stride, p[i].lora, b->a->rank,
                               b->a->alpha / b->a->rank, x, b->rows);
    }
out:
    return st;
}

/* Each text's gradients are its own. */
static void lora_gradients(double *dx, const struct split_batch *b, const struct piece *p,
                           enum split_stage stage, const double *x, const double *dy) {
    const struct split_adapter *a = b->a;
    const size_t in = (size_t)b->shape.in[stage], stride = (size_t)b->shape.out[stage];
    for (int i = 0; i < b->texts; i++) {
        const size_t row = (size_t)b->at[i];
        double *own = b->grad + (size_t)i * a->n;
        split_lora_backward(dx ? dx + row * in : NULL,
                            a->frozen_a ? NULL : own + (p->lora->a - a->values),
                            own + (p->lora->b - a->values), p->lora, a->rank, a->alpha / a->rank,
                            x + row * in, dy + row * stride + p->from, stride, b->text[i].n);
    }
}

int split_stage_backward(double *dx, const struct split_batch *b, int layer, enum split_stage stage,
                         const double *x, const double *dy) {
    int st = THOR_OK;
    struct piece p[3];
    const struct split_ask ask = {
        .layer = layer, .stage = stage, .transposed = 1, .tokens = b->rows};
    const int n = pieces(p, b, layer, stage);
    if (dx) TRY(b->s->product(b->s, dx, &ask, dy));
    for (int i = 0; i < n; i++)
        if (p[i].lora) lora_gradients(dx, b, &p[i], stage, x, dy);
out:
    return st;
}
