/** @file transform.h
 * Matrices and polynomials on the slots. */
#ifndef CKKS_TRANSFORM_H
#define CKKS_TRANSFORM_H

#include "arithmetic.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A matrix by its diagonals, of `inputs` and `outputs` ciphertexts:
 * out[o] = the sum over i < inputs and m < count of  diag(o, i, m) rot(in[i], stride (first + m)),
 * one level.  Rotations: baby steps first + (m mod baby), giants by multiples of baby, each times
 * stride; those that it uses are found by a dry run. */
struct ckks_linear {
    int stride;    /**< of the diagonals, a multiple of 2^log_run */
    int first;     /**< the lowest diagonal, of either sign */
    int count;     /**< of diagonals */
    int baby;      /**< baby steps, 1 .. count: about its square root */
    int log_run;   /**< every number of a diagonal is for 2^log_run slots in a row */
    size_t period; /**< of the diagonals: a power of two */
    int inputs;    /**< ciphertexts of `in` */
    int outputs;   /**< ciphertexts of `out` */
    int sets;      /**< of inputs that follow one another in `in`, as do those of out; 0 is 1 */
    /** 1: the results are products before ckks_rescale(), at the inputs' level, which may be 0; the
     * diagonals are then short. */
    int pending;
    /** Writes period >> log_run numbers (im is zeroed before) and returns 1, or returns 0 for a
     * diagonal of zeros.  Called by several threads at once. */
    int (*diag)(void *ctx, int o, int i, int m, double *re, double *im);
    void *ctx; /**< handed to diag */
};
/** Applies it; the row out has outputs x sets ciphertexts. */
CKKS_CHECKED int ckks_linear_apply(struct ckks_ct *out, const struct ckks_ct *const in[],
                                   const struct ckks_linear *t);
/** Its plaintexts, kept. */
struct ckks_linear_cache;
/** Makes them, for inputs at `level`.
 * @param boot 0. */
CKKS_CHECKED int ckks_linear_prepare(struct ckks_linear_cache **out, struct ckks *cx,
                                     const struct ckks_linear *t, int level, int boot);
/** NULL is allowed. */
CKKS_API void ckks_linear_cache_free(struct ckks_linear_cache *c);
/** ckks_linear_apply() with plaintexts that were kept. */
CKKS_CHECKED int ckks_linear_run(struct ckks_ct *out, const struct ckks_ct *const in[],
                                 const struct ckks_linear *t,
                                 const struct ckks_linear_cache *cache);

/** out = the sum of c[k] T_k(x), k <= degree, T_k the Chebyshev polynomials, |x| <= 1: costs
 * ckks_cheb_levels(degree) levels, key CKKS_KEY_RELIN. */
CKKS_CHECKED int ckks_cheb(struct ckks_ct *out, const struct ckks_ct *x, const double *c,
                           int degree);
/** ceil(log2(degree + 1)). */
CKKS_API int ckks_cheb_levels(int degree);

#ifdef __cplusplus
}
#endif
#endif
