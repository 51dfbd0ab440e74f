/* Measuring: clocks, memory, one runner that times an operation and gives median, p10 and p90, and
 * what the machine can do at best. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stddef.h>

#include "bench/device.h"

#ifdef __cplusplus
extern "C" {
#endif

double bench_now(void);           /* seconds of the monotonic clock */
double bench_peak_rss_mib(void);  /* of this process, so far */
double bench_available_mib(void); /* free to take, by machine and control groups; 0: not known */

struct bench_result {
    char name[48], device[16];
    int threads, log_n, limbs, runs;
    int of_cores; /* 1: times are those that cores worked, added up, and not the clock's */
    int batch;    /* repetitions between two looks at the clock; times are of one */
    double median_ms, p10_ms, p90_ms;
    /* of one run, on average: memory that its kernels read and write, and on a card between the
     * passes of its transforms; modular products, entries of the kernel table called, recordings
     * replayed instead of called again */
    double bytes, between, products, launches, replays;
    int is_bootstrap;
    double worst_bits, mean_bits; /* -log2 of the largest and the mean error of a slot component */
    int levels_left; /* usable levels: of the result, less those of the next bootstrap */
};

/* Where results go as they are made; a status other than THOR_OK stops the run. */
struct bench_sink {
    int (*put)(void *ctx, const struct bench_result *r);
    void *ctx;
};

struct bench_setup {
    const char *params; /* name of the parameter set */
    int allow_insecure;
    struct device_choice device;
    int threads;           /* of the CPU, 0: all */
    double budget;         /* seconds spent on repetitions of one operation */
    const char *model_dir; /* of bench_forward */
};

int bench_ntt(const struct bench_setup *s, const struct bench_sink *sink);
int bench_ops(const struct bench_setup *s, const struct bench_sink *sink);
int bench_linear(const struct bench_setup *s, const struct bench_sink *sink);
int bench_boot(const struct bench_setup *s, const struct bench_sink *sink);
/* one text of full length */
int bench_forward(const struct bench_setup *s, const struct bench_sink *sink);

/* What the device does at best, measured: the two lines between which every kernel stands. */
struct bench_roof {
    double bytes;    /* a second, read and written by a copy far larger than the caches */
    double products; /* a second: butterflies of the fastest transforms of rows in a near cache */
    double stated;   /* bytes a second by the card's own description; 0 when there is none */
};
int bench_roof(struct bench_roof *roof, const struct bench_setup *s);

/* The key set of one product and one full bootstrap (a product alone where the set has no
 * bootstrap). */
int bench_key_bytes(size_t *bytes, int *keys, const struct bench_setup *s);

/* Call `run` with r->batch repetitions until the budget is spent, 3 times even so unless that takes
 * ten times the budget, at most 200 times; fill the times of *r. */
int bench_time(struct bench_result *r, double budget, int (*run)(void *ctx, int times), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
