#include "cli/experiments.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "split/federate.h"
#include "split/train.h"

enum { CLIENTS_MAX = 16 };

const char *const experiment_names[EXPERIMENTS] = {"head", "lora",      "ffa",      "dp",
                                                   "dp2",  "federated", "encrypted"};
const char *const experiment_abouts[EXPERIMENTS] = {
    "the classifier alone",
    "LoRA of q and v, and the classifier",
    "LoRA with A frozen (FFA)",
    "LoRA with DP-SGD, the larger epsilon",
    "LoRA with DP-SGD, the smaller epsilon",
    "LoRA with A frozen, rows apart at clients (FedAvg)",
    "LoRA, the frozen weights on ciphertexts",
};

/* Zero but for A: so every run begins at the same loss. */
static int first_adapter(struct split_adapter *a, const struct experiment_setup *s,
                         enum experiment which) {
    int st = THOR_OK;
    struct split_adapter_ask ask;
    const unsigned q_and_v = 1u << SPLIT_MAP_Q | 1u << SPLIT_MAP_V;
    split_base_ask(&ask, &s->job->base, which == EXPERIMENT_HEAD ? 0 : q_and_v);
    if (which == EXPERIMENT_HEAD && ask.labels == 0)
        return thor_fail(THOR_MODEL, "%.300s: has no classifier to train alone", s->model_dir);
    ask.rank = s->rank;
    ask.alpha = 2.0 * s->rank;
    ask.frozen_a = which == EXPERIMENT_FFA || which == EXPERIMENT_FEDERATED;
    TRY(split_adapter_make(a, &ask, s->seed));
out:
    return st;
}

static int start(struct split_trainer *t, const struct experiment_setup *s, enum experiment which,
                 struct split_adapter *a, struct split_service *service,
                 const struct split_text *text, int texts) {
    struct split_train_ask ask = {.batch = s->batch < texts ? s->batch : texts};
    const struct split_dpsgd_ask privacy = {
        .clip = s->clip, .delta = s->delta, .epsilon = s->epsilon[which == EXPERIMENT_DP_TIGHT]};
    ask.micro = ask.batch;
    split_adam_usual(&ask.adam);
    ask.adam.lr = s->rate;
    ask.adam.steps = s->steps;
    memcpy(ask.seed, s->seed, sizeof ask.seed);
    if (which == EXPERIMENT_DP || which == EXPERIMENT_DP_TIGHT) ask.privacy = &privacy;
    return split_trainer_start(t, &ask, s->job->model, service, a, text, texts);
}

static int train(struct experiment_result *r, const struct experiment_setup *s,
                 enum experiment which, struct split_adapter *a, struct split_service *service) {
    int st = THOR_OK;
    struct split_trainer t = {0};
    TRY(start(&t, s, which, a, service, s->train, s->trains));
    while (!split_trainer_done(&t) && r->steps < s->steps) {
        struct split_step_report step;
        TRY(split_trainer_step(&step, &t));
        r->loss[r->steps++] = step.rows ? step.loss : NAN;
        r->epsilon = step.epsilon;
        if (s->tick) s->tick(s->ctx, r->steps);
    }
    if (t.is_private) r->sigma = t.privacy.ask.sigma;
out:
    split_trainer_end(&t);
    return st;
}

/* ---- several clients */

struct client {
    struct split_adapter adapter;
    struct split_trainer trainer;
    int rows;
};

/* a: the clients' average, from which every one of them goes on. */
static int average(struct split_adapter *a, struct client *client, int clients) {
    int st = THOR_OK;
    double rows = 0;
    struct split_adapter sum, *first = &client[0].adapter;
    TRY(split_adapter_like(&sum, a));
    for (int k = 0; k < clients; k++) {
        TRY(split_federate_add(&sum, first, &client[k].adapter, client[k].rows));
        rows += client[k].rows;
    }
    split_federate_end(&sum, first, rows);
    memcpy(a->values, sum.values, a->n * sizeof *a->values);
    for (int k = 0; k < clients; k++)
        memcpy(client[k].adapter.values, sum.values, a->n * sizeof *a->values);
out:
    split_adapter_free(&sum);
    return st;
}

static int start_clients(struct client *client, const struct experiment_setup *s,
                         const struct split_adapter *a, struct split_service *service) {
    int st = THOR_OK;
    for (int k = 0; k < s->clients; k++) {
        const int from = (int)((long)s->trains * k / s->clients);
        client[k].rows = (int)((long)s->trains * (k + 1) / s->clients) - from;
        TRY(split_adapter_copy(&client[k].adapter, a));
        TRY(start(&client[k].trainer, s, EXPERIMENT_FEDERATED, &client[k].adapter, service,
                  s->train + from, client[k].rows));
    }
out:
    return st;
}

static int train_federated(struct experiment_result *r, const struct experiment_setup *s,
                           struct split_adapter *a, struct split_service *service) {
    int st = THOR_OK;
    struct client client[CLIENTS_MAX] = {0};
    if (s->clients < 2 || s->clients > CLIENTS_MAX || s->clients > s->trains)
        return thor_fail(THOR_USAGE, "%d clients of %d rows: give 2 to %d", s->clients, s->trains,
                         CLIENTS_MAX);
    TRY(start_clients(client, s, a, service));
    while (r->steps < s->steps) {
        double loss = 0;
        for (int k = 0; k < s->clients; k++) {
            struct split_step_report step;
            TRY(split_trainer_step(&step, &client[k].trainer));
            loss += step.loss * client[k].rows / s->trains;
        }
        r->loss[r->steps++] = loss;
        if (r->steps % s->local_steps == 0 || r->steps == s->steps)
            TRY(average(a, client, s->clients));
        if (s->tick) s->tick(s->ctx, r->steps);
    }
out:
    for (int k = 0; k < s->clients; k++) {
        split_trainer_end(&client[k].trainer);
        split_adapter_free(&client[k].adapter);
    }
    return st;
}

/* ---- one run */

/* Evaluation goes by the plain service, whatever the training did. */
static int judge(struct split_score *score, const struct experiment_setup *s,
                 const struct split_adapter *a) {
    return split_evaluate(score, s->job->model, a, s->job->service, s->test, s->tests, NULL, NULL);
}

static int run_with(struct experiment_result *r, const struct experiment_setup *s,
                    enum experiment which, struct split_service *service) {
    int st = THOR_OK;
    struct split_adapter a = {0};
    const struct split_traffic old = service->traffic;
    TRY(first_adapter(&a, s, which));
    TRY(judge(&r->before, s, &a));
    const double began = bench_now();
    r->loss = calloc((size_t)s->steps, sizeof *r->loss);
    if (!r->loss) TRY(thor_fail(THOR_MEMORY, "no memory for the losses of %d steps", s->steps));
    TRY(which == EXPERIMENT_FEDERATED ? train_federated(r, s, &a, service)
                                      : train(r, s, which, &a, service));
    r->seconds = bench_now() - began;
    const struct split_traffic *now = &service->traffic;
    r->traffic =
        (struct split_traffic){now->rounds - old.rounds, now->up - old.up, now->down - old.down,
                               now->server_seconds - old.server_seconds};
    TRY(judge(&r->after, s, &a));
    r->adapter = a;
    r->done = 1;
    return THOR_OK;
out:
    split_adapter_free(&a);
    return st;
}

int experiment_run(struct experiment_result *r, const struct experiment_setup *s,
                   enum experiment which) {
    int st = THOR_OK;
    struct tune_job encrypted = {0};
    const struct tune_where where = {.local = 1};
    memset(r, 0, sizeof *r);
    if (which == EXPERIMENT_ENCRYPTED) TRY(tune_service_open(&encrypted, s->model_dir, &where));
    TRY(run_with(r, s, which, encrypted.service ? encrypted.service : s->job->service));
out:
    tune_job_close(&encrypted);
    if (st != THOR_OK) experiment_free(r);
    return st;
}

void experiment_free(struct experiment_result *r) {
    free(r->loss);
    split_adapter_free(&r->adapter);
    memset(r, 0, sizeof *r);
}

double experiment_apart(const struct experiment_result *a, const struct experiment_result *b) {
    double most = 0;
    for (int i = 0; a->done && b->done && i < a->steps && i < b->steps; i++)
        most = fmax(most, fabs(a->loss[i] - b->loss[i]) / b->loss[i]);
    return most;
}
