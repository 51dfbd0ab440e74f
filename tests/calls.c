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
ENTRY(uniform) {
    const uint8_t seed[UNIFORM_SEED] = {9, [30] = (uint8_t)c->kind};
    (void)x, (void)y, k->uniform(k, out, seed, 64 * (uint32_t)c->limbs, &c->b, c->polys);
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

/* ---- sums: the entry, and the entries that it stands for ---- */

/* Outputs of two polynomials each where these are even in number, of one otherwise; every fifth
 * weight is zero. */
static void dots(struct kernels *k, const struct call *c, struct kvec out, struct kvec x,
                 struct kvec y, enum how how) {
    const int each = c->polys % 2 ? 1 : 2, outputs = c->polys / each;
    const size_t n = (size_t)1 << k->log_n, short_n = n >> c->log_rep;
    const uint32_t *w[KERN_MAX_OUTPUTS * MAX_TERMS], *a[MAX_TERMS];
    uint32_t *o[KERN_MAX_OUTPUTS];
    struct kdots d = {.out = o,
                      .out_pitch = out.pitch,
                      .a = a,
                      .a_pitch = x.pitch,
                      .outputs = outputs,
                      .terms = c->terms,
                      .b = w,
                      .log_rep = c->log_rep,
                      .accumulate = c->accumulate ? (1u << outputs) - 1 : 1u >> (outputs > 1)};
    for (int i = 0; i < outputs; i++) o[i] = out.p + (size_t)(i * each) * out.pitch * n;
    for (int i = 0; i < d.terms; i++) a[i] = x.p + (size_t)(i % outputs * each) * x.pitch * n;
    for (int i = 0; i < outputs * d.terms; i++)
        w[i] = i % 5 == 4 ? NULL : y.p + (size_t)(i % c->polys) * y.pitch * short_n;
    if (how == HOW_ENTRY) k->dots(k, &d, &c->b, c->polys / outputs);
    for (int i = 0; i < outputs && how == HOW_STEPS; i++) {
        const struct kvec to = {o[i], out.pitch};
        struct kterm t[MAX_TERMS];
        int m = 0, acc = d.accumulate >> i & 1;
        for (int j = 0; j < d.terms; j++)
            if (w[i * d.terms + j])
                t[m++] = (struct kterm){
                    .a = a[j], .b = w[i * d.terms + j], .a_pitch = d.a_pitch, .split = c->limbs};
        if (m)
            k->dot(k, to, t, m, 1, d.log_rep, acc, &c->b, each);
        else if (!acc)
            k->zero(k, to, c->limbs, each);
    }
}
ENTRY(dots) {
    dots(k, c, out, x, y, HOW_ENTRY);
}
static ENTRY(dots_steps) {
    dots(k, c, out, x, y, HOW_STEPS);
}

ENTRY(combine) {
    struct kstream s[KERN_MAX_STREAMS];
    for (int j = 0; j < c->terms; j++)
        s[j] = (struct kstream){j % 3 ? y : x, j % 2 ? c->sx : c->sy};
    if (c->alias == ALIAS_X)
        for (int j = 3; j < c->terms; j += 3) s[j].x = y;
    k->combine(k, out, s, c->terms, &c->b, c->polys);
}
static ENTRY(combine_steps) {
    uint32_t one[PRIMES];
    for (int i = 0; i < PRIMES; i++) one[i] = 1;
    k->lincomb(k, out, x, c->sy, (struct kvec){NULL, 0}, NULL, &c->b, c->polys);
    for (int j = 1; j < c->terms; j++)
        k->lincomb(k, out, out, one, j % 3 || c->alias ? y : x, j % 2 ? c->sx : c->sy, &c->b,
                   c->polys);
}

/* every third product is a square */
static void pairs(const struct kernels *k, const struct call *c, struct kpair *t, struct kvec x,
                  struct kvec y) {
    for (int j = 0; j < c->terms; j++) {
        const uint32_t *a = x.p + ((size_t)(j % 2) * x.pitch << k->log_n);
        t[j] = (struct kpair){a, j % 3 == 2 ? a : y.p, x.pitch, j % 3 == 2 ? x.pitch : y.pitch};
    }
}
ENTRY(tensor) {
    struct kpair t[MAX_TERMS];
    pairs(k, c, t, x, y);
    k->tensor(k, out, t, c->terms, &c->b);
}
static ENTRY(tensor_steps) {
    struct kpair p[MAX_TERMS];
    struct kterm t[2 * MAX_TERMS];
    pairs(k, c, p, x, y);
    for (int h = 0; h < 3; h++) {
        int m = 0;
        for (int j = 0; j < 2 * c->terms; j++) {
            const size_t u = (size_t)j % 2, v = (size_t)h - u;
            if (v > 1) continue;
            t[m++] = (struct kterm){.a = p[j / 2].a + (u * p[j / 2].a_pitch << k->log_n),
                                    .b = p[j / 2].b + (v * p[j / 2].b_pitch << k->log_n),
                                    .split = c->limbs};
        }
        const struct kvec to = {out.p + ((size_t)h * out.pitch << k->log_n), 0};
        k->dot(k, to, t, m, 1, 0, 0, &c->b, 1);
    }
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

static void keys(struct kernels *k, const struct call *c, struct kvec out, uint32_t *x,
                 enum how how) {
    out.pitch = (size_t)c->dst.n;
    harness_keys(k, out, x, c->limbs, c->digits, &c->dst, c->centred, c->key, how);
}
static ENTRY(keys) {
    (void)y, keys(k, c, out, x.p, HOW_ENTRY);
}
static ENTRY(keys_steps) {
    (void)y, keys(k, c, out, x.p, HOW_STEPS);
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

void call_sums(struct call c, struct kernels *const *k, int n) {
    static const int polys[] = {1, 3, 6, 8, 16}, terms[] = {1, 2, 5, 16, 17, 127, 255};
    const int small = k[0]->log_n <= 8, turn = c.polys + (int)c.kind;
    for (int i = 0; i < 7; i++) {
        if (!small && (i + turn) % 3) continue;
        c.terms = terms[i], c.accumulate = (i + turn) % 2;
        c.entry = "combine", c.fn = do_combine, c.want = do_combine_steps;
        for (int a = ALIAS_NONE; a <= ALIAS_X && c.terms <= KERN_MAX_STREAMS; a++) {
            c.alias = (enum alias)a;
            call_compare(c, k, n);
        }
        c.alias = ALIAS_NONE;
        struct call m = c;
        m.entry = "tensor", m.fn = do_tensor, m.want = do_tensor_steps;
        m.polys = 3;
        if (c.terms <= 127) call_compare(m, k, n);
        m.entry = "dots", m.fn = do_dots, m.want = do_dots_steps;
        m.polys = polys[(i + turn) % 5];
        m.log_rep = i * turn % (k[0]->log_n + 1) % 9;
        call_compare(m, k, n);
    }
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

void call_keys(struct call c, struct kernels *const *k, int n) {
    const uint32_t two_n = 2u << k[0]->log_n, gs[] = {1, 5, two_n - 1, two_n / 2 + 1};
    const int limbs = c.limbs == 31 ? 27 : 2 + c.limbs, specials = c.polys;
    const int most = limbs < KERN_MAX_DIGITS ? limbs : KERN_MAX_DIGITS;
    c.fn = do_keys, c.want = do_keys_steps;
    c.limbs = limbs;
    c.b = harness_basis(0, limbs);
    c.dst = harness_basis(0, limbs + specials);
    c.centred = (specials + (int)c.kind) % 2;
    c.polys = 2; /* of out */
    for (c.digits = (limbs + KERN_MAX_SRC - 1) / KERN_MAX_SRC; c.digits <= most; c.digits++) {
        const int turn = c.digits + specials + (int)c.kind, sums = turn % 3;
        c.key = (struct harness_key){.accumulate = turn % 2,
                                     .plus_polys = sums,
                                     .plus_rows = turn % 2 ? limbs : c.dst.n,
                                     .scaled = turn / 2 % 2,
                                     .split = turn % (limbs + 1),
                                     .gap = turn % 4,
                                     .g = gs[turn % 4],
                                     .seed = 40 + (uint64_t)turn};
        c.entry = "mod_up_sum";
        call_compare(c, k, n);
        c.entry = "key_sum", c.key.stored = 1;
        c.key.g = gs[(turn + sums) % 4];
        call_compare(c, k, n);
        if (k[0]->log_n < 8) continue;
        c.key.made = 1;
        call_compare(c, k, n);
        c.entry = "mod_up_sum", c.key.stored = 0;
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
