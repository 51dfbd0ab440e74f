#include "split/speak.h"

#include <stdlib.h>

#include <sodium.h>

#include "split/inside.h"

struct split_speech {
    const struct split_model *m;
    const struct split_adapter *a;
    struct split_service *s;
    double *cache; // layers x room rows
    size_t values;
    int room, n;
};

int split_speech_open(struct split_speech **out, const struct split_model *m,
                      const struct split_adapter *a, struct split_service *s, int tokens) {
    int st = THOR_OK;
    struct split_shape shape;
    struct split_speech *p = NULL;
    *out = NULL;
    if (!split_model_causal(m) || !m->head || m->cfg.labels || (a && a->labels))
        return thor_fail(THOR_MODEL, "only a language model without a classifier goes on with a "
                                     "text");
    if (tokens < 1 || tokens > m->cfg.max_positions)
        return thor_fail(THOR_INPUT, "%d tokens: this model takes 1..%d", tokens,
                         m->cfg.max_positions);
    p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for a text");
    split_model_shape(&shape, m);
    p->values = (size_t)shape.layers * (size_t)tokens * (size_t)shape.out[SPLIT_QKV];
    p->cache = malloc(p->values * sizeof *p->cache);
    if (!p->cache)
        TRY(thor_fail(THOR_MEMORY, "no memory for %d tokens (%zu MB)", tokens, p->values >> 17));
    p->m = m;
    p->a = a;
    p->s = s;
    p->room = tokens;
    *out = p;
    p = NULL;
out:
    free(p);
    return st;
}

void split_speech_close(struct split_speech *p) {
    if (!p) return;
    sodium_memzero(p->cache, p->values * sizeof *p->cache);
    free(p->cache);
    free(p);
}

int split_speech_tokens(const struct split_speech *p) {
    return p->n;
}

int split_speech_hear(double *logits, struct split_speech *p, const int *ids, int n) {
    int st = THOR_OK;
    const struct split_text text = {.ids = ids, .n = n, .label = -1};
    struct split_batch b = {.m = p->m, .a = p->a, .s = p->s, .text = &text, .texts = 1};
    if (n > p->room - p->n)
        return thor_fail(THOR_INPUT, "%d tokens: there is room for %d", p->n + n, p->room);
    b.cache = p->cache;
    b.past = p->n;
    b.room = p->room;
    TRY(split_batch_forward(&b));
    TRY(split_tail_logits(logits, &b));
    p->n += n;
out:
    split_batch_end(&b);
    return st;
}
