/* thor split: split mode, in which a server multiplies ciphertexts by frozen weights. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/splitbench.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/subcommand.h"

enum { LISTED = 16 };

struct counts {
    int n[LISTED], many;
};

/* "1,16,128" */
static int read_tokens(struct counts *c, const char *text) {
    const char *at = text;
    for (c->many = 0; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char *end;
        const long v = strtol(at, &end, 10);
        if (end == at || (*end && *end != ',') || v < 1 || v > SPLIT_TOKENS_MAX ||
            c->many == LISTED)
            return thor_fail(THOR_USAGE,
                             "--tokens %.60s: give up to %d numbers in 1..%d with commas between "
                             "them",
                             text, LISTED, SPLIT_TOKENS_MAX);
        c->n[c->many++] = (int)v;
    }
    return THOR_OK;
}

/* What is measured when nothing is named, and what one core should need for it. */
static const struct row {
    const char *shape;
    int tokens;
    double limit_ms; /* 0: none */
    int both;        /* of all layers there and back; 0: of the map alone */
} rows[] = {
    {"64x64", 1, 2, 0},      {"768x768", 128, 60, 0}, {"gpt2", 1, 0, 0},       {"gpt2", 16, 0, 0},
    {"gpt2", 128, 16000, 1}, {"llama-1b", 1, 0, 0},   {"llama-1b", 128, 0, 0},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* core-ms of all layers, their maps encoded before (warm) or at each use */
static double forward_ms(const struct splitbench_result *r, int warm) {
    const struct splitbench_way *w = &r->way[0];
    return r->shape->layers * (warm ? w->warm : w->time).median_ms;
}
static double both_ms(const struct splitbench_result *r, int warm) {
    const struct splitbench_way *w = &r->way[1];
    return forward_ms(r, warm) + r->shape->layers * (warm ? w->warm : w->time).median_ms;
}

/* GB of all maps, both ways, where they are kept */
static double kept_gb(const struct splitbench_result *r) {
    return 1e-9 * r->shape->layers * (double)(r->way[0].kept + r->way[1].kept);
}

/* MB a token, forward */
static double mb_a_token(const struct splitbench_result *r) {
    return 1e-6 * r->shape->layers * (double)(r->way[0].up + r->way[0].down) / r->tokens;
}

/* Of its limit with maps that are kept; 0 where there is none. */
static double ratio(double *limit, const struct splitbench_result *r) {
    for (int i = 0; i < ROWS; i++)
        if (rows[i].limit_ms > 0 && rows[i].tokens == r->tokens &&
            strcmp(rows[i].shape, r->shape->name) == 0)
            return (rows[i].both ? both_ms(r, 1) : forward_ms(r, 1)) / (*limit = rows[i].limit_ms);
    return 0;
}

static json_t *time_json(const struct bench_result *t) {
    return json_pack("{s:f, s:f, s:f, s:i}", "median_ms", t->median_ms, "p10_ms", t->p10_ms,
                     "p90_ms", t->p90_ms, "runs", t->runs);
}

static json_t *way_json(const struct splitbench_way *w) {
    return json_pack("{s:o, s:o, s:I, s:I, s:I}", "encoded", time_json(&w->time), "kept",
                     time_json(&w->warm), "kept_bytes", (json_int_t)w->kept, "up",
                     (json_int_t)w->up, "down", (json_int_t)w->down);
}

static int put_json(const struct splitbench_result *r) {
    double limit, part = ratio(&limit, r);
    json_t *o = json_pack("{s:s, s:i, s:i, s:o, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "model",
                          r->shape->name, "layers", r->shape->layers, "tokens", r->tokens,
                          "forward", way_json(&r->way[0]), "backward", way_json(&r->way[1]),
                          "mb_a_token", mb_a_token(r), "forward_core_s", 1e-3 * forward_ms(r, 0),
                          "both_core_s", 1e-3 * both_ms(r, 0), "kept_forward_core_s",
                          1e-3 * forward_ms(r, 1), "kept_both_core_s", 1e-3 * both_ms(r, 1),
                          "kept_gb", kept_gb(r), "correlation", r->correlation);
    if (o && part > 0) {
        json_object_set_new(o, "limit_core_s", json_real(1e-3 * limit));
        json_object_set_new(o, "of_limit", json_real(part));
    }
    return put_object(o, JSON_COMPACT | JSON_REAL_PRECISION(8));
}

static void heading(void) {
    printf("%-10s %6s | %-7s %9s %19s | %9s %19s | %8s %8s %8s | %8s %8s | %s\n", "model", "tokens",
           "maps", "layer, ms", "p10 .. p90", "W^T, ms", "p10 .. p90", "MB up", "MB down",
           "MB/token", "core-s", "with W^T", "correlation");
}

static void put_times(const char *maps, const struct bench_result *there,
                      const struct bench_result *back) {
    printf("%-7s %9.2f %8.2f .. %7.2f | %9.2f %8.2f .. %7.2f | ", maps, there->median_ms,
           there->p10_ms, there->p90_ms, back->median_ms, back->p10_ms, back->p90_ms);
}

static void put_text(const struct splitbench_result *r) {
    const struct splitbench_way *w = r->way;
    double limit, part = ratio(&limit, r);
    printf("%-10s %6d | ", r->shape->name, r->tokens);
    put_times("encoded", &w[0].time, &w[1].time);
    printf("%8.3f %8.3f %8.3f | %8.4f %8.4f | %.8f\n", 1e-6 * (double)w[0].up,
           1e-6 * (double)w[0].down, mb_a_token(r), 1e-3 * forward_ms(r, 0), 1e-3 * both_ms(r, 0),
           r->correlation);
    printf("%-10s %6s | ", "", "");
    put_times("kept", &w[0].warm, &w[1].warm);
    printf("%21.2f GB kept | %8.4f %8.4f |", kept_gb(r), 1e-3 * forward_ms(r, 1),
           1e-3 * both_ms(r, 1));
    if (part > 0) printf(" %.2f of %g core-s", part, 1e-3 * limit);
    putchar('\n');
}

static int measure(struct splitbench *b, const char *name, int tokens, int json) {
    int st = THOR_OK;
    struct splitbench_shape shape;
    struct splitbench_result r;
    TRY(splitbench_shape(&shape, name));
    TRY(splitbench_run(&r, b, &shape, tokens));
    if (json)
        TRY(put_json(&r));
    else
        put_text(&r);
    TRY(flush_stdout());
out:
    return st;
}

static int measure_all(struct splitbench *b, const struct option_texts *models,
                       const struct counts *c, int json) {
    int st = THOR_OK;
    if (!json) heading();
    for (int i = 0; i < models->n; i++)
        for (int k = 0; k < c->many; k++) TRY(measure(b, models->text[i], c->n[k], json));
    for (int i = 0; models->n == 0 && i < ROWS; i++)
        TRY(measure(b, rows[i].shape, rows[i].tokens, json));
out:
    return st;
}

static int split_bench(int argc, char **argv) {
    int st = THOR_OK, seconds = 1, json = 0;
    const char *insecure = NULL, *tokens = NULL;
    struct option_texts models = {0};
    struct counts c;
    struct splitbench *b = NULL;
    struct splitbench_shape shape;
    const struct option_spec options[] = {
        {"model", "SHAPE", OPTION_TEXTS, &models, 0, 0,
         "gpt2, llama-1b, ..: all of thor synth; 768x768: a single map, outputs x inputs"},
        {"tokens", "N,..", OPTION_TEXT, &tokens, 0, 0, "of a request, with --model (1,16,128)"},
        {"seconds", "S", OPTION_INT, &seconds, 0, 3600, "spent on repetitions of each way (1)"},
        {"json", NULL, OPTION_FLAG, &json, 0, 0, "one JSON object per line"},
        option_toy_set(&insecure),
        {0}};
    const struct command_spec spec = {
        "split bench",
        "[--model SHAPE --tokens N,..] [OPTIONS]",
        "Measure split mode with random weights: the server's time for a layer on one core, there "
        "and back with\nW^T, maps encoded at each use and kept encoded; the bytes of its round "
        "trips, and how products correlate with\nthose in doubles.",
        "  thor split bench\n"
        "  thor split bench --model gpt2 --tokens 1,16,128 --json\n"
        "  thor split bench --model 768x768 --tokens 128\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (tokens && !models.n) return thor_fail(THOR_USAGE, "--tokens: name a shape with --model");
    TRY(read_tokens(&c, tokens ? tokens : "1,16,128"));
    for (int i = 0; i < models.n; i++) TRY(splitbench_shape(&shape, models.text[i]));
    if (insecure) TRY(use_insecure(insecure));
    TRY(splitbench_open(&b, insecure ? insecure : "n12", insecure != NULL, seconds));
    TRY(measure_all(b, &models, &c, json));
out:
    splitbench_close(b);
    return st;
}

static const struct subcommand actions[] = {
    {"bench", "what a layer costs the server, and how many bytes travel", split_bench}, {0}};

static const struct command_group group = {
    "split",
    "action",
    "split mode: ciphertexts times frozen weights",
    "Split mode: a server multiplies ciphertexts by the frozen weights of a model, all else is the "
    "client's (thor tune).",
    NULL,
    "  thor split bench --model gpt2 --tokens 128\n",
    actions};

int cmd_split(int argc, char **argv) {
    return subcommand_run(NULL, &group, argc, argv);
}
