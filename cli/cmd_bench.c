#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/options.h"

struct output {
    int json, rows;
};

static int put_json(const struct bench_result *r) {
    json_t *o = json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:i}", "name", r->name, "device", r->device,
                          "threads", r->threads, "log_n", r->log_n, "limbs", r->limbs, "median_ms", r->median_ms,
                          "p10_ms", r->p10_ms, "p90_ms", r->p90_ms, "runs", r->runs);
    if (o && r->is_bootstrap) {
        json_object_set_new(o, "worst_bits", json_real(r->worst_bits));
        json_object_set_new(o, "mean_bits", json_real(r->mean_bits));
        json_object_set_new(o, "levels_left", json_integer(r->levels_left));
    }
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    if (!line) return thor_fail(THOR_MEMORY, "no memory for a line of JSON");
    puts(line);
    free(line);
    return THOR_OK;
}

static int put(void *ctx, const struct bench_result *r) {
    struct output *out = ctx;
    int st = THOR_OK;
    if (out->json) {
        st = put_json(r);
    } else {
        if (out->rows++ == 0)
            printf("%-24s %6s %7s %5s %11s %11s %11s %5s\n", "what", "log N", "threads", "limbs", "median ms",
                   "p10 ms", "p90 ms", "runs");
        printf("%-24s %6d %7d %5d %11.3f %11.3f %11.3f %5d", r->name, r->log_n, r->threads, r->limbs, r->median_ms,
               r->p10_ms, r->p90_ms, r->runs);
        if (r->is_bootstrap)
            printf("  worst 2^-%.1f, mean 2^-%.1f, %d levels left", r->worst_bits, r->mean_bits, r->levels_left);
        putchar('\n');
    }
    return fflush(stdout) == 0 ? st : thor_fail(THOR_IO, "standard output: cannot be written; free some space");
}

static const struct {
    const char *name;
    int (*run)(const struct bench_setup *s, const struct bench_sink *sink);
} groups[] = {{"ntt", bench_ntt}, {"ops", bench_ops}, {"bootstrap", bench_boot}, {"forward", bench_forward}};
enum { GROUPS = sizeof groups / sizeof groups[0] };

int cmd_bench(int argc, char **argv) {
    int st = THOR_OK, found = 0, seconds = 3;
    const char *what = "all", *insecure = NULL;
    struct output out = {0};
    char model[4096];
    struct bench_setup s = {.params = "n16"};
    const struct option_spec options[] = {
        {"json", NULL, OPTION_FLAG, &out.json, 0, 0, "one JSON object per line"},
        {"threads", "N", OPTION_INT, &s.threads, 1, 1024, "threads to use (all cores)"},
        {"seconds", "S", OPTION_INT, &seconds, 0, 3600, "spent on repetitions of each line (3)"},
        {"model", "DIR", OPTION_TEXT, &s.model_dir, 0, 0, "of the forward (data/sst2-tiny)"},
        {"insecure-test-params", "NAME", OPTION_TEXT, &insecure, 0, 0, "a toy set, toy10 .. toy13: no security at all"},
        {0}};
    const struct command_spec spec = {
        "bench", "[ntt|ops|bootstrap|forward|all] [OPTIONS]",
        "Measure the transforms, the operations on ciphertexts and the bootstrap with random data, and the\n"
        "encrypted forward of a model.",
        "  thor bench ops --threads 1\n  thor bench bootstrap --json\n", options, 1};
    TRY(options_parse(&spec, argc, argv, &what));
    if (insecure) {
        TRY(use_insecure(insecure));
        s.params = insecure;
        s.allow_insecure = 1;
    }
    s.budget = seconds;
    const struct bench_sink sink = {put, &out};
    for (int i = 0; i < GROUPS; i++) {
        if (strcmp(what, "all") != 0 && strcmp(what, groups[i].name) != 0) continue;
        found = 1;
        if (groups[i].run == bench_forward && !s.model_dir) {
            TRY(default_model(model, sizeof model));
            s.model_dir = model;
        }
        TRY(groups[i].run(&s, &sink));
    }
    if (!found) st = thor_fail(THOR_USAGE, "%.40s: no such measurement; name ntt, ops, bootstrap, forward or all", what);
out:
    return st;
}
