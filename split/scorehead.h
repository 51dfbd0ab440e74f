/* The classifier of a decoder, as the usual library has it: ..ForSequenceClassification.
 *
 *   z = Ws f, Ws: score.weight, labels x hidden, without biases; f: the state behind the final norm
 *   of the last token that does not fill up the text (pad_token_id)
 *
 * Labels are those of config.json. */
#ifndef SPLIT_SCOREHEAD_H
#define SPLIT_SCOREHEAD_H

#include <jansson.h>

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SPLIT_SCORE "score"

/* 1: `architectures` of a config.json names such a classifier. */
int split_score_is(const json_t *architectures);
/* Labels, their names and the head of c, by the folder's config.json; THOR_MODEL for heads of
 * tokens or answers, and for labels that are not one of several.  Without a classifier c->labels is
 * 0. */
int split_score_config(struct bert_config *c, const char *folder);
/* The weights for those labels and as many zeros, which the caller frees, and pad_token_id or -1;
 * *w NULL where c->labels is 0. */
int split_score_read(float **w, int *pad, const struct bert_config *c, int hidden,
                     const char *folder);

#ifdef __cplusplus
}
#endif
#endif
