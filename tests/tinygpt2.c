#include "tinygpt2.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"

enum { HEADER = 16384, WEIGHTS = 1 << 18 };

struct writer {
    char text[HEADER];
    size_t used, count;
    unsigned tensors;
    const char *front;
    float w[WEIGHTS];
};

// one + gain (-105 .. 105)/1024 by a generator that the number of the tensor seeds
static void tensor(struct writer *f, const char *name, int rows, int cols, float gain, float one) {
    char shape[32];
    const size_t n = (size_t)rows * (size_t)(cols ? cols : 1);
    uint32_t s = ++f->tensors;
    snprintf(shape, sizeof shape, cols ? "%d,%d" : "%d", rows, cols);
    f->used += (size_t)snprintf(
        f->text + f->used, HEADER - f->used,
        "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
        f->used > 1 ? "," : "", f->front, name, shape, 4 * f->count, 4 * (f->count + n));
    assert_true(f->used < HEADER - 16 && f->count + n <= WEIGHTS);
    for (size_t i = 0; i < n; i++) {
        s = (s * 1103515245u + 12345u) & 0x7fffffffu;
        f->w[f->count++] =
            one + gain * ((float)(s >> 16) - 211 * (float)((s >> 16) / 211) - 105) / 1024;
    }
}

static void layer(struct writer *f, int l, int H) {
    static const struct {
        const char *name;
        int in, out; /* in H; in 0: a LayerNorm */
        float gain;
    } part[] = {{"ln_1", 0, 1, 1}, {"attn.c_attn", 1, 3, 4}, {"attn.c_proj", 1, 1, 2},
                {"ln_2", 0, 1, 1}, {"mlp.c_fc", 1, 4, 4},    {"mlp.c_proj", 4, 1, 2}};
    char name[64];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "h.%d.%s.weight", l, part[i].name);
        if (part[i].in)
            tensor(f, name, part[i].in * H, part[i].out * H, part[i].gain, 0);
        else
            tensor(f, name, H, 0, 1, 1);
        snprintf(name, sizeof name, "h.%d.%s.bias", l, part[i].name);
        tensor(f, name, part[i].out * H, 0, 1, 0);
    }
}

static void write_weights(const char *dir, const struct tinygpt2 *t) {
    char path[4200];
    struct writer *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->front = t->front;
    f->text[f->used++] = '{';
    tensor(f, "wte.weight", t->vocab, t->hidden, 8, 0);
    tensor(f, "wpe.weight", t->positions, t->hidden, 2, 0);
    for (int l = 0; l < t->layers; l++) layer(f, l, t->hidden);
    tensor(f, "ln_f.weight", t->hidden, 0, 1, 1);
    tensor(f, "ln_f.bias", t->hidden, 0, 1, 0);
    if (t->head) {
        f->front = "";
        tensor(f, "lm_head.weight", t->vocab, t->hidden, 8, 0);
        memcpy(f->w + f->count - (size_t)(t->vocab * t->hidden), f->w,
               (size_t)(t->vocab * t->hidden) * sizeof *f->w);
        f->w[f->count - 1] += (float)(t->head - 1);
    }
    f->text[f->used++] = '}';
    const uint64_t size = f->used;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    fwrite(&size, sizeof size, 1, out);
    fwrite(f->text, f->used, 1, out);
    fwrite(f->w, f->count * sizeof *f->w, 1, out);
    assert_int_equal(fclose(out), 0);
    free(f);
}

// one byte each, from "A" on; the last is <|endoftext|>
static void write_vocabulary(const char *dir, int vocab) {
    char path[4200];
    snprintf(path, sizeof path, "%s/vocab.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < vocab - 1; i++)
        fprintf(f, "%s\"%c\": %d", i ? ", " : "{", 'A' + i + (i > 26), i);
    fprintf(f, ", \"<|endoftext|>\": %d}\n", vocab - 1);
    fclose(f);
    snprintf(path, sizeof path, "%s/merges.txt", dir);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("#version: 0.2\n", f);
    fclose(f);
}

void tinygpt2_write(const char *dir, const struct tinygpt2 *t) {
    char path[4200];
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"model_type\": \"gpt2\", \"architectures\": [\"GPT2LMHeadModel\"], "
            "\"n_embd\": %d, \"n_layer\": %d, \"n_head\": %d, \"vocab_size\": %d, "
            "\"n_positions\": %d%s}\n",
            t->hidden, t->layers, t->heads, t->vocab, t->positions, t->config);
    fclose(f);
    write_vocabulary(dir, t->vocab);
    write_weights(dir, t);
}

struct bert_model *tinygpt2_load(const struct tinygpt2 *t) {
    struct bert_model *m = NULL;
    tinygpt2_write(scratch_path("."), t);
    if (bert_model_load(&m, scratch_path(".")) != THOR_OK) fail_msg("%s", thor_error());
    return m;
}

void tinygpt2_tokens(struct bert_tokens *t, const struct bert_model *m, int n, unsigned seed) {
    *t = (struct bert_tokens){.n = n};
    for (int i = 1; i < n; i++) {
        seed = (seed * 1103515245u + 12345u) & 0x7fffffffu;
        t->ids[i] = (int)(seed >> 16) % (m->cfg.vocab - 1);
    }
    t->ids[0] = m->cfg.vocab - 1;
}
