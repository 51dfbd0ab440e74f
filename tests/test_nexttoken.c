/* The next token of a GPT-2: ranks, divergences, which tokens are listed, and what is published. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "bert/causal.h"
#include "bert/input/model.h"
#include "cli/nexttoken.h"
#include "cli/published.h"
#include "scratch.h"
#include "tinygpt2.h"

enum { H = 16, VOCAB = 12 };
static const struct tinygpt2 tiny = {H, 2, 2, VOCAB, 8, "", "", 0};

/* By tests/constants.py (nexttoken), in doubles. */
static const double made[VOCAB] = {0.5, -1, 2.25, 2, 0, 1.75, -3, 2.25, 0.125, -0.5, 1, 1.5};
static const double plain[VOCAB] = {0.75, -1.5, 2, 2.125, 0.25, 1.5, -2, 2, 0, -0.25, 1, 1.25};
static const double golden[2] = {1.9895961267, 3.7870303280}; // 100 times a divergence, log-sum

static void test_numbers(void **state) {
    (void)state;
    assert_true(fabs(100 * next_divergence(plain, made, VOCAB) - golden[0]) < 1e-9);
    assert_true(fabs(next_log_sum(made, VOCAB, 1) - golden[1]) < 1e-9);
    assert_true(fabs(next_divergence(made, made, VOCAB)) < 1e-15);
    assert_int_equal(next_rank(plain, made, VOCAB), 2); // token 3, behind 2 and 7
    assert_int_equal(next_rank(made, made, VOCAB), 0);  // of two equals the first
}

/* Two rows of states, of which the last one counts; both sides. */
static void fill(struct result *r, const struct bert_model *m, double noise) {
    assert_int_equal(result_new(r, &m->cfg, 2), THOR_OK);
    for (int i = 0; i < 2 * H; i++) {
        r->plain_logits[i] = sin(1 + i) / 2;
        r->he_logits[i] = r->plain_logits[i] + noise * cos(i * i);
    }
    bert_centre(r->plain_logits, 2, H);
    bert_centre(r->he_logits, 2, H);
}

static int number(const json_t *list, size_t i) {
    return (int)json_integer_value(json_object_get(json_array_get(list, i), "pred"));
}

static double score(const json_t *list, size_t i) {
    return json_real_value(json_object_get(json_array_get(list, i), "score"));
}

static void test_list(void **state) {
    (void)state;
    struct bert_model *m = tinygpt2_load(&tiny);
    struct result r = {.top = 5};
    double last[H], logits[VOCAB], sum = 0, seen[VOCAB];
    fill(&r, m, 1e-3);
    memcpy(last, r.he_logits + H, sizeof last);
    bert_gpt2_logits(logits, m, last);
    assert_int_equal(next_token(&r, m), THOR_OK);
    assert_int_equal(r.labels, VOCAB);
    assert_memory_equal(r.he_logits, logits, sizeof logits);
    result_judge(&r, &m->cfg);
    assert_int_equal(r.agree, 1);
    assert_true(r.kl > 0 && r.kl < 1e-4 && r.rank == 0);
    assert_int_equal(json_array_size(r.next), 5);
    for (int i = 0; i < VOCAB; i++) sum += exp(logits[i]);
    for (int i = 0; i < VOCAB; i++) seen[i] = exp(logits[i]) / sum;
    for (size_t i = 0; i < 5; i++) { // each is the most probable of those that are left
        int best = 0;
        for (int k = 1; k < VOCAB; k++)
            if (seen[k] > seen[best]) best = k;
        assert_int_equal(number(r.next, i), best);
        assert_true(fabs(score(r.next, i) - seen[best]) < 1e-12);
        seen[best] = -1;
    }
    result_free(&r);
    bert_model_free(m);
}

/* Noise far below a rounding step changes nothing that is published, the order neither. */
static void test_published(void **state) {
    (void)state;
    struct bert_model *m = tinygpt2_load(&tiny);
    struct result a = {.top = VOCAB}, b = {.top = VOCAB}, one = {0};
    int equals = 0;
    for (int i = 0; i < VOCAB * H; i++) m->word[i] *= 0.0625f; // tokens nearly as probable
    fill(&a, m, 1e-9);
    fill(&b, m, -1e-9);
    fill(&one, m, 0);
    assert_int_equal(next_token_published(&a, m), THOR_OK);
    assert_int_equal(next_token_published(&b, m), THOR_OK);
    assert_int_equal(next_token_published(&one, m), THOR_OK);
    assert_true(json_equal(a.next, b.next));
    assert_int_equal(json_array_size(one.next), 1);
    result_judge(&one, &m->cfg);
    assert_int_equal(number(one.next, 0), one.pred);
    assert_int_equal(number(a.next, 0), one.pred);
    assert_null(json_object_get(json_array_get(a.next, 0), "plain_score"));
    for (size_t i = 0; i < json_array_size(a.next); i++) {
        assert_true(score(a.next, i) == published_score(score(a.next, i)) && score(a.next, i) > 0);
        if (i < 2) continue;
        assert_true(score(a.next, i) <= score(a.next, i - 1));
        if (score(a.next, i) < score(a.next, i - 1)) continue;
        assert_true(number(a.next, i) > number(a.next, i - 1));
        equals++;
    }
    assert_true(equals > 0);
    result_free(&a);
    result_free(&b);
    result_free(&one);
    bert_model_free(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_numbers), cmocka_unit_test(test_list),
                                       cmocka_unit_test(test_published)};
    return cmocka_run_group_tests_name("nexttoken", tests, scratch_open, scratch_close);
}
