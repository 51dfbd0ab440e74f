#include "tests/program.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/scratch.h"

struct program thor;

int program_find(const char *test) {
    const char *slash = strrchr(test, '/');
    const int folder = slash ? (int)(slash - test) + 1 : 0;
    snprintf(thor.path, sizeof thor.path, "%.*s../thor", folder, test);
    if (access(thor.path, X_OK) == 0) return 1;
    printf("%s is not there; run make first\n", thor.path);
    return 0;
}

static void print_to(const char *name, int descriptor) {
    dup2(open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600), descriptor);
}

pid_t program_start(const char *const *argv, rlim_t file_limit) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0) return pid;
    print_to("stdout", 1);
    print_to("stderr", 2);
    if (file_limit) setrlimit(RLIMIT_FSIZE, &(struct rlimit){file_limit, file_limit});
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(126);
}

static void read_all(char *text, size_t size, const char *name) {
    FILE *f = fopen(scratch_path(name), "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
}

int program_finish(pid_t pid) {
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    read_all(thor.out, sizeof thor.out, "stdout");
    read_all(thor.err, sizeof thor.err, "stderr");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
