/* The next token of a text by a GPT-2: the client's LM head behind the final state, and how far two
 * lists of logits over the vocabulary agree. */
#ifndef CLI_NEXTTOKEN_H
#define CLI_NEXTTOKEN_H

#include "bert/input/model.h"
#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

double next_log_sum(const double *x, int n, double heat); /* of exp(x / heat) */
/* Of the plain model's probabilities over those made, in nats. */
double next_divergence(const double *plain, const double *made, int n);
/* How many tokens stand before the plain model's first among those made. */
int next_rank(const double *plain, const double *made, int n);

/* The states of *r become the logits of the token behind the last one, of the encrypted side and of
 * the plain model, and r->next lists the r->top (0: 10) most probable tokens, equals by their
 * numbers.  Of any other model than a GPT-2 *r stays as it is.  Before result_judge. */
int next_token(struct result *r, const struct bert_model *m);
/* The same as it may be published: probabilities are rounded before the tokens behind the first are
 * put in order, and those that round to 0 are not listed.  r->top 0: one token. */
int next_token_published(struct result *r, const struct bert_model *m);
/* Lines of r->next for people. */
void next_print(FILE *f, const struct result *r);

#ifdef __cplusplus
}
#endif
#endif
