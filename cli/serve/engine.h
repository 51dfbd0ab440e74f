/* What computes: the models that are served, and a worker a device that takes jobs from the queue.
 *
 * A worker holds the evaluation keys of those who asked last, as many as its memory takes; others
 * are loaded from the store when a job wants them. */
#ifndef SERVE_ENGINE_H
#define SERVE_ENGINE_H

#include <jansson.h>

#include "bench/device.h"
#include "bert/encrypted.h"
#include "bert/message.h"
#include "cli/serve/jobs.h"
#include "cli/serve/counters.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ENGINE_MODELS = 16, ENGINE_BUCKETS = 4, ENGINE_WORKERS = 16, ENGINE_RESIDENT = 256 };

struct engine_setup {
    const char *const *models; /* folders or containers */
    int n_models;
    const char *const *devices;
    int n_devices;
    const char *insecure;
    int threads, group, compact;
    size_t keys_bytes; /* of evaluation keys in memory, a device; 0: what there is */
};

struct engine_bucket { /* of a model: what a text of up to so many tokens is */
    int tokens, needs, n_uses;
    struct bert_plan *plan;
    struct bert_shape shape;
    struct ckks_need *need;
    uint32_t *uses;
    size_t key_memory, work_bytes, constant_bytes;
    /* the one legal size of each file, and the request's number of ciphertexts */
    uint64_t key_bytes, request_bytes, answer_bytes;
    int ciphertexts;
    struct series seconds; /* under engine.lock */
};

struct engine_model {
    char id[17], name[64];
    struct bert_model *model;
    struct bert_ranges *ranges;
    struct engine_bucket bucket[ENGINE_BUCKETS];
    int buckets;
};

struct engine_keys { /* in a worker's memory */
    char key[STORE_ID];
    struct ckks_keyfile *file;
    struct ckks_keys *keys;
    size_t bytes;
    uint64_t used;
};

struct engine;
struct engine_worker {
    struct engine *engine;
    pthread_t thread;
    int number, running;
    struct device_choice device;
    char name[16];
    struct ckks *cx;
    size_t budget;
    uint64_t turn;
    /* under engine.lock where others look */
    struct engine_keys resident[ENGINE_RESIDENT];
    int residents;
    /* of the bucket in use */
    const struct engine_model *model;
    const struct engine_bucket *bucket;
    struct bert_server *bert;
    const struct ckks_keys *recorded; /* keys that its recordings hold */
    /* of the jobs that run */
    struct job *const *job;
    int jobs, done;
    double stage_began;
};

struct engine {
    struct engine_setup setup;
    const struct ckks_params *params;
    struct jobs *jobs;
    struct metrics *metrics;
    struct engine_model model[ENGINE_MODELS];
    int models;
    struct engine_worker worker[ENGINE_WORKERS];
    int workers;
    pthread_mutex_t lock;
};

/* Models, plans and sizes; then a worker a device. */
int engine_load(struct engine *e, const struct engine_setup *setup, struct jobs *q,
                struct metrics *m);
int engine_start(struct engine *e);
/* After jobs_drain: the sentences that run are finished. */
void engine_stop(struct engine *e);

/* NULL: there is none */
struct engine_model *engine_find(struct engine *e, const char *id);
struct engine_bucket *engine_bucket_of(struct engine_model *m, int tokens);
double engine_seconds(struct engine *e, struct engine_bucket *b); /* median; 0: not known */
json_t *engine_model_json(struct engine *e, struct engine_model *m);
int engine_resident(struct engine *e, const char *key);
size_t engine_key_bytes(struct engine *e, size_t *most); /* in memory, and at most */

/* ---- worker.c */
void *engine_work(void *worker);

#ifdef __cplusplus
}
#endif
#endif
