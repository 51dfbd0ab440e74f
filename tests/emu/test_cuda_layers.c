/* A small encrypted BERT on the CUDA back end, emulated or not (see test_cuda_entries.c): texts one
 * after the other, whose layers are recorded with the second and replayed from then on; the same
 * logits, bit for bit, as on the CPU. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/circuit.h"
#include "tests/emu/emulation.h"
#include "tests/engine.h"
#include "tests/harness.h"
#include "tests/synthetic.h"

enum { HIDDEN = 24, HEADS = 3, FFN = 40, TOKENS = 8, TEXTS = 3, ADDED = 3, CALIBRATION = 60 };

struct task { /* the same for both */
    struct bert_model *model;
    struct bert_plan *plan;
    const struct ckks_params *params;
    struct ckks *dry; /* that counted one text, recorded */
};

struct outcome {
    struct kernels_counts counts;
    struct ckks_count ops;
    size_t words;
    uint32_t *logits[TEXTS];
    int stages[TEXTS], total;
};

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

static void task_open(struct task *t) {
    struct bert_ranges *ranges;
    struct bert_tokens *text = calloc(CALIBRATION, sizeof *text);
    assert_non_null(text);
    t->model = synthetic_shape(7, HIDDEN, HEADS, FFN);
    for (int i = 0; i < CALIBRATION; i++)
        synthetic_tokens(&text[i], t->model, 3 + i % (TOKENS - 2), (uint64_t)i);
    ok(bert_calibrate_tokens(&ranges, t->model, text, CALIBRATION, 32));
    ok(bert_plan_new(&t->plan, t->model, ranges, 32)); // planned for the smallest bucket,
    t->plan->tokens = TOKENS;                          // which shorter ones share but for the shape
    bert_ranges_free(ranges);
    free(text);
    ok(ckks_params_get(&t->params, "toy10", 1));
    ok(ckks_open(&t->dry, t->params, KERN_DRY, KERN_TIER_BEST, 0));
    t->dry->k->records = 1;
    ok(bert_dry_group(t->dry, t->model, t->plan, 1));
}

static void task_close(struct task *t) {
    ckks_close(t->dry);
    bert_plan_free(t->plan);
    synthetic_free(t->model);
}

static void on_progress(void *ctx, int done, int total) {
    int *last = ctx;
    assert_true(done > *last && done <= total);
    *last = done;
}

static void encrypt(struct ckks_ct *in, struct ckks *cx, const struct task *t, int i,
                    const struct ckks_secret *sk) {
    const uint8_t seed[CKKS_SEED] = {3};
    struct ckks_rng rng;
    const struct bert_sealer sealer = {.secret = sk, .rng = &rng};
    struct bert_tokens tokens;
    ckks_rng_init(&rng, seed, (uint64_t)i);
    synthetic_tokens(&tokens, t->model, 3 + i, 100 + (uint64_t)i);
    ok(bert_encrypt_input(in, cx, t->model, t->plan, &tokens, &sealer));
}

static void one_text(struct outcome *o, struct bert_server *srv, struct ckks *cx,
                     const struct task *t, int i, const struct ckks_secret *sk) {
    struct ckks_ct in[ADDED] = {{0}}, out = {0};
    const struct bert_hooks hooks = {.ctx = &o->stages[i], .progress = on_progress};
    assert_true(bert_input_count(bert_server_shape(srv)) <= ADDED);
    encrypt(in, cx, t, i, sk);
    ok(bert_server_forward(&out, srv, in, &hooks));
    o->words = (size_t)(out.polys * out.rows) << cx->params->log_n;
    o->logits[i] = malloc(o->words * sizeof *o->logits[i]);
    assert_non_null(o->logits[i]);
    cx->k->download(cx->k, o->logits[i], out.c, o->words);
    ok(cx->k->sync(cx->k));
    for (int j = 0; j < ADDED; j++) ckks_ct_free(&in[j]);
    ckks_ct_free(&out);
}

static void run(struct outcome *o, const struct task *t, enum kern_kind kind, int texts) {
    const uint8_t seed[CKKS_SEED] = {9};
    struct ckks *cx;
    struct ckks_secret *sk;
    struct ckks_keys *keys;
    struct bert_server *srv;
    memset(o, 0, sizeof *o);
    ok(ckks_open(&cx, t->params, kind, KERN_TIER_BEST, 0));
    ok(ckks_secret_new(&sk, t->params, seed));
    ok(ckks_keys_new(&keys, cx, sk, t->dry->needs, t->dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(cx, keys);
    ok(bert_server_new(&srv, cx, t->model, t->plan));
    ok(bert_server_record(srv, 1));
    o->total = bert_server_stages(srv);
    for (int i = 0; i < texts; i++) one_text(o, srv, cx, t, i, sk);
    o->counts = cx->k->counts;
    o->ops = cx->count;
    bert_server_free(srv);
    assert_int_equal(cx->k->counts.bytes_constant, 0);
    ckks_keys_free(keys);
    ckks_secret_free(sk);
    ckks_close(cx);
}

static void same_logits(void **state) {
    (void)state;
    const int texts = emulation_mode() > 1 ? 2 : TEXTS; /* none after the recording: slow */
    struct task t;
    static struct outcome cpu, dev;
    task_open(&t);
    run(&cpu, &t, KERN_CPU, texts);
    emulation_lazy(1); /* nothing on the host may be read late */
    run(&dev, &t, KERN_CUDA, texts);
    emulation_lazy(0);
    assert_int_equal(cpu.words, dev.words);
    for (int i = 0; i < texts; i++) {
        assert_memory_equal(cpu.logits[i], dev.logits[i], dev.words * sizeof **dev.logits);
        if (i) assert_memory_not_equal(dev.logits[i], dev.logits[0], dev.words);
        assert_true(cpu.stages[i] == cpu.total && dev.stages[i] == dev.total);
    }
    const int layers = t.plan->layers;
    assert_true(cpu.ops.bootstraps > 0);
    assert_int_equal(cpu.counts.replays, 0);
    assert_int_equal(dev.counts.replays, (texts - 1) * layers);
    assert_memory_equal(&cpu.ops, &dev.ops, sizeof cpu.ops);
    assert_int_equal(cpu.counts.rows_ntt, dev.counts.rows_ntt);
    // counted dry without knowing which diagonals of a matrix are zero
    const size_t counted = t.dry->k->counts.bytes_constant;
    assert_true(dev.counts.bytes_constant <= counted);
    assert_true(dev.counts.bytes_constant >= counted / 10 * 9);
    assert_int_equal(emulation_errors(), 0);
    assert_int_equal(emulation_refused(), 0);
    for (int i = 0; i < texts; i++) free(cpu.logits[i]), free(dev.logits[i]);
    task_close(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_logits)};
    return cmocka_run_group_tests_name("layers on CUDA", tests, NULL, NULL);
}
