#include "cli/serve/engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bert/container.h"
#include "cli/cli.h"
#include "cli/folder.h"
#include "cli/serve/uploads.h"
#include "kernels/shown.h"

/* ---- a bucket ---- */

/* Of a request and of its answer, which is at level 0. */
static int file_sizes(struct engine_bucket *b, const struct ckks_params *p,
                      const struct bert_config *c) {
    int st = THOR_OK, state = 0, mask = 0, n = bert_answer_count(&b->shape, c);
    b->ciphertexts = bert_input_count(&b->shape);
    struct ckks_need *level = calloc((size_t)(n + b->ciphertexts), sizeof *level);
    if (!level) TRY(thor_fail(THOR_MEMORY, "no memory for the sizes of files"));
    b->answer_bytes = ckks_file_size(CKKS_FILE_CIPHER, p, level, n);
    TRY(bert_input_levels(&state, &mask, b->plan, &b->shape));
    for (int i = 0; i < b->ciphertexts; i++) level[i].level = i < b->shape.nx ? state : mask;
    b->request_bytes = ckks_file_size(CKKS_FILE_CIPHER, p, level, b->ciphertexts);
    b->key_bytes = ckks_file_size(CKKS_FILE_KEYS, p, b->need, b->needs);
    if (!b->key_bytes || !b->request_bytes || !b->answer_bytes)
        st = thor_fail(THOR_INTERNAL, "files without a size");
out:
    free(level);
    return st;
}

/* Keys, their order and memory, from a dry run. */
static int measure(struct engine *e, const struct engine_model *m, struct engine_bucket *b) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    const int group = e->setup.group > 1 ? e->setup.group : 1;
    TRY(ckks_open(&dry, e->params, KERN_DRY, KERN_TIER_BEST, e->setup.threads));
    dry->lean = e->setup.compact;
    TRY(bert_dry_group(dry, m->model, b->plan, group));
    b->needs = dry->n_needs;
    b->need = malloc(((size_t)b->needs + 1) * sizeof *b->need);
    if (!b->need) TRY(thor_fail(THOR_MEMORY, "no memory for the list of keys"));
    memcpy(b->need, dry->needs, (size_t)b->needs * sizeof *b->need);
    b->uses = dry->uses;
    b->n_uses = dry->n_uses;
    dry->uses = NULL;
    b->key_memory = ckks_needs_bytes(dry, b->need, b->needs);
    b->work_bytes = dry->k->counts.bytes_peak + dry->kept_bytes;
    b->constant_bytes = dry->k->counts.bytes_constant;
out:
    ckks_close(dry);
    return st;
}

static int open_bucket(struct engine *e, struct engine_model *m, int tokens) {
    int st = THOR_OK;
    struct engine_bucket *b = &m->bucket[m->buckets++];
    b->tokens = tokens;
    TRY(bert_plan_new(&b->plan, m->model, m->ranges, tokens));
    TRY(bert_shape_make(&b->shape, &m->model->cfg, tokens, 1 << (e->params->log_n - 1)));
    TRY(measure(e, m, b));
    TRY(file_sizes(b, e->params, &m->model->cfg));
out:
    return st;
}

/* ---- a model ---- */

static int read_model(struct engine_model *m, const char *path) {
    int st = THOR_OK;
    char file[STORE_PATH];
    if (!folder_is(path)) return bert_container_load(&m->model, &m->ranges, path);
    snprintf(file, sizeof file, "%s/calibration.json", path);
    TRY(bert_model_load(&m->model, path));
    TRY(bert_ranges_load(&m->ranges, file, m->model));
out:
    return st;
}

static void name_model(struct engine_model *m, const char *path) {
    char copy[STORE_PATH];
    snprintf(copy, sizeof copy, "%s", path);
    for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--) copy[n - 1] = 0;
    shown_in(m->name, sizeof m->name, folder_last(copy));
    snprintf(m->id, sizeof m->id, "%016" PRIx64, m->model->hash);
}

static int open_model(struct engine *e, const char *path) {
    int st = THOR_OK;
    struct engine_model *m = &e->model[e->models++];
    TRY(read_model(m, path));
    name_model(m, path);
    for (int t = 1, bucket; t <= m->ranges->tokens && m->buckets < ENGINE_BUCKETS; t = bucket + 1) {
        TRY(bert_bucket(&bucket, m->model, t));
        if (bucket > m->ranges->tokens) break;
        if (bert_shape_make(&m->bucket[m->buckets].shape, &m->model->cfg, bucket,
                            1 << (e->params->log_n - 1)) == THOR_OK)
            TRY(open_bucket(e, m, bucket));
    }
    if (!m->buckets)
        TRY(thor_fail(THOR_MODEL, "%.300s: fits no length bucket of parameter set %s", path,
                      e->params->name));
    for (int i = 0; i < e->models - 1; i++)
        if (strcmp(e->model[i].id, m->id) == 0)
            return thor_fail(THOR_USAGE, "--model %.200s: has the weights of another --model",
                             path);
out:
    return st;
}

int engine_load(struct engine *e, const struct engine_setup *setup, struct jobs *q,
                struct metrics *m) {
    int st = THOR_OK;
    e->setup = *setup;
    e->jobs = q;
    e->metrics = m;
    pthread_mutex_init(&e->lock, NULL);
    TRY(ckks_params_get(&e->params, setup->insecure ? setup->insecure : "n16",
                        setup->insecure != NULL));
    for (int i = 0; i < setup->n_models; i++) TRY(open_model(e, setup->models[i]));
out:
    return st;
}

/* ---- workers ---- */

static size_t largest(const struct engine *e, int keys) {
    size_t most = 0;
    for (int i = 0; i < e->models; i++)
        for (int k = 0; k < e->model[i].buckets; k++) {
            const struct engine_bucket *b = &e->model[i].bucket[k];
            const size_t all = e->setup.compact ? ckks_compact_bytes(b->key_memory) : b->key_memory;
            const size_t n = keys ? all : b->work_bytes + b->constant_bytes;
            if (n > most) most = n;
        }
    return most;
}

/* What of the free memory is for keys: 0.8 of it, shared among workers on the host, less what a
 * sentence takes. */
static int set_budget(struct engine *e, struct engine_worker *w) {
    int st = THOR_OK;
    const size_t work = largest(e, 0), one = largest(e, 1);
    struct kern_device_info info;
    double have = bench_available_mib() * 1048576 / e->workers;
    if (w->device.kind == KERN_CUDA) {
        TRY(kernels_cuda_device(&info, w->device.number));
        have = (double)info.free;
    }
    const double room = 0.8 * have - (double)work;
    w->budget = e->setup.keys_bytes ? e->setup.keys_bytes : room > 0 ? (size_t)room : 0;
    if (w->budget < one) w->budget = one;
    TRY(device_room(&w->device, one + work));
    TRY(w->cx->k->reserve(w->cx->k, w->budget + work));
out:
    return st;
}

int engine_start(struct engine *e) {
    int st = THOR_OK;
    e->workers = e->models ? e->setup.n_devices : 0;
    for (int i = 0; i < e->workers; i++) {
        struct engine_worker *w = &e->worker[i];
        w->engine = e;
        w->number = i;
        TRY(device_parse(&w->device, e->setup.devices[i]));
        device_name(w->name, &w->device);
        TRY(device_open(&w->cx, &w->device, e->params, e->setup.threads));
        w->cx->lean = e->setup.compact;
        if (e->setup.compact) w->cx->k->records = 0;
        TRY(set_budget(e, w));
    }
    for (int i = 0; i < e->workers; i++) {
        struct engine_worker *w = &e->worker[i];
        if (pthread_create(&w->thread, NULL, engine_work, w) != 0)
            return thor_fail(THOR_MEMORY, "cannot start a worker");
        w->running = 1;
    }
out:
    return st;
}

void engine_stop(struct engine *e) {
    for (int i = 0; i < e->workers; i++)
        if (e->worker[i].running) pthread_join(e->worker[i].thread, NULL);
    for (int i = 0; i < e->workers; i++) ckks_close(e->worker[i].cx);
    for (int i = 0; i < e->models; i++) {
        struct engine_model *m = &e->model[i];
        for (int k = 0; k < m->buckets; k++) {
            bert_plan_free(m->bucket[k].plan);
            free(m->bucket[k].need);
            free(m->bucket[k].uses);
        }
        bert_ranges_free(m->ranges);
        bert_model_free(m->model);
    }
    e->models = e->workers = 0;
}

/* ---- for the routes ---- */

struct engine_model *engine_find(struct engine *e, const char *id) {
    for (int i = 0; i < e->models; i++)
        if (strcmp(e->model[i].id, id) == 0) return &e->model[i];
    return NULL;
}

struct engine_bucket *engine_bucket_of(struct engine_model *m, int tokens) {
    for (int i = 0; m && i < m->buckets; i++)
        if (m->bucket[i].tokens == tokens) return &m->bucket[i];
    return NULL;
}

double engine_seconds(struct engine *e, struct engine_bucket *b) {
    pthread_mutex_lock(&e->lock);
    const double s = series_quantile(&b->seconds, 0.5);
    pthread_mutex_unlock(&e->lock);
    return s;
}

static json_t *bucket_json(struct engine *e, struct engine_bucket *b) {
    const double s = engine_seconds(e, b);
    return json_pack("{s:i, s:i, s:I, s:I, s:i, s:I, s:o}", "tokens", b->tokens, "keys", b->needs,
                     "key_bytes", (json_int_t)b->key_bytes, "request_bytes",
                     (json_int_t)b->request_bytes, "ciphertexts", b->ciphertexts, "answer_bytes",
                     (json_int_t)b->answer_bytes, "seconds", s > 0 ? json_real(s) : json_null());
}

json_t *engine_model_json(struct engine *e, struct engine_model *m) {
    const struct bert_config *c = &m->model->cfg;
    json_t *buckets = json_array();
    for (int i = 0; i < m->buckets; i++)
        json_array_append_new(buckets, bucket_json(e, &m->bucket[i]));
    return json_pack("{s:s, s:s, s:s, s:i, s:i, s:i, s:i, s:o, s:i, s:[s, s, s, s]}", "id", m->id,
                     "name", m->name, "parameters", e->params->name, "layers", c->layers, "hidden",
                     c->hidden, "labels", c->labels, "tokens", m->bucket[m->buckets - 1].tokens,
                     "buckets", buckets, "block_bytes", (int)UPLOAD_BLOCK, "server_sees",
                     "the account, the model and the length bucket",
                     "the name of the key pair and a random ticket of each request",
                     "times and sizes, which are the same for every text of a bucket",
                     "ciphertexts: not the text, its length, or the answer");
}

int engine_resident(struct engine *e, const char *key) {
    int n = 0;
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < e->workers; i++)
        for (int k = 0; k < e->worker[i].residents; k++)
            n += strcmp(e->worker[i].resident[k].key, key) == 0;
    pthread_mutex_unlock(&e->lock);
    return n > 0;
}

size_t engine_key_bytes(struct engine *e, size_t *most) {
    size_t sum = 0;
    *most = 0;
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < e->workers; i++) {
        *most += e->worker[i].budget;
        for (int k = 0; k < e->worker[i].residents; k++) sum += e->worker[i].resident[k].bytes;
    }
    pthread_mutex_unlock(&e->lock);
    return sum;
}
