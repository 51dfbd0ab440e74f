/* The levels of one layer: the written rule, for the formulas of plan.h.
 *
 * A node stands `levels` below the lowest of its inputs, and a bootstrap lifts it.  Rows of rounds
 * come again; those that a layer lacks stay empty. */
#include "bert/nodes.h"

#include "bert/plan.h"

// sums k of E, which is `below` levels below `from`
static void set_sums(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p, int k,
                     enum bert_node from, int below, int columns) {
    enum bert_node P = bert_of_sums(p, k, BERT_P), D = bert_of_sums(p, k, BERT_D),
                   pair = bert_of_sums(p, k, BERT_PAIR), a = bert_of_sums(p, k, BERT_A);
    const int m = bert_inverse_at(p, k)->m, first = p->boot[pair];
    // the mask of keys; columns: with D, and with v
    row[P] = (struct bert_node_row){.name = "mask", .in = {{from, below + !columns}}};
    row[D] = (struct bert_node_row){.name = "D", .in = {{P, columns}}};
    row[pair] = (struct bert_node_row){"pair", {{D, first}}, .most = m - 1};
    row[a] = (struct bert_node_row){.name = "1/d", .in = {{pair, m - first}}};
}

// columns: 1/D is parted by groups, and what is squared by halves
static void set_softmax(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p,
                        int columns) {
    enum bert_node from = BERT_E;
    for (int k = 0; k <= p->rounds; k++) {
        int below = k ? 1 + columns : 0;
        set_sums(row, p, k, from, below, columns);
        if (k == p->rounds) break;
        row[bert_squared(k)] = (struct bert_node_row){
            "square", {{from, below + 1}, {bert_of_sums(p, k, BERT_A), 1 + columns}}, .most = 1};
        from = bert_squared(k);
    }
}

void bert_nodes_set(struct bert_node_row row[BERT_NODES], const struct bert_layer_plan *p,
                    const struct bert_shape *s) {
    const int columns = s->by_columns, mean = 1 + bert_mean_levels(s),
              exp = bert_poly_levels(p->exp.degree), gelu = bert_poly_levels(p->gelu.degree),
              root1 = bert_poly_levels(p->rsqrt[0].degree),
              root2 = bert_poly_levels(p->rsqrt[1].degree);
    const struct bert_node_row rows[BERT_NODES] = {
        [BERT_Y] = {"y", .carried = 3 * s->nx},
        [BERT_Q] = {"q", {{BERT_Y, 1}}},
        // linear, then the skew
        [BERT_K] = {"k", {{BERT_Y, 2}}},
        [BERT_V] = {"v", {{BERT_Y, 2}}, .carried = s->groups},
        // products of one level; columns: and a mask
        [BERT_U] = {"scores", {{BERT_Q, 1 + columns}, {BERT_K, 1 + columns}}, .most = 1},
        [BERT_E] = {"exp", {{BERT_U, exp}}},
        [BERT_C] = {"PV", {{BERT_P, 1}, {BERT_V, 1 + columns}}, .carried = s->groups},
        // columns: 1/D is parted by groups
        [BERT_CA] = {"context", {{BERT_C, 1}, {BERT_A, 1 + columns}}},
        [BERT_X1] = {"x1", {{BERT_CA, 1}, {BERT_Y, mean}}, .most = 1},
        [BERT_R1] = {"r1", {{BERT_X1, 1 + root1}}, .most = 1},
        [BERT_Y1] = {"y1", {{BERT_X1, 1}, {BERT_R1, 1}}, .most = 1, .carried = s->nx},
        [BERT_W] = {"ffn", {{BERT_Y1, 1}}},
        [BERT_F] = {"GELU", {{BERT_W, 1 + gelu}}, .carried = bert_nf(s)},
        [BERT_X2] = {"x2", {{BERT_F, 1}, {BERT_Y1, mean}}, .most = 1},
        [BERT_R2] = {"r2", {{BERT_X2, 1 + root2}}, .most = 1},
        [BERT_Y2] = {"y", {{BERT_X2, 1}, {BERT_R2, 1}}, .most = 1},
    };
    for (int i = 0; i < BERT_NODES; i++) row[i] = rows[i];
    set_softmax(row, p, columns);
    row[BERT_P].carried = s->groups;
}

static const struct {
    const char *stage;
    enum bert_boot kind;
} booted[BERT_NODES] = {
    [BERT_U] = {"boot scores", BERT_BOOT_SCORES}, [BERT_PAIR] = {"boot inverse", BERT_BOOT_PAIR},
    [BERT_X1] = {"boot x1", BERT_BOOT_X},         [BERT_R1] = {"boot r1", BERT_BOOT_R},
    [BERT_Y1] = {"boot y1", BERT_BOOT_X},         [BERT_X2] = {"boot x2", BERT_BOOT_X},
    [BERT_R2] = {"boot r2", BERT_BOOT_R},         [BERT_Y2] = {"boot y2", BERT_BOOT_X},
};

/* Bootstraps by the period of what they refresh.  Cost is time on one core over that of a bootstrap
 * of 2^15 complex slots, as measured.  Scores of the copies shape 1.3: nothing else there needs the
 * 2.5 GiB of matrices of a full bootstrap.  Columns shape: all have all slots in use, and two real
 * ciphertexts share one bootstrap as its real and imaginary part. */
static struct bert_boot_rule rule_of(const struct bert_shape *s, enum bert_boot kind) {
    const int all = bert_log2(bert_shape_slots(s)), real[] = {s->nx, 1, s->scores, 1};
    const struct bert_boot_rule copies[BERT_BOOTS] = {
        [BERT_BOOT_X] = {.log_slots = bert_log2(s->tokens * s->columns), .cost = 0.7},
        [BERT_BOOT_R] = {.log_slots = bert_log2(s->tokens), .cost = 0.5},
        [BERT_BOOT_SCORES] = {.log_slots = all, .cost = 1.3},
        [BERT_BOOT_PAIR] = {.log_slots = bert_log2(bert_kappa(s)), .lanes = 1, .cost = 0.55},
    };
    struct bert_boot_rule b = {.by = BERT_BOOT_X, .log_slots = all, .lanes = 1, .cost = 1};
    if (!s->by_columns) {
        b = copies[kind];
        b.by = kind;
    }
    b.count = s->by_columns ? (real[kind] + 1) / 2 : real[kind];
    b.level = BERT_FRESH_LEVEL - (b.lanes && !s->by_columns); // parted: fewer slots take a level
    b.bands = (b.log_slots + 4) / 5; // StC merges 5 butterfly stages a level
    return b;
}

struct bert_boot_rule bert_boot_rule(const struct bert_shape *s, enum bert_node node) {
    if (node >= BERT_ROUND && node < BERT_P) { // those of rounds are scores and pairs
        int of = (int)(node - BERT_ROUND) % BERT_ROUND_NODES;
        struct bert_boot_rule b = {0};
        if (of == BERT_ROUND_NODES - 1) {
            b = rule_of(s, BERT_BOOT_SCORES);
            b.stage = "boot round";
        }
        return of == BERT_PAIR - BERT_P ? bert_boot_rule(s, BERT_PAIR) : b;
    }
    if (!booted[node].stage) return (struct bert_boot_rule){0};
    struct bert_boot_rule b = rule_of(s, booted[node].kind);
    b.stage = booted[node].stage;
    return b;
}

int bert_head_levels(const struct bert_plan *p) {
    return 2 + p->shape.by_columns + bert_poly_levels(p->tanh.degree);
}
