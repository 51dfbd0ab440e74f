#include "bert/windows.h"

#include <math.h>
#include <stddef.h>

static double mean_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += x[i];
    return sum / n;
}

// squares of the features `first`, first + step, ..
static double squares(const double *x, double mean, int n, int first, int step) {
    double sum = 0;
    for (int i = first; i < n; i += step) sum += (x[i] - mean) * (x[i] - mean);
    return sum;
}

void bert_windows(double *lo, double *hi, const double *x, int rows, int hidden, int columns) {
    double mean = mean_of(x, hidden);
    for (int t = 0; t < rows; t++) {
        const double *row = x + (size_t)t * (size_t)hidden;
        const double *next = t + 1 < rows ? row + hidden : x;
        const double next_mean = mean_of(next, hidden);
        double sum = squares(row, mean, hidden, 0, 1);
        for (int c = 0; c < columns && c < hidden; c++) { // column c leaves, that of `next` enters
            *lo = fmin(*lo, fmax(sum, 0) / hidden);
            *hi = fmax(*hi, sum / hidden);
            sum += squares(next, next_mean, hidden, c, columns) -
                   squares(row, mean, hidden, c, columns);
        }
        mean = next_mean;
    }
}
