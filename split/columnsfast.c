#include "split/columnsfast.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST = 4 };

static int power_above(int n) { // least power of two from n on
    int p = 1;
    while (p < n) p *= 2;
    return p;
}

static int clamp(int v, int low, int high) {
    return v < low ? low : v > high ? high : v;
}

/* Fewest and most columns of this ring. */
static int fewest(int slots) {
    return clamp(2 * slots / SPLIT_TOGETHER, LEAST, slots);
}

static int most(int slots) {
    return clamp(SPLIT_COLUMNS, fewest(slots), slots);
}

struct split_packing split_packing_of(int slots, int tokens, int widest) {
    const int few = fewest(slots), many = most(slots);
    const int fits = clamp(power_above(widest), few, many);
    const int columns = clamp(2 * slots / clamp(power_above(tokens), 1, 2 * slots), few, fits);
    const int set = 2 * slots / columns;
    return (struct split_packing){slots, columns, tokens, (tokens + set - 1) / set};
}

/* Token of slot s in a lane of a set; may lie behind the last one. */
static int token_of(const struct split_packing *p, int set, int lane, int s) {
    return set * split_tokens_in_set(p) + lane * (p->slots / p->columns) + s / p->columns;
}

void split_to_slots(double *re, double *im, const struct split_packing *p, const double *x,
                    const double *factor, int width, int set, int piece) {
    for (int lane = 0; lane < 2; lane++) {
        double *z = lane ? im : re;
        for (int s = 0; s < p->slots; s++) {
            const int t = token_of(p, set, lane, s), c = piece * p->columns + s % p->columns;
            const int there = t < p->tokens && c < width;
            z[s] = there ? x[(size_t)t * (size_t)width + (size_t)c] * factor[t] : 0;
        }
    }
}

void split_from_slots(double *x, const struct split_packing *p, const double *re, const double *im,
                      const double *factor, int width, int set, int piece) {
    for (int lane = 0; lane < 2; lane++) {
        const double *z = lane ? im : re;
        for (int s = 0; s < p->slots; s++) {
            const int t = token_of(p, set, lane, s), c = piece * p->columns + s % p->columns;
            if (t < p->tokens && c < width)
                x[(size_t)t * (size_t)width + (size_t)c] = z[s] * factor[t];
        }
    }
}

int split_babies(int columns) {
    int b = 1;
    while (b * b < 2 * columns) b *= 2;
    return b;
}

/* All rotations of a packing, of which a dry run notes the keys. */
static int rotate_all(struct ckks_ct *x, int columns) {
    int st = THOR_OK;
    struct ckks_ct y = {0};
    const int b = split_babies(columns);
    for (int r = 1; r < b; r++) TRY(ckks_rotate(&y, x, r));
    for (int r = -columns; r < columns; r += b) TRY(ckks_rotate(&y, x, r));
out:
    ckks_ct_free(&y);
    return st;
}

int split_needs(struct ckks_need **need, int *n, const struct ckks_params *params) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    struct ckks_ct x = {0};
    TRY(ckks_open(&dry, params, KERN_DRY, KERN_TIER_BEST, 1));
    const int slots = ckks_slots(dry);
    TRY(ckks_zero(&x, dry, 0));
    for (int c = fewest(slots); c <= most(slots); c *= 2) TRY(rotate_all(&x, c));
    *n = dry->n_needs;
    *need = malloc((size_t)(*n + 1) * sizeof **need);
    if (!*need) TRY(thor_fail(THOR_MEMORY, "no memory for a list of keys"));
    memcpy(*need, dry->needs, (size_t)*n * sizeof **need);
out:
    ckks_ct_free(&x);
    ckks_close(dry);
    return st;
}
