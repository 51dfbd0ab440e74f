/* One layer, s the stream of rows x hidden that enters and leaves it:
 *
 *   BERT             x = s;  s = N1(O(attend(QKV(x))) + s);   y = s;  s = N2(DOWN(act(UP(y))) + s)
 *   GPT-2, Llama     x = N1(s);  s += O(attend(QKV(x)));      y = N2(s);  s += DOWN(act(UP(y)))
 *
 * Llama's q and k are rotated by their positions; its norms are RMS norms, and act is SwiGLU of
 * gate and up, both made of y. */
#include <string.h>

#include "split/inside.h"

static int norms_first(const struct split_model *m) {
    return m->cfg.family != SPLIT_BERT;
}

static void enter(double *x, double *u, double *inv, const struct split_batch *b,
                  const struct split_norm *n) {
    if (norms_first(b->m))
        split_norm_forward(x, u, inv, b->stream, b->rows, b->m->cfg.hidden, b->m->cfg.eps, n);
    else
        memcpy(x, b->stream, (size_t)b->rows * (size_t)b->m->cfg.hidden * sizeof *x);
}

static void leave(double *u, double *inv, const struct split_batch *b, const struct split_norm *n) {
    const size_t count = (size_t)b->rows * (size_t)b->m->cfg.hidden;
    split_axpy(b->stream, 1, b->out, count);
    if (!norms_first(b->m))
        split_norm_forward(b->stream, u, inv, b->stream, b->rows, b->m->cfg.hidden, b->m->cfg.eps,
                           n);
}

static struct split_attention attention_of(const struct split_batch *b) {
    const struct split_config *c = &b->m->cfg;
    return (struct split_attention){.heads = c->heads,
                                    .groups = c->groups,
                                    .head = c->head,
                                    .causal = split_model_causal(b->m),
                                    .stride = (size_t)b->shape.out[SPLIT_QKV]};
}

/* q and k, which stand side by side, of one text */
static void rotate(double *qkv, const struct split_batch *b, int text, int inverse) {
    const struct split_config *c = &b->m->cfg;
    if (c->family == SPLIT_LLAMA)
        split_rotate(qkv, b->text[text].n, (size_t)b->shape.out[SPLIT_QKV], c->heads + c->groups,
                     c->head / 2, b->m->frequency, b->past, inverse);
}

static void attend_all(const struct split_tape *t, double *all, const struct split_batch *b) {
    const struct split_attention how = attention_of(b);
    const size_t q = (size_t)how.heads * (size_t)how.head,
                 kv = (size_t)how.groups * (size_t)how.head;
    double *probs = t->probs;
    for (int i = 0; i < b->texts; i++) {
        const size_t row = (size_t)b->at[i], n = (size_t)b->text[i].n;
        double *qkv = all + row * how.stride, *k = qkv - (size_t)b->past * how.stride + q;
        rotate(qkv, b, i, 0);
        split_attend(t->context + row * q, probs, qkv, k, k + kv, (int)n, b->past, &how);
        probs += (size_t)how.heads * n * n;
    }
}

int split_block_forward(const struct split_batch *b, int layer) {
    int st = THOR_OK;
    const struct split_tape *t = split_tape_of(b, layer);
    const struct split_layer *l = &b->m->layer[layer];
    double *qkv = split_qkv_of(b, layer);
    enter(t->x, t->u1, t->inv1, b, &l->norm1);
    TRY(split_stage_forward(qkv, b, layer, SPLIT_QKV, t->x));
    attend_all(t, qkv, b);
    TRY(split_stage_forward(b->out, b, layer, SPLIT_O, t->context));
    leave(t->u1, t->inv1, b, &l->norm1);
    enter(t->y, t->u2, t->inv2, b, &l->norm2);
    TRY(split_stage_forward(t->up, b, layer, SPLIT_UP, t->y));
    split_gate_forward(t->f, t->up, b->rows, b->m->cfg.ffn, b->m->gate);
    TRY(split_stage_forward(b->out, b, layer, SPLIT_DOWN, t->f));
    leave(t->u2, t->inv2, b, &l->norm2);
out:
    return st;
}

/* ---- back: b->stream is the gradient by what left a half, then by what entered it */

static void back_leave(const double *u, const double *inv, const struct split_batch *b,
                       const struct split_norm *n) {
    if (!norms_first(b->m))
        split_norm_backward(b->stream, b->stream, u, inv, b->rows, b->m->cfg.hidden, n);
}

// b->out: the gradient by what entered the half's first map
static void back_enter(const double *u, const double *inv, const struct split_batch *b,
                       const struct split_norm *n) {
    if (norms_first(b->m))
        split_norm_backward(b->out, b->out, u, inv, b->rows, b->m->cfg.hidden, n);
    split_axpy(b->stream, 1, b->out, (size_t)b->rows * (size_t)b->m->cfg.hidden);
}

static int attend_back(const struct split_tape *t, const struct split_batch *b) {
    int st = THOR_OK;
    const struct split_attention how = attention_of(b);
    const size_t q = (size_t)how.heads * (size_t)how.head,
                 kv = (size_t)how.groups * (size_t)how.head;
    const double *probs = t->probs;
    for (int i = 0; i < b->texts; i++) {
        const size_t row = (size_t)b->at[i], n = (size_t)b->text[i].n;
        const double *qkv = t->qkv + row * how.stride;
        double *d = b->dqkv + row * how.stride;
        TRY(split_attend_backward(d, d + q, d + q + kv, b->dcontext + row * q, probs, qkv, qkv + q,
                                  qkv + q + kv, (int)n, &how));
        rotate(d, b, i, 1);
        probs += (size_t)how.heads * n * n;
    }
out:
    return st;
}

// 1: something below this stage is trained
static int goes_on(const struct split_batch *b, int layer, enum split_stage stage) {
    return split_step(layer, stage) > b->lowest;
}

static int wide_back(const struct split_tape *t, const struct split_batch *b, int layer) {
    int st = THOR_OK;
    const struct split_layer *l = &b->m->layer[layer];
    const int down = goes_on(b, layer, SPLIT_DOWN), up = goes_on(b, layer, SPLIT_UP);
    back_leave(t->u2, t->inv2, b, &l->norm2);
    TRY(split_stage_backward(down ? b->df : NULL, b, layer, SPLIT_DOWN, t->f, b->stream));
    if (!down) goto out;
    split_gate_backward(b->dup, b->df, t->up, b->rows, b->m->cfg.ffn, b->m->gate);
    TRY(split_stage_backward(up ? b->out : NULL, b, layer, SPLIT_UP, t->y, b->dup));
    if (up) back_enter(t->u2, t->inv2, b, &l->norm2);
out:
    return st;
}

static int attention_back(const struct split_tape *t, const struct split_batch *b, int layer) {
    int st = THOR_OK;
    const struct split_layer *l = &b->m->layer[layer];
    const int o = goes_on(b, layer, SPLIT_O), qkv = goes_on(b, layer, SPLIT_QKV);
    back_leave(t->u1, t->inv1, b, &l->norm1);
    TRY(split_stage_backward(o ? b->dcontext : NULL, b, layer, SPLIT_O, t->context, b->stream));
    if (!o) goto out;
    TRY(attend_back(t, b));
    TRY(split_stage_backward(qkv ? b->out : NULL, b, layer, SPLIT_QKV, t->x, b->dqkv));
    if (qkv) back_enter(t->u1, t->inv1, b, &l->norm1);
out:
    return st;
}

int split_block_backward(const struct split_batch *b, int layer) {
    int st = THOR_OK;
    const struct split_tape *t = split_tape_of(b, layer);
    TRY(wide_back(t, b, layer));
    if (goes_on(b, layer, SPLIT_UP)) TRY(attention_back(t, b, layer));
out:
    return st;
}
