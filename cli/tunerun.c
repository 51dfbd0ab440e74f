#include "cli/tunerun.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "bench/bench.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "split/checkpoint.h"

enum { PATH = 4300, LATEST = 10 };
#define LOG_BYTES_MAX ((size_t)1 << 28)

struct running {
    struct tune_run *r;
    struct tune_job *job;
    const struct tune_data *data;
    struct split_adapter adapter;
    struct split_trainer trainer;
    char *settings;
    char checkpoint[PATH], log_path[PATH];
    int log, started; /* started: the trainer is */
    struct split_traffic before;
    double at, latest[LATEST];
    int n; /* of latest, of which the newest LATEST are kept */
};

/* ---- settings: all that the run depends on, but who computes ---- */

static int make_settings(struct running *u, const struct split_dpforward *noise) {
    const struct tune_run *r = u->r;
    const struct split_adam_ask *a = &r->train.adam;
    const struct split_dpsgd_ask *p = r->train.privacy;
    char hash[20];
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)u->data->hash);
    json_t *o =
        json_pack("{s:i, s:s, s:i, s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:s?}", "rows",
                  u->data->n, "tokens", hash, "batch", r->train.batch, "steps",
                  (json_int_t)a->steps, "rank", u->adapter.rank, "alpha", u->adapter.alpha, "lr",
                  a->lr, "decay", a->decay, "beta1", a->beta1, "beta2", a->beta2, "eps", a->eps,
                  "warmup", (json_int_t)a->warmup, "max_norm", r->train.max_norm, "seed", r->seed);
    json_t *maps = json_array();
    for (int m = 0; m < SPLIT_MAPS; m++)
        if (u->adapter.maps >> m & 1) json_array_append_new(maps, json_string(split_map_names[m]));
    json_object_set_new(o, "maps", maps);
    json_object_set_new(o, "frozen_a", json_boolean(u->adapter.frozen_a));
    json_object_set_new(o, "classifier", json_boolean(u->adapter.labels > 0));
    if (p)
        json_object_set_new(o, "privacy",
                            json_pack("{s:f, s:f, s:f, s:f}", "epsilon", p->epsilon, "delta",
                                      p->delta, "clip", p->clip, "sigma", p->sigma));
    if (noise)
        json_object_set_new(o, "embeddings",
                            json_pack("{s:f, s:f}", "sigma", noise->sigma, "clip", noise->clip));
    u->settings = o ? json_dumps(o, JSON_SORT_KEYS | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(o);
    return u->settings ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for the settings");
}

/* ---- the log ---- */

static int log_failed(const struct running *u) {
    return thor_fail(THOR_IO, "%.300s: cannot be written (%s)", u->log_path, strerror(errno));
}

/* Lines behind the checkpoint, and a torn one, go: their steps come again. */
static int cut_log(const struct running *u) {
    int st = THOR_OK;
    char *text = NULL;
    size_t n;
    long step;
    struct ckks_file_out *f = NULL;
    if (!bert_file_exists(u->log_path)) return THOR_OK;
    TRY(bert_read_file(&text, &n, u->log_path, LOG_BYTES_MAX, THOR_IO));
    TRY(ckks_file_create(&f, u->log_path, CKKS_FILE_PRIVATE));
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
        if (sscanf(line, "{\"step\": %ld", &step) != 1 || step > u->trainer.adam.step) break;
        TRY(ckks_file_write(f, line, (size_t)(end + 1 - line)));
    }
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    free(text);
    return st;
}

static int open_log(struct running *u) {
    int st = THOR_OK;
    TRY(cut_log(u));
    u->log = open(u->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (u->log < 0) st = log_failed(u);
out:
    return st;
}

static json_t *line_of(struct running *u, const struct split_step_report *s) {
    const struct split_traffic *t = &u->job->service->traffic, *b = &u->before;
    const double now = bench_now();
    json_t *o =
        json_pack("{s:I, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I}", "step", (json_int_t)s->step,
                  "rows", s->rows, "loss", s->loss, "norm", s->norm, "rate", s->rate, "seconds",
                  now - u->at, "server_seconds", t->server_seconds - b->server_seconds, "rounds",
                  (json_int_t)(t->rounds - b->rounds), "up", (json_int_t)(t->up - b->up), "down",
                  (json_int_t)(t->down - b->down));
    if (u->trainer.is_private) json_object_set_new(o, "epsilon", json_real(s->epsilon));
    u->at = now;
    u->before = *t;
    return o;
}

static int write_line(const struct running *u, const json_t *line) {
    int st = THOR_OK;
    char *text = line ? json_dumps(line, JSON_REAL_PRECISION(9)) : NULL;
    if (!text) return thor_fail(THOR_MEMORY, "no memory for a line of the log");
    if (dprintf(u->log, "%s\n", text) < 0) st = log_failed(u);
    free(text);
    return st;
}

/* ---- beginning ---- */

/* The seed of A and that of the order: of the given text, or of the system. */
static void make_seeds(uint8_t first[CKKS_SEED], uint8_t order[CKKS_SEED], const char *text) {
    uint8_t seed[CKKS_SEED];
    if (text)
        crypto_generichash(seed, sizeof seed, (const uint8_t *)text, strlen(text), NULL, 0);
    else
        ckks_random_seed(seed);
    ckks_seed_derive(first, seed, 1);
    ckks_seed_derive(order, seed, 2);
    sodium_memzero(seed, sizeof seed);
}

static int take_adapter(struct running *u, const uint8_t *seed) {
    int st = THOR_OK;
    const struct tune_run *r = u->r;
    if (!r->from) return tune_adapter_make(&u->adapter, u->job, &r->shape, seed);
    TRY(split_adapter_load(&u->adapter, r->from, &u->job->base));
    TRY(split_base_fits(&u->job->base, &u->adapter));
    u->adapter.frozen_a |= r->shape.frozen_a;
out:
    return st;
}

static int refuse_foreign(const struct running *u) {
    char path[PATH];
    snprintf(path, sizeof path, "%.4000s/adapter_config.json", u->r->out);
    if (!bert_file_exists(path)) return THOR_OK;
    return thor_fail(THOR_USAGE,
                     "%.300s: holds an adapter without a checkpoint and is not "
                     "overwritten; name another folder",
                     u->r->out);
}

static int begin(struct running *u, const struct split_dpforward *noise) {
    int st = THOR_OK, made;
    uint8_t first[CKKS_SEED];
    TRY(ckks_random_start());
    TRY(split_base_hash(&u->job->base, u->r->model));
    make_seeds(first, u->r->train.seed, u->r->seed);
    TRY(take_adapter(u, first));
    TRY(make_settings(u, noise));
    TRY(split_trainer_start(&u->trainer, &u->r->train, u->job->model, u->job->service, &u->adapter,
                            u->data->text, u->data->n));
    u->started = 1;
    TRY(make_private_folder(u->r->out, &made));
    if (bert_file_exists(u->checkpoint)) {
        TRY(split_checkpoint_load(&u->trainer, u->checkpoint, u->settings, u->job->base.hash));
    } else {
        TRY(refuse_foreign(u));
        TRY(split_checkpoint_save(&u->trainer, u->checkpoint, u->settings, u->job->base.hash));
    }
    TRY(open_log(u));
out:
    sodium_memzero(first, sizeof first);
    return st;
}

/* ---- steps ---- */

static void take_results(struct running *u) {
    struct tune_run *r = u->r;
    const int n = u->n < LATEST ? u->n : LATEST;
    r->loss = n ? 0 : NAN;
    for (int i = 0; i < n; i++) r->loss += u->latest[i] / n;
    r->step = u->trainer.adam.step;
    r->sigma = u->trainer.is_private ? u->trainer.privacy.ask.sigma : 0;
    r->epsilon = u->trainer.is_private ? split_dpsgd_epsilon(&u->trainer.privacy) : 0;
}

static int one_step(struct running *u) {
    int st = THOR_OK;
    struct split_step_report s;
    json_t *line = NULL;
    TRY(split_trainer_step(&s, &u->trainer));
    u->latest[u->n++ % LATEST] = s.loss;
    take_results(u);
    line = line_of(u, &s);
    TRY(write_line(u, line));
    if (s.step % u->r->every == 0)
        TRY(split_checkpoint_save(&u->trainer, u->checkpoint, u->settings, u->job->base.hash));
    if (u->r->watch) TRY(u->r->watch(u->r->ctx, u->r, line));
    TRY(interrupt_pending());
out:
    json_decref(line);
    return st;
}

static int save_summary(const struct running *u) {
    int st = THOR_OK;
    char path[PATH];
    const struct tune_run *r = u->r;
    json_t *o = json_pack("{s:i, s:I, s:b}", "rows", u->data->n, "step", (json_int_t)r->step,
                          "done", split_trainer_done(&u->trainer));
    if (!isnan(r->loss)) json_object_set_new(o, "loss", json_real(r->loss));
    if (u->trainer.is_private) {
        json_object_set_new(o, "epsilon", json_real(r->epsilon));
        json_object_set_new(o, "delta", json_real(u->trainer.privacy.ask.delta));
        json_object_set_new(o, "sigma", json_real(r->sigma));
    }
    json_object_set_new(o, "settings", json_string(u->settings));
    snprintf(path, sizeof path, "%.4000s/training.json", r->out);
    st = o ? save_private(o, path, JSON_FILE) : thor_fail(THOR_MEMORY, "no memory for %s", path);
    json_decref(o);
    return st;
}

static int save_all(const struct running *u) {
    int st = THOR_OK;
    TRY(split_checkpoint_save(&u->trainer, u->checkpoint, u->settings, u->job->base.hash));
    TRY(split_adapter_save(&u->adapter, u->r->out, &u->job->base, u->r->model));
    TRY(save_summary(u));
out:
    return st;
}

static void end(struct running *u) {
    if (u->started) split_trainer_end(&u->trainer);
    split_adapter_free(&u->adapter);
    free(u->settings);
    if (u->log >= 0) close(u->log);
    sodium_memzero(u->r->train.seed, sizeof u->r->train.seed);
}

int tune_run(struct tune_run *r, struct tune_job *j, const struct tune_data *d,
             const struct split_dpforward *noise) {
    int st = THOR_OK, stopped = THOR_OK;
    struct running u = {.r = r, .job = j, .data = d, .log = -1};
    for (int i = 0; i < d->n; i++) d->text[i].noise = noise;
    snprintf(u.checkpoint, PATH, "%.4000s/checkpoint", r->out);
    snprintf(u.log_path, PATH, "%.4000s/log.jsonl", r->out);
    interrupt_hold();
    TRY(begin(&u, noise));
    u.at = bench_now();
    u.before = j->service->traffic;
    take_results(&u);
    while (stopped == THOR_OK && !split_trainer_done(&u.trainer)) stopped = one_step(&u);
    if (stopped != THOR_OK && stopped != THOR_INTERRUPTED) TRY(stopped);
    TRY(save_all(&u));
    if (stopped == THOR_INTERRUPTED)
        st = thor_fail(THOR_INTERRUPTED, "stopped behind step %ld of %ld; the same command goes on",
                       u.trainer.adam.step, u.trainer.ask.adam.steps);
out:
    end(&u);
    interrupt_release();
    return st;
}
