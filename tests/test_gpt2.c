/* GPT-2 in the plain: files, golden logits, the causal mask. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/causal.h"
#include "bert/reference.h"
#include "scratch.h"
#include "tests/worse.h"
#include "tinygpt2.h"

static const struct tinygpt2 tiny = {16, 2, 2, 12, 8, "", "", 0};

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

/* By tests/constants.py (gpt2), in doubles; weights of a float are exact there too. */
static const double golden[12] = {-0.59046447402, -4.99833374048, 1.29459880379,  0.06702997824,
                                  0.74033080359,  3.63056471094,  -1.74387155859, -0.32290418127,
                                  -1.07693061242, 3.44043213464,  -1.58380864467, -2.76667955336};

static double golden_error(const struct tinygpt2 *kind) {
    struct bert_model *m = tinygpt2_load(kind);
    const struct bert_tokens t = {.n = 6, .ids = {11, 3, 7, 0, 5, 9}};
    double x[6 * 16], logits[12], error = 0;
    ok(bert_forward(x, m, &t, NULL));
    bert_gpt2_logits(logits, m, x + 5 * 16);
    for (int i = 0; i < 12; i++) error = worse(error, fabs(logits[i] - golden[i]));
    bert_model_free(m);
    return error;
}

static void test_golden(void **state) {
    (void)state;
    struct tinygpt2 named = tiny;
    assert_true(golden_error(&tiny) < 1e-9);
    named.front = "transformer.";
    named.head = 1;
    assert_true(golden_error(&named) < 1e-9);
}

// what is refused, and the words that say why
static void test_refused(void **state) {
    static const struct {
        const char *config;
        int head;
        const char *why;
    } bad[] = {
        {", \"scale_attn_by_inverse_layer_idx\": true", 0, "scale_attn_by_inverse_layer_idx"},
        {", \"activation_function\": \"relu\"", 0, "activation_function"},
        {", \"tie_word_embeddings\": false", 0, "tie_word_embeddings"},
        {", \"n_inner\": 48", 0, "mlp.c_fc.weight"},
        {", \"layer_norm_epsilon\": 1", 0, "layer_norm_epsilon"},
        {"", 2, "lm_head.weight"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct tinygpt2 t = tiny;
        struct bert_model *m = NULL;
        t.config = bad[i].config;
        t.head = bad[i].head;
        tinygpt2_write(scratch_path("."), &t);
        assert_int_equal(bert_model_load(&m, scratch_path(".")), THOR_MODEL);
        assert_non_null(strstr(thor_error(), bad[i].why));
        assert_null(m);
    }
}

// no token sees those behind it: a text that is filled up has the same first rows
static void test_causal(void **state) {
    struct bert_model *m = tinygpt2_load(&tiny);
    struct bert_tokens t, full;
    double x[3 * 16], y[8 * 16], error = 0;
    static const int want[8] = {11, 3, 7, 3, 7, 3, 7, 3};
    (void)state;
    t = (struct bert_tokens){.n = 3, .ids = {11, 3, 7}};
    bert_gpt2_fill(&full, &t, 8);
    assert_int_equal(full.n, 8);
    assert_memory_equal(full.ids, want, sizeof want);
    ok(bert_forward(x, m, &t, NULL));
    ok(bert_forward(y, m, &full, NULL));
    for (int i = 0; i < 3 * 16; i++) error = worse(error, fabs(x[i] - y[i]));
    assert_true(error < 1e-12);
    bert_model_free(m);
}

// <|endoftext|> stands before every text
static void test_first_token(void **state) {
    struct bert_model *m = tinygpt2_load(&tiny);
    struct bert_tokens t;
    static const int want[4] = {11, 2, 0, 1};
    (void)state;
    ok(bert_tokenize(&t, m, "CAB", NULL, 0));
    assert_int_equal(t.n, 4);
    assert_memory_equal(t.ids, want, sizeof want);
    bert_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_causal),
        cmocka_unit_test(test_first_token),
    };
    return cmocka_run_group_tests_name("gpt2", tests, scratch_open, scratch_close);
}
