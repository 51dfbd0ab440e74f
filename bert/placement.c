/* Where bootstraps stand: the written rule.
 *
 * Levels of one layer entered at level L (m iterations, d_* the levels of the polynomials), of the
 * copies shape and of the columns shape:
 *   q = L-1   kv = L-2
 *   u = L-3, columns L-4                  bootstrapped when u >= bands: back at 16
 *   E = u - d_exp
 *   P = E-1   D = P   C = min(P, kv) - 1;   columns: P = E   D = P-1   C = min(P, kv-1) - 1
 *   a round: D as above, a = D - m, x = min(E, a, columns a-1) - 1, bootstrapped: E = 15, columns 14;
 *            where x would be below the bands, the pair is bootstrapped as late as it may
 *   a = D - m, or with a bootstrap of the pair after i < m steps: D - i >= bands, a = 15 - (m - i),
 *       columns 16 - (m - i)
 *   x1 = min(C, a, L - mean + 1) - 2, columns min(C, a-1, L - mean + 1) - 2
 *                                         bootstrapped when x1 >= bands: back at 16
 *   r1 = x1 - 1 - d_rsqrt1                bootstrapped when r1 >= bands: back at 16
 *   y1 = min(x1, r1) - 1                  bootstrapped when y1 >= bands: back at 16, never with r1
 *   w = y1 - 1   f = w - 1 - d_gelu
 *   x2 = min(f, y1 - mean) - 1,   r2 = x2 - 1 - d_rsqrt2,   y_out = min(x2, r2) - 1,   bootstraps
 *   as above; that of y_out is boot_y of the next layer, which is entered at 16
 * mean: bert_mean_levels.  Head: pooler y-1, columns y-2, tanh pooler - d_tanh, logits tanh-1.  No
 * level is below 0.
 *
 * What a bootstrap means in ciphertexts and slots:
 *   x, y    the nx ciphertexts of a state, T C slots
 *   scores  the ciphertexts of u, all slots in use
 *   pair    a_i and g_(i+1), of period kappa = R T hp slots
 *   r       one for a state, T slots
 *   In the columns shape all have all slots in use; two of a state or of the scores share one
 *   bootstrap as its real and imaginary part.
 *
 * E, P and C are never bootstrapped: a row whose denominator is small would drown in the noise.
 * For the same reason a pair is refreshed only where its smallest values stand clear of it: b_i >=
 * e_i with 2^-15/e_i < 0.08 (worst noise; a pair is split by adding two halves, which doubles it;
 * rms a twelfth), and a_i with 2^-18.6/a_i < 0.2 (rms, met only where d = 1, the end of the margin
 * above calibrated denominators).
 *
 * A dynamic programme over the level of y finds the cheapest legal choice.  Cost is time on one
 * core over that of a bootstrap of 2^15 complex slots, as measured: 2^13 real 0.7, the pair 0.55, r
 * 0.5.  Scores in the copies shape 1.3: nothing else there needs the 2.5 GiB of matrices of a full
 * bootstrap.  A level that a matrix product carries needlessly costs 0.0005, which decides between
 * equals; of what is equal then, the latest pair, which has least noise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/shape.h"
#include "bert/polyfit.h"

#define LEVELS (BERT_FRESH_LEVEL + 1)
#define COST_COPIES_X 0.7
#define COST_COPIES_SCORES 1.3
#define COST_PAIR 0.55
#define COST_R 0.5
#define COST_LEVEL 0.0005
#define PAIR_WORST 3.0517578125e-05 /* 2^-15 */
#define PAIR_RMS 2.5166e-06         /* 2^-18.6 */
#define PAIR_NOISE_B 0.08
#define PAIR_NOISE_A 0.2

struct bands {              /* levels that a bootstrap of each kind needs at its input */
    int x, scores, pair, r; /* x: also y */
    int extra;              /* levels that a longer chain would have; 0 but for messages */
    char quiet[BERT_MAX_ROUNDS][BERT_MAX_ITER + 1]; /* bootstraps of pairs that rounds may have */
};

struct choice {
    int scores, inv, x[2], r[2], y[2];
};

struct node { /* cheapest way to leave a layer at this level */
    double cost;
    int from;
    struct choice how;
};

int bert_boot_bands(int log_slots) {
    return (log_slots + 4) / 5;
}

static int quiet_enough(const struct bert_inverse *v, int i) {
    double lo, hi;
    struct bert_inverse scaled;
    bert_inverse_set(&scaled, v->e, v->m, i);
    bert_inverse_span(&scaled, i, &lo, &hi);
    return PAIR_WORST / bert_inverse_low(v->e, i) < PAIR_NOISE_B && PAIR_RMS / lo < PAIR_NOISE_A;
}

static struct bands bands_of(const struct bert_shape *s, const struct bert_layer_plan *p,
                             int extra) {
    struct bands b = {.x = bert_boot_bands(bert_state_log(s)),
                      .scores = bert_boot_bands(BERT_LOG_SLOTS),
                      .pair = bert_boot_bands(bert_pair_log(s)),
                      .r = bert_boot_bands(bert_root_log(s)),
                      .extra = extra};
    for (int k = 0; k < p->rounds; k++)
        for (int i = 1; i < p->round[k].inv.m; i++)
            b.quiet[k][i] = (char)quiet_enough(&p->round[k].inv, i);
    return b;
}

static int min_int(int a, int b) {
    return a < b ? a : b;
}

// the level after an optional bootstrap; -1 when that has too few levels at its input
static int refresh(int level, int boot, int need, const struct bands *b) {
    if (!boot) return level;
    return level >= need ? BERT_FRESH_LEVEL + b->extra : -1;
}

// one LayerNorm half of the walk: x (before its bootstrap), r and y (after it)
static int walk_norm(const struct bert_layer_plan *p, int i, int x, const struct choice *c,
                     const struct bands *b, int *xl, int *rl, int *yl) {
    *xl = refresh(x, c->x[i], b->x, b);
    if (*xl < 0) return -1;
    *rl = refresh(*xl - 1 - bert_poly_levels(p->rsqrt[i].degree), c->r[i], b->r, b);
    *yl = min_int(*xl, *rl) - 1;
    *yl = refresh(*yl, c->y[i], b->x, b);
    return *yl;
}

// round k from E at that level: what E is at after it, or -1
static int walk_round(struct bert_layer_plan *p, int k, int E, const struct bert_shape *s,
                      const struct bands *b) {
    struct bert_round *r = &p->round[k];
    int more = s->by_columns, D = E - 1, a = D - r->inv.m;
    r->boot_inv = 0;
    if (a - more - 1 < b->scores) {
        int i = r->inv.m - 1;
        while (i > 0 && (D - i < b->pair || !b->quiet[k][i])) i--;
        if (i <= 0) return -1;
        r->boot_inv = i;
        a = bert_pair_level(s) + b->extra - (r->inv.m - i);
    }
    p->level.round[k] = min_int(E, a - more) - 1;
    return p->level.round[k] < b->scores ? -1 : BERT_FRESH_LEVEL + b->extra - 1 - more;
}

static int walk_attention(struct bert_layer_plan *p, const struct bert_shape *s,
                          const struct choice *c, const struct bands *b) {
    int in = p->level.y_in + b->extra, more = s->by_columns, D, E;
    p->level.q = in - 1;
    p->level.kv = in - 2;
    p->level.u = refresh(in - 3 - more, c->scores, b->scores, b);
    p->level.E = p->level.u - bert_poly_levels(p->exp.degree);
    E = p->level.E;
    for (int k = 0; k < p->rounds; k++)
        if ((E = walk_round(p, k, E, s, b)) < 0) return -1;
    p->level.P = E - !more;
    D = p->level.P - more;
    p->level.C = min_int(p->level.P, p->level.kv - more) - 1;
    p->level.a = c->inv ? bert_pair_level(s) + b->extra - (p->inv.m - c->inv) : D - p->inv.m;
    if (p->level.u < 0 || p->level.C < 0 || p->level.a < more || D < 0 ||
        (c->inv && D - c->inv < b->pair))
        return -1;
    return min_int(min_int(p->level.C, p->level.a - more) - 2, in - 1 - bert_mean_levels(s));
}

// fills p->level of a layer entered at level.y_in; the level of y_out, or -1 when illegal
static int walk(struct bert_layer_plan *p, const struct bert_shape *s, const struct choice *c,
                const struct bands *b) {
    int x = walk_attention(p, s, c, b);
    if (x < 0 || walk_norm(p, 0, x, c, b, &p->level.x1, &p->level.r1, &p->level.y1) < 0) return -1;
    p->level.w = p->level.y1 - 1;
    p->level.f = p->level.w - 1 - bert_poly_levels(p->gelu.degree);
    x = min_int(p->level.f, p->level.y1 - bert_mean_levels(s)) - 1;
    return x < 0 ? -1 : walk_norm(p, 1, x, c, b, &p->level.x2, &p->level.r2, &p->level.y_out);
}

// bootstraps of n ciphertexts: in the columns shape two by two
static int pairs_of(const struct bert_shape *s, int n) {
    return s->by_columns ? (n + 1) / 2 : n;
}

static double cost_of(const struct bert_layer_plan *p, const struct choice *c,
                      const struct bert_shape *s, const struct bands *b) {
    int full = s->by_columns;
    double x = pairs_of(s, s->nx) * (full ? 1 : COST_COPIES_X);
    double scores = pairs_of(s, s->scores) * (full ? 1 : COST_COPIES_SCORES);
    double boots = scores * (c->scores + p->rounds) + (full ? 1 : COST_PAIR) * (c->inv > 0) +
                   x * (c->x[0] + c->x[1] + c->y[0] + c->y[1]) +
                   (full ? 1 : COST_R) * (c->r[0] + c->r[1]);
    double held = s->nx * (3.0 * p->level.y_in + p->level.y1) +
                  s->groups * (p->level.kv + p->level.P + p->level.C) + bert_nf(s) * p->level.f;
    if (c->inv) // D above what C needs anyway
        held += 3.0 * s->groups * fmax(0, b->pair + full + c->inv - (b->x + 3));
    return boots + COST_LEVEL * held;
}

static int bit(int bits, int i) {
    return bits >> i & 1;
}

// every choice for a layer entered at p->level.y_in, cost `before`; whether any was legal
static int try_level(struct bert_layer_plan *p, const struct bert_shape *s, const char *quiet,
                     int last, const struct bands *b, double before, struct node *out) {
    int any = 0;
    for (int k = 0; k < 128; k++)
        for (int inv = p->inv.m - 1; inv >= 0; inv--) { // of equals the latest: the least noise
            struct choice c = {bit(k, 0),
                               inv,
                               {bit(k, 1), bit(k, 2)},
                               {bit(k, 3), bit(k, 4)},
                               {bit(k, 5), bit(k, 6)}};
            if ((inv && !quiet[inv]) || (c.y[0] && c.r[0]) || (c.y[1] && (c.r[1] || last)))
                continue;
            int to = walk(p, s, &c, b);
            any |= to >= 0;
            if (to < 0 || !out) continue;
            double cost = before + cost_of(p, &c, s, b);
            if (cost < out[to].cost - 1e-12) out[to] = (struct node){cost, p->level.y_in, c};
        }
    return any;
}

static void settle(struct bert_plan *plan, int l, const struct node *n, int from) {
    struct bert_layer_plan *p = &plan->layer[l];
    struct bands b = bands_of(&plan->shape, p, 0);
    p->boot_scores = n->how.scores;
    p->boot_inv = n->how.inv;
    memcpy(p->boot_x, n->how.x, sizeof p->boot_x);
    memcpy(p->boot_r, n->how.r, sizeof p->boot_r);
    p->boot_y1 = n->how.y[0];
    if (l + 1 < plan->layers) plan->layer[l + 1].boot_y = n->how.y[1];
    p->level.y_in = from;
    walk(p, &plan->shape, &n->how, &b);
    bert_inverse_set(&p->inv, p->inv.e, p->inv.m, p->boot_inv);
    for (int k = 0; k < p->rounds; k++) {
        struct bert_round *r = &p->round[k];
        bert_inverse_set(&r->inv, r->inv.e, r->inv.m, r->boot_inv);
    }
}

static int highest(const struct node *n) {
    int best = 0;
    for (int i = 0; i < LEVELS; i++)
        if (isfinite(n[i].cost)) best = i;
    return best;
}

static int head_levels(const struct bert_plan *p) {
    return 2 + p->shape.by_columns + bert_poly_levels(p->tanh.degree);
}

// the cheapest level from which pooler, tanh and classifier still fit
static int finish(const struct bert_plan *p, const struct node *n) {
    int need = head_levels(p), best = -1;
    for (int i = need; i < LEVELS; i++)
        if (isfinite(n[i].cost) && (best < 0 || n[i].cost < n[best].cost)) best = i;
    return best;
}

// how many more levels the chain would need for a layer entered at level `from`
static int missing(struct bert_layer_plan *p, const struct bert_shape *s, const char *quiet,
                   int from) {
    struct bands b = bands_of(s, p, 1);
    p->level.y_in = from;
    while (b.extra < 64 && !try_level(p, s, quiet, 1, &b, 0, NULL)) b.extra++;
    return b.extra;
}

static int place_layer(const struct bert_plan *p, int l, const struct node *in, struct node *out) {
    struct bert_layer_plan scratch = p->layer[l];
    struct bands b = bands_of(&p->shape, &scratch, 0);
    char quiet[BERT_MAX_ITER + 1] = {0};
    int any = 0, last = l + 1 == p->layers;
    for (int i = 1; i < scratch.inv.m; i++) quiet[i] = (char)quiet_enough(&scratch.inv, i);
    for (int from = 0; from < LEVELS; from++) {
        scratch.level.y_in = from;
        any |= isfinite(in[from].cost) &&
               try_level(&scratch, &p->shape, quiet, last, &b, in[from].cost, out);
    }
    if (any) return THOR_OK;
    return thor_fail(
        THOR_MODEL,
        "layer %d has no legal placement of bootstraps, %d levels are missing (exp takes "
        "%d, the inverse %d, 1/sqrt %d and %d, GELU %d): its ranges are too wide for encryption",
        l, missing(&scratch, &p->shape, quiet, highest(in)), bert_poly_levels(scratch.exp.degree),
        scratch.inv.m, bert_poly_levels(scratch.rsqrt[0].degree),
        bert_poly_levels(scratch.rsqrt[1].degree), 1 + bert_poly_levels(scratch.gelu.degree));
}

int bert_placeable(const struct bert_plan *p, int l) {
    struct bert_layer_plan scratch = p->layer[l];
    struct bands b = bands_of(&p->shape, &scratch, 0);
    char quiet[BERT_MAX_ITER + 1] = {0};
    for (int i = 1; i < scratch.inv.m; i++) quiet[i] = (char)quiet_enough(&scratch.inv, i);
    scratch.level.y_in = BERT_FRESH_LEVEL;
    return try_level(&scratch, &p->shape, quiet, l + 1 == p->layers, &b, 0, NULL);
}

// nodes[(layers + 1) * LEVELS]; *end: the level at which the head is entered
static int search(const struct bert_plan *p, struct node *nodes, int *end) {
    int st = THOR_OK, need = head_levels(p);
    const struct node *last = nodes + p->layers * LEVELS;
    for (int i = 0; i < (p->layers + 1) * LEVELS; i++) nodes[i] = (struct node){.cost = INFINITY};
    nodes[BERT_FRESH_LEVEL].cost = 0;
    for (int l = 0; l < p->layers; l++)
        TRY(place_layer(p, l, nodes + l * LEVELS, nodes + (l + 1) * LEVELS));
    *end = finish(p, last);
    if (*end < 0)
        st = thor_fail(
            THOR_MODEL,
            "the head after layer %d needs %d levels, %d are missing: tanh's range is too wide",
            p->layers - 1, need, need - highest(last));
out:
    return st;
}

static void settle_all(struct bert_plan *p, const struct node *nodes, int at) {
    p->level_pooler = at - 1 - p->shape.by_columns;
    p->level_tanh = p->level_pooler - bert_poly_levels(p->tanh.degree);
    p->level_logits = p->level_tanh - 1;
    for (int l = p->layers - 1; l >= 0; l--) {
        const struct node *node = &nodes[(l + 1) * LEVELS + at];
        settle(p, l, node, node->from);
        at = node->from;
    }
}

int bert_place(struct bert_plan *p) {
    int at, st = THOR_OK;
    struct node *nodes = malloc((size_t)(p->layers + 1) * LEVELS * sizeof *nodes);
    if (!nodes)
        return thor_fail(THOR_MEMORY, "no memory to place bootstraps of %d layers", p->layers);
    TRY(search(p, nodes, &at));
    settle_all(p, nodes, at);
out:
    free(nodes);
    return st;
}

int bert_plan_bootstraps(const struct bert_plan *p, int *full, int *sparse) {
    const struct bert_shape *s = &p->shape;
    *full = *sparse = 0;
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        int x = pairs_of(s, s->nx) * (q->boot_x[0] + q->boot_x[1] + q->boot_y + q->boot_y1);
        int others = (q->boot_inv > 0) + q->boot_r[0] + q->boot_r[1];
        for (int k = 0; k < q->rounds; k++) others += q->round[k].boot_inv > 0;
        *full += pairs_of(s, s->scores) * (q->boot_scores + q->rounds) +
                 (s->by_columns ? x + others : 0);
        *sparse += s->by_columns ? 0 : x + others;
    }
    return *full + *sparse;
}
