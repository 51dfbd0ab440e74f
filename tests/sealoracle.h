/* What Microsoft SEAL makes of its files, by definition and slowly, on no code of ckks/. */
#ifndef THOR_TESTS_SEALORACLE_H
#define THOR_TESTS_SEALORACLE_H

#include <stddef.h>
#include <stdint.h>

/* Where the words of ciphertexts and public keys begin, those of plaintexts and secret keys, and
 * the primes of parameters, 24 bytes apart; scale of a ciphertext. */
enum { SEAL_AT_CIPHER = 113, SEAL_AT_PLAIN = 88, SEAL_AT_PRIME = 49, SEAL_AT_SCALE = 73 };

uint64_t sealoracle_word(const uint8_t *at);
/* out[n] = the coefficients of c0 + c1 s mod q in (-q/2, q/2), rows as files have them. */
void sealoracle_phase(double *out, const uint8_t *c0, const uint8_t *c1, const uint8_t *s,
                      uint64_t q, size_t n);
/* The n/2 slots of a ciphertext whose numbers are all below q/2, q its first prime. */
void sealoracle_slots(double *re, double *im, const uint8_t *cipher, const uint8_t *secret,
                      uint64_t q, size_t n);

#endif
