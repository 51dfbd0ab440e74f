#include "cli/remote/served.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "kernels/shown.h"

/* *status: the reply's, or 0. */
static int get(json_t **o, int *status, struct wire *w, const char *path) {
    int st = THOR_OK;
    struct wire_reply r = {0};
    *o = NULL;
    st = wire_ask(&r, w, &(struct wire_call){.method = "GET", .path = path, .again = 1});
    *status = r.status;
    if (st) goto out;
    if (!r.text || bert_json_parse(o, r.text, r.bytes, BERT_JSON_SMALL, 0, THOR_IO) != THOR_OK ||
        !json_is_object(*o)) {
        json_decref(*o);
        *o = NULL;
        st = thor_fail(THOR_IO, "%s%s: answers what is no JSON object; is it a thor server?",
                       wire_url(w), path);
    }
out:
    wire_reply_free(&r);
    return st;
}

int served_get(json_t **o, struct wire *w, const char *path) {
    int status;
    return get(o, &status, w, path);
}

static int put(char *to, size_t size, const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    if (s) shown_in(to, size, s);
    return s != NULL;
}

static uint64_t whole(const json_t *o, const char *name) {
    const json_int_t v = json_integer_value(json_object_get(o, name));
    return v > 0 ? (uint64_t)v : 0;
}

/* 0: not what a server says. */
static int read_names(struct served *s, const json_t *m) {
    return put(s->id, sizeof s->id, m, "id") && strlen(s->id) == 16 &&
           strspn(s->id, "0123456789abcdef") == 16 && put(s->name, sizeof s->name, m, "name") &&
           put(s->params, sizeof s->params, m, "parameters");
}

/* The same. */
static int read_model(struct served *s, const json_t *m, const json_t *bucket) {
    const json_t *seconds = json_object_get(bucket, "seconds");
    s->tokens = (int)whole(bucket, "tokens");
    s->key_bytes = whole(bucket, "key_bytes");
    s->request_bytes = whole(bucket, "request_bytes");
    s->answer_bytes = whole(bucket, "answer_bytes");
    s->block_bytes = whole(m, "block_bytes");
    s->seconds = json_is_number(seconds) ? json_number_value(seconds) : -1;
    return read_names(s, m) && s->tokens && s->key_bytes && s->answer_bytes && s->block_bytes;
}

static int odd_model(const struct wire *w) {
    return thor_fail(THOR_IO,
                     "%s: describes a model in a way that is not understood; are both of "
                     "one version?",
                     wire_url(w));
}

static int no_bucket(const struct wire *w, const json_t *m, int tokens, const char *params) {
    const json_t *b, *buckets = json_object_get(m, "buckets");
    char list[200] = "";
    size_t i, n = 0;
    json_array_foreach(buckets, i, b) {
        if (n < sizeof list - 12)
            n += (size_t)snprintf(list + n, sizeof list - n, "%s%d", i ? ", " : "",
                                  (int)whole(b, "tokens"));
    }
    return thor_fail(THOR_MODEL,
                     "%s: serves this model with parameters %.20s for texts of %s tokens, not %s "
                     "for %d; give --tokens, and keys that were made for them",
                     wire_url(w), json_string_value(json_object_get(m, "parameters")), list, params,
                     tokens);
}

int served_find(struct served *out, struct wire *w, uint64_t model, int tokens,
                const char *params) {
    int st = THOR_OK, status;
    char path[64];
    size_t i;
    json_t *m = NULL, *b;
    snprintf(path, sizeof path, "/v1/models/%016" PRIx64, model);
    st = get(&m, &status, w, path);
    if (status == 404)
        st = thor_fail(THOR_MODEL,
                       "%s: does not serve this model (%s); see thor remote status for those that "
                       "it has",
                       wire_url(w), path + strlen("/v1/models/"));
    if (st) goto out;
    json_array_foreach(json_object_get(m, "buckets"), i, b) {
        if (!read_model(out, m, b)) TRY(odd_model(w));
        if (out->tokens == tokens && strcmp(out->params, params) == 0) goto out;
    }
    st = no_bucket(w, m, tokens, params);
out:
    json_decref(m);
    return st;
}

int served_split(struct served *out, struct wire *w) {
    int st = THOR_OK;
    json_t *m = NULL;
    *out = (struct served){.seconds = -1};
    TRY(served_get(&m, w, "/v1/split"));
    out->key_bytes = whole(m, "key_bytes");
    out->block_bytes = whole(m, "block_bytes");
    if (!read_names(out, m) || !out->key_bytes || !out->block_bytes) st = odd_model(w);
out:
    json_decref(m);
    return st;
}

static int fits(const struct served *s, uint64_t bytes, const char *params, const char *named,
                int tokens) {
    return s->key_bytes == bytes && strcmp(s->params, params) == 0 &&
           (!tokens || s->tokens == tokens) &&
           (!named || strcmp(s->name, named) == 0 || strcmp(s->id, named) == 0);
}

int served_for_keys(struct served *out, struct wire *w, uint64_t bytes, const char *params,
                    const char *named, int tokens) {
    int st = THOR_OK, found = 0;
    size_t i, k;
    json_t *all = NULL, *m, *b;
    struct served s = {0};
    TRY(served_get(&all, w, "/v1/models"));
    json_array_foreach(json_object_get(all, "models"), i, m)
        json_array_foreach(json_object_get(m, "buckets"), k, b) {
        if (!read_model(&s, m, b)) TRY(odd_model(w));
        if (!fits(&s, bytes, params, named, tokens)) continue;
        if (found && strcmp(out->id, s.id) != 0)
            TRY(thor_fail(THOR_USAGE,
                          "%s: these keys could be for %s or for %s; say which with --on",
                          wire_url(w), out->name, s.name));
        if (!found || s.tokens > out->tokens) *out = s;
        found = 1;
    }
    if (!found)
        st = thor_fail(THOR_KEY,
                       "%s: serves no model%s%.60s that needs keys of %" PRIu64 " bytes and "
                       "parameters %s; make keys for one that thor remote status names",
                       wire_url(w), named ? " called " : "", named ? named : "", bytes, params);
out:
    json_decref(all);
    return st;
}
