/* In a build without libmicrohttpd, in place of the other files of this folder. */
#include "cli/cli.h"

static int left_out(void) {
    return thor_fail(THOR_USAGE, "this build has no server: install libmicrohttpd-dev (make deps), "
                                 "then make again");
}

int cmd_serve(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return left_out();
}

int cmd_serve_token(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return left_out();
}
