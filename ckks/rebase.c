/* "From basis A to basis B": the one rule behind rescaling, level adjustment and mod-down.
 *
 * With T the product of the primes of B outside A and D that of A outside B,
 *   y = round(w x T / D) over B:  r = [w T x]_D centred (base conversion of the removed limbs),
 *   y_b = (w T x_b - r) / D mod q_b, x_b = 0 for the primes that are new.
 * Error: |y - w x T / D| <= 1/2 + 2^-28 or so per coefficient (the conversion is centred; a plain one would
 * give a bias of half the number of removed limbs).  Level steps: l odd -> l-1 removes the terminals; l even,
 * l <= 16, removes three mains and brings the terminals; above 16 it removes two mains.  Mod-down removes
 * the specials; both at once are one conversion from at most 16 primes. */
#include <string.h>

#include "ckks/internal.h"

static int place_in(const struct kbasis *b, int prime) {
    for (int i = 0; i < b->n; i++)
        if (b->prime[i] == prime) return i;
    return -1;
}

struct kbasis ckks_with_special(struct kbasis b) {
    for (int i = CKKS_SPECIAL0; i < CKKS_PRIMES; i++) b.prime[b.n++] = (uint8_t)i;
    return b;
}

static uint32_t product_mod(const struct ckks_params *p, const struct kbasis *f, uint32_t q) {
    uint32_t r = 1;
    for (int i = 0; i < f->n; i++) r = mul_mod(r, p->prime[f->prime[i]] % q, q);
    return r;
}

/* Copy the rows of `sub` (runs of consecutive rows of A) out of x, densely. */
static void gather_rows(struct ckks *cx, uint32_t *dst, const struct kbasis *sub, uint32_t *x, int xpitch,
                        const struct kbasis *A, int polys) {
    size_t n = ckks_n(cx);
    for (int i = 0; i < sub->n;) {
        int a = place_in(A, sub->prime[i]), len = 1;
        while (i + len < sub->n && place_in(A, sub->prime[i + len]) == a + len) len++;
        cx->k->copy(cx->k, kv(dst + (size_t)i * n, sub->n), kv(x + (size_t)a * n, xpitch), len, polys);
        i += len;
    }
}

int ckks_rebase(struct ckks *cx, uint32_t *out, int opitch, const struct kbasis *B, uint32_t *x, int xpitch,
                const struct kbasis *A, uint64_t w, int polys) {
    int st = THOR_OK;
    const struct ckks_params *p = cx->params;
    struct kernels *k = cx->k;
    size_t n = ckks_n(cx);
    struct kbasis rem = {0}, add = {0}, keep = {0};
    for (int i = 0; i < A->n; i++)
        if (place_in(B, A->prime[i]) < 0) rem.prime[rem.n++] = A->prime[i];
        else keep.prime[keep.n++] = A->prime[i];
    for (int i = 0; i < B->n; i++)
        if (place_in(A, B->prime[i]) < 0) add.prime[add.n++] = B->prime[i];

    uint32_t pre[KERN_MAX_LIMBS], sx[KERN_MAX_LIMBS], sy[KERN_MAX_LIMBS], *r = NULL, *t = NULL;
    const struct kbconv *conv;
    for (int i = 0; i < rem.n; i++) {
        uint32_t q = p->prime[rem.prime[i]];
        pre[i] = mul_mod((uint32_t)(w % q), product_mod(p, &add, q), q);
    }
    for (int i = 0; i < B->n; i++) {
        uint32_t q = p->prime[B->prime[i]], d = kern_inv_mod(product_mod(p, &rem, q), q);
        sy[i] = q - d;
        sx[i] = mul_mod(mul_mod((uint32_t)(w % q), product_mod(p, &add, q), q), d, q);
    }
    TRY(ckks_bconv_get(&conv, cx, &rem, B));
    TRY(k->alloc(k, &r, (size_t)(polys * rem.n)));
    TRY(k->alloc(k, &t, (size_t)(polys * B->n)));
    gather_rows(cx, r, &rem, x, xpitch, A, polys);
    k->ntt_inv(k, kv(r, rem.n), &rem, polys, p->log_n);
    k->bconv(k, kv(t, B->n), kv(r, rem.n), pre, conv, 1, polys);
    k->ntt_fwd(k, kv(t, B->n), B, polys, p->log_n);
    /* new primes stand in front of the kept ones, and both are runs */
    if (add.n) {
        struct kvec none = {NULL, 0};
        k->lincomb(k, kv(out, opitch), kv(t, B->n), sy, none, NULL, &add, polys);
    }
    size_t skip = (size_t)add.n * n;
    k->lincomb(k, kv(out + skip, opitch), kv(x + (size_t)place_in(A, keep.prime[0]) * n, xpitch), sx + add.n,
               kv(t + skip, B->n), sy + add.n, &keep, polys);
out:
    k->release(k, r);
    k->release(k, t);
    return st;
}
