#include "cli/serve/jobs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bert/input/jsonfile.h"
#include "cli/serve/logline.h"

enum { RECORD_MOST = 1 << 16, LISTED = 256, SHOWN = 100 };
static const char *const states[] = {"queued", "running", "done", "failed", "canceled"};

void jobs_open(struct jobs *q, const struct store *s, int most, int keep) {
    pthread_condattr_t a;
    *q = (struct jobs){.store = s, .most = most, .keep = keep};
    pthread_mutex_init(&q->lock, NULL);
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(&q->changed, &a);
    pthread_cond_init(&q->work, &a);
    pthread_condattr_destroy(&a);
}

void jobs_close(struct jobs *q) {
    for (struct job *j = q->first, *next; j; j = next) {
        next = j->next;
        free(j);
    }
    q->first = NULL;
}

int job_ended(const struct job *j) {
    return j->state >= JOB_DONE;
}

void job_file(char path[STORE_PATH], const struct jobs *q, const char *id, const char *name) {
    store_path(path, q->store, "jobs", id, name);
}

/* Under the lock: all who wait look up. */
static void turn(struct jobs *q) {
    q->turns++;
    pthread_cond_broadcast(&q->changed);
}

static void in_seconds(struct timespec *t, double seconds) {
    clock_gettime(CLOCK_MONOTONIC, t);
    const long ns = t->tv_nsec + (long)(seconds * 1e9);
    t->tv_sec += ns / 1000000000;
    t->tv_nsec = ns % 1000000000;
}

/* ---- records ---- */

static json_t *record(const struct job *j, const char *server) {
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:I, s:s}", "job", j->id, "owner", j->owner,
                     "key", j->key, "model", j->model, "request", j->request, "tokens", j->tokens,
                     "created", (json_int_t)j->created, "server", server);
}

static int text_of(char *to, size_t size, const json_t *o, const char *name) {
    const char *v = json_string_value(json_object_get(o, name));
    if (!v || strlen(v) >= size) return 0;
    snprintf(to, size, "%s", v);
    return 1;
}

static int read_record(struct job *j, char server[STORE_ID], const struct jobs *q, const char *id) {
    char path[STORE_PATH];
    json_t *o = NULL;
    *j = (struct job){.left = -1};
    job_file(path, q, id, "job.json");
    int ok = bert_json_read(&o, path, RECORD_MOST, BERT_JSON_SMALL, 0, THOR_INPUT) == THOR_OK &&
             text_of(j->id, sizeof j->id, o, "job") &&
             text_of(j->owner, sizeof j->owner, o, "owner") &&
             text_of(j->key, sizeof j->key, o, "key") &&
             text_of(j->model, sizeof j->model, o, "model") &&
             text_of(j->request, sizeof j->request, o, "request") &&
             text_of(server, STORE_ID, o, "server") && strcmp(j->id, id) == 0;
    j->tokens = (int)json_integer_value(json_object_get(o, "tokens"));
    j->created = (time_t)json_integer_value(json_object_get(o, "created"));
    json_decref(o);
    return ok;
}

static int tries_of(const struct jobs *q, const char *id) {
    char path[STORE_PATH], name[16];
    for (int n = 1;; n++) {
        snprintf(name, sizeof name, "try.%d", n);
        job_file(path, q, id, name);
        if (!store_exists(path)) return n - 1;
    }
}

static void read_progress(struct job *j, const struct jobs *q) {
    char path[STORE_PATH], text[160];
    job_file(path, q, j->id, "progress");
    j->tries = tries_of(q, j->id);
    if (!store_noted(text, sizeof text, path)) return;
    if (sscanf(text, "%d %d %d %d %lf %lf %31s", &j->layer, &j->layers, &j->done, &j->total,
               &j->left, &j->seconds, j->stage) >= 6 &&
        j->state == JOB_QUEUED)
        j->state = JOB_RUNNING;
}

static void write_progress(const struct job *j, const struct jobs *q) {
    char path[STORE_PATH], text[160];
    job_file(path, q, j->id, "progress");
    snprintf(text, sizeof text, "%d %d %d %d %.3f %.3f %.30s\n", j->layer, j->layers, j->done,
             j->total, j->left, j->seconds, j->stage);
    store_note(path, text);
}

static void read_failure(struct job *j, const char *path) {
    json_t *o = NULL;
    if (bert_json_read(&o, path, RECORD_MOST, BERT_JSON_SMALL, 0, THOR_INPUT) != THOR_OK) return;
    j->state = JOB_FAILED;
    j->status = (int)json_integer_value(json_object_get(o, "status"));
    text_of(j->problem, sizeof j->problem, o, "problem");
    text_of(j->detail, sizeof j->detail, o, "detail");
    json_decref(o);
}

/* What its folder says. */
static int look_in_store(struct job *j, char server[STORE_ID], const struct jobs *q,
                         const char *id) {
    char path[STORE_PATH];
    struct stat st;
    if (!read_record(j, server, q, id)) return 0;
    job_file(path, q, id, "answer.ct");
    if (stat(path, &st) == 0) {
        j->state = JOB_DONE;
        j->ended = st.st_mtime;
        j->bytes = (uint64_t)st.st_size;
    } else {
        job_file(path, q, id, "failure.json");
        if ((j->ended = store_time(path))) read_failure(j, path);
    }
    read_progress(j, q);
    return 1;
}

json_t *job_json(const struct job *j, int keep) {
    char created[24], expires[24];
    utc_text(created, j->created);
    json_t *o = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:i, s:o}", "job", j->id, "model",
                          j->model, "tokens", j->tokens, "state", states[j->state], "request",
                          j->request, "created", created, "attempts", j->tries, "seconds_left",
                          j->left >= 0 && !job_ended(j) ? json_real(j->left) : json_null());
    if (o && j->state == JOB_QUEUED) json_object_set_new(o, "position", json_integer(j->position));
    if (o && j->total) {
        json_object_set_new(o, "layer", json_integer(j->layer));
        json_object_set_new(o, "layers", json_integer(j->layers));
        json_object_set_new(o, "stage", json_string(j->stage));
        json_object_set_new(o, "done", json_integer(j->done));
        json_object_set_new(o, "total", json_integer(j->total));
    }
    if (o && j->ended) {
        utc_text(expires, j->ended + keep);
        json_object_set_new(o, "expires", json_string(expires));
    }
    if (o && j->state == JOB_DONE) {
        json_object_set_new(o, "bytes", json_integer((json_int_t)j->bytes));
        json_object_set_new(o, "seconds", json_real(j->seconds));
    }
    if (o && j->state == JOB_FAILED)
        json_object_set_new(o, "problem",
                            json_pack("{s:s+, s:i, s:s}", "type", "urn:thor:", j->problem, "status",
                                      j->status, "detail", j->detail));
    return o;
}

static int newest_first(const void *a, const void *b) {
    const time_t x = ((const struct job *)a)->created, y = ((const struct job *)b)->created;
    return (x < y) - (x > y);
}

json_t *jobs_list(struct jobs *q, const char *owner) {
    enum { MOST = 2000 };
    json_t *list = json_array();
    struct job *job = calloc(MOST, sizeof *job);
    char(*id)[STORE_ID] = calloc(LISTED, sizeof *id), after[STORE_ID] = "";
    size_t own = 0;
    for (int n = LISTED; id && job && n == LISTED;) {
        n = store_list(id, LISTED, q->store, "jobs", after);
        for (int i = 0; i < n && own < MOST; i++)
            own += (size_t)job_look(&job[own], q, id[i], owner);
        if (n) memcpy(after, id[n - 1], STORE_ID);
    }
    if (own) qsort(job, own, sizeof *job, newest_first);
    for (size_t i = 0; i < own && i < SHOWN; i++)
        json_array_append_new(list, job_json(&job[i], q->keep));
    free(id);
    free(job);
    return list;
}

/* ---- the queue; its lock is held in what follows up to the next line ---- */

/* Behind its owner's others, and otherwise behind those whose owners have as few before them. */
static void append(struct jobs *q, struct job *j) {
    struct job **at = &q->first;
    j->ticket = q->ticket + 1;
    for (const struct job *o = q->first; o; o = o->next)
        if (o->ticket >= j->ticket && strcmp(o->owner, j->owner) == 0) j->ticket = o->ticket + 1;
    while (*at && (*at)->ticket <= j->ticket) at = &(*at)->next;
    j->next = *at;
    *at = j;
    q->waiting++;
    pthread_cond_signal(&q->work);
    turn(q);
}

static int waiting_of(const struct jobs *q, const char *owner) {
    int own = 0;
    for (const struct job *j = q->first; j; j = j->next)
        own += j->state == JOB_QUEUED && strcmp(j->owner, owner) == 0;
    return own;
}

static int has_room(const struct jobs *q, const char *owner) {
    return waiting_of(q, owner) < q->most - q->waiting;
}

static void unlink_job(struct jobs *q, struct job *j) {
    struct job **at = &q->first;
    while (*at && *at != j) at = &(*at)->next;
    if (*at) *at = j->next;
}

static struct job *find(struct jobs *q, const char *id, int *before) {
    *before = 0;
    for (struct job *j = q->first; j; j = j->next) {
        if (strcmp(j->id, id) == 0) return j;
        *before += j->state == JOB_QUEUED;
    }
    return NULL;
}

/* ---- adding and looking ---- */

int jobs_have_room(struct jobs *q, const char *owner) {
    pthread_mutex_lock(&q->lock);
    const int room = has_room(q, owner);
    pthread_mutex_unlock(&q->lock);
    return room;
}

int jobs_waiting(struct jobs *q, const char *owner) {
    pthread_mutex_lock(&q->lock);
    const int own = waiting_of(q, owner);
    pthread_mutex_unlock(&q->lock);
    return own;
}

int job_begin(char tmp[STORE_PATH], const struct jobs *q) {
    return store_make(tmp, q->store);
}

int job_add(struct jobs *q, struct job *given, const char *tmp) {
    int st = THOR_OK;
    char path[STORE_PATH + 16];
    struct job *j = malloc(sizeof *j);
    if (!j) return thor_fail(THOR_MEMORY, "no memory for a job");
    given->created = time(NULL);
    given->left = -1;
    *j = *given;
    snprintf(path, sizeof path, "%s/job.json", tmp);
    TRY(bert_json_save(record(j, q->store->server), path));
    pthread_mutex_lock(&q->lock);
    st = has_room(q, j->owner) ? store_settle(q->store, tmp, "jobs", j->id) : 2;
    if (st == THOR_OK) {
        append(q, j);
        find(q, j->id, &j->position);
        *given = *j;
        j = NULL;
    }
    pthread_mutex_unlock(&q->lock);
out:
    free(j);
    return st;
}

static int look_in_memory(struct job *out, struct jobs *q, const char *id) {
    int before;
    struct job *j = find(q, id, &before);
    if (j) *out = *j, out->position = before;
    return j != NULL;
}

int job_look(struct job *out, struct jobs *q, const char *id, const char *owner) {
    char server[STORE_ID];
    pthread_mutex_lock(&q->lock);
    int known = look_in_memory(out, q, id);
    pthread_mutex_unlock(&q->lock);
    known = known || look_in_store(out, server, q, id);
    return known && !out->canceled && strcmp(out->owner, owner) == 0;
}

static int differs(const struct job *a, const struct job *b) {
    return a->state != b->state || a->done != b->done || a->position != b->position ||
           a->canceled != b->canceled;
}

/* Wakes at every change here; looks into the store, where another server writes, twice a second. */
int job_wait(struct job *out, struct jobs *q, const struct job *seen, double seconds) {
    const double end = bench_now() + seconds;
    for (;;) {
        struct timespec t;
        pthread_mutex_lock(&q->lock);
        const uint64_t turn_then = q->turns;
        const int draining = q->draining;
        pthread_mutex_unlock(&q->lock);
        if (!job_look(out, q, seen->id, seen->owner)) return 0;
        if (differs(out, seen) || job_ended(out) || bench_now() >= end || draining) return 1;
        in_seconds(&t, fmin(0.5, fmax(0.001, end - bench_now())));
        pthread_mutex_lock(&q->lock);
        if (q->turns == turn_then) pthread_cond_timedwait(&q->changed, &q->lock, &t);
        pthread_mutex_unlock(&q->lock);
    }
}

void job_cancel(struct jobs *q, const struct job *seen) {
    char path[STORE_PATH];
    int before, forget = 1;
    store_bury(q->store, seen->id, seen->owner);
    pthread_mutex_lock(&q->lock);
    struct job *j = find(q, seen->id, &before);
    if (j && j->state == JOB_RUNNING) {
        j->canceled = 1;
        forget = 0;
    } else if (j) {
        unlink_job(q, j);
        free(j);
        q->waiting--;
        q->finished[2]++;
    }
    turn(q);
    pthread_mutex_unlock(&q->lock);
    if (j == NULL && !job_ended(seen)) { // another server has it
        job_file(path, q, seen->id, "cancel");
        store_note(path, "");
        forget = 0;
    }
    if (forget) store_remove(q->store, "jobs", seen->id);
}

/* ---- workers ---- */

static int goes_with(const struct job *a, const struct job *b) {
    return strcmp(a->key, b->key) == 0 && strcmp(a->model, b->model) == 0 && a->tokens == b->tokens;
}

int jobs_take(struct job *job[JOB_GROUP], struct jobs *q, int group, int worker) {
    int n = 0;
    struct timespec t;
    in_seconds(&t, 1);
    pthread_mutex_lock(&q->lock);
    if (q->waiting == 0 && !q->draining) pthread_cond_timedwait(&q->work, &q->lock, &t);
    for (struct job *j = q->draining ? NULL : q->first; j && n < group; j = j->next) {
        if (j->state != JOB_QUEUED || (n && !goes_with(j, job[0]))) continue;
        j->state = JOB_RUNNING;
        j->started = bench_now();
        j->worker = worker;
        if (j->ticket > q->ticket) q->ticket = j->ticket;
        job[n++] = j;
    }
    q->waiting -= n;
    q->running += n;
    turn(q);
    pthread_mutex_unlock(&q->lock);
    for (int i = 0; i < n; i++) {
        char path[STORE_PATH], name[16];
        job[i]->tries = tries_of(q, job[i]->id) + 1;
        snprintf(name, sizeof name, "try.%d", job[i]->tries);
        job_file(path, q, job[i]->id, name);
        store_note(path, "");
    }
    return n;
}

void job_progress(struct jobs *q, struct job *j, int layer, const char *stage, int done,
                  int total) {
    const double spent = bench_now() - j->started;
    pthread_mutex_lock(&q->lock);
    j->layer = layer;
    j->done = done;
    j->total = total;
    snprintf(j->stage, sizeof j->stage, "%s", stage);
    j->left = done > 2 ? spent / done * (total - done) : -1;
    turn(q);
    pthread_mutex_unlock(&q->lock);
    if ((int)spent == j->noted && done > 1) return; // once a second
    j->noted = (int)spent;
    write_progress(j, q);
}

int job_is_canceled(struct jobs *q, struct job *j) {
    char path[STORE_PATH];
    job_file(path, q, j->id, "cancel");
    if (!j->canceled && store_exists(path)) j->canceled = 1;
    return j->canceled;
}

void job_end(struct jobs *q, struct job *j, enum job_state state) {
    char id[STORE_ID];
    memcpy(id, j->id, sizeof id);
    j->seconds = bench_now() - j->started;
    if (state == JOB_DONE) j->done = j->total;
    const int forget = job_is_canceled(q, j);
    if (!forget && state == JOB_DONE) write_progress(j, q);
    logline("job", "{s:s, s:s, s:s, s:f, s:i}", "job", id, "state",
            forget ? "canceled" : states[state], "account", j->owner, "seconds", j->seconds,
            "attempts", j->tries);
    pthread_mutex_lock(&q->lock);
    unlink_job(q, j);
    free(j);
    q->running--;
    q->finished[forget ? 2 : state == JOB_FAILED]++;
    turn(q);
    pthread_mutex_unlock(&q->lock);
    if (forget) store_remove(q->store, "jobs", id);
}

void job_fail(struct jobs *q, struct job *j, int status, const char *problem, const char *detail) {
    char path[STORE_PATH];
    job_file(path, q, j->id, "failure.json");
    logline("failed", "{s:s, s:s, s:s}", "job", j->id, "problem", problem, "detail", detail);
    if (bert_json_save(
            json_pack("{s:s, s:i, s:s}", "problem", problem, "status", status, "detail", detail),
            path) != THOR_OK)
        logline("error", "{s:s}", "detail", thor_error());
    job_end(q, j, JOB_FAILED);
}

/* ---- the keeper ---- */

/* Takes over what a dead server had; under the store's lock, so that one server does. */
static int adopt(struct jobs *q, const char *id) {
    char server[STORE_ID], path[STORE_PATH];
    int before;
    struct job seen, *j;
    if (!look_in_store(&seen, server, q, id) || job_ended(&seen)) return 0;
    if (!store_is_dead(q->store, server)) return 0;
    pthread_mutex_lock(&q->lock);
    const int have = find(q, id, &before) != NULL;
    pthread_mutex_unlock(&q->lock);
    if (have) return 0;
    job_file(path, q, id, "cancel");
    if (store_exists(path) || store_is_gone(q->store, id, seen.owner)) {
        store_remove(q->store, "jobs", id);
        return 0;
    }
    job_file(path, q, id, "progress");
    unlink(path);
    job_file(path, q, id, "job.json");
    j = malloc(sizeof *j);
    if (!j || bert_json_save(record(&seen, q->store->server), path) != THOR_OK) {
        free(j);
        return 0;
    }
    read_record(j, server, q, id);
    j->tries = seen.tries;
    pthread_mutex_lock(&q->lock);
    append(q, j);
    if (seen.tries >= JOB_TRIES) { // it ended three servers
        j->state = JOB_RUNNING;
        j->started = bench_now();
        q->waiting--;
        q->running++;
    }
    pthread_mutex_unlock(&q->lock);
    if (seen.tries >= JOB_TRIES)
        job_fail(q, j, 500, "lost", "three servers ended while they ran it: send it again");
    return 1;
}

static int each(struct jobs *q, int (*what)(struct jobs *, const char *)) {
    char(*id)[STORE_ID] = calloc(LISTED, sizeof *id), after[STORE_ID] = "";
    int done = 0;
    for (int n = LISTED; id && n == LISTED;) {
        n = store_list(id, LISTED, q->store, "jobs", after);
        for (int i = 0; i < n; i++) done += what(q, id[i]);
        if (n) memcpy(after, id[n - 1], STORE_ID);
    }
    free(id);
    return done;
}

int jobs_adopt(struct jobs *q) {
    const int lock = store_lock(q->store), n = each(q, adopt);
    store_unlock(lock);
    return n;
}

static int expire(struct jobs *q, const char *id) {
    char server[STORE_ID];
    struct job j;
    if (!look_in_store(&j, server, q, id) || !job_ended(&j)) return 0;
    if (j.ended + q->keep > time(NULL)) return 0;
    store_bury(q->store, id, j.owner);
    store_remove(q->store, "jobs", id);
    return 1;
}

void jobs_expire(struct jobs *q) {
    each(q, expire);
}

void jobs_drain(struct jobs *q) {
    pthread_mutex_lock(&q->lock);
    q->draining = 1;
    pthread_cond_broadcast(&q->work);
    turn(q);
    pthread_mutex_unlock(&q->lock);
}
