/* Parameter sets from literals: primes, scales and digits as ckks/literal.c says, the gate, names
 * that make the same set again, and the operations on chains of one prime and of two a level. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "tests/engine.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

static double log_product(const struct ckks_params *p, int from, int to) {
    double s = 0;
    for (int i = from; i < to; i++) s += log2(p->prime[i]);
    return s;
}

/* Distinct primes = 1 mod 2N below 2^28, levels near their bits, every digit below P. */
static void check_chain(const struct ckks_params *p, const struct ckks_literal *l) {
    for (int i = 0; i < p->primes; i++) {
        uint32_t q = p->prime[i];
        assert_true(q < 1u << 28 && q >= 1u << 19 && q % (2u << p->log_n) == 1);
        for (uint32_t d = 3; d * d <= q; d += 2) assert_true(q % d);
        for (int j = 0; j < i; j++) assert_true(p->prime[j] != q);
    }
    assert_true(fabs(log_product(p, 0, p->last[0] + 1) - l->base_bits) <= 3);
    for (int level = 1; level <= l->levels; level++) {
        double bits = log_product(p, p->last[level - 1] + 1, p->last[level] + 1);
        assert_true(fabs(bits - l->level_bits) <= 3);
        double s = p->scale[level] * p->scale[level] / exp2(bits);
        assert_true(fabs(s / p->scale[level - 1] - 1) < 1e-9);
    }
    double P = log_product(p, p->special0, p->primes);
    for (int j = 0, from = 0; j < CKKS_DIGITS; from = p->digit_end[j++])
        assert_true(log_product(p, from, p->digit_end[j]) < P && p->digit_end[j] - from <= 16);
    assert_int_equal(p->digit_end[CKKS_DIGITS - 1], p->special0);
    assert_int_equal(p->last[p->max_level], p->special0 - 1);
    assert_true(fabs(p->log_qp - log_product(p, 0, p->primes)) < 1e-9);
}

static void sets_are_as_asked(void **state) {
    (void)state;
    static const struct ckks_literal good[] = {
        {13, 56, 1, 42, 0, 0},  {14, 60, 6, 42, 0, 0},  {14, 50, 10, 24, 60, 0},
        {15, 56, 8, 50, 0, 0},  {16, 60, 20, 50, 0, 0}, {10, 28, 3, 24, 0, 1},
        {12, 40, 0, 26, 28, 0}, {17, 56, 10, 52, 0, 0}, {11, 84, 14, 56, 0, 1}};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        const struct ckks_params *p, *again;
        OK(ckks_params_make(&p, &good[i]));
        check_chain(p, &good[i]);
        assert_int_equal(p->security_bits, good[i].insecure ? 0 : 128);
        OK(ckks_params_get(&again, p->name, 1));
        assert_ptr_equal(p, again);
        assert_int_equal(ckks_params_get(&again, p->name, 0),
                         good[i].insecure ? THOR_KEY : THOR_OK);
        assert_int_equal(ckks_params_bootstraps(p), 0);
    }
}

static void the_gate_is_always_there(void **state) {
    (void)state;
    static const struct ckks_literal weak[] = {
        {13, 60, 4, 42, 0, 0}, {14, 56, 6, 50, 0, 0}, {12, 56, 1, 40, 0, 0}, {10, 28, 0, 24, 0, 0}};
    for (size_t i = 0; i < sizeof weak / sizeof *weak; i++) {
        const struct ckks_params *p = NULL;
        struct ckks_literal toy = weak[i];
        char name[16];
        assert_int_equal(ckks_params_make(&p, &weak[i]), THOR_KEY);
        assert_non_null(strstr(thor_error(), "128 bits"));
        assert_null(p);
        toy.insecure = 1;
        OK(ckks_params_make(&p, &toy));
        memcpy(name, p->name, sizeof name);
        name[0] = 'n'; // an insecure set that calls itself secure
        assert_int_equal(ckks_params_get(&p, name, 1), THOR_KEY);
    }
}

static void nonsense_is_refused(void **state) {
    (void)state;
    static const struct ckks_literal bad[] = {
        {9, 60, 2, 42, 0, 1},    {18, 60, 2, 42, 0, 0},   {14, 30, 2, 24, 0, 0},
        {14, 60, 2, 60, 0, 0},   {14, 60, 2, 30, 0, 0},   {14, 42, 2, 42, 0, 0},
        {14, 60, -1, 42, 0, 0},  {14, 60, 64, 24, 0, 0},  {14, 60, 2, 42, -1, 0},
        {14, 60, 2, 42, 999, 0}, {13, 84, 40, 42, 28, 1}, {17, 56, 10, 40, 0, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct ckks_params *p = NULL;
        assert_int_equal(ckks_params_make(&p, &bad[i]), THOR_USAGE);
        assert_null(p);
    }
    static const char *names[] = {
        "n14q60x6b42",   "n14q60x6b42p",   "n14q60x6b42p0",  "n14q60x06b42p3",
        "x14q60x6b42p3", "n14q60x6b42p3 ", "n14q60x-1b42p3", "n"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const struct ckks_params *p;
        assert_int_equal(ckks_params_get(&p, names[i], 1), THOR_USAGE);
    }
}

enum { SLOTS = 512 };
struct sums {
    struct ckks_ct a, b, sum, product, turned, conj, poly;
    int levels;
};

/* a + b of unlike levels, a b, a rotated, conj b, T_3(a b) */
static int circuit(struct ckks *cx, void *arg) {
    struct sums *s = arg;
    int st = THOR_OK;
    const double t3[4] = {0, 0, 0, 1};
    if (cx->k->kind == KERN_DRY) {
        TRY(ckks_zero(&s->a, cx, s->levels));
        TRY(ckks_zero(&s->b, cx, s->levels - 2));
    }
    TRY(ckks_add(&s->sum, &s->a, &s->b));
    TRY(ckks_mul(&s->product, &s->a, &s->b));
    TRY(ckks_rotate(&s->turned, &s->a, -3));
    TRY(ckks_conj(&s->conj, &s->b));
    TRY(ckks_cheb(&s->poly, &s->a, t3, 3));
out:
    if (cx->k->kind == KERN_DRY) {
        ckks_ct_free(&s->a);
        ckks_ct_free(&s->b);
        for (struct ckks_ct *c = &s->sum; c <= &s->poly; c++) ckks_ct_free(c);
    }
    return st;
}

static void decrypts_to(const struct engine *e, const struct ckks_ct *c, const double *want,
                        double bits) {
    double got[SLOTS];
    OK(ckks_decrypt(got, NULL, c, e->sk));
    double worst = bits_worst(got, want, SLOTS);
    if (worst > bits) print_error("%s: 2^%.1f, bound 2^%.1f\n", e->p->name, worst, bits);
    assert_true(worst <= bits);
}

/* Bound: an error of rescaling and switching is about 2^10 units of the scale at N = 2^10. */
static void operations_agree(void **state) {
    (void)state;
    static const struct ckks_literal toy[] = {{10, 60, 5, 42, 0, 1},  {10, 48, 6, 27, 0, 1},
                                              {10, 56, 4, 50, 84, 1}, {10, 60, 20, 40, 0, 1},
                                              {10, 28, 3, 24, 28, 1}, {10, 84, 8, 52, 196, 1}};
    for (size_t i = 0; i < sizeof toy / sizeof *toy; i++) {
        struct engine e;
        struct sums s = {.levels = toy[i].levels};
        const struct ckks_params *p;
        double a[SLOTS], b[SLOTS], z[SLOTS], bound = 14 - toy[i].level_bits;
        OK(ckks_params_make(&p, &toy[i]));
        engine_open(&e, p->name, circuit, &s);
        engine_message(a, SLOTS, 0.9, 1);
        engine_message(b, SLOTS, 0.9, 2);
        OK(ckks_encrypt_secret(&s.a, e.cx, a, NULL, SLOTS, s.levels, e.sk, &e.rng));
        OK(ckks_encrypt_secret(&s.b, e.cx, b, NULL, SLOTS, s.levels - 2, e.sk, &e.rng));
        OK(circuit(e.cx, &s));
        for (int k = 0; k < SLOTS; k++) z[k] = a[k] + b[k];
        decrypts_to(&e, &s.sum, z, bound);
        for (int k = 0; k < SLOTS; k++) z[k] = a[k] * b[k];
        decrypts_to(&e, &s.product, z, bound);
        for (int k = 0; k < SLOTS; k++) z[k] = a[(k + SLOTS - 3) % SLOTS];
        decrypts_to(&e, &s.turned, z, bound);
        decrypts_to(&e, &s.conj, b, bound);
        for (int k = 0; k < SLOTS; k++) z[k] = 4 * a[k] * a[k] * a[k] - 3 * a[k];
        decrypts_to(&e, &s.poly, z, bound);
        for (struct ckks_ct *c = &s.a; c <= &s.poly; c++) ckks_ct_free(c);
        engine_close(&e);
    }
}

/* Files know their set by its name, which is checked as any literal. */
static void files_bring_their_set(void **state) {
    (void)state;
    const struct ckks_literal l = {10, 60, 3, 42, 0, 1};
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *s, *back;
    struct ckks_public *pk, *pback;
    uint8_t seed[CKKS_SEED] = {5};
    OK(ckks_params_make(&p, &l));
    OK(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&s, p, seed));
    OK(ckks_public_new(&pk, cx, s, seed));
    OK(ckks_secret_save(s, scratch_path("own.secret")));
    OK(ckks_public_save(pk, scratch_path("own.public")));
    assert_int_equal(ckks_secret_load(&back, scratch_path("own.secret"), 0), THOR_KEY);
    OK(ckks_secret_load(&back, scratch_path("own.secret"), 1));
    OK(ckks_public_load(&pback, scratch_path("own.public"), 1));
    assert_ptr_equal(back->params, p);
    assert_ptr_equal(pback->params, p);
    assert_memory_equal(back->s, s->s, 1024);
    struct ckks_need sparse = {CKKS_KEY_TO_SPARSE, 0};
    struct ckks_keys *none;
    assert_int_equal(ckks_keys_new(&none, cx, s, &sparse, 1, seed, NULL, NULL), THOR_KEY);
    ckks_public_free(pk);
    ckks_public_free(pback);
    ckks_secret_free(s);
    ckks_secret_free(back);
    ckks_close(cx);
}

/* Galois elements by name are those that a dry run notes. */
static void keys_have_names(void **state) {
    (void)state;
    static const int turns[] = {1, -1, 5, -3, 511, 256};
    const struct ckks_params *p;
    struct ckks *dry;
    struct ckks_ct a = {0}, b = {0};
    OK(ckks_params_get(&p, "toy10", 1));
    OK(ckks_open(&dry, p, KERN_DRY, KERN_TIER_BEST, 0));
    OK(ckks_zero(&a, dry, 3));
    for (int i = 0; i < 6; i++) {
        const struct ckks_need *need;
        OK(ckks_rotate(&b, &a, turns[i]));
        int n = ckks_needs(&need, dry), found = 0;
        for (int j = 0; j < n; j++) found |= need[j].id == ckks_key_rotation(p, turns[i]);
        assert_true(found);
    }
    OK(ckks_conj(&b, &a));
    assert_int_equal(dry->needs[dry->n_needs - 1].id, ckks_key_conjugation(p));
    assert_int_equal(ckks_key_rotation(p, 0), 1);
    assert_int_equal(ckks_key_rotation(p, 512), 1);
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    ckks_close(dry);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_are_as_asked),     cmocka_unit_test(the_gate_is_always_there),
        cmocka_unit_test(nonsense_is_refused),   cmocka_unit_test(operations_agree),
        cmocka_unit_test(files_bring_their_set), cmocka_unit_test(keys_have_names),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
