/** @file context.h
 * Contexts: where computing takes place, and the keys that it uses. */
#ifndef CKKS_CONTEXT_H
#define CKKS_CONTEXT_H

#include <stdint.h>

#include "params.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A parameter set on a device, with tables and memory.  Threads: see ckks.h. */
struct ckks;
struct ckks_keys;

/** Where a context computes. */
enum ckks_device {
    CKKS_CPU,  /**< on this machine's cores */
    CKKS_CUDA, /**< on a GPU, where the library was built with CUDA */
    CKKS_DRY   /**< nowhere: operations only note the keys that they would use */
};

/** Opens a context.
 * @param number of CKKS_CPU: threads, 0 for all cores; of CKKS_CUDA: of the GPU, from 0. */
CKKS_CHECKED int ckks_open_on(struct ckks **out, const struct ckks_params *p,
                              enum ckks_device device, int number);
/** Ends a context; everything made with it is freed before.  NULL is allowed. */
CKKS_API void ckks_close(struct ckks *cx);
/** The set of a context. */
CKKS_API const struct ckks_params *ckks_params_of(const struct ckks *cx);
/** N/2. */
CKKS_API int ckks_slots(const struct ckks *cx);
/** From now on operations find evaluation keys in k, which is borrowed; NULL: in none. */
CKKS_API void ckks_use_keys(struct ckks *cx, const struct ckks_keys *k);

/** An evaluation key by name, and the highest level at which it is to be used. */
struct ckks_need {
    uint32_t id; /**< ckks_key_rotation(), ckks_key_conjugation() or CKKS_KEY_RELIN */
    int level;   /**< its highest */
};

/** Names of the keys that are no Galois keys. */
enum {
    CKKS_KEY_RELIN = 0,      /**< of products */
    CKKS_KEY_TO_SPARSE = 2,  /**< of a bootstrap, at level 0 */
    CKKS_KEY_FROM_SPARSE = 4 /**< of a bootstrap */
};

/** The key of ckks_rotate() by r, of either sign: the Galois element 5^r mod 2N. */
CKKS_API uint32_t ckks_key_rotation(const struct ckks_params *p, int r);
/** The key of ckks_conj(): the Galois element 2N - 1. */
CKKS_API uint32_t ckks_key_conjugation(const struct ckks_params *p);

/** The keys that a CKKS_DRY context has noted, each once.
 * @param list theirs, valid until the next operation or ckks_close(); may be NULL.
 * @return how many. */
CKKS_API int ckks_needs(const struct ckks_need **list, const struct ckks *cx);

#ifdef __cplusplus
}
#endif
#endif
