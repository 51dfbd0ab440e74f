#include "bert/input/activation.h"

#include <stdio.h>
#include <string.h>

/* Names of one row are one formula in the usual library; gelu_fast has sqrt(2/pi) to ten digits. */
const struct bert_activation_row bert_activations[BERT_ACTIVATIONS] = {
    [BERT_GELU] = {"GELU", {"gelu", "gelu_python"}},
    [BERT_GELU_TANH] = {"GELU tanh",
                        {"gelu_new", "gelu_fast", "gelu_pytorch_tanh", "gelu_python_tanh",
                         "gelu_accurate"}},
};

int bert_activation_find(enum bert_activation *a, const char *name) {
    for (int i = 0; i < BERT_ACTIVATIONS; i++)
        for (int k = 0; bert_activations[i].names[k]; k++)
            if (strcmp(bert_activations[i].names[k], name) == 0) {
                *a = (enum bert_activation)i;
                return 1;
            }
    return 0;
}

void bert_activation_list(char *list, size_t size) {
    size_t at = 0;
    for (int i = 0; i < BERT_ACTIVATIONS; i++)
        for (int k = 0; bert_activations[i].names[k] && at < size; k++)
            at += (size_t)snprintf(list + at, size - at, "%s%s", at ? ", " : "",
                                   bert_activations[i].names[k]);
}
