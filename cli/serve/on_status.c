/* What a server says of itself: health, models, account, operator's figures and page. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/serve/http.h"
#include "cli/serve/logline.h"

enum { SHOWN_KEYS = 200 };
static const char *const states[] = {"loading", "ready", "draining"};

void on_health(struct request *r) {
    answer_json(r, 200, json_pack("{s:s}", "status", "ok"));
}

void on_ready(struct request *r) {
    if (!refuse_unready(r, 1)) on_health(r);
}

void on_openapi(struct request *r) {
    answer_json(r, 200, openapi());
}

void on_account(struct request *r) {
    const struct account *a = &r->account;
    answer_json(r, 200,
                json_pack("{s:s, s:s, s:I, s:I, s:I, s:I}", "name", a->name, "kind", "user",
                          "requests_today", (json_int_t)account_requests(&r->s->store, a),
                          "requests_a_day", (json_int_t)a->requests_a_day, "key_bytes",
                          (json_int_t)uploads_bytes(&r->s->store, a->name), "key_bytes_most",
                          (json_int_t)a->key_bytes));
}

static json_t *all_models(struct engine *e) {
    json_t *list = json_array();
    for (int i = 0; i < e->models; i++)
        json_array_append_new(list, engine_model_json(e, &e->model[i]));
    return list;
}

void on_models(struct request *r) {
    if (!refuse_unready(r, 0))
        answer_json(r, 200, json_pack("{s:o}", "models", all_models(&r->s->engine)));
}

void on_model(struct request *r) {
    if (refuse_unready(r, 0)) return;
    struct engine_model *m = engine_find(&r->s->engine, r->id);
    if (m)
        answer_json(r, 200, engine_model_json(&r->s->engine, m));
    else
        refuse(r, 404, "not-found", "no such model; see /v1/models");
}

/* ---- for the operator ---- */

static double resident_bytes(void) {
    char text[64];
    long pages = 0;
    if (!store_noted(text, sizeof text, "/proc/self/statm")) return 0;
    return sscanf(text, "%*d %ld", &pages) == 1 ? (double)pages * (double)sysconf(_SC_PAGESIZE) : 0;
}

/* Of the oldest job that each worker runs: how far it is, and nothing of whose it is. */
static json_t *workers_json(struct serve *s) {
    json_t *list = json_array();
    pthread_mutex_lock(&s->jobs.lock);
    for (int i = 0; i < s->engine.workers; i++) {
        const struct job *j = s->jobs.first;
        while (j && (j->state != JOB_RUNNING || j->worker != i)) j = j->next;
        json_t *job =
            j ? json_pack("{s:i, s:i, s:s, s:i, s:i, s:o}", "layer", j->layer, "layers", j->layers,
                          "stage", j->stage, "done", j->done, "total", j->total, "seconds_left",
                          j->left >= 0 ? json_real(j->left) : json_null())
              : json_null();
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "device", s->engine.worker[i].name,
                                              "state", j ? "running" : "idle", "job", job));
    }
    pthread_mutex_unlock(&s->jobs.lock);
    return list;
}

static json_t *keys_json(struct serve *s) {
    char(*id)[STORE_ID] = calloc(SHOWN_KEYS, sizeof *id), used[24], expires[24];
    json_t *list = json_array();
    const int n = id ? store_list(id, SHOWN_KEYS, &s->store, "keys", NULL) : 0;
    for (int i = 0; i < n; i++) {
        struct upload u;
        if (upload_load(&u, &s->store, id[i]) != THOR_OK) continue;
        utc_text(used, u.used);
        utc_text(expires, u.expires);
        json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:b, s:s, s:s, s:b}", "key", u.key,
                                              "account", u.owner, "bytes", (json_int_t)u.bytes,
                                              "ready", u.ready, "used", used, "expires", expires,
                                              "resident", engine_resident(&s->engine, u.key)));
        upload_free(&u);
    }
    free(id);
    return list;
}

static json_t *queue_json(struct jobs *q) {
    pthread_mutex_lock(&q->lock);
    json_t *o = json_pack("{s:i, s:i, s:i, s:I, s:I, s:I}", "waiting", q->waiting, "most", q->most,
                          "running", q->running, "done", (json_int_t)q->finished[0], "failed",
                          (json_int_t)q->finished[1], "canceled", (json_int_t)q->finished[2]);
    pthread_mutex_unlock(&q->lock);
    return o;
}

static json_t *split_json(struct products *p) {
    size_t bytes;
    const int n = products_held(p, &bytes);
    json_t *o = json_pack("{s:i, s:I, s:I}", "products", n, "bytes", (json_int_t)bytes,
                          "bytes_most", (json_int_t)products_most(p));
    if (o) json_object_set_new(o, "model", products_json(p));
    return o;
}

void on_status(struct request *r) {
    struct serve *s = r->s;
    if (refuse_unready(r, 0)) return;
    size_t most = 0;
    const size_t held = engine_key_bytes(&s->engine, &most);
    const struct ckks_params *p = s->engine.params;
    json_t *o = json_pack(
        "{s:s, s:f, s:s, s:{s:s, s:i, s:f, s:i}, s:o, s:o, s:o, s:{s:f, s:I, s:I}, s:o, s:i}",
        "version", ckks_version(), "uptime", bench_now() - s->began, "state", states[s->state],
        "parameters", "name", p->name, "log_n", p->log_n, "log_qp", p->log_qp, "security_bits",
        p->security_bits, "queue", queue_json(&s->jobs), "workers", workers_json(s), "keys",
        keys_json(s), "memory", "rss", resident_bytes(), "keys", (json_int_t)held, "keys_most",
        (json_int_t)most, "models", all_models(&s->engine), "connections",
        http_connections(s->http));
    if (o) metrics_json(o, s->metrics);
    if (o && s->products) json_object_set_new(o, "split", split_json(s->products));
    answer_json(r, 200, o);
}

static void gauge(FILE *f, const char *name, const char *help, double v) {
    fprintf(f, "# HELP %s %s\n# TYPE %s gauge\n%s %.17g\n", name, help, name, name, v);
}

void on_metrics(struct request *r) {
    struct serve *s = r->s;
    char *text = NULL;
    size_t n = 0, most = 0;
    FILE *f = open_memstream(&text, &n);
    if (!f) {
        refuse(r, 500, "internal", "no memory for metrics");
        return;
    }
    pthread_mutex_lock(&s->jobs.lock);
    const int waiting = s->jobs.waiting, running = s->jobs.running;
    pthread_mutex_unlock(&s->jobs.lock);
    size_t held = s->state == SERVE_LOADING ? 0 : engine_key_bytes(&s->engine, &most);
    gauge(f, "thor_queue_waiting", "Sentences that wait.", waiting);
    gauge(f, "thor_queue_running", "Sentences that run.", running);
    gauge(f, "thor_key_bytes", "Evaluation keys in memory.", (double)held);
    gauge(f, "thor_key_bytes_most", "Their limit.", (double)most);
    gauge(f, "thor_resident_bytes", "Memory of the process.", resident_bytes());
    gauge(f, "thor_connections", "Open connections.", http_connections(s->http));
    if (s->products) {
        const struct split_kept_state maps = products_maps(s->products);
        gauge(f, "thor_products", "Products of split mode.", products_held(s->products, &held));
        gauge(f, "thor_map_bytes", "Encoded weights of split mode in memory.", (double)maps.bytes);
        gauge(f, "thor_map_bytes_most", "Their limit.", (double)maps.most);
        gauge(f, "thor_map_hits", "Products with weights that were kept.", (double)maps.hits);
        gauge(f, "thor_map_misses", "Products with weights that were encoded.",
              (double)maps.misses);
    }
    metrics_print(f, s->metrics);
    if (fclose(f) == 0) answer_text(r, 200, "text/plain; version=0.0.4", text, n);
    free(text);
}

/* ---- the page: files of cli/serve/page in the program ---- */

#define EMBED(name, file)                                                                          \
    __asm__(".section .rodata\n.global " #name "\n.global " #name "_end\n" #name                   \
            ":\n.incbin \"cli/serve/page/" file "\"\n" #name "_end:\n.byte 0\n.previous\n");       \
    extern const char name[], name##_end[]

EMBED(serve_page_html, "operator.html");
EMBED(serve_page_css, "operator.css");
EMBED(serve_page_js, "operator.js");
EMBED(serve_page_icon, "icon.svg");

void on_page(struct request *r) {
    answer_text(r, 200, "text/html; charset=utf-8", serve_page_html,
                (size_t)(serve_page_html_end - serve_page_html));
}

void on_style(struct request *r) {
    answer_text(r, 200, "text/css; charset=utf-8", serve_page_css,
                (size_t)(serve_page_css_end - serve_page_css));
}

void on_script(struct request *r) {
    answer_text(r, 200, "text/javascript; charset=utf-8", serve_page_js,
                (size_t)(serve_page_js_end - serve_page_js));
}

void on_icon(struct request *r) {
    answer_text(r, 200, "image/svg+xml", serve_page_icon,
                (size_t)(serve_page_icon_end - serve_page_icon));
}
