/* Shapes of keys: digits, rows, bytes, and which keys may exist. */
#include "ckks/internal.h"

int ckks_digit_of(const struct ckks_params *p, int prime) {
    int d = 0;
    while (prime >= p->digit_end[d]) d++;
    return d;
}

/* Limbs of a key's rows: terminals (but in n12) and mains of the level, then the specials.  The key
 * into the sparse secret lives at the two primes of level 0 and one special prime alone (logQP
 * 83.6), which is what makes a secret of weight 32 safe there.  The key out of it switches a
 * polynomial that is smaller than q_0: one digit. */
struct kbasis ckks_key_basis(const struct ckks_params *p, uint32_t id, int level, int *digits) {
    struct kbasis b = ckks_basis(p, level), r = {0};
    if (id == CKKS_KEY_TO_SPARSE) {
        b.prime[b.n++] = (uint8_t)p->special0;
        *digits = 2;
        return b;
    }
    int last = b.prime[b.n - 1];
    for (int i = p->first_prime; i <= last; i++) r.prime[r.n++] = (uint8_t)i;
    *digits = id == CKKS_KEY_FROM_SPARSE ? 1 : ckks_digit_of(p, last) + 1;
    return ckks_with_special(p, r);
}

int ckks_key_check(const struct ckks_params *p, uint32_t id, int level) {
    int galois = id % 2 == 1 && id < (2u << p->log_n);
    if (!galois && id != CKKS_KEY_RELIN && id != CKKS_KEY_TO_SPARSE && id != CKKS_KEY_FROM_SPARSE)
        return thor_fail(THOR_KEY, "%u names a key for no operation", id);
    if (id == CKKS_KEY_TO_SPARSE && level != 0)
        return thor_fail(
            THOR_KEY, "the key to the sparse secret is at level %d: it is only secure at level 0",
            level);
    int st = ckks_params_check(p, level);
    if (!st && !galois && id != CKKS_KEY_RELIN && !p->thirds)
        st = thor_fail(THOR_KEY, "parameter set %s has no bootstrap, and no key for one", p->name);
    return st;
}

size_t ckks_ksk_rows(const struct ckks_params *p, uint32_t id, int level, int *digits) {
    return (size_t)ckks_key_basis(p, id, level, digits).n;
}

size_t ckks_needs_bytes(const struct ckks *cx, const struct ckks_need *need, int n) {
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        int digits;
        size_t rows = ckks_ksk_rows(cx->params, need[i].id, need[i].level, &digits);
        sum += rows * (size_t)digits * ckks_key_halves(cx) * sizeof(uint32_t) << cx->params->log_n;
    }
    return sum;
}

struct kbasis ckks_public_basis(const struct ckks_params *p) {
    struct kbasis b = ckks_basis(p, p->max_level), r = {0};
    for (int i = p->first_prime; i <= b.prime[b.n - 1]; i++) r.prime[r.n++] = (uint8_t)i;
    return r;
}
