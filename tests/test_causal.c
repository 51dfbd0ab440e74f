/* GPT-2 by its plan: the polynomials in doubles against the plain model, and encrypted at toy rings
 * with every tensor within its bound.
 *
 * Kinds: T > hd (lanes), T = hd, T < hd, a state of two ciphertexts, rounds; and a first token
 * whose states are 50 times those of the others, which no range would hold. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/causal.h"
#include "bert/encrypted.h"
#include "bert/polyfit.h"
#include "bert/reference.h"
#include "bert/witness.h"
#include "scratch.h"
#include "tests/worse.h"
#include "tinygpt2.h"

#define TEXTS 200
#define NOISE 0x1p-10 /* of the final state, which is of order 1; the engine's alone */
#define BUDGET 0.1    /* of the polynomials' errors in it */

static const struct kind {
    const char *set;
    int hidden, heads, tokens;
    float wide;     /* on the queries, where not 0: softmax takes rounds */
    int everywhere; /* 1: bootstraps wherever there can be one */
    float sink;     /* where not 0: on the embedding of the first token */
} lanes = {"toy10", 24, 3, 32, 0, 0, 0}, two = {"toy10", 40, 5, 16, 0, 0, 0},
  two_everywhere = {"toy10", 40, 5, 16, 0, 1, 0}, one_block = {"toy10", 48, 6, 8, 0, 0, 0},
  few_tokens = {"toy10", 24, 3, 4, 0, 0, 0}, wide = {"toy10", 40, 5, 16, 2, 0, 0},
  sink = {"toy10", 40, 5, 16, 0, 0, 50}, sink_lanes = {"toy10", 24, 3, 32, 0, 0, 50};

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

struct gpt { /* a model with its plan */
    struct bert_model *m;
    struct bert_ranges *r;
    struct bert_plan *p;
};

static void open_gpt(struct gpt *g, const struct kind *k) {
    const struct tinygpt2 t = {k->hidden, 2, k->heads, 40, 64, "", "", 0};
    struct bert_tokens *text = calloc(TEXTS, sizeof *text);
    assert_non_null(text);
    g->m = tinygpt2_load(&t);
    for (int l = 0; k->wide > 0 && l < g->m->cfg.layers; l++)
        for (int i = 0; i < k->hidden * k->hidden; i++) g->m->layer[l].q.w[i] *= k->wide;
    float *first = g->m->word + g->m->cfg.first_token * k->hidden;
    for (int i = 0; k->sink > 0 && i < k->hidden; i++) first[i] *= k->sink;
    for (int i = 0; i < TEXTS; i++) tinygpt2_tokens(&text[i], g->m, 2 + i % 31, (unsigned)i);
    ok(bert_calibrate_tokens(&g->r, g->m, text, TEXTS, 32));
    ok(bert_plan_new(&g->p, g->m, g->r, 32)); // for the smallest bucket,
    g->p->tokens = k->tokens;                 // which shorter ones share but for the shape
    free(text);
}

static void close_gpt(struct gpt *g) {
    bert_plan_free(g->p);
    bert_ranges_free(g->r);
    bert_model_free(g->m);
}

static double worst_of(const double *a, const double *b, int n) {
    double worst = 0;
    for (int i = 0; i < n; i++) worst = worse(worst, fabs(a[i] - b[i]));
    return worst;
}

// held-back texts of every length by the polynomials, with noise and without
static void test_approx(void **state) {
    const struct kind *k = *state;
    struct gpt g;
    double want[32 * 64], got[32 * 64], worst = 0;
    int outside = 0;
    open_gpt(&g, k);
    for (int i = 0; i < 20; i++) {
        struct bert_tokens t;
        struct bert_outside o;
        tinygpt2_tokens(&t, g.m, 2 + i % (k->tokens - 1), 1000 + (unsigned)i);
        ok(bert_forward(want, g.m, &t, NULL));
        ok(bert_approx_forward(got, g.m, g.p, &t, (uint64_t)(i % 2), &o));
        outside += o.values;
        worst = worse(worst, worst_of(got, want, t.n * k->hidden));
    }
    print_message("largest error of the final state %.2e, %d rounds, %d outside\n", worst,
                  g.p->layer[0].rounds, outside);
    assert_true(worst < BUDGET);
    assert_int_equal(outside, 0);
    close_gpt(&g);
}

struct ring { /* a toy ring with a model, keys and server */
    struct gpt g;
    struct ckks *dry, *cx;
    struct ckks_secret *secret;
    struct ckks_keys *keys;
    struct ckks_rng rng;
    struct bert_server *srv;
    struct bert_compare *compare;
    double *slots;
    int seen, over;
};

// every bootstrap that there can be but those that exclude each other
static void boot_everywhere(struct bert_plan *p) {
    for (int l = 0; l < p->layers; l++) {
        struct bert_layer_plan *q = &p->layer[l];
        q->boot[BERT_U] = q->boot[BERT_R0] = q->boot[BERT_X1] = q->boot[BERT_Y1] = 1;
        q->boot[BERT_PAIR] = 1 + l;
        bert_inverse_set(&q->inv[0], q->inv[0].e, q->inv[0].m, q->boot[BERT_PAIR]);
        q->boot[BERT_Y0] = q->boot[BERT_R1] = 0;
        q->boot[BERT_X2] = l + 1 < p->layers;
    }
}

static void open_ring(struct ring *r, const struct kind *k, int everywhere) {
    const struct ckks_params *p;
    uint8_t seed[CKKS_SEED] = {11}, other[CKKS_SEED];
    memset(r, 0, sizeof *r);
    ckks_seed_derive(other, seed, 1);
    open_gpt(&r->g, k);
    if (everywhere) boot_everywhere(r->g.p);
    ok(ckks_params_get(&p, k->set, 1));
    ok(ckks_open(&r->dry, p, KERN_DRY, KERN_TIER_BEST, 0));
    ok(bert_dry_run(r->dry, r->g.m, r->g.p));
    ok(ckks_open(&r->cx, p, KERN_CPU, KERN_TIER_BEST, 1));
    ok(ckks_secret_new(&r->secret, p, seed));
    ok(ckks_keys_new(&r->keys, r->cx, r->secret, r->dry->needs, r->dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(r->cx, r->keys);
    ckks_rng_init(&r->rng, other, 2);
    r->slots = malloc((size_t)ckks_slots(r->cx) * sizeof *r->slots);
    ok(bert_server_new(&r->srv, r->cx, r->g.m, r->g.p));
}

static void close_ring(struct ring *r) {
    free(r->slots);
    bert_server_free(r->srv);
    ckks_secret_free(r->secret);
    ckks_keys_free(r->keys);
    ckks_close(r->cx);
    ckks_close(r->dry);
    close_gpt(&r->g);
}

static void on_see(void *ctx, int layer, enum bert_node node, int index, const struct ckks_ct *ct) {
    struct ring *r = ctx;
    struct bert_compare_result got;
    ok(ckks_decrypt(r->slots, NULL, ct, r->secret));
    ok(bert_compare_node(&got, r->compare, layer, node, index, r->slots));
    r->seen++;
    if (got.err <= got.bound) return;
    r->over++;
    print_error("layer %d %s[%d]: error %g of %g, bound %g\n", layer,
                bert_tensor_of(bert_server_shape(r->srv), node)->name, index, got.err, got.size,
                got.bound);
}

// one text encrypted: every tensor within its bound, the final state that of the polynomials
static void test_encrypted(void **state) {
    const struct kind *k = *state;
    struct ring r;
    struct bert_tokens t;
    double want[32 * 64], got[32 * 64];
    open_ring(&r, k, k->everywhere);
    const struct bert_shape *s = bert_server_shape(r.srv);
    const int n = k->tokens < 5 ? k->tokens : k->tokens - 3,
              answers = bert_answer_count(s, &r.g.m->cfg);
    struct ckks_ct *in = calloc((size_t)bert_input_count(s), sizeof *in),
                   *answer = calloc((size_t)answers, sizeof *answer);
    const struct bert_sealer with = {r.secret, NULL, &r.rng};
    const struct bert_hooks hooks = {.ctx = &r, .see = on_see};
    tinygpt2_tokens(&t, r.g.m, n, 2026);
    ok(bert_compare_new(&r.compare, r.g.m, r.g.p, s, &t));
    ok(bert_encrypt_input(in, r.cx, r.g.m, r.g.p, &t, &with));
    ok(bert_server_forward(answer, r.srv, in, &hooks));
    ok(bert_open_answer(got, s, r.g.m, n, answer, r.secret, 0));
    ok(bert_approx_forward(want, r.g.m, r.g.p, &t, 0, NULL));
    const double noise = worst_of(got, want, n * k->hidden);
    ok(bert_forward(want, r.g.m, &t, NULL));
    const double error = worst_of(got, want, n * k->hidden);
    print_message("%d tensors, final state: %.2e from the polynomials, %.2e from the plain model\n",
                  r.seen, noise, error);
    assert_int_equal(r.over, 0);
    assert_true(r.seen > 0 && noise < NOISE && error < BUDGET);
    for (int i = 0; i < bert_input_count(s); i++) ckks_ct_free(&in[i]);
    for (int i = 0; i < answers; i++) ckks_ct_free(&answer[i]);
    free(in);
    free(answer);
    bert_compare_free(r.compare);
    close_ring(&r);
}

static int at(int level, int boot) { // after a bootstrap, if there is one
    return boot ? BERT_FRESH_LEVEL : level;
}

static int least(int a, int b) {
    return a < b ? a : b;
}

// the levels of a causal layer, written out once more; what it leaves
static int walk(const struct bert_layer_plan *p, int y) {
    const int root0 = 1 + bert_poly_levels(p->rsqrt[0].degree),
              root1 = 1 + bert_poly_levels(p->rsqrt[1].degree);
    const int *L = p->level, *b = p->boot;
    assert_int_equal(L[BERT_Y], y);
    assert_int_equal(L[BERT_R0], at(y - root0, b[BERT_R0]));
    assert_int_equal(L[BERT_Y0], at(least(y, L[BERT_R0]) - 1, b[BERT_Y0]));
    assert_int_equal(L[BERT_Q], L[BERT_Y0] - 1);
    assert_int_equal(L[BERT_K], L[BERT_Y0] - 2);
    assert_int_equal(L[BERT_V], L[BERT_Y0] - 2);
    assert_int_equal(L[BERT_X1], at(least(L[BERT_CA], y) - 1, b[BERT_X1]));
    assert_int_equal(L[BERT_R1], at(L[BERT_X1] - root1, b[BERT_R1]));
    assert_int_equal(L[BERT_Y1], at(least(L[BERT_X1], L[BERT_R1]) - 1, b[BERT_Y1]));
    assert_int_equal(L[BERT_W], L[BERT_Y1] - 1);
    assert_int_equal(L[BERT_X2], at(least(L[BERT_F], L[BERT_X1]) - 1, b[BERT_X2]));
    assert_false((b[BERT_R0] && b[BERT_Y0]) || (b[BERT_R1] && b[BERT_Y1]));
    for (int i = 0; i < BERT_NODES; i++) assert_true(L[i] >= 0);
    return L[BERT_X2];
}

// ranges of a shape whose weights are not there
static struct bert_ranges *made_up(const struct bert_model *m) {
    struct bert_ranges *r;
    ok(bert_ranges_new(&r, m->cfg.layers, m->cfg.heads, m->cfg.hidden / m->cfg.heads));
    r->tokens = 128;
    r->rows = 10;
    r->model_hash = m->hash;
    r->activation = m->cfg.activation;
    r->margin = 0.12;
    r->top = 1;
    for (int l = 0; l < r->layers; l++) {
        struct bert_layer_ranges *y = &r->layer[l];
        for (int h = 0; h < r->heads; h++) {
            y->den_lo[h] = -3;
            y->den_hi[h] = 3;
            y->score_lo[h] = -15;
            y->stray[h] = 0.5;
        }
        for (int i = 0; i < 2; i++) {
            y->var_lo[i] = 2;
            y->win_lo[i] = 1;
            y->win_hi[i] = y->var_hi[i] = 60;
        }
        y->gelu = 9;
    }
    return r;
}

// the shape of GPT-2 small, in every bucket
static void test_small(void **state) {
    struct bert_model m = {.cfg = {.arch = BERT_ARCH_GPT2,
                                   .head = BERT_HEAD_STATE,
                                   .hidden = 768,
                                   .layers = 12,
                                   .heads = 12,
                                   .ffn = 3072,
                                   .activation = BERT_GELU_TANH},
                           .hash = 77};
    struct bert_ranges *r = made_up(&m);
    (void)state;
    for (int tokens = 32; tokens <= 128; tokens *= 2) {
        struct bert_plan *p;
        int full, sparse, y = BERT_FRESH_LEVEL;
        ok(bert_plan_new(&p, &m, r, tokens));
        for (int l = 0; l < p->layers; l++) y = walk(&p->layer[l], y);
        assert_false(p->layer[p->layers - 1].boot[BERT_X2]);
        bert_plan_bootstraps(p, &full, &sparse);
        print_message("%d tokens: %d bootstraps in 12 layers\n", tokens, full + sparse);
        bert_plan_free(p);
    }
    bert_ranges_free(r);
}

// largest and least variance at the LayerNorms of a layer, of token 0 and of the others
struct spread {
    double first, lo, hi;
};

static void on_variance(void *ctx, int layer, const char *stage, const double *x, int rows,
                        int cols) {
    struct spread *s = ctx;
    if (layer < 0 || cols != 1 || strcmp(stage, "ln1_var") != 0) return;
    s->first = fmax(s->first, x[0]);
    for (int i = 1; i < rows; i++) {
        s->lo = fmin(s->lo, x[i]);
        s->hi = fmax(s->hi, x[i]);
    }
}

// a first token far from all others is in no range, and its row is the plain model's
static void test_public(void **state) {
    struct gpt g;
    struct bert_tokens t;
    struct spread s = {0, INFINITY, 0};
    struct bert_outside o;
    double want[32 * 64], got[32 * 64];
    (void)state;
    open_gpt(&g, &sink_lanes);
    tinygpt2_tokens(&t, g.m, 32, 7);
    ok(bert_forward(want, g.m, &t, &(struct bert_trace){on_variance, &s}));
    assert_true(s.first > 2000 * s.lo);
    for (int l = 0; l < g.r->layers; l++)
        for (int i = 0; i < 2; i++) {
            assert_true(g.r->layer[l].var_hi[i] < s.first / 50);
            assert_true(g.r->layer[l].win_hi[i] < s.first / 50);
            assert_true(g.p->layer[l].rsqrt[i].hi < s.first / 50);
        }
    ok(bert_approx_forward(got, g.m, g.p, &t, 1, &o));
    assert_int_equal(o.values, 0);
    assert_true(worst_of(got, want, g.m->cfg.hidden) < 1e-9); // at the client, exactly
    t.ids[0] = 0;
    assert_int_equal(bert_approx_forward(got, g.m, g.p, &t, 1, &o), THOR_INPUT);
    close_gpt(&g);
}

int main(void) {
#define OF(kind) (void *)(uintptr_t)&kind
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small),
        cmocka_unit_test_prestate(test_approx, OF(lanes)),
        cmocka_unit_test_prestate(test_approx, OF(wide)),
        cmocka_unit_test(test_public),
        cmocka_unit_test_prestate(test_approx, OF(sink)),
        cmocka_unit_test_prestate(test_encrypted, OF(two)),
        cmocka_unit_test_prestate(test_encrypted, OF(two_everywhere)),
        cmocka_unit_test_prestate(test_encrypted, OF(lanes)),
        cmocka_unit_test_prestate(test_encrypted, OF(one_block)),
        cmocka_unit_test_prestate(test_encrypted, OF(few_tokens)),
        cmocka_unit_test_prestate(test_encrypted, OF(wide)),
        cmocka_unit_test_prestate(test_encrypted, OF(sink)),
        cmocka_unit_test_prestate(test_encrypted, OF(sink_lanes)),
    };
    return cmocka_run_group_tests_name("causal", tests, scratch_open, scratch_close);
}
