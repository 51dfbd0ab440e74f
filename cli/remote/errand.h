/* One request at work on the server: sent, followed, its answer fetched. */
#ifndef CLI_REMOTE_ERRAND_H
#define CLI_REMOTE_ERRAND_H

#include "cli/remote/wire.h"

#ifdef __cplusplus
extern "C" {
#endif

struct errand {
    char path[WIRE_LOCATION]; /* "/v1/jobs/.."; "" before errand_send */
    char hash[33];            /* XXH3-128 of the request's file; "": none is there */
    int lost;                 /* the server lost it: to be sent again */
};

struct errand_state {
    char state[16], stage[64]; /* "queued", "running", "done", "failed", "canceled" */
    int position, layer, layers, done, total, attempts;
    double seconds_left, seconds; /* -1: not known */
};

/* The request file to the model of that id.  A repeat after a broken connection is the same job.
 * sent: as in struct wire_call, and once when all has gone. */
int errand_send(struct errand *j, struct wire *w, const char *model, const char *file,
                void (*sent)(void *ctx, uint64_t bytes), void *ctx);
/* Until it is done; `seen`, or NULL, hears of every change.  Otherwise the job's failure. */
int errand_follow(struct errand *j, struct wire *w,
                  void (*seen)(void *, const struct errand_state *), void *ctx);
/* The answer, which must be to this request and have `bytes` bytes, into a file, whole or not. */
int errand_fetch(struct errand *j, struct wire *w, uint64_t bytes, const char *file);
/* Nobody waits for it any more; failures are passed over. */
void errand_cancel(struct errand *j, struct wire *w);

#ifdef __cplusplus
}
#endif
#endif
