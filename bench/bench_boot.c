/* Bootstraps: time and precision, from the lowest level that the bootstrap accepts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/rig.h"

static int run_boot(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_bootstrap(&r->out, &r->a, r->boot);
}

static int boot_circuit(void *ctx) {
    struct bench_rig *r = ctx;
    int st = THOR_OK;
    TRY(ckks_boot_new(&r->boot, r->cx, r->log_slots, r->lanes));
    TRY(run_boot(r));
out:
    return st;
}

static void compare(struct bench_result *res, const struct bench_rig *r, const double *re,
                    const double *im) {
    double worst = 0, sum = 0;
    size_t n = (size_t)ckks_slots(r->cx), period = (size_t)1 << r->log_slots;
    for (size_t i = 0; i < n; i++) {
        double a = fabs(re[i] - r->re[i % period]),
               b = r->lanes ? fabs(im[i] - r->im[i % period]) : a;
        worst = fmax(worst, fmax(a, b));
        sum += (a + b) / 2;
    }
    res->worst_bits = -log2(fmax(worst, 1e-300));
    res->mean_bits = -log2(fmax(sum / (double)n, 1e-300));
}

static int precision(struct bench_result *res, struct bench_rig *r) {
    int st = THOR_OK;
    size_t n = (size_t)ckks_slots(r->cx);
    double *re = malloc(2 * n * sizeof *re);
    if (!re) return thor_fail(THOR_MEMORY, "no memory to decrypt a measurement");
    TRY(ckks_decrypt(re, re + n, &r->out, r->secret));
    compare(res, r, re, re + n);
    res->is_bootstrap = 1;
    res->levels_left = r->out.level - ckks_boot_levels(r->log_slots);
out:
    free(re);
    return st;
}

static int one_boot(const struct bench_setup *s, const struct bench_sink *sink, int log_slots,
                    int lanes) {
    int st = THOR_OK;
    struct bench_result res = {0};
    struct bench_rig r = {.log_slots = log_slots, .lanes = lanes};
    TRY(bench_rig_open(&r, s));
    TRY(bench_rig_encrypt(&r, ckks_boot_levels(log_slots)));
    TRY(bench_rig_keys(&r, s, boot_circuit, r.twin));
    TRY(boot_circuit(&r));
    snprintf(res.name, sizeof res.name, "bootstrap 2^%d %s", log_slots, lanes ? "complex" : "real");
    TRY(bench_rig_measure(&res, &r, s, run_boot, &r));
    TRY(precision(&res, &r));
    TRY(sink->put(sink->ctx, &res));
out:
    bench_rig_close(&r);
    return st;
}

int bench_boot(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    const struct ckks_params *p;
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    if (!p->bootstraps)
        return thor_fail(THOR_USAGE, "parameter set %s has no bootstrap: use n16", p->name);
    TRY(one_boot(s, sink, p->log_n - 1, 1));
    TRY(one_boot(s, sink, p->log_n - 1, 0));
    if (p->log_n - 1 > 13) TRY(one_boot(s, sink, 13, 0));
    TRY(one_boot(s, sink, 6, 0));
out:
    return st;
}
