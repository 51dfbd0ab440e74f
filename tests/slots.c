#include "slots.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/worse.h"

struct bert_shape slots_shape(const struct slots_micro *m) {
    struct bert_shape s;
    struct bert_config c = {
        .hidden = m->hidden, .layers = 1, .heads = m->heads, .ffn = m->ffn, .labels = 2};
    assert_int_equal(bert_shape_make(&s, &c, m->tokens, m->slots), THOR_OK);
    assert_int_equal(s.hp, m->hp);
    assert_int_equal(s.nx, m->nx);
    assert_int_equal(s.groups, m->groups);
    assert_int_equal(s.repeats, m->repeats);
    assert_int_equal(s.blocks, m->blocks);
    assert_int_equal(s.scores, m->scores);
    assert_int_equal(bert_shape_slots(&s), m->slots);
    return s;
}

enum { MAX_SCORES = 8 * 64 * 64 };

// what is added to the score of a key: the plain reading of fold.h
static double added(double *const add[3], int head, int t, int key) {
    if (key == (t ? t - 1 : 0)) return add[1][head];
    return add[key ? 0 : 2][head];
}

void slots_score_places(const struct bert_shape *s) {
    static int seen[MAX_SCORES];
    static struct slots_vec v;
    double add[24];
    int head, key, T = s->tokens, all = s->heads * T * T, n = bert_shape_slots(s);
    struct bert_folded_layer f = {.score_add = {add, add + 8, add + 16}};
    assert_true(s->heads <= 8 && all <= MAX_SCORES);
    memset(seen, 0, sizeof seen);
    slots_random(add, 24);
    for (int d = 0; d < s->scores; d++) {
        assert_int_equal(bert_spread_scores(v.x, s, d, &f), n);
        for (int c = 0; c < s->columns; c++)
            for (int t = 0; t < T; t++) {
                int place = bert_score_at(&head, &key, s, d, c, t);
                double *at = &v.x[bert_slot(s, BERT_INNER, c, 0, t)];
                assert_true(place ? head < s->heads && key < T : head >= s->heads);
                assert_true(*at == (place ? added(f.score_add, head, t, key) : 0));
                if (place == 1) seen[(head * T + t) * T + key]++;
                assert_true(place < 2 || T < s->head_size);
                *at = 0;
            }
        for (int i = 0; i < n; i++) // nothing in other copies
            assert_true(v.x[i] == 0);
    }
    for (int i = 0; i < all; i++) assert_int_equal(seen[i], 1);
}

static uint64_t state;

void slots_random(double *x, int n) {
    for (int i = 0; i < n; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        x[i] = (double)(state >> 11) * 0x1p-52 - 1;
    }
}

void slots_random_map(struct slots_map *p, int in, int out) {
    p->m = (struct bert_map){in, out, p->w, p->b, NULL};
    slots_random(p->w, in * out);
    slots_random(p->b, out);
}

void slots_times(double *y, const struct slots_map *p, const double *x, int rows) {
    for (int t = 0; t < rows; t++)
        for (int o = 0; o < p->m.out; o++) {
            y[t * p->m.out + o] = 0;
            for (int i = 0; i < p->m.in; i++)
                y[t * p->m.out + o] += p->w[o * p->m.in + i] * x[t * p->m.in + i];
        }
}

struct slots_vec slots_rot(const struct slots_vec *v, long r, int n) {
    struct slots_vec o;
    for (long i = 0; i < n; i++) o.x[i] = v->x[(((i + r) % n) + n) % n];
    return o;
}

void slots_add_product(struct slots_vec *sum, const struct slots_vec *a, const struct slots_vec *b,
                       int n) {
    for (int i = 0; i < n; i++) sum->x[i] += a->x[i] * b->x[i];
}

void slots_add(struct slots_vec *sum, const struct slots_vec *a, int n) {
    for (int i = 0; i < n; i++) sum->x[i] += a->x[i];
}

// the numbers of a diagonal in their slots
static void spread(struct slots_vec *v, const struct ckks_linear *t, int n) {
    for (int i = (int)t->period - 1; i >= 0; i--) v->x[i] = v->x[i >> t->log_run];
    slots_repeat(v, (int)t->period, n);
}

void slots_apply(struct slots_vec *out, struct slots_vec *im, const struct slots_vec *in,
                 const struct ckks_linear *t, int n) {
    for (int o = 0; o < t->outputs; o++) {
        memset(&out[o], 0, sizeof out[o]);
        if (im) memset(&im[o], 0, sizeof im[o]);
        for (int i = 0; i < t->inputs; i++)
            for (int m = 0; m < t->count; m++) {
                struct slots_vec re = {{0}}, other = {{0}},
                                 x = slots_rot(&in[i], (long)t->stride * (t->first + m), n);
                if (!t->diag(t->ctx, o, i, m, re.x, other.x)) continue;
                spread(&re, t, n);
                spread(&other, t, n);
                slots_add_product(&out[o], &re, &x, n);
                if (im) slots_add_product(&im[o], &other, &x, n);
            }
    }
}

void slots_repeat(struct slots_vec *v, int period, int n) {
    for (int i = period; i < n; i++) v->x[i] = v->x[i % period];
}

struct steps {
    int n, kappa, baby, giants;
}; /* min(T, hd) = baby * giants */

static struct steps steps_of(const struct bert_shape *s) {
    const int shifts = s->tokens < s->head_size ? s->tokens : s->head_size;
    const int baby = shifts < 8 ? shifts : 8;
    return (struct steps){bert_shape_slots(s), bert_kappa(s), baby, shifts / baby};
}

struct slots_vec slots_scores(const struct bert_shape *s, const struct slots_vec *q,
                              const struct slots_vec *k) {
    const struct steps a = steps_of(s);
    struct slots_vec S = {{0}};
    for (int g = 0; g < a.giants; g++) {
        struct slots_vec sum = {{0}};
        for (int b = 0; b < a.baby; b++) {
            struct slots_vec x = slots_rot(q, b * a.kappa, a.n),
                             y = slots_rot(k, b * a.kappa + a.baby - b, a.n);
            y = slots_rot(&y, s->tokens - a.baby * (g + 1), a.n);
            slots_add_product(&sum, &x, &y, a.n);
        }
        sum = slots_rot(&sum, a.baby * g * a.kappa, a.n);
        slots_add(&S, &sum, a.n);
    }
    for (int u = s->tokens; u < s->head_size; u *= 2) {
        struct slots_vec r = slots_rot(&S, u * a.kappa, a.n);
        slots_add(&S, &r, a.n);
    }
    return S;
}

struct slots_vec slots_context(const struct bert_shape *s, const struct slots_vec *p,
                               const struct slots_vec *v) {
    const struct steps a = steps_of(s);
    struct slots_vec C = {{0}};
    for (int g = 0; g < a.giants; g++) {
        struct slots_vec sum = {{0}}, w = slots_rot(v, a.baby * g * (1 - a.kappa), a.n);
        for (int b = 0; b < a.baby; b++) {
            struct slots_vec x = slots_rot(p, b * a.kappa, a.n), y = slots_rot(&w, b, a.n);
            slots_add_product(&sum, &x, &y, a.n);
        }
        sum = slots_rot(&sum, a.baby * g * a.kappa, a.n);
        slots_add(&C, &sum, a.n);
    }
    return C;
}

double slots_worst(const double *a, const double *b, int n) {
    double w = 0;
    for (int i = 0; i < n; i++) w = worse(w, fabs(a[i] - b[i]));
    return w;
}

void slots_unpack(double *x, int width, const struct bert_shape *s, enum bert_layout at,
                  enum bert_order by, int i, const double *slots) {
    for (int c = 0; c < s->columns; c++) {
        int f = bert_feature(s, by, i, c);
        for (int t = 0; t < s->tokens && f < width; t++)
            x[(size_t)t * (size_t)width + (size_t)f] = slots[bert_slot(s, at, c, 0, t)];
    }
}
