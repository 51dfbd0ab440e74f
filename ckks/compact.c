/* Short forms of ciphertexts at level 0, for ways on which every byte counts.
 *
 * Q is a product of two primes there, below 2^56, and a coefficient one number below it.  Half a of
 * a fresh ciphertext is a seed's; of the other, and of both halves of a result, the lowest bits can
 * go: rounding to multiples of 2^drop adds an error uniform in +-2^(drop-1) to each coefficient,
 * of variance 4^drop / 12, which half a multiplies by the secret: by 2 N / 3 on average. */
#include <stdlib.h>

#include "ckks/internal.h"

static int check_short(const struct ckks_ct *a, int poly, int drop) {
    if (a->c && a->level == 0 && ckks_ct_limbs(a) == 2 && poly >= 0 && poly < a->polys &&
        drop >= 0 && drop < 56)
        return THOR_OK;
    return thor_fail(THOR_INTERNAL, "no short form of polynomial %d at level %d less %d bits", poly,
                     a->level, drop);
}

int ckks_short_bits(const struct ckks_params *p, int drop) {
    const struct kbasis q = ckks_basis(p, 0);
    uint64_t top = (uint64_t)p->prime[q.prime[0]] * p->prime[q.prime[1]] - 1;
    if (drop > 0) top = (top + ((uint64_t)1 << (drop - 1))) >> drop;
    return 64 - __builtin_clzll(top | 1);
}

int ckks_ct_shorten(uint64_t *c, const struct ckks_ct *a, int poly, int drop) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    const struct kbasis q = ckks_basis(cx->params, 0);
    const size_t n = ckks_n(cx);
    uint32_t *rows = NULL, *host = malloc(2 * n * sizeof *host);
    TRY(check_short(a, poly, drop));
    if (!host) TRY(thor_fail(THOR_MEMORY, "no memory for a ciphertext"));
    TRY(cx->k->alloc(cx->k, &rows, (size_t)q.n));
    cx->k->copy(cx->k, kv(rows, q.n), kv(ct_poly(a, poly), a->rows), q.n, 1);
    cx->k->ntt_inv(cx->k, kv(rows, q.n), &q, 1, cx->params->log_n);
    cx->k->download(cx->k, host, rows, 2 * n);
    TRY(cx->k->sync(cx->k));
    const uint32_t q0 = cx->params->prime[q.prime[0]], q1 = cx->params->prime[q.prime[1]];
    const uint64_t inv = kern_inv_mod(q0 % q1, q1), half = drop ? (uint64_t)1 << (drop - 1) : 0;
    for (size_t i = 0; i < n; i++) {
        const uint32_t x0 = host[i], x1 = host[n + i];
        const uint64_t d = (x1 + q1 - x0 % q1) * inv % q1;
        c[i] = (x0 + d * q0 + half) >> drop;
    }
out:
    cx->k->release(cx->k, rows);
    free(host);
    return st;
}

int ckks_ct_lengthen(struct ckks_ct *a, int poly, const uint64_t *c, int drop) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    const struct kbasis q = ckks_basis(cx->params, 0);
    const size_t n = ckks_n(cx);
    int64_t *long_form = malloc(n * sizeof *long_form);
    TRY(check_short(a, poly, drop));
    if (!long_form) TRY(thor_fail(THOR_MEMORY, "no memory for a ciphertext"));
    for (size_t i = 0; i < n; i++) {
        if (c[i] >> (57 - drop))
            TRY(thor_fail(THOR_USAGE, "a coefficient of a ciphertext above its modulus"));
        long_form[i] = (int64_t)(c[i] << drop);
    }
    struct kvec to = kv(ct_poly(a, poly), a->rows);
    cx->k->lift(cx->k, to, long_form, n, &q, 1);
    cx->k->ntt_fwd(cx->k, to, &q, 1, cx->params->log_n);
out:
    free(long_form);
    return st;
}

int ckks_ct_uniform(struct ckks_ct *a, const uint8_t seed[CKKS_SEED], uint32_t which) {
    int st = THOR_OK;
    const struct kbasis q = ckks_basis(a->cx->params, 0);
    TRY(check_short(a, 1, 0));
    a->cx->k->uniform(a->cx->k, kv(ct_poly(a, 1), a->rows), seed, 64 * which, &q, 1);
out:
    return st;
}
