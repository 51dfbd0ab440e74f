/* thor remote web: a page on this machine that encrypts, asks the server and decrypts. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/json.h"
#include "cli/remote/remote.h"
#include "cli/remote/webserver.h"

struct web {
    struct remote r;
    struct session_setup setup;
    int port, tokens;
    struct asker asker;
    struct webrun *run;
    struct webtune *tune;
    struct webserver *server;
};

static int read_options(struct web *w, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &w->setup;
    const struct option_spec options[] = {
        option_secret_keys(&s->keys_dir),
        option_model(&s->model_dir),
        option_server_weights(&s->container),
        {"tokens", "T", OPTION_INT, &w->tokens, 1, 1024,
         "length bucket, that of the keys (as calibrated)"},
        {"port", "N", OPTION_INT, &w->port, 1, 65535, "port of 127.0.0.1 (a free one)"},
        option_threads(&s->threads),
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        REMOTE_OPTIONS(&w->r),
        {0}};
    const struct command_spec spec = {
        "remote web",
        "--keys DIR [OPTIONS]",
        "Serve a page to a browser on this machine: text in, stages seen, label out, and beside it "
        "what the server\n"
        "saw. The key stays in this program. Open the address that is printed; it is another one "
        "at each start, and\n"
        "whoever knows it can use the page. The end comes with Ctrl-C.",
        "  thor remote web --keys keys\n  thor remote web --keys keys --port 8444\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!s->keys_dir)
        return thor_fail(THOR_USAGE, "--keys is missing; name the folder with secret.key");
    s->quiet = w->r.quiet = 1;
out:
    return st;
}

/* The connection is the run's once there is one. */
static int on_stop(void *ctx) {
    struct web *w = ctx;
    return w->run ? webrun_stop(w->run) : THOR_OK;
}

static void on_waits(void *ctx, double seconds, const char *why) {
    struct web *w = ctx;
    if (w->run) webrun_waits(w->run, seconds, why);
}

static int serve(struct web *w) {
    int st = THOR_OK;
    const struct timespec step = {0, 100000000};
    TRY(webrun_new(&w->run, &w->asker));
    TRY(webtune_new(&w->tune, w->r.file));
    TRY(webserver_start(&w->server, w->run, w->tune, &w->asker, w->port));
    printf("%s\n", webserver_url(w->server));
    TRY(flush_stdout());
    while (interrupt_pending() == THOR_OK) nanosleep(&step, NULL);
out:
    webrun_end(w->run);
    webtune_end(w->tune);
    webserver_stop(w->server);
    webtune_free(w->tune);
    webrun_free(w->run);
    return st;
}

int remote_web(int argc, char **argv) {
    int st = THOR_OK;
    struct web *w = calloc(1, sizeof *w);
    if (!w) return thor_fail(THOR_MEMORY, "no memory to start");
    w->r.wait = REMOTE_WAIT;
    interrupt_hold(); // keys are wiped and files removed before the program ends
    TRY(read_options(w, argc, argv));
    TRY(remote_start(&w->r));
    w->r.wire.stop = on_stop;
    w->r.wire.waits = on_waits;
    w->r.wire.ctx = w;
    TRY(asker_open(&w->asker, &w->setup, w->tokens, &w->r.wire));
    TRY(serve(w));
out:
    asker_close(&w->asker);
    remote_end(&w->r);
    free(w);
    interrupt_release();
    return st;
}
