/* How good a model is at texts, with an adapter or without. */
#ifndef SPLIT_EVALUATE_H
#define SPLIT_EVALUATE_H

#include "split/gradient.h"
#include "split/multiplechoice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_score {
    int texts, right; /* right: of a classifier, the likeliest label is the text's */
    long scored;      /* labels or tokens that were to be foretold */
    double nats;      /* their negative log-likelihood, summed */
};

/* Texts with a label (a classifier) or with targets (a language model); others are passed over.
 * tick (may be NULL) is told after each.  *out is all zeros on failure. */
int split_evaluate(struct split_score *out, const struct split_model *m,
                   const struct split_adapter *a, struct split_service *s,
                   const struct split_text *t, int texts, int (*tick)(void *ctx, int done),
                   void *ctx);

double split_score_accuracy(const struct split_score *s);   /* of all texts; 0 of none */
double split_score_loss(const struct split_score *s);       /* nats a label or token */
double split_score_perplexity(const struct split_score *s); /* exp of that */

struct split_exam {
    int questions, right, right_per_token; /* by the whole option, by the mean over its tokens */
    int too_long;                          /* of the questions, which were not asked */
};

/* Every question; what is too long for the model is counted and passed over. */
int split_examine(struct split_exam *out, const struct split_model *m,
                  const struct split_adapter *a, struct split_service *s,
                  const struct split_questions *q, int (*tick)(void *ctx, int done), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
