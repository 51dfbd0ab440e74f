/* Questions with options, their files and answers; accuracy, loss and perplexity of texts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "split/evaluate.h"
#include "tests/scratch.h"

static void ok(int st) {
    if (st != THOR_OK) fail_msg("%s", thor_error());
}

/* ---- files */

static int load(struct split_questions *q, const char *lines) {
    scratch_write("q.jsonl", lines, strlen(lines), 0644);
    return split_questions_load(q, scratch_path("q.jsonl"));
}

static void layout(void **state) {
    (void)state;
    struct split_questions q;
    ok(load(&q, "{\"question\": \"a?\", \"answer\": \"y\", \"options\": {\"A\": \"x\", \"B\": "
                "\"y\", \"C\": \"z\", \"D\": \"w\"}, \"meta_info\": \"step1\", \"answer_idx\": "
                "\"B\", \"metamap_phrases\": [\"p\", 5]}\r\n\n  \n"
                "{\"answer_idx\": \"A\", \"options\": {\"B\": \"no\", \"A\": \"yes\"}, "
                "\"question\": \"b?\"}"));
    assert_int_equal(q.n, 2);
    assert_string_equal(q.item[0].text, "a?");
    assert_string_equal(q.item[0].option[3], "w");
    assert_int_equal(q.item[0].options, 4);
    assert_int_equal(q.item[0].answer, 1);
    assert_int_equal(q.item[1].line, 4);
    assert_int_equal(q.item[1].options, 2);
    assert_string_equal(q.item[1].option[0], "yes");
    assert_int_equal(q.item[1].answer, 0);
    split_questions_free(&q);
}

static void bad_files(void **state) {
    (void)state;
    static const struct {
        const char *lines, *why;
    } bad[] = {
        {"", "no questions"},
        {"\n\n", "no questions"},
        {"[]\n", "line 1"},
        {"{\n", "line 1"},
        {"{}\n", "no \"question\""},
        {"{\"question\": \"\"}\n", "no \"question\""},
        {"{\"question\": \"a\"}\n", "no \"options\""},
        {"{\"question\": \"a\", \"options\": \"x\"}", "no \"options\""},
        {"{\"question\": \"a\", \"options\": [\"x\", \"y\"]}", "answer_idx"},
        {"{\"question\": \"a\", \"options\": [\"x\", \"y\"], \"answer\": \"z\"}", "answer_idx"},
        {"{\"question\": \"a\", \"options\": [{\"key\": \"A\", \"value\": \"x\"}, {\"key\": "
         "\"A\", \"value\": \"y\"}], \"answer_idx\": \"A\"}",
         "called A"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\"}, \"answer_idx\": \"A\"}", "called A"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\", \"C\": \"y\"}, \"answer_idx\": \"A\"}",
         "called A"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\", \"B\": 5}, \"answer_idx\": \"A\"}",
         "called A"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\", \"B\": \"y\"}}", "answer_idx"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\", \"B\": \"y\"}, \"answer_idx\": \"C\"}",
         "answer_idx"},
        {"{\"question\": \"a\", \"options\": {\"A\": \"x\", \"B\": \"y\"}, \"answer_idx\": 1}",
         "answer_idx"},
    };
    struct split_questions q;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(load(&q, bad[i].lines), THOR_INPUT);
        if (!strstr(thor_error(), bad[i].why)) fail_msg("%zu: %s", i, thor_error());
        assert_null(q.item);
    }
    assert_int_equal(split_questions_load(&q, "/nonexistent/q.jsonl"), THOR_INPUT);
}

/* The layouts in which MedQA goes about: five options, lists of them, the answer by its words. */
static void other_layouts(void **state) {
    (void)state;
    struct split_questions q;
    ok(load(
        &q,
        "{\"question\": \"a?\", \"answer\": \"v\", \"options\": {\"A\": \"x\", \"B\": \"y\", "
        "\"C\": \"z\", \"D\": \"w\", \"E\": \"v\"}, \"meta_info\": \"step2&3\", "
        "\"answer_idx\": \"E\", \"metamap_phrases\": [\"a\"]}\n"
        "{\"meta_info\": \"m\", \"question\": \"b?\", \"answer_idx\": \"B\", \"answer\": \"y\", "
        "\"options\": [{\"key\": \"B\", \"value\": \"y\"}, {\"key\": \"A\", \"value\": \"x\"}]}\n"
        "{\"question\": \"c?\", \"options\": [\"x\", \"y\", \"z\"], \"answer\": \"z\"}\n"
        "{\"question\": \"d?\", \"options\": [\"x\", \"y\"], \"answer\": \"B\", "
        "\"answer_idx\": null}\n"));
    static const int options[] = {5, 2, 3, 2}, answer[] = {4, 1, 2, 1};
    assert_int_equal(q.n, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(q.item[i].options, options[i]);
        assert_int_equal(q.item[i].answer, answer[i]);
        assert_string_equal(q.item[i].option[1], "y");
    }
    split_questions_free(&q);
}

static void our_own(void **state) {
    (void)state;
    struct split_questions q;
    int answers[4] = {0};
    ok(split_questions_load(&q, "data/medical-questions.jsonl"));
    assert_int_equal(q.n, 20);
    for (int i = 0; i < q.n; i++) {
        assert_int_equal(q.item[i].options, 4);
        answers[q.item[i].answer]++;
    }
    for (int i = 0; i < 4; i++) assert_int_equal(answers[i], 5); // a constant answer is worth 1/4
    split_questions_free(&q);
}

static void likeliest_option(void **state) {
    (void)state;
    const struct split_answered a = {{-6, -4, -9, -4}, {2, 1, 9, 1}};
    assert_int_equal(split_answer_of(&a, 4, 0), 1);
    assert_int_equal(split_answer_of(&a, 4, 1), 2);
    assert_int_equal(split_answer_of(&a, 1, 0), 0);
}

/* ---- answers of a model */

struct fixture {
    struct split_model *m;
    struct split_service *s;
};

static void begin(struct fixture *f, const char *folder) {
    ok(split_model_open(&f->m, folder));
    ok(split_plain_open(&f->s, folder));
}

static void end(struct fixture *f) {
    f->s->close(f->s);
    split_model_free(f->m);
}

/* log P(ids[from ..] | ids[.. from - 1]), a token at a time, from the logits behind each. */
static double step_by_step(const struct fixture *f, const struct bert_tokens *t, int from) {
    const int words = split_outputs(f->m, NULL);
    double *logits = malloc((size_t)words * sizeof *logits), sum = 0;
    for (int i = from; i < t->n; i++) {
        const struct split_text text = {.ids = t->ids, .n = i, .label = -1};
        double all = 0;
        ok(split_forward(logits, f->m, NULL, f->s, &text));
        for (int w = 0; w < words; w++) all += exp(logits[w]);
        sum += logits[t->ids[i]] - log(all);
    }
    free(logits);
    return sum;
}

static void options_by_their_tokens(void **state) {
    (void)state;
    struct fixture f;
    struct bert_tokens prompt, whole;
    struct split_answered answer;
    const struct split_question q = {
        .text = "Who built the ark?", .option = {"Noah", "the king of Egypt"}, .options = 2};
    begin(&f, "data/gpt2-tiny");
    ok(split_question_ask(&answer, &q, f.m, NULL, f.s));
    ok(split_tokenize(&prompt, f.m, "Question: Who built the ark?\nAnswer:", NULL, 0));
    for (int i = 0; i < 2; i++) {
        char text[100];
        snprintf(text, sizeof text, "Question: Who built the ark?\nAnswer: %s", q.option[i]);
        ok(split_tokenize(&whole, f.m, text, NULL, 0));
        assert_int_equal(answer.tokens[i], whole.n - prompt.n);
        assert_true(fabs(answer.log_likelihood[i] - step_by_step(&f, &whole, prompt.n)) < 1e-9);
    }
    end(&f);
}

static void an_exam(void **state) {
    (void)state;
    struct fixture f;
    struct split_questions q;
    struct split_exam exam;
    char line[900] = "{\"question\": \"", *at = line + strlen(line);
    for (int i = 0; i < 600; i++) *at++ = (char)('a' + i * i % 23);
    strcpy(at, "\", \"options\": {\"A\": \"x\", \"B\": \"y\"}, \"answer_idx\": \"A\"}\n"
               "{\"question\": \"In the beginning\", \"options\": {\"A\": \"God\", \"B\": "
               "\"zqxjkv\"}, \"answer_idx\": \"A\"}\n");
    begin(&f, "data/gpt2-tiny");
    ok(load(&q, line));
    ok(split_examine(&exam, f.m, NULL, f.s, &q, NULL, NULL));
    assert_int_equal(exam.too_long, 1);
    assert_int_equal(exam.questions, 1);
    assert_int_equal(exam.right, 1);
    split_questions_free(&q);
    end(&f);
    begin(&f, "data/sst2-tiny"); // no language model
    ok(split_questions_load(&q, "data/medical-questions.jsonl"));
    assert_int_equal(split_examine(&exam, f.m, NULL, f.s, &q, NULL, NULL), THOR_MODEL);
    split_questions_free(&q);
    end(&f);
}

static void a_classifier(void **state) {
    (void)state;
    struct fixture f;
    static struct bert_tokens t[3];
    static const char *const texts[3] = {"a warm , funny film .", "two hours of noise .",
                                         "a warm , funny film ."};
    struct split_text text[3];
    struct split_score score;
    double logits[2], nats = 0;
    begin(&f, "data/sst2-tiny");
    for (int i = 0; i < 3; i++) {
        ok(split_tokenize(&t[i], f.m, texts[i], NULL, 0));
        text[i] = (struct split_text){.ids = t[i].ids, .types = t[i].type_ids, .n = t[i].n};
        text[i].label = i == 0; // the third is labelled wrongly
        ok(split_forward(logits, f.m, NULL, f.s, &text[i]));
        nats += log(exp(logits[0]) + exp(logits[1])) - logits[text[i].label];
    }
    ok(split_evaluate(&score, f.m, NULL, f.s, text, 3, NULL, NULL));
    assert_int_equal(score.texts, 3);
    assert_int_equal(score.right, 2);
    assert_int_equal(score.scored, 3);
    assert_true(fabs(score.nats - nats) < 1e-9);
    assert_true(fabs(split_score_loss(&score) - nats / 3) < 1e-9);
    text[1].label = 2;
    assert_int_equal(split_evaluate(&score, f.m, NULL, f.s, text, 3, NULL, NULL), THOR_INPUT);
    assert_int_equal(score.texts, 0);
    end(&f);
}

/* A verse that the model may have seen. */
static void a_language_model(void **state) {
    (void)state;
    struct fixture f;
    struct bert_tokens t;
    int targets[BERT_MAX_TOKENS];
    struct split_score score;
    begin(&f, "data/gpt2-tiny");
    ok(split_tokenize(&t, f.m, "And God said, Let there be light: and there was light.", NULL, 0));
    for (int i = 0; i < t.n; i++) targets[i] = i + 1 < t.n ? t.ids[i + 1] : -1;
    const struct split_text text[2] = {
        {.ids = t.ids, .n = t.n, .label = -1, .targets = targets},
        {.ids = t.ids, .n = t.n, .label = -1}}; // neither label nor targets
    ok(split_evaluate(&score, f.m, NULL, f.s, text, 2, NULL, NULL));
    assert_int_equal(score.texts, 1);
    assert_int_equal(score.scored, t.n - 1);
    assert_true(fabs(-score.nats - step_by_step(&f, &t, 1)) < 1e-9);
    assert_true(fabs(split_score_perplexity(&score) - exp(score.nats / (t.n - 1))) < 1e-9);
    assert_true(split_score_perplexity(&score) < 100); // 1,024 words
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),           cmocka_unit_test(bad_files),
        cmocka_unit_test(our_own),          cmocka_unit_test(likeliest_option),
        cmocka_unit_test(other_layouts),    cmocka_unit_test(options_by_their_tokens),
        cmocka_unit_test(an_exam),          cmocka_unit_test(a_classifier),
        cmocka_unit_test(a_language_model),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
