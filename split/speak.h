/* A text that a language model goes on with: queries, keys and values of every layer are kept, so
 * that a new token takes its own four round trips a layer and no other token's. */
#ifndef SPLIT_SPEAK_H
#define SPLIT_SPEAK_H

#include "split/gradient.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_speech;

/* At most `tokens` in all.  m, a (NULL: the model as it is) and s outlive it.  THOR_MODEL for what
 * is no causal language model or has a classifier. */
int split_speech_open(struct split_speech **out, const struct split_model *m,
                      const struct split_adapter *a, struct split_service *s, int tokens);
void split_speech_close(struct split_speech *p); /* NULL is allowed; wipes */

/* n tokens behind those before: logits[vocab] of what follows the last.  On failure they were not
 * taken, and may be given again. */
int split_speech_hear(double *logits, struct split_speech *p, const int *ids, int n);
int split_speech_tokens(const struct split_speech *p); /* so far */

#ifdef __cplusplus
}
#endif
#endif
