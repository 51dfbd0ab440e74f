/* EvalMod: t -> sin(2 pi t)/(2 pi) on a neighbourhood of the integers |t| <= K = 16, 8 levels.
 *
 * With x = t/K, y_0 = a^(1/8) cos(2 pi (K x - 1/4)/8) by a polynomial of degree 31 (5 levels), then
 * three double angles y <- 2 y^2 - amp^2 of growing amplitude give a cos(2 pi t - pi/2) = a sin(2
 * pi t), a = 1/(2 pi). The polynomial is fitted, not expanded: weighted least squares on clusters
 * of width 2^-10.5 around the integers, weight 1 for |I| <= 12 and 2^(-4(|I|-12)) beyond (an |I| >
 * 12 has probability 2^-40 per bootstrap at N = 2^16, h = 32, |I| > 16 less than 2^-137), 2^-20 in
 * between, so that it stays bounded there. Error against the sine: 2^-25.5 in message units for |I|
 * <= 12, where the plain Chebyshev series has 2^-17. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum { DEG = CKKS_EVALMOD_DEGREE, K = CKKS_EVALMOD_K, COLS = DEG + 1, PER_CLUSTER = 5, GRID = 200 };

static long double target(long double x, long double amp) {
    static const long double pi = 3.14159265358979323846264338327950288L;
    return amp * cosl(2 * pi * (K * x - 0.25L) / 8);
}

/* Least squares min |A c - f| by Householder reflections; A is rows x COLS, row major,
 * overwritten. */
static void least_squares(long double *c, long double *A, long double *f, int rows) {
    for (int j = 0; j < COLS; j++) {
        long double s = 0, dot;
        for (int i = j; i < rows; i++) s += A[i * COLS + j] * A[i * COLS + j];
        long double alpha = A[j * COLS + j] > 0 ? -sqrtl(s) : sqrtl(s),
                    v0 = A[j * COLS + j] - alpha;
        long double beta = s - alpha * A[j * COLS + j]; /* |v|^2 / 2 */
        for (int k = j + 1; k <= COLS; k++) {           /* column COLS stands for f */
            dot = v0 * (k < COLS ? A[j * COLS + k] : f[j]);
            for (int i = j + 1; i < rows; i++)
                dot += A[i * COLS + j] * (k < COLS ? A[i * COLS + k] : f[i]);
            dot /= beta;
            if (k < COLS)
                A[j * COLS + k] -= dot * v0;
            else
                f[j] -= dot * v0;
            for (int i = j + 1; i < rows; i++) {
                if (k < COLS)
                    A[i * COLS + k] -= dot * A[i * COLS + j];
                else
                    f[i] -= dot * A[i * COLS + j];
            }
        }
        A[j * COLS + j] = alpha;
    }
    for (int j = COLS - 1; j >= 0; j--) {
        c[j] = f[j];
        for (int k = j + 1; k < COLS; k++) c[j] -= A[j * COLS + k] * c[k];
        c[j] /= A[j * COLS + j];
    }
}

int ckks_evalmod_fit(double c[CKKS_EVALMOD_DEGREE + 1], double amp) {
    int max = (2 * K + 1) * PER_CLUSTER + GRID, rows = 0;
    long double *A = malloc((size_t)max * COLS * sizeof *A), *f = malloc((size_t)max * sizeof *f),
                lc[COLS];
    long double width = powl(2, -10.5L);
    if (!A || !f) {
        free(A);
        free(f);
        return thor_fail(THOR_MEMORY, "no memory to fit EvalMod");
    }
    for (int j = 0; j < max; j++) {
        long double x, w = powl(2, -20);
        if (j < GRID) {
            x = cosl((j + 0.5L) * acosl(-1) / GRID);
        } else {
            int I = (j - GRID) / PER_CLUSTER - K, s = (j - GRID) % PER_CLUSTER;
            x = (I + width * (s - 2) / 2) / K;
            w = abs(I) <= 12 ? 1 : powl(2, -4.0L * (abs(I) - 12));
        }
        if (fabsl(x) > 1) continue;
        long double t0 = 1, t1 = x;
        for (int k = 0; k < COLS; k++) {
            A[rows * COLS + k] = w * t0;
            long double t2 = 2 * x * t1 - t0;
            t0 = t1, t1 = t2;
        }
        f[rows++] = w * target(x, amp);
    }
    least_squares(lc, A, f, rows);
    for (int k = 0; k < COLS; k++) c[k] = (double)lc[k];
    free(A);
    free(f);
    return THOR_OK;
}

int ckks_evalmod(struct ckks_ct *out, const struct ckks_ct *x, const double *c, double amp) {
    int st = THOR_OK;
    struct ckks_ct y = {0};
    TRY(ckks_cheb(&y, x, c, DEG));
    for (int i = 0; i < CKKS_EVALMOD_DOUBLINGS; i++) {
        TRY(ckks_mul(&y, &y, &y));
        amp *= amp;
        TRY(ckks_add(&y, &y, &y));
        TRY(ckks_add_const(&y, &y, -amp));
    }
    ckks_ct_move(out, &y);
out:
    ckks_ct_free(&y);
    return st;
}
