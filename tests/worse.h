/* Largest errors, for loops that look for them. */
#ifndef THOR_TESTS_WORSE_H
#define THOR_TESTS_WORSE_H

#include <math.h>

/* The larger of two; NaN, which fmax passes over, when one of them is. */
static inline double worse(double a, double b) {
    return a > b || isnan(a) ? a : b;
}

#endif
