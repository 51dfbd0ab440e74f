/* The security gate.  The table (128 bits classical, uniform ternary secret, Security Guidelines
 * 2024) and the moduli stand here once more, the moduli exact by GMP, so that a slip in params.c
 * cannot vouch for itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <gmp.h>

#include "ckks/ckks.h"

#define OK(x) assert_int_equal((x), THOR_OK)
static const double table[] = {106, 214, 430, 868, 1747, 3523}; /* N = 2^12 .. 2^17 */
static const char *const secure[] = {"n16", "n15", "n12"}, *const toys[] = {"toy10", "toy11",
                                                                            "toy12", "toy13"};

static const struct ckks_params *set(const char *name) {
    const struct ckks_params *p = NULL;
    OK(ckks_params_get(&p, name, 1));
    return p;
}

/* log2 of the product of places first .. last of the chain; good to 2^-40. */
static double log_product(const struct ckks_params *p, int first, int last) {
    mpz_t m;
    long e;
    mpz_init_set_ui(m, 1);
    for (int i = first; i <= last; i++) mpz_mul_ui(m, m, p->prime[i]);
    double f = mpz_get_d_2exp(&e, m);
    mpz_clear(m);
    return log2(f) + (double)e;
}

/* Place of the last main of a level, by the rule "three primes for two levels, then pairs". */
static int last_main(int level) {
    int mains = level <= 16 ? 2 + 3 * (level / 2) : 26 + 2 * (level - 16);
    return 1 + mains;
}

static void the_chain(void **state) {
    (void)state;
    const uint32_t *q = set("n16")->prime;
    for (int i = 0; i < CKKS_PRIMES; i++) {
        mpz_t z;
        mpz_init_set_ui(z, q[i]);
        assert_true(mpz_probab_prime_p(z, 40));
        mpz_clear(z);
        assert_true(q[i] < KERN_MAX_PRIME && q[i] % (1u << 17) == 1);
        for (int j = 0; j < i; j++) assert_int_not_equal(q[i], q[j]);
    }
    for (int i = CKKS_TERMINALS; i < CKKS_PRIMES; i++) assert_true(q[i] > 1u << 27);
    assert_true(fabs(log_product(set("n16"), 0, CKKS_PRIMES - 1) - 1738.05) < 0.01);
}

static void logqp_of_every_set(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct ckks_params *p = set(secure[i]);
        int small = strcmp(secure[i], "n12") == 0; /* no terminals, one special prime */
        double exact = log_product(p, small ? CKKS_TERMINALS : 0, last_main(p->top_level)) +
                       log_product(p, CKKS_SPECIAL0, small ? CKKS_SPECIAL0 : CKKS_PRIMES - 1);
        double limit = table[p->log_n - 12];
        if (small) assert_true(fabs(exact - 83.55) < 0.01);
        assert_true(fabs(p->log_qp - exact) < 1e-6);
        assert_true(fabs(ckks_log_modulus(p, p->top_level, 1) - exact) < 1e-6);
        assert_true(exact <= limit);
        assert_true(p->log_qp_limit == limit);
        assert_int_equal(p->security_bits, 128);
        assert_true(p->max_level <= p->top_level);
    }
    assert_true(fabs(set("n16")->log_qp - 1738.05) < 0.01);
    for (size_t i = 0; i < 4; i++) assert_int_equal(set(toys[i])->security_bits, 0);
}

static void modulus_of_every_level(void **state) {
    (void)state;
    const struct ckks_params *p = set("n16");
    for (int level = 0; level <= CKKS_TOP; level++) {
        double exact =
            log_product(p, 0, last_main(level)) + log_product(p, CKKS_SPECIAL0, CKKS_PRIMES - 1);
        assert_true(fabs(ckks_log_modulus(p, level, 1) - exact) < 1e-6);
    }
}

/* n15 ends where the table does: one level more is refused, by its bits and not only by its
 * number. */
static void gate_is_alive(void **state) {
    (void)state;
    const struct ckks_params *p = set("n15");
    for (int level = 0; level <= p->top_level; level++) OK(ckks_params_check(p, level));
    assert_int_equal(ckks_params_check(p, p->top_level + 1), THOR_KEY);
    assert_int_equal(ckks_params_check(p, -1), THOR_KEY);
    assert_true(ckks_log_modulus(p, p->top_level, 1) <= 868);
    assert_true(ckks_log_modulus(p, p->top_level + 1, 1) > 868);
    struct ckks_params taller = *p;
    taller.top_level = CKKS_TOP;
    for (int level = p->top_level + 1; level <= CKKS_TOP; level++) {
        assert_int_equal(ckks_params_check(&taller, level), THOR_KEY);
        assert_non_null(strstr(thor_error(), "128 bits"));
    }
}

/* The gate follows the limit to a thousandth of a bit. */
static void gate_follows_the_limit(void **state) {
    (void)state;
    struct ckks_params p = *set("n16");
    double bits = ckks_log_modulus(&p, CKKS_TOP, 1);
    p.log_qp_limit = bits + 0.001;
    OK(ckks_params_check(&p, CKKS_TOP));
    p.log_qp_limit = bits - 0.001;
    assert_int_equal(ckks_params_check(&p, CKKS_TOP), THOR_KEY);
    OK(ckks_params_check(&p, CKKS_TOP - 1));
}

static void toys_need_leave(void **state) {
    (void)state;
    const struct ckks_params *p = NULL;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ckks_params_get(&p, toys[i], 0), THOR_KEY);
        assert_non_null(strstr(thor_error(), "insecure"));
        assert_null(p);
        assert_string_equal(set(toys[i])->name, toys[i]);
    }
    for (size_t i = 0; i < 3; i++) OK(ckks_params_get(&p, secure[i], 0));
}

static void unknown_names(void **state) {
    (void)state;
    static const char *const names[] = {"",     "n",    "n17",   "N16",
                                        "n16 ", "toy9", "toy14", "n16n16n16n16n16n16n16"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct ckks_params *p = NULL;
        assert_int_equal(ckks_params_get(&p, names[i], 1), THOR_USAGE);
        assert_non_null(strstr(thor_error(), "n16"));
        assert_null(p);
    }
}

/* ---- keys ---- */

static int try_key(const char *name, uint32_t id, int level) {
    const struct ckks_params *p = set(name);
    uint8_t seed[CKKS_SEED] = {2};
    struct ckks *cx;
    struct ckks_secret *s;
    struct ckks_keys *k = NULL;
    struct ckks_need need = {id, level};
    OK(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&s, p, seed));
    int st = ckks_keys_new(&k, cx, s, &need, 1, seed, NULL, NULL);
    assert_true((st == THOR_OK) == (k != NULL));
    ckks_keys_free(k);
    ckks_secret_free(s);
    ckks_close(cx);
    return st;
}

/* The weight-32 secret is only safe at a small modulus: two mains and one special prime, far below
 * 2^122. */
static void sparse_key_stays_small(void **state) {
    (void)state;
    const struct ckks_params *p = set("n16");
    int digits;
    assert_int_equal(ckks_ksk_rows(p, CKKS_KEY_TO_SPARSE, 0, &digits), 3);
    assert_int_equal(digits, 2);
    double bits =
        log_product(p, CKKS_TERMINALS, CKKS_TERMINALS + 1) + log2(p->prime[CKKS_SPECIAL0]);
    assert_true(bits < 84);
    OK(try_key("toy10", CKKS_KEY_TO_SPARSE, 0));
    for (int level = 1; level <= CKKS_TOP; level += 13) {
        assert_int_equal(try_key("toy10", CKKS_KEY_TO_SPARSE, level), THOR_KEY);
        assert_non_null(strstr(thor_error(), "only secure at level 0"));
    }
}

static void no_keys_beyond_the_gate(void **state) {
    (void)state;
    assert_int_equal(try_key("n15", CKKS_KEY_RELIN, 10), THOR_KEY);
    assert_int_equal(try_key("n15", 5, CKKS_TOP), THOR_KEY);
    assert_int_equal(try_key("n12", 5, 1), THOR_KEY);
    OK(try_key("n12", 5, 0));
    assert_int_equal(try_key("toy10", 5, CKKS_TOP + 1), THOR_KEY);
    assert_int_equal(try_key("toy10", 6, 0), THOR_KEY);
    assert_int_equal(try_key("toy10", 2 * 1024 + 1, 0), THOR_KEY);
}

/* What a secret key is: the whole ring, thirds of -1, 0, 1; another seed, another secret and name.
 * Hoeffding: a count leaves n/3 +- 4.1 sqrt(n) with probability below 2 exp(-2 4.1^2) = 5e-15. */
static void secrets_are_dense(void **state) {
    (void)state;
    const struct ckks_params *p = set("toy13");
    int n = 1 << 13;
    struct ckks_secret *a, *b, *c;
    uint8_t seed[CKKS_SEED] = {3};
    OK(ckks_secret_new(&a, p, seed));
    OK(ckks_secret_new(&b, p, NULL));
    OK(ckks_secret_new(&c, p, NULL));
    struct ckks_secret *all[3] = {a, b, c};
    for (int k = 0; k < 3; k++) {
        int count[3] = {0};
        for (int i = 0; i < n; i++) {
            assert_true(all[k]->s[i] >= -1 && all[k]->s[i] <= 1);
            count[all[k]->s[i] + 1]++;
        }
        for (int v = 0; v < 3; v++) assert_true(fabs(count[v] - n / 3.0) < 4.1 * sqrt(n));
    }
    assert_memory_not_equal(b->s, c->s, (size_t)n);
    assert_memory_not_equal(b->id, c->id, 16);
    ckks_secret_free(a);
    ckks_secret_free(b);
    ckks_secret_free(c);
}

/* What a key of n12 holds: two digits over the two mains and one special prime, and nothing of the
 * rest of the chain; with all 13 special primes, or a level more, the gate refuses. */
static void the_small_set(void **state) {
    (void)state;
    struct ckks_params wide = *set("n12"), tall = *set("n12");
    struct ckks_secret *s = NULL;
    uint8_t seed[CKKS_SEED] = {2};
    int digits;
    assert_int_equal(ckks_ksk_rows(set("n12"), 5, 0, &digits), 3);
    assert_int_equal(digits, 2);
    wide.specials = CKKS_SPECIALS;
    tall.top_level = tall.max_level = 2;
    assert_int_equal(ckks_secret_new(&s, &wide, seed), THOR_KEY);
    assert_non_null(strstr(thor_error(), "128 bits"));
    assert_int_equal(ckks_secret_new(&s, &tall, seed), THOR_KEY);
    assert_non_null(strstr(thor_error(), "128 bits"));
    assert_null(s);
}

/* Sets one prime too large: n16 with a limit that its chain would only meet without its last
 * special prime, n15 with one level more.  Nothing of such a set can be made, loaded or written. */
static void one_prime_too_large(void **state) {
    (void)state;
    struct ckks_params big = *set("n16"), tall = *set("n15");
    const struct ckks_params *const sets[2] = {&big, &tall};
    const struct ckks_need need = {CKKS_KEY_RELIN, 10};
    big.log_qp_limit = big.log_qp - log2(big.prime[CKKS_PRIMES - 1]);
    tall.top_level = tall.max_level = 10;
    for (int i = 0; i < 2; i++) {
        uint8_t seed[CKKS_SEED] = {2};
        struct ckks_secret *s = NULL;
        assert_int_equal(ckks_params_check(sets[i], sets[i]->top_level), THOR_KEY);
        assert_int_equal(ckks_secret_new(&s, sets[i], seed), THOR_KEY);
        assert_non_null(strstr(thor_error(), "128 bits"));
        assert_null(s);
    }
    /* a secret smuggled in: the keys made of it are refused too */
    struct ckks *cx;
    struct ckks_secret *s;
    struct ckks_public *pk = NULL;
    struct ckks_keys *k = NULL;
    uint8_t seed[CKKS_SEED] = {2};
    OK(ckks_open(&cx, &tall, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&s, set("n15"), seed));
    assert_int_equal(ckks_public_new(&pk, cx, s, seed), THOR_KEY); /* of other parameters */
    s->params = &tall;
    assert_int_equal(ckks_public_new(&pk, cx, s, seed), THOR_KEY);
    assert_non_null(strstr(thor_error(), "128 bits"));
    assert_int_equal(ckks_keys_new(&k, cx, s, &need, 1, seed, NULL, NULL), THOR_KEY);
    assert_non_null(strstr(thor_error(), "128 bits"));
    assert_null(pk);
    assert_null(k);
    ckks_secret_free(s);
    ckks_close(cx);
}

/* ---- noise: without it everything would still compute, and nothing would be secret ---- */

static struct {
    struct ckks *cx;
    struct ckks_secret *s;
    struct ckks_public *pk;
    struct ckks_keys *keys;
    uint32_t *sec, *src, *t; /* the secret, a source, scratch: CKKS_PRIMES rows each */
    int64_t *c;
} w;
enum { N = 1024 };

static int open_ring(void **state) {
    (void)state;
    static const struct ckks_need need[] = {
        {CKKS_KEY_RELIN, 27}, {5, 27}, {25, 16}, {3, 9}, {CKKS_KEY_FROM_SPARSE, 27}};
    uint8_t seed[CKKS_SEED] = {4};
    OK(ckks_open(&w.cx, set("toy10"), KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&w.s, w.cx->params, seed));
    OK(ckks_public_new(&w.pk, w.cx, w.s, seed));
    OK(ckks_keys_new(&w.keys, w.cx, w.s, need, 5, seed, NULL, NULL));
    OK(w.cx->k->alloc(w.cx->k, &w.sec, CKKS_PRIMES));
    OK(w.cx->k->alloc(w.cx->k, &w.src, CKKS_PRIMES));
    OK(w.cx->k->alloc(w.cx->k, &w.t, CKKS_PRIMES));
    w.c = malloc(N * sizeof *w.c);
    return w.c ? 0 : -1;
}

static int close_ring(void **state) {
    (void)state;
    w.cx->k->release(w.cx->k, w.sec);
    w.cx->k->release(w.cx->k, w.src);
    w.cx->k->release(w.cx->k, w.t);
    free(w.c);
    ckks_keys_free(w.keys);
    ckks_public_free(w.pk);
    ckks_secret_free(w.s);
    ckks_close(w.cx);
    return 0;
}

static struct kvec rows(uint32_t *p) {
    struct kvec v = {p, CKKS_PRIMES};
    return v;
}

/* w.sec = s in evaluation form over b. */
static void lift_secret(const struct kbasis *b) {
    for (int i = 0; i < N; i++) w.c[i] = w.s->s[i];
    w.cx->k->lift(w.cx->k, rows(w.sec), w.c, N, b, 1);
    w.cx->k->ntt_fwd(w.cx->k, rows(w.sec), b, 1, 10);
}

/* w.c = the coefficients of x, which must be one small polynomial modulo every prime of b. */
static void small_coefficients(uint32_t *x, const struct kbasis *b, int bound) {
    uint32_t *host = malloc((size_t)b->n * N * sizeof *host);
    w.cx->k->ntt_inv(w.cx->k, rows(x), b, 1, 10);
    w.cx->k->download(w.cx->k, host, x, (size_t)b->n * N);
    OK(w.cx->k->sync(w.cx->k));
    for (int r = 0; r < b->n; r++)
        for (int i = 0; i < N; i++) {
            int64_t q = w.cx->params->prime[b->prime[r]], v = host[(size_t)r * N + (size_t)i];
            if (v > q / 2) v -= q;
            assert_true(v >= -bound && v <= bound);
            if (r == 0) w.c[i] = v;
            assert_true(v == w.c[i]);
        }
    free(host);
}

/* w.c looks like centred binomial noise of variance 10.5: its second moment is within eight of its
 * standard deviations (10.5 sqrt(2/N) at most, the kurtosis being below 3), its mean within eight
 * of its. */
static void assert_binomial(void) {
    double mean = 0, square = 0;
    for (int i = 0; i < N; i++) mean += (double)w.c[i] / N, square += (double)(w.c[i] * w.c[i]) / N;
    assert_true(fabs(mean) < 8 * sqrt(10.5 / N));
    assert_true(fabs(square - 10.5) < 8 * 10.5 * sqrt(2.0 / N));
}

/* w.t = b + a s + g src over basis B; g NULL: without the source. */
static void phase_of(uint32_t *b, uint32_t *a, const uint32_t *g, const struct kbasis *B) {
    struct kernels *k = w.cx->k;
    uint32_t one[KERN_MAX_LIMBS];
    for (int i = 0; i < B->n; i++) one[i] = 1;
    k->mul(k, rows(w.t), rows(a), rows(w.sec), B, 1);
    k->add(k, rows(w.t), rows(w.t), rows(b), B, 1);
    if (g) k->lincomb(k, rows(w.t), rows(w.t), one, rows(w.src), g, B, 1);
}

/* -P mod q for the primes of digit j, else 0. */
static void minus_gadget(uint32_t *g, int j, const struct kbasis *b) {
    static const int end[CKKS_DIGITS] = {13, 25, 37, 50};
    const uint32_t *q = w.cx->params->prime;
    for (int i = 0; i < b->n; i++) {
        int place = b->prime[i];
        uint64_t x = place < end[j] && (j == 0 || place >= end[j - 1]);
        for (int s = CKKS_SPECIAL0; s < CKKS_PRIMES; s++) x = x * (q[s] % q[place]) % q[place];
        g[i] = x ? q[place] - (uint32_t)x : 0;
    }
}

/* Every digit of every key hides its share of the source secret under binomial noise, each its
 * own. */
static void keys_carry_noise(void **state) {
    (void)state;
    struct kernels *k = w.cx->k;
    int64_t last[N] = {0};
    for (int i = 0; i < w.keys->n; i++) {
        const struct ckks_ksk *key = &w.keys->key[i];
        if (key->id == CKKS_KEY_FROM_SPARSE) continue; /* its source secret is gone */
        struct kbasis b = {0};
        for (int r = 0; r < key->rows - CKKS_SPECIALS; r++) b.prime[b.n++] = (uint8_t)r;
        for (int r = CKKS_SPECIAL0; r < CKKS_PRIMES; r++) b.prime[b.n++] = (uint8_t)r;
        lift_secret(&b);
        if (key->id == CKKS_KEY_RELIN)
            k->mul(k, rows(w.src), rows(w.sec), rows(w.sec), &b, 1);
        else
            k->autom(k, rows(w.src), rows(w.sec), key->id, b.n, 1);
        for (int j = 0; j < key->digits; j++) {
            uint32_t g[KERN_MAX_LIMBS], *half = key->data + (size_t)(2 * j * key->rows) * N;
            minus_gadget(g, j, &b);
            phase_of(half, half + (size_t)key->rows * N, g, &b);
            small_coefficients(w.t, &b, 21);
            assert_binomial();
            assert_memory_not_equal(last, w.c, sizeof last);
            memcpy(last, w.c, sizeof last);
        }
    }
}

/* No two halves a share a row: from equal ones the difference of the b would show the secret. */
static void halves_are_never_reused(void **state) {
    (void)state;
    enum { MOST = 32 };
    uint32_t *first[MOST];
    int n = 0;
    for (int i = 0; i < w.keys->n; i++)
        for (int j = 0; j < w.keys->key[i].digits; j++) {
            const struct ckks_ksk *key = &w.keys->key[i];
            assert_true(n < MOST);
            first[n] = malloc(N * sizeof **first);
            /* row 1, the terminal 2752513 in each of these keys */
            w.cx->k->download(w.cx->k, first[n],
                              key->data + (size_t)((2 * j + 1) * key->rows + 1) * N, N);
            OK(w.cx->k->sync(w.cx->k));
            for (int o = 0; o < n; o++) {
                int equal = 0; /* 4 by chance: (1024 / 2752513)^4 / 24 = 8e-16 */
                for (int x = 0; x < N; x++) equal += first[o][x] == first[n][x];
                assert_true(equal < 4);
            }
            n++;
        }
    for (int i = 0; i < n; i++) free(first[i]);
}

static void public_key_carries_noise(void **state) {
    (void)state;
    struct kernels *k = w.cx->k;
    struct kbasis b = {0};
    uint32_t *host = malloc((size_t)w.pk->rows * N * sizeof *host), *a, *pb;
    for (int r = 0; r < w.pk->rows; r++) {
        struct ckks_rng rng;
        b.prime[b.n++] = (uint8_t)r;
        ckks_rng_init(&rng, w.pk->seed, (uint64_t)r);
        ckks_rng_uniform(&rng, host + (size_t)r * N, N, w.cx->params->prime[r]);
    }
    OK(k->alloc(k, &a, (size_t)b.n));
    OK(k->alloc(k, &pb, (size_t)b.n));
    k->upload(k, a, host, (size_t)b.n * N);
    k->upload(k, pb, w.pk->b, (size_t)b.n * N);
    lift_secret(&b);
    phase_of(pb, a, NULL, &b);
    small_coefficients(w.t, &b, 21);
    assert_binomial();
    k->release(k, a);
    k->release(k, pb);
    free(host);
}

/* Encryptions of zero: the phase is the noise itself.  Under the public key it is e0 + e1 s + e u,
 * of variance 10.5 (1 + 4N/3): bounded here by eight standard deviations, and from below by a
 * quarter of the variance. */
static void ciphertexts_carry_noise(void **state) {
    (void)state;
    double zero[1] = {0}, square = 0, variance = 10.5 * (1 + 4.0 * N / 3);
    struct ckks_ct a = {0}, b = {0}, c = {0};
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {6};
    ckks_rng_init(&rng, seed, 0);
    OK(ckks_encrypt_secret(&a, w.cx, zero, NULL, 1, 9, w.s, &rng));
    OK(ckks_encrypt_secret(&b, w.cx, zero, NULL, 1, 9, w.s, &rng));
    OK(ckks_encrypt_public(&c, w.cx, zero, NULL, 1, 9, w.pk, &rng));
    struct kbasis q = ckks_basis(w.cx->params, 9);
    lift_secret(&q);
    assert_memory_not_equal(a.c, b.c, (size_t)(2 * a.rows) * N * 4);
    assert_memory_not_equal(a.c + (size_t)a.rows * N, b.c + (size_t)b.rows * N, N * 4);
    phase_of(a.c, a.c + (size_t)a.rows * N, NULL, &q);
    small_coefficients(w.t, &q, 21);
    assert_binomial();
    phase_of(c.c, c.c + (size_t)c.rows * N, NULL, &q);
    small_coefficients(w.t, &q, (int)(8 * sqrt(variance)));
    for (int i = 0; i < N; i++) square += (double)(w.c[i] * w.c[i]) / N;
    assert_true(square > variance / 4);
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    ckks_ct_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_chain),
        cmocka_unit_test(logqp_of_every_set),
        cmocka_unit_test(modulus_of_every_level),
        cmocka_unit_test(gate_is_alive),
        cmocka_unit_test(gate_follows_the_limit),
        cmocka_unit_test(toys_need_leave),
        cmocka_unit_test(unknown_names),
        cmocka_unit_test(sparse_key_stays_small),
        cmocka_unit_test(the_small_set),
        cmocka_unit_test(one_prime_too_large),
        cmocka_unit_test(no_keys_beyond_the_gate),
        cmocka_unit_test(secrets_are_dense),
        cmocka_unit_test(keys_carry_noise),
        cmocka_unit_test(halves_are_never_reused),
        cmocka_unit_test(public_key_carries_noise),
        cmocka_unit_test(ciphertexts_carry_noise),
    };
    return cmocka_run_group_tests_name("security", tests, open_ring, close_ring);
}
