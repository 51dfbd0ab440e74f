#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "bench/device.h"
#include "bert/container.h"
#include "bert/input/architecture.h"
#include "bert/message.h"
#include "ckks/serial.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/session.h"
#include "kernels/shown.h"

#define ONE_LINE JSON_REAL_PRECISION(8)

struct facts {
    const struct ckks_params *p;
    size_t key_bytes;
    int keys;
};

static int gather(struct facts *f, const char *params, int allow_insecure) {
    int st = THOR_OK;
    const struct bench_setup s = {.params = params, .allow_insecure = allow_insecure};
    TRY(ckks_params_get(&f->p, params, allow_insecure));
    TRY(bench_key_bytes(&f->key_bytes, &f->keys, &s));
out:
    return st;
}

static int params_json(const struct facts *f) {
    return put_object(json_pack("{s:s, s:i, s:f, s:i, s:i, s:i, s:I}", "name", f->p->name, "log_n",
                                f->p->log_n, "log_qp", f->p->log_qp, "security_bits",
                                f->p->security_bits, "levels", f->p->max_level, "digits",
                                CKKS_DIGITS, "key_bytes", (json_int_t)f->key_bytes),
                      ONE_LINE);
}

static void params_text(const struct facts *f) {
    const struct ckks_params *p = f->p;
    int boot = p->bootstraps;
    printf("parameter set     %s%s\n", p->name,
           p->security_bits ? "" : "   INSECURE, for tests only");
    printf("ring degree       N = 2^%d, %d complex slots\n", p->log_n, 1 << (p->log_n - 1));
    printf("modulus           log Q %.1f + log P %.1f = log QP %.1f bits", p->log_qp - p->log_p,
           p->log_p, p->log_qp);
    if (p->security_bits) printf(" (limit %.0f)", p->log_qp_limit);
    printf("\nprimes            %d below 2^28\n", p->primes);
    printf("levels            %d of a fresh ciphertext%s\n", p->max_level,
           boot ? ", 13 between full bootstraps" : ", no bootstrap");
    printf("scale             2^41.7\n");
    printf("key switching     hybrid, %d digits\n", CKKS_DIGITS);
    printf("secret            uniform ternary; error: centred binomial, variance 10.5\n");
    if (boot)
        printf("bootstrap         ephemeral secret of weight %d, in one key of modulus 2^83.6\n"
               "bootstrap failure |I| > 12 (error above 2^-16): 2^%.1f; |I| > 15: 2^%.1f\n",
               CKKS_SPARSE_H, ckks_boot_overflow(p, 12), ckks_boot_overflow(p, 15));
    if (p->security_bits)
        printf(
            "security          %d bits, classical (Security Guidelines for HE, eprint 2024/463)\n",
            p->security_bits);
    printf("evaluation keys   %.0f MiB in memory: %d keys, of %s\n", (double)f->key_bytes / 1048576,
           f->keys,
           !p->max_level ? "split mode"
           : boot        ? "a product and a full bootstrap"
                         : "a product");
}

/* What a dry run of the circuit counts. */
static void show_circuit(const struct session *s) {
    const struct ckks_count *c = &s->circuit;
    double keys = (double)s->key_bytes / 1048576, work = (double)s->work_bytes / 1048576;
    printf("circuit of one text, counted by a dry run with set %s\n", s->params->name);
    printf("  rotations %llu (%llu decompositions), relinearisations %llu, products %llu of "
           "ciphertexts and %llu by\n"
           "  plaintexts, rescales %llu\n",
           (unsigned long long)c->rotations, (unsigned long long)c->decompositions,
           (unsigned long long)c->relins, (unsigned long long)c->ctct, (unsigned long long)c->ptct,
           (unsigned long long)c->rescales);
    printf("  %.0f GiB read and written by the kernels\n", (double)s->moved_bytes / 1073741824);
    printf("memory with set %s\n", s->params->name);
    printf("  %d evaluation keys %.0f MiB, matrices and ciphertexts at most %.0f MiB: %.0f MiB; on "
           "a CUDA device %.0f MiB "
           "of tables more\n",
           s->key_count, keys, work, keys + work, (double)device_table_bytes(s->params) / 1048576);
}

/* What more a CUDA device holds where layers are recorded. */
static int show_recorded(const struct session *s) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    TRY(ckks_open(&dry, s->params, KERN_DRY, KERN_TIER_BEST, 1));
    dry->k->records = 1;
    TRY(bert_dry_group(dry, s->model, s->plan, 1));
    const struct kernels_counts *c = &dry->k->counts;
    printf("  on a CUDA device, %d texts or more  %.0f MiB more, for recorded layers\n",
           BERT_RECORD_FROM, (double)(c->bytes_peak + c->bytes_constant - s->work_bytes) / 1048576);
out:
    ckks_close(dry);
    return st;
}

/* The same memory when keys and matrices are not all there at a time. */
static int show_compact(struct session *s) {
    int st = THOR_OK, n = 0;
    struct ckks_need *need = NULL;
    s->setup.compact = 1;
    TRY(session_needs(s, &need, &n));
    double keys = (double)ckks_compact_bytes(s->key_bytes) / 1048576,
           work = (double)s->work_bytes / 1048576;
    printf("  with --compact  evaluation keys %.0f MiB, matrices and ciphertexts at most %.0f MiB: "
           "%.0f MiB\n",
           keys, work, keys + work);
out:
    free(need);
    return st;
}

static void print_ops(const char *name, const struct ckks_count *c) {
    printf("  %-22s %9llu %9llu %9llu %9llu %9llu %9llu %9llu\n", name,
           (unsigned long long)c->rotations, (unsigned long long)c->decompositions,
           (unsigned long long)c->relins, (unsigned long long)c->ctct, (unsigned long long)c->ptct,
           (unsigned long long)c->rescales, (unsigned long long)c->bootstraps);
}

/* Operations by layers, outside bootstraps and inside. */
static int show_layers(const struct session *s) {
    int st = THOR_OK, n = s->plan->layers;
    struct ckks *dry = NULL;
    struct ckks_count(*ops)[2] = calloc((size_t)n + 1, sizeof *ops);
    if (!ops) return thor_fail(THOR_MEMORY, "no memory for the operations of %d layers", n);
    TRY(ckks_open(&dry, s->params, KERN_DRY, KERN_TIER_BEST, 1));
    TRY(bert_dry_layers(ops, dry, s->model, s->plan));
    printf("operations by layers      rotations  decomps    relins     ct-ct     pt-ct  rescales "
           "bootstraps\n");
    for (int l = 0; l <= n; l++) {
        char name[32];
        snprintf(name, sizeof name, l < n ? "layer %d" : "head", l);
        print_ops(name, &ops[l][0]);
        if (ops[l][1].bootstraps) print_ops("  in its bootstraps", &ops[l][1]);
    }
out:
    ckks_close(dry);
    free(ops);
    return st;
}

static int show_plan(const char *dir, int tokens) {
    int st = THOR_OK, n = 0;
    struct session s = {0};
    struct ckks_need *need = NULL;
    const struct session_setup setup = {.model_dir = dir};
    TRY(session_load(&s, &setup));
    TRY(session_plan(&s, tokens ? tokens : s.ranges->tokens));
    bert_arch_explain(stdout, &s.model->cfg);
    bert_plan_print(stdout, s.plan);
    TRY(session_needs(&s, &need, &n));
    show_circuit(&s);
    TRY(show_recorded(&s));
    TRY(show_compact(&s));
    TRY(show_layers(&s));
out:
    free(need);
    session_close(&s);
    return st;
}

static void hex(char *out, const uint8_t *id, int n) {
    for (int i = 0; i < n; i++) snprintf(out + 2 * i, 3, "%02x", id[i]);
}

static int file_json(const struct serial_head *h, const char *id) {
    return put_object(json_pack("{s:s, s:s, s:s, s:i, s:I}", "kind", ckks_file_kind_name(h->kind),
                                "params", h->params->name, "key_id", id, "count", (int)h->count,
                                "bytes", (json_int_t)h->bytes),
                      ONE_LINE);
}

static void print_buckets(const struct bert_container_info *i) {
    const struct bert_model m = {.cfg = i->cfg};
    for (int t = 0; bert_bucket(&t, &m, t + 1) == THOR_OK && t <= i->tokens;) printf(" %d", t);
}

static int info_container(const char *path, int json) {
    int st = THOR_OK;
    struct bert_container_info i;
    char hash[17];
    TRY(bert_container_describe(&i, path));
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)i.model_hash);
    const char *act = bert_activations[i.cfg.activation].names[0];
    if (json) {
        json_t *o =
            json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:s, s:i, s:I}", "kind", "weight container",
                      "model_hash", hash, "model_type", bert_archs[i.cfg.arch].types[0], "layers",
                      i.cfg.layers, "hidden", i.cfg.hidden, "heads", i.cfg.heads, "hidden_act", act,
                      "tokens", i.tokens, "bytes", (json_int_t)i.bytes);
        TRY(put_object(o, ONE_LINE));
    } else {
        printf("%s: weight container, format %d\n"
               "  model          %s, %d layers, hidden %d, %d heads, FFN %d with %s, %d labels\n"
               "  weights from   XXH3 %s\n  weights        %zu: %zu F16, %zu BF16, %zu F32\n"
               "  ranges         %d texts of up to %d tokens; buckets",
               shown(path), i.version, bert_archs[i.cfg.arch].title, i.cfg.layers, i.cfg.hidden,
               i.cfg.heads, i.cfg.ffn, act, i.cfg.labels, hash, i.values, i.f16, i.bf16, i.f32,
               i.rows, i.tokens);
        print_buckets(&i);
        printf("\n  size           %llu bytes in %d checked blocks\n", (unsigned long long)i.bytes,
               i.blocks);
    }
out:
    return st;
}

/* What a ciphertext file says of itself in the clear. */
static void show_message(const char *path) {
    static const char *const name[] = {"", "request", "answer"};
    for (int role = BERT_REQUEST; role <= BERT_ANSWER; role++) {
        struct bert_message m;
        struct serial_head h;
        if (bert_message_peek(&m, &h, path, (enum bert_role)role) != THOR_OK) continue;
        printf("  message        %s of up to %u tokens, model %016llx, ticket %016llx\n",
               name[role], m.tokens, (unsigned long long)m.model, (unsigned long long)m.ticket);
        serial_free(&h);
    }
}

static int info_file(const char *path, int json) {
    int st = THOR_OK;
    if (bert_container_is(path)) return info_container(path, json);
    char id[33];
    struct serial_head h = {0};
    TRY(ckks_file_describe(&h, path));
    hex(id, h.id, 16);
    if (json) {
        TRY(file_json(&h, id));
        goto out;
    }
    printf("%s: %s\n  parameter set  %s%s\n  key pair       %s\n  objects        %u\n  size        "
           "   %.1f MiB\n",
           shown(path), ckks_file_kind_name(h.kind), h.params->name,
           h.params->security_bits ? "" : "   INSECURE", id, h.count, (double)h.bytes / 1048576);
    if (h.kind == CKKS_FILE_CIPHER) show_message(path);
out:
    serial_free(&h);
    return st;
}

static int show_params(const char *name, const char *insecure, int json) {
    int st = THOR_OK;
    struct facts f = {0};
    if (insecure) TRY(use_insecure(insecure));
    TRY(gather(&f, insecure ? insecure : name ? name : "n16", insecure != NULL));
    if (json)
        TRY(params_json(&f));
    else
        params_text(&f);
out:
    return st;
}

/* Every word that was given is used, or refused. */
static int check_words(const char *file, const char *plan, const char *insecure, int devices,
                       int params, int tokens) {
    const char *given = devices    ? "--devices"
                        : plan     ? "--plan"
                        : insecure ? "--insecure-test-params"
                                   : "--params";
    if (devices + !!plan + (params || insecure) > 1)
        return thor_fail(
            THOR_USAGE, "%s describes one thing; ask for --plan, --params and --devices one by one",
            given);
    if (file && (devices || plan || insecure))
        return thor_fail(THOR_USAGE, "%.60s: unexpected beside %s; describe a file alone", file,
                         given);
    if (tokens && !plan) return thor_fail(THOR_USAGE, "--tokens belongs to --plan MODEL");
    return THOR_OK;
}

int cmd_info(int argc, char **argv) {
    int st = THOR_OK, params = 0, devices = 0, json = 0, tokens = 0;
    const char *file = NULL, *plan = NULL, *insecure = NULL;
    const struct option_spec options[] = {
        {"params", NULL, OPTION_FLAG, &params, 0, 0,
         "the parameter set (n16; name n15 as an argument)"},
        {"devices", NULL, OPTION_FLAG, &devices, 0, 0,
         "where this program can compute: CPU and CUDA devices"},
        {"plan", "MODEL", OPTION_TEXT, &plan, 0, 0,
         "levels, polynomials and bootstraps of a model folder"},
        {"tokens", "T", OPTION_INT, &tokens, 1, 1024,
         "length bucket of the plan (the calibrated one)"},
        {"json", NULL, OPTION_FLAG, &json, 0, 0, "one JSON object (parameters, devices and files)"},
        option_toy_set(&insecure),
        {0}};
    const struct command_spec spec = {
        "info",
        "[FILE | --params [SET] | --plan MODEL | --devices] [OPTIONS]",
        "Describe a key, ciphertext or container file, a parameter set, the plan of a model\n"
        "or the devices of this machine.",
        "  thor info --params\n  thor info keys/public.key\n"
        "  thor info --plan data/sst2-tiny --tokens 64\n  thor info --devices\n",
        options,
        1};
    TRY(options_parse(&spec, argc, argv, &file));
    TRY(check_words(file, plan, insecure, devices, params, tokens));
    if (devices)
        TRY(list_devices(json));
    else if (plan)
        TRY(show_plan(plan, tokens));
    else if (params || insecure)
        TRY(show_params(file, insecure, json));
    else if (file)
        TRY(info_file(file, json));
    else
        st = thor_fail(THOR_USAGE,
                       "nothing to describe; name a file, --params, --plan MODEL or --devices");
out:
    return st;
}
