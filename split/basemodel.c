#include "split/basemodel.h"

#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/architecture.h"
#include "bert/input/jsonfile.h"
#include "bert/input/shards.h"
#include "split/scorehead.h"
#include "split/weights.h"

#define CONFIG_BYTES_MAX ((size_t)1 << 20)

const char *const split_map_names[SPLIT_MAPS] = {"q", "k", "v", "o", "gate", "up", "down"};

static const char *const gpt2_maps[SPLIT_MAPS] = {
    "attn.c_attn", "attn.c_attn", "attn.c_attn", "attn.c_proj", NULL, "mlp.c_fc", "mlp.c_proj"};
static const char *const llama_maps[SPLIT_MAPS] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

static void set_width(struct split_base *b, enum split_map map, int in, int out) {
    b->in[map] = in;
    b->out[map] = out;
}

/* ---- BERT, GPT-2 ---- */

static int name_encoder(struct split_base *b, enum bert_arch arch) {
    const struct bert_arch_row *row = &bert_archs[arch];
    const struct bert_arch_tensors *n = &row->name;
    const char *const maps[SPLIT_MAPS] = {n->q, n->k, n->v, n->o, NULL, n->ffn1, n->ffn2};
    if (row->shared)
        return thor_fail(THOR_MODEL,
                         "%s has one layer's weights for all: an adapter of single "
                         "layers does not fit it",
                         row->title);
    memcpy(b->map, maps, sizeof maps);
    b->body = n->body;
    b->layer_list = n->layers;
    b->head = n->classifier;
    return THOR_OK;
}

static int take_known(struct split_base *b, const char *folder) {
    int st = THOR_OK;
    struct bert_config c;
    TRY(bert_config_load(&c, folder));
    b->layers = c.layers;
    b->hidden = c.hidden;
    for (int m = SPLIT_MAP_Q; m <= SPLIT_MAP_O; m++)
        set_width(b, (enum split_map)m, c.hidden, c.hidden);
    set_width(b, SPLIT_MAP_UP, c.hidden, c.ffn);
    set_width(b, SPLIT_MAP_DOWN, c.ffn, c.hidden);
    if (c.arch != BERT_ARCH_GPT2) {
        b->labels = c.head == BERT_HEAD_CLASSIFIER && c.task == BERT_ONE_OF ? c.labels : 0;
        return name_encoder(b, c.arch);
    }
    memcpy(b->map, gpt2_maps, sizeof gpt2_maps);
    b->joint = 1;
    b->body = "transformer.";
    b->layer_list = "h.";
out:
    return st;
}

/* ---- Llama ---- */

static int get_size(int *v, const json_t *config, const char *key, int otherwise) {
    const json_t *o = json_object_get(config, key);
    const json_int_t i = o && !json_is_null(o) ? json_integer_value(o) : otherwise;
    if (i < 1 || i > 1 << 20)
        return thor_fail(THOR_MODEL, "config.json: %s is missing or impossible", key);
    *v = (int)i;
    return THOR_OK;
}

static int take_llama(struct split_base *b, const json_t *config) {
    int st = THOR_OK, heads = 1, groups = 1, head = 1, ffn = 1;
    TRY(get_size(&b->hidden, config, "hidden_size", 0));
    TRY(get_size(&b->layers, config, "num_hidden_layers", 0));
    TRY(get_size(&heads, config, "num_attention_heads", 0));
    TRY(get_size(&groups, config, "num_key_value_heads", heads));
    TRY(get_size(&head, config, "head_dim", b->hidden / heads));
    TRY(get_size(&ffn, config, "intermediate_size", 0));
    if ((int64_t)heads * head > 1 << 20 || groups > heads)
        TRY(thor_fail(THOR_MODEL, "config.json: %d heads of %d columns", heads, head));
    set_width(b, SPLIT_MAP_Q, b->hidden, heads * head);
    set_width(b, SPLIT_MAP_K, b->hidden, groups * head);
    set_width(b, SPLIT_MAP_V, b->hidden, groups * head);
    set_width(b, SPLIT_MAP_O, heads * head, b->hidden);
    set_width(b, SPLIT_MAP_GATE, b->hidden, ffn);
    set_width(b, SPLIT_MAP_UP, b->hidden, ffn);
    set_width(b, SPLIT_MAP_DOWN, ffn, b->hidden);
    memcpy(b->map, llama_maps, sizeof llama_maps);
    b->body = "model.";
    b->layer_list = "layers.";
out:
    return st;
}

/* The classifier of a decoder, if any. */
static int take_score(struct split_base *b, const char *folder) {
    int st = THOR_OK;
    struct bert_config c = {.labels = 0};
    TRY(split_score_config(&c, folder));
    b->labels = c.labels;
    b->head = c.labels ? SPLIT_SCORE : NULL;
    b->no_bias = c.labels > 0;
out:
    return st;
}

int split_base_read(struct split_base *b, const char *folder) {
    int st = THOR_OK;
    char path[4200];
    json_t *config = NULL;
    *b = (struct split_base){0};
    snprintf(path, sizeof path, "%.4000s/config.json", folder);
    TRY(bert_json_read(&config, path, CONFIG_BYTES_MAX, BERT_JSON_SMALL, 0, THOR_MODEL));
    const char *type = json_string_value(json_object_get(config, "model_type"));
    if (split_llama_is(type)) {
        if ((st = take_llama(b, config)) != THOR_OK) thor_fail_in(st, folder);
    } else {
        st = take_known(b, folder);
    }
    if (st == THOR_OK && !b->head) TRY(take_score(b, folder));
out:
    json_decref(config);
    return st;
}

int split_base_hash(struct split_base *b, const char *folder) {
    int st = THOR_OK;
    char path[4200];
    struct bert_shards *file = NULL;
    split_weights_path(path, sizeof path, folder);
    TRY(bert_shards_open(&file, path));
    TRY(bert_shards_hash(&b->hash, file));
out:
    bert_shards_close(file);
    return st;
}

/* ---- names ---- */

void split_base_name(char *name, size_t size, const struct split_base *b, const char *body,
                     int layer, int map) {
    snprintf(name, size, "%s%s%d.%s", body, b->layer_list, layer, b->map[map]);
}

void split_base_ask(struct split_adapter_ask *ask, const struct split_base *b, unsigned maps) {
    *ask = (struct split_adapter_ask){
        .layers = b->layers, .maps = maps, .labels = b->labels, .hidden = b->hidden};
    ask->no_bias = b->no_bias;
    memcpy(ask->in, b->in, sizeof b->in);
    memcpy(ask->out, b->out, sizeof b->out);
}

int split_base_fits(const struct split_base *b, const struct split_adapter *a) {
    if (a->layers != b->layers)
        return thor_fail(THOR_MODEL, "an adapter of %d layers and a model of %d: not its adapter",
                         a->layers, b->layers);
    if (a->labels &&
        (a->labels != b->labels || a->hidden != b->hidden || (a->head_b == NULL) != b->no_bias))
        return thor_fail(THOR_MODEL,
                         "the adapter's classifier is %d x %d, the model's %d x %d: not its "
                         "adapter",
                         a->labels, a->hidden, b->labels, b->hidden);
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (a->lora[m].a && (a->lora[m].in != b->in[m] || a->lora[m].out != b->out[m]))
            return thor_fail(
                THOR_MODEL, "map %s is %d x %d in the adapter and %d x %d in the model",
                split_map_names[m], a->lora[m].out, a->lora[m].in, b->out[m], b->in[m]);
    if (a->base && b->hash && a->base != b->hash)
        return thor_fail(THOR_USAGE, "the adapter was trained on other weights than those of this "
                                     "model: name the model that it was trained on");
    return THOR_OK;
}

int split_maps_parse(unsigned *maps, const char *list, const int in[SPLIT_MAPS]) {
    *maps = 0;
    for (int m = 0; m < SPLIT_MAPS && strcmp(list, "all") == 0; m++)
        if (in[m]) *maps |= 1u << m;
    if (*maps) return THOR_OK;
    for (const char *at = list;; at++) {
        const size_t n = strcspn(at, ",");
        int m = 0;
        while (m < SPLIT_MAPS && (strncmp(split_map_names[m], at, n) != 0 || split_map_names[m][n]))
            m++;
        if (m == SPLIT_MAPS)
            return thor_fail(THOR_USAGE,
                             "%.60s: maps are all, or of q, k, v, o, gate, up, down "
                             "with commas between",
                             list);
        if (!in[m])
            return thor_fail(THOR_USAGE, "%.60s: the model has no map %s", list,
                             split_map_names[m]);
        *maps |= 1u << m;
        at += n;
        if (!*at) return THOR_OK;
    }
}
