#include <math.h>

#include "split/parts.h"

static void turn(double *x, size_t half, const double *cosine, const double *sine) {
    for (size_t c = 0; c < half; c++) {
        const double a = x[c], b = x[c + half];
        x[c] = a * cosine[c] - b * sine[c];
        x[c + half] = b * cosine[c] + a * sine[c];
    }
}

void split_rotate(double *x, int rows, size_t stride, int heads, int half, const double *frequency,
                  int first, int inverse) {
    double cosine[half], sine[half]; // of one position; clientmodel.c bounds a head's columns
    for (int i = 0; i < rows; i++, x += stride) {
        for (int c = 0; c < half; c++) {
            const double angle = (first + i) * frequency[c];
            cosine[c] = cos(angle);
            sine[c] = inverse ? -sin(angle) : sin(angle);
        }
        for (int a = 0; a < heads; a++)
            turn(x + 2 * (size_t)a * (size_t)half, (size_t)half, cosine, sine);
    }
}
