#include "cli/metrics.h"

#include <math.h>
#include <stdlib.h>

double metrics_f1(const struct metrics_label *m) {
    return m->claimed + m->positive ? 2.0 * m->hit / (m->claimed + m->positive) : 0;
}

double metrics_f1_micro(const struct metrics_label *m, int n) {
    struct metrics_label all = {0};
    for (int i = 0; i < n; i++) {
        all.hit += m[i].hit;
        all.claimed += m[i].claimed;
        all.positive += m[i].positive;
    }
    return metrics_f1(&all);
}

double metrics_f1_macro(const struct metrics_label *m, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += metrics_f1(&m[i]);
    return n ? sum / n : 0;
}

double metrics_pearson(const double *x, const double *y, int n) {
    double mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < n; i++) mx += x[i] / n, my += y[i] / n;
    for (int i = 0; i < n; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : NAN;
}

struct ranked {
    double x;
    int at;
};

static int by_value(const void *a, const void *b) {
    const double x = ((const struct ranked *)a)->x, y = ((const struct ranked *)b)->x;
    return (x > y) - (x < y);
}

static void ranks(double *rank, struct ranked *r, const double *x, int n) {
    for (int i = 0; i < n; i++) r[i] = (struct ranked){x[i], i};
    qsort(r, (size_t)n, sizeof *r, by_value);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && r[end].x == r[i].x;) end++;
        for (int k = i; k < end; k++) rank[r[k].at] = (i + end - 1) / 2.0;
    }
}

double metrics_spearman(const double *x, const double *y, int n) {
    double *rank = malloc((2 * (size_t)n + 1) * sizeof *rank), rho = NAN;
    struct ranked *r = malloc(((size_t)n + 1) * sizeof *r);
    if (rank && r) {
        ranks(rank, r, x, n);
        ranks(rank + n, r, y, n);
        rho = metrics_pearson(rank, rank + n, n);
    }
    free(rank);
    free(r);
    return rho;
}
