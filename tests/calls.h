/* One call of an entry of the kernel table, and what back ends make of the same operands. */
#ifndef THOR_TESTS_CALLS_H
#define THOR_TESTS_CALLS_H

#include "tests/harness.h"

enum { PRIMES = 32, MAX_TERMS = 255 };
enum alias { ALIAS_NONE, ALIAS_X, ALIAS_Y };

struct call;
/* Does the call on x, y and out: polynomials `limbs` + 1 rows apart, short rows of y too. */
typedef void call_fn(struct kernels *k, const struct call *c, struct kvec out, struct kvec x,
                     struct kvec y);

struct call {
    const char *entry;
    call_fn *fn, *want;    /* want: what k[0] of a comparison does instead; NULL: the same */
    int limbs, polys, log; /* log of the words in a row of x */
    int log_run, terms, log_rep, accumulate, centred, with_pre;
    int gap;                    /* 1: every b of dot passes over one of its rows */
    int same_a, same_b, repeat; /* one polynomial for all: of a or b in dot, of x elsewhere */
    uint32_t g;
    size_t apart; /* rows between the terms of dot, which take turns of four */
    enum alias alias;
    enum fill kind;
    struct kbasis b, dst;
    uint32_t sx[PRIMES], sy[PRIMES];
    const int64_t *c;
    const double *z;
    double scale;
    enum how how;
    struct harness_rebase rebase;
    struct harness_key key;
    int digits;
};

call_fn do_add, do_sub, do_neg, do_mul, do_lincomb, do_scale, do_add_scalar, do_copy, do_zero;
call_fn do_ntt_fwd, do_ntt_inv, do_autom, do_lift, do_encode, do_dot, do_bconv,
    do_uniform; /* of rings from 2^8 on */
call_fn do_dots, do_combine, do_tensor;
call_fn do_mod_up, do_rebase; /* of these and bconv, out has the rows of dst */

/* A call over k's ring with no operands but x, y and out, all of `kind`. */
struct call call_of(const struct kernels *k, int limbs, int polys, enum fill kind);
/* Every back end leaves in x, y and out the bits that k[0] leaves; guard words as they were. */
void call_compare(struct call c, struct kernels *const *k, int n);
/* dots, combine and tensor likewise, each against the entries that it stands for */
void call_sums(struct call c, struct kernels *const *k, int n);
/* mod_up and rebase in shapes around c's: on every back end what the entries that they stand for do
 * on k[0]. */
void call_mod_ups(struct call c, struct kernels *const *k, int n);
void call_rebases(struct call c, struct kernels *const *k, int n);
/* key_sum and mod_up_sum likewise */
void call_keys(struct call c, struct kernels *const *k, int n);
/* n numbers for lift: 0, the ends +-(2^62 - 1) in turn, one of each, or random of all sizes;
 * malloc'ed. */
int64_t *call_integers(enum fill kind, size_t n);
/* n words that are no residues, malloc'ed. */
uint32_t *words(size_t n);

#endif
