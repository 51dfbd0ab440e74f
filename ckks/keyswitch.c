/* Hybrid key switching.
 *
 * Digits of the chain: D0 = the terminals and 11 mains, then 12, 12 and 13 mains; each product is
 * below P.
 * A key for secret s' -> s holds per digit j the pair (b_j, a_j),
 *   b_j = -a_j s + e_j + [i in D_j] P s' mod q_i.
 *   decompose: limbs of digit j of c, extended to all limbs of the level and to P (plain conversion
 *              below level 27: a representative in [0, 13 Q_j) costs nothing; centred at 27, noise
 *              2^4.3 against 2^7)
 *   inner:     sum_j digit_j (b_j, a_j) over limbs and P; an automorphism is applied to the digits
 *              here, so one decomposition serves all rotations of a ciphertext (hoisting)
 *   switch:    both at once, for digits that are used once: the automorphism comes before, to
 *              fewer rows, and the digits are never stored
 *   n12: a digit is one main, centred, below the one special prime
 *   mod-down:  divide by P, rounded and centred (rebase.c).
 * Noise after a switch: standard deviation 2^3.9 at N = 2^12, growing with sqrt N. */
#include <string.h>

#include "ckks/internal.h"

uint32_t ckks_galois(const struct ckks *cx, int r) {
    return ckks_key_rotation(cx->params, r);
}

/* Digits of one prime are a representative in [0, q) otherwise, twice the noise. */
static int is_centred(const struct ckks *cx, int level) {
    return level >= cx->params->centred_from;
}

/* The digits of the limbs of a level, extended to `ext`; returns how many. */
static int digits_of(struct kdigit digit[CKKS_DIGITS], struct ckks *cx, const struct kbasis *q,
                     const struct kbasis *ext, int *st) {
    int first = q->prime[0], last = q->prime[q->n - 1], count = ckks_digit_of(cx->params, last) + 1;
    const int *end = cx->params->digit_end;
    for (int j = 0; j < count && *st == THOR_OK; j++) {
        int lo = j ? end[j - 1] : first, hi = j == count - 1 ? last + 1 : end[j];
        struct kbasis src = {.n = hi - lo};
        for (int i = 0; i < src.n; i++) src.prime[i] = (uint8_t)(lo + i);
        digit[j].first = lo - first;
        digit[j].n = src.n;
        *st = ckks_bconv_get(&digit[j].conv, cx, &src, ext);
    }
    return count;
}

int ckks_decompose(struct ckks *cx, uint32_t **digits, int *nd, uint32_t *c, int level) {
    int st = THOR_OK;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, level), ext = ckks_with_special(cx->params, q);
    struct kdigit digit[CKKS_DIGITS];
    uint32_t *work = NULL;
    *digits = NULL;
    *nd = digits_of(digit, cx, &q, &ext, &st);
    TRY(st);
    TRY(k->alloc(k, &work, (size_t)q.n));
    TRY(k->alloc(k, digits, (size_t)(*nd * ext.n)));
    cx->count.decompositions++;
    k->mod_up(k, kv(*digits, ext.n), c, work, digit, *nd, &ext, is_centred(cx, level));
out:
    k->release(k, work);
    return st;
}

/* The pairs of key `id` for the digits of a level. */
static int key_of(struct kkey *out, struct ckks *cx, uint32_t id, uint32_t g, int level) {
    int st;
    struct kbasis q = ckks_basis(cx->params, level), ext = ckks_with_special(cx->params, q);
    const struct ckks_ksk *key = ckks_find_key(cx, id, level, &st);
    if (st) return st;
    size_t krows = key ? (size_t)key->rows : (size_t)(CKKS_TERMINALS + ext.n); /* dry: any layout */
    int behind = (int)krows - (ext.n - q.n); /* rows of the key before its specials */
    int first = q.prime[0] - cx->params->first_prime;
    *out = (struct kkey){.pitch = krows,
                         .split = q.n,
                         .gap = behind - first - q.n,
                         .g = g,
                         .seed = ckks_key_seed(cx, key),
                         .first = first};
    for (int j = 0; key && j < CKKS_DIGITS; j++)
        out->digit[j] =
            key->data + ((size_t)j * ckks_key_halves(cx) * krows + (size_t)first) * ckks_n(cx);
    return THOR_OK;
}

/* factor: KERN_MAX_LIMBS words, which have to stay for the call */
static struct kplus joining(uint32_t *factor, const struct ckks *cx, const struct ckks_plus *plus,
                            int level) {
    struct kbasis q = ckks_basis(cx->params, level);
    for (int i = 0; i < q.n; i++) factor[i] = cx->tables->special[q.prime[i]];
    return (struct kplus){.v = plus->v,
                          .polys = plus->polys,
                          .rows = plus->divided ? q.n : ckks_with_special(cx->params, q).n,
                          .s = plus->divided ? factor : NULL};
}

int ckks_inner(struct ckks *cx, const struct kvec *acc, uint32_t *digits, int nd, const uint32_t *g,
               int n, int level, const struct ckks_plus *plus) {
    int st = THOR_OK;
    struct kbasis ext = ckks_with_special(cx->params, ckks_basis(cx->params, level));
    /* of keys that come and go, one at a time */
    int most = cx->keys && cx->keys->store ? 1 : KERN_MAX_KEYS;
    uint32_t factor[KERN_MAX_LIMBS];
    struct kplus joins = joining(factor, cx, plus, level);
    struct kkey key[KERN_MAX_KEYS];
    for (int i = 0; i < n; i += most) {
        int now = n - i < most ? n - i : most;
        for (int j = 0; j < now; j++) TRY(key_of(&key[j], cx, g[i + j], g[i + j], level));
        cx->k->key_sum(cx->k, acc + i, kv(digits, ext.n), nd, key, now, &joins, &ext);
    }
    cx->count.hoisted += (uint64_t)n;
out:
    return st;
}

int ckks_inner_whole(struct ckks *cx, uint32_t *acc, uint32_t *digit, uint32_t id, int level,
                     const struct ckks_plus *plus) {
    int st = THOR_OK;
    struct kbasis ext = ckks_with_special(cx->params, ckks_basis(cx->params, level));
    uint32_t factor[KERN_MAX_LIMBS];
    struct kplus joins = joining(factor, cx, plus, level);
    const struct kvec to = kv(acc, ext.n);
    struct kkey key;
    TRY(key_of(&key, cx, id, 1, level));
    cx->k->key_sum(cx->k, &to, kv(digit, ext.n), 1, &key, 1, &joins, &ext);
    cx->count.hoisted++;
out:
    return st;
}

int ckks_switch(struct ckks *cx, uint32_t *const *acc, const uint32_t *const *c, int n, uint32_t id,
                uint32_t g, int level, int accumulate, const struct ckks_plus *plus) {
    int st = THOR_OK;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, level), ext = ckks_with_special(cx->params, q);
    struct kdigit digit[CKKS_DIGITS];
    uint32_t factor[KERN_MAX_LIMBS], *work = NULL;
    struct kkey key;
    struct kplus joins[KERN_MAX_SUMS];
    struct kvec to[KERN_MAX_SUMS];
    int nd = digits_of(digit, cx, &q, &ext, &st);
    TRY(st);
    TRY(key_of(&key, cx, id, g, level));
    key.accumulate = accumulate;
    for (int i = 0; i < n; i++) {
        joins[i] = joining(factor, cx, &plus[i], level);
        to[i] = kv(acc[i], ext.n);
    }
    TRY(k->alloc(k, &work, (size_t)(n * (q.n + nd * ext.n))));
    k->mod_up_sum(k, to, c, n, work, digit, nd, &key, joins, &ext, is_centred(cx, level));
    cx->count.decompositions += (uint64_t)n;
    cx->count.hoisted += (uint64_t)n;
out:
    k->release(k, work);
    return st;
}

int ckks_keyswitch(struct ckks_ct *out, const struct ckks_ct *a, uint32_t *c0, uint32_t *c1,
                   uint32_t id, uint32_t g) {
    int st = THOR_OK;
    struct ckks *cx = a->cx;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, a->level), ext = ckks_with_special(cx->params, q);
    const struct ckks_plus plus = {kv(c0, 0), 1, 1};
    const uint32_t *const from = c1;
    uint32_t *acc = NULL;
    struct ckks_ct r = {0};
    TRY(ckks_ct_make(&r, cx, 2, a->level));
    r.pending = a->pending;
    r.boot = a->boot;
    TRY(k->alloc(k, &acc, (size_t)(2 * ext.n)));
    TRY(ckks_switch(cx, &acc, &from, 1, id, g, a->level, 0, &plus));
    TRY(ckks_rebase(cx, r.c, r.rows, &q, acc, ext.n, &ext, 1, 2));
    ckks_ct_move(out, &r);
out:
    k->release(k, acc);
    ckks_ct_free(&r);
    return st;
}
