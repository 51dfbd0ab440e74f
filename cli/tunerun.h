/* A training into a folder, which goes on where it was stopped or killed:
 *
 *   checkpoint       where it stands (split/checkpoint.h), at the first step of a run and every
 *                    so many
 *   log.jsonl        a line a step: step, rows, loss, norm, rate, seconds, what travelled, epsilon
 *   adapter files    (split/adapterfile.h), at the end and when it is stopped
 *   training.json    rows, steps, loss, epsilon, settings: likewise
 *
 * All of them are for the owner alone: losses and, without differential privacy, the adapter tell
 * of the rows.
 */
#ifndef CLI_TUNERUN_H
#define CLI_TUNERUN_H

#include <jansson.h>

#include "cli/tunejob.h"
#include "split/dpforward.h"
#include "split/train.h"

#ifdef __cplusplus
extern "C" {
#endif

struct tune_run {
    const char *out, *model; /* folders */
    const char *from;        /* an adapter to start from; NULL: a new one of `shape` */
    struct tune_shape shape;
    struct split_train_ask train; /* its seed is filled in */
    const char *seed;             /* a text that A and the order of rows are drawn by; NULL: none */
    int every;                    /* steps from one checkpoint to the next */
    /* a word on each step, and a status: other than THOR_OK ends the run behind its checkpoint */
    int (*watch)(void *ctx, const struct tune_run *run, const json_t *line);
    void *ctx;
    /* filled in by tune_run */
    double loss; /* mean of the last 10 steps of this process; NaN: none was made */
    long step;   /* reached */
    double epsilon, sigma;
};

/* Trains j's model on d.  THOR_USAGE where the folder holds a training with other settings. */
int tune_run(struct tune_run *r, struct tune_job *j, const struct tune_data *d,
             const struct split_dpforward *noise);

#ifdef __cplusplus
}
#endif
#endif
