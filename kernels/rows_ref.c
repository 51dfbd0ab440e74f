/* The portable tier: the specification of every kernel, one row at a time.  No branch and no
 * address depends on the
 * words: secrets pass through here (tests/test_consttime.c). */
#include "kernels/rows.h"

#include <string.h>

static void add_ref(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                    const struct kprime *p) {
    for (size_t i = 0; i < n; i++) {
        uint32_t s = x[i] + y[i];
        o[i] = s >= p->q ? s - p->q : s;
    }
}

static void sub_ref(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                    const struct kprime *p) {
    for (size_t i = 0; i < n; i++) o[i] = x[i] - y[i] + (p->q & -(uint32_t)(x[i] < y[i]));
}

static void neg_ref(uint32_t *o, const uint32_t *x, size_t n, const struct kprime *p) {
    for (size_t i = 0; i < n; i++) o[i] = x[i] ? p->q - x[i] : 0;
}

static void mul_ref(uint32_t *o, const uint32_t *x, const uint32_t *y, size_t n,
                    const struct kprime *p) {
    for (size_t i = 0; i < n; i++) o[i] = kern_mont(kern_mont(x[i], y[i], p), p->r2, p);
}

static void lincomb_ref(uint32_t *o, const uint32_t *x, uint32_t sx, const uint32_t *y, uint32_t sy,
                        size_t n, const struct kprime *p) {
    uint32_t mx = kern_mul_mod(sx, p->r1, p->q), my = kern_mul_mod(sy, p->r1, p->q);
    for (size_t i = 0; i < n; i++) {
        uint32_t s = kern_mont(x[i], mx, p);
        if (y) s += kern_mont(y[i], my, p);
        o[i] = s >= p->q ? s - p->q : s;
    }
}

static void add_scalar_ref(uint32_t *o, const uint32_t *x, uint32_t s, size_t n,
                           const struct kprime *p) {
    for (size_t i = 0; i < n; i++) {
        uint32_t t = x[i] + s;
        o[i] = t >= p->q ? t - p->q : t;
    }
}

static void dot_ref(uint32_t *const o[2], int polys, const uint32_t *const *a,
                    const uint32_t *const (*b)[2], int terms, const struct kautom *g, int log_rep,
                    int acc, size_t n, const struct kprime *p) {
    for (size_t i = 0; i < n; i++) {
        size_t from = g ? kautom_place(g, i) : i;
        for (int h = 0; h < polys; h++) {
            uint64_t s = acc ? o[h][i] : 0;
            for (int j = 0; j < terms; j++) s += (uint64_t)a[j][from] * b[j][h][i >> log_rep];
            o[h][i] = kern_reduce64(s, p);
        }
    }
}

_Static_assert((UINT64_MAX - (KERN_MAX_PRIME - 1)) /
                       ((uint64_t)(KERN_MAX_PRIME - 1) * (KERN_MAX_PRIME - 1)) >=
                   KERN_MAX_SUM,
               "a sum of products and a residue stays below 2^64");

/* s + the sum over terms of a word of each times its weight, canonical */
static uint32_t linear_sum(uint32_t s, const uint32_t *a, size_t a_step, const uint32_t *w,
                           size_t w_step, int terms, const struct kprime *p) {
    for (int k = 0; k < terms;) {
        uint64_t t = s;
        for (int end = k + KERN_MAX_SUM < terms ? k + KERN_MAX_SUM : terms; k < end; k++)
            t += (uint64_t)a[(size_t)k * a_step] * w[(size_t)k * w_step];
        s = kern_reduce64(t, p);
    }
    return s;
}

static void linear_ref(const struct klinear_row *l, size_t from, size_t to, uint32_t *work,
                       const struct kprime *p) {
    (void)work;
    for (int i = 0; i < l->outputs * l->polys; i++) {
        size_t o = (size_t)(i / l->polys), h = (size_t)(i % l->polys);
        const uint32_t *a = l->a + h * l->a_pitch, *w = l->w + o * (size_t)l->terms * l->w_step;
        uint32_t *out = l->out + o * l->out_step + h * l->out_pitch;
        for (size_t j = from << l->log_rep; j < to << l->log_rep; j++)
            out[j] = linear_sum(l->accumulate ? out[j] : 0, a + j, l->a_step, w + (j >> l->log_rep),
                                l->w_step, l->terms, p);
    }
}

static void autom_ref(uint32_t *o, const uint32_t *x, const struct kautom *g, size_t n) {
    for (size_t i = 0; i < n; i++) o[i] = x[kautom_place(g, i)];
}

/* Cooley-Tukey, natural order in, bit-reversed out: stage with m blocks, half length t; values in
 * [0, 2q). */
static void ntt_fwd_ref(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t,
                        const uint32_t *next) {
    (void)next;
    size_t n = (size_t)1 << log;
    for (size_t m = 1, h = n / 2; h >= 1; m *= 2, h /= 2)
        for (size_t b = 0; b < m; b++) {
            uint32_t w = t->w[m + b], *u = x + 2 * b * h, *v = u + h;
            for (size_t j = 0; j < h; j++) {
                uint32_t z = kern_mont(v[j], w, p), s = u[j] + z, d = u[j] + p->q - z;
                u[j] = s >= p->q ? s - p->q : s;
                v[j] = d >= p->q ? d - p->q : d;
            }
        }
}

static void ntt_inv_ref(uint32_t *x, int log, const struct kprime *p, const struct ktwiddle *t) {
    size_t n = (size_t)1 << log;
    for (size_t m = n / 2, h = 1; m >= 1; m /= 2, h *= 2)
        for (size_t b = 0; b < m; b++) {
            uint32_t w = t->iw[m + b], *u = x + 2 * b * h, *v = u + h;
            for (size_t j = 0; j < h; j++) {
                uint32_t s = u[j] + v[j], d = u[j] + p->q - v[j];
                u[j] = s >= p->q ? s - p->q : s;
                v[j] = kern_mont(d, w, p);
            }
        }
    uint32_t ninv = kern_mul_mod(kern_inv_mod((uint32_t)(n % p->q), p->q), p->r1, p->q);
    for (size_t i = 0; i < n; i++) x[i] = kern_mont(x[i], ninv, p);
}

static void bconv_ref(uint32_t *o, size_t opitch, const uint32_t *x, size_t xpitch,
                      const uint32_t *pre, const struct kbconv *c, int centred, size_t from,
                      size_t to) {
    uint32_t k[KERN_MAX_SRC], y[KERN_MAX_SRC];
    for (int i = 0; i < c->src.n; i++) {
        uint32_t q = c->sp[i].q, s = pre ? kern_mul_mod(pre[i], c->hinv[i], q) : c->hinv[i];
        k[i] = kern_mul_mod(s, c->sp[i].r1, q);
    }
    for (size_t t = from; t < to; t++) {
        uint64_t v = 0;
        for (int i = 0; i < c->src.n; i++) {
            y[i] = kern_mont(x[(size_t)i * xpitch + t], k[i], &c->sp[i]);
            v += (y[i] * c->fix[i]) >> 28;
        }
        v = centred ? (v + (1ull << 31)) >> 32 : 0;
        for (int d = 0; d < c->dst.n; d++) {
            uint64_t s = v * c->nq[d];
            for (int i = 0; i < c->src.n; i++) s += (uint64_t)y[i] * c->m[d][i];
            o[(size_t)c->at[d] * opitch + t] = kern_reduce64(s, &c->dp[d]);
        }
    }
}

static void lift_ref(uint32_t *o, const int64_t *c, size_t n, const struct kprime *p) {
    for (size_t i = 0; i < n; i++) {
        uint64_t minus = -((uint64_t)c[i] >> 63), a = ((uint64_t)c[i] ^ minus) - minus;
        uint32_t r = kern_reduce64(a, p), other = (p->q - r) & -(uint32_t)(r != 0);
        o[i] = r ^ ((r ^ other) & (uint32_t)minus);
    }
}

void krows_ref(struct krows *r) {
    r->add = add_ref;
    r->sub = sub_ref;
    r->neg = neg_ref;
    r->mul = mul_ref;
    r->lincomb = lincomb_ref;
    r->add_scalar = add_scalar_ref;
    r->dot = dot_ref;
    r->autom = autom_ref;
    r->linear = linear_ref;
    r->ntt_fwd = ntt_fwd_ref;
    r->ntt_inv = ntt_inv_ref;
    r->bconv = bconv_ref;
    r->lift = lift_ref;
    r->uniform = uniform_ref;
}
