/* Decrypted values leak the key: the attack of Li and Micciancio (eprint 2020/1533), live.
 *
 * The attacker knows the ciphertext and what its decryption was shown to be.  Raw values round to
 * the exact phase c0 + c1 s; modulo one prime that is a linear equation in s, solved point by point
 * in evaluation form.  Raw values give the key away every time.  What thor decrypt publishes, the
 * label and its score rounded to 1/100 (cli/cmd_decrypt.c), and even every slot rounded by
 * ckks_decrypt_rounded, give nothing: the same values can be computed without the key. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/engine.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { N = 1024, SLOTS = N / 2, LEVEL = 3, TRIALS = 100, BITS = 12 };

static struct engine E;

static int square(struct ckks *cx, void *arg) {
    struct ckks_ct x = {0};
    int st = THOR_OK;
    (void)arg;
    TRY(ckks_zero(&x, cx, LEVEL));
    TRY(ckks_mul(&x, &x, &x));
out:
    ckks_ct_free(&x);
    return st;
}

static int setup(void **state) {
    (void)state;
    engine_open(&E, "toy10", square, NULL);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    engine_close(&E);
    return 0;
}

/* The key from the shown slots re, im of ct: 1 when all of s comes out in {-1, 0, 1}. */
static int attack(int8_t *s, const struct ckks_ct *ct, const double *re, const double *im) {
    struct kernels *k = E.cx->k;
    const struct kbasis all = ckks_basis(ct->cx->params, ct->level);
    const int row = ct->level % 2 ? 2 : 0; // the first main
    const struct kbasis one = {.n = 1, .prime = {all.prime[row]}};
    const uint32_t q = E.p->prime[all.prime[row]];
    static double coeff[N];
    static int64_t m[N];
    static uint32_t h[N], c0[N], c1[N];
    uint32_t *t;
    OK(ckks_fft_coeffs(E.cx, coeff, re, im));
    for (int i = 0; i < N; i++) m[i] = llround(coeff[i] * ckks_level_scale(E.p, ct->level, 0));
    OK(k->alloc(k, &t, 1));
    struct kvec w = {0};
    w.p = t;
    k->lift(k, w, m, N, &one, 1);
    k->ntt_fwd(k, w, &one, 1, 10);
    k->download(k, h, t, N);
    k->download(k, c0, ct->c + (size_t)row * N, N);
    k->download(k, c1, ct->c + (size_t)(ct->rows + row) * N, N);
    OK(k->sync(k));
    // a zero of c1 (once in 262144 ciphertexts) costs the attacker this one
    for (int i = 0; i < N; i++)
        h[i] =
            c1[i] ? (uint32_t)((uint64_t)((h[i] + q - c0[i]) % q) * kern_inv_mod(c1[i], q) % q) : 0;
    k->upload(k, t, h, N);
    k->ntt_inv(k, w, &one, 1, 10);
    k->download(k, h, t, N);
    OK(k->sync(k));
    k->release(k, t);
    int small = 1;
    for (int i = 0; i < N; i++) {
        small &= h[i] <= 1 || h[i] == q - 1;
        s[i] = (int8_t)(h[i] == q - 1 ? -1 : h[i] == 1);
    }
    return small;
}

static int finds_key(const struct ckks_ct *ct, const double *re, const double *im) {
    static int8_t s[N];
    return attack(s, ct, re, im) && memcmp(s, E.sk->s, N) == 0;
}

/* A classifier of two labels on slots 0 and 1, and what is published of it. */
static int label(const double *re) {
    return re[1] > re[0];
}

static double score(const double *re) {
    return nearbyint(100 / (1 + exp(-8 * fabs(re[1] - re[0])))) / 100;
}

static void the_attack(void **state) {
    (void)state;
    int raw = 0, rounded = 0, own = 0, differs = 0, published = 0;
    for (int t = 0; t < TRIALS; t++) {
        static double x[SLOTS], re[SLOTS], im[SLOTS], want[SLOTS], none[SLOTS];
        struct ckks_ct ct = {0};
        engine_message(x, SLOTS, 1, (uint64_t)t);
        OK(ckks_encrypt_secret(&ct, E.cx, x, NULL, SLOTS, LEVEL, E.sk, &E.rng));
        OK(ckks_mul(&ct, &ct, &ct));
        for (int i = 0; i < SLOTS; i++) want[i] = x[i] * x[i]; // the attacker's own computation
        OK(ckks_decrypt(re, im, &ct, E.sk));
        raw += finds_key(&ct, re, im);
        own += finds_key(&ct, want, none);
        OK(ckks_decrypt_rounded(re, im, &ct, E.sk, BITS));
        rounded += finds_key(&ct, re, im);
        for (int i = 0; i < SLOTS; i++) {
            want[i] = nearbyint(ldexp(want[i], BITS)) / (1 << BITS);
            differs += (re[i] != want[i]) + (im[i] != 0);
        }
        published += label(re) != label(want) || score(re) != score(want);
        ckks_ct_free(&ct);
    }
    print_message("of %d decryptions the key came out of: %d raw, %d rounded, %d not shown at all; "
                  "%d of %d rounded slots and %d of %d labels and scores depended on it\n",
                  TRIALS, raw, rounded, own, differs, TRIALS * N, published, TRIALS);
    assert_int_equal(raw, TRIALS); // the attack is alive
    assert_int_equal(own, 0);      // and needs the noise
    assert_int_equal(rounded, 0);
    assert_int_equal(published, 0);
    /* A slot shows its noise when a border of rounding lies within it: noise 2^-32 at most, steps
     * of 2^-12, so 2^-19 of the slots; for 102,400 of them, 0.2 expected, more than 6 with
     * probability below 1e-8. */
    assert_true(differs <= 6);
}

/* Averages of many decryptions of one ciphertext are no better: what is shown is always the
 * same. */
static void repeated(void **state) {
    (void)state;
    static double x[SLOTS], a[SLOTS], b[SLOTS];
    struct ckks_ct ct = {0};
    engine_message(x, SLOTS, 1, 1);
    OK(ckks_encrypt_secret(&ct, E.cx, x, NULL, SLOTS, LEVEL, E.sk, &E.rng));
    OK(ckks_decrypt_rounded(a, NULL, &ct, E.sk, BITS));
    for (int i = 0; i < 20; i++) {
        OK(ckks_decrypt_rounded(b, NULL, &ct, E.sk, BITS));
        assert_memory_equal(a, b, sizeof a);
    }
    ckks_ct_free(&ct);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_attack), cmocka_unit_test(repeated)};
    return cmocka_run_group_tests_name("leakage", tests, setup, teardown);
}
