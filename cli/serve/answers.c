/* Answers and refusals of http.h. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/serve/http.h"

static void stand(struct request *r, unsigned status, struct MHD_Response *p, const char *type) {
    if (r->response || !p) {
        if (p) MHD_destroy_response(p);
        return;
    }
    r->response = p;
    r->status = status;
    if (type) answer_header(r, "Content-Type", "%s", type);
    answer_header(r, "Cache-Control", "no-store");
    answer_header(r, "X-Content-Type-Options", "nosniff");
    answer_header(r, "Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'");
    answer_header(r, "Referrer-Policy", "no-referrer");
}

void answer_header(struct request *r, const char *name, const char *fmt, ...) {
    char value[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    if (r->response) MHD_add_response_header(r->response, name, value);
}

void answer_text(struct request *r, unsigned status, const char *type, const char *text, size_t n) {
    stand(r, status,
          MHD_create_response_from_buffer(n, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY), type);
}

void answer_bytes(struct request *r, unsigned status, const char *type, void *bytes, size_t n) {
    struct MHD_Response *p = MHD_create_response_from_buffer(n, bytes, MHD_RESPMEM_MUST_FREE);
    if (!p) free(bytes);
    stand(r, status, p, type);
}

void answer_json(struct request *r, unsigned status, json_t *o) {
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!text) {
        answer_text(r, 500, "text/plain", "no memory\n", 10);
        return;
    }
    answer_text(r, status, "application/json", text, strlen(text));
    free(text);
}

void answer_nothing(struct request *r) {
    stand(r, 204, MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL);
}

void answer_file(struct request *r, const char *path) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0) close(fd);
        refuse(r, 410, "gone", "the answer is no longer kept: send the request again");
        return;
    }
    struct MHD_Response *p = MHD_create_response_from_fd64((uint64_t)st.st_size, fd);
    if (!p) close(fd);
    stand(r, 200, p, "application/octet-stream");
}

struct stream {
    size_t (*more)(void *ctx, char *to, size_t n);
    void *ctx;
    void (*done)(void *ctx);
};

static ssize_t stream_more(void *cls, uint64_t pos, char *to, size_t n) {
    struct stream *s = cls;
    (void)pos;
    const size_t got = s->more(s->ctx, to, n);
    return got ? (ssize_t)got : MHD_CONTENT_READER_END_OF_STREAM;
}

static void stream_done(void *cls) {
    struct stream *s = cls;
    s->done(s->ctx);
    free(s);
}

void answer_stream(struct request *r, const char *type,
                   size_t (*more)(void *ctx, char *to, size_t n), void *ctx,
                   void (*done)(void *ctx)) {
    struct stream *s = malloc(sizeof *s);
    if (!s) {
        done(ctx);
        return;
    }
    *s = (struct stream){more, ctx, done};
    stand(r, 200,
          MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 4096, stream_more, s, stream_done),
          type);
}

/* ---- problems ---- */

static const char *title(unsigned status) {
    static const struct {
        unsigned status;
        const char *title;
    } titles[] = {{400, "Bad request"},
                  {401, "Unauthorized"},
                  {403, "Forbidden"},
                  {404, "Not found"},
                  {405, "Method not allowed"},
                  {409, "Conflict"},
                  {410, "Gone"},
                  {413, "Content too large"},
                  {415, "Unsupported type"},
                  {422, "Unprocessable content"},
                  {429, "Too many requests"},
                  {500, "Internal error"},
                  {503, "Service unavailable"},
                  {507, "Insufficient storage"}};
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status) return titles[i].title;
    return "Refused";
}

static void refuse_v(struct request *r, unsigned status, const char *name, json_t *o,
                     const char *fmt, va_list ap) {
    char detail[600];
    if (r->response) {
        json_decref(o);
        return;
    }
    vsnprintf(detail, sizeof detail, fmt, ap);
    json_t *p = json_pack("{s:s+, s:s, s:i, s:s}", "type", "urn:thor:", name, "title",
                          title(status), "status", (int)status, "detail", detail);
    if (p && o) json_object_update(p, o);
    json_decref(o);
    char *text = p ? json_dumps(p, JSON_COMPACT) : NULL;
    json_decref(p);
    answer_text(r, status, "application/problem+json", text ? text : "{}", text ? strlen(text) : 2);
    free(text);
    r->problem = name;
    metrics_refuse(r->s->metrics, name);
}

void refuse(struct request *r, unsigned status, const char *name, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    refuse_v(r, status, name, NULL, fmt, ap);
    va_end(ap);
}

void refuse_with(struct request *r, unsigned status, const char *name, json_t *o, const char *fmt,
                 ...) {
    va_list ap;
    va_start(ap, fmt);
    refuse_v(r, status, name, o, fmt, ap);
    va_end(ap);
}

void retry_after(struct request *r, double seconds) {
    answer_header(r, "Retry-After", "%.0f", fmin(3600, fmax(1, ceil(seconds))));
}

int refuse_unready(struct request *r, int work) {
    const int state = r->s->state;
    if (state == SERVE_READY || (state == SERVE_DRAINING && !work)) return 0;
    if (state == SERVE_LOADING)
        refuse(r, 503, "loading", "models are being loaded: ask again");
    else
        refuse(r, 503, "draining", "this server ends: ask another, or again later");
    retry_after(r, state == SERVE_LOADING ? 2 : 10);
    return 1;
}
