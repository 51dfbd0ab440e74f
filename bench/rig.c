#include "bench/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t fixed_seed[CKKS_SEED] = {'b', 'e', 'n', 'c', 'h'}; // measurements repeat exactly

static void fill(double *x, size_t n, struct ckks_rng *rng) {
    uint32_t w;
    for (size_t i = 0; i < n; i++) {
        ckks_rng_bytes(rng, &w, sizeof w);
        x[i] = (double)w / 2147483648.0 - 1;
    }
}

int bench_rig_encrypt(struct bench_rig *r, int level, int log_period) {
    int st = THOR_OK;
    struct ckks_rng rng;
    size_t period = (size_t)1 << log_period;
    ckks_rng_init(&rng, fixed_seed, 1);
    fill(r->re, period, &rng);
    fill(r->im, period, &rng);
    if (!r->lanes) memset(r->im, 0, period * sizeof *r->im);
    TRY(ckks_encrypt_secret(&r->a, r->cx, r->re, r->im, period, level, r->secret, &rng));
    TRY(ckks_encrypt_secret(&r->b, r->cx, r->re, r->im, period, level, r->secret, &rng));
    r->level = level;
out:
    ckks_rng_wipe(&rng);
    return st;
}

int bench_rig_open(struct bench_rig *r, const struct bench_setup *s, enum kern_kind kind, int level) {
    int st = THOR_OK;
    const struct ckks_params *p;
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(ckks_open(&r->cx, p, kind, KERN_TIER_BEST, s->threads));
    TRY(ckks_secret_new(&r->secret, p, fixed_seed));
    r->re = calloc((size_t)ckks_slots(r->cx), sizeof *r->re);
    r->im = calloc((size_t)ckks_slots(r->cx), sizeof *r->im);
    if (!r->re || !r->im) {
        st = thor_fail(THOR_MEMORY, "no memory for the slots of a measurement");
        goto out;
    }
    TRY(bench_rig_encrypt(r, level < 0 ? p->max_level : level, p->log_n - 1));
out:
    return st;
}

int bench_rig_keys(struct bench_rig *r, const struct bench_setup *s, int (*circuit)(struct bench_rig *r)) {
    int st = THOR_OK;
    struct bench_rig dry = {.log_slots = r->log_slots, .lanes = r->lanes};
    TRY(bench_rig_open(&dry, s, KERN_DRY, r->level));
    TRY(circuit(&dry));
    TRY(ckks_keys_new(&r->keys, r->cx, r->secret, dry.cx->needs, dry.cx->n_needs, fixed_seed, NULL, NULL));
    ckks_use_keys(r->cx, r->keys);
out:
    bench_rig_close(&dry);
    return st;
}

void bench_rig_close(struct bench_rig *r) {
    ckks_ct_free(&r->a);
    ckks_ct_free(&r->b);
    ckks_ct_free(&r->out);
    if (r->boot) ckks_boot_free(r->boot);
    if (r->keys) ckks_keys_free(r->keys);
    if (r->secret) ckks_secret_free(r->secret);
    ckks_close(r->cx);
    free(r->re);
    free(r->im);
    memset(r, 0, sizeof *r);
}

void bench_rig_label(struct bench_result *out, const struct bench_rig *r, const char *name) {
    snprintf(out->name, sizeof out->name, "%s", name);
    out->device = "cpu";
    out->threads = r->cx->k->threads;
    out->log_n = r->cx->params->log_n;
    out->limbs = ckks_basis(r->level).n;
}
