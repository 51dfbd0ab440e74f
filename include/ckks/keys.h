/** @file keys.h
 * Secret, public and evaluation keys, and their files. */
#ifndef CKKS_KEYS_H
#define CKKS_KEYS_H

#include "context.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CKKS_SEED 32 /**< bytes of a seed */

/** A secret key: uniform ternary, in guarded memory, wiped when it is freed. */
struct ckks_secret;
/** A public key, for encryption alone. */
struct ckks_public;

/** A secret key.
 * @param seed NULL: of the system's random numbers; a fixed one is for tests only. */
CKKS_CHECKED int ckks_secret_new(struct ckks_secret **out, const struct ckks_params *p,
                                 const uint8_t seed[CKKS_SEED]);
/** NULL is allowed. */
CKKS_API void ckks_secret_free(struct ckks_secret *s);
/** 16 bytes: the public name of the key pair, in every file made with it. */
CKKS_API const uint8_t *ckks_secret_id(const struct ckks_secret *s);
/** Writes a file of mode 0600, whole or not at all; never over another secret key. */
CKKS_CHECKED int ckks_secret_save(const struct ckks_secret *s, const char *path);
/** Reads it back; CKKS_KEY when others may read the file too. */
CKKS_CHECKED int ckks_secret_load(struct ckks_secret **out, const char *path, int allow_insecure);

/** The public key of a secret key; seed as in ckks_secret_new(). */
CKKS_CHECKED int ckks_public_new(struct ckks_public **out, struct ckks *cx,
                                 const struct ckks_secret *s, const uint8_t seed[CKKS_SEED]);
/** NULL is allowed. */
CKKS_API void ckks_public_free(struct ckks_public *p);
/** Its name, that of the secret key. */
CKKS_API const uint8_t *ckks_public_id(const struct ckks_public *p);
/** Writes a file, whole or not at all. */
CKKS_CHECKED int ckks_public_save(const struct ckks_public *p, const char *path);
/** Reads it back. */
CKKS_CHECKED int ckks_public_load(struct ckks_public **out, const char *path, int allow_insecure);

/** Evaluation keys: those of a list, made by rotations that are known or by a dry run.
 * @param need their names; each once.
 * @param progress called with ctx, keys done and n; may be NULL. */
CKKS_CHECKED int ckks_keys_new(struct ckks_keys **out, struct ckks *cx, const struct ckks_secret *s,
                               const struct ckks_need *need, int n, const uint8_t seed[CKKS_SEED],
                               void (*progress)(void *ctx, int done, int n), void *ctx);
/** NULL is allowed. */
CKKS_API void ckks_keys_free(struct ckks_keys *k);
/** Writes a file, whole or not at all. */
CKKS_CHECKED int ckks_keys_save(const struct ckks_keys *k, const char *path);
/** Reads them back. */
CKKS_CHECKED int ckks_keys_load(struct ckks_keys **out, struct ckks *cx, const char *path);

#ifdef __cplusplus
}
#endif
#endif
