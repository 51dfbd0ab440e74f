/* Transforms, and the operations on ciphertexts: at the top of the message levels (26 limbs), and
 * those of a bootstrap also at the top of the chain (48 limbs). */

#include "bench/rig.h"

/* ---- number-theoretic transforms of rows of one ciphertext ---- */
static int transform(struct bench_rig *r, int limbs, int inverse) {
    struct kernels *k = r->cx->k;
    struct kbasis b = ckks_basis(r->cx->params, r->level);
    struct kvec x = {r->a.c, (size_t)r->a.rows};
    b.n = limbs;
    if (inverse)
        k->ntt_inv(k, x, &b, 1, k->log_n);
    else
        k->ntt_fwd(k, x, &b, 1, k->log_n);
    return THOR_OK;
}

static int ntt_1(void *r) {
    return transform(r, 1, 0);
}
static int intt_1(void *r) {
    return transform(r, 1, 1);
}
static int ntt_26(void *r) {
    return transform(r, 26, 0);
}
static int intt_26(void *r) {
    return transform(r, 26, 1);
}
static int ntt_47(void *r) {
    return transform(r, 47, 0);
}
static int intt_47(void *r) {
    return transform(r, 47, 1);
}

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
    return ckks_rescale(&r->out, &r->pending);
}

struct op {
    const char *name;
    int (*run)(void *rig);
    int limbs; /* of a transform; 0: those of the level */
};

static const struct op ntts[] = {{"ntt", ntt_1, 1},     {"intt", intt_1, 1}, {"ntt", ntt_26, 26},
                                 {"intt", intt_26, 26}, {"ntt", ntt_47, 47}, {"intt", intt_47, 47}};
static const struct op ops[] = {{"hmult", op_hmult, 0},     {"rotate", op_rotate, 0},
                                {"rescale", op_rescale, 0}, {"rotate 8 hoisted", op_rotate8, 0},
                                {"add", op_add, 0},         {"mul_plain", op_mul_plain, 0},
                                {"adjust", op_adjust, 0}};
enum { NTTS = sizeof ntts / sizeof ntts[0], OPS = sizeof ops / sizeof ops[0], OPS_AT_TOP = 3 };

static int run_ops(struct bench_rig *r, int n) {
    int st = THOR_OK;
    for (int i = 0; i < n; i++) TRY(ops[i].run(r));
out:
    return st;
}

static int circuit_all(void *r) {
    return run_ops(r, OPS);
}
static int circuit_top(void *r) {
    return run_ops(r, OPS_AT_TOP);
}

static int ops_at(const struct bench_setup *s, const struct bench_sink *sink, int level, int top) {
    int st = THOR_OK;
    struct bench_rig r = {.lanes = 1};
    TRY(bench_rig_open(&r, s));
    TRY(bench_rig_random(&r, level));
    TRY(bench_rig_keys(&r, s, top ? circuit_top : circuit_all, r.twin));
    for (int i = 0; i < (top ? OPS_AT_TOP : OPS); i++)
        TRY(bench_rig_put(&r, s, sink, ops[i].name, 0, ops[i].run));
out:
    bench_rig_close(&r);
    return st;
}

int bench_ntt(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    const struct ckks_params *p;
    struct bench_rig r = {.lanes = 1};
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(bench_rig_open(&r, s));
    TRY(bench_rig_random(&r, p->top_level));
    for (int i = 0; i < NTTS; i++)
        if (ntts[i].limbs <= ckks_basis(p, p->top_level).n)
            TRY(bench_rig_put(&r, s, sink, ntts[i].name, ntts[i].limbs, ntts[i].run));
out:
    bench_rig_close(&r);
    return st;
}

int bench_ops(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    const struct ckks_params *p;
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(ops_at(s, sink, p->max_level, 0));
    if (p->top_level > p->max_level) TRY(ops_at(s, sink, p->top_level, 1));
out:
    return st;
}
