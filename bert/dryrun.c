/* The forward on a back end that computes nothing: its keys, operations and memory, known before
 * the work. */
#include <stdlib.h>
#include <string.h>

#include "bert/circuit.h"

struct tally {
    const struct ckks *dry;
    struct ckks_count (*ops)[2], before;
};

static int dry_input(struct ckks_ct *in, struct ckks *dry, const struct bert_plan *p,
                     const struct bert_shape *s) {
    int st = THOR_OK, state = 0, mask = 0;
    TRY(bert_input_levels(&state, &mask, p, s));
    for (int i = 0; i < s->nx; i++) TRY(ckks_zero(&in[i], dry, state));
    st = ckks_zero(&in[s->nx], dry, mask);
out:
    return st;
}

static int dry_forward(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p,
                       int n, const struct bert_hooks *hooks) {
    int st = THOR_OK, each = 0, answers = 0;
    struct bert_server *srv = NULL;
    struct ckks_ct *answer = NULL, *in = NULL;
    const struct ckks_ct **at = calloc((size_t)n, sizeof *at);
    TRY(bert_server_new(&srv, dry, m, p));
    if (!hooks) TRY(bert_server_record(srv, n));
    each = bert_input_count(bert_server_shape(srv));
    in = bert_cts_new(n * each);
    answers = n * bert_answer_count(bert_server_shape(srv), &m->cfg);
    answer = bert_cts_new(answers);
    if (!at || !in || !answer)
        TRY(thor_fail(THOR_MEMORY, "no memory for %d ciphertexts", n * each));
    for (int i = 0; i < n; i++) {
        at[i] = in + i * each;
        TRY(dry_input(in + i * each, dry, p, bert_server_shape(srv)));
    }
    st = bert_server_forward_group(answer, srv, at, n, hooks);
out:
    bert_cts_free(in, n * each);
    bert_cts_free(answer, answers);
    free(at);
    bert_server_free(srv);
    return st;
}

int bert_dry_run(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p) {
    return dry_forward(dry, m, p, 1, NULL);
}

int bert_dry_group(struct ckks *dry, const struct bert_model *m, const struct bert_plan *p, int n) {
    return dry_forward(dry, m, p, n, NULL);
}

static void on_begin(void *ctx, int layer, const char *stage) {
    struct tally *t = ctx;
    (void)layer;
    (void)stage;
    t->before = t->dry->count;
}

static void on_end(void *ctx, int layer, const char *stage) {
    struct tally *t = ctx;
    const struct ckks_count *now = &t->dry->count, *was = &t->before;
    struct ckks_count *to = &t->ops[layer][!strncmp(stage, "boot", 4)];
    to->rotations += now->rotations - was->rotations;
    to->decompositions += now->decompositions - was->decompositions;
    to->relins += now->relins - was->relins;
    to->ctct += now->ctct - was->ctct;
    to->ptct += now->ptct - was->ptct;
    to->rescales += now->rescales - was->rescales;
    to->bootstraps += now->bootstraps - was->bootstraps;
    to->encodes += now->encodes - was->encodes;
}

int bert_dry_layers(struct ckks_count (*ops)[2], struct ckks *dry, const struct bert_model *m,
                    const struct bert_plan *p) {
    struct tally t = {.dry = dry, .ops = ops};
    const struct bert_hooks hooks = {.ctx = &t, .begin = on_begin, .end = on_end};
    memset(ops, 0, ((size_t)p->layers + 1) * sizeof *ops);
    return dry_forward(dry, m, p, 1, &hooks);
}
