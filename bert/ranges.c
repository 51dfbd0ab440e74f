/* calibration.json: struct bert_ranges as JSON.  Every key must be there and none other, so that a
 * file of another version or a damaged one is refused rather than half understood.  Five may be
 * missing: hidden_act, which is gelu, window_min with window_max, and round_sum_min with
 * round_sum_max, which were not measured then; centred_max, of earlier files, is read over.  The
 * hash binds it to the weights it was measured on. */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/plan.h"

#define FORMAT "thor-calibration-2"

size_t bert_ranges_heads(int heads, int head_size) {
    return (size_t)heads * (size_t)(head_size + 6 + 2 * BERT_MAX_ROUNDS);
}

int bert_ranges_new(struct bert_ranges **out, int layers, int heads, int head_size) {
    size_t each = bert_ranges_heads(heads, head_size);
    struct bert_ranges *r = *out = calloc(1, sizeof *r);
    double *block = calloc((size_t)layers * each, sizeof *block);
    if (r) r->layer = calloc((size_t)layers, sizeof *r->layer);
    if (!r || !block || !r->layer) {
        free(block);
        bert_ranges_free(r);
        *out = NULL;
        return thor_fail(THOR_MEMORY, "no memory for the ranges of %d layers", layers);
    }
    r->layers = layers;
    r->heads = heads;
    r->head_size = head_size;
    for (int l = 0; l < layers; l++) {
        struct bert_layer_ranges *y = &r->layer[l];
        y->delta = block + (size_t)l * each;
        y->shift = y->delta + heads * head_size;
        y->score_lo = y->shift + heads;
        y->score_hi = y->score_lo + heads;
        y->den_lo = y->score_hi + heads;
        y->den_hi = y->den_lo + heads;
        y->stray = y->den_hi + heads;
        y->round_lo = y->stray + heads;
        y->round_hi = y->round_lo + BERT_MAX_ROUNDS * heads;
    }
    return THOR_OK;
}

void bert_ranges_free(struct bert_ranges *r) {
    if (!r) return;
    if (r->layer) free(r->layer[0].delta);
    free(r->layer);
    free(r);
}

static json_t *array_of(const double *x, int n) {
    json_t *a = json_array();
    for (int i = 0; i < n; i++) json_array_append_new(a, json_real(x[i]));
    if ((int)json_array_size(a) == n) return a;
    json_decref(a); // no memory
    return NULL;
}

// NAME_min and NAME_max; 0 without memory
static int add_pair(json_t *o, const char *name, const double *lo, const double *hi, int n) {
    char key[32];
    snprintf(key, sizeof key, "%s_min", name);
    int st = json_object_set_new(o, key, array_of(lo, n));
    snprintf(key, sizeof key, "%s_max", name);
    return st == 0 && json_object_set_new(o, key, array_of(hi, n)) == 0;
}

static json_t *layer_json(const struct bert_ranges *r, const struct bert_layer_ranges *y) {
    int h = r->heads;
    json_t *o =
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f}", "key_shift",
                  array_of(y->delta, h * r->head_size), "score_shift", array_of(y->shift, h),
                  "score_min", array_of(y->score_lo, h), "score_max", array_of(y->score_hi, h),
                  "log_sum_min", array_of(y->den_lo, h), "log_sum_max", array_of(y->den_hi, h),
                  "stray_weight", array_of(y->stray, h), "variance_min", array_of(y->var_lo, 2),
                  "variance_max", array_of(y->var_hi, 2), "gelu_max", y->gelu);
    const int rounds = BERT_MAX_ROUNDS * h;
    if ((!bert_ranges_windows(r) || add_pair(o, "window", y->win_lo, y->win_hi, 2)) &&
        (!bert_ranges_rounds(r) || add_pair(o, "round_sum", y->round_lo, y->round_hi, rounds)))
        return o;
    json_decref(o); // no memory
    return NULL;
}

static json_t *ranges_json(const struct bert_ranges *r) {
    char hash[17];
    const char *act = r->activation != BERT_GELU ? bert_activations[r->activation].names[0] : NULL;
    json_t *layers = json_array();
    snprintf(hash, sizeof hash, "%016" PRIx64, r->model_hash);
    for (int l = 0; l < r->layers; l++) json_array_append_new(layers, layer_json(r, &r->layer[l]));
    if ((int)json_array_size(layers) != r->layers) {
        json_decref(layers);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:s*, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:o}", "format", FORMAT,
                     "model_hash", hash, "hidden_act", act, "max_tokens", r->tokens, "texts",
                     r->rows, "heads", r->heads, "head_size", r->head_size, "margin", r->margin,
                     "top_nats", r->top, "tanh_max", r->tanh, "layers", layers);
}

int bert_ranges_save(const struct bert_ranges *r, const char *path) {
    return bert_json_save(ranges_json(r), path);
}

#define RANGES_BYTES_MAX ((size_t)64 << 20)

static int damaged(const char *path, const char *what) {
    return thor_fail(THOR_MODEL, "%s: %s; make it again with `thor encode --calibrate FILE`", path,
                     what);
}

static int read_array(double *x, int n, const json_t *a, const char *path, const char *key) {
    if (!json_is_array(a) || (int)json_array_size(a) != n) return damaged(path, key);
    for (int i = 0; i < n; i++) {
        const json_t *v = json_array_get(a, (size_t)i);
        if (!json_is_number(v) || !isfinite(json_number_value(v))) return damaged(path, key);
        x[i] = json_number_value(v);
    }
    return THOR_OK;
}

/* What a plan can use: with these, every scale that it folds into weights and every end of an
 * interval is a finite number of ordinary size.  Tighter limits are the plan's own, by degree. */
#define MOST_NATS 1e4  /* scores, log-sums and their shifts */
#define MOST_SHIFT 1e6 /* of keys */
#define MOST_INPUT 1e4 /* of GELU and tanh */
#define LEAST_VARIANCE 1e-12
#define MOST_VARIANCE 1e12
#define MOST_MARGIN 10.0

static int unfit(const char *path, const char *field, int layer, double x, double lo, double hi) {
    char where[32] = "";
    if (layer >= 0) snprintf(where, sizeof where, "layer %d: ", layer);
    return thor_fail(THOR_MODEL,
                     "%s: %s%s is %g, a plan takes %g to %g; make it again with `thor encode "
                     "--calibrate FILE`, with other texts if they gave this",
                     path, where, field, x, lo, hi);
}

static int check_values(const char *path, const char *field, int layer, const double *x, int n,
                        double lo, double hi) {
    for (int i = 0; i < n; i++)
        if (!(x[i] >= lo && x[i] <= hi)) return unfit(path, field, layer, x[i], lo, hi);
    return THOR_OK;
}

static int check_layer(const struct bert_ranges *r, int l, const char *path) {
    int st = THOR_OK, n = r->heads;
    const struct bert_layer_ranges *y = &r->layer[l];
    const double nats = MOST_NATS;
    TRY(check_values(path, "key_shift", l, y->delta, n * r->head_size, -MOST_SHIFT, MOST_SHIFT));
    TRY(check_values(path, "score_shift", l, y->shift, n, -nats, nats));
    TRY(check_values(path, "score_min", l, y->score_lo, n, -nats, nats));
    TRY(check_values(path, "log_sum_min", l, y->den_lo, n, -nats, nats));
    TRY(check_values(path, "stray_weight", l, y->stray, n, -1e-6, 1 + 1e-6));
    TRY(check_values(path, "round_sum_min", l, y->round_lo, BERT_MAX_ROUNDS * n, -nats, nats));
    for (int i = 0; i < BERT_MAX_ROUNDS * n; i++)
        TRY(check_values(path, "round_sum_max", l, &y->round_hi[i], 1, y->round_lo[i], nats));
    for (int h = 0; h < n; h++) {
        TRY(check_values(path, "score_max", l, &y->score_hi[h], 1, y->score_lo[h], nats));
        TRY(check_values(path, "log_sum_max", l, &y->den_hi[h], 1, y->den_lo[h], nats));
    }
    TRY(check_values(path, "variance_min", l, y->var_lo, 2, LEAST_VARIANCE, MOST_VARIANCE));
    for (int i = 0; i < 2; i++)
        TRY(check_values(path, "variance_max", l, &y->var_hi[i], 1, y->var_lo[i], MOST_VARIANCE));
    TRY(check_values(path, "gelu_max", l, &y->gelu, 1, 0, MOST_INPUT));
out:
    return st;
}

// every variance is a window too; all are 0 where none was measured
static int check_windows(const struct bert_layer_ranges *y, int measured, int l, const char *path) {
    int st = THOR_OK;
    for (int i = 0; i < 2; i++) {
        TRY(check_values(path, "window_min", l, &y->win_lo[i], 1, 0, measured ? y->var_lo[i] : 0));
        TRY(check_values(path, "window_max", l, &y->win_hi[i], 1, measured ? y->var_hi[i] : 0,
                         measured ? MOST_VARIANCE : 0));
    }
out:
    return st;
}

int bert_ranges_windows(const struct bert_ranges *r) {
    return r->layer[0].win_hi[0] > 0;
}

int bert_ranges_rounds(const struct bert_ranges *r) {
    for (int i = 0; i < BERT_MAX_ROUNDS * r->heads; i++)
        if (r->layer[0].round_lo[i] != 0 || r->layer[0].round_hi[i] != 0) return 1;
    return 0;
}

int bert_ranges_check(const struct bert_ranges *r, const char *path) {
    int st = THOR_OK;
    const double counts[2] = {r->tokens, r->rows};
    TRY(check_values(path, "max_tokens", -1, &counts[0], 1, 1, BERT_MAX_TOKENS));
    TRY(check_values(path, "texts", -1, &counts[1], 1, 1, INT_MAX));
    TRY(check_values(path, "margin", -1, &r->margin, 1, 0, MOST_MARGIN));
    TRY(check_values(path, "top_nats", -1, &r->top, 1, 0, MOST_NATS));
    TRY(check_values(path, "tanh_max", -1, &r->tanh, 1, 0, MOST_INPUT));
    for (int l = 0; l < r->layers; l++) {
        TRY(check_layer(r, l, path));
        TRY(check_windows(&r->layer[l], bert_ranges_windows(r), l, path));
    }
out:
    return st;
}

static int same_layer(const struct bert_layer_ranges *a, const struct bert_layer_ranges *b,
                      size_t heads) {
    int same = a->gelu == b->gelu;
    for (size_t i = 0; i < heads; i++) same &= a->delta[i] == b->delta[i];
    for (int i = 0; i < 2; i++)
        same &= a->var_lo[i] == b->var_lo[i] && a->var_hi[i] == b->var_hi[i] &&
                a->win_lo[i] == b->win_lo[i] && a->win_hi[i] == b->win_hi[i];
    return same;
}

int bert_ranges_same(const struct bert_ranges *a, const struct bert_ranges *b) {
    if (a->model_hash != b->model_hash || a->layers != b->layers || a->heads != b->heads ||
        a->head_size != b->head_size || a->tokens != b->tokens || a->rows != b->rows ||
        a->activation != b->activation || a->margin != b->margin || a->top != b->top ||
        a->tanh != b->tanh)
        return 0;
    int same = 1;
    for (int l = 0; l < a->layers; l++)
        same &= same_layer(&a->layer[l], &b->layer[l], bert_ranges_heads(a->heads, a->head_size));
    return same;
}

static int read_layer(const struct bert_ranges *r, struct bert_layer_ranges *y, json_t *j,
                      const char *path) {
    int st = THOR_OK, h = r->heads;
    json_t *a[9], *least = NULL, *most = NULL, *from = NULL, *to = NULL, *centred = NULL;
    json_error_t e;
    if (json_unpack_ex(
            j, &e, 0,
            "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s?o, s?o, s?o, s?o, s?o, s:F !}",
            "key_shift", &a[0], "score_shift", &a[1], "score_min", &a[2], "score_max", &a[3],
            "log_sum_min", &a[4], "log_sum_max", &a[5], "variance_min", &a[6], "variance_max",
            &a[7], "stray_weight", &a[8], "window_min", &least, "window_max", &most,
            "round_sum_min", &from, "round_sum_max", &to, "centred_max", &centred, "gelu_max",
            &y->gelu) != 0)
        return damaged(path, e.text);
    if (!least != !most) return damaged(path, "window_min or window_max is missing");
    if (!from != !to) return damaged(path, "round_sum_min or round_sum_max is missing");
    TRY(read_array(y->delta, h * r->head_size, a[0], path, "key_shift is damaged"));
    TRY(read_array(y->shift, h, a[1], path, "score_shift is damaged"));
    TRY(read_array(y->score_lo, h, a[2], path, "score_min is damaged"));
    TRY(read_array(y->score_hi, h, a[3], path, "score_max is damaged"));
    TRY(read_array(y->den_lo, h, a[4], path, "log_sum_min is damaged"));
    TRY(read_array(y->den_hi, h, a[5], path, "log_sum_max is damaged"));
    TRY(read_array(y->stray, h, a[8], path, "stray_weight is damaged"));
    TRY(read_array(y->var_lo, 2, a[6], path, "variance_min is damaged"));
    TRY(read_array(y->var_hi, 2, a[7], path, "variance_max is damaged"));
    if (least) {
        TRY(read_array(y->win_lo, 2, least, path, "window_min is damaged"));
        TRY(read_array(y->win_hi, 2, most, path, "window_max is damaged"));
    }
    if (from) {
        TRY(read_array(y->round_lo, BERT_MAX_ROUNDS * h, from, path, "round_sum_min is damaged"));
        TRY(read_array(y->round_hi, BERT_MAX_ROUNDS * h, to, path, "round_sum_max is damaged"));
    }
out:
    return st;
}

static int read_head(struct bert_ranges *r, json_t **layers, json_t *root, const char *path) {
    const char *format, *hash, *act = bert_activations[BERT_GELU].names[0];
    char *end;
    json_error_t e;
    if (json_unpack_ex(root, &e, 0, "{s:s, s:s, s?s, s:i, s:i, s:i, s:i, s:F, s:F, s:F, s:o !}",
                       "format", &format, "model_hash", &hash, "hidden_act", &act, "max_tokens",
                       &r->tokens, "texts", &r->rows, "heads", &r->heads, "head_size",
                       &r->head_size, "margin", &r->margin, "top_nats", &r->top, "tanh_max",
                       &r->tanh, "layers", layers) != 0)
        return damaged(path, e.text);
    if (strcmp(format, FORMAT)) return damaged(path, "made by another version");
    r->model_hash = strtoull(hash, &end, 16);
    if (strlen(hash) != 16 || *end) return damaged(path, "model_hash is damaged");
    if (!bert_activation_find(&r->activation, act)) return damaged(path, "hidden_act is damaged");
    return THOR_OK;
}

static int read_root(struct bert_ranges **out, json_t *root, const char *path,
                     const struct bert_model *m) {
    int st = THOR_OK;
    struct bert_ranges head = {0};
    const struct bert_config *c = &m->cfg;
    json_t *layers;
    TRY(read_head(&head, &layers, root, path));
    if (head.model_hash != m->hash)
        TRY(damaged(path, "measured on other weights than this model's"));
    if (head.heads != c->heads || head.head_size != c->hidden / c->heads ||
        !json_is_array(layers) || (int)json_array_size(layers) != c->layers)
        TRY(damaged(path, "measured on a model of another shape"));
    if (head.activation != c->activation)
        TRY(damaged(path, "measured with another hidden_act than this model's"));
    TRY(bert_ranges_new(out, c->layers, head.heads, head.head_size));
    head.layers = c->layers;
    head.layer = (*out)->layer;
    **out = head;
    for (int l = 0; l < c->layers; l++)
        TRY(read_layer(*out, &(*out)->layer[l], json_array_get(layers, (size_t)l), path));
    TRY(bert_ranges_check(*out, path));
out:
    return st;
}

int bert_ranges_load(struct bert_ranges **out, const char *path, const struct bert_model *m) {
    int st;
    json_t *root = NULL;
    *out = NULL;
    st = bert_json_read(&root, path, RANGES_BYTES_MAX, BERT_JSON_LARGE, 0, THOR_MODEL);
    if (st == THOR_OK) st = read_root(out, root, path, m);
    json_decref(root);
    if (st != THOR_OK) {
        bert_ranges_free(*out);
        *out = NULL;
    }
    return st;
}
