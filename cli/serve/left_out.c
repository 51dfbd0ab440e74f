/* In a build without libmicrohttpd, in place of the other files of this folder. */
#include "cli/cli.h"

int cmd_serve(int argc, char **argv) {
    (void)argc;
    (void)argv;
    return thor_fail(THOR_USAGE, "this build has no server: install libmicrohttpd-dev (make deps), "
                                 "then make again");
}
