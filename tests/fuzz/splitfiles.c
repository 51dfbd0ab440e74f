#include "tests/fuzz/splitfiles.h"

#include <string.h>

void splitfiles_base(struct split_base *b) {
    *b = (struct split_base){.layers = 1, .labels = 2, .hidden = 2};
    b->body = "m.";
    b->layer_list = "h.";
    b->head = "score";
    b->map[SPLIT_MAP_Q] = "q";
    b->map[SPLIT_MAP_UP] = "up";
    b->in[SPLIT_MAP_Q] = b->out[SPLIT_MAP_UP] = 2;
    b->out[SPLIT_MAP_Q] = b->in[SPLIT_MAP_UP] = 3;
}

int splitfiles_adapter(struct split_adapter *a, const struct split_base *b) {
    const uint8_t seed[CKKS_SEED] = {1};
    struct split_adapter_ask ask;
    split_base_ask(&ask, b, 1u << SPLIT_MAP_Q | 1u << SPLIT_MAP_UP);
    ask.rank = 1;
    ask.alpha = 2;
    return split_adapter_make(a, &ask, seed);
}

int splitfiles_trainer(struct split_trainer *t, struct split_adapter *a) {
    struct split_base b;
    struct split_adam_ask ask;
    *t = (struct split_trainer){.adapter = a};
    splitfiles_base(&b);
    split_adam_usual(&ask);
    if (splitfiles_adapter(a, &b) != THOR_OK) return 0;
    if (split_adam_start(&t->adam, &ask, a->n) != THOR_OK) return 0;
    t->adam.step = 3;
    return 1;
}

void splitfiles_end(struct split_trainer *t, struct split_adapter *a) {
    split_adam_end(&t->adam);
    split_adapter_free(a);
}
