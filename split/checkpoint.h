/* Where a training stands, in one file for the owner alone that appears whole or not at all:
 *
 *   "THORTUNE", version, hash of the settings, hash of the model's weights, step, steps of privacy,
 *   counts of values and moments, seed, values, moments m and v, XXH3-64 of all of it; little
 *   endian
 *
 * A run that goes on from it has the adapter, the moments and the order of rows bit for bit; the
 * stream of noise is a new one.
 */
#ifndef SPLIT_CHECKPOINT_H
#define SPLIT_CHECKPOINT_H

#include "split/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* `settings`: all that the run depends on, as a text, but the weights of the model: their hash. */
int split_checkpoint_save(const struct split_trainer *t, const char *path, const char *settings,
                          uint64_t weights);
/* Into a trainer that was started with the same settings and an adapter of the same shape: its
 * seed, adapter, moments and steps.  THOR_USAGE for other settings or weights, THOR_MODEL for a
 * damaged file; *t and the adapter are then as they were. */
int split_checkpoint_load(struct split_trainer *t, const char *path, const char *settings,
                          uint64_t weights);

#ifdef __cplusplus
}
#endif
#endif
