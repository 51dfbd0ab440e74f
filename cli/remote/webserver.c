#include "cli/remote/webserver.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "cli/remote/webpage.h"

enum { SECRET = 32, CONNECTIONS = 64, IDLE = 60, BODY_MOST = 1 << 17, BLOCK = 8192 };
static const double listen_for = 10; // seconds, between comments that keep a stream open

struct webserver {
    struct MHD_Daemon *daemon;
    struct webrun *run;
    struct webtune *tune;
    const struct asker *asker;
    char secret[SECRET + 1], host[2][32], origin[2][40], url[128];
};

struct body { /* of a request that is being read */
    char *text;
    size_t n;
    int too_long;
};

/* ---- replies ---- */

static const char *const headers[][2] = {
    {"Content-Security-Policy",
     "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const char *type,
                             struct MHD_Response *r) {
    if (!r) return MHD_NO;
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        MHD_add_response_header(r, headers[i][0], headers[i][1]);
    MHD_add_response_header(r, "Content-Type", type);
    const enum MHD_Result done = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return done;
}

/* Takes the object. */
static enum MHD_Result reply_json(struct MHD_Connection *c, unsigned status, json_t *o) {
    char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    if (!text) return MHD_NO;
    return reply(c, status, "application/json",
                 MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE));
}

static enum MHD_Result refuse(struct MHD_Connection *c, unsigned status, const char *why) {
    return reply_json(c, status, json_pack("{s:i, s:s}", "status", (int)status, "detail", why));
}

/* ---- who asks ---- */

static int is_one_of(const char *s, const char *a, const char *b) {
    return strcmp(s, a) == 0 || strcmp(s, b) == 0;
}

/* NULL, or why not. */
static const char *stranger(const struct webserver *s, struct MHD_Connection *c, int changes) {
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");
    const char *origin = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Origin");
    const char *site = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Sec-Fetch-Site");
    if (!host || !is_one_of(host, s->host[0], s->host[1])) return "another Host";
    if (origin ? !is_one_of(origin, s->origin[0], s->origin[1]) : changes) return "another Origin";
    if (site && !is_one_of(site, "same-origin", changes ? "same-origin" : "none"))
        return "from another site";
    return NULL;
}

/* The path behind the secret, or NULL. */
static const char *inside(const struct webserver *s, const char *path) {
    if (strlen(path) < SECRET + 2 || path[0] != '/' || path[SECRET + 1] != '/' ||
        sodium_memcmp(path + 1, s->secret, SECRET) != 0)
        return NULL;
    return path + SECRET + 2;
}

/* ---- what is asked ---- */

static enum MHD_Result on_file(struct MHD_Connection *c, const char *name) {
    const struct webpage *f = webpage_find(name);
    if (!f) return refuse(c, MHD_HTTP_NOT_FOUND, "there is nothing of that name");
    return reply(c, MHD_HTTP_OK, f->type,
                 MHD_create_response_from_buffer((size_t)(f->end - f->data), (void *)f->data,
                                                 MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result on_about(const struct webserver *s, struct MHD_Connection *c) {
    const struct asker *a = s->asker;
    const struct bert_config *cfg = &a->s.model->cfg;
    json_t *labels = json_array();
    for (int i = 0; i < cfg->labels; i++)
        json_array_append_new(labels, json_string(cfg->label_names[i]));
    return reply_json(c, MHD_HTTP_OK,
                      json_pack("{s:s, s:s, s:o, s:i, s:s, s:i, s:b}", "server", wire_url(a->w),
                                "name", a->to.name, "labels", labels, "tokens", a->s.plan->tokens,
                                "parameters", a->s.params->name, "security_bits",
                                a->s.params->security_bits, "pairs", cfg->type_vocab > 1));
}

/* An object of a body, or NULL: the request was refused, as *done says. */
static json_t *object_of(enum MHD_Result *done, struct MHD_Connection *c, const struct body *b) {
    json_t *o = NULL;
    if (b->too_long) {
        *done = refuse(c, MHD_HTTP_CONTENT_TOO_LARGE, "the text is too long");
        return NULL;
    }
    if (b->text && bert_json_parse(&o, b->text, b->n, 100, 0, THOR_INPUT) == THOR_OK &&
        json_is_object(o))
        return o;
    json_decref(o);
    *done = refuse(c, MHD_HTTP_BAD_REQUEST, "no JSON object");
    return NULL;
}

static enum MHD_Result on_text(struct webserver *s, struct MHD_Connection *c,
                               const struct body *b) {
    enum MHD_Result done = MHD_NO;
    json_t *o = object_of(&done, c, b);
    if (!o) return done;
    const char *text = json_string_value(json_object_get(o, "text"));
    const int given = text != NULL;
    const int run =
        given ? webrun_begin(s->run, text, json_string_value(json_object_get(o, "pair"))) : 0;
    json_decref(o);
    if (!given) return refuse(c, MHD_HTTP_BAD_REQUEST, "no text");
    if (!run) return refuse(c, MHD_HTTP_CONFLICT, "another text is on its way: wait for its label");
    return reply_json(c, MHD_HTTP_ACCEPTED, json_pack("{s:i}", "run", run));
}

static enum MHD_Result on_form(struct webserver *s, struct MHD_Connection *c, int which,
                               const struct body *b) {
    enum MHD_Result done = MHD_NO;
    struct webtune_bad bad = {0};
    json_t *form = object_of(&done, c, b);
    if (!form) return done;
    const int run = webtune_begin(&bad, s->tune, which, form);
    json_decref(form);
    if (run < 0)
        return reply_json(c, MHD_HTTP_BAD_REQUEST,
                          json_pack("{s:i, s:s, s:s}", "status", MHD_HTTP_BAD_REQUEST, "field",
                                    bad.field, "detail", bad.why));
    if (!run) return refuse(c, MHD_HTTP_CONFLICT, "one runs already: wait for its end, or stop it");
    return reply_json(c, MHD_HTTP_ACCEPTED, json_pack("{s:i}", "run", run));
}

/* ---- events ---- */

struct listener {
    struct webevents *events;
    int number;
    size_t i;   /* of the next event */
    char *line; /* and what of the last one is to be sent */
    size_t at, n;
};

static int next_line(struct listener *l, int *over) {
    char *event = webevents_get(over, l->events, l->number, l->i, listen_for);
    if (*over) return 0;
    free(l->line);
    l->i += event != NULL;
    int n = event ? asprintf(&l->line, "data: %s\n\n", event) : asprintf(&l->line, ":\n\n");
    if (n < 0) l->line = NULL, n = 0;
    free(event);
    l->n = (size_t)n;
    l->at = 0;
    return n;
}

static void on_gone(void *ctx) {
    struct listener *l = ctx;
    free(l->line);
    free(l);
}

static ssize_t on_read(void *ctx, uint64_t pos, char *to, size_t room) {
    struct listener *l = ctx;
    (void)pos;
    int over = 0;
    if (l->at == l->n && !next_line(l, &over))
        return over ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
    if (room > l->n - l->at) room = l->n - l->at;
    memcpy(to, l->line + l->at, room);
    l->at += room;
    return (ssize_t)room;
}

static enum MHD_Result on_events(struct webevents *e, struct MHD_Connection *c) {
    const char *run = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, "run");
    struct listener *l = calloc(1, sizeof *l);
    if (!l) return MHD_NO;
    l->events = e;
    l->number = run ? atoi(run) : 0;
    return reply(c, MHD_HTTP_OK, "text/event-stream",
                 MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK, on_read, l, on_gone));
}

/* ---- requests ---- */

/* What the two jobs of tuning are called in addresses. */
static const char *const tune_names[WEBTUNE_JOBS] = {"tune", "try"};

static enum MHD_Result get(struct webserver *s, struct MHD_Connection *c, const char *name) {
    if (strcmp(name, "about") == 0) return on_about(s, c);
    if (strcmp(name, "events") == 0) return on_events(webrun_events(s->run), c);
    if (strcmp(name, "tune") == 0) return reply_json(c, MHD_HTTP_OK, webtune_about(s->tune));
    for (int i = 0; i < WEBTUNE_JOBS; i++)
        if (strncmp(name, tune_names[i], strlen(tune_names[i])) == 0 &&
            strcmp(name + strlen(tune_names[i]), "/events") == 0)
            return on_events(webjob_events(s->tune->job[i]), c);
    return on_file(c, name);
}

static enum MHD_Result change(struct webserver *s, struct MHD_Connection *c, const char *name,
                              const char *method, const struct body *b) {
    const int begins = strcmp(method, "POST") == 0, ends = strcmp(method, "DELETE") == 0;
    if (begins && strcmp(name, "classify") == 0) return on_text(s, c, b);
    for (int i = 0; i < WEBTUNE_JOBS; i++) {
        if (strcmp(name, tune_names[i])) continue;
        if (begins) return on_form(s, c, i, b);
        if (ends) webjob_stop(s->tune->job[i]);
        if (ends) return reply_json(c, MHD_HTTP_OK, json_object());
    }
    if (!ends || strcmp(name, "run"))
        return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "not to be done with that");
    webrun_cancel(s->run);
    return reply_json(c, MHD_HTTP_OK, json_object());
}

static enum MHD_Result answer(struct webserver *s, struct MHD_Connection *c, const char *path,
                              const char *method, const struct body *b) {
    const char *name = inside(s, path);
    const int reads = is_one_of(method, "GET", "HEAD");
    const char *why = stranger(s, c, !reads);
    if (why) return refuse(c, MHD_HTTP_FORBIDDEN, why);
    if (!name) return refuse(c, MHD_HTTP_NOT_FOUND, "there is nothing of that name");
    return reads ? get(s, c, name) : change(s, c, name, method, b);
}

static void take_body(struct body *b, const char *data, size_t n) {
    char *more = b->n + n > BODY_MOST ? NULL : realloc(b->text, b->n + n + 1);
    if (!more) {
        b->too_long = 1;
        return;
    }
    b->text = more;
    memcpy(b->text + b->n, data, n);
    b->text[b->n += n] = 0;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **state) {
    struct body *b = *state;
    (void)version;
    if (!b) return (*state = calloc(1, sizeof *b)) ? MHD_YES : MHD_NO;
    if (*n) {
        take_body(b, data, *n);
        *n = 0;
        return MHD_YES;
    }
    return answer(ctx, c, path, method, b);
}

static void on_done(void *ctx, struct MHD_Connection *c, void **state,
                    enum MHD_RequestTerminationCode code) {
    struct body *b = *state;
    (void)ctx, (void)c, (void)code;
    if (b && b->text) sodium_memzero(b->text, b->n);
    if (b) free(b->text);
    free(b);
    *state = NULL;
}

/* ---- start and stop ---- */

static void name_places(struct webserver *s, int port) {
    static const char *const names[] = {"127.0.0.1", "localhost"};
    uint8_t random[SECRET / 2];
    for (int i = 0; i < SECRET / 8; i++) {
        const uint32_t word = randombytes_random();
        memcpy(random + 4 * i, &word, 4);
    }
    sodium_bin2hex(s->secret, sizeof s->secret, random, sizeof random);
    for (int i = 0; i < 2; i++) {
        snprintf(s->host[i], sizeof s->host[i], "%s:%d", names[i], port);
        snprintf(s->origin[i], sizeof s->origin[i], "http://%s:%d", names[i], port);
    }
    snprintf(s->url, sizeof s->url, "%s/%s/", s->origin[0], s->secret);
}

int webserver_start(struct webserver **out, struct webrun *run, struct webtune *tune,
                    const struct asker *a, int port) {
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct webserver *s = calloc(1, sizeof *s);
    *out = NULL;
    if (!s) return thor_fail(THOR_MEMORY, "no memory for the page");
    s->run = run;
    s->tune = tune;
    s->asker = a;
    name_places(s, port); // the secret is there before the first connection
    s->daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION,
                                 (uint16_t)port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
                                 &at, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
                                 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE,
                                 MHD_OPTION_NOTIFY_COMPLETED, on_done, NULL, MHD_OPTION_END);
    if (!s->daemon) {
        free(s);
        return thor_fail(THOR_IO, "127.0.0.1:%d: cannot listen there; name another --port", port);
    }
    if (!port) name_places(s, MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    *out = s;
    return THOR_OK;
}

const char *webserver_url(const struct webserver *s) {
    return s->url;
}

void webserver_stop(struct webserver *s) {
    if (!s) return;
    MHD_stop_daemon(s->daemon);
    sodium_memzero(s->secret, sizeof s->secret);
    free(s);
}
