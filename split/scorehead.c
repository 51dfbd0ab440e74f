#include "split/scorehead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/shards.h"
#include "split/weights.h"

enum { PATH = 4200 };

static int ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* The first that the usual library would make; "" where nothing is named. */
static const char *class_of(const json_t *architectures) {
    const char *name = json_string_value(json_array_get(architectures, 0));
    return name ? name : "";
}

int split_score_is(const json_t *architectures) {
    return ends_in(class_of(architectures), "ForSequenceClassification");
}

static int read_config(json_t **config, const char *folder) {
    char path[PATH];
    snprintf(path, sizeof path, "%.4000s/config.json", folder);
    return bert_json_read(config, path, (size_t)1 << 20, BERT_JSON_SMALL, 0, THOR_MODEL);
}

static int refuse_others(const char *class, const char *folder) {
    static const char *const end[] = {"ForTokenClassification", "ForQuestionAnswering"};
    for (size_t i = 0; i < sizeof end / sizeof *end; i++)
        if (ends_in(class, end[i]))
            return thor_fail(THOR_MODEL,
                             "%.300s/config.json: architectures names %.60s, whose head is not "
                             "supported: name a language model or a ..ForSequenceClassification",
                             folder, class);
    return THOR_OK;
}

int split_score_config(struct bert_config *c, const char *folder) {
    int st = THOR_OK;
    char path[PATH];
    json_t *config = NULL;
    c->labels = 0;
    TRY(read_config(&config, folder));
    const json_t *architectures = json_object_get(config, "architectures");
    TRY(refuse_others(class_of(architectures), folder));
    if (!split_score_is(architectures)) goto out;
    snprintf(path, sizeof path, "%.4000s/config.json", folder);
    TRY(bert_labels_read(c, path));
    if (c->task != BERT_ONE_OF)
        st = thor_fail(THOR_MODEL, "%s: only classifiers with one label of several are trained",
                       path);
out:
    json_decref(config);
    return st;
}

/* null: none; a list, as some files have it for eos, is none of a text's tokens either. */
static int read_pad(int *pad, const char *folder) {
    int st = THOR_OK;
    json_t *config = NULL;
    TRY(read_config(&config, folder));
    const json_t *o = json_object_get(config, "pad_token_id");
    const json_int_t id = json_is_integer(o) ? json_integer_value(o) : -1;
    *pad = id >= 0 && id < 1 << 30 ? (int)id : -1;
out:
    json_decref(config);
    return st;
}

int split_score_read(float **w, int *pad, const struct bert_config *c, int hidden,
                     const char *folder) {
    int st = THOR_OK;
    char path[PATH];
    struct bert_shards *file = NULL;
    float *to = NULL;
    *w = NULL;
    *pad = -1;
    if (!c->labels) return THOR_OK;
    const size_t n = (size_t)c->labels * (size_t)hidden;
    TRY(read_pad(pad, folder));
    split_weights_path(path, sizeof path, folder);
    TRY(bert_shards_open(&file, path));
    TRY(bert_shards_expect(file, SPLIT_SCORE ".weight", c->labels, hidden));
    to = calloc(n + (size_t)c->labels, sizeof *to);
    if (!to) TRY(thor_fail(THOR_MEMORY, "%s: no memory for a classifier", folder));
    TRY(bert_shards_read(to, file, SPLIT_SCORE ".weight", c->labels, hidden));
    *w = to;
    to = NULL;
out:
    free(to);
    bert_shards_close(file);
    return st;
}
