/* The nodes of a layer as rows: from what each is computed, by which polynomial, at how many
 * levels, and what may be bootstrapped; and the tensors of the plain forward pass that nodes hold
 * (the tables are in nodes.c, the formulas in plan.h).  placement.c counts levels down along the
 * rows, from what is available, and chooses bootstraps; levels.c counts up, from what is needed;
 * bert_plan_print shows them; compare.c adds up their errors.  By the tensors calibrate.c measures
 * ranges, leaveout.c judges by them, and compare.c finds what a ciphertext should hold. */
#ifndef BERT_NODES_H
#define BERT_NODES_H

#include "bert/shape.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_LOG_SLOTS 15   /* complex slots of a ciphertext of the default parameters */
#define BERT_FRESH_LEVEL 16 /* of a fresh ciphertext, and of one back from a bootstrap */
#define BERT_MAX_ROUNDS 4   /* normalise-and-square rounds of a softmax */

/* In order of computation.  level[] and boot[] of a plan, and the levels of levels.h, have one
 * entry for each. */
enum bert_node {
    BERT_NONE,
    BERT_Y,  /* the state entering */
    BERT_R0, /* causal: 1/sqrt and output of LayerNorm 0 */
    BERT_Y0,
    BERT_Q,
    BERT_K,
    BERT_V,
    BERT_U, /* scores */
    BERT_E, /* exp */
    /* the sums of round 0; those of round k, and the last of all, are bert_of_sums */
    BERT_P,      /* masked */
    BERT_D,      /* denominators */
    BERT_PAIR,   /* (a_i, g_(i+1)) after i iterations: boot[] is i, 1 <= i < m; 0: none */
    BERT_A,      /* 1/D */
    BERT_SQUARE, /* E a, which a round bootstraps and squares */
    BERT_SUMS_END,
    BERT_C = BERT_P + (BERT_MAX_ROUNDS + 1) * (BERT_SUMS_END - BERT_P), /* P.v */
    BERT_CA,                                                            /* the context */
    BERT_X1,
    BERT_R1,
    BERT_Y1,
    BERT_W,  /* the input of GELU */
    BERT_F,  /* GELU */
    BERT_X2, /* causal: the state leaving, and the last node */
    BERT_R2,
    BERT_Y2, /* the state leaving */
    BERT_NODES,
    /* of the head, whose levels are bert_head_levels */
    BERT_POOLER = BERT_NODES, /* the input of tanh */
    BERT_POOLED,
    BERT_LOGITS,
    BERT_TENSORS
};

/* The same node of sums k, the last being k = rounds; and back: *k is 0 for any other node. */
enum { BERT_SUMS = BERT_SUMS_END - BERT_P };
static inline enum bert_node bert_of_sums(enum bert_node of, int k) {
    return (enum bert_node)((int)of + k * BERT_SUMS);
}
static inline enum bert_node bert_which_sums(int *k, enum bert_node node) {
    *k = node < BERT_P || node >= BERT_C ? 0 : ((int)node - BERT_P) / BERT_SUMS;
    return bert_of_sums(node, -*k);
}

/* x1 or x2: the sum of half `which` of a layer with its residual. */
static inline enum bert_node bert_of_half(int which) {
    return which ? BERT_X2 : BERT_X1;
}
/* BERT_R1 or BERT_Y1 of LayerNorm `which` of a layer: r1 and r2, y1 and y2 behind the halves; of a
 * causal model r0 and r1, y0 and y1, before them. */
static inline enum bert_node bert_of_norm(const struct bert_shape *s, enum bert_node of,
                                          int which) {
    const int behind = which + !s->causal;
    if (!behind) return of == BERT_R1 ? BERT_R0 : BERT_Y0;
    return (enum bert_node)((int)of + (behind - 1) * (BERT_X2 - BERT_X1));
}
static inline enum bert_node bert_leaving(const struct bert_shape *s) {
    return s->causal ? BERT_X2 : BERT_Y2;
}

struct bert_boot_rule { /* the bootstrap that may follow a node; zeros: none */
    const char *stage;  /* its name in the forward */
    enum bert_boot by;  /* whose matrices serve it */
    int log_slots;      /* of its period */
    int lanes;          /* 1: imaginary parts are in use */
    int count;          /* bootstraps for all ciphertexts of the node */
    double cost;        /* of one, the mean: time on one core, that of 2^15 complex slots being 1 */
    int bands, level;   /* levels that it needs at its input, and the level that it returns */
};
struct bert_boot_rule bert_boot_rule(const struct bert_shape *s, enum bert_node node);

struct bert_node_row {
    const char *name; /* NULL: the layer has no such node */
    struct {
        enum bert_node from; /* BERT_NONE: fewer inputs */
        int levels;          /* so many below it */
    } in[2];
    int most;           /* the largest boot[] of it; 0: never bootstrapped */
    int carried;        /* ciphertexts that matrix products take at its level */
    struct {            /* what it is of its input, on [lo, hi] of that */
        const char *by; /* what `count` counts: degree or iterations; NULL: no polynomial */
        int count;
        double lo, hi, err;
    } fit;
};

struct bert_layer_plan;
/* The rows of a layer; its degrees, iterations and boot[BERT_PAIR] are known. */
void bert_nodes_set(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p,
                    const struct bert_shape *s);

/* What calibration measures on a tensor. */
enum bert_measure {
    BERT_UNMEASURED,
    BERT_QUERIES, /* with the scores behind them: log-sums, and their regression on the queries */
    BERT_SCORES,
    BERT_WINDOWS, /* of LayerNorm's input (windows.h) */
    BERT_VARIANCES,
    BERT_MOST /* the largest absolute value */
};

struct bert_tensor {        /* of the plain forward pass */
    const char *name;       /* in reference.h */
    enum bert_node node[2]; /* that holds it: of BERT, of a causal model; BERT_NONE: none does */
    enum bert_order order;  /* how it lies in slots */
    enum bert_measure measure;
    int which; /* 0 or 1: the LayerNorm */
};
/* NULL: no node holds it. */
const struct bert_tensor *bert_tensor_called(const char *name);
const struct bert_tensor *bert_tensor_of(const struct bert_shape *s, enum bert_node node);

#ifdef __cplusplus
}
#endif
#endif
