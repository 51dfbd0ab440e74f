/* thor tune experiments: plain, LoRA, FFA, DP at two budgets, federated and encrypted training of
 * one model on one table, side by side: a table, experiments.json, experiments.png. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/columns.h"
#include "cli/cli.h"
#include "cli/experiments.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/plots.h"
#include "cli/tune.h"
#include "kernels/shown.h"

enum { PATH = 4300, HELD_BACK = 5 }; // every fifth row, without --test

struct experiments {
    const char *data, *test, *columns, *out, *epsilons, *delta, *rate, *clip, *skip;
    int threads, no_plots, json, seed;
    unsigned skipped;
    struct tune_job job;
    struct tune_data rows, test_rows;
    struct split_text *train, *held_back; /* of rows, without --test */
    struct experiment_setup setup;
    struct experiment_result result[EXPERIMENTS];
    struct progress progress;
};

static int read_options(struct experiments *e, int argc, char **argv) {
    int st = THOR_OK;
    struct experiment_setup *s = &e->setup;
    *s = (struct experiment_setup){
        .steps = 40, .batch = 48, .rank = 4, .clients = 3, .local_steps = 5};
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &s->model_dir, 0, 0, "model folder"},
        {"data", "FILE", OPTION_TEXT, &e->data, 0, 0, "table to train on"},
        {"test", "FILE", OPTION_TEXT, &e->test, 0, 0,
         "table to judge by (every fifth row of --data, which is not trained on)"},
        {"columns", "NAMES", OPTION_TEXT, &e->columns, 0, 0, BERT_COLUMNS_HELP},
        {"out", "DIR", OPTION_TEXT, &e->out, 0, 0,
         "for experiments.json, experiments.png and the adapters"},
        {"steps", "N", OPTION_INT, &s->steps, 1, 1000000, "of each run (40)"},
        {"batch", "N", OPTION_INT, &s->batch, 1, 65536, "rows a step (48)"},
        {"rank", "R", OPTION_INT, &s->rank, 1, SPLIT_RANK_MAX, "of LoRA (4)"},
        {"rate", "X", OPTION_TEXT, &e->rate, 0, 0, "of Adam, at the first step (0.01)"},
        {"clip", "C", OPTION_TEXT, &e->clip, 0, 0, "norm of a row's gradient, DP (1)"},
        {"epsilons", "A,B", OPTION_TEXT, &e->epsilons, 0, 0, "the two budgets of DP (8,2)"},
        {"delta", "D", OPTION_TEXT, &e->delta, 0, 0, "of DP (half of 1 / rows)"},
        {"clients", "N", OPTION_INT, &s->clients, 2, 16, "of the federation (3)"},
        {"local-steps", "N", OPTION_INT, &s->local_steps, 1, 1000000,
         "of a client between two averages (5)"},
        {"skip", "NAMES", OPTION_TEXT, &e->skip, 0, 0,
         "of head,lora,ffa,dp,dp2,federated,encrypted"},
        {"seed", "N", OPTION_INT, &e->seed, 0, 0x7fffffff,
         "of first values and order; never of noise and keys (0)"},
        {"threads", "N", OPTION_INT, &e->threads, 1, 1024, "of this program (all cores)"},
        {"no-plots", NULL, OPTION_FLAG, &e->no_plots, 0, 0, "no picture"},
        {"json", NULL, OPTION_FLAG, &e->json, 0, 0, "print what experiments.json has"},
        {0}};
    const struct command_spec spec = {
        "tune experiments",
        "--data FILE --out DIR [--model DIR] [OPTIONS]",
        "Train the same adapter in seven ways that differ in one thing each, and compare: the "
        "classifier alone, LoRA, LoRA with\n"
        "A frozen, differential privacy at two budgets, three clients that average, and the frozen "
        "weights on ciphertexts. All\n"
        "but the last are computed in the open: they show what learning costs, not how to keep a "
        "secret.",
        "  thor tune experiments --data data/reviews.tsv --out experiments\n"
        "  thor tune experiments --data data/reviews.tsv --out e --steps 100 --epsilons 4,1 --skip "
        "encrypted\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!e->data) return thor_fail(THOR_USAGE, "--data is missing; name a table to train on");
    if (!e->out) return thor_fail(THOR_USAGE, "--out is missing; name a folder");
out:
    return st;
}

/* "8,2" */
static int read_epsilons(struct experiments *e) {
    int st = THOR_OK;
    char *copy = strdup(e->epsilons ? e->epsilons : "8,2"),
         *comma = copy ? strchr(copy, ',') : NULL;
    if (!copy) return thor_fail(THOR_MEMORY, "no memory for --epsilons");
    if (!comma) TRY(thor_fail(THOR_USAGE, "--epsilons %.60s: give two with a comma between", copy));
    *comma = 0;
    TRY(tune_number(&e->setup.epsilon[0], "epsilons", copy, 1e-3, 1000));
    TRY(tune_number(&e->setup.epsilon[1], "epsilons", comma + 1, 1e-3, 1000));
    if (e->setup.epsilon[0] < e->setup.epsilon[1])
        st = thor_fail(THOR_USAGE, "--epsilons %g,%g: the larger one comes first",
                       e->setup.epsilon[0], e->setup.epsilon[1]);
out:
    free(copy);
    return st;
}

static int read_numbers(struct experiments *e) {
    int st = THOR_OK;
    struct experiment_setup *s = &e->setup;
    s->rate = 0.01;
    s->clip = 1;
    s->delta = 0.5 / s->trains;
    for (int i = 0; i < 4; i++) s->seed[i] = (uint8_t)(e->seed >> 8 * i);
    TRY(tune_number(&s->rate, "rate", e->rate, 1e-9, 10));
    TRY(tune_number(&s->clip, "clip", e->clip, 1e-9, 1e9));
    TRY(tune_number(&s->delta, "delta", e->delta, 1e-300, 0.999));
    TRY(read_epsilons(e));
    for (const char *at = e->skip; at && *at; at += *at == ',') {
        const size_t n = strcspn(at, ",");
        int k = 0;
        while (k < EXPERIMENTS &&
               (strlen(experiment_names[k]) != n || strncmp(experiment_names[k], at, n) != 0))
            k++;
        if (k == EXPERIMENTS) return thor_fail(THOR_USAGE, "--skip %.60s: no such experiment", at);
        e->skipped |= 1u << k;
        at += n;
    }
out:
    return st;
}

/* ---- rows */

/* Every fifth row is held back, unless there is a table of its own to judge by. */
static int part_rows(struct experiments *e) {
    int st = THOR_OK;
    struct experiment_setup *s = &e->setup;
    TRY(tune_data_open(&e->rows, e->job.model, e->data, e->columns, 0, 1));
    if (e->test) TRY(tune_data_open(&e->test_rows, e->job.model, e->test, e->columns, 0, 1));
    const size_t n = (size_t)e->rows.n + 1;
    e->train = calloc(n, sizeof *e->train);
    e->held_back = calloc(n, sizeof *e->held_back);
    if (!e->train || !e->held_back) TRY(thor_fail(THOR_MEMORY, "no memory for %d rows", e->rows.n));
    for (int i = 0; i < e->rows.n; i++) {
        if (!e->test && i % HELD_BACK == HELD_BACK - 1)
            e->held_back[s->tests++] = e->rows.text[i];
        else
            e->train[s->trains++] = e->rows.text[i];
    }
    s->train = e->train;
    s->test = e->test ? e->test_rows.text : e->held_back;
    if (e->test) s->tests = e->test_rows.n;
    if (s->trains < 1 || s->tests < 1)
        st = thor_fail(THOR_INPUT, "%.300s: of %d rows none is left to judge by; give --test",
                       shown(e->data), e->rows.n);
out:
    return st;
}

static void tick(void *ctx, int step) {
    struct experiments *e = ctx;
    progress_step(&e->progress, step, e->setup.steps);
}

static int open_all(struct experiments *e, char *folder, size_t size) {
    int st = THOR_OK;
    struct experiment_setup *s = &e->setup;
    const struct tune_where where = {.plain = 1, .threads = e->threads};
    if (!s->model_dir) {
        TRY(default_model(folder, size));
        s->model_dir = folder;
    }
    TRY(tune_model_open(&e->job, s->model_dir));
    TRY(part_rows(e));
    TRY(read_numbers(e));
    TRY(make_folder(e->out));
    TRY(tune_service_open(&e->job, s->model_dir, &where));
    s->job = &e->job;
    s->tick = tick;
    s->ctx = e;
    if (split_model_config(e->job.model)->labels == 0) e->skipped |= 1u << EXPERIMENT_HEAD;
out:
    return st;
}

static int run_all(struct experiments *e) {
    int st = THOR_OK;
    for (int k = 0; k < EXPERIMENTS; k++) {
        if (e->skipped >> k & 1) continue;
        progress_begin(&e->progress, experiment_names[k]);
        st = experiment_run(&e->result[k], &e->setup, (enum experiment)k);
        progress_end(&e->progress);
        if (st != THOR_OK) return thor_fail_in(st, experiment_names[k]);
    }
    return st;
}

/* ---- output */

static int classifies(const struct experiments *e) {
    return e->setup.test[0].label >= 0;
}

static json_t *score_json(const struct experiments *e, const struct split_score *score) {
    json_t *o = json_pack("{s:f}", "loss", split_score_loss(score));
    if (classifies(e))
        json_object_set_new(o, "accuracy", json_real(split_score_accuracy(score)));
    else
        json_object_set_new(o, "perplexity", json_real(split_score_perplexity(score)));
    return o;
}

static json_t *result_json(const struct experiments *e, int k) {
    const struct experiment_result *r = &e->result[k];
    json_t *losses = json_array();
    for (int i = 0; i < r->steps; i++)
        json_array_append_new(losses, isnan(r->loss[i]) ? json_null() : json_real(r->loss[i]));
    json_t *o =
        json_pack("{s:s, s:s, s:i, s:o, s:o, s:f, s:o}", "name", experiment_names[k], "what",
                  experiment_abouts[k], "steps", r->steps, "before", score_json(e, &r->before),
                  "after", score_json(e, &r->after), "seconds", r->seconds, "losses", losses);
    json_object_set_new(o, "privacy",
                        r->epsilon > 0
                            ? json_pack("{s:f, s:f, s:f, s:f, s:s}", "epsilon", r->epsilon, "delta",
                                        e->setup.delta, "sigma", r->sigma, "clip", e->setup.clip,
                                        "against", "whoever sees the trained adapter")
                            : json_null());
    json_object_set_new(
        o, "encrypted",
        k == EXPERIMENT_ENCRYPTED
            ? json_pack("{s:s, s:I, s:I, s:I, s:f, s:f}", "against", "the server", "rounds",
                        (json_int_t)r->traffic.rounds, "up", (json_int_t)r->traffic.up, "down",
                        (json_int_t)r->traffic.down, "server_seconds", r->traffic.server_seconds,
                        "loss_apart", experiment_apart(r, &e->result[EXPERIMENT_LORA]))
            : json_null());
    return o;
}

static json_t *all_json(const struct experiments *e) {
    const struct experiment_setup *s = &e->setup;
    json_t *list = json_array();
    for (int k = 0; k < EXPERIMENTS; k++)
        if (e->result[k].done) json_array_append_new(list, result_json(e, k));
    return json_pack("{s:s, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:i, s:i, s:o}", "model",
                     s->model_dir, "data", e->data, "train_rows", s->trains, "test_rows", s->tests,
                     "steps", s->steps, "batch", s->batch, "rank", s->rank, "rate", s->rate,
                     "clients", s->clients, "local_steps", s->local_steps, "experiments", list);
}

static double quality(const struct experiments *e, const struct split_score *score) {
    return classifies(e) ? split_score_accuracy(score) : split_score_perplexity(score);
}

static void say_row(const struct experiments *e, int k) {
    const struct experiment_result *r = &e->result[k];
    char epsilon[24] = "none", traffic[48] = "-";
    if (r->epsilon > 0) snprintf(epsilon, sizeof epsilon, "%.2f", r->epsilon);
    if (k == EXPERIMENT_ENCRYPTED)
        snprintf(traffic, sizeof traffic, "%llu, %.1f / %.1f",
                 (unsigned long long)r->traffic.rounds, (double)r->traffic.up / (1 << 20),
                 (double)r->traffic.down / (1 << 20));
    printf("%-10s %6d %10.4f %10.4f %8s %10s %9.1f  %s\n", experiment_names[k], r->steps,
           split_score_loss(&r->after), quality(e, &r->after), epsilon,
           k == EXPERIMENT_ENCRYPTED ? "n12" : "no", r->seconds, traffic);
}

static void say(const struct experiments *e) {
    const struct experiment_result *first = NULL;
    printf("%d rows to train on, %d to judge by, batch %d\n", e->setup.trains, e->setup.tests,
           e->setup.batch);
    printf("%-10s %6s %10s %10s %8s %10s %9s  %s\n", "run", "steps", "loss",
           classifies(e) ? "accuracy" : "perplexity", "epsilon", "encrypted", "seconds",
           "rounds, MiB up / down");
    for (int k = 0; k < EXPERIMENTS; k++) {
        if (!e->result[k].done) continue;
        if (!first) first = &e->result[k];
        say_row(e, k);
    }
    if (!first) return;
    printf("%-10s %6d %10.4f %10.4f\n", "before", 0, split_score_loss(&first->before),
           quality(e, &first->before));
    const struct experiment_result *r = e->result;
    if (r[EXPERIMENT_ENCRYPTED].done && r[EXPERIMENT_LORA].done)
        printf("encrypted and lora: losses of a step differ by at most %.2g of their value\n",
               experiment_apart(&r[EXPERIMENT_ENCRYPTED], &r[EXPERIMENT_LORA]));
    printf("epsilon (delta %.2g): against whoever sees the trained adapter. encrypted: against the "
           "server. Neither stands for\nthe other, and the losses above are covered by none.\n",
           e->setup.delta);
}

static void put_script(FILE *f, const void *ctx) {
    const struct experiments *e = ctx;
    for (int k = 0; k < EXPERIMENTS; k++) {
        const struct experiment_result *r = &e->result[k];
        if (!r->done) continue;
        fprintf(f, "$d%d << EOD\n", k);
        for (int i = 0; i < r->steps; i++)
            if (!isnan(r->loss[i])) fprintf(f, "%d %.7g\n", i + 1, r->loss[i]);
        fputs("EOD\n", f);
    }
    fputs("set terminal pngcairo size 960,600 font 'sans,10'\nset grid lc rgb '#dddddd'\n"
          "set xlabel 'step'\nset ylabel 'loss of the rows of a step'\nset key outside right\n"
          "plot ",
          f);
    const char *mark = "";
    for (int k = 0; k < EXPERIMENTS; k++) {
        if (!e->result[k].done) continue;
        fprintf(f, "%s$d%d using 1:2 with lines lw 2 %stitle '%s'", mark, k,
                k == EXPERIMENT_ENCRYPTED ? "dt 2 " : "", experiment_names[k]);
        mark = ", ";
    }
    fputs("\n", f);
}

/* DIR/NAME: the adapters that change maps, for thor tune eval and merge. */
static int save_adapters(const struct experiments *e) {
    int st = THOR_OK, made;
    char path[PATH];
    for (int k = 0; k < EXPERIMENTS; k++) {
        const struct split_adapter *a = &e->result[k].adapter;
        if (!e->result[k].done || a->maps == 0) continue;
        snprintf(path, sizeof path, "%s/%s", e->out, experiment_names[k]);
        TRY(make_private_folder(path, &made));
        TRY(split_adapter_save(a, path, &e->job.base, e->setup.model_dir));
    }
out:
    return st;
}

static int save(const struct experiments *e) {
    int st = THOR_OK;
    char path[PATH];
    TRY(save_adapters(e));
    snprintf(path, sizeof path, "%s/experiments.json", e->out);
    TRY(save_object(all_json(e), path));
    snprintf(path, sizeof path, "%s/experiments.png", e->out);
    if (!e->no_plots && plots_can_draw() && !plots_draw(path, put_script, e))
        fprintf(stderr, "plots skipped: gnuplot cannot draw %.600s\n", shown(path));
    if (e->json)
        st = put_object(all_json(e), JSON_REAL_PRECISION(9));
    else
        say(e);
out:
    return st;
}

int tune_experiments(int argc, char **argv) {
    int st = THOR_OK;
    char folder[PATH];
    struct experiments e = {0};
    TRY(read_options(&e, argc, argv));
    TRY(open_all(&e, folder, sizeof folder));
    TRY(run_all(&e));
    TRY(save(&e));
out:
    for (int k = 0; k < EXPERIMENTS; k++) experiment_free(&e.result[k]);
    free(e.train);
    free(e.held_back);
    tune_data_close(&e.rows);
    tune_data_close(&e.test_rows);
    tune_job_close(&e.job);
    return st;
}
