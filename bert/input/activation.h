/* What stands between the two projections of the FFN: one row of a table each.
 *
 * Every one is f(x) = x/2 + an even function, so that its polynomial is one in x^2 (plan.h).  A new
 * one is an entry here, a row in activation.c, its fit in polyfit.c and its formula in reference.c.
 */
#ifndef BERT_ACTIVATION_H
#define BERT_ACTIVATION_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers stand in weight containers: new ones go behind the others. */
enum bert_activation {
    BERT_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    BERT_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    BERT_ACTIVATIONS
};

struct bert_activation_row {
    const char *title;    /* for people, at most 9 bytes */
    const char *names[6]; /* as `hidden_act` in config.json, the usual one first; then NULL */
};

extern const struct bert_activation_row bert_activations[BERT_ACTIVATIONS];

/* 1 and *a when there is one of this name. */
int bert_activation_find(enum bert_activation *a, const char *name);
/* All names with commas between them, cut off at size - 1 bytes. */
void bert_activation_list(char *list, size_t size);

#ifdef __cplusplus
}
#endif
#endif
