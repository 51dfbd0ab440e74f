/* Jobs: sentences that wait, run and are answered (jobs/JOB of the store).
 *
 * A job is there from the moment its folder is, with job.json and request.ct; it ends with
 * answer.ct or failure.json, each whole or not there.  Its owner among the servers has it in
 * memory; when that server is dead another takes it over.  Every start leaves try.N, and a job that
 * took three servers with it is lost.
 *
 * Accounts share a queue: they take turns, so that a sentence of one who seldom asks goes before
 * the tenth of another (start-time fair queueing); and an account may have as many waiting as
 * places are left, so that none fills the queue: half of it alone, a third beside another who does
 * the same (dynamic thresholds, Choudhury and Hahne 1998, alpha = 1). */
#ifndef SERVE_JOBS_H
#define SERVE_JOBS_H

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>

#include "cli/serve/store.h"
#include "cli/serve/tokens.h"

#ifdef __cplusplus
extern "C" {
#endif

enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_CANCELED };
enum { JOB_TRIES = 3, JOB_GROUP = 16 };

struct job {
    char id[STORE_ID], owner[ACCOUNT_NAME], key[STORE_ID], model[17], request[STORE_ID];
    int tokens;
    enum job_state state;
    int position; /* jobs before it */
    int layer, layers, done, total, tries;
    char stage[32];
    time_t created, ended;
    double left, seconds; /* left < 0: not known */
    uint64_t bytes;       /* of the answer */
    int status;           /* of a failed one, for HTTP, with its name and line */
    char problem[32], detail[400];
    /* of the server that has it */
    double started;
    int canceled, noted, worker;
    uint64_t ticket; /* its place in line */
    struct job *next;
};

struct jobs {
    const struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed, work;
    struct job *first; /* queued and running, in the order in which they are taken */
    uint64_t ticket;   /* the last that was taken */
    int waiting, running, most, keep, draining;
    uint64_t finished[3]; /* done, failed, canceled */
    uint64_t turns;       /* of `changed` */
};

void jobs_open(struct jobs *q, const struct store *s, int most, int keep);
void jobs_close(struct jobs *q);

/* Where a request is written before it is a job. */
int job_begin(char tmp[STORE_PATH], const struct jobs *q);
/* May this account have one more waiting?  jobs_waiting: how many it has. */
int jobs_have_room(struct jobs *q, const char *owner);
int jobs_waiting(struct jobs *q, const char *owner);
/* j->id, owner, key, model, tokens and request are given: into the store and the queue.  1: that
 * job is there already; 2: there is no room for it. */
int job_add(struct jobs *q, struct job *j, const char *tmp);
/* *out: what is known of it; 0: no such job of this owner (store_is_gone tells more). */
int job_look(struct job *out, struct jobs *q, const char *id, const char *owner);
/* The same, after it is no longer as `seen`, has ended, or `seconds` have passed. */
int job_wait(struct job *out, struct jobs *q, const struct job *seen, double seconds);
/* DELETE: taken out, stopped or forgotten. */
void job_cancel(struct jobs *q, const struct job *j);
int job_ended(const struct job *j);
void job_file(char path[STORE_PATH], const struct jobs *q, const char *id, const char *name);
json_t *job_json(const struct job *j, int keep);
json_t *jobs_list(struct jobs *q, const char *owner);

/* ---- for workers */
/* Waits for the first job and takes up to `group` of its keys, model and bucket; 0: there is none
 * yet, or q->draining. */
int jobs_take(struct job *job[JOB_GROUP], struct jobs *q, int group, int worker);
void job_progress(struct jobs *q, struct job *j, int layer, const char *stage, int done, int total);
int job_is_canceled(struct jobs *q, struct job *j);
/* Ends and frees it.  Done: answer.ct is there; failed: status, problem and detail are given. */
void job_end(struct jobs *q, struct job *j, enum job_state state);
void job_fail(struct jobs *q, struct job *j, int status, const char *problem, const char *detail);

/* ---- for the keeper */
int jobs_adopt(struct jobs *q); /* jobs of dead servers; how many */
void jobs_expire(struct jobs *q);
void jobs_drain(struct jobs *q); /* nothing is taken any more, all who wait look up */

#ifdef __cplusplus
}
#endif
#endif
