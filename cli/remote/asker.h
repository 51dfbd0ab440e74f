/* A client of a served model: it holds model, secret key and connection; texts go in, labels come
 * out.  What is secret stays here: the server gets request files. */
#ifndef CLI_REMOTE_ASKER_H
#define CLI_REMOTE_ASKER_H

#include "cli/remote/errand.h"
#include "cli/remote/remote.h"
#include "cli/remote/served.h"
#include "cli/session.h"

#ifdef __cplusplus
extern "C" {
#endif

enum asker_step { ASKER_ENCRYPT, ASKER_SEND, ASKER_WORK, ASKER_FETCH, ASKER_OPEN };

struct asked;

struct asker {
    struct session s;
    struct served to;
    struct wire *w;
    char dir[REMOTE_FOLDER]; /* of request and answer files; gone with asker_close */
    char ready[96];          /* model and bucket, as the server calls them */
    /* what happens to a text, or NULL; job: of ASKER_WORK; ASKER_SEND comes again as bytes go */
    void (*news)(void *ctx, const struct asked *a, enum asker_step step,
                 const struct errand_state *job);
    void *ctx;
    unsigned count; /* of requests so far */
};

struct asked { /* one text on its way */
    struct asker *by;
    char request[128], answer[128]; /* files */
    uint64_t ticket, bytes, sent;   /* bytes: of the request's file; sent: of them, so far */
    struct errand job;
    int tokens, resent; /* tokens: of the text */
};

/* The model of the setup, its secret key, and the same model on the server; tokens: a bucket, or 0:
 * as calibrated.  `a` is zeroed but for news and ctx. */
int asker_open(struct asker *a, const struct session_setup *setup, int tokens,
               const struct wire_setup *wire);
void asker_close(struct asker *a);
/* THOR_INPUT when a text of so many tokens does not fit the bucket. */
int asker_fits(const struct asker *a, int tokens);
/* Encrypted and on the server; asker_drop ends it. */
int asker_send(struct asked *q, struct asker *a, const struct bert_tokens *t);
/* What the answer says, once it is there, judged and as far as it may be shown; r: zeroed or used
 * before.  THOR_KEY when it is another request's, THOR_RANGE when it is no result. */
int asker_take(struct result *r, struct asked *q);
/* Takes the job back where it has not ended, and removes the files. */
void asker_drop(struct asked *q);

#ifdef __cplusplus
}
#endif
#endif
