/* A Llama-like decoder as it lies in its folder: config.json, and the client's tensors.
 *
 *   frequency of rotary positions, columns c and c + head/2 of every head:
 *     f_c = rope_theta^(-2c/head), then by rope_scaling
 *     linear   f / factor
 *     llama3   with w = 2 pi / f, O = original_max_position_embeddings, l and h the low and high
 *              frequency factors: f where w < O/h, f / factor where w > O/l, and between them
 *              (1 - t) f / factor + t f, t = (O/w - l) / (h - l)
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/shards.h"
#include "bert/input/tokenrules.h"
#include "split/inside.h"
#include "split/scorehead.h"
#include "split/weights.h"

struct source { // config.json
    char path[4200];
    json_t *json;
};

static json_t *field(const struct source *s, const char *key) { // NULL: not there, or null
    json_t *v = json_object_get(s->json, key);
    return json_is_null(v) ? NULL : v;
}

/* usual < min: the field must be there. */
static int get_int(int *v, const struct source *s, const char *key, int min, int max, int usual) {
    const json_t *o = field(s, key);
    const json_int_t n = o ? json_integer_value(o) : usual;
    if ((o && !json_is_integer(o)) || n < min || n > max)
        return thor_fail(THOR_MODEL, "%s: %s must be a whole number in %d..%d", s->path, key, min,
                         max);
    *v = (int)n;
    return THOR_OK;
}

static int get_real(double *v, const struct source *s, const json_t *in, const char *key,
                    double min, double max, double usual) {
    const json_t *o = json_object_get(in, key);
    *v = o && !json_is_null(o) ? json_number_value(o) : usual;
    if (*v >= min && *v <= max) return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %s must be in %g..%g", s->path, key, min, max);
}

/* Settings that would make another model of it. */
static int refuse_others(const struct source *s) {
    const json_t *act = field(s, "hidden_act"), *window = field(s, "sliding_window"),
                 *uses = field(s, "use_sliding_window"), *part = field(s, "partial_rotary_factor");
    if (act && (!json_is_string(act) || strcmp(json_string_value(act), "silu") != 0))
        return thor_fail(THOR_MODEL, "%s: hidden_act must be silu", s->path);
    if (part && json_number_value(part) != 1)
        return thor_fail(THOR_MODEL, "%s: partial_rotary_factor must be 1", s->path);
    if (window && !json_is_false(uses) && json_integer_value(window) < BERT_MAX_TOKENS)
        return thor_fail(THOR_MODEL, "%s: sliding_window must be at least %d", s->path,
                         BERT_MAX_TOKENS);
    if (field(s, "quantization_config"))
        return thor_fail(THOR_MODEL, "%s: quantized weights are not supported", s->path);
    return THOR_OK;
}

static int get_sizes(struct split_config *c, const struct source *s) {
    int st = THOR_OK;
    TRY(get_int(&c->hidden, s, "hidden_size", 8, 16384, 0));
    TRY(get_int(&c->layers, s, "num_hidden_layers", 1, 200, 0));
    TRY(get_int(&c->ffn, s, "intermediate_size", 8, 65536, 0));
    TRY(get_int(&c->vocab, s, "vocab_size", 2, 1000000, 0));
    TRY(get_int(&c->heads, s, "num_attention_heads", 1, 256, 0));
    TRY(get_int(&c->groups, s, "num_key_value_heads", 1, c->heads, c->heads));
    TRY(get_int(&c->head, s, "head_dim", 2, SPLIT_HEAD_MAX, c->hidden / c->heads));
    TRY(get_int(&c->max_positions, s, "max_position_embeddings", 4, 1 << 24, 2048));
    TRY(get_real(&c->eps, s, s->json, "rms_norm_eps", 0, 1e-3, 1e-6));
    if (c->max_positions > BERT_MAX_TOKENS) c->max_positions = BERT_MAX_TOKENS;
    if (c->heads % c->groups || c->head % 2)
        st = thor_fail(THOR_MODEL,
                       "%s: %d heads, %d of k and v, of %d columns: the first must be a "
                       "multiple of the second, the last even",
                       s->path, c->heads, c->groups, c->head);
out:
    return st;
}

static int scale_llama3(double *frequency, int n, const struct source *s, const json_t *scaling,
                        double factor) {
    int st = THOR_OK;
    double low, high, original;
    TRY(get_real(&low, s, scaling, "low_freq_factor", 1e-3, 1e6, 0));
    TRY(get_real(&high, s, scaling, "high_freq_factor", 1e-3, 1e6, 0));
    TRY(get_real(&original, s, scaling, "original_max_position_embeddings", 1, 1e9, 0));
    if (high <= low)
        TRY(thor_fail(THOR_MODEL, "%s: high_freq_factor must be above low_freq_factor", s->path));
    for (int c = 0; c < n; c++) {
        const double wave = 2 * M_PI / frequency[c], t = (original / wave - low) / (high - low);
        const double part = wave < original / high ? 1 : wave > original / low ? 0 : t;
        frequency[c] *= (1 - part) / factor + part;
    }
out:
    return st;
}

/* Newer files have all in rope_parameters, older ones rope_theta beside rope_scaling. */
static int get_frequencies(struct split_model *m, const struct source *s) {
    int st = THOR_OK;
    const json_t *all = field(s, "rope_parameters"),
                 *scaling = all ? all : field(s, "rope_scaling");
    const json_t *type = json_object_get(scaling, "rope_type");
    const char *name = json_string_value(type ? type : json_object_get(scaling, "type"));
    const int half = m->cfg.head / 2;
    double theta, factor = 1;
    const json_t *in = json_object_get(all, "rope_theta") ? all : s->json;
    TRY(get_real(&theta, s, in, "rope_theta", 1, 1e12, 10000));
    for (int c = 0; c < half; c++) m->frequency[c] = pow(theta, -2.0 * c / m->cfg.head);
    if (!scaling || (name && strcmp(name, "default") == 0)) goto out;
    TRY(get_real(&factor, s, scaling, "factor", 1, 1e6, 0));
    if (name && strcmp(name, "llama3") == 0)
        TRY(scale_llama3(m->frequency, half, s, scaling, factor));
    else if (name && strcmp(name, "linear") == 0)
        for (int c = 0; c < half; c++) m->frequency[c] /= factor;
    else
        TRY(thor_fail(THOR_MODEL, "%s: rope_type is %.40s; supported are default, linear, llama3",
                      s->path, name ? name : "missing"));
out:
    return st;
}

/* ---- tensors */

struct reader {
    struct split_model *m;
    const struct bert_shards *file;
    const char *front; /* "model." or "" */
    const json_t *architectures;
};

static int take(const float **w, struct reader *r, const char *name, int rows, int cols) {
    int st = THOR_OK;
    float *to = NULL;
    const size_t n = (size_t)(rows ? rows : 1) * (size_t)cols;
    TRY(bert_shards_expect(r->file, name, rows, cols)); // so that the size is the file's
    to = malloc(n * sizeof *to);
    if (!to) TRY(thor_fail(THOR_MEMORY, "no memory for %s (%zu MB)", name, n >> 18));
    TRY(bert_shards_read(to, r->file, name, rows, cols));
    r->m->own[r->m->owned++] = to;
    *w = to;
    to = NULL;
out:
    free(to);
    return st;
}

static int take_layer(struct reader *r, int layer) {
    static const char *const map[SPLIT_MAPS] = {
        [SPLIT_MAP_Q] = "self_attn.q_proj", [SPLIT_MAP_K] = "self_attn.k_proj",
        [SPLIT_MAP_V] = "self_attn.v_proj", [SPLIT_MAP_O] = "self_attn.o_proj",
        [SPLIT_MAP_GATE] = "mlp.gate_proj", [SPLIT_MAP_UP] = "mlp.up_proj",
        [SPLIT_MAP_DOWN] = "mlp.down_proj"};
    int st = THOR_OK, in[SPLIT_MAPS], out[SPLIT_MAPS];
    struct split_layer *l = &r->m->layer[layer];
    char front[80], name[200];
    split_model_widths(in, out, r->m);
    snprintf(front, sizeof front, "%slayers.%d.", r->front, layer);
    snprintf(name, sizeof name, "%sinput_layernorm.weight", front);
    TRY(take(&l->norm1.gamma, r, name, 0, r->m->cfg.hidden));
    snprintf(name, sizeof name, "%spost_attention_layernorm.weight", front);
    TRY(take(&l->norm2.gamma, r, name, 0, r->m->cfg.hidden));
    for (int i = 0; i < SPLIT_MAPS; i++) {
        snprintf(name, sizeof name, "%s%s.bias", front, map[i]);
        if (bert_shards_has(r->file, name)) TRY(take(&l->bias[i], r, name, 0, out[i]));
    }
out:
    return st;
}

/* A file of more layers than config.json counts would be computed in part. */
static int check_layers(const struct reader *r, const char *path) {
    char name[200];
    snprintf(name, sizeof name, "%slayers.%d.input_layernorm.weight", r->front, r->m->cfg.layers);
    if (!bert_shards_has(r->file, name)) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.300s: holds %s, but num_hidden_layers of config.json is %d",
                     path, name, r->m->cfg.layers);
}

static int take_all(struct reader *r, int tied) {
    int st = THOR_OK;
    struct split_model *m = r->m;
    const struct split_config *c = &m->cfg;
    char name[64];
    snprintf(name, sizeof name, "%sembed_tokens.weight", r->front);
    TRY(take(&m->word, r, name, c->vocab, c->hidden));
    for (int i = 0; i < c->layers; i++) TRY(take_layer(r, i));
    snprintf(name, sizeof name, "%snorm.weight", r->front);
    TRY(take(&m->last.gamma, r, name, 0, c->hidden));
    m->head = m->word; // of a classifier it is not read
    if (!tied && !split_score_is(r->architectures))
        TRY(take(&m->head, r, "lm_head.weight", c->vocab, c->hidden));
out:
    return st;
}

static int read_weights(struct split_model *m, const char *folder, const struct source *s) {
    int st = THOR_OK;
    char path[4200];
    struct bert_shards *file = NULL;
    struct reader r = {.m = m, .front = "model.", .architectures = field(s, "architectures")};
    const int tied = json_is_true(field(s, "tie_word_embeddings"));
    split_weights_path(path, sizeof path, folder);
    TRY(bert_shards_open(&file, path));
    r.file = file;
    if (!bert_shards_has(file, "model.embed_tokens.weight")) r.front = "";
    m->own = calloc((size_t)(m->cfg.layers * (SPLIT_MAPS + 2) + 3), sizeof *m->own);
    m->layer = calloc((size_t)m->cfg.layers, sizeof *m->layer);
    if (!m->own || !m->layer)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d layers", path, m->cfg.layers));
    TRY(check_layers(&r, path));
    TRY(take_all(&r, tied));
out:
    bert_shards_close(file);
    return st;
}

/* The tokenizer is bert/input's, which asks a bert_model for its sizes. */
static int read_tokenizer(struct split_model *m, const char *folder) {
    int st = THOR_OK;
    m->base = calloc(1, sizeof *m->base);
    if (!m->base) TRY(thor_fail(THOR_MEMORY, "%s: no memory for the tokenizer", folder));
    m->base->cfg = (struct bert_config){.hidden = m->cfg.hidden,
                                        .vocab = m->cfg.vocab,
                                        .max_positions = m->cfg.max_positions,
                                        .head = BERT_HEAD_STATE};
    TRY(bert_rules_load(&m->base->rules, &m->base->vocab, &m->base->cfg, folder));
out:
    return st;
}

int split_llama_open(struct split_model *m, const char *folder) {
    int st = THOR_OK;
    struct source s = {.json = NULL};
    snprintf(s.path, sizeof s.path, "%.4000s/config.json", folder);
    TRY(bert_json_read(&s.json, s.path, (size_t)1 << 20, BERT_JSON_SMALL, 0, THOR_MODEL));
    m->cfg.family = SPLIT_LLAMA;
    m->gate = SPLIT_SWIGLU;
    TRY(refuse_others(&s));
    TRY(get_sizes(&m->cfg, &s));
    TRY(get_frequencies(m, &s));
    TRY(read_tokenizer(m, folder));
    TRY(read_weights(m, folder, &s));
out:
    json_decref(s.json);
    return st;
}
