/* thor-eval: what the operator of a server installs, `thor eval` and `thor serve` alone.  It is
 * linked from a library without the files that can read or make a secret key. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int main(int argc, char **argv) {
    int st = THOR_OK;
    const char *command = NULL;
    interrupt_install();
    if (argc == 2 && strcmp(argv[1], "--version") == 0)
        printf("thor-eval %s\n", ckks_version());
    else if (argc > 1 && strcmp(argv[1], command = "serve") == 0)
        st = cmd_serve(argc - 1, argv + 1);
    else
        command = NULL, st = cmd_eval(argc, argv);
    return program_end("thor-eval", command, st);
}
