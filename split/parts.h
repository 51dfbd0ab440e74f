/* The parts of a layer that are the client's, each forward and backward, in doubles.  Rows are
 * tokens.  Backward: "d" in front is the gradient of the loss by that value.
 */
#ifndef SPLIT_PARTS_H
#define SPLIT_PARTS_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* sum a[i] b[i] in eight running sums: it vectorises, and always adds in the same order. */
static inline double split_dot(const double *a, const double *b, size_t n) {
    double sum[8] = {0}, tail = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) tail += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7])) + tail;
}

/* y += a x */
static inline void split_axpy(double *y, double a, const double *x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += a * x[i];
}

void split_softmax(double *row, int n); /* in place */

/* ---- rownorm.c: a row to mean 0 and variance 1, or to mean square 1 */

struct split_norm {
    const float *gamma, *beta; /* beta NULL: an RMS norm, whose mean is not subtracted */
};

/*   u = (x - mean) inv, inv = 1 / sqrt(var + eps);   y = gamma u + beta
 * u: rows x width and inv: rows are kept for the way back; y may be x. */
void split_norm_forward(double *y, double *u, double *inv, const double *x, int rows, int width,
                        double eps, const struct split_norm *n);
/*   e = gamma dy;   dx = inv (e - mean(e) - u mean(e u)), of an RMS norm without mean(e)
 * dx may be dy. */
void split_norm_backward(double *dx, const double *dy, const double *u, const double *inv, int rows,
                         int width, const struct split_norm *n);

/* ---- rotary.c: positions as rotations of pairs (c, c + half) of a head's columns */

/* inverse: by the negative angle, which is the way back.  x: rows x heads x 2 half, `stride` values
 * from row to row; row i stands at position `first` + i; frequency[half] in radians a position. */
void split_rotate(double *x, int rows, size_t stride, int heads, int half, const double *frequency,
                  int first, int inverse);

/* ---- selfattend.c: one text's attention */

struct split_attention {
    int heads, groups, head; /* query heads; heads of k and v; columns of each */
    int causal;              /* row i sees keys 0 .. past + i */
    size_t stride;           /* values from row to row of q, k and v */
};

/*   p_a = softmax(q_a k_b^T / sqrt(head)), b = a groups / heads;   out_a = p_a v_b
 * q: rows, k and v: past + rows; out: rows x (heads head); p: heads x rows x (past + rows) */
void split_attend(double *out, double *p, const double *q, const double *k, const double *v,
                  int rows, int past, const struct split_attention *a);
/* dq, dk, dv are set, with the same stride; past is 0.  THOR_MEMORY. */
int split_attend_backward(double *dq, double *dk, double *dv, const double *dout, const double *p,
                          const double *q, const double *k, const double *v, int rows,
                          const struct split_attention *a);

/* ---- gates.c: what stands between UP and DOWN */

enum split_gate {
    SPLIT_GELU,      /* x/2 (1 + erf(x / sqrt 2)) */
    SPLIT_GELU_TANH, /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    SPLIT_SWIGLU     /* silu(gate) up, silu(x) = x / (1 + exp(-x)) */
};

/* f: rows x width; up: rows x width, of SWIGLU rows x 2 width, gate first. */
void split_gate_forward(double *f, const double *up, int rows, int width, enum split_gate g);
/* dup may not be df. */
void split_gate_backward(double *dup, const double *df, const double *up, int rows, int width,
                         enum split_gate g);

double split_gelu(double x);
double split_gelu_slope(double x);

#ifdef __cplusplus
}
#endif
#endif
