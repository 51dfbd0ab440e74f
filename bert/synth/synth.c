/* Random weights with the statistics that matter to an encrypted forward pass.
 *
 *   matrices    N(0, g/sqrt(in)): 0.02 .. 0.04 at BERT-base's shape; scores then have a deviation
 *               of about 1.3 and reach 5 to 8 over a text
 *   LayerNorm   gamma N(0.85, 0.08), beta N(0, 0.08); two outlier features with a third of gamma
 *   FFN         four loud neurons a layer, mostly silent (bias -2, 2.2 times the weights), that
 *               write 0.8 sqrt(H) into an outlier feature: the rows where one fires have ten to
 *               a hundred times the variance of the others, as those of separators in trained
 *               models
 *   wide scores where asked for: queries and keys of every fourth head of every fourth layer are
 *               longer, so that scores and the logarithms of softmax denominators grow in
 *               proportion
 *
 * Element i of tensor t is a function of (seed, t, i) alone, so that threads may share the work. */
#include "bert/synth/synth.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/architecture.h"
#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "bert/input/safetensors.h"
#include "bert/synth/synthfile.h"
#include "bert/synth/synthwords.h"

#define WIDE_FROM 4.2 /* nats of wide scores at factor 1; measured at factors of 5 to 20 */

static const struct {
    const char *name;
    enum bert_arch arch;
    int hidden, layers, heads, ffn, vocab;
} shapes[] = {{"bert-tiny", BERT_ARCH_BERT, 128, 2, 2, 512, 30522},
              {"bert-mini", BERT_ARCH_BERT, 256, 4, 4, 1024, 30522},
              {"minilm", BERT_ARCH_BERT, 384, 6, 12, 1536, 30522},
              {"bert-small", BERT_ARCH_BERT, 512, 4, 8, 2048, 30522},
              {"bert-base", BERT_ARCH_BERT, 768, 12, 12, 3072, 30522},
              {"bert-large", BERT_ARCH_BERT, 1024, 24, 16, 4096, 30522},
              {"distilbert", BERT_ARCH_DISTILBERT, 768, 6, 12, 3072, 30522},
              {"distilroberta", BERT_ARCH_ROBERTA, 768, 6, 12, 3072, 50265},
              {"roberta-base", BERT_ARCH_ROBERTA, 768, 12, 12, 3072, 50265},
              {"xlm-roberta-base", BERT_ARCH_ROBERTA, 768, 12, 12, 3072, 250002},
              {"electra-small", BERT_ARCH_ELECTRA, 256, 12, 4, 1024, 30522},
              {"albert-base", BERT_ARCH_ALBERT, 768, 12, 12, 3072, 30000},
              {"gpt2", BERT_ARCH_GPT2, 768, 12, 12, 3072, 50257}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

void bert_synth_arch(struct bert_config *c, enum bert_arch a) {
    const struct bert_arch_row *row = &bert_archs[a];
    const int narrow = c->hidden < 256 ? c->hidden / 2 : 128;
    c->arch = a;
    c->squash = row->squash;
    c->activation = row->activation;
    c->embedding = row->key.embedding ? narrow : 0;
    c->first_position = row->pad_first ? 2 : 0;
    c->positions = c->first_position + c->max_positions;
    c->type_vocab = !row->key.types ? 0 : row->pad_first ? 1 : 2;
    c->eps = row->pad_first || a == BERT_ARCH_GPT2 ? 1e-5 : 1e-12;
    if (a != BERT_ARCH_GPT2) return;
    c->head = BERT_HEAD_STATE;
    c->first_token = c->vocab - 1;
}

int bert_synth_shape(struct bert_config *c, const char *name) {
    for (int i = 0; i < SHAPES; i++) {
        if (strcmp(shapes[i].name, name) != 0) continue;
        *c = (struct bert_config){.hidden = shapes[i].hidden, .layers = shapes[i].layers};
        c->heads = shapes[i].heads;
        c->ffn = shapes[i].ffn;
        c->vocab = shapes[i].vocab;
        c->max_positions = shapes[i].arch == BERT_ARCH_GPT2 ? 1024 : 512;
        c->labels = 2;
        c->lower_case = 1;
        strcpy(c->label_names[0], "0");
        strcpy(c->label_names[1], "1");
        bert_synth_arch(c, shapes[i].arch);
        return 1;
    }
    return 0;
}

void bert_synth_names(char *list, size_t size) {
    size_t at = 0;
    list[0] = 0;
    for (int i = 0; i < SHAPES && at < size; i++)
        at += (size_t)snprintf(list + at, size - at, "%s%s", at ? ", " : "", shapes[i].name);
}

/* ---- random numbers ---- */

/* Sum of four 16-bit numbers: mean 0, variance 1, nearly Gaussian, at most 3.46. */
static float gauss(uint64_t key, uint64_t i) {
    const uint64_t r = bert_synth_draw(key, i);
    const uint64_t sum = (r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48);
    return (float)((int)sum - 131070) * (1.7320508f / 65536);
}

/* The half next to x, as a float. */
static float to_half(float x) {
    uint32_t bits;
    if (fabsf(x) < 0x1p-14f) return rintf(x * 0x1p24f) * 0x1p-24f;
    memcpy(&bits, &x, sizeof bits);
    bits += 0xfff + (bits >> 13 & 1);
    bits &= ~(uint32_t)0x1fff;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

/* ---- tensors, in the order of the file ---- */

enum kind { PLAIN, GAMMA, UP, UP_BIAS, DOWN, WIDE };

struct tensor {
    char name[160];
    int rows, cols; /* rows 0: a vector */
    enum kind kind;
    float mean, spread;
    float wide; /* WIDE: factor of the rows of such heads */
    int turned; /* 1: in x out, as GPT-2 has its maps */
};

struct list {
    struct tensor *t;
    const struct bert_config *c;
    int n;
    float wide; /* factor of queries and keys in heads of wide scores */
    char prefix[64];
};

static void add(struct list *l, const char *name, const char *part, int rows, int cols,
                enum kind kind, double mean, double spread) {
    struct tensor *t = &l->t[l->n++];
    snprintf(t->name, sizeof t->name, "%s%s.%s", l->prefix, name, part);
    t->rows = rows;
    t->cols = cols;
    t->kind = kind;
    t->mean = (float)mean;
    t->spread = (float)spread;
}

static void add_linear(struct list *l, const char *name, int in, int out, double gain) {
    add(l, name, "weight", out, in, PLAIN, 0, gain / sqrt(in));
    add(l, name, "bias", 0, out, PLAIN, 0, 0.02);
}

static void add_norm(struct list *l, const char *name, int hidden) {
    add(l, name, "weight", 0, hidden, GAMMA, 0.85, 0.08);
    add(l, name, "bias", 0, hidden, PLAIN, 0, 0.08);
}

static int is_wide(int i) { // of layers, and of heads in such a layer
    return i % 4 == 0;
}

static void add_scores(struct list *l, const char *name, int hidden, int layer) {
    add_linear(l, name, hidden, hidden, 1.2);
    if (!is_wide(layer)) return;
    l->t[l->n - 2].kind = WIDE;
    l->t[l->n - 2].wide = l->wide;
}

static void add_layer(struct list *l, const struct bert_config *c, int layer) {
    const struct bert_arch_tensors *a = &bert_archs[c->arch].name;
    const int h = c->hidden;
    add_scores(l, a->q, h, layer);
    add_scores(l, a->k, h, layer);
    add_linear(l, a->v, h, h, 1);
    add_linear(l, a->o, h, h, 0.6);
    add_norm(l, a->ln1, h);
    add(l, a->ffn1, "weight", c->ffn, h, UP, 0, 1.1 / sqrt(h));
    add(l, a->ffn1, "bias", 0, c->ffn, UP_BIAS, -0.1, 0.1);
    add(l, a->ffn2, "weight", h, c->ffn, DOWN, 0, 1.1 / sqrt(c->ffn));
    add(l, a->ffn2, "bias", 0, h, PLAIN, 0, 0.02);
    add_norm(l, a->ln2, h);
}

// in x out
static void add_turned(struct list *l, const char *name, int in, int out, enum kind kind,
                       double gain) {
    add(l, name, "weight", in, out, kind, 0, gain / sqrt(in));
    l->t[l->n - 1].turned = 1;
    if (kind == UP)
        add(l, name, "bias", 0, out, UP_BIAS, -0.1, 0.1);
    else
        add(l, name, "bias", 0, out, PLAIN, 0, 0.02);
}

/* The stream of a GPT-2 is never normalised: embeddings are large enough not to be lost in it. */
static void add_gpt2(struct list *l, const struct bert_config *c) {
    const int h = c->hidden;
    snprintf(l->prefix, sizeof l->prefix, "transformer.");
    add(l, "wte", "weight", c->vocab, h, PLAIN, 0, 0.3);
    add(l, "wpe", "weight", c->positions, h, PLAIN, 0, 0.1);
    for (int i = 0; i < c->layers; i++) {
        snprintf(l->prefix, sizeof l->prefix, "transformer.h.%d.", i);
        add_norm(l, "ln_1", h);
        add_turned(l, "attn.c_attn", h, 3 * h, PLAIN, 1.2);
        add_turned(l, "attn.c_proj", h, h, PLAIN, 0.6);
        add_norm(l, "ln_2", h);
        add_turned(l, "mlp.c_fc", h, c->ffn, UP, 1.1);
        add_turned(l, "mlp.c_proj", c->ffn, h, DOWN, 0.6);
    }
    snprintf(l->prefix, sizeof l->prefix, "transformer.");
    add_norm(l, "ln_f", h);
}

enum { OUTSIDE = 11, PER_LAYER = 16 }; // tensors at most

static void add_embeddings(struct list *l, const struct bert_config *c) {
    const int e = bert_embedding(c);
    add(l, "embeddings.word_embeddings", "weight", c->vocab, e, PLAIN, 0, 0.042);
    add(l, "embeddings.position_embeddings", "weight", c->positions, e, PLAIN, 0, 0.014);
    if (c->type_vocab)
        add(l, "embeddings.token_type_embeddings", "weight", c->type_vocab, e, PLAIN, 0, 0.01);
    add_norm(l, "embeddings.LayerNorm", e);
    if (c->embedding) add_linear(l, bert_archs[c->arch].name.emb_map, e, c->hidden, 1);
}

static void add_all(struct list *l, const struct bert_config *c) {
    const struct bert_arch_tensors *a = &bert_archs[c->arch].name;
    if (c->arch == BERT_ARCH_GPT2) {
        add_gpt2(l, c);
        return;
    }
    snprintf(l->prefix, sizeof l->prefix, "%s", a->body);
    add_embeddings(l, c);
    for (int i = 0; i < bert_stored_layers(c); i++) {
        snprintf(l->prefix, sizeof l->prefix, "%s%s%d.%s", a->body, a->layers, i, a->in_layer);
        add_layer(l, c, i);
    }
    snprintf(l->prefix, sizeof l->prefix, "%s", a->pooler ? a->body : "");
    add_linear(l, a->pooler ? a->pooler : a->dense, c->hidden, c->hidden, 0.8);
    l->prefix[0] = 0;
    add_linear(l, a->classifier, c->hidden, c->labels, 2);
}

/* ---- values ---- */

struct maker {
    const struct bert_config *c;
    const struct tensor *t;
    uint64_t key; /* of the tensor */
};

static int is_outlier(const struct bert_config *c, size_t feature) { // two of them
    return feature % (size_t)(c->hidden / 2) == (size_t)c->hidden / 5;
}

static int is_loud(const struct bert_config *c, size_t neuron) { // four of them
    return neuron % (size_t)(c->ffn / 4) == (size_t)c->ffn / 9;
}

static float value(const struct maker *m, size_t i) {
    const struct tensor *t = m->t;
    const size_t first = i / (size_t)t->cols, second = i % (size_t)t->cols;
    const size_t row = t->turned ? second : first, col = t->turned ? first : second;
    const float x = t->mean + t->spread * gauss(m->key, i);
    if (t->kind == GAMMA && is_outlier(m->c, i)) return x / 3;
    if (t->kind == UP && is_loud(m->c, row)) return 2.2f * x;
    if (t->kind == UP_BIAS && is_loud(m->c, i)) return x - 2;
    if (t->kind == WIDE && is_wide((int)row / (m->c->hidden / m->c->heads))) return t->wide * x;
    if (t->kind == DOWN && is_loud(m->c, col) && is_outlier(m->c, row))
        return (x < 0 ? -0.8f : 0.8f) * sqrtf((float)m->c->hidden);
    return x;
}

/* What to_half gave fits exactly, so narrowing cannot fail. */
static void make(uint16_t *half, const void *of, int tensor, uint64_t key, size_t from, size_t n) {
    enum { STEP = 4096 };
    const struct list *l = of;
    const struct maker m = {l->c, &l->t[tensor], key};
#pragma omp parallel for schedule(static)
    for (size_t at = 0; at < n; at += STEP) {
        float x[STEP];
        const size_t k = n - at < STEP ? n - at : STEP;
        for (size_t i = 0; i < k; i++) x[i] = to_half(value(&m, from + at + i));
        bert_tensors_narrow(half + at, x, k, "F16");
    }
}

static struct bert_synth_place place(const void *of, int i) {
    const struct tensor *t = &((const struct list *)of)->t[i];
    return (struct bert_synth_place){t->name, t->rows, t->cols};
}

static int write_weights(const char *path, const struct bert_config *c, uint64_t seed,
                         double wide) {
    struct list l = {.t = calloc((size_t)(OUTSIDE + PER_LAYER * c->layers), sizeof *l.t), .c = c};
    l.wide = wide > WIDE_FROM ? sqrtf((float)(wide / WIDE_FROM)) : 1;
    if (!l.t) return thor_fail(THOR_MEMORY, "no memory for %d layers", c->layers);
    add_all(&l, c);
    const struct bert_synth_file file = {l.n, "F16", &l, place, make};
    const int st = bert_synth_file_write(path, &file, seed);
    free(l.t);
    return st;
}

/* ---- the configuration ---- */

static void set_int(json_t *o, const char *key, int value) {
    if (key) json_object_set_new(o, key, json_integer(value));
}

static json_t *label_names(const struct bert_config *c) {
    char key[16];
    json_t *names = json_object();
    for (int i = 0; i < c->labels; i++) {
        snprintf(key, sizeof key, "%d", i);
        json_object_set_new(names, key, json_string(c->label_names[i]));
    }
    return names;
}

static int write_config(const char *path, const struct bert_config *c) {
    const struct bert_arch_row *a = &bert_archs[c->arch];
    const struct bert_arch_keys *key = &a->key;
    json_t *root =
        json_pack("{s:[s], s:s, s:s}", "architectures", a->sequence, "model_type", a->types[0],
                  key->activation, bert_activations[c->activation].names[0]);
    set_int(root, key->hidden, c->hidden);
    set_int(root, key->layers, c->layers);
    set_int(root, key->heads, c->heads);
    set_int(root, key->ffn, c->ffn);
    set_int(root, "vocab_size", c->vocab);
    set_int(root, key->positions, c->positions);
    set_int(root, key->types, c->type_vocab);
    set_int(root, key->embedding, bert_embedding(c));
    set_int(root, a->pad_first ? "pad_token_id" : NULL, c->first_position - 1);
    set_int(root, c->arch == BERT_ARCH_GPT2 ? "bos_token_id" : NULL, c->first_token);
    if (key->eps) json_object_set_new(root, key->eps, json_real(c->eps));
    if (c->head != BERT_HEAD_STATE) json_object_set_new(root, "id2label", label_names(c));
    return bert_json_save(root, path);
}

int bert_synth_write(const char *dir, const struct bert_config *c, uint64_t seed, int texts,
                     double wide) {
    int st = THOR_OK;
    char path[4200];
    TRY(bert_synth_check(c));
    if (c->arch == BERT_ARCH_GPT2 && wide > 0)
        return thor_fail(THOR_USAGE, "wide scores are not made for a GPT-2");
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (bert_file_exists(path))
        return thor_fail(THOR_USAGE,
                         "%s: is there already and is not overwritten; name another folder", path);
    TRY(write_weights(path, c, seed, wide));
    TRY(bert_synth_vocab(dir, c));
    snprintf(path, sizeof path, "%s/texts.tsv", dir);
    TRY(bert_synth_texts(path, c, seed, texts));
    snprintf(path, sizeof path, "%s/config.json", dir);
    TRY(write_config(path, c));
out:
    return st;
}
