/* What of an answer may be shown to others.
 *
 * Decrypted values carry the noise of the key, and whoever sees enough of them next to what was
 * computed finds the key (Li, Micciancio, eprint 2020/1533).  So what is printed is rounded:
 *   probabilities to 1/100: a step of at least 1/25 in the difference of two logits (the slope of
 *                  the logistic function is at most 1/4), 2^-4.6, more than 2^10 times the error of
 *                  a bootstrap (worst 2^-15.2): in all but one of a thousand answers the noise
 *                  changes nothing that is printed
 *   next tokens    the same: probabilities to 1/100 of the whole vocabulary, and which tokens
 *                  stand behind the first, in which order, follows from the rounded ones
 *   scores         to 1/100, 2^-6.6: in all but one of some hundreds
 *   embeddings     each value to 2^-10 of the length's power of two, which costs 2e-5 of a cosine
 *                  at 384 values.  A state is off by 2^-20 on the mean; the mean over 20 tokens,
 *                  divided by a length of 10, by 2^-25: the noise decides a digit of one value of
 *                  2^15, and so one in about a hundred embeddings.  Embeddings are for their owner
 *                  first. */
#ifndef CLI_PUBLISHED_H
#define CLI_PUBLISHED_H

#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

double published_score(double p);           /* a probability, or a score */
void published_embedding(double *e, int n); /* in place */
/* What the encrypted side of a result says, rounded: fields into o; a line and those below it. */
int published_json(json_t *o, const struct result *r, const struct bert_config *c);
void published_line(FILE *f, const struct result *r, const struct bert_config *c);
void published_rest(FILE *f, const struct result *r, const struct bert_config *c);

#ifdef __cplusplus
}
#endif
#endif
