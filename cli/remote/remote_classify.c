/* thor remote classify: texts encrypted here, computed there, decrypted here. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inputs.h"
#include "cli/json.h"
#include "cli/published.h"
#include "cli/remote/asker.h"
#include "cli/remote/remote.h"
#include "cli/tagged.h"
#include "kernels/shown.h"

enum { AHEAD = 8 }; /* texts on the server at a time: where it takes groups, it finds some */
static const double MIB = 1048576;

struct classify {
    struct remote r;
    struct inputs_request request;
    struct session_setup setup;
    int json, tokens, top;
    struct inputs in;
    struct asker asker;
    struct asked asked[AHEAD];
    struct progress progress;
    char drawn[64]; /* what was shown last */
    int refused, worst;
};

static int read_options(struct classify *c, int argc, char **argv) {
    int st = THOR_OK;
    struct session_setup *s = &c->setup;
    const struct option_spec options[] = {
        {"text", "S", OPTION_TEXTS, &c->request.texts, 0, 0,
         "a text, - for standard input; may be repeated"},
        option_pair(&c->request.pairs),
        {"data", "FILE", OPTION_TEXT, &c->request.data, 0, 0,
         "a table of texts, as of thor forward; - for standard input"},
        {"columns", "NAMES", OPTION_TEXT, &c->request.columns, 0, 0,
         "its columns, as of thor forward"},
        {"index", "A[..B]", OPTION_SPANS, &c->request.rows, 0, 1000000,
         "rows of it, from 0; may be repeated (all)"},
        option_secret_keys(&s->keys_dir),
        option_model(&s->model_dir),
        option_server_weights(&s->container),
        {"tokens", "T", OPTION_INT, &c->tokens, 1, 1024,
         "length bucket, that of the keys (as calibrated)"},
        {"top", "K", OPTION_INT, &c->top, 1, BERT_MAX_LABELS,
         "the K most probable labels, or next tokens"},
        option_threads(&s->threads),
        {"json", NULL, OPTION_FLAG, &c->json, 0, 0,
         "print one JSON object per text and nothing else"},
        option_require_locked(&s->require_locked),
        option_toy_set(&s->insecure),
        REMOTE_OPTIONS(&c->r),
        {0}};
    const struct command_spec spec = {
        "remote classify",
        "--text S | --data FILE --keys DIR [OPTIONS]",
        "Encrypt texts, have the server compute on them, decrypt its answers: label and "
        "probability, rounded to\n"
        "1/100 as in thor decrypt. An answer that is not to the request is refused.",
        "  thor remote classify --keys keys --text \"a charming and often affecting journey\"\n"
        "  thor remote classify --keys keys --data data/examples.tsv --index 0..9 --json\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!s->keys_dir)
        return thor_fail(THOR_USAGE, "--keys is missing; name the folder with secret.key");
    if (c->request.data && !c->request.rows.n)
        c->request.rows = (struct option_spans){.last = {INPUTS_END}, .n = 1};
    s->quiet = c->r.quiet = c->progress.quiet = c->json;
out:
    return st;
}

/* ---- progress of one text; of several, their count ---- */

static void describe(char *out, size_t size, enum asker_step step, const struct errand_state *job) {
    static const char *const words[] = {"encrypting", "sending", "", "fetching", "decrypting"};
    if (step != ASKER_WORK)
        snprintf(out, size, "%s", words[step]);
    else if (strcmp(job->state, "queued") == 0)
        snprintf(out, size, "queued behind %d", job->position);
    else if (strcmp(job->state, "running") == 0 && job->layer < job->layers)
        snprintf(out, size, "layer %d: %s", job->layer, job->stage);
    else
        snprintf(out, size, "%s", job->stage[0] ? job->stage : job->state);
}

static void on_news(void *ctx, const struct asked *q, enum asker_step step,
                    const struct errand_state *job) {
    struct classify *c = ctx;
    char what[64 + 24];
    (void)q;
    if (c->in.n > 1 || c->json) return;
    describe(what, sizeof what, step, job);
    const int total = job && job->total ? job->total + 2 : 100;
    const int done = job && job->total ? 1 + job->done : step > ASKER_WORK ? total - 1 : 1;
    if (c->progress.tty)
        progress_note(&c->progress, done, total, what);
    else if (step == ASKER_WORK && strcmp(job->state, c->drawn) != 0)
        progress_note(&c->progress, done, total,
                      strcmp(job->state, "running") == 0 ? "running" : what);
    snprintf(c->drawn, sizeof c->drawn, "%s", job ? job->state : "");
}

/* ---- results ---- */

static void name_input(char *out, size_t size, const struct classify *c, int i) {
    const struct input *t = &c->in.item[i];
    if (t->index >= 0)
        snprintf(out, size, "row %d", t->index);
    else
        snprintf(out, size, "text %d", i);
}

static int show(const struct classify *c, const struct asked *q, int i, const struct result *r) {
    const struct bert_config *cfg = &c->asker.s.model->cfg;
    char name[32];
    json_t *o = NULL;
    int st = THOR_OK;
    name_input(name, sizeof name, c, i);
    if (!c->json) {
        remote_clear();
        printf("%s  ", name);
        published_line(stdout, r, cfg);
        puts("");
        published_rest(stdout, r, cfg);
        return flush_stdout();
    }
    o = json_pack("{s:i, s:i, s:I, s:I}", "target_idx", c->in.item[i].index, "tokens",
                  c->asker.s.plan->tokens, "bytes_up", (json_int_t)q->bytes, "bytes_down",
                  (json_int_t)c->asker.to.answer_bytes);
    if (!o || published_json(o, r, cfg)) {
        json_decref(o);
        return thor_fail(THOR_RANGE, "%s: decrypts to no number", name);
    }
    TRY(put_object(o, JSON_REAL_PRECISION(9)));
    TRY(flush_stdout());
out:
    return st;
}

/* What an answer failed with ends the run when it was the only text, or no fault of the answer. */
static int refuse(struct classify *c, int i, int st) {
    char name[32];
    if (c->in.n == 1 || (st != THOR_KEY && st != THOR_RANGE)) return st;
    name_input(name, sizeof name, c, i);
    if (!c->json) remote_clear();
    fprintf(stderr, "refused: %s: %s\n", name, thor_error());
    c->refused++;
    if (st > c->worst) c->worst = st;
    return THOR_OK;
}

static int take(struct classify *c, int i) {
    int st = THOR_OK;
    struct result r = {.top = c->top, .label = -1, .score = NAN};
    struct asked *q = &c->asked[i % AHEAD];
    st = asker_take(&r, q);
    if (st == THOR_OK)
        st = spans_make(&r, &c->asker.s.model->cfg, &c->in.tokens[i], &c->in.item[i], 0);
    if (st == THOR_OK)
        st = show(c, q, i, &r);
    else
        st = refuse(c, i, st);
    result_free(&r);
    asker_drop(q);
    if (c->in.n > 1) progress_step(&c->progress, i + 1, c->in.n);
    return st;
}

/* In order, some of them ahead of the one whose answer is waited for. */
static int all_texts(struct classify *c) {
    int st = THOR_OK;
    progress_begin(&c->progress, "classify");
    for (int i = 0, sent = 0; i < c->in.n; i++) {
        for (; sent < c->in.n && sent < i + AHEAD; sent++)
            TRY(asker_send(&c->asked[sent % AHEAD], &c->asker, &c->in.tokens[sent]));
        TRY(take(c, i));
    }
out:
    progress_end(&c->progress);
    return st;
}

static int verdict(const struct classify *c) {
    if (!c->refused) return THOR_OK;
    return thor_fail(c->worst, "%d of %d texts got no result; the lines above say why", c->refused,
                     c->in.n);
}

/* Jobs are taken back and files removed before the program ends by a signal. */
static int run(struct classify *c) {
    int st = THOR_OK;
    interrupt_hold();
    TRY(remote_start(&c->r));
    c->asker.news = on_news;
    c->asker.ctx = c;
    TRY(asker_open(&c->asker, &c->setup, c->tokens, &c->r.wire));
    TRY(inputs_tokenize(&c->in, c->asker.s.model));
    TRY(asker_fits(&c->asker, inputs_longest(&c->in)));
    if (!c->json)
        fprintf(stderr, "%s gets %.1f MiB a text: ciphertexts for at most %d tokens\n", c->r.to.url,
                (double)c->asker.to.request_bytes / MIB, c->asker.s.plan->tokens);
    TRY(all_texts(c));
    st = verdict(c);
out:
    for (int i = 0; i < AHEAD; i++) asker_drop(&c->asked[i]);
    asker_close(&c->asker);
    remote_end(&c->r);
    interrupt_release();
    return st;
}

int remote_classify(int argc, char **argv) {
    int st = THOR_OK;
    struct classify *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory to start");
    c->r.wait = REMOTE_WAIT;
    TRY(read_options(c, argc, argv));
    TRY(inputs_open(&c->in, &c->request));
    st = run(c);
out:
    inputs_close(&c->in);
    free(c);
    return st;
}
