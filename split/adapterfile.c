#include "split/adapterfile.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "bert/input/safetensors.h"
#include "split/tensorfile.h"

#define IN_PEFT "base_model.model."
#define JSON_BYTES_MAX ((size_t)1 << 20)
enum { NAME = 256, PATH = 4200 };

struct place { /* of a folder */
    char tensors[PATH], config[PATH], own[PATH];
};

static void find_place(struct place *p, const char *folder) {
    snprintf(p->tensors, PATH, "%.4000s/adapter_model.safetensors", folder);
    snprintf(p->config, PATH, "%.4000s/adapter_config.json", folder);
    snprintf(p->own, PATH, "%.4000s/thor_adapter.json", folder);
}

static int is_of_qkv(int map) {
    return map <= SPLIT_MAP_V;
}

/* How many of q, k, v are adapted. */
static int joined(unsigned maps) {
    return __builtin_popcount(maps & 7u);
}

static void tensor_name(char *name, const struct split_base *b, int layer, int map,
                        const char *part) {
    char module[NAME - 60];
    split_base_name(module, sizeof module, b, b->body, layer, map);
    snprintf(name, NAME, IN_PEFT "%s.lora_%s.weight", module, part);
}

/* ---- c_attn of GPT-2: q, k and v in one ---- */

/* A: n rank x in; B: 3 out x n rank, block diagonal but for maps that are not adapted. */
struct joint {
    int n, rank, in, out;
    double *a, *b;
};

static void joint_free(struct joint *j) {
    if (j->a) sodium_memzero(j->a, (size_t)(j->n * j->rank) * (size_t)(j->in + 3 * j->out) * 8);
    free(j->a);
    *j = (struct joint){0};
}

static int joint_alloc(struct joint *j, const struct split_adapter *a) {
    *j = (struct joint){.n = joined(a->maps), .rank = a->rank};
    j->in = a->lora[__builtin_ctz(a->maps)].in;
    j->out = a->lora[__builtin_ctz(a->maps)].out;
    const size_t rows = (size_t)(j->n * j->rank);
    j->a = calloc(rows * (size_t)(j->in + 3 * j->out), sizeof *j->a);
    if (!j->a) return thor_fail(THOR_MEMORY, "no memory for the adapter of a layer");
    j->b = j->a + rows * (size_t)j->in;
    return THOR_OK;
}

/* The place of element (o, r) of the k-th adapted map, which is number `map` of q, k, v. */
static size_t joint_at(const struct joint *j, int map, int k, int o, int r) {
    const size_t row = (size_t)map * (size_t)j->out + (size_t)o;
    return row * (size_t)(j->n * j->rank) + (size_t)(k * j->rank + r);
}

static void joint_fill(struct joint *j, const struct split_lora *l) {
    const size_t each = (size_t)j->rank * (size_t)j->in;
    for (int m = 0, k = 0; m <= SPLIT_MAP_V; m++) {
        if (!l[m].a) continue;
        memcpy(j->a + (size_t)k * each, l[m].a, each * sizeof *j->a);
        for (int o = 0; o < j->out; o++)
            for (int r = 0; r < j->rank; r++)
                j->b[joint_at(j, m, k, o, r)] = l[m].b[(size_t)o * (size_t)j->rank + (size_t)r];
        k++;
    }
}

/* 0 where something stands outside the blocks: it was changed elsewhere. */
static int joint_split(const struct joint *j, struct split_lora *l) {
    const size_t each = (size_t)j->rank * (size_t)j->in;
    size_t inside = 0, all = 0;
    for (size_t i = 0; i < (size_t)(3 * j->out) * (size_t)(j->n * j->rank); i++)
        all += j->b[i] != 0;
    for (int m = 0, k = 0; m <= SPLIT_MAP_V; m++) {
        if (!l[m].a) continue;
        memcpy(l[m].a, j->a + (size_t)k * each, each * sizeof *j->a);
        for (int o = 0; o < j->out; o++)
            for (int r = 0; r < j->rank; r++) {
                const double v = j->b[joint_at(j, m, k, o, r)];
                l[m].b[(size_t)o * (size_t)j->rank + (size_t)r] = v;
                inside += v != 0;
            }
        k++;
    }
    return inside == all;
}

/* ---- writing ---- */

/* 1: the tensors of this map are written under its own name. */
static int stands_alone(const struct split_adapter *a, const struct split_base *b, int map) {
    return a->lora[map].a && !(b->joint && is_of_qkv(map));
}

static int list_all(struct split_tensor_list *list, const struct split_adapter *a,
                    const struct split_base *b) {
    int st = THOR_OK;
    char name[NAME];
    const int n = b->joint ? joined(a->maps) : 0;
    for (int i = 0; i < a->layers * SPLIT_MAPS; i++) {
        const int layer = i / SPLIT_MAPS, m = i % SPLIT_MAPS;
        const int first = n && m == SPLIT_MAP_Q;
        if (!first && !stands_alone(a, b, m)) continue;
        tensor_name(name, b, layer, m, "A");
        TRY(split_list_add_f32(list, name, (first ? n : 1) * a->rank, b->in[m]));
        tensor_name(name, b, layer, m, "B");
        TRY(split_list_add_f32(list, name, (first ? 3 : 1) * b->out[m], (first ? n : 1) * a->rank));
    }
    if (!a->labels) goto out;
    snprintf(name, NAME, IN_PEFT "%s.weight", b->head);
    TRY(split_list_add_f32(list, name, a->labels, a->hidden));
    snprintf(name, NAME, IN_PEFT "%s.bias", b->head);
    if (a->head_b) TRY(split_list_add_f32(list, name, 0, a->labels));
out:
    return st;
}

static int write_joint(struct ckks_file_out *f, const struct split_adapter *a, int layer) {
    int st = THOR_OK;
    struct joint j;
    TRY(joint_alloc(&j, a));
    const size_t rows = (size_t)(j.n * j.rank);
    joint_fill(&j, a->lora + layer * SPLIT_MAPS);
    TRY(split_write_f32(f, j.a, rows * (size_t)j.in));
    TRY(split_write_f32(f, j.b, rows * (size_t)(3 * j.out)));
out:
    joint_free(&j);
    return st;
}

static int write_values(struct ckks_file_out *f, const struct split_adapter *a,
                        const struct split_base *b) {
    int st = THOR_OK;
    for (int i = 0; i < a->layers * SPLIT_MAPS; i++) {
        const int layer = i / SPLIT_MAPS, m = i % SPLIT_MAPS;
        const struct split_lora *l = &a->lora[i];
        if (b->joint && joined(a->maps) && m == SPLIT_MAP_Q) TRY(write_joint(f, a, layer));
        if (!stands_alone(a, b, m)) continue;
        TRY(split_write_f32(f, l->a, (size_t)a->rank * (size_t)l->in));
        TRY(split_write_f32(f, l->b, (size_t)a->rank * (size_t)l->out));
    }
    if (!a->labels) goto out;
    TRY(split_write_f32(f, a->head_w, (size_t)a->labels * (size_t)a->hidden));
    if (a->head_b) TRY(split_write_f32(f, a->head_b, (size_t)a->labels));
out:
    return st;
}

static int write_tensors(const struct split_adapter *a, const char *path,
                         const struct split_base *b) {
    int st = THOR_OK;
    struct split_tensor_list list;
    struct ckks_file_out *f = NULL;
    TRY(split_list_begin(&list));
    TRY(list_all(&list, a, b));
    TRY(split_list_create(&f, &list, path, CKKS_FILE_PRIVATE));
    TRY(write_values(f, a, b));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    split_list_end(&list);
    return st;
}

/* PEFT adapts a module whose name ends in one of a list.  "output.dense" of a BERT would be two
 * modules: a pattern of whole names tells them apart. */
static json_t *target_modules(const struct split_adapter *a, const struct split_base *b) {
    char pattern[400] = ".*\\.\\d+\\.(";
    json_t *list = json_array();
    const char *last = NULL;
    const int alike = b->map[SPLIT_MAP_DOWN] && strcmp(b->map[SPLIT_MAP_DOWN], "output.dense") == 0;
    for (int m = 0; m < SPLIT_MAPS; m++) {
        if (!a->lora[m].a || b->map[m] == last) continue;
        if (last) strcat(pattern, "|");
        last = b->map[m];
        strncat(pattern, last, 40);
        json_array_append_new(list, json_string(last));
    }
    if (!alike || !(a->maps >> SPLIT_MAP_DOWN & 1) || a->maps >> SPLIT_MAP_O & 1) return list;
    json_decref(list);
    return json_string(strcat(pattern, ")"));
}

static int write_config(const struct split_adapter *a, const char *path, const struct split_base *b,
                        const char *model) {
    json_t *root = json_pack(
        "{s:s, s:s, s:s?, s:i, s:f, s:f, s:s, s:o, s:b, s:b, s:b, s:b, s:b}", "peft_type", "LORA",
        "task_type", a->labels || b->labels ? "SEQ_CLS" : "CAUSAL_LM", "base_model_name_or_path",
        model, "r", a->rank, "lora_alpha", a->alpha, "lora_dropout", 0.0, "bias", "none",
        "target_modules", target_modules(a, b), "fan_in_fan_out", b->joint, "use_rslora", 0,
        "use_dora", 0, "init_lora_weights", 1, "inference_mode", 1);
    const int n = b->joint ? joined(a->maps) : 0;
    if (a->labels) json_object_set_new(root, "modules_to_save", json_pack("[s]", b->head));
    if (n > 1) {
        json_object_set_new(root, "rank_pattern",
                            json_pack("{s:i}", b->map[SPLIT_MAP_Q], n * a->rank));
        json_object_set_new(root, "alpha_pattern",
                            json_pack("{s:f}", b->map[SPLIT_MAP_Q], n * a->alpha));
    }
    return bert_json_save(root, path);
}

static int write_own(const struct split_adapter *a, const char *path, const struct split_base *b) {
    const uint64_t base = b->hash ? b->hash : a->base;
    char hash[20] = "";
    json_t *maps = json_array();
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (a->maps >> m & 1) json_array_append_new(maps, json_string(split_map_names[m]));
    if (base) snprintf(hash, sizeof hash, "%016" PRIx64, base);
    return bert_json_save(json_pack("{s:o, s:b, s:s*}", "maps", maps, "frozen_a", a->frozen_a,
                                    "weights", base ? hash : NULL),
                          path);
}

int split_adapter_save(const struct split_adapter *a, const char *folder,
                       const struct split_base *b, const char *model) {
    int st = THOR_OK;
    struct place p;
    find_place(&p, folder);
    TRY(split_base_fits(b, a));
    TRY(write_tensors(a, p.tensors, b));
    TRY(write_own(a, p.own, b));
    TRY(write_config(a, p.config, b, model));
out:
    return st;
}

/* ---- reading ---- */

struct reading {
    const struct split_base *b;
    struct bert_tensors *file;
    json_t *config, *own; /* own NULL: written elsewhere */
    const char *folder;
};

static int refuse(const struct reading *r, const char *what) {
    return thor_fail(THOR_MODEL, "%.300s/adapter_config.json: %s", r->folder, what);
}

static int is_on(const struct reading *r, const char *key) {
    return json_is_true(json_object_get(r->config, key));
}

static int check_kind(const struct reading *r) {
    const char *kind = json_string_value(json_object_get(r->config, "peft_type"));
    const char *bias = json_string_value(json_object_get(r->config, "bias"));
    if (!kind || strcmp(kind, "LORA") != 0) return refuse(r, "peft_type is not LORA");
    if (bias && strcmp(bias, "none") != 0) return refuse(r, "trained biases are not supported");
    if (is_on(r, "use_dora") || is_on(r, "lora_bias") || is_on(r, "use_bdlora") ||
        is_on(r, "use_qalora"))
        return refuse(r, "DoRA, QALoRA and biases of adapters are not supported");
    return THOR_OK;
}

/* alpha of the scale alpha / rank, also where the file means alpha / sqrt(rank). */
static int get_rank(struct split_adapter_ask *ask, const struct reading *r) {
    const json_int_t rank = json_integer_value(json_object_get(r->config, "r"));
    ask->alpha = json_number_value(json_object_get(r->config, "lora_alpha"));
    if (rank < 1 || rank > SPLIT_RANK_MAX || !(ask->alpha > 0) || !isfinite(ask->alpha))
        return refuse(r, "r or lora_alpha is missing or impossible");
    ask->rank = (int)rank;
    if (is_on(r, "use_rslora")) ask->alpha *= sqrt(ask->rank);
    return THOR_OK;
}

/* Maps are those of layer 0's tensors; of c_attn all three, unless thor_adapter.json says which. */
static int get_maps(struct split_adapter_ask *ask, const struct reading *r) {
    char name[NAME];
    const json_t *own = json_object_get(r->own, "maps");
    unsigned said = 0;
    for (size_t i = 0; i < json_array_size(own); i++)
        for (int m = 0; m < SPLIT_MAPS; m++) {
            const char *s = json_string_value(json_array_get(own, i));
            if (s && strcmp(s, split_map_names[m]) == 0) said |= 1u << m;
        }
    for (int m = 0; m < SPLIT_MAPS; m++) {
        if (!r->b->map[m]) continue;
        tensor_name(name, r->b, 0, m, "A");
        if (!bert_tensors_has(r->file, name)) continue;
        if (!r->own || !r->b->joint || !is_of_qkv(m) || said >> m & 1) ask->maps |= 1u << m;
    }
    snprintf(name, NAME, IN_PEFT "%s.weight", r->b->head ? r->b->head : "classifier");
    ask->labels = r->b->labels && bert_tensors_has(r->file, name) ? r->b->labels : 0;
    ask->frozen_a = json_is_true(json_object_get(r->own, "frozen_a"));
    if (ask->maps || ask->labels) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.300s: no tensor of the adapter is of this model's maps",
                     r->folder);
}

static int read_doubles(double *to, const struct reading *r, const char *name, int rows, int cols) {
    const size_t n = (size_t)(rows ? rows : 1) * (size_t)cols;
    int st = bert_tensors_expect(r->file, name, rows, cols);
    float *x = st == THOR_OK ? malloc(n * sizeof *x) : NULL;
    if (st != THOR_OK) return st;
    if (!x) return thor_fail(THOR_MEMORY, "no memory for tensor %s", name);
    TRY(bert_tensors_read(x, r->file, name, rows, cols));
    for (size_t i = 0; i < n; i++) to[i] = (double)x[i];
out:
    sodium_memzero(x, n * sizeof *x);
    free(x);
    return st;
}

/* c_attn from here: the blocks of joint_fill. */
static int read_blocks(struct split_adapter *a, const struct reading *r, int layer) {
    int st = THOR_OK;
    char name[NAME];
    struct joint j;
    TRY(joint_alloc(&j, a));
    tensor_name(name, r->b, layer, SPLIT_MAP_Q, "A");
    TRY(read_doubles(j.a, r, name, j.n * j.rank, j.in));
    tensor_name(name, r->b, layer, SPLIT_MAP_Q, "B");
    TRY(read_doubles(j.b, r, name, 3 * j.out, j.n * j.rank));
    if (!joint_split(&j, a->lora + layer * SPLIT_MAPS))
        TRY(thor_fail(THOR_MODEL,
                      "%.300s: tensor %s was changed elsewhere: remove "
                      "thor_adapter.json beside it",
                      r->folder, name));
out:
    joint_free(&j);
    return st;
}

/* c_attn from elsewhere: one A, a B of three parts. */
static int read_shared(struct split_adapter *a, const struct reading *r, int layer) {
    int st = THOR_OK;
    char name[NAME];
    struct split_lora *l = a->lora + layer * SPLIT_MAPS;
    const size_t part = (size_t)l->out * (size_t)a->rank;
    double *b = malloc(3 * part * sizeof *b);
    if (!b) return thor_fail(THOR_MEMORY, "no memory for the adapter of a layer");
    tensor_name(name, r->b, layer, SPLIT_MAP_Q, "B");
    TRY(read_doubles(b, r, name, 3 * l->out, a->rank));
    tensor_name(name, r->b, layer, SPLIT_MAP_Q, "A");
    for (int m = 0; m <= SPLIT_MAP_V; m++) {
        TRY(read_doubles(l[m].a, r, name, a->rank, l->in));
        memcpy(l[m].b, b + (size_t)m * part, part * sizeof *b);
    }
out:
    sodium_memzero(b, 3 * part * sizeof *b);
    free(b);
    return st;
}

static int read_layer(struct split_adapter *a, const struct reading *r, int layer) {
    int st = THOR_OK;
    char name[NAME];
    if (r->b->joint && joined(a->maps))
        TRY(r->own ? read_blocks(a, r, layer) : read_shared(a, r, layer));
    for (int m = 0; m < SPLIT_MAPS; m++) {
        const struct split_lora *l = &a->lora[layer * SPLIT_MAPS + m];
        if (!stands_alone(a, r->b, m)) continue;
        tensor_name(name, r->b, layer, m, "A");
        TRY(read_doubles(l->a, r, name, a->rank, l->in));
        tensor_name(name, r->b, layer, m, "B");
        TRY(read_doubles(l->b, r, name, l->out, a->rank));
    }
out:
    return st;
}

/* Every tensor of the file is one of the adapter's: none is left out without a word. */
static int check_all(const struct split_adapter *a, const struct reading *r) {
    int st = THOR_OK;
    const char *name;
    json_t *entry;
    struct split_tensor_list known;
    TRY(split_list_begin(&known));
    TRY(list_all(&known, a, r->b));
    json_object_foreach((json_t *)bert_tensors_list(r->file), name,
                        entry) if (strcmp(name, "__metadata__") != 0 &&
                                   !json_object_get(known.header, name))
        TRY(thor_fail(THOR_MODEL, "%.300s: tensor %s is of no map that can be adapted here",
                      r->folder, name));
out:
    split_list_end(&known);
    return st;
}

static int read_head(struct split_adapter *a, const struct reading *r) {
    int st = THOR_OK;
    char name[NAME];
    if (!a->labels) return THOR_OK;
    snprintf(name, NAME, IN_PEFT "%s.weight", r->b->head);
    TRY(read_doubles(a->head_w, r, name, a->labels, a->hidden));
    snprintf(name, NAME, IN_PEFT "%s.bias", r->b->head);
    if (a->head_b) TRY(read_doubles(a->head_b, r, name, 0, a->labels));
out:
    return st;
}

/* Of files from elsewhere, and of older ones: not known. */
static int read_base(uint64_t *base, const struct reading *r) {
    const json_t *o = json_object_get(r->own, "weights");
    const char *text = json_string_value(o);
    char *end = NULL;
    if (!o) return THOR_OK;
    *base = text && strlen(text) == 16 && !strchr("+- ", *text) ? strtoull(text, &end, 16) : 0;
    if (end && !*end) return THOR_OK;
    return thor_fail(THOR_MODEL, "%.300s/thor_adapter.json: weights is no hash of 16 digits",
                     r->folder);
}

static int open_files(struct reading *r) {
    int st = THOR_OK;
    struct place p;
    find_place(&p, r->folder);
    TRY(bert_json_read(&r->config, p.config, JSON_BYTES_MAX, BERT_JSON_SMALL, 0, THOR_MODEL));
    if (bert_file_exists(p.own))
        TRY(bert_json_read(&r->own, p.own, JSON_BYTES_MAX, BERT_JSON_SMALL, 0, THOR_MODEL));
    TRY(bert_tensors_open(&r->file, p.tensors));
out:
    return st;
}

int split_adapter_load(struct split_adapter *a, const char *folder, const struct split_base *b) {
    int st = THOR_OK;
    struct reading r = {.b = b, .folder = folder};
    struct split_adapter_ask ask;
    *a = (struct split_adapter){0};
    split_base_ask(&ask, b, 0);
    TRY(open_files(&r));
    TRY(check_kind(&r));
    TRY(get_rank(&ask, &r));
    TRY(get_maps(&ask, &r));
    TRY(split_adapter_make(a, &ask, NULL));
    for (int i = 0; i < a->layers; i++) TRY(read_layer(a, &r, i));
    TRY(read_head(a, &r));
    TRY(read_base(&a->base, &r));
    TRY(check_all(a, &r));
out:
    bert_tensors_close(r.file);
    json_decref(r.config);
    json_decref(r.own);
    if (st != THOR_OK) split_adapter_free(a);
    return st;
}
