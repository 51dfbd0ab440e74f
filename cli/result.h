/* What one text leaves: result.json and the lines for people.
 *
 * By the model's head and task (bert_config), `pred` and `label` of result.json are
 *   one of several labels    numbers
 *   several labels at once   lists of numbers, those whose probability is above a half
 *   a score                  the logit and the score that is known
 *   labels of tokens         a list of numbers, one a token; with `words` and `groups` (tagged.h)
 *   no head                  none: `embedding`, `plain_embedding` and their `cosine`
 *   a next token (GPT-2)     its number; with `labels`, the most probable tokens, `rank`, how
 *                            many stand before the plain model's first, and `kl` (nexttoken.h)
 * where nothing is known of a label null. */
#ifndef CLI_RESULT_H
#define CLI_RESULT_H

#include <stdio.h>

#include <jansson.h>

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
    int pred, plain_pred, label; /* of one of several labels; label -1: not known */
    double score;                /* that is known of a score; NaN: none */
    unsigned char *want;         /* labels: 1 for each of several at once; NULL: not known */
    int agree;     /* 1: predicted as by the plain model, 0: not; -1: there is no prediction */
    double cosine; /* of embeddings, encrypted and plain */
    double *he_logits, *plain_logits; /* rows x labels, of result_new; one block */
    json_t *words, *groups;           /* of labels of tokens, or NULL */
    json_t *next;                     /* of a next token, or NULL */
    int rank;                         /* likewise */
    double kl;
    int top; /* so many labels with their probabilities; 0: none */
    int log_n, security_bits;
    double log_qp;
    double keygen, encode, compute, total; /* seconds */
    double max_abs_error;                  /* of a logit, or of a value of an embedding */
    double peak_rss_mib;
};

/* Room for the outputs of a text of n tokens; what *r had is freed. */
int result_new(struct result *r, const struct bert_config *c, int n);
void result_free(struct result *r);
/* THOR_RANGE when it says no_result. */
int result_is_one(const struct result *r);
/* From the outputs, behind next_token: states become embeddings; max_abs_error, pred, plain_pred,
 * agree, cosine, rank, kl. */
void result_judge(struct result *r, const struct bert_config *c);
/* Probabilities of a row of logits: they add up to 1, or of several labels at once one each; a
 * score is itself. */
void result_scores(double *p, const struct bert_config *c, const double *logits);
/* best[labels]: the numbers of labels, the most probable first. */
void result_order(int *best, const double *p, int labels);
/* One line of JSON on stdout. */
int result_print_json(const struct result *r, const struct bert_config *c);
/* The lines of a text for people, `how` it was computed ("encrypted"). */
void result_print(FILE *f, const struct result *r, const struct bert_config *c, const char *how);
/* DIR/result.json, whole or not at all. */
int result_save(const struct result *r, const struct bert_config *c, const char *dir);

/* What a batch needs of a saved result; the texts of *r are NULL.  THOR_INPUT unless the file is
 * one whole object with all of its fields. */
int result_load(struct result *r, const char *path, const struct bert_config *c);

#ifdef __cplusplus
}
#endif
#endif
