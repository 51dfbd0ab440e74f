#include "bert/encrypted.h"

#include <stdlib.h>

#include "bert/circuit.h"

/* ---- the server ---- */

static int layer_boots(struct bert_server *s, const struct bert_layer_plan *p) {
    int st = THOR_OK;
    for (int i = 0; i < BERT_NODES; i++) {
        const struct bert_boot_rule b = bert_boot_rule(&s->shape, i);
        if (p->boot[i] && !s->boot[b.by])
            TRY(ckks_boot_new(&s->boot[b.by], s->cx, b.log_slots, b.lanes));
    }
out:
    return st;
}

int bert_server_new(struct bert_server **out, struct ckks *cx, const struct bert_model *m,
                    const struct bert_plan *p) {
    int st = THOR_OK;
    struct bert_server *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) TRY(thor_fail(THOR_MEMORY, "no memory for the server"));
    s->cx = cx;
    s->model = m;
    s->plan = p;
    if (p->model_hash != m->hash || p->at_client != bert_head_at_client(&m->cfg))
        TRY(thor_fail(THOR_MODEL, "the plan was made for another model"));
    TRY(bert_shape_make(&s->shape, &m->cfg, p->tokens, ckks_slots(cx)));
    s->level = calloc((size_t)p->layers + 1, sizeof *s->level);
    if (!s->level) TRY(thor_fail(THOR_MEMORY, "no memory for the server"));
    TRY(bert_levels_set(s->level, p, &s->shape));
    for (int l = 0; l < p->layers; l++) TRY(layer_boots(s, &p->layer[l]));
    *out = s;
    s = NULL;
out:
    bert_server_free(s);
    return st;
}

void bert_server_free(struct bert_server *s) {
    if (!s) return;
    bert_recorded_free(s);
    for (int i = 0; i < BERT_BOOTS; i++) ckks_boot_free(s->boot[i]);
    free(s->level);
    free(s);
}

const struct bert_shape *bert_server_shape(const struct bert_server *s) {
    return &s->shape;
}

int bert_server_stages(const struct bert_server *s) {
    int n = 1;
    for (int l = 0; l < s->plan->layers; l++) {
        const struct bert_layer_plan *p = &s->plan->layer[l];
        n += 11 + 2 * p->rounds; // "round" is split by a bootstrap, and by that of a pair
        for (int k = 0; k <= p->rounds; k++) n += bert_boot_inv(p, k) > 0;
        for (int i = 0; i < BERT_NODES; i++) n += p->boot[i] > 0;
    }
    return n;
}

/* ---- one forward ---- */

// y at `level`, in the columns shape token 0 alone
static int head_input(struct ckks_ct *y, struct bert_run *r, int level) {
    int st = THOR_OK, C = r->s->columns, n = bert_shape_slots(r->s);
    for (int i = 0; r->s->packing->mask.head && i < r->n * r->s->nx; i++) {
        for (int k = 0; k < n; k++) r->vec[k] = k < C;
        TRY(ckks_adjust(&y[i], &y[i], level + 1));
        TRY(ckks_mul_plain(&y[i], &y[i], r->vec, NULL, (size_t)n));
    }
out:
    return st;
}

// the head is the client's: the state goes home, at the lowest level
static int send_state(struct ckks_ct *state, struct bert_run *r, const struct ckks_ct *y) {
    int st = THOR_OK, n = r->n * r->s->nx;
    TRY(bert_stage(r, "head"));
    for (int i = 0; i < n; i++) TRY(ckks_adjust(&state[i], &y[i], 0));
    TRY(bert_witness_close(r));
    TRY(bert_witness_join(state, r->s->nx, r));
    TRY(bert_stage(r, NULL));
out:
    return st;
}

static int head(struct ckks_ct *logits, struct bert_run *r, struct ckks_ct *y) {
    int st = THOR_OK, nx = r->s->nx, level = r->v->out[BERT_Y] - r->s->packing->mask.head;
    const struct bert_plan *p = r->srv->plan;
    struct bert_folded_head w = {0};
    struct ckks_ct *t = bert_cts_new(r->n * nx);
    if (!t) return THOR_MEMORY;
    TRY(bert_stage(r, "head"));
    TRY(bert_fold_head(&w, r->srv->model, p));
    struct bert_linear_map pooler = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&w.pooler}, .only_first = {1}, .paired = 1};
    struct bert_linear_map classifier = {
        .shape = r->s, .move = BERT_STAY_OUTER, .map = {&w.classifier}, .only_first = {1}};
    TRY(head_input(y, r, level));
    TRY(bert_apply_maps(t, nx, r, y, &pooler, 1, level));
    for (int i = 0; i < r->n * nx; i++) {
        r->who = i / nx;
        TRY(bert_cheb_watched(&t[i], r, p->tanh.c, p->tanh.degree));
    }
    TRY(bert_witness_close(r));
    bert_see(r, BERT_POOLED, nx, t);
    TRY(bert_apply_maps(logits, 1, r, t, &classifier, 1, 1));
    bert_see(r, BERT_LOGITS, 1, logits);
    TRY(bert_witness_join(logits, 1, r));
    TRY(bert_stage(r, NULL));
out:
    bert_fold_head_free(&w);
    bert_cts_free(t, r->n * nx);
    return st;
}

static int all_layers(struct ckks_ct *answer, struct bert_run *r, struct ckks_ct *y) {
    int st = THOR_OK, layers = r->srv->plan->layers;
    for (r->l = 0; r->l < layers; r->l++) {
        r->p = &r->srv->plan->layer[r->l];
        r->v = &r->srv->level[r->l];
        TRY((r->recorded ? bert_recorded_layer : bert_layer)(y, r));
    }
    r->v = &r->srv->level[r->l];
    st = r->srv->plan->at_client ? send_state(answer, r, y) : head(answer, r, y);
out:
    return st;
}

int bert_server_forward_group(struct ckks_ct *answer, struct bert_server *s,
                              const struct ckks_ct *const *in, int n,
                              const struct bert_hooks *hooks) {
    int st = THOR_OK, nx = s->shape.nx;
    struct bert_run r = {.srv = s, .cx = s->cx, .s = &s->shape, .in = in, .n = n};
    struct ckks_ct *y = bert_cts_new(n * nx);
    if (hooks) r.hooks = *hooks;
    if (n > 1) r.hooks.see = NULL;
    r.vec = malloc(2 * (size_t)bert_shape_slots(&s->shape) * sizeof *r.vec);
    r.witness = bert_witness_new(n);
    if (!y || !r.vec || !r.witness) TRY(thor_fail(THOR_MEMORY, "no memory for a forward pass"));
    for (int i = 0; i < n * nx; i++) TRY(ckks_copy(&y[i], &in[i / nx][i % nx]));
    TRY(bert_recorded_begin(&r));
    st = all_layers(answer, &r, y);
out:
    bert_cts_free(y, n * nx);
    bert_witness_free(r.witness, n);
    free(r.vec);
    return st;
}

int bert_server_forward(struct ckks_ct *answer, struct bert_server *s, const struct ckks_ct *in,
                        const struct bert_hooks *hooks) {
    return bert_server_forward_group(answer, s, &in, 1, hooks);
}
