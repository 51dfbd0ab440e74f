/* thor eval: the server's side, ciphertexts in, ciphertexts out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bench/bench.h"
#include "cli/folder.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/server.h"
#include "kernels/shown.h"

enum { PATH = 4200 };
static const double MIB = 1048576;

struct eval {
    struct server_setup setup;
    const char *in, *out;
    int json, done, skipped;
    struct folder files;
    struct server server;
};

static int read_options(struct eval *e, int argc, char **argv) {
    int st = THOR_OK;
    struct server_setup *s = &e->setup;
    const struct option_spec options[] = {
        {"in", "FILE|DIR", OPTION_TEXT, &e->in, 0, 0,
         "a request of thor encrypt, or a folder of them"},
        {"out", "FILE|DIR", OPTION_TEXT, &e->out, 0, 0, "the answer, or a folder for the answers"},
        {"keys", "DIR", OPTION_TEXT, &s->keys_dir, 0, 0, "folder with eval.key"},
        {"weights", "FILE", OPTION_TEXT, &s->container, 0, 0, "container of thor encode"},
        {"model", "DIR", OPTION_TEXT, &s->model_dir, 0, 0,
         "model folder, without --weights (data/sst2-tiny)"},
        option_device(&s->device),
        option_threads(&s->threads),
        option_compact(&s->compact),
        {"json", NULL, OPTION_FLAG, &e->json, 0, 0,
         "print one JSON object per request and nothing else"},
        option_toy_set(&s->insecure),
        {0}};
    const struct command_spec spec = {
        "eval",
        "--in FILE|DIR --out FILE|DIR --keys DIR [--weights FILE] [OPTIONS]",
        "Compute the model on encrypted texts. Needs evaluation keys and weights, never a secret "
        "key; sees the length\n"
        "bucket of a text and nothing else of it. In a folder, requests whose answers are there "
        "are passed over, and\n"
        "bad ones do not stop the others. The program thor-eval does this and thor serve alone, "
        "and "
        "cannot read a\n"
        "secret key.",
        "  thor eval --in request.ct --out answer.ct --keys server-keys --weights sst2.weights\n"
        "  thor eval --in upload --out download --keys server-keys --weights sst2.weights --json\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!e->in)
        return thor_fail(THOR_USAGE, "--in is missing; name a request or a folder of requests");
    if (!e->out) return thor_fail(THOR_USAGE, "--out is missing; name the answer");
    if (strcmp(e->in, e->out) == 0)
        return thor_fail(THOR_USAGE, "--out %.200s: is --in; name another", e->out);
    if (!s->keys_dir)
        return thor_fail(THOR_USAGE, "--keys is missing; name the folder with eval.key");
    s->quiet = e->json;
out:
    return st;
}

/* The whole answer at `out` is read: a damaged one is none. */
static int is_whole(struct eval *e, const struct bert_message *m, const struct serial_head *h,
                    const char *out) {
    struct ckks_ct *ct = NULL;
    struct bert_shape shape;
    int n = 0;
    const int whole = bert_answer_check(&shape, m, h, e->server.model, out) == THOR_OK &&
                      bert_message_load(&ct, &n, m, h, e->server.cx, out) == THOR_OK;
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    return whole;
}

/* 1 when `out` is the answer to the request at `in`: their tickets are one, and it is not
 * damaged. */
static int answered(struct eval *e, const char *in, const char *out) {
    struct bert_message question, answer;
    struct serial_head h = {0}, q = {0};
    int same = bert_message_peek(&answer, &h, out, BERT_ANSWER) == THOR_OK &&
               bert_message_peek(&question, &q, in, BERT_REQUEST) == THOR_OK &&
               question.ticket == answer.ticket && question.model == answer.model &&
               memcmp(q.id, h.id, sizeof h.id) == 0;
    if (same) same = is_whole(e, &answer, &h, out);
    serial_free(&h);
    serial_free(&q);
    return same;
}

/* What is not an answer, and cannot be replaced by one, before anything is computed for it. */
static int in_the_way(const char *out) {
    struct stat s;
    if (stat(out, &s) != 0 || S_ISREG(s.st_mode)) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: is no regular file, and in the way of the answer: remove it",
                     out);
}

static int show(const struct eval *e, const char *in, const char *out,
                const struct server_times *t) {
    if (!e->json) {
        printf(
            "%s  %.1f KiB, answer to %s of %.1f MiB (%d tokens): compute %.1f s, loading %.1f s\n",
            shown(out), (double)t->bytes_out / 1024, shown(in), (double)t->bytes_in / MIB,
            t->tokens, t->compute, t->io);
        return THOR_OK;
    }
    json_t *o = json_pack("{s:s, s:s, s:i, s:b, s:I, s:I, s:I, s:I, s:f, s:f, s:f}", "in", in,
                          "out", out, "tokens", t->tokens, "compact", e->setup.compact, "bytes_in",
                          (json_int_t)t->bytes_in, "bytes_out", (json_int_t)t->bytes_out,
                          "key_bytes", (json_int_t)e->server.key_bytes, "device_bytes",
                          (json_int_t)e->server.cx->k->counts.bytes_peak, "compute", t->compute,
                          "io", t->io, "peak_rss_mib", bench_peak_rss_mib());
    return put_object(o, JSON_REAL_PRECISION(6));
}

static int one(struct eval *e, const char *in) {
    int st = THOR_OK;
    char path[PATH];
    const char *out = e->out;
    struct server_times t;
    if (e->files.is_folder) folder_join(path, sizeof path, e->out, in), out = path;
    if (e->files.is_folder) {
        if ((st = in_the_way(out))) return folder_refuse(&e->files, st);
        e->skipped += st = answered(e, in, out);
        if (st) return THOR_OK;
    }
    st = server_answer(&e->server, in, out, &t);
    if (st == THOR_KEY || (st == THOR_IO && e->server.reading)) return folder_refuse(&e->files, st);
    if (st) goto out;
    TRY(show(e, in, out, &t));
    e->done++;
    TRY(flush_stdout());
out:
    return st;
}

static void summary(const struct eval *e) {
    const struct server *s = &e->server;
    if (e->skipped) printf("%d answered before and passed over\n", e->skipped);
    if (!e->done) return;
    printf("evaluation keys  %d, %.0f MiB, %.0f MiB in memory at a time, %llu read; matrices and "
           "ciphertexts at most "
           "%.0f MiB; peak %.0f MiB\n",
           s->keys->n, (double)s->key_bytes / MIB, (double)s->held_bytes / MIB,
           (unsigned long long)ckks_keys_loads(s->keys), (double)s->work_bytes / MIB,
           bench_peak_rss_mib());
}

int cmd_eval(int argc, char **argv) {
    int st = THOR_OK;
    struct eval e = {0};
    TRY(read_options(&e, argc, argv));
    TRY(folder_open(&e.files, e.in));
    if (e.files.is_folder) TRY(make_folder(e.out));
    e.setup.requests = e.files.n;
    TRY(server_open(&e.server, &e.setup));
    for (int i = 0; i < e.files.n; i++) TRY(one(&e, e.files.path[i]));
    if (!e.json) summary(&e);
    st = folder_verdict(&e.files, "got no answer");
out:
    server_close(&e.server);
    folder_close(&e.files);
    return st;
}
