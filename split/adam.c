#include "split/adam.h"

#include <math.h>
#include <stdlib.h>

#include <sodium.h>

void split_adam_usual(struct split_adam_ask *ask) {
    *ask = (struct split_adam_ask){.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
}

static int is_share(double x) { // 0 <= x < 1
    return x >= 0 && x < 1;
}

static int check(const struct split_adam_ask *a) {
    if (!(a->lr > 0 && a->lr <= 10))
        return thor_fail(THOR_USAGE, "a learning rate of %g: give one above 0, at most 10", a->lr);
    if (!is_share(a->beta1) || !is_share(a->beta2) || !(a->eps > 0 && a->eps < 1))
        return thor_fail(THOR_USAGE,
                         "Adam with betas %g and %g, eps %g: betas are below 1, eps "
                         "is above 0",
                         a->beta1, a->beta2, a->eps);
    if (!(a->decay >= 0 && a->decay <= 1e6))
        return thor_fail(THOR_USAGE, "a weight decay of %g: give 0 or more", a->decay);
    if (a->warmup < 0 || a->steps < 0 || (a->steps && a->warmup > a->steps))
        return thor_fail(THOR_USAGE, "a warm-up of %ld steps of %ld", a->warmup, a->steps);
    return THOR_OK;
}

int split_adam_start(struct split_adam *o, const struct split_adam_ask *ask, size_t n) {
    int st = THOR_OK;
    *o = (struct split_adam){.ask = *ask, .n = n};
    TRY(check(ask));
    o->m = calloc(n ? n : 1, sizeof *o->m);
    o->v = calloc(n ? n : 1, sizeof *o->v);
    if (!o->m || !o->v) TRY(thor_fail(THOR_MEMORY, "no memory for the moments of %zu values", n));
out:
    if (st != THOR_OK) split_adam_end(o);
    return st;
}

void split_adam_end(struct split_adam *o) {
    if (o->m) sodium_memzero(o->m, o->n * sizeof *o->m);
    if (o->v) sodium_memzero(o->v, o->n * sizeof *o->v);
    free(o->m);
    free(o->v);
    *o = (struct split_adam){0};
}

double split_adam_rate(const struct split_adam_ask *a, long t) {
    if (t <= a->warmup) return a->lr * (double)t / (double)a->warmup;
    if (!a->steps) return a->lr;
    if (t > a->steps) return 0;
    return a->lr * (double)(a->steps - t + 1) / (double)(a->steps - a->warmup);
}

void split_adam_step(struct split_adam *o, double *x, const double *grad) {
    const struct split_adam_ask *a = &o->ask;
    const long t = ++o->step;
    const double rate = split_adam_rate(a, t);
    const double up = rate / (1 - pow(a->beta1, (double)t));
    const double root = sqrt(1 - pow(a->beta2, (double)t));
    for (size_t i = 0; i < o->n; i++) {
        const double g = grad[i] + (a->coupled ? a->decay * x[i] : 0);
        if (!a->coupled) x[i] *= 1 - rate * a->decay;
        o->m[i] = a->beta1 * o->m[i] + (1 - a->beta1) * g;
        o->v[i] = a->beta2 * o->v[i] + (1 - a->beta2) * g * g;
        x[i] -= up * o->m[i] / (sqrt(o->v[i]) / root + a->eps);
    }
}
