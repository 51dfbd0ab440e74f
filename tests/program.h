/* The built program from outside; what it prints goes to files of the scratch folder. */
#ifndef THOR_TESTS_PROGRAM_H
#define THOR_TESTS_PROGRAM_H

#include <sys/resource.h>
#include <sys/types.h>

struct program {
    char path[4096];
    char out[1 << 16], err[1 << 16]; /* all that the latest one printed */
};
extern struct program thor;

/* BUILD/thor for the test BUILD/tests/NAME; 0, after a line that says so, when it is not built. */
int program_find(const char *test);
/* argv[0] is a path, or looked for in PATH; file_limit: bytes of a file, 0 for no limit. */
pid_t program_start(const char *const *argv, rlim_t file_limit);
/* The exit code, or minus the signal that ended it. */
int program_finish(pid_t pid);

#endif
