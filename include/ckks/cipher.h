/** @file cipher.h
 * Ciphertexts: encryption, decryption, files. */
#ifndef CKKS_CIPHER_H
#define CKKS_CIPHER_H

#include <stddef.h>

#include "keys.h"

#ifdef __cplusplus
extern "C" {
#endif

/** An encrypted vector of N/2 complex slots, or empty.  Its level fixes its scale. */
struct ckks_ct;
/** Random numbers for encryption, in guarded memory. */
struct ckks_rng;

/** n empty ciphertexts in a row, n >= 1, to be written by operations. */
CKKS_CHECKED int ckks_ct_new(struct ckks_ct **out, int n);
/** Ends them all; NULL is allowed. */
CKKS_API void ckks_ct_delete(struct ckks_ct *a, int n);
/** Number i of such a row. */
CKKS_API struct ckks_ct *ckks_ct_at(struct ckks_ct *a, int i);
/** Products that may still follow; -1 of an empty one. */
CKKS_API int ckks_ct_level(const struct ckks_ct *a);
/** The context that it belongs to; NULL of an empty one. */
CKKS_API struct ckks *ckks_ct_context(const struct ckks_ct *a);

/** Random numbers from the system; one thread at a time may use them. */
CKKS_CHECKED int ckks_rng_new(struct ckks_rng **out);
/** Wipes them; NULL is allowed. */
CKKS_API void ckks_rng_free(struct ckks_rng *r);

/** Encrypts under the secret key, with half the bytes and noise of the public one.
 * @param re,im `period` numbers each, a power of two, repeated to fill the slots; im may be NULL.
 * @param level 0 .. ckks_params_levels().
 * CKKS_RANGE for NaN, infinity or numbers of 2^61 / scale and more. */
CKKS_CHECKED int ckks_encrypt_secret(struct ckks_ct *out, struct ckks *cx, const double *re,
                                     const double *im, size_t period, int level,
                                     const struct ckks_secret *s, struct ckks_rng *rng);
/** The same under the public key. */
CKKS_CHECKED int ckks_encrypt_public(struct ckks_ct *out, struct ckks *cx, const double *re,
                                     const double *im, size_t period, int level,
                                     const struct ckks_public *p, struct ckks_rng *rng);
/** Decrypts into N/2 numbers each; im may be NULL.  Keep the result private: its last bits carry
 * the noise, and with it the key.  At level 0 a product before its rescale is decrypted too. */
CKKS_CHECKED int ckks_decrypt(double *re, double *im, const struct ckks_ct *a,
                              const struct ckks_secret *s);
/** The same rounded to multiples of 2^-bits, for results that others will see: at least 8 bits
 * below the precision of the computation. */
CKKS_CHECKED int ckks_decrypt_rounded(double *re, double *im, const struct ckks_ct *a,
                                      const struct ckks_secret *s, int bits);

/** An encryption of 0 without noise and key, which hides nothing: operand of a dry run, and a
 * neutral element. */
CKKS_CHECKED int ckks_zero(struct ckks_ct *out, struct ckks *cx, int level);
/** out = a. */
CKKS_CHECKED int ckks_copy(struct ckks_ct *out, const struct ckks_ct *a);

#define CKKS_NOTE 32 /**< bytes of the note in a file of ciphertexts */
/** Writes n ciphertexts in a row to a file, whole or not at all.
 * @param id the name of the key pair.
 * @param note what they are for, in the caller's form and in the clear; NULL: zeros. */
CKKS_CHECKED int ckks_ct_save(const struct ckks_ct *a, int n, const uint8_t id[16],
                              const uint8_t note[CKKS_NOTE], const char *path);
/** Reads such a file; *out is a row of *n, to be ended by ckks_ct_delete(). note may be NULL.
 * CKKS_KEY unless it belongs to the set of cx, and to its keys if it has any. */
CKKS_CHECKED int ckks_ct_load(struct ckks_ct **out, int *n, uint8_t id[16], uint8_t note[CKKS_NOTE],
                              struct ckks *cx, const char *path);

#ifdef __cplusplus
}
#endif
#endif
