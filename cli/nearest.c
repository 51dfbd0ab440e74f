#include "cli/nearest.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

enum { LONGEST = 40 };

static int least(int a, int b) {
    return a < b ? a : b;
}

/* d[i][j], from the first i letters of a to the first j of b, is the least of
 *   d[i-1][j] + 1,  d[i][j-1] + 1,  d[i-1][j-1] + [a_i != b_j],  and d[i-2][j-2] + 1 where
 *   a_i a_(i-1) = b_(j-1) b_j
 * (optimal string alignment). */
static int distance(const char *a, const char *b) {
    int d[LONGEST + 1][LONGEST + 1];
    const size_t na = strlen(a), nb = strlen(b);
    if (na > LONGEST || nb > LONGEST) return INT_MAX;
    for (size_t i = 0; i <= na; i++) {
        for (size_t j = 0; j <= nb; j++) {
            if (!i || !j) {
                d[i][j] = (int)(i + j);
                continue;
            }
            d[i][j] = least(d[i - 1][j], d[i][j - 1]) + 1;
            d[i][j] = least(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    }
    return d[na][nb];
}

void nearest_start(struct nearest *n, const char *word) {
    *n = (struct nearest){.word = word, .distance = 2 + (int)strlen(word) / 4};
}

void nearest_try(struct nearest *n, const char *candidate) {
    const int d = distance(n->word, candidate);
    if (d >= n->distance) return;
    n->distance = d;
    n->best = candidate;
}
