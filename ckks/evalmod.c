/* EvalMod: t -> sin(2 pi t)/(2 pi) on a neighbourhood of the integers |t| <= 16, 8 levels.
 *
 * With x = t/R, z = x - 1/(4 R) and u = 2 z^2 - 1: y_0 = a^(1/8) cos(2 pi R z/8), even in z, by a
 * polynomial of degree 15 in u (1 + 4 levels), then three double angles y <- 2 y^2 - amp^2 of
 * growing amplitude give a cos(2 pi t - pi/2) = a sin(2 pi t), a = 1/(2 pi). The polynomial is
 * fitted, not expanded: weighted least squares on clusters of width 2^-10.5 around the integers,
 * weight 2^(-4(|I|-9)) beyond |I| = 9, times 1/|sin(2 pi (I - 1/4)/8)|, by which the double angles
 * multiply an error; 2^-20 in between, so that it stays bounded there. An |I| > 9 has probability
 * 2^-13.4 per bootstrap at N = 2^16, h = 32, an |I| > 10 2^-20.5, > 11 2^-29, > 12 2^-40, > 13
 * 2^-53; none is above 16. Error against the sine in message units: 2^-27.6 for |I| <= 9, 2^-24.5
 * at 10, 2^-19.8 at 11, 2^-16.1 at 12, 2^-10.5 at 13, 2^-5.2 at 16. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum { DEG = CKKS_EVALMOD_DEGREE, K = CKKS_EVALMOD_K, COLS = DEG + 1, PER_CLUSTER = 5, GRID = 200 };

static const long double R = CKKS_EVALMOD_RANGE;

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

static long double angle(long double t) {
    static const long double pi = 3.14159265358979323846264338327950288L;
    return 2 * pi * (t - 0.25L) / 8;
}

/* Where the fit looks, and how closely. */
static long double place(long double *weight, int j) {
    static const long double pi = 3.14159265358979323846264338327950288L;
    const long double width = powl(2, -10.5L);
    if (j < GRID) {
        *weight = powl(2, -20);
        return R * cosl((j + 0.5L) * pi / (2 * GRID)) + 0.25L;
    }
    int I = (j - GRID) / PER_CLUSTER - K, s = (j - GRID) % PER_CLUSTER;
    *weight = (abs(I) <= 9 ? 1 : powl(2, -4.0L * (abs(I) - 9))) / fabsl(sinl(angle(I)));
    return I + width * (s - 2) / 2;
}

int ckks_evalmod_fit(double c[CKKS_EVALMOD_DEGREE + 1], double amp) {
    const int rows = (2 * K + 1) * PER_CLUSTER + GRID;
    long double *A = malloc((size_t)rows * COLS * sizeof *A), *f = malloc((size_t)rows * sizeof *f),
                lc[COLS], w;
    if (!A || !f) {
        free(A);
        free(f);
        return thor_fail(THOR_MEMORY, "no memory to fit EvalMod");
    }
    for (int j = 0; j < rows; j++) {
        long double t = place(&w, j), z = (t - 0.25L) / R, u = 2 * z * z - 1, t0 = 1, t1 = u;
        for (int k = 0; k < COLS; k++) {
            A[j * COLS + k] = w * t0;
            long double t2 = 2 * u * t1 - t0;
            t0 = t1, t1 = t2;
        }
        f[j] = w * amp * cosl(angle(t));
    }
    least_squares(lc, A, f, rows);
    for (int k = 0; k < COLS; k++) c[k] = (double)lc[k];
    free(A);
    free(f);
    return THOR_OK;
}

/* y = 2 y^2 - c */
static int double_angle(struct ckks_ct *y, int width, double c) {
    int st = THOR_OK;
    const struct ckks_ct *const from = y;
    TRY(ckks_dot_plus(y, width, &from, &from, 1, NULL, NULL, 0, 0, NULL));
    for (int i = 0; i < width; i++) {
        TRY(ckks_add(&y[i], &y[i], &y[i]));
        TRY(ckks_add_const(&y[i], &y[i], -c));
    }
out:
    return st;
}

int ckks_evalmod(struct ckks_ct *x, int width, const double *c, double amp) {
    int st = THOR_OK;
    for (int i = 0; i < width; i++) TRY(ckks_add_const(&x[i], &x[i], -0.25 / CKKS_EVALMOD_RANGE));
    TRY(double_angle(x, width, 1));
    TRY(ckks_cheb_wide(x, x, width, c, DEG));
    for (int i = 0; i < CKKS_EVALMOD_DOUBLINGS; i++) {
        amp *= amp;
        TRY(double_angle(x, width, amp));
    }
out:
    return st;
}
