#include "split/gradient.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "split/dpforward.h"
#include "split/inside.h"

int split_outputs(const struct split_model *m, const struct split_adapter *a) {
    const int own = m->cfg.labels ? m->cfg.labels : m->cfg.vocab;
    return a && a->labels ? a->labels : own;
}

static int check_ids(const struct split_model *m, const struct split_text *t) {
    const int types = m->base->cfg.type_vocab;
    for (int i = 0; i < t->n; i++) {
        const int type = t->types ? t->types[i] : 0;
        if (t->ids[i] < 0 || t->ids[i] >= m->cfg.vocab || type < 0 || (types && type >= types))
            return thor_fail(THOR_INPUT, "token %d: id %d of type %d is not in the vocabulary", i,
                             t->ids[i], type);
        if (t->targets && (t->targets[i] < -1 || t->targets[i] >= m->cfg.vocab))
            return thor_fail(THOR_INPUT, "target %d: id %d is not in the vocabulary", i,
                             t->targets[i]);
    }
    return THOR_OK;
}

static int check_text(const struct split_batch *b, const struct split_text *t) {
    const struct split_model *m = b->m;
    const struct split_adapter *a = b->a;
    const int classes = m->cfg.labels || (a && a->labels);
    if (t->n < 1 || t->n > m->cfg.max_positions - b->past)
        return thor_fail(THOR_INPUT, "%d tokens: this model takes 1..%d", b->past + t->n,
                         m->cfg.max_positions);
    if (!classes && !m->head)
        return thor_fail(THOR_MODEL, "the model has no head: give the adapter a classifier");
    if (t->label < -1 || t->label >= split_outputs(m, a) || (t->label >= 0 && !classes))
        return thor_fail(THOR_INPUT, "label %d: the model has %d", t->label,
                         classes ? split_outputs(m, a) : 0);
    if (t->targets && classes)
        return thor_fail(THOR_INPUT, "tokens to foretell: the model is a classifier");
    return check_ids(m, t);
}

static int check_service(const struct split_batch *b) {
    const struct split_shape *have = &b->s->shape;
    struct split_shape want;
    split_model_shape(&want, b->m);
    int same = want.layers == have->layers;
    for (int i = 0; i < SPLIT_STAGES; i++)
        same = same && want.in[i] == have->in[i] && want.out[i] == have->out[i];
    if (same) return THOR_OK;
    return thor_fail(THOR_MODEL, "the model at the server has other sizes than the client's");
}

static int check(const struct split_batch *b) {
    int st = THOR_OK;
    TRY(check_service(b));
    for (int i = 0; i < b->texts; i++) TRY(check_text(b, &b->text[i]));
out:
    return st;
}

/* The lowest step with a map that has an update; behind the last where there is none. */
static int lowest_trained(const struct split_model *m, const struct split_adapter *a) {
    const int end = split_step(m->cfg.layers, SPLIT_QKV);
    for (int step = 0; a && step < end; step++) {
        enum split_map map[3];
        const int n = split_stage_maps(map, m, (enum split_stage)(step % SPLIT_STAGES));
        for (int i = 0; i < n; i++)
            if (a->lora[step / SPLIT_STAGES * SPLIT_MAPS + (int)map[i]].b) return step;
    }
    return end;
}

static int embed_all(const struct split_batch *b) {
    int st = THOR_OK;
    const int width = b->m->cfg.hidden;
    for (int i = 0; i < b->texts; i++) {
        const struct split_text *t = &b->text[i];
        double *x = b->stream + (size_t)b->at[i] * (size_t)width;
        TRY(split_model_embed(x, b->m, t->ids, t->types, t->n, b->past));
        split_dpforward_apply(t->noise, x, t->n, width);
    }
out:
    return st;
}

int split_batch_forward(struct split_batch *b) {
    int st = THOR_OK;
    TRY(check(b));
    TRY(split_batch_begin(b));
    TRY(embed_all(b));
    for (int i = 0; i < b->shape.layers; i++) TRY(split_block_forward(b, i));
out:
    return st;
}

int split_forward(double *logits, const struct split_model *m, const struct split_adapter *a,
                  struct split_service *s, const struct split_text *t) {
    int st = THOR_OK;
    struct split_batch b = {.m = m, .a = a, .s = s, .text = t, .texts = 1};
    TRY(split_batch_forward(&b));
    TRY(split_tail_logits(logits, &b));
out:
    split_batch_end(&b);
    return st;
}

static int want_gradients(struct split_batch *b, struct split_adapter *const *grad) {
    if (!grad) return THOR_OK;
    for (int i = 0; i < b->texts; i++)
        if (!b->a || grad[i]->n != b->a->n)
            return thor_fail(THOR_INTERNAL, "the gradient is not like the adapter");
    b->grad = calloc((size_t)b->texts * b->a->n, sizeof *b->grad);
    return b->grad ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for gradients of %d", b->texts);
}

static int backward(const struct split_batch *b) {
    int st = THOR_OK;
    for (int i = b->shape.layers - 1; i >= b->lowest / SPLIT_STAGES; i--)
        TRY(split_block_backward(b, i));
out:
    return st;
}

int split_gradients(double *loss, int *scored, struct split_adapter *const *grad,
                    const struct split_model *m, const struct split_adapter *a,
                    struct split_service *s, const struct split_text *t, int texts) {
    int st = THOR_OK;
    double *own = calloc((size_t)texts + 1, sizeof *own);
    int *count = calloc((size_t)texts + 1, sizeof *count);
    struct split_batch b = {.m = m, .a = a, .s = s, .text = t, .texts = texts};
    if (!own || !count) TRY(thor_fail(THOR_MEMORY, "no memory for %d texts", texts));
    b.lowest = lowest_trained(m, a);
    TRY(want_gradients(&b, grad));
    TRY(split_batch_forward(&b));
    TRY(split_tail_loss(own, count, &b));
    if (grad) TRY(backward(&b));
    for (int i = 0; i < texts; i++) {
        if (grad) split_axpy(grad[i]->values, 1, b.grad + (size_t)i * a->n, a->n);
        loss[i] = own[i];
        scored[i] = count[i];
    }
out:
    free(own);
    free(count);
    split_batch_end(&b);
    return st;
}

int split_gradient(double *loss, int *scored, struct split_adapter *grad,
                   const struct split_model *m, const struct split_adapter *a,
                   struct split_service *s, const struct split_text *t) {
    return split_gradients(loss, scored, grad ? &grad : NULL, m, a, s, t, 1);
}
