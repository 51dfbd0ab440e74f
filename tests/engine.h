/* A small ring with keys for a circuit, shared by the tests of ckks/. */
#ifndef THOR_TESTS_ENGINE_H
#define THOR_TESTS_ENGINE_H

#include "ckks/ckks.h"

struct engine {
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *sk;
    struct ckks_keys *keys;
    struct ckks_rng rng;
};

/* Run `circuit` dry to learn its keys, then open a real context with them (fixed seed:
 * reproducible). */
void engine_open(struct engine *e, const char *set, int (*circuit)(struct ckks *cx, void *arg),
                 void *arg);
void engine_close(struct engine *e);
/* Fill z with uniform numbers in [-a, a] from a fixed stream. */
void engine_message(double *z, size_t n, double a, uint64_t stream);
/* log2 of the worst absolute difference. */
double bits_worst(const double *a, const double *b, size_t n);

#endif
