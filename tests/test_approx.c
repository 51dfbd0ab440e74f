/* The schedule in doubles against the plain model: a synthetic model, and the default one when it
 * is there. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/plan.h"
#include "bert/reference.h"
#include "synthetic.h"
#include "tests/worse.h"

#define TINY "data/sst2-tiny"
#define CALIBRATION 200
#define HELD_OUT 40

static struct bert_plan *plan_of(const struct bert_model *m, struct bert_ranges **r) {
    struct bert_plan *p;
    *r = synthetic_ranges(m, CALIBRATION, 32);
    assert_int_equal((*r)->rows, CALIBRATION);
    if (bert_plan_new(&p, m, *r, 32) != THOR_OK) fail_msg("%s", thor_error());
    return p;
}

static double worst_logit(const struct bert_model *m, const struct bert_plan *p, uint64_t seed,
                          int *out) {
    static struct bert_tokens t;
    double worst = 0;
    *out = 0;
    for (int i = 0; i < HELD_OUT; i++) {
        double want[BERT_MAX_LABELS], got[BERT_MAX_LABELS];
        struct bert_outside n;
        synthetic_tokens(&t, m, 3 + i % 30, 1000 + (uint64_t)i);
        assert_int_equal(bert_forward(want, m, &t, NULL), THOR_OK);
        assert_int_equal(bert_approx_forward(got, m, p, &t, seed ? seed + (uint64_t)i : 0, &n),
                         THOR_OK);
        *out += n.values;
        for (int k = 0; k < m->cfg.labels; k++) worst = worse(worst, fabs(got[k] - want[k]));
    }
    return worst;
}

// Error budgets are 1 % for softmax, 0.4 % for each of 2 x 2 LayerNorms, 0.2 % for GELU and tanh;
// logits are of order 1, so a few per cent is what the budgets allow and a wrong sign, fold or
// scale never meets.
static void synthetic_agrees(void **state) {
    int out;
    struct bert_ranges *r;
    struct bert_model *m = synthetic_model(7);
    m->cfg.activation = *(const enum bert_activation *)*state;
    struct bert_plan *p = plan_of(m, &r);
    assert_true(worst_logit(m, p, 0, &out) < 0.05);
    assert_int_equal(out, 0);
    assert_true(worst_logit(m, p, 5, &out) < 0.06);
    assert_int_equal(out, 0);
    bert_plan_free(p);
    bert_ranges_free(r);
    synthetic_free(m);
}

// head 0 of layer 0 attends to the token before: positions are one-hot in its columns, queries are
// moved by one; scores vary with the loudness of the words
static void attend_to_previous(struct bert_model *m) {
    int H = m->cfg.hidden, hd = H / m->cfg.heads;
    for (int i = 0; i < m->cfg.vocab * H; i++)
        m->word[i] *= i % H < hd ? 0 : 0.3F + 0.024F * (float)(i / H);
    for (int i = 0; i < m->cfg.max_positions * H; i++) m->position[i] = i % H == i / H ? 6 : 0;
    for (int i = 0; i < hd * H; i++) {
        int out = i / H, in = i % H;
        m->layer[0].k.w[i] = out == in ? 2 : 0;
        m->layer[0].q.w[i] = in < hd && out == (in ? in - 1 : 0) ? 2 : 0;
    }
}

static void previous_head_agrees(void **state) {
    (void)state;
    int out;
    struct bert_ranges *r;
    struct bert_model *m = synthetic_model(7);
    attend_to_previous(m);
    struct bert_plan *p = plan_of(m, &r);
    assert_true(r->layer[0].den_hi[0] - r->layer[0].den_lo[0] > 8);
    assert_true(p->layer[0].previous[0] > 0 && p->layer[0].previous[1] == 0);
    assert_true(worst_logit(m, p, 3, &out) < 0.06);
    assert_int_equal(out, 0);
    bert_plan_free(p);
    bert_ranges_free(r);
    synthetic_free(m);
}

// denominators that span 20, 45, 70 and 140 nats: rounds of normalising and squaring
static void wide_scores_agree(void **state) {
    (void)state;
    static const struct {
        float by;
        int columns, span, rounds;
    } wide[] = {{4, 1, 20, 1}, {7, 0, 30, 2}, {10, 1, 45, 3}, {16, 0, 70, 3}, {24, 1, 140, 4}};
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        int out, rounds = 0;
        double span = 0;
        struct bert_ranges *r;
        struct bert_model *m = wide[i].columns ? synthetic_columns(7) : synthetic_model(7);
        for (int l = 0; l < m->cfg.layers; l++)
            for (int k = 0; k < m->cfg.hidden * m->cfg.hidden; k++)
                m->layer[l].q.w[k] *= wide[i].by;
        struct bert_plan *p = plan_of(m, &r);
        for (int l = 0; l < m->cfg.layers; l++) {
            rounds = rounds > p->layer[l].rounds ? rounds : p->layer[l].rounds;
            for (int h = 0; h < m->cfg.heads; h++)
                span = fmax(span, r->layer[l].den_hi[h] - r->layer[l].den_lo[h]);
        }
        print_message("%.0f nats, %d rounds\n", span, rounds);
        assert_true(span >= wide[i].span);
        assert_int_equal(rounds, wide[i].rounds);
        assert_true(worst_logit(m, p, 3, &out) < 0.06);
        assert_int_equal(out, 0);
        bert_plan_free(p);
        bert_ranges_free(r);
        synthetic_free(m);
    }
}

// a model without measured sums of rounds keeps its plan, and one that needs them is told so
static void rounds_are_measured(void **state) {
    (void)state;
    struct bert_plan *p;
    for (int wide = 0; wide < 2; wide++) {
        struct bert_model *m = synthetic_columns(7);
        for (int k = 0; wide && k < m->cfg.hidden * m->cfg.hidden; k++) m->layer[1].q.w[k] *= 10;
        struct bert_ranges *r = synthetic_ranges(m, CALIBRATION, 32);
        for (int l = 0; l < m->cfg.layers; l++)
            for (int k = 0; k < BERT_MAX_ROUNDS * m->cfg.heads; k++)
                r->layer[l].round_lo[k] = r->layer[l].round_hi[k] = 0;
        assert_int_equal(bert_plan_new(&p, m, r, 32), wide ? THOR_MODEL : THOR_OK);
        if (wide) assert_non_null(strstr(thor_error(), "layer 1"));
        if (wide) assert_non_null(strstr(thor_error(), "calibrate again"));
        bert_plan_free(p);
        bert_ranges_free(r);
        synthetic_free(m);
    }
}

// same seed, same logits; noise is far below the budgets of the polynomials
static void noise_is_seeded(void **state) {
    (void)state;
    static struct bert_tokens t;
    struct bert_ranges *r;
    struct bert_model *m = synthetic_model(7);
    struct bert_plan *p = plan_of(m, &r);
    double a[BERT_MAX_LABELS], b[BERT_MAX_LABELS], c[BERT_MAX_LABELS], d[BERT_MAX_LABELS];
    synthetic_tokens(&t, m, 20, 3);
    assert_int_equal(bert_approx_forward(a, m, p, &t, 1, NULL), THOR_OK);
    assert_int_equal(bert_approx_forward(b, m, p, &t, 1, NULL), THOR_OK);
    assert_int_equal(bert_approx_forward(c, m, p, &t, 2, NULL), THOR_OK);
    assert_int_equal(bert_approx_forward(d, m, p, &t, 0, NULL), THOR_OK);
    assert_true(a[0] == b[0] && a[1] == b[1]);
    assert_true(a[0] != c[0] && a[0] != d[0]);
    assert_true(fabs(a[0] - d[0]) < 0.01 && fabs(c[0] - d[0]) < 0.01);
    t.n = 33;
    assert_int_equal(bert_approx_forward(a, m, p, &t, 1, NULL), THOR_INPUT);
    t.n = 20;
    m->hash++;
    assert_int_equal(bert_approx_forward(a, m, p, &t, 1, NULL), THOR_MODEL);
    bert_plan_free(p);
    bert_ranges_free(r);
    synthetic_free(m);
}

// how many held-out texts leave the ranges, by the values of the plain model
static int leaving(const struct bert_model *m, const struct bert_plan *p) {
    static struct bert_tokens t;
    int n = 0;
    for (int i = 0; i < HELD_OUT; i++) {
        int leaves;
        synthetic_tokens(&t, m, 3 + i % 30, 1000 + (uint64_t)i);
        assert_int_equal(bert_plan_leaves(&leaves, m, p, &t), THOR_OK);
        n += leaves;
    }
    return n;
}

// a model whose scores are six times as large leaves the ranges, and that is counted
static void out_of_range_is_counted(void **state) {
    (void)state;
    int out;
    struct bert_ranges *r;
    struct bert_model *m = synthetic_model(7);
    struct bert_plan *p = plan_of(m, &r);
    assert_int_equal(leaving(m, p), 0);
    for (int i = 0; i < m->cfg.hidden * m->cfg.hidden; i++) m->layer[0].q.w[i] *= 6;
    worst_logit(m, p, 0, &out);
    assert_true(out > 0);
    assert_int_equal(leaving(m, p), HELD_OUT);
    bert_plan_free(p);
    bert_ranges_free(r);
    synthetic_free(m);
}

static int default_plan(struct bert_model **m, struct bert_plan **p) {
    struct bert_ranges *r;
    if (access(TINY "/calibration.json", R_OK) || bert_model_load(m, TINY) != THOR_OK) return 0;
    assert_int_equal(bert_ranges_load(&r, TINY "/calibration.json", *m), THOR_OK);
    assert_int_equal(bert_plan_new(p, *m, r, 64), THOR_OK);
    bert_ranges_free(r);
    return 1;
}

// the largest error of a logit
static double error_of(struct bert_outside *out, const struct bert_model *m,
                       const struct bert_plan *p, const char *text, uint64_t seed) {
    static struct bert_tokens t;
    double want[BERT_MAX_LABELS], got[BERT_MAX_LABELS], worst = 0;
    assert_int_equal(bert_tokenize(&t, m, text, NULL, 64), THOR_OK);
    assert_int_equal(bert_forward(want, m, &t, NULL), THOR_OK);
    assert_int_equal(bert_approx_forward(got, m, p, &t, seed, out), THOR_OK);
    for (int k = 0; k < m->cfg.labels; k++) worst = worse(worst, fabs(got[k] - want[k]));
    return worst;
}

static void the_default_model_agrees(void **state) {
    (void)state;
    static const char *const text[] = {
        "a warm, funny film that earns every one of its tears",
        "dull from the first minute to the last",
        "the plot makes no sense, but the songs are a joy",
        "i would not watch this again for money",
        "an honest and moving story",
        "flat characters, lazy jokes, no ending",
    };
    struct bert_model *m;
    struct bert_plan *p;
    if (!default_plan(&m, &p)) skip();
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        struct bert_outside out;
        assert_true(error_of(&out, m, p, text[i], i + 1) < 0.03);
        assert_int_equal(out.values, 0);
    }
    bert_plan_free(p);
    bert_model_free(m);
}

// words said over and over have the largest denominators; one is beyond any margin
static void a_word_again_and_again(void **state) {
    (void)state;
    static const struct {
        const char *word;
        int times, runs_away;
    } odd[] = {{"bad", 56, 0},    {"bad", 62, 0},    {"worst", 62, 0},  {"eroded", 62, 0},
               {"hinges", 62, 0}, {"winced", 62, 0}, {"suffers", 62, 1}};
    struct bert_model *m;
    struct bert_plan *p;
    if (!default_plan(&m, &p)) skip();
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char text[512] = "";
        struct bert_outside out;
        for (int k = 0; k < odd[i].times; k++) strcat(strcat(text, " "), odd[i].word);
        double error = error_of(&out, m, p, text, 1);
        assert_int_equal(out.values > 0, odd[i].runs_away);
        assert_true(odd[i].runs_away ? out.witness > 1 : error < 0.03);
    }
    bert_plan_free(p);
    bert_model_free(m);
}

int main(void) {
    static enum bert_activation by_erf = BERT_GELU, by_tanh = BERT_GELU_TANH;
    const struct CMUnitTest tests[] = {
        {"synthetic_agrees gelu", synthetic_agrees, NULL, NULL, &by_erf},
        {"synthetic_agrees gelu_new", synthetic_agrees, NULL, NULL, &by_tanh},
        cmocka_unit_test(previous_head_agrees),
        cmocka_unit_test(wide_scores_agree),
        cmocka_unit_test(rounds_are_measured),
        cmocka_unit_test(noise_is_seeded),
        cmocka_unit_test(out_of_range_is_counted),
        cmocka_unit_test(the_default_model_agrees),
        cmocka_unit_test(a_word_again_and_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
