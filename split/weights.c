#include "split/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/architecture.h"
#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "bert/input/shards.h"

enum { TENSORS = 3, MAX_LAYERS = 1000, MAX_WIDTH = 1 << 20 };

struct split_weights {
    struct split_shape shape;
    struct bert_shards *file;
    char front[64], behind[64]; /* of names, around the number of the layer */
    int across;                 /* 1: stored in x out */
    int one_layer;              /* 1: one layer's weights for all */
    struct tensor {
        const char *name; /* NULL: no more */
        int rows;
    } tensor[SPLIT_STAGES][TENSORS];
};

const struct split_shape *split_weights_shape(const struct split_weights *w) {
    return &w->shape;
}

int split_weights_hash(uint64_t *hash, const struct split_weights *w) {
    return bert_shards_hash(hash, w->file);
}

int split_ask_check(const struct split_ask *ask, const struct split_shape *shape) {
    const int stage = (int)ask->stage;
    if (ask->layer < 0 || ask->layer >= shape->layers)
        return thor_fail(THOR_USAGE, "layer %d of a model with layers 0..%d", ask->layer,
                         shape->layers - 1);
    if (stage < 0 || stage >= SPLIT_STAGES || ask->transposed < 0 || ask->transposed > 1)
        return thor_fail(THOR_USAGE, "stage %d of a layer with stages 0..%d", stage,
                         SPLIT_STAGES - 1);
    if (ask->tokens < 1 || ask->tokens > SPLIT_TOKENS_MAX)
        return thor_fail(THOR_USAGE, "%d tokens: 1..%d at once", ask->tokens, SPLIT_TOKENS_MAX);
    return THOR_OK;
}

/* ---- names ---- */

static void put(struct split_weights *w, enum split_stage stage, int i, const char *name, int in,
                int rows) {
    w->tensor[stage][i] = (struct tensor){name, rows};
    w->shape.in[stage] = in;
    w->shape.out[stage] += rows;
}

static int get_int(int *v, const json_t *config, const char *key, int most, int usual) {
    const json_t *o = json_object_get(config, key);
    const json_int_t n = o && !json_is_null(o) ? json_integer_value(o) : usual;
    if (n < 1 || n > most)
        return thor_fail(THOR_MODEL, "config.json: %s must be a whole number in 1..%d", key, most);
    *v = (int)n;
    return THOR_OK;
}

static int name_llama(struct split_weights *w, const json_t *config) {
    int st = THOR_OK, hidden = 0, heads = 1, groups = 1, head = 1, ffn = 0;
    TRY(get_int(&hidden, config, "hidden_size", MAX_WIDTH, 0));
    TRY(get_int(&w->shape.layers, config, "num_hidden_layers", MAX_LAYERS, 0));
    TRY(get_int(&ffn, config, "intermediate_size", MAX_WIDTH, 0));
    TRY(get_int(&heads, config, "num_attention_heads", 1024, 0));
    TRY(get_int(&groups, config, "num_key_value_heads", heads, heads));
    TRY(get_int(&head, config, "head_dim", 1024, hidden / heads));
    put(w, SPLIT_QKV, 0, "self_attn.q_proj", hidden, heads * head);
    put(w, SPLIT_QKV, 1, "self_attn.k_proj", hidden, groups * head);
    put(w, SPLIT_QKV, 2, "self_attn.v_proj", hidden, groups * head);
    put(w, SPLIT_O, 0, "self_attn.o_proj", heads * head, hidden);
    put(w, SPLIT_UP, 0, "mlp.gate_proj", hidden, ffn);
    put(w, SPLIT_UP, 1, "mlp.up_proj", hidden, ffn);
    put(w, SPLIT_DOWN, 0, "mlp.down_proj", ffn, hidden);
    strcpy(w->front, "model.layers.");
    strcpy(w->behind, ".");
out:
    return st;
}

static void name_gpt2(struct split_weights *w, const struct bert_config *c) {
    w->across = 1;
    put(w, SPLIT_QKV, 0, "attn.c_attn", c->hidden, 3 * c->hidden);
    put(w, SPLIT_O, 0, "attn.c_proj", c->hidden, c->hidden);
    put(w, SPLIT_UP, 0, "mlp.c_fc", c->hidden, c->ffn);
    put(w, SPLIT_DOWN, 0, "mlp.c_proj", c->ffn, c->hidden);
    strcpy(w->front, "transformer.h.");
    strcpy(w->behind, ".");
}

static void name_bert(struct split_weights *w, const struct bert_config *c) {
    const struct bert_arch_row *a = &bert_archs[c->arch];
    const char *const qkv[TENSORS] = {a->name.q, a->name.k, a->name.v};
    w->one_layer = a->shared;
    for (int i = 0; i < TENSORS; i++) put(w, SPLIT_QKV, i, qkv[i], c->hidden, c->hidden);
    put(w, SPLIT_O, 0, a->name.o, c->hidden, c->hidden);
    put(w, SPLIT_UP, 0, a->name.ffn1, c->hidden, c->ffn);
    put(w, SPLIT_DOWN, 0, a->name.ffn2, c->ffn, c->hidden);
    snprintf(w->front, sizeof w->front, "%s%s", a->name.body, a->name.layers);
    snprintf(w->behind, sizeof w->behind, ".%s", a->name.in_layer);
}

static int name_all(struct split_weights *w, const char *folder) {
    int st = THOR_OK;
    char path[4200];
    struct bert_config *c = NULL;
    json_t *config = NULL;
    snprintf(path, sizeof path, "%.4000s/config.json", folder);
    TRY(bert_json_read(&config, path, (size_t)1 << 20, BERT_JSON_SMALL, 0, THOR_MODEL));
    if (split_llama_is(json_string_value(json_object_get(config, "model_type")))) {
        st = name_llama(w, config);
        goto out;
    }
    c = malloc(sizeof *c);
    if (!c) TRY(thor_fail(THOR_MEMORY, "no memory for a configuration"));
    TRY(bert_config_load(c, folder));
    w->shape.layers = c->layers;
    if (c->arch == BERT_ARCH_GPT2)
        name_gpt2(w, c);
    else
        name_bert(w, c);
out:
    json_decref(config);
    free(c);
    return st;
}

/* ---- files ---- */

static void tensor_name(char *name, size_t room, const struct split_weights *w, const char *front,
                        int layer, const char *tensor) {
    snprintf(name, room, "%s%d%s%s.weight", front, w->one_layer ? 0 : layer, w->behind, tensor);
}

/* Programs save a model with its name in front of all tensors, without it, or wrapped in another:
 * w->front becomes what this file has. */
static int find_front(struct split_weights *w, const char *folder) {
    static const char *const wrap[] = {"", "module.", "model.", "base_model.", "encoder."};
    char front[128], name[256];
    const char *first = w->tensor[SPLIT_QKV][0].name, *dot = strchr(w->front, '.') + 1;
    for (size_t i = 0; i < 2 * sizeof wrap / sizeof *wrap; i++) {
        snprintf(front, sizeof front, "%s%s", wrap[i / 2], i % 2 ? dot : w->front);
        tensor_name(name, sizeof name, w, front, 0, first);
        if (!bert_shards_has(w->file, name) || strlen(front) >= sizeof w->front) continue;
        strcpy(w->front, front);
        return THOR_OK;
    }
    tensor_name(name, sizeof name, w, w->front, 0, first);
    return thor_fail(THOR_MODEL, "%s: the weights have no tensor %s", folder, name);
}

static int check_tensors(const struct split_weights *w) {
    int st = THOR_OK;
    char name[256];
    for (int l = 0; l < w->shape.layers; l++)
        for (int s = 0; s < SPLIT_STAGES; s++)
            for (int i = 0; i < TENSORS && w->tensor[s][i].name; i++) {
                int rows = w->tensor[s][i].rows, in = w->shape.in[s];
                tensor_name(name, sizeof name, w, w->front, l, w->tensor[s][i].name);
                TRY(bert_shards_expect(w->file, name, w->across ? in : rows,
                                       w->across ? rows : in));
            }
out:
    return st;
}

void split_weights_path(char *path, size_t size, const char *folder) {
    snprintf(path, size, "%.4000s/model.safetensors", folder);
    if (!bert_file_exists(path))
        snprintf(path, size, "%.4000s/model.safetensors.index.json", folder);
}

int split_llama_is(const char *type) {
    static const char *const known[] = {"llama", "mistral", "qwen2"};
    for (size_t i = 0; type && i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i], type) == 0) return 1;
    return 0;
}

int split_weights_open(struct split_weights **out, const char *folder) {
    int st = THOR_OK;
    char path[4200];
    struct split_weights *w = calloc(1, sizeof *w);
    if (!w) return thor_fail(THOR_MEMORY, "no memory for a model's names");
    TRY(name_all(w, folder));
    split_weights_path(path, sizeof path, folder);
    TRY(bert_shards_open(&w->file, path));
    TRY(find_front(w, folder));
    TRY(check_tensors(w));
    *out = w;
    w = NULL;
out:
    split_weights_close(w);
    return st;
}

void split_weights_close(struct split_weights *w) {
    if (!w) return;
    bert_shards_close(w->file);
    free(w);
}

/* to (cols x rows) = from (rows x cols) turned over, in squares that a cache holds. */
static void turn(float *to, const float *from, int rows, int cols) {
    enum { SIDE = 32 };
    for (int r = 0; r < rows; r += SIDE)
        for (int c = 0; c < cols; c += SIDE)
            for (int i = r; i < rows && i < r + SIDE; i++)
                for (int j = c; j < cols && j < c + SIDE; j++)
                    to[(size_t)j * (size_t)rows + (size_t)i] =
                        from[(size_t)i * (size_t)cols + (size_t)j];
}

static int read_across(float *w, const struct split_weights *from, const char *name, int in,
                       int rows) {
    int st = THOR_OK;
    float *stored = malloc((size_t)in * (size_t)rows * sizeof *stored);
    if (!stored) return thor_fail(THOR_MEMORY, "no memory for %s", name);
    TRY(bert_shards_read(stored, from->file, name, in, rows));
    turn(w, stored, in, rows);
out:
    free(stored);
    return st;
}

int split_weights_read(float *w, const struct split_weights *from, int layer,
                       enum split_stage stage) {
    int st = THOR_OK, in = from->shape.in[stage];
    char name[256];
    for (int i = 0; i < TENSORS && from->tensor[stage][i].name; i++) {
        int rows = from->tensor[stage][i].rows;
        tensor_name(name, sizeof name, from, from->front, layer, from->tensor[stage][i].name);
        if (from->across)
            TRY(read_across(w, from, name, in, rows));
        else
            TRY(bert_shards_read(w, from->file, name, rows, in));
        w += (size_t)rows * (size_t)in;
    }
out:
    return st;
}
