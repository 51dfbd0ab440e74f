#include "bench/rig.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// measurements repeat exactly
static const uint8_t fixed_seed[CKKS_SEED] = {'b', 'e', 'n', 'c', 'h'};
// seconds between two looks at the clock on a device that is asked and waited for
static const double LOOK = 2e-3;

static void fill(double *x, size_t n, struct ckks_rng *rng) {
    uint32_t w;
    for (size_t i = 0; i < n; i++) {
        ckks_rng_bytes(rng, &w, sizeof w);
        x[i] = (double)w / 2147483648.0 - 1;
    }
}

static void fill_slots(struct bench_rig *r, size_t n) {
    struct ckks_rng rng;
    ckks_rng_init(&rng, fixed_seed, 1);
    fill(r->re, n, &rng);
    fill(r->im, n, &rng);
    if (!r->lanes) memset(r->im, 0, n * sizeof *r->im);
    ckks_rng_wipe(&rng);
}

/* ---- ciphertexts ---- */

int bench_rig_encrypt(struct bench_rig *r, int level) {
    int st = THOR_OK;
    struct ckks_rng rng;
    size_t period = (size_t)1 << r->log_slots;
    fill_slots(r, period);
    ckks_rng_init(&rng, fixed_seed, 2);
    TRY(ckks_encrypt_secret(&r->a, r->cx, r->re, r->im, period, level, r->secret, &rng));
    TRY(ckks_encrypt_secret(&r->b, r->cx, r->re, r->im, period, level, r->secret, &rng));
    r->level = level;
    if (r->twin) TRY(bench_rig_encrypt(r->twin, level));
out:
    ckks_rng_wipe(&rng);
    return st;
}

static int random_ct(struct ckks_ct *out, struct ckks *cx, int level, struct ckks_rng *rng) {
    int st = THOR_OK;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, level);
    size_t n = (size_t)1 << k->log_n;
    uint32_t *row = malloc(n * sizeof *row);
    if (!row) return thor_fail(THOR_MEMORY, "no memory for a random ciphertext");
    ckks_ct_free(out);
    TRY(k->alloc(k, &out->c, 2 * (size_t)q.n));
    *out = (struct ckks_ct){.cx = cx, .c = out->c, .polys = 2, .rows = q.n, .level = level};
    out->boot = level > CKKS_MSG_TOP;
    for (int i = 0; i < 2 * q.n; i++) {
        ckks_rng_bytes(rng, row, n * sizeof *row);
        for (size_t j = 0; j < n; j++) row[j] %= k->q[q.prime[i % q.n]];
        k->upload(k, out->c + (size_t)i * n, row, n);
    }
    TRY(k->sync(k));
out:
    free(row);
    return st;
}

int bench_rig_random(struct bench_rig *r, int level) {
    int st = THOR_OK;
    struct ckks_rng rng;
    ckks_rng_init(&rng, fixed_seed, 3);
    TRY(random_ct(&r->a, r->cx, level, &rng));
    TRY(random_ct(&r->b, r->cx, level, &rng));
    TRY(random_ct(&r->pending, r->cx, level, &rng));
    r->pending.pending = 1;
    r->level = level;
    if (r->twin) TRY(bench_rig_random(r->twin, level));
out:
    ckks_rng_wipe(&rng);
    return st;
}

/* ---- opening and closing ---- */

static int open_one(struct bench_rig *r, const struct bench_setup *s,
                    const struct device_choice *d) {
    int st = THOR_OK;
    const struct ckks_params *p;
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(device_open(&r->cx, d, p, s->threads));
    TRY(ckks_secret_new(&r->secret, p, fixed_seed));
    size_t n = (size_t)ckks_slots(r->cx);
    r->re = calloc(n, sizeof *r->re);
    r->im = calloc(n, sizeof *r->im);
    if (!r->re || !r->im) {
        st = thor_fail(THOR_MEMORY, "no memory for the slots of a measurement");
        goto out;
    }
    fill_slots(r, n);
out:
    return st;
}

int bench_rig_open(struct bench_rig *r, const struct bench_setup *s) {
    int st = THOR_OK;
    const struct device_choice dry = {.kind = KERN_DRY};
    TRY(open_one(r, s, &s->device));
    if (s->device.kind == KERN_DRY) goto out;
    r->twin = calloc(1, sizeof *r->twin);
    if (!r->twin) return thor_fail(THOR_MEMORY, "no memory for a measurement");
    r->twin->log_slots = r->log_slots;
    r->twin->lanes = r->lanes;
    TRY(open_one(r->twin, s, &dry));
    r->twin->cx->k->records = r->cx->k->records;
    r->twin->cx->k->generates = r->cx->k->generates;
out:
    return st;
}

int bench_rig_keys(struct bench_rig *r, const struct bench_setup *s, int (*circuit)(void *rig),
                   void *twin) {
    int st = THOR_OK;
    const struct ckks *dry = r->twin->cx;
    TRY(circuit(twin));
    const struct kernels_counts *c = &dry->k->counts;
    size_t keys = ckks_needs_bytes(dry, dry->needs, dry->n_needs);
    TRY(device_fit(&keys, r->cx, &s->device, c->bytes_peak + c->bytes_constant));
    TRY(r->cx->k->reserve(r->cx->k, keys + c->bytes_peak));
    TRY(ckks_keys_new(&r->keys, r->cx, r->secret, dry->needs, dry->n_needs, fixed_seed, NULL,
                      NULL));
    ckks_use_keys(r->cx, r->keys);
out:
    return st;
}

void bench_rig_close(struct bench_rig *r) {
    if (r->twin) bench_rig_close(r->twin);
    free(r->twin);
    struct ckks_ct *ct[] = {&r->a, &r->b, &r->pending, &r->out};
    for (int i = 0; i < 4; i++) ckks_ct_free(ct[i]);
    if (r->boot) ckks_boot_free(r->boot);
    if (r->keys) ckks_keys_free(r->keys);
    if (r->secret) ckks_secret_free(r->secret);
    ckks_close(r->cx);
    free(r->re);
    free(r->im);
    memset(r, 0, sizeof *r);
}

/* ---- measuring ---- */

struct job {
    struct kernels *k;
    int (*run)(void *what);
    void *what;
};

static int repeat(void *ctx, int times) {
    int st = THOR_OK;
    const struct job *j = ctx;
    for (int i = 0; i < times; i++) TRY(j->run(j->what));
    TRY(j->k->sync(j->k));
out:
    return st;
}

static void label(struct bench_result *res, const struct bench_rig *r,
                  const struct device_choice *d) {
    device_name(res->device, d);
    res->threads = r->cx->k->threads;
    res->log_n = r->cx->params->log_n;
    if (!res->limbs) res->limbs = ckks_basis(r->cx->params, r->level).n;
}

int bench_rig_measure(struct bench_result *res, struct bench_rig *r, const struct bench_setup *s,
                      int (*run)(void *what), void *what) {
    int st = THOR_OK;
    struct job j = {r->cx->k, run, what};
    const struct kernels_counts *now = &j.k->counts;
    label(res, r, &s->device);
    res->batch = 1;
    TRY(repeat(&j, j.k->records ? 2 : 1)); // tables and caches are filled, recordings made
    if (s->device.kind == KERN_CUDA) {
        double t = bench_now();
        TRY(repeat(&j, 1));
        res->batch = (int)fmin(fmax(LOOK / (bench_now() - t), 1), 256);
    }
    struct kernels_counts before = *now;
    TRY(bench_time(res, s->budget, repeat, &j));
    double n = (double)res->runs * res->batch;
    res->bytes = (double)(now->bytes_moved - before.bytes_moved) / n;
    res->between = (double)(now->bytes_between - before.bytes_between) / n;
    res->products = (double)(now->products - before.products) / n;
    res->launches = (double)(now->launches - before.launches) / n;
    res->replays = (double)(now->replays - before.replays) / n;
out:
    return st;
}

int bench_rig_put(struct bench_rig *r, const struct bench_setup *s, const struct bench_sink *sink,
                  const char *name, int limbs, int (*run)(void *rig)) {
    int st = THOR_OK;
    struct bench_result res = {.limbs = limbs};
    snprintf(res.name, sizeof res.name, "%s", name);
    TRY(bench_rig_measure(&res, r, s, run, r));
    TRY(sink->put(sink->ctx, &res));
out:
    return st;
}
