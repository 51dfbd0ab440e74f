/* Hybrid key switching.
 *
 * Digits of the chain: D0 = the terminals and 11 mains, then 12, 12 and 13 mains; each product is below P.
 * A key for secret s' -> s holds per digit j the pair (b_j, a_j), b_j = -a_j s + e_j + [i in D_j] P s' mod q_i.
 *   decompose: limbs of digit j of c, extended to all limbs of the level and to P (plain conversion below
 *              level 27: a representative in [0, 13 Q_j) costs nothing; centred at 27, noise 2^4.3 against 2^7)
 *   inner:     sum_j digit_j (b_j, a_j) over limbs and P; an automorphism is applied to the digits here, so one
 *              decomposition serves all rotations of a ciphertext (hoisting); for a single rotation it is applied
 *              before, to fewer rows
 *   mod-down:  divide by P, rounded and centred (rebase.c).
 * Noise after a switch: standard deviation 2^3.9 at N = 2^12, growing with sqrt N. */
#include <string.h>

#include "ckks/internal.h"

const int ckks_digit_end[CKKS_DIGITS] = {13, 25, 37, 50};

uint32_t ckks_galois(const struct ckks *cx, int r) {
    uint32_t m = 2u << cx->params->log_n, g = 1, base = 5;
    int n = ckks_slots(cx);
    for (int e = ((r % n) + n) % n; e; e >>= 1) {
        if (e & 1) g = (uint32_t)((uint64_t)g * base % m);
        base = (uint32_t)((uint64_t)base * base % m);
    }
    return g;
}

const struct ckks_ksk *ckks_find_key(struct ckks *cx, uint32_t id, int level, int *st) {
    *st = THOR_OK;
    if (ckks_is_dry(cx)) {
        ckks_note_need(cx, id, level);
        return NULL;
    }
    int lo = 0, hi = cx->keys ? cx->keys->n : 0;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (cx->keys->key[mid].id < id) lo = mid + 1;
        else hi = mid;
    }
    if (cx->keys && lo < cx->keys->n && cx->keys->key[lo].id == id && cx->keys->key[lo].level >= level)
        return cx->keys->store && (*st = ckks_keystore_use(cx->keys->store, lo)) ? NULL : &cx->keys->key[lo];
    *st = thor_fail(THOR_KEY, "the evaluation keys lack key %u at level %d: make keys for this model and length",
                    id, level);
    return NULL;
}

int ckks_digit_of(int prime) {
    int d = 0;
    while (prime >= ckks_digit_end[d]) d++;
    return d;
}

/* `rows` rows under X -> X^g. */
static void take(struct kernels *k, uint32_t *dst, uint32_t *src, uint32_t g, int rows) {
    if (g == 1) k->copy(k, kv(dst, 0), kv(src, 0), rows, 1);
    else k->autom(k, kv(dst, 0), kv(src, 0), g, rows, 1);
}

int ckks_decompose(struct ckks *cx, uint32_t **digits, int *nd, uint32_t *c, uint32_t g, int level) {
    int st = THOR_OK;
    struct kernels *k = cx->k;
    size_t n = ckks_n(cx);
    struct kbasis q = ckks_basis(level), ext = ckks_with_special(q);
    int first = q.prime[0], last = q.prime[q.n - 1], count = ckks_digit_of(last) + 1;
    uint32_t *coef = NULL, *d = NULL;
    *digits = NULL;
    TRY(k->alloc(k, &coef, (size_t)q.n));
    TRY(k->alloc(k, &d, (size_t)(count * ext.n)));
    cx->count.decompositions++;
    take(k, coef, c, g, q.n);
    k->ntt_inv(k, kv(coef, q.n), &q, 1, cx->params->log_n);
    for (int j = 0; j < count; j++) {
        int lo = j ? ckks_digit_end[j - 1] : 0, hi = ckks_digit_end[j];
        if (lo < first) lo = first;
        if (hi > last + 1) hi = last + 1;
        struct kbasis src = {0}, part[2] = {{0}};
        for (int i = lo; i < hi; i++) src.prime[src.n++] = (uint8_t)i;
        for (int i = 0; i < ext.n; i++) {
            int pr = ext.prime[i], side = pr >= hi;
            if (pr >= lo && pr < hi) continue;
            part[side].prime[part[side].n++] = (uint8_t)pr;
        }
        uint32_t *row = d + (size_t)j * (size_t)ext.n * n;
        for (int side = 0; side < 2; side++) {
            if (!part[side].n) continue;
            const struct kbconv *conv;
            uint32_t *dst = row + (side ? (size_t)(hi - first) * n : 0);
            TRY(ckks_bconv_get(&conv, cx, &src, &part[side]));
            k->bconv(k, kv(dst, part[side].n), kv(coef + (size_t)(lo - first) * n, src.n), NULL, conv,
                     level >= CKKS_TOP, 1);
            k->ntt_fwd(k, kv(dst, part[side].n), &part[side], 1, cx->params->log_n);
        }
        take(k, row + (size_t)(lo - first) * n, c + (size_t)(lo - first) * n, g, src.n);
    }
    *digits = d;
    *nd = count;
    d = NULL;
out:
    k->release(k, coef);
    k->release(k, d);
    return st;
}

int ckks_inner(struct ckks *cx, uint32_t *acc, uint32_t *digits, int nd, uint32_t id, uint32_t g, int level,
               int accumulate) {
    int st;
    size_t n = ckks_n(cx);
    struct kbasis q = ckks_basis(level), sp = {0};
    sp = ckks_with_special(sp);
    int ext = q.n + sp.n;
    const struct ckks_ksk *key = ckks_find_key(cx, id, level, &st);
    if (st) return st;
    size_t krows = key ? (size_t)key->rows : (size_t)(CKKS_TERMINALS + ext); /* dry: any layout */
    uint32_t *kd = key ? key->data : acc;
    struct kterm t[CKKS_DIGITS];
    for (int part = 0; part < 2; part++) { /* limbs of the level, then the specials */
        size_t krow = part ? krows - (size_t)sp.n : q.prime[0];
        for (int j = 0; j < nd; j++) {
            t[j].a = digits + ((size_t)j * (size_t)ext + (part ? (size_t)q.n : 0)) * n;
            t[j].a_pitch = 0;
            t[j].b = kd + ((size_t)j * 2 * krows + krow) * n;
            t[j].b_pitch = krows;
        }
        cx->k->dot(cx->k, kv(acc + (part ? (size_t)q.n * n : 0), ext), t, nd, g, 0, accumulate, part ? &sp : &q, 2);
    }
    cx->count.hoisted++;
    return THOR_OK;
}

/* out = (c0, 0) + switched c1, both under the automorphism g; pending and branch as in a. */
int ckks_keyswitch(struct ckks_ct *out, const struct ckks_ct *a, uint32_t *c0, uint32_t *c1, uint32_t id, uint32_t g) {
    int st = THOR_OK, nd;
    struct ckks *cx = a->cx;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(a->level), ext = ckks_with_special(q);
    uint32_t *digits = NULL, *acc = NULL, *t = NULL;
    struct ckks_ct r = {0};
    TRY(ckks_ct_make(&r, cx, 2, a->level));
    r.pending = a->pending;
    r.boot = a->boot;
    if (g != 1) {
        TRY(k->alloc(k, &t, (size_t)q.n));
        k->autom(k, kv(t, 0), kv(c0, 0), g, q.n, 1);
        c0 = t;
    }
    TRY(ckks_decompose(cx, &digits, &nd, c1, g, a->level));
    TRY(k->alloc(k, &acc, (size_t)(2 * ext.n)));
    TRY(ckks_inner(cx, acc, digits, nd, id, 1, a->level, 0));
    TRY(ckks_rebase(cx, r.c, r.rows, &q, acc, ext.n, &ext, 1, 2));
    k->add(k, kv(r.c, 0), kv(r.c, 0), kv(c0, 0), &q, 1);
    ckks_ct_move(out, &r);
out:
    k->release(k, digits);
    k->release(k, acc);
    k->release(k, t);
    ckks_ct_free(&r);
    return st;
}
