/* One run of the model: weights, plan, keys, server and client, and what they cost. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdio.h>

#include "bench/device.h"
#include "bert/encrypted.h"
#include "bert/plan.h"
#include "bert/input/text.h"
#include "cli/cli.h"
#include "cli/keyset.h"
#include "cli/options.h"
#include "cli/result.h"
#include "cli/stages.h"

#ifdef __cplusplus
extern "C" {
#endif

struct session_setup {
    const char *model_dir; /* NULL: the default model */
    const char *keys_dir;  /* NULL: keys are made in memory */
    /* of thor encode; NULL: weights.thor of the model folder, or its weights */
    const char *container;
    const char *insecure; /* name of a toy set, or NULL */
    const char *device;   /* "cpu", "cuda" or "cuda:N" */
    int threads;          /* of the CPU; 0: all */
    int compare, quiet;
    const char *pool;   /* of embeddings: "mean" or "cls"; NULL: as the model says */
    int normalize;      /* 1: to length 1, whatever the model says */
    int require_locked; /* secrets only in memory that the system locks */
    int compact;        /* keys come from their file when they are used; needs keys_dir */
    int group;          /* most texts in lock step; 0: one */
    /* at least so many are to come: of BERT_RECORD_FROM groups, layers are recorded */
    int texts;
};

struct session {
    struct session_setup setup;
    struct device_choice device;
    char model_dir[4096];
    struct bert_model *model;     /* the client's, and the plain model's */
    struct bert_model *container; /* the server's, or NULL: the same */
    struct bert_ranges *ranges;
    struct bert_plan *plan;
    const struct ckks_params *params;
    /* under encryption, after session_start */
    struct ckks *cx;
    struct keyset keys;
    struct bert_server *server;
    struct ckks_rng *rng; /* what texts are encrypted with */
    uint32_t *uses;       /* of keys by one text, in order; n_uses of them */
    int n_uses;
    /* of evaluation keys; of matrices and ciphertexts at their most, of which */
    size_t key_bytes, work_bytes;
    size_t constant_bytes;     /* so many in recordings */
    uint64_t moved_bytes;      /* read and written by the kernels of one text */
    struct ckks_count circuit; /* its operations */
    int key_count;
    double keygen, encode; /* seconds */
    struct stages stages;
    struct progress progress;
    /* of the text that runs */
    struct bert_compare *compare;
    struct plots *plots; /* of its stages, or NULL; set by the caller */
    double *slots;       /* real parts of n, then imaginary parts of n */
    int failed, done;    /* status of the first failed comparison; stages behind us */
};

/* session.c */
/* THOR_USAGE for --keys, --compact or a device beside `flag` (--approx, --plain), which would pass
 * over them. */
int session_unencrypted(const struct session_setup *setup, const char *flag);
int session_model(struct session *s, const struct session_setup *setup); /* model folder */
int session_load(struct session *s, const struct session_setup *setup);  /* and its ranges */
/* setup->container alone: no texts */
int session_container(struct session *s, const struct session_setup *setup);
/* --layers of a causal model: the server computes those alone; n 0: all.  Before session_plan. */
int session_split(struct session *s, const struct option_spans *layers);
int session_plan(struct session *s, int tokens); /* for texts up to this length */
/* What *r says of the run, and room in it for a text of n tokens. */
int session_describe(const struct session *s, struct result *r, const char *device, int n);
int session_approx(struct session *s, struct result *r, const struct bert_tokens *t);
void session_close(struct session *s);

/* session_he.c */
/* What the plan needs of keys, from a dry run; the caller frees the list. */
int session_needs(struct session *s, struct ckks_need **need, int *n);
/* The plan's bucket becomes the one that setup.keys_dir has keys for, when they are of a longer
 * one.  Reads the list of evaluation keys alone. */
int session_fit_keys(struct session *s);
int session_open(struct session *s);  /* the engine */
int session_start(struct session *s); /* engine, keys (made or loaded) and server */
int session_encrypted(struct session *s, struct result *r, const struct bert_tokens *t);
/* n texts in lock step, at most setup.group, and r[i].no_result where values left their ranges;
 * times in r[i] are a text's share of them. */
int session_group(struct session *s, struct result *r, const struct bert_tokens *t, int n);
void session_print(const struct session *s, FILE *f); /* parameters, keys, stage table */

#ifdef __cplusplus
}
#endif
#endif
