/* thor serve: models over HTTP, for clients whose keys it gets and whose texts it never sees. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/serve/http.h"
#include "cli/serve/logline.h"

struct options {
    struct option_texts models, devices;
    const char *store, *tokens;
    struct http_setup http;
    struct engine_setup engine;
    struct products_setup split;
    int queue, keep, keys_mib, split_mib, maps_mib;
};

static int read_options(struct options *o, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"model", "DIR|FILE", OPTION_TEXTS, &o->models, 0, 0,
         "a model folder, or a container of thor encode; may be repeated"},
        {"split", "DIR", OPTION_TEXT, &o->split.folder, 0, 0,
         "a model folder whose frozen weights are multiplied for thor tune --server"},
        {"split-memory", "MIB", OPTION_INT, &o->split_mib, 1, 1 << 20,
         "of its products that wait, run or are answered (1024)"},
        {"maps-memory", "MIB", OPTION_INT, &o->maps_mib, 0, 1 << 30,
         "of its weights, kept encoded: 32 bytes each (a quarter of what is free)"},
        {"listen", "ADDRESS:PORT", OPTION_TEXT, &o->http.listen, 0, 0,
         "where to listen (127.0.0.1:8443); port 0: any"},
        {"store", "DIR", OPTION_TEXT, &o->store, 0, 0, "folder for keys, jobs and answers"},
        {"tokens", "FILE", OPTION_TEXT, &o->tokens, 0, 0, "accounts, made by thor serve token"},
        {"tls-cert", "FILE", OPTION_TEXT, &o->http.cert, 0, 0, "certificate chain (PEM)"},
        {"tls-key", "FILE", OPTION_TEXT, &o->http.key, 0, 0, "its private key (PEM)"},
        {"device", "cpu|cuda|cuda:N", OPTION_TEXTS, &o->devices, 0, 0,
         "what computes; may be repeated, a worker each (cpu)"},
        option_threads(&o->engine.threads),
        {"group", "N", OPTION_INT, &o->engine.group, 1, JOB_GROUP,
         "sentences of one client in lock step, where they wait (1)"},
        {"queue", "N", OPTION_INT, &o->queue, 1, 100000, "sentences that may wait (64)"},
        {"keep", "SECONDS", OPTION_INT, &o->keep, 1, 86400, "how long answers are kept (600)"},
        {"keys-memory", "MIB", OPTION_INT, &o->keys_mib, 1, 1 << 30,
         "evaluation keys in memory, a device (most of what is free)"},
        {"connections", "N", OPTION_INT, &o->http.connections, 1, 60000,
         "connections at a time (1024)"},
        option_compact(&o->engine.compact),
        option_toy_set(&o->engine.insecure),
        {0}};
    const struct command_spec spec = {
        "serve",
        "[--model DIR|FILE ..] [--split DIR] --store DIR --tokens FILE [OPTIONS]",
        "Serve models over HTTP: keys are uploaded once, encrypted texts become jobs. Log lines "
        "(JSON) go to stderr.\n"
        "SIGTERM finishes the sentences that run; what waits is run by the next server on the "
        "store. thor serve token\n"
        "makes tokens.",
        "  thor serve token --name alice --tokens tokens.json\n"
        "  thor serve --model sst2.weights --store /var/lib/thor --tokens tokens.json\n"
        "  thor serve --split gpt2 --store /var/lib/thor --tokens tokens.json\n",
        options,
        0};
    o->http.listen = "127.0.0.1:8443";
    o->http.connections = 1024;
    o->queue = 64;
    o->keep = 600;
    o->split_mib = 1024;
    o->maps_mib = -1;
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!o->store) return thor_fail(THOR_USAGE, "--store is missing; name a folder of the server");
    if (!o->tokens)
        return thor_fail(THOR_USAGE,
                         "--tokens is missing; make a file with thor serve token --name NAME");
    if (!o->http.cert != !o->http.key)
        return thor_fail(THOR_USAGE, "--tls-cert and --tls-key go together");
    if (o->engine.compact && o->engine.group > 1)
        return thor_fail(THOR_USAGE, "--group is not for --compact: leave one of them away");
    if (!MHD_is_feature_supported(MHD_FEATURE_TLS) && o->http.cert)
        return thor_fail(THOR_USAGE, "--tls-cert: this libmicrohttpd has no TLS");
out:
    return st;
}

/* "READY=1" and the like, to systemd where it waits for it. */
static void notify(const char *what) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path || !strchr("/@", path[0])) return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') to.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (fd < 0) return;
    if (sendto(fd, what, strlen(what), MSG_NOSIGNAL, (struct sockaddr *)&to, n) < 0)
        logline("warning", "{s:s}", "detail", "systemd was not told");
    close(fd);
}

static int start(struct serve *s, struct options *o) {
    int st = THOR_OK;
    static const char *const cpu[] = {"cpu"};
    static char model[4096];
    static const char *one_model[] = {model};
    o->engine.models = o->models.text;
    o->engine.n_models = o->models.n;
    if (!o->models.n && !o->split.folder) {
        TRY(default_model(model, sizeof model));
        o->engine.models = one_model;
        o->engine.n_models = 1;
    }
    o->engine.devices = o->devices.n ? o->devices.text : cpu;
    o->engine.n_devices = o->devices.n ? o->devices.n : 1;
    o->engine.keys_bytes = (size_t)o->keys_mib << 20;
    o->split.bytes = (size_t)o->split_mib << 20;
    o->split.maps = o->maps_mib < 0 ? split_kept_room() : (size_t)o->maps_mib << 20;
    o->split.threads = o->engine.threads;
    if (o->engine.n_models > ENGINE_MODELS || o->engine.n_devices > ENGINE_WORKERS)
        return thor_fail(THOR_USAGE, "at most %d models and %d devices", ENGINE_MODELS,
                         ENGINE_WORKERS);
    if (o->engine.insecure) TRY(use_insecure(o->engine.insecure));
    TRY(store_open(&s->store, o->store));
    TRY(tokens_load(&s->tokens, o->tokens));
    s->metrics = metrics_new();
    if (!s->metrics) TRY(thor_fail(THOR_MEMORY, "no memory for metrics"));
    jobs_open(&s->jobs, &s->store, o->queue, o->keep);
    TRY(http_start(&s->http, s, &o->http));
    logline("listening", "{s:s, s:b, s:s}", "address", http_address(s->http), "tls",
            o->http.cert != NULL, "version", ckks_version());
    TRY(engine_load(&s->engine, &o->engine, &s->jobs, s->metrics));
    TRY(engine_start(&s->engine));
    if (o->split.folder) TRY(products_open(&s->products, &o->split, &s->store));
out:
    return st;
}

/* Until a signal: once a second who is slow, every few seconds what has expired, changed or was
 * left. */
static void look_after(struct serve *s) {
    enum { TICK = 100000, GONE = 7 * 86400 };
    for (uint64_t n = 0; interrupt_pending() == THOR_OK; n++, usleep(TICK)) {
        if (n % 10 == 0) http_watch(s->http);
        if (n % 20 == 0) tokens_refresh(s->tokens);
        if (n % 30 == 0 && s->engine.workers) { // jobs of others are for who can run them
            const int adopted = jobs_adopt(&s->jobs);
            if (adopted) logline("adopted", "{s:i}", "jobs", adopted);
        }
        if (n % 50 == 0) jobs_expire(&s->jobs);
        if (n % 600 == 0) {
            uploads_expire(&s->store);
            store_sweep(&s->store, time(NULL) - GONE);
        }
    }
}

static void stop(struct serve *s) {
    enum { DRAIN = 20 }; // seconds for products that are being sent, computed or answered
    s->state = SERVE_DRAINING;
    jobs_drain(&s->jobs);
    engine_stop(&s->engine);
    products_drain(s->products, DRAIN);
    http_stop(s->http);
    products_close(s->products);
    jobs_close(&s->jobs);
    metrics_free(s->metrics);
    tokens_free(s->tokens);
    store_close(&s->store);
}

int cmd_serve(int argc, char **argv) {
    int st = THOR_OK;
    struct options *o = calloc(1, sizeof *o);
    struct serve *s = calloc(1, sizeof *s);
    if (!o || !s) {
        st = thor_fail(THOR_MEMORY, "no memory to start");
        goto out;
    }
    s->store.alive = -1;
    s->began = bench_now();
    TRY(read_options(o, argc, argv));
    interrupt_hold();
    if ((st = start(s, o)) == THOR_OK) {
        s->state = SERVE_READY;
        logline("ready", "{s:i, s:i, s:f}", "models", s->engine.models, "workers",
                s->engine.workers, "seconds", bench_now() - s->began);
        notify("READY=1");
        look_after(s);
        logline("draining", "{}");
        notify("STOPPING=1");
    }
    if (s->store.alive >= 0) stop(s);
    if (st == THOR_OK) logline("ended", "{}");
out:
    free(s);
    free(o);
    return st;
}
