#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"

#define ONE_LINE (JSON_COMPACT | JSON_REAL_PRECISION(6))

struct output {
    int json;
    struct bench_roof roof;
};

/* What a result makes of the device: bytes and modular products a second, in thousand millions. */
static double gb_s(const struct bench_result *r) {
    return 1e-6 * r->bytes / r->median_ms;
}
static double gmul_s(const struct bench_result *r) {
    return 1e-6 * r->products / r->median_ms;
}
static double memory_roof(const struct bench_roof *f) {
    return 1e-9 * (f->stated > 0 ? f->stated : f->bytes);
}

static int put_json(const struct bench_result *r, const struct bench_roof *f) {
    json_t *o = json_pack(
        "{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:i, s:i, s:f, s:f, s:f, s:f, "
        "s:f, s:f, s:f, s:f, s:f}",
        "name", r->name, "device", r->device, "threads", r->threads, "log_n", r->log_n, "limbs",
        r->limbs, "median_ms", r->median_ms, "p10_ms", r->p10_ms, "p90_ms", r->p90_ms, "runs",
        r->runs, "batch", r->batch, "launches", r->launches, "replays", r->replays, "bytes",
        r->bytes, "bytes_between", r->between, "products", r->products, "gb_s", gb_s(r),
        "gb_s_roof", memory_roof(f), "gmul_s", gmul_s(r), "gmul_s_roof", 1e-9 * f->products);
    if (o && r->is_bootstrap) {
        json_object_set_new(o, "worst_bits", json_real(r->worst_bits));
        json_object_set_new(o, "mean_bits", json_real(r->mean_bits));
        json_object_set_new(o, "levels_left", json_integer(r->levels_left));
    }
    return put_object(o, ONE_LINE);
}

static int roof_json(const struct bench_roof *f, const char *device) {
    return put_object(json_pack("{s:s, s:s, s:f, s:f, s:f}", "name", "roof", "device", device,
                                "copy_gb_s", 1e-9 * f->bytes, "stated_gb_s", 1e-9 * f->stated,
                                "gmul_s", 1e-9 * f->products),
                      ONE_LINE);
}

static void roof_text(const struct bench_roof *f, const char *device) {
    printf("%s: a copy in memory moves %.1f GB/s", device, 1e-9 * f->bytes);
    if (f->stated > 0) printf(" (stated %.0f)", 1e-9 * f->stated);
    printf(", transforms in a near cache do %.2f thousand million products a second;\n"
           "beside each time, what its kernels read, write and multiply, in %% of that (caches may "
           "serve more);\nbetween: MB more that a card moves between the passes of long "
           "transforms, not in GB/s\n\n",
           1e-9 * f->products);
    printf("%-24s %5s %11s %11s %11s %4s %8s %8s %8s %5s %7s %5s %8s\n", "what", "limbs",
           "median ms", "p10 ms", "p90 ms", "runs", "MB", "between", "GB/s", "%", "Gmul/s", "%",
           "launches");
}

static void put_text(const struct bench_result *r, const struct bench_roof *f) {
    printf("%-24s %5d %11.4f %11.4f %11.4f %4d %8.1f %8.1f %8.1f %4.0f%% %7.2f %4.0f%% %8.0f",
           r->name, r->limbs, r->median_ms, r->p10_ms, r->p90_ms, r->runs, 1e-6 * r->bytes,
           1e-6 * r->between, gb_s(r), 100 * gb_s(r) / memory_roof(f), gmul_s(r),
           1e11 * gmul_s(r) / f->products, r->launches);
    if (r->replays > 0) printf("  replayed as %.0f", r->replays);
    if (r->is_bootstrap)
        printf("  worst 2^-%.1f, mean 2^-%.1f, %d levels left", r->worst_bits, r->mean_bits,
               r->levels_left);
    putchar('\n');
}

static int put(void *ctx, const struct bench_result *r) {
    int st = THOR_OK;
    struct output *out = ctx;
    if (out->json)
        TRY(put_json(r, &out->roof));
    else
        put_text(r, &out->roof);
    TRY(flush_stdout());
out:
    return st;
}

static int put_roof(struct output *out, const struct bench_setup *s) {
    int st = THOR_OK;
    char device[16];
    device_name(device, &s->device);
    TRY(bench_roof(&out->roof, s));
    if (out->json)
        TRY(roof_json(&out->roof, device));
    else
        roof_text(&out->roof, device);
    TRY(flush_stdout());
out:
    return st;
}

static const struct {
    const char *name;
    int (*run)(const struct bench_setup *s, const struct bench_sink *sink);
} groups[] = {{"ntt", bench_ntt},
              {"ops", bench_ops},
              {"linear", bench_linear},
              {"bootstrap", bench_boot},
              {"forward", bench_forward}};
enum { GROUPS = sizeof groups / sizeof groups[0] };

static int run_groups(const struct bench_setup *s, const char *what, struct output *out) {
    int st = THOR_OK;
    const struct bench_sink sink = {put, out};
    for (int i = 0; i < GROUPS; i++)
        if (strcmp(what, "all") == 0 || strcmp(what, groups[i].name) == 0)
            TRY(groups[i].run(s, &sink));
out:
    return st;
}

static int check_name(const char *what) {
    int found = strcmp(what, "all") == 0;
    for (int i = 0; i < GROUPS; i++) found |= strcmp(what, groups[i].name) == 0;
    if (found) return THOR_OK;
    return thor_fail(THOR_USAGE,
                     "%.40s: no such measurement; name ntt, ops, linear, bootstrap, forward or all",
                     what);
}

int cmd_bench(int argc, char **argv) {
    int st = THOR_OK, seconds = 3;
    const char *what = "all", *insecure = NULL, *device = "cpu";
    struct output out = {0};
    char model[4096];
    struct bench_setup s = {.params = "n16"};
    const struct option_spec options[] = {
        {"json", NULL, OPTION_FLAG, &out.json, 0, 0, "one JSON object per line"},
        option_device(&device),
        option_threads(&s.threads),
        {"seconds", "S", OPTION_INT, &seconds, 0, 3600, "spent on repetitions of each line (3)"},
        {"model", "DIR", OPTION_TEXT, &s.model_dir, 0, 0, "of the forward (data/sst2-tiny)"},
        option_toy_set(&insecure),
        {0}};
    const struct command_spec spec = {"bench",
                                      "[ntt|ops|linear|bootstrap|forward|all] [OPTIONS]",
                                      "Measure the transforms, the operations on ciphertexts, "
                                      "linear maps and the bootstrap with random\n"
                                      "data, and the encrypted forward of a model; beside each "
                                      "figure, how far memory and multipliers are used.",
                                      "  thor bench ops --threads 1\n"
                                      "  thor bench bootstrap --json\n"
                                      "  thor bench all --device cuda:0 --json\n",
                                      options,
                                      1};
    TRY(options_parse(&spec, argc, argv, &what));
    TRY(check_name(what));
    if (insecure) {
        TRY(use_insecure(insecure));
        s.params = insecure;
        s.allow_insecure = 1;
    }
    TRY(device_parse(&s.device, device));
    if (!s.model_dir && (strcmp(what, "all") == 0 || strcmp(what, "forward") == 0)) {
        TRY(default_model(model, sizeof model));
        s.model_dir = model;
    }
    s.budget = seconds;
    TRY(put_roof(&out, &s));
    TRY(run_groups(&s, what, &out));
out:
    return st;
}
