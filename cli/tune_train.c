/* thor tune train: an adapter trained on the rows of a table. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bert/input/columns.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "cli/tunerun.h"
#include "kernels/shown.h"

struct texts { /* options that are numbers with a point */
    const char *alpha, *lr, *decay, *clip, *epsilon, *delta, *sigma, *forward;
};

struct training {
    const char *model, *data, *columns;
    int steps, epochs, tokens, micro, ffa, no_head, json, warmup;
    struct tune_where where;
    struct texts text;
    double epsilon, delta, sigma, clip, forward;
    struct split_dpsgd_ask privacy;
    struct split_dpforward noise;
    struct tune_run run;
    struct progress bar;
};

static int read_options(struct training *t, int argc, char **argv) {
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &t->model, 0, 0,
         "classifier, or language model, of a BERT, GPT-2 or Llama"},
        {"data", "FILE", OPTION_TEXT, &t->data, 0, 0, "table with labels, or texts, one a line; -"},
        {"columns", "NAMES", OPTION_TEXT, &t->columns, 0, 0, BERT_COLUMNS_HELP},
        {"out", "DIR", OPTION_TEXT, &t->run.out, 0, 0,
         "the adapter (PEFT's layout), log, checkpoint; goes on where it stopped"},
        {"from", "DIR", OPTION_TEXT, &t->run.from, 0, 0, "the adapter to start from (a new one)"},
        {"rank", "R", OPTION_INT, &t->run.shape.rank, 1, SPLIT_RANK_MAX, "of the updates (8)"},
        {"alpha", "A", OPTION_TEXT, &t->text.alpha, 0, 0, "they count A / R times (2 R)"},
        {"maps", "LIST", OPTION_TEXT, &t->run.shape.maps, 0, 0,
         "all, or of q,k,v,o,gate,up,down (q,v)"},
        {"no-head", NULL, OPTION_FLAG, &t->no_head, 0, 0, "the classifier stays as it is"},
        {"ffa", NULL, OPTION_FLAG, &t->ffa, 0, 0,
         "A stays as drawn (FFA-LoRA): less noise, exact averages of clients"},
        {"steps", "N", OPTION_INT, &t->steps, 1, 1 << 30, "of the optimiser"},
        {"epochs", "N", OPTION_INT, &t->epochs, 1, 1 << 20, "instead: times over the rows (3)"},
        {"batch", "B", OPTION_INT, &t->run.train.batch, 1, 1 << 20, "rows a step (8)"},
        {"micro", "M", OPTION_INT, &t->micro, 1, 1 << 10, "rows that travel together (8)"},
        {"lr", "X", OPTION_TEXT, &t->text.lr, 0, 0, "learning rate of AdamW (1e-3)"},
        {"warmup", "N", OPTION_INT, &t->warmup, 0, 1 << 30, "steps up to it; then down to 0 (0)"},
        {"decay", "X", OPTION_TEXT, &t->text.decay, 0, 0, "weight decay (0)"},
        {"clip", "C", OPTION_TEXT, &t->text.clip, 0, 0,
         "norm of a step's gradient, with --epsilon of each row's (1)"},
        {"epsilon", "E", OPTION_TEXT, &t->text.epsilon, 0, 0,
         "differential privacy of each row (DP-SGD); stops at the budget"},
        {"delta", "D", OPTION_TEXT, &t->text.delta, 0, 0, "of it (1e-5)"},
        {"sigma", "S", OPTION_TEXT, &t->text.sigma, 0, 0,
         "its noise, in norms of a row (solved for the budget and the steps)"},
        {"embedding-epsilon", "E", OPTION_TEXT, &t->text.forward, 0, 0,
         "noise on embeddings too, each time a text is read (DP-Forward)"},
        {"tokens", "N", OPTION_INT, &t->tokens, 2, 1 << 20, "longest text that is taken"},
        {"seed", "TEXT", OPTION_TEXT, &t->run.seed, 0, 0,
         "draw A and the order of rows by it, for comparisons (the system's randomness)"},
        {"every", "N", OPTION_INT, &t->run.every, 1, 1 << 20, "steps between checkpoints (10)"},
        TUNE_WHERE_OPTIONS(t->where),
        {"json", NULL, OPTION_FLAG, &t->json, 0, 0, "every step as JSON on standard output"},
        {0}};
    const struct command_spec spec = {
        "tune train",
        "--model DIR --data FILE --out DIR [OPTIONS]",
        "Train low-rank updates (LoRA) of a model whose frozen weights are multiplied elsewhere, "
        "on "
        "ciphertexts:\n"
        "texts, hidden states, gradients and all that is trained stay here.  Encryption hides the "
        "rows from who\n"
        "computes; --epsilon hides them from who gets the adapter.  Stopped or killed, the same "
        "command goes on.",
        "  thor tune train --model data/sst2-tiny --data train.tsv --out tuned --steps 200\n"
        "  thor tune train --model data/sst2-tiny --data train.tsv --out tuned --epochs 3 "
        "--epsilon 8 --ffa\n"
        "  thor tune train --model data/gpt2-tiny --data notes.txt --out tuned --maps all "
        "--plain\n",
        options,
        0};
    return options_parse(&spec, argc, argv, NULL);
}

static int read_numbers(struct training *t) {
    int st = THOR_OK;
    struct split_adam_ask *a = &t->run.train.adam;
    t->run.shape.alpha = 2 * t->run.shape.rank;
    t->delta = 1e-5;
    t->clip = 1;
    TRY(tune_number(&t->run.shape.alpha, "alpha", t->text.alpha, 1e-3, 1e6));
    TRY(tune_number(&a->lr, "lr", t->text.lr, 1e-9, 10));
    TRY(tune_number(&a->decay, "decay", t->text.decay, 0, 100));
    TRY(tune_number(&t->clip, "clip", t->text.clip, 1e-9, 1e9));
    TRY(tune_number(&t->epsilon, "epsilon", t->text.epsilon, 1e-3, 1e3));
    TRY(tune_number(&t->delta, "delta", t->text.delta, 1e-15, 0.1));
    TRY(tune_number(&t->sigma, "sigma", t->text.sigma, 1e-3, 1e6));
    TRY(tune_number(&t->forward, "embedding-epsilon", t->text.forward, 1e-3, 1e3));
out:
    return st;
}

static int check(const struct training *t) {
    if (!t->model || !t->data || !t->run.out)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor tune train --help",
                         !t->model  ? "model"
                         : !t->data ? "data"
                                    : "out");
    if (t->steps && t->epochs)
        return thor_fail(THOR_USAGE, "--steps and --epochs exclude each other");
    if (t->sigma > 0 && t->epsilon == 0)
        return thor_fail(THOR_USAGE, "--sigma: goes with --epsilon, the budget at which to stop");
    return THOR_OK;
}

/* What is only known with the rows at hand. */
static int set_run(struct training *t, const struct tune_data *d) {
    struct split_train_ask *a = &t->run.train;
    const double epochs = t->epochs ? t->epochs : 3;
    a->adam.steps = t->steps ? t->steps : (long)ceil(epochs * d->n / a->batch);
    a->adam.warmup = t->warmup;
    a->micro = t->micro;
    t->run.model = t->model;
    t->run.shape.frozen_a = t->ffa;
    t->run.shape.head = !t->no_head;
    if (t->epsilon == 0) {
        a->max_norm = t->clip;
        return THOR_OK;
    }
    if (t->delta * d->n >= 1)
        return thor_fail(THOR_USAGE, "--delta %g: must be below 1 / %d, the share of one row",
                         t->delta, d->n);
    t->privacy = (struct split_dpsgd_ask){
        .clip = t->clip, .epsilon = t->epsilon, .delta = t->delta, .sigma = t->sigma};
    a->privacy = &t->privacy;
    return THOR_OK;
}

static int on_step(void *ctx, const struct tune_run *r, const json_t *line) {
    struct training *t = ctx;
    char what[120];
    const long steps = r->train.adam.steps;
    snprintf(what, sizeof what, "step %ld of %ld  loss %.4f", r->step, steps,
             json_real_value(json_object_get(line, "loss")));
    if (t->epsilon > 0)
        snprintf(what + strlen(what), 60, "  epsilon %.3f of %g", r->epsilon, t->epsilon);
    if (t->bar.tty || r->step % r->every == 0 || r->step == steps)
        progress_note(&t->bar, (int)r->step, (int)steps, what);
    if (!t->json) return THOR_OK;
    json_t *shown = json_deep_copy(line);
    if (shown) json_object_set_new(shown, "steps", json_integer(steps));
    const int st = put_object(shown, JSON_REAL_PRECISION(9));
    return st == THOR_OK ? flush_stdout() : st;
}

static void print_end(const struct training *t, const struct split_traffic *s) {
    const struct tune_run *r = &t->run;
    if (t->json) return;
    printf("%s: %ld of %ld steps", shown(r->out), r->step, r->train.adam.steps);
    if (!isnan(r->loss)) printf(", loss %.4f", r->loss);
    if (t->epsilon > 0)
        printf(", epsilon %.3f of %g at delta %g (noise %.3f): what the adapter tells of a row",
               r->epsilon, t->epsilon, t->delta, r->sigma);
    printf("\n%llu round trips, %.1f MB up, %.1f MB down, %.1f s of the server's%s\n",
           (unsigned long long)s->rounds, (double)s->up / 1e6, (double)s->down / 1e6,
           s->server_seconds, t->where.plain ? ": nothing was encrypted" : "");
}

static int train(struct training *t, struct tune_job *j, const struct tune_data *d) {
    int st = THOR_OK;
    TRY(set_run(t, d));
    if (t->forward > 0)
        TRY(split_dpforward_start(&t->noise, t->forward, t->delta,
                                  sqrt(split_model_config(j->model)->hidden)));
    progress_begin(&t->bar, "training");
    st = tune_run(&t->run, j, d, t->forward > 0 ? &t->noise : NULL);
    progress_end(&t->bar);
    if (st == THOR_OK) print_end(t, &j->service->traffic);
out:
    split_dpforward_end(&t->noise);
    return st;
}

int tune_train(int argc, char **argv) {
    int st = THOR_OK;
    struct tune_job job = {0};
    struct tune_data data = {0};
    struct training t = {.micro = 8,
                         .where = {.wait = TUNE_WAIT},
                         .run = {.shape = {.rank = 8, .maps = "q,v"},
                                 .train = {.batch = 8},
                                 .every = 10,
                                 .watch = on_step}};
    t.run.ctx = &t;
    split_adam_usual(&t.run.train.adam);
    TRY(read_options(&t, argc, argv));
    TRY(check(&t));
    TRY(read_numbers(&t));
    TRY(tune_model_open(&job, t.model));
    TRY(tune_data_open(&data, job.model, t.data, t.columns, t.tokens, 1));
    TRY(tune_service_open(&job, t.model, &t.where));
    st = train(&t, &job, &data);
out:
    tune_data_close(&data);
    tune_job_close(&job);
    return st;
}
