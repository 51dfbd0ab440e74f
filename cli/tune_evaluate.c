/* thor tune eval: how good a model is, before and after an adapter: accuracy of a classifier,
 * perplexity of a language model, and its answers to questions with options. */
#include <stdio.h>
#include <string.h>

#include "bert/input/columns.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "cli/tunejob.h"
#include "kernels/shown.h"
#include "split/adapterfile.h"
#include "split/evaluate.h"

struct measured {
    struct split_score score;
    struct split_exam exam;
};

struct evaluation {
    const char *model_dir, *adapter_dir, *data, *columns, *questions_file;
    struct tune_where where;
    int tokens, json;
    struct tune_job job;
    struct tune_data rows;
    struct split_questions questions;
    struct split_adapter adapter;
    struct measured before, after;
    struct progress progress;
    int total;
};

static int read_options(struct evaluation *e, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &e->model_dir, 0, 0, "model folder"},
        {"adapter", "DIR", OPTION_TEXT, &e->adapter_dir, 0, 0,
         "an adapter in PEFT's layout, to compare the model with itself"},
        {"data", "FILE", OPTION_TEXT, &e->data, 0, 0,
         "texts: with labels, of a classifier; any, of a language model"},
        {"columns", "NAMES", OPTION_TEXT, &e->columns, 0, 0, BERT_COLUMNS_HELP},
        {"questions", "FILE", OPTION_TEXT, &e->questions_file, 0, 0,
         "questions with options, as MedQA's JSON lines"},
        {"tokens", "N", OPTION_INT, &e->tokens, 2, BERT_MAX_TOKENS,
         "refuse texts of more (those of the model)"},
        TUNE_WHERE_OPTIONS(e->where),
        {"json", NULL, OPTION_FLAG, &e->json, 0, 0, "one JSON object"},
        {0}};
    const struct command_spec spec = {
        "tune eval",
        "--model DIR [--adapter DIR] [--data FILE] [--questions FILE] [OPTIONS]",
        "Accuracy of a classifier, perplexity of a language model, and the options that it "
        "prefers, "
        "before and after an\n"
        "adapter. Texts and answers stay here; the frozen weights are computed with as in "
        "training.",
        "  thor tune eval --model data/sst2-tiny --adapter tuned --data data/examples.tsv\n"
        "  thor tune eval --model data/gpt2-tiny --questions data/medical-questions.jsonl "
        "--plain\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!e->model_dir) return thor_fail(THOR_USAGE, "--model is missing; name a model folder");
    if (!e->data && !e->questions_file)
        return thor_fail(THOR_USAGE, "nothing to evaluate on: give --data or --questions");
out:
    return st;
}

static int open_all(struct evaluation *e) {
    int st = THOR_OK;
    TRY(tune_model_open(&e->job, e->model_dir));
    const struct split_config *c = split_model_config(e->job.model);
    if (e->questions_file && (c->family == SPLIT_BERT || c->labels))
        TRY(thor_fail(THOR_MODEL, "--questions: %.300s is no language model", e->model_dir));
    if (e->adapter_dir) TRY(split_adapter_load(&e->adapter, e->adapter_dir, &e->job.base));
    if (e->data) TRY(tune_data_open(&e->rows, e->job.model, e->data, e->columns, e->tokens, 1));
    if (e->questions_file) TRY(split_questions_load(&e->questions, e->questions_file));
    TRY(tune_service_open(&e->job, e->model_dir, &e->where));
out:
    return st;
}

static int tick(void *ctx, int done) {
    struct evaluation *e = ctx;
    progress_step(&e->progress, done, e->total);
    return interrupt_pending();
}

static int measure(struct evaluation *e, struct measured *to, const struct split_adapter *a) {
    int st = THOR_OK;
    progress_begin(&e->progress, a ? "after" : "before");
    e->total = e->rows.n;
    if (e->data)
        TRY(split_evaluate(&to->score, e->job.model, a, e->job.service, e->rows.text, e->rows.n,
                           tick, e));
    e->total = e->questions.n;
    if (e->questions_file)
        TRY(split_examine(&to->exam, e->job.model, a, e->job.service, &e->questions, tick, e));
out:
    progress_end(&e->progress);
    return st;
}

/* ---- output */

static int classifies(const struct evaluation *e) {
    return e->rows.n > 0 && e->rows.text[0].label >= 0;
}

static json_t *measured_json(const struct evaluation *e, const struct measured *r) {
    json_t *o = json_object();
    if (e->data) json_object_set_new(o, "loss", json_real(split_score_loss(&r->score)));
    if (classifies(e))
        json_object_set_new(o, "accuracy", json_real(split_score_accuracy(&r->score)));
    else if (e->data)
        json_object_set_new(o, "perplexity", json_real(split_score_perplexity(&r->score)));
    if (e->questions_file)
        json_object_set_new(o, "questions",
                            json_pack("{s:i, s:i, s:i, s:i}", "asked", r->exam.questions, "right",
                                      r->exam.right, "right_per_token", r->exam.right_per_token,
                                      "too_long", r->exam.too_long));
    return o;
}

static int say_json(const struct evaluation *e) {
    json_t *o = json_pack("{s:s, s:s, s:i, s:o}", "model", e->model_dir, "where",
                          tune_where_name(&e->where), "texts", e->rows.n, "before",
                          measured_json(e, &e->before));
    if (o && e->adapter_dir) {
        json_object_set_new(o, "adapter", json_string(e->adapter_dir));
        json_object_set_new(o, "after", measured_json(e, &e->after));
    }
    if (o) json_object_set_new(o, "traffic", tune_traffic(e->job.service));
    return put_object(o, JSON_REAL_PRECISION(9));
}

static void say_line(const struct evaluation *e, const char *what, double before, double after) {
    printf("%-28s %10.4f", what, before);
    if (e->adapter_dir) printf(" %10.4f", after);
    putchar('\n');
}

static void say_exam(const struct evaluation *e) {
    const struct split_exam *a = &e->before.exam, *b = &e->after.exam;
    const double n = a->questions ? a->questions : 1, m = b->questions ? b->questions : 1;
    say_line(e, "questions, right", a->right / n, b->right / m);
    say_line(e, "questions, right per token", a->right_per_token / n, b->right_per_token / m);
    if (a->too_long)
        printf("%d of %d questions are too long for the model and were not asked\n", a->too_long,
               e->questions.n);
}

static int say(const struct evaluation *e) {
    const struct split_traffic *t = &e->job.service->traffic;
    if (e->json) return say_json(e);
    printf("%-28s %10s%s\n", tune_where_name(&e->where), "before",
           e->adapter_dir ? "      after" : "");
    if (classifies(e))
        say_line(e, "accuracy", split_score_accuracy(&e->before.score),
                 split_score_accuracy(&e->after.score));
    if (e->data)
        say_line(e, "loss", split_score_loss(&e->before.score), split_score_loss(&e->after.score));
    if (e->data && !classifies(e))
        say_line(e, "perplexity", split_score_perplexity(&e->before.score),
                 split_score_perplexity(&e->after.score));
    if (e->questions_file) say_exam(e);
    printf("%d texts, %d questions; %llu rounds, %.1f MiB up, %.1f MiB down\n", e->rows.n,
           e->questions.n, (unsigned long long)t->rounds, (double)t->up / (1 << 20),
           (double)t->down / (1 << 20));
    return THOR_OK;
}

int tune_eval(int argc, char **argv) {
    int st = THOR_OK;
    struct evaluation e = {.where = {.wait = TUNE_WAIT}};
    TRY(read_options(&e, argc, argv));
    TRY(open_all(&e));
    TRY(measure(&e, &e.before, NULL));
    if (e.adapter_dir) TRY(measure(&e, &e.after, &e.adapter));
    TRY(say(&e));
out:
    split_questions_free(&e.questions);
    tune_data_close(&e.rows);
    split_adapter_free(&e.adapter);
    tune_job_close(&e.job);
    return st;
}
