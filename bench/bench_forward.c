/* The server's work on one text that fills its length bucket. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/rig.h"
#include "bert/encrypted.h"

struct forward_rig {
    struct bench_rig rig;
    struct bert_model *model;
    struct bert_ranges *ranges;
    struct bert_plan *plan;
    struct bert_server *server;
    struct bert_tokens tokens;
    struct ckks_ct *in, logits;
};

static int run_forward(void *ctx) {
    struct forward_rig *f = ctx;
    return bert_server_forward(&f->logits, f->server, f->in, NULL);
}

static int open_model(struct forward_rig *f, const struct bench_setup *s) {
    int st = THOR_OK, bucket;
    char path[4200];
    snprintf(path, sizeof path, "%s/calibration.json", s->model_dir);
    TRY(bert_model_load(&f->model, s->model_dir));
    TRY(bert_ranges_load(&f->ranges, path, f->model));
    TRY(bert_tokenize(&f->tokens, f->model, "a charming and often affecting journey", NULL, 0));
    TRY(bert_bucket(&bucket, f->model, f->ranges->tokens));
    TRY(bert_plan_new(&f->plan, f->model, f->ranges, bucket));
out:
    return st;
}

static int make_keys(struct forward_rig *f, const struct bench_setup *s) {
    int st = THOR_OK;
    static const uint8_t seed[CKKS_SEED] = {'b', 'e', 'n', 'c', 'h'};
    struct ckks *dry = NULL;
    TRY(ckks_open(&dry, f->rig.cx->params, KERN_DRY, KERN_TIER_BEST, s->threads));
    TRY(bert_dry_run(dry, f->model, f->plan));
    TRY(ckks_keys_new(&f->rig.keys, f->rig.cx, f->rig.secret, dry->needs, dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(f->rig.cx, f->rig.keys);
out:
    ckks_close(dry);
    return st;
}

static int make_input(struct forward_rig *f) {
    int st = THOR_OK;
    static const uint8_t seed[CKKS_SEED] = {'i', 'n'};
    struct ckks_rng rng;
    const struct bert_sealer sealer = {.secret = f->rig.secret, .rng = &rng};
    ckks_rng_init(&rng, seed, 0);
    f->in = calloc((size_t)bert_input_count(bert_server_shape(f->server)), sizeof *f->in);
    if (!f->in) return thor_fail(THOR_MEMORY, "no memory for the input");
    TRY(bert_encrypt_input(f->in, f->rig.cx, f->model, f->plan, &f->tokens, &sealer));
out:
    return st;
}

static void close_forward(struct forward_rig *f) {
    for (int i = 0; f->in && i < bert_input_count(bert_server_shape(f->server)); i++) ckks_ct_free(&f->in[i]);
    free(f->in);
    ckks_ct_free(&f->logits);
    if (f->server) bert_server_free(f->server);
    bert_plan_free(f->plan);
    bert_ranges_free(f->ranges);
    bert_model_free(f->model);
    bench_rig_close(&f->rig);
}

int bench_forward(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    char name[48];
    struct bench_result res = {0};
    struct forward_rig f = {0};
    TRY(open_model(&f, s));
    TRY(bench_rig_open(&f.rig, s, KERN_CPU, -1));
    TRY(make_keys(&f, s));
    TRY(bert_server_new(&f.server, f.rig.cx, f.model, f.plan));
    TRY(make_input(&f));
    snprintf(name, sizeof name, "forward %d x %d, T %d", f.plan->layers, f.model->cfg.hidden, f.plan->tokens);
    bench_rig_label(&res, &f.rig, name);
    TRY(bench_time(&res, s->budget, run_forward, &f));
    TRY(sink->put(sink->ctx, &res));
out:
    close_forward(&f);
    return st;
}
