/* thor remote status, drop: what of this client the server has. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ckks/serial.h"
#include "cli/json.h"
#include "cli/remote/push.h"
#include "cli/remote/remote.h"
#include "cli/remote/served.h"
#include "kernels/shown.h"

static const double MIB = 1048576;

/* ---- status ---- */

static const char *text(const json_t *o, const char *name) {
    const char *s = json_string_value(json_object_get(o, name));
    return shown(s ? s : "-");
}

static long long number(const json_t *o, const char *name) {
    return (long long)json_integer_value(json_object_get(o, name));
}

static void print_models(const json_t *models) {
    const json_t *m, *b;
    size_t i, k;
    json_array_foreach(models, i, m) json_array_foreach(json_object_get(m, "buckets"), k, b) {
        printf("model        %s (%s, %s), up to %lld tokens: keys %.0f MiB, a request %.1f MiB",
               text(m, "name"), text(m, "id"), text(m, "parameters"), number(b, "tokens"),
               (double)number(b, "key_bytes") / MIB, (double)number(b, "request_bytes") / MIB);
        if (json_is_number(json_object_get(b, "seconds")))
            printf(", %.1f s", json_number_value(json_object_get(b, "seconds")));
        puts("");
    }
}

static void print_all(const struct remote *r, const json_t *all) {
    const json_t *o = json_object_get(all, "account");
    size_t i;
    printf("server       %s, as %s\n", r->to.url, text(o, "name"));
    printf("today        %lld requests", number(o, "requests_today"));
    if (number(o, "requests_a_day")) printf(" of %lld", number(o, "requests_a_day"));
    printf("; keys %.0f MiB", (double)number(o, "key_bytes") / MIB);
    if (number(o, "key_bytes_most")) printf(" of %.0f", (double)number(o, "key_bytes_most") / MIB);
    puts("");
    print_models(json_object_get(all, "models"));
    json_array_foreach(json_object_get(all, "keys"), i, o) printf(
        "keys         %s for %s, up to %lld tokens: %s, %.0f of %.0f MiB, until %s\n",
        text(o, "key"), text(o, "model"), number(o, "tokens"), text(o, "state"),
        (double)number(o, "offset") / MIB, (double)number(o, "bytes") / MIB, text(o, "expires"));
    json_array_foreach(json_object_get(all, "jobs"), i, o)
        printf("job          %s: %s, %s\n", text(o, "job"), text(o, "state"), text(o, "created"));
}

/* The list `name` of GET path becomes a part of `all`. */
static int add_list(json_t *all, struct wire *w, const char *path, const char *name) {
    int st = THOR_OK;
    json_t *o = NULL;
    TRY(served_get(&o, w, path));
    if (json_object_set(all, name, strcmp(name, "account") ? json_object_get(o, name) : o))
        st = thor_fail(THOR_IO, "%s%s: has no %s; is it a thor server?", wire_url(w), path, name);
out:
    json_decref(o);
    return st;
}

int remote_status(int argc, char **argv) {
    int st = THOR_OK, json = 0;
    struct remote r = {.wait = REMOTE_WAIT};
    struct wire *w = NULL;
    json_t *all = json_object();
    const struct option_spec options[] = {
        {"json", NULL, OPTION_FLAG, &json, 0, 0, "print one JSON object and nothing else"},
        REMOTE_OPTIONS(&r),
        {0}};
    const struct command_spec spec = {"remote status",
                                      "[OPTIONS]",
                                      "Show the server's models, and this client's keys and jobs.",
                                      "  thor remote status\n  thor remote status --json\n",
                                      options,
                                      0};
    TRY(options_parse(&spec, argc, argv, NULL));
    r.quiet = json;
    TRY(remote_start(&r));
    TRY(wire_open(&w, &r.wire));
    TRY(add_list(all, w, "/v1/account", "account"));
    TRY(add_list(all, w, "/v1/models", "models"));
    TRY(add_list(all, w, "/v1/keys", "keys"));
    TRY(add_list(all, w, "/v1/jobs", "jobs"));
    if (json)
        TRY(put_object(json_incref(all), 0));
    else
        print_all(&r, all);
out:
    json_decref(all);
    wire_close(w);
    remote_end(&r);
    return st;
}

/* ---- drop ---- */

/* The key pair of a folder, of any of its files. */
static int find_id(char id[33], const char *dir) {
    static const char *const names[] = {"eval.key", "public.key", "secret.key"};
    int st = THOR_KEY;
    char path[4300];
    struct serial_head h = {0};
    for (int i = 0; i < 3 && st != THOR_OK; i++) {
        snprintf(path, sizeof path, "%.4200s/%s", dir, names[i]);
        st = ckks_file_describe(&h, path);
    }
    if (st == THOR_OK) push_name(id, h.id);
    serial_free(&h);
    return st == THOR_OK ? st : thor_fail(THOR_KEY, "%.300s: holds no keys of thor keygen", dir);
}

static int drop_one(struct wire *w, const json_t *o, const char *folder, const char *name) {
    int st = THOR_OK;
    char path[WIRE_LOCATION];
    struct wire_reply r = {0};
    const char *id = json_string_value(json_object_get(o, name));
    if (!id || strlen(id) > 64 || strspn(id, "0123456789abcdef") != strlen(id))
        return thor_fail(THOR_IO, "%s: names keys in a way that is not understood", wire_url(w));
    snprintf(path, sizeof path, "/v1/%s/%s", folder, id);
    st = wire_ask(&r, w, &(struct wire_call){.method = "DELETE", .path = path, .again = 1});
    if (r.status == 404 || r.status == 410) st = THOR_OK; // gone meanwhile
    if (st == THOR_OK) printf("%s  dropped\n", path);
    wire_reply_free(&r);
    return st;
}

/* Those with that key pair's name, or all. */
static int drop_list(struct wire *w, const char *list, const char *name, const char *id) {
    int st = THOR_OK, dropped = 0;
    char path[32];
    size_t i;
    json_t *all = NULL, *o;
    snprintf(path, sizeof path, "/v1/%s", list);
    TRY(served_get(&all, w, path));
    json_array_foreach(json_object_get(all, list), i, o) {
        const char *of = json_string_value(json_object_get(o, "id"));
        if (id && (!of || strcmp(of, id) != 0)) continue;
        TRY(drop_one(w, o, list, name));
        dropped++;
    }
    if (id && !dropped)
        st = thor_fail(THOR_KEY, "%s: has no keys of that pair (%s)", wire_url(w), id);
out:
    json_decref(all);
    return st;
}

int remote_drop(int argc, char **argv) {
    int st = THOR_OK, all = 0;
    char id[33];
    const char *keys = NULL;
    struct remote r = {.wait = REMOTE_WAIT};
    struct wire *w = NULL;
    const struct option_spec options[] = {
        {"keys", "DIR", OPTION_TEXT, &keys, 0, 0, "those whose other half lies in this folder"},
        {"all", NULL, OPTION_FLAG, &all, 0, 0, "all keys and jobs of this client"},
        REMOTE_OPTIONS(&r),
        {0}};
    const struct command_spec spec = {
        "remote drop",
        "--keys DIR | --all",
        "Remove evaluation keys from the server. Keys on this machine stay.",
        "  thor remote drop --keys keys\n  thor remote drop --all\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!keys == !all) return thor_fail(THOR_USAGE, "give --keys DIR or --all, one of them");
    if (keys) TRY(find_id(id, keys));
    TRY(remote_start(&r));
    TRY(wire_open(&w, &r.wire));
    if (all) TRY(drop_list(w, "jobs", "job", NULL));
    TRY(drop_list(w, "keys", "key", keys ? id : NULL));
out:
    wire_close(w);
    remote_end(&r);
    return st;
}
