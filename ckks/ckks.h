/* RNS-CKKS with 28-bit primes and "three primes for two levels": the engine as the layers above it
 * see it.  include/ckks.h is its public half, for programs of others, and says what each function
 * does; this file adds the structs behind it, and what only this project uses.
 *
 * Slots.  A plaintext is a vector of n = N/2 complex numbers; rotation by r moves slot s+r to slot
 * s.  A vector of smaller period p (a power of two) is a polynomial in X^(N/2p): periods stay
 * periodic under every operation, "sparse packing" is nothing else.
 * Levels.  A fresh ciphertext is at level <= params->max_level (16); each product costs one; level
 * 0 is the last.  A ciphertext at level l has the scale params->scale[l], always: binary operations
 * bring their operands to the lower level themselves, so a scale mismatch cannot be written.
 * Form.  Ciphertexts are always in evaluation form, canonical residues (kernels/kernels.h).
 * Outputs come first, may alias inputs, and are (re)allocated as needed; start with `struct ckks_ct
 * c = {0}` and end with ckks_ct_free(&c).  Every function returns a status (kernels/status.h).
 * Keys.  Operations find their evaluation keys in cx->keys; over a `dry` back end they are only
 * noted in cx->needs, which is how the exact list of keys of a circuit is made.
 */
#ifndef THOR_CKKS_H
#define THOR_CKKS_H

#include <stdint.h>
#include <stdio.h>

#include "ckks/random.h"
#include "include/ckks.h"
#include "kernels/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ------------------------------------------------------------------ parameters (params.c) */
/* of the named sets, which share a chain; literal.c makes others */
#define CKKS_PRIMES 63
#define CKKS_TERMINALS 2 /* places 0, 1 of the chain */
#define CKKS_MAINS 48    /* places 2 .. 49 */
#define CKKS_SPECIALS 13 /* places 50 .. 62 */
#define CKKS_SPECIAL0 50
#define CKKS_TOP 27 /* level after ModRaise */
#define CKKS_EVALMOD_TOP 24
#define CKKS_MSG_TOP 16
#define CKKS_DIGITS 4
#define CKKS_SPARSE_H 32 /* weight of the ephemeral secret of ModRaise */

#define CKKS_LEVELS 64 /* more than any set has */

struct ckks_params {
    char name[16]; /* "n16", "n15", "n12", "toy10" .. "toy13", or of a literal: literal.c */
    int log_n;
    int max_level;                             /* of a fresh ciphertext: 16, 9 for n15, 0 for n12 */
    int top_level;                             /* of a key: 27 with bootstrapping, else max_level */
    int bootstraps;                            /* 1: there are the levels of a bootstrap */
    double log_q, log_p, log_qp, log_qp_limit; /* bits; limit 0 for toys */
    int security_bits;                         /* 128, or 0 for toys (insecure) */
    /* the chain: main0 terminals, the mains, from special0 on the specials of P */
    const uint32_t *prime;
    int primes, main0, special0, specials;
    uint8_t first[CKKS_LEVELS], last[CKKS_LEVELS]; /* of each level's basis, a run of places */
    int first_prime;                               /* of keys: 0, or 2 without the terminals */
    int thirds;       /* 1: two levels share three primes, and terminals join the odd ones */
    int centred_from; /* from that level on the digits of key switching are centred */
    int digit_end[CKKS_DIGITS]; /* digit j holds the places digit_end[j-1] .. digit_end[j] - 1 */
    double scale[CKKS_LEVELS];  /* S_l */
    double boot_scale[CKKS_TOP + 1]; /* B_l, 16 <= l <= 27 */
};
/* The security gate: THOR_KEY unless logQP of keys up to `level` fits the table for log_n (toys
 * pass). */
int ckks_params_check(const struct ckks_params *p, int level);
/* bits of the product of the primes of basis(level) [and P] */
double ckks_log_modulus(const struct ckks_params *p, int level, int with_special);
/* limbs of a ciphertext at that level, chain order */
struct kbasis ckks_basis(const struct ckks_params *p, int level);
double ckks_level_scale(const struct ckks_params *p, int level, int boot_branch);

/* ------------------------------------------------------------------ context (context.c) */
struct ckks_count {
    uint64_t rotations, hoisted, decompositions, relins, ctct, ptct, rescales, bootstraps, encodes;
};

struct ckks {
    const struct ckks_params *params;
    struct kernels *k;
    const struct ckks_keys *keys; /* borrowed; NULL until ckks_use_keys */
    struct ckks_need *needs;
    int n_needs, cap_needs; /* filled when k->kind == KERN_DRY */
    /* and the ids of the keys in the order of their use */
    uint32_t *uses;
    int n_uses, cap_uses;
    struct ckks_count count;
    /* set before ckks_boot_new: its matrices are expanded at each use */
    int lean;
    size_t kept_bytes;          /* host memory of such matrices made so far */
    struct ckks_tables *tables; /* base conversions and scratch: context.c */
};

/* tier is of the CPU; with KERN_CUDA, `threads` is the number of the device. */
int ckks_open(struct ckks **out, const struct ckks_params *p, enum kern_kind kind,
              enum kern_tier tier, int threads);

/* ------------------------------------------------------------------ ciphertexts (cipher.c) */
struct ckks_ct {
    struct ckks *cx;
    uint32_t *c; /* polys x rows residues on the back end; rows >= limbs of the level */
    int polys;   /* 2 */
    int rows;    /* pitch */
    int level;
    int pending; /* 1: a product not yet rescaled, scale S_l^2 */
    int boot;    /* 1: inside a bootstrap, scales B_l */
};

void ckks_ct_free(struct ckks_ct *a);
/* ckks_copy into the rows that out has; THOR_INTERNAL when levels or the like differ. */
int ckks_fill(struct ckks_ct *out, const struct ckks_ct *a);
static inline int ckks_ct_limbs(const struct ckks_ct *a) {
    return ckks_basis(a->cx->params, a->level).n;
}

/* ------------------------------------------------------------------ encoding (encode.c) */
/* Canonical embedding: slot s holds m(zeta^(5^s)), zeta = exp(i pi / N).  re, im: `period` numbers
 * (im may be NULL), repeated to fill n slots.  Coefficients are rounded to nearest at `scale`;
 * THOR_RANGE for NaN, inf or numbers of 2^61 / scale and more. */
struct ckks_pt {
    struct ckks *cx;
    uint32_t *c; /* rows of N >> log_rep words, evaluation form */
    int log_rep;
    struct kbasis basis;
};
void ckks_pt_free(struct ckks_pt *p);
int ckks_encode(struct ckks_pt *out, struct ckks *cx, const double *re, const double *im,
                size_t period, double scale, const struct kbasis *b);
/* Slots of real coefficients c[N] / scale, and back (host arithmetic, for tests and decryption). */
int ckks_fft_slots(struct ckks *cx, double *re, double *im, const double *coeff);
int ckks_fft_coeffs(struct ckks *cx, double *coeff, const double *re, const double *im);

/* ------------------------------------------------------------------ keys (keys.c) */
struct ckks_secret { /* libsodium guarded memory; files 0600 */
    const struct ckks_params *params;
    int8_t *s;      /* N coefficients in {-1, 0, 1} */
    uint8_t id[16]; /* public name of the key pair, in every file made with it */
};
struct ckks_public { /* (b, a) = (-a s + e, a) over basis [0, 2 + 26) */
    const struct ckks_params *params;
    uint8_t id[16];
    uint8_t seed[CKKS_SEED]; /* of a */
    uint32_t *b;             /* host words, rows x N, evaluation form */
    uint32_t *a;             /* the same, of a key of SEAL, which has no seed; else NULL */
    int rows;
};
struct ckks_ksk {            /* one switching key */
    uint32_t id;             /* galois element or CKKS_KEY_* */
    int level;               /* usable at this level and below */
    int digits, rows;        /* data: digits x (b, a) x rows x N on the back end, */
    uint8_t seed[CKKS_SEED]; /* of the halves a, which it lacks where k->generates */
    uint32_t *data;
};
struct ckks_keys {
    struct ckks *cx;
    uint8_t id[16];
    struct ckks_ksk *key;
    int n;                       /* sorted by id */
    struct ckks_keystore *store; /* NULL: all in memory; else data comes and goes (keystore.c) */
};

/* 1: the system locks as much memory as secrets of this set take, so that no swap sees them
 * (locked.c).  0: it refuses (ulimit -l); then secrets are in guarded memory all the same, which no
 * core file holds. */
int ckks_secrets_locked(const struct ckks_params *p);
/* ckks_keys_new straight into a file, one key in memory at a time; a status of step other than
 * THOR_OK ends it. */
int ckks_keys_generate(const char *path, struct ckks *cx, const struct ckks_secret *s,
                       const struct ckks_need *need, int n, const uint8_t seed[CKKS_SEED],
                       int (*step)(void *, int, int), void *ctx);
/* rows of one half of one digit */
size_t ckks_ksk_rows(const struct ckks_params *p, uint32_t id, int level, int *digits);
size_t ckks_needs_bytes(const struct ckks *cx, const struct ckks_need *need, int n);

/* ------------------------------------------------------------- short forms (compact.c) */
/* ckks_encrypt_secret at level 0, with half a made of a public seed: the `which`-th of it, never
 * twice with one seed (ckks_ct_uniform makes it again). */
int ckks_encrypt_seeded(struct ckks_ct *out, struct ckks *cx, const double *re, const double *im,
                        size_t period, const struct ckks_secret *s, const uint8_t seed[CKKS_SEED],
                        uint32_t which, struct ckks_rng *rng);
/* Level 0.  Coefficients of polynomial `poly`, N numbers below Q without their `drop` lowest bits,
 * rounded; and back, into the rows that `a` has.  THOR_USAGE for numbers that are none. */
int ckks_ct_shorten(uint64_t *c, const struct ckks_ct *a, int poly, int drop);
int ckks_ct_lengthen(struct ckks_ct *a, int poly, const uint64_t *c, int drop);
/* Bits of the largest of these numbers. */
int ckks_short_bits(const struct ckks_params *p, int drop);
/* Polynomial 1 = the `which`-th uniform polynomial of a seed. */
int ckks_ct_uniform(struct ckks_ct *a, const uint8_t seed[CKKS_SEED], uint32_t which);

/* ------------------------------------------------------------------ sums (sums.c) */
/* A sum of rotated sums of products, divided and rescaled once, at the end: sums.c.  Starts as {0};
 * all operands of one sum have the same lowest level. */
struct ckks_sum {
    struct ckks *cx;
    uint32_t *acc; /* 2 polynomials over Q P; NULL: empty */
    int level, boot;
};
/* s += rot(sum of a[j] b[j], by); on failure s is empty. */
int ckks_sum_add(struct ckks_sum *s, const struct ckks_ct *const a[],
                 const struct ckks_ct *const b[], int n, int by);
/* out = s, which is empty then; pending unless `rescale`. */
int ckks_sum_end(struct ckks_ct *out, struct ckks_sum *s, int rescale);
void ckks_sum_free(struct ckks_sum *s);
/* ------------------------------------------------------------------ polynomials (cheb.c) */
/* ckks_cheb, and top = T_m(x), m the largest power of two up to degree, made on the way: at level
 * x->level - log2 m, above out's; top may be NULL. */
int ckks_cheb_top(struct ckks_ct *out, struct ckks_ct *top, const struct ckks_ct *x,
                  const double *c, int degree);
/* The same polynomial times each of several masks (period numbers, repeated; not read in a dry
 * run), at the level of ckks_cheb: its coefficients are multiplied by the mask, so it costs no
 * level.  Period 0: the polynomial itself. top may be NULL.  THOR_RANGE for masks that ckks_encode
 * refuses. */
struct ckks_cheb_part {
    struct ckks_ct *out;
    const double *mask;
    size_t period;
};
int ckks_cheb_parts(const struct ckks_cheb_part *part, int n, struct ckks_ct *top,
                    const struct ckks_ct *x, const double *c, int degree);

/* ------------------------------------------------------------------ recordings (record.c) */
/* work(ctx) as the back end's replay() wants it (kernels.h): the same operands at the same
 * addresses each time, so in ciphertexts that were there before (ckks_zero, ckks_fill).  r names it
 * and stays where it is until the drop. */
struct ckks_recording {
    struct ckks_count count; /* of one pass */
};
int ckks_recorded(struct ckks *cx, struct ckks_recording *r, int (*work)(void *ctx), void *ctx);
void ckks_recording_drop(struct ckks *cx, struct ckks_recording *r);

/* ------------------------------------------------------------------ bootstrapping (boot.c) */
/* log2 of the probability that in one bootstrap some |I| > k (boot.c): EvalMod is exact to 2^-27 up
 * to 9, to 2^-16 up to 12, and covers 16. */
double ckks_boot_overflow(const struct ckks_params *p, int k);
/* ckks_bootstrap of the real part alone where b has both lanes of all slots, at three quarters of
 * the work: bit for bit what b without lanes gives.  Of other b: ckks_bootstrap. */
int ckks_bootstrap_real(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_boot *b);

#ifdef __cplusplus
}
#endif
#endif
