/* What one classified text leaves: result.json and the lines for people. */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct result {
    /* "sst2", "mrpc": a table of single texts or of pairs; "text": the command line */
    const char *dataset_type;
    int target_idx;     /* row of the table, -1 for "text" */
    const char *device; /* "cpu"; "approx" for the polynomial pipeline in doubles */
    int compact;
    const char *key_size;
    int rows, labels;            /* of outputs: one row, but of a head for tokens one a token */
    int no_result;               /* 1: values left the calibrated ranges, he_logits are NaN */
    int pred, plain_pred, label; /* label -1: not known */
    double *he_logits, *plain_logits; /* rows x labels, of result_new; one block */
    int log_n, security_bits;
    double log_qp;
    double keygen, encode, compute, total; /* seconds */
    double max_abs_error;                  /* of a logit */
    double peak_rss_mib;
};

/* Room for the outputs of a text of n tokens; what *r had is freed. */
int result_new(struct result *r, const struct bert_config *c, int n);
void result_free(struct result *r);
/* THOR_RANGE when it says no_result. */
int result_is_one(const struct result *r);
/* max_abs_error, pred and plain_pred from the logits. */
void result_judge(struct result *r);
/* One line of JSON on stdout. */
int result_print_json(const struct result *r);
/* DIR/result.json, whole or not at all. */
int result_save(const struct result *r, const char *dir);

/* What a batch needs of a saved result; the texts of *r are NULL.  THOR_INPUT unless the file is
 * one whole object with all of its fields. */
int result_load(struct result *r, const char *path, const struct bert_config *c);

#ifdef __cplusplus
}
#endif
#endif
