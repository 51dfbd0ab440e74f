/* thor tune generate: what an adapter changed, by one text: how a language model goes on with it,
 * and the scores of a classifier, before and after. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/reference.h"
#include "cli/cli.h"
#include "cli/inputs.h"
#include "cli/json.h"
#include "cli/nexttoken.h"
#include "cli/options.h"
#include "cli/sampling.h"
#include "cli/tune.h"
#include "cli/tunejob.h"
#include "kernels/shown.h"
#include "split/adapterfile.h"
#include "split/speak.h"

struct answer {
    double *logits; /* of the labels, or of the token that comes next */
    int *ids, n;    /* of a language model: new tokens */
    char *text;     /* and their bytes */
    size_t bytes;
};

struct generation {
    const char *model_dir, *adapter_dir, *prompt, *temperature, *service;
    struct tune_where where;
    int tokens, seed, compare, json;
    struct sampling sampling; /* as it begins, for both */
    struct inputs in;
    struct tune_job job;
    struct split_adapter adapter;
    struct bert_tokens *t;
    struct answer before, after;
    struct progress progress;
};

/* ---- options */

static int read_options(struct generation *g, int argc, char **argv) {
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &g->model_dir, 0, 0, "model folder"},
        {"adapter", "DIR", OPTION_TEXT, &g->adapter_dir, 0, 0, "of thor tune train, or of PEFT"},
        {"prompt", "S", OPTION_TEXT, &g->prompt, 0, 0, "the text, - for standard input"},
        {"compare", NULL, OPTION_FLAG, &g->compare, 0, 0, "without the adapter and with it"},
        {"tokens", "N", OPTION_INT, &g->tokens, 1, BERT_MAX_TOKENS - 1,
         "at most so many new tokens of a language model (20)"},
        {"temperature", "T", OPTION_TEXT, &g->temperature, 0, 0,
         "sample, from logits over T (0: always the most probable)"},
        {"top-k", "K", OPTION_INT, &g->sampling.top_k, 1, 1000000, "of the K most probable tokens"},
        {"seed", "S", OPTION_INT, &g->seed, 0, 2000000000, "of sampling (1)"},
        {"service", "NAME", OPTION_TEXT, &g->service, 0, 0,
         "plain or encrypted: other names of --plain and --local"},
        TUNE_WHERE_OPTIONS(g->where),
        {"json", NULL, OPTION_FLAG, &g->json, 0, 0, "one JSON object"},
        {0}};
    const struct command_spec spec = {
        "tune generate",
        "--model DIR --prompt S [--adapter DIR [--compare]] [OPTIONS]",
        "Go on with a text by a GPT-2 or Llama, or score it by a classifier, with an adapter and "
        "without: keys and values\n"
        "of all tokens are kept here, and a new token asks the frozen weights for itself alone.",
        "  thor tune generate --model data/gpt2-tiny --prompt \"And the LORD said\" --plain\n"
        "  thor tune generate --model data/sst2-tiny --adapter tuned --compare --prompt \"a fine "
        "film\"\n",
        options,
        0};
    return options_parse(&spec, argc, argv, NULL);
}

static int check_options(struct generation *g) {
    int st = THOR_OK;
    if (!g->model_dir || !g->prompt)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor tune generate --help",
                         !g->model_dir ? "model" : "prompt");
    if (g->compare && !g->adapter_dir)
        return thor_fail(THOR_USAGE, "--compare: wants --adapter, to compare the model with");
    if (g->service && strcmp(g->service, "plain") == 0)
        g->where.plain = 1;
    else if (g->service && strcmp(g->service, "encrypted") == 0)
        g->where.local = 1;
    else if (g->service)
        return thor_fail(THOR_USAGE, "--service %.40s: is plain or encrypted", g->service);
    TRY(tune_number(&g->sampling.heat, "temperature", g->temperature, 0, 100));
    g->sampling.random = (uint64_t)g->seed;
out:
    return st;
}

static int open_all(struct generation *g) {
    int st = THOR_OK;
    const struct inputs_request q = {.texts = {.text = {g->prompt}, .n = 1}};
    TRY(inputs_open(&g->in, &q));
    TRY(tune_model_open(&g->job, g->model_dir));
    if (g->adapter_dir) TRY(split_adapter_load(&g->adapter, g->adapter_dir, &g->job.base));
    g->t = malloc(sizeof *g->t);
    if (!g->t) TRY(thor_fail(THOR_MEMORY, "no memory for the text"));
    TRY(split_tokenize(g->t, g->job.model, g->in.item[0].text, NULL, 0));
    TRY(tune_service_open(&g->job, g->model_dir, &g->where));
out:
    return st;
}

static int classifies(const struct generation *g) {
    return split_model_config(g->job.model)->labels > 0;
}

/* ---- the text */

static int score(struct generation *g, struct answer *to, const struct split_adapter *a) {
    const struct split_text text = {
        .ids = g->t->ids, .types = g->t->type_ids, .n = g->t->n, .label = -1};
    return split_forward(to->logits, g->job.model, a, g->job.service, &text);
}

static int append(struct answer *to, const struct split_model *m, int id) {
    const int n = split_token_bytes(NULL, 0, m, id);
    char *grown = realloc(to->text, to->bytes + (size_t)(n > 0 ? n : 0) + 1);
    if (!grown) return thor_fail(THOR_MEMORY, "no memory for the text");
    to->text = grown;
    if (n > 0) to->bytes += (size_t)split_token_bytes(grown + to->bytes, (size_t)n, m, id);
    grown[to->bytes] = 0;
    to->ids[to->n++] = id;
    return THOR_OK;
}

static int go_on(struct generation *g, struct answer *to, const struct split_adapter *a) {
    int st = THOR_OK;
    const struct split_model *m = g->job.model;
    const int *ids = g->t->ids, end = split_model_end(m);
    struct sampling sampling = g->sampling;
    struct split_speech *p = NULL;
    TRY(split_speech_open(&p, m, a, g->job.service, g->t->n + g->tokens - 1));
    for (int i = 0, n = g->t->n, id; i < g->tokens; i++, ids = &to->ids[to->n - 1], n = 1) {
        TRY(split_speech_hear(to->logits, p, ids, n));
        progress_step(&g->progress, i + 1, g->tokens);
        TRY(interrupt_pending());
        id = sample_token(&sampling, to->logits, split_model_config(m)->vocab);
        if (id == end) break;
        TRY(append(to, m, id));
    }
out:
    split_speech_close(p);
    return st;
}

static int answer(struct generation *g, struct answer *to, const struct split_adapter *a) {
    int st = THOR_OK;
    const struct split_config *c = split_model_config(g->job.model);
    const size_t n = (size_t)(classifies(g) ? c->labels : c->vocab);
    to->logits = malloc(n * sizeof *to->logits);
    to->ids = malloc((size_t)g->tokens * sizeof *to->ids);
    to->text = calloc(1, 1);
    if (!to->logits || !to->ids || !to->text) TRY(thor_fail(THOR_MEMORY, "no memory for a text"));
    progress_begin(&g->progress, a ? "after" : "before");
    st = classifies(g) ? score(g, to, a) : go_on(g, to, a);
    progress_end(&g->progress);
out:
    return st;
}

static void answer_free(struct answer *a) {
    free(a->logits);
    free(a->ids);
    free(a->text);
}

/* ---- output */

static double probability(const struct generation *g, const struct answer *a, int label) {
    const int n = split_model_config(g->job.model)->labels;
    return exp(a->logits[label] - next_log_sum(a->logits, n, 1));
}

static int same_tokens(const struct generation *g) {
    int n = 0;
    while (n < g->before.n && n < g->after.n && g->before.ids[n] == g->after.ids[n]) n++;
    return n;
}

static json_t *answer_json(const struct generation *g, const struct answer *a) {
    json_t *o = json_object(), *list = json_array(), *scores = json_object();
    for (int i = 0; i < a->n; i++) json_array_append_new(list, json_integer(a->ids[i]));
    const int labels = split_model_config(g->job.model)->labels;
    for (int i = 0; i < labels; i++)
        json_object_set_new(scores, split_model_label(g->job.model, i),
                            json_real(probability(g, a, i)));
    if (labels) {
        const int first = bert_argmax(a->logits, labels);
        json_object_set_new(o, "label", json_string(split_model_label(g->job.model, first)));
        json_object_set(o, "scores", scores);
    } else {
        json_object_set_new(o, "text", json_bytes(a->text, a->bytes));
        json_object_set(o, "tokens", list);
    }
    json_decref(list);
    json_decref(scores);
    return o;
}

static int say_json(const struct generation *g) {
    json_t *o = json_pack("{s:s, s:s, s:s}", "model", g->model_dir, "where",
                          tune_where_name(&g->where), "prompt", g->in.item[0].text);
    if (g->before.logits) json_object_set_new(o, "before", answer_json(g, &g->before));
    if (g->after.logits) json_object_set_new(o, "after", answer_json(g, &g->after));
    if (g->compare && !classifies(g))
        json_object_set_new(o, "same_tokens", json_integer(same_tokens(g)));
    json_object_set_new(o, "traffic", tune_traffic(g->job.service));
    return put_object(o, JSON_REAL_PRECISION(9));
}

static void say_scores(const struct generation *g) {
    const struct answer *const all[] = {&g->before, &g->after};
    printf("%-28s", tune_where_name(&g->where));
    for (int k = 0; k < 2; k++)
        if (all[k]->logits) printf(" %10s", k ? "after" : "before");
    putchar('\n');
    for (int i = 0; i < split_model_config(g->job.model)->labels; i++) {
        printf("%-28s", shown(split_model_label(g->job.model, i)));
        for (int k = 0; k < 2; k++)
            if (all[k]->logits) printf(" %10.4f", probability(g, all[k], i));
        putchar('\n');
    }
}

/* The prompt and what follows, each line behind the word that says whose it is. */
static void say_text(const struct generation *g, const struct answer *a, const char *whose) {
    if (!a->logits || classifies(g)) return;
    if (g->compare) printf("%-8s", whose);
    shown_put(stdout, g->in.item[0].text);
    a->text[a->bytes - sample_unfinished(a->text, a->bytes)] = 0;
    shown_put(stdout, a->text);
    putchar('\n');
}

static int say(const struct generation *g) {
    const struct split_traffic *t = &g->job.service->traffic;
    if (g->json) return say_json(g);
    if (classifies(g)) say_scores(g);
    say_text(g, &g->before, "before");
    say_text(g, &g->after, "after");
    const int st = flush_stdout();
    if (g->compare && !classifies(g))
        fprintf(stderr, "%d and %d new tokens, the first %d of them the same\n", g->before.n,
                g->after.n, same_tokens(g));
    fprintf(stderr, "%llu rounds, %.1f MiB up, %.1f MiB down\n", (unsigned long long)t->rounds,
            (double)t->up / (1 << 20), (double)t->down / (1 << 20));
    return st;
}

int tune_generate(int argc, char **argv) {
    int st = THOR_OK;
    struct generation g = {.where.wait = TUNE_WAIT, .tokens = 20, .seed = 1};
    TRY(read_options(&g, argc, argv));
    TRY(check_options(&g));
    TRY(open_all(&g));
    if (g.compare || !g.adapter_dir) TRY(answer(&g, &g.before, NULL));
    if (g.adapter_dir) TRY(answer(&g, &g.after, &g.adapter));
    TRY(say(&g));
out:
    answer_free(&g.before);
    answer_free(&g.after);
    free(g.t);
    split_adapter_free(&g.adapter);
    tune_job_close(&g.job);
    inputs_close(&g.in);
    return st;
}
