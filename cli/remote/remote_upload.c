/* thor remote upload: evaluation keys to the server. */
#include <stdio.h>
#include <string.h>

#include "bench/bench.h"
#include "ckks/serial.h"
#include "cli/json.h"
#include "cli/remote/push.h"
#include "cli/remote/remote.h"
#include "kernels/shown.h"

static const double MIB = 1048576;

struct upload_action {
    struct remote r;
    const char *keys, *on;
    int tokens, json;
    struct wire *w;
    struct serial_head h; /* of eval.key */
    struct served to;
    struct push done;
};

static int read_options(struct upload_action *a, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"keys", "DIR", OPTION_TEXT, &a->keys, 0, 0,
         "folder with eval.key, of thor keygen; secret.key is never sent"},
        {"on", "MODEL", OPTION_TEXT, &a->on, 0, 0,
         "name or id of the model there (the one whose keys have this size)"},
        {"tokens", "T", OPTION_INT, &a->tokens, 1, 1024,
         "length bucket, that of thor keygen (the longest)"},
        {"json", NULL, OPTION_FLAG, &a->json, 0, 0, "print one JSON object and nothing else"},
        REMOTE_OPTIONS(&a->r),
        {0}};
    const struct command_spec spec = {
        "remote upload",
        "--keys DIR [OPTIONS]",
        "Send evaluation keys to the server, every block under a hash. An upload that was cut off "
        "goes on at the\n"
        "place that the server has reached.",
        "  thor remote upload --keys keys\n  thor remote upload --keys server-keys --on mrpc\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!a->keys) return thor_fail(THOR_USAGE, "--keys is missing; name the folder with eval.key");
    a->r.quiet = a->json;
out:
    return st;
}

static int show(const struct upload_action *a) {
    const struct push *d = &a->done;
    const double sent = (double)(d->bytes - d->began);
    if (a->json)
        return put_object(json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:I, s:f, s:f, s:f}", "key",
                                    d->key, "model", a->to.id, "name", a->to.name, "parameters",
                                    a->to.params, "tokens", a->to.tokens, "bytes",
                                    (json_int_t)d->bytes, "sent", (json_int_t)sent, "seconds",
                                    d->seconds, "hashing", d->hashing, "peak_rss_mib",
                                    bench_peak_rss_mib()),
                          JSON_REAL_PRECISION(6));
    printf("%s  %.1f MiB on %s, for %s, texts up to %d tokens\n", shown(d->key),
           (double)d->bytes / MIB, a->r.to.url, shown(a->to.name), a->to.tokens);
    if (sent > 0)
        printf("sent         %.1f MiB in %.1f s\n", sent / MIB, d->seconds);
    else
        printf("sent         nothing: the server had them already\n");
    return THOR_OK;
}

static int push(struct upload_action *a) {
    int st = THOR_OK;
    char path[4300], id[33];
    snprintf(path, sizeof path, "%.4200s/eval.key", a->keys);
    TRY(ckks_file_describe(&a->h, path));
    if (a->h.kind != CKKS_FILE_KEYS)
        TRY(thor_fail(THOR_KEY, "%.300s: holds %s, not evaluation keys", path,
                      ckks_file_kind_name(a->h.kind)));
    push_name(id, a->h.id);
    TRY(remote_start(&a->r));
    TRY(wire_open(&a->w, &a->r.wire));
    TRY(served_for_keys(&a->to, a->w, a->h.bytes, a->h.params->name, a->on, a->tokens));
    TRY(push_keys(&a->done, a->w, path, id, &a->to, a->json));
    TRY(show(a));
out:
    return st;
}

int remote_upload(int argc, char **argv) {
    int st = THOR_OK;
    struct upload_action a = {.r.wait = REMOTE_WAIT};
    TRY(read_options(&a, argc, argv));
    TRY(push(&a));
out:
    wire_close(a.w);
    serial_free(&a.h);
    remote_end(&a.r);
    return st;
}
