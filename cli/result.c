#include "cli/result.h"

#include <math.h>
#include <stdlib.h>

#include "bert/input/text.h"
#include "bert/reference.h"
#include "bert/witness.h"
#include "cli/cli.h"
#include "cli/json.h"

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
    r->he_logits = r->plain_logits = NULL;
}

int result_is_one(const struct result *r) {
    return r->no_result ? thor_fail(THOR_RANGE, BERT_NO_RESULT) : THOR_OK;
}

void result_judge(struct result *r) {
    r->max_abs_error = 0;
    for (int i = 0; i < r->rows * r->labels; i++) {
        const double e = fabs(r->he_logits[i] - r->plain_logits[i]);
        if (!(e <= r->max_abs_error) && !isnan(r->max_abs_error)) r->max_abs_error = e;
    }
    r->pred = bert_argmax(r->he_logits, r->labels);
    r->plain_pred = bert_argmax(r->plain_logits, r->labels);
}

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

/* NULL when a number is none. */
static json_t *object(const struct result *r) {
    json_t *label = r->label < 0 ? json_null() : json_integer(r->label);
    return json_pack("{s:s, s:i, s:s, s:b, s:s, s:i, s:i, s:o, s:o, s:o, s:{s:i, s:f, s:i}, "
                     "s:{s:f, s:f, s:f, s:f}, s:f, s:f}",
                     "dataset_type", r->dataset_type, "target_idx", r->target_idx, "device",
                     r->device, "compact", r->compact, "key_size", r->key_size, "pred", r->pred,
                     "plain_pred", r->plain_pred, "label", label, "he_logits",
                     numbers(r->he_logits, r->rows * r->labels), "plain_logits",
                     numbers(r->plain_logits, r->rows * r->labels), "params", "log_n", r->log_n,
                     "log_qp", r->log_qp, "security_bits", r->security_bits, "seconds", "keygen",
                     r->keygen, "encode", r->encode, "compute", r->compute, "total", r->total,
                     "max_abs_error", r->max_abs_error, "peak_rss_mib", r->peak_rss_mib);
}

static int no_number(void) {
    return thor_fail(THOR_RANGE, "the result cannot be written as JSON: a logit is not a number");
}

int result_print_json(const struct result *r) {
    json_t *o = object(r);
    return o ? put_object(o, JSON_REAL_PRECISION(9)) : no_number();
}

int result_save(const struct result *r, const char *dir) {
    int st = THOR_OK;
    char path[4300];
    json_t *o = object(r);
    if (!o) return no_number();
    TRY(make_folder(dir));
    snprintf(path, sizeof path, "%s/result.json", dir);
    TRY(save_object(json_incref(o), path));
out:
    json_decref(o);
    return st;
}

static int read_numbers(double *x, const json_t *a) {
    for (size_t i = 0; i < json_array_size(a); i++) {
        if (!json_is_number(json_array_get(a, i))) return 0;
        x[i] = json_number_value(json_array_get(a, i));
    }
    return 1;
}

/* Both of as many outputs, which some number of tokens gives. */
static int read_outputs(struct result *r, const json_t *he, const json_t *plain,
                        const struct bert_config *c) {
    const size_t n = json_array_size(he), each = bert_outputs(c, 1);
    const int tokens = (int)(n / each);
    if (n == 0 || n != json_array_size(plain) || tokens > BERT_MAX_TOKENS ||
        n != bert_outputs(c, tokens) || result_new(r, c, tokens) != THOR_OK)
        return 0;
    return read_numbers(r->he_logits, he) && read_numbers(r->plain_logits, plain);
}

static int read_object(struct result *r, json_t *o, const struct bert_config *c) {
    json_t *label, *he, *plain;
    *r = (struct result){.label = -1};
    if (json_unpack(o, "{s:i, s:i, s:i, s:o, s:o, s:o, s:{s:F, s:F}, s:F}", "target_idx",
                    &r->target_idx, "pred", &r->pred, "plain_pred", &r->plain_pred, "label", &label,
                    "he_logits", &he, "plain_logits", &plain, "seconds", "compute", &r->compute,
                    "total", &r->total, "max_abs_error", &r->max_abs_error) != 0)
        return 0;
    if (json_is_integer(label)) r->label = (int)json_integer_value(label);
    return (json_is_integer(label) || json_is_null(label)) && read_outputs(r, he, plain, c) &&
           r->pred >= 0 && r->pred < r->labels && r->plain_pred >= 0 && r->plain_pred < r->labels;
}

int result_load(struct result *r, const char *path, const struct bert_config *c) {
    json_t *o = NULL;
    int good = load_object(&o, path, THOR_INPUT) == THOR_OK && read_object(r, o, c);
    json_decref(o);
    if (good) return THOR_OK;
    result_free(r);
    return thor_fail(THOR_INPUT, "%.300s: is no complete result", path);
}
