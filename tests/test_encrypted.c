/* The encrypted forward at toy rings, against the same polynomials in doubles and against the
 * plain model.
 *
 * Synthetic models in the copies shape and in four of the columns one: bootstraps as planned, and
 * every kind of bootstrap in every layer.
 * Bounds.  Against bert_approx_forward without noise only the engine's noise is left: a bootstrap
 * is off by 2^-21.6 at worst (test_boot.c), which the scales of the plan (1/xc_scale 11, r_mult, a
 * half score interval 11) lift to 2^-18, some ten of them and what the layers amplify: 2^-12.
 * Against the plain model the budget of the polynomials as in test_approx.c: 0.05.  A wrong slot,
 * key or constant gives errors of order 1. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/encrypted.h"
#include "bert/polyfit.h"
#include "bert/reference.h"
#include "bert/witness.h"
#include "dose.h"
#include "synthetic.h"
#include "tests/worse.h"

#define NOISE 0x1p-12
#define BUDGET 0.05

static const struct kind {
    const char *set;
    int hidden, heads, ffn, tokens;
    int by_columns, nx, hp, groups, nf, scores; /* expected */
    enum bert_activation activation;
    float wide; /* on the queries, where not 0: softmax takes rounds */
    enum bert_head head;
    enum bert_squash squash;
    int full; /* others run its code in another shape: not under the sanitizers */
} copies = {"toy12", 64, 2, 128, 8, 0, 1, 2, 1, 2, 1, BERT_GELU, .wide = 0},
  few_copies = {"toy11", 32, 1, 64, 8, 0, 1, 2, 1, 2, 1, BERT_GELU, .wide = 0},
  /* two blocks of keys, three groups with a head too few, C divides neither H nor F */
    columns = {"toy10", 40, 5, 80, 16, 1, 2, 2, 3, 3, 3, BERT_GELU, .wide = 0},
  four_blocks = {"toy10", 24, 3, 40, 32, 1, 2, 1, 3, 3, 6, BERT_GELU, .wide = 0},
  /* hd = T and hd > T: two groups in one ciphertext of scores, and one alone */
    one_block = {"toy10", 48, 6, 80, 8, 1, 1, 4, 2, 2, 1, BERT_GELU, .wide = 0},
  few_tokens = {"toy10", 24, 3, 40, 4, 1, 1, 8, 1, 1, 1, BERT_GELU, .wide = 0},
  /* plaintexts so short that linear maps are matrix products */
    short_maps = {"toy12", 40, 5, 80, 32, 1, 1, 4, 2, 2, 4, BERT_GELU, .wide = 0},
  gelu_new = {"toy10", 40, 5, 80, 16, 1, 2, 2, 3, 3, 3, BERT_GELU_TANH, .full = 1},
  wide_copies = {"toy12", 64, 2, 128, 8, 0, 1, 2, 1, 2, 1, BERT_GELU, .wide = 12},
  wide_columns = {"toy10", 40, 5, 80, 16, 1, 2, 2, 3, 3, 3, BERT_GELU, .wide = 16},
  state_copies = {"toy12", 64, 2, 128, 8, 0, 1, 2, 1, 2, 1, BERT_GELU, .head = BERT_HEAD_STATE},
  state_columns = {"toy10",  40, 5, 80, 16, 1, 2, 2, 3, 3, 3, BERT_GELU, .head = BERT_HEAD_STATE,
                   .full = 1},
  token_labels = {"toy10", 40, 5, 80, 16, 1, 2, 2, 3, 3, 3, BERT_GELU, .head = BERT_HEAD_TOKENS},
  relu_head = {"toy10", 48, 6, 80, 8, 1, 1, 4, 2, 2, 1, BERT_GELU, .squash = BERT_RELU},
  wide_block = {"toy10", 48, 6, 80, 8, 1, 1, 4, 2, 2, 1, BERT_GELU, .wide = 6, .full = 1};

struct ring { /* a toy ring with model, plan, keys and server */
    struct bert_model *model;
    struct bert_ranges *ranges;
    int tokens;
    struct bert_plan *plan;
    struct ckks *dry, *cx;
    struct ckks_secret *secret;
    struct ckks_public *public_key;
    struct ckks_keys *keys;
    struct ckks_rng rng;
    struct bert_server *srv;
    double *slots;
};

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

static void load(struct bert_model **model, struct bert_ranges **ranges, const struct kind *k) {
    *model = synthetic_shape(7, k->hidden, k->heads, k->ffn);
    (*model)->cfg.activation = k->activation;
    (*model)->cfg.head = k->head;
    (*model)->cfg.squash = k->squash;
    for (int l = 0; k->wide > 0 && l < (*model)->cfg.layers; l++)
        for (int i = 0; i < k->hidden * k->hidden; i++) (*model)->layer[l].q.w[i] *= k->wide;
    *ranges = synthetic_ranges(*model, 60, k->tokens);
}

// every kind of bootstrap in every layer
static void boot_everywhere(struct bert_plan *p) {
    for (int l = 0; l < p->layers; l++) {
        struct bert_layer_plan *q = &p->layer[l];
        q->boot[BERT_U] = 1;
        q->boot[BERT_PAIR] = 1 + l;
        bert_inverse_set(&q->inv[0], q->inv[0].e, q->inv[0].m, q->boot[BERT_PAIR]);
        for (int i = BERT_X1; i <= BERT_Y1; i++) q->boot[i] = 1;
        for (int i = BERT_X2; i <= BERT_R2; i++) q->boot[i] = 1;
        q->boot[BERT_Y2] = l + 1 < p->layers;
    }
}

// model, plan and dry run alone: no keys
static void ring_plan(struct ring *r, const struct kind *k, int everywhere) {
    const struct ckks_params *p;
    memset(r, 0, sizeof *r);
    load(&r->model, &r->ranges, k);
    r->tokens = k->tokens;
    ok(bert_plan_new(&r->plan, r->model, r->ranges, 32)); // planned for the smallest bucket,
    r->plan->tokens = k->tokens; // which shorter ones share but for the shape
    if (everywhere) boot_everywhere(r->plan);
    ok(ckks_params_get(&p, k->set, 1));
    ok(ckks_open(&r->dry, p, KERN_DRY, KERN_TIER_BEST, 0));
    ok(bert_dry_run(r->dry, r->model, r->plan));
}

/* The ring that a test handed on to the next of its kind: keys and matrices take long. */
static struct ring kept;
static const struct kind *kept_kind;

static void ring_open(struct ring *r, const struct kind *k, int everywhere) {
    uint8_t seed[CKKS_SEED] = {11}, other[CKKS_SEED];
    ckks_seed_derive(other, seed, 1);
    if (kept_kind == k && !everywhere) {
        *r = kept;
        kept_kind = NULL;
    } else {
        ring_plan(r, k, everywhere);
        const struct ckks_params *p = r->dry->params;
        ok(ckks_open(&r->cx, p, KERN_CPU, KERN_TIER_BEST, 1));
        ok(ckks_secret_new(&r->secret, p, seed));
        ok(ckks_keys_new(&r->keys, r->cx, r->secret, r->dry->needs, r->dry->n_needs, seed, NULL,
                         NULL));
        ok(ckks_public_new(&r->public_key, r->cx, r->secret, other));
        r->slots = malloc((size_t)ckks_slots(r->cx) * sizeof *r->slots);
    }
    ckks_use_keys(r->cx, r->keys);
    ckks_rng_init(&r->rng, other, 2);
    if (!r->srv) ok(bert_server_new(&r->srv, r->cx, r->model, r->plan));
}

static void ring_close(struct ring *r) {
    free(r->slots);
    bert_server_free(r->srv);
    ckks_public_free(r->public_key);
    ckks_secret_free(r->secret);
    ckks_keys_free(r->keys);
    ckks_close(r->cx);
    ckks_close(r->dry);
    bert_plan_free(r->plan);
    bert_ranges_free(r->ranges);
    synthetic_free(r->model);
}

// for a ring that is as it was: same model, plan and server
static void ring_keep(struct ring *r, const struct kind *k) {
    if (kept_kind) ring_close(&kept);
    kept = *r;
    kept_kind = k;
}

static int close_kept(void **state) {
    (void)state;
    if (kept_kind) ring_close(&kept);
    kept_kind = NULL;
    return 0;
}

struct watch { /* what the hooks saw */
    struct ring *ring;
    struct bert_compare *compare;
    int open, stages, done, total, seen, over, stop_after;
    double worst; /* largest err / bound */
};

static void on_begin(void *ctx, int layer, const char *stage) {
    struct watch *w = ctx;
    assert_true(layer >= 0 && stage);
    assert_int_equal(w->open++, 0);
}

static void on_end(void *ctx, int layer, const char *stage) {
    struct watch *w = ctx;
    (void)layer;
    (void)stage;
    assert_int_equal(--w->open, 0);
    w->stages++;
}

static void on_progress(void *ctx, int done, int total) {
    struct watch *w = ctx;
    assert_true(done == w->done + 1 && done <= total);
    w->done = done;
    w->total = total;
}

static int on_stop(void *ctx) {
    struct watch *w = ctx;
    return w->stop_after && w->stages >= w->stop_after ? thor_fail(THOR_INTERRUPTED, "stopped")
                                                       : THOR_OK;
}

static void on_see(void *ctx, int layer, enum bert_node node, int index, const struct ckks_ct *ct) {
    struct watch *w = ctx;
    struct bert_compare_result r;
    ok(ckks_decrypt(w->ring->slots, NULL, ct, w->ring->secret));
    ok(bert_compare_node(&r, w->compare, layer, node, index, w->ring->slots));
    w->seen++;
    w->worst = worse(w->worst, r.err / r.bound);
    if (!(r.err <= r.bound)) {
        w->over++;
        print_error("layer %d %s[%d]: error %g of %g, bound %g\n", layer,
                    bert_tensor_of(bert_server_shape(w->ring->srv), node)->name, index, r.err,
                    r.size, r.bound);
    }
    if (node == BERT_Q) { // the comparison does notice
        ok(bert_compare_node(&r, w->compare, layer, BERT_K, index, w->ring->slots));
        assert_true(r.err > r.bound);
        assert_int_equal(bert_compare_node(&r, w->compare, layer, BERT_D, 0, w->ring->slots),
                         THOR_INTERNAL);
    }
}

static const struct bert_hooks watching = {NULL, on_progress, on_begin, on_end, on_see, on_stop};

static void encrypt(struct ckks_ct *in, struct ring *r, const struct bert_tokens *t,
                    int with_public) {
    struct bert_sealer s = {with_public ? NULL : r->secret, r->public_key, &r->rng};
    ok(bert_encrypt_input(in, r->cx, r->model, r->plan, t, &s));
}

static void free_inputs(struct ckks_ct *in, const struct ring *r) {
    for (int i = 0; i < bert_input_count(bert_server_shape(r->srv)); i++) ckks_ct_free(&in[i]);
}

static int decrypt_answer(double *out, struct ring *r, int n, const struct ckks_ct *answer) {
    return bert_open_answer(out, bert_server_shape(r->srv), r->model, n, answer, r->secret, 0);
}

// the state is whole in every copy; nothing but logits leaves the server otherwise
static void nothing_else(struct ring *r, const struct ckks_ct *answer) {
    const struct bert_shape *s = bert_server_shape(r->srv);
    ok(ckks_decrypt(r->slots, NULL, answer, r->secret));
    for (int i = 0; i < ckks_slots(r->cx); i++)
        assert_true(
            fabs(r->slots[i]) < NOISE ||
            (s->packing == &bert_columns_packing ? i : i % (s->tokens * s->columns) / s->tokens) <
                r->model->cfg.labels);
}

enum { OUTPUTS = 32 * 64 };

// a witness that is wrong in one ciphertext of several, or missing there, is enough
static void every_witness_counts(struct ring *r, int n, struct ckks_ct *answer) {
    double got[OUTPUTS];
    const int count = bert_answer_count(bert_server_shape(r->srv), &r->model->cfg);
    for (int i = 0; i < count; i++)
        for (int sign = -1; sign <= 1; sign += 2) {
            struct ckks_ct half = {0};
            ok(ckks_zero(&half, r->cx, 0));
            ok(ckks_add_const(&half, &half, 0.3 * sign));
            ok(ckks_mul_i(&half, &half, 1));
            ok(ckks_add(&answer[i], &answer[i], &half));
            assert_int_equal(decrypt_answer(got, r, n, answer), THOR_RANGE);
            assert_true(isnan(got[0]));
            ok(ckks_sub(&answer[i], &answer[i], &half));
            ckks_ct_free(&half);
        }
}

// one text of n tokens through the server; its outputs against both models

static void one_text(struct ring *r, int n, int with_public, struct watch *w) {
    const struct bert_model *model = r->model;
    struct bert_tokens t;
    struct ckks_ct in[8] = {{0}}, out[4] = {{0}};
    double got[OUTPUTS], plain[OUTPUTS], approx[OUTPUTS];
    struct bert_outside outside;
    struct bert_hooks h = watching;
    synthetic_tokens(&t, model, n, 1000 + (uint64_t)n);
    *w = (struct watch){.ring = r};
    h.ctx = w;
    ok(bert_compare_new(&w->compare, model, r->plan, bert_server_shape(r->srv), &t));
    encrypt(in, r, &t, with_public);
    ok(bert_server_forward(out, r->srv, in, &h));
    const int count = bert_answer_count(bert_server_shape(r->srv), &model->cfg);
    for (int i = 0; i < count; i++) assert_int_equal(out[i].level, 0);
    assert_null(out[count].c);
    ok(decrypt_answer(got, r, n, out));
    if (!r->plan->at_client) nothing_else(r, out);
    ok(bert_forward(plain, model, &t, NULL));
    ok(bert_approx_forward(approx, model, r->plan, &t, 0, &outside));
    assert_int_equal(outside.values, 0);
    for (size_t l = 0; l < bert_outputs(&model->cfg, n); l++) {
        if (l < 2)
            print_message("%d tokens, output %zu: encrypted %.6f, approximate %.6f, plain %.6f\n",
                          n, l, got[l], approx[l], plain[l]);
        assert_true(fabs(got[l] - approx[l]) < NOISE);
        assert_true(fabs(got[l] - plain[l]) < BUDGET);
    }
    if (r->plan->at_client) every_witness_counts(r, n, out);
    bert_compare_free(w->compare);
    free_inputs(in, r);
    for (int i = 0; i < count; i++) ckks_ct_free(&out[i]);
}

static void check_watch(const struct watch *w, int tensors) {
    assert_int_equal(w->open, 0);
    assert_int_equal(w->done, w->total);
    assert_int_equal(w->done, w->stages);
    assert_int_equal(w->seen, tensors);
    assert_int_equal(w->over, 0);
    print_message("%d stages, %d tensors, worst error %.3f of its bound\n", w->stages, w->seen,
                  w->worst);
}

static void check_shape(const struct ring *r, const struct kind *k) {
    const struct bert_shape *s = bert_server_shape(r->srv);
    assert_int_equal(s->packing == &bert_columns_packing, k->by_columns);
    assert_int_equal(s->nx, k->nx);
    assert_int_equal(s->hp, k->hp);
    assert_int_equal(s->groups, k->groups);
    assert_int_equal(bert_nf(s), k->nf);
    assert_int_equal(s->scores, k->scores);
}

static int tensors(const struct ring *r) {
    const struct bert_shape *s = bert_server_shape(r->srv);
    int heads = 4 * s->groups + s->scores; // q, k, v and context; scores
    int n = r->model->cfg.layers * (heads + 4 * s->nx + 2 * bert_nf(s));
    if (!r->plan->at_client) n += s->nx + 1;
    for (int l = 0; l < r->plan->layers; l++)
        n += r->plan->layer[l].rounds ? 0 : s->scores; // probs
    return n;
}

static void as_planned(void **state) {
    const struct kind *k = *state;
    struct ring r;
    struct watch w;
    if (dose_small() && k->full) skip();
    ring_open(&r, k, 0);
    check_shape(&r, k);
    for (int l = 0; l < r.plan->layers; l++)
        assert_true((r.plan->layer[l].rounds > 0) == (k->wide > 0));
    memset(&r.cx->count, 0, sizeof r.cx->count);
    one_text(&r, k->tokens > 4 ? 5 : 3, 0, &w);
    check_watch(&w, tensors(&r));
    // dry, the same circuit; that of columns parts k and v only where they are shown
    int parted = k->by_columns ? r.model->cfg.layers * k->groups : 0;
    assert_true(r.cx->count.ctct == r.dry->count.ctct);
    assert_true(r.cx->count.relins == r.dry->count.relins);
    // and does not see which diagonals of a matrix are zero: giant steps without any are left out
    assert_true(r.cx->count.rotations <= r.dry->count.rotations + (uint64_t)parted);
    assert_true(r.cx->count.rotations >= r.dry->count.rotations * 3 / 4 + (uint64_t)parted);
    assert_true(r.cx->count.bootstraps == r.dry->count.bootstraps && r.cx->count.bootstraps > 0);
    if (!dose_small()) {
        one_text(&r, k->tokens, 1, &w); // no padding, public key
        check_watch(&w, tensors(&r));
    }
    ring_keep(&r, k);
}

static void operations_by_layers(void **state) {
    struct ring r;
    struct ckks_count ops[4][2], sum = {0};
    struct ckks *dry;
    ring_plan(&r, *state, 1);
    ok(ckks_open(&dry, r.dry->params, KERN_DRY, KERN_TIER_BEST, 1));
    ok(bert_dry_layers(ops, dry, r.model, r.plan));
    for (int i = 0; i < 2 * r.plan->layers + 2; i++) {
        const struct ckks_count *c = &ops[i / 2][i % 2];
        sum.rotations += c->rotations;
        sum.decompositions += c->decompositions;
        sum.relins += c->relins;
        sum.ctct += c->ctct;
        sum.ptct += c->ptct;
        sum.bootstraps += c->bootstraps;
        assert_true((i % 2 && i / 2 < r.plan->layers) == (c->bootstraps > 0));
    }
    const struct ckks_count *all = &r.dry->count;
    assert_true(sum.rotations == all->rotations && sum.decompositions == all->decompositions);
    assert_true(sum.relins == all->relins && sum.bootstraps == all->bootstraps);
    assert_true(sum.ctct == all->ctct && sum.ptct == all->ptct);
    ckks_close(dry);
    ring_close(&r);
}

static void every_bootstrap(void **state) {
    const struct kind *k = *state;
    struct ring r;
    struct watch w;
    ring_open(&r, k, 1);
    check_shape(&r, k);
    memset(&r.cx->count, 0, sizeof r.cx->count);
    one_text(&r, 3, 0, &w);
    check_watch(&w, tensors(&r));
    int each = k->by_columns ? 2 : 1, nx = (k->nx + each - 1) / each,
        scores = (k->scores + each - 1) / each, layers = r.model->cfg.layers;
    // scores, one pair, x1 x2 y1, r1 r2; y2 but for the last layer
    int want = layers * (scores + 1 + 3 * nx + 2) + (layers - 1) * nx;
    assert_true(r.cx->count.bootstraps == (uint64_t)want);
    ring_close(&r);
}

/* Levels counted up from the logits never exceed those that the plan counted down. */
static void levels_are_lower(void **state) {
    const struct kind *k = *state;
    struct bert_model *model;
    struct bert_ranges *ranges;
    struct bert_plan *p;
    struct bert_shape s;
    struct bert_levels v[8];
    load(&model, &ranges, k);
    ok(bert_plan_new(&p, model, ranges, 32));
    ok(bert_shape_make(&s, &model->cfg, 32, 1 << BERT_LOG_SLOTS));
    ok(bert_levels_set(v, p, &s));
    for (int l = 0; l < p->layers; l++) {
        const struct bert_layer_plan *q = &p->layer[l];
        for (int i = BERT_Y; i < BERT_NODES; i++) assert_true(v[l].out[i] <= q->level[i]);
        assert_true(v[l].in[BERT_Y2] == v[l + 1].out[BERT_Y]);
    }
    p->layer[0].rsqrt[0].degree = 255; // 8 levels instead of 3 or 4
    p->layer[0].inv[0].m = 16;
    p->layer[0].boot[BERT_PAIR] = 0;
    assert_int_equal(bert_levels_set(v, p, &s), THOR_MODEL);
    ok(bert_shape_make(&s, &model->cfg, 32, 1 << 12)); // too few slots for copies
    assert_int_equal(bert_levels_set(v, p, &s), THOR_MODEL);
    assert_non_null(strstr(thor_error(), "larger"));
    bert_plan_free(p);
    bert_ranges_free(ranges);
    synthetic_free(model);
}

static void stops_and_refusals(void **state) {
    const struct kind *k = *state;
    struct ring r;
    struct bert_tokens t;
    struct ckks_ct in[8] = {{0}}, out = {0};
    struct watch w = {.ring = &r, .stop_after = 2};
    struct bert_hooks h = watching;
    ring_open(&r, k, 0);
    synthetic_tokens(&t, r.model, 4, 1);
    encrypt(in, &r, &t, 0);
    h.ctx = &w;
    h.see = NULL;
    assert_int_equal(bert_server_forward(&out, r.srv, in, &h), THOR_INTERRUPTED);
    assert_null(out.c);
    assert_int_equal(w.stages, 2);
    synthetic_tokens(&t, r.model, k->tokens + 1, 1);
    struct bert_sealer s = {r.secret, NULL, &r.rng};
    assert_int_equal(bert_encrypt_input(in, r.cx, r.model, r.plan, &t, &s), THOR_INPUT);
    r.plan->model_hash++;
    struct bert_server *other;
    assert_int_equal(bert_server_new(&other, r.cx, r.model, r.plan), THOR_MODEL);
    assert_null(other);
    r.plan->model_hash--;
    ckks_use_keys(r.cx, NULL);
    assert_int_equal(bert_server_forward(&out, r.srv, in, NULL), THOR_KEY);
    free_inputs(in, &r);
    ring_keep(&r, k);
}

/* ---- in lock step ---- */

enum { GROUP = 2 };

struct group { /* texts of different lengths in one ring */
    struct ring ring;
    struct ckks_ct in[GROUP][8], out[2 * GROUP];
    const struct ckks_ct *at[GROUP];
    int each; /* ciphertexts of an answer */
};

static void group_open(struct group *g, const struct kind *k) {
    struct bert_tokens t;
    if (dose_small() && k->full) skip();
    memset(g, 0, sizeof *g);
    ring_open(&g->ring, k, 0);
    g->each = bert_answer_count(bert_server_shape(g->ring.srv), &g->ring.model->cfg);
    for (int i = 0; i < GROUP; i++) {
        synthetic_tokens(&t, g->ring.model, 3 + i, 50 + (uint64_t)i);
        encrypt(g->in[i], &g->ring, &t, 0);
        g->at[i] = g->in[i];
    }
}

// k: the ring is kept for the next test of that kind
static void group_close(struct group *g, const struct kind *k) {
    for (int i = 0; i < GROUP; i++) free_inputs(g->in[i], &g->ring);
    for (int i = 0; i < 2 * GROUP; i++) ckks_ct_free(&g->out[i]);
    if (k)
        ring_keep(&g->ring, k);
    else
        ring_close(&g->ring);
}

static void same_bits(const struct ckks_ct *a, const struct ckks_ct *b) {
    assert_true(a->level == b->level && a->rows == b->rows && a->polys == b->polys);
    size_t words = (size_t)(a->polys * a->rows) << a->cx->params->log_n;
    assert_memory_equal(a->c, b->c, words * sizeof *a->c);
}

// the same bits as one by one, the same keys, and each plaintext of a matrix once for all
static void in_lock_step(void **state) {
    struct group g;
    struct ring *r = &g.ring;
    struct watch w = {.ring = r};
    struct bert_hooks h = watching;
    struct ckks *dry;
    if (dose_small() && *state == &copies) skip();
    group_open(&g, *state);
    h.ctx = &w;
    memset(&r->cx->count, 0, sizeof r->cx->count);
    ok(bert_server_forward_group(g.out, r->srv, g.at, GROUP, &h));
    check_watch(&w, 0);
    const struct ckks_count all = r->cx->count;
    for (int i = 0; i < GROUP; i++) {
        struct ckks_ct one[2] = {{0}};
        memset(&r->cx->count, 0, sizeof r->cx->count);
        ok(bert_server_forward(one, r->srv, g.in[i], NULL));
        for (int k = 0; k < g.each; k++) {
            same_bits(&one[k], &g.out[i * g.each + k]);
            ckks_ct_free(&one[k]);
        }
    }
    const struct ckks_count *one = &r->cx->count;
    assert_true(all.rotations == GROUP * one->rotations && all.ctct == GROUP * one->ctct);
    assert_true(all.bootstraps == GROUP * one->bootstraps && all.ptct == GROUP * one->ptct);
    ok(ckks_open(&dry, r->cx->params, KERN_DRY, KERN_TIER_BEST, 1));
    ok(bert_dry_group(dry, r->model, r->plan, GROUP));
    assert_int_equal(dry->n_needs, r->dry->n_needs);
    assert_memory_equal(dry->needs, r->dry->needs, (size_t)dry->n_needs * sizeof *dry->needs);
    print_message("%d plaintexts for one text, %d for %d\n", (int)one->encodes, (int)all.encodes,
                  GROUP);
    assert_true(all.encodes < GROUP * one->encodes);
    assert_true(dry->k->counts.bytes_peak > r->dry->k->counts.bytes_peak);
    ckks_close(dry);
    group_close(&g, *state);
}

static int (*true_alloc)(struct kernels *k, uint32_t **out, size_t rows);
static int allocs_left;

static int failing_alloc(struct kernels *k, uint32_t **out, size_t rows) {
    return allocs_left-- > 0 ? true_alloc(k, out, rows) : thor_fail(THOR_MEMORY, "no memory left");
}

// wherever it ends, nothing stays behind
static void a_group_ends_early(void **state) {
    struct group g;
    struct ring *r = &g.ring;
    struct bert_hooks h = watching;
    group_open(&g, *state);
    const size_t before = r->cx->k->counts.bytes_now;
    h.see = NULL;
    for (int stage = 1; stage < 14; stage += 6) {
        struct watch w = {.ring = r, .stop_after = stage};
        h.ctx = &w;
        assert_int_equal(bert_server_forward_group(g.out, r->srv, g.at, GROUP, &h),
                         THOR_INTERRUPTED);
        assert_int_equal(w.stages, stage);
        assert_true(r->cx->k->counts.bytes_now == before && !g.out[0].c);
    }
    true_alloc = r->cx->k->alloc;
    r->cx->k->alloc = failing_alloc;
    for (int n = 0; n < 100; n = n * 5 / 2 + 1) {
        allocs_left = n;
        assert_int_equal(bert_server_forward_group(g.out, r->srv, g.at, GROUP, NULL), THOR_MEMORY);
        assert_string_equal(thor_error(), "no memory left");
        assert_true(r->cx->k->counts.bytes_now == before && !g.out[0].c);
    }
    r->cx->k->alloc = true_alloc;
    group_close(&g, *state);
}

// by the places of recordings, on a back end that has them done as they are asked
static void recorded(void **state) {
    struct group g;
    struct ring *r = &g.ring;
    struct kernels *k;
    struct watch w = {.ring = r};
    struct bert_hooks h = watching;
    struct ckks_ct out[2 * GROUP] = {{0}};
    group_open(&g, *state);
    k = r->cx->k;
    ok(bert_server_forward_group(g.out, r->srv, g.at, GROUP, NULL));
    size_t before = k->counts.bytes_now;
    ok(bert_server_record(r->srv, GROUP)); // nothing, yet
    assert_true(k->counts.bytes_now == before);
    k->records = 1;
    true_alloc = k->alloc;
    k->alloc = failing_alloc;
    for (int n = 0; n < GROUP; n++) {
        allocs_left = n;
        assert_int_equal(bert_server_record(r->srv, GROUP), THOR_MEMORY);
        assert_true(k->counts.bytes_now == before);
    }
    k->alloc = true_alloc;
    ok(bert_server_record(r->srv, GROUP));
    before = k->counts.bytes_now;
    h.ctx = &w;
    h.progress = NULL;
    ok(bert_server_forward_group(out, r->srv, g.at, GROUP, &h));
    assert_int_equal(w.stages, r->plan->layers + 1); // each layer is one stage, so is the head
    for (int i = 0; i < g.each * GROUP; i++) {
        same_bits(&out[i], &g.out[i]);
        ckks_ct_free(&out[i]);
    }
    k->alloc = failing_alloc;
    for (int n = 0; n < 100; n = n * 5 / 2 + 1) {
        allocs_left = n;
        assert_int_equal(bert_server_forward_group(out, r->srv, g.at, GROUP, NULL), THOR_MEMORY);
        assert_true(k->counts.bytes_now == before && !out[0].c);
    }
    k->alloc = true_alloc;
    ok(bert_server_forward(out, r->srv, g.in[0], NULL)); // another number of texts: as ever
    for (int i = 0; i < g.each; i++) {
        same_bits(&out[i], &g.out[i]);
        ckks_ct_free(&out[i]);
    }
    group_close(&g, NULL); // it holds recordings
}

/* The model at `place` with weights `by` times as large, of which its plan knows nothing. */
static void grow(struct bert_model *m, int place, float by) {
    struct bert_layer *l = &m->layer[0];
    struct bert_linear *const map[] = {&l->q, &l->ffn1, &l->ffn2, &l->o, &m->pooler};
    for (int i = 0; i < map[place]->in * map[place]->out; i++) map[place]->w[i] *= by;
}

/* Weights 1.2 to 64 times as large, before scores, GELU, both variances and tanh: there is no
 * result, or it is that of the polynomials in doubles, in which no value left its range by much. */
static void runaways_have_no_result(void **state) {
    static const float times[] = {1.2f, 2, 3, 4, 8, 64};
    struct ring r;
    struct ckks_ct in[8] = {{0}}, out = {0};
    double logits[BERT_MAX_LABELS], want[BERT_MAX_LABELS];
    struct bert_tokens t;
    struct bert_outside outside;
    int refused = 0;
    if (dose_small() && *state != &few_copies) skip();
    ring_open(&r, *state, 0);
    synthetic_tokens(&t, r.model, 6, 77);
    for (int k = 0; k < 30; k += dose_small() ? 7 : 1) { // of 0, 2, 4 where a few must do
        const float by = times[k / 5];
        grow(r.model, k % 5, by);
        encrypt(in, &r, &t, 0);
        ok(bert_server_forward(&out, r.srv, in, NULL));
        ok(bert_approx_forward(want, r.model, r.plan, &t, 0, &outside));
        int st = decrypt_answer(logits, &r, t.n, &out);
        print_message("place %d, %g times: %s, %d values outside, in %s, by %.3g; witness %.3g\n",
                      k % 5, (double)by, st ? "no result" : "a result", outside.values,
                      outside.stage ? outside.stage : "no stage", outside.factor, outside.witness);
        assert_true(st == THOR_OK || st == THOR_RANGE);
        if (st == THOR_OK)
            assert_true(fabs(logits[0] - want[0]) < NOISE && fabs(logits[1] - want[1]) < NOISE);
        if (outside.witness > 1.1) assert_int_equal(st, THOR_RANGE);
        if (!outside.values) assert_int_equal(st, THOR_OK);
        refused += st != THOR_OK;
        grow(r.model, k % 5, 1 / by);
        free_inputs(in, &r);
    }
    assert_true(refused >= (dose_small() ? 2 : 15));
    ckks_ct_free(&out);
    ring_close(&r);
}

/* The bound is sum |w| + |b|, whatever the signs; what is no number is no answer. */
static void answers_are_bounded(void **state) {
    struct bert_model *model;
    struct bert_ranges *ranges;
    load(&model, &ranges, *state);
    const struct bert_linear *c = &model->classifier;
    double x[BERT_MAX_LABELS] = {0}, most = fabs((double)c->b[1]);
    for (int i = 0; i < c->in; i++) most += fabs((double)c->w[c->in + i]);
    const double good[] = {0, most, -most}, more = most * 1.003 + 0.01;
    const double bad[] = {more, -more, 1e300, NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        x[1] = good[i];
        assert_true(bert_logits_possible(x, model));
    }
    for (int i = 0; i < 6; i++) {
        x[1] = bad[i];
        assert_false(bert_logits_possible(x, model));
    }
    bert_ranges_free(ranges);
    synthetic_free(model);
}

/* In every slot: too much, nothing (no witness), less than nothing, no number. */
static void witnesses_hold(void **state) {
    (void)state;
    double w[64];
    const double bad[] = {0.51, 0, 0.24, -0.3, 1e9, NAN, INFINITY};
    for (int i = 0; i < 64; i++) w[i] = 0.25 + 0.25 * i / 63;
    assert_true(bert_witness_holds(w, 64));
    for (int i = 0; i < 7; i++)
        for (int at = 0; at < 64; at += 9) {
            const double was = w[at];
            w[at] = bad[i];
            assert_false(bert_witness_holds(w, 64));
            w[at] = was;
        }
    assert_true(bert_witness_of(1, 15) <= 1 && bert_witness_of(-0.3, 31) <= 1);
    assert_true(bert_witness_of(1.01, 31) > 4 && bert_witness_of(1.1, 31) > 1000);
}

#define CASE(test, kind)                                                                           \
    { #test " " #kind, test, NULL, NULL, (void *)(uintptr_t)&kind }

int main(void) {
    const struct CMUnitTest tests[] = {
        // by kind: each kind of ring is made once, and used up by the last test before the next
        CASE(levels_are_lower, copies),    CASE(levels_are_lower, wide_copies),
        CASE(as_planned, copies),          CASE(stops_and_refusals, copies),
        CASE(in_lock_step, copies),        CASE(runaways_have_no_result, few_copies),
        CASE(every_bootstrap, copies),     CASE(answers_are_bounded, copies),
        CASE(as_planned, columns),         CASE(in_lock_step, columns),
        CASE(a_group_ends_early, columns), CASE(recorded, columns),
        CASE(every_bootstrap, columns),    CASE(operations_by_layers, columns),
        CASE(as_planned, one_block),       CASE(runaways_have_no_result, one_block),
        CASE(as_planned, four_blocks),     CASE(as_planned, few_tokens),
        CASE(as_planned, short_maps),      CASE(as_planned, gelu_new),
        CASE(as_planned, wide_copies),     CASE(as_planned, wide_columns),
        CASE(as_planned, wide_block),      CASE(as_planned, state_copies),
        CASE(as_planned, state_columns),   CASE(in_lock_step, state_columns),
        CASE(recorded, state_columns),     CASE(as_planned, token_labels),
        CASE(as_planned, relu_head),       CASE(runaways_have_no_result, relu_head),
        cmocka_unit_test(witnesses_hold),
    };
    return cmocka_run_group_tests(tests, NULL, close_kept);
}
