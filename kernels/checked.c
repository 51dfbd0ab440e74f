/* The contract of kernels.h, asserted: a table over the table of the CPU back end.
 *
 * Every entry looks at its operands before and after the entry beneath: rows lie in memory that
 * alloc() has handed out, residues are canonical, outputs are the rows of an input or disjoint from
 * it where the entry allows that and disjoint where it does not, bases and sizes are possible.  A
 * broken contract is a bug of the caller, or of the entry
 * beneath: it is named on stderr and the program aborts, as with assert().  For debugging: it reads
 * every operand twice more. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/rows.h"

struct checked {
    struct kernels plain; /* the entries beneath; they are called with the k of the back end */
    pthread_mutex_t lock;
    struct held {
        const uint32_t *p;
        size_t words;
    } * held; /* sorted by address */
    size_t n, cap;
};

/* An operand: `polys` polynomials of `rows` rows of `words` words, row r modulo prime[r] of the
 * chain (NULL: any). */
struct operand {
    const uint32_t *p;
    size_t pitch, rows, polys, words;
    const uint8_t *prime;
};

static _Noreturn void broken(const char *entry, const char *what) {
    fprintf(stderr, "kernels: the contract of %s is broken: %s\n", entry, what);
    abort();
}

/* ---- memory that is handed out ---- */

static size_t place_of(const struct checked *c,
                       const uint32_t *p) { // of the first stretch beyond p
    size_t lo = 0, hi = c->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (c->held[mid].p <= p)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static int hold(struct checked *c, const uint32_t *p, size_t words) {
    if (c->n == c->cap) {
        size_t cap = c->cap ? 2 * c->cap : 64;
        struct held *h = realloc(c->held, cap * sizeof *h);
        if (!h) return 0;
        c->held = h;
        c->cap = cap;
    }
    size_t at = place_of(c, p);
    memmove(c->held + at + 1, c->held + at, (c->n - at) * sizeof *c->held);
    c->held[at] = (struct held){p, words};
    c->n++;
    return 1;
}

static int is_held(struct checked *c, const uint32_t *p, size_t words) {
    pthread_mutex_lock(&c->lock);
    size_t at = place_of(c, p);
    int good = at > 0 && (size_t)(p - c->held[at - 1].p) + words <= c->held[at - 1].words;
    pthread_mutex_unlock(&c->lock);
    return good;
}

static int check_alloc(struct kernels *k, uint32_t **p, size_t rows) {
    struct checked *c = k->checked;
    int st = c->plain.alloc(k, p, rows);
    if (st) return st;
    pthread_mutex_lock(&c->lock);
    int good = hold(c, *p, rows << k->log_n);
    pthread_mutex_unlock(&c->lock);
    if (good) return THOR_OK;
    c->plain.release(k, *p);
    *p = NULL;
    return thor_fail(THOR_MEMORY, "no memory to check the use of memory");
}

static void check_release(struct kernels *k, uint32_t *p) {
    struct checked *c = k->checked;
    if (p) {
        pthread_mutex_lock(&c->lock);
        size_t at = place_of(c, p);
        if (!at || c->held[at - 1].p != p) broken("release", "these rows were not handed out");
        memmove(c->held + at - 1, c->held + at, (c->n - at) * sizeof *c->held);
        c->n--;
        pthread_mutex_unlock(&c->lock);
    }
    c->plain.release(k, p);
}

/* ---- operands ---- */

static const uint32_t *row(const struct operand *o, size_t poly, size_t r) {
    return o->p + (poly * o->pitch + r) * o->words;
}

static size_t distinct(const struct operand *o) { // polynomials: pitch 0 repeats one
    return o->pitch || !o->polys ? o->polys : 1;
}

static void check_memory(struct kernels *k, const char *entry, const struct operand *o) {
    for (size_t p = 0; p < distinct(o); p++)
        if (o->rows && !is_held(k->checked, row(o, p, 0), o->rows * o->words))
            broken(entry, "an operand lies outside the memory that was handed out");
}

static void check_residues(const struct kernels *k, const char *entry, const struct operand *o) {
    uint32_t bad = 0;
    for (size_t p = 0; o->prime && p < distinct(o); p++)
        for (size_t r = 0; r < o->rows; r++) {
            const uint32_t *x = row(o, p, r), q = k->q[o->prime[r]];
            for (size_t i = 0; i < o->words; i++) bad |= x[i] >= q;
        }
    if (bad) broken(entry, "a residue is not canonical");
}

static void check_in(struct kernels *k, const char *entry, const struct operand *o) {
    check_memory(k, entry, o);
    check_residues(k, entry, o);
}

/* An output's polynomials are apart from each other. */
static void check_out(struct kernels *k, const char *entry, const struct operand *o) {
    if (o->polys > 1 && o->pitch < o->rows) broken(entry, "polynomials of the output overlap");
    check_memory(k, entry, o);
}

/* Polynomial p of the output is polynomial p of the input (where `same` allows it), or they share
 * nothing. */
static void check_apart(const char *entry, const struct operand *out, const struct operand *in,
                        int same) {
    for (size_t p = 0; p < distinct(out); p++)
        for (size_t i = 0; i < distinct(in); i++) {
            const uint32_t *a = row(out, p, 0), *b = row(in, i, 0);
            if (a == b && same && p == i && out->words == in->words) continue;
            if (a < b + in->rows * in->words && b < a + out->rows * out->words)
                broken(entry, "an output overlaps an input");
        }
}

static void check_basis(const struct kernels *k, const char *entry, const struct kbasis *b) {
    int good = b->n >= 0 && b->n <= KERN_MAX_LIMBS;
    for (int i = 0; good && i < b->n; i++) good = b->prime[i] < k->primes;
    if (!good) broken(entry, "a basis names a prime that is not in the chain");
}

static struct operand over(const struct kernels *k, struct kvec v, const struct kbasis *b,
                           int polys) {
    return (struct operand){v.p,     v.pitch, (size_t)b->n, (size_t)polys, (size_t)1 << k->log_n,
                            b->prime};
}

static struct operand bare(const struct kernels *k, struct kvec v, int limbs, int polys) {
    return (struct operand){v.p, v.pitch, (size_t)limbs, (size_t)polys, (size_t)1 << k->log_n,
                            NULL};
}

static void check_scalars(const struct kernels *k, const char *entry, const uint32_t *s,
                          const struct kbasis *b) {
    for (int i = 0; s && i < b->n; i++)
        if (s[i] >= k->q[b->prime[i]]) broken(entry, "a scalar is not canonical");
}

/* ---- memory entries ---- */

static void check_upload(struct kernels *k, uint32_t *dst, const uint32_t *host, size_t words) {
    if (words && !is_held(k->checked, dst, words))
        broken("upload", "it ends outside the memory that was handed out");
    k->checked->plain.upload(k, dst, host, words);
}

static void check_download(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words) {
    if (words && !is_held(k->checked, src, words))
        broken("download", "it begins outside the memory that was handed out");
    k->checked->plain.download(k, host, src, words);
}

static void check_copy(struct kernels *k, struct kvec out, struct kvec a, int limbs, int polys) {
    struct operand o = bare(k, out, limbs, polys), x = bare(k, a, limbs, polys);
    check_memory(k, "copy", &x);
    check_out(k, "copy", &o);
    check_apart("copy", &o, &x, 1);
    k->checked->plain.copy(k, out, a, limbs, polys);
}

static void check_zero(struct kernels *k, struct kvec out, int limbs, int polys) {
    struct operand o = bare(k, out, limbs, polys);
    check_out(k, "zero", &o);
    k->checked->plain.zero(k, out, limbs, polys);
}

/* ---- pointwise ---- */

static struct operand before(struct kernels *k, const char *entry, struct kvec out, struct kvec x,
                             struct kvec y, const struct kbasis *b, int polys) {
    check_basis(k, entry, b);
    struct operand o = over(k, out, b, polys), in[2] = {over(k, x, b, polys), over(k, y, b, polys)};
    check_out(k, entry, &o);
    for (int i = 0; i < (y.p ? 2 : 1); i++) {
        check_in(k, entry, &in[i]);
        check_apart(entry, &o, &in[i], 1);
    }
    return o;
}

#define BINARY(name)                                                                               \
    static void check_##name(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,     \
                             const struct kbasis *b, int polys) {                                  \
        struct operand o = before(k, #name, out, x, y, b, polys);                                  \
        k->checked->plain.name(k, out, x, y, b, polys);                                            \
        check_residues(k, #name, &o);                                                              \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)

static void check_neg(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                      int polys) {
    struct operand o = before(k, "neg", out, x, x, b, polys);
    k->checked->plain.neg(k, out, x, b, polys);
    check_residues(k, "neg", &o);
}

static void check_lincomb(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *sx,
                          struct kvec y, const uint32_t *sy, const struct kbasis *b, int polys) {
    struct operand o = before(k, "lincomb", out, x, y, b, polys);
    check_scalars(k, "lincomb", sx, b);
    if (y.p) check_scalars(k, "lincomb", sy, b);
    k->checked->plain.lincomb(k, out, x, sx, y, sy, b, polys);
    check_residues(k, "lincomb", &o);
}

static void check_add_scalar(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *s,
                             const struct kbasis *b, int polys) {
    struct operand o = before(k, "add_scalar", out, x, x, b, polys);
    check_scalars(k, "add_scalar", s, b);
    k->checked->plain.add_scalar(k, out, x, s, b, polys);
    check_residues(k, "add_scalar", &o);
}

/* b of one polynomial: its rows are short, and those from `split` on lie `gap` rows further. */
static void check_factor(struct kernels *k, const char *entry, const struct operand *out,
                         const struct kterm *t, int log_rep, const struct kbasis *b, int poly) {
    size_t words = (size_t)1 << (k->log_n - log_rep);
    const uint32_t *p = t->b + (size_t)poly * t->b_pitch * words;
    for (int r = 0; r < b->n; r++) {
        size_t at = (size_t)(r + (r >= t->split ? t->gap : 0));
        struct operand o = {p + at * words, 0, 1, 1, words, b->prime + r};
        check_in(k, entry, &o);
        check_apart(entry, out, &o, 0);
    }
}

static void check_dot(struct kernels *k, struct kvec out, const struct kterm *t, int n, uint32_t g,
                      int log_rep, int accumulate, const struct kbasis *b, int polys) {
    check_basis(k, "dot", b);
    if (n < 1 || n > 255 || g % 2 == 0 || g >> (k->log_n + 1) || log_rep < 0 || log_rep > k->log_n)
        broken("dot", "a size or the automorphism is impossible");
    struct operand o = over(k, out, b, polys);
    check_out(k, "dot", &o);
    if (accumulate) check_residues(k, "dot", &o);
    for (int j = 0; j < n; j++) {
        struct operand a =
            over(k, (struct kvec){(uint32_t *)(uintptr_t)t[j].a, t[j].a_pitch}, b, polys);
        check_in(k, "dot", &a);
        check_apart("dot", &o, &a, 0);
        for (int p = 0; p < (t[j].b_pitch ? polys : 1); p++)
            check_factor(k, "dot", &o, &t[j], log_rep, b, p);
    }
    k->checked->plain.dot(k, out, t, n, g, log_rep, accumulate, b, polys);
    check_residues(k, "dot", &o);
}

static void check_dots(struct kernels *k, const struct kdots *d, const struct kbasis *b,
                       int polys) {
    check_basis(k, "dots", b);
    if (d->outputs < 1 || d->outputs > KERN_MAX_OUTPUTS || d->terms < 1 || d->terms > 255 ||
        d->log_rep < 0 || d->log_rep > k->log_n || d->accumulate >> d->outputs)
        broken("dots", "a size is impossible");
    struct operand o[KERN_MAX_OUTPUTS];
    for (int i = 0; i < d->outputs; i++) {
        o[i] = over(k, (struct kvec){d->out[i], d->out_pitch}, b, polys);
        check_out(k, "dots", &o[i]);
        if (d->accumulate >> i & 1) check_residues(k, "dots", &o[i]);
        for (int j = 0; j < i; j++) check_apart("dots", &o[i], &o[j], 0);
        for (int t = 0; t < d->terms; t++) {
            struct operand a =
                over(k, (struct kvec){(uint32_t *)(uintptr_t)d->a[t], d->a_pitch}, b, polys);
            if (!i) check_in(k, "dots", &a);
            check_apart("dots", &o[i], &a, 0);
            if (!d->b[i * d->terms + t]) continue;
            struct kterm w = {.b = d->b[i * d->terms + t], .split = b->n};
            check_factor(k, "dots", &o[i], &w, d->log_rep, b, 0);
        }
    }
    k->checked->plain.dots(k, d, b, polys);
    for (int i = 0; i < d->outputs; i++) check_residues(k, "dots", &o[i]);
}

static void check_combine(struct kernels *k, struct kvec out, const struct kstream *x, int n,
                          const struct kbasis *b, int polys) {
    check_basis(k, "combine", b);
    if (n < 1 || n > KERN_MAX_STREAMS) broken("combine", "a number of summands is impossible");
    struct operand o = over(k, out, b, polys);
    check_out(k, "combine", &o);
    for (int j = 0; j < n; j++) {
        struct operand in = over(k, x[j].x, b, polys);
        check_in(k, "combine", &in);
        check_apart("combine", &o, &in, !j);
        check_scalars(k, "combine", x[j].s, b);
    }
    k->checked->plain.combine(k, out, x, n, b, polys);
    check_residues(k, "combine", &o);
}

static void check_tensor(struct kernels *k, struct kvec out, const struct kpair *t, int n,
                         const struct kbasis *b) {
    check_basis(k, "tensor", b);
    if (n < 1 || n > 127) broken("tensor", "a number of products is impossible");
    struct operand o = over(k, out, b, 3);
    check_out(k, "tensor", &o);
    for (int j = 0; j < 2 * n; j++) {
        const struct kpair *f = &t[j / 2];
        const uint32_t *p = j % 2 ? f->b : f->a;
        struct kvec v = {(uint32_t *)(uintptr_t)p, j % 2 ? f->b_pitch : f->a_pitch};
        struct operand in = over(k, v, b, 2);
        check_in(k, "tensor", &in);
        check_apart("tensor", &o, &in, 0);
    }
    k->checked->plain.tensor(k, out, t, n, b);
    check_residues(k, "tensor", &o);
}

/* The entry refuses impossible shapes and overlaps itself, and leaves its inputs as they are: they
 * are looked at when it is done. */
static int check_linear(struct kernels *k, const struct klinear *l, const struct kbasis *b,
                        int polys) {
    const size_t n = (size_t)1 << k->log_n;
    int st = k->checked->plain.linear(k, l, b, polys);
    if (st) return st;
    for (int i = 0; i < l->terms; i++) {
        struct operand a =
            over(k, (struct kvec){l->a.p + (size_t)i * l->a.step * n, l->a.pitch}, b, polys);
        check_in(k, "linear", &a);
    }
    struct operand w = {
        l->w,    l->w_pitch, (size_t)b->n, (size_t)l->outputs * (size_t)l->terms, n >> l->log_rep,
        b->prime};
    check_in(k, "linear", &w);
    for (int i = 0; i < l->outputs; i++) {
        struct operand o =
            over(k, (struct kvec){l->out.p + (size_t)i * l->out.step * n, l->out.pitch}, b, polys);
        check_in(k, "linear", &o);
    }
    return st;
}

/* ---- transforms ---- */

static struct operand transformed(struct kernels *k, const char *entry, struct kvec x,
                                  const struct kbasis *b, int polys, int log) {
    check_basis(k, entry, b);
    if (log < 0 || log > k->log_n) broken(entry, "a row is longer than the ring");
    struct operand o = over(k, x, b, polys);
    o.words = (size_t)1 << log;
    check_out(k, entry, &o);
    check_residues(k, entry, &o);
    return o;
}

static void check_ntt_fwd(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                          int log) {
    struct operand o = transformed(k, "ntt_fwd", x, b, polys, log);
    k->checked->plain.ntt_fwd(k, x, b, polys, log);
    check_residues(k, "ntt_fwd", &o);
}

static void check_ntt_inv(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                          int log) {
    struct operand o = transformed(k, "ntt_inv", x, b, polys, log);
    k->checked->plain.ntt_inv(k, x, b, polys, log);
    check_residues(k, "ntt_inv", &o);
}

static void check_autom(struct kernels *k, struct kvec out, struct kvec x, uint32_t g, int limbs,
                        int polys) {
    struct operand o = bare(k, out, limbs, polys), in = bare(k, x, limbs, polys);
    if (g % 2 == 0) broken("autom", "the automorphism is even");
    check_memory(k, "autom", &in);
    check_out(k, "autom", &o);
    check_apart("autom", &o, &in, 0);
    k->checked->plain.autom(k, out, x, g, limbs, polys);
}

/* ---- change of basis ---- */

/* The rows that a conversion makes, polynomial by polynomial. */
static void check_converted(struct kernels *k, const char *entry, struct kvec out,
                            const struct kbconv *c, int polys) {
    for (int p = 0; p < polys; p++)
        for (int i = 0; i < c->dst.n; i++) {
            struct operand o = over(k, out, &c->dst, 1);
            o.p += ((size_t)p * out.pitch + c->at[i]) * o.words;
            o.rows = 1;
            o.prime += i;
            check_in(k, entry, &o);
        }
}

static void check_bconv(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                        const struct kbconv *c, int centred, int polys) {
    struct operand in = over(k, x, &c->src, polys);
    struct operand o = bare(k, out, c->dst.n ? c->at[c->dst.n - 1] + 1 : 0, polys);
    check_in(k, "bconv", &in);
    check_out(k, "bconv", &o);
    check_apart("bconv", &o, &in, 0);
    check_scalars(k, "bconv", pre, &c->src);
    k->checked->plain.bconv(k, out, x, pre, c, centred, polys);
    check_converted(k, "bconv", out, c, polys);
}

/* The primes of the rows that digits share out. */
static struct kbasis shared_out(const char *entry, const struct kdigit *digit, int digits,
                                const struct kbasis *ext) {
    struct kbasis rows = *ext;
    rows.n = 0;
    for (int j = 0; j < digits; j++) {
        if (digit[j].first != rows.n || digit[j].n < 1)
            broken(entry, "the digits do not share out the rows");
        rows.n += digit[j].n;
    }
    if (digits > KERN_MAX_DIGITS || rows.n > ext->n) broken(entry, "there are too many digits");
    return rows;
}

static void check_mod_up(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *work,
                         const struct kdigit *digit, int digits, const struct kbasis *ext,
                         int centred) {
    check_basis(k, "mod_up", ext);
    const struct kbasis rows = shared_out("mod_up", digit, digits, ext);
    struct operand o = over(k, out, ext, digits), in = over(k, (struct kvec){x, 0}, &rows, 1);
    struct operand w = bare(k, (struct kvec){work, 0}, rows.n, 1);
    check_in(k, "mod_up", &in);
    check_memory(k, "mod_up", &w);
    check_out(k, "mod_up", &o);
    check_apart("mod_up", &o, &in, 0);
    check_apart("mod_up", &o, &w, 0);
    check_apart("mod_up", &w, &in, 1);
    k->checked->plain.mod_up(k, out, x, work, digit, digits, ext, centred);
    check_residues(k, "mod_up", &o);
}

/* A key and its sum in `out`. */
static void check_key(struct kernels *k, const char *entry, const struct operand *out, int digits,
                      const struct kkey *key, const struct kbasis *ext) {
    if (digits < 1 || digits > KERN_MAX_DIGITS || key->g % 2 == 0 || key->g >> (k->log_n + 1))
        broken(entry, "a size or the automorphism is impossible");
    if (key->accumulate) check_residues(k, entry, out);
    if (key->seed && k->log_n < 8) broken(entry, "the ring is too small for a seed");
    for (int j = 0; j < 2 * digits; j++) {
        if (key->seed && j % 2) continue;
        struct kterm t = {
            .b = key->digit[j / 2], .b_pitch = key->pitch, .split = key->split, .gap = key->gap};
        check_factor(k, entry, out, &t, 0, ext, j % 2);
    }
}

static void check_plus(struct kernels *k, const char *entry, const struct operand *out,
                       const struct kplus *plus, const struct kbasis *ext) {
    if (!plus) return;
    if (plus->polys < 0 || plus->polys > 2 || plus->rows < 0 || plus->rows > ext->n)
        broken(entry, "what joins has an impossible size");
    struct kbasis first = *ext;
    first.n = plus->rows;
    struct operand in = over(k, plus->v, &first, plus->polys);
    check_in(k, entry, &in);
    check_apart(entry, out, &in, 0);
    if (plus->s) check_scalars(k, entry, plus->s, &first);
}

static void check_uniform(struct kernels *k, struct kvec out, const uint8_t *seed, uint32_t from,
                          const struct kbasis *b, int polys) {
    check_basis(k, "uniform", b);
    if (k->log_n < 8) broken("uniform", "the ring is too small for a seed");
    struct operand o = over(k, out, b, polys);
    check_out(k, "uniform", &o);
    k->checked->plain.uniform(k, out, seed, from, b, polys);
    check_residues(k, "uniform", &o);
}

static void check_key_sum(struct kernels *k, const struct kvec *out, struct kvec x, int digits,
                          const struct kkey *key, int keys, const struct kplus *plus,
                          const struct kbasis *ext) {
    check_basis(k, "key_sum", ext);
    if (keys < 1 || keys > KERN_MAX_KEYS) broken("key_sum", "a number of keys is impossible");
    struct operand o[KERN_MAX_KEYS], in = over(k, x, ext, digits);
    check_in(k, "key_sum", &in);
    for (int i = 0; i < keys; i++) {
        o[i] = over(k, out[i], ext, 2);
        check_out(k, "key_sum", &o[i]);
        check_apart("key_sum", &o[i], &in, 0);
        for (int j = 0; j < i; j++) check_apart("key_sum", &o[i], &o[j], 0);
        check_key(k, "key_sum", &o[i], digits, &key[i], ext);
        check_plus(k, "key_sum", &o[i], plus, ext);
    }
    k->checked->plain.key_sum(k, out, x, digits, key, keys, plus, ext);
    for (int i = 0; i < keys; i++) check_residues(k, "key_sum", &o[i]);
}

static void check_mod_up_sum(struct kernels *k, const struct kvec *out, const uint32_t *const *x,
                             int n, uint32_t *work, const struct kdigit *digit, int digits,
                             const struct kkey *key, const struct kplus *plus,
                             const struct kbasis *ext, int centred) {
    check_basis(k, "mod_up_sum", ext);
    if (n < 1 || n > KERN_MAX_SUMS) broken("mod_up_sum", "a number of sums is impossible");
    const struct kbasis rows = shared_out("mod_up_sum", digit, digits, ext);
    struct operand o[KERN_MAX_SUMS];
    struct operand w = bare(k, (struct kvec){work, 0}, n * (rows.n + digits * ext->n), 1);
    check_memory(k, "mod_up_sum", &w);
    for (int i = 0; i < n; i++) o[i] = over(k, out[i], ext, 2);
    for (int i = 0; i < n * n; i++) { /* each output, and each input beside it */
        const struct kvec from = {(uint32_t *)(uintptr_t)x[i % n], 0};
        struct operand in = over(k, from, &rows, 1), *to = &o[i / n];
        check_in(k, "mod_up_sum", &in);
        check_out(k, "mod_up_sum", to);
        check_apart("mod_up_sum", to, &in, 0);
        check_apart("mod_up_sum", to, &w, 0);
        check_apart("mod_up_sum", &w, &in, 0);
        if (i / n != i % n) check_apart("mod_up_sum", to, &o[i % n], 0);
        check_key(k, "mod_up_sum", to, digits, key, ext);
        check_plus(k, "mod_up_sum", to, plus ? &plus[i % n] : NULL, ext);
    }
    k->checked->plain.mod_up_sum(k, out, x, n, work, digit, digits, key, plus, ext, centred);
    for (int i = 0; i < n; i++) check_residues(k, "mod_up_sum", &o[i]);
}

/* The rows of x that rebase reads: those that go, and those that stay. */
static void check_rebased(struct kernels *k, const struct operand *out, struct kvec x,
                          const struct krebase *r, int polys) {
    struct operand in = over(k, x, &r->to, polys);
    in.p += (size_t)r->kept * in.words;
    in.prime += r->fresh;
    in.rows = (size_t)(r->to.n - r->fresh);
    check_in(k, "rebase", &in);
    check_apart("rebase", out, &in, 0);
    for (int i = 0; i < r->from.n; i++) {
        in = over(k, x, &r->from, polys);
        in.p += (size_t)r->row[i] * in.words;
        in.prime += i;
        in.rows = 1;
        check_in(k, "rebase", &in);
        check_apart("rebase", out, &in, 0);
    }
}

static void check_rebase(struct kernels *k, struct kvec out, struct kvec x, uint32_t *work,
                         const struct krebase *r, int polys) {
    check_basis(k, "rebase", &r->from);
    check_basis(k, "rebase", &r->to);
    if (r->from.n > KERN_MAX_SRC || r->fresh < 0 || r->fresh > r->to.n)
        broken("rebase", "a size is impossible");
    struct operand o = over(k, out, &r->to, polys);
    struct operand w = bare(k, (struct kvec){work, 0}, polys * (r->from.n + r->to.n), 1);
    check_out(k, "rebase", &o);
    check_memory(k, "rebase", &w);
    check_apart("rebase", &o, &w, 0);
    check_rebased(k, &o, x, r, polys);
    check_scalars(k, "rebase", r->pre, &r->from);
    check_scalars(k, "rebase", r->sx, &r->to);
    check_scalars(k, "rebase", r->sy, &r->to);
    if (r->plus) {
        struct operand plus = over(k, (struct kvec){(uint32_t *)(uintptr_t)r->plus, 0}, &r->to, 1);
        check_in(k, "rebase", &plus);
    }
    k->checked->plain.rebase(k, out, x, work, r, polys);
    check_residues(k, "rebase", &o);
}

/* ---- from numbers ---- */

static void check_lift(struct kernels *k, struct kvec out, const int64_t *c, size_t words,
                       const struct kbasis *b, int polys) {
    check_basis(k, "lift", b);
    if (!words || words & (words - 1) || words >> k->log_n > 1)
        broken("lift", "a number of words is impossible");
    for (size_t i = 0; i < words * (size_t)polys; i++)
        if (c[i] >= (int64_t)1 << 62 || c[i] <= -((int64_t)1 << 62))
            broken("lift", "a coefficient is too large");
    struct operand o = over(k, out, b, polys);
    o.words = words;
    check_out(k, "lift", &o);
    k->checked->plain.lift(k, out, c, words, b, polys);
    check_residues(k, "lift", &o);
}

static void check_encode(struct kernels *k, struct kvec out, const double *z, int log_slots,
                         int log_run, double scale, const struct kbasis *b, int polys) {
    check_basis(k, "encode", b);
    if (log_run < 0 || log_run > log_slots || log_slots >= k->log_n)
        broken("encode", "a number of slots is impossible");
    for (size_t i = 0; i < (size_t)polys << (1 + log_slots - log_run); i++)
        if (!(fabs(z[i]) * scale <= 0x1p61)) broken("encode", "a slot is not finite, or too large");
    struct operand o = over(k, out, b, polys);
    o.words = (size_t)2 << log_slots;
    check_out(k, "encode", &o);
    k->checked->plain.encode(k, out, z, log_slots, log_run, scale, b, polys);
    check_residues(k, "encode", &o);
}

static void check_close(struct kernels *k) {
    struct checked *c = k->checked;
    c->plain.close(k);
    pthread_mutex_destroy(&c->lock);
    free(c->held);
    free(c);
}

int kernels_check(struct kernels *k) {
    struct checked *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory to check the kernels");
    c->plain = *k;
    pthread_mutex_init(&c->lock, NULL);
    k->checked = c;
    k->close = check_close, k->alloc = check_alloc, k->release = check_release;
    k->upload = check_upload, k->download = check_download, k->copy = check_copy,
    k->zero = check_zero;
    k->add = check_add, k->sub = check_sub, k->neg = check_neg, k->mul = check_mul;
    k->lincomb = check_lincomb, k->add_scalar = check_add_scalar, k->dot = check_dot,
    k->dots = check_dots, k->combine = check_combine, k->tensor = check_tensor;
    k->linear = check_linear;
    k->ntt_fwd = check_ntt_fwd, k->ntt_inv = check_ntt_inv, k->autom = check_autom;
    k->bconv = check_bconv, k->mod_up = check_mod_up, k->rebase = check_rebase;
    k->key_sum = check_key_sum, k->mod_up_sum = check_mod_up_sum, k->uniform = check_uniform;
    k->lift = check_lift, k->encode = check_encode;
    return THOR_OK;
}
