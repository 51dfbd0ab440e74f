/* HTTP by libmicrohttpd: a thread a connection; requests, bodies and answers for routes.c and the
 * handlers (on_*.c). */
#ifndef SERVE_HTTP_H
#define SERVE_HTTP_H

#include <jansson.h>
#include <microhttpd.h>

#include "cli/serve/engine.h"
#include "cli/serve/products.h"
#include "cli/serve/tokens.h"
#include "cli/serve/uploads.h"

#ifdef __cplusplus
extern "C" {
#endif

enum serve_state { SERVE_LOADING, SERVE_READY, SERVE_DRAINING };

struct serve { /* one server */
    struct store store;
    struct tokens *tokens;
    struct jobs jobs;
    struct metrics *metrics;
    struct engine engine;
    struct products *products; /* NULL: no split mode */
    struct http *http;
    volatile int state; /* enum serve_state */
    double began;
};

struct request;
enum route_auth { OPEN, USER, OPERATOR };
enum route_body { NO_BODY, JSON_BODY, STREAM_BODY };

struct route {
    const char *method, *path; /* {key} and {job}: 32 hex digits, {model}: 16 */
    enum route_auth auth;
    enum route_body body;
    const char *type;              /* of a streamed body */
    const char *summary, *answers; /* "200 404 .." */
    /* Each may answer; begin sees the header alone, take a piece of a streamed body, end all. */
    void (*begin)(struct request *r);
    void (*take)(struct request *r, const void *data, size_t n);
    void (*end)(struct request *r);
    void (*close)(struct request *r); /* always, where begin was called: r->ctx goes */
    const char *header;               /* one that it wants, of 32 hex digits; or NULL */
};
extern const struct route routes[];
extern const int n_routes;
json_t *openapi(void);

struct request {
    struct serve *s;
    struct MHD_Connection *connection;
    const struct route *route;
    const char *method;
    char id[STORE_ID]; /* what stood for {..} */
    struct account account;
    json_t *json;    /* a parsed JSON body */
    void *ctx;       /* of the handler */
    uint64_t length; /* Content-Length; UINT64_MAX: not said */
    uint64_t got;
    /* the answer, when there is one */
    struct MHD_Response *response;
    unsigned status;
    const char *problem;
    /* of http.c */
    struct connection *of;
    char *body;
    size_t room;
    double began;
    int begun, refused; /* refused: the rest of the body is read and thrown away, or not at all */
};

/* After MHD_CONNECTION_OPTION_TIMEOUT 0: its silence counts from now on. */
void http_awake(struct request *r);
const char *header_of(const struct request *r, const char *name); /* NULL: not there */

/* ---- answers; the first one stands */
void answer_json(struct request *r, unsigned status, json_t *o); /* takes o */
void answer_text(struct request *r, unsigned status, const char *type, const char *text, size_t n);
/* bytes: of malloc, freed here */
void answer_bytes(struct request *r, unsigned status, const char *type, void *bytes, size_t n);
void answer_file(struct request *r, const char *path);
/* Pieces come from `more`, which returns how many bytes it wrote, 0: the end; ctx is freed by
 * `done`. */
void answer_stream(struct request *r, const char *type,
                   size_t (*more)(void *ctx, char *to, size_t n), void *ctx,
                   void (*done)(void *ctx));
void answer_nothing(struct request *r); /* 204 */
void answer_header(struct request *r, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* application/problem+json of urn:thor:NAME. */
void refuse(struct request *r, unsigned status, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with members o, which it takes. */
void refuse_with(struct request *r, unsigned status, const char *name, json_t *o, const char *fmt,
                 ...) __attribute__((format(printf, 5, 6)));
void retry_after(struct request *r, double seconds);
/* 1 after a refusal: models are being loaded, or (`work`) the server drains. */
int refuse_unready(struct request *r, int work);

/* ---- the listener */
struct http_setup {
    const char *listen, *cert, *key;
    int connections;
};
int http_start(struct http **h, struct serve *s, const struct http_setup *setup);
void http_watch(struct http *h); /* once a second: who is too slow is cut off */
void http_stop(struct http *h);
const char *http_address(const struct http *h); /* "127.0.0.1:8443" */
int http_connections(struct http *h);

/* routes.c: finds the route; may answer. */
void route_find(struct request *r, const char *path);

/* ---- what handlers share */
/* on_keys.c: the account's own of r->id in *u, for upload_free; or 0 and a refusal: 410 for what
 * was there, 404 for all else. */
int find_upload(struct upload *u, struct request *r);
/* on_jobs.c: one request of today's; or 0 and a refusal. */
int take_quota(struct request *r);

/* ---- handlers */
void on_split(struct request *r);
void on_compute(struct request *r);
void on_compute_bytes(struct request *r, const void *data, size_t n);
void on_compute_end(struct request *r);
void on_compute_close(struct request *r);
void on_page(struct request *r);
void on_style(struct request *r);
void on_script(struct request *r);
void on_icon(struct request *r);
void on_health(struct request *r);
void on_ready(struct request *r);
void on_openapi(struct request *r);
void on_metrics(struct request *r);
void on_status(struct request *r);
void on_account(struct request *r);
void on_models(struct request *r);
void on_model(struct request *r);
void on_keys_list(struct request *r);
void on_keys_make(struct request *r);
void on_keys_get(struct request *r);
void on_keys_drop(struct request *r);
void on_keys_append(struct request *r);
void on_keys_bytes(struct request *r, const void *data, size_t n);
void on_keys_appended(struct request *r);
void on_keys_close(struct request *r);
void on_classify(struct request *r);
void on_classify_bytes(struct request *r, const void *data, size_t n);
void on_classify_end(struct request *r);
void on_classify_close(struct request *r);
void on_jobs_list(struct request *r);
void on_job(struct request *r);
void on_job_drop(struct request *r);
void on_job_answer(struct request *r);
void on_job_events(struct request *r);

#ifdef __cplusplus
}
#endif
#endif
