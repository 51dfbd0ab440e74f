/* The nodes of one layer and the tensors they hold: the written rule, for the formulas of plan.h.
 *
 * A node stands `levels` below the lowest of its inputs, and a bootstrap lifts it.  Rows of rounds
 * come again; those that a layer lacks stay empty. */
#include "bert/nodes.h"

#include <string.h>

#include "bert/plan.h"

#define FIT(f)                                                                                     \
    { "degree", (f).degree, (f).lo, (f).hi, (f).err }

static void set_sums(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p, int k,
                     const struct bert_shape *s) {
    const struct bert_packing *by = s->packing;
    enum bert_node P = bert_of_sums(BERT_P, k), D = bert_of_sums(BERT_D, k),
                   pair = bert_of_sums(BERT_PAIR, k), a = bert_of_sums(BERT_A, k),
                   E = k ? bert_of_sums(BERT_SQUARE, k - 1) : BERT_E;
    const int first = p->boot[pair], m = p->inv[k].m, below = k ? 1 + by->mask.square : 0;
    row[P] = (struct bert_node_row){.name = "mask", .in = {{E, below + by->mask.p}}};
    row[D] = (struct bert_node_row){.name = "D", .in = {{P, by->mask.d}}};
    row[pair] = (struct bert_node_row){"pair", {{D, first}}, .most = m - 1};
    row[a] = (struct bert_node_row){.name = "1/d",
                                    .in = {{pair, m - first}},
                                    .fit = {"iterations", m, p->inv[k].e, 1, p->inv[k].err}};
    if (k < p->rounds)
        row[bert_of_sums(BERT_SQUARE, k)] =
            (struct bert_node_row){"square", {{E, below + 1}, {a, 1 + by->mask.a}}, .most = 1};
    else
        row[P].carried = s->groups;
}

// a causal layer: LayerNorm, attention, sum, LayerNorm, FFN, sum; streams stay centred (fold.h)
static void set_causal(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p,
                       const struct bert_shape *s) {
    const int root0 = bert_poly_levels(p->rsqrt[0].degree),
              root1 = bert_poly_levels(p->rsqrt[1].degree);
    row[BERT_Y].carried = 0;
    row[BERT_R0] =
        (struct bert_node_row){"r0", {{BERT_Y, 1 + root0}}, .most = 1, .fit = FIT(p->rsqrt[0])};
    row[BERT_Y0] =
        (struct bert_node_row){"y0", {{BERT_Y, 1}, {BERT_R0, 1}}, .most = 1, .carried = 3 * s->nx};
    for (int i = BERT_Q; i <= BERT_V; i++) row[i].in[0].from = BERT_Y0;
    row[BERT_X1] = (struct bert_node_row){"x1", {{BERT_CA, 1}, {BERT_Y, 1}}, .most = 1};
    row[BERT_R1] =
        (struct bert_node_row){"r1", {{BERT_X1, 1 + root1}}, .most = 1, .fit = FIT(p->rsqrt[1])};
    row[BERT_X2] = (struct bert_node_row){"x2", {{BERT_F, 1}, {BERT_X1, 1}}, .most = 1};
    row[BERT_R2] = row[BERT_Y2] = (struct bert_node_row){.name = NULL};
}

void bert_nodes_set(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p,
                    const struct bert_shape *s) {
    const struct bert_packing *k = s->packing;
    const int mean = 1 + bert_mean_levels(s), exp = bert_poly_levels(p->exp.degree),
              gelu = bert_poly_levels(p->gelu.degree), root1 = bert_poly_levels(p->rsqrt[0].degree),
              root2 = bert_poly_levels(p->rsqrt[1].degree);
    const struct bert_node_row rows[BERT_NODES] = {
        [BERT_Y] = {"y", .carried = 3 * s->nx},
        [BERT_Q] = {"q", {{BERT_Y, 1}}},
        // linear, then the skew
        [BERT_K] = {"k", {{BERT_Y, 2}}},
        [BERT_V] = {"v", {{BERT_Y, 2}}, .carried = s->groups},
        [BERT_U] = {"scores", {{BERT_Q, 1 + k->mask.u}, {BERT_K, 1 + k->mask.u}}, .most = 1},
        [BERT_E] = {"exp", {{BERT_U, exp}}, .fit = FIT(p->exp)},
        [BERT_C] = {"PV",
                    {{bert_of_sums(BERT_P, p->rounds), 1}, {BERT_V, 1 + k->mask.v}},
                    .carried = s->groups},
        [BERT_CA] = {"context", {{BERT_C, 1}, {bert_of_sums(BERT_A, p->rounds), 1 + k->mask.a}}},
        [BERT_X1] = {"x1", {{BERT_CA, 1}, {BERT_Y, mean}}, .most = 1},
        [BERT_R1] = {"r1", {{BERT_X1, 1 + root1}}, .most = 1, .fit = FIT(p->rsqrt[0])},
        [BERT_Y1] = {"y1", {{BERT_X1, 1}, {BERT_R1, 1}}, .most = 1, .carried = s->nx},
        [BERT_W] = {"ffn", {{BERT_Y1, 1}}},
        [BERT_F] = {"GELU",
                    {{BERT_W, 1 + gelu}},
                    .carried = bert_nf(s),
                    .fit = {"degree in x^2", p->gelu.degree, -p->gelu_r, p->gelu_r, p->gelu.err}},
        [BERT_X2] = {"x2", {{BERT_F, 1}, {BERT_Y1, mean}}, .most = 1},
        [BERT_R2] = {"r2", {{BERT_X2, 1 + root2}}, .most = 1, .fit = FIT(p->rsqrt[1])},
        [BERT_Y2] = {"y", {{BERT_X2, 1}, {BERT_R2, 1}}, .most = 1},
    };
    for (int i = 0; i < BERT_NODES; i++) row[i] = rows[i];
    if (s->causal) set_causal(row, p, s);
    for (int i = 0; i <= p->rounds; i++) set_sums(row, p, i, s);
}

static const struct {
    const char *stage;
    enum bert_boot kind;
} booted[BERT_NODES] = {
    [BERT_R0] = {"boot r0", BERT_BOOT_R},
    [BERT_Y0] = {"boot y0", BERT_BOOT_X},
    [BERT_U] = {"boot scores", BERT_BOOT_SCORES},
    [BERT_PAIR] = {"boot inverse", BERT_BOOT_PAIR},
    [BERT_SQUARE] = {"boot round", BERT_BOOT_SCORES},
    [BERT_X1] = {"boot x1", BERT_BOOT_X},
    [BERT_R1] = {"boot r1", BERT_BOOT_R},
    [BERT_Y1] = {"boot y1", BERT_BOOT_X},
    [BERT_X2] = {"boot x2", BERT_BOOT_X},
    [BERT_R2] = {"boot r2", BERT_BOOT_R},
    [BERT_Y2] = {"boot y2", BERT_BOOT_X},
};

struct bert_boot_rule bert_boot_rule(const struct bert_shape *s, enum bert_node node) {
    int k;
    node = bert_which_sums(&k, node);
    if (!booted[node].stage) return (struct bert_boot_rule){0};
    struct bert_boot_rule b = s->packing->boot(s, booted[node].kind);
    b.stage = booted[node].stage;
    b.bands = (b.log_slots + 4) / 5; // StC merges 5 butterfly stages a level
    return b;
}

int bert_head_levels(const struct bert_plan *p) {
    if (p->at_client) return 0;
    return 2 + p->shape.packing->mask.head + bert_poly_levels(p->tanh.degree);
}

static const struct bert_tensor tensors[] = {
    {"q", {BERT_Q, BERT_Q}, BERT_BY_HEAD, BERT_QUERIES, 0},
    {"k", {BERT_K, BERT_K}, BERT_BY_HEAD, BERT_UNMEASURED, 0},
    {"v", {BERT_V, BERT_V}, BERT_BY_HEAD, BERT_UNMEASURED, 0},
    {"scores", {BERT_U, BERT_U}, BERT_BY_KEY, BERT_SCORES, 0},
    {"probs", {BERT_E, BERT_E}, BERT_BY_KEY, BERT_UNMEASURED, 0},
    {"context", {BERT_CA, BERT_CA}, BERT_BY_HEAD, BERT_UNMEASURED, 0},
    {"ln1_in", {BERT_X1, BERT_Y}, BERT_HIDDEN, BERT_WINDOWS, 0},
    {"ln1_var", {BERT_R1, BERT_R0}, BERT_HIDDEN, BERT_VARIANCES, 0},
    {"ln1", {BERT_Y1, BERT_Y0}, BERT_HIDDEN, BERT_UNMEASURED, 0},
    {"ffn_in", {BERT_W, BERT_W}, BERT_HIDDEN, BERT_MOST, 0},
    {"gelu", {BERT_F, BERT_F}, BERT_HIDDEN, BERT_UNMEASURED, 0},
    {"ln2_in", {BERT_X2, BERT_X1}, BERT_HIDDEN, BERT_WINDOWS, 1},
    {"ln2_var", {BERT_R2, BERT_R1}, BERT_HIDDEN, BERT_VARIANCES, 1},
    {"ln2", {BERT_Y2, BERT_Y1}, BERT_HIDDEN, BERT_UNMEASURED, 0},
    {"out", {BERT_NONE, BERT_X2}, BERT_HIDDEN, BERT_UNMEASURED, 0},
    {"pooled_in", {BERT_POOLER, BERT_NONE}, BERT_HIDDEN, BERT_MOST, 0},
    {"pooled", {BERT_POOLED, BERT_NONE}, BERT_HIDDEN, BERT_UNMEASURED, 0},
    {"logits", {BERT_LOGITS, BERT_NONE}, BERT_HIDDEN, BERT_UNMEASURED, 0},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

const struct bert_tensor *bert_tensor_called(const char *name) {
    for (const struct bert_tensor *t = tensors; t < tensors + TENSORS; t++)
        if (!strcmp(t->name, name)) return t;
    return NULL;
}

const struct bert_tensor *bert_tensor_of(const struct bert_shape *s, enum bert_node node) {
    for (const struct bert_tensor *t = tensors; t < tensors + TENSORS; t++)
        if (node != BERT_NONE && t->node[s->causal] == node) return t;
    return NULL;
}
