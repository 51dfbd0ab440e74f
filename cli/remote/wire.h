/* Calls to the server over HTTP (libcurl), one after the other on one connection.  TLS is verified
 * against the system's certificates or the login's; no redirect is followed; the token goes to no
 * other address.
 *
 * A server that is busy (429, 503) is asked again after what it says in Retry-After, or after a
 * time that doubles, plus a random share of it, as long as `patience` lasts.  A connection that
 * breaks is made again where the call says that it may come twice. */
#ifndef CLI_REMOTE_WIRE_H
#define CLI_REMOTE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "bert/input/readfile.h"
#include "cli/remote/login.h"
#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    WIRE_HEADERS = 6,
    WIRE_HEADER = 200,
    WIRE_LOCATION = 256,
    WIRE_HASH = 40,
    WIRE_PROBLEM = 40,
    WIRE_DETAIL = 320
};

struct wire;

struct wire_setup {
    const struct login *to;
    double patience; /* seconds of waiting for a busy server, a call */
    int tries;       /* connections of one call that may come twice */
    /* called before a wait, or NULL */
    void (*waits)(void *ctx, double seconds, const char *why);
    /* asked while it waits, or NULL: not THOR_OK ends what runs with that status */
    int (*stop)(void *ctx);
    void *ctx; /* of both */
};

struct wire_call {
    const char *method, *path;        /* path: from "/" on */
    const char *header[WIRE_HEADERS]; /* "Name: value"; the rest NULL */
    const void *body;                 /* or NULL */
    const struct bert_file *file;     /* the body from byte `at` of it on, or NULL */
    size_t at, bytes;                 /* bytes: of the body */
    int again; /* may be repeated when the connection breaks: the server does it once */
    /* what a good reply (2xx) holds, as it comes; NULL: into reply->text, at most WIRE_TEXT */
    int (*sink)(void *ctx, const char *data, size_t n);
    /* how much of the body has gone, about 10 times a second; or NULL */
    void (*sent)(void *ctx, uint64_t bytes);
    void *ctx;
    int always; /* even when all is to stop */
    /* seconds without a byte that end the call as broken; 0: 60 */
    int silence;
};

struct wire_reply {
    int status;
    int broken; /* no whole reply came: the connection, not the server's answer, has failed */
    char *text; /* NUL behind it; wire_reply_free */
    size_t bytes;
    char location[WIRE_LOCATION]; /* a path of this server, or "" */
    int64_t offset;               /* Upload-Offset, or -1 */
    double retry_after;           /* seconds, or -1 */
    char request[WIRE_HASH];      /* Thor-Request, or "" */
    char problem[WIRE_PROBLEM];   /* of a refusal: the name behind urn:thor:, or "" */
    char detail[WIRE_DETAIL];     /* and its line for people, or "" */
};

int wire_open(struct wire **out, const struct wire_setup *setup);
void wire_close(struct wire *w); /* NULL is allowed */
/* Any reply but 429 and 503 (after patience) is THOR_OK; THOR_IO when there is none. */
int wire_call(struct wire_reply *r, struct wire *w, const struct wire_call *c);
void wire_reply_free(struct wire_reply *r);
/* The failure that the reply is, in one line with what the server says of it. */
int wire_refused(const struct wire *w, const struct wire_reply *r);
/* wire_call, and wire_refused of every status but 2xx. */
int wire_ask(struct wire_reply *r, struct wire *w, const struct wire_call *c);
/* Sleeps; THOR_INTERRUPTED when it was stopped. */
int wire_sleep(const struct wire *w, double seconds);
const char *wire_url(const struct wire *w);

#ifdef __cplusplus
}
#endif
#endif
