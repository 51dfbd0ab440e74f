/* Encryption, decryption, and decryption for publication. */
#include <math.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

static int encode_message(struct ckks_ct *out, struct ckks *cx, struct ckks_pt *pt,
                          const double *re, const double *im, size_t period, int level,
                          double **full) {
    int st = THOR_OK;
    size_t n = (size_t)ckks_slots(cx);
    if (level < 0 || level > cx->params->max_level)
        return thor_fail(THOR_INTERNAL, "messages are encrypted at levels 0..%d, not %d",
                         cx->params->max_level, level);
    if (period == 0 || period > n || (period & (period - 1)))
        return thor_fail(THOR_INTERNAL, "a message of period %zu", period);
    *full = calloc(2 * n, sizeof(double));
    if (!*full) return thor_fail(THOR_MEMORY, "no memory for a message");
    for (size_t i = 0; i < n; i++) {
        (*full)[i] = re[i % period];
        if (im) (*full)[n + i] = im[i % period];
    }
    struct kbasis q = ckks_basis(cx->params, level);
    TRY(ckks_encode(pt, cx, *full, *full + n, n, ckks_level_scale(cx->params, level, 0), &q));
    TRY(ckks_ct_make(out, cx, 2, level));
out:
    return st;
}

static void add_error(struct ckks *cx, uint32_t *rows, struct ckks_rng *rng, int64_t *c,
                      uint32_t *tmp, const struct kbasis *q) {
    ckks_rng_cbd21(rng, c, ckks_n(cx));
    cx->k->lift(cx->k, kv(tmp, 0), c, ckks_n(cx), q, 1);
    cx->k->ntt_fwd(cx->k, kv(tmp, 0), q, 1, cx->params->log_n);
    cx->k->add(cx->k, kv(rows, 0), kv(rows, 0), kv(tmp, 0), q, 1);
}

struct enc_work {
    double *full;
    int64_t *c;
    uint32_t *host, *tmp, *u;
    struct ckks_pt pt;
};

static int open_enc(struct enc_work *w, struct ckks *cx) {
    size_t n = ckks_n(cx);
    w->c = sodium_malloc(n * sizeof *w->c); // the secret, u and errors as numbers
    w->host = malloc((size_t)cx->params->primes * n * sizeof *w->host);
    if (!w->c || !w->host) return thor_fail(THOR_MEMORY, "no memory to encrypt");
    int st = cx->k->alloc(cx->k, &w->tmp, (size_t)cx->params->primes);
    return st ? st : cx->k->alloc(cx->k, &w->u, (size_t)cx->params->primes);
}

static void close_enc(struct enc_work *w, struct ckks *cx) {
    if (w->u) cx->k->zero(cx->k, kv(w->u, 1), cx->params->primes, 1);
    if (w->tmp) cx->k->zero(cx->k, kv(w->tmp, 1), cx->params->primes, 1);
    free(w->full);
    sodium_free(w->c);
    free(w->host);
    cx->k->release(cx->k, w->tmp);
    cx->k->release(cx->k, w->u);
    ckks_pt_free(&w->pt);
}

/* Evaluation form of the secret over q, into rows. */
static void secret_rows(struct ckks *cx, uint32_t *rows, int64_t *c, const struct ckks_secret *s,
                        const struct kbasis *q) {
    for (size_t i = 0; i < ckks_n(cx); i++) c[i] = s->s[i];
    cx->k->lift(cx->k, kv(rows, 0), c, ckks_n(cx), q, 1);
    cx->k->ntt_fwd(cx->k, kv(rows, 0), q, 1, cx->params->log_n);
}

/* seed NULL: half a is of rng. */
static int encrypt(struct ckks_ct *out, struct ckks *cx, const double *re, const double *im,
                   size_t period, int level, const struct ckks_secret *s, const uint8_t *seed,
                   uint32_t which, struct ckks_rng *rng) {
    int st = THOR_OK;
    struct enc_work w = {0};
    struct ckks_ct r = {0};
    size_t n = ckks_n(cx);
    if (s->params != cx->params)
        return thor_fail(THOR_KEY, "the secret key is for parameter set %s", s->params->name);
    TRY(open_enc(&w, cx));
    TRY(encode_message(&r, cx, &w.pt, re, im, period, level, &w.full));
    struct kbasis q = ckks_basis(cx->params, level);
    struct kernels *k = cx->k;
    for (int i = 0; !seed && i < q.n; i++)
        ckks_rng_uniform(rng, w.host + (size_t)i * n, n, cx->params->prime[q.prime[i]]);
    if (seed)
        TRY(ckks_ct_uniform(&r, seed, which));
    else
        k->upload(k, ct_poly(&r, 1), w.host, (size_t)q.n * n);
    secret_rows(cx, w.u, w.c, s, &q);
    k->mul(k, kv(w.u, 0), kv(w.u, 0), kv(ct_poly(&r, 1), 0), &q, 1);
    k->sub(k, kv(r.c, 0), kv(w.pt.c, 0), kv(w.u, 0), &q, 1);
    add_error(cx, r.c, rng, w.c, w.tmp, &q);
    ckks_ct_move(out, &r);
out:
    close_enc(&w, cx);
    ckks_ct_free(&r);
    return st;
}

int ckks_encrypt_secret(struct ckks_ct *out, struct ckks *cx, const double *re, const double *im,
                        size_t period, int level, const struct ckks_secret *s,
                        struct ckks_rng *rng) {
    return encrypt(out, cx, re, im, period, level, s, NULL, 0, rng);
}

int ckks_encrypt_seeded(struct ckks_ct *out, struct ckks *cx, const double *re, const double *im,
                        size_t period, const struct ckks_secret *s, const uint8_t seed[CKKS_SEED],
                        uint32_t which, struct ckks_rng *rng) {
    return encrypt(out, cx, re, im, period, 0, s, seed, which, rng);
}

int ckks_encrypt_public(struct ckks_ct *out, struct ckks *cx, const double *re, const double *im,
                        size_t period, int level, const struct ckks_public *p,
                        struct ckks_rng *rng) {
    int st = THOR_OK;
    struct enc_work w = {0};
    struct ckks_ct r = {0};
    size_t n = ckks_n(cx);
    if (p->params != cx->params)
        return thor_fail(THOR_KEY, "the public key is for parameter set %s", p->params->name);
    TRY(open_enc(&w, cx));
    TRY(encode_message(&r, cx, &w.pt, re, im, period, level, &w.full));
    struct kbasis q = ckks_basis(cx->params, level);
    struct kernels *k = cx->k;
    size_t skip = (size_t)(q.prime[0] -
                           cx->params->first_prime); /* rows of the key in front of the level's */
    ckks_rng_ternary(rng, w.c, n);
    k->lift(k, kv(w.u, 0), w.c, n, &q, 1);
    k->ntt_fwd(k, kv(w.u, 0), &q, 1, cx->params->log_n);
    k->upload(k, w.tmp, p->b + skip * n, (size_t)q.n * n);
    k->mul(k, kv(r.c, 0), kv(w.tmp, 0), kv(w.u, 0), &q, 1);
    k->add(k, kv(r.c, 0), kv(r.c, 0), kv(w.pt.c, 0), &q, 1);
    add_error(cx, r.c, rng, w.c, w.tmp, &q);
    for (int i = 0; !p->a && i < q.n; i++) {
        struct ckks_rng a;
        ckks_rng_init(&a, p->seed, (uint64_t)(skip + (size_t)i));
        ckks_rng_uniform(&a, w.host + (size_t)i * n, n, cx->params->prime[q.prime[i]]);
    }
    k->upload(k, w.tmp, p->a ? p->a + skip * n : w.host, (size_t)q.n * n);
    k->mul(k, kv(ct_poly(&r, 1), 0), kv(w.tmp, 0), kv(w.u, 0), &q, 1);
    add_error(cx, ct_poly(&r, 1), rng, w.c, w.tmp, &q);
    ckks_ct_move(out, &r);
out:
    close_enc(&w, cx);
    ckks_ct_free(&r);
    return st;
}

/* Coefficients of c0 + c1 s, centred modulo up to four mains. */
static int phase(double *coeff, const struct ckks_ct *a, const struct ckks_secret *s) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    struct kernels *k = cx->k;
    size_t n = ckks_n(cx);
    struct enc_work w = {0};
    TRY(open_enc(&w, cx));
    struct kbasis q = {0}, all = ckks_basis(cx->params, a->level);
    for (int i = 0; i < all.n && q.n < CKKS_CENTRED; i++)
        if (all.prime[i] >= cx->params->main0) q.prime[q.n++] = all.prime[i];
    size_t skip = (size_t)(cx->params->main0 - all.prime[0]) * n;
    secret_rows(cx, w.u, w.c, s, &q);
    k->mul(k, kv(w.u, 0), kv(w.u, 0), kv(ct_poly(a, 1) + skip, 0), &q, 1);
    k->add(k, kv(w.u, 0), kv(w.u, 0), kv(a->c + skip, 0), &q, 1);
    k->ntt_inv(k, kv(w.u, 0), &q, 1, cx->params->log_n);
    k->download(k, w.host, w.u, (size_t)q.n * n);
    TRY(k->sync(k));
    ckks_centred(coeff, cx, w.host, &q);
    sodium_memzero(w.host, (size_t)q.n * n * sizeof *w.host);
out:
    close_enc(&w, cx);
    return st;
}

int ckks_decrypt(double *re, double *im, const struct ckks_ct *a, const struct ckks_secret *s) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    size_t n = ckks_n(cx);
    double *coeff = NULL, *spare = NULL;
    if (s->params != cx->params)
        return thor_fail(THOR_KEY, "the secret key is for parameter set %s", s->params->name);
    if (a->polys != 2 || (a->pending && a->level > 0))
        return thor_fail(THOR_INTERNAL, "a product was decrypted before its rescale");
    coeff = malloc(n * sizeof *coeff);
    spare = im ? NULL : malloc(n / 2 * sizeof *spare);
    if (!coeff || (!im && !spare)) {
        st = thor_fail(THOR_MEMORY, "no memory to decrypt");
        goto out;
    }
    TRY(phase(coeff, a, s));
    double scale = a->pending ? ct_scale(a) * ct_scale(a) : ct_scale(a);
    for (size_t i = 0; i < n; i++) coeff[i] /= scale;
    TRY(ckks_fft_slots(cx, re, im ? im : spare, coeff));
out:
    if (coeff) sodium_memzero(coeff, n * sizeof *coeff);
    free(coeff);
    free(spare);
    return st;
}

int ckks_decrypt_rounded(double *re, double *im, const struct ckks_ct *a,
                         const struct ckks_secret *s, int bits) {
    int st = THOR_OK;
    size_t n = (size_t)ckks_slots(a->cx);
    double unit = ldexp(1, -bits);
    TRY(ckks_decrypt(re, im, a, s));
    for (size_t i = 0; i < n; i++) {
        re[i] = nearbyint(re[i] / unit) * unit;
        if (im) im[i] = nearbyint(im[i] / unit) * unit;
    }
out:
    return st;
}
