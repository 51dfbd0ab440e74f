/* Transforms of single limbs, and the operations on ciphertexts at the top message level. */
#include <stdio.h>

#include "bench/rig.h"

/* ---- number-theoretic transforms: one limb, and all limbs of a ciphertext ---- */
static int run_ntt(struct bench_rig *r, int limbs, int inverse) {
    struct kernels *k = r->cx->k;
    struct kbasis all = ckks_basis(r->level), b = {0};
    struct kvec x = {r->a.c, (size_t)r->a.rows};
    for (int i = 0; i < limbs && i < all.n; i++) b.prime[b.n++] = all.prime[i];
    if (inverse)
        k->ntt_inv(k, x, &b, 1, k->log_n);
    else
        k->ntt_fwd(k, x, &b, 1, k->log_n);
    return k->sync(k);
}

static int ntt_one(void *r) { return run_ntt(r, 1, 0); }
static int intt_one(void *r) { return run_ntt(r, 1, 1); }
static int ntt_all(void *r) { return run_ntt(r, KERN_MAX_LIMBS, 0); }
static int intt_all(void *r) { return run_ntt(r, KERN_MAX_LIMBS, 1); }

/* ---- operations on ciphertexts ---- */
static int op_add(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_add(&r->out, &r->a, &r->b);
}

static int op_mul_plain(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_mul_plain(&r->out, &r->a, r->re, r->im, (size_t)ckks_slots(r->cx));
}

static int op_hmult(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_mul(&r->out, &r->a, &r->b);
}

static int op_rotate(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_rotate(&r->out, &r->a, 1);
}

static int op_rotate8(void *ctx) {
    struct bench_rig *r = ctx;
    int st = THOR_OK;
    static const int by[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    struct ckks_ct out[8] = {0};
    TRY(ckks_rotate_many(out, &r->a, by, 8));
out:
    for (int i = 0; i < 8; i++) ckks_ct_free(&out[i]);
    return st;
}

static int op_adjust(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_adjust(&r->out, &r->a, r->level - 1);
}

static int op_rescale(void *ctx) {
    struct bench_rig *r = ctx;
    return ckks_rescale(&r->out, &r->b);
}

struct op {
    const char *name;
    int (*run)(void *rig);
};

static const struct op ntts[] = {{"ntt", ntt_one}, {"intt", intt_one}, {"ntt limbs", ntt_all}, {"intt limbs", intt_all}};
static const struct op ops[] = {{"add", op_add},         {"mul_plain", op_mul_plain},  {"hmult", op_hmult},
                                {"rotate", op_rotate},   {"rotate 8 hoisted", op_rotate8}, {"adjust", op_adjust}};

static int circuit(struct bench_rig *r) {
    int st = THOR_OK;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) TRY(ops[i].run(r));
out:
    return st;
}

static int measure(struct bench_rig *r, const struct bench_setup *s, const struct bench_sink *sink,
                   const struct op *op, int limbs) {
    int st = THOR_OK;
    struct bench_result res = {0};
    bench_rig_label(&res, r, op->name);
    if (limbs) res.limbs = limbs;
    TRY(op->run(r)); // tables and caches are filled once
    TRY(bench_time(&res, s->budget, op->run, r));
    TRY(sink->put(sink->ctx, &res));
out:
    return st;
}

int bench_ntt(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    struct bench_rig r = {.lanes = 1};
    TRY(bench_rig_open(&r, s, KERN_CPU, -1));
    for (int i = 0; i < 4; i++) TRY(measure(&r, s, sink, &ntts[i], i < 2));
out:
    bench_rig_close(&r);
    return st;
}

int bench_ops(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    struct bench_rig r = {.lanes = 1};
    static const struct op rescale = {"rescale", op_rescale};
    const struct ckks_ct *x[1] = {&r.a}, *y[1] = {&r.a};
    TRY(bench_rig_open(&r, s, KERN_CPU, -1));
    TRY(bench_rig_keys(&r, s, circuit));
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) TRY(measure(&r, s, sink, &ops[i], 0));
    TRY(ckks_dot(&r.b, x, y, 1, 0)); // a product that waits for its rescale
    TRY(measure(&r, s, sink, &rescale, 0));
out:
    bench_rig_close(&r);
    return st;
}
