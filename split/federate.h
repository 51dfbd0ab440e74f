/* FedAvg (McMahan et al., 2017): the adapters of several clients as one, sum n_k w_k / sum n_k.
 *
 * A and B are averaged each by itself, and the product of averages is not the average of products:
 * (1, 1) and (-1, -1) average to 0, their products to 1.  Where every A is the same (FFA-LoRA) it
 * is.
 */
#ifndef SPLIT_FEDERATE_H
#define SPLIT_FEDERATE_H

#include "split/adapter.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds `rows` times the adapter to a sum, which is all zeros at first (split_adapter_like).
 * THOR_USAGE where their shapes or the weights that they were trained on differ, where only one has
 * its A frozen, or where frozen A's are not the same: *first is the first of them. */
int split_federate_add(struct split_adapter *sum, const struct split_adapter *first,
                       const struct split_adapter *a, double rows);
/* The sum of so many rows becomes their average. */
void split_federate_end(struct split_adapter *sum, const struct split_adapter *first, double rows);

#ifdef __cplusplus
}
#endif
#endif
