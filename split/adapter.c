#include "split/adapter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "ckks/random.h"

#define VALUES_MAX ((size_t)1 << 31) /* 16 GiB: nothing that a client trains */

static int is_adapted(const struct split_adapter_ask *ask, int map) {
    return ask->maps >> map & 1;
}

static int check(const struct split_adapter_ask *ask) {
    if (ask->layers < 1 || ask->rank < 1 || ask->rank > SPLIT_RANK_MAX)
        return thor_fail(THOR_USAGE, "an adapter of rank %d on %d layers: ranks are 1 to %d",
                         ask->rank, ask->layers, SPLIT_RANK_MAX);
    if (!isfinite(ask->alpha) || ask->alpha <= 0)
        return thor_fail(THOR_USAGE, "an adapter's alpha must be above 0");
    if (ask->maps >> SPLIT_MAPS || ask->labels < 0 || (ask->labels > 0 && ask->hidden < 1))
        return thor_fail(THOR_INTERNAL, "an adapter of unknown maps or of a head without columns");
    if (!ask->maps && !ask->labels)
        return thor_fail(THOR_USAGE, "an adapter without a map and without a classifier");
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (is_adapted(ask, m) && (ask->in[m] < 1 || ask->out[m] < 1))
            return thor_fail(THOR_USAGE, "the model has no map gate: leave it out");
    return THOR_OK;
}

/* Values of all A, of all B, of the classifier. */
static void count(size_t part[3], const struct split_adapter_ask *ask) {
    const size_t each = (size_t)ask->layers * (size_t)ask->rank;
    part[0] = part[1] = 0;
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (is_adapted(ask, m)) {
            part[0] += each * (size_t)ask->in[m];
            part[1] += each * (size_t)ask->out[m];
        }
    part[2] = (size_t)ask->labels * (size_t)(ask->hidden + !ask->no_bias);
}

static void place(struct split_adapter *a, const struct split_adapter_ask *ask,
                  const size_t *part) {
    double *at_a = a->values, *at_b = a->values + part[0];
    for (int i = 0; i < a->layers * SPLIT_MAPS; i++) {
        const int m = i % SPLIT_MAPS;
        if (!is_adapted(ask, m)) continue;
        a->lora[i] = (struct split_lora){ask->in[m], ask->out[m], at_a, at_b};
        at_a += (size_t)ask->rank * (size_t)ask->in[m];
        at_b += (size_t)ask->rank * (size_t)ask->out[m];
    }
    if (!a->labels) return;
    a->head_w = a->values + part[0] + part[1];
    a->head_b = ask->no_bias ? NULL : a->head_w + (size_t)a->labels * (size_t)a->hidden;
}

static int make_zero(struct split_adapter *a, const struct split_adapter_ask *ask) {
    size_t part[3];
    int st = THOR_OK;
    *a = (struct split_adapter){.layers = ask->layers, .rank = ask->rank, .alpha = ask->alpha};
    TRY(check(ask));
    a->maps = ask->maps;
    a->frozen_a = ask->frozen_a;
    a->labels = ask->labels;
    a->hidden = ask->labels ? ask->hidden : 0;
    count(part, ask);
    a->n = part[0] + part[1] + part[2];
    if (a->n > VALUES_MAX) TRY(thor_fail(THOR_MEMORY, "an adapter of %zu values", a->n));
    a->lora = calloc((size_t)a->layers * SPLIT_MAPS, sizeof *a->lora);
    a->values = calloc(a->n, sizeof *a->values);
    if (!a->lora || !a->values)
        TRY(thor_fail(THOR_MEMORY, "no memory for an adapter of %zu values", a->n));
    place(a, ask, part);
out:
    if (st != THOR_OK) split_adapter_free(a);
    return st;
}

/* Uniform in (-1, 1), 53 bits. */
static double signed_unit(struct ckks_rng *r) {
    uint64_t word;
    ckks_rng_bytes(r, &word, sizeof word);
    return ((double)(word >> 11) + 0.5) * 0x1p-52 - 1;
}

static void draw(struct split_adapter *a, const uint8_t seed[CKKS_SEED]) {
    struct ckks_rng r;
    ckks_rng_init(&r, seed, 0);
    for (int i = 0; i < a->layers * SPLIT_MAPS; i++) {
        const struct split_lora *l = &a->lora[i];
        if (!l->a) continue;
        const double bound = 1 / sqrt(l->in);
        for (size_t j = 0; j < (size_t)a->rank * (size_t)l->in; j++)
            l->a[j] = bound * signed_unit(&r);
    }
    ckks_rng_wipe(&r);
}

int split_adapter_make(struct split_adapter *a, const struct split_adapter_ask *ask,
                       const uint8_t *seed) {
    int st = THOR_OK;
    uint8_t own[CKKS_SEED];
    *a = (struct split_adapter){0};
    TRY(ckks_random_start());
    TRY(make_zero(a, ask));
    if (!seed) ckks_random_seed(own);
    draw(a, seed ? seed : own);
    sodium_memzero(own, sizeof own);
out:
    return st;
}

void split_adapter_asked(struct split_adapter_ask *ask, const struct split_adapter *a) {
    *ask = (struct split_adapter_ask){.layers = a->layers,
                                      .rank = a->rank,
                                      .alpha = a->alpha,
                                      .maps = a->maps,
                                      .frozen_a = a->frozen_a,
                                      .labels = a->labels,
                                      .hidden = a->hidden,
                                      .no_bias = a->labels && !a->head_b};
    for (int m = 0; m < SPLIT_MAPS; m++) {
        ask->in[m] = a->lora[m].in;
        ask->out[m] = a->lora[m].out;
    }
}

int split_adapter_like(struct split_adapter *a, const struct split_adapter *as) {
    struct split_adapter_ask ask;
    split_adapter_asked(&ask, as);
    const int st = make_zero(a, &ask);
    if (st == THOR_OK) a->base = as->base;
    return st;
}

int split_adapter_copy(struct split_adapter *a, const struct split_adapter *of) {
    int st = THOR_OK;
    TRY(split_adapter_like(a, of));
    memcpy(a->values, of->values, of->n * sizeof *of->values);
out:
    return st;
}

void split_adapter_free(struct split_adapter *a) {
    if (a->values) sodium_memzero(a->values, a->n * sizeof *a->values);
    free(a->values);
    free(a->lora);
    *a = (struct split_adapter){0};
}

double *split_adapter_trained(const struct split_adapter *a, size_t *n) {
    size_t frozen = 0;
    for (int i = 0; a->frozen_a && i < a->layers * SPLIT_MAPS; i++)
        frozen += (size_t)a->rank * (size_t)a->lora[i].in;
    *n = a->n - frozen;
    return a->values + frozen;
}

int split_adapter_alike(const struct split_adapter *a, const struct split_adapter *b) {
    if (a->layers != b->layers || a->rank != b->rank || a->maps != b->maps) return 0;
    if (a->alpha != b->alpha || a->labels != b->labels || a->hidden != b->hidden) return 0;
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (a->lora[m].in != b->lora[m].in || a->lora[m].out != b->lora[m].out) return 0;
    return a->n == b->n;
}
