#include "tests/tinyfiles.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { H = 8, F = 8, LABELS = 2, HEADS = 2, ROOM = 2048 };

static void must(int st) {
    if (!st) return;
    fprintf(stderr, "tinyfiles: %s\n", thor_error());
    abort();
}

static float *take(struct bert_model *m, int n) {
    float *at = m->weights + m->nweights;
    for (int i = 0; i < n; i++) at[i] = (float)((i * 37 + (int)m->nweights) % 101 - 50) / 64;
    m->nweights += (size_t)n;
    return at;
}

static struct bert_linear linear(struct bert_model *m, int in, int out) {
    struct bert_linear l = {.in = in, .out = out, .w = take(m, in * out), .b = take(m, out)};
    return l;
}

static struct bert_norm norm(struct bert_model *m) {
    struct bert_norm n = {take(m, H), take(m, H)};
    return n;
}

struct bert_model *tinyfiles_model(void) {
    struct bert_model *m = calloc(1, sizeof *m);
    m->cfg = (struct bert_config){.hidden = H,
                                  .layers = 1,
                                  .heads = HEADS,
                                  .ffn = F,
                                  .vocab = 50,
                                  .max_positions = 64,
                                  .type_vocab = 2,
                                  .labels = LABELS,
                                  .eps = 1e-12,
                                  .lower_case = 1};
    m->hash = 0x5eed;
    m->weights = malloc(ROOM * sizeof *m->weights);
    struct bert_layer *y = m->layer = calloc(1, sizeof *m->layer);
    y->q = linear(m, H, H);
    y->k = linear(m, H, H);
    y->v = linear(m, H, H);
    y->o = linear(m, H, H);
    y->ffn1 = linear(m, H, F);
    y->ffn2 = linear(m, F, H);
    y->ln1 = norm(m);
    y->ln2 = norm(m);
    m->pooler = linear(m, H, H);
    m->classifier = linear(m, H, LABELS);
    return m;
}

struct bert_ranges *tinyfiles_some_ranges(void) {
    struct bert_ranges *r;
    must(bert_ranges_new(&r, 1, HEADS, H / HEADS));
    r->tokens = 32, r->rows = 7, r->model_hash = 0x5eed;
    r->margin = 0.1, r->top = 0.8, r->tanh = 2.2;
    struct bert_layer_ranges *y = r->layer;
    for (int i = 0; i < H; i++) y->delta[i] = i / 10.0;
    for (int h = 0; h < HEADS; h++)
        y->score_lo[h] = -3, y->score_hi[h] = 2, y->den_lo[h] = -1, y->den_hi[h] = 1;
    for (int i = 0; i < 2; i++)
        y->var_lo[i] = 0.1, y->var_hi[i] = 7, y->win_lo[i] = 0.07, y->win_hi[i] = 8;
    y->gelu = 6;
    return r;
}

void tinyfiles_container(const char *path) {
    struct bert_model *m = tinyfiles_model();
    struct bert_ranges *r = tinyfiles_some_ranges();
    must(bert_container_save(path, m, r));
    bert_ranges_free(r);
    bert_model_free(m);
}

/* The ranges of a layer had no sums of rounds and ended in two values that are read over, then
 * gelu; now in variances, four of windows, and gelu.  Version 2 ends its header before the
 * activation, version 3 behind it. */
size_t tinyfiles_older(uint8_t *data, size_t n, uint32_t version) {
    enum {
        HEAD_2 = 72,
        HEAD_3 = 80,
        HEAD_6 = 96,
        VERSION_AT = 8,
        BYTES_AT = 64,
        TABLE = 16 * (16 + 5)
    };
    enum { RANGES = 8 * (3 + H + 6 * HEADS + 7) };
    const size_t head = version == 2 ? HEAD_2 : HEAD_3, end = head + TABLE;
    const double other[2] = {9, 9};
    const size_t rounds = 8 * 2 * BERT_MAX_ROUNDS * HEADS;
    memmove(data + n - 72 - rounds, data + n - 72, 72);
    n -= rounds;
    memmove(data + n - 24, data + n - 8, 8);
    memcpy(data + n - 40, other, sizeof other);
    n -= 16;
    const uint64_t ranges = XXH3_64bits(data + n - RANGES, RANGES), bytes = n - (HEAD_6 - head);
    memmove(data + head, data + HEAD_6, n - HEAD_6);
    memcpy(data + VERSION_AT, &version, sizeof version);
    memcpy(data + BYTES_AT, &bytes, sizeof bytes);
    memcpy(data + end - 8, &ranges, sizeof ranges);
    const uint64_t check = XXH3_64bits(data, end);
    memcpy(data + end, &check, sizeof check);
    return bytes;
}

void tinyfiles_ranges(const char *path) {
    struct bert_ranges *r = tinyfiles_some_ranges();
    must(bert_ranges_save(r, path));
    bert_ranges_free(r);
}
