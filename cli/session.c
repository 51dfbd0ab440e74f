#include "cli/session.h"

#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bert/container.h"
#include "bert/reference.h"
#include "bert/witness.h"

static int load_ranges(struct session *s) {
    int st = THOR_OK;
    char path[4200];
    snprintf(path, sizeof path, "%s/calibration.json", s->model_dir);
    if (s->setup.container) {
        TRY(bert_container_load(&s->container, &s->ranges, s->setup.container));
        TRY(bert_container_match(s->container, s->model, s->setup.container));
    } else {
        TRY(bert_ranges_load(&s->ranges, path, s->model));
    }
out:
    return st;
}

static int choose_set(struct session *s, const struct session_setup *setup) {
    int st = THOR_OK;
    s->setup = *setup;
    if (setup->compact && !setup->keys_dir)
        return thor_fail(THOR_USAGE,
                         "--compact reads keys when they are used: name a folder of thor "
                         "keygen with --keys");
    TRY(device_parse(&s->device, setup->device));
    if (setup->insecure) TRY(use_insecure(setup->insecure));
    TRY(ckks_params_get(&s->params, setup->insecure ? setup->insecure : "n16",
                        setup->insecure != NULL));
out:
    return st;
}

int session_unencrypted(const struct session_setup *setup, const char *flag) {
    const int on_cpu = !setup->device || strcmp(setup->device, "cpu") == 0;
    const char *idle = setup->keys_dir ? "keys" : setup->compact ? "compact" : "device";
    if (!setup->keys_dir && !setup->compact && on_cpu) return THOR_OK;
    return thor_fail(THOR_USAGE,
                     "--%s is not for %s, which encrypts nothing: leave one of them away", idle,
                     flag);
}

static int choose_pooling(struct bert_config *c, const struct session_setup *setup) {
    if (setup->normalize) c->normalize = 1;
    if (!setup->pool) return THOR_OK;
    c->pool = strcmp(setup->pool, "cls") == 0 ? BERT_POOL_CLS : BERT_POOL_MEAN;
    if (c->pool == BERT_POOL_CLS || strcmp(setup->pool, "mean") == 0) return THOR_OK;
    return thor_fail(THOR_USAGE, "--pool %.40s: is neither mean nor cls", setup->pool);
}

int session_model(struct session *s, const struct session_setup *setup) {
    int st = THOR_OK;
    TRY(choose_set(s, setup));
    if (setup->model_dir)
        snprintf(s->model_dir, sizeof s->model_dir, "%s", setup->model_dir);
    else
        TRY(default_model(s->model_dir, sizeof s->model_dir));
    TRY(bert_model_load(&s->model, s->model_dir));
    TRY(choose_pooling(&s->model->cfg, setup));
    if (setup->model_dir)
        TRY(bert_model_folder(s->model_dir, sizeof s->model_dir, setup->model_dir));
out:
    return st;
}

int session_load(struct session *s, const struct session_setup *setup) {
    int st = THOR_OK;
    TRY(session_model(s, setup));
    TRY(load_ranges(s));
out:
    return st;
}

int session_container(struct session *s, const struct session_setup *setup) {
    int st = THOR_OK;
    TRY(choose_set(s, setup));
    snprintf(s->model_dir, sizeof s->model_dir, "%s", setup->container);
    TRY(bert_container_load(&s->model, &s->ranges, setup->container));
out:
    return st;
}

int session_split(struct session *s, const struct option_spans *layers) {
    const int all = s->model->cfg.layers, first = layers->first[0], last = layers->last[0];
    if (!layers->n) return THOR_OK;
    if (!bert_is_causal(&s->model->cfg))
        return thor_fail(THOR_USAGE, "--layers: the model is no GPT-2, and the server computes all "
                                     "of its layers: leave --layers away");
    if (layers->n > 1 || last >= all || first > last)
        return thor_fail(THOR_USAGE, "--layers %d..%d: give one span of layers, of 0..%d", first,
                         last, all - 1);
    bert_model_part(s->model, first, last);
    if (s->container) bert_model_part(s->container, first, last);
    s->ranges->layer += first;
    s->ranges->layers = last - first + 1;
    return THOR_OK;
}

int session_plan(struct session *s, int tokens) {
    int st = THOR_OK, bucket;
    TRY(bert_bucket(&bucket, s->model, tokens));
    if (bucket > s->ranges->tokens)
        return thor_fail(THOR_INPUT,
                         "a text of %d tokens: the model was calibrated up to %d; shorten the text",
                         tokens, s->ranges->tokens);
    bert_plan_free(s->plan);
    s->plan = NULL;
    TRY(bert_plan_new(&s->plan, s->model, s->ranges, bucket));
out:
    return st;
}

int session_describe(const struct session *s, struct result *r, const char *device, int n) {
    r->device = device;
    r->key_size = "full";
    r->compact = s->setup.compact;
    r->log_n = s->params->log_n;
    r->log_qp = s->params->log_qp;
    r->security_bits = s->params->security_bits;
    r->keygen = s->keygen;
    r->encode = s->encode;
    return result_new(r, &s->model->cfg, n);
}

int session_approx(struct session *s, struct result *r, const struct bert_tokens *t) {
    int st = THOR_OK;
    struct bert_outside out = {0};
    double began = bench_now();
    TRY(session_describe(s, r, "approx", t->n));
    r->log_n = r->security_bits = 0; // nothing is encrypted
    r->log_qp = 0;
    TRY(bert_forward(r->plain_logits, s->model, t, NULL));
    TRY(bert_approx_forward(r->he_logits, s->model, s->plan, t, 1, &out));
    r->compute = r->total = bench_now() - began;
    if (out.witness > 1 || !(s->plan->at_client || bert_logits_possible(r->he_logits, s->model)))
        return thor_fail(THOR_RANGE,
                         BERT_NO_RESULT " (%d values, first in layer %d, %s: %.3g times its range)",
                         out.values, out.layer, out.stage ? out.stage : "none", out.factor);
    if (out.values && !s->setup.quiet)
        fprintf(stderr,
                "note: %d values left their calibrated range, first in layer %d, %s: %.3g times "
                "its range\n",
                out.values, out.layer, out.stage, out.factor);
out:
    return st;
}

void session_close(struct session *s) {
    if (s->server) bert_server_free(s->server);
    keyset_free(&s->keys);
    ckks_rng_free(s->rng);
    ckks_close(s->cx);
    free(s->slots);
    free(s->uses);
    bert_plan_free(s->plan);
    if (s->ranges && s->model) s->ranges->layer -= s->model->before; // session_split
    bert_ranges_free(s->ranges);
    bert_model_free(s->container);
    bert_model_free(s->model);
    memset(s, 0, sizeof *s);
}
