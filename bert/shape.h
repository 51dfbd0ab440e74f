/* How a model lies in slots: shapes, layouts and the slot of every number.
 *
 * n slots, T tokens, hd head size, H hidden, F FFN, powers of two but for H and F.  Everything is
 * real, but where two real ciphertexts share one as its real and imaginary parts.
 * rot(x, r)[s] = x[s + r], cyclic.  Two shapes:
 *   copies   T | hd, one ciphertext holds all H columns R >= 4 times: C = H, hp = heads, one group
 *   columns  anything else with C = n/T >= 2 hd: R = 1, nX = ceil(H/C) ciphertexts a state,
 *            nF = ceil(F/C), hp = C/(2 hd) heads a group, ceil(heads/hp) <= hd groups; missing
 *            features and heads are 0
 *
 *   column c of ciphertext i
 *     "hidden" order (states, FFN):          feature C i + c
 *     "by head" order (q, k, v, context):    c = hp j + h, head hp i + h, feature hd head + j;
 *                                            columns shape: the first C/2 columns
 *   outer layout:  copies: slot = T C rho + T c + t   period T C: all copies rho are equal
 *                  columns: slot = C t + c
 *   inner layout:  copies: slot = R T c + T rho + t   columns: the same as outer
 * Column shifts are rotations without masks in the copies shape: outer by T a column, inner by R T
 * a column, kappa = R T hp an index j, n = kappa hd.  In the columns shape a column shift is one by
 * 1, an index j by hp, a token shift by C; packing_columns.c has the rest.
 *
 * Scores: keys of a row t are told apart by their distance, the offset o: key (t + o) mod T.
 *   copies   one ciphertext: offset j < hd in column hp j + h, copy 0
 *   columns  nb = max(1, T/hd) blocks of hd offsets.  A ciphertext has two half runs of C/2
 *            columns; a half holds one block of one group, offset hd block + j in its column
 *            hp j + h.  nb > 1: blocks 2 x and 2 x + 1 of group i in ciphertext i nb/2 + x.
 *            nb = 1: groups 2 d and 2 d + 1 in ciphertext d.
 * Where T < hd offsets from T on come again. */
#ifndef BERT_SHAPE_H
#define BERT_SHAPE_H

#include <stddef.h>

#include "bert/input/model.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_shape {
    const struct bert_packing *packing; /* of the copies or the columns shape */
    int tokens, hidden, heads, head_size, ffn;
    int causal;   /* bert_is_causal: columns shape only */
    int hp;       /* heads in one group */
    int columns;  /* C: columns in one ciphertext of a state */
    int nx;       /* ceil(H / C): ciphertexts of one state */
    int repeats;  /* R = n / (T C) */
    int groups;   /* ceil(heads / hp): ciphertexts of q, k and v each */
    int blocks;   /* nb; 1 in the copies shape */
    int scores;   /* ciphertexts of scores */
    int contexts; /* ciphertexts of contexts */
};

enum bert_layout { BERT_OUTER, BERT_INNER };
enum bert_order { BERT_HIDDEN, BERT_BY_HEAD, BERT_BY_KEY /* scores: bert_score_at */ };
/* What is bootstrapped: x or y; 1/sqrt, of few distinct values; scores; the pair of an inverse. */
enum bert_boot { BERT_BOOT_X, BERT_BOOT_R, BERT_BOOT_SCORES, BERT_BOOT_PAIR, BERT_BOOTS };

/* All in which the shapes differ; nobody else asks which one it is. */
struct ckks_ct;
struct ckks_linear;
struct bert_linear_map;
struct bert_boot_rule;
struct bert_run;
struct bert_packing {
    /* 1 and the rest of s, when it fits into so many slots. */
    int (*fit)(struct bert_shape *s, int slots);
    size_t (*slot)(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t);
    /* packing.h */
    void (*linear)(struct ckks_linear *t, struct bert_linear_map *m);
    void (*skew)(struct ckks_linear *t, const struct bert_shape *s);
    double (*lanes)(int *re, int *im, const struct bert_linear_map *m, int o);
    /* nodes.h: all but stage and bands */
    struct bert_boot_rule (*boot)(const struct bert_shape *s, enum bert_boot kind);
    /* c[contexts] of every sentence: C a by head, ready for the map to outer, at the level of
     * BERT_CA; times sigma/scale bert_pair_scale to be the context. */
    int (*attention)(struct ckks_ct *c, struct bert_run *r, const struct ckks_ct *y);
    int share; /* real ciphertexts in one bootstrap */
    /* 1: a sum over columns is right in column 0 alone, and the others hold windows (windows.h):
     * it is masked, which the mean of a residual pays with a level */
    int windows;
    struct { /* levels that masks take: on scores, E, D, v, 1/d, squares, and y before the head */
        int u, p, d, v, a, square, head;
    } mask;
};
extern const struct bert_packing bert_copies_packing, bert_columns_packing;

/* The shape in a ring of that many slots: copies when T | hd, the heads are a power of two, H | F
 * and 4 T H <= n; else columns when they fit.  THOR_MODEL names what is supported. */
int bert_shape_make(struct bert_shape *s, const struct bert_config *c, int tokens, int slots);
static inline int bert_shape_slots(const struct bert_shape *s) {
    return s->repeats * s->tokens * s->columns;
}
static inline int bert_kappa(const struct bert_shape *s) {
    return s->repeats * s->tokens * s->hp;
}
static inline int bert_nf(const struct bert_shape *s) {
    return (s->ffn + s->columns - 1) / s->columns;
}
/* 1 where the last ciphertext of a state has columns without a feature. */
static inline int bert_padded(const struct bert_shape *s) {
    return s->nx * s->columns > s->hidden;
}
/* Levels that the mean of a residual takes beyond its product (norm.c). */
static inline int bert_mean_levels(const struct bert_shape *s) {
    return s->packing->windows + bert_padded(s);
}
/* Causal: the score of `key` does not count for `query`: the key is behind it, or it is token 0,
 * whose row is public and stands for nothing (fold.h). */
static inline int bert_hides(int query, int key) {
    return key > query || query == 0;
}
/* Columns of one group: C, or C/2 in the columns shape. */
static inline int bert_group_columns(const struct bert_shape *s) {
    return s->hp * s->head_size;
}
int bert_log2(int n);                    /* rounded up */
static inline int bert_is_power(int n) { /* of two */
    return 1 << bert_log2(n) == n;
}

static inline size_t bert_slot(const struct bert_shape *s, enum bert_layout at, int c, int rho,
                               int t) {
    return s->packing->slot(s, at, c, rho, t);
}
/* The rotation by one column in outer layout. */
static inline int bert_column_step(const struct bert_shape *s) {
    return (int)bert_slot(s, BERT_OUTER, 1, 0, 0);
}
/* The feature of a column; hidden or more where there is none. */
int bert_feature(const struct bert_shape *s, enum bert_order by, int i, int c);
/* Head and key of column c of row t of ciphertext d of scores (inner layout, copy 0).  1; 2 where T
 * < hd and the key comes again; 0 where there is no head. */
int bert_score_at(int *head, int *key, const struct bert_shape *s, int d, int c, int t);

#ifdef __cplusplus
}
#endif
#endif
