/* A context with the keys of a circuit and two ciphertexts of random slots: what the measurements run on. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "bench/bench.h"
#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_rig {
    struct ckks *cx;
    struct ckks_secret *secret;
    struct ckks_keys *keys;
    struct ckks_ct a, b, out;
    double *re, *im; /* slots of a and of b, in [-1, 1] */
    int level;
    struct ckks_boot *boot; /* for the circuits that use it */
    int log_slots, lanes;
};

/* Open a context of kind `kind` with a and b fresh at `level` (top of the set when negative). */
int bench_rig_open(struct bench_rig *r, const struct bench_setup *s, enum kern_kind kind, int level);
/* Make the keys that `circuit` needs, found by running it on a dry rig with the same fields. */
int bench_rig_keys(struct bench_rig *r, const struct bench_setup *s, int (*circuit)(struct bench_rig *r));
/* a and b afresh, from one vector of this period. */
int bench_rig_encrypt(struct bench_rig *r, int level, int log_period);
void bench_rig_close(struct bench_rig *r);
/* Names, threads and limbs of a result on this rig. */
void bench_rig_label(struct bench_result *out, const struct bench_rig *r, const char *name);

#ifdef __cplusplus
}
#endif
#endif
