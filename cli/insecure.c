#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int use_insecure(const char *params) {
    if (strncmp(params, "toy", 3) != 0)
        return thor_fail(
            THOR_USAGE,
            "--insecure-test-params %.20s: not a toy set; name toy10, toy11, toy12 or toy13",
            params);
    fprintf(stderr,
            "**********************************************************************\n"
            "** WARNING: parameter set %-8s has NO SECURITY; for tests only. **\n"
            "**********************************************************************\n",
            params);
    return THOR_OK;
}
