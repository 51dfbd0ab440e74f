/* Requests and answers between client and server: what is written on them, and every way in which
 * one is refused from its header alone.  Whole programs: client.sh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/message.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"
#include "tests/synthetic.h"

#define OK(x) assert_int_equal((x), THOR_OK)
/* toy10 has room for 8 tokens of heads of 16 columns */
enum { TOKENS = 32, BUCKET = 8 };

static struct bert_model *model;
static struct bert_ranges *ranges;
static struct bert_plan *plan;
static struct bert_shape shape;

static int open_plan(void **state) {
    if (keyfiles_open(state)) return -1;
    model = synthetic_columns(7);
    ranges = synthetic_ranges(model, 40, TOKENS);
    OK(bert_plan_new(&plan, model, ranges, TOKENS));
    plan->tokens = BUCKET;
    OK(bert_shape_make(&shape, &model->cfg, BUCKET, ckks_slots(kf.cx)));
    return 0;
}

static int close_plan(void **state) {
    bert_plan_free(plan);
    bert_ranges_free(ranges);
    synthetic_free(model);
    return keyfiles_close(state);
}

static struct bert_message request(void) {
    return (struct bert_message){BERT_REQUEST, BUCKET, model->hash, 0x1122334455667788, 0};
}

/* A file of n ciphertexts at these levels. */
static void save(const struct bert_message *m, const int *level, int n) {
    struct ckks_ct ct[16] = {{0}};
    unlink(scratch_path("m"));
    for (int i = 0; i < n; i++) OK(ckks_zero(&ct[i], kf.cx, level[i]));
    OK(bert_message_save(m, ct, n, kf.sk->id, scratch_path("m")));
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
}

static void legal_levels(int *level) {
    int s, mask;
    OK(bert_input_levels(&s, &mask, plan, &shape));
    for (int i = 0; i < shape.nx; i++) level[i] = s;
    level[shape.nx] = mask;
}

static int check(struct bert_message *m) {
    struct serial_head h;
    OK(bert_message_peek(m, &h, scratch_path("m"), BERT_REQUEST));
    int st = bert_request_check(m, &h, plan, &shape, scratch_path("m"));
    serial_free(&h);
    return st;
}

static void assert_word(int st, const char *word) {
    assert_int_equal(st, THOR_KEY);
    if (!strstr(thor_error(), word)) fail_msg("'%s' has no '%s'", thor_error(), word);
    assert_non_null(strstr(thor_error(), "m: ")); // the file
}

static void good_request(void **state) {
    (void)state;
    int level[16], n = bert_input_count(&shape);
    struct bert_message m = request(), back;
    legal_levels(level);
    save(&m, level, n);
    OK(check(&back));
    assert_memory_equal(&back, &m, sizeof m);
    struct serial_head h;
    struct ckks_ct *ct;
    int count;
    OK(bert_message_peek(&back, &h, scratch_path("m"), BERT_REQUEST));
    uint64_t bytes = 64 + 64 * (uint64_t)n + 8; // the legal size, from levels and N alone
    for (int i = 0; i < n; i++)
        bytes += 2 * ((uint64_t)ckks_basis(kf.p, level[i]).n * KF_N * 4 + 8);
    assert_int_equal(h.bytes, bytes);
    OK(bert_message_load(&ct, &count, &back, &h, kf.cx, scratch_path("m")));
    assert_int_equal(count, n);
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    m.ticket++; // another file under the name meanwhile
    save(&m, level, n);
    assert_word(bert_message_load(&ct, &count, &back, &h, kf.cx, scratch_path("m")),
                "changed while");
    assert_null(ct);
    serial_free(&h);
}

/* Every level one too high or too low, one ciphertext more or less: never the state's level taken
 * for another's. */
static void other_levels_and_counts(void **state) {
    (void)state;
    int level[17], n = bert_input_count(&shape);
    struct bert_message m = request(), back;
    for (int i = 0; i < n; i++)
        for (int d = -1; d <= 1; d += 2) {
            legal_levels(level);
            level[i] += d;
            if (level[i] < 0 || level[i] > kf.p->max_level) continue;
            save(&m, level, n);
            assert_word(check(&back), "is at level");
        }
    legal_levels(level);
    level[n] = level[n - 1];
    save(&m, level, n + 1);
    assert_word(check(&back), "encrypt again");
    save(&m, level, n - 1);
    assert_word(check(&back), "encrypt again");
}

static void other_messages(void **state) {
    (void)state;
    int level[16], n = bert_input_count(&shape);
    struct bert_message m = request(), back;
    struct serial_head h;
    legal_levels(level);
    m.tokens = 2 * BUCKET;
    save(&m, level, n);
    assert_word(check(&back), "encrypt again");
    m = request();
    m.model ^= 1;
    save(&m, level, n);
    assert_word(check(&back), "another model");
    for (uint32_t role = 0; role < 4; role++) {
        m = request();
        m.role = role;
        save(&m, level, n);
        if (role != BERT_REQUEST)
            assert_word(bert_message_peek(&back, &h, scratch_path("m"), BERT_REQUEST),
                        role == BERT_ANSWER ? "is an answer, not a request"
                                            : "ciphertexts of no text");
        if (role != BERT_ANSWER)
            assert_word(bert_message_peek(&back, &h, scratch_path("m"), BERT_ANSWER),
                        role == BERT_REQUEST ? "is a request, not an answer"
                                             : "ciphertexts of no text");
    }
    m = request();
    m.holds = 1;
    save(&m, level, n);
    assert_word(bert_message_peek(&back, &h, scratch_path("m"), BERT_REQUEST),
                "ciphertexts of no text");
    OK(ckks_public_save(kf.pk, scratch_path("m")));
    assert_word(bert_message_peek(&back, &h, scratch_path("m"), BERT_REQUEST),
                "holds public key, not a request");
}

/* As many ciphertexts as the head has, at level 0; one less, one more, one of them above. */
static void answers_of(enum bert_head head, int count, const char *name) {
    const int level[8] = {0}, above[8] = {0, 1};
    struct bert_message m = request(), back;
    struct serial_head h;
    struct bert_shape s;
    const uint64_t hash = model->hash;
    m.role = BERT_ANSWER;
    model->cfg.head = head;
    m.holds = bert_head_at_client(&model->cfg) ? BERT_HOLDS_STATE : BERT_HOLDS_LOGITS;
    // right; one less, one more; the first or the last too high; what the other kind of head has
    for (int i = 0; i < 6; i++) {
        const int n = count + (i == 2) - (i == 1);
        if (!n) continue;
        m.holds ^= i == 5;
        save(&m, i < 3 || i == 5 ? level : i == 3 ? above + 1 : above + 2 - n, n);
        m.holds ^= i == 5;
        OK(bert_message_peek(&back, &h, scratch_path("m"), BERT_ANSWER));
        int st = bert_answer_check(&s, &back, &h, model, scratch_path("m"));
        if (i == 0) {
            OK(st);
            assert_memory_equal(&s, &shape, sizeof s);
        } else {
            assert_word(st, name);
        }
        model->hash++;
        assert_word(bert_answer_check(&s, &back, &h, model, scratch_path("m")), "another model");
        model->hash = hash;
        back.tokens = i % 2 ? 0xffffffff : 3;
        assert_word(bert_answer_check(&s, &back, &h, model, scratch_path("m")), "does not serve");
        serial_free(&h);
    }
    model->cfg.head = BERT_HEAD_CLASSIFIER;
}

static void answers(void **state) {
    (void)state;
    answers_of(BERT_HEAD_CLASSIFIER, 1, "is no answer with logits");
    answers_of(BERT_HEAD_STATE, shape.nx, "is no answer with the final state");
    answers_of(BERT_HEAD_TOKENS, shape.nx, "is no answer with the final state");
    model->cfg.squash = BERT_RELU;
    answers_of(BERT_HEAD_CLASSIFIER, shape.nx, "is no answer with the final state");
    model->cfg.squash = BERT_TANH;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_request),
        cmocka_unit_test(other_levels_and_counts),
        cmocka_unit_test(other_messages),
        cmocka_unit_test(answers),
    };
    return cmocka_run_group_tests_name("message", tests, open_plan, close_plan);
}
