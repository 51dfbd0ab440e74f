#include <stdio.h>

#include "cli/cli.h"
#include "cli/options.h"

int flush_stdout(void) {
    if (fflush(stdout) == 0) return THOR_OK;
    return thor_fail(THOR_IO, "standard output: cannot be written; free some space");
}

/* A full disk or a closed pipe is a failure. */
static int close_stdout(int st) {
    int bad = ferror(stdout);
    if ((fflush(stdout) != 0 || bad) && st <= THOR_OK)
        return thor_fail(
            THOR_IO, "standard output: cannot be written; free some space or keep the pipe open");
    return st;
}

int program_end(const char *program, const char *command, int st) {
    if (st == OPTIONS_DONE) st = THOR_OK;
    st = close_stdout(st);
    folders_end(st == THOR_OK);
    if (st == THOR_OK) return st;
    const char *line = thor_error()[0] ? thor_error() : "failed without a message; this is a bug";
    fprintf(stderr, "%s%s%s: %s\n", program, command ? " " : "", command ? command : "", line);
    return st;
}
