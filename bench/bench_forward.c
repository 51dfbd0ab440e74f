/* The server's work on one text that fills its length bucket. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/rig.h"
#include "bert/encrypted.h"

struct task { /* model and plan, the same for a rig and its twin */
    struct bert_model *model;
    struct bert_ranges *ranges;
    struct bert_plan *plan;
    struct bert_tokens tokens;
};

struct side { /* of one context */
    struct bert_server *server;
    struct ckks_ct *in, logits;
    int inputs;
};

static int run_forward(void *ctx) {
    struct side *f = ctx;
    return bert_server_forward(&f->logits, f->server, f->in, NULL);
}

static int open_task(struct task *t, const struct bench_setup *s) {
    int st = THOR_OK, bucket;
    char path[4200];
    snprintf(path, sizeof path, "%s/calibration.json", s->model_dir);
    TRY(bert_model_load(&t->model, s->model_dir));
    TRY(bert_ranges_load(&t->ranges, path, t->model));
    TRY(bert_tokenize(&t->tokens, t->model, "a charming and often affecting journey", NULL, 0));
    TRY(bert_bucket(&bucket, t->model, t->ranges->tokens));
    TRY(bert_plan_new(&t->plan, t->model, t->ranges, bucket));
out:
    return st;
}

static void close_task(struct task *t) {
    bert_plan_free(t->plan);
    bert_ranges_free(t->ranges);
    bert_model_free(t->model);
}

static int open_side(struct side *f, const struct task *t, const struct bench_rig *r) {
    int st = THOR_OK;
    static const uint8_t seed[CKKS_SEED] = {'i', 'n'};
    struct ckks_rng rng;
    const struct bert_sealer sealer = {.secret = r->secret, .rng = &rng};
    ckks_rng_init(&rng, seed, 0);
    TRY(bert_server_new(&f->server, r->cx, t->model, t->plan));
    TRY(bert_server_record(f->server, 1));
    f->inputs = bert_input_count(bert_server_shape(f->server));
    f->in = calloc((size_t)f->inputs, sizeof *f->in);
    if (!f->in) return thor_fail(THOR_MEMORY, "no memory for the input");
    TRY(bert_encrypt_input(f->in, r->cx, t->model, t->plan, &t->tokens, &sealer));
out:
    return st;
}

static void close_side(struct side *f) {
    for (int i = 0; f->in && i < f->inputs; i++) ckks_ct_free(&f->in[i]);
    free(f->in);
    ckks_ct_free(&f->logits);
    if (f->server) bert_server_free(f->server);
}

int bench_forward(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    struct bench_result res = {0};
    struct bench_rig r = {.lanes = 1};
    struct task t = {0};
    struct side real = {0}, dry = {0};
    TRY(open_task(&t, s));
    TRY(bench_rig_open(&r, s));
    r.level = r.cx->params->max_level;
    TRY(open_side(&dry, &t, r.twin));
    TRY(bench_rig_keys(&r, s, run_forward, &dry));
    TRY(open_side(&real, &t, &r));
    snprintf(res.name, sizeof res.name, "forward %d x %d, T %d", t.plan->layers,
             t.model->cfg.hidden, t.plan->tokens);
    TRY(bench_rig_measure(&res, &r, s, run_forward, &real));
    TRY(sink->put(sink->ctx, &res));
out:
    close_side(&real);
    close_side(&dry);
    bench_rig_close(&r);
    close_task(&t);
    return st;
}
