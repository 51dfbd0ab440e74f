#include "split/gaussian.h"

#include <math.h>
#include <sodium.h>

enum { SUMMED = 4 };

/* Uniform among the multiples of 2^-53 in [0, 1). */
static double unit(struct ckks_rng *r) {
    uint64_t word;
    ckks_rng_bytes(r, &word, sizeof word);
    return (double)(word >> 11) * 0x1p-53;
}

/* Two independent N(0, 1): sqrt(-2 log u) (cos, sin)(2 pi v), u in (0, 1], v in [0, 1). */
static void normal_pair(struct ckks_rng *r, double pair[2]) {
    const double size = sqrt(-2 * log(1 - unit(r))), angle = 2 * acos(-1) * unit(r);
    pair[0] = size * cos(angle);
    pair[1] = size * sin(angle);
}

void split_normals(struct ckks_rng *r, double *out, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        double sum[2] = {0, 0}, pair[2];
        for (int k = 0; k < SUMMED; k++) {
            normal_pair(r, pair);
            sum[0] += pair[0];
            sum[1] += pair[1];
        }
        out[i] = sum[0] / 2;
        if (i + 1 < n) out[i + 1] = sum[1] / 2;
    }
}

void split_add_normals(struct ckks_rng *r, double *x, size_t n, double sigma) {
    double piece[256];
    for (size_t done = 0; done < n;) {
        const size_t now = n - done < 256 ? n - done : 256;
        split_normals(r, piece, now);
        for (size_t i = 0; i < now; i++) x[done + i] += sigma * piece[i];
        done += now;
    }
    sodium_memzero(piece, sizeof piece);
}

double split_clip(double *x, size_t n, double bound) {
    double squares = 0;
    for (size_t i = 0; i < n; i++) squares += x[i] * x[i];
    const double norm = sqrt(squares);
    if (norm <= bound) return norm;
    const double factor = isfinite(norm) ? bound / norm : 0;
    for (size_t i = 0; i < n; i++) x[i] = factor > 0 ? x[i] * factor : 0;
    return norm;
}

int split_poisson(struct ckks_rng *r, int *chosen, int rows, double q) {
    int n = 0;
    for (int i = 0; i < rows; i++)
        if (unit(r) < q) chosen[n++] = i;
    return n;
}
