#include "split/clientmodel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/architecture.h"
#include "bert/input/jsonfile.h"
#include "bert/input/vocab.h"
#include "split/inside.h"
#include "split/scorehead.h"
#include "split/weights.h"

/* ---- BERT and GPT-2, which bert/input reads */

static struct split_norm norm_of(const struct bert_norm *n) {
    return (struct split_norm){n->gamma, n->beta};
}

static void take_layer(struct split_layer *l, const struct bert_layer *from) {
    l->norm1 = norm_of(&from->ln1);
    l->norm2 = norm_of(&from->ln2);
    l->bias[SPLIT_MAP_Q] = from->q.b;
    l->bias[SPLIT_MAP_K] = from->k.b;
    l->bias[SPLIT_MAP_V] = from->v.b;
    l->bias[SPLIT_MAP_O] = from->o.b;
    l->bias[SPLIT_MAP_UP] = from->ffn1.b;
    l->bias[SPLIT_MAP_DOWN] = from->ffn2.b;
}

static void take_config(struct split_model *m) {
    const struct bert_config *c = &m->base->cfg;
    const int classifies = c->head == BERT_HEAD_CLASSIFIER || c->head == BERT_HEAD_ANY;
    m->cfg = (struct split_config){.family = bert_is_causal(c) ? SPLIT_GPT2 : SPLIT_BERT,
                                   .hidden = c->hidden,
                                   .layers = c->layers,
                                   .ffn = c->ffn,
                                   .vocab = c->vocab,
                                   .heads = c->heads,
                                   .groups = c->heads,
                                   .head = c->hidden / c->heads,
                                   .max_positions = c->max_positions,
                                   .labels = classifies ? c->labels : 0,
                                   .eps = c->eps};
    m->gate = c->activation == BERT_GELU ? SPLIT_GELU : SPLIT_GELU_TANH;
}

static int check_kind(const struct bert_config *c, const char *folder) {
    if (c->arch == BERT_ARCH_ALBERT)
        return thor_fail(THOR_MODEL,
                         "%s: an ALBERT has one layer's weights for all, which updates "
                         "of each layer would part",
                         folder);
    if (c->head == BERT_HEAD_TOKENS || c->head == BERT_HEAD_NEXT_SENTENCE)
        return thor_fail(THOR_MODEL, "%s: a head for %s is not trained: name a classifier of texts",
                         folder, c->head == BERT_HEAD_TOKENS ? "tokens" : "the next sentence");
    if (c->task != BERT_ONE_OF && c->head != BERT_HEAD_STATE)
        return thor_fail(THOR_MODEL, "%s: only classifiers with one label of several are trained",
                         folder);
    return THOR_OK;
}

static int open_base(struct split_model *m, const char *folder) {
    int st = THOR_OK;
    TRY(bert_model_load_bare(&m->base, folder));
    TRY(check_kind(&m->base->cfg, folder));
    take_config(m);
    m->layer = calloc((size_t)m->cfg.layers, sizeof *m->layer);
    if (!m->layer)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d layers", folder, m->cfg.layers));
    for (int i = 0; i < m->cfg.layers; i++) take_layer(&m->layer[i], &m->base->layer[i]);
    m->word = m->base->word;
    if (m->cfg.family != SPLIT_GPT2) goto out;
    m->head = m->word;
    m->last = norm_of(&m->base->last_ln);
out:
    return st;
}

static int open_decoder_head(struct split_model *m, const char *folder) {
    int st = THOR_OK;
    struct bert_config *c = &m->base->cfg;
    struct bert_linear *l = &m->base->classifier;
    const int hidden = m->cfg.hidden;
    TRY(split_score_config(c, folder));
    TRY(split_score_read(&m->score, &m->pad, c, hidden, folder));
    m->cfg.labels = c->labels;
    if (!m->score) goto out;
    *l = (struct bert_linear){hidden, c->labels, m->score,
                              m->score + (size_t)c->labels * (size_t)hidden};
    m->head = NULL;
out:
    return st;
}

/* ---- all */

static int is_llama(int *yes, const char *folder) {
    int st = THOR_OK;
    char path[4200];
    json_t *o = NULL;
    snprintf(path, sizeof path, "%.4000s/config.json", folder);
    TRY(bert_json_read(&o, path, (size_t)1 << 20, BERT_JSON_SMALL, 0, THOR_MODEL));
    *yes = split_llama_is(json_string_value(json_object_get(o, "model_type")));
out:
    json_decref(o);
    return st;
}

int split_model_open(struct split_model **out, const char *folder) {
    int st = THOR_OK, llama;
    struct split_model *m = calloc(1, sizeof *m);
    *out = NULL;
    if (!m) return thor_fail(THOR_MEMORY, "%s: no memory for the model", folder);
    TRY(is_llama(&llama, folder));
    m->pad = -1;
    TRY(llama ? split_llama_open(m, folder) : open_base(m, folder));
    if (split_model_causal(m)) TRY(open_decoder_head(m, folder));
    *out = m;
    m = NULL;
out:
    split_model_free(m);
    return st;
}

void split_model_free(struct split_model *m) {
    if (!m) return;
    bert_model_free(m->base);
    for (int i = 0; i < m->owned; i++) free(m->own[i]);
    free(m->own);
    free(m->layer);
    free(m->score);
    free(m);
}

const struct split_config *split_model_config(const struct split_model *m) {
    return &m->cfg;
}

const char *split_model_label(const struct split_model *m, int label) {
    return m->base->cfg.label_names[label];
}

int split_model_head(double *w, double *b, const struct split_model *m) {
    const struct bert_linear *l = &m->base->classifier;
    const size_t labels = (size_t)m->cfg.labels, n = labels * (size_t)m->cfg.hidden;
    for (size_t i = 0; w && i < n; i++) w[i] = l->w[i];
    for (size_t i = 0; b && i < labels; i++) b[i] = l->b[i];
    return m->cfg.labels;
}

int split_model_causal(const struct split_model *m) {
    return m->cfg.family != SPLIT_BERT;
}

void split_model_widths(int in[SPLIT_MAPS], int out[SPLIT_MAPS], const struct split_model *m) {
    const struct split_config *c = &m->cfg;
    const int q = c->heads * c->head, kv = c->groups * c->head, h = c->hidden;
    const int gate = m->gate == SPLIT_SWIGLU;
    const int wide[SPLIT_MAPS][2] = {[SPLIT_MAP_Q] = {h, q},
                                     [SPLIT_MAP_K] = {h, kv},
                                     [SPLIT_MAP_V] = {h, kv},
                                     [SPLIT_MAP_O] = {q, h},
                                     [SPLIT_MAP_GATE] = {gate * h, gate * c->ffn},
                                     [SPLIT_MAP_UP] = {h, c->ffn},
                                     [SPLIT_MAP_DOWN] = {c->ffn, h}};
    for (int i = 0; i < SPLIT_MAPS; i++) {
        in[i] = wide[i][0];
        out[i] = wide[i][1];
    }
}

void split_model_shape(struct split_shape *shape, const struct split_model *m) {
    int in[SPLIT_MAPS], out[SPLIT_MAPS];
    split_model_widths(in, out, m);
    shape->layers = m->cfg.layers;
    for (int i = 0; i < SPLIT_STAGES; i++) {
        enum split_map map[3];
        const int n = split_stage_maps(map, m, (enum split_stage)i);
        shape->in[i] = in[map[0]];
        shape->out[i] = 0;
        for (int k = 0; k < n; k++) shape->out[i] += out[map[k]];
    }
}

/* ---- what enters the first layer */

/* word + position + type, e columns; as bert/reference.c, where rows of padding are explained. */
static void embed_base(double *x, const struct bert_model *m, const int *ids, const int *types,
                       int n, int first) {
    const size_t e = (size_t)bert_embedding(&m->cfg);
    for (int i = 0, at = m->cfg.first_position + first; i < n; i++, x += e) {
        const int row = ids[i] == m->cfg.first_position - 1 ? ids[i] : at++;
        const float *word = m->word + (size_t)ids[i] * e;
        const float *position = m->position + (size_t)row * e;
        const float *type = m->type ? m->type + (size_t)(types ? types[i] : 0) * e : NULL;
        for (size_t c = 0; c < e; c++) x[c] = (double)word[c] + (type ? type[c] : 0) + position[c];
    }
}

static void embed_words(double *x, const struct split_model *m, const int *ids, int n) {
    const size_t h = (size_t)m->cfg.hidden;
    for (int i = 0; i < n; i++, x += h)
        for (size_t c = 0; c < h; c++) x[c] = m->word[(size_t)ids[i] * h + c];
}

// one row of e columns to one of hidden
static void map_row(double *x, const struct bert_linear *l, const double *e) {
    for (int o = 0; o < l->out; o++) {
        x[o] = l->b[o];
        for (int c = 0; c < l->in; c++) x[o] += l->w[(size_t)o * (size_t)l->in + (size_t)c] * e[c];
    }
}

/* Rows of BERT one by one: an ELECTRA has fewer columns, and a map behind their norm. */
static void embed_bert(double *x, const struct split_model *m, const double *sum, int n) {
    const struct bert_model *b = m->base;
    const int e = bert_embedding(&b->cfg);
    const struct split_norm norm = norm_of(&b->emb_ln);
    double row[e], u[e], inv;
    for (int i = 0; i < n; i++, sum += e, x += m->cfg.hidden) {
        split_norm_forward(b->emb_map.w ? row : x, u, &inv, sum, 1, e, m->cfg.eps, &norm);
        if (b->emb_map.w) map_row(x, &b->emb_map, row);
    }
}

int split_model_embed(double *x, const struct split_model *m, const int *ids, const int *types,
                      int n, int first) {
    const size_t e = (size_t)bert_embedding(&m->base->cfg);
    double *sum;
    if (m->cfg.family == SPLIT_LLAMA) embed_words(x, m, ids, n);
    if (m->cfg.family == SPLIT_GPT2) embed_base(x, m->base, ids, types, n, first);
    if (m->cfg.family != SPLIT_BERT) return THOR_OK;
    sum = malloc((size_t)n * e * sizeof *sum);
    if (!sum) return thor_fail(THOR_MEMORY, "no memory for %d embeddings", n);
    embed_base(sum, m->base, ids, types, n, first);
    embed_bert(x, m, sum, n);
    free(sum);
    return THOR_OK;
}

/* ---- text */

int split_tokenize(struct bert_tokens *out, const struct split_model *m, const char *text,
                   const char *pair, int max_tokens) {
    return bert_tokenize(out, m->base, text, pair, max_tokens);
}

int split_model_end(const struct split_model *m) {
    return bert_vocab_special(m->base->vocab, BERT_SEP);
}

int split_token_bytes(char *out, size_t room, const struct split_model *m, int id) {
    return bert_token_bytes(out, room, m->base, id);
}
