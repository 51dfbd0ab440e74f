/* Layers as recordings of the back end (kernels.h, replay).
 *
 * The masks and the states between layers lie in ciphertexts of their own, so that a layer reads
 * and writes the same rows every time; so does what a layer adds to the witness.  Hooks see it as
 * one stage, "all": nothing inside may wait. */
#include <stdlib.h>

#include "bert/circuit.h"

struct layer {
    struct ckks_recording recording;
    int stages; /* that were closed inside */
};

struct bert_recorded {
    int n;              /* sentences */
    struct ckks_ct *in; /* mask of every sentence, at its place in bert_run.in */
    const struct ckks_ct **at;
    struct ckks_ct *state;   /* n nX before each layer, and after the last */
    struct ckks_ct *witness; /* n of each layer */
    struct layer *layer;
};

static int make_state(struct ckks_ct *x, int n, struct ckks *cx, int level) {
    int st = THOR_OK;
    for (int i = 0; i < n; i++) TRY(ckks_zero(&x[i], cx, level));
out:
    return st;
}

int bert_server_record(struct bert_server *s, int n) {
    int st = THOR_OK, layers = s->plan->layers, nx = s->shape.nx, each = nx + 1, top = 0, mask = 0;
    if (!s->cx->k->records || s->recorded) return THOR_OK;
    struct bert_recorded *q = s->recorded = calloc(1, sizeof *q);
    if (q) {
        q->n = n;
        q->in = bert_cts_new(n * each);
        q->at = calloc((size_t)n, sizeof *q->at);
        q->state = bert_cts_new((layers + 1) * n * nx);
        q->witness = bert_cts_new(layers * n);
        q->layer = calloc((size_t)layers, sizeof *q->layer);
    }
    if (!q || !q->in || !q->at || !q->state || !q->witness || !q->layer)
        TRY(thor_fail(THOR_MEMORY, "no memory for recordings"));
    TRY(bert_input_levels(&top, &mask, s->plan, &s->shape));
    for (int i = 0; i < n; i++) {
        q->at[i] = &q->in[i * each];
        TRY(ckks_zero(&q->in[i * each + nx], s->cx, mask));
    }
    for (int l = 0; l <= layers; l++)
        TRY(make_state(q->state + l * n * nx, n * nx, s->cx, s->level[l].out[BERT_Y]));
    TRY(make_state(q->witness, layers * n, s->cx, 0));
out:
    if (st) bert_recorded_free(s);
    return st;
}

void bert_recorded_free(struct bert_server *s) {
    struct bert_recorded *q = s->recorded;
    if (!q) return;
    for (int l = 0; q->layer && l < s->plan->layers; l++)
        ckks_recording_drop(s->cx, &q->layer[l].recording);
    bert_cts_free(q->in, q->n * (s->shape.nx + 1));
    bert_cts_free(q->state, (s->plan->layers + 1) * q->n * s->shape.nx);
    bert_cts_free(q->witness, s->plan->layers * q->n);
    free(q->at);
    free(q->layer);
    free(q);
    s->recorded = NULL;
}

int bert_recorded_begin(struct bert_run *r) {
    int st = THOR_OK, nx = r->s->nx;
    struct bert_recorded *q = r->srv->recorded;
    if (!q || q->n != r->n || r->hooks.see) return THOR_OK;
    for (int i = 0; i < r->n; i++) TRY(ckks_fill(&q->in[i * (nx + 1) + nx], &r->in[i][nx]));
    r->in = q->at;
    r->recorded = q;
out:
    return st;
}

static int work(void *run) {
    struct bert_run *r = run;
    int st = THOR_OK, n = r->n * r->s->nx;
    struct ckks_ct *state = r->recorded->state + r->l * n, *y = bert_cts_new(n);
    struct bert_witness *outer = r->witness;
    r->witness = bert_witness_new(r->n);
    if (!y || !r->witness) TRY(thor_fail(THOR_MEMORY, "no memory for a layer"));
    r->done = 0;
    r->stage = NULL;
    for (int i = 0; i < n; i++) TRY(ckks_copy(&y[i], &state[i]));
    TRY(bert_layer(y, r));
    for (int i = 0; i < n; i++) TRY(ckks_fill(&state[n + i], &y[i]));
    for (int i = 0; i < r->n; i++)
        TRY(ckks_fill(&r->recorded->witness[r->l * r->n + i], &r->witness[i].sum));
    r->recorded->layer[r->l].stages = r->done;
out:
    bert_cts_free(y, n);
    bert_witness_free(r->witness, r->n);
    r->witness = outer;
    return st;
}

int bert_recorded_layer(struct ckks_ct *y, struct bert_run *r) {
    int st = THOR_OK, n = r->n * r->s->nx;
    struct layer *layer = &r->recorded->layer[r->l];
    struct ckks_ct *state = r->recorded->state + r->l * n;
    TRY(bert_stage(r, "all"));
    const struct bert_run before = *r;
    for (int i = 0; i < n; i++) TRY(ckks_fill(&state[i], &y[i]));
    r->hooks = (struct bert_hooks){0};
    st = ckks_recorded(r->cx, &layer->recording, work, r);
    r->hooks = before.hooks;
    r->stage = before.stage;
    r->stage_layer = before.stage_layer;
    r->done = before.done + layer->stages;
    for (int i = 0; i < n && st == THOR_OK; i++) TRY(ckks_copy(&y[i], &state[n + i]));
    for (int i = 0; i < r->n && st == THOR_OK; i++)
        TRY(bert_witness_add(&r->witness[i], &r->recorded->witness[r->l * r->n + i]));
out:
    return st;
}
