/* Linear maps of the copies shape, m = 0 .. count-1 (w: out x in):
 *   to inner  (q, k, v)        rotations T m,   diag_m[(c,rho,t)] = w[c][(R c + rho + m) mod C]
 *             outer's slot s = T p + t holds column p mod C, and p = R c + rho;
 *             "first copy only": times [rho = 0]
 *   to outer  (context -> Wo)  rotations R T m, m < hp hd,
 *             diag_m[T p + t] = w[p mod C][(p div R + m) mod hp hd]
 *   outer     (FFN, head)      rotations T m,   diag_m[T c + t] = w[c][(c + m) mod C], period T C;
 *             "first token only": times [t = 0]
 *   paired    two outputs in one product: diagonals (w_o + i w_o')/2; z + conj z, -i (z - conj z)
 *   skew      (k, v): rotations v < T, diag_v[(c,rho,t)] = [j(c) mod T = v]:
 *             out[c,rho,t] = x[c,rho,t + (j mod T)], period T kappa
 * A token shift by tau < T is a rotation by tau, right in the copies rho < R - 1. */
#include <string.h>

#include "bert/packing.h"

enum { MAX_BABY = 16, SKEW_BABY = 8 };

static int fit(struct bert_shape *s, int slots) {
    int T = s->tokens, H = s->hidden;
    if (s->head_size % T || !bert_is_power(s->heads) || s->ffn % H || 4 * T * H > slots) return 0;
    s->hp = s->heads;
    s->columns = H;
    s->nx = s->groups = s->blocks = s->scores = s->contexts = 1;
    s->repeats = slots / (T * H);
    return 1;
}

static size_t slot(const struct bert_shape *s, enum bert_layout at, int c, int rho, int t) {
    int p = at == BERT_OUTER ? s->columns * rho + c : s->repeats * c + rho;
    return (size_t)s->tokens * (size_t)p + (size_t)t;
}

static void columns_of(const struct bert_linear_map *l, int o, int i, int m, int p, int *out,
                       int *in) {
    const struct bert_shape *s = l->shape;
    int C = s->columns, R = s->repeats;
    *out = bert_feature(s, BERT_HIDDEN, o, p % C);
    *in = bert_feature(s, BERT_HIDDEN, i, (p + m) % C);
    if (l->move == BERT_TO_INNER) *out = bert_feature(s, BERT_BY_HEAD, o, p / R);
    if (l->move == BERT_TO_OUTER)
        *in = bert_feature(s, BERT_BY_HEAD, i, (p / R + m) % (s->hp * s->head_size));
}

// token 0 only: else all tokens of a column have the same number
static int first_token(const struct bert_linear_map *l) {
    return l->only_first[0] && l->move == BERT_STAY_OUTER;
}

// diagonal m of output o, of all maps, times `scale`: one number a column, or its T slots
static void map_lane(const struct bert_linear_map *l, int o, int i, int m, double scale,
                     double *re) {
    const struct bert_shape *s = l->shape;
    int C = s->columns, R = s->repeats, which = o / l->outs, out, in,
        step = first_token(l) ? s->tokens : 1;
    for (int p = 0; p < (l->move == BERT_STAY_OUTER ? C : R * C); p++) {
        columns_of(l, o % l->outs, i, m, p, &out, &in);
        int skip = l->only_first[which] && l->move == BERT_TO_INNER && p % R;
        memset(re + p * step, 0, (size_t)step * sizeof *re);
        re[p * step] = skip ? 0 : scale * bert_map_weight(l, which, out, in);
    }
}

static int map_diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct bert_linear_map *l = ctx;
    int a, b;
    double scale = bert_map_lanes(&a, &b, l, o);
    map_lane(l, a, i, m, scale, re);
    if (b >= 0) map_lane(l, b, i, m, scale, im);
    return 1;
}

static void linear(struct ckks_linear *t, struct bert_linear_map *m) {
    const struct bert_shape *s = m->shape;
    int heads_in = m->move == BERT_TO_OUTER;
    int count = heads_in ? s->hp * s->head_size : s->columns;
    *t = (struct ckks_linear){.stride = (heads_in ? s->repeats : 1) * s->tokens,
                              .count = count,
                              .baby = count < MAX_BABY ? count : MAX_BABY,
                              .period = (size_t)(m->move == BERT_STAY_OUTER ? s->tokens * s->columns
                                                                            : bert_shape_slots(s)),
                              .inputs = m->ins,
                              .outputs = m->paired ? (m->total + 1) / 2 : m->total,
                              .log_run = first_token(m) ? 0 : bert_log2(s->tokens),
                              .diag = map_diag,
                              .ctx = m};
    while (t->inputs * t->baby > 255) t->baby /= 2;
}

static int skew_diag(void *ctx, int o, int i, int m, double *re, double *im) {
    const struct bert_shape *s = ctx;
    int block = bert_kappa(s);
    (void)o;
    (void)i;
    (void)im;
    for (int j = 0; j < s->tokens; j++)
        for (int k = 0; k < block; k++) re[j * block + k] = j == m;
    return 1;
}

static void skew(struct ckks_linear *t, const struct bert_shape *s) {
    *t = (struct ckks_linear){.stride = 1,
                              .count = s->tokens,
                              .baby = s->tokens < SKEW_BABY ? s->tokens : SKEW_BABY,
                              .period = (size_t)(s->tokens * bert_kappa(s)),
                              .inputs = 1,
                              .outputs = 1,
                              .diag = skew_diag,
                              .ctx = (void *)(uintptr_t)s};
}

static struct bert_boot_rule boot(const struct bert_shape *s, enum bert_boot kind) {
    struct bert_boot_rule rules[BERT_BOOTS] = {
        [BERT_BOOT_X] = {.log_slots = bert_log2(s->tokens * s->columns), .cost = 0.7},
        [BERT_BOOT_R] = {.log_slots = bert_log2(s->tokens), .cost = 0.5},
        // nothing else here needs the 2.5 GiB of matrices of a full bootstrap
        [BERT_BOOT_SCORES] = {.log_slots = bert_log2(bert_shape_slots(s)), .cost = 1.3},
        [BERT_BOOT_PAIR] = {.log_slots = bert_log2(bert_kappa(s)), .lanes = 1, .cost = 0.55},
    };
    struct bert_boot_rule *b = &rules[kind];
    b->by = kind;
    b->count = 1;
    b->level = BERT_FRESH_LEVEL - b->lanes; // fewer slots as complex ones take a level
    return *b;
}

const struct bert_packing bert_copies_packing = {.fit = fit,
                                                 .slot = slot,
                                                 .linear = linear,
                                                 .skew = skew,
                                                 .lanes = bert_paired_lanes,
                                                 .boot = boot,
                                                 .attention = bert_attention_copies,
                                                 .share = 1,
                                                 .mask = {.p = 1}};
