#include "bench/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "kernels/freemem.h"

enum { FEW_RUNS = 3, MAX_RUNS = 200, PATIENCE = 10 };

double bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double core_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double bench_peak_rss_mib(void) {
    struct rusage u;
    return getrusage(RUSAGE_SELF, &u) == 0 ? (double)u.ru_maxrss / 1024 : 0;
}

double bench_available_mib(void) {
    return freemem_bytes("") / 1048576;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* By linear interpolation of n sorted values. */
static double quantile(const double *sorted, int n, double q) {
    double at = q * (n - 1);
    int i = (int)floor(at);
    return i + 1 < n ? sorted[i] + (at - i) * (sorted[i + 1] - sorted[i]) : sorted[n - 1];
}

int bench_time(struct bench_result *r, double budget, int (*run)(void *ctx, int times), void *ctx) {
    int st = THOR_OK, n = 0;
    double ms[MAX_RUNS], spent = 0;
    double (*const now)(void) = r->of_cores ? core_seconds : bench_now;
    while (n == 0 || (n < FEW_RUNS && spent < PATIENCE * budget) ||
           (n < MAX_RUNS && spent < budget)) {
        double t = now();
        TRY(run(ctx, r->batch));
        t = now() - t;
        ms[n++] = 1e3 * t / r->batch;
        spent += t;
    }
    qsort(ms, (size_t)n, sizeof ms[0], by_size);
    r->runs = n;
    r->median_ms = quantile(ms, n, 0.5);
    r->p10_ms = quantile(ms, n, 0.1);
    r->p90_ms = quantile(ms, n, 0.9);
out:
    return st;
}
