#include "cli/serve/http.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "bench/bench.h"
#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "cli/serve/logline.h"

enum {
    MEMORY = 256 << 10,   /* of a connection, for its header and as a buffer of its body */
    STACK = 256 << 10,    /* of its thread */
    JSON_MOST = 1 << 20,  /* of a JSON body */
    THROWN = 64 << 20,    /* of a refused body, read so that the refusal arrives */
    SILENCE = 60,         /* seconds without a byte */
    HEADER_SECONDS = 20,  /* until a header is whole */
    BODY_GRACE = 30,      /* then a body comes at */
    BODY_RATE = 4096,     /* bytes a second at least */
    ANSWER_SECONDS = 900, /* until an answer is taken */
    EVENT_SECONDS = 3600,
    PEM_MOST = 1 << 20
};

enum phase { HEADER, BODY, WORK, ANSWER, EVENTS };

struct connection { /* for http_watch */
    struct connection *next, **before;
    int fd;
    enum phase phase;
    int served; /* a request on it has been answered */
    double since;
    uint64_t got;
};

struct http {
    struct MHD_Daemon *daemon;
    struct serve *serve;
    pthread_mutex_t lock;
    struct connection *first;
    int connections;
    char address[80];
    char *cert, *key;
};

const char *header_of(const struct request *r, const char *name) {
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

void http_awake(struct request *r) {
    MHD_set_connection_option(r->connection, MHD_CONNECTION_OPTION_TIMEOUT, (unsigned)SILENCE);
}

/* ---- one request ---- */

static void set_phase(struct request *r, enum phase phase) {
    struct http *h = r->s->http;
    if (!r->of) return;
    pthread_mutex_lock(&h->lock);
    r->of->phase = phase;
    r->of->since = bench_now();
    r->of->got = 0;
    r->of->served |= phase == ANSWER;
    pthread_mutex_unlock(&h->lock);
}

static void authorize(struct request *r) {
    if (r->response || r->route->auth == OPEN) return;
    if (!tokens_find(&r->account, r->s->tokens, header_of(r, "Authorization"))) {
        refuse(r, 401, "no-token",
               "give a token of this server: Authorization: Bearer thor_.. (thor serve token)");
        answer_header(r, "WWW-Authenticate", "Bearer");
    } else if ((r->account.kind == ACCOUNT_OPERATOR) != (r->route->auth == OPERATOR)) {
        refuse(r, 403, "forbidden", "this is for the token of %s",
               r->route->auth == OPERATOR ? "an operator" : "a user");
    }
}

static uint64_t content_length(const struct request *r) {
    const char *text = header_of(r, "Content-Length");
    if (!text) return header_of(r, "Transfer-Encoding") ? UINT64_MAX : 0;
    return strspn(text, "0123456789") == strlen(text) ? strtoull(text, NULL, 10) : UINT64_MAX;
}

static void check_body(struct request *r) {
    const char *type = header_of(r, "Content-Type");
    if (r->response) return;
    if (r->route->body == NO_BODY) {
        if (r->length > JSON_MOST) refuse(r, 413, "too-long", "this path takes no body");
        return;
    }
    const size_t n = strlen(r->route->type);
    if (!type || strncasecmp(type, r->route->type, n) != 0 || (type[n] && !strchr("; ", type[n])))
        refuse(r, 415, "media-type", "give Content-Type: %s", r->route->type);
    else if (r->route->body == JSON_BODY && r->length > JSON_MOST && r->length != UINT64_MAX)
        refuse(r, 413, "too-long", "a JSON body has at most %d bytes", JSON_MOST);
}

static void begin(struct request *r, const char *path) {
    r->length = content_length(r);
    route_find(r, path);
    authorize(r);
    check_body(r);
    if (r->response) return;
    r->begun = 1;
    if (r->route->begin) r->route->begin(r);
}

static void keep_json(struct request *r, const void *data, size_t n) {
    if (r->got + n > JSON_MOST) {
        refuse(r, 413, "too-long", "a JSON body has at most %d bytes", JSON_MOST);
        return;
    }
    if (r->got + n > r->room) {
        const size_t room = 2 * (r->got + n);
        char *more = realloc(r->body, room);
        if (!more) {
            refuse(r, 500, "internal", "no memory for the body");
            return;
        }
        r->body = more;
        r->room = room;
    }
    memcpy(r->body + r->got, data, n);
}

static void end(struct request *r) {
    if (r->response) return;
    if (r->route->body == JSON_BODY &&
        bert_json_parse(&r->json, r->body ? r->body : "", (size_t)r->got, BERT_JSON_SMALL, 0,
                        THOR_INPUT) != THOR_OK)
        refuse(r, 400, "bad-json", "the body is no JSON within bounds: %s", thor_error());
    else if (r->route->body == JSON_BODY && !json_is_object(r->json))
        refuse(r, 400, "bad-json", "the body is no JSON object");
    else
        r->route->end(r);
    if (!r->response) refuse(r, 500, "internal", "no answer");
}

static enum MHD_Result send_answer(struct request *r) {
    const int events = r->route && strstr(r->route->path, "/events") != NULL;
    set_phase(r, events && r->status == 200 ? EVENTS : ANSWER);
    return MHD_queue_response(r->connection, r->status, r->response);
}

static struct connection *connection_of(struct MHD_Connection *c) {
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return i ? i->socket_context : NULL;
}

/* A refused body is read to its end and thrown away, so that the refusal arrives, unless it is
 * long, comes from a stranger, or its sender waits for a word. */
static int is_unread(const struct request *r) {
    const char *expect = header_of(r, "Expect");
    const uint64_t most = r->account.name[0] ? THROWN : JSON_MOST;
    return r->length && (r->length > most || (expect && strcasecmp(expect, "100-continue") == 0));
}

static enum MHD_Result first_call(struct serve *s, struct MHD_Connection *c, const char *path,
                                  const char *method, void **context) {
    struct request *r = calloc(1, sizeof *r);
    if (!r) return MHD_NO;
    *context = r;
    *r = (struct request){.s = s, .connection = c, .method = method, .began = bench_now()};
    r->of = connection_of(c);
    set_phase(r, BODY);
    begin(r, path);
    if (r->response && is_unread(r)) return send_answer(r);
    return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **context) {
    struct serve *s = cls;
    struct request *r = *context;
    (void)version;
    if (!r) return first_call(s, c, path, method, context);
    if (*n) {
        if (r->of) {
            pthread_mutex_lock(&s->http->lock);
            r->of->got += *n;
            pthread_mutex_unlock(&s->http->lock);
        }
        if (!r->response && r->route->body == JSON_BODY) keep_json(r, data, *n);
        if (!r->response && r->route->body == STREAM_BODY) r->route->take(r, data, *n);
        r->got += *n;
        *n = 0;
        return r->response && r->got > THROWN ? MHD_NO : MHD_YES;
    }
    set_phase(r, WORK);
    end(r);
    return send_answer(r);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **context,
                         enum MHD_RequestTerminationCode why) {
    struct serve *s = cls;
    struct request *r = *context;
    (void)c;
    if (!r) return;
    *context = NULL;
    if (r->begun && r->route->close) r->route->close(r);
    const char *route = r->route ? r->route->path : "other";
    const unsigned status = r->response ? r->status : 0; // 0: it broke off before an answer
    metrics_answer(s->metrics, route, status);
    logline("request", "{s:s, s:s, s:i, s:s, s:s, s:f, s:I, s:b}", "method",
            r->route ? r->route->method : "other", "route", route, "status", (int)status, "problem",
            r->problem ? r->problem : "", "account", r->account.name, "seconds",
            bench_now() - r->began, "bytes", (json_int_t)r->got, "whole",
            why == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (r->response) MHD_destroy_response(r->response);
    json_decref(r->json);
    free(r->body);
    set_phase(r, HEADER);
    free(r);
}

/* ---- connections ---- */

static void on_connection(void *cls, struct MHD_Connection *c, void **context,
                          enum MHD_ConnectionNotificationCode what) {
    struct http *h = cls;
    struct connection *k = *context;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *i =
            MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = k = calloc(1, sizeof *k);
        if (!k || !i) return;
        *k = (struct connection){.fd = i->connect_fd, .since = bench_now()};
        pthread_mutex_lock(&h->lock);
        k->next = h->first;
        k->before = &h->first;
        if (h->first) h->first->before = &k->next;
        h->first = k;
        h->connections++;
        pthread_mutex_unlock(&h->lock);
    } else if (k) {
        pthread_mutex_lock(&h->lock);
        if (k->before) {
            *k->before = k->next;
            if (k->next) k->next->before = k->before;
            h->connections--;
        }
        pthread_mutex_unlock(&h->lock);
        free(k);
        *context = NULL;
    }
}

static int too_slow(const struct connection *k, double now) {
    const double age = now - k->since;
    switch (k->phase) {
    case HEADER:
        return age > (k->served ? SILENCE : HEADER_SECONDS);
    case BODY:
        return age > BODY_GRACE && (double)k->got < (age - BODY_GRACE) * BODY_RATE;
    case ANSWER:
        return age > ANSWER_SECONDS;
    case EVENTS:
        return age > EVENT_SECONDS;
    default:
        return 0;
    }
}

void http_watch(struct http *h) {
    int cut = 0;
    const double now = bench_now();
    pthread_mutex_lock(&h->lock);
    for (struct connection *k = h->first; k; k = k->next) {
        if (!too_slow(k, now)) continue;
        shutdown(k->fd, SHUT_RDWR); // its own thread closes it
        cut++;
    }
    pthread_mutex_unlock(&h->lock);
    if (cut) logline("slow", "{s:i}", "connections", cut);
}

int http_connections(struct http *h) {
    pthread_mutex_lock(&h->lock);
    const int n = h->connections;
    pthread_mutex_unlock(&h->lock);
    return n;
}

/* ---- the listener ---- */

static int parse_listen(struct sockaddr_storage *to, const char *text) {
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM},
                    *found = NULL;
    char host[64];
    const char *colon = strrchr(text, ':');
    const int bracket = text[0] == '[';
    const long port = colon && colon[1] ? strtol(colon + 1, NULL, 10) : -1;
    if (!colon || colon - text >= (long)sizeof host)
        return thor_fail(THOR_USAGE, "--listen %.60s: give ADDRESS:PORT, e.g. 127.0.0.1:8443",
                         text);
    snprintf(host, sizeof host, "%.*s", (int)(colon - text) - 2 * bracket, text + bracket);
    if (port < 0 || port > 65535 ||
        getaddrinfo(host[0] ? host : NULL, colon + 1, &hints, &found) != 0 || !found)
        return thor_fail(THOR_USAGE,
                         "--listen %.60s: no address and port in numbers, e.g. 127.0.0.1:8443",
                         text);
    memcpy(to, found->ai_addr, found->ai_addrlen);
    freeaddrinfo(found);
    return THOR_OK;
}

static int read_pem(char **text, const char *path) {
    size_t n;
    return path ? bert_read_file(text, &n, path, PEM_MOST, THOR_IO) : THOR_OK;
}

static void name_address(struct http *h, const struct sockaddr_storage *a) {
    char host[64] = "";
    const union MHD_DaemonInfo *i = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    getnameinfo((const struct sockaddr *)a, sizeof *a, host, sizeof host, NULL, 0, NI_NUMERICHOST);
    snprintf(h->address, sizeof h->address, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host,
             i ? i->port : 0);
}

static int is_loopback(const struct sockaddr_storage *a) {
    if (a->ss_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)a)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)a)->sin6_addr);
}

static void on_message(void *cls, const char *fmt, va_list ap) {
    char line[300];
    (void)cls;
    vsnprintf(line, sizeof line, fmt, ap);
    line[strcspn(line, "\n")] = 0;
    logline("http", "{s:s}", "detail", line);
}

static int open_daemon(struct http *h, const struct http_setup *setup,
                       const struct sockaddr_storage *a) {
    unsigned flags = MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION |
                     MHD_USE_POLL | MHD_USE_ERROR_LOG;
    if (a->ss_family == AF_INET6) flags |= MHD_USE_IPv6;
    if (h->cert) flags |= MHD_USE_TLS;
    const struct MHD_OptionItem tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, h->cert},
                                         {MHD_OPTION_HTTPS_MEM_KEY, 0, h->key},
                                         {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h->serve, MHD_OPTION_EXTERNAL_LOGGER, on_message, NULL,
        MHD_OPTION_SOCK_ADDR, a, MHD_OPTION_NOTIFY_COMPLETED, on_completed, h->serve,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)setup->connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK, MHD_OPTION_ARRAY, h->cert ? tls : none, MHD_OPTION_END);
    return h->daemon ? THOR_OK
                     : thor_fail(THOR_IO,
                                 "--listen %.60s: cannot be listened on; is another server there, "
                                 "or the certificate damaged?",
                                 setup->listen);
}

int http_start(struct http **out, struct serve *s, const struct http_setup *setup) {
    int st = THOR_OK;
    struct sockaddr_storage a = {0};
    struct http *h = calloc(1, sizeof *h);
    if (!h) return thor_fail(THOR_MEMORY, "no memory for a listener");
    *out = h;
    h->serve = s;
    pthread_mutex_init(&h->lock, NULL);
    TRY(parse_listen(&a, setup->listen));
    TRY(read_pem(&h->cert, setup->cert));
    TRY(read_pem(&h->key, setup->key));
    TRY(open_daemon(h, setup, &a));
    name_address(h, &a);
    if (!h->cert && !is_loopback(&a))
        logline("warning", "{s:s}", "detail",
                "tokens travel in the clear: give --tls-cert and --tls-key, or put TLS in front");
out:
    return st;
}

const char *http_address(const struct http *h) {
    return h->address;
}

void http_stop(struct http *h) {
    if (!h) return;
    if (h->daemon) MHD_stop_daemon(h->daemon);
    pthread_mutex_destroy(&h->lock);
    free(h->cert);
    free(h->key);
    free(h);
}
