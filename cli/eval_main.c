/* thor-eval: what the operator of a server installs, `thor eval` and `thor serve` alone.  It is
 * linked from a library without the files that can read or make a secret key. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/subcommand.h"

static const struct subcommand commands[] = {
    {"serve", "models over HTTP", cmd_serve},
    {"serve token", "who may use them, and their tokens", cmd_serve_token},
    {0}};

int main(int argc, char **argv) {
    int st = THOR_OK, words;
    const struct subcommand *s = subcommand_find(&words, commands, argc, argv);
    interrupt_install();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        printf("thor-eval %s\n", ckks_version());
    else
        st = s ? s->run(argc - words, argv + words) : cmd_eval(argc, argv);
    return program_end("thor-eval", s ? s->name : NULL, st);
}
