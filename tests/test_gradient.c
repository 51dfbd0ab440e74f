/* The client's forward and backward pass of split mode: golden logits and gradients, finite
 * differences, and what is asked of the service. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "scratch.h"
#include "split/gradient.h"
#include "split/speak.h"
#include "splitfolder.h"
#include "tests/worse.h"

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

static const struct {
    const char *name;
    int classes; // of the adapter
} models[] = {{"bert", 0},  {"bert-head", 2},  {"gpt2", 0},       {"llama", 0},
              {"qwen2", 3}, {"gpt2-score", 0}, {"llama-score", 3}};
enum { MODELS = sizeof models / sizeof *models, TEXTS = 2, TOKENS = 16, OUTPUTS = 30 };

struct fixture {
    struct splitfolder folder;
    struct split_model *m;
    struct split_adapter a, grad[TEXTS];
    struct split_text text[TEXTS];
    int ids[TEXTS][TOKENS], types[TEXTS][TOKENS], targets[TEXTS][TOKENS];
};

static const json_t *golden(const char *name) {
    static json_t *all = NULL;
    if (!all) all = json_load_file("tests/data/split-golden.json", 0, NULL);
    assert_non_null(all);
    return json_object_get(all, name);
}

static void read_ints(int *to, const json_t *list) {
    for (size_t i = 0; i < json_array_size(list); i++)
        to[i] = (int)json_integer_value(json_array_get(list, i));
}

static void begin(struct fixture *f, int model) {
    const json_t *texts = golden(models[model].name);
    scratch_empty();
    splitfolder_write(&f->folder, scratch_path("."), models[model].name);
    ok(split_model_open(&f->m, scratch_path(".")));
    splitfolder_adapter(&f->a, f->m, models[model].classes);
    for (int i = 0; i < TEXTS; i++) {
        const json_t *t = json_array_get(texts, (size_t)i), *ids = json_object_get(t, "ids");
        const json_t *targets = json_object_get(t, "targets");
        read_ints(f->ids[i], ids);
        read_ints(f->types[i], json_object_get(t, "types"));
        read_ints(f->targets[i], targets);
        f->text[i] = (struct split_text){.ids = f->ids[i],
                                         .types = f->types[i],
                                         .n = (int)json_array_size(ids),
                                         .label = -1,
                                         .targets = json_is_array(targets) ? f->targets[i] : NULL};
        if (!f->text[i].targets)
            f->text[i].label = (int)json_integer_value(json_object_get(t, "label"));
        ok(split_adapter_like(&f->grad[i], &f->a));
    }
}

static void end(struct fixture *f) {
    for (int i = 0; i < TEXTS; i++) split_adapter_free(&f->grad[i]);
    split_adapter_free(&f->a);
    split_model_free(f->m);
    splitfolder_free(&f->folder);
}

static void gradients(double loss[TEXTS], struct fixture *f, struct split_adapter *const *grad) {
    int scored[TEXTS];
    ok(split_gradients(loss, scored, grad, f->m, &f->a, &f->folder.service, f->text, TEXTS));
}

/* ---- golden values: tests/splitgolden.py */

static double value(const json_t *list, size_t i) {
    return json_real_value(json_array_get(list, i));
}

// norm and two sums with random weights, relative to the norm
static double tensor_error(const json_t *want, const double *x, size_t n, uint32_t seed) {
    double *r = malloc(n * sizeof *r), have[3] = {0}, error = 0;
    assert_non_null(r);
    assert_int_equal(json_array_size(want), 3);
    for (size_t i = 0; i < n; i++) have[0] += x[i] * x[i];
    have[0] = sqrt(have[0]);
    for (int k = 1; k < 3; k++) {
        splitfolder_draw(r, n, seed + (uint32_t)k - 1, 1024.0 / 105, 0);
        for (size_t i = 0; i < n; i++) have[k] += x[i] * r[i];
    }
    for (size_t k = 0; k < 3; k++)
        error = worse(error, fabs(have[k] - value(want, k)) / value(want, 0));
    free(r);
    return error;
}

// every tensor of a gradient, in the order of the script
static double gradient_error(const json_t *want, const struct split_adapter *g, int *tensors) {
    static const char *const names[] = {"q", "k", "v", "o", "gate", "up", "down"};
    double error = 0;
    uint32_t seed = 4000;
    char key[32];
    *tensors = 0;
    for (int i = 0; i < g->layers * SPLIT_MAPS; i++) {
        const struct split_lora *l = &g->lora[i];
        for (int b = 0; l->b && b < 2; b++, seed += 2, ++*tensors) {
            snprintf(key, sizeof key, "%d.%s.%c", i / SPLIT_MAPS, names[i % SPLIT_MAPS], 'a' + b);
            error = worse(error, tensor_error(json_object_get(want, key), b ? l->b : l->a,
                                              (size_t)(g->rank * (b ? l->out : l->in)), seed));
        }
    }
    if (!g->labels) return error;
    *tensors += 1 + (g->head_b != NULL);
    error = worse(error, tensor_error(json_object_get(want, "head.w"), g->head_w,
                                      (size_t)(g->labels * g->hidden), seed));
    if (!g->head_b) return error;
    return worse(error, tensor_error(json_object_get(want, "head.b"), g->head_b, (size_t)g->labels,
                                     seed + 2));
}

static void test_golden(void **state) {
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        struct fixture f;
        double loss[TEXTS];
        begin(&f, i);
        struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[1]};
        gradients(loss, &f, grad);
        for (int k = 0; k < TEXTS; k++) {
            const json_t *t = json_array_get(golden(models[i].name), (size_t)k);
            const json_t *logits = json_object_get(t, "logits"), *all = json_object_get(t, "grads");
            const double want = json_real_value(json_object_get(t, "loss"));
            double have[OUTPUTS], error = fabs(loss[k] - want) / want, most = 0;
            int tensors;
            ok(split_forward(have, f.m, &f.a, &f.folder.service, &f.text[k]));
            assert_int_equal(split_outputs(f.m, &f.a), json_array_size(logits));
            for (size_t c = 0; c < json_array_size(logits); c++) {
                error = worse(error, fabs(have[c] - value(logits, c)));
                most = fmax(most, fabs(value(logits, c)));
            }
            assert_true(most > 0.1 && most < 10); // the error of logits is relative, too
            error = worse(error, gradient_error(all, &f.grad[k], &tensors));
            assert_int_equal(tensors, json_object_size(all));
            if (error > 1e-12) fail_msg("%s, text %d: off by %.2e", models[i].name, k, error);
        }
        end(&f);
    }
}

/* ---- finite differences: (L(v + e) - L(v - e)) / 2e of some values of every tensor */

static void test_differences(void **state) {
    const double step = 1e-5;
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        struct fixture f;
        double loss[TEXTS], more[TEXTS], less[TEXTS];
        begin(&f, i);
        struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[0]}; // their sum
        gradients(loss, &f, grad);
        for (size_t k = 0; k < f.a.n; k += 23) {
            double *v = &f.a.values[k];
            const double at = *v;
            *v = at + step;
            gradients(more, &f, NULL);
            *v = at - step;
            gradients(less, &f, NULL);
            *v = at;
            const double slope = (more[0] + more[1] - less[0] - less[1]) / (2 * step);
            if (!(fabs(slope - f.grad[0].values[k]) < 1e-8 + 1e-6 * fabs(slope)))
                fail_msg("%s, value %zu: %.9e by differences, %.9e", models[i].name, k, slope,
                         f.grad[0].values[k]);
        }
        end(&f);
    }
}

/* ---- texts together are what they are alone, and what is not trained changes nothing */

static void test_together(void **state) {
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        struct fixture f;
        struct split_adapter alone;
        double loss[TEXTS], one;
        int scored;
        begin(&f, i);
        struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[1]};
        gradients(loss, &f, grad);
        ok(split_adapter_like(&alone, &f.a));
        ok(split_gradient(&one, &scored, &alone, f.m, &f.a, &f.folder.service, &f.text[1]));
        assert_true(fabs(one - loss[1]) < 1e-14);
        for (size_t k = 0; k < f.a.n; k++)
            assert_true(fabs(alone.values[k] - f.grad[1].values[k]) < 1e-14);
        split_adapter_free(&alone);
        end(&f);
    }
}

static void test_frozen_a(void **state) {
    struct fixture f;
    double loss[TEXTS];
    int other = 0;
    (void)state;
    begin(&f, 3);
    struct split_adapter *const all[TEXTS] = {&f.grad[0], &f.grad[0]}, *const half[TEXTS] = {
                                                                           &f.grad[1], &f.grad[1]};
    gradients(loss, &f, all);
    f.a.frozen_a = 1;
    gradients(loss, &f, half);
    for (int i = 0; i < f.a.layers * SPLIT_MAPS; i++) {
        const struct split_lora *l = &f.grad[1].lora[i], *full = &f.grad[0].lora[i];
        for (int k = 0; k < 2 * l->in; k++) other += l->a[k] != 0;
        for (int k = 0; k < 2 * l->out; k++) other += l->b[k] != full->b[k];
    }
    assert_int_equal(other, 0);
    end(&f);
}

/* ---- what the service is asked */

static void test_rounds(void **state) {
    struct fixture f;
    double loss[TEXTS];
    (void)state;
    begin(&f, 3);
    struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[1]};
    gradients(loss, &f, grad);
    assert_int_equal(f.folder.asks, 15); // 2 x 4 forward, 2 x 4 - 1 back: nothing is below
    for (int i = 0; i < 15; i++) {
        const struct split_ask *k = &f.folder.asked[i];
        const int step = i < 8 ? i : 15 - i;
        assert_int_equal(k->transposed, i >= 8);
        assert_int_equal(k->layer * SPLIT_STAGES + (int)k->stage, step);
        assert_int_equal(k->tokens, f.text[0].n + f.text[1].n);
    }
    // without updates below the last layer's DOWN, a gradient needs no round trip
    for (int i = 0; i < f.a.layers * SPLIT_MAPS - 1; i++) f.a.lora[i].a = f.a.lora[i].b = NULL;
    f.folder.asks = 0;
    gradients(loss, &f, grad);
    assert_int_equal(f.folder.asks, 8);
    end(&f);
}

// a service that fails at any of its rounds leaves gradients and losses as they were
static void test_failures(void **state) {
    struct fixture f;
    double loss[TEXTS] = {-1, -1};
    int scored[TEXTS], changed = 0;
    (void)state;
    begin(&f, 2);
    struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[1]};
    for (int i = 1; i <= 15; i++) {
        f.folder.asks = 0;
        f.folder.fail_at = i;
        assert_int_equal(
            split_gradients(loss, scored, grad, f.m, &f.a, &f.folder.service, f.text, TEXTS),
            THOR_IO);
    }
    for (size_t k = 0; k < f.a.n; k++) changed += f.grad[0].values[k] != 0;
    assert_int_equal(changed, 0);
    assert_true(loss[0] == -1 && loss[1] == -1);
    end(&f);
}

static void test_refused(void **state) {
    struct fixture f;
    double logits[OUTPUTS];
    (void)state;
    begin(&f, 0);
    const struct split_text good = f.text[0];
    struct split_text bad[4] = {good, good, good, good};
    const int far[2] = {1, 30}, odd[7] = {0, 2};
    bad[0].n = 17;
    bad[1].ids = far;
    bad[1].n = 2;
    bad[2].types = odd;
    bad[3].label = 3;
    for (int i = 0; i < 4; i++)
        assert_int_equal(split_forward(logits, f.m, &f.a, &f.folder.service, &bad[i]), THOR_INPUT);
    f.folder.service.shape.out[SPLIT_UP]++;
    assert_int_equal(split_forward(logits, f.m, &f.a, &f.folder.service, &good), THOR_MODEL);
    end(&f);
}

/* ---- the shortcut: one layer's gradients for all */

static double cosine(const double *x, const double *y, size_t n) {
    double xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += x[i] * y[i];
        xx += x[i] * x[i];
        yy += y[i] * y[i];
    }
    return xy / sqrt(xx * yy);
}

static double worst_cosine(const struct split_adapter *g, const struct split_adapter *exact) {
    double worst = 1;
    for (int i = 0; i < g->layers * SPLIT_MAPS; i++) {
        const struct split_lora *l = &g->lora[i], *e = &exact->lora[i];
        if (!l->b) continue;
        worst = fmin(worst, cosine(l->a, e->a, (size_t)(g->rank * l->in)));
        worst = fmin(worst, cosine(l->b, e->b, (size_t)(g->rank * l->out)));
    }
    return worst;
}

static void test_shortcut(void **state) {
    struct fixture f;
    double loss[TEXTS];
    (void)state;
    begin(&f, 3);
    struct split_adapter *const grad[TEXTS] = {&f.grad[0], &f.grad[0]};
    gradients(loss, &f, grad);
    assert_true(worst_cosine(&f.grad[0], &f.grad[0]) > 0.9999);
    memcpy(f.grad[1].values, f.grad[0].values, f.a.n * sizeof *f.a.values);
    for (int i = 0; i < SPLIT_MAPS; i++) {
        const struct split_lora *last = &f.grad[0].lora[SPLIT_MAPS + i], *to = &f.grad[1].lora[i];
        memcpy(to->a, last->a, (size_t)(2 * to->in) * sizeof *to->a);
        memcpy(to->b, last->b, (size_t)(2 * to->out) * sizeof *to->b);
    }
    assert_true(worst_cosine(&f.grad[1], &f.grad[0]) < 0.9);
    end(&f);
}

/* ---- the services: in doubles the same numbers, on ciphertexts every tensor's direction */

enum { BATCH = 20, WORDS = 30 };

struct batch { /* a step's worth of texts: the fixture's, and the same moved on in the vocabulary */
    struct split_text text[BATCH];
    int ids[BATCH][TOKENS], targets[BATCH][TOKENS];
};

static void batch_of(struct batch *b, const struct fixture *f) {
    for (int i = 0; i < BATCH; i++) {
        const struct split_text *from = &f->text[i % TEXTS];
        struct split_text *to = &b->text[i];
        const int by = 7 * (i / TEXTS);
        *to = *from;
        to->ids = b->ids[i];
        for (int k = 0; k < from->n; k++) b->ids[i][k] = (from->ids[k] + by) % WORDS;
        if (from->targets) {
            to->targets = b->targets[i];
            for (int k = 0; k < from->n; k++)
                b->targets[i][k] = from->targets[k] < 0 ? -1 : (from->targets[k] + by) % WORDS;
        } else
            to->label = (from->label + i / TEXTS) % 2;
    }
}

// the sum of the batch's gradients goes to *grad
static void by(struct split_service *s, double loss[BATCH], struct fixture *f,
               const struct batch *b, struct split_adapter *grad) {
    struct split_adapter *all[BATCH];
    int scored[BATCH];
    for (int i = 0; i < BATCH; i++) all[i] = grad;
    ok(split_gradients(loss, scored, all, f->m, &f->a, s, b->text, BATCH));
}

static void test_services(void **state) {
    (void)state;
    for (int i = 0; i < MODELS; i++) {
        struct fixture f;
        struct batch b;
        struct split_service *plain, *encrypted;
        double exact[BATCH], loss[BATCH], off = 0, mean = 0;
        begin(&f, i);
        batch_of(&b, &f);
        ok(split_plain_open(&plain, scratch_path(".")));
        ok(split_local_open(&encrypted, scratch_path("."), NULL, 0, 0));
        by(&f.folder.service, exact, &f, &b, &f.grad[0]);
        by(plain, loss, &f, &b, &f.grad[1]);
        plain->close(plain);
        for (size_t k = 0; k < f.a.n; k++)
            off = worse(off, fabs(f.grad[1].values[k] - f.grad[0].values[k]));
        for (int k = 0; k < BATCH; k++) off = worse(off, fabs(loss[k] - exact[k]));
        assert_true(off < 1e-12);
        memset(f.grad[1].values, 0, f.a.n * sizeof *f.a.values);
        by(encrypted, loss, &f, &b, &f.grad[1]);
        encrypted->close(encrypted);
        const double cosine = worst_cosine(&f.grad[1], &f.grad[0]);
        off = 0;
        for (int k = 0; k < BATCH; k++) {
            off = worse(off, fabs(loss[k] - exact[k]));
            mean += exact[k] / BATCH;
        }
        print_message("%s: worst cosine 1 - %.2e, worst loss off by %.2e of %.3f\n", models[i].name,
                      1 - cosine, off, mean);
        if (!(cosine >= 0.9999) || !(off < 0.01 * mean))
            fail_msg("%s: worst cosine %.6f, a loss off by %.6f of %.6f", models[i].name, cosine,
                     off, mean);
        end(&f);
    }
}

/* ---- an adapter's classifier that begins as the model's own changes nothing */

static void test_head(void **state) {
    struct fixture f;
    double own[OUTPUTS], same[OUTPUTS];
    struct split_adapter head;
    (void)state;
    begin(&f, 0);
    const struct split_adapter_ask ask = {.layers = 2,
                                          .rank = 1,
                                          .alpha = 1,
                                          .labels = split_model_head(NULL, NULL, f.m),
                                          .hidden = split_model_config(f.m)->hidden};
    assert_int_equal(ask.labels, 3);
    ok(split_adapter_make(&head, &ask, NULL));
    split_model_head(head.head_w, head.head_b, f.m);
    ok(split_forward(own, f.m, NULL, &f.folder.service, &f.text[0]));
    ok(split_forward(same, f.m, &head, &f.folder.service, &f.text[0]));
    for (int i = 0; i < 3; i++) assert_true(fabs(own[i] - same[i]) < 1e-14);
    split_adapter_free(&head);
    end(&f);
}

/* ---- a text that grows token by token is the same text; a round that fails may be tried again */

static void test_speech(void **state) {
    struct fixture f;
    struct split_speech *p = NULL;
    (void)state;
    for (int i = 2; i < 4; i++) {
        double grown[OUTPUTS], whole[OUTPUTS];
        begin(&f, i);
        const struct split_text *t = &f.text[0];
        ok(split_speech_open(&p, f.m, &f.a, &f.folder.service, t->n));
        ok(split_speech_hear(grown, p, t->ids, 3));
        f.folder.fail_at = f.folder.asks + 6;
        assert_int_equal(split_speech_hear(grown, p, t->ids + 3, 2), THOR_IO);
        ok(split_speech_hear(grown, p, t->ids + 3, 2));
        for (int k = 5; k < t->n; k++) ok(split_speech_hear(grown, p, t->ids + k, 1));
        ok(split_forward(whole, f.m, &f.a, &f.folder.service, t));
        for (int k = 0; k < OUTPUTS; k++) assert_true(fabs(grown[k] - whole[k]) < 1e-13);
        assert_int_equal(split_speech_tokens(p), t->n);
        assert_int_equal(split_speech_hear(grown, p, t->ids, 1), THOR_INPUT); // no room
        split_speech_close(p);
        end(&f);
    }
    begin(&f, 0); // no language model
    assert_int_equal(split_speech_open(&p, f.m, NULL, &f.folder.service, 4), THOR_MODEL);
    end(&f);
}

/* ---- text */

static void test_text(void **state) {
    static const int want[4] = {29, 2, 0, 1};
    char bytes[4];
    (void)state;
    for (int i = 2; i < 5; i++) {
        struct fixture f;
        struct bert_tokens t;
        begin(&f, i);
        ok(split_tokenize(&t, f.m, "CAB", NULL, 0));
        assert_int_equal(t.n, 4);
        assert_memory_equal(t.ids, want, sizeof want);
        assert_int_equal(split_token_bytes(bytes, sizeof bytes, f.m, 2), 1);
        assert_int_equal(bytes[0], 'C');
        end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_differences),
        cmocka_unit_test(test_together), cmocka_unit_test(test_frozen_a),
        cmocka_unit_test(test_rounds),   cmocka_unit_test(test_failures),
        cmocka_unit_test(test_refused),  cmocka_unit_test(test_shortcut),
        cmocka_unit_test(test_head),     cmocka_unit_test(test_text),
        cmocka_unit_test(test_services), cmocka_unit_test(test_speech),
    };
    return cmocka_run_group_tests_name("gradient", tests, scratch_open, scratch_close);
}
