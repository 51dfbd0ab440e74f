/* The client's forward and backward pass in split mode: logits, loss, and the gradients of all that
 * is trained, exactly as automatic differentiation gives them.
 *
 * The frozen maps of the layers are a service's (service.h), four round trips a layer forward and
 * four backward: QKV, O, UP, DOWN.  Everything between them is computed here in doubles.  With
 * ids, heads and so on as in clientmodel.h, and y = W x + b + s B A x for an adapted map
 * (s = alpha / rank, g = dL/dy):
 *
 *   dB = s g (A x)^T     dA = s (B^T g) x^T     dL/dx = W^T g + s A^T (B^T g)
 *
 * summed over tokens.  W^T g is asked of the service only where something below is trained.
 *
 * Texts of a micro-batch go to the service together, their rows one behind the other; they never
 * see each other, and each has gradients of its own, as clipping needs them.
 */
#ifndef SPLIT_GRADIENT_H
#define SPLIT_GRADIENT_H

#include "split/adapter.h"
#include "split/clientmodel.h"
#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_dpforward; /* dpforward.h */

struct split_text {
    const int *ids, *types; /* n each; types NULL: all 0 */
    int n;
    int label;          /* of a classifier; -1: none */
    const int *targets; /* n, of a language model: the token that row i is to foretell, -1: no loss
                           there; NULL: none */
    const struct split_dpforward *noise; /* on what enters the first layer; NULL: none */
};

/* How many logits a text has: labels of the adapter's head or of the model's own, else the words of
 * the vocabulary. */
int split_outputs(const struct split_model *m, const struct split_adapter *a);

/* logits[split_outputs] of one text; of a language model those of what follows its last token.
 * a NULL: the model as it is. */
int split_forward(double *logits, const struct split_model *m, const struct split_adapter *a,
                  struct split_service *s, const struct split_text *t);

/* Loss, the mean cross entropy (nats) of the text's label or of its `scored` targets (0 without
 * any, and the loss is 0), and its gradient, added to grad (NULL: loss alone), which is like a.
 * With a->frozen_a the gradients of A stay as they are.  *loss, *scored and grad are unchanged on
 * failure. */
int split_gradient(double *loss, int *scored, struct split_adapter *grad,
                   const struct split_model *m, const struct split_adapter *a,
                   struct split_service *s, const struct split_text *t);

/* The same of several texts at once: loss[texts], scored[texts], and grad[texts], of which some or
 * all may be one and the same: they are added up there.  grad NULL: losses alone. */
int split_gradients(double *loss, int *scored, struct split_adapter *const *grad,
                    const struct split_model *m, const struct split_adapter *a,
                    struct split_service *s, const struct split_text *t, int texts);

#ifdef __cplusplus
}
#endif
#endif
