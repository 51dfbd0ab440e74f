/* thor serve token: accounts and their tokens. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/options.h"
#include "cli/serve/tokens.h"

struct token_options {
    const char *name, *file;
    int requests, key_mib, operator, replace, drop;
};

static int read_options(struct token_options *o, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"name", "NAME", OPTION_TEXT, &o->name, 0, 0, "of the account: a-z, 0-9, - and _"},
        {"tokens", "FILE", OPTION_TEXT, &o->file, 0, 0, "the file, made when it is not there"},
        {"requests-a-day", "N", OPTION_INT, &o->requests, 1, 1 << 30, "quota (none)"},
        {"key-mib", "N", OPTION_INT, &o->key_mib, 1, 1 << 30,
         "quota of evaluation keys, MiB (none)"},
        {"operator", NULL, OPTION_FLAG, &o->operator, 0, 0,
         "sees status and metrics, and nothing else"},
        {"replace", NULL, OPTION_FLAG, &o->replace, 0, 0,
         "a new token for an account that has one"},
        {"remove", NULL, OPTION_FLAG, &o->drop, 0, 0, "the account has no token any more"},
        {0}};
    const struct command_spec spec = {
        "serve token",
        "--name NAME --tokens FILE [OPTIONS]",
        "Make a token of 256 random bits and print it; the file keeps its hash alone. A running "
        "server sees the change\n"
        "within seconds.",
        "  thor serve token --name alice --tokens tokens.json --requests-a-day 1000\n"
        "  thor serve token --name ops --tokens tokens.json --operator\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!o->file) return thor_fail(THOR_USAGE, "--tokens is missing; name the file of tokens");
    if (!o->name || !account_name_ok(o->name))
        return thor_fail(THOR_USAGE, "--name: give 1 to 32 of a-z, 0-9, - and _");
out:
    return st;
}

int cmd_serve_token(int argc, char **argv) {
    int st = THOR_OK;
    struct token_options o = {0};
    struct account a = {0};
    char token[TOKEN_TEXT];
    TRY(read_options(&o, argc, argv));
    if (o.drop) return tokens_drop(o.name, o.file);
    snprintf(a.name, sizeof a.name, "%s", o.name);
    a.kind = o.operator? ACCOUNT_OPERATOR : ACCOUNT_USER;
    a.requests_a_day = o.requests;
    a.key_bytes = (int64_t)o.key_mib << 20;
    interrupt_hold();
    TRY(tokens_add(token, &a, o.file, o.replace));
    puts(token);
out:
    return st;
}
