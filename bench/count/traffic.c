/* What operations read, write and multiply, counted by the dry back end: a model, not a measurement.
 * traffic [GB/s]: parameter set n16; the last column is the time that the bytes alone take at that bandwidth
 * (4800: an H200) when nothing stays in a cache. */
#include <stdio.h>
#include <stdlib.h>

#include "ckks/internal.h"

enum { HOISTED = 8 };

struct shape {
    const char *name;
    int (*run)(struct ckks *cx, const struct shape *s);
    int level, slots, lanes;
};

static int ciphertext(struct ckks_ct *x, struct ckks *cx, int level) {
    int st = ckks_ct_make(x, cx, 2, level);
    x->boot = level > CKKS_MSG_TOP;
    return st;
}

static int transform(struct ckks *cx, const struct shape *s) {
    struct kbasis b = ckks_basis(s->level);
    uint32_t *p = NULL;
    int st = cx->k->alloc(cx->k, &p, (size_t)b.n);
    if (!st) cx->k->ntt_fwd(cx->k, kv(p, b.n), &b, 1, cx->params->log_n);
    cx->k->release(cx->k, p);
    return st;
}

static int multiply(struct ckks *cx, const struct shape *s) {
    int st = THOR_OK;
    struct ckks_ct x = {0}, y = {0};
    TRY(ciphertext(&x, cx, s->level));
    TRY(ciphertext(&y, cx, s->level));
    TRY(ckks_mul(&x, &x, &y));
out:
    ckks_ct_free(&x);
    ckks_ct_free(&y);
    return st;
}

static int rotate(struct ckks *cx, const struct shape *s) {
    int st = THOR_OK;
    struct ckks_ct x = {0};
    TRY(ciphertext(&x, cx, s->level));
    TRY(ckks_rotate(&x, &x, 3));
out:
    ckks_ct_free(&x);
    return st;
}

static int hoisted(struct ckks *cx, const struct shape *s) {
    int st = THOR_OK, r[HOISTED];
    struct ckks_ct x = {0}, y[HOISTED] = {{0}};
    for (int i = 0; i < HOISTED; i++) r[i] = i + 1;
    TRY(ciphertext(&x, cx, s->level));
    TRY(ckks_rotate_many(y, &x, r, HOISTED));
out:
    ckks_ct_free(&x);
    for (int i = 0; i < HOISTED; i++) ckks_ct_free(&y[i]);
    return st;
}

static void report(const struct shape *s, const struct kernels_counts *a, const struct kernels_counts *b,
                   double bandwidth) {
    char limbs[16] = "";
    double bytes = (double)(b->bytes_moved - a->bytes_moved);
    if (!s->slots) snprintf(limbs, sizeof limbs, "%d", ckks_basis(s->level).n);
    printf("| %s | %s | %llu | %.1f | %.1f | %.1f |\n", s->name, limbs,
           (unsigned long long)(b->launches - a->launches), bytes / 1e6, (double)(b->products - a->products) / 1e6,
           bytes / bandwidth * 1e6);
}

/* without the matrices, which are made once */
static int bootstrap(struct ckks *cx, const struct shape *s, double bandwidth) {
    int st = THOR_OK;
    struct ckks_boot *b = NULL;
    struct ckks_ct x = {0};
    TRY(ckks_boot_new(&b, cx, s->slots, s->lanes));
    TRY(ciphertext(&x, cx, s->level));
    struct kernels_counts before = cx->k->counts;
    TRY(ckks_bootstrap(&x, &x, b));
    report(s, &before, &cx->k->counts, bandwidth);
out:
    ckks_ct_free(&x);
    ckks_boot_free(b);
    return st;
}

int main(int argc, char **argv) {
    static const struct shape shapes[] = {{"NTT", transform, 16, 0, 0},
                                          {"NTT", transform, 27, 0, 0},
                                          {"product, relinearised and rescaled", multiply, 16, 0, 0},
                                          {"product, relinearised and rescaled", multiply, 27, 0, 0},
                                          {"rotation", rotate, 16, 0, 0},
                                          {"rotation", rotate, 27, 0, 0},
                                          {"8 hoisted rotations", hoisted, 16, 0, 0},
                                          {"bootstrap, 2^15 complex slots", NULL, 3, 15, 1},
                                          {"bootstrap, 2^13 real slots", NULL, 3, 13, 0},
                                          {"bootstrap, 2^6 real slots", NULL, 2, 6, 0}};
    int st = THOR_OK;
    const double bandwidth = (argc > 1 ? atof(argv[1]) : 4800) * 1e9;
    const struct ckks_params *p = NULL;
    struct ckks *cx = NULL;
    TRY(ckks_params_get(&p, "n16", 0));
    TRY(ckks_open(&cx, p, KERN_DRY, KERN_TIER_BEST, 1));
    printf("| operation | limbs | entries | MB read and written | million products | floor, us at %.0f GB/s |\n"
           "|---|---|---|---|---|---|\n", bandwidth / 1e9);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct kernels_counts before = cx->k->counts;
        if (!shapes[i].run) {
            TRY(bootstrap(cx, &shapes[i], bandwidth));
            continue;
        }
        TRY(shapes[i].run(cx, &shapes[i]));
        report(&shapes[i], &before, &cx->k->counts, bandwidth);
    }
out:
    if (st) fprintf(stderr, "traffic: %s\n", thor_error());
    ckks_close(cx);
    return st;
}
