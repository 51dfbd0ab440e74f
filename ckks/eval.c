/* Arithmetic of ciphertexts: levels and scales are brought together here, and nowhere else.
 *
 * adjust l -> k: on a basis A with Q_A = D Q_k, multiply by w = round(S_k D / S_l) and divide by D.
 *   opposite parity, or k >= 16: A = basis(k+1), D = one step, relative rounding of w 2^-42.6;
 *   same parity below 16: A = basis(k) and two more mains, 2^-53 (a step would need primes that l
 *   lacks).
 * mul: tensor product (scale S_l^2), the third part switched to (c0, c1) in basis Q P, then one
 *   conversion divides by P and rescales to S_(l-1). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

/* Do levels of opposite parity alone share their primes with k's? */
static int is_by_parity(const struct ckks_params *p, int k) {
    return p->thirds && k < CKKS_MSG_TOP;
}

static struct kbasis adjust_basis(const struct ckks_params *p, int l, int k) {
    if ((l - k) % 2 || !is_by_parity(p, k)) return ckks_basis(p, k + 1);
    struct kbasis b = ckks_basis(p, k);
    int last = b.prime[b.n - 1];
    b.prime[b.n++] = (uint8_t)(last + 1);
    b.prime[b.n++] = (uint8_t)(last + 2);
    return b;
}

/* Q_A / Q_B */
static double modulus_ratio(const struct ckks_params *p, const struct kbasis *A,
                            const struct kbasis *B) {
    double r = 1;
    int i = 0, j = 0;
    while (i < A->n || j < B->n) {
        int a = i < A->n ? A->prime[i] : 255, b = j < B->n ? B->prime[j] : 255;
        if (a == b)
            i++, j++;
        else if (a < b)
            r *= p->prime[a], i++;
        else
            r /= p->prime[b], j++;
    }
    return r;
}

static int check_operand(const struct ckks_ct *a, int pending_ok) {
    if (!a->c) return thor_fail(THOR_INTERNAL, "an empty ciphertext was used");
    if (a->pending && !pending_ok)
        return thor_fail(THOR_INTERNAL, "a product was used before its rescale");
    return THOR_OK;
}

int ckks_adjust(struct ckks_ct *out, const struct ckks_ct *a, int level) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    struct ckks_ct r = {0};
    TRY(check_operand(a, 0));
    if (level == a->level) return ckks_copy(out, a);
    if (level > a->level || level < 0 || (a->boot && level < CKKS_MSG_TOP))
        return thor_fail(THOR_INTERNAL, "a ciphertext at level %d cannot be brought to %d",
                         a->level, level);
    struct kbasis A = adjust_basis(cx->params, a->level, level), B = ckks_basis(cx->params, level);
    double d = modulus_ratio(cx->params, &A, &B);
    double w = nearbyint(ckks_level_scale(cx->params, level, a->boot) * d / ct_scale(a));
    TRY(ckks_ct_make(&r, cx, a->polys, level));
    r.boot = a->boot;
    uint32_t *x = a->c + (size_t)row_of(cx->params, a->level, A.prime[0]) * ckks_n(cx);
    TRY(ckks_rebase(cx, r.c, r.rows, &B, x, a->rows, &A, (uint64_t)w, a->polys));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

int ckks_rescale(struct ckks_ct *out, const struct ckks_ct *a) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    if (!a->pending || a->level < 1)
        return thor_fail(THOR_INTERNAL, "nothing to rescale (level %d)", a->level);
    struct kbasis A = ckks_basis(a->cx->params, a->level),
                  B = ckks_basis(a->cx->params, a->level - 1);
    TRY(ckks_ct_make(&r, a->cx, a->polys, a->level - 1));
    r.boot = a->boot;
    a->cx->count.rescales++;
    TRY(ckks_rebase(a->cx, r.c, r.rows, &B, a->c, a->rows, &A, 1, a->polys));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

/* *x = a itself, or `tmp` holding a at `level`. */
static int at_level(const struct ckks_ct **x, struct ckks_ct *tmp, const struct ckks_ct *a,
                    int level) {
    int st = THOR_OK;
    *x = a;
    if (a->level != level) {
        TRY(ckks_adjust(tmp, a, level));
        *x = tmp;
    }
out:
    return st;
}

static int add_or_sub(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b,
                      int sub) {
    int st = THOR_OK;
    struct ckks_ct ta = {0}, tb = {0}, r = {0};
    const struct ckks_ct *x, *y;
    TRY(check_operand(a, 1));
    TRY(check_operand(b, 1));
    if (a->pending != b->pending || a->boot != b->boot || (a->pending && a->level != b->level)) {
        st = thor_fail(THOR_INTERNAL, "a rescaled and an unrescaled ciphertext cannot be added");
        goto out;
    }
    int level = a->level < b->level ? a->level : b->level;
    TRY(at_level(&x, &ta, a, level));
    TRY(at_level(&y, &tb, b, level));
    struct kernels *k = a->cx->k;
    struct kbasis q = ckks_basis(a->cx->params, level);
    TRY(ckks_ct_make(&r, a->cx, 2, level));
    r.pending = a->pending;
    r.boot = a->boot;
    (sub ? k->sub : k->add)(k, kv(r.c, r.rows), kv(x->c, x->rows), kv(y->c, y->rows), &q, 2);
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&ta);
    ckks_ct_free(&tb);
    ckks_ct_free(&r);
    return st;
}

int ckks_add(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b) {
    return add_or_sub(out, a, b, 0);
}

int ckks_sub(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b) {
    return add_or_sub(out, a, b, 1);
}

static uint32_t residue(double v, uint32_t q) { /* of round(v), |v| < 2^63 */
    int64_t r = llrint(v) % (int64_t)q;
    return (uint32_t)(r < 0 ? r + (int64_t)q : r);
}

int ckks_add_const(struct ckks_ct *out, const struct ckks_ct *a, double re) {
    int st = THOR_OK;
    TRY(check_operand(a, 0));
    if (!(fabs(re * ct_scale(a)) < 0x1p62))
        return thor_fail(THOR_RANGE, "constant %g is too large", re);
    TRY(ckks_copy(out, a));
    struct kbasis q = ckks_basis(a->cx->params, a->level);
    uint32_t s[KERN_MAX_LIMBS];
    for (int i = 0; i < q.n; i++)
        s[i] = residue(re * ct_scale(out), out->cx->params->prime[q.prime[i]]);
    out->cx->k->add_scalar(out->cx->k, kv(out->c, 0), kv(out->c, 0), s, &q, 1);
out:
    return st;
}

int ckks_mul_int(struct ckks_ct *out, const struct ckks_ct *a, int64_t c) {
    int st = THOR_OK;
    TRY(check_operand(a, 1));
    TRY(ckks_copy(out, a));
    struct kbasis q = ckks_basis(out->cx->params, out->level);
    struct kvec none = {NULL, 0};
    uint32_t s[KERN_MAX_LIMBS];
    for (int i = 0; i < q.n; i++) s[i] = residue((double)c, out->cx->params->prime[q.prime[i]]);
    out->cx->k->lincomb(out->cx->k, kv(out->c, out->rows), kv(out->c, out->rows), s, none, NULL, &q,
                        2);
out:
    return st;
}

int ckks_add_plain(struct ckks_ct *out, const struct ckks_ct *a, const double *re, const double *im,
                   size_t period) {
    int st = THOR_OK;
    struct ckks_pt pt = {0};
    struct ckks *cx = a->cx;
    size_t n = (size_t)ckks_slots(cx);
    double *full = malloc(2 * n * sizeof(double));
    if (!full) return thor_fail(THOR_MEMORY, "no memory for a plaintext");
    TRY(check_operand(a, 0));
    for (size_t i = 0; i < n && !ckks_is_dry(cx); i++) {
        full[i] = re[i % period];
        full[n + i] = im ? im[i % period] : 0;
    }
    struct kbasis q = ckks_basis(a->cx->params, a->level);
    TRY(ckks_encode(&pt, cx, full, full + n, n, ct_scale(a), &q));
    TRY(ckks_copy(out, a));
    cx->k->add(cx->k, kv(out->c, 0), kv(out->c, 0), kv(pt.c, 0), &q, 1);
out:
    free(full);
    ckks_pt_free(&pt);
    return st;
}

int ckks_times_pt(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_pt *pt,
                  int pending) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    struct ckks *cx = a->cx;
    struct kbasis q = ckks_basis(a->cx->params, a->level);
    TRY(ckks_ct_make(&r, cx, 2, a->level));
    r.pending = pending;
    r.boot = a->boot;
    struct kterm t = {.a = a->c, .b = pt->c, .a_pitch = (size_t)a->rows};
    cx->k->dot(cx->k, kv(r.c, r.rows), &t, 1, 1, pt->log_rep, 0, &q, 2);
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

int ckks_mul_i(struct ckks_ct *out, const struct ckks_ct *a, int sign) {
    /* two words a row, every prime of the chain */
    struct ckks_pt pt = a->cx->tables->unit[sign < 0];
    pt.c += 2 * ckks_basis(a->cx->params, a->level).prime[0];
    return ckks_times_pt(out, a, &pt, a->pending);
}

int ckks_mul_plain(struct ckks_ct *out, const struct ckks_ct *a, const double *re, const double *im,
                   size_t period) {
    int st = THOR_OK;
    struct ckks_pt pt = {0};
    struct ckks_ct r = {0};
    TRY(check_operand(a, 0));
    struct kbasis q = ckks_basis(a->cx->params, a->level);
    TRY(ckks_encode(&pt, a->cx, re, im, period, ct_scale(a), &q));
    TRY(ckks_times_pt(&r, a, &pt, 1));
    a->cx->count.ptct++;
    TRY(ckks_rescale(out, &r));
out:
    ckks_pt_free(&pt);
    ckks_ct_free(&r);
    return st;
}

/* ---- linear combinations with one rescale ---- */

/* acc (over A) = or += w mask x. */
static int add_masked(struct ckks *cx, uint32_t *acc, const struct kbasis *A,
                      const struct ckks_ct *x, uint32_t *rows, double c, double scale,
                      const struct ckks_mask *mask, int accumulate) {
    int st = THOR_OK;
    struct ckks_pt pt = {0};
    double *z = malloc(mask->period * sizeof *z);
    if (!z) return thor_fail(THOR_MEMORY, "no memory for a plaintext");
    for (size_t i = 0; i < mask->period && !ckks_is_dry(cx); i++) z[i] = c * mask->re[i];
    TRY(ckks_encode(&pt, cx, z, NULL, mask->period, scale, A));
    struct kterm t = {.a = rows, .b = pt.c, .a_pitch = (size_t)x->rows};
    cx->k->dot(cx->k, kv(acc, A->n), &t, 1, 1, pt.log_rep, accumulate, A, 2);
    cx->count.ptct++;
out:
    free(z);
    ckks_pt_free(&pt);
    return st;
}

/* Summands w x that wait until there are as many as one pass takes. */
struct summands {
    struct kstream x[KERN_MAX_STREAMS];
    uint32_t s[KERN_MAX_STREAMS][KERN_MAX_LIMBS];
    int n;
};

static void add_up(struct ckks *cx, uint32_t *acc, const struct kbasis *A, struct summands *w) {
    cx->k->combine(cx->k, kv(acc, A->n), w->x, w->n, A, 2);
    w->n = 0;
}

static void add_scaled(struct summands *w, const struct ckks *cx, struct kvec x, double factor,
                       const struct kbasis *A) {
    uint32_t *s = w->s[w->n];
    for (int i = 0; i < A->n; i++) s[i] = residue(factor, cx->params->prime[A->prime[i]]);
    w->x[w->n++] = (struct kstream){x, s};
}

/* acc (over A) = the sum of the terms that use basis A, += where *used; *used: by so many more. */
static int combine_group(int *used, struct ckks *cx, uint32_t *acc, const struct ckks_ct *const x[],
                         const double c[], int n, int level, const struct kbasis *A,
                         const struct ckks_mask *mask) {
    int st = THOR_OK;
    struct kbasis B = ckks_basis(cx->params, level);
    double d = modulus_ratio(cx->params, A, &B);
    struct summands w = {.n = 0};
    for (int j = 0; j < n; j++) {
        struct kbasis want = adjust_basis(cx->params, x[j]->level, level);
        if ((want.n != A->n || want.prime[0] != A->prime[0]) || c[j] == 0) continue;
        double scale = ckks_level_scale(cx->params, level, x[j]->boot);
        uint32_t *rows =
            x[j]->c + (size_t)row_of(cx->params, x[j]->level, A->prime[0]) * ckks_n(cx);
        if (mask) {
            TRY(add_masked(cx, acc, A, x[j], rows, c[j], scale * d / ct_scale(x[j]), mask, *used));
        } else {
            if (w.n == KERN_MAX_STREAMS) add_up(cx, acc, A, &w);
            if (!w.n && *used) add_scaled(&w, cx, kv(acc, A->n), 1, A);
            add_scaled(&w, cx, kv(rows, x[j]->rows), c[j] * scale * d / ct_scale(x[j]), A);
        }
        ++*used;
    }
    if (w.n) add_up(cx, acc, A, &w);
out:
    return st;
}

static int check_terms(const struct ckks_ct *const x[], const double c[], int n, int level) {
    int st = THOR_OK;
    for (int j = 0; j < n; j++) {
        TRY(check_operand(x[j], 0));
        if (level < 0 || x[j]->level <= level || x[j]->boot != x[0]->boot)
            return thor_fail(THOR_INTERNAL, "a combination at level %d of a ciphertext at %d",
                             level, x[j]->level);
        if (!(fabs(c[j] * 0x1p56) < 0x1p62))
            return thor_fail(THOR_RANGE, "coefficient %g of a combination is too large", c[j]);
    }
out:
    return st;
}

/* x += mask c0 */
static int add_masked_const(struct ckks_ct *x, double c0, const struct ckks_mask *mask) {
    int st = THOR_OK;
    if (c0 == 0) return THOR_OK;
    if (!mask) return ckks_add_const(x, x, c0);
    double *z = malloc(mask->period * sizeof *z);
    if (!z) return thor_fail(THOR_MEMORY, "no memory for a plaintext");
    for (size_t i = 0; i < mask->period && !ckks_is_dry(x->cx); i++) z[i] = c0 * mask->re[i];
    st = ckks_add_plain(x, x, z, NULL, mask->period);
    free(z);
    return st;
}

int ckks_combine(struct ckks_ct *out, const struct ckks_ct *const x[], const double c[], int n,
                 double c0, int level) {
    return ckks_combine_masked(out, x, c, n, c0, level, NULL);
}

/* out += the terms of the one or the other of the two possible bases, see adjust_basis; empty if
 * out is and there are none. */
static int add_group(struct ckks_ct *out, const struct ckks_ct *const x[], const double c[], int n,
                     int level, int which, const struct ckks_mask *mask) {
    int st = THOR_OK, used = 0;
    struct ckks *cx = x[0]->cx;
    struct ckks_ct r = {0};
    uint32_t *acc = NULL;
    if (which && !is_by_parity(cx->params, level)) return THOR_OK;
    struct kbasis A = adjust_basis(cx->params, level + 1 + which, level),
                  B = ckks_basis(cx->params, level);
    TRY(cx->k->alloc(cx->k, &acc, (size_t)(2 * A.n)));
    TRY(combine_group(&used, cx, acc, x, c, n, level, &A, mask));
    if (!used) goto out;
    TRY(ckks_ct_make(&r, cx, 2, level));
    r.boot = x[0]->boot;
    TRY(ckks_rebase(cx, r.c, r.rows, &B, acc, A.n, &A, 1, 2));
    if (out->c) TRY(ckks_add(&r, out, &r));
    ckks_ct_move(out, &r);
out:
    cx->k->release(cx->k, acc);
    ckks_ct_free(&r);
    return st;
}

int ckks_combine_masked(struct ckks_ct *out, const struct ckks_ct *const x[], const double c[],
                        int n, double c0, int level, const struct ckks_mask *mask) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    TRY(check_terms(x, c, n, level));
    for (int g = 0; g < 2; g++) TRY(add_group(&r, x, c, n, level, g, mask));
    if (!r.c) { /* all coefficients zero */
        TRY(ckks_adjust(&r, x[0], level));
        r.cx->k->zero(r.cx->k, kv(r.c, r.rows), r.rows, 2);
    }
    TRY(add_masked_const(&r, c0, mask));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

/* ---- products ---- */

/* The three parts of sum a_j b_j over basis q. */
static int tensor(struct ckks *cx, uint32_t *d, const struct ckks_ct *const *a,
                  const struct ckks_ct *const *b, int n, const struct kbasis *q) {
    struct kpair *t = malloc((size_t)n * sizeof *t);
    if (!t) return thor_fail(THOR_MEMORY, "no memory for a product");
    for (int j = 0; j < n; j++)
        t[j] = (struct kpair){a[j]->c, b[j]->c, (size_t)a[j]->rows, (size_t)b[j]->rows};
    cx->k->tensor(cx->k, kv(d, q->n), t, n, q);
    free(t);
    cx->count.ctct += (uint64_t)n;
    return THOR_OK;
}

int ckks_relinearise(struct ckks *cx, uint32_t *const *acc, uint32_t *const *d, int n, int level,
                     int accumulate) {
    int st = THOR_OK;
    struct kbasis q = ckks_basis(cx->params, level);
    struct ckks_plus plus[KERN_MAX_SUMS];
    const uint32_t *third[KERN_MAX_SUMS];
    for (int i = 0; i < n; i++) {
        plus[i] = (struct ckks_plus){kv(d[i], q.n), 2, 1};
        third[i] = d[i] + 2 * (size_t)q.n * ckks_n(cx);
    }
    TRY(ckks_switch(cx, acc, third, n, CKKS_KEY_RELIN, 1, level, accumulate, plus));
    cx->count.relins += (uint64_t)n;
out:
    return st;
}

int ckks_divide(struct ckks_ct *out, struct ckks *cx, uint32_t *acc, int level, int boot,
                int rescale) {
    int st = THOR_OK;
    struct kbasis ext = ckks_with_special(cx->params, ckks_basis(cx->params, level)),
                  dst = ckks_basis(cx->params, level - rescale);
    struct ckks_ct r = {0};
    TRY(ckks_ct_make(&r, cx, 2, level - rescale));
    r.pending = !rescale;
    r.boot = boot;
    cx->count.rescales += (uint64_t)rescale;
    TRY(ckks_rebase(cx, r.c, r.rows, &dst, acc, ext.n, &ext, 1, 2));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

int ckks_products(uint32_t **d, int *at, const struct ckks_ct *const a[],
                  const struct ckks_ct *const b[], int n) {
    int st = THOR_OK, level = CKKS_LEVELS;
    if (n < 1 || n > 127) return thor_fail(THOR_INTERNAL, "a sum of %d products", n);
    struct ckks *cx = a[0]->cx;
    const struct ckks_ct **x = calloc((size_t)(2 * n), sizeof *x);
    struct ckks_ct *tmp = calloc((size_t)(2 * n), sizeof *tmp);
    if (!x || !tmp) {
        st = thor_fail(THOR_MEMORY, "no memory for a sum of %d products", n);
        goto out;
    }
    for (int j = 0; j < n; j++) {
        TRY(check_operand(a[j], 0));
        TRY(check_operand(b[j], 0));
        if (a[j]->level < level) level = a[j]->level;
        if (b[j]->level < level) level = b[j]->level;
    }
    if (level < 1 || (a[0]->boot && level <= CKKS_MSG_TOP)) {
        st = thor_fail(THOR_INTERNAL, "no level left for a product");
        goto out;
    }
    for (int j = 0; j < n; j++) {
        TRY(at_level(&x[j], &tmp[j], a[j], level));
        if (b[j] == a[j])
            x[n + j] = x[j];
        else
            TRY(at_level(&x[n + j], &tmp[n + j], b[j], level));
    }
    struct kbasis q = ckks_basis(cx->params, level);
    TRY(cx->k->alloc(cx->k, d, (size_t)(3 * q.n)));
    *at = level;
    st = tensor(cx, *d, x, x + n, n, &q);
    if (st) {
        cx->k->release(cx->k, *d);
        *d = NULL;
    }
out:
    for (int j = 0; tmp && j < 2 * n; j++) ckks_ct_free(&tmp[j]);
    free(tmp);
    free(x);
    return st;
}

int ckks_dot(struct ckks_ct *out, const struct ckks_ct *const a[], const struct ckks_ct *const b[],
             int n, int rescale) {
    int st = THOR_OK, level;
    uint32_t *d = NULL, *acc = NULL;
    TRY(ckks_products(&d, &level, a, b, n));
    struct ckks *cx = a[0]->cx;
    st = cx->k->alloc(cx->k, &acc,
                      (size_t)(2 * ckks_with_special(cx->params, ckks_basis(cx->params, level)).n));
    if (!st) st = ckks_relinearise(cx, &acc, &d, 1, level, 0);
    if (!st) st = ckks_divide(out, cx, acc, level, a[0]->boot, rescale);
    cx->k->release(cx->k, acc);
    cx->k->release(cx->k, d);
out:
    return st;
}

/* A sum of products that waits for its relinearisation, with the terms of its basis. */
struct unfinished {
    const struct ckks_ct **x; /* all terms */
    uint32_t *d, *acc;
};

/* Ciphertext i of those at each pointer: the three parts. */
static int begin_sum(struct unfinished *u, int *level, int i, const struct ckks_ct *const a[],
                     const struct ckks_ct *const b[], int n, const struct ckks_ct *const x[],
                     const double c[], int m, const struct ckks_mask *mask) {
    int st = THOR_OK, used = 1;
    struct ckks *cx = a[0]->cx;
    u->x = malloc((size_t)(2 * n + m) * sizeof *u->x);
    if (!u->x) return thor_fail(THOR_MEMORY, "no memory for a sum of %d products", n);
    for (int j = 0; j < m; j++) u->x[j] = x[j] + i;
    for (int j = 0; j < n; j++) u->x[m + j] = a[j] + i, u->x[m + n + j] = b[j] + i;
    TRY(ckks_products(&u->d, level, u->x + m, u->x + m + n, n));
    struct kbasis q = ckks_basis(cx->params, *level);
    TRY(check_terms(u->x, c, m, *level - 1));
    TRY(combine_group(&used, cx, u->d, u->x, c, m, *level - 1, &q, mask));
    TRY(cx->k->alloc(cx->k, &u->acc, (size_t)(2 * ckks_with_special(cx->params, q).n)));
out:
    return st;
}

static int end_sum(struct ckks_ct *out, struct ckks *cx, const struct unfinished *u, int level,
                   int boot, const double c[], int m, double c0, const struct ckks_mask *mask) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    TRY(ckks_divide(&r, cx, u->acc, level, boot, 1));
    if (m) TRY(add_group(&r, u->x, c, m, level - 1, 1, mask));
    TRY(add_masked_const(&r, c0, mask));
    ckks_ct_move(out, &r);
out:
    ckks_ct_free(&r);
    return st;
}

int ckks_dot_plus(struct ckks_ct *out, int width, const struct ckks_ct *const a[],
                  const struct ckks_ct *const b[], int n, const struct ckks_ct *const x[],
                  const double c[], int m, double c0, const struct ckks_mask *mask) {
    int st = THOR_OK, level[KERN_MAX_SUMS] = {0}, boot = a[0]->boot;
    struct ckks *cx = a[0]->cx;
    struct unfinished u[KERN_MAX_SUMS] = {{NULL}};
    uint32_t *acc[KERN_MAX_SUMS] = {NULL}, *d[KERN_MAX_SUMS] = {NULL};
    for (int i = 0; i < width; i++) {
        TRY(begin_sum(&u[i], &level[i], i, a, b, n, x, c, m, mask));
        acc[i] = u[i].acc, d[i] = u[i].d;
        if (level[i] != level[0])
            TRY(thor_fail(THOR_INTERNAL, "sums of products at levels %d and %d", level[0],
                          level[i]));
    }
    TRY(ckks_relinearise(cx, acc, d, width, level[0], 0));
    for (int i = 0; i < width; i++)
        TRY(end_sum(&out[i], cx, &u[i], level[0], boot, c, m, c0, mask));
out:
    for (int i = 0; i < width; i++) {
        cx->k->release(cx->k, u[i].d);
        cx->k->release(cx->k, u[i].acc);
        free(u[i].x);
    }
    return st;
}

int ckks_mul(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_ct *b) {
    return ckks_dot(out, &a, &b, 1, 1);
}

/* ---- automorphisms ---- */

static int apply_galois(struct ckks_ct *out, const struct ckks_ct *a, uint32_t g) {
    int st = THOR_OK;
    TRY(check_operand(a, 1));
    if (g == 1) return ckks_copy(out, a);
    TRY(ckks_keyswitch(out, a, a->c, ct_poly(a, 1), g, g));
    out->cx->count.rotations++;
out:
    return st;
}

int ckks_rotate(struct ckks_ct *out, const struct ckks_ct *a, int r) {
    return a->c ? apply_galois(out, a, ckks_galois(a->cx, r)) : check_operand(a, 1);
}

int ckks_conj(struct ckks_ct *out, const struct ckks_ct *a) {
    return a->c ? apply_galois(out, a, (2u << a->cx->params->log_n) - 1) : check_operand(a, 1);
}

int ckks_hoisted(struct ckks *cx, const struct kvec *out, const struct ckks_ct *a, uint32_t *digits,
                 int nd, const uint32_t *g, int n, uint32_t *work) {
    int st = THOR_OK;
    struct kbasis q = ckks_basis(a->cx->params, a->level), ext = ckks_with_special(cx->params, q);
    const struct ckks_plus plus = {kv(a->c, 0), 1, 1};
    struct kvec acc[CKKS_HOISTED];
    for (int i = 0; i < n; i++) acc[i] = kv(work + (size_t)(2 * i * ext.n) * ckks_n(cx), ext.n);
    TRY(ckks_inner(cx, acc, digits, nd, g, n, a->level, &plus));
    for (int i = 0; i < n; i++)
        TRY(ckks_rebase(cx, out[i].p, (int)out[i].pitch, &q, acc[i].p, ext.n, &ext, 1, 2));
    cx->count.rotations += (uint64_t)n;
out:
    return st;
}

/* Rotations that wait until a pass has enough of them. */
struct waiting {
    int n;
    uint32_t g[CKKS_HOISTED];
    struct kvec to[CKKS_HOISTED];
};

static int rotate_waiting(struct waiting *w, const struct ckks_ct *a, uint32_t *digits, int nd,
                          uint32_t *work) {
    int n = w->n;
    w->n = 0;
    return n ? ckks_hoisted(a->cx, w->to, a, digits, nd, w->g, n, work) : THOR_OK;
}

int ckks_rotate_many(struct ckks_ct *out, const struct ckks_ct *a, const int *r, int n) {
    int st = THOR_OK, nd;
    if (!a->c) return check_operand(a, 1);
    struct ckks *cx = a->cx;
    struct kernels *k = cx->k;
    int rows = 2 * ckks_with_special(cx->params, ckks_basis(a->cx->params, a->level)).n;
    uint32_t *digits = NULL, *work = NULL;
    struct ckks_ct *o = calloc((size_t)n, sizeof *o);
    struct waiting w = {.n = 0};
    if (!o) return thor_fail(THOR_MEMORY, "no memory for %d rotations", n);
    TRY(ckks_decompose(cx, &digits, &nd, ct_poly(a, 1), a->level));
    TRY(k->alloc(k, &work, (size_t)(rows * (n < CKKS_HOISTED ? n : CKKS_HOISTED))));
    for (int j = 0; j < n; j++) {
        uint32_t g = ckks_galois(cx, r[j]);
        if (g == 1) {
            TRY(ckks_copy(&o[j], a));
            continue;
        }
        TRY(ckks_ct_make(&o[j], cx, 2, a->level));
        o[j].pending = a->pending;
        o[j].boot = a->boot;
        w.g[w.n] = g;
        w.to[w.n++] = kv(o[j].c, o[j].rows);
        if (w.n == CKKS_HOISTED) TRY(rotate_waiting(&w, a, digits, nd, work));
    }
    TRY(rotate_waiting(&w, a, digits, nd, work));
    for (int j = 0; j < n; j++) ckks_ct_move(&out[j], &o[j]);
out:
    k->release(k, digits);
    k->release(k, work);
    for (int j = 0; j < n; j++) ckks_ct_free(&o[j]);
    free(o);
    return st;
}
