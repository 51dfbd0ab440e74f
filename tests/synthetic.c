#include "synthetic.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static double gauss(uint64_t *s) // sum of 12 uniforms
{
    double x = -6;
    for (int i = 0; i < 12; i++) {
        *s = *s * 6364136223846793005u + 1442695040888963407u;
        x += (double)(*s >> 11) * 0x1p-53;
    }
    return x;
}

static float *fill(float **at, size_t n, double mean, double spread, uint64_t *s) {
    float *x = *at;
    for (size_t i = 0; i < n; i++) x[i] = (float)(mean + spread * gauss(s));
    *at += n;
    return x;
}

static struct bert_linear linear(float **at, int in, int out, double gain, uint64_t *s) {
    float *w = fill(at, (size_t)in * (size_t)out, 0, gain / sqrt(in), s);
    return (struct bert_linear){in, out, w, fill(at, (size_t)out, 0, 0.1, s)};
}

static struct bert_norm norm(float **at, int n, uint64_t *s) {
    float *gamma = fill(at, (size_t)n, 1, 0.1, s);
    return (struct bert_norm){gamma, fill(at, (size_t)n, 0, 0.1, s)};
}

struct bert_model *synthetic_model(uint64_t seed) {
    return synthetic_shape(seed, 64, 2, 128);
}

struct bert_model *synthetic_columns(uint64_t seed) {
    return synthetic_shape(seed, 48, 3, 80);
}

struct bert_model *synthetic_shape(uint64_t seed, int H, int heads, int F) {
    const int layers = 2, labels = 2;
    struct bert_model *m = calloc(1, sizeof *m);
    float *at = m->weights = malloc(200000 * sizeof *at);
    m->cfg = (struct bert_config){.hidden = H,
                                  .layers = layers,
                                  .heads = heads,
                                  .ffn = F,
                                  .vocab = 50,
                                  .max_positions = 64,
                                  .type_vocab = 2,
                                  .labels = labels,
                                  .eps = 1e-12,
                                  .lower_case = 1};
    m->hash = seed;
    m->layer = calloc((size_t)layers, sizeof *m->layer);
    m->word = fill(&at, (size_t)(m->cfg.vocab * H), 0, 1, &seed);
    m->position = fill(&at, (size_t)(m->cfg.max_positions * H), 0, 0.3, &seed);
    m->type = fill(&at, (size_t)(2 * H), 0, 0.1, &seed);
    m->emb_ln = norm(&at, H, &seed);
    for (int l = 0; l < layers; l++) {
        struct bert_layer *y = &m->layer[l];
        y->q = linear(&at, H, H, 1, &seed);
        y->k = linear(&at, H, H, 1, &seed);
        y->v = linear(&at, H, H, 1, &seed);
        y->o = linear(&at, H, H, 1, &seed);
        y->ffn1 = linear(&at, H, F, 1, &seed);
        y->ffn2 = linear(&at, F, H, 1, &seed);
        y->ln1 = norm(&at, H, &seed);
        y->ln2 = norm(&at, H, &seed);
    }
    m->pooler = linear(&at, H, H, 1, &seed);
    m->classifier = linear(&at, H, labels, 1, &seed);
    m->nweights = (size_t)(at - m->weights);
    return m;
}

void synthetic_free(struct bert_model *m) {
    free(m->layer);
    free(m->weights);
    free(m);
}

void synthetic_tokens(struct bert_tokens *t, const struct bert_model *m, int n, uint64_t seed) {
    *t = (struct bert_tokens){.n = n};
    for (int i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        t->ids[i] = (int)((seed >> 33) % (uint64_t)m->cfg.vocab);
    }
    t->ids[0] = 1;
    t->ids[n - 1] = 2;
}

struct bert_ranges *synthetic_ranges(const struct bert_model *m, int texts, int longest) {
    struct bert_ranges *r;
    struct bert_tokens *t = malloc((size_t)texts * sizeof *t);
    assert_non_null(t);
    for (int i = 0; i < texts; i++) synthetic_tokens(&t[i], m, 3 + i % (longest - 2), (uint64_t)i);
    assert_int_equal(bert_calibrate_tokens(&r, m, t, texts, 32), THOR_OK);
    free(t);
    return r;
}
