/* Plans: legal by an independent walk, cheap against exhaustive search, refused where they must
 * be. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/levels.h"
#include "bert/polyfit.h"
#include "scratch.h"

#define TINY "data/sst2-tiny"

static struct bert_model shape_only(int layers, int hidden, int heads) {
    struct bert_model m = {
        .cfg = {
            .hidden = hidden, .layers = layers, .heads = heads, .ffn = 4 * hidden, .labels = 2}};
    m.hash = 77;
    return m;
}

static void with_windows(struct bert_ranges *r) {
    for (int l = 0; l < r->layers; l++)
        for (int i = 0; i < 2; i++) {
            r->layer[l].win_lo[i] = 0.3 * r->layer[l].var_lo[i];
            r->layer[l].win_hi[i] = (1.125 + l / 64.0) * r->layer[l].var_hi[i];
        }
}

static void without_windows(struct bert_ranges *r) {
    for (int l = 0; l < r->layers; l++)
        for (int i = 0; i < 2; i++) r->layer[l].win_lo[i] = r->layer[l].win_hi[i] = 0;
}

// ranges of a given hardness: nats of the denominators, lowest score, ratio of variances
static struct bert_ranges *made_up(const struct bert_model *m, double nats, double low,
                                   double ratio) {
    struct bert_ranges *r;
    assert_int_equal(bert_ranges_new(&r, m->cfg.layers, m->cfg.heads, m->cfg.hidden / m->cfg.heads),
                     THOR_OK);
    r->tokens = 64;
    r->rows = 10;
    r->model_hash = m->hash;
    r->margin = 0.12;
    r->top = 0.8;
    r->tanh = 2;
    for (int l = 0; l < r->layers; l++) {
        struct bert_layer_ranges *y = &r->layer[l];
        for (int h = 0; h < r->heads; h++) {
            y->den_lo[h] = -nats / 2;
            y->den_hi[h] = nats / 2;
            y->score_lo[h] = low;
            y->score_hi[h] = nats / 2;
            y->stray[h] = 0.5;
        }
        for (int i = 0; i < 2; i++) {
            y->var_lo[i] = 1;
            y->var_hi[i] = ratio;
        }
        y->gelu = 3 + ratio / 10;
    }
    with_windows(r);
    return r;
}

static int imin(int a, int b) {
    return a < b ? a : b;
}

static int bands_of(int values) {
    return ((int)ceil(log2(values) - 1e-9) + 4) / 5;
}

/* What differs between the shapes: levels between bootstraps, bands at their input, their cost; in
 * the columns shape that of those of two ciphertexts is 1, of those of a real one `real`. */
struct rule {
    int columns, mean;             /* levels that the mean of a residual takes beyond the product */
    int state, scores, pair, root; /* bands */
    int fresh_pair;
    double cost_state, cost_scores, cost_pair, cost_root;
};

static const double REAL = 0.75; /* of its cost, as packing_columns.c has it */

static struct rule rule_of(const struct bert_shape *s, double real) {
    const int all = 3, R = s->repeats, T = s->tokens;
    if (s->packing == &bert_copies_packing)
        return (struct rule){0,
                             0,
                             bands_of(T * s->columns),
                             all,
                             bands_of(R * T * s->hp),
                             bands_of(T),
                             15,
                             0.7,
                             1.3,
                             0.55,
                             0.5};
    return (struct rule){1,
                         1 + (s->hidden % s->columns != 0),
                         all,
                         all,
                         all,
                         all,
                         16,
                         s->nx / 2 + s->nx % 2 * real,
                         s->scores / 2 + s->scores % 2 * real,
                         1,
                         real};
}

static int boosted(int level, int boot, int need) {
    if (!boot) return level;
    assert_true(level >= need);
    return 16;
}

static int quiet(const struct bert_inverse *v, int i) {
    struct bert_inverse scaled;
    double lo, hi;
    bert_inverse_set(&scaled, v->e, v->m, i);
    bert_inverse_span(&scaled, i, &lo, &hi);
    return exp2(-15) / bert_inverse_low(v->e, i) < 0.08 && exp2(-18.6) / lo < 0.2;
}

// the level rules of nodes.c, written out once more; the level of x1 before its bootstrap
static int walk_attention(const struct bert_layer_plan *p, int L, const struct rule *r) {
    int D = p->level[BERT_P], kv = L - 2, a = p->level[BERT_A];
    assert_int_equal(p->level[BERT_Y], L);
    assert_int_equal(p->level[BERT_Q], L - 1);
    assert_int_equal(p->level[BERT_V], kv);
    assert_int_equal(p->level[BERT_E], p->level[BERT_U] - bert_poly_levels(p->exp.degree));
    if (r->columns) {
        assert_int_equal(p->level[BERT_U], boosted(L - 4, p->boot[BERT_U], r->scores));
        assert_int_equal(p->level[BERT_P], p->level[BERT_E]);
        D--;
        kv--; // the mask is with v
        a--;  // parted by groups
    } else {
        assert_int_equal(p->level[BERT_U], boosted(L - 3, p->boot[BERT_U], r->scores));
        assert_int_equal(p->level[BERT_P], p->level[BERT_E] - 1);
    }
    assert_int_equal(p->level[BERT_C], imin(p->level[BERT_P], kv) - 1);
    if (p->boot[BERT_PAIR]) {
        assert_true(p->boot[BERT_PAIR] < p->inv[0].m && D - p->boot[BERT_PAIR] >= r->pair);
        assert_true(quiet(&p->inv[0], p->boot[BERT_PAIR]));
        assert_int_equal(p->level[BERT_A], r->fresh_pair - (p->inv[0].m - p->boot[BERT_PAIR]));
    } else {
        assert_int_equal(p->level[BERT_A], D - p->inv[0].m);
    }
    assert_int_equal(p->level[BERT_D], D);
    assert_int_equal(p->level[BERT_CA], imin(p->level[BERT_C], a) - 1);
    assert_true(p->level[BERT_C] >= 1 && a >= 1 && D >= 0);
    return imin(imin(p->level[BERT_C], a) - 2, L - 1 - r->mean);
}

static int walk_layer(const struct bert_layer_plan *p, int L, const struct rule *r) {
    assert_false((p->boot[BERT_Y1] && p->boot[BERT_R1]) || (p->boot[BERT_Y2] && p->boot[BERT_R2]));
    int x = walk_attention(p, L, r);
    assert_int_equal(p->level[BERT_X1], boosted(x, p->boot[BERT_X1], r->state));
    assert_int_equal(p->level[BERT_R1],
                     boosted(p->level[BERT_X1] - 1 - bert_poly_levels(p->rsqrt[0].degree),
                             p->boot[BERT_R1], r->root));
    assert_int_equal(p->level[BERT_Y1], boosted(imin(p->level[BERT_X1], p->level[BERT_R1]) - 1,
                                                p->boot[BERT_Y1], r->state));
    assert_int_equal(p->level[BERT_W], p->level[BERT_Y1] - 1);
    assert_int_equal(p->level[BERT_F], p->level[BERT_W] - 1 - bert_poly_levels(p->gelu.degree));
    x = imin(p->level[BERT_F] - 1, p->level[BERT_Y1] - 1 - r->mean);
    assert_int_equal(p->level[BERT_X2], boosted(x, p->boot[BERT_X2], r->state));
    assert_int_equal(p->level[BERT_R2],
                     boosted(p->level[BERT_X2] - 1 - bert_poly_levels(p->rsqrt[1].degree),
                             p->boot[BERT_R2], r->root));
    L = boosted(imin(p->level[BERT_X2], p->level[BERT_R2]) - 1, p->boot[BERT_Y2], r->state);
    assert_int_equal(p->level[BERT_Y2], L);
    assert_true(p->level[BERT_F] >= 1 && p->level[BERT_Y1] >= 0 && L >= 0);
    return L;
}

static void assert_legal(const struct bert_plan *p) {
    int L = 16, C = p->shape.columns;
    const struct rule r = rule_of(&p->shape, REAL);
    assert_true(p->shape.nx * C >= p->shape.hidden);
    assert_int_equal(p->shape.repeats * p->tokens * C, 1 << 15);
    for (int l = 0; l < p->layers; l++) L = walk_layer(&p->layer[l], L, &r);
    assert_false(p->layer[p->layers - 1].boot[BERT_Y2]);
    assert_int_equal(p->level_pooler, L - 1 - r.columns); // token 0 is masked
    assert_int_equal(p->level_tanh, p->level_pooler - bert_poly_levels(p->tanh.degree));
    assert_int_equal(p->level_logits, p->level_tanh - 1);
    assert_true(p->level_logits >= 0);
}

static void assert_budgets(const struct bert_plan *p, const struct bert_ranges *r) {
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        const struct bert_layer_ranges *y = &r->layer[l];
        assert_true(q->exp.err * 0.4 * p->tokens < 0.02 && q->inv[0].err < 0.0101 &&
                    q->gelu.err < 2e-3);
        for (int i = 0; i < 2; i++) {
            assert_true(q->rsqrt[i].err < 4e-3);
            assert_true(q->var_lo[i] < y->var_lo[i] && q->var_hi[i] > y->var_hi[i]);
            assert_true(q->rsqrt[i].lo <= q->var_lo[i] && q->rsqrt[i].hi >= q->var_hi[i]);
            if (p->shape.packing == &bert_columns_packing)
                assert_true(q->rsqrt[i].lo < y->win_lo[i] && q->rsqrt[i].hi > y->win_hi[i]);
            assert_true(q->r_mult[i] >= 1 / (q->xc_scale[i] * sqrt(q->var_lo[i])));
        }
        for (int h = 0; h < r->heads;
             h++) { // c_h puts every denominator into [e, 1], every score on exp's interval
            double c = q->shift[h] - y->shift[h];
            assert_true(y->den_hi[h] - c < 0 && y->den_lo[h] - c >= log(q->inv[0].e) - 1e-9);
            assert_true(y->score_lo[h] - c > q->exp.lo && y->score_hi[h] - c < q->exp.hi);
        }
        assert_true(q->gelu_r > y->gelu);
    }
    assert_true(p->tanh.err < 2e-3 && p->tanh_r > r->tanh);
}

static void plans_are_legal(void **state) {
    (void)state;
    int made = 0;
    const struct bert_model m = shape_only(2, 256, 4);
    for (double nats = 1; nats < 9; nats += 2)
        for (double low = -12; low > -60; low *= 3)
            for (double ratio = 4; ratio < 50; ratio *= 5) {
                struct bert_plan *p;
                struct bert_ranges *r = made_up(&m, nats, low, ratio);
                int st = bert_plan_new(&p, &m, r, 64);
                if (st == THOR_OK) {
                    made++;
                    assert_legal(p);
                    assert_budgets(p, r);
                } else {
                    assert_int_equal(st, THOR_MODEL);
                    assert_non_null(strstr(thor_error(), "layer"));
                }
                bert_plan_free(p);
                bert_ranges_free(r);
            }
    assert_true(made >= 10);
}

struct boots { /* of one layer, as in bert_layer_plan */
    int scores, inv, x[2], r[2], y, y1;
};

static double boots_cost(const struct boots *b, const struct rule *r) {
    return r->cost_scores * b->scores + r->cost_pair * (b->inv > 0) +
           r->cost_root * (b->r[0] + b->r[1]) + r->cost_state * (b->x[0] + b->x[1] + b->y + b->y1);
}

static double cost_of(const struct bert_plan *p, double real) {
    double cost = 0;
    const struct rule r = rule_of(&p->shape, real);
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        const struct boots b = {q->boot[BERT_U],
                                q->boot[BERT_PAIR],
                                {q->boot[BERT_X1], q->boot[BERT_X2]},
                                {q->boot[BERT_R1], q->boot[BERT_R2]},
                                q->boot[BERT_Y2],
                                q->boot[BERT_Y1]};
        cost += boots_cost(&b, &r);
    }
    return cost;
}

enum { ILLEGAL = -99 };

static int refreshed(int level, int boot, int need) {
    return !boot ? level : level >= need ? 16 : ILLEGAL;
}

// the level of x1 before its bootstrap, of q entered at L
static int attention_level(const struct boots *b, const struct bert_layer_plan *q, int L,
                           const struct rule *r) {
    int i = b->inv, u = refreshed(L - 3 - r->columns, b->scores, r->scores);
    int P = u - bert_poly_levels(q->exp.degree) - 1 + r->columns, D = P - r->columns, C, a;
    C = imin(P, L - 2 - r->columns) - 1;
    a = i ? r->fresh_pair - q->inv[0].m + i : D - q->inv[0].m;
    if (u < 0 || D < 0 || (i && D - i < r->pair)) return ILLEGAL;
    return imin(imin(C, a - r->columns) - 2, L - 1 - r->mean);
}

// the level of y_out, of q entered at L
static int layer_level(const struct boots *b, const struct bert_layer_plan *q, int L,
                       const struct rule *r) {
    int x = attention_level(b, q, L, r);
    for (int k = 0; k < 2 && x >= 0; k++) {
        x = refreshed(x, b->x[k], r->state);
        int root = refreshed(x - 1 - bert_poly_levels(q->rsqrt[k].degree), b->r[k], r->root);
        int y = imin(x, root) - 1;
        if (k || y < 0) return y;
        y = refreshed(y, b->y1, r->state);
        x = imin(y - 3 - bert_poly_levels(q->gelu.degree), y - 1 - r->mean);
    }
    return x;
}

enum { LAYERS = 2 }; /* that are searched */

struct search {
    const struct bert_plan *p;
    struct rule r;
    int quiet[LAYERS][BERT_MAX_ITER + 1];
};

static struct search search_new(const struct bert_plan *p) {
    struct search s = {.p = p, .r = rule_of(&p->shape, REAL)};
    assert_int_equal(p->layers, LAYERS);
    for (int l = 0; l < LAYERS; l++)
        for (int i = 0; i < p->layer[l].inv[0].m; i++)
            s.quiet[l][i] = !i || quiet(&p->layer[l].inv[0], i);
    return s;
}

// exhaustive, one layer after the other, without any state merging
static double cheapest(const struct search *s, int l, int from, int fresh_r) {
    double best = INFINITY;
    const struct bert_layer_plan *q = &s->p->layer[l];
    const struct rule *r = &s->r;
    if (l == LAYERS)
        return from - 2 - r->columns - bert_poly_levels(s->p->tanh.degree) >= 0 ? 0 : INFINITY;
    for (int k = 0; k < 128; k++)
        for (int i = 0; i < q->inv[0].m; i++) {
            const struct boots b = {
                k & 1,      i,         {k >> 1 & 1, k >> 2 & 1}, {k >> 3 & 1, k >> 4 & 1},
                k >> 5 & 1, k >> 6 & 1};
            if ((b.y && (!l || fresh_r || from < r->state)) || (b.y1 && b.r[0]) || !s->quiet[l][i])
                continue;
            int y = layer_level(&b, q, b.y ? 16 : from, r);
            if (y >= 0) best = fmin(best, boots_cost(&b, r) + cheapest(s, l + 1, y, b.r[1]));
        }
    return best;
}

// in the columns shape every bootstrap is full, whatever it costs
static void assert_counted(const struct bert_plan *p) {
    int full, sparse, scores = 0, n = bert_plan_bootstraps(p, &full, &sparse);
    assert_int_equal(n, full + sparse);
    for (int l = 0; l < p->layers; l++) scores += p->layer[l].boot[BERT_U];
    assert_true(p->shape.packing == &bert_columns_packing ? sparse == 0 && full == cost_of(p, 1)
                                                          : full == scores);
}

// the server's levels, counted up from the logits, are no higher than those that are there
static void assert_needs_less(const struct bert_plan *p) {
    struct bert_levels v[LAYERS + 1];
    assert_int_equal(bert_levels_set(v, p, &p->shape), THOR_OK);
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        for (int i = BERT_Y; i < BERT_NODES; i++) assert_true(v[l].out[i] <= q->level[i]);
    }
    assert_true(v[p->layers].out[BERT_Y] <= p->level_pooler + 1 + rule_of(&p->shape, REAL).columns);
}

static void plans_are_cheap(void **state) {
    (void)state;
    const struct {
        int hidden, heads, tokens;
    } shapes[] = {
        {128, 2, 64},   // copies
        {384, 12, 64},  // columns: one ciphertext a state, with padding
        {768, 12, 128}, // two bootstraps a state, three for scores
    };
    const double cases[][3] = {{2, -12, 8}, {4, -20, 10}, {6, -25, 30}, {5, -40, 300}};
    for (size_t i = 0; i < 12; i++) {
        struct bert_plan *p;
        const struct bert_model m = shape_only(2, shapes[i / 4].hidden, shapes[i / 4].heads);
        struct bert_ranges *r = made_up(&m, cases[i % 4][0], cases[i % 4][1], cases[i % 4][2]);
        r->tokens = shapes[i / 4].tokens;
        if (bert_plan_new(&p, &m, r, r->tokens) != THOR_OK)
            fail_msg("case %zu: %s", i, thor_error());
        assert_int_equal(p->shape.packing == &bert_columns_packing, i >= 4);
        assert_legal(p);
        assert_counted(p);
        assert_needs_less(p);
        const struct search all = search_new(p);
        double cost = cost_of(p, REAL), best = cheapest(&all, 0, 16, 1);
        assert_true(cost >= best - 1e-9); // nothing illegal
        assert_true(cost <= best + 0.1);  // needless levels weigh less than any bootstrap
        bert_plan_free(p);
        bert_ranges_free(r);
    }
}

// no plan of these ranges when they reach 0.3 nats higher, or one with more bootstraps
static int is_dearer_higher(const struct bert_model *m, struct bert_ranges *r,
                            const struct bert_plan *p) {
    struct bert_plan *q;
    int full[2], sparse[2];
    r->top += 0.3;
    if (bert_plan_new(&q, m, r, 64) != THOR_OK) return 1;
    bert_plan_bootstraps(p, &full[0], &sparse[0]);
    bert_plan_bootstraps(q, &full[1], &sparse[1]);
    bert_plan_free(q);
    return full[1] > full[0] || sparse[1] > sparse[0];
}

// above the calibration's margins denominators have 0.3 nats, wherever these are for nothing; a
// model that has a plan without them alone keeps it
static void odd_texts_have_room(void **state) {
    (void)state;
    const struct bert_model m = shape_only(1, 128, 2);
    int with = 0, without = 0;
    for (double nats = 2; nats < 12; nats += 0.1) {
        struct bert_plan *p;
        struct bert_ranges *r = made_up(&m, nats, -20, 10);
        if (bert_plan_new(&p, &m, r, 64) == THOR_OK) {
            double room = p->layer[0].shift[1] - (nats / 2 + r->margin * nats + r->top);
            int all = room >= 0.3 - 1e-9;
            with += all;
            without += !all;
            assert_true(all || (room >= -1e-9 && is_dearer_higher(&m, r, p)));
        }
        bert_plan_free(p);
        bert_ranges_free(r);
    }
    assert_true(with >= 30 && without >= 1);
}

static void impossible_is_refused(void **state) {
    (void)state;
    struct bert_plan *p;
    struct bert_model m = shape_only(1, 128, 2);
    struct bert_ranges *r = made_up(&m, 20, -60, 10);
    int tokens;
    assert_int_equal(bert_plan_new(&p, &m, r, 64), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "layer 0"));
    assert_null(p);
    assert_int_equal(bert_plan_new(&p, &m, r, 48), THOR_MODEL);
    assert_int_equal(bert_plan_new(&p, &m, r, 128), THOR_MODEL);
    m.hash++;
    assert_int_equal(bert_plan_new(&p, &m, r, 64), THOR_MODEL);
    assert_int_equal(bert_bucket(&tokens, &m, 33), THOR_OK);
    assert_int_equal(tokens, 64);
    assert_int_equal(bert_bucket(&tokens, &m, 65), THOR_OK);
    assert_int_equal(tokens, 128);
    assert_int_equal(bert_bucket(&tokens, &m, 129), THOR_INPUT);
    m.cfg.heads = 5; // 128 columns in five heads
    assert_int_equal(bert_bucket(&tokens, &m, 20), THOR_MODEL);
    bert_ranges_free(r);
}

// one head of a layer attends to the token before: its denominators no longer matter, and those of
// its pattern lie in [e, 1] for every length of text, rows of padding included
static void previous_heads(void **state) {
    (void)state;
    struct bert_plan *p;
    const struct bert_model m = shape_only(1, 384, 12);
    struct bert_ranges *r = made_up(&m, 4, -20, 10);
    r->layer[0].stray[5] = 0.004;
    r->layer[0].den_lo[5] = r->layer[0].score_lo[5] = -60;
    assert_int_equal(bert_plan_new(&p, &m, r, 64), THOR_OK);
    const struct bert_layer_plan *q = &p->layer[0];
    assert_legal(p);
    assert_true(q->exp.lo > -60 && q->inv[0].e > exp(-10));
    for (int h = 0; h < 12; h++) assert_true((q->previous[h] > 0) == (h == 5));
    for (int n = 1; n <= 64; n++)
        for (int row = 0; row < 64; row++) {
            double d = 0, top = 0;
            for (int k = 0; k < n; k++) {
                double w = bert_mask_value(n) * exp(bert_previous_score(q, 5, row, k));
                d += w;
                top = k == (row ? row - 1 : 0) ? w : top;
            }
            assert_true(d <= 1 && d >= q->inv[0].e * (1 - 1e-9));
            assert_true(row > n || top / d > 0.97);
        }
    bert_plan_free(p);
    r->layer[0].stray[5] = 0.2;
    assert_int_equal(bert_plan_new(&p, &m, r, 64), THOR_MODEL);
    bert_ranges_free(r);
}

static void ranges_survive_the_file(void **state) {
    (void)state;
    const char *path = scratch_path("calibration.json");
    struct bert_model m = shape_only(2, 64, 2);
    struct bert_ranges *back, *r = made_up(&m, 3, -20, 10);
    r->layer[1].delta[5] = 0.12345678901;
    assert_int_equal(bert_ranges_save(r, path), THOR_OK);
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_OK);
    assert_true(fabs(back->layer[1].delta[5] - 0.12345678901) < 1e-11);
    assert_true(back->layer[1].var_hi[1] == 10 && back->layer[0].score_lo[1] == -20 &&
                back->tanh == 2);
    assert_int_equal(back->rows, 10);
    assert_int_equal(back->tokens, 64);
    bert_ranges_free(back);
    m.hash++;
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "weights"));
    m.hash--;
    m.cfg.activation = BERT_GELU_TANH;
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "another hidden_act"));
    m.cfg.activation = BERT_GELU;
    m.cfg.layers = 3;
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    m.cfg.layers = 2;
    r->layer[0].var_lo[0] = 0; // 1/sqrt has no range there
    assert_int_equal(bert_ranges_save(r, path), THOR_OK);
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "layer 0: variance_min"));
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    assert_null(back);
    unlink(path);
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_MODEL);
    bert_ranges_free(r);
}

// calibration.json with `to` wherever it has `from`
static void rewrite(const char *from, const char *to) {
    size_t n;
    uint8_t *data = scratch_read("calibration.json", &n);
    char *text = calloc(2 * n + 1, 1), *out = text;
    for (size_t i = 0; i < n;)
        if (n - i >= strlen(from) && !memcmp(data + i, from, strlen(from))) {
            out = stpcpy(out, to);
            i += strlen(from);
        } else {
            *out++ = (char)data[i++];
        }
    scratch_write("calibration.json", text, (size_t)(out - text), 0644);
    free(text);
    free(data);
}

// a file that does not name the activation is of gelu; ranges of one make no plan of the other
static void ranges_know_the_activation(void **state) {
    (void)state;
    const char *path = scratch_path("calibration.json");
    struct bert_model m = shape_only(2, 64, 2);
    struct bert_ranges *back, *r = made_up(&m, 3, -20, 10);
    struct bert_plan *p;
    struct bert_poly fit;
    m.cfg.activation = r->activation = BERT_GELU_TANH;
    assert_int_equal(bert_ranges_save(r, path), THOR_OK);
    assert_int_equal(bert_ranges_load(&back, path, &m), THOR_OK);
    assert_int_equal(back->activation, BERT_GELU_TANH);
    if (bert_plan_new(&p, &m, back, 64) != THOR_OK) fail_msg("%s", thor_error());
    for (int l = 0; l < 2; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        assert_int_equal(bert_fit_gelu_tanh(&fit, q->gelu_r, q->gelu.degree), THOR_OK);
        assert_memory_equal(fit.c, q->gelu.c, (size_t)(fit.degree + 1) * sizeof *fit.c);
    }
    bert_plan_free(p);
    m.cfg.activation = BERT_GELU;
    assert_int_equal(bert_plan_new(&p, &m, back, 64), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "another model"));
    r->activation = BERT_GELU;
    assert_false(bert_ranges_same(r, back));
    bert_ranges_free(back);
    bert_ranges_free(r);
}

static void assert_loads(const struct bert_model *m, const struct bert_ranges *r, int windows) {
    struct bert_ranges *back;
    if (bert_ranges_load(&back, scratch_path("calibration.json"), m) != THOR_OK)
        fail_msg("%s", thor_error());
    assert_true(bert_ranges_same(r, back));
    assert_int_equal(bert_ranges_windows(back), windows);
    bert_ranges_free(back);
}

static void assert_refused(const struct bert_model *m, const char *why) {
    struct bert_ranges *back;
    assert_int_equal(bert_ranges_load(&back, scratch_path("calibration.json"), m), THOR_MODEL);
    assert_null(back);
    if (!strstr(thor_error(), why)) fail_msg("\"%s\" does not say \"%s\"", thor_error(), why);
}

// both fields of all layers, or none; a file from before them has centred_max
static void windows_in_the_file(void **state) {
    (void)state;
    const char *path = scratch_path("calibration.json");
    const struct bert_model m = shape_only(2, 64, 2);
    struct bert_ranges *r = made_up(&m, 3, -20, 10), *none = made_up(&m, 3, -20, 10);
    without_windows(none);
    assert_false(bert_ranges_same(r, none));
    assert_int_equal(bert_ranges_save(r, path), THOR_OK);
    assert_loads(&m, r, 1);
    rewrite("\"window_min\"", "\"centred_max\"");
    assert_refused(&m, "window_min or window_max is missing");
    rewrite("\"window_max\"", "\"window_min\"");
    assert_refused(&m, "window_min or window_max is missing");
    assert_int_equal(bert_ranges_save(none, path), THOR_OK);
    assert_loads(&m, none, 0);
    rewrite("\"gelu_max\"", "\"centred_max\": [3.5, 4], \"gelu_max\"");
    assert_loads(&m, none, 0);
    rewrite("centred_max", "centred_most");
    assert_refused(&m, "centred_most");
    bert_ranges_free(r);
    bert_ranges_free(none);
}

// every window of a layer: no variance is outside, all are measured or none
static void windows_are_checked(void **state) {
    (void)state;
    const struct bert_model m = shape_only(2, 64, 2);
    struct bert_ranges *r = made_up(&m, 3, -20, 10);
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < 2; i++) {
            struct bert_layer_ranges *y = &r->layer[l];
            with_windows(r);
            assert_int_equal(bert_ranges_check(r, "x"), THOR_OK);
            y->win_lo[i] = 0; // a run of features that never change
            assert_int_equal(bert_ranges_check(r, "x"), THOR_OK);
            y->win_lo[i] = 1.001;
            assert_int_equal(bert_ranges_check(r, "x"), THOR_MODEL);
            y->win_lo[i] = 1;
            y->win_hi[i] = 9.999;
            assert_int_equal(bert_ranges_check(r, "x"), THOR_MODEL);
            assert_non_null(strstr(thor_error(), "window_max"));
            y->win_lo[i] = y->win_hi[i] = 0; // this one alone is not measured
            assert_int_equal(bert_ranges_check(r, "x"), THOR_MODEL);
        }
    bert_ranges_free(r);
}

// 1 when every number of the plan is finite
static int all_finite(const struct bert_plan *p) {
    int ok = isfinite(p->tanh_r) && isfinite(p->tanh.err);
    for (int k = 0; k <= p->tanh.degree; k++) ok &= isfinite(p->tanh.c[k]) != 0;
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        const struct bert_poly *f[4] = {&q->exp, &q->rsqrt[0], &q->rsqrt[1], &q->gelu};
        ok &= isfinite(q->inv[0].sigma * q->inv[0].scale) && isfinite(q->gelu_r);
        for (int i = 0; i < 2; i++) ok &= isfinite(q->xc_scale[i]) && isfinite(1 / q->xc_scale[i]);
        for (int i = 0; i < 4; i++)
            for (int k = 0; k <= f[i]->degree; k++)
                ok &= isfinite(f[i]->c[k]) && isfinite(f[i]->err);
    }
    return ok;
}

enum { FIELDS = 15 };

// field `which` of the only layer, and its name in the file
static double *field_of(struct bert_ranges *r, int which, const char **name) {
    struct bert_layer_ranges *y = &r->layer[0];
    double *at[] = {&y->delta[7],  &y->shift[1], &y->score_lo[0], &y->score_hi[1], &y->den_lo[0],
                    &y->den_hi[1], &y->stray[0], &y->var_lo[1],   &y->var_hi[0],   &y->win_lo[1],
                    &y->win_hi[0], &y->gelu,     &r->margin,      &r->top,         &r->tanh};
    static const char *const names[FIELDS] = {
        "key_shift",   "score_shift",  "score_min",    "score_max",    "log_sum_min",
        "log_sum_max", "stray_weight", "variance_min", "variance_max", "window_min",
        "window_max",  "gelu_max",     "margin",       "top_nats",     "tanh_max"};
    *name = names[which];
    return at[which];
}

// each field alone with each hostile value: no plan, or one of finite numbers
static void hostile_fields_are_named(void **state) {
    (void)state;
    static const double hostile[] = {NAN,   INFINITY, -INFINITY, 1e308, -1e308, 1e30,
                                     -1e30, 1e-320,   -1e-320,   0,     -1,     1e5};
    const struct bert_model m = shape_only(1, 128, 2);
    struct bert_ranges *r = made_up(&m, 3, -20, 10);
    r->layer[0].win_hi[0] = 2e5; // above what may become of the variance
    for (int which = 0; which < FIELDS; which++)
        for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
            const char *name;
            double *at = field_of(r, which, &name), kept = *at;
            struct bert_plan *p;
            *at = hostile[i];
            int fit = bert_ranges_check(r, "some.json") == THOR_OK;
            char stem[32]; // an end that passes the other may be told of that one
            snprintf(stem, sizeof stem, "%.*s", (int)strlen(name) - 3, name);
            assert_true(fit || (strstr(thor_error(), stem) && strstr(thor_error(), "some.json") &&
                                strstr(thor_error(), "--calibrate")));
            assert_false(fit && (!isfinite(hostile[i]) || fabs(hostile[i]) > 1e29));
            int st = bert_plan_new(&p, &m, r, 64);
            assert_true(st == THOR_OK ? fit && all_finite(p) : st == THOR_MODEL && !p);
            bert_plan_free(p);
            *at = kept;
        }
    bert_ranges_free(r);
}

static uint64_t next_random(uint64_t *s) {
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return *s >> 24;
}

// of any size and sign, now and then a hostile one
static double any_number(uint64_t *s) {
    double x = exp2((double)(next_random(s) % 2000) / (next_random(s) % 4 ? 100 : 1) - 10);
    return next_random(s) % 2 ? x : -x;
}

// a few fields at a time become anything: thousands of files, never a plan with a NaN
static void no_ranges_give_nan(void **state) {
    (void)state;
    int plans = 0, refused = 0;
    uint64_t seed = 9;
    const struct bert_model m = shape_only(1, 64, 2);
    for (int i = 0; i < 3000; i++) {
        const char *name;
        struct bert_plan *p;
        struct bert_ranges *r = made_up(&m, 3, -20, 10);
        if (i % 2) without_windows(r);
        for (int k = 1 + i % 3; k > 0; k--)
            *field_of(r, (int)(next_random(&seed) % FIELDS), &name) = any_number(&seed);
        int fit = bert_ranges_check(r, "x") == THOR_OK;
        refused += !fit;
        if (fit && plans < 25) { // a plan takes its time
            int st = bert_plan_new(&p, &m, r, 32);
            assert_true(st == THOR_OK ? all_finite(p) : st == THOR_MODEL && !p);
            plans += st == THOR_OK;
            bert_plan_free(p);
        }
        bert_ranges_free(r);
    }
    assert_true(plans >= 20 && refused > 1000);
}

static void the_default_model_is_cheap(void **state) {
    (void)state;
    struct bert_model *m;
    struct bert_ranges *r;
    int full, sparse;
    if (access(TINY "/calibration.json", R_OK) || bert_model_load(&m, TINY) != THOR_OK) skip();
    assert_int_equal(bert_ranges_load(&r, TINY "/calibration.json", m), THOR_OK);
    for (int tokens = 32; tokens <= 64; tokens *= 2) {
        struct bert_plan *p;
        assert_int_equal(bert_plan_new(&p, m, r, tokens), THOR_OK);
        assert_legal(p);
        assert_budgets(p, r);
        assert_true(bert_plan_bootstraps(p, &full, &sparse) <= 7);
        bert_plan_free(p);
    }
    bert_ranges_free(r);
    bert_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_legal),
        cmocka_unit_test(plans_are_cheap),
        cmocka_unit_test(odd_texts_have_room),
        cmocka_unit_test(impossible_is_refused),
        cmocka_unit_test(previous_heads),
        cmocka_unit_test(ranges_survive_the_file),
        cmocka_unit_test(ranges_know_the_activation),
        cmocka_unit_test(windows_in_the_file),
        cmocka_unit_test(windows_are_checked),
        cmocka_unit_test(hostile_fields_are_named),
        cmocka_unit_test(no_ranges_give_nan),
        cmocka_unit_test(the_default_model_is_cheap),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
