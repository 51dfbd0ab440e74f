/* Windows of variances: what rotate-and-add leaves in a state whose columns are the fast index of
 * its slots.
 *
 * Slot C t + c of ciphertext i holds x[t][C i + c], 0 where there is no such feature.  Squares
 * summed over all i, then rotated and added over C columns, give in column c of token t
 *
 *   w[t][c] = (1/H) ( sum over i, c' >= c of x[t][C i + c']^2
 *                   + sum over i, c' <  c of x[t+1][C i + c']^2 ),   x less the mean of its row.
 *
 * w[t][0] is the variance of token t, the others mix two neighbours.  Token 0 follows the last one:
 * a row of padding is a copy of its row, and slots are cyclic. */
#ifndef BERT_WINDOWS_H
#define BERT_WINDOWS_H

#ifdef __cplusplus
extern "C" {
#endif

/* Widen [*lo, *hi] by every window of x (rows x hidden, centred or not) for C = columns >= 1; no
 * window is below 0.  For every columns >= hidden they are the same. */
void bert_windows(double *lo, double *hi, const double *x, int rows, int hidden, int columns);

#ifdef __cplusplus
}
#endif
#endif
