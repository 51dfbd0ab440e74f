#include "tests/calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ENTRY(name)                                                                                \
    void do_##name(struct kernels *k, const struct call *c, struct kvec out, struct kvec x,        \
                   struct kvec y)

ENTRY(add) {
    k->add(k, out, x, y, &c->b, c->polys);
}
ENTRY(sub) {
    k->sub(k, out, x, y, &c->b, c->polys);
}
ENTRY(mul) {
    k->mul(k, out, x, y, &c->b, c->polys);
}
ENTRY(neg) {
    (void)y, k->neg(k, out, x, &c->b, c->polys);
}
ENTRY(lincomb) {
    k->lincomb(k, out, x, c->sx, y, c->sy, &c->b, c->polys);
}
ENTRY(scale) {
    (void)y, k->lincomb(k, out, x, c->sx, (struct kvec){NULL, 0}, NULL, &c->b, c->polys);
}
ENTRY(add_scalar) {
    (void)y, k->add_scalar(k, out, x, c->sx, &c->b, c->polys);
}
ENTRY(copy) {
    (void)y, k->copy(k, out, x, c->limbs, c->polys);
}
ENTRY(zero) {
    (void)x, (void)y, k->zero(k, out, c->limbs, c->polys);
}
ENTRY(ntt_fwd) {
    (void)out, (void)y, k->ntt_fwd(k, x, &c->b, c->polys, c->log);
}
ENTRY(ntt_inv) {
    (void)out, (void)y, k->ntt_inv(k, x, &c->b, c->polys, c->log);
}
ENTRY(autom) {
    (void)y, k->autom(k, out, x, c->g, c->limbs, c->polys);
}
ENTRY(lift) {
    (void)x, (void)y, k->lift(k, out, c->c, (size_t)1 << c->log, &c->b, c->polys);
}
ENTRY(encode) {
    (void)x, (void)y;
    k->encode(k, out, c->z, c->log - 1, c->log_run, c->scale, &c->b, c->polys);
}
ENTRY(dot) {
    struct kterm t[MAX_TERMS];
    struct kbasis b = c->b;
    if (c->gap) b.n--;
    for (int i = 0; i < c->terms; i++) {
        const size_t at = (size_t)(i % 4) * c->apart << k->log_n;
        t[i] = (struct kterm){.a = x.p + at,
                              .b = y.p + (at >> c->log_rep),
                              .a_pitch = c->same_a ? 0 : x.pitch,
                              .b_pitch = c->same_b ? 0 : y.pitch,
                              .split = i % (b.n + 1),
                              .gap = c->gap};
    }
    k->dot(k, out, t, c->terms, c->g, c->log_rep, c->accumulate, &b, c->polys);
}
ENTRY(bconv) {
    struct kbconv *v;
    (void)y;
    out.pitch = (size_t)c->dst.n;
    assert_int_equal(k->bconv_new(k, &v, &c->b, &c->dst), THOR_OK);
    k->bconv(k, out, x, c->with_pre ? c->sx : NULL, v, c->centred, c->polys);
    k->bconv_free(k, v);
}

static void mod_up(struct kernels *k, const struct call *c, struct kvec out, uint32_t *x,
                   enum how how) {
    out.pitch = (size_t)c->dst.n;
    harness_mod_up(k, out, x, c->limbs, c->polys, &c->dst, c->centred, how);
}
ENTRY(mod_up) {
    (void)y, mod_up(k, c, out, x.p, c->how);
}
static ENTRY(mod_up_steps) {
    (void)y, mod_up(k, c, out, x.p, HOW_STEPS);
}

static void rebase(struct kernels *k, const struct call *c, struct kvec out, struct kvec x,
                   enum how how) {
    out.pitch = (size_t)c->dst.n;
    harness_rebase(k, out, x, c->rebase, c->polys, how);
}
ENTRY(rebase) {
    (void)y, rebase(k, c, out, x, HOW_ENTRY);
}
static ENTRY(rebase_steps) {
    (void)y, rebase(k, c, out, x, HOW_STEPS);
}

struct call call_of(const struct kernels *k, int limbs, int polys, enum fill kind) {
    /* chains alternate small and large primes: a single row takes the largest prime */
    return (struct call){.limbs = limbs,
                         .polys = polys,
                         .log = k->log_n,
                         .kind = kind,
                         .g = 1,
                         .b = harness_basis(limbs == 1, limbs)};
}

/* ---- operands, prepared once on the host for all back ends ---- */

enum { X, Y, OUT, OPERANDS };

struct operands {
    uint32_t *v[OPERANDS];
    size_t n[OPERANDS];
};

uint32_t *words(size_t n) {
    uint32_t *p = malloc((n ? n : 1) * sizeof *p);
    assert_non_null(p);
    memset(p, 0x5a, n * sizeof *p);
    return p;
}

int64_t *call_integers(enum fill kind, size_t n) {
    const int64_t top = (1ll << 62) - 1;
    uint64_t rng = 31;
    int64_t *v = malloc(n * sizeof *v);
    assert_non_null(v);
    for (size_t i = 0; i < n; i++) {
        const int64_t r = (int64_t)harness_next(&rng) / 4 >> (harness_next(&rng) % 61);
        const int64_t spike = i == 3 ? top : i == 8 ? -top : 0;
        v[i] = kind == FILL_ZERO    ? 0
               : kind == FILL_TOP   ? (i % 2 ? top : -top)
               : kind == FILL_SPIKE ? spike
                                    : r;
    }
    return v;
}

/* With a gap a row of b is taken modulo its own prime by some terms and modulo the next one's by
 * others: canonical for all. */
static void for_any_prime(uint32_t *x, size_t n, const struct kernels *k, const struct kbasis *b) {
    uint32_t least = KERN_MAX_PRIME;
    for (int r = 0; r < b->n; r++)
        if (k->q[b->prime[r]] < least) least = k->q[b->prime[r]];
    for (size_t i = 0; i < n; i++)
        if (x[i] >= least && x[i] < KERN_MAX_PRIME)
            x[i] %= least; // not the words between polynomials
}

static void operands_open(struct operands *d, const struct kernels *k, struct call *c) {
    const size_t n = (size_t)1 << k->log_n, pitch = (size_t)c->limbs + 1, polys = (size_t)c->polys,
                 rows = polys * pitch - 1; /* no spare row behind the last */
    const enum fill scalars = c->kind == FILL_SPIKE ? FILL_RANDOM : c->kind;
    d->n[X] = rows << c->log;
    d->n[Y] = rows * (n >> c->log_rep);
    d->n[OUT] = (c->dst.n ? polys * (size_t)c->dst.n : rows) * n;
    for (int i = 0; i < OPERANDS; i++) d->v[i] = words(d->n[i]);
    harness_fill(d->v[X], k, &c->b, c->polys, pitch, (size_t)1 << c->log, c->kind, 21);
    harness_fill(d->v[Y], k, &c->b, c->polys, pitch, n >> c->log_rep, c->kind, 22);
    if (c->gap) for_any_prime(d->v[Y], d->n[Y], k, &c->b);
    if (!c->dst.n) harness_fill(d->v[OUT], k, &c->b, c->polys, pitch, n, c->kind, 25);
    harness_fill(c->sx, k, &c->b, 1, PRIMES, 1, scalars, 23);
    harness_fill(c->sy, k, &c->b, 1, PRIMES, 1, scalars, 24);
}

static void operands_close(struct operands *d) {
    for (int i = 0; i < OPERANDS; i++) free(d->v[i]);
}

/* The operands after the call. */
static void run(struct operands *after, struct kernels *k, const struct call *c,
                const struct operands *before) {
    struct guarded g[OPERANDS];
    struct kvec v[OPERANDS];
    for (int i = 0; i < OPERANDS; i++) {
        guarded_open(&g[i], k, before->v[i], before->n[i]);
        v[i] = (struct kvec){g[i].p, (size_t)c->limbs + 1};
    }
    if (c->repeat) v[X].pitch = 0;
    c->fn(k, c, v[c->alias == ALIAS_X ? X : c->alias == ALIAS_Y ? Y : OUT], v[X], v[Y]);
    for (int i = 0; i < OPERANDS; i++) {
        after->v[i] = guarded_read(&g[i]);
        after->n[i] = before->n[i];
        guarded_close(&g[i]);
    }
}

static void differ(const struct kernels *k, const struct call *c, int operand, size_t at,
                   uint32_t got, uint32_t want) {
    fail_msg("%s on %s: 2^%d, log %d, %d rows, %d polys, fill %d, alias %d, repeat %d, %d terms, "
             "same %d %d, g %u, rep %d, acc %d, centred %d: operand %d, word %zu is %u, not %u",
             c->entry, k->tier, k->log_n, c->log, c->limbs, c->polys, (int)c->kind, (int)c->alias,
             c->repeat, c->terms, c->same_a, c->same_b, c->g, c->log_rep, c->accumulate, c->centred,
             operand, at, got, want);
}

void call_compare(struct call c, struct kernels *const *k, int n) {
    struct operands in, want, got;
    operands_open(&in, k[0], &c);
    struct call first = c;
    const struct kernels_counts before = k[0]->counts;
    if (c.want) first.fn = c.want;
    run(&want, k[0], &first, &in);
    if (c.want) k[0]->counts = before; /* the entry itself follows, as on all others */
    for (int i = c.want ? 0 : 1; i < n; i++) {
        run(&got, k[i], &c, &in);
        for (int o = 0; o < OPERANDS; o++)
            for (size_t j = 0; j < in.n[o]; j++)
                if (got.v[o][j] != want.v[o][j]) differ(k[i], &c, o, j, got.v[o][j], want.v[o][j]);
        operands_close(&got);
    }
    operands_close(&want);
    operands_close(&in);
}

void call_mod_ups(struct call c, struct kernels *const *k, int n) {
    const int limbs = c.limbs == 31 ? 27 : 2 + c.limbs;
    const int most = limbs < KERN_MAX_DIGITS ? limbs : KERN_MAX_DIGITS;
    c.entry = "mod_up", c.fn = do_mod_up;
    c.limbs = limbs;
    c.b = harness_basis(0, limbs);
    c.dst = harness_basis(0, limbs + c.polys);
    c.centred = (c.polys + (int)c.kind) % 2;
    for (c.polys = (limbs + KERN_MAX_SRC - 1) / KERN_MAX_SRC; c.polys <= most; c.polys++) {
        c.how = HOW_ENTRY, c.want = do_mod_up_steps;
        call_compare(c, k, n);
        c.how = HOW_IN_PLACE, c.want = NULL;
        call_compare(c, k, n);
    }
}

static void rebase_of(struct call c, int front, int back, int fresh, struct kernels *const *k,
                      int n) {
    c.entry = "rebase", c.fn = do_rebase, c.want = do_rebase_steps;
    c.rebase = (struct harness_rebase){.fresh = fresh,
                                       .limbs = c.limbs,
                                       .front = front,
                                       .back = back,
                                       .plus = c.polys != 2,
                                       .seed = 7 + c.kind};
    c.b = harness_basis(fresh, c.limbs);
    c.dst = harness_basis(0, fresh + c.limbs - front - back); /* as many rows */
    call_compare(c, k, n);
}

void call_rebases(struct call c, struct kernels *const *k, int n) {
    const int many = c.limbs == 31;
    if (!many) c.limbs += 2;
    rebase_of(c, 0, many ? 13 : 1, 0, k, n);                       /* mod-down */
    rebase_of(c, 2, 0, many ? 0 : 2, k, n);                        /* a level */
    rebase_of(c, many ? 3 : 1, many ? 13 : 1, many ? 1 : 2, k, n); /* both at once */
}
