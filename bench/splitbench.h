/* The frozen maps of a model as a service, measured: what a layer costs the server, how many bytes
 * travel, how close products are to those in doubles.  Weights and rows are random. */
#ifndef BENCH_SPLITBENCH_H
#define BENCH_SPLITBENCH_H

#include "bench/bench.h"
#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

struct splitbench_shape {
    char name[32];
    int layers; /* of the model */
    int stages; /* round trips a layer: SPLIT_STAGES, or 1 of a single map */
    struct split_shape maps;
};

/* "gpt2", "llama-1b" and all other names of thor synth, or OUTxIN: a single map.  THOR_USAGE for
 * what is neither. */
int splitbench_shape(struct splitbench_shape *s, const char *name);

struct splitbench_way { /* a layer there, or back with W^T */
    /* of its round trips at the server, on one core: each map encoded at its use; and encoded
     * before, kept in so many bytes (split/keptmaps.h) */
    struct bench_result time, warm;
    size_t kept;
    size_t up, down; /* bytes of them */
};

struct splitbench_result {
    const struct splitbench_shape *shape;
    int tokens;
    struct splitbench_way way[2]; /* with W, with W^T */
    double correlation; /* the least of all products with those in doubles, over 64 columns each */
};

struct splitbench;

/* A client and the keys that it gives a server.  seconds: on repetitions of a layer's way. */
int splitbench_open(struct splitbench **out, const char *params, int allow_insecure,
                    double seconds);
void splitbench_close(struct splitbench *b); /* NULL is allowed */

int splitbench_run(struct splitbench_result *r, struct splitbench *b,
                   const struct splitbench_shape *shape, int tokens);

#ifdef __cplusplus
}
#endif
#endif
