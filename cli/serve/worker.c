#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "cli/serve/engine.h"
#include "cli/serve/logline.h"
#include "cli/serve/uploads.h"

static int answers(const struct engine_worker *w) {
    return bert_answer_count(&w->bucket->shape, &w->model->model->cfg);
}

/* ---- keys in memory ---- */

static void drop_keys(struct engine_worker *w, int i) {
    struct engine *e = w->engine;
    pthread_mutex_lock(&e->lock);
    struct engine_keys gone = w->resident[i];
    w->resident[i] = w->resident[--w->residents];
    pthread_mutex_unlock(&e->lock);
    if (w->recorded == gone.keys) {
        bert_server_free(w->bert);
        w->bert = NULL;
        w->recorded = NULL;
    }
    if (w->cx->keys == gone.keys) ckks_use_keys(w->cx, NULL);
    ckks_keys_free(gone.keys);
    ckks_keyfile_close(gone.file);
}

/* Keys that were deleted or have expired leave the memory too. */
static void drop_gone(struct engine_worker *w) {
    for (int i = w->residents - 1; i >= 0; i--)
        if (!upload_is_ready(w->engine->jobs->store, w->resident[i].key)) drop_keys(w, i);
}

/* The ones used longest ago go until `bytes` more fit. */
static void make_room(struct engine_worker *w, size_t bytes) {
    for (;;) {
        size_t held = bytes;
        int oldest = 0;
        for (int i = 0; i < w->residents; i++) {
            held += w->resident[i].bytes;
            if (w->resident[i].used < w->resident[oldest].used) oldest = i;
        }
        if (!w->residents || (held <= w->budget && w->residents < ENGINE_RESIDENT)) return;
        drop_keys(w, oldest);
    }
}

static int load_keys(struct engine_keys *k, struct engine_worker *w, const char *key) {
    int st = THOR_OK;
    char path[STORE_PATH];
    const struct engine_bucket *b = w->bucket;
    const int compact = w->engine->setup.compact;
    *k = (struct engine_keys){.bytes = compact ? ckks_compact_bytes(b->key_memory) : b->key_memory};
    memcpy(k->key, key, sizeof k->key);
    make_room(w, k->bytes);
    upload_file(path, w->engine->jobs->store, key);
    TRY(ckks_keyfile_open(&k->file, w->cx, path));
    if (compact) {
        TRY(ckks_keys_stream(&k->keys, k->file, b->need, b->needs, b->uses, b->n_uses, k->bytes));
    } else {
        TRY(ckks_keys_take(&k->keys, k->file, b->need, b->needs, NULL, NULL));
        ckks_keyfile_close(k->file);
        k->file = NULL;
    }
out:
    if (st) {
        ckks_keys_free(k->keys);
        ckks_keyfile_close(k->file);
    }
    return st;
}

static int use_keys(struct engine_worker *w, const char *key) {
    int st = THOR_OK, at = 0;
    struct engine_keys k;
    while (at < w->residents && strcmp(w->resident[at].key, key) != 0) at++;
    if (at == w->residents) {
        const double began = bench_now();
        TRY(load_keys(&k, w, key));
        at = w->residents;
        pthread_mutex_lock(&w->engine->lock);
        w->resident[w->residents++] = k;
        pthread_mutex_unlock(&w->engine->lock);
        logline("keys", "{s:s, s:s, s:f}", "key", key, "device", w->name, "seconds",
                bench_now() - began);
    }
    w->resident[at].used = ++w->turn;
    ckks_use_keys(w->cx, w->resident[at].keys);
out:
    return st;
}

/* ---- matrices of a bucket ---- */

static int use_bucket(struct engine_worker *w, const struct job *j) {
    struct engine_model *m = engine_find(w->engine, j->model);
    const struct engine_bucket *b = engine_bucket_of(m, j->tokens);
    if (!b) return thor_fail(THOR_INPUT, "this model or bucket is no longer served");
    if (b == w->bucket) return THOR_OK;
    bert_server_free(w->bert);
    w->bert = NULL;
    w->recorded = NULL;
    w->model = m;
    w->bucket = b;
    return THOR_OK;
}

/* Matrices of bootstraps; recordings hold keys, and go with them. */
static int make_ready(struct engine_worker *w) {
    int st = THOR_OK;
    const int group = w->engine->setup.group > 1 ? w->engine->setup.group : 1;
    if (w->recorded && w->recorded != w->cx->keys) {
        bert_server_free(w->bert);
        w->bert = NULL;
    }
    if (w->bert) return THOR_OK;
    TRY(bert_server_new(&w->bert, w->cx, w->model->model, w->bucket->plan));
    if (!w->cx->k->records) return THOR_OK;
    TRY(bert_server_record(w->bert, group));
    w->recorded = w->cx->keys;
out:
    return st;
}

/* ---- jobs ---- */

static void on_begin(void *ctx, int layer, const char *stage) {
    struct engine_worker *w = ctx;
    w->stage_began = bench_now();
    for (int i = 0; i < w->jobs; i++) {
        w->job[i]->layers = w->bucket->plan->layers;
        job_progress(w->engine->jobs, w->job[i], layer, stage, w->done,
                     bert_server_stages(w->bert));
    }
}

static void on_end(void *ctx, int layer, const char *stage) {
    struct engine_worker *w = ctx;
    (void)layer;
    metrics_stage(w->engine->metrics, stage, bench_now() - w->stage_began);
}

static void on_progress(void *ctx, int done, int total) {
    struct engine_worker *w = ctx;
    (void)total;
    w->done = done;
}

/* A group ends when nobody wants any of it. */
static int on_stop(void *ctx) {
    struct engine_worker *w = ctx;
    for (int i = 0; i < w->jobs; i++)
        if (!job_is_canceled(w->engine->jobs, w->job[i])) return THOR_OK;
    return thor_fail(THOR_INTERRUPTED, "cancelled");
}

struct sentence {
    struct bert_message m;
    struct ckks_ct *in;
    int n;
};

static int read_request(struct sentence *s, struct engine_worker *w, const struct job *j) {
    int st = THOR_OK;
    char path[STORE_PATH];
    struct serial_head h = {0};
    job_file(path, w->engine->jobs, j->id, "request.ct");
    TRY(bert_message_peek(&s->m, &h, path, BERT_REQUEST));
    if (h.params != w->engine->params)
        TRY(thor_fail(THOR_KEY, "made for parameters %s: encrypt again", h.params->name));
    TRY(ckks_check_id(h.id, w->cx->keys->id, path));
    TRY(bert_request_check(&s->m, &h, w->bucket->plan, &w->bucket->shape, path));
    TRY(bert_message_load(&s->in, &s->n, &s->m, &h, w->cx, path));
out:
    serial_free(&h);
    return st;
}

static int save_answer(struct engine_worker *w, const struct sentence *s, const struct job *j,
                       const struct ckks_ct *ct) {
    char path[STORE_PATH];
    const struct bert_message m = bert_message_answer(&s->m, w->model->model);
    job_file(path, w->engine->jobs, j->id, "answer.ct");
    return bert_message_save(&m, ct, answers(w), w->cx->keys->id, path);
}

static int compute(struct engine_worker *w, const struct sentence *s, struct ckks_ct *out) {
    const struct ckks_ct *in[JOB_GROUP];
    const struct bert_hooks hooks = {
        .ctx = w, .begin = on_begin, .end = on_end, .progress = on_progress, .stop = on_stop};
    for (int i = 0; i < w->jobs; i++) in[i] = s[i].in;
    w->done = 0;
    int st = bert_server_forward_group(out, w->bert, in, w->jobs, &hooks);
    return st == THOR_OK ? w->cx->k->sync(w->cx->k) : st;
}

static int run(struct engine_worker *w) {
    int st = THOR_OK, per = 1;
    struct sentence s[JOB_GROUP] = {0};
    struct ckks_ct *out = NULL;
    TRY(use_bucket(w, w->job[0]));
    TRY(use_keys(w, w->job[0]->key));
    TRY(make_ready(w));
    for (int i = 0; i < w->jobs; i++) TRY(read_request(&s[i], w, w->job[i]));
    per = answers(w);
    out = calloc((size_t)(w->jobs * per), sizeof *out);
    if (!out) TRY(thor_fail(THOR_MEMORY, "no memory for the answer"));
    const double began = bench_now();
    TRY(compute(w, s, out));
    const double each = (bench_now() - began) / w->jobs;
    for (int i = 0; i < w->jobs; i++) {
        TRY(save_answer(w, &s[i], w->job[i], &out[i * per]));
        metrics_sentence(w->engine->metrics, each);
    }
    pthread_mutex_lock(&w->engine->lock);
    series_add(&((struct engine_bucket *)w->bucket)->seconds, each);
    pthread_mutex_unlock(&w->engine->lock);
out:
    for (int i = 0; i < w->jobs; i++) {
        for (int k = 0; k < s[i].n; k++) ckks_ct_free(&s[i].in[k]);
        free(s[i].in);
    }
    for (int i = 0; out && i < w->jobs * per; i++) ckks_ct_free(&out[i]);
    free(out);
    return st;
}

static void end_job(struct engine_worker *w, struct job *j, int st) {
    struct jobs *q = w->engine->jobs;
    if (st != THOR_OK) logline("stopped", "{s:s, s:s}", "job", j->id, "why", thor_error());
    if (st == THOR_OK)
        job_end(q, j, JOB_DONE);
    else if (st == THOR_INTERRUPTED || job_is_canceled(q, j))
        job_end(q, j, JOB_CANCELED);
    else if (!upload_is_ready(q->store, j->key))
        job_fail(q, j, 410, "keys-gone", "the evaluation keys were deleted: upload them again");
    else if (st == THOR_KEY || st == THOR_INPUT)
        job_fail(q, j, 422, "failed", plain_error());
    else
        job_fail(q, j, 500, "internal", plain_error());
}

/* When one of several fails, they run one by one. */
static void run_jobs(struct engine_worker *w, struct job *const *job, int n) {
    w->job = job;
    w->jobs = n;
    int st = run(w);
    if (st != THOR_OK && st != THOR_INTERRUPTED && n > 1) {
        for (int i = 0; i < n; i++) run_jobs(w, &job[i], 1);
        return;
    }
    if (st == THOR_OK) upload_used(w->engine->jobs->store, job[0]->key);
    for (int i = 0; i < n; i++) end_job(w, job[i], st);
    w->jobs = 0;
}

void *engine_work(void *worker) {
    struct engine_worker *w = worker;
    struct jobs *q = w->engine->jobs;
    const int group = w->engine->setup.group > 1 ? w->engine->setup.group : 1;
    for (int draining = 0; !draining;) {
        struct job *job[JOB_GROUP];
        const int n = jobs_take(job, q, group, w->number);
        drop_gone(w);
        if (n) run_jobs(w, job, n);
        pthread_mutex_lock(&q->lock);
        draining = q->draining;
        pthread_mutex_unlock(&q->lock);
    }
    while (w->residents) drop_keys(w, 0);
    bert_server_free(w->bert);
    return NULL;
}
