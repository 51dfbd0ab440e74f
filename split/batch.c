/* Memory of a micro-batch. */
#include <stdlib.h>

#include "split/inside.h"

/* Layers below the lowest that is trained need nothing of the way forward: they share one tape. */
struct split_tape *split_tape_of(const struct split_batch *b, int layer) {
    const int first = b->grad ? b->lowest / SPLIT_STAGES : b->shape.layers;
    return &b->tape[layer < first ? 0 : layer - first + 1];
}

static int tapes(const struct split_batch *b) {
    const int first = b->grad ? b->lowest / SPLIT_STAGES : b->shape.layers;
    return first < b->shape.layers ? b->shape.layers - first + 1 : 1;
}

double *split_qkv_of(const struct split_batch *b, int layer) {
    const size_t stride = (size_t)b->shape.out[SPLIT_QKV];
    if (!b->cache) return split_tape_of(b, layer)->qkv;
    return b->cache + ((size_t)layer * (size_t)b->room + (size_t)b->past) * stride;
}

// hands out pieces of one block; base NULL: only counts
struct block {
    double *base;
    size_t used;
};

static double *take(struct block *k, size_t count) {
    double *p = k->base ? k->base + k->used : NULL;
    k->used += count;
    return p;
}

static size_t count_probs(const struct split_batch *b) {
    size_t sum = 0;
    for (int i = 0; i < b->texts; i++)
        sum += (size_t)b->m->cfg.heads * (size_t)b->text[i].n * (size_t)(b->past + b->text[i].n);
    return sum;
}

static void lay_tape(struct split_tape *t, struct block *k, const struct split_batch *b) {
    const size_t rows = (size_t)b->rows, wide = rows * (size_t)b->m->cfg.hidden;
    t->x = take(k, wide);
    t->qkv = take(k, rows * (size_t)b->shape.out[SPLIT_QKV]);
    t->probs = take(k, count_probs(b));
    t->context = take(k, rows * (size_t)b->shape.in[SPLIT_O]);
    t->y = take(k, wide);
    t->up = take(k, rows * (size_t)b->shape.out[SPLIT_UP]);
    t->f = take(k, rows * (size_t)b->shape.in[SPLIT_DOWN]);
    t->u1 = take(k, wide);
    t->inv1 = take(k, rows);
    t->u2 = take(k, wide);
    t->inv2 = take(k, rows);
}

static void lay_all(struct block *k, struct split_batch *b) {
    const size_t rows = (size_t)b->rows, wide = rows * (size_t)b->m->cfg.hidden;
    const size_t back = b->grad != NULL;
    for (int i = 0; i < tapes(b); i++) lay_tape(&b->tape[i], k, b);
    b->stream = take(k, wide);
    b->out = take(k, wide);
    b->dqkv = take(k, back * rows * (size_t)b->shape.out[SPLIT_QKV]);
    b->dcontext = take(k, back * rows * (size_t)b->shape.in[SPLIT_O]);
    b->dup = take(k, back * rows * (size_t)b->shape.out[SPLIT_UP]);
    b->df = take(k, back * rows * (size_t)b->shape.in[SPLIT_DOWN]);
}

int split_batch_begin(struct split_batch *b) {
    int st = THOR_OK;
    struct block k = {.base = NULL};
    split_model_shape(&b->shape, b->m);
    b->at = calloc((size_t)b->texts + 1, sizeof *b->at);
    if (!b->at) TRY(thor_fail(THOR_MEMORY, "no memory for %d texts", b->texts));
    for (int i = 0; i < b->texts; i++) b->at[i + 1] = b->at[i] + b->text[i].n;
    b->rows = b->at[b->texts];
    b->tape = calloc((size_t)tapes(b), sizeof *b->tape);
    if (!b->tape) TRY(thor_fail(THOR_MEMORY, "no memory for %d layers", b->shape.layers));
    lay_all(&k, b);
    b->values = k.base = malloc(k.used * sizeof *k.base);
    if (!b->values)
        TRY(thor_fail(THOR_MEMORY, "no memory for %d tokens at once (%zu MB): take fewer texts",
                      b->rows, k.used >> 17));
    k.used = 0;
    lay_all(&k, b);
out:
    return st;
}

void split_batch_end(struct split_batch *b) {
    free(b->at);
    free(b->tape);
    free(b->values);
    free(b->grad);
}
