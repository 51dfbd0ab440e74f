#include <math.h>

#include "split/parts.h"

double split_gelu(double x) {
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
}

double split_gelu_slope(double x) {
    return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) * (0.5 * M_2_SQRTPI * M_SQRT1_2);
}

static double curve(double x) { // of the tanh
    return tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x));
}

static double tanh_slope(double x) {
    const double t = curve(x), inner = M_2_SQRTPI * M_SQRT1_2 * (1 + 3 * 0.044715 * x * x);
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner;
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

static void swiglu(double *f, const double *up, size_t width) {
    for (size_t c = 0; c < width; c++) f[c] = up[c] * sigmoid(up[c]) * up[width + c];
}

static void swiglu_backward(double *dup, const double *df, const double *up, size_t width) {
    for (size_t c = 0; c < width; c++) {
        const double x = up[c], s = sigmoid(x);
        dup[c] = df[c] * up[width + c] * s * (1 + x * (1 - s));
        dup[width + c] = df[c] * x * s;
    }
}

void split_gate_forward(double *f, const double *up, int rows, int width, enum split_gate g) {
    const size_t w = (size_t)width, n = (size_t)rows * w;
    if (g == SPLIT_SWIGLU)
        for (int i = 0; i < rows; i++, f += w, up += 2 * w) swiglu(f, up, w);
    else
        for (size_t i = 0; i < n; i++)
            f[i] = g == SPLIT_GELU ? split_gelu(up[i]) : 0.5 * up[i] * (1 + curve(up[i]));
}

void split_gate_backward(double *dup, const double *df, const double *up, int rows, int width,
                         enum split_gate g) {
    const size_t w = (size_t)width, n = (size_t)rows * w;
    if (g == SPLIT_SWIGLU)
        for (int i = 0; i < rows; i++, df += w, dup += 2 * w, up += 2 * w)
            swiglu_backward(dup, df, up, w);
    else
        for (size_t i = 0; i < n; i++)
            dup[i] = df[i] * (g == SPLIT_GELU ? split_gelu_slope(up[i]) : tanh_slope(up[i]));
}
