/* Where bootstraps stand: the written rule.
 *
 * Levels of one layer entered at level L (m iterations, d_* the levels of the polynomials):
 *   q = L-1   kv = L-2   u = L-3          u bootstrapped when u >= bands: back at 16
 *   E = u - d_exp   P = E-1   D = P   C = min(P, kv) - 1
 *   a = D - m, or with a bootstrap of the pair after i < m steps: D - i >= bands, a = 15 - (m - i)
 *   x1 = min(C, a) - 2                    bootstrapped when x1 >= bands: back at 16
 *   r1 = x1 - 1 - d_rsqrt1                bootstrapped when r1 >= bands: back at 16
 *   y1 = min(x1, r1) - 1   w = y1 - 1   f = w - 1 - d_gelu
 *   x2 = min(f, y1) - 1,   r2 = x2 - 1 - d_rsqrt2,   y_out = min(x2, r2) - 1,   bootstraps as above
 * Head: pooler y-1, tanh pooler - d_tanh, logits tanh-1.  No level is below 0.
 *
 * E, P and C are never bootstrapped: a row whose denominator is small would drown in the noise.
 * For the same reason a pair is refreshed only where its smallest values stand clear of it: b_i >=
 * e_i with 2^-16/e_i < 0.01 (worst noise), and a_i with 2^-19.6/a_i < 0.08 (rms, met only where d =
 * 1, far in the margin above calibrated denominators).
 *
 * A dynamic programme over the level of y finds the cheapest legal choice, cost in full bootstraps:
 * x 0.55 a ciphertext, pair 0.5, r 0.4, scores 1.3 a ciphertext (all slots in use: not much slower than
 * x, but its matrices take 2.5 GiB); a level that a matrix product carries needlessly costs 0.0005,
 * which decides between equals. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/polyfit.h"

#define LEVELS (BERT_FRESH_LEVEL + 1)
#define COST_X 0.55
#define COST_SCORES 1.3
#define COST_PAIR 0.5
#define COST_R 0.4
#define COST_LEVEL 0.0005
#define PAIR_NOISE_B 0.01
#define PAIR_NOISE_A 0.08

struct bands { /* levels that a bootstrap of each kind needs at its input */
    int x, scores, pair, r;
    int extra; /* levels that a longer chain would have; 0 but for messages */
};

struct choice {
    int scores, inv, x[2], r[2];
};

struct node { /* cheapest way to leave a layer at this level */
    double cost;
    int from;
    struct choice how;
};

int bert_boot_bands(int log_slots)
{
    return (log_slots + 4) / 5;
}

static int log2_up(int n)
{
    int l = 0;
    while (1 << l < n)
        l++;
    return l;
}

static struct bands bands_of(const struct bert_shape *s, int extra)
{
    return (struct bands){bert_boot_bands(log2_up(s->tokens * s->columns)),
                          bert_boot_bands(BERT_LOG_SLOTS),
                          bert_boot_bands(log2_up(s->repeats * s->tokens * s->hp)),
                          bert_boot_bands(log2_up(s->tokens)), extra};
}

static int min_int(int a, int b)
{
    return a < b ? a : b;
}

// the level after an optional bootstrap; -1 when that has too few levels at its input
static int refresh(int level, int boot, int need, const struct bands *b)
{
    if (!boot)
        return level;
    return level >= need ? BERT_FRESH_LEVEL + b->extra : -1;
}

// one LayerNorm half of the walk: x (before its bootstrap), r and y
static int walk_norm(struct bert_layer_plan *p, int i, int x, const struct choice *c,
                     const struct bands *b, int *xl, int *rl, int *yl)
{
    *xl = refresh(x, c->x[i], b->x, b);
    if (*xl < 0)
        return -1;
    *rl = refresh(*xl - 1 - bert_poly_levels(p->rsqrt[i].degree), c->r[i], b->r, b);
    *yl = min_int(*xl, *rl) - 1;
    return *yl;
}

static int walk_attention(struct bert_layer_plan *p, const struct choice *c, const struct bands *b)
{
    int in = p->level.y_in + b->extra, D;
    p->level.q = in - 1;
    p->level.kv = in - 2;
    p->level.u = refresh(in - 3, c->scores, b->scores, b);
    p->level.E = p->level.u - bert_poly_levels(p->exp.degree);
    D = p->level.P = p->level.E - 1;
    p->level.C = min_int(p->level.P, p->level.kv) - 1;
    p->level.a = c->inv ? BERT_PAIR_LEVEL + b->extra - (p->inv.m - c->inv) : D - p->inv.m;
    if (p->level.u < 0 || p->level.C < 0 || p->level.a < 0 || (c->inv && D - c->inv < b->pair))
        return -1;
    return min_int(p->level.C, p->level.a) - 2;
}

// fills p->level of a layer entered at level.y_in; the level of y_out, or -1 when illegal
static int walk(struct bert_layer_plan *p, const struct choice *c, const struct bands *b)
{
    int x = walk_attention(p, c, b);
    if (x < 0 || walk_norm(p, 0, x, c, b, &p->level.x1, &p->level.r1, &p->level.y1) < 0)
        return -1;
    p->level.w = p->level.y1 - 1;
    p->level.f = p->level.w - 1 - bert_poly_levels(p->gelu.degree);
    x = min_int(p->level.f, p->level.y1) - 1;
    return x < 0 ? -1 : walk_norm(p, 1, x, c, b, &p->level.x2, &p->level.r2, &p->level.y_out);
}

static int quiet_enough(const struct bert_inverse *v, int i)
{
    double lo, hi;
    struct bert_inverse scaled;
    bert_inverse_set(&scaled, v->e, v->m, i);
    bert_inverse_span(&scaled, i, &lo, &hi);
    return exp2(-16) / bert_inverse_low(v->e, i) < PAIR_NOISE_B && exp2(-19.6) / lo < PAIR_NOISE_A;
}

static double cost_of(const struct bert_layer_plan *p, const struct choice *c,
                      const struct bert_shape *s)
{
    double groups = (double)s->heads / s->hp, f = (double)s->ffn / s->columns;
    double boots = COST_SCORES * groups * c->scores + COST_PAIR * groups * (c->inv > 0) +
                   COST_X * s->nx * (c->x[0] + c->x[1]) + COST_R * (c->r[0] + c->r[1]);
    double held =
        s->nx * (3.0 * p->level.y_in + p->level.kv + p->level.P + p->level.C + p->level.y1) +
        f * p->level.f;
    return boots + COST_LEVEL * held;
}

// every choice for a layer entered at p->level.y_in, cost `before`; whether any was legal
static int try_level(struct bert_layer_plan *p, const struct bert_shape *s, const char *quiet,
                     int extra, double before, struct node *out)
{
    struct bands b = bands_of(s, extra);
    int any = 0;
    for (int bits = 0; bits < 32; bits++)
        for (int inv = 0; inv < p->inv.m; inv++) {
            struct choice c = {
                bits & 1, inv, {bits >> 1 & 1, bits >> 2 & 1}, {bits >> 3 & 1, bits >> 4 & 1}};
            int to = inv && !quiet[inv] ? -1 : walk(p, &c, &b);
            any |= to >= 0;
            if (to < 0 || !out)
                continue;
            double cost = before + cost_of(p, &c, s);
            if (cost < out[to].cost - 1e-12)
                out[to] = (struct node){cost, p->level.y_in, c};
        }
    return any;
}

static void settle(struct bert_plan *plan, int l, const struct node *n, int from)
{
    struct bert_layer_plan *p = &plan->layer[l];
    struct bands b = bands_of(&plan->shape, 0);
    p->boot_scores = n->how.scores;
    p->boot_inv = n->how.inv;
    memcpy(p->boot_x, n->how.x, sizeof p->boot_x);
    memcpy(p->boot_r, n->how.r, sizeof p->boot_r);
    p->level.y_in = from;
    walk(p, &n->how, &b);
    bert_inverse_set(&p->inv, p->inv.e, p->inv.m, p->boot_inv);
}

static int highest(const struct node *n)
{
    int best = 0;
    for (int i = 0; i < LEVELS; i++)
        if (isfinite(n[i].cost))
            best = i;
    return best;
}

// the cheapest level from which pooler, tanh and classifier still fit
static int finish(const struct bert_plan *p, const struct node *n)
{
    int need = 2 + bert_poly_levels(p->tanh.degree), best = -1;
    for (int i = need; i < LEVELS; i++)
        if (isfinite(n[i].cost) && (best < 0 || n[i].cost < n[best].cost))
            best = i;
    return best;
}

// how many more levels the chain would need for a layer entered at level `from`
static int missing(struct bert_layer_plan *p, const struct bert_shape *s, const char *quiet,
                   int from)
{
    int extra = 1;
    p->level.y_in = from;
    while (extra < 64 && !try_level(p, s, quiet, extra, 0, NULL))
        extra++;
    return extra;
}

static int place_layer(const struct bert_plan *p, int l, const struct node *in, struct node *out)
{
    struct bert_layer_plan scratch = p->layer[l];
    char quiet[BERT_MAX_ITER + 1] = {0};
    int any = 0;
    for (int i = 1; i < scratch.inv.m; i++)
        quiet[i] = (char)quiet_enough(&scratch.inv, i);
    for (int from = 0; from < LEVELS; from++) {
        scratch.level.y_in = from;
        any |=
            isfinite(in[from].cost) && try_level(&scratch, &p->shape, quiet, 0, in[from].cost, out);
    }
    if (any)
        return THOR_OK;
    return thor_fail(
        THOR_MODEL,
        "layer %d has no legal placement of bootstraps, %d levels are missing (exp takes "
        "%d, the inverse %d, 1/sqrt %d and %d, GELU %d): its ranges are too wide for encryption",
        l, missing(&scratch, &p->shape, quiet, highest(in)), bert_poly_levels(scratch.exp.degree),
        scratch.inv.m, bert_poly_levels(scratch.rsqrt[0].degree),
        bert_poly_levels(scratch.rsqrt[1].degree), 1 + bert_poly_levels(scratch.gelu.degree));
}

static int search(const struct bert_plan *p, struct node *nodes, int *end)
{
    int st = THOR_OK, need = 2 + bert_poly_levels(p->tanh.degree);
    const struct node *last = nodes + p->layers * LEVELS;
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

int bert_place(struct bert_plan *p)
{
    int st = THOR_OK, at;
    size_t n = (size_t)(p->layers + 1) * LEVELS;
    struct node *nodes = malloc(n * sizeof *nodes);
    if (!nodes)
        return thor_fail(THOR_MEMORY, "no memory to place bootstraps of %d layers", p->layers);
    for (size_t i = 0; i < n; i++)
        nodes[i] = (struct node){.cost = INFINITY};
    nodes[BERT_FRESH_LEVEL].cost = 0;
    TRY(search(p, nodes, &at));
    p->level_pooler = at - 1;
    p->level_tanh = p->level_pooler - bert_poly_levels(p->tanh.degree);
    p->level_logits = p->level_tanh - 1;
    for (int l = p->layers - 1; l >= 0; l--) {
        const struct node *node = &nodes[(l + 1) * LEVELS + at];
        settle(p, l, node, node->from);
        at = node->from;
    }
out:
    free(nodes);
    return st;
}

int bert_plan_bootstraps(const struct bert_plan *p, int *full, int *sparse)
{
    const struct bert_shape *s = &p->shape;
    int groups = s->heads / s->hp, wide = s->tokens * s->columns == 1 << BERT_LOG_SLOTS;
    *full = *sparse = 0;
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        int x = s->nx * (q->boot_x[0] + q->boot_x[1]);
        *full += groups * q->boot_scores + (wide ? x : 0);
        *sparse += groups * (q->boot_inv > 0) + q->boot_r[0] + q->boot_r[1] + (wide ? 0 : x);
    }
    return *full + *sparse;
}
