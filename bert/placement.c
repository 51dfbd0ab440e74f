/* Where bootstraps stand: the cheapest legal choice, by the levels of nodes.c.
 *
 * Levels count down along the rows of a layer; none is below 0.  A bootstrap takes `bands` levels
 * at its input and comes back at its level.  y is never bootstrapped with r, nor before the head.
 * E, P and C are never bootstrapped: a row whose denominator is small would drown in the noise.
 * For the same reason a pair is refreshed only where its smallest values stand clear of it: b_i >=
 * e_i with 2^-15/e_i < 0.08 (worst noise; a pair is split by adding two halves, which doubles it;
 * rms a twelfth), and a_i with 2^-18.6/a_i < 0.2 (rms, met only where d = 1, the end of the margin
 * above calibrated denominators).
 *
 * A dynamic programme over the level of y finds the cheapest choice.  Cost is that of the
 * bootstraps (nodes.c); a level that a matrix product carries needlessly costs 0.0005, which
 * decides between equals; of what is equal then, the latest pair, which has least noise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/polyfit.h"

#define LEVELS (BERT_FRESH_LEVEL + 1)
#define COST_LEVEL 0.0005
#define PAIR_WORST 3.0517578125e-05 /* 2^-15 */
#define PAIR_RMS 2.5166e-06         /* 2^-18.6 */
#define PAIR_NOISE_B 0.08
#define PAIR_NOISE_A 0.2

struct way { /* the cheapest way to leave a layer at this level */
    double cost;
    int boot[BERT_NODES], level[BERT_NODES];
};

struct search {               /* of one layer */
    struct bert_layer_plan p; /* boot and level: as chosen so far */
    const struct bert_shape *s;
    struct bert_node_row row[BERT_NODES];
    struct bert_boot_rule rule[BERT_NODES];
    /* whether the pair of sums k may be bootstrapped after i iterations */
    int quiet[BERT_MAX_ROUNDS + 1][BERT_MAX_ITER + 1];
    int last;        /* of all layers */
    int extra;       /* levels that a longer chain would have; 0 but for messages */
    double before;   /* cost of the layers before */
    struct way *out; /* NULL: any choice will do */
};

static int quiet_enough(const struct bert_inverse *v, int i) {
    double lo, hi;
    struct bert_inverse scaled;
    bert_inverse_set(&scaled, v->e, v->m, i);
    bert_inverse_span(&scaled, i, &lo, &hi);
    return PAIR_WORST / bert_inverse_low(v->e, i) < PAIR_NOISE_B && PAIR_RMS / lo < PAIR_NOISE_A;
}

static struct search search_of(const struct bert_plan *p, int l) {
    struct search s = {.p = p->layer[l], .s = &p->shape, .last = l + 1 == p->layers};
    bert_nodes_set(s.row, &s.p, s.s);
    for (int i = 0; i < BERT_NODES; i++) s.rule[i] = bert_boot_rule(s.s, i);
    for (int k = 0; k <= s.p.rounds; k++)
        for (int i = 1; i < s.p.inv[k].m; i++) s.quiet[k][i] = quiet_enough(&s.p.inv[k], i);
    return s;
}

static double cost_of(const struct search *s) {
    const int *boot = s->p.boot, *level = s->p.level;
    double boots = 0, carried = 0;
    for (int i = 0; i < BERT_NODES; i++) {
        if (boot[i]) boots += s->rule[i].count * s->rule[i].cost;
        carried += s->row[i].carried * level[i];
    }
    if (bert_boot_inv(&s->p, s->p.rounds)) { // P above what C needs anyway
        int pair = s->rule[BERT_PAIR].bands + bert_boot_inv(&s->p, s->p.rounds) +
                   s->row[bert_of_sums(BERT_D, s->p.rounds)].in[0].levels;
        carried += 3.0 * s->s->groups * fmax(0, pair - (s->rule[BERT_X1].bands + 3));
    }
    return boots + COST_LEVEL * carried;
}

// the level of a node, bootstrapped or not; below 0: illegal
static int level_of(const struct search *s, int node, int boot) {
    const struct bert_node_row *row = &s->row[node];
    const struct bert_boot_rule *rule = &s->rule[node];
    int level = BERT_FRESH_LEVEL + s->extra;
    for (int i = 0; i < 2 && row->in[i].from; i++) {
        int here = s->p.level[row->in[i].from] - row->in[i].levels;
        level = here < level ? here : level;
    }
    if (!boot) return level;
    return level >= rule->bands ? rule->level + s->extra : -1;
}

static int is_allowed(const struct search *s, int node, int boot) {
    int k;
    enum bert_node of = bert_which_sums(&k, (enum bert_node)node);
    if (!boot) return of != BERT_SQUARE || !s->row[node].name; // no level would be left
    if (of == BERT_PAIR) return s->quiet[k][boot];
    if (node == BERT_Y0) return !s->p.boot[BERT_R0];
    if (node == BERT_Y1) return !s->p.boot[BERT_R1];
    if (node == BERT_Y2 && s->p.boot[BERT_R2]) return 0;
    return !(s->last && node == (int)bert_leaving(s->s));
}

static void keep_cheapest(const struct search *s) {
    double cost = s->before + cost_of(s);
    struct way *to = &s->out[s->p.level[bert_leaving(s->s)]];
    if (cost >= to->cost - 1e-12) return;
    to->cost = cost;
    memcpy(to->boot, s->p.boot, sizeof to->boot);
    memcpy(to->level, s->p.level, sizeof to->level);
}

// every legal choice from `node` on, of the pairs of rounds the latest; whether there was one
static int choose(struct search *s, int node) {
    int any = 0, k;
    enum bert_node of = bert_which_sums(&k, (enum bert_node)node);
    if (node == BERT_NODES) {
        if (s->out) keep_cheapest(s);
        return 1;
    }
    for (int boot = s->row[node].most; boot >= 0 && !(any && !s->out); boot--) {
        if (!is_allowed(s, node, boot) || (any && boot && of == BERT_PAIR && k < s->p.rounds))
            continue;
        s->p.boot[node] = boot;
        if (of == BERT_PAIR) bert_nodes_set(s->row, &s->p, s->s);
        s->p.level[node] = level_of(s, node, boot);
        if (s->p.level[node] >= 0) any |= choose(s, node + 1);
    }
    s->p.boot[node] = 0;
    return any;
}

static int enter_at(struct search *s, int level) {
    s->p.level[BERT_Y] = level + s->extra;
    return choose(s, BERT_Y + 1);
}

static int highest(const struct way *n) {
    int best = 0;
    for (int i = 0; i < LEVELS; i++)
        if (isfinite(n[i].cost)) best = i;
    return best;
}

// the cheapest level from which pooler, tanh and classifier still fit
static int finish(const struct bert_plan *p, const struct way *n) {
    int need = bert_head_levels(p), best = -1;
    for (int i = need; i < LEVELS; i++)
        if (isfinite(n[i].cost) && (best < 0 || n[i].cost < n[best].cost)) best = i;
    return best;
}

// how many more levels the chain would need for a layer entered at level `from`
static int missing(struct search *s, int from) {
    s->out = NULL;
    for (s->extra = 1; s->extra < 64 && !enter_at(s, from);) s->extra++;
    return s->extra;
}

static int place_layer(const struct bert_plan *p, int l, const struct way *in, struct way *out) {
    struct search s = search_of(p, l);
    const struct bert_layer_plan *q = &s.p;
    int any = 0;
    s.out = out;
    for (int from = 0; from < LEVELS; from++) {
        s.before = in[from].cost;
        any |= isfinite(s.before) && enter_at(&s, from);
    }
    if (any) return THOR_OK;
    return thor_fail(
        THOR_MODEL,
        "layer %d has no legal placement of bootstraps, %d levels are missing (exp takes "
        "%d, the inverse %d, 1/sqrt %d and %d, GELU %d): its ranges are too wide for encryption",
        l, missing(&s, highest(in)), bert_poly_levels(q->exp.degree), q->inv[q->rounds].m,
        bert_poly_levels(q->rsqrt[0].degree), bert_poly_levels(q->rsqrt[1].degree),
        1 + bert_poly_levels(q->gelu.degree));
}

int bert_placeable(const struct bert_plan *p, int l) {
    struct search s = search_of(p, l);
    return enter_at(&s, BERT_FRESH_LEVEL);
}

// ways[(layers + 1) * LEVELS]; *end: the level at which the head is entered
static int search(const struct bert_plan *p, struct way *ways, int *end) {
    int st = THOR_OK, need = bert_head_levels(p);
    const struct way *last = ways + p->layers * LEVELS;
    for (int i = 0; i < (p->layers + 1) * LEVELS; i++) ways[i] = (struct way){.cost = INFINITY};
    ways[BERT_FRESH_LEVEL].cost = 0;
    for (int l = 0; l < p->layers; l++)
        TRY(place_layer(p, l, ways + l * LEVELS, ways + (l + 1) * LEVELS));
    *end = finish(p, last);
    if (*end < 0)
        st = thor_fail(
            THOR_MODEL,
            "the head after layer %d needs %d levels, %d are missing: tanh's range is too wide",
            p->layers - 1, need, need - highest(last));
out:
    return st;
}

static void settle(struct bert_plan *p, const struct way *ways, int at) {
    p->level_logits = at - bert_head_levels(p);
    p->level_tanh = p->level_logits + 1;
    p->level_pooler = p->level_tanh + bert_poly_levels(p->tanh.degree);
    for (int l = p->layers - 1; l >= 0; l--) {
        struct bert_layer_plan *q = &p->layer[l];
        const struct way *way = &ways[(l + 1) * LEVELS + at];
        memcpy(q->boot, way->boot, sizeof q->boot);
        memcpy(q->level, way->level, sizeof q->level);
        for (int k = 0; k <= q->rounds; k++)
            bert_inverse_set(&q->inv[k], q->inv[k].e, q->inv[k].m, bert_boot_inv(q, k));
        at = q->level[BERT_Y];
    }
}

int bert_place(struct bert_plan *p) {
    int at, st = THOR_OK;
    struct way *ways = malloc((size_t)(p->layers + 1) * LEVELS * sizeof *ways);
    if (!ways)
        return thor_fail(THOR_MEMORY, "no memory to place bootstraps of %d layers", p->layers);
    TRY(search(p, ways, &at));
    settle(p, ways, at);
out:
    free(ways);
    return st;
}

int bert_plan_bootstraps(const struct bert_plan *p, int *full, int *sparse) {
    *full = *sparse = 0;
    for (int l = 0; l < p->layers; l++)
        for (int i = 0; i < BERT_NODES; i++) {
            const struct bert_boot_rule b = bert_boot_rule(&p->shape, i);
            if (p->layer[l].boot[i]) *(b.log_slots == BERT_LOG_SLOTS ? full : sparse) += b.count;
        }
    return *full + *sparse;
}
