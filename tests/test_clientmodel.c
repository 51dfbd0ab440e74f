/* The client's half of a model in split mode against the plain models of bert/: every family whose
 * folder both read, and what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "bert/causal.h"
#include "bert/input/architecture.h"
#include "bert/reference.h"
#include "bert/synth/synth.h"
#include "bert/synth/synthllama.h"
#include "scratch.h"
#include "split/basemodel.h"
#include "split/gradient.h"
#include "splitfolder.h"
#include "tests/worse.h"

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

static const char *folder(const char *name) {
    const char *path = scratch_path(name);
    mkdir(path, 0700);
    return path;
}

static void small(struct bert_config *c, enum bert_arch a) {
    *c = (struct bert_config){.hidden = 32, .layers = 2, .heads = 4, .ffn = 64};
    c->vocab = a == BERT_ARCH_GPT2 ? 400 : 200;
    c->max_positions = 32;
    c->labels = 3;
    for (int i = 0; i < 3; i++) c->label_names[i][0] = (char)('a' + i);
    bert_synth_arch(c, a);
}

// logits of a text by both, over the largest of them
static double difference(const char *dir, const char *text) {
    struct bert_model *whole = NULL;
    struct split_model *m = NULL;
    struct split_service *s = NULL;
    struct bert_tokens t, same;
    double error = 0, most = 0;
    ok(bert_model_load(&whole, dir));
    ok(split_model_open(&m, dir));
    ok(split_plain_open(&s, dir));
    ok(bert_tokenize(&t, whole, text, NULL, 0));
    ok(split_tokenize(&same, m, text, NULL, 0));
    assert_int_equal(t.n, same.n);
    assert_memory_equal(t.ids, same.ids, (size_t)t.n * sizeof *t.ids);
    const struct split_text in = {.ids = t.ids, .types = t.type_ids, .n = t.n, .label = -1};
    const int n = split_outputs(m, NULL), causal = bert_is_causal(&whole->cfg);
    double *have = malloc((size_t)n * sizeof *have), *want = malloc((size_t)n * sizeof *want);
    double *state = malloc(bert_outputs(&whole->cfg, t.n) * sizeof *state);
    assert_true(have && want && state);
    ok(split_forward(have, m, NULL, s, &in));
    ok(bert_forward(causal ? state : want, whole, &t, NULL));
    if (causal)
        bert_gpt2_logits(want, whole, state + (size_t)(t.n - 1) * (size_t)whole->cfg.hidden);
    for (int i = 0; i < n; i++) {
        error = worse(error, fabs(have[i] - want[i]));
        most = fmax(most, fabs(want[i]));
    }
    free(have);
    free(want);
    free(state);
    s->close(s);
    split_model_free(m);
    bert_model_free(whole);
    return error / most;
}

static void test_families(void **state) {
    static const enum bert_arch arch[] = {BERT_ARCH_BERT, BERT_ARCH_DISTILBERT, BERT_ARCH_ROBERTA,
                                          BERT_ARCH_ELECTRA, BERT_ARCH_GPT2};
    (void)state;
    for (size_t i = 0; i < sizeof arch / sizeof *arch; i++) {
        struct bert_config c;
        const char *dir = folder(bert_archs[arch[i]].types[0]);
        small(&c, arch[i]);
        ok(bert_synth_write(dir, &c, 1, 4, 0));
        const double error = difference(dir, "baba deda bo");
        if (!(error < 1e-12)) fail_msg("%s: off by %.2e", bert_archs[arch[i]].title, error);
    }
    assert_true(difference("data/sst2-tiny", "a gripping, funny film") < 1e-12);
    assert_true(difference("data/gpt2-tiny", "And the LORD said unto") < 1e-12);
}

static void test_refused(void **state) {
    struct bert_config c;
    struct split_model *m = NULL;
    const char *dir = folder("shared");
    (void)state;
    small(&c, BERT_ARCH_ALBERT);
    ok(bert_synth_write(dir, &c, 1, 4, 0));
    assert_int_equal(split_model_open(&m, dir), THOR_MODEL);
    assert_null(m);
    assert_non_null(strstr(thor_error(), "ALBERT"));
    assert_int_equal(split_model_open(&m, scratch_path("nowhere")), THOR_MODEL);
}

/* ---- a decoder's classifier: labels by name, no first token, and heads that are none */

static void decoder(const char *dir, const char *class, const char *more) {
    char text[600];
    struct splitfolder f;
    char path[4200];
    splitfolder_write(&f, dir, "gpt2-score");
    splitfolder_free(&f);
    snprintf(path, sizeof path, "%s/config.json", dir);
    snprintf(
        text, sizeof text,
        "{\"model_type\": \"gpt2\", \"architectures\": [\"%s\"], \"n_embd\": 16, \"n_layer\": 2, "
        "\"n_head\": 2, \"vocab_size\": 30, \"n_positions\": 16, %s}",
        class, more);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void test_decoder_classes(void **state) {
    static const struct {
        const char *class, *more, *says;
    } bad[] = {{"GPT2ForTokenClassification", "\"num_labels\": 3", "whose head is not supported"},
               {"GPT2ForSequenceClassification", "\"num_labels\": 1", "one label of several"},
               {"GPT2ForSequenceClassification", "\"num_labels\": 4", "score.weight"},
               {"GPT2ForSequenceClassification",
                "\"num_labels\": 3, \"problem_type\": \"multi_label_classification\"",
                "one label of several"}};
    const char *dir = folder("decoder");
    struct split_model *m = NULL;
    struct split_base b;
    struct bert_tokens t;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        decoder(dir, bad[i].class, bad[i].more);
        assert_int_equal(split_model_open(&m, dir), THOR_MODEL);
        if (!strstr(thor_error(), bad[i].says)) fail_msg("%zu: %s", i, thor_error());
    }
    decoder(dir, "GPT2ForSequenceClassification",
            "\"id2label\": {\"0\": \"a\", \"1\": \"b\", \"2\": \"c\"}");
    ok(split_model_open(&m, dir));
    assert_int_equal(split_model_config(m)->labels, 3);
    assert_string_equal(split_model_label(m, 2), "c");
    ok(split_tokenize(&t, m, "CAB", NULL, 0));
    assert_int_equal(t.n, 3); // as the usual library has it: a language model has a token before
    assert_int_equal(t.ids[0], 2);
    ok(split_base_read(&b, dir));
    assert_true(b.labels == 3 && b.no_bias && strcmp(b.head, "score") == 0);
    split_model_free(m);
    ok(split_base_read(&b, "data/gpt2-tiny"));
    assert_true(b.labels == 0 && !b.head);
}

/* What thor synth writes of a Llama: the text's first token, and logits that say something. */
static void test_llama(void **state) {
    struct split_model *m = NULL;
    struct split_service *s = NULL;
    struct bert_tokens t;
    double logits[1024], least = 0, most = 0;
    const char *dir = folder("llama");
    (void)state;
    ok(bert_synth_llama_write(dir, bert_synth_llama_shape("llama-tiny"), 1, 4));
    ok(split_model_open(&m, dir));
    ok(split_plain_open(&s, dir));
    ok(split_tokenize(&t, m, "bada ke Zoo!", NULL, 0));
    assert_int_equal(t.n, 9); // as transformers has them
    assert_int_equal(t.ids[0], 1023);
    assert_int_equal(t.ids[1], 496);
    const struct split_text in = {.ids = t.ids, .n = t.n, .label = -1};
    assert_int_equal(split_outputs(m, NULL), 1024);
    ok(split_forward(logits, m, NULL, s, &in));
    for (int i = 0; i < 1024; i++) {
        least = fmin(least, logits[i]);
        most = fmax(most, logits[i]);
    }
    // by transformers, in single precision
    assert_true(fabs(logits[0] + 0.833768904) < 1e-4 && fabs(logits[1] - 1.203934193) < 1e-4);
    assert_true(least > -10 && most < 10 && most - least > 2);
    s->close(s);
    split_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_decoder_classes),
        cmocka_unit_test(test_llama),
    };
    return cmocka_run_group_tests_name("clientmodel", tests, scratch_open, scratch_close);
}
