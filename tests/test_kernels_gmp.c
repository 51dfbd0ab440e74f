/* The portable tier against the definitions in kernels.h: polynomials evaluated by Horner's rule,
 * whole numbers in GMP.  Each ring has the smallest and the largest primes that fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <gmp.h>

#include "ckks/ckks.h"
#include "tests/harness.h"

enum { PRIMES = 20 };
static const int rings[] = {4, 5, 10, 13};
enum { RINGS = sizeof rings / sizeof *rings };
#define EACH_RING(l) for (size_t r_ = 0, l = 4; r_ < RINGS && (l = (size_t)rings[r_], 1); r_++)

static struct kernels *open_ref(int log_n, int primes) {
    uint32_t q[KERN_MAX_LIMBS];
    struct kernels *k;
    harness_chain(q, primes, log_n);
    assert_int_equal(kernels_open_cpu(&k, log_n, q, primes, KERN_TIER_REF, 1), THOR_OK);
    assert_string_equal(k->tier, "ref");
    return k;
}

static uint32_t mulm(uint32_t a, uint32_t b, uint32_t q) {
    return (uint32_t)((uint64_t)a * b % q);
}

static size_t reverse(size_t x, int bits) {
    size_t r = 0;
    for (int i = 0; i < bits; i++) {
        r |= (x >> i & 1) << (bits - 1 - i);
    }
    return r;
}

static uint32_t horner(const uint32_t *c, size_t n, uint32_t at, uint32_t q) {
    uint32_t r = 0;
    while (n--) {
        r = (mulm(r, at, q) + c[n]) % q;
    }
    return r;
}

static uint32_t *words(size_t n) {
    uint32_t *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

static void words_of_a_prime(void **state) {
    (void)state;
    mpz_t x, q;
    mpz_inits(x, q, NULL);
    uint64_t rng = 1;
    EACH_RING(l) {
        struct kernels *k = open_ref((int)l, PRIMES);
        for (int i = 0; i < PRIMES; i++) {
            uint32_t a = 1 + (uint32_t)(harness_next(&rng) % (k->q[i] - 1));
            uint32_t e = (uint32_t)harness_next(&rng);
            mpz_set_ui(q, k->q[i]);
            mpz_set_ui(x, a);
            mpz_powm_ui(x, x, e, q);
            assert_int_equal(kern_pow_mod(a, e, k->q[i]), mpz_get_ui(x));
            assert_int_equal(mulm(kern_inv_mod(a, k->q[i]), a, k->q[i]), 1);
            uint32_t psi = 0; /* the definition, literally */
            for (unsigned long b = 2; !psi; b++) {
                mpz_set_ui(x, b);
                mpz_powm_ui(x, x, (k->q[i] - 1) >> (l + 1), q);
                psi = (uint32_t)mpz_get_ui(x);
                mpz_powm_ui(x, x, 1ul << l, q);
                psi = mpz_get_ui(x) == k->q[i] - 1 ? psi : 0;
            }
            assert_int_equal(kernels_psi(k->q[i], (int)l), psi);
        }
        kernels_close(k);
    }
    mpz_clears(x, q, NULL);
}

/* Some places of the short transform, and those of the long one for which they stand. */
static void check_forward(struct kernels *k, int prime, int log, enum fill kind) {
    size_t n = (size_t)1 << log, whole = (size_t)1 << k->log_n, gap = whole / n;
    struct kbasis b = harness_basis(prime, 1);
    uint32_t q = k->q[prime], *c = words(n), *wide = words(whole);
    uint32_t psi = kern_pow_mod(kernels_psi(q, k->log_n), gap, q);
    struct guarded s, w;
    harness_fill(c, k, &b, 1, 1, n, kind, 3 + (uint64_t)prime);
    for (size_t i = 0; i < n; i++) {
        wide[i * gap] = c[i];
    }
    guarded_open(&s, k, c, n);
    guarded_open(&w, k, wide, whole);
    k->ntt_fwd(k, (struct kvec){s.p, 1}, &b, 1, log);
    k->ntt_fwd(k, (struct kvec){w.p, 1}, &b, 1, k->log_n);
    uint32_t *y = guarded_read(&s), *z = guarded_read(&w);
    for (size_t t = 0; t < n && t < 12; t++) {
        size_t i = t < 2 ? t : t < 4 ? n + 1 - t : (t * 2654435761u) % n;
        i %= n;
        uint32_t want = horner(c, n, kern_pow_mod(psi, 2 * reverse(i, log) + 1, q), q);
        assert_int_equal(y[i], want);
        assert_int_equal(z[i * gap], want);
        assert_int_equal(z[i * gap + gap - 1], want);
    }
    k->ntt_inv(k, (struct kvec){s.p, 1}, &b, 1, log);
    uint32_t *back = guarded_read(&s);
    assert_memory_equal(back, c, n * sizeof *c);
    guarded_close(&s);
    guarded_close(&w);
    free(c), free(wide), free(y), free(z), free(back);
}

static void transforms_at_points(void **state) {
    (void)state;
    EACH_RING(l) {
        struct kernels *k = open_ref((int)l, 4);
        for (int log = 0; log <= (int)l; log++) {
            for (int i = 0; i < 4; i++) {
                for (int f = 0; f < FILLS; f++) {
                    check_forward(k, i, log, (enum fill)f);
                }
            }
        }
        kernels_close(k);
    }
    struct kernels *k = open_ref(16, 2);
    check_forward(k, 0, 16, FILL_RANDOM);
    check_forward(k, 1, 16, FILL_TOP);
    kernels_close(k);
}

static void automorphism_of_coefficients(void **state) {
    (void)state;
    EACH_RING(l) {
        struct kernels *k = open_ref((int)l, 2);
        size_t n = (size_t)1 << l;
        const uint32_t gs[] = {1, 3, 5, 25, (uint32_t)n - 1, (uint32_t)n + 1, 2 * (uint32_t)n - 1};
        struct kbasis b = harness_basis(0, 2);
        uint32_t *c = words(2 * n), *d = words(2 * n);
        harness_fill(c, k, &b, 1, 2, n, FILL_RANDOM, l);
        for (size_t t = 0; t < sizeof gs / sizeof *gs; t++) {
            struct guarded x, y, z;
            for (size_t i = 0; i < 2 * n; i++) {
                size_t e = i % n * gs[t] % (2 * n);
                uint32_t q = k->q[i / n];
                d[i / n * n + e % n] = e < n ? c[i] : (q - c[i]) % q;
            }
            guarded_open(&x, k, c, 2 * n);
            guarded_open(&y, k, d, 2 * n);
            guarded_open(&z, k, NULL, 2 * n);
            k->ntt_fwd(k, (struct kvec){x.p, 2}, &b, 1, (int)l);
            k->ntt_fwd(k, (struct kvec){y.p, 2}, &b, 1, (int)l);
            k->autom(k, (struct kvec){z.p, 2}, (struct kvec){x.p, 2}, gs[t], 2, 1);
            uint32_t *want = guarded_read(&y), *got = guarded_read(&z);
            assert_memory_equal(got, want, 2 * n * sizeof *got);
            free(want), free(got);
            guarded_close(&x), guarded_close(&y), guarded_close(&z);
        }
        free(c), free(d);
        kernels_close(k);
    }
}

static void pointwise(void **state) {
    (void)state;
    EACH_RING(l) {
        struct kernels *k = open_ref((int)l, PRIMES);
        size_t n = (size_t)1 << l, all = PRIMES * n;
        struct kbasis b = harness_basis(0, PRIMES);
        uint32_t *x = words(all), *y = words(all), sx[PRIMES], sy[PRIMES], *o[8];
        for (int f = FILL_TOP; f < FILLS; f++) {
            struct guarded a, c, out;
            struct kvec vx, vy, vo;
            harness_fill(x, k, &b, 1, PRIMES, n, (enum fill)f, 5);
            harness_fill(y, k, &b, 1, PRIMES, n, (enum fill)f, 6);
            harness_fill(sx, k, &b, 1, PRIMES, 1, (enum fill)f, 7);
            harness_fill(sy, k, &b, 1, PRIMES, 1, (enum fill)f, 8);
            guarded_open(&a, k, x, all);
            guarded_open(&c, k, y, all);
            guarded_open(&out, k, NULL, all);
            vx = (struct kvec){a.p, PRIMES};
            vy = (struct kvec){c.p, PRIMES};
            vo = (struct kvec){out.p, PRIMES};
            k->add(k, vo, vx, vy, &b, 1), o[0] = guarded_read(&out);
            k->sub(k, vo, vx, vy, &b, 1), o[1] = guarded_read(&out);
            k->neg(k, vo, vx, &b, 1), o[2] = guarded_read(&out);
            k->mul(k, vo, vx, vy, &b, 1), o[3] = guarded_read(&out);
            k->lincomb(k, vo, vx, sx, vy, sy, &b, 1), o[4] = guarded_read(&out);
            k->lincomb(k, vo, vx, sx, (struct kvec){NULL, 0}, NULL, &b, 1);
            o[5] = guarded_read(&out);
            k->add_scalar(k, vo, vx, sx, &b, 1), o[6] = guarded_read(&out);
            k->zero(k, vo, PRIMES, 1), o[7] = guarded_read(&out);
            for (size_t i = 0; i < all; i++) {
                size_t r = i / n;
                uint64_t q = k->q[r];
                assert_int_equal(o[0][i], (x[i] + y[i]) % q);
                assert_int_equal(o[1][i], (x[i] + q - y[i]) % q);
                assert_int_equal(o[2][i], (q - x[i]) % q);
                assert_int_equal(o[3][i], (uint64_t)x[i] * y[i] % q);
                assert_int_equal(o[4][i], ((uint64_t)x[i] * sx[r] + (uint64_t)y[i] * sy[r]) % q);
                assert_int_equal(o[5][i], (uint64_t)x[i] * sx[r] % q);
                assert_int_equal(o[6][i], (x[i] + sx[r]) % q);
                assert_int_equal(o[7][i], 0);
            }
            for (int i = 0; i < 8; i++) {
                free(o[i]);
            }
            guarded_close(&a), guarded_close(&c), guarded_close(&out);
        }
        free(x), free(y);
        kernels_close(k);
    }
}

/* All terms equal: terms * a * b (+ out), which for 255 terms of (q-1)^2 comes closest to 2^64. */
static void check_dot(struct kernels *k, int terms, int log_rep, int accumulate, enum fill kind) {
    size_t n = (size_t)1 << k->log_n, shorter = n >> log_rep;
    struct kbasis b = harness_basis(0, PRIMES);
    uint32_t *x = words(PRIMES * n), *y = words(PRIMES * shorter), *z = words(PRIMES * n);
    struct kterm term[255];
    struct guarded gx, gy, gz;
    mpz_t s;
    mpz_init(s);
    harness_fill(x, k, &b, 1, PRIMES, n, kind, 11);
    harness_fill(y, k, &b, 1, PRIMES, shorter, kind, 12);
    harness_fill(z, k, &b, 1, PRIMES, n, kind, 13);
    guarded_open(&gx, k, x, PRIMES * n);
    guarded_open(&gy, k, y, PRIMES * shorter);
    guarded_open(&gz, k, z, PRIMES * n);
    for (int t = 0; t < terms; t++) {
        term[t] = (struct kterm){.a = gx.p, .b = gy.p};
    }
    k->dot(k, (struct kvec){gz.p, PRIMES}, term, terms, 1, log_rep, accumulate, &b, 1);
    uint32_t *got = guarded_read(&gz);
    for (size_t i = 0; i < PRIMES * n; i++) {
        mpz_set_ui(s, x[i]);
        mpz_mul_ui(s, s, y[i / n * shorter + (i % n >> log_rep)]);
        mpz_mul_ui(s, s, (unsigned long)terms);
        mpz_add_ui(s, s, accumulate ? z[i] : 0);
        assert_int_equal(got[i], mpz_fdiv_ui(s, k->q[i / n]));
    }
    mpz_clear(s);
    guarded_close(&gx), guarded_close(&gy), guarded_close(&gz);
    free(x), free(y), free(z), free(got);
}

static void sums_of_products(void **state) {
    (void)state;
    static const int terms[] = {1, 2, 3, 15, 16, 17, 254, 255};
    for (int l = 4; l <= 8; l += 4) {
        struct kernels *k = open_ref(l, PRIMES);
        for (size_t t = 0; t < sizeof terms / sizeof *terms; t++) {
            for (int f = FILL_TOP; f < FILLS; f++) {
                check_dot(k, terms[t], 0, 0, (enum fill)f);
                check_dot(k, terms[t], (int)t % (l + 1), 1, (enum fill)f);
            }
        }
        kernels_close(k);
    }
}

/* Terms that differ, two polynomials a term, each behind an automorphism: out = sum autom(a) b. */
static void rotated_sums(void **state) {
    (void)state;
    enum { TERMS = 5, ROWS = 3, POLYS = 2, ALL = TERMS * POLYS * ROWS };
    struct kernels *k = open_ref(8, ROWS);
    size_t n = 256;
    struct kbasis b = harness_basis(0, ROWS);
    uint32_t *x = words(ALL * n), *y = words(ALL * n);
    struct guarded a, turned, c, o;
    struct kterm term[TERMS];
    harness_fill(x, k, &b, TERMS * POLYS, ROWS, n, FILL_RANDOM, 51);
    harness_fill(y, k, &b, TERMS * POLYS, ROWS, n, FILL_RANDOM, 52);
    guarded_open(&a, k, x, ALL * n);
    guarded_open(&turned, k, NULL, ALL * n);
    guarded_open(&c, k, y, ALL * n);
    guarded_open(&o, k, NULL, POLYS * ROWS * n);
    for (size_t t = 0; t < TERMS; t++) {
        size_t at = t * POLYS * ROWS * n;
        term[t] = (struct kterm){
            .a = a.p + at, .b = c.p + at, .a_pitch = ROWS, .b_pitch = t % 2 ? 0 : ROWS};
    }
    k->autom(k, (struct kvec){turned.p, ROWS}, (struct kvec){a.p, ROWS}, 77, ROWS, TERMS * POLYS);
    k->dot(k, (struct kvec){o.p, ROWS}, term, TERMS, 77, 0, 0, &b, POLYS);
    uint32_t *z = guarded_read(&turned), *got = guarded_read(&o);
    for (size_t i = 0; i < POLYS * ROWS * n; i++) {
        uint64_t sum = 0;
        for (size_t t = 0; t < TERMS; t++) {
            size_t at = t * POLYS * ROWS * n;
            sum += (uint64_t)z[at + i] * y[at + (t % 2 ? i % (ROWS * n) : i)];
        }
        assert_int_equal(got[i], sum % k->q[i / n % ROWS]);
    }
    guarded_close(&a), guarded_close(&turned), guarded_close(&c), guarded_close(&o);
    free(x), free(y), free(z), free(got);
    kernels_close(k);
}

/* x is the number whose residues times pre are converted; edge cases first, then uniform. */
static void choose_x(mpz_t x, const mpz_t whole, size_t j, gmp_randstate_t rng) {
    mpz_set_ui(x, 0);
    if (j == 1) {
        mpz_set_ui(x, 1);
    } else if (j == 2) {
        mpz_sub_ui(x, whole, 1);
    } else if (j >= 3 && j < 11) { /* next to Q/2, Q/4, 3Q/4 and just beyond the window of v */
        mpz_mul_ui(x, whole, j < 5 ? 2 : j < 7 ? 1 : j < 9 ? 3 : 2);
        mpz_fdiv_q_2exp(x, x, 2);
        mpz_add_ui(x, x, j % 2);
    } else if (j > 10) {
        mpz_urandomm(x, rng, whole);
    }
}

/* v is off by at most 2 n 2^-32 before it is rounded: the representative is sure away from Q/2. */
static int near_half(const mpz_t x, const mpz_t whole, int n) {
    mpz_t d;
    mpz_init(d);
    mpz_mul_2exp(d, x, 1);
    mpz_sub(d, d, whole);
    mpz_abs(d, d);
    mpz_mul_2exp(d, d, 32);
    mpz_fdiv_q(d, d, whole);
    int near = mpz_cmp_ui(d, (unsigned long)(4 * n)) <= 0;
    mpz_clear(d);
    return near;
}

/* sum y_i Q/q_i (the plain representative) of the number x */
static void plain_sum(mpz_t s, const mpz_t x, const mpz_t whole, const struct kernels *k,
                      const struct kbasis *src) {
    mpz_t h, q;
    mpz_inits(h, q, NULL);
    mpz_set_ui(s, 0);
    for (int i = 0; i < src->n; i++) {
        mpz_set_ui(q, k->q[src->prime[i]]);
        mpz_divexact(h, whole, q);
        mpz_t y;
        mpz_init(y);
        mpz_invert(y, h, q);
        mpz_mul(y, y, x);
        mpz_mod(y, y, q);
        mpz_addmul(s, y, h);
        mpz_clear(y);
    }
    mpz_clears(h, q, NULL);
}

static void check_bconv(struct kernels *k, const struct kbasis *src, const struct kbasis *dst,
                        int centred, int with_pre) {
    size_t n = (size_t)1 << k->log_n;
    uint32_t *x = words((size_t)src->n * n), pre[KERN_MAX_LIMBS];
    struct kbconv *c;
    struct guarded gx, go;
    gmp_randstate_t rng;
    mpz_t whole, v, *value = calloc(n, sizeof *value);
    assert_non_null(value);
    gmp_randinit_default(rng);
    mpz_init_set_ui(whole, 1);
    mpz_init(v);
    for (int i = 0; i < src->n; i++) {
        mpz_mul_ui(whole, whole, k->q[src->prime[i]]);
        pre[i] = with_pre ? 1 + (uint32_t)(gmp_urandomm_ui(rng, k->q[src->prime[i]] - 1)) : 1;
    }
    for (size_t j = 0; j < n; j++) {
        mpz_init(value[j]);
        choose_x(value[j], whole, j, rng);
        for (int i = 0; i < src->n; i++) {
            uint32_t q = k->q[src->prime[i]], r = (uint32_t)mpz_fdiv_ui(value[j], q);
            x[(size_t)i * n + j] = mulm(r, kern_inv_mod(pre[i], q), q);
        }
    }
    guarded_open(&gx, k, x, (size_t)src->n * n);
    guarded_open(&go, k, NULL, (size_t)dst->n * n);
    uint32_t *before = guarded_read(&go);
    assert_int_equal(k->bconv_new(k, &c, src, dst), THOR_OK);
    k->bconv(k, (struct kvec){go.p, (size_t)dst->n}, (struct kvec){gx.p, (size_t)src->n},
             with_pre ? pre : NULL, c, centred, 1);
    uint32_t *got = guarded_read(&go);
    for (size_t j = 0; j < n; j++) {
        mpz_mul_2exp(v, value[j], 1);
        int upper = mpz_cmp(v, whole) >= 0, either = near_half(value[j], whole, src->n);
        if (!centred) {
            plain_sum(v, value[j], whole, k, src);
        } else {
            mpz_set(v, value[j]);
            if (upper) mpz_sub(v, v, whole);
        }
        for (int d = 0; d < dst->n; d++) {
            uint32_t q = k->q[dst->prime[d]], want = (uint32_t)mpz_fdiv_ui(v, q);
            uint32_t all = (uint32_t)mpz_fdiv_ui(whole, q), out = got[(size_t)d * n + j];
            uint32_t other = (upper ? want + all : want + q - all) % q;
            if (!all) { /* a prime of both: its row is left alone */
                assert_int_equal(out, before[(size_t)d * n + j]);
                continue;
            }
            if (centred && either && out == other) continue;
            assert_int_equal(out, want);
        }
    }
    for (size_t j = 0; j < n; j++) {
        mpz_clear(value[j]);
    }
    k->bconv_free(k, c);
    guarded_close(&gx), guarded_close(&go);
    mpz_clears(whole, v, NULL);
    gmp_randclear(rng);
    free(value), free(x), free(got), free(before);
}

static void base_conversions(void **state) {
    (void)state;
    static const int sources[] = {1, 2, 3, 12, 13, 16};
    for (int l = 4; l <= 10; l += 3) {
        struct kernels *k = open_ref(l, 40);
        for (size_t t = 0; t < sizeof sources / sizeof *sources; t++) {
            struct kbasis src = harness_basis(0, sources[t]);
            struct kbasis dst = harness_basis(sources[t], 40 - sources[t]);
            struct kbasis large = {.n = sources[t]}; /* the largest primes: sums close to 2^60 */
            for (int i = 0; i < large.n; i++) {
                large.prime[i] = (uint8_t)(2 * i + 1);
            }
            for (int centred = 0; centred < 2; centred++) {
                check_bconv(k, &src, &dst, centred, 0);
                check_bconv(k, &src, &dst, centred, 1);
                dst.n = 5;
                check_bconv(k, &large, &dst, centred, 1);
                dst.n = 40 - sources[t];
            }
        }
        kernels_close(k);
    }
}

static struct kbasis joined(struct kbasis a, struct kbasis b) {
    for (int i = 0; i < b.n; i++) {
        a.prime[a.n++] = b.prime[i];
    }
    return a;
}

/* The conversions of key switching and rescaling over the chain of the default parameters, the two
 * short terminal primes on either side. */
static void conversions_of_the_chain(void **state) {
    (void)state;
    const struct ckks_params *p;
    struct kernels *k;
    assert_int_equal(ckks_params_get(&p, "n16", 0), THOR_OK);
    assert_int_equal(kernels_open_cpu(&k, 6, p->prime, CKKS_PRIMES, KERN_TIER_REF, 1), THOR_OK);
    struct kbasis t = harness_basis(0, CKKS_TERMINALS);
    struct kbasis special = harness_basis(CKKS_SPECIAL0, CKKS_SPECIALS);
    struct kbasis all = harness_basis(0, CKKS_SPECIAL0), digit0 = joined(t, harness_basis(2, 11));
    const struct {
        struct kbasis src, dst;
    } way[] = {
        {special, all},                                   /* ModDown */
        {digit0, joined(harness_basis(13, 37), special)}, /* ModUp of the first digit */
        {harness_basis(37, 13), joined(harness_basis(0, 37), special)}, /* and of the last */
        {t, harness_basis(2, CKKS_MAINS)},                      /* rescale of an odd level */
        {harness_basis(47, 3), harness_basis(0, 47)},           /* and of an even one */
        {harness_basis(2, 2), joined(t, harness_basis(4, 46))}, /* ModRaise */
    };
    for (size_t i = 0; i < sizeof way / sizeof *way; i++) {
        check_bconv(k, &way[i].src, &way[i].dst, 1, (int)i % 2);
        check_bconv(k, &way[i].src, &way[i].dst, 0, (int)(i + 1) % 2);
    }
    kernels_close(k);
}

static void signed_lifts(void **state) {
    (void)state;
    struct kernels *k = open_ref(8, PRIMES);
    struct kbasis b = harness_basis(0, PRIMES);
    uint64_t rng = 17;
    mpz_t z;
    mpz_init(z);
    for (size_t n = 1; n <= 256; n *= 4) {
        int64_t c[2 * 256];
        struct guarded g;
        for (size_t i = 0; i < 2 * n; i++) {
            static const int64_t edge[] = {
                0, 1, -1, (1ll << 62) - 1, 1 - (1ll << 62), 1ll << 32, -(1ll << 32)};
            int64_t any = (int64_t)harness_next(&rng);
            c[i] = i < 7 && n > 1 ? edge[i] : any >> (1 + harness_next(&rng) % 60);
            if (c[i] <= -(1ll << 62)) c[i] = 1 - (1ll << 62);
        }
        guarded_open(&g, k, NULL, 2 * PRIMES * n);
        k->lift(k, (struct kvec){g.p, PRIMES}, c, n, &b, 2);
        uint32_t *got = guarded_read(&g);
        for (size_t i = 0; i < 2 * PRIMES * n; i++) {
            mpz_set_si(z, c[i / n / PRIMES * n + i % n]);
            assert_int_equal(got[i], mpz_fdiv_ui(z, k->q[i / n % PRIMES]));
        }
        free(got);
        guarded_close(&g);
    }
    mpz_clear(z);
    kernels_close(k);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_of_a_prime),
        cmocka_unit_test(transforms_at_points),
        cmocka_unit_test(automorphism_of_coefficients),
        cmocka_unit_test(pointwise),
        cmocka_unit_test(sums_of_products),
        cmocka_unit_test(rotated_sums),
        cmocka_unit_test(base_conversions),
        cmocka_unit_test(conversions_of_the_chain),
        cmocka_unit_test(signed_lifts),
    };
    return cmocka_run_group_tests_name("kernels against exact arithmetic", tests, NULL, NULL);
}
