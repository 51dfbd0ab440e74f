#include "toyfolder.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "synthetic.h"

enum { HEADER = 16384, SPECIALS = 4 };

struct writer { /* the header of a safetensors file as it grows */
    char text[HEADER];
    size_t used;
    const float *base; /* first weight */
};

static FILE *create(const char *dir, const char *name) {
    char path[4200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    return f;
}

static void entry(struct writer *w, const char *prefix, const char *name, const float *at, int rows,
                  int cols) {
    char shape[32];
    size_t from = (size_t)(at - w->base) * 4, bytes = (size_t)rows * (size_t)(cols ? cols : 1) * 4;
    snprintf(shape, sizeof shape, cols ? "%d,%d" : "%d", rows, cols);
    int n = snprintf(w->text + w->used, HEADER - w->used,
                     "%s\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%zu,%zu]}",
                     w->used > 1 ? "," : "", prefix, name, shape, from, from + bytes);
    w->used += (size_t)n;
    assert_true(w->used < HEADER - 16);
}

static void linear(struct writer *w, const char *prefix, const char *name,
                   const struct bert_linear *l) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    entry(w, prefix, full, l->w, l->out, l->in);
    snprintf(full, sizeof full, "%s.bias", name);
    entry(w, prefix, full, l->b, l->out, 0);
}

static void norm(struct writer *w, const char *prefix, const char *name, const struct bert_norm *n,
                 int size) {
    char full[96];
    snprintf(full, sizeof full, "%s.weight", name);
    entry(w, prefix, full, n->gamma, size, 0);
    snprintf(full, sizeof full, "%s.bias", name);
    entry(w, prefix, full, n->beta, size, 0);
}

static void layer(struct writer *w, int i, const struct bert_layer *l, int hidden) {
    char p[64];
    snprintf(p, sizeof p, "bert.encoder.layer.%d.", i);
    linear(w, p, "attention.self.query", &l->q);
    linear(w, p, "attention.self.key", &l->k);
    linear(w, p, "attention.self.value", &l->v);
    linear(w, p, "attention.output.dense", &l->o);
    norm(w, p, "attention.output.LayerNorm", &l->ln1, hidden);
    linear(w, p, "intermediate.dense", &l->ffn1);
    linear(w, p, "output.dense", &l->ffn2);
    norm(w, p, "output.LayerNorm", &l->ln2, hidden);
}

static void write_tensors(const char *dir, const struct bert_model *m) {
    static struct writer w;
    const struct bert_config *c = &m->cfg;
    w = (struct writer){.text = "{", .used = 1, .base = m->weights};
    entry(&w, "bert.embeddings.", "word_embeddings.weight", m->word, c->vocab, c->hidden);
    entry(&w, "bert.embeddings.", "position_embeddings.weight", m->position, c->max_positions,
          c->hidden);
    entry(&w, "bert.embeddings.", "token_type_embeddings.weight", m->type, c->type_vocab,
          c->hidden);
    norm(&w, "bert.embeddings.", "LayerNorm", &m->emb_ln, c->hidden);
    for (int i = 0; i < c->layers; i++) layer(&w, i, &m->layer[i], c->hidden);
    linear(&w, "", "bert.pooler.dense", &m->pooler);
    linear(&w, "", "classifier", &m->classifier);
    w.text[w.used++] = '}';
    while (w.used % 8) w.text[w.used++] = ' ';
    uint64_t n = w.used;
    FILE *f = create(dir, "model.safetensors");
    assert_int_equal(fwrite(&n, 8, 1, f), 1);
    assert_int_equal(fwrite(w.text, w.used, 1, f), 1);
    assert_int_equal(fwrite(m->weights, 4 * m->nweights, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void word(char out[4], int i) { // two letters for each id behind the special tokens
    out[0] = (char)('a' + i / 20);
    out[1] = (char)('a' + i % 20);
    out[2] = 0;
}

static void write_vocab(const char *dir, int size) {
    FILE *f = create(dir, "vocab.txt");
    char w[4];
    fputs("[PAD]\n[UNK]\n[CLS]\n[SEP]\n", f);
    for (int i = SPECIALS; i < size; i++) {
        word(w, i);
        fprintf(f, "%s\n", w);
    }
    assert_int_equal(fclose(f), 0);
}

static void write_texts(const char *dir, int rows, int vocab) {
    FILE *f = create(dir, "texts.tsv");
    uint32_t s = 12345;
    char w[4];
    fputs("label\ttext\n", f);
    for (int i = 0; i < rows; i++) {
        fprintf(f, "%d\t", i % 2);
        for (int k = 0; k <= (7 * i) % 20; k++) {
            s = s * 1664525u + 1013904223u;
            word(w, SPECIALS + (int)((s >> 16) % (uint32_t)(vocab - SPECIALS)));
            fprintf(f, "%s%s", k ? " " : "", w);
        }
        fputc('\n', f);
    }
    assert_int_equal(fclose(f), 0);
}

void toyfolder_write(const char *dir, int rows) {
    struct bert_model *m = synthetic_columns(7);
    FILE *f = create(dir, "config.json");
    fprintf(f,
            "{\"model_type\": \"bert\", \"hidden_act\": \"gelu\", \"hidden_size\": %d,\n"
            " \"num_hidden_layers\": %d, \"num_attention_heads\": %d, \"intermediate_size\": %d,\n"
            " \"vocab_size\": %d, \"type_vocab_size\": %d,\n"
            " \"max_position_embeddings\": %d, \"layer_norm_eps\": 1e-12,\n"
            " \"id2label\": {\"0\": \"left\", \"1\": \"right\"}}\n",
            m->cfg.hidden, m->cfg.layers, m->cfg.heads, m->cfg.ffn, m->cfg.vocab, m->cfg.type_vocab,
            m->cfg.max_positions);
    assert_int_equal(fclose(f), 0);
    write_tensors(dir, m);
    write_vocab(dir, m->cfg.vocab);
    write_texts(dir, rows, m->cfg.vocab);
    synthetic_free(m);
}
