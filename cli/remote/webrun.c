#include "cli/remote/webrun.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/readfile.h"
#include "bert/input/text.h"
#include "cli/published.h"
#include "cli/remote/push.h"
#include "cli/tagged.h"

enum { WORDS = 48, EVENTS_MOST = 4096, TOP = 5 };

struct webrun {
    struct asker *asker;
    pthread_t worker;
    struct webevents events;
    atomic_int stop; /* the run, or all */
    char *text, *pair;
};

/* ---- events ---- */

static void put(struct webrun *r, json_t *o) {
    webevents_put(&r->events, o);
}

static void put_often(struct webrun *r, json_t *o) {
    webevents_put_often(&r->events, o);
}

/* The first words of the first ciphertext of a file, behind its table. */
static json_t *first_words(const char *path) {
    struct serial_head h = {0};
    struct bert_file f = {0};
    uint32_t word[WORDS];
    char hex[12];
    json_t *words = json_array();
    if (ckks_file_describe(&h, path) == THOR_OK && bert_file_open(&f, path, THOR_IO) == THOR_OK &&
        bert_file_read(&f, word, sizeof word, serial_table_end(&h) + SERIAL_CHECK) == THOR_OK)
        for (int i = 0; i < WORDS; i++) {
            snprintf(hex, sizeof hex, "%08" PRIx32, word[i]);
            json_array_append_new(words, json_string(hex));
        }
    bert_file_close(&f);
    serial_free(&h);
    return words;
}

/* All that goes to the server. */
static void put_seen(struct webrun *r, const struct asked *q) {
    const struct session *s = &r->asker->s;
    struct serial_head h = {0};
    char ticket[20], key[33];
    if (ckks_file_describe(&h, q->request) != THOR_OK) return;
    snprintf(ticket, sizeof ticket, "%016" PRIx64, q->ticket);
    push_name(key, s->keys.secret->id);
    put(r, json_pack("{s:s, s:s, s:i, s:I, s:i, s:s, s:s, s:o}", "step", "saw", "model",
                     r->asker->to.name, "tokens", s->plan->tokens, "bytes", (json_int_t)h.bytes,
                     "ciphertexts", (int)h.count, "key", key, "ticket", ticket, "words",
                     first_words(q->request)));
    serial_free(&h);
}

static void put_work(struct webrun *r, const struct errand_state *j) {
    put_often(r, json_pack("{s:s, s:s, s:i, s:i, s:i, s:s, s:i, s:i, s:f}", "step", "work", "state",
                           j->state, "position", j->position, "layer", j->layer, "layers",
                           j->layers, "stage", j->stage, "done", j->done, "total", j->total,
                           "seconds_left", j->seconds_left));
}

static void on_news(void *ctx, const struct asked *q, enum asker_step step,
                    const struct errand_state *job) {
    struct webrun *r = ctx;
    switch (step) {
    case ASKER_ENCRYPT:
        put(r, json_pack("{s:s}", "step", "encrypt"));
        break;
    case ASKER_SEND:
        if (!q->sent) put_seen(r, q);
        put_often(r, json_pack("{s:s, s:I, s:I}", "step", "send", "sent", (json_int_t)q->sent,
                               "bytes", (json_int_t)q->bytes));
        break;
    case ASKER_WORK:
        put_work(r, job);
        break;
    case ASKER_FETCH:
        put(r, json_pack("{s:s}", "step", "fetch"));
        break;
    case ASKER_OPEN:
        put(r, json_pack("{s:s, s:o}", "step", "answer", "words", first_words(q->answer)));
    }
}

void webrun_waits(void *run, double seconds, const char *why) {
    put_often(run, json_pack("{s:s, s:f, s:s}", "step", "wait", "seconds", seconds, "why", why));
}

int webrun_stop(void *run) {
    struct webrun *r = run;
    return atomic_load(&r->stop) ? thor_fail(THOR_INTERRUPTED, "cancelled") : THOR_OK;
}

/* ---- the worker ---- */

/* The end of a text: in one line, and as of published_json. */
static int put_end(struct webrun *r, const struct result *result) {
    const struct bert_config *c = &r->asker->s.model->cfg;
    char *line = NULL;
    size_t n = 0;
    json_t *o = NULL;
    FILE *f = open_memstream(&line, &n);
    if (!f) return thor_fail(THOR_MEMORY, "no memory for a result");
    published_line(f, result, c);
    fputc('\n', f);
    published_rest(f, result, c);
    if (fclose(f) == 0) o = json_pack("{s:s, s:s}", "step", "end", "line", line);
    free(line);
    if (!o || (!bert_gives_embedding(c) && published_json(o, result, c))) {
        json_decref(o);
        return thor_fail(THOR_RANGE, "the answer decrypts to no number");
    }
    put(r, o);
    return THOR_OK;
}

static int one_text(struct webrun *r) {
    int st = THOR_OK;
    struct asker *a = r->asker;
    struct result result = {.top = TOP, .label = -1, .score = NAN};
    struct asked q = {0};
    const struct input in = {.index = -1, .text = r->text, .pair = r->pair, .label = -1};
    struct bert_tokens *t = calloc(1, sizeof *t);
    if (!t) return thor_fail(THOR_MEMORY, "no memory for a text");
    TRY(bert_tokenize(t, a->s.model, r->text, r->pair, 0));
    put(r, json_pack("{s:s, s:i}", "step", "tokens", "count", t->n));
    TRY(asker_send(&q, a, t));
    TRY(asker_take(&result, &q));
    TRY(spans_make(&result, &a->s.model->cfg, t, &in, 0));
    TRY(put_end(r, &result));
out:
    sodium_memzero(t, sizeof *t);
    free(t);
    result_free(&result);
    asker_drop(&q);
    return st;
}

static void wipe_text(char **text) {
    if (*text) sodium_memzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static void *work(void *ctx) {
    struct webrun *r = ctx;
    struct webevents *e = &r->events;
    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!e->busy && !e->quit) pthread_cond_wait(&e->changed, &e->lock);
        if (e->quit) break;
        pthread_mutex_unlock(&e->lock);
        const int st = one_text(r);
        if (st)
            put(r,
                json_pack("{s:s, s:i, s:s}", "step", "failed", "code", st, "error", thor_error()));
        pthread_mutex_lock(&e->lock);
        wipe_text(&r->text);
        wipe_text(&r->pair);
        webevents_over(e);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- from outside ---- */

int webrun_new(struct webrun **out, struct asker *a) {
    struct webrun *r = calloc(1, sizeof *r);
    *out = NULL;
    if (!r) return thor_fail(THOR_MEMORY, "no memory for the page");
    r->asker = a;
    a->news = on_news;
    a->ctx = r;
    webevents_open(&r->events, EVENTS_MOST);
    if (pthread_create(&r->worker, NULL, work, r)) {
        webevents_close(&r->events);
        free(r);
        return thor_fail(THOR_MEMORY, "no thread can be started");
    }
    *out = r;
    return THOR_OK;
}

void webrun_end(struct webrun *r) {
    if (!r) return;
    atomic_store(&r->stop, 1);
    webevents_quit(&r->events);
    pthread_join(r->worker, NULL);
}

void webrun_free(struct webrun *r) {
    if (!r) return;
    webevents_close(&r->events);
    free(r);
}

int webrun_begin(struct webrun *r, const char *text, const char *pair) {
    int number = 0;
    struct webevents *e = &r->events;
    pthread_mutex_lock(&e->lock);
    if (!e->busy && !e->quit) {
        r->text = strdup(text);
        r->pair = pair ? strdup(pair) : NULL;
        if (r->text && (!pair || r->pair)) {
            atomic_store(&r->stop, 0);
            number = webevents_begin(e);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return number;
}

void webrun_cancel(struct webrun *r) {
    atomic_store(&r->stop, 1);
}

struct webevents *webrun_events(struct webrun *r) {
    return &r->events;
}
