/* Every slot formula of the copies shape (packing_copies.c, attention_copies.c) on plain vectors of
 * n slots: rotate, multiply, add.
 *
 * The diagonals are the ones the server encodes; scores and context are the sums of
 * attention_copies.c, spelt again with slot operations only (slots.c).  Results must equal the
 * plain matrix products to rounding: sums of at most 64 products of numbers below 1 in doubles,
 * 64 x 64 x 2^-53 < 1e-12; contexts, sums of at most 16 products with such sums, (64 + 16) x 1024 x
 * 2^-53 < 1e-11. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "slots.h"

static const struct slots_micro micros[] = {
    {32, 4, 64, 4, 512, 4, 1, 1, 4, 1, 1},   // hd 8 > T 4
    {16, 2, 32, 8, 512, 2, 1, 1, 4, 1, 1},   // hd = T
    {16, 1, 64, 16, 1024, 1, 1, 1, 4, 1, 1}, // two giant steps
    {64, 2, 64, 4, 1024, 2, 1, 1, 4, 1, 1},  // eight copies of the keys' order in a head
};
enum { MICROS = sizeof micros / sizeof micros[0] };

static void pack_outer(struct slots_vec *v, const struct bert_shape *s, const double *x,
                       int width) {
    struct bert_shape wide = *s;
    wide.hidden = width;
    for (int i = 0; i < width / s->columns; i++) {
        bert_pack_state(v[i].x, &wide, i, x, s->tokens);
        slots_repeat(&v[i], s->tokens * s->columns, bert_shape_slots(s));
    }
}

/* ---- shapes ---- */

static void shapes(void **ctx) {
    (void)ctx;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        assert_ptr_equal(s.packing, &bert_copies_packing);
        assert_int_equal(bert_kappa(&s) * s.head_size, micros[k].slots);
        assert_int_equal(bert_group_columns(&s), s.columns);
        assert_int_equal(bert_padded(&s) + bert_mean_levels(&s), 0);
        slots_score_places(&s);
    }
}

// the status in so many slots; labels 2 but where said
static int made(int hidden, int heads, int labels, int tokens, int slots) {
    struct bert_shape s;
    const struct bert_config c = {
        .hidden = hidden, .heads = heads, .ffn = 2 * hidden, .labels = labels};
    return bert_shape_make(&s, &c, tokens, slots);
}

static void shapes_refused(void **ctx) {
    (void)ctx;
    assert_int_equal(made(24, 2, 2, 4, 1024), THOR_MODEL); // heads of 12 columns
    assert_int_equal(made(32, 3, 2, 4, 1024), THOR_MODEL); // heads of ten and two thirds
    assert_int_equal(made(32, 2, 2, 6, 1024), THOR_MODEL);
    assert_int_equal(made(32, 2, 2, 32, 1024), THOR_OK); // C = 2 hd = 32
    assert_int_equal(made(32, 2, 2, 32, 512), THOR_MODEL);
    assert_int_equal(made(32, 2, 2, 32, 16), THOR_MODEL); // more tokens than slots
    assert_int_equal(made(32, 2, 32, 32, 1024), THOR_OK); // as many labels as columns
    assert_int_equal(made(32, 2, 33, 32, 1024), THOR_MODEL);
    assert_int_equal(made(8, 2, 8, 4, 128), THOR_OK); // the same in the copies shape
    assert_int_equal(made(8, 2, 9, 4, 128), THOR_MODEL);
    assert_int_equal(made(6, 3, 2, 4, 32), THOR_OK);    // two groups of two columns
    assert_int_equal(made(6, 3, 2, 4, 16), THOR_MODEL); // three
}

// published sizes in the default ring
static void known_shapes(void **ctx) {
    (void)ctx;
    static const struct {
        int hidden, heads, ffn, tokens, by_columns, hp, columns, nx, nf, groups, blocks, scores;
    } known[] = {
        {128, 2, 512, 64, 0, 2, 128, 1, 4, 1, 1, 1},
        {128, 2, 512, 128, 1, 2, 256, 1, 2, 1, 2, 1},
        {384, 12, 1536, 128, 1, 4, 256, 2, 6, 3, 4, 6},
        {384, 12, 1536, 64, 1, 8, 512, 1, 3, 2, 2, 2},
        {768, 12, 3072, 128, 1, 2, 256, 3, 12, 6, 2, 6},
        {768, 12, 3072, 64, 1, 4, 512, 2, 6, 3, 1, 2},
        {512, 8, 2048, 32, 1, 8, 1024, 1, 2, 1, 1, 1},
        {1024, 16, 4096, 128, 1, 2, 256, 4, 16, 8, 2, 8},
    };
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        struct bert_model m = {.cfg = {.hidden = known[k].hidden,
                                       .heads = known[k].heads,
                                       .ffn = known[k].ffn,
                                       .labels = 2}};
        struct bert_shape s;
        assert_int_equal(bert_shape_of(&s, &m, known[k].tokens), THOR_OK);
        assert_int_equal(s.packing == &bert_columns_packing, known[k].by_columns);
        assert_int_equal(s.hp, known[k].hp);
        assert_int_equal(s.columns, known[k].columns);
        assert_int_equal(s.nx, known[k].nx);
        assert_int_equal(bert_nf(&s), known[k].nf);
        assert_int_equal(s.groups, known[k].groups);
        assert_int_equal(s.blocks, known[k].blocks);
        assert_int_equal(s.scores, known[k].scores);
        assert_int_equal(bert_shape_slots(&s), 1 << BERT_LOG_SLOTS);
    }
}

/* ---- maps ---- */

static void map_to_inner(const struct slots_micro *m, int masked) {
    static struct slots_vec in[8], out[8];
    static double x[MAX_STATE], want[MAX_STATE], got[MAX_STATE];
    static struct slots_map p;
    struct bert_shape s = slots_shape(m);
    struct ckks_linear t;
    int n = bert_shape_slots(&s), H = s.hidden;
    slots_random(x, s.tokens * H);
    slots_random_map(&p, H, H);
    slots_times(want, &p, x, s.tokens);
    pack_outer(in, &s, x, H);
    struct bert_linear_map l = {&s, BERT_TO_INNER, {&p.m}, {masked}, 0, 0, 0, 0};
    bert_linear_set(&t, &l, 1);
    slots_apply(out, NULL, in, &t, n);
    for (int i = 0; i < s.nx; i++) {
        slots_unpack(got, H, &s, BERT_INNER, BERT_BY_HEAD, i, out[i].x);
        for (int c = 0; c < s.columns; c++)
            for (int rho = 0; rho < s.repeats; rho++)
                for (int t0 = 0; t0 < s.tokens; t0++) {
                    double w = want[t0 * H + bert_feature(&s, BERT_BY_HEAD, i, c)];
                    double g = out[i].x[bert_slot(&s, BERT_INNER, c, rho, t0)];
                    assert_true(fabs(g - (masked && rho ? 0 : w)) < 1e-12);
                }
    }
    assert_true(slots_worst(got, want, s.tokens * H) < 1e-12);
}

static void maps_to_inner(void **ctx) {
    (void)ctx;
    for (int k = 0; k < MICROS; k++)
        for (int masked = 0; masked < 2; masked++) map_to_inner(&micros[k], masked);
}

static void maps_to_outer(void **ctx) {
    (void)ctx;
    static struct slots_vec in[8], out[8];
    static double x[MAX_STATE], want[MAX_STATE], got[MAX_STATE];
    static struct slots_map p;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int n = bert_shape_slots(&s), H = s.hidden;
        slots_random(x, s.tokens * H);
        slots_random_map(&p, H, H);
        slots_times(want, &p, x, s.tokens);
        for (int i = 0; i < s.nx; i++)
            for (int c = 0; c < s.columns; c++)
                for (int r = 0; r < s.repeats * s.tokens; r++)
                    in[i].x[s.repeats * s.tokens * c + r] =
                        x[r % s.tokens * H + bert_feature(&s, BERT_BY_HEAD, i, c)];
        struct bert_linear_map l = {&s, BERT_TO_OUTER, {&p.m}, {0}, 0, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        slots_apply(out, NULL, in, &t, n);
        for (int i = 0; i < s.nx; i++) {
            struct slots_vec r = slots_rot(&out[i], s.tokens * s.columns, n); // all copies
            assert_true(slots_worst(r.x, out[i].x, n) < 1e-12);
            slots_unpack(got, H, &s, BERT_OUTER, BERT_HIDDEN, i, out[i].x);
        }
        assert_true(slots_worst(got, want, s.tokens * H) < 1e-12);
    }
}

static void maps_outer(void **ctx) {
    (void)ctx;
    static struct slots_vec in[8], out[8];
    static double x[MAX_STATE], want[MAX_STATE], got[MAX_STATE];
    static struct slots_map p;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int n = bert_shape_slots(&s), H = s.hidden, F = s.ffn;
        slots_random(x, s.tokens * H);
        slots_random_map(&p, H, F);
        slots_times(want, &p, x, s.tokens);
        pack_outer(in, &s, x, H);
        struct bert_linear_map l = {&s, BERT_STAY_OUTER, {&p.m}, {0}, 0, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        assert_int_equal(t.outputs, bert_nf(&s));
        slots_apply(out, NULL, in, &t, n);
        for (int i = 0; i < bert_nf(&s); i++)
            slots_unpack(got, F, &s, BERT_OUTER, BERT_HIDDEN, i, out[i].x);
        assert_true(slots_worst(got, want, s.tokens * F) < 1e-12);

        p.m.out = 2; // the classifier: token 0 only, all other slots 0
        slots_times(want, &p, x, s.tokens);
        l = (struct bert_linear_map){&s, BERT_STAY_OUTER, {&p.m}, {1}, 0, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        assert_int_equal(t.outputs, 1);
        slots_apply(out, NULL, in, &t, n);
        for (int c = 0; c < s.columns; c++)
            for (int t0 = 0; t0 < s.tokens; t0++)
                assert_true(fabs(out[0].x[bert_slot(&s, BERT_OUTER, c, 0, t0)] -
                                 (c < 2 && !t0 ? want[c] : 0)) < 1e-12);
    }
}

/* ---- attention ---- */

struct att { /* one ciphertext of heads: plain q, k, v of T x columns, and the vectors */
    struct bert_shape s;
    int n, kappa;
    double q[MAX_STATE], k[MAX_STATE], v[MAX_STATE];
    struct slots_vec Q, K, V;
};

static void skewed(struct slots_vec *v, const struct bert_shape *s) {
    struct ckks_linear t;
    struct slots_vec in = *v;
    bert_skew_set(&t, s);
    slots_apply(v, NULL, &in, &t, bert_shape_slots(s));
}

static void attention_new(struct att *a, const struct slots_micro *m) {
    memset(a, 0, sizeof *a);
    a->s = slots_shape(m);
    a->n = bert_shape_slots(&a->s);
    a->kappa = bert_kappa(&a->s);
    int cells = a->s.tokens * a->s.columns;
    slots_random(a->q, cells);
    slots_random(a->k, cells);
    slots_random(a->v, cells);
    for (int c = 0; c < a->s.columns; c++)
        for (int rho = 0; rho < a->s.repeats; rho++)
            for (int t = 0; t < a->s.tokens; t++) {
                size_t slot = bert_slot(&a->s, BERT_INNER, c, rho, t);
                a->Q.x[slot] = rho ? 0 : a->q[t * a->s.columns + c];
                a->K.x[slot] = a->k[t * a->s.columns + c];
                a->V.x[slot] = a->v[t * a->s.columns + c];
            }
    skewed(&a->K, &a->s);
    skewed(&a->V, &a->s);
}

static double plain_score(const struct att *a, int h, int t, int key) {
    double s = 0;
    for (int c = h; c < a->s.columns; c += a->s.hp)
        s += a->q[t * a->s.columns + c] * a->k[key * a->s.columns + c];
    return s;
}

static void check_scores(const struct att *a, const struct slots_vec *S) {
    int head, key;
    for (int c = 0; c < a->s.columns; c++) // every period of T columns; other copies exactly 0
        for (int rho = 0; rho < a->s.repeats; rho++)
            for (int t = 0; t < a->s.tokens; t++) {
                double got = S->x[bert_slot(&a->s, BERT_INNER, c, rho, t)];
                int place = bert_score_at(&head, &key, &a->s, 0, c, t);
                assert_int_equal(place, c / a->s.hp < a->s.tokens ? 1 : 2);
                assert_true(rho ? got == 0 : fabs(got - plain_score(a, head, t, key)) < 1e-12);
            }
}

static void attention_formulas(void **ctx) {
    (void)ctx;
    static struct att a;
    for (int k = 0; k < MICROS; k++) {
        attention_new(&a, &micros[k]);
        struct slots_vec S = slots_scores(&a.s, &a.Q, &a.K);
        check_scores(&a, &S);
        // the scores stand for the probabilities
        struct slots_vec C = slots_context(&a.s, &S, &a.V);
        for (int c = 0; c < a.s.columns; c++)
            for (int rho = 0; rho < a.s.repeats; rho++)
                for (int t = 0; t < a.s.tokens; t++) {
                    double want = 0, got = C.x[bert_slot(&a.s, BERT_INNER, c, rho, t)];
                    for (int key = 0; key < a.s.tokens; key++)
                        want += plain_score(&a, c % a.s.hp, t, key) * a.v[key * a.s.columns + c];
                    assert_true(rho ? got == 0 : fabs(got - want) < 1e-11);
                }
        struct slots_vec d = S; // denominators: T columns summed, of period kappa
        for (int u = 1; u < a.s.tokens; u *= 2) {
            struct slots_vec r = slots_rot(&d, u * a.kappa, a.n);
            slots_add(&d, &r, a.n);
        }
        struct slots_vec r = slots_rot(&d, a.kappa, a.n);
        assert_true(slots_worst(r.x, d.x, a.n) < 1e-12);
        for (int u = 1; u < a.s.repeats; u *= 2) { // replicated into all copies
            r = slots_rot(&C, -u * a.s.tokens, a.n);
            slots_add(&C, &r, a.n);
        }
        for (int i = 0; i < a.n; i++)
            assert_true(C.x[i] == C.x[i - i % (a.s.repeats * a.s.tokens) + i % a.s.tokens]);
    }
}

/* ---- the client's vectors ---- */

static void input_vectors(void **ctx) {
    (void)ctx;
    static double x[MAX_STATE], got[MAX_STATE];
    static struct slots_vec v;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        int rows = s.tokens - 1, H = s.hidden;
        slots_random(x, s.tokens * H);
        for (int i = 0; i < s.nx; i++) {
            bert_pack_state(v.x, &s, i, x, rows);
            slots_unpack(got, H, &s, BERT_OUTER, BERT_HIDDEN, i, v.x);
        }
        memcpy(x + rows * H, x, (size_t)H * sizeof *x); // padding is a copy of row 0
        assert_true(slots_worst(got, x, s.tokens * H) == 0);
        bert_pack_mask(v.x, &s, rows);
        for (int c = 0; c < s.columns; c++)
            for (int t = 0; t < s.tokens; t++)
                assert_true(v.x[bert_slot(&s, BERT_INNER, c, 0, t)] ==
                            ((t + c / s.hp) % s.tokens < rows ? bert_mask_value(rows) : 0));
        for (int c = 0; c < s.columns; c++)
            for (int r = s.tokens; r < s.tokens * s.repeats; r++)
                assert_true(v.x[s.repeats * s.tokens * c + r] == 0);
    }
}

// of biases and the like: the copies outside and inside, the first token or copy alone
static void plain_vectors(void **ctx) {
    (void)ctx;
    static double v[64];
    static struct slots_vec o, i;
    slots_random(v, 64);
    for (int k = 0; k < MICROS; k++)
        for (int first = 0; first < 2; first++) {
            struct bert_shape s = slots_shape(&micros[k]);
            int C = s.columns, T = s.tokens, n = micros[k].slots;
            assert_int_equal(bert_spread_outer(o.x, &s, 0, v, C - 1, first), T * C);
            assert_int_equal(bert_spread_inner(i.x, &s, 0, v, first), n);
            for (int p = 0; p < n; p++) {
                int t = p % T, c = p / T % C, rho = p / T % s.repeats, in = p / T / s.repeats;
                int feature = in % s.hp * s.head_size + in / s.hp;
                assert_true(p >= T * C || o.x[p] == (c < C - 1 && !(first && t) ? v[c] : 0));
                assert_true(i.x[p] == (first && rho ? 0 : v[feature]));
            }
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(shapes_refused),
        cmocka_unit_test(known_shapes),
        cmocka_unit_test(maps_to_inner),
        cmocka_unit_test(maps_to_outer),
        cmocka_unit_test(maps_outer),
        cmocka_unit_test(attention_formulas),
        cmocka_unit_test(input_vectors),
        cmocka_unit_test(plain_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
