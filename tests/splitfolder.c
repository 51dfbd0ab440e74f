#include "splitfolder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void splitfolder_draw(double *x, size_t n, uint32_t seed, double gain, double one) {
    for (size_t i = 0; i < n; i++) {
        seed = (seed * 1103515245u + 12345u) & 0x7fffffffu;
        x[i] = one + gain * ((int)(seed >> 16) % 211 - 105) / 1024;
    }
}

// tensor number n seeds itself; gains are powers of two, so that floats hold the values exactly
static void add(struct splitfolder *f, const char *front, const char *name, int rows, int cols,
                double gain, double one) {
    struct splitfolder_tensor *t = &f->tensor[f->n++];
    const size_t count = (size_t)rows * (size_t)(cols ? cols : 1);
    double *x = malloc(count * sizeof *x);
    assert_true(f->n <= SPLITFOLDER_TENSORS);
    t->w = malloc(count * sizeof *t->w);
    assert_true(x && t->w);
    snprintf(t->name, sizeof t->name, "%s%s", front, name);
    t->rows = rows;
    t->cols = cols;
    splitfolder_draw(x, count, (uint32_t)f->n, gain, one);
    for (size_t i = 0; i < count; i++) t->w[i] = (float)x[i];
    free(x);
}

static void add_norm(struct splitfolder *f, const char *front, const char *name, int width,
                     int bias) {
    char full[80];
    snprintf(full, sizeof full, "%s.weight", name);
    add(f, front, full, width, 0, 1, 1);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) add(f, front, full, width, 0, 1, 0);
}

// bias: so many values, 0: none
static void add_map(struct splitfolder *f, const char *front, const char *name, int rows, int cols,
                    int bias) {
    char full[80];
    snprintf(full, sizeof full, "%s.weight", name);
    add(f, front, full, rows, cols, 4, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    if (bias) add(f, front, full, bias, 0, 1, 0);
}

enum { LAYERS = 2, VOCAB = 30 };

static void add_bert(struct splitfolder *f) {
    enum { H = 16, F = 24, POSITIONS = 16, LABELS = 3 };
    static const char e[] = "bert.embeddings.";
    char p[40];
    add(f, e, "word_embeddings.weight", VOCAB, H, 8, 0);
    add(f, e, "position_embeddings.weight", POSITIONS, H, 4, 0);
    add(f, e, "token_type_embeddings.weight", 2, H, 4, 0);
    add_norm(f, e, "LayerNorm", H, 1);
    for (int i = 0; i < LAYERS; i++) {
        snprintf(p, sizeof p, "bert.encoder.layer.%d.", i);
        add_map(f, p, "attention.self.query", H, H, H);
        add_map(f, p, "attention.self.key", H, H, H);
        add_map(f, p, "attention.self.value", H, H, H);
        add_map(f, p, "attention.output.dense", H, H, H);
        add_norm(f, p, "attention.output.LayerNorm", H, 1);
        add_map(f, p, "intermediate.dense", F, H, F);
        add_map(f, p, "output.dense", H, F, H);
        add_norm(f, p, "output.LayerNorm", H, 1);
    }
    add_map(f, "bert.pooler.", "dense", H, H, H);
    add(f, "", "classifier.weight", LABELS, H, 8, 0);
    add(f, "", "classifier.bias", LABELS, 0, 1, 0);
}

static void add_gpt2(struct splitfolder *f, int labels) {
    enum { H = 16, F = 64, POSITIONS = 16 };
    char p[40];
    add(f, "transformer.", "wte.weight", VOCAB, H, 8, 0);
    add(f, "transformer.", "wpe.weight", POSITIONS, H, 4, 0);
    for (int i = 0; i < LAYERS; i++) {
        snprintf(p, sizeof p, "transformer.h.%d.", i);
        add_norm(f, p, "ln_1", H, 1);
        add_map(f, p, "attn.c_attn", H, 3 * H, 3 * H);
        add_map(f, p, "attn.c_proj", H, H, H);
        add_norm(f, p, "ln_2", H, 1);
        add_map(f, p, "mlp.c_fc", H, F, F);
        add_map(f, p, "mlp.c_proj", F, H, H);
    }
    add_norm(f, "transformer.", "ln_f", H, 1);
    if (labels) add(f, "", "score.weight", labels, H, 8, 0);
}

static void add_llama(struct splitfolder *f, int q, int kv, int bias, int tied, int labels) {
    enum { H = 24, F = 40 };
    char p[40];
    add(f, "model.", "embed_tokens.weight", VOCAB, H, 8, 0);
    for (int i = 0; i < LAYERS; i++) {
        snprintf(p, sizeof p, "model.layers.%d.", i);
        add_norm(f, p, "input_layernorm", H, 0);
        add_norm(f, p, "post_attention_layernorm", H, 0);
        add_map(f, p, "self_attn.q_proj", q, H, bias * q);
        add_map(f, p, "self_attn.k_proj", kv, H, bias * kv);
        add_map(f, p, "self_attn.v_proj", kv, H, bias * kv);
        add_map(f, p, "self_attn.o_proj", H, q, 0);
        add_map(f, p, "mlp.gate_proj", F, H, 0);
        add_map(f, p, "mlp.up_proj", F, H, 0);
        add_map(f, p, "mlp.down_proj", H, F, 0);
    }
    add_norm(f, "model.", "norm", H, 0);
    if (labels) add(f, "", "score.weight", labels, H, 8, 0);
    if (!tied && !labels) add(f, "", "lm_head.weight", VOCAB, H, 8, 0);
}

/* ---- files */

static FILE *create(const char *dir, const char *name) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    return out;
}

static void write_text(const char *dir, const char *name, const char *text) {
    FILE *out = create(dir, name);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static size_t count(const struct splitfolder_tensor *t) {
    return (size_t)t->rows * (size_t)(t->cols ? t->cols : 1);
}

static void write_weights(const struct splitfolder *f, const char *dir) {
    static char text[1 << 15];
    size_t used = 1, at = 0;
    text[0] = '{';
    for (int i = 0; i < f->n; i++) {
        const struct splitfolder_tensor *t = &f->tensor[i];
        char shape[32];
        snprintf(shape, sizeof shape, t->cols ? "%d,%d" : "%d", t->rows, t->cols);
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],"
                                 "\"data_offsets\":[%zu,%zu]}",
                                 i ? "," : "", t->name, shape, 4 * at, 4 * (at + count(t)));
        at += count(t);
    }
    assert_true(used < sizeof text - 8);
    text[used++] = '}';
    while (used % 8) text[used++] = ' ';
    const uint64_t size = used;
    FILE *out = create(dir, "model.safetensors");
    fwrite(&size, sizeof size, 1, out);
    fwrite(text, used, 1, out);
    for (int i = 0; i < f->n; i++)
        fwrite(f->tensor[i].w, sizeof *f->tensor[i].w, count(&f->tensor[i]), out);
    assert_int_equal(fclose(out), 0);
}

static void write_words(const char *dir) { // of BERT
    FILE *out = create(dir, "vocab.txt");
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", out);
    for (int i = 4; i < VOCAB; i++) fprintf(out, "%c\n", 'a' + i - 4);
    assert_int_equal(fclose(out), 0);
}

// one byte each, the last is what stands before every text
static void write_bytes(FILE *out, const char *last) {
    for (int i = 0; i < VOCAB - 1; i++)
        fprintf(out, "%s\"%c\": %d", i ? ", " : "{", 'A' + i + (i > 26), i);
    fprintf(out, ", \"%s\": %d}", last, VOCAB - 1);
}

static void write_gpt2_tokenizer(const char *dir) {
    FILE *out = create(dir, "vocab.json");
    write_bytes(out, "<|endoftext|>");
    assert_int_equal(fclose(out), 0);
    write_text(dir, "merges.txt", "#version: 0.2\n");
}

static void write_llama_tokenizer(const char *dir) {
    FILE *out = create(dir, "tokenizer.json");
    fputs("{\"version\": \"1.0\", \"normalizer\": null, \"model\": {\"type\": \"BPE\", \"merges\": "
          "[], \"vocab\": ",
          out);
    write_bytes(out, "<|begin|>");
    fputs("}, \"pre_tokenizer\": {\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
          "\"trim_offsets\": true, \"use_regex\": true},\n \"added_tokens\": [{\"id\": 29, "
          "\"content\": \"<|begin|>\", \"single_word\": false, \"lstrip\": false, \"rstrip\": "
          "false, \"normalized\": false, \"special\": true}],\n \"post_processor\": {\"type\": "
          "\"TemplateProcessing\", \"single\": [{\"SpecialToken\": {\"id\": \"<|begin|>\", "
          "\"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], \"pair\": "
          "[{\"SpecialToken\": {\"id\": \"<|begin|>\", \"type_id\": 0}}, {\"Sequence\": {\"id\": "
          "\"A\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"B\", \"type_id\": 0}}], "
          "\"special_tokens\": {\"<|begin|>\": {\"id\": \"<|begin|>\", \"ids\": [29], \"tokens\": "
          "[\"<|begin|>\"]}}}}\n",
          out);
    assert_int_equal(fclose(out), 0);
    write_text(dir, "tokenizer_config.json",
               "{\"tokenizer_class\": \"PreTrainedTokenizerFast\", "
               "\"bos_token\": \"<|begin|>\"}\n");
}

#define LLAMA_SIZES                                                                                \
    "\"hidden_size\": 24, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "                  \
    "\"num_key_value_heads\": 2, \"head_dim\": 8, \"intermediate_size\": 40, \"vocab_size\": 30, " \
    "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-5, \"hidden_act\": \"silu\", "          \
    "\"tie_word_embeddings\": false, \"rope_theta\": 100.0, \"rope_scaling\": {\"rope_type\": "    \
    "\"llama3\", \"factor\": 4.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "           \
    "\"original_max_position_embeddings\": 16}"

static void write_config(const char *dir, const char *name) {
    static const char *const config[][2] = {
        {"gpt2-score", "{\"model_type\": \"gpt2\", \"architectures\": "
                       "[\"GPT2ForSequenceClassification\"], \"n_embd\": 16, \"n_layer\": 2, "
                       "\"n_head\": 2, \"vocab_size\": 30, \"n_positions\": 16, "
                       "\"pad_token_id\": 7, \"id2label\": {\"0\": \"no\", \"1\": \"perhaps\", "
                       "\"2\": \"yes\"}}\n"},
        {"llama-score", "{\"model_type\": \"llama\", \"architectures\": "
                        "[\"LlamaForSequenceClassification\"], " LLAMA_SIZES
                        ", \"pad_token_id\": 11, \"num_labels\": 3}\n"},
        {"bert", "{\"model_type\": \"bert\", \"architectures\": "
                 "[\"BertForSequenceClassification\"], \"hidden_size\": 16, "
                 "\"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"intermediate_size\": 24, "
                 "\"vocab_size\": 30, \"max_position_embeddings\": 16, \"type_vocab_size\": 2, "
                 "\"num_labels\": 3, \"layer_norm_eps\": 1e-12}\n"},
        {"gpt2", "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], "
                 "\"n_embd\": 16, \"n_layer\": 2, \"n_head\": 2, \"vocab_size\": 30, "
                 "\"n_positions\": 16, \"layer_norm_epsilon\": 1e-5}\n"},
        {"llama",
         "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], " LLAMA_SIZES
         "}\n"},
        {"qwen2", "{\"model_type\": \"qwen2\", \"architectures\": [\"Qwen2ForCausalLM\"], "
                  "\"hidden_size\": 24, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                  "\"num_key_value_heads\": 1, \"intermediate_size\": 40, \"vocab_size\": 30, "
                  "\"max_position_embeddings\": 64, \"rms_norm_eps\": 1e-6, "
                  "\"hidden_act\": \"silu\", \"tie_word_embeddings\": true, "
                  "\"use_sliding_window\": false, \"sliding_window\": 16, "
                  "\"rope_parameters\": {\"rope_type\": \"default\", \"rope_theta\": 1e6}}\n"}};
    for (size_t i = 0; i < sizeof config / sizeof *config; i++)
        if (strncmp(name, config[i][0], strlen(config[i][0])) == 0) {
            write_text(dir, "config.json", config[i][1]);
            return;
        }
}

/* ---- the service */

struct piece {
    const char *name;
    int turned; /* stored in x out */
};

static const struct piece *pieces(const struct splitfolder *f, enum split_stage stage) {
    static const struct piece bert[SPLIT_STAGES][4] = {
        {{"attention.self.query", 0}, {"attention.self.key", 0}, {"attention.self.value", 0}},
        {{"attention.output.dense", 0}},
        {{"intermediate.dense", 0}},
        {{".output.dense", 0}}};
    static const struct piece gpt2[SPLIT_STAGES][4] = {
        {{"attn.c_attn", 1}}, {{"attn.c_proj", 1}}, {{"mlp.c_fc", 1}}, {{"mlp.c_proj", 1}}};
    static const struct piece llama[SPLIT_STAGES][4] = {
        {{"self_attn.q_proj", 0}, {"self_attn.k_proj", 0}, {"self_attn.v_proj", 0}},
        {{"self_attn.o_proj", 0}},
        {{"mlp.gate_proj", 0}, {"mlp.up_proj", 0}},
        {{"mlp.down_proj", 0}}};
    const char first = f->tensor[0].name[0];
    return first == 'b' ? bert[stage] : first == 't' ? gpt2[stage] : llama[stage];
}

static const struct splitfolder_tensor *find(const struct splitfolder *f, int layer,
                                             const char *name) {
    char part[80];
    for (int i = 0; i < f->n; i++) {
        const char *full = f->tensor[i].name;
        snprintf(part, sizeof part, "%d%s%s.weight", layer, name[0] == '.' ? "" : ".", name);
        const size_t n = strlen(full), end = strlen(part);
        if (n > end && strcmp(full + n - end, part) == 0) return &f->tensor[i];
    }
    fail_msg("no tensor %s of layer %d", name, layer);
    return NULL;
}

static double weight(const struct splitfolder_tensor *t, int turned, int o, int c) {
    return turned ? t->w[(size_t)c * (size_t)t->cols + (size_t)o]
                  : t->w[(size_t)o * (size_t)t->cols + (size_t)c];
}

// y += (x W^T or x W) of one tensor whose outputs begin at `from` of the stage's
static void multiply(double *y, const double *x, const struct splitfolder *f,
                     const struct split_ask *ask, const struct splitfolder_tensor *t, int turned,
                     int from) {
    const size_t in = (size_t)f->service.shape.in[ask->stage],
                 out = (size_t)f->service.shape.out[ask->stage];
    const int outs = turned ? t->cols : t->rows;
    for (size_t i = 0; i < (size_t)ask->tokens; i++)
        for (int o = 0; o < outs; o++)
            for (int c = 0; c < (int)in; c++) {
                const double w = weight(t, turned, o, c);
                if (ask->transposed)
                    y[i * in + (size_t)c] += w * x[i * out + (size_t)(from + o)];
                else
                    y[i * out + (size_t)(from + o)] += w * x[i * in + (size_t)c];
            }
}

static int product(struct split_service *s, double *y, const struct split_ask *ask,
                   const double *x) {
    struct splitfolder *f = (struct splitfolder *)s;
    const struct piece *p = pieces(f, ask->stage);
    const int *wide = ask->transposed ? s->shape.in : s->shape.out;
    int from = 0;
    if (f->asks < SPLITFOLDER_ASKS) f->asked[f->asks] = *ask;
    if (++f->asks == f->fail_at) return thor_fail(THOR_IO, "the service does not answer");
    memset(y, 0, (size_t)ask->tokens * (size_t)wide[ask->stage] * sizeof *y);
    for (int i = 0; i < 3 && p[i].name; i++) {
        const struct splitfolder_tensor *t = find(f, ask->layer, p[i].name);
        multiply(y, x, f, ask, t, p[i].turned, from);
        from += p[i].turned ? t->cols : t->rows;
    }
    return THOR_OK;
}

static void set_shape(struct splitfolder *f) {
    struct split_shape *s = &f->service.shape;
    s->layers = LAYERS;
    for (int i = 0; i < SPLIT_STAGES; i++) {
        const struct piece *p = pieces(f, (enum split_stage)i);
        for (int k = 0; k < 3 && p[k].name; k++) {
            const struct splitfolder_tensor *t = find(f, 0, p[k].name);
            s->in[i] = p[k].turned ? t->rows : t->cols;
            s->out[i] += p[k].turned ? t->cols : t->rows;
        }
    }
}

/* ---- all */

void splitfolder_write(struct splitfolder *f, const char *dir, const char *name) {
    *f = (struct splitfolder){.service.product = product};
    const int labels = strstr(name, "-score") ? 3 : 0;
    if (strncmp(name, "bert", 4) == 0) {
        add_bert(f);
        write_words(dir);
    } else if (strncmp(name, "gpt2", 4) == 0) {
        add_gpt2(f, labels);
        write_gpt2_tokenizer(dir);
    } else {
        const int qwen = strcmp(name, "qwen2") == 0;
        add_llama(f, qwen ? 24 : 32, qwen ? 6 : 16, qwen, qwen, labels);
        write_llama_tokenizer(dir);
    }
    set_shape(f);
    write_config(dir, name);
    write_weights(f, dir);
}

void splitfolder_free(struct splitfolder *f) {
    for (int i = 0; i < f->n; i++) free(f->tensor[i].w);
}

void splitfolder_adapter(struct split_adapter *a, const struct split_model *m, int classes) {
    const struct split_config *c = split_model_config(m);
    struct split_adapter_ask ask = {.layers = c->layers, .rank = 2, .alpha = 3, .labels = classes};
    ask.hidden = c->hidden;
    ask.no_bias = c->labels && split_model_causal(m);
    split_model_widths(ask.in, ask.out, m);
    for (int i = 0; i < SPLIT_MAPS; i++) ask.maps |= ask.in[i] ? 1u << i : 0;
    if (split_adapter_make(a, &ask, NULL) != THOR_OK) fail_msg("%s", thor_error());
    for (int i = 0; i < c->layers * SPLIT_MAPS; i++) {
        const struct split_lora *l = &a->lora[i];
        const uint32_t seed = (uint32_t)(1000 + 100 * (i / SPLIT_MAPS) + 2 * (i % SPLIT_MAPS));
        if (!l->b) continue;
        splitfolder_draw(l->a, (size_t)(2 * l->in), seed, 4, 0);
        splitfolder_draw(l->b, (size_t)(2 * l->out), seed + 1, 4, 0);
    }
    if (!classes) return;
    splitfolder_draw(a->head_w, (size_t)(classes * c->hidden), 2000, 8, 0);
    if (a->head_b) splitfolder_draw(a->head_b, (size_t)classes, 2001, 1, 0);
}
