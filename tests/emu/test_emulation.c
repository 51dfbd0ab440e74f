/* What the emulation of CUDA finds: programs with one deliberate mistake each.  A mistake is seen
 * when it is reported, when the program dies of it (AddressSanitizer), or when in one of two orders
 * of the threads the result is not that of the right program; which of them must happen is said per
 * mode of the emulation.  The right programs must pass without a word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/emu/bugs.h"
#include "tests/emu/emulation.h"

enum { WORDS = 64, ASAN = 2, RACE = 4, ALL = 7 }; // modes of the emulation, by bits

static const struct {
    const char *name;
    int reported; /* in these modes, or fatal there */
    int differs;  /* in these modes the result does */
} bugs[BUGS] = {
    [BUG_NO_BARRIER] = {"a barrier is missing", RACE, ALL},
    [BUG_NO_WARP_BARRIER] = {"a warp barrier is missing", RACE, ALL},
    [BUG_REUSED] = {"shared memory is reused too early", RACE, ALL},
    [BUG_SAME_WORD] = {"threads write the same shared word", RACE, ALL},
    [BUG_SAME_WORD_OF_BLOCKS] = {"blocks write the same word", RACE, ALL},
    [BUG_HALF_A_BARRIER] = {"half of the threads skip a barrier", ALL, 0},
    [BUG_TWO_BARRIERS] = {"threads wait at different barriers", ALL, 0},
    [BUG_EXITS_BEFORE] = {"a thread exits before a barrier", ALL, 0},
    [BUG_PAST_THE_END] = {"a write past the end of device memory", ASAN | RACE, 0},
    [BUG_PAST_SHARED] = {"a read past the end of shared memory", ASAN | RACE, 0},
    [BUG_NEVER_WRITTEN] = {"a read of what nobody wrote", RACE, ALL},
    [BUG_TOO_MANY_THREADS] = {"a block of 2048 threads", ALL, 0},
    [BUG_COPY_OVERRUNS] = {"a copy longer than its target", ALL, 0},
    [BUG_HOST_TOUCHES] = {"the host writes device memory", ASAN | RACE, 0},
    [BUG_HOST_REUSED] = {"a pinned buffer is changed before its copy ran", 0, ALL},
    [BUG_WAIT_IN_CAPTURE] = {"a wait inside a capture", ALL, 0},
    [BUG_MALLOC_IN_CAPTURE] = {"an allocation inside a capture", ALL, 0},
    [BUG_PAGEABLE_IN_CAPTURE] = {"a copy of pageable memory inside a capture", ALL, 0},
    [BUG_GRID_TOO_HIGH] = {"a grid of 65,536 rows", ALL, 0},
    [BUG_MISALIGNED] = {"a misaligned vector", ALL, 0},
    [BUG_SHARED_TOO_LARGE] = {"more than 48 KiB of shared memory", ALL, 0},
};

struct found {
    unsigned long reports;
    unsigned out[WORDS];
};

/* In a process of its own, whose messages are not shown; 0 when it died. */
static int try(struct found *f, int bug, int right, int order) {
    int pipes[2], status = 0;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct found mine;
        memset(&mine, 0, sizeof mine);
        if (!freopen("/dev/null", "w", stderr)) _exit(3);
        mine.reports = bug_run(bug, right, order, mine.out);
        _exit(write(pipes[1], &mine, sizeof mine) == sizeof mine ? 0 : 3);
    }
    close(pipes[1]);
    const ssize_t got = read(pipes[0], f, sizeof *f);
    close(pipes[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return status == 0 && got == sizeof *f;
}

static void right_programs(void **state) {
    (void)state;
    for (int bug = 0; bug < BUGS; bug++) {
        struct found f[3];
        for (int order = 0; order < 3; order++) {
            if (!try(&f[order], bug, 1, order)) fail_msg("not %s: died", bugs[bug].name);
            if (f[order].reports) fail_msg("not %s: %lu reports", bugs[bug].name, f[order].reports);
            assert_memory_equal(f[order].out, f[0].out, sizeof f[0].out);
        }
    }
}

static void mistakes(void **state) {
    (void)state;
    const int mode = emulation_mode();
    for (int bug = 0; bug < BUGS; bug++) {
        struct found right, f[2];
        int dead = 0, reported = 0, differs = 0;
        assert_true(try(&right, bug, 1, 0));
        for (int order = 0; order < 2; order++) {
            const int alive = try(&f[order], bug, 0, order);
            dead |= !alive;
            reported |= alive && f[order].reports > 0;
            differs |= alive && memcmp(f[order].out, right.out, sizeof right.out) != 0;
        }
        if ((bugs[bug].reported & mode) && !reported && !dead)
            fail_msg("%s: not reported", bugs[bug].name);
        if ((bugs[bug].differs & mode) && !differs && !dead)
            fail_msg("%s: the result is the right one in both orders", bugs[bug].name);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(right_programs),
                                       cmocka_unit_test(mistakes)};
    return cmocka_run_group_tests_name("emulation", tests, NULL, NULL);
}
