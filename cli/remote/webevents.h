/* What happens to a run of the local page, as lines of JSON that any number of listeners read from
 * its first one on, while it runs and afterwards until the next begins. */
#ifndef CLI_REMOTE_WEBEVENTS_H
#define CLI_REMOTE_WEBEVENTS_H

#include <jansson.h>
#include <pthread.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct webevents {
    pthread_mutex_t lock; /* of all below; its owner's too */
    pthread_cond_t changed;
    int quit, busy, number; /* busy: run `number` goes on */
    char **event;           /* of it, n of them */
    size_t n, most;         /* most: of a run */
};

void webevents_open(struct webevents *e, size_t most);
void webevents_close(struct webevents *e); /* nobody listens any more */
/* The next run, with the lock held: its number, or 0 while one goes on or after the end. */
int webevents_begin(struct webevents *e);
void webevents_over(struct webevents *e); /* the run is, and the lock held */
void webevents_quit(struct webevents *e); /* listeners go */
int webevents_busy(int *number, struct webevents *e);

/* Takes the object.  put_often: one of many, which is left out rather than that the last ones find
 * no room. */
void webevents_put(struct webevents *e, json_t *o);
void webevents_put_often(struct webevents *e, json_t *o);
/* Event i of run `number` as one line, which the caller frees; NULL when none came within
 * `seconds`.  *over: there is none any more. */
char *webevents_get(int *over, struct webevents *e, int number, size_t i, double seconds);

#ifdef __cplusplus
}
#endif
#endif
