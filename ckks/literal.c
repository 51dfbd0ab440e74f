/* Parameter sets of a user's own: from a literal to a checked set, which never changes.
 *
 * Chain (place: what).  0 ..: level 0, base_bits in one to three primes of like size; then one or
 * two primes for each level, of level_bits together; then the specials, the largest primes below
 * 2^28.  All are = 1 mod 2N; those of a level are the unused ones nearest to where they should be,
 * the second of a pair making up for the first.
 * Scales.  S_0 = 2^level_bits, S_l = sqrt(S_(l-1) Q_l/Q_(l-1)), as in params.c.
 * Digits.  As few as there may be, 1 .. 4 runs of like length, each with a product below P.
 * Name.  All of the literal: "n14q60x8b42p3" is N = 2^14, 60 bits for level 0, 8 levels of 42 bits,
 * 3 special primes; t instead of n for insecure ones.  Files hold the name alone, and a set read
 * from a file is checked as any other. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum {
    BITS_MIN = 20, /* of a prime */
    BITS_MAX = 28,
    SPECIALS_MAX = 14, /* with two primes of a level: the most that one conversion starts from */
    LOG_N_MIN = 10,
    LOG_N_MAX = 17
};
#define OFF_MAX 3.0 /* bits: beyond, levels of one set would be too unlike */
_Static_assert(SPECIALS_MAX + 2 <= KERN_MAX_SRC, "mod-down and rescaling are one conversion");

struct made { /* a set and its chain, kept for the life of the process */
    struct ckks_params p;
    uint32_t chain[KERN_MAX_LIMBS];
    struct made *next;
};
static struct made *all_made;
static pthread_mutex_t made_lock = PTHREAD_MUTEX_INITIALIZER;

/* Primes that so many bits are shared by; 0 where there is no such number. */
static int primes_of(int bits) {
    for (int n = 1; n <= 3; n++)
        if (bits >= n * BITS_MIN && bits <= n * BITS_MAX) return n;
    return 0;
}

static int is_free(const struct made *m, uint32_t q) {
    for (int i = 0; i < m->p.primes; i++)
        if (m->chain[i] == q) return 0;
    for (uint32_t d = 3; d * d <= q; d += 2)
        if (q % d == 0) return 0;
    return 1;
}

/* Appends the unused prime nearest to `target`. */
static int append_prime(struct made *m, double target) {
    const uint32_t step = 2u << m->p.log_n, high = KERN_MAX_PRIME - 1;
    uint32_t up = (uint32_t)(target / step) * step + 1, down = up - step;
    const double low = ldexp(1, BITS_MIN - 1);
    while (up < high || down > low) {
        const int is_up = up < high && (down <= low || up - target < target - down);
        const uint32_t q = is_up ? up : down;
        if (is_up)
            up += step;
        else
            down -= step;
        if (!is_free(m, q)) continue;
        m->chain[m->p.primes++] = q;
        return THOR_OK;
    }
    return thor_fail(THOR_USAGE, "there are no more primes = 1 mod 2^%d near %.0f: fewer levels",
                     m->p.log_n + 1, target);
}

/* Appends primes of so many bits together, OFF_MAX more or less. */
static int append_group(struct made *m, int bits) {
    int st = THOR_OK;
    double rest = exp2(bits);
    for (int n = primes_of(bits); n > 0; n--) {
        TRY(append_prime(m, fmin(pow(rest, 1.0 / n), KERN_MAX_PRIME - 1)));
        rest /= m->chain[m->p.primes - 1];
    }
    if (fabs(log2(rest)) > OFF_MAX)
        st =
            thor_fail(THOR_USAGE,
                      "primes for %d bits have run out in a ring of 2^%d: other bits, fewer levels",
                      bits, m->p.log_n);
out:
    return st;
}

static double log_of(const struct made *m, int from) {
    double s = 0;
    for (int i = from; i < m->p.primes; i++) s += log2(m->chain[i]);
    return s;
}

static int check_literal(const struct ckks_literal *l) {
    if (l->log_n < LOG_N_MIN || l->log_n > LOG_N_MAX)
        return thor_fail(THOR_USAGE, "log_n %d of a parameter set: %d .. %d", l->log_n, LOG_N_MIN,
                         LOG_N_MAX);
    if (!primes_of(l->base_bits))
        return thor_fail(THOR_USAGE,
                         "base_bits %d of a parameter set: 20 .. 28, 40 .. 56, 60 .. 84",
                         l->base_bits);
    if (!primes_of(l->level_bits) || primes_of(l->level_bits) > 2)
        return thor_fail(THOR_USAGE, "level_bits %d of a parameter set: 20 .. 28, 40 .. 56",
                         l->level_bits);
    if (l->base_bits < l->level_bits + 2)
        return thor_fail(THOR_USAGE, "base_bits %d of a parameter set: level_bits + 2, %d, or more",
                         l->base_bits, l->level_bits + 2);
    if (l->levels < 0 || l->levels >= CKKS_LEVELS)
        return thor_fail(THOR_USAGE, "%d levels of a parameter set: 0 .. %d", l->levels,
                         CKKS_LEVELS - 1);
    if (l->special_bits < 0 || l->special_bits > SPECIALS_MAX * BITS_MAX)
        return thor_fail(THOR_USAGE, "special_bits %d of a parameter set: 0 .. %d", l->special_bits,
                         SPECIALS_MAX * BITS_MAX);
    return THOR_OK;
}

/* Splits the mains into as few digits as `bits` of P allow; 0 where four are too few. */
static int split_digits(struct ckks_params *p, double bits) {
    for (int digits = 1; digits <= CKKS_DIGITS; digits++) {
        double worst = 0;
        int longest = 0;
        for (int j = 0, from = 0; j < CKKS_DIGITS; j++) {
            const int end = j < digits ? (j + 1) * p->special0 / digits : p->special0;
            double sum = 0;
            for (int i = from; i < end; i++) sum += log2(p->prime[i]);
            worst = fmax(worst, sum);
            if (end - from > longest) longest = end - from;
            p->digit_end[j] = from = end;
        }
        if (worst < bits && longest <= KERN_MAX_SRC) return 1;
    }
    return 0;
}

/* P, behind the mains: of so many primes, or (0) of as few as will do; then the digits. */
static int append_specials(struct made *m, const uint32_t *special, int count) {
    struct ckks_params *p = &m->p;
    double bits = 0;
    int n = 0, fits = 0;
    while (n < (count ? count : SPECIALS_MAX) && !(fits && !count)) {
        bits += log2(special[n++]);
        fits = split_digits(p, bits);
    }
    if (!fits)
        return thor_fail(THOR_USAGE,
                         "%d special primes are too few for %d primes in %d digits: more "
                         "special_bits, or fewer levels",
                         n, p->special0, CKKS_DIGITS);
    if (p->primes + n > KERN_MAX_LIMBS)
        return thor_fail(THOR_USAGE, "%d primes of a parameter set: at most %d", p->primes + n,
                         KERN_MAX_LIMBS);
    memcpy(m->chain + p->primes, special, (size_t)n * sizeof *special);
    p->primes += n;
    p->specials = n;
    return THOR_OK;
}

static int make_chain(struct made *m, const struct ckks_literal *l) {
    int st = THOR_OK;
    struct ckks_params *p = &m->p;
    uint32_t special[SPECIALS_MAX];
    for (int i = 0; i < SPECIALS_MAX; i++) TRY(append_prime(m, KERN_MAX_PRIME - 1));
    memcpy(special, m->chain, sizeof special);
    /* the mains take other primes: the specials stand in front until they are known */
    TRY(append_group(m, l->base_bits));
    p->last[0] = (uint8_t)(p->primes - SPECIALS_MAX - 1);
    if (log_of(m, SPECIALS_MAX) < l->level_bits + 1.5)
        return thor_fail(THOR_USAGE, "base_bits %d leave no room above level_bits %d", l->base_bits,
                         l->level_bits);
    for (int level = 1; level <= l->levels; level++) {
        if (p->primes + 2 > KERN_MAX_LIMBS)
            return thor_fail(THOR_USAGE, "%d levels of %d bits are too many primes", l->levels,
                             l->level_bits);
        TRY(append_group(m, l->level_bits));
        p->last[level] = (uint8_t)(p->primes - SPECIALS_MAX - 1);
    }
    p->primes -= SPECIALS_MAX;
    memmove(m->chain, m->chain + SPECIALS_MAX, (size_t)p->primes * sizeof *m->chain);
    p->special0 = p->primes;
    TRY(append_specials(m, special, (l->special_bits + BITS_MAX - 1) / BITS_MAX));
out:
    return st;
}

static int make_set(struct made *m, const struct ckks_literal *l) {
    int st = THOR_OK;
    struct ckks_params *p = &m->p;
    TRY(check_literal(l));
    p->log_n = l->log_n;
    p->max_level = p->top_level = l->levels;
    p->prime = m->chain;
    TRY(make_chain(m, l));
    p->scale[0] = exp2(l->level_bits);
    for (int i = 1; i <= l->levels; i++)
        p->scale[i] = sqrt(p->scale[i - 1] * ckks_level_step(p, i));
    ckks_params_measure(p, !l->insecure);
    snprintf(p->name, sizeof p->name, "%c%dq%dx%db%dp%d", l->insecure ? 't' : 'n', l->log_n,
             l->base_bits, l->levels, l->level_bits, p->specials);
    TRY(ckks_params_check(p, p->top_level));
out:
    return st;
}

int ckks_params_make(const struct ckks_params **out, const struct ckks_literal *l) {
    int st = THOR_OK;
    struct made *m = calloc(1, sizeof *m), *same;
    if (!m) return thor_fail(THOR_MEMORY, "no memory for a parameter set");
    TRY(make_set(m, l));
    pthread_mutex_lock(&made_lock);
    for (same = all_made; same && strcmp(same->p.name, m->p.name) != 0;) same = same->next;
    if (!same) {
        same = m;
        m->next = all_made;
        all_made = m;
        m = NULL;
    }
    pthread_mutex_unlock(&made_lock);
    *out = &same->p;
out:
    free(m);
    return st;
}

static int read_name(struct ckks_literal *l, const char *name) {
    char kind, again[32];
    int specials;
    if (sscanf(name, "%c%2dq%2dx%2db%2dp%2d", &kind, &l->log_n, &l->base_bits, &l->levels,
               &l->level_bits, &specials) != 6)
        return 0;
    snprintf(again, sizeof again, "%c%dq%dx%db%dp%d", kind, l->log_n, l->base_bits, l->levels,
             l->level_bits, specials);
    l->insecure = kind == 't';
    l->special_bits = specials * BITS_MAX;
    return (kind == 't' || kind == 'n') && specials > 0 && strcmp(name, again) == 0;
}

int ckks_is_literal(const char *name) {
    struct ckks_literal l;
    return read_name(&l, name);
}

int ckks_literal_get(const struct ckks_params **out, const char *name, int allow_insecure) {
    struct ckks_literal l;
    if (!read_name(&l, name)) return thor_fail(THOR_USAGE, "no parameter set: %.20s", name);
    if (l.insecure && !allow_insecure)
        return thor_fail(THOR_KEY, "parameter set %s is insecure, for tests only", name);
    return ckks_params_make(out, &l);
}
