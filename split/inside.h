/* What the client's half is made of, private to split/: the model's own weights, and a micro-batch
 * on its way through the layers.
 */
#ifndef SPLIT_INSIDE_H
#define SPLIT_INSIDE_H

#include "split/gradient.h"
#include "split/parts.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPLIT_HEAD_MAX = 512 }; // columns of a head

struct split_layer {
    struct split_norm norm1, norm2; /* of BERT behind the residuals, else before each half */
    const float *bias[SPLIT_MAPS];  /* NULL: none */
};

struct split_model {
    struct split_config cfg;
    enum split_gate gate;
    struct bert_model *base; /* its tokenizer, and the weights of BERT and GPT-2 */
    struct split_layer *layer;
    struct split_norm last;               /* before a language model's head; gamma NULL: none */
    const float *word, *head;             /* vocab x hidden; head NULL: no language model */
    double frequency[SPLIT_HEAD_MAX / 2]; /* Llama: radians a position */
    float *score; /* of a decoder that is a classifier: its weights, and biases of zero */
    int pad;      /* the token that fills up texts, which such a classifier passes over; -1: none */
    float **own;  /* Llama: the `owned` blocks that the pointers above stand in */
    int owned;
};

/* llamafolder.c: all of m but cfg.family, from a folder whose model_type is one of these. */
int split_llama_open(struct split_model *m, const char *folder);

/* x: n x hidden, what enters the first layer when ids[0] stands at position `first`. */
int split_model_embed(double *x, const struct split_model *m, const int *ids, const int *types,
                      int n, int first);

/* What a layer leaves for the way back; `rows` of each, probs those of all texts. */
struct split_tape {
    double *x, *qkv, *probs, *context, *y, *up, *f; /* what enters QKV, O, UP, DOWN, and between */
    double *u1, *inv1, *u2, *inv2;                  /* of the norms */
};

struct split_batch {
    const struct split_model *m;
    const struct split_adapter *a; /* NULL: none */
    struct split_service *s;
    struct split_shape shape;
    const struct split_text *text;
    int texts, rows;
    double *cache; /* of the one text: q, k, v of its first `past` rows in every layer, and room for
                      those that come, `room` rows a layer; NULL: the text is whole */
    int past, room;
    int *at;      /* texts + 1: the row where each begins */
    double *grad; /* texts x a->n, laid out as a->values; NULL: not wanted */
    int lowest;   /* the lowest step (split_step) whose maps are trained; above all: none */
    struct split_tape *tape; /* the first is of all layers that keep nothing, see split_tape_of */
    double *stream;          /* rows x hidden, from layer to layer; on the way back its gradient */
    double *out;             /* rows x hidden: what O and DOWN give */
    double *dqkv, *dcontext, *dup, *df; /* NULL without grad */
    double *values;                     /* one block for all of them */
};

static inline int split_step(int layer, enum split_stage stage) {
    return layer * SPLIT_STAGES + (int)stage;
}

/* gradient.c: checks the texts, and takes b->stream through all layers; split_batch_end after it.
 */
int split_batch_forward(struct split_batch *b);

/* batch.c */
int split_batch_begin(struct split_batch *b); /* from m, a, s, text, texts, lowest, cache on */
void split_batch_end(struct split_batch *b);
struct split_tape *split_tape_of(const struct split_batch *b, int layer);
double *split_qkv_of(const struct split_batch *b, int layer); /* of its first row */

/* Maps of a stage, in the order of its outputs: their number. */
int split_stage_maps(enum split_map map[3], const struct split_model *m, enum split_stage stage);

/* stage.c: one round trip.   y = x W^T + bias + LoRA;   dx = dy W + LoRA's, and the gradients of
 * its maps.  dx NULL: those alone, and no round trip. */
int split_stage_forward(double *y, const struct split_batch *b, int layer, enum split_stage stage,
                        const double *x);
int split_stage_backward(double *dx, const struct split_batch *b, int layer, enum split_stage stage,
                         const double *x, const double *dy);

/* block.c: b->stream through a layer, and back */
int split_block_forward(const struct split_batch *b, int layer);
int split_block_backward(const struct split_batch *b, int layer);

/* tails.c: from b->stream, which becomes its own gradient where there is b->grad. */
int split_tail_logits(double *logits, const struct split_batch *b); /* of the one text */
int split_tail_loss(double *loss, int *scored, const struct split_batch *b);

#ifdef __cplusplus
}
#endif
#endif
