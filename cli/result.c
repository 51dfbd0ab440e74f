#include "cli/result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/pooling.h"
#include "bert/input/text.h"
#include "bert/reference.h"
#include "bert/witness.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/nexttoken.h"

int result_new(struct result *r, const struct bert_config *c, int n) {
    const size_t each = bert_outputs(c, n);
    free(r->he_logits);
    r->he_logits = calloc(2 * each, sizeof *r->he_logits);
    if (!r->he_logits) return thor_fail(THOR_MEMORY, "no memory for a result");
    r->plain_logits = r->he_logits + each;
    r->labels = c->head == BERT_HEAD_STATE ? c->hidden : c->labels;
    r->rows = (int)(each / (size_t)r->labels);
    return THOR_OK;
}

void result_free(struct result *r) {
    free(r->he_logits);
    free(r->want);
    json_decref(r->words);
    json_decref(r->groups);
    json_decref(r->next);
    r->he_logits = r->plain_logits = NULL;
    r->want = NULL;
    r->words = r->groups = r->next = NULL;
}

int result_is_one(const struct result *r) {
    return r->no_result ? thor_fail(THOR_RANGE, BERT_NO_RESULT) : THOR_OK;
}

/* Of a row of logits. */
static int same_prediction(const struct bert_config *c, const double *a, const double *b) {
    if (c->task != BERT_ANY_OF) return bert_argmax(a, c->labels) == bert_argmax(b, c->labels);
    for (int l = 0; l < c->labels; l++)
        if ((a[l] > 0) != (b[l] > 0)) return 0;
    return 1;
}

static void judge_embedding(struct result *r, const struct bert_config *c) {
    bert_pool(r->he_logits, c, r->he_logits, r->rows);
    bert_pool(r->plain_logits, c, r->plain_logits, r->rows);
    r->rows = 1;
    r->agree = -1;
    r->cosine = bert_cosine(r->he_logits, r->plain_logits, r->labels);
}

static void judge_next(struct result *r) {
    r->agree = r->pred == r->plain_pred;
    r->rank = next_rank(r->plain_logits, r->he_logits, r->labels);
    r->kl = next_divergence(r->plain_logits, r->he_logits, r->labels);
}

void result_judge(struct result *r, const struct bert_config *c) {
    r->max_abs_error = 0;
    r->agree = c->task == BERT_SCORE ? -1 : 1;
    if (bert_gives_embedding(c)) judge_embedding(r, c);
    for (int i = 0; i < r->rows * r->labels; i++) {
        const double e = fabs(r->he_logits[i] - r->plain_logits[i]);
        if (!(e <= r->max_abs_error) && !isnan(r->max_abs_error)) r->max_abs_error = e;
    }
    r->pred = bert_argmax(r->he_logits, r->labels);
    r->plain_pred = bert_argmax(r->plain_logits, r->labels);
    if (bert_is_causal(c)) {
        judge_next(r);
        return;
    }
    for (int i = 0; r->agree == 1 && i < r->rows; i++)
        r->agree =
            same_prediction(c, r->he_logits + i * r->labels, r->plain_logits + i * r->labels);
}

void result_scores(double *p, const struct bert_config *c, const double *logits) {
    const double most = logits[bert_argmax(logits, c->labels)];
    double sum = 0;
    for (int l = 0; l < c->labels; l++)
        sum += p[l] = c->task == BERT_SCORE    ? logits[l]
                      : c->task == BERT_ANY_OF ? 1 / (1 + exp(-logits[l]))
                                               : exp(logits[l] - most);
    for (int l = 0; c->task == BERT_ONE_OF && l < c->labels; l++) p[l] /= sum;
}

void result_order(int *best, const double *p, int labels) {
    for (int i = 0; i < labels; i++) {
        int at = i;
        for (; at > 0 && p[i] > p[best[at - 1]]; at--) best[at] = best[at - 1];
        best[at] = i;
    }
}

/* ---- as JSON ---- */

/* NULL, which json_pack refuses, for NaN and infinities. */
static json_t *numbers(const double *x, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++) {
        if (json_array_append_new(a, json_real(x[i])) == 0) continue;
        json_decref(a);
        return NULL;
    }
    return a;
}

/* A list, or of labels of tokens a list a token. */
static json_t *outputs(const struct result *r, const struct bert_config *c, const double *x) {
    if (c->head != BERT_HEAD_TOKENS) return numbers(x, r->labels);
    json_t *a = json_array();
    for (int i = 0; i < r->rows; i++) {
        if (json_array_append_new(a, numbers(x + i * r->labels, r->labels)) == 0) continue;
        json_decref(a);
        return NULL;
    }
    return a;
}

static json_t *prediction(const struct result *r, const struct bert_config *c, const double *x) {
    if (c->head != BERT_HEAD_TOKENS && c->task == BERT_SCORE) return json_real(x[0]);
    if (c->head != BERT_HEAD_TOKENS && c->task == BERT_ONE_OF)
        return json_integer(bert_argmax(x, r->labels));
    json_t *a = json_array();
    for (int i = 0; c->head == BERT_HEAD_TOKENS && i < r->rows; i++)
        json_array_append_new(a, json_integer(bert_argmax(x + i * r->labels, r->labels)));
    for (int l = 0; c->head != BERT_HEAD_TOKENS && l < r->labels; l++)
        if (x[l] > 0) json_array_append_new(a, json_integer(l));
    return a;
}

static json_t *known_label(const struct result *r, const struct bert_config *c) {
    if (c->head == BERT_HEAD_TOKENS) return json_null();
    if (c->task == BERT_SCORE) return isnan(r->score) ? json_null() : json_real(r->score);
    if (c->task == BERT_ONE_OF) return r->label < 0 ? json_null() : json_integer(r->label);
    if (!r->want) return json_null();
    json_t *a = json_array();
    for (int l = 0; l < r->labels; l++)
        if (r->want[l]) json_array_append_new(a, json_integer(l));
    return a;
}

static json_t *top_labels(const struct result *r, const struct bert_config *c) {
    double p[BERT_MAX_LABELS];
    int best[BERT_MAX_LABELS];
    json_t *a = json_array();
    result_scores(p, c, r->he_logits);
    result_order(best, p, r->labels);
    for (int i = 0; i < r->top && i < r->labels; i++)
        json_array_append_new(
            a, json_pack("{s:s, s:f}", "label", c->label_names[best[i]], "score", p[best[i]]));
    return a;
}

static int put_next(json_t *o, const struct result *r) {
    json_t *part = json_pack("{s:i, s:i, s:i, s:f, s:O}", "pred", r->pred, "plain_pred",
                             r->plain_pred, "rank", r->rank, "kl", r->kl, "labels", r->next);
    const int good = part && json_object_update(o, part) == 0;
    json_decref(part);
    return good;
}

/* 0 when a number is none. */
static int put_outcome(json_t *o, const struct result *r, const struct bert_config *c) {
    if (bert_is_causal(c)) return put_next(o, r);
    json_t *he = outputs(r, c, r->he_logits), *plain = outputs(r, c, r->plain_logits), *part;
    if (!he || !plain) {
        json_decref(he);
        json_decref(plain);
        return 0;
    }
    if (c->head == BERT_HEAD_STATE)
        part = json_pack("{s:o, s:o, s:f}", "embedding", he, "plain_embedding", plain, "cosine",
                         r->cosine);
    else
        part = json_pack("{s:o, s:o, s:o, s:o, s:o}", "pred", prediction(r, c, r->he_logits),
                         "plain_pred", prediction(r, c, r->plain_logits), "label",
                         known_label(r, c), "he_logits", he, "plain_logits", plain);
    int bad = json_object_update(o, part);
    json_decref(part);
    if (r->top && c->head != BERT_HEAD_STATE && r->rows == 1)
        bad |= json_object_set_new(o, "top", top_labels(r, c));
    if (r->words) bad |= json_object_set(o, "words", r->words);
    if (r->groups) bad |= json_object_set(o, "groups", r->groups);
    return !bad;
}

/* NULL when a number is none. */
static json_t *object(const struct result *r, const struct bert_config *c) {
    json_t *o = json_pack("{s:s, s:i, s:s, s:b, s:s}", "dataset_type", r->dataset_type,
                          "target_idx", r->target_idx, "device", r->device, "compact", r->compact,
                          "key_size", r->key_size);
    json_t *rest =
        json_pack("{s:{s:i, s:f, s:i}, s:{s:f, s:f, s:f, s:f}, s:f, s:f}", "params", "log_n",
                  r->log_n, "log_qp", r->log_qp, "security_bits", r->security_bits, "seconds",
                  "keygen", r->keygen, "encode", r->encode, "compute", r->compute, "total",
                  r->total, "max_abs_error", r->max_abs_error, "peak_rss_mib", r->peak_rss_mib);
    if (!o || !rest || !put_outcome(o, r, c) || json_object_update(o, rest) != 0) {
        json_decref(o);
        o = NULL;
    }
    json_decref(rest);
    return o;
}

static int no_number(void) {
    return thor_fail(THOR_RANGE, "the result cannot be written as JSON: a logit is not a number");
}

int result_print_json(const struct result *r, const struct bert_config *c) {
    json_t *o = object(r, c);
    return o ? put_object(o, JSON_REAL_PRECISION(9)) : no_number();
}

int result_save(const struct result *r, const struct bert_config *c, const char *dir) {
    int st = THOR_OK;
    char path[4300];
    json_t *o = object(r, c);
    if (!o) return no_number();
    TRY(make_folder(dir));
    snprintf(path, sizeof path, "%s/result.json", dir);
    TRY(save_object(json_incref(o), path));
out:
    json_decref(o);
    return st;
}

/* ---- read again ---- */

static int read_numbers(double *x, const json_t *a, int n) {
    if ((int)json_array_size(a) != n) return 0;
    for (int i = 0; i < n; i++) {
        if (!json_is_number(json_array_get(a, (size_t)i))) return 0;
        x[i] = json_number_value(json_array_get(a, (size_t)i));
    }
    return 1;
}

static int read_rows(double *x, const json_t *a, const struct result *r,
                     const struct bert_config *c) {
    if (c->head != BERT_HEAD_TOKENS) return read_numbers(x, a, r->labels);
    if ((int)json_array_size(a) != r->rows) return 0;
    for (int i = 0; i < r->rows; i++)
        if (!read_numbers(x + i * r->labels, json_array_get(a, (size_t)i), r->labels)) return 0;
    return 1;
}

/* Both of as many outputs, which some number of tokens gives. */
static int read_outputs(struct result *r, const json_t *he, const json_t *plain,
                        const struct bert_config *c) {
    const size_t tokens = c->head == BERT_HEAD_TOKENS ? json_array_size(he) : 1;
    return tokens >= 1 && tokens <= BERT_MAX_TOKENS && result_new(r, c, (int)tokens) == THOR_OK &&
           read_rows(r->he_logits, he, r, c) && read_rows(r->plain_logits, plain, r, c);
}

static int read_wanted(struct result *r, const json_t *list) {
    if (json_is_null(list)) return 1;
    r->want = json_is_array(list) ? calloc((size_t)r->labels, 1) : NULL;
    for (size_t i = 0; r->want && i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) >= r->labels)
            return 0;
        r->want[json_integer_value(v)] = 1;
    }
    return r->want != NULL;
}

static int read_label(struct result *r, const json_t *label, const struct bert_config *c) {
    if (!label) return 0;
    if (json_is_null(label)) return 1;
    if (c->task == BERT_ANY_OF) return read_wanted(r, label);
    if (c->task == BERT_SCORE) r->score = json_number_value(label);
    if (c->task == BERT_SCORE) return json_is_number(label);
    r->label = (int)json_integer_value(label);
    return json_is_integer(label);
}

static int read_next(struct result *r, const json_t *o) {
    if (json_unpack((json_t *)(uintptr_t)o, "{s:i, s:i, s:i, s:F, s:O}", "pred", &r->pred,
                    "plain_pred", &r->plain_pred, "rank", &r->rank, "kl", &r->kl, "labels",
                    &r->next) != 0)
        return 0;
    r->agree = r->pred == r->plain_pred;
    return r->rank >= 0 && json_array_size(r->next) > 0;
}

/* What is told of predictions is what the outputs give. */
static int read_outcome(struct result *r, const json_t *o, const struct bert_config *c) {
    if (bert_is_causal(c)) return read_next(r, o);
    const int state = c->head == BERT_HEAD_STATE;
    const json_t *he = json_object_get(o, state ? "embedding" : "he_logits"),
                 *plain = json_object_get(o, state ? "plain_embedding" : "plain_logits");
    if (!read_outputs(r, he, plain, c)) return 0;
    if (state) return json_is_number(json_object_get(o, "cosine"));
    json_t *pred = prediction(r, c, r->he_logits), *as_plain = prediction(r, c, r->plain_logits);
    const int scores = c->task == BERT_SCORE,
              same = scores ? json_is_number(json_object_get(o, "pred"))
                            : json_equal(pred, json_object_get(o, "pred")) &&
                                  json_equal(as_plain, json_object_get(o, "plain_pred"));
    json_decref(pred);
    json_decref(as_plain);
    return same && read_label(r, json_object_get(o, "label"), c);
}

static int read_object(struct result *r, json_t *o, const struct bert_config *c) {
    *r = (struct result){.label = -1, .score = NAN};
    return json_unpack(o, "{s:i, s:{s:F, s:F}, s:F}", "target_idx", &r->target_idx, "seconds",
                       "compute", &r->compute, "total", &r->total, "max_abs_error",
                       &r->max_abs_error) == 0 &&
           read_outcome(r, o, c);
}

int result_load(struct result *r, const char *path, const struct bert_config *c) {
    json_t *o = NULL;
    int good = load_object(&o, path, THOR_INPUT) == THOR_OK && read_object(r, o, c);
    json_decref(o);
    if (good) {
        if (!bert_is_causal(c)) result_judge(r, c);
        return THOR_OK;
    }
    result_free(r);
    return thor_fail(THOR_INPUT, "%.300s: is no complete result", path);
}
