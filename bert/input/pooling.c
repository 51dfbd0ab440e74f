#include "bert/input/pooling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"

enum { PATH = 4400, FILE_MOST = 1 << 20 };

static int read_json(json_t **o, const char *path) {
    int st = THOR_OK;
    size_t n = 0;
    char *text = NULL;
    *o = NULL;
    TRY(bert_read_file(&text, &n, path, FILE_MOST, THOR_MODEL));
    if (bert_json_parse(o, text, n, BERT_JSON_SMALL, 0, THOR_MODEL) != THOR_OK)
        st = thor_fail_in(THOR_MODEL, path);
out:
    free(text);
    return st;
}

/* The one pooling_mode_* that is true: that of all tokens or of the first. */
static int read_pooling(struct bert_config *c, const char *path) {
    static const char prefix[] = "pooling_mode_";
    int st = THOR_OK, modes = 0;
    json_t *o, *on;
    const char *key, *mode = "";
    TRY(read_json(&o, path));
    json_object_foreach(o, key, on) {
        if (strncmp(key, prefix, strlen(prefix)) != 0 || !json_is_true(on)) continue;
        mode = key + strlen(prefix);
        modes++;
    }
    c->pool = strcmp(mode, "cls_token") == 0 ? BERT_POOL_CLS : BERT_POOL_MEAN;
    if (modes != 1 || (c->pool == BERT_POOL_MEAN && strcmp(mode, "mean_tokens") != 0))
        st = thor_fail(THOR_MODEL,
                       "%s: pools by %s%.60s; supported are mean_tokens and cls_token alone: name "
                       "one with --pool",
                       path,
                       modes > 1 ? "several modes, one is "
                       : modes   ? ""
                                 : "no mode",
                       mode);
out:
    json_decref(o);
    return st;
}

/* Module i, whose type ends in the name of its class. */
static int read_module(struct bert_config *c, const json_t *module, size_t i, const char *dir) {
    char path[PATH];
    const char *type = json_string_value(json_object_get(module, "type")),
               *of = json_string_value(json_object_get(module, "path"));
    const char *dot = type ? strrchr(type, '.') : NULL, *name = dot ? dot + 1 : "?";
    if (i == 0 && strcmp(name, "Transformer") == 0) return THOR_OK;
    if (i == 2 && strcmp(name, "Normalize") == 0) {
        c->normalize = 1;
        return THOR_OK;
    }
    if (i == 1 && strcmp(name, "Pooling") == 0 && of && *of && !strchr(of, '/') && *of != '.') {
        snprintf(path, sizeof path, "%s/%.100s/config.json", dir, of);
        return read_pooling(c, path);
    }
    return thor_fail(THOR_MODEL,
                     "%s/modules.json: module %zu is %.60s; supported are Transformer, Pooling and "
                     "Normalize, in this order",
                     dir, i, name);
}

static int read_modules(struct bert_config *c, const char *dir, const char *path) {
    int st = THOR_OK;
    size_t i;
    json_t *o, *module;
    TRY(read_json(&o, path));
    if (!json_is_array(o)) TRY(thor_fail(THOR_MODEL, "%s: is no list of modules", path));
    json_array_foreach(o, i, module) TRY(read_module(c, module, i, dir));
out:
    json_decref(o);
    return st;
}

int bert_pooling_load(struct bert_config *c, const char *dir) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/modules.json", dir);
    if ((c->head != BERT_HEAD_STATE && c->head != BERT_HEAD_ANY) || !bert_file_exists(path))
        return THOR_OK;
    return read_modules(c, dir, path);
}

void bert_pool(double *e, const struct bert_config *c, const double *x, int rows) {
    const int H = c->hidden, n = c->pool == BERT_POOL_CLS ? 1 : rows;
    double square = 0;
    for (int k = 0; k < H; k++) {
        double sum = 0;
        for (int t = 0; t < n; t++) sum += x[(size_t)t * (size_t)H + (size_t)k];
        e[k] = sum / n; // row 0 is read before it is written
        square += e[k] * e[k];
    }
    for (int k = 0; c->normalize && square > 0 && k < H; k++) e[k] /= sqrt(square);
}

double bert_cosine(const double *a, const double *b, int n) {
    double ab = 0, aa = 0, bb = 0;
    for (int i = 0; i < n; i++) ab += a[i] * b[i], aa += a[i] * a[i], bb += b[i] * b[i];
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}
