/** @file seal.h
 * Files of Microsoft SEAL 4: its keys, ciphertexts and plaintexts (scheme CKKS), read and written.
 *
 * Sets.  Those whose levels are the first primes of one chain: all that ckks_params_make() gives.
 * SEAL's coeff_modulus is that chain and then one special prime: ckks_seal_params_save() writes it,
 * and SEAL loads it as EncryptionParameters.
 * Scales.  A level fixes its scale here: what SEAL makes for this library has the scale
 * ckks_params_scale(p, level); after SEAL's own product and rescale it has the next one.
 * Files.  Uncompressed, without seeds (compr_mode_type::none, and of Encryptor::encrypt(),
 * encrypt_symmetric(.., destination) and create_public_key(destination)), one object each.  Others
 * are refused with CKKS_KEY and one line.  They have no checksum: a changed file that is still one
 * of residues decrypts to noise.
 * Slots.  SEAL numbers them otherwise: ckks_seal_slots(), ckks_seal_rotation().
 * Keys for products and rotations (RelinKeys, GaloisKeys) are neither read nor written: each side
 * makes its own from the secret key, ckks_keys_new() here. */
#ifndef CKKS_SEAL_H
#define CKKS_SEAL_H

#include "cipher.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Writes EncryptionParameters.  CKKS_USAGE of a set whose levels SEAL cannot have. */
CKKS_CHECKED int ckks_seal_params_save(const struct ckks_params *p, const char *path);

/** Writes a Ciphertext. */
CKKS_CHECKED int ckks_seal_ct_save(const struct ckks_ct *a, const char *path);
/** Reads a Ciphertext of two polynomials at a level of the set and at its scale. */
CKKS_CHECKED int ckks_seal_ct_load(struct ckks_ct *out, struct ckks *cx, const char *path);

/** Writes a Plaintext of these slots, as ckks_encrypt_secret() has them, at the scale of the level:
 * a file in the clear. */
CKKS_CHECKED int ckks_seal_plain_save(struct ckks *cx, const double *re, const double *im,
                                      size_t period, int level, const char *path);
/** Reads a Plaintext of any scale into N/2 numbers each; im and level may be NULL. */
CKKS_CHECKED int ckks_seal_plain_load(double *re, double *im, int *level, struct ckks *cx,
                                      const char *path);

/** Writes a SecretKey, mode 0600; never over another secret key. */
CKKS_CHECKED int ckks_seal_secret_save(const struct ckks_secret *s, struct ckks *cx,
                                       const char *path);
/** Reads a SecretKey; CKKS_KEY unless it is ternary, or when others can read the file too.  The
 * name of the key pair is a hash of it. */
CKKS_CHECKED int ckks_seal_secret_load(struct ckks_secret **out, struct ckks *cx, const char *path);

/** Makes a PublicKey of a secret key, which has SEAL's special prime too, and writes it. */
CKKS_CHECKED int ckks_seal_public_save(struct ckks *cx, const struct ckks_secret *s,
                                       struct ckks_rng *rng, const char *path);
/** Reads a PublicKey.  It encrypts as others do, but ckks_public_save() refuses it.
 * @param id the name that it gets, ckks_secret_id() of its secret key: the file has none. */
CKKS_CHECKED int ckks_seal_public_load(struct ckks_public **out, struct ckks *cx,
                                       const uint8_t id[16], const char *path);

/** Slots, in place, from the order of this library into SEAL's, or (to_seal 0) back: slot s of SEAL
 * lies at the 3^s-th power of the root, here at the 5^s-th, so that odd places of SEAL are
 * conjugates.  Both are at the same root.  N/2 numbers each; im may be NULL. */
CKKS_CHECKED int ckks_seal_slots(double *re, double *im, const struct ckks_params *p, int to_seal);
/** SEAL's rotate_vector by `step` is ckks_rotate() by *by, and, when *conjugate is 1, as it is for
 * odd steps, ckks_conj() after it. */
CKKS_API void ckks_seal_rotation(int *by, int *conjugate, const struct ckks_params *p, int step);

#ifdef __cplusplus
}
#endif
#endif
