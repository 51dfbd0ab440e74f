#include "cli/server.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bert/container.h"
#include "kernels/shown.h"

enum { PATH = 4200 };

static int load_weights(struct server *s) {
    int st = THOR_OK;
    char dir[4096], path[PATH];
    if (s->setup.container) return bert_container_load(&s->model, &s->ranges, s->setup.container);
    if (s->setup.model_dir)
        snprintf(dir, sizeof dir, "%s", s->setup.model_dir);
    else
        TRY(default_model(dir, sizeof dir));
    snprintf(path, sizeof path, "%s/calibration.json", dir);
    TRY(bert_model_load(&s->model, dir));
    TRY(bert_ranges_load(&s->ranges, path, s->model));
out:
    return st;
}

/* A secret key has no business beside the server. */
static void warn_of_secret(const struct server *s) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/secret.key", s->setup.keys_dir);
    if (!s->setup.quiet && access(path, F_OK) == 0)
        fprintf(stderr,
                "note: %.300s is not needed here; a server's folder is made with thor keygen "
                "--server-out\n",
                shown(path));
}

int server_open(struct server *s, const struct server_setup *setup) {
    int st = THOR_OK;
    char path[PATH];
    s->setup = *setup;
    s->progress.quiet = setup->quiet;
    snprintf(path, sizeof path, "%s/eval.key", setup->keys_dir);
    TRY(device_parse(&s->device, setup->device));
    if (setup->insecure) TRY(use_insecure(setup->insecure));
    TRY(ckks_params_get(&s->params, setup->insecure ? setup->insecure : "n16",
                        setup->insecure != NULL));
    warn_of_secret(s);
    TRY(load_weights(s));
    TRY(device_open(&s->cx, &s->device, s->params, setup->threads));
    TRY(ckks_keyfile_open(&s->keyfile, s->cx, path));
out:
    return st;
}

static void drop_bucket(struct server *s) {
    if (s->bert) bert_server_free(s->bert);
    ckks_keys_free(s->keys);
    bert_plan_free(s->plan);
    s->bert = NULL;
    s->keys = NULL;
    s->plan = NULL;
}

void server_close(struct server *s) {
    drop_bucket(s);
    ckks_keyfile_close(s->keyfile);
    ckks_close(s->cx);
    bert_ranges_free(s->ranges);
    bert_model_free(s->model);
    memset(s, 0, sizeof *s);
}

/* ---- one bucket: plan, keys, matrices ---- */

static int load_keys(struct server *s, const struct ckks *dry) {
    int st = THOR_OK;
    const struct ckks_need *need = dry->needs;
    int n = dry->n_needs;
    if (!ckks_keyfile_covers(s->keyfile, need, n))
        return thor_fail(
            THOR_KEY,
            "%.300s/eval.key: lacks keys that a text of %d tokens needs: encrypt with the "
            "--tokens of thor keygen, or make keys for this model",
            s->setup.keys_dir, s->plan->tokens);
    s->key_bytes = ckks_keyfile_memory(s->keyfile, need, n);
    const struct kernels_counts *c = &dry->k->counts;
    s->work_bytes = c->bytes_peak + dry->kept_bytes + c->bytes_constant;
    s->held_bytes = s->setup.compact ? ckks_compact_bytes(s->key_bytes) : s->key_bytes;
    TRY(device_fit(&s->held_bytes, s->cx, &s->device, s->work_bytes));
    if (!s->setup.compact) s->key_bytes = s->held_bytes;
    TRY(s->cx->k->reserve(s->cx->k, s->held_bytes + s->work_bytes - c->bytes_constant));
    if (s->setup.compact) {
        TRY(ckks_keys_stream(&s->keys, s->keyfile, need, n, dry->uses, dry->n_uses, s->held_bytes));
        s->cx->k->records = 0; // recordings want keys that stay where they are
    } else {
        progress_begin(&s->progress, "keys");
        st = ckks_keys_take(&s->keys, s->keyfile, need, n, progress_step, &s->progress);
        progress_end(&s->progress);
    }
    if (st == THOR_OK) ckks_use_keys(s->cx, s->keys);
out:
    return st;
}

/* Keys and matrices, once a request has been found good. */
static int make_ready(struct server *s) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    if (s->bert) return THOR_OK;
    TRY(ckks_open(&dry, s->params, KERN_DRY, KERN_TIER_BEST, s->setup.threads));
    dry->lean = s->cx->lean = s->setup.compact;
    const int recorded = s->setup.requests >= BERT_RECORD_FROM && !s->setup.compact;
    dry->k->records = recorded && s->cx->k->records;
    dry->k->generates = s->cx->k->generates;
    TRY(bert_dry_run(dry, s->model, s->plan));
    TRY(load_keys(s, dry));
    TRY(bert_server_new(&s->bert, s->cx, s->model, s->plan));
    if (recorded) TRY(bert_server_record(s->bert, 1));
out:
    ckks_close(dry);
    if (st) drop_bucket(s);
    return st;
}

/* `tokens` comes from a stranger: only what is a bucket of this model gets a plan. */
static int use_bucket(struct server *s, uint32_t tokens, const char *path) {
    int st = THOR_OK, bucket = 0;
    if (s->plan && (uint32_t)s->plan->tokens == tokens) return THOR_OK;
    if (tokens == 0 || tokens > (uint32_t)s->ranges->tokens ||
        bert_bucket(&bucket, s->model, (int)tokens) != THOR_OK || (uint32_t)bucket != tokens)
        return thor_fail(
            THOR_KEY,
            "%.300s: for texts of %u tokens, which this model does not serve (at most %d): "
            "encrypt again",
            path, tokens, s->ranges->tokens);
    drop_bucket(s);
    TRY(bert_plan_new(&s->plan, s->model, s->ranges, bucket));
    TRY(bert_shape_make(&s->shape, &s->model->cfg, bucket, ckks_slots(s->cx)));
out:
    if (st) drop_bucket(s);
    return st;
}

/* ---- one request ---- */

/* Everything that can be wrong with a request, from its header alone. */
static int check_request(struct server *s, const struct bert_message *m,
                         const struct serial_head *h, const char *path) {
    int st = THOR_OK;
    if (h->params != s->params)
        return thor_fail(THOR_KEY,
                         "%.300s: made for parameters %s, this run uses %s: encrypt again", path,
                         h->params->name, s->params->name);
    TRY(ckks_check_id(h->id, s->keyfile->h.id, path));
    TRY(bert_message_model(m, s->model->hash, path));
    TRY(use_bucket(s, m->tokens, path));
    TRY(bert_request_check(m, h, s->plan, &s->shape, path));
out:
    return st;
}

static void on_begin(void *ctx, int layer, const char *stage) {
    struct server *s = ctx;
    if (layer < s->plan->layers)
        snprintf(s->stage, sizeof s->stage, "layer %d: %s", layer, stage);
    else
        snprintf(s->stage, sizeof s->stage, "%s", stage);
}

static void on_progress(void *ctx, int done, int total) {
    struct server *s = ctx;
    if (s->progress.tty) progress_note(&s->progress, done, total, s->stage);
}

static int compute(struct server *s, struct ckks_ct *answer, const struct ckks_ct *in) {
    const struct bert_hooks hooks = {.ctx = s, .begin = on_begin, .progress = on_progress};
    progress_begin(&s->progress, "forward");
    int st = bert_server_forward(answer, s->bert, in, &hooks);
    if (st == THOR_OK) st = s->cx->k->sync(s->cx->k);
    progress_end(&s->progress);
    return st;
}

static int save_answer(struct server *s, const struct bert_message *m, const struct ckks_ct *answer,
                       int n, const char *out) {
    const struct bert_message note = bert_message_answer(m, s->model);
    interrupt_hold();
    int st = bert_message_save(&note, answer, n, s->keyfile->h.id, out);
    interrupt_release();
    return st;
}

int server_answer(struct server *s, const char *in, const char *out, struct server_times *t) {
    int st = THOR_OK, n = 0, answers = 0;
    double began = bench_now();
    struct bert_message m;
    struct serial_head h = {0};
    struct ckks_ct *x = NULL, *answer = NULL;
    TRY(ckks_file_free(out));
    s->reading = 1;
    TRY(bert_message_peek(&m, &h, in, BERT_REQUEST));
    TRY(check_request(s, &m, &h, in));
    s->reading = 0;
    TRY(make_ready(s));
    s->reading = 1;
    TRY(bert_message_load(&x, &n, &m, &h, s->cx, in));
    s->reading = 0;
    answers = bert_answer_count(&s->shape, &s->model->cfg);
    answer = calloc((size_t)answers, sizeof *answer);
    if (!answer) TRY(thor_fail(THOR_MEMORY, "no memory for the answer"));
    double loaded = bench_now();
    TRY(compute(s, answer, x));
    double computed = bench_now();
    TRY(save_answer(s, &m, answer, answers, out));
    *t = (struct server_times){s->plan->tokens, loaded - began + bench_now() - computed,
                               computed - loaded, h.bytes, 0};
    serial_free(&h);
    TRY(ckks_file_describe(&h, out));
    t->bytes_out = h.bytes;
out:
    for (int i = 0; i < n; i++) ckks_ct_free(&x[i]);
    for (int i = 0; answer && i < answers; i++) ckks_ct_free(&answer[i]);
    free(answer);
    free(x);
    serial_free(&h);
    return st;
}
