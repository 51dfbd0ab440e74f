/* Work: requests become jobs, jobs are looked at, awaited and answered. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/serve/http.h"
#include "cli/serve/logline.h"

enum { WAIT_MOST = 120 };

/* Seconds until a place in the queue is free, by what sentences took. */
static double until_free(struct request *r) {
    struct jobs *q = &r->s->jobs;
    double each = metrics_median(r->s->metrics);
    if (each <= 0) each = 5; // nothing was measured yet
    pthread_mutex_lock(&q->lock);
    const int before = q->waiting;
    pthread_mutex_unlock(&q->lock);
    return each * (before + 1) / (r->s->engine.workers ? r->s->engine.workers : 1);
}

static int find_job(struct job *j, struct request *r) {
    const int gone = store_is_gone(&r->s->store, r->id, r->account.name);
    if (!gone && job_look(j, &r->s->jobs, r->id, r->account.name)) return 1;
    if (gone)
        refuse(r, 410, "gone", "this job was cancelled, or its answer is no longer kept");
    else
        refuse(r, 404, "not-found", "no such job");
    return 0;
}

/* ---- looking ---- */

void on_jobs_list(struct request *r) {
    answer_json(r, 200, json_pack("{s:o}", "jobs", jobs_list(&r->s->jobs, r->account.name)));
}

void on_job(struct request *r) {
    struct job j;
    if (!find_job(&j, r)) return;
    answer_json(r, 200, job_json(&j, r->s->jobs.keep));
    if (!job_ended(&j)) retry_after(r, fmin(30, j.left > 0 ? j.left : until_free(r) / 2));
}

void on_job_drop(struct request *r) {
    struct job j;
    if (!find_job(&j, r)) return;
    job_cancel(&r->s->jobs, &j);
    answer_nothing(r);
}

static void answer_done(struct request *r, const struct job *j) {
    char path[STORE_PATH];
    if (j->state == JOB_FAILED) {
        refuse(r, (unsigned)j->status, j->problem, "%s", j->detail);
        return;
    }
    job_file(path, &r->s->jobs, j->id, "answer.ct");
    answer_file(r, path);
    answer_header(r, "Thor-Request", "%s", j->request);
}

void on_job_answer(struct request *r) {
    struct job j;
    if (!find_job(&j, r)) return;
    if (job_ended(&j)) {
        answer_done(r, &j);
        return;
    }
    refuse(r, 409, "not-done", "this job is not done yet");
    retry_after(r, j.left > 0 ? j.left : until_free(r));
}

/* ---- events ---- */

struct events {
    struct serve *s;
    struct job seen;
    char text[2048]; /* what is being sent */
    size_t n, sent;
    int number, begun, ended, canceled;
    double last;
};

static void put_event(struct events *e, const char *name) {
    json_t *o = job_json(&e->seen, e->s->jobs.keep);
    if (e->canceled) json_object_set_new(o, "state", json_string("canceled"));
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    e->n = (size_t)snprintf(e->text, sizeof e->text, "id: %d\nevent: %s\ndata: %.1900s\n\n",
                            e->number++, name, text ? text : "{}");
    free(text);
    e->last = bench_now();
}

/* The next event, or a comment line every ten seconds; at most ten stages a second. */
static void next_event(struct events *e) {
    struct job now;
    e->n = e->sent = 0;
    if (!e->begun) {
        e->begun = 1;
        e->ended = job_ended(&e->seen);
        put_event(e, e->ended ? "end" : "state");
        return;
    }
    const double age = bench_now() - e->last;
    if (age < 0.1) usleep((useconds_t)((0.1 - age) * 1e6));
    if (!job_wait(&now, &e->s->jobs, &e->seen, fmax(0.1, 10 - age))) {
        e->ended = e->canceled = 1;
        put_event(e, "end");
        return;
    }
    const int state = now.state != e->seen.state || now.position != e->seen.position,
              stage = now.done != e->seen.done;
    e->seen = now;
    e->ended = job_ended(&now) || e->s->state == SERVE_DRAINING;
    if (job_ended(&now))
        put_event(e, "end");
    else if (state || stage || e->ended)
        put_event(e, state ? "state" : "stage");
    else if (bench_now() - e->last > 9)
        e->n = (size_t)snprintf(e->text, sizeof e->text, ":\n\n"), e->last = bench_now();
}

static size_t more_events(void *ctx, char *to, size_t n) {
    struct events *e = ctx;
    while (e->sent == e->n) {
        if (e->ended) return 0;
        next_event(e);
    }
    const size_t now = e->n - e->sent < n ? e->n - e->sent : n;
    memcpy(to, e->text + e->sent, now);
    e->sent += now;
    return now;
}

void on_job_events(struct request *r) {
    struct events *e = calloc(1, sizeof *e);
    if (!e) {
        refuse(r, 500, "internal", "no memory for events");
        return;
    }
    e->s = r->s;
    if (!find_job(&e->seen, r)) {
        free(e);
        return;
    }
    answer_stream(r, "text/event-stream", more_events, e, free);
    answer_header(r, "X-Accel-Buffering", "no"); // nginx passes events on at once
}

/* ---- classify ---- */

struct post {
    struct engine_model *model;
    struct job job;
    char tmp[STORE_PATH];
    int fd, keep; /* keep: tmp has become the job's folder */
    XXH3_state_t *hash;
};

static uint64_t longest(const struct engine_model *m) {
    uint64_t most = 0;
    for (int i = 0; i < m->buckets; i++)
        if (m->bucket[i].request_bytes > most) most = m->bucket[i].request_bytes;
    return most;
}

static int open_request(struct request *r, struct post *p) {
    char path[STORE_PATH + 16];
    if (job_begin(p->tmp, &r->s->jobs) == THOR_OK) {
        snprintf(path, sizeof path, "%s/request.ct", p->tmp);
        p->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    }
    if (p->fd < 0 || !p->hash) refuse(r, 507, "disk-full", "the server cannot store the request");
    return r->response == NULL;
}

static void refuse_full(struct request *r) {
    struct jobs *q = &r->s->jobs;
    const int own = jobs_waiting(q, r->account.name);
    refuse(r, 429, "queue-full", "%d sentences of this account wait already, the queue takes %d",
           own, q->most);
    retry_after(r, until_free(r));
}

static int queue_has_room(struct request *r) {
    const int room = jobs_have_room(&r->s->jobs, r->account.name);
    if (!room) refuse_full(r);
    return room;
}

static int take_name(struct request *r, struct post *p) {
    const char *key = header_of(r, "Idempotency-Key");
    if (!key) {
        store_random(p->job.id);
        return 1;
    }
    const size_t n = strlen(key);
    static const char legal[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
    if (n < 8 || n > 64 || strspn(key, legal) != n)
        refuse(r, 400, "malformed", "Idempotency-Key: give 8 to 64 of A-Z a-z 0-9 _ -");
    store_hash(p->job.id, "job", r->account.name, p->model->id, key, NULL);
    return r->response == NULL;
}

/* A full queue refuses before the body is read, but not the repeat of a job that is there. */
void on_classify(struct request *r) {
    struct job there;
    if (refuse_unready(r, 1)) return;
    struct post *p = r->ctx = calloc(1, sizeof *p);
    if (!p) {
        refuse(r, 500, "internal", "no memory for a request");
        return;
    }
    p->fd = -1;
    p->hash = XXH3_createState();
    p->model = engine_find(&r->s->engine, r->id);
    if (!p->model) {
        refuse(r, 404, "not-found", "no such model; see /v1/models");
        return;
    }
    if (r->length != UINT64_MAX && r->length > longest(p->model)) {
        refuse(r, 413, "too-long", "a request of this model has at most %" PRIu64 " bytes",
               longest(p->model));
        return;
    }
    if (!take_name(r, p)) return;
    if (!job_look(&there, &r->s->jobs, p->job.id, r->account.name) && !queue_has_room(r)) return;
    if (open_request(r, p)) XXH3_128bits_reset(p->hash);
}

void on_classify_bytes(struct request *r, const void *data, size_t n) {
    struct post *p = r->ctx;
    if (r->got + n > longest(p->model)) {
        refuse(r, 413, "too-long", "a request of this model has at most %" PRIu64 " bytes",
               longest(p->model));
        return;
    }
    XXH3_128bits_update(p->hash, data, n);
    for (const char *from = data; n > 0;) {
        const ssize_t w = write(p->fd, from, n);
        if (w <= 0) {
            refuse(r, 507, "disk-full", "the server cannot store the request");
            return;
        }
        from += w;
        n -= (size_t)w;
    }
}

/* The file is a request of this model for a bucket and keys that are there. */
static int check_request(struct request *r, struct post *p, char pair[STORE_ID]) {
    int st = THOR_OK;
    char path[STORE_PATH + 16];
    struct bert_message m;
    struct serial_head h = {0};
    const struct engine *e = &r->s->engine;
    snprintf(path, sizeof path, "%s/request.ct", p->tmp);
    TRY(bert_message_peek(&m, &h, path, BERT_REQUEST));
    for (int i = 0; i < 16; i++) snprintf(pair + 2 * i, 3, "%02x", h.id[i]);
    if (h.params != e->params)
        TRY(thor_fail(THOR_KEY, "made for parameters %s, this server has %s: encrypt again",
                      h.params->name, e->params->name));
    const struct engine_bucket *b = engine_bucket_of(p->model, (int)(m.tokens & 0xffff));
    if (!b || m.tokens > 0xffff)
        TRY(thor_fail(THOR_KEY, "for texts of %u tokens, which this server does not serve",
                      m.tokens));
    TRY(bert_request_check(&m, &h, b->plan, &b->shape, path));
    p->job.tokens = b->tokens;
out:
    serial_free(&h);
    return st;
}

static int take_keys(struct request *r, struct post *p, const char *pair) {
    struct job *j = &p->job;
    upload_name(j->key, r->account.name, pair, p->model->id, j->tokens);
    if (upload_is_ready(&r->s->store, j->key)) return 1;
    refuse_with(
        r, 409, "no-keys",
        json_pack("{s:s, s:s, s:i}", "id", pair, "model", p->model->id, "tokens", j->tokens),
        "the evaluation keys of this request are not here: upload them first");
    return 0;
}

static double wait_of(const struct request *r) {
    const char *prefer = header_of(r, "Prefer"), *wait = prefer ? strstr(prefer, "wait") : NULL;
    if (!wait) return 0;
    const double s = wait[4] == '=' ? strtod(wait + 5, NULL) : WAIT_MOST;
    return s > 0 && s < WAIT_MOST ? s : WAIT_MOST;
}

static void answer_job(struct request *r, const struct job *given) {
    struct job j = *given;
    const double end = bench_now() + wait_of(r);
    struct jobs *q = &r->s->jobs;
    int known = 1;
    MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0u);
    while (known && !job_ended(&j) && bench_now() < end && r->s->state != SERVE_DRAINING) {
        const struct job seen = j;
        known = job_wait(&j, q, &seen, end - bench_now());
    }
    http_awake(r);
    if (!known) {
        refuse(r, 410, "gone", "this job was cancelled");
        return;
    }
    if (wait_of(r) > 0 && job_ended(&j)) {
        answer_done(r, &j);
        answer_header(r, "Preference-Applied", "wait");
    } else {
        answer_json(r, 202, job_json(&j, q->keep));
        retry_after(r, fmin(30, until_free(r)));
    }
    answer_header(r, "Location", "/v1/jobs/%s", j.id);
}

/* The job of that name is there: it is this one when the bodies are one. */
static void repeat(struct request *r, const struct post *p) {
    struct job there;
    memcpy(r->id, p->job.id, sizeof r->id);
    if (!find_job(&there, r)) return;
    if (strcmp(there.request, p->job.request) == 0)
        answer_job(r, &there);
    else
        refuse(r, 422, "idempotency", "another request had this Idempotency-Key");
}

int take_quota(struct request *r) {
    const int late = account_take_request(&r->s->store, &r->account);
    if (!late) return 1;
    refuse(r, 429, "quota-requests", "this account has had its requests of today");
    answer_header(r, "Retry-After", "%d", late);
    return 0;
}

static void add(struct request *r, struct post *p) {
    if (!take_quota(r)) return;
    const int st = job_add(&r->s->jobs, &p->job, p->tmp);
    p->keep = st == THOR_OK;
    if (st == 2)
        refuse_full(r);
    else if (st == 1)
        repeat(r, p);
    else if (st != THOR_OK)
        refuse(r, 507, "disk-full", "%s", plain_error());
    else
        answer_job(r, &p->job);
}

void on_classify_end(struct request *r) {
    struct post *p = r->ctx;
    struct job there;
    char pair[STORE_ID] = "";
    const XXH128_hash_t h = XXH3_128bits_digest(p->hash);
    snprintf(p->job.request, sizeof p->job.request, "%016" PRIx64 "%016" PRIx64, (uint64_t)h.high64,
             (uint64_t)h.low64);
    memcpy(p->job.owner, r->account.name, sizeof p->job.owner);
    memcpy(p->job.model, p->model->id, sizeof p->job.model);
    if (store_is_gone(&r->s->store, p->job.id, p->job.owner) ||
        job_look(&there, &r->s->jobs, p->job.id, p->job.owner)) {
        repeat(r, p);
    } else if (fdatasync(p->fd) != 0) {
        refuse(r, 507, "disk-full", "the server cannot store the request");
    } else if (check_request(r, p, pair) != THOR_OK) {
        refuse(r, 422, "bad-request-file", "%s", plain_error());
    } else if (take_keys(r, p, pair)) {
        add(r, p);
    }
}

void on_classify_close(struct request *r) {
    struct post *p = r->ctx;
    if (!p) return;
    if (p->fd >= 0) close(p->fd);
    if (p->tmp[0] && !p->keep) store_discard(p->tmp);
    XXH3_freeState(p->hash);
    free(p);
    r->ctx = NULL;
}
