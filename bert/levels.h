/* The lowest levels at which every step of an encrypted forward can run.
 *
 * A plan's levels say that a placement of bootstraps is legal: they count down from what is
 * available.  Work is proportional to the limbs of a level, so the server counts up from what is
 * needed, logits at level 0, along the same rows (nodes.h) with the same bootstraps. */
#ifndef BERT_LEVELS_H
#define BERT_LEVELS_H

#include "bert/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_levels {                     /* of one layer, by enum bert_node */
    int in[BERT_NODES], out[BERT_NODES]; /* before and after a bootstrap, equal without one */
};

/* level[layers + 1]: the last has only out[BERT_Y], the level at which the head is entered.
 * THOR_MODEL when the plan does not fit. */
int bert_levels_set(struct bert_levels *level, const struct bert_plan *p,
                    const struct bert_shape *s);

/* Levels of the ciphertexts that the client sends, state and mask: no higher than the server uses
 * them. */
int bert_input_levels(int *state, int *mask, const struct bert_plan *p, const struct bert_shape *s);

#ifdef __cplusplus
}
#endif
#endif
