/* The kernel table: every operation on residues, behind one struct of function pointers.
 *
 * Three kinds of back end fill it: `cpu` (portable C in rows_ref.c, overlaid by AVX2 and AVX-512
 * tiers that are chosen at run time), `cuda` (kernels/cuda, in programs built with nvcc) and `dry`,
 * which computes nothing and counts.  Nobody outside kernels/ asks which.
 *
 * Data.  A polynomial is `limbs` rows of N 32-bit residues, row r modulo the prime basis->prime[r].
 * Primes are numbered by their place in the chain given to kernels_open(); all are below 2^28 and
 * = 1 mod 2N.  A `struct kvec` is a run of polynomials: polynomial p, row r starts at
 * v.p + (p * v.pitch + r) * N.  Pitch is in rows; pitch 0 on an input repeats one polynomial.
 * Addresses come from alloc() and are only dereferenced by the back end.
 *
 * Contract of every entry, unless its comment says otherwise: residues are canonical, in [0, q), on
 * entry and on exit; lazy ranges live inside a kernel, so all back ends agree bit for bit.  Outputs
 * may be the same rows as an input of the same entry, or disjoint from it, never partly
 * overlapping. "evaluation form" is the output order of ntt_fwd: place i holds m(psi^(2*brv(i)+1)),
 * where brv reverses log N bits and psi is the primitive 2N-th root of the prime (see kernels_psi).
 * Entries return nothing: errors of a device stick to the back end and are read with sync().
 */
#ifndef THOR_KERNELS_H
#define THOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KERN_MAX_LIMBS 64
#define KERN_MAX_PRIME (1u << 28)
#define KERN_LINE_LOG 9

struct kbasis { /* which prime each row of a polynomial belongs to */
    int n;
    uint8_t prime[KERN_MAX_LIMBS];
};

struct kvec {
    uint32_t *p;
    size_t pitch;
};

/* One term of a sum of products, see dot(). */
struct kterm {
    const uint32_t *a, *b;
    size_t a_pitch, b_pitch; /* rows between polynomials of a and b, 0 to repeat */
    int split, gap;          /* rows of b from `split` on lie `gap` rows further */
};

/* products of residues, and one residue more, that 64 bits hold whatever the prime */
#define KERN_MAX_SUM 255

struct kmany { /* members of `polys` polynomials each: */
    uint32_t *p;
    /* rows between members, and between the polynomials of one: row r of polynomial p of member m
     * starts at p + (m * step + p * pitch + r) * N */
    size_t step, pitch;
};

/* See linear(). */
struct klinear {
    struct kmany out, a;
    int outputs, terms; /* members of out and of a, at least 1 */
    const uint32_t *w;  /* rows of N >> log_rep words: row r of weight (o, k) starts at */
    size_t w_pitch;     /* w + ((o * terms + k) * w_pitch + r) * (N >> log_rep) */
    /* every word of a weight stands for 2^log_rep places, 0 <= log_rep <= log_n */
    int log_rep;
    int accumulate;
};

#define KERN_MAX_OUTPUTS 8

struct kdots {            /* see dots(): */
    uint32_t *const *out; /* outputs and terms: polynomials out_pitch, a_pitch rows apart */
    const uint32_t *const *a;
    size_t out_pitch, a_pitch;
    int outputs, terms;       /* 1 .. KERN_MAX_OUTPUTS, 1 .. 255 */
    const uint32_t *const *b; /* one polynomial for output o, term k: b[o * terms + k]; NULL: 0 */
    int log_rep;              /* as in dot() */
    unsigned accumulate;      /* bit o: to what output o holds */
};

#define KERN_MAX_STREAMS 16

struct kstream { /* a summand of combine(): x times one canonical scalar a row */
    struct kvec x;
    const uint32_t *s;
};

struct kpair { /* two factors of two polynomials each, see tensor() */
    const uint32_t *a, *b;
    size_t a_pitch, b_pitch;
};

struct kbconv; /* constants of one base conversion, made by bconv_new */

#define KERN_MAX_SRC 16 /* primes that a base conversion starts from */
#define KERN_MAX_DIGITS 4

struct kdigit {                /* see mod_up */
    int first, n;              /* its rows of x */
    const struct kbconv *conv; /* from their primes to all of ext */
};

struct kkey {                               /* see key_sum */
    const uint32_t *digit[KERN_MAX_DIGITS]; /* a pair of polynomials for each, */
    size_t pitch;                           /* so many rows apart; */
    int split, gap;                         /* rows from `split` on lie `gap` rows further */
    uint32_t g;
    int accumulate;
    /* NULL, or only the first of each pair is there, and row i behind digit[j] of the second is
     * what uniform() makes of this seed with `from` = 64 j + first + i */
    const uint8_t *seed;
    int first;
};

#define KERN_MAX_KEYS 8 /* of one pass over the digits */
#define KERN_MAX_SUMS 2 /* of one key in mod_up_sum */

struct kplus { /* joins the first rows of the first polynomials of a sum */
    struct kvec v;
    int polys, rows;
    const uint32_t *s; /* one canonical scalar for each of these rows, NULL: 1 */
};

struct krebase {                /* see rebase */
    struct kbasis from, to;     /* primes that go, at most KERN_MAX_SRC; primes of out */
    const struct kbconv *conv;  /* from those to these */
    uint8_t row[KERN_MAX_SRC];  /* rows of x of `from` */
    uint32_t pre[KERN_MAX_SRC]; /* see bconv */
    /* first rows of out without one of x; row of x that the next one has */
    int fresh, kept;
    uint32_t sx[KERN_MAX_LIMBS], sy[KERN_MAX_LIMBS]; /* one canonical scalar a row of out */
    const uint32_t *plus; /* rows of `to`, added to polynomial 0; NULL: nothing */
};

enum kern_kind { KERN_CPU, KERN_DRY, KERN_CUDA };

struct kernels_counts { /* what a back end was asked, the same on all of them (counts.h) */
    uint64_t rows_ntt, rows_intt, rows_pointwise, rows_dot, macs_bconv, rows_autom, rows_lift;
    uint64_t rows_uniform; /* made of a seed, stored or not */
    uint64_t products;     /* modular products of transforms, sums and base conversions */
    uint64_t launches;     /* table entries called */
    uint64_t replays;      /* recordings done again; what they did is counted, too */
    uint64_t bytes_moved;  /* words read and written by entries, times 4, no cache assumed */
    /* beside them what the first pass of a transform of more than 2^KERN_LINE_LOG words writes for
     * the second, which reads it, on a card; a CPU does both while a cache holds the row */
    uint64_t bytes_between;
    size_t bytes_now, bytes_peak; /* memory handed out by alloc() */
    size_t bytes_constant;        /* memory beyond that: what recordings keep of lift and encode */
};

struct kernels {
    /* ---- read only for users ---- */
    enum kern_kind kind;
    const char *tier; /* "ref", "avx2", "avx512", "dry", "cuda" */
    int log_n;
    int primes;        /* length of the chain */
    const uint32_t *q; /* the chain, host memory */
    int threads;
    /* exp(2 pi i (5^j mod 4 len) / 4 len) at [len/2 + j], j < len/2, len = 2, 4, .. N/2: host
     * memory, see embed.c */
    const double *root_re, *root_im;
    /* can work be recorded? see replay(); the environment variable THOR_GRAPHS=0 says no. On a dry
     * back end: are constants of recordings to be counted? */
    int records;
    /* are keys kept without what uniform() makes of their seeds?  THOR_KEYS = stored | generated;
     * else a CPU stores, and a card does what its rates say is quicker. Set before keys are made
     * or read, and not on rings below 2^8. */
    int generates;
    struct kernels_counts counts;
    void *self;                       /* the back end's own data */
    struct checked *checked;          /* of kernels_check; NULL: the contract is not asserted */
    void (*close)(struct kernels *k); /* see kernels_close */

    /* ---- memory: all sizes in rows of N words ---- */
    /* Fresh rows, contents undefined. THOR_MEMORY when there are none left (the message names the
     * size). */
    int (*alloc)(struct kernels *k, uint32_t **p, size_t rows);
    void (*release)(struct kernels *k, uint32_t *p); /* NULL is allowed */
    /* Set aside one stretch of `bytes` from which alloc() is served until close, once in the life
     * of a back end: what a dry run counts, and the keys.  alloc() goes beyond it when it must.
     * THOR_MEMORY, with the figures, when the device has less; nothing happens on the host. */
    int (*reserve)(struct kernels *k, size_t bytes);
    void (*upload)(struct kernels *k, uint32_t *dst, const uint32_t *host, size_t words);
    void (*download)(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words);
    void (*copy)(struct kernels *k, struct kvec out, struct kvec a, int limbs, int polys);
    void (*zero)(struct kernels *k, struct kvec out, int limbs, int polys);
    /* Wait for everything asked so far; the status of the first failure since the last sync. */
    int (*sync)(struct kernels *k);

    /* ---- pointwise, `polys` polynomials of b->n rows ---- */
    void (*add)(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                const struct kbasis *b, int polys);
    void (*sub)(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                const struct kbasis *b, int polys);
    void (*neg)(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                int polys);
    void (*mul)(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                const struct kbasis *b, int polys);
    /* out = x*sx + y*sy with one canonical scalar a row (host arrays of b->n); y.p == NULL: out =
     * x*sx. */
    void (*lincomb)(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *sx,
                    struct kvec y, const uint32_t *sy, const struct kbasis *b, int polys);
    /* out = x + s: the constant polynomial s, one canonical scalar a row, in evaluation form. */
    void (*add_scalar)(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *s,
                       const struct kbasis *b, int polys);
    /* out[p] = (accumulate ? out[p] : 0) + sum over terms of autom_g(a[p]) * b[p], 1 <= terms <=
     * 255. Rows of b have N >> log_rep words and every word stands for 2^log_rep consecutive places
     * (a polynomial in X^(2^log_rep)); b's pitch and gap are in such short rows.  The automorphism
     * X -> X^g (g odd,
     * 1: none) is applied to a in evaluation form.  out is disjoint from every input. */
    void (*dot)(struct kernels *k, struct kvec out, const struct kterm *terms, int n, uint32_t g,
                int log_rep, int accumulate, const struct kbasis *b, int polys);

    /* Sums of products that share the polynomials a, so that these are read once:
     *   out[o][p] = (accumulate ? out[o][p] : 0) + sum over terms k of a[k][p] * b(o, k).
     * Outputs are disjoint from each other and from every input. */
    void (*dots)(struct kernels *k, const struct kdots *d, const struct kbasis *b, int polys);
    /* out = the sum of 1 to KERN_MAX_STREAMS polynomials times scalars; out may be the rows of the
     * first, and is disjoint from all others. */
    void (*combine)(struct kernels *k, struct kvec out, const struct kstream *x, int n,
                    const struct kbasis *b, int polys);
    /* out (three polynomials) = the sum of 1 to 127 products (a0 + a1 Y)(b0 + b1 Y), by powers of
     * Y; out disjoint from the factors. */
    void (*tensor)(struct kernels *k, struct kvec out, const struct kpair *t, int n,
                   const struct kbasis *b);

    /* A matrix of weights times a vector of polynomials, for each row of b and each of `polys`:
     *   out[o] = (accumulate ? out[o] : 0) + sum over k < terms of w(o, k) * a[k],  o < outputs.
     * A word of a weight stands for 2^log_rep consecutive places, so that a row is N >> log_rep
     * matrix products of outputs x terms by terms x (2^log_rep polys).  Any number of terms;
     * residues are canonical on entry and exit. Polynomials that share the weights (both of a
     * ciphertext, those of several texts) are one call of more `polys`: tiles of a stay in a near
     * cache and serve all outputs, so ask for as many outputs at once as memory allows, and for
     * fewer rows.  Steps and pitches of a may be 0, to repeat.  The rows of out are disjoint, and
     * all that lies between the first and the last of them is disjoint from a and w.
     * Weights with N >> (log_rep + 1) slots each are what encode() and then ntt_fwd() on short rows
     * (log = log_n - log_rep) make of outputs * terms polynomials at once: both leave the layout of
     * w.  A weight that is absent is a row of zeros.
     * Counted: every row of out, a and w once (out twice with accumulate), as a product in tiles
     * moves them. THOR_INTERNAL, nothing done, when the operands break this contract; THOR_MEMORY
     * when there is no workspace. */
    int (*linear)(struct kernels *k, const struct klinear *l, const struct kbasis *b, int polys);

    /* ---- transforms ---- */
    /* In place, rows of 2^log words, log <= log_n: coefficients of a polynomial in Y = X^(N >> log)
     * to evaluation form with each distinct value kept once (place i of the short row stands for
     * places i << (log_n-log) ... of the long one), and back.  Pitch of x in such rows. */
    void (*ntt_fwd)(struct kernels *k, struct kvec x, const struct kbasis *b, int polys, int log);
    void (*ntt_inv)(struct kernels *k, struct kvec x, const struct kbasis *b, int polys, int log);
    /* X -> X^g in evaluation form, g odd; out disjoint from x. */
    void (*autom)(struct kernels *k, struct kvec out, struct kvec x, uint32_t g, int limbs,
                  int polys);

    /* ---- change of basis, coefficient form ---- */
    /* Constants for src -> dst, src->n <= KERN_MAX_SRC.  Rows of primes that both have are left
     * alone. */
    int (*bconv_new)(struct kernels *k, struct kbconv **out, const struct kbasis *src,
                     const struct kbasis *dst);
    void (*bconv_free)(struct kernels *k, struct kbconv *c);
    /* x in [0, Q), Q the product of src, to dst:  y_i = x_i * pre_i * (Q/q_i)^-1 mod q_i,
     *   out_k = sum_i y_i (Q/q_i) - v Q  mod q_k,
     * v = (sum_i ((y_i * floor(2^60/q_i)) >> 28) + 2^31) >> 32 when centred (the representative in
     * [-Q/2, Q/2), up to the 32-bit rounding of v), v = 0 when not (a representative in [0, nQ)).
     * pre: one canonical scalar per row of src, NULL for 1.  out disjoint from x. */
    void (*bconv)(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                  const struct kbconv *c, int centred, int polys);
    /* Digits for key switching, in evaluation form.  x: one polynomial over the first rows of ext,
     * which the digits share out.  out: a polynomial over ext for each: x in the rows of the digit,
     * in the others what bconv makes of it.  work: as many rows as x, or x itself, which is spent
     * then. */
    void (*mod_up)(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *work,
                   const struct kdigit *digit, int digits, const struct kbasis *ext, int centred);
    /* out = public numbers of a seed of 32 bytes, the same on every back end and in every version
     * (uniform.h): row r of polynomial p is stream from + 64 p + r.  log_n >= 8. */
    void (*uniform)(struct kernels *k, struct kvec out, const uint8_t *seed, uint32_t from,
                    const struct kbasis *b, int polys);
    /* Key switching, in evaluation form.  For each of 1 to KERN_MAX_KEYS keys: out[i] (two
     * polynomials over ext) = (accumulate ? out[i] : 0) + the sum over digits of autom_g(digit)
     * times its pair of the key + s autom_g(plus).  x: the digits, polynomials over ext; plus may
     * be NULL.  Outputs are disjoint from each other and from all inputs. */
    void (*key_sum)(struct kernels *k, const struct kvec *out, struct kvec x, int digits,
                    const struct kkey *key, int keys, const struct kplus *plus,
                    const struct kbasis *ext);
    /* The same sums of the digits that mod_up would make of autom_g(x[i]), i < n, which are not
     * kept: the automorphism comes before.  Outputs and plus (NULL, or n of them) one for each; all
     * share the key.  work: n times as many rows as x[i], and those of its digits. */
    void (*mod_up_sum)(struct kernels *k, const struct kvec *out, const uint32_t *const *x, int n,
                       uint32_t *work, const struct kdigit *digit, int digits,
                       const struct kkey *key, const struct kplus *plus, const struct kbasis *ext,
                       int centred);
    /* Mod-down, rescaling and what is between them, in evaluation form: out = x sx + y sy (+
     * r->plus) over r->to, where y is what bconv (with r->pre, centred) makes of the rows r->row of
     * x, and x is 0 in the first r->fresh rows.  out is disjoint from x.  work: polys times rows of
     * both bases. */
    void (*rebase)(struct kernels *k, struct kvec out, struct kvec x, uint32_t *work,
                   const struct krebase *r, int polys);
    /* Signed coefficients (host, `words` of them a polynomial, |c| < 2^62) to residues, rows of
     * `words` words (a power of two, <= N); pitch in such rows. */
    void (*lift)(struct kernels *k, struct kvec out, const int64_t *c, size_t words,
                 const struct kbasis *b, int polys);
    /* Slots to residues: per polynomial z holds 2^(log_slots - log_run) real parts and as many
     * imaginary ones, each for 2^log_run slots in a row (host, log_run <= log_slots < log_n),
     * finite and below 2^61 / scale.  The coefficients of embed.c in doubles, times scale, rounded
     * to the nearest integer, ties to even; rows of 2^(log_slots + 1) words, pitch in such rows. */
    void (*encode)(struct kernels *k, struct kvec out, const double *z, int log_slots, int log_run,
                   double scale, const struct kbasis *b, int polys);

    /* ---- work that is done again and again, with the same operands at the same addresses ---- */
    /* if (!k->replay(k, id))
     *     do { k->record_begin(k, id); (the work) } while (!k->record_end(k, id, 1));
     * id > 0 is the caller's name for the work.  Its first pass is done as it is asked, and
     * measured; the second is recorded and then done, all of it at record_end; from then on
     * replay() does it, whose result is 1.  The work reads and writes rows that lie outside and
     * stay where they are until record_drop, never the same rows both ways; rows allocated inside
     * are released inside; no upload, download or sync; what it lifts and encodes are the same
     * numbers each time, and a copy of them stays on the device (counts.bytes_constant).
     * record_end says 0 when the device lost it: what was written is void, ask again, and it is
     * done as it is asked.  keep 0: the work failed, forget it.  Work inside work is part of it.
     * record_drop forgets a recording, id 0: all, before what it reads moves or goes. */
    int (*replay)(struct kernels *k, uint64_t id);
    void (*record_begin)(struct kernels *k, uint64_t id);
    int (*record_end)(struct kernels *k, uint64_t id, int keep);
    void (*record_drop)(struct kernels *k, uint64_t id);
};

enum kern_tier { KERN_TIER_BEST = 0, KERN_TIER_REF, KERN_TIER_AVX2, KERN_TIER_AVX512 };

/* Open a back end for a ring of degree 2^log_n (4..17) over `primes` <= KERN_MAX_LIMBS primes.
 * threads 0: as many as the machine has.  tier: the highest tier to use (the environment variable
 * THOR_CPU = ref | avx2 | avx512 lowers it further).  THOR_USAGE if a prime does not fit. */
int kernels_open_cpu(struct kernels **out, int log_n, const uint32_t *q, int primes,
                     enum kern_tier tier, int threads);
int kernels_open_dry(struct kernels **out, int log_n, const uint32_t *q, int primes);
/* CUDA device number `device`, the same contract: everything runs in order on one stream, uploads
 * and downloads return when the host's memory may be touched again, threads is the number of the
 * host.  THOR_USAGE when the program was built without CUDA or there is no such device or driver;
 * THOR_MEMORY when its tables do not fit. */
int kernels_open_cuda(struct kernels **out, int log_n, const uint32_t *q, int primes, int device);

struct kern_device_info {
    char name[256];
    int major, minor;    /* compute capability */
    int processors;      /* multiprocessors */
    size_t total, free;  /* bytes of memory */
    double bandwidth;    /* of that memory, bytes a second; 0 when the driver does not say */
    int driver, runtime; /* CUDA versions, 1000 major + 10 minor */
    /* words a second that uniform() can make at most, by counted instructions; 0: not known */
    double uniform;
};
/* CUDA devices of this machine.  THOR_USAGE, saying why, when the program was built without CUDA or
 * there is no driver or device (then *count is 0), or no device of that number. */
int kernels_cuda_devices(int *count);
int kernels_cuda_device(struct kern_device_info *out, int device);
void kernels_close(struct kernels *k);
/* From now on the contract of every entry is asserted (checked.c): a break is named on stderr and
 * aborts.  Once, before the first alloc, on a back end whose memory is the host's and that records
 * nothing.  Builds with THOR_CHECKED (those under the sanitizers) do it to every CPU back end. */
int kernels_check(struct kernels *k);

/* The primitive 2^(log_n+1)-th root of unity modulo q that every back end uses: x^((q-1)/2N) for
 * the smallest x >= 2 whose power has order 2N. */
uint32_t kernels_psi(uint32_t q, int log_n);
/* The canonical embedding of 2^log slots, in place on the host: z to u 2^log and back (embed.c). */
void kern_embed_inv(const struct kernels *k, double *re, double *im, int log);
void kern_embed_fwd(const struct kernels *k, double *re, double *im, int log);
/* Exact helpers on words, q < 2^28. */
uint32_t kern_pow_mod(uint32_t x, uint64_t e, uint32_t q);
uint32_t kern_inv_mod(uint32_t x, uint32_t q);

#ifdef __cplusplus
}
#endif
#endif
