#include "cli/remote/webevents.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SPARE = 64 };

void webevents_open(struct webevents *e, size_t most) {
    *e = (struct webevents){.most = most};
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, NULL);
}

static void forget(struct webevents *e) {
    for (size_t i = 0; i < e->n; i++) free(e->event[i]);
    free(e->event);
    e->event = NULL;
    e->n = 0;
}

void webevents_close(struct webevents *e) {
    forget(e);
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
}

int webevents_begin(struct webevents *e) {
    if (e->busy || e->quit) return 0;
    forget(e);
    e->busy = 1;
    pthread_cond_broadcast(&e->changed);
    return ++e->number;
}

void webevents_over(struct webevents *e) {
    e->busy = 0;
    pthread_cond_broadcast(&e->changed);
}

void webevents_quit(struct webevents *e) {
    pthread_mutex_lock(&e->lock);
    e->quit = 1;
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

int webevents_busy(int *number, struct webevents *e) {
    pthread_mutex_lock(&e->lock);
    const int busy = e->busy;
    *number = e->number;
    pthread_mutex_unlock(&e->lock);
    return busy;
}

static int grow(struct webevents *e) { /* room for twice as many at each power of two */
    if (e->n & (e->n - 1)) return 1;
    char **more = realloc(e->event, (e->n ? 2 * e->n : 1) * sizeof *more);
    if (more) e->event = more;
    return more != NULL;
}

static void put_below(struct webevents *e, size_t most, json_t *o) {
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    pthread_mutex_lock(&e->lock);
    if (line && e->n < most && grow(e)) {
        e->event[e->n++] = line;
        line = NULL;
    }
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
    free(line);
}

void webevents_put(struct webevents *e, json_t *o) {
    put_below(e, e->most, o);
}

void webevents_put_often(struct webevents *e, json_t *o) {
    put_below(e, e->most - SPARE, o);
}

char *webevents_get(int *over, struct webevents *e, int number, size_t i, double seconds) {
    char *line = NULL;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += (time_t)seconds;
    pthread_mutex_lock(&e->lock);
    for (int late = 0; !late && number == e->number && i >= e->n && e->busy && !e->quit;)
        late = pthread_cond_timedwait(&e->changed, &e->lock, &until);
    if (number == e->number && i < e->n) line = strdup(e->event[i]);
    *over = !line && (number != e->number || !e->busy || e->quit);
    pthread_mutex_unlock(&e->lock);
    return line;
}
