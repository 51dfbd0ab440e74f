#include "cli/remote/wire.h"

#include <curl/curl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/bench.h"
#include "bert/input/jsonfile.h"
#include "cli/cli.h"
#include "kernels/shown.h"

enum { TEXT_MOST = 1 << 20, SILENCE = 60, SEND_BUFFER = 2 << 20, REPLY_BUFFER = 512 << 10 };
static const double first_wait = 0.5, longest_wait = 30; // seconds, of waits that double
static const double tell_every = 0.1;                    // seconds

struct wire {
    CURL *curl;
    struct wire_setup setup;
    char error[CURL_ERROR_SIZE];
    /* of the call */
    const struct wire_call *call;
    struct wire_reply *reply;
    size_t sent;
    double told; // when it heard of that
    int failed;  /* status of a sink that refused */
};

/* ---- libcurl's questions ---- */

static size_t on_send(char *to, size_t size, size_t n, void *ctx) {
    struct wire *w = ctx;
    size_t room = size * n, left = w->call->bytes - w->sent;
    if (room > left) room = left;
    if (w->call->body)
        memcpy(to, (const char *)w->call->body + w->sent, room);
    else if ((w->failed = bert_file_read(w->call->file, to, room, w->call->at + w->sent)))
        return CURL_READFUNC_ABORT;
    w->sent += room;
    return room;
}

static int on_seek(void *ctx, curl_off_t at, int origin) {
    struct wire *w = ctx;
    if (origin != SEEK_SET || at < 0 || (size_t)at > w->call->bytes) return CURL_SEEKFUNC_FAIL;
    w->sent = (size_t)at;
    return CURL_SEEKFUNC_OK;
}

static int keep(struct wire_reply *r, const char *data, size_t n) {
    char *text = r->bytes + n > TEXT_MOST ? NULL : realloc(r->text, r->bytes + n + 1);
    if (!text) return 0;
    memcpy(text + r->bytes, data, n);
    text[r->bytes += n] = 0;
    r->text = text;
    return 1;
}

static size_t on_reply(char *data, size_t size, size_t n, void *ctx) {
    struct wire *w = ctx;
    long status = 0;
    n *= size;
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    if (!w->call->sink || status / 100 != 2) return keep(w->reply, data, n) ? n : 0;
    w->failed = w->call->sink(w->call->ctx, data, n);
    return w->failed == THOR_OK ? n : 0;
}

static int stopped(const struct wire *w) {
    if (w->call && w->call->always) return THOR_OK;
    const int st = w->setup.stop ? w->setup.stop(w->setup.ctx) : THOR_OK;
    return st ? st : interrupt_pending();
}

static int on_progress(void *ctx, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    struct wire *w = ctx;
    (void)a, (void)b, (void)c, (void)d;
    if (w->call->sent && bench_now() - w->told > tell_every) {
        w->call->sent(w->call->ctx, w->sent);
        w->told = bench_now();
    }
    return stopped(w) != THOR_OK;
}

/* ---- one connection ---- */

static struct curl_slist *headers_of(const struct wire *w, const struct wire_call *c) {
    char auth[600];
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", w->setup.to->token);
    struct curl_slist *list = curl_slist_append(NULL, auth), *next = list;
    sodium_memzero(auth, sizeof auth);
    if (next) next = curl_slist_append(list, "Expect:"); // no 100-continue: one round trip less
    for (int i = 0; next && i < WIRE_HEADERS && c->header[i]; i++)
        next = curl_slist_append(list, c->header[i]);
    if (next) return list;
    curl_slist_free_all(list);
    return NULL;
}

static void set_call(struct wire *w, const char *url, struct curl_slist *headers) {
    const struct wire_call *c = w->call;
    const int head = strcmp(c->method, "HEAD") == 0, body = c->body || c->file;
    CURL *h = w->curl;
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(h, CURLOPT_UPLOAD, body ? 1L : 0L);
    curl_easy_setopt(h, CURLOPT_NOBODY, head ? 1L : 0L);
    if (!head && !body) curl_easy_setopt(h, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(h, CURLOPT_CUSTOMREQUEST, head ? NULL : c->method);
    curl_easy_setopt(h, CURLOPT_INFILESIZE_LARGE, body ? (curl_off_t)c->bytes : -1);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_TIME, (long)(c->silence ? c->silence : SILENCE));
}

static const char *header(const struct wire *w, const char *name) {
    struct curl_header *h;
    return curl_easy_header(w->curl, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK ? h->value : NULL;
}

/* A path of this server in characters that need no escape, or nothing. */
static void read_location(struct wire_reply *r, const struct wire *w) {
    const char *at = header(w, "Location"), *url = w->setup.to->url;
    r->location[0] = 0;
    if (!at) return;
    if (strncmp(at, url, strlen(url)) == 0) at += strlen(url);
    if (at[0] == '/' && at[1] != '/' && strlen(at) < sizeof r->location && !strstr(at, "..") &&
        strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/") ==
            strlen(at))
        strcpy(r->location, at);
}

static double read_retry(const struct wire *w) {
    curl_off_t seconds = 0; // libcurl knows both forms, seconds and a date
    if (!header(w, "Retry-After")) return -1;
    curl_easy_getinfo(w->curl, CURLINFO_RETRY_AFTER, &seconds);
    return (double)seconds;
}

/* problem+json: "type" is urn:thor:NAME, "detail" the line for people. */
static void read_problem(struct wire_reply *r) {
    json_t *o = NULL;
    const char *type, *why;
    if (!r->text || bert_json_parse(&o, r->text, r->bytes, 1000, 0, THOR_IO) != THOR_OK) return;
    type = json_string_value(json_object_get(o, "type"));
    why = json_string_value(json_object_get(o, "detail"));
    if (type && strncmp(type, "urn:thor:", 9) == 0)
        snprintf(r->problem, sizeof r->problem, "%s", type + 9);
    shown_in(r->detail, sizeof r->detail, why ? why : "");
    json_decref(o);
}

static void read_headers(struct wire *w, struct wire_reply *r) {
    long status = 0;
    const char *offset = header(w, "Upload-Offset");
    char *end = NULL;
    curl_easy_getinfo(w->curl, CURLINFO_RESPONSE_CODE, &status);
    r->status = (int)status;
    r->offset = offset ? strtoll(offset, &end, 10) : -1;
    if (offset && (*end || end == offset || r->offset < 0)) r->offset = -1;
    r->retry_after = read_retry(w);
    snprintf(r->request, sizeof r->request, "%s",
             header(w, "Thor-Request") ? header(w, "Thor-Request") : "");
    read_location(r, w);
    if (r->status / 100 != 2) read_problem(r);
}

/* What libcurl says of a connection that failed, in a line with its mend. */
static int no_connection(const struct wire *w, CURLcode code) {
    const char *url = w->setup.to->url, *why = w->error[0] ? w->error : curl_easy_strerror(code);
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return thor_fail(THOR_KEY,
                         "%s: its certificate is not trusted (%s); give that of its authority with "
                         "thor remote login --cacert",
                         url, why);
    case CURLE_SSL_CONNECT_ERROR:
        return thor_fail(THOR_IO,
                         "%s: no TLS is spoken there (%s); a server without a certificate has the "
                         "address http://%s",
                         url, why, strstr(url, "//") ? strstr(url, "//") + 2 : url);
    case CURLE_COULDNT_RESOLVE_HOST:
        return thor_fail(THOR_IO, "%s: no such host (%s); check the address", url, why);
    case CURLE_COULDNT_CONNECT:
        return thor_fail(THOR_IO, "%s: no server answers there (%s); is it running?", url, why);
    default:
        return thor_fail(THOR_IO, "%s: the connection broke (%s); try again%s", url, why,
                         code == CURLE_GOT_NOTHING && strncmp(url, "http:", 5) == 0
                             ? ", or with https://, if it speaks TLS"
                             : "");
    }
}

static int may_mend(CURLcode code) {
    return code != CURLE_PEER_FAILED_VERIFICATION && code != CURLE_SSL_CACERT_BADFILE &&
           code != CURLE_SSL_ISSUER_ERROR && code != CURLE_SSL_CONNECT_ERROR &&
           code != CURLE_COULDNT_RESOLVE_HOST && code != CURLE_URL_MALFORMAT &&
           code != CURLE_UNSUPPORTED_PROTOCOL;
}

/* *mend: a fresh connection may do better. */
static int once(struct wire *w, struct wire_reply *r, const struct wire_call *c, int *mend) {
    int st = THOR_OK;
    char url[1024 + 600];
    snprintf(url, sizeof url, "%s%s", w->setup.to->url, c->path);
    wire_reply_free(r);
    *mend = 0;
    w->call = c;
    w->reply = r;
    w->sent = 0;
    w->failed = THOR_OK;
    w->error[0] = 0;
    struct curl_slist *headers = headers_of(w, c);
    if (!headers) return thor_fail(THOR_MEMORY, "no memory for a call");
    set_call(w, url, headers);
    CURLcode code = curl_easy_perform(w->curl);
    read_headers(w, r);
    if (code == CURLE_OK) goto out;
    if (w->failed) TRY(w->failed);
    r->broken = 1;
    TRY(stopped(w));
    // a server that refuses a body may close while it is sent: its reply is what counts
    if (code == CURLE_SEND_ERROR && r->status / 100 == 4) goto out;
    *mend = may_mend(code);
    st = no_connection(w, code);
out:
    w->call = NULL;
    curl_slist_free_all(headers);
    return st;
}

/* ---- again ---- */

int wire_sleep(const struct wire *w, double seconds) {
    int st = THOR_OK;
    const struct timespec step = {0, 50000000};
    for (double end = bench_now() + seconds; bench_now() < end;) {
        TRY(stopped(w));
        nanosleep(&step, NULL);
    }
out:
    return st;
}

/* Uniform in [0, 1). */
static double chance(void) {
    return randombytes_uniform(1u << 20) / (double)(1u << 20);
}

static double backoff(int tries) {
    double most = first_wait;
    for (int i = 0; i < tries && most < longest_wait; i++) most *= 2;
    if (most > longest_wait) most = longest_wait;
    return most / 2 * (1 + chance());
}

/* Seconds to wait for a busy server, never less than what it asks for. */
static double busy_wait(const struct wire_reply *r, int tries) {
    if (r->retry_after < 0) return backoff(tries);
    return r->retry_after + (0.25 + r->retry_after / 8) * chance();
}

static int too_busy(const struct wire *w, const struct wire_reply *r, double wait) {
    if (r->retry_after >= 0)
        return thor_fail(THOR_IO,
                         "%s: busy (HTTP %d), to be asked again in %.0f s; try later, or wait "
                         "longer with --wait",
                         w->setup.to->url, r->status, r->retry_after);
    return thor_fail(THOR_IO,
                     "%s: busy (HTTP %d); the next try would be in %.0f s; try later, or wait "
                     "longer with --wait",
                     w->setup.to->url, r->status, wait);
}

int wire_call(struct wire_reply *r, struct wire *w, const struct wire_call *c) {
    int st = THOR_OK, mend = 0, broken = 0, busy = 0;
    double waited = 0, wait;
    memset(r, 0, sizeof *r);
    for (;;) {
        st = once(w, r, c, &mend);
        if (st == THOR_OK && ((r->status != 429 && r->status != 503) || c->always)) return THOR_OK;
        if (st != THOR_OK && (!mend || !c->again || ++broken >= w->setup.tries)) return st;
        const int is_busy = st == THOR_OK;
        wait = is_busy ? busy_wait(r, busy++) : backoff(broken);
        if (is_busy && waited + wait > w->setup.patience) return too_busy(w, r, wait);
        if (w->setup.waits)
            w->setup.waits(w->setup.ctx, wait, is_busy ? "the server is busy" : thor_error());
        TRY(wire_sleep(w, wait));
        waited += wait;
    }
out:
    return st;
}

int wire_ask(struct wire_reply *r, struct wire *w, const struct wire_call *c) {
    int st = THOR_OK;
    TRY(wire_call(r, w, c));
    if (r->status / 100 != 2) st = wire_refused(w, r);
out:
    return st;
}

/* ---- refusals ---- */

int wire_refused(const struct wire *w, const struct wire_reply *r) {
    const char *url = w->setup.to->url, *why = r->detail;
    if (r->status == 401)
        return thor_fail(THOR_KEY,
                         "%s: the token is refused%s%s (HTTP %d); log in again with thor remote "
                         "login",
                         url, why[0] ? ": " : "", why, r->status);
    if (!r->problem[0])
        return thor_fail(THOR_IO,
                         "%s: its answer is none of thor serve (HTTP %d%s%s); check the address",
                         url, r->status, why[0] ? ": " : "", why);
    return thor_fail(r->status / 100 == 4 ? THOR_KEY : THOR_IO, "%s: %s (HTTP %d)", url,
                     why[0] ? why : r->problem, r->status);
}

/* ---- open and close ---- */

void wire_reply_free(struct wire_reply *r) {
    free(r->text);
    memset(r, 0, sizeof *r);
    r->offset = -1;
    r->retry_after = -1;
}

const char *wire_url(const struct wire *w) {
    return w->setup.to->url;
}

static void set_up(struct wire *w) {
    CURL *h = w->curl;
    char agent[32];
    snprintf(agent, sizeof agent, "thor/%s", ckks_version());
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(h, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (w->setup.to->cacert[0]) curl_easy_setopt(h, CURLOPT_CAINFO, w->setup.to->cacert);
    if (strncmp(w->setup.to->url, "http:", 5) == 0)
        curl_easy_setopt(h, CURLOPT_PROXY, ""); // a token in the clear goes past nobody
    curl_easy_setopt(h, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(h, CURLOPT_ERRORBUFFER, w->error);
    curl_easy_setopt(h, CURLOPT_USERAGENT, agent); // copied
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, 15L);
    curl_easy_setopt(h, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(h, CURLOPT_UPLOAD_BUFFERSIZE, (long)SEND_BUFFER);
    curl_easy_setopt(h, CURLOPT_BUFFERSIZE, (long)REPLY_BUFFER);
    curl_easy_setopt(h, CURLOPT_READFUNCTION, on_send);
    curl_easy_setopt(h, CURLOPT_READDATA, w);
    curl_easy_setopt(h, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(h, CURLOPT_SEEKDATA, w);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_reply);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, w);
    curl_easy_setopt(h, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(h, CURLOPT_XFERINFODATA, w);
    curl_easy_setopt(h, CURLOPT_NOPROGRESS, 0L);
}

int wire_open(struct wire **out, const struct wire_setup *setup) {
    struct wire *w = NULL;
    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && (w = calloc(1, sizeof *w)) &&
        (w->curl = curl_easy_init())) {
        w->setup = *setup;
        set_up(w);
        *out = w;
        return THOR_OK;
    }
    free(w);
    return thor_fail(THOR_MEMORY, "no memory for a connection");
}

void wire_close(struct wire *w) {
    if (!w) return;
    curl_easy_cleanup(w->curl);
    free(w);
}
