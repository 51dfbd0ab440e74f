/* What the device does at best, by the same kernel table as everything else: bytes a second of a
 * copy that no cache holds, and butterflies a second of transforms, the fastest of those whose rows
 * stay in a near cache. */
#include <math.h>
#include <string.h>

#include "bench/rig.h"

/* At N = 2^16 a copy of 256 MiB, and 1 MiB a thread that stays near. */
enum { COPY_LIMBS = 64, COPY_POLYS = 16, NEAR_ROWS = 4, SHORTEST = 9 };
static const double BUDGET = 0.1; /* seconds each */

struct stretch {
    struct kernels *k;
    struct kvec from, to;
    int polys, log;
    struct kbasis b;
};

static int copy(void *ctx, int times) {
    const struct stretch *x = ctx;
    for (int i = 0; i < times; i++) x->k->copy(x->k, x->to, x->from, COPY_LIMBS, x->polys);
    return x->k->sync(x->k);
}

static int forward(void *ctx, int times) {
    const struct stretch *x = ctx;
    for (int i = 0; i < times; i++) x->k->ntt_fwd(x->k, x->to, &x->b, x->polys, x->log);
    return x->k->sync(x->k);
}

static int inverse(void *ctx, int times) {
    const struct stretch *x = ctx;
    for (int i = 0; i < times; i++) x->k->ntt_inv(x->k, x->to, &x->b, x->polys, x->log);
    return x->k->sync(x->k);
}

static int rate(double *out, struct stretch *x, double work, int (*run)(void *ctx, int times)) {
    int st = THOR_OK;
    struct bench_result r = {.batch = 8};
    TRY(run(x, 1));
    TRY(bench_time(&r, BUDGET, run, x));
    *out = fmax(*out, work / (1e-3 * r.p10_ms));
out:
    return st;
}

static int near_transforms(struct bench_roof *roof, struct stretch *x) {
    int st = THOR_OK, threads = x->k->kind == KERN_CUDA || x->k->threads > 32 ? 32 : x->k->threads;
    for (x->log = SHORTEST; x->log <= x->k->log_n; x->log++) {
        int rows = threads * NEAR_ROWS << (x->k->log_n - x->log);
        x->b.n = rows < CKKS_PRIMES ? rows : CKKS_PRIMES;
        for (int i = 0; i < x->b.n; i++) x->b.prime[i] = (uint8_t)i;
        x->to.pitch = (size_t)x->b.n;
        x->polys = rows / x->b.n;
        double work = 0.5 * x->b.n * x->polys * x->log * (1 << x->log);
        TRY(rate(&roof->products, x, work, forward));
        TRY(rate(&roof->products, x, work, inverse));
    }
out:
    return st;
}

static int measure(struct bench_roof *roof, struct kernels *k, const struct device_choice *d) {
    int st = THOR_OK;
    size_t rows = COPY_LIMBS * COPY_POLYS, bytes = rows * sizeof(uint32_t) << k->log_n;
    struct stretch x = {
        .k = k, .from.pitch = COPY_LIMBS, .to.pitch = COPY_LIMBS, .polys = COPY_POLYS};
    TRY(device_room(d, 2 * bytes));
    TRY(k->alloc(k, &x.from.p, rows));
    TRY(k->alloc(k, &x.to.p, rows));
    k->zero(k, x.from, COPY_LIMBS, x.polys); // memory that was never written may not exist yet
    TRY(rate(&roof->bytes, &x, 2.0 * (double)bytes, copy));
    TRY(near_transforms(roof, &x));
out:
    k->release(k, x.from.p);
    k->release(k, x.to.p);
    return st;
}

int bench_roof(struct bench_roof *roof, const struct bench_setup *s) {
    int st = THOR_OK;
    struct ckks *cx = NULL;
    const struct ckks_params *p;
    struct kern_device_info info;
    memset(roof, 0, sizeof *roof);
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(device_open(&cx, &s->device, p, s->threads));
    TRY(measure(roof, cx->k, &s->device));
    if (s->device.kind == KERN_CUDA) {
        TRY(kernels_cuda_device(&info, s->device.number));
        roof->stated = info.bandwidth;
    }
out:
    ckks_close(cx);
    return st;
}
