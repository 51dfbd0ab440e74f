#include "split/lora.h"

#include <string.h>

#include "split/parts.h"

// u = A x
static void down(double *u, const struct split_lora *l, size_t rank, const double *x) {
    const size_t in = (size_t)l->in;
    for (size_t k = 0; k < rank; k++) u[k] = split_dot(l->a + k * in, x, in);
}

void split_lora_forward(double *y, size_t stride, const struct split_lora *l, int rank, double s,
                        const double *x, int rows) {
    const size_t in = (size_t)l->in, out = (size_t)l->out, r = (size_t)rank;
    double u[SPLIT_RANK_MAX];
    for (int i = 0; i < rows; i++, x += in, y += stride) {
        down(u, l, r, x);
        for (size_t o = 0; o < out; o++) y[o] += s * split_dot(l->b + o * r, u, r);
    }
}

void split_lora_backward(double *dx, double *da, double *db, const struct split_lora *l, int rank,
                         double s, const double *x, const double *g, size_t stride, int rows) {
    const size_t in = (size_t)l->in, out = (size_t)l->out, r = (size_t)rank;
    double u[SPLIT_RANK_MAX], v[SPLIT_RANK_MAX]; // A x and s B^T g
    for (int i = 0; i < rows; i++, x += in, g += stride) {
        down(u, l, r, x);
        memset(v, 0, r * sizeof *v);
        for (size_t o = 0; o < out; o++) {
            split_axpy(v, s * g[o], l->b + o * r, r);
            split_axpy(db + o * r, s * g[o], u, r);
        }
        for (size_t k = 0; da && k < r; k++) split_axpy(da + k * in, v[k], x, in);
        for (size_t k = 0; dx && k < r; k++) split_axpy(dx, v[k], l->a + k * in, in);
        if (dx) dx += in;
    }
}
