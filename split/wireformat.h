/* What travels between client and server, in bytes.
 *
 *   request   head, 64 bytes   "TSPQ", version, layer, stage, transposed, tokens (u32 each),
 *                              8 zero bytes, seed (32) of the halves a
 *             ciphertexts      half b of each piece, set by set: N numbers of SPLIT_UP_BITS bits
 *   reply     head, 64 bytes   "TSPR", version, log2 u (i32, product.h), 4 zero bytes, seconds
 *                              that the server computed (f64), 40 zero bytes
 *             ciphertexts      halves b and a of each piece, set by set: N numbers of SPLIT_DOWN_B
 *                              and N of SPLIT_DOWN_A bits
 *
 * All little endian; numbers of b bits follow each other from the lowest bit on, and the last byte
 * is filled up with zeros.  Both sides know the number of ciphertexts, so that a body has one legal
 * size.
 *
 * Bits left out (ckks/compact.c), of 55.55 a number, in units of the plaintext:
 *   up     14 of half b: an error of deviation 2^14 / sqrt 12 = 2^12.2 a coefficient, where fresh
 *          noise and a baby's key switching have 2^6.5 together, against rows of length L = 2^34
 *   down   34 of half b, 2^32.2; 29 of half a, which the secret multiplies:
 *          2^29 sqrt(2 N / 36) = 2^32.9
 * split_error_of says what comes of it.  A half that is rounded is a function of one that was sent
 * whole: nothing is learned from it that the ciphertext would not tell. */
#ifndef SPLIT_WIREFORMAT_H
#define SPLIT_WIREFORMAT_H

#include "split/columnsfast.h"
#include "split/service.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SPLIT_HEAD = 64, SPLIT_UP_DROP = 14, SPLIT_DOWN_DROP_B = 34, SPLIT_DOWN_DROP_A = 29 };

/* log2 u of maps of floats: below 2^128 each, 2^28 of them in a block of rows (product.c). */
enum { SPLIT_LOG_U_LEAST = -200, SPLIT_LOG_U_MOST = 40 };

/* Bytes of a request and a reply for that many ciphertexts. */
size_t split_request_bytes(const struct ckks_params *p, int pieces);
size_t split_reply_bytes(const struct ckks_params *p, int pieces);

void split_put_request(uint8_t *to, const struct split_ask *ask, const uint8_t seed[CKKS_SEED]);
/* THOR_USAGE for what is no head of a request; `ask` is unchecked beyond that. */
int split_get_request(struct split_ask *ask, uint8_t seed[CKKS_SEED], const uint8_t *from,
                      size_t n);
void split_put_reply(uint8_t *to, int log_u, double seconds);
int split_get_reply(int *log_u, double *seconds, const uint8_t *from, size_t n);

/* Where half b (half 0) or a (half 1) of ciphertext `i` lies in a reply, of b in a request. */
size_t split_request_at(const struct ckks_params *p, int i);
size_t split_reply_at(const struct ckks_params *p, int i, int half);

/* n numbers of `bits` < 57 bits. */
void split_pack(uint8_t *to, const uint64_t *c, size_t n, int bits);
void split_unpack(uint64_t *c, const uint8_t *from, size_t n, int bits);

/* Polynomial `poly` less `drop` bits, to bytes and back; c: N numbers of scratch. */
int split_put_half(uint8_t *to, const struct ckks_ct *a, int poly, int drop, uint64_t *c);
int split_get_half(struct ckks_ct *a, int poly, int drop, const uint8_t *from, uint64_t *c);

#ifdef __cplusplus
}
#endif
#endif
