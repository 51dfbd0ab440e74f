/* Training of an adapter: which rows a step takes, their gradients in micro-batches, clipping or
 * differential privacy, one step of Adam.
 *
 *   g = (sum over the step's rows of g_i) / batch, clipped to the norm max_norm
 *   with privacy   rows by Poisson sampling, each g_i clipped, noise on the sum (dpsgd.h)
 *
 * Without privacy rows are taken in an order that is new in every epoch, a function of (seed,
 * epoch) alone; a step goes over the end of an epoch into the next.  So where a run stands is said
 * by its step, and with the same service it goes on bit for bit.
 */
#ifndef SPLIT_TRAIN_H
#define SPLIT_TRAIN_H

#include "split/adam.h"
#include "split/dpsgd.h"
#include "split/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_train_ask {
    int batch;                             /* rows a step, on average with privacy */
    int micro;                             /* rows that go to the service together, at least 1 */
    struct split_adam_ask adam;            /* steps: of the run, at least 1 */
    double max_norm;                       /* 0: no clipping; with privacy 0 */
    const struct split_dpsgd_ask *privacy; /* NULL: none; its rows, batch and steps are filled in */
    uint8_t seed[CKKS_SEED];               /* of the order of rows */
};

struct split_step_report {
    long step;   /* from 1 */
    int rows;    /* with privacy any number, also 0 */
    double loss; /* mean over them; 0 without any */
    double norm; /* of the gradient before clipping; with privacy, of the noisy one */
    double rate;
    double epsilon; /* spent, with privacy */
};

struct split_trainer {
    const struct split_model *model;
    struct split_service *service;
    struct split_adapter *adapter; /* is changed */
    const struct split_text *text;
    int texts;
    struct split_train_ask ask;
    struct split_adam adam;
    int is_private;
    struct split_dpsgd privacy;
    /* private to train.c */
    long epoch;          /* whose order stands in `order`, -1: none */
    int *order, *chosen; /* texts, and as many as a step can have */
    struct split_text *micro_text;
    double *loss;
    int *scored;
    struct split_adapter sum, *each; /* each: a row's, with privacy */
    struct split_adapter **into;
};

/* Of the given texts, which stay the caller's as all else.  THOR_USAGE names what is out of range;
 * on success split_trainer_end wipes. */
int split_trainer_start(struct split_trainer *t, const struct split_train_ask *ask,
                        const struct split_model *model, struct split_service *service,
                        struct split_adapter *adapter, const struct split_text *text, int texts);
void split_trainer_end(struct split_trainer *t); /* also of one set to zero */

/* One step.  On failure the adapter, the moments and what was spent are as they were. */
int split_trainer_step(struct split_step_report *r, struct split_trainer *t);
/* 1: all steps are done, or one more would pass the budget of privacy. */
int split_trainer_done(const struct split_trainer *t);

#ifdef __cplusplus
}
#endif
#endif
