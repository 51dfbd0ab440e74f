/* A BERT classifier as it lies in a model folder: config.json, model.safetensors (or the files of
 * model.safetensors.index.json), vocab.txt (or tokenizer.json) and, when present,
 * tokenizer_config.json.  Its head is that of
 * BertForSequenceClassification or of BertForNextSentencePrediction; tensors are called with or
 * without "bert." in front.  Weights are widened to float: exact for F16 and BF16.
 *
 * A loaded model is immutable; any number of threads may read it.
 */
#ifndef BERT_MODEL_H
#define BERT_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "bert/input/activation.h"
#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_MAX_LABELS 1000
#define BERT_LABEL_BYTES 256
#define BERT_SERVER_LABELS 128 /* as many as one ciphertext of logits holds in every shape */

enum bert_arch { /* the numbers stand in weight containers: new ones go behind the others */
                 BERT_ARCH_BERT,
                 BERT_ARCH_DISTILBERT,
                 BERT_ARCH_ROBERTA, /* and XLM-R, CamemBERT */
                 BERT_ARCH_ELECTRA,
                 BERT_ARCH_ALBERT, /* one layer's weights for all */
                 BERT_ARCH_GPT2,
                 BERT_ARCHS
};

enum bert_head { /* likewise */
                 BERT_HEAD_ANY,
                 BERT_HEAD_CLASSIFIER,
                 BERT_HEAD_NEXT_SENTENCE,
                 BERT_HEAD_TOKENS, /* labels of each token */
                 BERT_HEAD_STATE,  /* none: embeddings, language models */
                 BERT_HEADS
};

enum bert_task {              /* what logits say; likewise */
                 BERT_ONE_OF, /* the largest is the answer */
                 BERT_ANY_OF, /* several labels at once: a sigmoid each */
                 BERT_SCORE,  /* one logit: rerankers, regression */
                 BERT_TASKS
};

enum bert_squash { /* between pooler and classifier; likewise */
                   BERT_TANH,
                   BERT_RELU,
                   BERT_SQUASH_GELU,
                   BERT_SQUASHES
};

enum bert_pool { BERT_POOL_MEAN, BERT_POOL_CLS };

struct bert_config {
    enum bert_arch arch;            /* `model_type` */
    int hidden, layers, heads, ffn; /* hidden is a multiple of heads; head size = hidden / heads */
    int embedding;      /* columns of the embeddings where a map makes them hidden, else 0 */
    int vocab;          /* rows of the word embeddings */
    int first_token;    /* causal: the one before every text, bos_token_id */
    int max_positions;  /* tokens that a text may have */
    int positions;      /* rows of the position embeddings */
    int first_position; /* the row of a text's first token: 2 for RoBERTa, else 0 */
    int type_vocab;     /* 0: the model knows no types */
    int labels;
    enum bert_head head;             /* by `architectures` */
    enum bert_task task;             /* by `problem_type`, or by one label */
    enum bert_squash squash;         /* by the architecture */
    enum bert_pool pool;             /* how an embedding is made of the state (pooling.h) */
    int normalize;                   /* 1: to length 1 */
    double eps;                      /* of every LayerNorm */
    enum bert_activation activation; /* `hidden_act` */
    int lower_case; /* 1: uncased vocabulary, text is lowered and accents are stripped */
    char label_names[BERT_MAX_LABELS][BERT_LABEL_BYTES]; /* "0", "1", .. when there are none */
};

/* 1: the server's answer is the final state of all tokens, and the client computes the head from
 * it in doubles.  0: pooler, tanh and classifier are computed on ciphertexts. */
static inline int bert_head_at_client(const struct bert_config *c) {
    return c->head == BERT_HEAD_TOKENS || c->head == BERT_HEAD_STATE || c->squash != BERT_TANH ||
           c->labels > BERT_SERVER_LABELS;
}

/* 1: a token sees itself and those before it, and LayerNorms stand before each half of a layer. */
static inline int bert_is_causal(const struct bert_config *c) {
    return c->arch == BERT_ARCH_GPT2;
}

/* 1: a text gives an embedding; the state of a causal model is its next token's. */
static inline int bert_gives_embedding(const struct bert_config *c) {
    return c->head == BERT_HEAD_STATE && !bert_is_causal(c);
}

/* How many numbers a text of n tokens gives: logits, logits of each token, or the state. */
static inline size_t bert_outputs(const struct bert_config *c, int n) {
    const int rows = c->head == BERT_HEAD_TOKENS || c->head == BERT_HEAD_STATE ? n : 1;
    return (size_t)rows * (size_t)(c->head == BERT_HEAD_STATE ? c->hidden : c->labels);
}

struct bert_linear { /* y = x w^T + b */
    int in, out;
    float *w; /* out x in, row major */
    float *b; /* out */
};

struct bert_norm { /* hidden values each */
    float *gamma, *beta;
};

struct bert_layer {
    struct bert_linear q, k, v, o; /* hidden^2; head a owns outputs a*d .. a*d+d-1 of q, k, v */
    struct bert_linear ffn1, ffn2; /* hidden -> ffn -> hidden */
    struct bert_norm ln1, ln2;     /* after attention, after the FFN; GPT-2: before each */
};

struct bert_vocab;
struct bert_rules; /* bert/input/tokenrules.h */

struct bert_model {
    struct bert_config cfg;
    /* vocab, positions, type_vocab (0: NULL) rows of embedding or hidden */
    float *word, *position, *type;
    struct bert_norm emb_ln;
    struct bert_norm last_ln;   /* GPT-2: before the LM head, which is `word` */
    struct bert_linear emb_map; /* embedding -> hidden, behind emb_ln; w NULL where there is none */
    struct bert_layer *layer;   /* cfg.layers; those of ALBERT point to the same weights */
    int before, after; /* causal: layers in front of layer[0] and behind the last, the client's */
    /* hidden -> hidden -> labels; w NULL: the head has none (TOKENS no pooler, STATE neither) */
    struct bert_linear pooler, classifier;
    int bare;      /* 1: w of the layers' maps is NULL */
    uint64_t hash; /* of the weights: bert_shards_hash */
    struct bert_vocab *vocab;
    struct bert_rules *rules; /* NULL: those of BertTokenizer with cfg.lower_case */
    float *weights;           /* one block that every pointer above points into */
    size_t nweights;
};

/* Load a model folder, or the weights FILE.safetensors with the other files beside it.  THOR_MODEL
 * when a file is missing or damaged, a tensor is missing, has another shape, or holds NaN or Inf;
 * the message names file and tensor; *out is then NULL. */
int bert_model_load(struct bert_model **out, const char *path);
/* The same without the maps of its layers, which may be missing in the folder: their biases, and
 * all that stands outside them. */
int bert_model_load_bare(struct bert_model **out, const char *path);
/* The folder of such a path. */
int bert_model_folder(char *dir, size_t size, const char *path);
void bert_model_free(struct bert_model *m); /* NULL is allowed */
/* A causal model of which the server has layers first .. last alone: those are cfg.layers now, and
 * the client computes the others. */
void bert_model_part(struct bert_model *m, int first, int last);

/* Read and check config.json of a folder, or a file like it, whatever head it names (config.c).
 * lower_case is 1; what the folder's tokenizer says is read by bert_rules_load. */
int bert_config_load(struct bert_config *cfg, const char *dir);
int bert_config_read(struct bert_config *cfg, const char *path);
/* The labels alone, their names and the task, of the config.json of a classifier of any kind. */
int bert_labels_read(struct bert_config *cfg, const char *path);

#ifdef __cplusplus
}
#endif
#endif
