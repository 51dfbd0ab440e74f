/* A context with the keys of a circuit and two ciphertexts: what the measurements run on.  Each rig
 * has a twin over the dry back end, which tells the keys and the memory of what runs on both. */
#ifndef BENCH_RIG_H
#define BENCH_RIG_H

#include "bench/bench.h"
#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bench_rig {
    struct ckks *cx;
    struct bench_rig *twin; /* NULL for a twin */
    struct ckks_secret *secret;
    struct ckks_keys *keys;
    struct ckks_ct a, b, pending, out; /* pending: a product before its rescale */
    double *re, *im;                   /* random slots in [-1, 1] */
    int level;
    struct ckks_boot *boot; /* for the circuits that use it */
    int log_slots, lanes;
};

/* Open a context and its twin; log_slots and lanes are set before. */
int bench_rig_open(struct bench_rig *r, const struct bench_setup *s);
/* a, b and pending as uniform residues at any level: no message, but all of the work. */
int bench_rig_random(struct bench_rig *r, int level);
/* a and b fresh, from one vector of period 2^log_slots; the slots of it are in re and im. */
int bench_rig_encrypt(struct bench_rig *r, int level);
/* Run `circuit` on the twin, see that its keys and ciphertexts fit on the device, and make the
 * keys. */
int bench_rig_keys(struct bench_rig *r, const struct bench_setup *s, int (*circuit)(void *rig),
                   void *twin);
void bench_rig_close(struct bench_rig *r);

/* Time and count `run` on `what`, which stands on rig r. */
int bench_rig_measure(struct bench_result *res, struct bench_rig *r, const struct bench_setup *s,
                      int (*run)(void *what), void *what);
/* The same for a run on the rig itself, named and put into the sink. */
int bench_rig_put(struct bench_rig *r, const struct bench_setup *s, const struct bench_sink *sink,
                  const char *name, int limbs, int (*run)(void *rig));

#ifdef __cplusplus
}
#endif
#endif
