/* What each architecture calls things in config.json and among its tensors: one row of a table
 * each.  The plain models differ in these names, in the embeddings (types or none, a map to hidden
 * or none, where positions begin) and in the squash of the head; all layers are BERT's
 * but those of GPT-2, which has files of its own.
 */
#ifndef BERT_ARCHITECTURE_H
#define BERT_ARCHITECTURE_H

#include <stdio.h>

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_arch_keys { /* of config.json; NULL: there is none, the value is fixed */
    const char *hidden, *layers, *heads, *ffn, *positions, *types, *embedding, *eps, *activation;
};

/* A tensor is called body + name, one of a layer body + layers + number + "." + in_layer + name,
 * with ".weight" or ".bias" behind it. */
struct bert_arch_tensors {
    const char *body;    /* NULL: named elsewhere (gpt2.h) */
    const char *emb_map; /* NULL: none */
    const char *layers, *in_layer;
    const char *q, *k, *v, *o, *ln1, *ffn1, *ffn2, *ln2;
    const char *pooler;     /* NULL: none in the body */
    const char *dense;      /* the same in the head, without body in front */
    const char *classifier; /* without body in front */
};

struct bert_arch_row {
    const char *title;    /* for people, with its article */
    const char *types[4]; /* as `model_type`, the usual one first; then NULL */
    const char *sequence; /* as `architectures`: its classifier of texts, or its language model */
    enum bert_squash squash;
    enum bert_activation activation; /* where config.json names none */
    int map_always;                  /* 1: the map is there even if it keeps the size */
    int pad_first;                   /* 1: positions begin behind row pad_token_id */
    int shared;                      /* 1: one layer's weights for all */
    struct bert_arch_keys key;
    struct bert_arch_tensors name;
};

extern const struct bert_arch_row bert_archs[BERT_ARCHS];

/* 1 and *a when there is one of this `model_type`. */
int bert_arch_find(enum bert_arch *a, const char *type);
/* All of them with commas between them, cut off at size - 1 bytes. */
void bert_arch_list(char *list, size_t size);
/* What an architecture that is known and not supported computes otherwise; else NULL. */
const char *bert_arch_unsupported(const char *type);

/* What is computed where, in four lines for people. */
void bert_arch_explain(FILE *f, const struct bert_config *c);

/* So many layers have weights of their own. */
static inline int bert_stored_layers(const struct bert_config *c) {
    return bert_archs[c->arch].shared ? 1 : c->layers;
}

/* Columns of the embeddings. */
static inline int bert_embedding(const struct bert_config *c) {
    return c->embedding ? c->embedding : c->hidden;
}

#ifdef __cplusplus
}
#endif
#endif
