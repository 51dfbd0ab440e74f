/* Mistakes for the emulation to find: see test_emulation.c. */
#ifndef THOR_TESTS_BUGS_H
#define THOR_TESTS_BUGS_H

enum bug { /* kernels first, in the order of bugs.cpp */
           BUG_NO_BARRIER,
           BUG_NO_WARP_BARRIER,
           BUG_REUSED,
           BUG_SAME_WORD,
           BUG_SAME_WORD_OF_BLOCKS,
           BUG_HALF_A_BARRIER,
           BUG_TWO_BARRIERS,
           BUG_EXITS_BEFORE,
           BUG_PAST_THE_END,
           BUG_PAST_SHARED,
           BUG_NEVER_WRITTEN,
           BUG_MISALIGNED,
           BUG_SHARED_TOO_LARGE,
           BUG_KERNELS,
           BUG_TOO_MANY_THREADS = BUG_KERNELS,
           BUG_COPY_OVERRUNS,
           BUG_HOST_TOUCHES,
           BUG_HOST_REUSED,
           BUG_WAIT_IN_CAPTURE,
           BUG_MALLOC_IN_CAPTURE,
           BUG_PAGEABLE_IN_CAPTURE,
           BUG_GRID_TOO_HIGH,
           BUGS
};

/* Runs the program with that mistake, or without when `right`; order of threads as in emulation.h.
 * out: 64 words of result.  Returns how many things were reported. */
#ifdef __cplusplus
extern "C"
#endif
    unsigned long
    bug_run(int bug, int right, int order, unsigned out[64]);

#endif
