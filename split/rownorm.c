#include <math.h>

#include "split/parts.h"

static double mean(const double *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

void split_norm_forward(double *y, double *u, double *inv, const double *x, int rows, int width,
                        double eps, const struct split_norm *n) {
    const size_t w = (size_t)width;
    for (size_t i = 0; i < (size_t)rows; i++, y += w, u += w, x += w) {
        const double m = n->beta ? mean(x, w) : 0;
        for (size_t c = 0; c < w; c++) u[c] = x[c] - m;
        inv[i] = 1 / sqrt(split_dot(u, u, w) / (double)w + eps);
        for (size_t c = 0; c < w; c++) {
            u[c] *= inv[i];
            y[c] = u[c] * n->gamma[c] + (n->beta ? n->beta[c] : 0);
        }
    }
}

void split_norm_backward(double *dx, const double *dy, const double *u, const double *inv, int rows,
                         int width, const struct split_norm *n) {
    const size_t w = (size_t)width;
    for (size_t i = 0; i < (size_t)rows; i++, dx += w, dy += w, u += w) {
        for (size_t c = 0; c < w; c++) dx[c] = dy[c] * n->gamma[c];
        const double m = n->beta ? mean(dx, w) : 0, along = split_dot(dx, u, w) / (double)w;
        for (size_t c = 0; c < w; c++) dx[c] = inv[i] * (dx[c] - m - u[c] * along);
    }
}
