/* thor keygen: the keys of one client for one model, in a folder. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/session.h"

static void print_keys(const struct session *s, const char *dir) {
    const struct ckks_params *p = s->params;
    printf("%s/secret.key   keep it: whoever has it reads everything\n", dir);
    printf("%s/public.key   encrypts\n%s/eval.key     %d keys, for the server\n", dir, dir, s->keys.eval->n);
    printf("parameters   %s: N = 2^%d, log QP %.1f (limit %.0f), uniform ternary secret, error variance 10.5\n",
           p->name, p->log_n, p->log_qp, p->log_qp_limit);
    printf("security     %s\n", p->security_bits ? "128 bits, classical (eprint 2024/463)" : "NONE: for tests only");
    printf("made for     %s, texts up to %d tokens\n", s->model_dir, s->plan->tokens);
    printf("in memory    %.0f MiB of evaluation keys; peak %.0f MiB\n", (double)s->key_bytes / 1048576,
           bench_peak_rss_mib());
}

static int make(struct session *s) {
    int st = THOR_OK, n = 0;
    struct ckks_need *need = NULL;
    TRY(session_needs(s, &need, &n));
    TRY(session_open(s));
    TRY(keyset_make(&s->keys, s->cx, need, n, &s->progress));
out:
    free(need);
    return st;
}

int cmd_keygen(int argc, char **argv) {
    int st = THOR_OK, tokens = 0, fresh = 0;
    const char *out = NULL;
    struct session s = {0};
    struct session_setup setup = {0};
    const struct option_spec options[] = {
        {"out", "DIR", OPTION_TEXT, &out, 0, 0, "folder of the keys, made when it is not there"},
        {"model", "DIR", OPTION_TEXT, &setup.model_dir, 0, 0, "model folder (data/sst2-tiny)"},
        {"tokens", "T", OPTION_INT, &tokens, 1, 1024, "longest text, with its special tokens (as calibrated)"},
        {"threads", "N", OPTION_INT, &setup.threads, 1, 1024, "threads to use (all cores)"},
        {"insecure-test-params", "NAME", OPTION_TEXT, &setup.insecure, 0, 0, "a toy set: no security at all"},
        {0}};
    const struct command_spec spec = {
        "keygen", "--out DIR [OPTIONS]",
        "Make secret.key (mode 0600), public.key and eval.key for one model. The list of evaluation keys comes\n"
        "from a dry run of the model. Give the server public.key and eval.key, never secret.key.",
        "  thor keygen --out keys\n  thor keygen --out keys-mrpc --model models/mrpc --tokens 128\n", options, 0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!out) return thor_fail(THOR_USAGE, "--out is missing; name the folder of the keys");
    fresh = access(out, F_OK) != 0;
    TRY(keyset_room(out));
    TRY(session_load(&s, &setup));
    TRY(session_plan(&s, tokens ? tokens : s.ranges->tokens));
    TRY(make(&s));
    TRY(keyset_save(&s.keys, out));
    print_keys(&s, out);
out:
    if (st > THOR_OK && fresh) rmdir(out); // when nothing came to lie in it
    session_close(&s);
    return st;
}
