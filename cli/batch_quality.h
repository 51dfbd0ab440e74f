/* How good a batch's predictions are, by the model's head and task: accuracy and F1, F1 of several
 * labels at once, correlations of scores, cosines of embeddings; of next tokens top-1, top-5,
 * top-10 and KL divergence. */
#ifndef CLI_BATCH_QUALITY_H
#define CLI_BATCH_QUALITY_H

#include "cli/metrics.h"
#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

struct quality_side { /* of the encrypted predictions, or of the plain model's */
    int right;        /* rows, of several labels at once all of them */
    struct metrics_label *label;
    double *score; /* of rows whose score is known */
};

struct quality {
    const struct bert_config *c;
    int rows, predicted, agree, labelled; /* predicted: rows that have a prediction */
    struct quality_side he, plain;
    double *known; /* scores */
    double cosine, worst_cosine;
    int within[3];       /* next tokens: the plain model's first among the first 1, 5, 10 */
    double kl, worst_kl; /* of the plain model's over those computed */
};

int quality_new(struct quality *q, const struct bert_config *c, int most_rows);
void quality_free(struct quality *q);
void quality_count(struct quality *q, const struct result *r);
/* Its fields into o; null where there is nothing to say. */
int quality_json(json_t *o, const struct quality *q);
/* Its lines of the table, `how` the rows were computed. */
void quality_print(const struct quality *q, const char *how);

#ifdef __cplusplus
}
#endif
#endif
