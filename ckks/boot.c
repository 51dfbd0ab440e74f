/* Bootstrapping, SlotsToCoeffs first, of vectors of period p = 2^log_slots.
 *
 *   level b      StC: b = ceil(log_slots/5) bands; the slots are now coefficients (in Y = X^(N/2p))
 *   level 0      switch to an ephemeral sparse secret (weight 32, one key of logQP 83.6), ModRaise
 *                to level 24 + b: phase = S_0 m + q_0 I, switch back to the dense secret
 *                trace to the subring of period p: log2(n/p) rotations, times n/p
 *   24+b .. 24   CtS: inverse bands, carrying B/(R q_0) / 2 * p/n
 *   level 24     real part (x + conj x), imaginary part likewise when both lanes are used:
 *                p = n: two EvalMods in step; p < n: both lanes in one vector of period 2p
 *   24 .. 16     EvalMod (evalmod.c); B_16 is relabelled S_16, exact by the choice of its
 *                amplitude
 *   complex, p < n: the lanes are merged by one plaintext product, the result is at level 15.
 * Message ratio q_0/S_0 = 2^13.87, folded nowhere (StC's factor is 1).
 * Precision at N = 2^16, full complex slots, per component: worst 2^-16.2, mean 2^-20.4 for |m| <=
 * 1 (the sine's own error is 2^-25, 2^-16 at |m| = 8).  Fewer slots carry the same noise per slot
 * or less.
 * Failure: P(|I| > 12) = 2^-40 per bootstrap (the error is 2^-10.5 at 13, 2^-5 at 16); |I| > 16
 * cannot be. What it cannot detect: |m| beyond 8 (the caller's ranges), which returns a wrong value
 * silently. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/bootmat.h"

enum { MAX_BANDS = 4 };

/* Where recordings of the bootstrap read and write: [1] is that of the real part alone. */
struct staging {
    struct ckks_ct in, out;
    struct way {
        const struct ckks_boot *boot;
        struct ckks_recording recording;
    } way[2];
};

struct ckks_boot {
    struct ckks *cx;
    int log_slots, lanes, bands, top;
    struct ckks_pt merge;    /* first half 1, second half i, period 2p: see merge_lanes */
    struct staging *staging; /* NULL on back ends that record nothing */
    struct ckks_linear stc_t[MAX_BANDS], cts_t[MAX_BANDS];
    struct ckks_linear_cache *stc[MAX_BANDS], *cts[MAX_BANDS];
    double coeff[CKKS_EVALMOD_DEGREE + 1], amp;
};

/* I is the nearest whole number to the sum of c0/q_0 and 32 terms +-c1/q_0, each uniform in [-1/2,
 * 1/2).  For n = 33 such terms P(sum > k + 1/2) = 1/n! sum over j of (-1)^j binom(n, j) (x - j)^n,
 * x = n/2 - k - 1/2 (Irwin, Hall); twice that for both signs, N coefficients. */
double ckks_boot_overflow(const struct ckks_params *p, int k) {
    const int n = CKKS_SPARSE_H + 1;
    double x = n / 2.0 - k - 0.5, sum = 0, binom = 1;
    for (int j = 0; j < x; j++) {
        sum += binom * pow(1 - j / x, n);
        binom *= -(double)(n - j) / (j + 1);
    }
    if (x <= 0) return -INFINITY;
    return 1 + p->log_n + n * log2(x) - lgamma(n + 1) / M_LN2 + log2(sum);
}

static int prepare_band(struct ckks_linear *t, struct ckks_linear_cache **cache, struct ckks *cx,
                        int log_slots, int index, int inverse, double factor, int doubled,
                        int level) {
    int st = THOR_OK;
    struct ckks_band b;
    TRY(ckks_band_make(&b, cx, log_slots, index, inverse, factor, doubled));
    *t = b.t;
    st = ckks_linear_prepare(cache, cx, t, level, inverse);
    t->ctx = NULL;
    ckks_band_free(&b);
out:
    return st;
}

static int prepare_merge(struct ckks_boot *b) {
    int st = THOR_OK;
    size_t p = (size_t)1 << b->log_slots;
    struct kbasis q = ckks_basis(b->cx->params, CKKS_MSG_TOP);
    double *m = calloc(4 * p, sizeof *m);
    if (!m) return thor_fail(THOR_MEMORY, "no memory for bootstrapping");
    for (size_t s = 0; s < p; s++) m[s] = 1, m[3 * p + s] = 1;
    TRY(ckks_encode(&b->merge, b->cx, m, m + 2 * p, 2 * p,
                    ckks_level_scale(b->cx->params, CKKS_MSG_TOP, 0), &q));
out:
    free(m);
    return st;
}

static int prepare_staging(struct ckks_boot *b, int level) {
    int st = THOR_OK;
    b->staging = calloc(1, sizeof *b->staging);
    if (!b->staging) return thor_fail(THOR_MEMORY, "no memory for bootstrapping");
    for (int real = 0; real < 2; real++) b->staging->way[real].boot = b;
    TRY(ckks_ct_make(&b->staging->in, b->cx, 2, b->bands));
    TRY(ckks_ct_make(&b->staging->out, b->cx, 2, level));
out:
    return st;
}

int ckks_boot_new(struct ckks_boot **out, struct ckks *cx, int log_slots, int complex_lanes) {
    int st = THOR_OK, full = cx->params->log_n - 1;
    const struct ckks_params *p = cx->params;
    if (log_slots < 1 || log_slots > full || !p->bootstraps)
        return thor_fail(THOR_INTERNAL, "parameter set %s cannot bootstrap 2^%d slots", p->name,
                         log_slots);
    struct ckks_boot *b = calloc(1, sizeof *b);
    if (!b) return thor_fail(THOR_MEMORY, "no memory for bootstrapping");
    b->cx = cx;
    b->log_slots = log_slots;
    b->lanes = complex_lanes;
    b->bands = ckks_boot_levels(log_slots);
    b->top = CKKS_EVALMOD_TOP + b->bands;
    double q0 = (double)p->prime[2] * (double)p->prime[3];
    double cts = p->boot_scale[b->top] / (CKKS_EVALMOD_RANGE * q0) / 2 * ldexp(1, log_slots - full);
    for (int i = 0; i < b->bands; i++) {
        int last = i == 0; /* CtS applies the band of small strides last */
        TRY(prepare_band(&b->stc_t[i], &b->stc[i], cx, log_slots, i, 0, 1, 0, b->bands - i));
        TRY(prepare_band(&b->cts_t[i], &b->cts[i], cx, log_slots, i, 1, pow(cts, 1.0 / b->bands),
                         last && complex_lanes && log_slots < full, CKKS_EVALMOD_TOP + i + 1));
    }
    double amp = 1 / (2 * M_PI);
    b->amp = pow(amp, 1.0 / 8);
    TRY(ckks_evalmod_fit(b->coeff, b->amp));
    int merges = complex_lanes && log_slots < full;
    if (merges) TRY(prepare_merge(b));
    if (cx->k->records) TRY(prepare_staging(b, CKKS_MSG_TOP - merges));
    *out = b;
    b = NULL;
out:
    ckks_boot_free(b);
    return st;
}

void ckks_boot_free(struct ckks_boot *b) {
    if (!b) return;
    if (b->staging) {
        for (int i = 0; i < 2; i++) ckks_recording_drop(b->cx, &b->staging->way[i].recording);
        ckks_ct_free(&b->staging->in);
        ckks_ct_free(&b->staging->out);
    }
    free(b->staging);
    ckks_pt_free(&b->merge);
    for (int i = 0; i < MAX_BANDS; i++) {
        ckks_linear_cache_free(b->stc[i]);
        ckks_linear_cache_free(b->cts[i]);
    }
    free(b);
}

/* out = in under the sparse secret, level 0: two one-limb digits, one special prime. */
static int to_sparse(struct ckks_ct *out, const struct ckks_ct *in) {
    int st = THOR_OK;
    struct ckks *cx = in->cx;
    struct kernels *k = cx->k;
    size_t n = ckks_n(cx);
    struct kbasis q = ckks_basis(cx->params, 0), ext = q;
    ext.prime[ext.n++] = (uint8_t)cx->params->special0;
    uint32_t *work = NULL, *dig = NULL, *acc = NULL;
    struct ckks_ct r = {0};
    struct kdigit digit[2];
    const struct ckks_ksk *key = ckks_find_key(cx, CKKS_KEY_TO_SPARSE, 0, &st);
    if (st) return st;
    TRY(ckks_ct_make(&r, cx, 2, 0));
    TRY(k->alloc(k, &work, 2));
    TRY(k->alloc(k, &dig, 6));
    TRY(k->alloc(k, &acc, 6));
    const struct kvec to = kv(acc, 3);
    struct kkey pairs = {.pitch = 3, .split = 3, .g = 1, .seed = ckks_key_seed(cx, key)};
    for (int j = 0; j < 2; j++) {
        struct kbasis src = {1, {q.prime[j]}};
        digit[j] = (struct kdigit){.first = j, .n = 1};
        TRY(ckks_bconv_get(&digit[j].conv, cx, &src, &ext));
        pairs.digit[j] = (key ? key->data : dig) + (size_t)(3 * j) * ckks_key_halves(cx) * n;
    }
    k->mod_up(k, kv(dig, 3), ct_poly(in, 1), work, digit, 2, &ext, 1);
    k->key_sum(k, &to, kv(dig, 3), 2, &pairs, 1, NULL, &ext);
    TRY(ckks_rebase_plus(cx, r.c, r.rows, &q, acc, 3, &ext, 1, 2, in->c));
    ckks_ct_move(out, &r);
out:
    k->release(k, work);
    k->release(k, dig);
    k->release(k, acc);
    ckks_ct_free(&r);
    return st;
}

/* The same phase over the modulus of level `top`, and back under the dense secret: the second part,
 * smaller than q_0, is its own only digit. */
static int mod_raise(struct ckks_ct *out, struct ckks_ct *in, int top) {
    int st = THOR_OK;
    struct ckks *cx = in->cx;
    struct kernels *k = cx->k;
    struct kbasis q = ckks_basis(cx->params, 0), all = ckks_basis(cx->params, top),
                  ext = ckks_with_special(cx->params, all);
    struct kdigit whole = {.first = 0, .n = q.n};
    struct ckks_ct r = {0};
    uint32_t *work = NULL, *acc;
    TRY(ckks_ct_make(&r, cx, 2, top));
    r.boot = 1;
    TRY(k->alloc(k, &work, (size_t)(q.n + all.n + 3 * ext.n)));
    uint32_t *first = work + (size_t)q.n * ckks_n(cx), *second = first + (size_t)all.n * ckks_n(cx);
    acc = second + (size_t)ext.n * ckks_n(cx);
    TRY(ckks_bconv_get(&whole.conv, cx, &q, &all));
    k->mod_up(k, kv(first, 0), in->c, work, &whole, 1, &all, 1);
    TRY(ckks_bconv_get(&whole.conv, cx, &q, &ext));
    k->mod_up(k, kv(second, 0), ct_poly(in, 1), work, &whole, 1, &ext, 1);
    const struct ckks_plus plus = {kv(first, 0), 1, 1};
    TRY(ckks_inner_whole(cx, acc, second, CKKS_KEY_FROM_SPARSE, top, &plus));
    TRY(ckks_rebase(cx, r.c, r.rows, &all, acc, ext.n, &ext, 1, 2));
    ckks_ct_move(out, &r);
out:
    k->release(k, work);
    ckks_ct_free(&r);
    return st;
}

static int trace(struct ckks_ct *x, int log_slots, int full) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    for (int l = log_slots; l < full; l++) {
        TRY(ckks_rotate(&r, x, 1 << l));
        TRY(ckks_add(x, x, &r));
    }
out:
    ckks_ct_free(&r);
    return st;
}

/* re = x + conj x, im = -i (x - conj x); im may be NULL */
static int lanes(struct ckks_ct *re, struct ckks_ct *im, const struct ckks_ct *x) {
    int st = THOR_OK;
    struct ckks_ct c = {0};
    TRY(ckks_conj(&c, x));
    TRY(ckks_add(re, x, &c));
    if (im) {
        TRY(ckks_sub(im, x, &c));
        TRY(ckks_mul_i(im, im, -1));
    }
out:
    ckks_ct_free(&c);
    return st;
}

/* y of period 2p, lanes side by side -> first half + i second half, of period p; one level. */
static int merge_lanes(struct ckks_ct *y, const struct ckks_boot *b) {
    int st = THOR_OK;
    struct ckks_ct r = {0};
    TRY(ckks_times_pt(&r, y, &b->merge, 1));
    b->cx->count.ptct++;
    TRY(ckks_rescale(y, &r));
    TRY(ckks_rotate(&r, y, 1 << b->log_slots));
    TRY(ckks_add(y, y, &r));
out:
    ckks_ct_free(&r);
    return st;
}

static int both_lanes(const struct ckks_boot *b) {
    return b->lanes && b->log_slots == b->cx->params->log_n - 1;
}

/* out = the message of a, at level b->bands, refreshed; of both lanes, `real`: the real part. */
static int refresh(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_boot *b,
                   int real) {
    int st = THOR_OK, full = b->cx->params->log_n - 1, both = both_lanes(b), two = both && !real;
    struct ckks_ct x = {0}, part[2] = {{0}}, *re = &part[0], *im = &part[1];
    const struct ckks_ct *in = a;
    for (int i = 0; i < b->bands; i++, in = &x)
        TRY(ckks_linear_run(&x, &in, &b->stc_t[i], b->stc[i]));
    TRY(to_sparse(&x, &x));
    TRY(mod_raise(&x, &x, b->top));
    TRY(trace(&x, b->log_slots, full));
    for (int i = b->bands - 1; i >= 0; i--) TRY(ckks_linear_run(&x, &in, &b->cts_t[i], b->cts[i]));
    TRY(lanes(re, two ? im : NULL, &x));
    ckks_ct_free(&x);
    TRY(ckks_evalmod(part, 1 + two, b->coeff, b->amp));
    re->boot = im->boot = 0;
    if (two) {
        TRY(ckks_mul_i(im, im, 1));
        TRY(ckks_add(re, re, im));
    } else if (b->lanes && !both) {
        TRY(merge_lanes(re, b));
    }
    ckks_ct_move(out, re);
out:
    ckks_ct_free(&x);
    ckks_ct_free(re);
    ckks_ct_free(im);
    return st;
}

static int refresh_stage(void *ctx) {
    int st = THOR_OK;
    const struct way *way = ctx;
    const struct ckks_boot *b = way->boot;
    struct ckks_ct y = {0};
    TRY(refresh(&y, &b->staging->in, b, way == &b->staging->way[1]));
    TRY(ckks_fill(&b->staging->out, &y));
out:
    ckks_ct_free(&y);
    return st;
}

/* refresh(), recorded the second time and replayed from the third on */
static int refresh_staged(struct ckks_ct *out, const struct ckks_ct *x, const struct ckks_boot *b,
                          int real) {
    int st = THOR_OK;
    struct way *way = &b->staging->way[real];
    TRY(ckks_fill(&b->staging->in, x));
    TRY(ckks_recorded(b->cx, &way->recording, refresh_stage, way));
    TRY(ckks_copy(out, &b->staging->out));
out:
    return st;
}

static int bootstrap(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_boot *b,
                     int real) {
    int st = THOR_OK;
    struct ckks_ct x = {0};
    if (a->cx != b->cx || a->pending || a->boot || a->level < b->bands)
        return thor_fail(THOR_INTERNAL,
                         "a bootstrap needs a rescaled ciphertext at level %d or above", b->bands);
    b->cx->count.bootstraps++;
    TRY(ckks_adjust(&x, a, b->bands));
    TRY((b->staging ? refresh_staged : refresh)(out, &x, b, real));
out:
    ckks_ct_free(&x);
    return st;
}

int ckks_bootstrap(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_boot *b) {
    return bootstrap(out, a, b, 0);
}

int ckks_bootstrap_real(struct ckks_ct *out, const struct ckks_ct *a, const struct ckks_boot *b) {
    return bootstrap(out, a, b, both_lanes(b));
}
