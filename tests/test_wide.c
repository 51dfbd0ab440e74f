/* Every slot formula of the wide shape (packing.h, attention.c, wide.c) on plain vectors of slots.
 *
 * As test_packing.c: the diagonals are the ones the server encodes, the rest is spelt again with
 * rotations, products and sums; results equal the plain matrix products to the same rounding. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "slots.h"

enum { MAX_CTS = 64, HEADS = 8 };

static const struct slots_micro micros[] = {
    {8, 4, 16, 4, 64, 4, 1, 1, 1},     // T > hd: two blocks
    {8, 4, 16, 4, 32, 2, 1, 2, 1},     // two groups from one source
    {12, 3, 24, 8, 128, 2, 1, 2, 1},   // odd heads: the last group has one of its own
    {24, 3, 40, 8, 128, 2, 2, 2, 1},   // two ciphertexts a state, H and F no multiples of C
    {32, 4, 64, 4, 256, 8, 1, 1, 1},   // hd > T
    {24, 3, 48, 4, 1024, 32, 1, 1, 1}, // hd > T, more places than heads
    {32, 2, 40, 16, 512, 2, 1, 1, 1},  // hd = T, two giant steps
};
enum { MICROS = sizeof micros / sizeof micros[0] };

static void shapes(void **ctx)
{
    (void)ctx;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        assert_int_equal(s.wide, 1);
        assert_int_equal(bert_kappa(&s) * s.span, micros[k].slots);
    }
    struct bert_shape s;
    const struct bert_config c = {.hidden = 48, .heads = 3, .ffn = 40, .labels = 2};
    assert_int_equal(bert_shape_make(&s, &c, 32, 2048), THOR_OK);
    assert_int_equal(bert_shape_make(&s, &c, 32, 1024), THOR_MODEL); // 2 T T slots at least
}

static int missing_to_first(const struct bert_shape *s, int head)
{
    return head < s->heads ? head : 0;
}

static void pack(struct slots_vec *v, const struct bert_shape *s, const double *x, int width)
{
    struct bert_shape t = *s;
    t.hidden = width;
    for (int i = 0; i < (width + s->columns - 1) / s->columns; i++)
        bert_pack_state(v[i].x, &t, i, x, s->tokens);
}

/* ---- maps ---- */

static void maps_to_sources(void **ctx)
{
    (void)ctx;
    static struct slots_vec in[4], out[MAX_CTS];
    static double x[MAX_STATE], want[MAX_STATE];
    static struct slots_map p;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int H = s.hidden, T = s.tokens;
        slots_random(x, T * H);
        slots_random_map(&p, H, H);
        slots_times(want, &p, x, T);
        pack(in, &s, x, H);
        struct bert_linear_map l = {&s, BERT_TO_INNER, {&p.m}, {0}, 0, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        assert_int_equal(t.outputs, bert_sources(&s));
        slots_apply(out, NULL, in, &t, micros[k].slots);
        for (int c = 0; c < s.columns * t.outputs; c++) {
            int f = bert_feature(&s, BERT_SOURCE, c / s.columns, c % s.columns), hd = s.head_size;
            f = hd * missing_to_first(&s, f / hd) + f % hd;
            for (int t0 = 0; t0 < T; t0++)
                assert_true(fabs(out[c / s.columns].x[T * (c % s.columns) + t0] -
                                 want[t0 * H + f]) < 1e-12);
        }
    }
}

// the context of every group in its places, and what must not be read elsewhere
static void maps_from_heads(void **ctx)
{
    (void)ctx;
    static struct slots_vec in[HEADS], out[4];
    static double x[MAX_STATE], want[MAX_STATE], got[MAX_STATE];
    static struct slots_map p;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int H = s.hidden, T = s.tokens;
        slots_random(x, T * H);
        slots_random_map(&p, H, H);
        slots_times(want, &p, x, T);
        for (int i = 0; i < s.groups; i++)
            for (int c = 0; c < s.columns; c++)
                for (int t0 = 0; t0 < T; t0++) {
                    int f = bert_feature(&s, BERT_BY_HEAD, i, c);
                    in[i].x[T * c + t0] = f < H ? x[t0 * H + f] : 7;
                }
        struct bert_linear_map l = {&s, BERT_TO_OUTER, {&p.m}, {0}, 0, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        assert_int_equal(t.count, s.hp * s.head_size);
        slots_apply(out, NULL, in, &t, micros[k].slots);
        for (int i = 0; i < s.nx; i++)
            bert_unpack_state(got, H, &s, BERT_OUTER, BERT_HIDDEN, i, out[i].x);
        assert_true(slots_worst(got, want, T * H) < 1e-12);
        for (int c = H; c < s.nx * s.columns; c++) // missing features stay 0
            for (int t0 = 0; t0 < T; t0++)
                assert_true(out[c / s.columns].x[T * (c % s.columns) + t0] == 0);
    }
}

// FFN, two outputs in one product
static void maps_paired(void **ctx)
{
    (void)ctx;
    static struct slots_vec in[4], re[MAX_CTS], im[MAX_CTS];
    static double x[MAX_STATE], want[MAX_STATE], got[MAX_STATE];
    static struct slots_map p;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        struct ckks_linear t;
        int H = s.hidden, F = s.ffn, nf = bert_nf(&s), half = (nf + 1) / 2;
        slots_random(x, s.tokens * H);
        slots_random_map(&p, H, F);
        slots_times(want, &p, x, s.tokens);
        pack(in, &s, x, H);
        struct bert_linear_map l = {&s, BERT_STAY_OUTER, {&p.m}, {0}, 1, 0, 0, 0};
        bert_linear_set(&t, &l, 1);
        assert_int_equal(t.outputs, half);
        slots_apply(re, im, in, &t, micros[k].slots);
        for (int i = 0; i < nf; i++)
            bert_unpack_state(got, F, &s, BERT_OUTER, BERT_HIDDEN, i,
                              i < half ? re[i].x : im[i - half].x);
        for (int i = 0; i < s.tokens * F; i++)
            assert_true(fabs((l.paired ? 2 : 1) * got[i] - want[i]) < 1e-12);
    }
}

/* ---- attention ---- */

struct att {
    struct bert_shape s;
    int n, T, hd, kappa;
    double q[MAX_STATE], k[MAX_STATE], v[MAX_STATE]; /* T x H */
    struct slots_vec Q[MAX_CTS], K[MAX_CTS], V[MAX_CTS];
};

static void pack_source(struct slots_vec *out, const struct att *a, int i, const double *x)
{
    for (int c = 0; c < a->s.columns; c++) {
        int f = bert_feature(&a->s, BERT_SOURCE, i, c);
        f = a->hd * missing_to_first(&a->s, f / a->hd) + f % a->hd;
        for (int t = 0; t < a->T; t++)
            out->x[a->T * c + t] = x[t * a->s.hidden + f];
    }
}

static void pick(struct att *a, const struct slots_vec *src, int y, int x, struct slots_vec *out)
{
    struct slots_vec m;
    bert_spread_pick(m.x, &a->s, y, x);
    memset(out, 0, sizeof *out);
    slots_add_product(out, src, &m, a->n);
    *out = slots_rot(out, a->T * x, a->n);
    for (int u = 1; u < bert_blocks(&a->s); u *= 2) {
        struct slots_vec r = slots_rot(out, u * a->hd * a->kappa, a->n);
        slots_add(out, &r, a->n);
    }
}

static void skew(struct att *a, const struct slots_vec *src, int blocks, struct slots_vec *out)
{
    static struct slots_vec X[64];
    struct ckks_linear t;
    int B = bert_blocks(&a->s);
    bert_skew_set(&t, &a->s);
    assert_int_equal(t.outputs, 2 * B);
    for (int e = 0; e < 2 * blocks; e++) {
        struct slots_vec z = slots_rot(src, a->T * (e % 2) + a->hd * a->kappa * (e / 2), a->n);
        slots_apply(X, NULL, &z, &t, a->n);
        memset(&out[e], 0, sizeof out[e]);
        for (int w = 0; w < 2; w++)
            for (int rho = 0; rho < B; rho++) {
                struct slots_vec r = slots_rot(
                    &X[w * B + rho], rho * (a->hd - a->hd * a->kappa) - a->T * w, a->n);
                slots_add(&out[e], &r, a->n);
            }
        struct slots_vec r = slots_rot(&out[e], -a->T, a->n);
        slots_add(&out[e], &r, a->n);
    }
}

static void attention_new(struct att *a, const struct slots_micro *m)
{
    memset(a, 0, sizeof *a);
    a->s = slots_shape(m);
    a->n = m->slots;
    a->T = a->s.tokens;
    a->hd = a->s.head_size;
    a->kappa = bert_kappa(&a->s);
    int B = bert_blocks(&a->s);
    slots_random(a->q, a->T * a->s.hidden);
    slots_random(a->k, a->T * a->s.hidden);
    slots_random(a->v, a->T * a->s.hidden);
    for (int i = 0; i < bert_sources(&a->s); i++) {
        struct slots_vec q = {{0}}, k = {{0}}, v = {{0}};
        int blocks = a->s.groups - i * B < B ? a->s.groups - i * B : B;
        pack_source(&q, a, i, a->q);
        pack_source(&k, a, i, a->k);
        pack_source(&v, a, i, a->v);
        for (int y = 0; y < blocks; y++)
            for (int x = 0; x < 2; x++)
                pick(a, &q, y, x, &a->Q[2 * (i * B + y) + x]);
        skew(a, &k, blocks, &a->K[2 * i * B]);
        skew(a, &v, blocks, &a->V[2 * i * B]);
    }
}

// head of place h' (0 or 1 past it: the pair) of doubled ciphertext d
static int head_of(const struct att *a, int d, int place)
{
    return missing_to_first(&a->s, a->s.hp * (d / 2) + place - place % 2 + d % 2);
}

static void check_doubled(const struct att *a)
{
    for (int d = 0; d < 2 * a->s.groups; d++)
        for (int c = 0; c < a->s.columns; c++)
            for (int t = 0; t < a->T; t++) {
                int j = c / a->s.hp, place = c % a->s.hp, H = a->s.hidden;
                int f = a->hd * head_of(a, d, place) + j % a->hd, key = (t + j) % a->T;
                double q = a->Q[d].x[a->T * c + t], k = a->K[d].x[a->T * c + t],
                       v = a->V[d].x[a->T * c + t];
                assert_true(q == (place % 2 ? 0 : a->q[t * H + f]));
                assert_true(k == a->k[key * H + f]);
                assert_true(v == a->v[key * H + f]);
            }
}

static void add_second(struct slots_vec *sum, const struct slots_vec *second, const struct att *a)
{
    struct slots_vec r = slots_rot(second, -a->T, a->n);
    slots_add(sum, &r, a->n);
}

static double plain_score(const struct att *a, int head, int t, int key)
{
    double s = 0;
    for (int c = 0; c < a->hd; c++)
        s += a->q[t * a->s.hidden + head * a->hd + c] * a->k[key * a->s.hidden + head * a->hd + c];
    return s;
}

static void check_scores(const struct att *a, const struct slots_vec *S, int i)
{
    double e[64 * 64];
    for (int h = 0; h < a->s.hp; h++) {
        int head = missing_to_first(&a->s, a->s.hp * i + h);
        bert_unpack_scores(e, &a->s, h, S->x);
        for (int t = 0; t < a->T; t++)
            for (int key = 0; key < a->T; key++)
                assert_true(fabs(e[t * a->T + key] - plain_score(a, head, t, key)) < 1e-12);
    }
    for (int c = a->T * a->s.hp; c < a->s.columns; c++) // hd > T: of period T columns
        for (int t = 0; t < a->T; t++)
            assert_true(fabs(S->x[a->T * c + t] -
                             S->x[a->T * (c - a->T * a->s.hp) + t]) < 1e-12);
}

static void check_context(const struct att *a, const struct slots_vec *C, int i, int rows)
{
    for (int c = 0; c < a->s.columns; c++)
        for (int t = 0; t < a->T; t++) {
            int head = missing_to_first(&a->s, a->s.hp * i + c % a->s.hp);
            int f = head * a->hd + c / a->s.hp % a->hd;
            double want = 0;
            for (int key = 0; key < rows; key++)
                want += plain_score(a, head, t, key) * a->v[key * a->s.hidden + f];
            assert_true(fabs(C->x[a->T * c + t] - bert_mask_value(rows) * want) < 1e-11);
        }
}

static void attention_formulas(void **ctx)
{
    (void)ctx;
    static struct att a;
    for (int k = 0; k < MICROS; k++) {
        attention_new(&a, &micros[k]);
        check_doubled(&a);
        struct slots_vec mask;
        int rows = a.T - 1;
        bert_pack_mask(mask.x, &a.s, rows);
        for (int i = 0; i < a.s.groups; i++) {
            const int d = 2 * i; // the group's doubled ciphertexts are d and d + 1
            struct slots_vec S = slots_scores(&a.s, &a.Q[d], &a.K[d]),
                             S1 = slots_scores(&a.s, &a.Q[d + 1], &a.K[d + 1]),
                             P = {{0}}, P1 = {{0}}, D;
            add_second(&S, &S1, &a);
            check_scores(&a, &S, i);
            S1 = slots_rot(&S, a.T, a.n); // the scores stand for their exponentials
            slots_add_product(&P, &S, &mask, a.n);
            slots_add_product(&P1, &S1, &mask, a.n);
            struct slots_vec C = slots_context(&a.s, &P, &a.V[d]),
                             C1 = slots_context(&a.s, &P1, &a.V[d + 1]);
            D = P;
            add_second(&D, &P1, &a);
            add_second(&C, &C1, &a);
            for (int u = a.hd; u < a.T; u *= 2) {
                struct slots_vec r = slots_rot(&C, u * a.kappa, a.n);
                slots_add(&C, &r, a.n);
            }
            check_context(&a, &C, i, rows);
            for (int u = 1; u < a.T; u *= 2) {
                struct slots_vec r = slots_rot(&D, u * a.kappa, a.n);
                slots_add(&D, &r, a.n);
            }
            for (int s = 0; s < a.n; s++) { // denominators, of period kappa
                double want = 0;
                int head = missing_to_first(&a.s, a.s.hp * i + s / a.T % a.s.hp);
                for (int key = 0; key < rows; key++)
                    want += bert_mask_value(rows) * plain_score(&a, head, s % a.T, key);
                assert_true(fabs(D.x[s] - want) < 1e-11);
            }
        }
    }
}

/* ---- the client's vectors ---- */

static void input_vectors(void **ctx)
{
    (void)ctx;
    static double x[MAX_STATE], got[MAX_STATE];
    static struct slots_vec v;
    for (int k = 0; k < MICROS; k++) {
        struct bert_shape s = slots_shape(&micros[k]);
        int rows = s.tokens - 1, H = s.hidden;
        slots_random(x, s.tokens * H);
        for (int i = 0; i < s.nx; i++) {
            bert_pack_state(v.x, &s, i, x, rows);
            bert_unpack_state(got, H, &s, BERT_OUTER, BERT_HIDDEN, i, v.x);
            for (int c = H - i * s.columns; c < s.columns; c++)
                for (int t = 0; c >= 0 && t < s.tokens; t++)
                    assert_true(v.x[s.tokens * c + t] == 0);
        }
        memcpy(x + rows * H, x, (size_t)H * sizeof *x); // padding is a copy of row 0
        assert_true(slots_worst(got, x, s.tokens * H) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),          cmocka_unit_test(maps_to_sources),
        cmocka_unit_test(maps_from_heads), cmocka_unit_test(maps_paired),
        cmocka_unit_test(attention_formulas), cmocka_unit_test(input_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
