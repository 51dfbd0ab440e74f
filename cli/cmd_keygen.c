/* thor keygen: the keys of one client for one model, in a folder. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/session.h"
#include "kernels/shown.h"

struct keygen {
    struct session_setup setup;
    struct keyset_folders to;
    int tokens;
    int fresh[2]; /* the folders that this run made */
    struct session s;
};

static int read_options(struct keygen *k, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &k->setup;
    const struct option_spec options[] = {
        {"out", "DIR", OPTION_TEXT, &k->to.client, 0, 0,
         "folder of the keys, made when it is not there"},
        {"server-out", "DIR", OPTION_TEXT, &k->to.server, 0, 0,
         "another for the server's half, to be copied there"},
        option_model(&s->model_dir),
        {"weights", "FILE", OPTION_TEXT, &s->container, 0, 0,
         "container of thor encode: exactly the keys of its plan"},
        {"tokens", "T", OPTION_INT, &k->tokens, 1, 1024,
         "longest text, with its special tokens (as calibrated)"},
        option_threads(&s->threads),
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "keygen",
        "--out DIR [--server-out DIR] [OPTIONS]",
        "Make secret.key (mode 0600), public.key and eval.key for one model. The list of "
        "evaluation keys comes\n"
        "from a dry run of the model. Give the server public.key and eval.key, never secret.key.",
        "  thor keygen --out keys\n  thor keygen --out keys-mrpc --model models/mrpc --tokens 128\n"
        "  thor keygen --out keys --server-out server-keys --weights sst2.weights\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!k->to.client)
        return thor_fail(THOR_USAGE, "--out is missing; name the folder of the keys");
out:
    return st;
}

/* Model, or container alone, and the plan. */
static int load(struct keygen *k) {
    int st = THOR_OK;
    struct session *s = &k->s;
    TRY(k->setup.container && !k->setup.model_dir ? session_container(s, &k->setup)
                                                  : session_load(s, &k->setup));
    TRY(interrupt_pending());
    TRY(session_plan(s, k->tokens ? k->tokens : s->ranges->tokens));
    TRY(interrupt_pending());
out:
    return st;
}

static int make(struct keygen *k) {
    int st = THOR_OK, n = 0;
    struct ckks_need *need = NULL;
    TRY(session_needs(&k->s, &need, &n));
    TRY(interrupt_pending());
    TRY(session_open(&k->s));
    TRY(keyset_generate(&k->to, k->fresh, k->s.cx, need, n, &k->s.progress));
out:
    free(need);
    return st;
}

static int print_keys(const struct keygen *k) {
    int st = THOR_OK;
    const struct ckks_params *p = k->s.params;
    TRY(keyset_print(&k->to));
    printf("parameters   %s: N = 2^%d, log QP %.1f (limit %.0f), uniform ternary secret, error "
           "variance 10.5\n",
           p->name, p->log_n, p->log_qp, p->log_qp_limit);
    printf("security     %s\n",
           p->security_bits ? "128 bits, classical (eprint 2024/463)" : "NONE: for tests only");
    printf("made for     %s, texts up to %d tokens\n", shown(k->s.model_dir), k->s.plan->tokens);
    printf("to use them  %d evaluation keys, %.0f MiB in the server's memory; peak here %.0f MiB\n",
           k->s.key_count, (double)k->s.key_bytes / 1048576, bench_peak_rss_mib());
out:
    return st;
}

int cmd_keygen(int argc, char **argv) {
    int st = THOR_OK;
    struct keygen k = {0};
    TRY(read_options(&k, argc, argv));
    interrupt_hold(); // until the folders hold keys, or are gone again
    TRY(keyset_room(&k.to, k.fresh));
    TRY(load(&k));
    TRY(make(&k));
    TRY(print_keys(&k));
out:
    if (st > THOR_OK && k.fresh[0]) keyset_take_back(k.to.client);
    if (st > THOR_OK && k.fresh[1]) keyset_take_back(k.to.server);
    if (st == THOR_OK) interrupt_release(); // else the program ends anyway
    session_close(&k.s);
    return st;
}
