#include "cli/cli.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

static atomic_int held;
static volatile sig_atomic_t pending, silent;

static void stop(void) {
    static const char line[] = "\nthor: interrupted\n";
    ssize_t n = silent ? 0 : write(STDERR_FILENO, line, sizeof line - 1);
    (void)n;
    _exit(THOR_INTERRUPTED);
}

static void on_signal(int sig) {
    (void)sig;
    if (!atomic_load(&held)) stop();
    pending = 1;
}

void interrupt_install(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction old;
        sigaction(signals[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) sigaction(signals[i], &sa, NULL);
    }
    signal(SIGPIPE, SIG_IGN); // a closed pipe is a failed write, reported like a full disk
    signal(SIGXFSZ, SIG_IGN); // so is a file that grew to the limit
}

void interrupt_hold(void) {
    atomic_fetch_add(&held, 1);
}

int interrupt_pending(void) {
    return pending ? thor_fail(THOR_INTERRUPTED, "interrupted") : THOR_OK;
}

void interrupt_release(void) {
    if (atomic_fetch_sub(&held, 1) == 1 && pending) stop();
}

void interrupt_silently(void) {
    silent = 1;
}
