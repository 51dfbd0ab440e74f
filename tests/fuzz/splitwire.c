#include "tests/fuzz/splitwire.h"

#include <string.h>

#include "ckks/random.h"

static const struct split_shape shape = {1, {20, 20, 20, 20}, {24, 24, 24, 24}};

static int read_map(float *w, const void *from, int layer, enum split_stage stage) {
    const struct split_shape *s = from;
    (void)layer;
    for (int i = 0; i < s->in[stage] * s->out[stage]; i++) w[i] = (float)(i % 7 - 3) / 8;
    return THOR_OK;
}

int splitwire_open(struct splitwire *w) {
    const struct split_ask ask = {0, SPLIT_UP, 0, 3};
    double x[3 * 20];
    for (int i = 0; i < 3 * 20; i++) x[i] = i % 11 - 5;
    *w = (struct splitwire){.shape = shape};
    if (ckks_random_start() || split_caller_open(&w->caller, "toy10", 1, 1)) return 0;
    if (split_caller_keys(&w->keys, w->caller)) return 0;
    ckks_use_keys(split_caller_context(w->caller), w->keys);
    return split_call_make(&w->call, w->caller, &w->shape, &ask, x) == THOR_OK;
}

void splitwire_close(struct splitwire *w) {
    split_call_free(&w->call);
    ckks_keys_free(w->keys);
    split_caller_close(w->caller);
}

int splitwire_answer(uint8_t *reply, struct splitwire *w, const uint8_t *request, size_t n) {
    const struct split_host h = {split_caller_context(w->caller), &w->shape, read_map, &w->shape,
                                 NULL};
    return split_host_product(reply, &h, request, n);
}

size_t splitwire_room(const struct splitwire *w) {
    size_t most = 0;
    const struct ckks *cx = split_caller_context(w->caller);
    for (int tokens = 1; tokens <= SPLIT_TOKENS_MAX; tokens++)
        for (int t = 0; t < 2; t++) {
            const struct split_ask ask = {0, SPLIT_UP, t, tokens};
            const size_t n = split_sizes_of(cx->params, &w->shape, &ask).reply;
            if (n > most) most = n;
        }
    return most;
}
