/* Where to compute: names of devices, and whether a plan fits there. */
#ifndef BENCH_DEVICE_H
#define BENCH_DEVICE_H

#include <stddef.h>

#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

struct device_choice {
    enum kern_kind kind; /* KERN_CPU or KERN_CUDA */
    int number;          /* of the CUDA device */
};

/* "cpu" (or NULL), "cuda" or "cuda:N".  THOR_USAGE for another name, and for a CUDA device that is
 * not there. */
int device_parse(struct device_choice *d, const char *name);
/* "cpu" or "cuda:N" */
void device_name(char name[16], const struct device_choice *d);
/* A context on that device; threads of the CPU, 0: all. */
int device_open(struct ckks **out, const struct device_choice *d, const struct ckks_params *p,
                int threads);
/* THOR_MEMORY, with the figures and the mend, when `bytes` more do not fit. */
int device_room(const struct device_choice *d, size_t bytes);
/* The same of `keys` bytes of evaluation keys, none made or read yet, and `others`.  On a card that
 * lacks the room, and where THOR_KEYS does not say how they are kept, the halves that can be made
 * are left out: *keys is less then. */
int device_fit(size_t *keys, struct ckks *cx, const struct device_choice *d, size_t others);
/* Bytes of a CUDA context's own tables: a word a place of each prime's roots. */
size_t device_table_bytes(const struct ckks_params *p);

#ifdef __cplusplus
}
#endif
#endif
