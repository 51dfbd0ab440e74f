#include "cli/remote/errand.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "kernels/shown.h"

enum { TRIES = 6, LINE_MOST = 1 << 16, PIECE = 256 << 10 };

/* ---- send ---- */

static int hash_file(char out[33], const struct bert_file *f) {
    int st = THOR_OK;
    XXH3_state_t *state = XXH3_createState();
    XXH128_canonical_t c;
    char *buffer = malloc(PIECE);
    if (!state || !buffer) TRY(thor_fail(THOR_MEMORY, "no memory to hash a request"));
    XXH3_128bits_reset(state);
    for (size_t at = 0, n; at < f->n; at += n) {
        n = f->n - at < PIECE ? f->n - at : PIECE;
        TRY(bert_file_read(f, buffer, n, at));
        XXH3_128bits_update(state, buffer, n);
    }
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(state));
    sodium_bin2hex(out, 33, c.digest, 16);
out:
    free(buffer);
    XXH3_freeState(state);
    return st;
}

static int no_job(const struct wire *w) {
    return thor_fail(THOR_IO, "%s: takes a request and names no job; is it a thor server?",
                     wire_url(w));
}

/* What arrived is what was sent. */
static int check_accepted(struct errand *j, const struct wire *w, const struct wire_reply *r) {
    int st = THOR_OK;
    json_t *o = NULL;
    if (!r->location[0] || !r->text) return no_job(w);
    if (bert_json_parse(&o, r->text, r->bytes, 1000, 0, THOR_IO) != THOR_OK) return no_job(w);
    const char *hash = json_string_value(json_object_get(o, "request"));
    if (!hash || strcmp(hash, j->hash) != 0)
        st = thor_fail(THOR_IO, "%s: got another request than was sent; try again", wire_url(w));
    else
        snprintf(j->path, sizeof j->path, "%s", r->location);
    json_decref(o);
    return st;
}

int errand_send(struct errand *j, struct wire *w, const char *model, const char *file,
                void (*sent)(void *ctx, uint64_t bytes), void *ctx) {
    int st = THOR_OK;
    char path[100], key[64] = "Idempotency-Key: ";
    uint8_t random[16];
    struct bert_file f = {0};
    struct wire_reply r = {0};
    *j = (struct errand){0};
    for (int i = 0; i < 4; i++) {
        const uint32_t word = randombytes_random();
        memcpy(random + 4 * i, &word, 4);
    }
    sodium_bin2hex(key + strlen(key), 33, random, 16);
    snprintf(path, sizeof path, "/v1/models/%s/classify", model);
    TRY(bert_file_open(&f, file, THOR_IO));
    TRY(hash_file(j->hash, &f));
    TRY(wire_ask(&r, w,
                 &(struct wire_call){.method = "POST",
                                     .path = path,
                                     .header = {"Content-Type: application/octet-stream", key},
                                     .file = &f,
                                     .bytes = f.n,
                                     .again = 1,
                                     .sent = sent,
                                     .ctx = ctx}));
    if (sent) sent(ctx, f.n);
    TRY(check_accepted(j, w, &r));
out:
    if (st && strcmp(r.problem, "no-keys") == 0)
        st = thor_fail(THOR_KEY, "%s: has no keys for this; run thor remote upload first",
                       wire_url(w));
    if (r.status >= 300) j->hash[0] = 0; // nothing to take back
    wire_reply_free(&r);
    bert_file_close(&f);
    return st;
}

/* ---- follow ---- */

struct stream { /* of server-sent events */
    struct errand *job;
    void (*seen)(void *ctx, const struct errand_state *state);
    void *ctx;
    char line[LINE_MOST];
    size_t n;
    int news; /* an event came */
    int over; /* and it was the last */
    int st;   /* then: how the job ended */
};

static int whole(const json_t *o, const char *name) {
    const json_int_t v = json_integer_value(json_object_get(o, name));
    return v > 0 && v < 1 << 30 ? (int)v : 0;
}

static double real(const json_t *o, const char *name) {
    const json_t *v = json_object_get(o, name);
    return json_is_number(v) ? json_number_value(v) : -1;
}

static void put(char *to, size_t size, const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    shown_in(to, size, s ? s : "");
}

static int job_failed(struct errand *j, const json_t *o) {
    const json_t *p = json_object_get(o, "problem");
    const char *why = json_string_value(json_object_get(p, "detail"));
    const char *type = json_string_value(json_object_get(p, "type"));
    j->lost = type && strcmp(type, "urn:thor:lost") == 0;
    return thor_fail(j->lost ? THOR_IO : THOR_KEY, "the server gave no answer: %.400s",
                     why ? why : "it does not say why");
}

static void on_state(struct stream *s, const json_t *o) {
    struct errand_state now = {.position = whole(o, "position"),
                               .layer = whole(o, "layer"),
                               .layers = whole(o, "layers"),
                               .done = whole(o, "done"),
                               .total = whole(o, "total"),
                               .attempts = whole(o, "attempts"),
                               .seconds_left = real(o, "seconds_left"),
                               .seconds = real(o, "seconds")};
    put(now.state, sizeof now.state, o, "state");
    put(now.stage, sizeof now.stage, o, "stage");
    s->news = 1;
    if (s->seen) s->seen(s->ctx, &now);
    if (strcmp(now.state, "done") == 0)
        s->over = 1;
    else if (strcmp(now.state, "failed") == 0)
        s->over = 1, s->st = job_failed(s->job, o);
    else if (strcmp(now.state, "canceled") == 0)
        s->over = 1, s->st = thor_fail(THOR_INTERRUPTED, "the job was cancelled");
}

/* Every event that counts here has the job in one line of data. */
static void on_line(struct stream *s) {
    json_t *o = NULL;
    const char *data = s->line + 5;
    if (strncmp(s->line, "data:", 5) != 0 || s->over) return;
    if (*data == ' ') data++;
    if (bert_json_parse(&o, data, strlen(data), 1000, 0, THOR_IO) == THOR_OK) on_state(s, o);
    json_decref(o);
}

static int on_bytes(void *ctx, const char *data, size_t n) {
    struct stream *s = ctx;
    for (size_t i = 0; i < n; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (s->n == LINE_MOST - 1)
                return thor_fail(THOR_IO, "the server's events are too long; is it a thor server?");
            s->line[s->n++] = data[i];
            continue;
        }
        s->line[s->n] = 0;
        s->n = 0;
        on_line(s);
    }
    return THOR_OK;
}

int errand_follow(struct errand *j, struct wire *w,
                  void (*seen)(void *, const struct errand_state *), void *ctx) {
    int st = THOR_OK;
    char path[WIRE_LOCATION + 8];
    struct wire_reply r = {0};
    struct stream *s = calloc(1, sizeof *s);
    if (!s) return thor_fail(THOR_MEMORY, "no memory to follow a job");
    s->job = j;
    s->seen = seen;
    s->ctx = ctx;
    snprintf(path, sizeof path, "%s/events", j->path);
    for (int tries = 0, first = 1; !s->over; tries = s->news ? 0 : tries + 1, first = 0) {
        if (!first) TRY(wire_sleep(w, 0.25 * (1 << tries)));
        s->news = 0;
        s->n = 0;
        st = wire_ask(
            &r, w, &(struct wire_call){.method = "GET", .path = path, .sink = on_bytes, .ctx = s});
        if (s->over || (st == THOR_IO && r.broken && tries < TRIES)) st = THOR_OK;
        if (st == THOR_OK && !s->over && tries == TRIES)
            st = thor_fail(THOR_IO, "%s: says nothing of the job any more; try again", wire_url(w));
        wire_reply_free(&r);
        if (st) goto out;
    }
    st = s->st;
out:
    free(s);
    return st;
}

/* ---- fetch ---- */

struct answer_file {
    struct ckks_file_out *f;
    uint64_t got, want;
    const struct wire *w;
};

static int wrong_size(const struct wire *w, uint64_t got, uint64_t want) {
    return thor_fail(THOR_KEY,
                     "%s: an answer of %" PRIu64 " bytes, not %" PRIu64 ": refused; ask again",
                     wire_url(w), got, want);
}

static int on_answer(void *ctx, const char *data, size_t n) {
    struct answer_file *a = ctx;
    a->got += n;
    return a->got > a->want ? wrong_size(a->w, a->got, a->want) : ckks_file_write(a->f, data, n);
}

/* *again: a fresh try may do better. */
static int fetch_once(int *again, struct errand *j, struct wire *w, uint64_t bytes,
                      const char *file) {
    int st = THOR_OK;
    char path[WIRE_LOCATION + 8];
    struct wire_reply r = {0};
    struct answer_file a = {.want = bytes, .w = w};
    *again = 0;
    snprintf(path, sizeof path, "%s/answer", j->path);
    TRY(ckks_file_create(&a.f, file, CKKS_FILE_SHARED));
    st = wire_ask(&r, w,
                  &(struct wire_call){.method = "GET", .path = path, .sink = on_answer, .ctx = &a});
    *again = (st == THOR_IO && r.broken) || strcmp(r.problem, "not-done") == 0;
    if (st) goto out;
    if (strcmp(r.request, j->hash) != 0)
        TRY(thor_fail(THOR_KEY, "%s: the answer is to another request: refused; ask again",
                      wire_url(w)));
    if (a.got != bytes) TRY(wrong_size(w, a.got, bytes));
    TRY(ckks_file_commit(&a.f));
out:
    ckks_file_abandon(&a.f);
    wire_reply_free(&r);
    return st;
}

int errand_fetch(struct errand *j, struct wire *w, uint64_t bytes, const char *file) {
    int st = THOR_OK, again = 0;
    for (int tries = 0; tries < TRIES; tries++) {
        if (tries) TRY(wire_sleep(w, 0.25 * (1 << tries)));
        st = fetch_once(&again, j, w, bytes, file);
        if (st == THOR_OK || !again) break;
    }
out:
    return st;
}

/* The job of a request whose reply did not come any more. */
static void find_job(struct errand *j, struct wire *w) {
    struct wire_reply r = {0};
    json_t *all = NULL, *o;
    size_t i;
    if (wire_ask(&r, w, &(struct wire_call){.method = "GET", .path = "/v1/jobs", .always = 1}) ||
        !r.text || bert_json_parse(&all, r.text, r.bytes, BERT_JSON_SMALL, 0, THOR_IO) != THOR_OK)
        goto out;
    json_array_foreach(json_object_get(all, "jobs"), i, o) {
        const char *request = json_string_value(json_object_get(o, "request"));
        const char *job = json_string_value(json_object_get(o, "job"));
        if (request && job && strcmp(request, j->hash) == 0 && strlen(job) == 32 &&
            strspn(job, "0123456789abcdef") == 32)
            snprintf(j->path, sizeof j->path, "/v1/jobs/%s", job);
    }
out:
    json_decref(all);
    wire_reply_free(&r);
}

void errand_cancel(struct errand *j, struct wire *w) {
    struct wire_reply r = {0};
    if (j->hash[0] && !j->path[0]) find_job(j, w);
    if (j->path[0])
        wire_call(&r, w, &(struct wire_call){.method = "DELETE", .path = j->path, .always = 1});
    wire_reply_free(&r);
    *j = (struct errand){0};
}
