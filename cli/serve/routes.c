/* The table of routes: the one source of dispatch and of /openapi.json. */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/serve/http.h"

#define OCTETS "application/octet-stream"
#define APPEND "application/offset+octet-stream"

const struct route routes[] = {
    {"GET", "/", OPEN, 0, 0, "The operator's page", "200", .end = on_page},
    {"GET", "/app.css", OPEN, 0, 0, "Its style", "200", .end = on_style},
    {"GET", "/app.js", OPEN, 0, 0, "Its script", "200", .end = on_script},
    {"GET", "/icon.svg", OPEN, 0, 0, "Its icon", "200", .end = on_icon},
    {"GET", "/healthz", OPEN, 0, 0, "The server runs", "200", .end = on_health},
    {"GET", "/readyz", OPEN, 0, 0, "It takes work", "200 503", .end = on_ready},
    {"GET", "/openapi.json", OPEN, 0, 0, "This description", "200", .end = on_openapi},
    {"GET", "/metrics", OPERATOR, 0, 0, "Counters, for Prometheus", "200", .end = on_metrics},
    {"GET", "/v1/status", OPERATOR, 0, 0, "What the operator's page shows", "200",
     .end = on_status},
    {"GET", "/v1/account", USER, 0, 0, "The account of the token", "200", .end = on_account},
    {"GET", "/v1/models", USER, 0, 0, "The models that are served", "200 503", .end = on_models},
    {"GET", "/v1/models/{model}", USER, 0, 0, "One of them", "200 404 503", .end = on_model},
    {"POST", "/v1/models/{model}/classify", USER, STREAM_BODY, OCTETS,
     "A request of thor encrypt becomes a job",
     "200 202 400 404 409 410 413 415 422 429 500 503 507", on_classify, on_classify_bytes,
     on_classify_end, .close = on_classify_close},
    {"GET", "/v1/split", USER, 0, 0, "The model of split mode", "200 404 503", .end = on_split},
    {"POST", "/compute", USER, STREAM_BODY, OCTETS,
     "Split mode: encrypted rows times a frozen map (split/wireformat.h)",
     "200 400 404 409 410 413 415 422 429 500 503", on_compute, on_compute_bytes, on_compute_end,
     on_compute_close, "Thor-Keys"},
    {"GET", "/v1/keys", USER, 0, 0, "Evaluation keys of the account", "200", .end = on_keys_list},
    {"POST", "/v1/keys", USER, JSON_BODY, "application/json", "Begin an upload, or find it again",
     "200 201 400 403 404 409 413 415 422 500 503 507", .end = on_keys_make},
    {"GET", "/v1/keys/{key}", USER, 0, 0, "An upload and its offset", "200 404 410",
     .end = on_keys_get},
    {"PATCH", "/v1/keys/{key}", USER, STREAM_BODY, APPEND, "Bytes from Upload-Offset on",
     "204 400 404 409 410 413 415 422 500 503 507", on_keys_append, on_keys_bytes, on_keys_appended,
     .close = on_keys_close},
    {"DELETE", "/v1/keys/{key}", USER, 0, 0, "Forget them", "204 404 410", .end = on_keys_drop},
    {"GET", "/v1/jobs", USER, 0, 0, "Jobs of the account", "200", .end = on_jobs_list},
    {"GET", "/v1/jobs/{job}", USER, 0, 0, "How far a job is", "200 404 410", .end = on_job},
    {"DELETE", "/v1/jobs/{job}", USER, 0, 0, "Cancel or forget it", "204 404 410",
     .end = on_job_drop},
    {"GET", "/v1/jobs/{job}/answer", USER, 0, 0, "The answer file", "200 404 409 410 422 500",
     .end = on_job_answer},
    {"GET", "/v1/jobs/{job}/events", USER, 0, 0, "State and stages as server-sent events",
     "200 404 410", .end = on_job_events},
};
const int n_routes = sizeof routes / sizeof routes[0];

/* `path` against the pattern; what stands for {..} into id. */
static int matches(char id[STORE_ID], const char *pattern, const char *path) {
    const char *brace = strchr(pattern, '{');
    if (!brace) return strcmp(pattern, path) == 0;
    const size_t before = (size_t)(brace - pattern), want = brace[1] == 'm' ? 16 : STORE_ID - 1;
    const char *after = strchr(brace, '}') + 1;
    if (strncmp(pattern, path, before) != 0) return 0;
    if (strspn(path + before, "0123456789abcdef") != want) return 0;
    if (strcmp(path + before + want, after) != 0) return 0;
    snprintf(id, STORE_ID, "%.*s", (int)want, path + before);
    return 1;
}

static int same_method(const char *have, const char *want) {
    return strcmp(have, want) == 0 || (strcmp(have, "HEAD") == 0 && strcmp(want, "GET") == 0);
}

void route_find(struct request *r, const char *path) {
    char allow[64] = "";
    for (int i = 0; i < n_routes; i++) {
        if (!matches(r->id, routes[i].path, path)) continue;
        if (same_method(r->method, routes[i].method)) {
            r->route = &routes[i];
            return;
        }
        size_t n = strlen(allow);
        snprintf(allow + n, sizeof allow - n, "%s%s%s", n ? ", " : "", routes[i].method,
                 strcmp(routes[i].method, "GET") == 0 ? ", HEAD" : "");
    }
    if (!allow[0]) {
        refuse(r, 404, "not-found", "there is no such path; see /openapi.json");
        return;
    }
    refuse(r, 405, "no-method", "this path takes %s", allow);
    answer_header(r, "Allow", "%s", allow);
}

/* ---- OpenAPI ---- */

static void add_parameter(json_t *list, const char *name, const char *in, int digits) {
    char pattern[24];
    snprintf(pattern, sizeof pattern, "^[0-9a-f]{%d}$", digits);
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:b, s:{s:s, s:s}}", "name", name, "in", in,
                                    "required", 1, "schema", "type", "string", "pattern", pattern));
}

static json_t *parameters(const struct route *t) {
    char name[16];
    const char *brace = strchr(t->path, '{');
    json_t *list = json_array();
    if (t->header) add_parameter(list, t->header, "header", STORE_ID - 1);
    if (!brace) return list;
    snprintf(name, sizeof name, "%.*s", (int)(strchr(brace, '}') - brace - 1), brace + 1);
    add_parameter(list, name, "path", brace[1] == 'm' ? 16 : STORE_ID - 1);
    return list;
}

static json_t *answers_of(const struct route *t) {
    char list[128];
    json_t *o = json_object();
    snprintf(list, sizeof list, "%s%s", t->answers, t->auth == OPEN ? "" : " 401 403");
    for (char *rest = list, *code; (code = strsep(&rest, " "));)
        json_object_set_new(o, code,
                            code[0] < '4'
                                ? json_pack("{s:s}", "description", t->summary)
                                : json_pack("{s:s, s:{s:{s:{s:s}}}}", "description", "refused",
                                            "content", "application/problem+json", "schema", "$ref",
                                            "#/components/schemas/Problem"));
    return o;
}

static json_t *operation(const struct route *t) {
    json_t *o = json_pack("{s:s, s:o, s:o}", "summary", t->summary, "parameters", parameters(t),
                          "responses", answers_of(t));
    if (t->body)
        json_object_set_new(o, "requestBody",
                            json_pack("{s:b, s:{s:{}}}", "required", 1, "content", t->type));
    if (t->auth != OPEN) json_object_set_new(o, "security", json_pack("[{s:[]}]", "token"));
    return o;
}

json_t *openapi(void) {
    json_t *paths = json_object();
    for (int i = 0; i < n_routes; i++) {
        char method[8];
        const struct route *t = &routes[i];
        json_t *path = json_object_get(paths, t->path);
        if (!path) json_object_set_new(paths, t->path, path = json_object());
        for (size_t k = 0; k <= strlen(t->method); k++)
            method[k] = (char)(t->method[k] ? t->method[k] | 32 : 0);
        json_object_set_new(path, method, operation(t));
    }
    return json_pack(
        "{s:s, s:{s:s, s:s}, s:o, s:{s:{s:{s:s, s:s}}, s:{s:{s:s, s:[s, s, s, s], s:{s:{s:s}, "
        "s:{s:s}, s:{s:s}, s:{s:s}}}}}}",
        "openapi", "3.1.0", "info", "title", "thor serve", "version", ckks_version(), "paths",
        paths, "components", "securitySchemes", "token", "type", "http", "scheme", "bearer",
        "schemas", "Problem", "type", "object", "required", "type", "title", "status", "detail",
        "properties", "type", "type", "string", "title", "type", "string", "status", "type",
        "integer", "detail", "type", "string");
}
