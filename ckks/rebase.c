/* "From basis A to basis B": the one rule behind rescaling, level adjustment and mod-down.
 *
 * With T the product of the primes of B outside A and D that of A outside B,
 *   y = round(w x T / D) over B:  r = [w T x]_D centred (base conversion of the removed limbs),
 *   y_b = (w T x_b - r) / D mod q_b, x_b = 0 for the primes that are new.
 * Error: |y - w x T / D| <= 1/2 + 2^-28 or so per coefficient (the conversion is centred; a plain
 * one would give a bias of half the number of removed limbs).  Level steps: l odd -> l-1 removes
 * the terminals; l even, l <= 16, removes three mains and brings the terminals; above 16 it removes
 * two mains.  Mod-down removes the specials; both at once are one conversion from at most 16
 * primes. */
#include <string.h>

#include "ckks/internal.h"

static int place_in(const struct kbasis *b, int prime) {
    for (int i = 0; i < b->n; i++)
        if (b->prime[i] == prime) return i;
    return -1;
}

struct kbasis ckks_with_special(const struct ckks_params *p, struct kbasis b) {
    for (int i = 0; i < p->specials; i++) b.prime[b.n++] = (uint8_t)(p->special0 + i);
    return b;
}

static uint32_t product_mod(const struct ckks_params *p, const struct kbasis *f, uint32_t q) {
    uint32_t r = 1;
    for (int i = 0; i < f->n; i++) r = mul_mod(r, p->prime[f->prime[i]] % q, q);
    return r;
}

int ckks_rebase_plus(struct ckks *cx, uint32_t *out, int opitch, const struct kbasis *B,
                     uint32_t *x, int xpitch, const struct kbasis *A, uint64_t w, int polys,
                     const uint32_t *plus) {
    int st = THOR_OK;
    const struct ckks_params *p = cx->params;
    struct kernels *k = cx->k;
    struct krebase r = {.to = *B, .kept = -1, .plus = plus};
    struct kbasis add = {0};
    uint32_t *work = NULL;
    for (int i = 0; i < A->n; i++) {
        if (place_in(B, A->prime[i]) >= 0) { /* a run, behind the new primes of B */
            if (r.kept < 0) r.kept = i;
            continue;
        }
        r.row[r.from.n] = (uint8_t)i;
        r.from.prime[r.from.n++] = A->prime[i];
    }
    for (int i = 0; i < B->n; i++)
        if (place_in(A, B->prime[i]) < 0) add.prime[add.n++] = B->prime[i];
    r.fresh = add.n;
    for (int i = 0; i < r.from.n; i++) {
        uint32_t q = p->prime[r.from.prime[i]];
        r.pre[i] = mul_mod((uint32_t)(w % q), product_mod(p, &add, q), q);
    }
    for (int i = 0; i < B->n; i++) {
        uint32_t q = p->prime[B->prime[i]], d = kern_inv_mod(product_mod(p, &r.from, q), q);
        r.sy[i] = q - d;
        r.sx[i] = mul_mod(mul_mod((uint32_t)(w % q), product_mod(p, &add, q), q), d, q);
    }
    TRY(ckks_bconv_get(&r.conv, cx, &r.from, B));
    TRY(k->alloc(k, &work, (size_t)(polys * (r.from.n + B->n))));
    k->rebase(k, kv(out, opitch), kv(x, xpitch), work, &r, polys);
out:
    k->release(k, work);
    return st;
}

int ckks_rebase(struct ckks *cx, uint32_t *out, int opitch, const struct kbasis *B, uint32_t *x,
                int xpitch, const struct kbasis *A, uint64_t w, int polys) {
    return ckks_rebase_plus(cx, out, opitch, B, x, xpitch, A, w, polys, NULL);
}
