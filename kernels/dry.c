/* The dry back end: every entry only counts.  A circuit run over it yields its operations, its
 * bytes moved, its peak memory and (ckks/context.c) its list of keys.  Addresses are handed out but
 * never read or written. */
#include <stdlib.h>
#include <string.h>

#include "kernels/counts.h"
#include "kernels/embed.h"
#include "kernels/rows.h"
#include "kernels/spans.h"

struct dry {
    struct kernels k;
    uint32_t q[KERN_MAX_LIMBS];
    uintptr_t next;     /* next address to hand out */
    struct spans spans; /* those in use */
    uint64_t recording; /* id of the work under way, 0: none */
};

static struct dry *of(struct kernels *k) {
    return (struct dry *)k;
}

static int dry_alloc(struct kernels *k, uint32_t **p, size_t rows) {
    struct dry *d = of(k);
    size_t bytes = rows * sizeof(uint32_t) << k->log_n;
    struct span v = {.p = (uint32_t *)d->next, .bytes = bytes};
    if (!spans_put(&d->spans, &v)) return thor_fail(THOR_MEMORY, "no memory for a dry run");
    *p = v.p;
    d->next += bytes + 64;
    count_alloc(k, bytes);
    return THOR_OK;
}

static void dry_release(struct kernels *k, uint32_t *p) {
    struct span v;
    if (spans_take(&of(k)->spans, p, &v)) count_release(k, v.bytes);
}

static void dry_upload(struct kernels *k, uint32_t *dst, const uint32_t *host, size_t words) {
    (void)dst, (void)host;
    count_bytes(k, 4 * words);
}

static void dry_download(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words) {
    (void)src;
    memset(host, 0, words * sizeof *host);
    count_bytes(k, 4 * words);
}

static void dry_copy(struct kernels *k, struct kvec out, struct kvec a, int limbs, int polys) {
    (void)out, (void)a;
    count_point(k, limbs, polys, 2);
}

static void dry_zero(struct kernels *k, struct kvec out, int limbs, int polys) {
    (void)out;
    count_point(k, limbs, polys, 1);
}

static int dry_sync(struct kernels *k) {
    (void)k;
    return THOR_OK;
}

static void dry_binary(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                       const struct kbasis *b, int polys) {
    (void)out, (void)x, (void)y;
    count_point(k, b->n, polys, 3);
}

static void dry_neg(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                    int polys) {
    (void)out, (void)x;
    count_point(k, b->n, polys, 2);
}

static void dry_lincomb(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *sx,
                        struct kvec y, const uint32_t *sy, const struct kbasis *b, int polys) {
    (void)out, (void)x, (void)sx, (void)sy;
    count_point(k, b->n, polys, y.p ? 3 : 2);
}

static void dry_add_scalar(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *s,
                           const struct kbasis *b, int polys) {
    (void)out, (void)x, (void)s;
    count_point(k, b->n, polys, 2);
}

static void dry_dot(struct kernels *k, struct kvec out, const struct kterm *terms, int n,
                    uint32_t g, int log_rep, int accumulate, const struct kbasis *b, int polys) {
    (void)out, (void)g;
    count_dot(k, terms, n, log_rep, accumulate, b->n, polys);
}

static void dry_dots(struct kernels *k, const struct kdots *d, const struct kbasis *b, int polys) {
    count_dots(k, d, b->n, polys);
}

static void dry_combine(struct kernels *k, struct kvec out, const struct kstream *x, int n,
                        const struct kbasis *b, int polys) {
    (void)out, (void)x;
    count_point(k, b->n, polys, n + 1);
}

static void dry_tensor(struct kernels *k, struct kvec out, const struct kpair *t, int n,
                       const struct kbasis *b) {
    (void)out;
    count_tensor(k, t, n, b->n);
}

static int dry_linear(struct kernels *k, const struct klinear *l, const struct kbasis *b,
                      int polys) {
    int st = kern_linear_check(k, l, b, polys);
    if (!st) count_linear(k, l, b->n, polys);
    return st;
}

static void dry_ntt_fwd(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                        int log) {
    (void)x;
    count_ntt(k, &k->counts.rows_ntt, b->n, polys, log);
}

static void dry_ntt_inv(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                        int log) {
    (void)x;
    count_ntt(k, &k->counts.rows_intt, b->n, polys, log);
}

static void dry_autom(struct kernels *k, struct kvec out, struct kvec x, uint32_t g, int limbs,
                      int polys) {
    (void)out, (void)x, (void)g;
    count_autom(k, limbs, polys);
}

static int dry_bconv_new(struct kernels *k, struct kbconv **out, const struct kbasis *src,
                         const struct kbasis *dst) {
    (void)k;
    struct kbconv *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory for a dry run");
    kbconv_places(c, src, dst);
    *out = c;
    return THOR_OK;
}

static void dry_bconv_free(struct kernels *k, struct kbconv *c) {
    (void)k;
    free(c);
}

static void dry_bconv(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                      const struct kbconv *c, int centred, int polys) {
    (void)out, (void)x, (void)pre, (void)centred;
    count_bconv(k, c->src.n, c->dst.n, polys);
}

static void dry_mod_up(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *work,
                       const struct kdigit *digit, int digits, const struct kbasis *ext,
                       int centred) {
    (void)out, (void)x, (void)work, (void)centred;
    count_mod_up(k, digit, digits, ext->n);
}

static void dry_uniform(struct kernels *k, struct kvec out, const uint8_t *seed, uint32_t from,
                        const struct kbasis *b, int polys) {
    (void)out, (void)seed, (void)from;
    count_uniform(k, b->n, polys);
}

static void dry_key_sum(struct kernels *k, const struct kvec *out, struct kvec x, int digits,
                        const struct kkey *key, int keys, const struct kplus *plus,
                        const struct kbasis *ext) {
    (void)out, (void)x;
    count_key_sum(k, key, keys, digits, plus, ext->n);
}

static void dry_mod_up_sum(struct kernels *k, const struct kvec *out, const uint32_t *const *x,
                           int n, uint32_t *work, const struct kdigit *digit, int digits,
                           const struct kkey *key, const struct kplus *plus,
                           const struct kbasis *ext, int centred) {
    (void)out, (void)x, (void)work, (void)centred;
    count_mod_up_sum(k, n, digit, digits, key, plus, ext->n);
}

static void dry_rebase(struct kernels *k, struct kvec out, struct kvec x, uint32_t *work,
                       const struct krebase *r, int polys) {
    (void)out, (void)x, (void)work;
    count_rebase(k, r, polys);
}

/* what a recording keeps of so many numbers */
static void keep(struct kernels *k, size_t numbers) {
    if (of(k)->recording) count_constant(k, 8 * numbers);
}

static void dry_lift(struct kernels *k, struct kvec out, const int64_t *c, size_t words,
                     const struct kbasis *b, int polys) {
    (void)out, (void)c;
    count_lift(k, words, words, b->n, polys);
    keep(k, words * (size_t)polys);
}

static void dry_encode(struct kernels *k, struct kvec out, const double *z, int log_slots,
                       int log_run, double scale, const struct kbasis *b, int polys) {
    const uint64_t words = (uint64_t)2 << log_slots;
    (void)out, (void)z, (void)scale;
    count_lift(k, words >> log_run, words, b->n, polys);
    keep(k, (words >> log_run) * (size_t)polys);
}

/* ---- recordings: each is seen once ---- */

static void dry_record_begin(struct kernels *k, uint64_t id) {
    struct dry *d = of(k);
    if (k->records && !d->recording) d->recording = id;
}

static int dry_record_end(struct kernels *k, uint64_t id, int go_on) {
    struct dry *d = of(k);
    (void)go_on;
    if (d->recording == id) d->recording = 0;
    return 1;
}

static void dry_close(struct kernels *k) {
    struct dry *d = of(k);
    spans_close(&d->spans);
    kern_roots_free(k);
    free(d);
}

int kernels_open_dry(struct kernels **out, int log_n, const uint32_t *q, int primes) {
    if (log_n < 4 || log_n > 17 || primes < 1 || primes > KERN_MAX_LIMBS)
        return thor_fail(THOR_USAGE, "a ring of degree 2^%d with %d primes is not supported", log_n,
                         primes);
    for (int i = 0; i < primes; i++)
        if (kern_check_prime(q[i], log_n)) return THOR_USAGE;
    struct dry *d = calloc(1, sizeof *d);
    if (!d) return thor_fail(THOR_MEMORY, "no memory for a dry run");
    memcpy(d->q, q, (size_t)primes * sizeof *q);
    d->next = (uintptr_t)1 << 20;
    d->k = (struct kernels){.kind = KERN_DRY,
                            .tier = "dry",
                            .log_n = log_n,
                            .primes = primes,
                            .q = d->q,
                            .threads = 1,
                            .self = d,
                            .close = dry_close,
                            .alloc = dry_alloc,
                            .release = dry_release,
                            .upload = dry_upload,
                            .download = dry_download,
                            .copy = dry_copy,
                            .zero = dry_zero,
                            .sync = dry_sync,
                            .add = dry_binary,
                            .sub = dry_binary,
                            .neg = dry_neg,
                            .mul = dry_binary,
                            .lincomb = dry_lincomb,
                            .add_scalar = dry_add_scalar,
                            .dot = dry_dot,
                            .dots = dry_dots,
                            .combine = dry_combine,
                            .tensor = dry_tensor,
                            .linear = dry_linear,
                            .ntt_fwd = dry_ntt_fwd,
                            .ntt_inv = dry_ntt_inv,
                            .autom = dry_autom,
                            .bconv_new = dry_bconv_new,
                            .bconv_free = dry_bconv_free,
                            .bconv = dry_bconv,
                            .mod_up = dry_mod_up,
                            .uniform = dry_uniform,
                            .key_sum = dry_key_sum,
                            .mod_up_sum = dry_mod_up_sum,
                            .rebase = dry_rebase,
                            .lift = dry_lift,
                            .encode = dry_encode};
    kern_unrecorded(&d->k);
    d->k.record_begin = dry_record_begin;
    d->k.record_end = dry_record_end;
    int st = kern_generates(&d->k.generates, 0);
    if (!st) st = kern_roots_new(&d->k);
    if (st)
        dry_close(&d->k);
    else
        *out = &d->k;
    return st;
}
