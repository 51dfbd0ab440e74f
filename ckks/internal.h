/* What the files of ckks/ share and users do not see. */
#ifndef THOR_CKKS_INTERNAL_H
#define THOR_CKKS_INTERNAL_H

#include <pthread.h>

#include "ckks/ckks.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- context.c ---- */
struct ckks_tables {
    pthread_mutex_t lock;
    struct bconv_entry {
        struct kbasis src, dst;
        struct kbconv *c;
    } * bconv;
    int n_bconv, cap_bconv;
    uint32_t *special; /* P mod q for every prime of the chain */
    /* i and -i over the whole chain: the monomials +-X^(N/2) */
    struct ckks_pt unit[2];
    /* host memory of the linear transforms, kept between calls */
    void *scratch;
    size_t scratch_bytes;
    /* of a linear transform with short plaintexts: shortmap.c */
    size_t work_bytes;
};

/* At least `bytes` of scratch, contents undefined, valid until the next call; NULL when there is no
 * memory. For the thread that drives the context. */
void *ckks_scratch(struct ckks *cx, size_t bytes);

/* The base conversion src -> dst, made once per context. */
int ckks_bconv_get(const struct kbconv **out, struct ckks *cx, const struct kbasis *src,
                   const struct kbasis *dst);
void ckks_note_need(struct ckks *cx, uint32_t id, int level);
static inline int ckks_is_dry(const struct ckks *cx) {
    return cx->k->kind == KERN_DRY;
}
static inline size_t ckks_n(const struct ckks *cx) {
    return (size_t)1 << cx->params->log_n;
}
static inline struct kvec kv(uint32_t *p, int pitch) {
    struct kvec v = {p, (size_t)pitch};
    return v;
}
static inline uint32_t mul_mod(uint32_t a, uint32_t b, uint32_t q) {
    return (uint32_t)((uint64_t)a * b % q);
}

/* ---- params.c ---- */
/* Q_l / Q_(l-1) */
double ckks_level_step(const struct ckks_params *p, int level);
/* The security table: most bits of logQP at 128 bits, 0 where it has no row. */
double ckks_log_qp_limit(int log_n);
/* The bits of p, whose chain stands, and whether it is held to that table. */
void ckks_params_measure(struct ckks_params *p, int secure);

/* ---- literal.c ---- */
/* Is it a name that literal.c gives? */
int ckks_is_literal(const char *name);
/* The set of such a name, checked again. */
int ckks_literal_get(const struct ckks_params **out, const char *name, int allow_insecure);

/* ---- keyshape.c ---- */
/* digit of the chain that holds a place below the specials */
int ckks_digit_of(const struct ckks_params *p, int prime);
/* halves of a digit in memory: 2, or 1 where the other is made when it is used */
static inline size_t ckks_key_halves(const struct ckks *cx) {
    return cx->k->generates ? 1 : 2;
}
/* rows of one half of one digit */
struct kbasis ckks_key_basis(const struct ckks_params *p, uint32_t id, int level, int *digits);
struct kbasis ckks_public_basis(const struct ckks_params *p);
/* May a key of that id exist at that level: THOR_KEY for an id without operation, for the key to
 * the sparse secret beyond level 0, and by the security gate. */
int ckks_key_check(const struct ckks_params *p, uint32_t id, int level);

/* ---- keys.c ---- */
/* out = the uniform halves a of so many digits from `digit` on, over the rows of the key. */
void ckks_key_uniform(const struct ckks *cx, struct kvec out, const uint8_t seed[CKKS_SEED],
                      int digit, const struct kbasis *b, int digits);
/* The seed of what the key lacks in memory; NULL when it is all there.  key NULL: of a dry run. */
const uint8_t *ckks_key_seed(const struct ckks *cx, const struct ckks_ksk *key);
/* The key of that id, usable at that level and in memory.  NULL with *st set, or where the run is
 * dry: it is noted. */
const struct ckks_ksk *ckks_find_key(struct ckks *cx, uint32_t id, int level, int *st);

struct ckks_keystore { /* keys that come and go, as keys.c calls them: keystore.c */
    int (*use)(struct ckks_keystore *s, int i); /* key i is used now: bring it into memory */
    void (*free)(struct ckks_keystore *s);
};

/* ---- encode.c ---- */
static inline int ckks_log2(size_t n) { /* of a power of two */
    int l = 0;
    while (((size_t)1 << l) < n) l++;
    return l;
}
/* Can these numbers be encoded at that scale? THOR_RANGE unless all are finite and below 2^61 /
 * scale. */
int ckks_check_slots(const double *z, size_t n, double scale);
#define CKKS_CENTRED 4 /* primes whose product a number below 2^112 has */
/* coeff[N] = the numbers in (-Q/2, Q/2] whose residues the rows are, on the host in coefficient
 * form, Q the product of b: 1 .. CKKS_CENTRED primes. */
void ckks_centred(double *coeff, const struct ckks *cx, const uint32_t *rows,
                  const struct kbasis *b);

/* ---- eval.c ---- */
/* out = a * pt, pending or not: with scales as in a product, or of the unit. */
int ckks_times_pt(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_pt *pt,
                  int pending);

#define CKKS_HOISTED KERN_MAX_KEYS /* rotations that share a pass over the digits */
/* out[i] = a under g[i], not 1, from its digits, i < n <= CKKS_HOISTED.  work: 2 (limbs + 13) rows
 * for each. */
int ckks_hoisted(struct ckks *cx, const struct kvec *out, const struct ckks_ct *a, uint32_t *digits,
                 int nd, const uint32_t *g, int n, uint32_t *work);

/* period numbers, repeated; not read in a dry run */
struct ckks_mask {
    const double *re;
    size_t period;
};
/* ckks_combine times `mask` (NULL: one everywhere): coefficients that are plaintexts, at no level
 * more. */
int ckks_combine_masked(struct ckks_ct *out, const struct ckks_ct *const x[], const double c[],
                        int n, double c0, int level, const struct ckks_mask *mask);

/* out = mask (sum of c[j] x[j], j < m, + c0) + sum of a[j] b[j], n products, one relinearisation
 * and a rescale of all that it can be shared with; the level of a[j] and b[j] is one above out's,
 * that of x[j] too or higher.  The same for `width` <= KERN_MAX_SUMS ciphertexts in a row at each
 * of the pointers, which share the key. */
int ckks_dot_plus(struct ckks_ct *out, int width, const struct ckks_ct *const a[],
                  const struct ckks_ct *const b[], int n, const struct ckks_ct *const x[],
                  const double c[], int m, double c0, const struct ckks_mask *mask);
/* The three parts of sum a_j b_j, 3 limbs rows to be released, at *level, the lowest of all. */
int ckks_products(uint32_t **d, int *level, const struct ckks_ct *const a[],
                  const struct ckks_ct *const b[], int n);
/* acc[i] (2 polynomials over Q P) = or += P times the ciphertext whose three parts are d[i], i < n
 * <= KERN_MAX_SUMS. */
int ckks_relinearise(struct ckks *cx, uint32_t *const *acc, uint32_t *const *d, int n, int level,
                     int accumulate);
/* out = a sum of products from acc, P times it over Q P: divided, and rescaled or pending. */
int ckks_divide(struct ckks_ct *out, struct ckks *cx, uint32_t *acc, int level, int boot,
                int rescale);

/* ---- linear.c ---- */
/* sum (2 polynomials over Q P) = or += acc under g, not 1: the first part stays undivided, the
 * second is divided by P and switched.  tmp: limbs + 13 rows. */
int ckks_giant(struct ckks *cx, uint32_t *sum, uint32_t *acc, int level, uint32_t g, uint32_t *tmp,
               int accumulate);

/* ---- cipher.c ---- */
/* Make `a` an uninitialised ciphertext of that level (flags cleared). */
int ckks_ct_make(struct ckks_ct *a, struct ckks *cx, int polys, int level);
void ckks_ct_move(struct ckks_ct *out, struct ckks_ct *a); /* frees out's rows, takes a's */
static inline uint32_t *ct_poly(const struct ckks_ct *a, int p) {
    return a->c + (size_t)p * (size_t)a->rows * ckks_n(a->cx);
}
/* First row of `b` inside the rows of ciphertext level `level` (b must be contained in its
 * basis). */
static inline int row_of(const struct ckks_params *p, int level, int prime) {
    return prime - ckks_basis(p, level).prime[0];
}
static inline double ct_scale(const struct ckks_ct *a) {
    return ckks_level_scale(a->cx->params, a->level, a->boot);
}

/* ---- rebase.c: "from basis A to basis B" ---- */
struct kbasis ckks_with_special(const struct ckks_params *p, struct kbasis b);
/* out = round(w * x * T / D) over basis B: T the primes of B outside A, D those of A outside B
 * (specials included); `polys` polynomials, x with `xpitch` rows a polynomial starting with the
 * rows of A. */
int ckks_rebase(struct ckks *cx, uint32_t *out, int opitch, const struct kbasis *B, uint32_t *x,
                int xpitch, const struct kbasis *A, uint64_t w, int polys);
/* The same, and `plus` (over B, or NULL) added to polynomial 0. */
int ckks_rebase_plus(struct ckks *cx, uint32_t *out, int opitch, const struct kbasis *B,
                     uint32_t *x, int xpitch, const struct kbasis *A, uint64_t w, int polys,
                     const uint32_t *plus);

/* ---- keyswitch.c ---- */
/* Digits of c, one polynomial (eval form, basis of `level`): digits x (limbs + 13) rows; *n
 * digits. */
int ckks_decompose(struct ckks *cx, uint32_t **digits, int *n, uint32_t *c, int level);
struct ckks_plus { /* joins the first polynomials of a key product: */
    struct kvec v;
    int polys, divided; /* over limbs and P as it is, or (divided) over the limbs, times P */
};
/* For n automorphisms g, not 1: acc (2 polys, limbs + 13 rows each) = the sum over digits of
 * autom_g(digit) * key of g + autom_g(plus). */
int ckks_inner(struct ckks *cx, const struct kvec *acc, uint32_t *digits, int nd, const uint32_t *g,
               int n, int level, const struct ckks_plus *plus);
/* acc = the product of `digit`, which is all there is, and key `id`, + plus. */
int ckks_inner_whole(struct ckks *cx, uint32_t *acc, uint32_t *digit, uint32_t id, int level,
                     const struct ckks_plus *plus);
/* acc[i] = or += the same sum of the digits of autom_g(c[i]) and key `id`, i < n <=
 * KERN_MAX_SUMS. */
int ckks_switch(struct ckks *cx, uint32_t *const *acc, const uint32_t *const *c, int n, uint32_t id,
                uint32_t g, int level, int accumulate, const struct ckks_plus *plus);
/* out = (c0, 0) + switched c1, both under the automorphism g; pending and branch as in a. */
int ckks_keyswitch(struct ckks_ct *out, const struct ckks_ct *a, uint32_t *c0, uint32_t *c1,
                   uint32_t id, uint32_t g);
uint32_t ckks_galois(const struct ckks *cx, int r); /* ckks_key_rotation of its set */

/* ---- evalmod.c ---- */
#define CKKS_EVALMOD_DEGREE 15
#define CKKS_EVALMOD_K 16
/* what |t - 1/4| stays below: K, 1/4 and messages up to 2^-10 q_0 */
#define CKKS_EVALMOD_RANGE (CKKS_EVALMOD_K + 0.25 + 0x1p-10)
#define CKKS_EVALMOD_DOUBLINGS 3
/* Chebyshev coefficients in u = 2 z^2 - 1 of amp * cos(2 pi RANGE z / 8), 0 <= z <= 1, fitted where
 * the arguments are. */
int ckks_evalmod_fit(double c[CKKS_EVALMOD_DEGREE + 1], double amp);
/* x, `width` <= KERN_MAX_SUMS of them = sin(2 pi t) / (2 pi), t = x RANGE near an integer; x real,
 * boot branch, level 24; then at level 16. */
int ckks_evalmod(struct ckks_ct *x, int width, const double *c, double amp);
/* ---- cheb.c ---- */
/* ckks_cheb of `width` ciphertexts in a row. */
int ckks_cheb_wide(struct ckks_ct *out, const struct ckks_ct *x, int width, const double *c,
                   int degree);

#ifdef __cplusplus
}
#endif
#endif
