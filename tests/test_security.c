/* The security gate.  The table (128 bits classical, uniform ternary secret, Security Guidelines 2024) and the
 * moduli stand here once more, the moduli exact by GMP, so that a slip in params.c cannot vouch for itself. */
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
static const double table[] = {214, 430, 868, 1747, 3523}; /* N = 2^13 .. 2^17 */
static const char *const secure[] = {"n16", "n15"}, *const toys[] = {"toy10", "toy11", "toy12", "toy13"};

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
    for (size_t i = 0; i < 2; i++) {
        const struct ckks_params *p = set(secure[i]);
        double exact = log_product(p, 0, last_main(p->top_level)) + log_product(p, CKKS_SPECIAL0, CKKS_PRIMES - 1);
        double limit = table[p->log_n - 13];
        assert_true(fabs(p->log_qp - exact) < 1e-6);
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
        double exact = log_product(p, 0, last_main(level)) + log_product(p, CKKS_SPECIAL0, CKKS_PRIMES - 1);
        assert_true(fabs(ckks_log_modulus(p, level, 1) - exact) < 1e-6);
    }
}

/* n15 ends where the table does: one level more is refused, by its bits and not only by its number. */
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
    for (size_t i = 0; i < 2; i++) OK(ckks_params_get(&p, secure[i], 0));
}

static void unknown_names(void **state) {
    (void)state;
    static const char *const names[] = {"", "n", "n17", "N16", "n16 ", "toy9", "toy14", "n16n16n16n16n16n16n16"};
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

/* The weight-32 secret is only safe at a small modulus: two mains and one special prime, far below 2^122. */
static void sparse_key_stays_small(void **state) {
    (void)state;
    const struct ckks_params *p = set("n16");
    int digits;
    assert_int_equal(ckks_ksk_rows(p, CKKS_KEY_TO_SPARSE, 0, &digits), 3);
    assert_int_equal(digits, 2);
    double bits = log_product(p, CKKS_TERMINALS, CKKS_TERMINALS + 1) + log2(p->prime[CKKS_SPECIAL0]);
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
        cmocka_unit_test(no_keys_beyond_the_gate),
        cmocka_unit_test(secrets_are_dense),
    };
    return cmocka_run_group_tests_name("security", tests, NULL, NULL);
}
