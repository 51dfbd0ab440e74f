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

/* Of one row: C takes the narrower side, and p as much of the wider one as there are slots. */
static struct split_packing one_row(int slots, int in, int out) {
    const int narrow = in < out ? in : out, wide = in < out ? out : in;
    const int columns = clamp(power_above(narrow), LEAST, slots);
    const int period =
        clamp(columns * power_above((wide + 2 * columns - 1) / (2 * columns)), columns, slots);
    struct split_packing p = {
        out < in ? SPLIT_GATHERED : SPLIT_SPREAD, slots, columns, period, 1, 1, columns, columns};
    *(out < in ? &p.in : &p.out) = 2 * period;
    return p;
}

struct split_packing split_packing_of(int slots, int tokens, int in, int out) {
    const int few = fewest(slots), many = most(slots), widest = in > out ? in : out;
    if (tokens == 1) return one_row(slots, in, out);
    const int fits = clamp(power_above(widest), few, many);
    const int columns = clamp(2 * slots / clamp(power_above(tokens), 1, 2 * slots), few, fits);
    const int set = 2 * slots / columns;
    return (struct split_packing){
        SPLIT_ROWS, slots, columns, columns, tokens, (tokens + set - 1) / set, columns, columns};
}

/* Token of slot s in a lane of a set; may lie behind the last one. */
static int token_of(const struct split_packing *p, int set, int lane, int s) {
    if (p->form != SPLIT_ROWS) return 0;
    return set * split_tokens_in_set(p) + lane * (p->slots / p->columns) + s / p->columns;
}

/* Column of slot s of a lane that holds `held` columns of a row, of which this is piece `piece`; -1
 * for none. */
static int column_of(const struct split_packing *p, int held, int piece, int lane, int s) {
    if (p->form == SPLIT_ROWS) return piece * held + s % held;
    if (held == p->columns) return lane ? -1 : piece * held + s % held;
    return piece * held + lane * p->period + s % p->period;
}

void split_to_slots(double *re, double *im, const struct split_packing *p, const double *x,
                    const double *factor, int width, int set, int piece) {
    for (int lane = 0; lane < 2; lane++) {
        double *z = lane ? im : re;
        for (int s = 0; s < p->slots; s++) {
            const int t = token_of(p, set, lane, s), c = column_of(p, p->in, piece, lane, s);
            const int there = t < p->tokens && c >= 0 && c < width;
            z[s] = there ? x[(size_t)t * (size_t)width + (size_t)c] * factor[t] : 0;
        }
    }
}

/* Shares of a column lie in the first p slots, C apart. */
static double shares(const struct split_packing *p, const double *z, int s) {
    double sum = 0;
    for (int end = p->form == SPLIT_GATHERED ? p->period : s + 1; s < end; s += p->columns)
        sum += z[s];
    return sum;
}

void split_from_slots(double *x, const struct split_packing *p, const double *re, const double *im,
                      const double *factor, int width, int set, int piece) {
    /* of a single row every column is read once, from the first of its places */
    const int slots = p->form == SPLIT_ROWS     ? p->slots
                      : p->form == SPLIT_SPREAD ? p->period
                                                : p->columns;
    for (int lane = 0; lane < 2; lane++) {
        const double *z = lane ? im : re;
        for (int s = 0; s < slots; s++) {
            const int t = token_of(p, set, lane, s), c = column_of(p, p->out, piece, lane, s);
            if (t < p->tokens && c >= 0 && c < width)
                x[(size_t)t * (size_t)width + (size_t)c] = shares(p, z, s) * factor[t];
        }
    }
}

struct split_steps split_steps_of(enum split_form form, int columns) {
    int b = 1;
    while (b * b < 2 * columns) b *= 2;
    return form == SPLIT_ROWS ? (struct split_steps){-columns, 2 * columns, b}
                              : (struct split_steps){0, columns, b};
}

/* All rotations of a packing, of which a dry run notes the keys. */
static int rotate_all(struct ckks_ct *x, enum split_form form, int columns) {
    int st = THOR_OK;
    struct ckks_ct y = {0};
    const struct split_steps z = split_steps_of(form, columns);
    for (int r = 1; r < z.baby && r < z.count; r++) TRY(ckks_rotate(&y, x, r));
    for (int r = 0; r < z.count; r += z.baby) TRY(ckks_rotate(&y, x, z.first + r));
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
    for (int c = fewest(slots); c <= most(slots); c *= 2) TRY(rotate_all(&x, SPLIT_ROWS, c));
    for (int c = LEAST; c <= slots; c *= 2) TRY(rotate_all(&x, SPLIT_SPREAD, c));
    *n = dry->n_needs;
    *need = malloc((size_t)(*n + 1) * sizeof **need);
    if (!*need) TRY(thor_fail(THOR_MEMORY, "no memory for a list of keys"));
    memcpy(*need, dry->needs, (size_t)*n * sizeof **need);
out:
    ckks_ct_free(&x);
    ckks_close(dry);
    return st;
}
