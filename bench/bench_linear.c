/* The linear maps of BERT-base by columns at T = 128: rows of one class of words for 128 places,
 * operands as uniform as residues are.  Rows are independent of each other: LIMBS of them stand for
 * the 8 to 24 of a layer. */
#include <stdio.h>
#include <stdlib.h>

#include "bench/rig.h"

enum { LIMBS = 4, POLYS = 2, LOG_T = 7 };

static const struct shape {
    const char *name;
    int terms,
        outputs; /* inputs x babies, outputs x giants; outputs in pairs, one real, one imaginary */
} shapes[] = {
    {"linear 768 x 2304, q k v", 3 * 32, 9 * 16},
    {"linear 768 x 768", 3 * 32, 2 * 16},
    {"linear 768 x 3072", 3 * 32, 6 * 16},
    {"linear 3072 x 768", 12 * 16, 2 * 32},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

struct job {
    struct kernels *k;
    struct klinear l;
    struct kbasis b;
    size_t rows_w;
};

static int run(void *ctx) {
    const struct job *j = ctx;
    return j->k->linear(j->k, &j->l, &j->b, POLYS);
}

/* rows of N uniform words below the smallest prime, whatever their basis */
static int fill(struct kernels *k, uint32_t *p, size_t rows, const struct kbasis *b) {
    int st = THOR_OK;
    const size_t n = (size_t)1 << k->log_n;
    uint32_t least = UINT32_MAX;
    uint64_t x = 1;
    uint32_t *row = malloc(n * sizeof *row);
    if (!row) return thor_fail(THOR_MEMORY, "no memory for a measurement");
    for (int i = 0; i < b->n; i++) least = k->q[b->prime[i]] < least ? k->q[b->prime[i]] : least;
    for (size_t i = 0; i < n; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        row[i] = (uint32_t)(x >> 33) % least;
    }
    for (size_t i = 0; i < rows; i++) k->upload(k, p + i * n, row, n);
    TRY(k->sync(k));
out:
    free(row);
    return st;
}

static struct job job_of(struct kernels *k, const struct shape *s, const struct kbasis *b) {
    struct job j = {.k = k, .b = *b};
    const int log_rep = k->log_n < LOG_T ? k->log_n : LOG_T;
    const size_t weights = (size_t)s->outputs * (size_t)s->terms * LIMBS;
    j.l = (struct klinear){
        .outputs = s->outputs, .terms = s->terms, .w_pitch = LIMBS, .log_rep = log_rep};
    j.l.out.step = j.l.a.step = POLYS * LIMBS;
    j.l.out.pitch = j.l.a.pitch = LIMBS;
    j.rows_w = (weights + ((size_t)1 << log_rep) - 1) >> log_rep;
    return j;
}

static int one_shape(struct bench_rig *r, const struct bench_setup *s,
                     const struct bench_sink *sink, const struct shape *shape,
                     const struct kbasis *b) {
    int st = THOR_OK;
    struct kernels *k = r->cx->k;
    struct job j = job_of(k, shape, b);
    struct bench_result res = {.limbs = LIMBS};
    const size_t out = j.l.out.step * (size_t)shape->outputs, a = j.l.a.step * (size_t)shape->terms;
    uint32_t *p = NULL;
    snprintf(res.name, sizeof res.name, "%s", shape->name);
    TRY(device_room(&s->device, (out + a + j.rows_w) * sizeof *p << k->log_n));
    TRY(k->alloc(k, &p, out + a + j.rows_w));
    TRY(fill(k, p, out + a + j.rows_w, b));
    j.l.out.p = p;
    j.l.a.p = p + (out << k->log_n);
    j.l.w = p + ((out + a) << k->log_n);
    TRY(bench_rig_measure(&res, r, s, run, &j));
    TRY(sink->put(sink->ctx, &res));
out:
    k->release(k, p);
    return st;
}

int bench_linear(const struct bench_setup *s, const struct bench_sink *sink) {
    int st = THOR_OK;
    const struct ckks_params *p;
    struct bench_rig r = {.lanes = 1};
    TRY(ckks_params_get(&p, s->params, s->allow_insecure));
    TRY(bench_rig_open(&r, s));
    r.level = p->max_level;
    struct kbasis b = ckks_basis(p, r.level);
    b.n = LIMBS;
    for (int i = 0; i < SHAPES; i++) TRY(one_shape(&r, s, sink, &shapes[i], &b));
out:
    bench_rig_close(&r);
    return st;
}
