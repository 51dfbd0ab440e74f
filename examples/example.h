/* What the examples share: the way out of a function, and the comparison with the plain result. */
#ifndef EXAMPLE_H
#define EXAMPLE_H

#include <ckks.h>
#include <math.h>
#include <stdio.h>

#define TRY(call)                                                                                  \
    do {                                                                                           \
        if ((st = (call)) != CKKS_OK) goto out;                                                    \
    } while (0)

/* Prints both; 1 when they differ by more than `bound`. */
static inline int differs(const char *what, double encrypted, double plain, double bound) {
    printf("%-24s %12.6f encrypted, %12.6f in clear\n", what, encrypted, plain);
    return !(fabs(encrypted - plain) <= bound);
}

/* The exit status of an example, and its message. */
static inline int finish(int st, int wrong) {
    if (st != CKKS_OK) fprintf(stderr, "%s\n", ckks_error());
    if (st == CKKS_OK && wrong) fprintf(stderr, "%d results are wrong\n", wrong);
    return st != CKKS_OK ? st : wrong != 0;
}

#endif
