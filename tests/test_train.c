/* Training: Adam against PyTorch's, steps against their definition, checkpoints, privacy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "split/checkpoint.h"
#include "split/federate.h"
#include "tests/scratch.h"
#include "tests/splitfolder.h"
#include "tests/tunetoy.h"

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

/* ---- Adam ---- */

static void adam_is_torch(void **state) {
    (void)state;
    static const double want[2][3] = {
        // python3 tests/adam.py
        {0.7757499356994102, -2.1841106134190196, 0.42675928435584715},
        {0.7923796104644583, -2.2338726019625867, 0.41222916330907766}};
    for (int coupled = 0; coupled < 2; coupled++) {
        struct split_adam_ask ask = {.lr = 0.05,
                                     .beta1 = 0.9,
                                     .beta2 = 0.99,
                                     .eps = 1e-8,
                                     .decay = 0.1,
                                     .coupled = coupled,
                                     .warmup = 3,
                                     .steps = 8};
        struct split_adam o;
        double x[3] = {1, -2, 0.5}, g[3];
        ok(split_adam_start(&o, &ask, 3));
        for (int t = 1; t <= 8; t++) {
            for (int i = 0; i < 3; i++) g[i] = sin((i + 1) * t) + x[i] * x[i] / (i + 1);
            split_adam_step(&o, x, g);
        }
        for (int i = 0; i < 3; i++) assert_true(fabs(x[i] - want[coupled][i]) < 1e-14);
        split_adam_end(&o);
    }
}

static void rates_go_up_and_down(void **state) {
    (void)state;
    struct split_adam_ask ask;
    split_adam_usual(&ask);
    assert_true(split_adam_rate(&ask, 1) == 1e-3 && split_adam_rate(&ask, 9999) == 1e-3);
    ask.warmup = 4;
    ask.steps = 10;
    assert_true(split_adam_rate(&ask, 1) == 1e-3 / 4 && split_adam_rate(&ask, 4) == 1e-3);
    assert_true(split_adam_rate(&ask, 5) == 1e-3);
    assert_true(fabs(split_adam_rate(&ask, 10) - 1e-3 / 6) < 1e-18);
    assert_true(split_adam_rate(&ask, 11) == 0);
}

/* ---- steps ---- */

static void usual(struct split_train_ask *ask, long steps) {
    *ask = (struct split_train_ask){.batch = 4, .micro = 4, .seed = {1}};
    split_adam_usual(&ask->adam);
    ask->adam.lr = 0.02;
    ask->adam.steps = steps;
}

/* All steps of a run; losses[steps] may be NULL. */
static void run(double *losses, struct tunetoy *toy, const struct split_train_ask *ask) {
    struct split_trainer t;
    struct split_step_report r;
    ok(split_trainer_start(&t, ask, toy->m, &toy->folder.service, &toy->a, toy->text,
                           TUNETOY_ROWS));
    while (!split_trainer_done(&t)) {
        ok(split_trainer_step(&r, &t));
        if (losses) losses[r.step - 1] = r.loss;
    }
    split_trainer_end(&t);
}

static double mean(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i] / n;
    return sum;
}

static void the_loss_falls(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    double loss[60];
    usual(&ask, 60);
    ask.adam.warmup = 5;
    tunetoy_open(&toy, "bert-head");
    run(loss, &toy, &ask);
    assert_true(mean(loss + 50, 10) < 0.5 * mean(loss, 10));
    tunetoy_close(&toy);
}

/* The first step's gradient is the mean of the rows', however they travel, and is clipped. */
static void micro_batches_are_one_batch(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_step_report r[3];
    double *g[3];
    for (int i = 0; i < 3; i++) {
        tunetoy_open(&toy, "bert-head");
        usual(&ask, 3);
        ask.batch = TUNETOY_ROWS;
        ask.micro = i == 1 ? 5 : TUNETOY_ROWS;
        ask.max_norm = i == 2 ? 0.01 : 0;
        ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text,
                               TUNETOY_ROWS));
        ok(split_trainer_step(&r[i], &t));
        g[i] = malloc(toy.a.n * sizeof *g[i]);
        memcpy(g[i], t.sum.values, toy.a.n * sizeof *g[i]);
        split_trainer_end(&t);
        if (i < 2) tunetoy_close(&toy);
    }
    double worst = 0, shrunk = 0;
    for (size_t i = 0; i < toy.a.n; i++) {
        worst = fmax(worst, fabs(g[0][i] - g[1][i]));
        shrunk = fmax(shrunk, fabs(g[0][i] * 0.01 / r[0].norm - g[2][i]));
    }
    assert_true(worst < 1e-14 && shrunk < 1e-14 && r[0].norm > 0.01);
    assert_true(fabs(r[0].norm - r[2].norm) < 1e-12 && fabs(r[0].loss - r[1].loss) < 1e-12);
    for (int i = 0; i < 3; i++) free(g[i]);
    tunetoy_close(&toy);
}

/* Every epoch has every row once. */
static void epochs_are_whole(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_step_report r;
    int seen[TUNETOY_ROWS] = {0}, order[2][TUNETOY_ROWS];
    usual(&ask, 2 * TUNETOY_ROWS);
    ask.batch = 1;
    tunetoy_open(&toy, "bert-head");
    ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text, TUNETOY_ROWS));
    for (int i = 0; i < 2 * TUNETOY_ROWS; i++) {
        ok(split_trainer_step(&r, &t));
        seen[t.chosen[0]]++;
        order[i / TUNETOY_ROWS][i % TUNETOY_ROWS] = t.chosen[0];
        assert_int_equal(split_trainer_done(&t), i == 2 * TUNETOY_ROWS - 1);
    }
    for (int i = 0; i < TUNETOY_ROWS; i++) assert_int_equal(seen[i], 2);
    assert_memory_not_equal(order[0], order[1], sizeof order[0]);
    split_trainer_end(&t);
    tunetoy_close(&toy);
}

static void frozen_a_stays(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    size_t n;
    usual(&ask, 3);
    tunetoy_open(&toy, "llama");
    toy.a.frozen_a = 1;
    const size_t frozen = (size_t)(split_adapter_trained(&toy.a, &n) - toy.a.values);
    double *before = malloc(toy.a.n * sizeof *before);
    memcpy(before, toy.a.values, toy.a.n * sizeof *before);
    run(NULL, &toy, &ask);
    assert_int_equal(frozen + n, toy.a.n);
    assert_memory_equal(before, toy.a.values, frozen * sizeof *before);
    assert_memory_not_equal(before + frozen, toy.a.values + frozen, n * sizeof *before);
    free(before);
    tunetoy_close(&toy);
}

/* ---- checkpoints ---- */

static void it_goes_on_bit_for_bit(void **state) {
    (void)state;
    struct tunetoy whole, part;
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_step_report r;
    const char *path = scratch_path("checkpoint");
    usual(&ask, 14);
    ask.max_norm = 0.5;
    tunetoy_open(&whole, "gpt2");
    run(NULL, &whole, &ask);

    tunetoy_open(&part, "gpt2");
    ok(split_trainer_start(&t, &ask, part.m, &part.folder.service, &part.a, part.text,
                           TUNETOY_ROWS));
    for (int i = 0; i < 5; i++) ok(split_trainer_step(&r, &t));
    ok(split_checkpoint_save(&t, path, "settings", 7));
    split_trainer_end(&t);
    tunetoy_close(&part);

    tunetoy_open(&part, "gpt2");
    memset(ask.seed, 9, sizeof ask.seed); // the checkpoint's is taken
    ok(split_trainer_start(&t, &ask, part.m, &part.folder.service, &part.a, part.text,
                           TUNETOY_ROWS));
    ok(split_checkpoint_load(&t, path, "settings", 7));
    assert_int_equal(t.adam.step, 5);
    while (!split_trainer_done(&t)) ok(split_trainer_step(&r, &t));
    assert_int_equal(r.step, 14);
    assert_memory_equal(whole.a.values, part.a.values, whole.a.n * sizeof *whole.a.values);
    split_trainer_end(&t);
    tunetoy_close(&part);
    tunetoy_close(&whole);
}

static void bad_checkpoints_are_refused(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    struct split_trainer t;
    size_t n;
    usual(&ask, 4);
    tunetoy_open(&toy, "bert-head");
    ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text, TUNETOY_ROWS));
    ok(split_checkpoint_save(&t, scratch_path("c"), "one", 7));
    assert_int_equal(split_checkpoint_load(&t, scratch_path("c"), "other", 7), THOR_USAGE);
    assert_int_equal(split_checkpoint_load(&t, scratch_path("c"), "one", 8), THOR_USAGE);
    assert_non_null(strstr(thor_error(), "other weights"));
    assert_int_equal(split_checkpoint_load(&t, scratch_path("none"), "one", 7), THOR_MODEL);
    uint8_t *bytes = scratch_read("c", &n);
    const double before = toy.a.values[0];
    const size_t at[] = {0, 9, 17, 30, 45, 60, n / 2, n - 1};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        bytes[at[i]] ^= 1;
        scratch_write("bad", bytes, n, 0600);
        bytes[at[i]] ^= 1;
        assert_int_equal(split_checkpoint_load(&t, scratch_path("bad"), "one", 7), THOR_MODEL);
    }
    for (size_t cut = 0; cut < n; cut += n / 7) {
        scratch_write("bad", bytes, cut, 0600);
        assert_int_equal(split_checkpoint_load(&t, scratch_path("bad"), "one", 7), THOR_MODEL);
    }
    for (size_t high = 39; high <= 47; high += 8) { // more steps than any run makes, hashed well
        bytes[high] ^= 0x80;
        scratch_write("bad", bytes, n, 0600);
        uint8_t *forged = scratch_read("bad", &n);
        const uint64_t hash = XXH3_64bits(forged, n - 8);
        for (int i = 0; i < 8; i++) forged[n - 8 + (size_t)i] = (uint8_t)(hash >> 8 * i);
        scratch_write("bad", forged, n, 0600);
        free(forged);
        bytes[high] ^= 0x80;
        assert_int_equal(split_checkpoint_load(&t, scratch_path("bad"), "one", 7), THOR_MODEL);
    }
    assert_true(toy.a.values[0] == before && t.adam.step == 0);
    ok(split_checkpoint_load(&t, scratch_path("c"), "one", 7));
    free(bytes);
    split_trainer_end(&t);
    tunetoy_close(&toy);
}

/* ---- privacy ---- */

/* With next to no noise and a bound that no row reaches, steps of all rows are those without. */
static void privacy_without_noise_is_none(void **state) {
    (void)state;
    struct tunetoy toy[2];
    struct split_train_ask ask;
    struct split_dpsgd_ask privacy = {.clip = 1e3, .delta = 1e-5, .sigma = 1e-15};
    double worst = 0;
    usual(&ask, 2);
    ask.batch = TUNETOY_ROWS;
    for (int i = 0; i < 2; i++) {
        tunetoy_open(&toy[i], "bert-head");
        ask.privacy = i ? &privacy : NULL;
        run(NULL, &toy[i], &ask);
    }
    for (size_t i = 0; i < toy[0].a.n; i++)
        worst = fmax(worst, fabs(toy[0].a.values[i] - toy[1].a.values[i]));
    assert_true(worst < 1e-4);
    for (int i = 0; i < 2; i++) tunetoy_close(&toy[i]);
}

static void the_budget_is_the_end(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_step_report r = {0};
    struct split_dpsgd_ask privacy = {.clip = 1, .delta = 1e-3, .epsilon = 8};
    usual(&ask, 30);
    ask.privacy = &privacy;
    tunetoy_open(&toy, "bert-head");
    toy.a.frozen_a = 1;
    const double first = toy.a.values[0];
    ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text, TUNETOY_ROWS));
    assert_true(t.privacy.ask.sigma > 0.5); // solved for
    double last = 0;
    while (!split_trainer_done(&t)) {
        ok(split_trainer_step(&r, &t));
        assert_true(r.epsilon > last && r.epsilon <= 8);
        last = r.epsilon;
    }
    assert_int_equal(r.step, 30);
    assert_true(r.epsilon > 7.9 && toy.a.values[0] == first);
    split_trainer_end(&t);

    privacy.sigma = 1; // more noise a step than asked for would be needed: it ends before
    ask.adam.steps = 100000;
    ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text, TUNETOY_ROWS));
    while (!split_trainer_done(&t)) ok(split_trainer_step(&r, &t));
    assert_true(r.step < 1000 && r.epsilon <= 8);
    split_trainer_end(&t);
    tunetoy_close(&toy);
}

static void impossible_runs_are_refused(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_dpsgd_ask privacy = {.clip = 1, .delta = 1e-3, .epsilon = 8};
    tunetoy_open(&toy, "bert-head");
    for (int i = 0; i < 6; i++) {
        usual(&ask, i == 0 ? 0 : 5);
        if (i == 1) ask.batch = 0;
        if (i == 2) ask.adam.lr = NAN;
        if (i == 3) ask.max_norm = -1;
        if (i > 3) ask.privacy = &privacy;
        if (i == 4) ask.max_norm = 1;
        if (i == 5) ask.batch = TUNETOY_ROWS + 1;
        assert_int_equal(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text,
                                             TUNETOY_ROWS),
                         THOR_USAGE);
        assert_null(t.order);
    }
    usual(&ask, 5);
    ask.adam.lr = 1;
    toy.a.values[0] = NAN;
    ok(split_trainer_start(&t, &ask, toy.m, &toy.folder.service, &toy.a, toy.text, TUNETOY_ROWS));
    struct split_step_report r;
    assert_int_equal(split_trainer_step(&r, &t), THOR_RANGE);
    assert_int_equal(t.adam.step, 0);
    split_trainer_end(&t);
    tunetoy_close(&toy);
}

/* ---- several clients ---- */

/* A map of one column and one row, of rank 1: a, b. */
static void make_scalar(struct split_adapter *a, double x, double y, int frozen) {
    struct split_adapter_ask ask = {.layers = 1, .rank = 1, .alpha = 1, .maps = 1};
    ask.in[0] = ask.out[0] = 1;
    ask.frozen_a = frozen;
    ok(split_adapter_make(a, &ask, NULL));
    a->values[0] = x;
    a->values[1] = y;
}

static int average(struct split_adapter *sum, const struct split_adapter *a, const double *rows,
                   int n) {
    int st = THOR_OK;
    double all = 0;
    ok(split_adapter_like(sum, a));
    for (int i = 0; i < n; i++) {
        TRY(split_federate_add(sum, a, &a[i], rows[i]));
        all += rows[i];
    }
    split_federate_end(sum, a, all);
out:
    return st;
}

static void averages_count_rows(void **state) {
    (void)state;
    struct split_adapter a[2], sum;
    const double rows[2] = {1, 3}, alike[2] = {1, 1};
    make_scalar(&a[0], 2, 1, 0);
    make_scalar(&a[1], 2, 5, 0);
    ok(average(&sum, a, rows, 2));
    assert_true(sum.values[0] == 2 && sum.values[1] == 4); // 1 x [1], 3 x [5]
    split_adapter_free(&sum);

    for (int i = 0; i < 2; i++) a[i].values[0] = a[i].values[1] = i ? -1 : 1;
    ok(average(&sum, a, alike, 2));
    assert_true(sum.values[0] * sum.values[1] == 0); // the mean of the products is 1
    split_adapter_free(&sum);

    for (int i = 0; i < 2; i++) {
        a[i].frozen_a = 1;
        a[i].values[0] = 0.3;
    }
    ok(average(&sum, a, rows, 2));
    assert_true(sum.values[0] == 0.3); // bit for bit
    assert_true(fabs(sum.values[0] * sum.values[1] - 0.3 * (1 * 1 + 3 * -1) / 4) < 1e-15);
    split_adapter_free(&sum);

    a[1].values[0] = 0.31;
    assert_int_equal(average(&sum, a, rows, 2), THOR_USAGE);
    split_adapter_free(&sum);
    a[1].frozen_a = 0;
    assert_int_equal(average(&sum, a, rows, 2), THOR_USAGE);
    split_adapter_free(&sum);
    a[1].alpha = 2;
    assert_int_equal(average(&sum, a, rows, 2), THOR_USAGE);
    split_adapter_free(&sum);
    for (int i = 0; i < 2; i++) split_adapter_free(&a[i]);
}

/* Three clients of eight rows each, four rounds: their average is better on all rows than each
 * client that trains alone for as many steps. */
static double loss_of_all(const struct tunetoy *toy, const struct split_adapter *a) {
    double loss[TUNETOY_ROWS];
    int scored[TUNETOY_ROWS];
    struct split_service *s = (struct split_service *)&toy->folder.service;
    ok(split_gradients(loss, scored, NULL, toy->m, a, s, toy->text, TUNETOY_ROWS));
    return mean(loss, TUNETOY_ROWS);
}

enum { CLIENTS = 3, ROUNDS = 4, EACH = TUNETOY_ROWS / CLIENTS };

static void train_client(struct tunetoy *toy, struct split_adapter *a, int client, long steps) {
    struct split_train_ask ask;
    struct split_trainer t;
    struct split_step_report r;
    usual(&ask, steps);
    ask.adam.lr = 0.01;
    ok(split_trainer_start(&t, &ask, toy->m, &toy->folder.service, a, toy->text + client * EACH,
                           EACH));
    while (!split_trainer_done(&t)) ok(split_trainer_step(&r, &t));
    split_trainer_end(&t);
}

static void together_is_better_than_alone(void **state) {
    (void)state;
    struct tunetoy toy;
    struct split_adapter alone, a[CLIENTS] = {0}, sum;
    const double rows[CLIENTS] = {EACH, EACH, EACH};
    tunetoy_open(&toy, "bert-head");
    toy.a.frozen_a = 1;
    double best = INFINITY;
    for (int c = 0; c < CLIENTS; c++) {
        ok(split_adapter_copy(&alone, &toy.a));
        train_client(&toy, &alone, c, ROUNDS * 10);
        best = fmin(best, loss_of_all(&toy, &alone));
        split_adapter_free(&alone);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (int c = 0; c < CLIENTS; c++) {
            ok(split_adapter_copy(&a[c], &toy.a));
            train_client(&toy, &a[c], c, 10);
        }
        ok(average(&sum, a, rows, CLIENTS));
        memcpy(toy.a.values, sum.values, sum.n * sizeof *sum.values);
        split_adapter_free(&sum);
        for (int c = 0; c < CLIENTS; c++) split_adapter_free(&a[c]);
    }
    print_message("loss on all rows: together %.3f, best alone %.3f\n", loss_of_all(&toy, &toy.a),
                  best);
    assert_true(loss_of_all(&toy, &toy.a) < best);
    tunetoy_close(&toy);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adam_is_torch),
        cmocka_unit_test(rates_go_up_and_down),
        cmocka_unit_test(the_loss_falls),
        cmocka_unit_test(micro_batches_are_one_batch),
        cmocka_unit_test(epochs_are_whole),
        cmocka_unit_test(frozen_a_stays),
        cmocka_unit_test(it_goes_on_bit_for_bit),
        cmocka_unit_test(bad_checkpoints_are_refused),
        cmocka_unit_test(privacy_without_noise_is_none),
        cmocka_unit_test(the_budget_is_the_end),
        cmocka_unit_test(impossible_runs_are_refused),
        cmocka_unit_test(averages_count_rows),
        cmocka_unit_test(together_is_better_than_alone),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
