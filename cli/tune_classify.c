/* thor tune classify: the label of each text, by the model as it is and with an adapter. */
#include <stdio.h>
#include <stdlib.h>

#include "bert/input/columns.h"
#include "bert/reference.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "cli/tunejob.h"
#include "kernels/shown.h"
#include "split/parts.h"

struct classifying {
    const char *model_dir, *adapter_dir, *data, *columns;
    struct tune_where where;
    int tokens, json, labels;
    struct tune_job job;
    struct tune_data rows;
    struct split_adapter adapter;
    double *before, *after; /* scores of one text, labels of them each */
};

static int read_options(struct classifying *c, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &c->model_dir, 0, 0, "folder of a classifier"},
        {"adapter", "DIR", OPTION_TEXT, &c->adapter_dir, 0, 0, "an adapter in PEFT's layout"},
        {"data", "FILE", OPTION_TEXT, &c->data, 0, 0,
         "a table, or texts, one a line; - for standard input"},
        {"columns", "NAMES", OPTION_TEXT, &c->columns, 0, 0, BERT_COLUMNS_HELP},
        {"tokens", "N", OPTION_INT, &c->tokens, 2, BERT_MAX_TOKENS,
         "refuse texts of more (those of the model)"},
        TUNE_WHERE_OPTIONS(c->where),
        {"json", NULL, OPTION_FLAG, &c->json, 0, 0, "a JSON object a text"},
        {0}};
    const struct command_spec spec = {
        "tune classify",
        "--model DIR --data FILE [--adapter DIR] [OPTIONS]",
        "The label of each text and the scores of all labels, by the model as it is and with an "
        "adapter. Texts and\n"
        "labels stay here; the frozen weights are computed with as in training.",
        "  echo \"a charming and often affecting journey\" |\n"
        "      thor tune classify --model data/sst2-tiny --adapter tuned --data -\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!c->model_dir) return thor_fail(THOR_USAGE, "--model is missing; name a model folder");
    if (!c->data) return thor_fail(THOR_USAGE, "--data is missing; name a file of texts, or -");
out:
    return st;
}

static int open_all(struct classifying *c) {
    int st = THOR_OK;
    TRY(tune_model_open(&c->job, c->model_dir));
    c->labels = split_model_config(c->job.model)->labels;
    if (!c->labels)
        return thor_fail(THOR_MODEL, "%.300s: is no classifier; thor tune eval judges it",
                         c->model_dir);
    if (c->adapter_dir) TRY(split_adapter_load(&c->adapter, c->adapter_dir, &c->job.base));
    TRY(tune_data_open(&c->rows, c->job.model, c->data, c->columns, c->tokens, 0));
    TRY(tune_service_open(&c->job, c->model_dir, &c->where));
    c->before = calloc(2 * (size_t)c->labels, sizeof *c->before);
    if (!c->before) return thor_fail(THOR_MEMORY, "no memory for %d scores", c->labels);
    c->after = c->before + c->labels;
out:
    return st;
}

static int score_text(double *score, const struct classifying *c, const struct split_adapter *a,
                      const struct split_text *t) {
    const int st = split_forward(score, c->job.model, a, c->job.service, t);
    if (st == THOR_OK) split_softmax(score, c->labels);
    return st;
}

static json_t *scores_json(const struct classifying *c, const double *score) {
    json_t *all = json_array();
    for (int l = 0; l < c->labels; l++)
        json_array_append_new(all,
                              json_pack("{s:s, s:f}", "label", split_model_label(c->job.model, l),
                                        "score", score[l]));
    return json_pack("{s:s, s:o}", "label",
                     split_model_label(c->job.model, bert_argmax(score, c->labels)), "labels", all);
}

static void say_scores(const struct classifying *c, const char *when, const double *score) {
    const int best = bert_argmax(score, c->labels);
    printf("  %s %s, score %.3f", when, shown(split_model_label(c->job.model, best)), score[best]);
}

static int say(const struct classifying *c, int i) {
    if (!c->json) {
        printf("text %d", i);
        say_scores(c, c->adapter_dir ? "before" : "is", c->before);
        if (c->adapter_dir) say_scores(c, "after", c->after);
        putchar('\n');
        return flush_stdout();
    }
    json_t *o = json_pack("{s:i, s:o}", "text", i, "before", scores_json(c, c->before));
    if (o && c->adapter_dir) json_object_set_new(o, "after", scores_json(c, c->after));
    const int st = put_object(o, JSON_REAL_PRECISION(6));
    return st == THOR_OK ? flush_stdout() : st;
}

static int one_text(const struct classifying *c, int i) {
    int st = THOR_OK;
    const struct split_text *t = &c->rows.text[i];
    TRY(score_text(c->before, c, NULL, t));
    if (c->adapter_dir) TRY(score_text(c->after, c, &c->adapter, t));
    TRY(say(c, i));
    TRY(interrupt_pending());
out:
    return st;
}

int tune_classify(int argc, char **argv) {
    int st = THOR_OK;
    struct classifying c = {.where.wait = TUNE_WAIT};
    TRY(read_options(&c, argc, argv));
    TRY(open_all(&c));
    for (int i = 0; i < c.rows.n; i++) TRY(one_text(&c, i));
out:
    free(c.before);
    tune_data_close(&c.rows);
    split_adapter_free(&c.adapter);
    tune_job_close(&c.job);
    return st;
}
