/* The named sets: their prime chain, the scales of the levels and the security gate.
 *
 * Chain (place: what).  0, 1: terminals t (41.56 bits together).  2 .. 49: the 48 mains: a pair for
 * level 0, then eight triples, one for two levels each ("three primes for two levels"), then eight
 * pairs for EvalMod and three for CoeffsToSlots.  50 .. 62: the 13 special primes P of key
 * switching (363.51 bits). All are = 1 mod 2^17, so one chain serves every ring up to N = 2^16;
 * mains and specials lie in [2^27, 2^28).  The 48 mains were grouped so that all pairs and all
 * triples have nearly equal products: tests/constants.py has the rule, and makes the table again.
 *
 * Basis of a level: l <= 16 even: the first 2 + 3 l/2 mains; l odd: those of l-1 and the terminals
 * (in front); l > 16: 26 + 2 (l - 16) mains.  Every basis is a run of consecutive places.
 *
 * Scales.  S_l = sqrt(S_(l-1) Q_l/Q_(l-1)) upwards from S_0 = 2^((odd + 2 mean even)/3), the fixed
 * point of the mean steps: then a product at level l, of scale S_l^2, rescales to S_(l-1) exactly.
 * Inside a bootstrap B_16 = S_16 q_0/S_0 and B_l = sqrt(B_(l-1) Q_l/Q_(l-1)): relabelling B_16 as
 * S_16 at its end is exact.
 *
 * Security: uniform ternary secret, 128 bits classical, Bossuat et al., "Security Guidelines for
 * Implementing Homomorphic Encryption" (eprint 2024/463): logQP <= 106, 214, 430, 868, 1747, 3523
 * for N = 2^12 .. 2^17.  The union of all 63 primes has 1738.05 bits.
 *
 * n12, for products of fresh ciphertexts with plaintexts and nothing behind them (split/): level 0
 * alone, one special prime and a digit for each of the two mains: logQP 83.55.  Results stay at the
 * scale of a product, of which S_0 = 2^26 is half. */
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "ckks/internal.h"

/* clang-format off */
static const uint32_t chain[CKKS_PRIMES] = {
    1179649, 2752513,
    207880193, 254279681,
    222035969, 224133121, 239337473, 224002049, 225574913, 235798529,
    219676673, 228720641, 236716033, 220594177, 228458497, 236584961,
    222953473, 228065281, 234356737, 221249537, 231473153, 232390657,
    222167041, 230424577, 232652801, 223215617, 230686721, 230817793,
    209059841, 253493249, 210370561, 253100033, 211025921, 249561089, 211812353, 246415361,
    214171649, 245760001, 215482369, 245235713, 215744513, 244973569, 216137729, 244842497,
    216924161, 241827841, 217317377, 240648193, 218628097, 239861761,
    268042241, 265420801, 264634369, 263454721, 263323649, 261881857, 261488641,
    260702209, 260571137, 258605057, 257949697, 256770049, 256376833};
/* clang-format on */

enum { SETS = 7 };
static struct ckks_params sets[SETS];
static pthread_once_t sets_once = PTHREAD_ONCE_INIT;

struct kbasis ckks_basis(const struct ckks_params *p, int level) {
    struct kbasis b = {0};
    for (int i = p->first[level]; i <= p->last[level]; i++) b.prime[b.n++] = (uint8_t)i;
    return b;
}

static double log_places(const struct ckks_params *p, int first, int last) {
    double s = 0;
    for (int i = first; i <= last; i++) s += log2(p->prime[i]);
    return s;
}

/* All limbs a key for `level` may carry: terminals, mains of the level, specials. */
double ckks_log_modulus(const struct ckks_params *p, int level, int with_special) {
    if (!with_special) return log_places(p, p->first[level], p->last[level]);
    return log_places(p, p->first_prime, p->last[level]) +
           log_places(p, p->special0, p->special0 + p->specials - 1);
}

double ckks_level_step(const struct ckks_params *p, int level) {
    struct kbasis a = ckks_basis(p, level), b = ckks_basis(p, level - 1);
    double r = 1;
    for (int i = 0; i < a.n; i++)
        if (a.prime[i] < b.prime[0] || a.prime[i] > b.prime[b.n - 1]) r *= p->prime[a.prime[i]];
    for (int i = 0; i < b.n; i++)
        if (b.prime[i] < a.prime[0] || b.prime[i] > a.prime[a.n - 1]) r /= p->prime[b.prime[i]];
    return r;
}

double ckks_log_qp_limit(int log_n) {
    static const double bits[] = {106, 214, 430, 868, 1747, 3523};
    return log_n >= 12 && log_n <= 17 ? bits[log_n - 12] : 0;
}

static void fill_bases(struct ckks_params *p) {
    for (int level = 0; level <= CKKS_TOP; level++) {
        int high = level > CKKS_MSG_TOP,
            mains = high ? 26 + 2 * (level - CKKS_MSG_TOP) : 2 + 3 * (level / 2);
        p->first[level] = !high && level % 2 ? 0 : CKKS_TERMINALS;
        p->last[level] = (uint8_t)(CKKS_TERMINALS + mains - 1);
    }
}

static void fill_scales(struct ckks_params *p) {
    double even = 0, odd = log2(ckks_level_step(p, 1));
    for (int l = 2; l <= CKKS_MSG_TOP; l += 2)
        even += log2(ckks_level_step(p, l)) / (CKKS_MSG_TOP / 2);
    p->scale[0] = exp2((odd + 2 * even) / 3);
    for (int l = 1; l <= CKKS_MSG_TOP; l++)
        p->scale[l] = sqrt(p->scale[l - 1] * ckks_level_step(p, l));
    p->boot_scale[CKKS_MSG_TOP] =
        p->scale[CKKS_MSG_TOP] * ((double)chain[2] * (double)chain[3]) / p->scale[0];
    for (int l = CKKS_MSG_TOP + 1; l <= CKKS_TOP; l++)
        p->boot_scale[l] = sqrt(p->boot_scale[l - 1] * ckks_level_step(p, l));
}

void ckks_params_measure(struct ckks_params *p, int secure) {
    p->log_q = ckks_log_modulus(p, p->top_level, 0);
    p->log_qp = ckks_log_modulus(p, p->top_level, 1);
    p->log_p = log_places(p, p->special0, p->special0 + p->specials - 1);
    p->log_qp_limit = secure ? ckks_log_qp_limit(p->log_n) : 0;
    p->security_bits = secure ? 128 : 0;
}

/* What keys hold: all of the chain, or (n12) the mains of level 0 and one special prime. */
static void fill_keys(struct ckks_params *p, int level0) {
    static const int whole[CKKS_DIGITS] = {13, 25, 37, 50},
                     single[CKKS_DIGITS] = {CKKS_TERMINALS + 1, CKKS_TERMINALS + 2, CKKS_SPECIAL0,
                                            CKKS_SPECIAL0};
    p->primes = CKKS_PRIMES;
    p->main0 = CKKS_TERMINALS;
    p->special0 = CKKS_SPECIAL0;
    p->first_prime = level0 ? CKKS_TERMINALS : 0;
    p->centred_from = level0 ? 0 : CKKS_TOP;
    p->specials = level0 ? 1 : CKKS_SPECIALS;
    memcpy(p->digit_end, level0 ? single : whole, sizeof p->digit_end);
}

/* max: level of fresh ciphertexts, and of keys but where sets bootstrap (16). */
static void fill_set(struct ckks_params *p, const char *name, int log_n, int max, int secure) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, name);
    p->log_n = log_n;
    p->max_level = max;
    p->bootstraps = max == CKKS_MSG_TOP;
    p->top_level = p->bootstraps ? CKKS_TOP : max;
    p->prime = chain;
    p->thirds = 1;
    fill_bases(p);
    fill_keys(p, max == 0);
    ckks_params_measure(p, secure);
    fill_scales(p);
    if (max == 0) p->scale[0] = 0x1p26;
}

static void fill_sets(void) {
    fill_set(&sets[0], "n16", 16, CKKS_MSG_TOP, 1);
    fill_set(&sets[1], "n15", 15, 9, 1);
    fill_set(&sets[2], "n12", 12, 0, 1);
    fill_set(&sets[3], "toy10", 10, CKKS_MSG_TOP, 0);
    fill_set(&sets[4], "toy11", 11, CKKS_MSG_TOP, 0);
    fill_set(&sets[5], "toy12", 12, CKKS_MSG_TOP, 0);
    fill_set(&sets[6], "toy13", 13, CKKS_MSG_TOP, 0);
}

int ckks_params_get(const struct ckks_params **out, const char *name, int allow_insecure) {
    int st = THOR_OK;
    pthread_once(&sets_once, fill_sets);
    if (ckks_is_literal(name)) return ckks_literal_get(out, name, allow_insecure);
    for (int i = 0; i < SETS; i++) {
        if (strcmp(sets[i].name, name) != 0) continue;
        if (sets[i].security_bits == 0 && !allow_insecure)
            return thor_fail(THOR_KEY,
                             "parameter set %s is insecure, for tests only: name it with "
                             "--insecure-test-params, or use n16",
                             name);
        TRY(ckks_params_check(&sets[i], sets[i].top_level));
        *out = &sets[i];
        return THOR_OK;
    }
    st = thor_fail(
        THOR_USAGE,
        "unknown parameter set '%.20s': use n16, n15, n12 or (tests) toy10, toy11, toy12, toy13",
        name);
out:
    return st;
}

int ckks_params_check(const struct ckks_params *p, int level) {
    if (level < 0 || level > p->top_level)
        return thor_fail(THOR_KEY, "level %d does not exist in parameter set %s (0..%d)", level,
                         p->name, p->top_level);
    if (p->security_bits == 0) return THOR_OK;
    double bits = ckks_log_modulus(p, level, 1);
    if (bits > p->log_qp_limit)
        return thor_fail(
            THOR_KEY, "a key of logQP %.1f at N = 2^%d is below 128 bits of security (limit %.0f)",
            bits, p->log_n, p->log_qp_limit);
    return THOR_OK;
}

double ckks_level_scale(const struct ckks_params *p, int level, int boot_branch) {
    return boot_branch ? p->boot_scale[level] : p->scale[level];
}
