/* How tokens lie in slots: columns fast, two lanes.
 *
 * A ciphertext has n slots of two real lanes.  With C columns (a power of two) slot C t + c holds
 * column c of token t in its real lane and of token t + n/C in the imaginary one: 2 n/C tokens.
 * Maps are real, so the lanes never meet.  Rows of more columns are several ciphertexts ("inputs",
 * C columns each, the last one filled up with zeros), more tokens several sets of them.
 *
 * A map of C x C, y[c] = sum over m = -C .. C-1 of W[c][c+m] x[c+m], has diagonals that are zero
 * where c + m leaves the token: no wrap, no mask, one level, and a plaintext of period C.
 * Rotations: babies 0 .. B-1 of inputs, giants -C + G B of outputs, B the least power of two with
 * B^2 >= 2 C.
 *
 * A single row, as generation asks for, would leave most of that empty.  It wraps instead, so that
 * C diagonals do, and the places besides it take more columns.  With p = C times a power of two,
 * slot s counted modulo p, lanes l = 0 (real) and 1 (imaginary), W^l the map's part for lane l:
 *   spread    x is C columns, again and again, and y 2 p columns: slot s of lane l holds l p + s.
 *             y = sum over m < C of (W^0 + i W^1)[s][(s+m) mod C] x[(s+m) mod C]
 *   gathered  x is 2 p columns, lane l holding l p + s, and y C columns in shares:
 *             z = sum over m < C of (W^0 - i W^1)[s mod C][(s+m) mod p] x[(s+m) mod p], and
 *             y[c] the sum of the real lanes of z[c], z[c+C], .. z[c+p-C]: the client adds them.
 * The first where a map has no more inputs than outputs.  Giants are G B, keys those of above. */
#ifndef SPLIT_COLUMNSFAST_H
#define SPLIT_COLUMNSFAST_H

#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tokens in a ciphertext at most: more of them means fewer columns, fewer rotations and shorter
 * plaintexts; and columns at most: for few tokens they are fewer ciphertexts that travel, of which
 * less is empty (of GPT-2's 768 columns a token's row is one instead of three of 256). */
enum { SPLIT_TOGETHER = 128, SPLIT_COLUMNS = 1024 };

enum split_form { SPLIT_ROWS, SPLIT_SPREAD, SPLIT_GATHERED };

struct split_packing {
    enum split_form form;
    int slots, columns, period; /* n; C; p, of plaintexts: C in SPLIT_ROWS */
    int tokens, sets;           /* of all rows; sets of split_tokens_in_set() of them */
    int in, out;                /* columns that a ciphertext of inputs holds, and of outputs */
};

/* For that many rows, and a map from `in` columns to `out`. */
struct split_packing split_packing_of(int slots, int tokens, int in, int out);

static inline int split_tokens_in_set(const struct split_packing *p) {
    return p->form == SPLIT_ROWS ? 2 * p->slots / p->columns : 1;
}

/* Ciphertexts of one set. */
static inline int split_pieces_in(const struct split_packing *p, int in) {
    return (in + p->in - 1) / p->in;
}
static inline int split_pieces_out(const struct split_packing *p, int out) {
    return (out + p->out - 1) / p->out;
}

/* Input `piece` of set `set` of rows x (tokens x width), each row times factor[token], to n slots;
 * and output `piece` from them, into x. */
void split_to_slots(double *re, double *im, const struct split_packing *p, const double *x,
                    const double *factor, int width, int set, int piece);
void split_from_slots(double *x, const struct split_packing *p, const double *re, const double *im,
                      const double *factor, int width, int set, int piece);

/* Rotations first .. first + count - 1 of the inputs, as babies below `baby` and giants. */
struct split_steps {
    int first, count, baby;
};
struct split_steps split_steps_of(enum split_form form, int columns);

/* The rotation keys of every packing of a ring, at level 0; the caller frees *need. */
int split_needs(struct ckks_need **need, int *n, const struct ckks_params *params);

#ifdef __cplusplus
}
#endif
#endif
