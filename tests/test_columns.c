/* Every slot formula of the columns shape (packing_columns.c, attention_columns.c, norm.c) on plain
 * vectors of n complex slots: rotate, multiply, add, conjugate.
 *
 * The diagonals and masks are the ones that the server encodes, the rest is spelt again, step by
 * step.  Results must equal the plain products to rounding: sums of at most 64 products of numbers
 * below 1 in doubles, 64 x 64 x 2^-53 < 1e-12; contexts, sums of at most 64 products of
 * exponentials below 1.6, which those sums make, and numbers below 1, and denominators, the same
 * with 1: (64 + 64) x 64 x 1.6 x 2^-53 < 1e-11.  What is said to be zero is. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bert/windows.h"
#include "slots.h"
#include "tests/worse.h"

enum { BABY = 8, MAX_GROUPS = 4, MAX_LANES = 4, MAX_CTS = 16 };

// hidden, heads, ffn, tokens, slots; hp, nx, groups, repeats, blocks, scores
static const struct slots_micro micros[] = {
    {20, 5, 48, 4, 128, 4, 1, 2, 1, 1, 1},   // hd = T, the second group with one head of four
    {24, 3, 40, 8, 128, 1, 2, 3, 1, 1, 2},   // three groups: the last scores have but one
    {32, 4, 40, 8, 128, 1, 2, 4, 1, 1, 2},   // four groups; two full ciphertexts a state
    {16, 1, 24, 16, 512, 1, 1, 1, 1, 1, 1},  // one group, whose block is wider than the babies
    {64, 2, 64, 32, 2048, 1, 1, 2, 1, 1, 1}, // giants outside and inside; no padding
    {24, 3, 40, 4, 128, 2, 1, 2, 1, 1, 1},   // T < hd: keys come again
    {48, 3, 64, 4, 128, 1, 2, 3, 1, 1, 2},   // the same four times, two giants
    {20, 5, 48, 8, 128, 2, 2, 3, 1, 2, 3},   // two blocks: lanes; blocks of one index
    {16, 2, 24, 16, 512, 2, 1, 1, 1, 2, 1},  // one group
    {64, 2, 64, 64, 4096, 1, 1, 2, 1, 2, 2}, // giants outside and inside
    {20, 5, 40, 16, 256, 2, 2, 3, 1, 4, 6},  // four blocks
    {48, 3, 40, 64, 2048, 1, 2, 3, 1, 4, 6}, // two giants, blocks narrower than the babies
    {12, 3, 24, 32, 512, 2, 1, 2, 1, 8, 8},  // eight blocks
};
enum { MICROS = sizeof micros / sizeof micros[0] };

/* ---- complex slots ---- */

struct cvec {
    struct slots_vec re, im;
};

static struct cvec rot(const struct cvec *v, long r, int n) {
    struct cvec o = {slots_rot(&v->re, r, n), slots_rot(&v->im, r, n)};
    return o;
}

static void add(struct cvec *sum, const struct cvec *v, int n) {
    slots_add(&sum->re, &v->re, n);
    slots_add(&sum->im, &v->im, n);
}

// x += x rotated by step, 2 step, ..
static void sum_steps(struct cvec *x, long step, int times, int n) {
    for (int i = 0; i < times; i++) {
        struct cvec r = rot(x, step * (1l << i), n);
        add(x, &r, n);
    }
}

static struct cvec times_i(const struct cvec *v, int sign, int n) {
    struct cvec o = {{{0}}, {{0}}};
    for (int i = 0; i < n; i++) {
        o.re.x[i] = -sign * v->im.x[i];
        o.im.x[i] = sign * v->re.x[i];
    }
    return o;
}

static void add_product(struct cvec *sum, const struct cvec *a, const struct cvec *b, int n) {
    for (int i = 0; i < n; i++) {
        sum->re.x[i] += a->re.x[i] * b->re.x[i] - a->im.x[i] * b->im.x[i];
        sum->im.x[i] += a->re.x[i] * b->im.x[i] + a->im.x[i] * b->re.x[i];
    }
}

static void times_plain(struct cvec *v, const double *w, size_t period, int n) {
    for (int i = 0; i < n; i++) {
        v->re.x[i] *= w[(size_t)i % period];
        v->im.x[i] *= w[(size_t)i % period];
    }
}

// a = z + conj z, b = -i (z - conj z)
static void split(struct cvec *a, struct cvec *b, const struct cvec *z, int n) {
    struct cvec c = *z, d = *z;
    for (int i = 0; i < n; i++) c.im.x[i] = -c.im.x[i];
    *a = *z;
    add(a, &c, n);
    for (int i = 0; i < n; i++) {
        d.re.x[i] -= c.re.x[i];
        d.im.x[i] -= c.im.x[i];
    }
    if (b) *b = times_i(&d, -1, n);
}

static void assert_real(const struct cvec *v, int n) {
    for (int i = 0; i < n; i++) assert_true(v->im.x[i] == 0);
}

/* ---- shapes and numbers of columns ---- */

// the feature of column c of group i, counted by hand; hidden where there is none
static int feature_of(const struct bert_shape *s, int i, int c) {
    int half = s->columns / 2, head = s->hp * i + c % s->hp;
    return c >= half || head >= s->heads ? s->hidden : s->head_size * head + c / s->hp;
}

static void check_columns(const struct bert_shape *s) {
    for (int c = 0; c < s->columns; c++) {
        for (int i = 0; i < s->groups; i++)
            assert_int_equal(bert_feature(s, BERT_BY_HEAD, i, c), feature_of(s, i, c));
        for (int i = 0; i < s->nx; i++)
            assert_int_equal(bert_feature(s, BERT_HIDDEN, i, c), s->columns * i + c);
        for (int t = 0; t < s->tokens; t++)
            for (int at = BERT_OUTER; at <= BERT_INNER; at++)
                assert_int_equal(bert_slot(s, (enum bert_layout)at, c, 0, t), s->columns * t + c);
    }
}

static void shapes(void **ctx) {
    (void)ctx;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        int padded = s.hidden % s.columns != 0;
        assert_ptr_equal(s.packing, &bert_columns_packing);
        assert_int_equal(s.columns, micros[k].slots / s.tokens);
        assert_int_equal(bert_group_columns(&s), s.columns / 2);
        assert_int_equal(bert_padded(&s), padded);
        assert_int_equal(bert_mean_levels(&s), 1 + padded);
        assert_true(bert_block_width(&s) * s.groups <= s.head_size);
        assert_true(2 * bert_block_width(&s) * s.groups > s.head_size);
        check_columns(&s);
        slots_score_places(&s);
    }
}

// whether half `half` of ciphertext d of scores has index j of head h of a group, as shape.h says
static int has_score(const struct bert_shape *s, int d, int half, int j, int h) {
    int group = s->blocks > 1 ? d / (s->blocks / 2) : 2 * d + half;
    return s->hp * group + h < s->heads && j < s->tokens;
}

static void check_heads(const struct bert_shape *s, int d) {
    static struct slots_vec first, both;
    int C = s->columns, half = C / 2, lacks = 0;
    assert_int_equal(bert_spread_heads(first.x, s, d, 0), C);
    assert_int_equal(bert_spread_heads(both.x, s, d, 1), C);
    for (int c = 0; c < C; c++) {
        int has = has_score(s, d, c / half, c % half / s->hp, c % s->hp);
        assert_true(both.x[c] == has);
        assert_true(first.x[c] == (c < half ? has : 0));
        lacks |= !has;
    }
    assert_int_equal(bert_lacks_heads(s, d), lacks);
}

// blocks of all groups: each column of the first half in one or none; spare: where no head's is
static void check_blocks(const struct bert_shape *s) {
    static struct slots_vec block, spare;
    int C = s->columns, width = bert_block_width(s), used[MAX_SLOTS] = {0};
    assert_int_equal(bert_spread_spare(spare.x, s, 3), C);
    for (int i = 0; i < s->groups; i++) {
        assert_int_equal(bert_spread_block(block.x, s, i, 5), C);
        for (int c = 0; c < C; c++) {
            int in = c < C / 2 && c / s->hp >= width * i && c / s->hp < width * (i + 1);
            assert_true(block.x[c] == (in ? 5 : 0));
            used[c] += in && s->hp * i + c % s->hp < s->heads;
        }
    }
    for (int c = 0; c < C; c++) assert_true(used[c] <= 1 && spare.x[c] == (used[c] ? 0 : 3));
}

static void masks(void **ctx) {
    (void)ctx;
    static struct slots_vec v;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        assert_int_equal(bert_spread_first(v.x, &s, 2), s.columns);
        for (int c = 0; c < s.columns; c++) assert_true(v.x[c] == (c ? 0 : 2));
        assert_int_equal(bert_spread_half(v.x, &s, 2), s.columns);
        for (int c = 0; c < s.columns; c++) assert_true(v.x[c] == (c < s.columns / 2 ? 2 : 0));
        for (int d = 0; d < s.scores; d++) check_heads(&s, d);
        check_blocks(&s);
    }
}

// one number a feature, for all tokens or the first
static void plain_vectors(void **ctx) {
    (void)ctx;
    static double v[64];
    static struct slots_vec o;
    slots_random(v, 64);
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        int C = s.columns, H = s.hidden, n = micros[k].slots;
        for (int i = 0; i < s.groups; i++) {
            assert_int_equal(bert_spread_inner(o.x, &s, i, v, 0), C);
            for (int c = 0; c < C; c++)
                assert_true(o.x[c] == (feature_of(&s, i, c) < H ? v[feature_of(&s, i, c)] : 0));
        }
        for (int i = 0; i < s.nx; i++)
            for (int first = 0; first < 2; first++) {
                assert_int_equal(bert_spread_outer(o.x, &s, i, v, H - 1, first), first ? n : C);
                for (int p = 0; p < (first ? n : C); p++) {
                    int f = C * i + p % C;
                    assert_true(o.x[p] == (p < C && f < H - 1 ? v[f] : 0));
                }
            }
    }
}

/* ---- linear maps ---- */

static void pack(struct slots_vec *v, const struct bert_shape *s, const double *x, int width) {
    struct bert_shape t = *s;
    t.hidden = width;
    for (int i = 0; i < (width + s->columns - 1) / s->columns; i++)
        bert_pack_state(v[i].x, &t, i, x, s->tokens);
}

// slots hold `scale` times the features of group i of x; i < 0: nothing
static void check_group(const struct slots_vec *v, const struct bert_shape *s, int i,
                        const double *x, double scale) {
    for (int p = 0; p < bert_shape_slots(s); p++) {
        int f = i < 0 ? s->hidden : feature_of(s, i, p % s->columns);
        double want = f < s->hidden ? scale * x[p / s->columns * s->hidden + f] : 0;
        assert_true(f < s->hidden ? fabs(v->x[p] - want) < 1e-12 : v->x[p] == 0);
    }
}

// q, k, v in one transform: pairs of q halved, then k + i v
static void maps_to_heads(void **ctx) {
    (void)ctx;
    static struct slots_vec in[4], re[MAX_CTS], im[MAX_CTS];
    static double x[MAX_STATE], want[3][MAX_STATE];
    static struct slots_map w[3];
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int groups = s.groups, pairs = (groups + 1) / 2, a, b;
        slots_random(x, s.tokens * s.hidden);
        for (int i = 0; i < 3; i++) {
            slots_random_map(&w[i], s.hidden, s.hidden);
            slots_times(want[i], &w[i], x, s.tokens);
        }
        pack(in, &s, x, s.hidden);
        struct bert_linear_map l = {
            .shape = &s, .move = BERT_TO_INNER, .map = {&w[0].m, &w[1].m, &w[2].m}};
        bert_linear_set(&t, &l, 3);
        assert_int_equal(t.outputs, pairs + groups);
        assert_int_equal(t.inputs, s.nx);
        assert_true(t.inputs * t.baby <= 255 && (int)t.period == s.columns);
        slots_apply(re, im, in, &t, micros[k].slots);
        for (int o = 0; o < t.outputs; o++) {
            int q = o < pairs, i = q ? o : o - pairs, other = q ? o + pairs : i;
            assert_true(bert_map_lanes(&a, &b, &l, o) == (q ? 0.5 : 1));
            assert_int_equal(a, q ? o : groups + i);
            assert_int_equal(b, !q ? 2 * groups + i : other < groups ? other : -1);
            check_group(&re[o], &s, i, want[q ? 0 : 1], q ? 0.5 : 1);
            check_group(&im[o], &s, other < groups ? other : -1, want[q ? 0 : 2], q ? 0.5 : 1);
        }
    }
}

// the contexts of two groups, one a half; 7 is what must not be read
static void pack_contexts(struct slots_vec *v, const struct bert_shape *s, const double *x) {
    int C = s->columns, half = C / 2;
    for (int e = 0; e < (s->groups + 1) / 2; e++)
        for (int p = 0; p < bert_shape_slots(s); p++) {
            int c = p % C, f = feature_of(s, 2 * e + c / half, c % half);
            v[e].x[p] = f < s->hidden ? x[p / C * s->hidden + f] : 7;
        }
}

// outputs of a map to features: in pairs halved, or as they are
static void check_outputs(const struct bert_linear_map *l, const struct ckks_linear *t,
                          const struct slots_vec *in, const double *want, int width) {
    static struct slots_vec re[MAX_CTS], im[MAX_CTS];
    const struct bert_shape *s = l->shape;
    int C = s->columns, outs = (width + C - 1) / C, half = (outs + 1) / 2;
    double scale = l->paired ? 0.5 : 1;
    assert_int_equal(l->outs, outs);
    assert_int_equal(t->outputs, l->paired ? half : outs);
    slots_apply(re, im, in, t, bert_shape_slots(s));
    for (int o = 0; o < (l->paired ? 2 * half : outs); o++) {
        const double *got = l->paired && o >= half ? im[o - half].x : re[o].x;
        for (int p = 0; p < bert_shape_slots(s); p++) {
            int f = C * o + p % C;
            if (f < width)
                assert_true(fabs(got[p] - scale * want[p / C * width + f]) < 1e-12);
            else
                assert_true(got[p] == 0);
        }
    }
}

static void maps_from_heads(void **ctx) {
    (void)ctx;
    static struct slots_vec in[MAX_GROUPS];
    static double x[MAX_STATE], want[MAX_STATE];
    static struct slots_map w;
    for (int k = 0; k < MICROS; k++)
        for (int paired = 0; paired < 2; paired++) {
            struct bert_shape s = slots_shape(&micros[k]);
            struct ckks_linear t;
            slots_random(x, s.tokens * s.hidden);
            slots_random_map(&w, s.hidden, s.hidden);
            slots_times(want, &w, x, s.tokens);
            pack_contexts(in, &s, x);
            struct bert_linear_map l = {
                .shape = &s, .move = BERT_TO_OUTER, .map = {&w.m}, .paired = paired};
            bert_linear_set(&t, &l, 1);
            assert_int_equal(t.inputs, (s.groups + 1) / 2);
            assert_int_equal(l.paired, paired && s.nx > 1);
            check_outputs(&l, &t, in, want, s.hidden);
        }
}

static void map_of_features(const struct bert_shape *s, int from, int to, int paired) {
    static struct slots_vec in[MAX_CTS];
    static double x[MAX_STATE], want[MAX_STATE];
    static struct slots_map w;
    struct ckks_linear t;
    slots_random(x, s->tokens * from);
    slots_random_map(&w, from, to);
    slots_times(want, &w, x, s->tokens);
    pack(in, s, x, from);
    struct bert_linear_map l = {
        .shape = s, .move = BERT_STAY_OUTER, .map = {&w.m}, .paired = paired};
    bert_linear_set(&t, &l, 1);
    assert_int_equal(t.inputs, (from + s->columns - 1) / s->columns);
    assert_int_equal(l.paired, paired && to > s->columns);
    check_outputs(&l, &t, in, want, to);
}

// FFN there and back, and a classifier
static void maps_of_states(void **ctx) {
    (void)ctx;
    for (int k = 0; k < MICROS; k++)
        for (int paired = 0; paired < 2; paired++) {
            struct bert_shape s = slots_shape(&micros[k]);
            map_of_features(&s, s.hidden, s.ffn, paired);
            map_of_features(&s, s.ffn, s.hidden, paired);
            map_of_features(&s, s.hidden, 2, paired);
        }
}

/* ---- attention ---- */

struct att {
    struct bert_shape s;
    int n, T, H, hd, rows, lanes;
    int baby, giants, outer, inner; /* hd = baby * giants, giants = outer * inner */
    int tok, col, half;             /* rotations */
    double q[MAX_STATE], k[MAX_STATE], v[MAX_STATE]; /* T x H */
    struct cvec mask, Q[MAX_GROUPS], K[MAX_GROUPS], V[MAX_GROUPS];
    struct cvec U[MAX_CTS], whole[MAX_CTS], lo[MAX_CTS], hi[MAX_CTS], P[MAX_CTS];
    struct cvec C[MAX_GROUPS], D, a;
};

static void attention_new(struct att *a, const struct slots_micro *m) {
    memset(a, 0, sizeof *a);
    a->s = slots_shape(m);
    a->n = m->slots;
    a->T = m->tokens;
    a->H = m->hidden;
    a->hd = a->s.head_size;
    a->rows = a->T - 1;
    a->lanes = a->s.blocks > 1 ? a->s.blocks / 2 : 1;
    a->baby = a->hd < BABY ? a->hd : BABY;
    a->giants = a->hd / a->baby;
    a->outer = 1 << bert_log2(a->giants) / 2;
    a->inner = a->giants / a->outer;
    a->tok = a->s.columns;
    a->col = a->s.hp;
    a->half = a->s.columns / 2;
    slots_random(a->q, a->T * a->H);
    slots_random(a->k, a->T * a->H);
    slots_random(a->v, a->T * a->H);
    bert_pack_mask(a->mask.re.x, &a->s, a->rows);
}

// x of group i in column c of token t; 0 where there is none
static double number(const struct att *a, const double *x, int i, int c, int t) {
    int f = feature_of(&a->s, i, c);
    return i < a->s.groups && f < a->H ? x[t % a->T * a->H + f] : 0;
}

static void pack_heads(struct slots_vec *v, const struct att *a, int i, const double *x,
                       double scale) {
    for (int p = 0; p < a->n; p++) v->x[p] = scale * number(a, x, i, p % a->tok, p / a->tok);
}

static void make_q(struct att *a) {
    int pairs = (a->s.groups + 1) / 2;
    for (int o = 0; o < pairs; o++) {
        struct cvec z;
        pack_heads(&z.re, a, o, a->q, 0.5);
        pack_heads(&z.im, a, o + pairs, a->q, 0.5);
        sum_steps(&z, -a->half, 1, a->n); // doubled
        split(&a->Q[o], o + pairs < a->s.groups ? &a->Q[o + pairs] : NULL, &z, a->n);
    }
}

// x += sign i tok(hd) x
static void pair_lanes(struct cvec *x, const struct att *a, int sign) {
    struct cvec r = rot(x, a->hd * a->tok, a->n);
    if (a->s.blocks == 1) return;
    r = times_i(&r, sign, a->n);
    add(x, &r, a->n);
}

static void make_kv(struct att *a, int i) {
    struct ckks_linear t;
    struct cvec z, skewed, none = {{{0}}, {{0}}}, v;
    bert_skew_set(&t, &a->s);
    pack_heads(&z.re, a, i, a->k, 1);
    pack_heads(&z.im, a, i, a->v, a->s.blocks > 1 ? 0.5 : 1);
    for (int p = 0; p < a->n; p++)
        if (p % a->tok >= a->half) z.re.x[p] = z.im.x[p] = 7; // must not be read
    slots_apply(&skewed.re, NULL, &z.re, &t, a->n);
    slots_apply(&skewed.im, NULL, &z.im, &t, a->n);
    split(&a->K[i], &v, &skewed, a->n);
    sum_steps(&a->K[i], a->hd * a->tok - a->half, 1, a->n); // the copy hd tokens later
    pair_lanes(&a->K[i], a, 1);
    add_product(&none, &v, &a->mask, a->n);
    a->V[i] = none;
    pair_lanes(&a->V[i], a, -1);
}

static double masked(const struct att *a, int t) {
    return t % a->T < a->rows ? bert_mask_value(a->rows) : 0;
}

static void check_qkv(const struct att *a, int i) {
    int lanes = a->s.blocks > 1;
    assert_real(&a->Q[i], a->n);
    for (int p = 0; p < a->n; p++) {
        int t = p / a->tok, c = p % a->half, second = p % a->tok >= a->half;
        int key = t + c / a->s.hp, later = key + a->hd;
        double half = lanes ? 0.5 : 1;
        assert_true(a->Q[i].re.x[p] == number(a, a->q, i, c, t));
        assert_true(a->K[i].re.x[p] == number(a, a->k, i, c, second ? later : key));
        assert_true(a->K[i].im.x[p] ==
                    (lanes ? number(a, a->k, i, c, second ? later + a->hd : later) : 0));
        assert_true(a->V[i].re.x[p] ==
                    (second ? 0 : half * number(a, a->v, i, c, key) * masked(a, key)));
        assert_true(
            a->V[i].im.x[p] ==
            (second || !lanes ? 0 : -half * number(a, a->v, i, c, later) * masked(a, later)));
    }
}

/* ---- scores ---- */

// S of q and k: versions tok(B G2 g1) col(b) q and tok(-B g2 - b) col(b) k
static struct cvec scores(const struct att *a, const struct cvec *q, const struct cvec *k) {
    struct cvec S = {{{0}}, {{0}}};
    for (int g = 0; g < a->giants; g++) {
        int g1 = g / a->inner, g2 = g % a->inner, moved = a->baby * a->inner * g1 * a->tok;
        struct cvec sum = {{{0}}, {{0}}}, qg = rot(q, moved, a->n),
                    kg = rot(k, -a->baby * g2 * a->tok, a->n);
        for (int b = 0; b < a->baby; b++) {
            struct cvec x = rot(&qg, b * a->col, a->n), y = rot(&kg, b * (a->col - a->tok), a->n);
            add_product(&sum, &x, &y, a->n);
        }
        sum = rot(&sum, a->baby * g * a->col - moved, a->n);
        add(&S, &sum, a->n);
    }
    return S;
}

// S of lane x of group i, masked, into its place
static void place_scores(struct att *a, struct cvec *S, int i, int x) {
    struct slots_vec first;
    struct cvec im;
    size_t period = bert_spread_half(first.x, &a->s, a->s.blocks > 1 ? 0.5 : 1);
    times_plain(S, first.x, period, a->n);
    if (a->s.blocks > 1) {
        struct cvec *to = &a->U[i * a->lanes + x];
        split(to, &im, S, a->n);
        im = rot(&im, -a->half, a->n);
        add(to, &im, a->n);
        return;
    }
    im = i % 2 ? rot(S, -a->half, a->n) : *S;
    add(&a->U[i / 2], &im, a->n);
}

static double plain_score(const struct att *a, int head, int t, int key) {
    const double *q = a->q + t * a->H + head * a->hd, *k = a->k + key * a->H + head * a->hd;
    double s = 0;
    for (int j = 0; j < a->hd; j++) s += q[j] * k[j];
    return s;
}

static void make_scores(struct att *a) {
    int head, key;
    for (int i = 0; i < a->s.groups; i++)
        for (int x = 0; x < a->lanes; x++) {
            struct cvec k = rot(&a->K[i], 2 * a->hd * x * a->tok, a->n),
                        S = scores(a, &a->Q[i], &k);
            place_scores(a, &S, i, x);
        }
    for (int d = 0; d < a->s.scores; d++) {
        assert_real(&a->U[d], a->n);
        for (int p = 0; p < a->n; p++) {
            int place = bert_score_at(&head, &key, &a->s, d, p % a->tok, p / a->tok);
            double want = place ? plain_score(a, head, p / a->tok, key) : 0, got = a->U[d].re.x[p];
            assert_true(place ? fabs(got - want) < 1e-12 : got == 0);
        }
    }
}

/* ---- exp and P ---- */

// what stands for exp: within 0.4 .. 1.6, and not 0 where a score is
static double stand_in(const struct att *a, double score) {
    return 1 + 0.6 * score / a->hd;
}

static void exponentials(struct att *a, int d) {
    struct slots_vec first, both;
    size_t period = bert_spread_heads(first.x, &a->s, d, 0);
    bert_spread_heads(both.x, &a->s, d, 1);
    a->whole[d] = a->U[d];
    for (int p = 0; p < a->n; p++) a->whole[d].re.x[p] = stand_in(a, a->U[d].re.x[p]);
    a->lo[d] = a->whole[d];
    times_plain(&a->lo[d], first.x, period, a->n);
    if (bert_lacks_heads(&a->s, d)) times_plain(&a->whole[d], both.x, period, a->n);
    a->hi[d] = a->whole[d];
    for (int p = 0; p < a->n; p++) a->hi[d].re.x[p] -= a->lo[d].re.x[p];
}

static void make_P(struct att *a) {
    for (int d = 0; d < a->s.scores; d++) exponentials(a, d);
    for (int i = 0; i < a->s.groups * a->lanes; i++) {
        int g = i / a->lanes, x = i % a->lanes;
        if (a->s.blocks > 1) {
            struct cvec t = rot(&a->hi[i], a->half, a->n),
                        w = rot(&a->lo[g * a->lanes + (x + 1) % a->lanes], -a->half, a->n);
            add(&t, &w, a->n);
            a->P[i] = times_i(&t, 1, a->n);
            add(&a->P[i], &a->whole[i], a->n);
        } else {
            a->P[i] = g % 2 ? a->hi[g / 2] : a->lo[g / 2];
            sum_steps(&a->P[i], g % 2 ? a->half : -a->half, 1, a->n);
        }
    }
}

// E of offset o in row t of a group's head; 0 where there is none
static double plain_exp(const struct att *a, int head, int t, int o) {
    if (head >= a->s.heads || o >= a->T) return 0;
    return stand_in(a, plain_score(a, head, t, (t + o) % a->T));
}

static void check_P(const struct att *a) {
    int nb = a->s.blocks;
    for (int i = 0; i < a->s.groups * a->lanes; i++)
        for (int p = 0; p < a->n; p++) {
            int t = p / a->tok, c = p % a->tok, j = c % a->half / a->col;
            int head = a->s.hp * (i / a->lanes) + c % a->s.hp;
            int block = (2 * (i % a->lanes) + c / a->half) % nb;
            double re = plain_exp(a, head, t, a->hd * block + j),
                   im = plain_exp(a, head, t, a->hd * ((block + 1) % nb) + j);
            assert_true(fabs(a->P[i].re.x[p] - re) < 1e-12);
            assert_true(fabs(a->P[i].im.x[p] - (nb > 1 ? im : 0)) < 1e-12);
        }
}

/* ---- sums with P ---- */

// sum += rot_(col(B g)) of sum over b of [col(b) P] [tok(e + b) col(-e) v]; each lane has its v
static void add_giant(struct cvec *sum, const struct att *a, const struct cvec *P,
                      const struct cvec *v, int e, int g) {
    struct cvec all = {{{0}}, {{0}}};
    for (int x = 0; x < a->lanes; x++) {
        struct cvec w = rot(v, 2 * a->hd * x * a->tok, a->n);
        w = rot(&w, e * (a->tok - a->col), a->n);
        for (int b = 0; b < a->baby; b++) {
            struct cvec p = rot(&P[x], b * a->col, a->n), y = rot(&w, b * a->tok, a->n);
            add_product(&all, &p, &y, a->n);
        }
    }
    all = rot(&all, a->baby * g * a->col, a->n);
    add(sum, &all, a->n);
}

static void end_sum(struct cvec *out, const struct att *a, const struct cvec *sum) {
    *out = *sum;
    if (a->s.blocks > 1) split(out, NULL, sum, a->n);
    assert_real(out, a->n);
}

// the mask in block 0, halved where there are lanes
static struct cvec first_mask(const struct att *a) {
    struct slots_vec block;
    struct cvec m = a->mask;
    size_t period = bert_spread_block(block.x, &a->s, 0, a->s.blocks > 1 ? 0.5 : 1);
    times_plain(&m, block.x, period, a->n);
    pair_lanes(&m, a, -1);
    return m;
}

// the versions of the mask that are made serve every giant and group
static void make_denominators(struct att *a) {
    struct cvec sum = {{{0}}, {{0}}}, m = first_mask(a);
    int width = bert_block_width(&a->s), unit = width < a->baby ? width : a->baby;
    int steps = ((a->giants - 1) * a->baby + (a->s.groups - 1) * width) / unit + 1;
    for (int g = 0; g < a->giants; g++)
        for (int i = 0; i < a->s.groups; i++) {
            int e = a->baby * g + width * i;
            assert_true(e % unit == 0 && e / unit < steps);
            add_giant(&sum, a, &a->P[i * a->lanes], &m, e, g);
        }
    end_sum(&a->D, a, &sum);
}

static double plain_denominator(const struct att *a, int head, int t) {
    double d = 0;
    for (int o = 0; o < a->T; o++) d += masked(a, t + o) * plain_exp(a, head, t, o);
    return d;
}

// the head whose denominator stands in a column; heads or more where none does
static int denominator_head(const struct att *a, int c) {
    int group = c / a->s.hp / bert_block_width(&a->s);
    return c < a->half && group < a->s.groups ? a->s.hp * group + c % a->s.hp : a->s.heads;
}

static void check_denominators(const struct att *a) {
    struct slots_vec spare;
    bert_spread_spare(spare.x, &a->s, 1);
    for (int p = 0; p < a->n; p++) {
        int c = p % a->tok, head = denominator_head(a, c), has = head < a->s.heads;
        double want = has ? plain_denominator(a, head, p / a->tok) : 0;
        assert_true(spare.x[c] == !has);
        assert_true(has ? fabs(a->D.re.x[p] - want) < 1e-11 : a->D.re.x[p] == 0);
    }
}

// a = 1/D with 2 in the spare places
static void make_inverse(struct att *a) {
    struct slots_vec spare;
    bert_spread_spare(spare.x, &a->s, 2);
    a->a = a->D;
    for (int p = 0; p < a->n; p++) a->a.re.x[p] = 1 / (a->D.re.x[p] + spare.x[p % a->tok]);
}

// 1/d of group i in all its columns
static struct cvec group_inverse(const struct att *a, int i) {
    struct slots_vec block;
    struct cvec t = a->a;
    int width = bert_block_width(&a->s);
    size_t period = bert_spread_block(block.x, &a->s, i, 1);
    times_plain(&t, block.x, period, a->n);
    t = rot(&t, a->col * width * i, a->n);
    sum_steps(&t, -a->col * width, bert_log2(a->hd / width), a->n);
    for (int p = 0; p < a->n; p++) {
        int c = p % a->tok, head = a->s.hp * i + c % a->s.hp;
        double d = head < a->s.heads ? plain_denominator(a, head, p / a->tok) : 2;
        assert_true(c < a->half ? fabs(t.re.x[p] * d - 1) < 1e-11 : t.re.x[p] == 0);
    }
    return t;
}

static void make_context(struct att *a, int i) {
    struct cvec sum = {{{0}}, {{0}}};
    for (int g = 0; g < a->giants; g++)
        add_giant(&sum, a, &a->P[i * a->lanes], &a->V[i], a->baby * g, g);
    end_sum(&a->C[i], a, &sum);
    for (int p = 0; p < a->n; p++) {
        int t = p / a->tok, c = p % a->tok, has = feature_of(&a->s, i, c) < a->H;
        double want = 0;
        for (int o = 0; has && o < a->T; o++)
            want += masked(a, t + o) * plain_exp(a, a->s.hp * i + c % a->s.hp, t, o) *
                    number(a, a->v, i, c, t + o);
        assert_true(has ? fabs(a->C[i].re.x[p] - want) < 1e-11 : a->C[i].re.x[p] == 0);
    }
}

// C a of two groups in one ciphertext, as the map to features takes them
static void join_contexts(struct att *a) {
    static struct slots_vec want[MAX_GROUPS];
    static double x[MAX_STATE];
    struct cvec c = {{{0}}, {{0}}};
    for (int i = 0; i < a->s.groups; i++) {
        struct cvec t = group_inverse(a, i), z = {{{0}}, {{0}}};
        add_product(&z, &a->C[i], &t, a->n);
        a->C[i] = z;
        slots_unpack(x, a->H, &a->s, BERT_INNER, BERT_BY_HEAD, i, z.re.x);
    }
    pack_contexts(want, &a->s, x);
    for (int i = 0; i < a->s.groups; i++) {
        c = i % 2 ? rot(&a->C[i], -a->half, a->n) : a->C[i];
        if (i % 2) add(&c, &a->C[i - 1], a->n);
        if (i % 2 || i + 1 == a->s.groups)
            for (int p = 0; p < a->n; p++)
                assert_true(c.re.x[p] == (want[i / 2].x[p] == 7 ? 0 : want[i / 2].x[p]));
    }
}

static void attention_formulas(void **ctx) {
    (void)ctx;
    static struct att a;
    for (int k = 0; k < MICROS; k++) {
        attention_new(&a, &micros[k]);
        make_q(&a);
        for (int i = 0; i < a.s.groups; i++) {
            make_kv(&a, i);
            check_qkv(&a, i);
        }
        make_scores(&a);
        make_P(&a);
        check_P(&a);
        make_denominators(&a);
        check_denominators(&a);
        make_inverse(&a);
        for (int i = 0; i < a.s.groups; i++) make_context(&a, i);
        join_contexts(&a);
    }
}

/* ---- the residual and LayerNorm ---- */

struct norm {
    struct bert_shape s;
    int n, C, H;
    double y[MAX_STATE], res[64], x[MAX_STATE]; /* x: centred residual */
    struct cvec Y[4], X[4], root;
};

static void plain_residual(struct norm *a) {
    for (int t = 0; t < a->s.tokens; t++) {
        double mean = 0, *x = a->x + t * a->H;
        for (int f = 0; f < a->H; f++) {
            x[f] = a->res[f] * a->y[t * a->H + f];
            mean += x[f] / a->H;
        }
        for (int f = 0; f < a->H; f++) x[f] -= mean;
    }
}

static void norm_new(struct norm *a, const struct slots_micro *m) {
    memset(a, 0, sizeof *a);
    a->s = slots_shape(m);
    a->n = m->slots;
    a->C = a->s.columns;
    a->H = m->hidden;
    slots_random(a->y, m->tokens * a->H);
    slots_random(a->res, a->H);
    plain_residual(a);
    for (int i = 0; i < a->s.nx; i++) bert_pack_state(a->Y[i].re.x, &a->s, i, a->y, m->tokens);
}

// column 0 of x, into every column
static void first_to_all(struct cvec *x, const struct norm *a) {
    struct slots_vec first;
    size_t period = bert_spread_first(first.x, &a->s, 1);
    times_plain(x, first.x, period, a->n);
    sum_steps(x, -1, bert_log2(a->C), a->n);
}

// X = res .* y - mean: the mean of column 0, without the columns that have no feature
static void residual(struct norm *a) {
    struct slots_vec w;
    struct cvec q = {{{0}}, {{0}}};
    for (int i = 0; i < a->s.nx; i++) {
        size_t period = bert_spread_outer(w.x, &a->s, i, a->res, a->H, 0);
        a->X[i] = a->Y[i];
        times_plain(&a->X[i], w.x, period, a->n);
        struct cvec p = a->X[i];
        for (int s = 0; s < a->n; s++) p.re.x[s] /= -a->H;
        add(&q, &p, a->n);
    }
    sum_steps(&q, 1, bert_log2(a->C), a->n);
    first_to_all(&q, a);
    for (int i = 0; i < a->s.nx; i++) {
        for (int c = 0; c < a->C; c++) w.x[c] = bert_feature(&a->s, BERT_HIDDEN, i, c) < a->H;
        if (i + 1 == a->s.nx && bert_padded(&a->s)) times_plain(&q, w.x, (size_t)a->C, a->n);
        add(&a->X[i], &q, a->n);
    }
}

static void check_residual(const struct norm *a) {
    for (int i = 0; i < a->s.nx; i++)
        for (int p = 0; p < a->n; p++) {
            int f = a->C * i + p % a->C;
            double got = a->X[i].re.x[p];
            assert_true(f < a->H ? fabs(got - a->x[p / a->C * a->H + f]) < 1e-12 : got == 0);
        }
}

// squares summed over columns: of both tokens that share a window
static double window(const struct norm *a, int t, int c) {
    double sum = 0;
    for (int f = 0; f < a->H; f++) {
        double x = a->x[(t + (f % a->C < c)) % a->s.tokens * a->H + f];
        sum += x * x;
    }
    return sum;
}

static void sum_squares(struct cvec *z, const struct norm *a) {
    double lo = INFINITY, hi = 0, least = INFINITY, most = 0;
    memset(z, 0, sizeof *z);
    for (int i = 0; i < a->s.nx; i++) add_product(z, &a->X[i], &a->X[i], a->n);
    sum_steps(z, 1, bert_log2(a->C), a->n);
    bert_windows(&lo, &hi, a->x, a->s.tokens, a->H, a->C);
    for (int p = 0; p < a->n; p++) {
        assert_true(fabs(z->re.x[p] - window(a, p / a->C, p % a->C)) < 1e-12);
        least = fmin(least, z->re.x[p] / a->H);
        most = worse(z->re.x[p] / a->H, most);
    }
    assert_true(fabs(least - lo) < 1e-12 && fabs(most - hi) < 1e-12);
}

static void norms(void **ctx) {
    (void)ctx;
    static struct norm a;
    static struct cvec z;
    for (int k = 0; k < MICROS; k++) {
        norm_new(&a, &micros[k]);
        residual(&a);
        check_residual(&a);
        sum_squares(&z, &a);
        for (int p = 0; p < a.n; p++) z.re.x[p] = 1 / sqrt(z.re.x[p] / a.H);
        first_to_all(&z, &a);
        for (int p = 0; p < a.n; p++) {
            double want = 1 / sqrt(window(&a, p / a.C, 0) / a.H);
            assert_true(fabs(z.re.x[p] - want) < 1e-12 * want);
        }
    }
}

/* ---- the client's vectors ---- */

static void check_state(const struct slots_vec *v, const struct bert_shape *s, int i,
                        const double *x, int rows) {
    for (int p = 0; p < bert_shape_slots(s); p++) {
        int t = p / s->columns, f = s->columns * i + p % s->columns;
        double want = f < s->hidden ? x[(t < rows ? t : 0) * s->hidden + f] : 0;
        assert_true(v->x[p] == want); // padding is a copy of row 0
    }
}

static void input_vectors(void **ctx) {
    (void)ctx;
    static double x[MAX_STATE], got[MAX_STATE];
    static struct slots_vec v;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        int H = s.hidden, rows = s.tokens - 1;
        slots_random(x, s.tokens * H);
        for (int i = 0; i < s.nx; i++) {
            bert_pack_state(v.x, &s, i, x, rows);
            check_state(&v, &s, i, x, rows);
            slots_unpack(got, H, &s, BERT_OUTER, BERT_HIDDEN, i, v.x);
        }
        memcpy(x + rows * H, x, (size_t)H * sizeof *x);
        assert_true(slots_worst(got, x, s.tokens * H) == 0);
        bert_pack_mask(v.x, &s, rows);
        for (int p = 0; p < micros[k].slots; p++) {
            int c = p % s.columns, key = (p / s.columns + c / s.hp) % s.tokens;
            int there = c < s.columns / 2 && key < rows;
            assert_true(v.x[p] == (there ? bert_mask_value(rows) : 0));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(masks),
        cmocka_unit_test(plain_vectors),
        cmocka_unit_test(maps_to_heads),
        cmocka_unit_test(maps_from_heads),
        cmocka_unit_test(maps_of_states),
        cmocka_unit_test(attention_formulas),
        cmocka_unit_test(norms),
        cmocka_unit_test(input_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
