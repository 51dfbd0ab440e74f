/* Controlled experiments of private fine-tuning: one run that all others are compared with, and in
 * each of the others one thing that is different.  Same rows, order, steps, rate, first values. */
#ifndef CLI_EXPERIMENTS_H
#define CLI_EXPERIMENTS_H

#include "ckks/random.h"
#include "cli/tunejob.h"
#include "split/evaluate.h"

#ifdef __cplusplus
extern "C" {
#endif

enum experiment {
    EXPERIMENT_HEAD, /* the classifier alone, no adapter of maps */
    EXPERIMENT_LORA, /* LoRA of q and v, and the classifier: what the others are compared with */
    EXPERIMENT_FFA,  /* .. with A frozen */
    EXPERIMENT_DP,   /* .. with DP-SGD, the larger epsilon */
    EXPERIMENT_DP_TIGHT,  /* .. with the smaller one */
    EXPERIMENT_FEDERATED, /* .. frozen A, rows apart at several clients, averaged every few steps */
    EXPERIMENT_ENCRYPTED, /* .. as LORA, the frozen maps on ciphertexts */
    EXPERIMENTS
};
extern const char *const experiment_names[EXPERIMENTS];
extern const char *const experiment_abouts[EXPERIMENTS];

struct experiment_setup {
    const char *model_dir;
    const struct tune_job *job; /* with the plain service */
    const struct split_text *train, *test;
    int trains, tests;
    int steps, batch, rank, clients, local_steps;
    double rate, clip, delta, epsilon[2]; /* the larger one first */
    uint8_t seed[CKKS_SEED];              /* of first values and of the order of rows */
    void (*tick)(void *ctx, int step);    /* may be NULL */
    void *ctx;
};

struct experiment_result {
    int done, steps;
    double *loss; /* of each step, before it; NaN of one without rows */
    struct split_score before, after;
    double epsilon, sigma; /* spent, and of the noise; 0: no privacy against who has the adapter */
    double seconds;
    struct split_traffic traffic;
    struct split_adapter adapter; /* as it was trained */
};

/* THOR_MODEL for EXPERIMENT_HEAD of a model without a classifier. */
int experiment_run(struct experiment_result *r, const struct experiment_setup *s,
                   enum experiment which);
void experiment_free(struct experiment_result *r); /* also of one set to zero */

/* The largest |a - b| / b of a step's loss; 0 unless both were done. */
double experiment_apart(const struct experiment_result *a, const struct experiment_result *b);

#ifdef __cplusplus
}
#endif
#endif
