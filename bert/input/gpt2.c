#include "bert/input/gpt2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- weights: visited twice, first to check and to count, then to read */

struct visit {
    const struct bert_shards *file;
    float *base; /* NULL: only count */
    size_t used;
    int bare;          /* of bert_model_load_bare */
    const char *front; /* "transformer." or "" */
    char prefix[64];
};

static int take(float **w, struct visit *v, const char *name, int rows, int cols) {
    char full[160];
    int st = THOR_OK;
    snprintf(full, sizeof full, "%s%s%s", v->front, v->prefix, name);
    if (v->base) {
        *w = v->base + v->used;
        TRY(bert_shards_read(*w, v->file, full, rows, cols));
    } else {
        TRY(bert_shards_expect(v->file, full, rows, cols));
    }
    v->used += (size_t)(rows ? rows : 1) * (size_t)cols;
out:
    return st;
}

static int take_norm(struct bert_norm *n, struct visit *v, const char *name, int hidden) {
    char part[96];
    int st = THOR_OK;
    snprintf(part, sizeof part, "%s.weight", name);
    TRY(take(&n->gamma, v, part, 0, hidden));
    snprintf(part, sizeof part, "%s.bias", name);
    TRY(take(&n->beta, v, part, 0, hidden));
out:
    return st;
}

// w: rows x cols, turned round in place
static int transpose(float *w, int rows, int cols) {
    const size_t m = (size_t)rows, n = (size_t)cols;
    float *t = malloc(m * n * sizeof *t);
    if (!t) return thor_fail(THOR_MEMORY, "no memory for a map of %d x %d weights", rows, cols);
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < n; k++) t[k * m + i] = w[i * n + k];
    memcpy(w, t, m * n * sizeof *t);
    free(t);
    return THOR_OK;
}

/* `maps` of the same input, their outputs side by side in the file. */
static int take_maps(struct bert_linear *const l[], int maps, struct visit *v, const char *name,
                     int in, int out) {
    char part[96];
    float *w = NULL, *b = NULL;
    int st = THOR_OK;
    snprintf(part, sizeof part, "%s.weight", name);
    TRY(v->bare ? THOR_OK : take(&w, v, part, in, maps * out));
    snprintf(part, sizeof part, "%s.bias", name);
    TRY(take(&b, v, part, 0, maps * out));
    if (w) TRY(transpose(w, in, maps * out));
    for (int i = 0; b && i < maps; i++)
        *l[i] = (struct bert_linear){in, out, w ? w + (size_t)i * (size_t)in * (size_t)out : NULL,
                                     b + (size_t)i * (size_t)out};
out:
    return st;
}

static int take_layer(struct bert_layer *l, struct visit *v, const struct bert_config *c) {
    const int h = c->hidden;
    struct bert_linear *const qkv[3] = {&l->q, &l->k, &l->v}, *const o[1] = {&l->o},
                              *const up[1] = {&l->ffn1}, *const down[1] = {&l->ffn2};
    int st = THOR_OK;
    TRY(take_norm(&l->ln1, v, "ln_1", h));
    TRY(take_maps(qkv, 3, v, "attn.c_attn", h, h));
    TRY(take_maps(o, 1, v, "attn.c_proj", h, h));
    TRY(take_norm(&l->ln2, v, "ln_2", h));
    TRY(take_maps(up, 1, v, "mlp.c_fc", h, c->ffn));
    TRY(take_maps(down, 1, v, "mlp.c_proj", c->ffn, h));
out:
    return st;
}

static int take_all(struct bert_model *m, struct visit *v) {
    const struct bert_config *c = &m->cfg;
    int st = THOR_OK;
    v->used = 0;
    v->prefix[0] = 0;
    TRY(take(&m->word, v, "wte.weight", c->vocab, c->hidden));
    TRY(take(&m->position, v, "wpe.weight", c->max_positions, c->hidden));
    TRY(take_norm(&m->last_ln, v, "ln_f", c->hidden));
    for (int i = 0; i < c->layers; i++) {
        snprintf(v->prefix, sizeof v->prefix, "h.%d.", i);
        TRY(take_layer(&m->layer[i], v, c));
    }
out:
    return st;
}

// what stands in front of the names; a file of more layers than config.json counts is refused
static int find_front(struct visit *v, const struct bert_config *c, const char *path) {
    char name[96];
    v->front = bert_shards_has(v->file, "transformer.wte.weight") ? "transformer." : "";
    snprintf(name, sizeof name, "%swte.weight", v->front);
    if (!bert_shards_has(v->file, name))
        return thor_fail(THOR_MODEL, "%s: no weights of a GPT-2: transformer.wte.weight is missing",
                         path);
    snprintf(name, sizeof name, "%sh.%d.ln_1.weight", v->front, c->layers);
    if (!bert_shards_has(v->file, name)) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.300s: holds %s, but n_layer of config.json is %d", path, name,
                     c->layers);
}

static int check_lm_head(const struct bert_model *m, const struct bert_shards *file,
                         const char *path) {
    int st = THOR_OK, same;
    const size_t n = (size_t)m->cfg.vocab * (size_t)m->cfg.hidden;
    float *w = NULL;
    if (!bert_shards_has(file, "lm_head.weight")) return THOR_OK;
    w = malloc(n * sizeof *w);
    if (!w) TRY(thor_fail(THOR_MEMORY, "%s: no memory for lm_head.weight", path));
    TRY(bert_shards_read(w, file, "lm_head.weight", m->cfg.vocab, m->cfg.hidden));
    same = memcmp(w, m->word, n * sizeof *w) == 0;
    if (!same)
        st = thor_fail(THOR_MODEL,
                       "%s: lm_head.weight is not the word embeddings: only tied heads are "
                       "supported",
                       path);
out:
    free(w);
    return st;
}

int bert_gpt2_weights(struct bert_model *m, const struct bert_shards *file, const char *path) {
    int st = THOR_OK;
    struct visit v = {.file = file, .bare = m->bare};
    TRY(find_front(&v, &m->cfg, path));
    m->layer = calloc((size_t)m->cfg.layers, sizeof *m->layer);
    if (!m->layer) TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d layers", path, m->cfg.layers));
    TRY(take_all(m, &v));
    m->nweights = v.used;
    m->weights = v.base = malloc(v.used * sizeof(float));
    if (!m->weights) TRY(thor_fail(THOR_MEMORY, "%s: no memory for its %zu weights", path, v.used));
    TRY(take_all(m, &v));
    TRY(check_lm_head(m, file, path));
out:
    return st;
}
