/* Matrices are uniform with deviation g/sqrt(in), the norms' weights uniform in 0.7 .. 1,
 * embeddings of deviation 1/sqrt(hidden) where they are the head too, else 1.  Element i of tensor
 * t is a function of (seed, t, i) alone, so that threads may share the work. */
#include "bert/synth/synthllama.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "bert/input/text.h"
#include "bert/synth/synthfile.h"
#include "bert/synth/synthwords.h"

static const struct bert_synth_llama shapes[] = {
    {"llama-tiny", 128, 2, 4, 2, 32, 352, 1024, 256, 10000, 1e-5, 4, 64, 1},
    {"smollm-135m", 576, 30, 9, 3, 64, 1536, 49152, 2048, 10000, 1e-5, 0, 0, 1},
    {"llama-1b", 2048, 16, 32, 8, 64, 8192, 128256, 131072, 500000, 1e-5, 32, 8192, 1}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

const struct bert_synth_llama *bert_synth_llama_shape(const char *name) {
    for (int i = 0; i < SHAPES; i++)
        if (strcmp(shapes[i].name, name) == 0) return &shapes[i];
    return NULL;
}

void bert_synth_llama_names(char *list, size_t size) {
    size_t at = 0;
    list[0] = 0;
    for (int i = 0; i < SHAPES && at < size; i++)
        at += (size_t)snprintf(list + at, size - at, "%s%s", at ? ", " : "", shapes[i].name);
}

/* ---- tensors, in the order of the file ---- */

struct tensor {
    char name[80];
    int rows, cols;      /* rows 0: a vector */
    float middle, reach; /* uniform in middle +- reach */
};

struct list {
    struct tensor *t;
    int n;
};

static void add(struct list *l, const char *front, const char *name, int rows, int cols,
                double middle, double deviation) {
    struct tensor *t = &l->t[l->n++];
    snprintf(t->name, sizeof t->name, "%s%s.weight", front, name);
    t->rows = rows;
    t->cols = cols;
    t->middle = (float)middle;
    t->reach = (float)(sqrt(3) * deviation);
}

static void add_map(struct list *l, const char *front, const char *name, int in, int out,
                    double gain) {
    add(l, front, name, out, in, 0, gain / sqrt(in));
}

static void add_norm(struct list *l, const char *front, const char *name, int width) {
    add(l, front, name, 0, width, 0.85, 0.15 / sqrt(3));
}

enum { OUTSIDE = 3, PER_LAYER = 9 };

static void add_all(struct list *l, const struct bert_synth_llama *s) {
    const int h = s->hidden, q = s->heads * s->head, kv = s->groups * s->head;
    char p[40];
    add(l, "model.", "embed_tokens", s->vocab, h, 0, s->tied ? 1 / sqrt(h) : 1);
    for (int i = 0; i < s->layers; i++) {
        snprintf(p, sizeof p, "model.layers.%d.", i);
        add_norm(l, p, "input_layernorm", h);
        add_map(l, p, "self_attn.q_proj", h, q, 1.2);
        add_map(l, p, "self_attn.k_proj", h, kv, 1.2);
        add_map(l, p, "self_attn.v_proj", h, kv, 1);
        add_map(l, p, "self_attn.o_proj", q, h, 0.5);
        add_norm(l, p, "post_attention_layernorm", h);
        add_map(l, p, "mlp.gate_proj", h, s->ffn, 1.2);
        add_map(l, p, "mlp.up_proj", h, s->ffn, 1);
        add_map(l, p, "mlp.down_proj", s->ffn, h, 0.5);
    }
    add_norm(l, "model.", "norm", h);
    if (!s->tied) add(l, "", "lm_head", s->vocab, h, 0, 1 / sqrt(h));
}

/* Rounded to the nearest of BF16, which is the upper half of a float. */
static void make(uint16_t *to, const void *of, int tensor, uint64_t key, size_t from, size_t n) {
    const struct tensor *t = &((const struct list *)of)->t[tensor];
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < n; i++) {
        const int64_t r = (int64_t)(bert_synth_draw(key, from + i) >> 40) - (1 << 23);
        const float x = t->middle + t->reach * (float)r * 0x1p-23f;
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        to[i] = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
    }
}

static struct bert_synth_place place(const void *of, int i) {
    const struct tensor *t = &((const struct list *)of)->t[i];
    return (struct bert_synth_place){t->name, t->rows, t->cols};
}

static int write_weights(const char *path, const struct bert_synth_llama *s, uint64_t seed) {
    struct list l = {.t = calloc((size_t)(OUTSIDE + PER_LAYER * s->layers), sizeof *l.t)};
    if (!l.t) return thor_fail(THOR_MEMORY, "no memory for %d layers", s->layers);
    add_all(&l, s);
    const struct bert_synth_file file = {l.n, "BF16", &l, place, make};
    const int st = bert_synth_file_write(path, &file, seed);
    free(l.t);
    return st;
}

static int write_config(const char *path, const struct bert_synth_llama *s) {
    json_t *root = json_pack(
        "{s:[s], s:s, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:s, s:b, s:i}",
        "architectures", "LlamaForCausalLM", "model_type", "llama", "hidden_size", s->hidden,
        "num_hidden_layers", s->layers, "num_attention_heads", s->heads, "num_key_value_heads",
        s->groups, "head_dim", s->head, "intermediate_size", s->ffn, "vocab_size", s->vocab,
        "max_position_embeddings", s->positions, "rms_norm_eps", s->eps, "rope_theta", s->theta,
        "hidden_act", "silu", "tie_word_embeddings", s->tied, "bos_token_id", s->vocab - 1);
    if (s->factor > 0)
        json_object_set_new(root, "rope_scaling",
                            json_pack("{s:s, s:f, s:f, s:f, s:i}", "rope_type", "llama3", "factor",
                                      s->factor, "low_freq_factor", 1.0, "high_freq_factor", 4.0,
                                      "original_max_position_embeddings", s->original));
    return bert_json_save(root, path);
}

int bert_synth_llama_write(const char *dir, const struct bert_synth_llama *s, uint64_t seed,
                           int texts) {
    int st = THOR_OK;
    char path[4200];
    const int positions = s->positions < BERT_MAX_TOKENS ? s->positions : BERT_MAX_TOKENS;
    const struct bert_config words = {
        .arch = BERT_ARCH_GPT2, .vocab = s->vocab, .max_positions = positions, .labels = 2};
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    if (bert_file_exists(path))
        return thor_fail(THOR_USAGE,
                         "%s: is there already and is not overwritten; name another folder", path);
    TRY(write_weights(path, s, seed));
    TRY(bert_synth_tokenizer(dir, s->vocab));
    snprintf(path, sizeof path, "%s/texts.tsv", dir);
    TRY(bert_synth_texts(path, &words, seed, texts));
    snprintf(path, sizeof path, "%s/config.json", dir);
    TRY(write_config(path, s));
out:
    return st;
}
