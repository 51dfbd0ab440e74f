/** @file params.h
 * Parameter sets: rings, chains of primes, levels, security. */
#ifndef CKKS_PARAMS_H
#define CKKS_PARAMS_H

#include "status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A checked set.  Sets never change and live as long as the process. */
struct ckks_params;

/** The set of that name: n16 (N = 2^16, 16 levels, bootstrapping), n15 (9 levels), or, with
 * allow_insecure, the insecure toy10 .. toy13 for tests, or a name that ckks_params_name() gave.
 * CKKS_USAGE for another name, CKKS_KEY for an insecure set that was not allowed. */
CKKS_CHECKED int ckks_params_get(const struct ckks_params **out, const char *name,
                                 int allow_insecure);

/** What a set is to be, unchecked.  The secret is always uniform ternary. */
struct ckks_literal {
    int log_n;     /**< log2 N: 12 .. 17, with `insecure` from 10 on */
    int base_bits; /**< of the modulus of level 0: 20 .. 28, 40 .. 56 or 60 .. 84, level_bits + 2 or
                     * more: slots must stay below 2^(base_bits - level_bits - 1) */
    int levels;    /**< products that can follow one another */
    int level_bits;   /**< of each level's modulus, and of the scale: 20 .. 28 or 40 .. 56, which
                     * primes meet within 3 bits (large rings have few small ones) */
    int special_bits; /**< of the special modulus P of key switching; 0: as few as will do.  More of
                       * them make keys smaller and switching faster, and leave fewer for levels */
    int insecure;     /**< 1: without regard to security, for tests */
};

/** Finds the primes, checks the whole and returns the set: the same one for the same literal.
 * CKKS_USAGE where a number is impossible or primes run out; CKKS_KEY, always, when the set is
 * below 128 bits of security and not `insecure`. */
CKKS_CHECKED int ckks_params_make(const struct ckks_params **out, const struct ckks_literal *l);

/** Its name, in every file that belongs to it. */
CKKS_API const char *ckks_params_name(const struct ckks_params *p);
/** log2 of the ring's degree N; a vector has N/2 slots. */
CKKS_API int ckks_params_log_n(const struct ckks_params *p);
/** The level of a fresh ciphertext: products that can follow one another. */
CKKS_API int ckks_params_levels(const struct ckks_params *p);
/** 128, or 0 of a set that is insecure. */
CKKS_API int ckks_params_security(const struct ckks_params *p);
/** Bits of the largest modulus that a key has. */
CKKS_API double ckks_params_log_qp(const struct ckks_params *p);
/** The scale of ciphertexts at that level, about 2^41.6 in the named sets. */
CKKS_API double ckks_params_scale(const struct ckks_params *p, int level);
/** 1: has the levels of a bootstrap. */
CKKS_API int ckks_params_bootstraps(const struct ckks_params *p);

#ifdef __cplusplus
}
#endif
#endif
