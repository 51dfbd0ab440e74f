/* Public numbers from a seed: the halves of switching keys that anyone may know.  Part of the
 * format of key files, which hold the seeds: any change wants a new version of them.
 *
 * A row is a stream: ChaCha20 (20 rounds, 64-bit block counter, 64-bit nonce) keyed by the seed,
 * the nonce is the stream's number.  Block c of it makes the residues of the 16 places
 * 256 (c / 16) + 16 k + c % 16, k < 16, so that 16 threads or lanes make 256 places in a row:
 *   of its words w_k  F = the upper 4 bits of w_0, w_1 .. w_15, 64 bits, those of w_0 on top,
 *                     l_k = w_k mod 2^28,
 *   for k = 0, 1 ..   (l_k 2^64 + F) q = r_k 2^92 + rest,  r_k the residue, F = rest / 2^28.
 * Each step maps 2^92 numbers onto q residues as evenly as whole numbers go: what is left of F is
 * as good as uniform, to a step of its 2^64.  A residue, given all others, is within 2^-56 of
 * uniform; nothing is rejected, so every place is made alone and in the same time. */
#ifndef THOR_KERNELS_UNIFORM_H
#define THOR_KERNELS_UNIFORM_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { UNIFORM_SEED = 32, UNIFORM_WORDS = 8, UNIFORM_TEAM = 16, UNIFORM_CHUNK = 256 };

/* THOR_KEYS = stored | generated: are keys to be kept without such halves?  0 or 1, otherwise by
 * the back end's own choice `best`; THOR_USAGE for any other word. */
int kern_generates(int *generates, int best);

/* n numbers below q of a stream, n a multiple of UNIFORM_CHUNK: the portable code, which is the
 * specification, and that of the tiers. */
void uniform_ref(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream, size_t n,
                 uint32_t q);
void uniform_avx2(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream, size_t n,
                  uint32_t q);
void uniform_avx512(uint32_t *o, const uint32_t seed[UNIFORM_WORDS], uint32_t stream, size_t n,
                    uint32_t q);

#ifdef __cplusplus
}
#endif
#endif
