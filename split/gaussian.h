/* Noise, clipping and sampling of differential privacy, from a stream of ckks/random.h.
 *
 * The accountant's proofs are of real numbers.  These are doubles: which of them an output can be
 * depends, in its last bits, on what the noise was added to (Mironov, "On Significance of the Least
 * Significant Bits for Differential Privacy", 2012).  A normal here is half the sum of four, so
 * that as good as every double near it is reached (Holohan and Braghin, "Secure Random Sampling in
 * Differential Privacy", 2021); that is no proof.  Neither are logarithms and cosines constant
 * time: who times a single draw may learn of it.
 */
#ifndef SPLIT_GAUSSIAN_H
#define SPLIT_GAUSSIAN_H

#include <stddef.h>

#include "ckks/random.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[n]: independent N(0, 1), each half the sum of four of the method of Box and Muller, of two
 * words of 53 bits a pair: of at most 17.2. */
void split_normals(struct ckks_rng *r, double *out, size_t n);
/* x[n] += N(0, sigma^2 I). */
void split_add_normals(struct ckks_rng *r, double *x, size_t n, double sigma);

/* x[n] times min(1, bound / |x|); the Euclidean norm of before.  A norm that is no finite number is
 * returned, and x is zeros: no row has more than `bound`, whatever its values are. */
double split_clip(double *x, size_t n, double bound);

/* Each of 0 .. rows - 1 by itself with probability q, in order; how many.  chosen has room for all.
 */
int split_poisson(struct ckks_rng *r, int *chosen, int rows, double q);

#ifdef __cplusplus
}
#endif
#endif
