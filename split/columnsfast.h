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
 * B^2 >= 2 C. */
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

struct split_packing {
    int slots, columns; /* n, C */
    int tokens, sets;   /* of all rows; sets of 2 n/C of them */
};

/* For that many rows of at most `widest` columns. */
struct split_packing split_packing_of(int slots, int tokens, int widest);

static inline int split_tokens_in_set(const struct split_packing *p) {
    return 2 * p->slots / p->columns;
}

/* Ciphertexts of C columns that `width` columns take in one set. */
static inline int split_pieces(const struct split_packing *p, int width) {
    return (width + p->columns - 1) / p->columns;
}

/* Piece `piece` of set `set` of rows x (tokens x width), each row times factor[token], to n slots;
 * and back, into x. */
void split_to_slots(double *re, double *im, const struct split_packing *p, const double *x,
                    const double *factor, int width, int set, int piece);
void split_from_slots(double *x, const struct split_packing *p, const double *re, const double *im,
                      const double *factor, int width, int set, int piece);

int split_babies(int columns);

/* The rotation keys of every packing of a ring, at level 0; the caller frees *need. */
int split_needs(struct ckks_need **need, int *n, const struct ckks_params *params);

#ifdef __cplusplus
}
#endif
#endif
