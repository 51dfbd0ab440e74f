/* thor batch: many rows of a table over devices, one folder a row, resumable.
 *
 *   DIR/batch.json           what the results belong to: model, ranges, tokenizer, table,
 *                            columns, mode, bucket
 *   DIR/000017/result.json   a complete result; it appears whole or not at all
 *   DIR/000017/failure.json  why the row has none; replaced by the result of a later run
 *   DIR/summary.json         of every row from --start-idx to --end-idx
 */
#ifndef CLI_BATCH_H
#define CLI_BATCH_H

#include <stdint.h>

#include <jansson.h>

#include "cli/inputs.h"
#include "cli/session.h"

#ifdef __cplusplus
#include <atomic>
using std::atomic_int;
extern "C" {
#else
#include <stdatomic.h>
#endif

enum { BATCH_DEVICES = 64, BATCH_ERROR = 400, BATCH_GROUP = 16 };

struct batch_worker {            /* of one device */
    atomic_int row[BATCH_GROUP]; /* positions in the range of the rows that run, or -1 */
    atomic_int ended;            /* 1 + the status it ended with */
    char error[BATCH_ERROR];
};

struct batch_queue { /* memory that parent and workers share */
    atomic_int next; /* position in todo */
    atomic_int done; /* rows finished in this run, with a result or a failure */
    struct batch_worker worker[BATCH_DEVICES];
};

struct batch {
    struct inputs_request request;
    struct session_setup setup;
    const char *dir, *devices;
    const char *metric;         /* "topk", of a GPT-2, or NULL: what the head has */
    struct option_spans layers; /* of a GPT-2: those that the server computes; n 0: all */
    int first, last, approx, json, mpi;
    int embed; /* 1: of a model without a head alone */
    /* the least that was asked for; after batch_bucket the bucket, after batch_claim the
     * folder's */
    int tokens;
    const char *device[BATCH_DEVICES];
    int workers;
    struct inputs in; /* rows first .. last */
    struct session s;
    int *todo, todos; /* positions in the range without a complete result */
    int step;         /* of queue.next: 1, or the number of ranks that share todo */
    struct batch_queue *queue;
    double seconds; /* of this run, from its first row to its last */
};

/* ---- cmd_batch.c: the rows of *b, whose options are set, on its devices; what is left in *b is
 * its owner's until batch_close */
int batch_run(struct batch *b);
void batch_close(struct batch *b);

int embed_check(const struct bert_config *c); /* cmd_embed.c: THOR_MODEL for a model with a head */

/* ---- batch_key.c */
/* What decides a result: weights, ranges, tokenizer, table and its columns, mode, parameters and
 * bucket. */
int batch_describe(json_t **o, const struct batch *b);

/* ---- batch_rows.c: the files of rows */
/* The folder is ours, of this model and table; a lock is held on it.  b->tokens may grow to its
 * bucket. */
int batch_claim(struct batch *b);
void batch_unclaim(void); /* in a worker: the lock is the parent's */
int batch_find_todo(struct batch *b);
/* result.json of row first + at */
int batch_keep(const struct batch *b, int at, const struct result *r);
int batch_fail(const struct batch *b, int at, int code, const char *error);
/* 1: *r holds the complete result of row first + at; its texts are NULL. */
int batch_complete(struct result *r, const struct batch *b, int at);
/* The code and line of failure.json; 0 when there is none. */
int batch_failure(const struct batch *b, int at, char error[BATCH_ERROR]);

/* ---- batch_work.c: a worker, and the rows it takes from the queue */
/* b->tokens: the bucket of the longest row that the model takes, or the longer one that was asked
 * for, that of the folder or that of the keys. */
int batch_bucket(struct batch *b);
int batch_plan(struct batch *b); /* for that bucket */
int batch_work(struct batch *b, int worker);
void batch_no_rows(struct batch_worker *w); /* none run */

/* ---- batch_summary.c */
int batch_summary(const struct batch *b, int *failed); /* summary.json and the table on stdout */

#ifdef __cplusplus
}
#endif
#endif
