/* Files of Microsoft SEAL: those that SEAL made (tests/data/seal, by tests/seal/fixtures.sh) are
 * read, used and written again bit for bit; what is written here, 100 ciphertexts a level, is
 * decrypted by SEAL's definition (tests/sealoracle.c); damage is refused.  `make check-seal` does
 * it with SEAL itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "ckks/internal.h"
#include "tests/dose.h"
#include "tests/scratch.h"
#include "tests/seal/values.h"
#include "tests/sealoracle.h"

#define OK(x) assert_int_equal((x), THOR_OK)
#define SET "t10q28x2b25p1"
enum { N = 1024, SLOTS = N / 2, LEVELS = 3, PRIMES = 4 };

static struct {
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *sk;
    struct ckks_public *pk;
    struct ckks_rng rng;
    uint8_t *secret; /* the file */
    double z[2][SLOTS], want[2][SLOTS];
} t;

static const char *fixture_path(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "tests/data/seal/%s", name);
    return path;
}

/* A file that SEAL made; zeros behind it. */
static uint8_t *fixture(const char *name, size_t *bytes) {
    FILE *f = fopen(fixture_path(name), "rb");
    assert_non_null(f);
    uint8_t *d = calloc(1, 1 << 17);
    *bytes = fread(d, 1, 1 << 17, f);
    fclose(f);
    return d;
}

static int open_all(void **state) {
    uint8_t seed[CKKS_SEED] = {5};
    size_t bytes;
    if (scratch_open(state)) return -1;
    OK(ckks_params_get(&t.p, SET, 1));
    OK(ckks_open(&t.cx, t.p, KERN_CPU, KERN_TIER_BEST, 0));
    t.secret = fixture("secret", &bytes);
    scratch_empty();
    scratch_write("secret", t.secret, bytes, 0600);
    OK(ckks_seal_secret_load(&t.sk, t.cx, scratch_path("secret")));
    OK(ckks_seal_public_load(&t.pk, t.cx, t.sk->id, fixture_path("public")));
    ckks_rng_init(&t.rng, seed, 1);
    return 0;
}

static int close_all(void **state) {
    ckks_public_free(t.pk);
    ckks_secret_free(t.sk);
    ckks_close(t.cx);
    free(t.secret);
    return scratch_close(state);
}

static uint64_t prime(int i) {
    size_t bytes;
    uint8_t *d = fixture("parms", &bytes);
    const uint64_t q = sealoracle_word(d + SEAL_AT_PRIME + 24 * i);
    free(d);
    return q;
}

/* want = the numbers of a case in SEAL's order, z the same in ours */
static void numbers(int level, int number) {
    for (int s = 0; s < SLOTS; s++)
        for (int im = 0; im < 2; im++) t.want[im][s] = seal_value(level, number, s, im);
    memcpy(t.z, t.want, sizeof t.z);
    OK(ckks_seal_slots(t.z[0], t.z[1], t.p, 0));
}

static void assert_near(double bound) { // z in SEAL's order
    assert_true(bound < 0.05);
    for (int s = 0; s < SLOTS; s++)
        for (int im = 0; im < 2; im++)
            if (!(fabs(t.z[im][s] - t.want[im][s]) < bound))
                fail_msg("slot %d is %g, not %g", s, t.z[im][s], t.want[im][s]);
}

static double fresh(int level) {
    return seal_bound_fresh(N, t.p->scale[level]);
}

/* Equal but for the minor versions, which SEAL 4.4 and this program write. */
static void assert_same_file(const char *theirs, const char *ours) {
    size_t na, nb;
    uint8_t *a = fixture(theirs, &na), *b = scratch_read(ours, &nb);
    assert_int_equal(na, nb);
    for (size_t i = 0; i + 5 < na; i++)
        if (memcmp(a + i, "\x5E\xA1\x10\x04", 4) == 0 && memcmp(b + i, "\x5E\xA1\x10\x04", 4) == 0)
            a[i + 4] = b[i + 4];
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
}

/* ---- what SEAL made ---- */

static void parameters_are_the_same(void **state) {
    (void)state;
    OK(ckks_seal_params_save(t.p, scratch_path("parms")));
    assert_same_file("parms", "parms");
}

static void secret_key_is_the_same(void **state) {
    (void)state;
    struct stat s;
    struct ckks_secret *again;
    OK(ckks_seal_secret_save(t.sk, t.cx, scratch_path("again")));
    assert_same_file("secret", "again");
    assert_int_equal(stat(scratch_path("again"), &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    OK(ckks_seal_secret_load(&again, t.cx, scratch_path("again")));
    assert_memory_equal(again->s, t.sk->s, N);
    assert_memory_equal(again->id, t.sk->id, 16);
    ckks_secret_free(again);
}

static void check_cipher(const char *name, int level) {
    struct ckks_ct a = {0};
    OK(ckks_seal_ct_load(&a, t.cx, fixture_path(name)));
    assert_int_equal(a.level, level);
    OK(ckks_seal_ct_save(&a, scratch_path("again")));
    assert_same_file(name, "again");
    OK(ckks_decrypt(t.z[0], t.z[1], &a, t.sk));
    OK(ckks_seal_slots(t.z[0], t.z[1], t.p, 1));
    ckks_ct_free(&a);
}

/* 512 slots each; under the public key but s1_1. */
static void ciphertexts_of_every_level(void **state) {
    (void)state;
    static const char *const name[LEVELS] = {"s0_0", "s1_1", "s2_0"};
    scratch_empty();
    for (int level = 0; level < LEVELS; level++) {
        numbers(level, level == 1);
        check_cipher(name[level], level);
        assert_near(fresh(level));
    }
}

/* Of cases 0 and 1 of level 2, relinearised and rescaled by SEAL. */
static void product_of_seal(void **state) {
    (void)state;
    check_cipher("t2_0", 1);
    for (int s = 0; s < SLOTS; s++) {
        const double a = seal_value(2, 0, s, 0), b = seal_value(2, 0, s, 1),
                     c = seal_value(2, 1, s, 0), d = seal_value(2, 1, s, 1);
        t.want[0][s] = a * c - b * d;
        t.want[1][s] = a * d + b * c;
    }
    assert_near(seal_bound_product(N, t.p->scale[1]));
}

static void plaintexts(void **state) {
    (void)state;
    int level = -1;
    numbers(1, 0);
    OK(ckks_seal_plain_save(t.cx, t.z[0], t.z[1], SLOTS, 1, scratch_path("plain")));
    for (int ours = 0; ours < 2; ours++) {
        OK(ckks_seal_plain_load(t.z[0], t.z[1], &level, t.cx,
                                ours ? scratch_path("plain") : fixture_path("p1_0")));
        assert_int_equal(level, 1);
        OK(ckks_seal_slots(t.z[0], t.z[1], t.p, 1));
        assert_near(N / t.p->scale[1]); // rounding alone
    }
    const double ramp[4] = {1, 2, 3, 4};
    OK(ckks_seal_plain_save(t.cx, ramp, NULL, 4, 0, scratch_path("plain")));
    OK(ckks_seal_plain_load(t.z[0], NULL, &level, t.cx, scratch_path("plain")));
    for (int s = 0; s < SLOTS; s++) assert_true(fabs(t.z[0][s] - ramp[s % 4]) < 1e-4);
}

/* ---- what is made here, as SEAL sees it ---- */

static void assert_seal_sees(const struct ckks_ct *a, double bound) {
    size_t bytes;
    OK(ckks_seal_ct_save(a, scratch_path("ours")));
    uint8_t *file = scratch_read("ours", &bytes);
    assert_int_equal(bytes, SEAL_AT_CIPHER + 16 * N * ckks_ct_limbs(a));
    sealoracle_slots(t.z[0], t.z[1], file, t.secret, prime(0), N);
    assert_near(bound);
    free(file);
}

/* 100 a level, in turns under SEAL's public key and under its secret key. */
static void seal_decrypts_ours(void **state) {
    (void)state;
    const int cases = dose_small() ? SEAL_CASES / 10 : SEAL_CASES;
    struct ckks_ct a = {0};
    for (int level = 0; level < LEVELS; level++)
        for (int i = 0; i < cases; i++) {
            numbers(level, i);
            OK(i % 2 ? ckks_encrypt_secret(&a, t.cx, t.z[0], t.z[1], SLOTS, level, t.sk, &t.rng)
                     : ckks_encrypt_public(&a, t.cx, t.z[0], t.z[1], SLOTS, level, t.pk, &t.rng));
            assert_seal_sees(&a, fresh(level));
        }
    ckks_ct_free(&a);
}

static void open_keys(struct ckks_keys **keys) {
    struct ckks_need need[8] = {{CKKS_KEY_RELIN, 2}, {ckks_key_conjugation(t.p), 2}};
    uint8_t seed[CKKS_SEED] = {6};
    int by, conjugate;
    for (int i = 0; i < 6; i++) {
        ckks_seal_rotation(&by, &conjugate, t.p, seal_step(i));
        need[2 + i] = (struct ckks_need){ckks_key_rotation(t.p, by), 2};
    }
    OK(ckks_keys_new(keys, t.cx, t.sk, need, 8, seed, NULL, NULL));
    ckks_use_keys(t.cx, *keys);
}

/* SEAL's ciphertexts under keys made here of its secret: rotations of every kind of step, and a
 * product. */
static void seal_decrypts_results(void **state) {
    (void)state;
    struct ckks_ct a = {0}, b = {0};
    struct ckks_keys *keys;
    int by, conjugate;
    open_keys(&keys);
    OK(ckks_seal_ct_load(&a, t.cx, fixture_path("s2_0")));
    for (int i = 0; i < 6; i++) {
        ckks_seal_rotation(&by, &conjugate, t.p, seal_step(i));
        assert_int_equal(conjugate, seal_step(i) % 2 != 0);
        OK(ckks_rotate(&b, &a, by));
        if (conjugate) OK(ckks_conj(&b, &b));
        for (int s = 0; s < SLOTS; s++)
            for (int im = 0; im < 2; im++)
                t.want[im][s] = seal_value(2, 0, (s + seal_step(i) + SLOTS) % SLOTS, im);
        assert_seal_sees(&b, seal_bound_rotated(N, t.p->scale[2]));
    }
    OK(ckks_mul(&b, &a, &a));
    for (int s = 0; s < SLOTS; s++) {
        const double x = seal_value(2, 0, s, 0), y = seal_value(2, 0, s, 1);
        t.want[0][s] = x * x - y * y;
        t.want[1][s] = 2 * x * y;
    }
    assert_seal_sees(&b, seal_bound_product(N, t.p->scale[1]));
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    ckks_use_keys(t.cx, NULL);
    ckks_keys_free(keys);
}

/* b + a s is a small error, over all primes with the special one; the key encrypts here too. */
static void public_key_of_ours(void **state) {
    (void)state;
    size_t bytes;
    double e[N], first[N];
    struct ckks_public *p;
    struct ckks_ct a = {0};
    OK(ckks_seal_public_save(t.cx, t.sk, &t.rng, scratch_path("public")));
    uint8_t *d = scratch_read("public", &bytes);
    assert_int_equal(bytes, SEAL_AT_CIPHER + 16 * N * PRIMES);
    for (int r = 0; r < PRIMES; r++) {
        const uint8_t *b = d + SEAL_AT_CIPHER + 8 * N * r;
        sealoracle_phase(e, b, b + 8 * N * PRIMES, t.secret + SEAL_AT_PLAIN + 8 * N * r, prime(r),
                         N);
        if (r == 0) memcpy(first, e, sizeof e);
        assert_memory_equal(e, first, sizeof e);
    }
    double sum = 0;
    for (int i = 0; i < N; i++) sum += e[i] * e[i] / N;
    assert_true(sum > 8 && sum < 13); // 10.5
    OK(ckks_seal_public_load(&p, t.cx, t.sk->id, scratch_path("public")));
    numbers(2, 7);
    OK(ckks_encrypt_public(&a, t.cx, t.z[0], t.z[1], SLOTS, 2, p, &t.rng));
    assert_seal_sees(&a, fresh(2));
    assert_int_equal(ckks_public_save(p, scratch_path("other")), THOR_KEY);
    ckks_public_free(p);
    ckks_ct_free(&a);
    free(d);
}

/* ---- slots ---- */

static void steps_of_every_size(void **state) {
    (void)state;
    uint32_t three = 1, by_five;
    int by, conjugate;
    for (int step = 0; step < SLOTS; step++, three = 3 * three % (2 * N)) {
        ckks_seal_rotation(&by, &conjugate, t.p, step);
        by_five = ckks_key_rotation(t.p, by);
        assert_int_equal(conjugate ? 2 * N - by_five : by_five, three);
        ckks_seal_rotation(&by, &conjugate, t.p, step - SLOTS);
        assert_int_equal(ckks_key_rotation(t.p, by), by_five);
    }
    for (int s = 0; s < SLOTS; s++) t.z[0][s] = t.want[0][s] = s;
    OK(ckks_seal_slots(t.z[0], NULL, t.p, 0));
    assert_memory_not_equal(t.z[0], t.want[0], sizeof t.z[0]);
    OK(ckks_seal_slots(t.z[0], NULL, t.p, 1));
    assert_memory_equal(t.z[0], t.want[0], sizeof t.z[0]);
}

/* ---- refusals ---- */

enum kind { CIPHER, PLAIN, SECRET, PUBLIC };

static int load(enum kind kind, struct ckks *cx, const char *path) {
    struct ckks_ct a = {0};
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    int level = -1, st = kind == CIPHER   ? ckks_seal_ct_load(&a, cx, path)
                         : kind == PLAIN  ? ckks_seal_plain_load(t.z[0], NULL, &level, cx, path)
                         : kind == SECRET ? ckks_seal_secret_load(&s, cx, path)
                                          : ckks_seal_public_load(&p, cx, t.sk->id, path);
    assert_int_equal(a.c || s || p || level >= 0, st == THOR_OK);
    ckks_ct_free(&a);
    ckks_secret_free(s);
    ckks_public_free(p);
    return st;
}

static void assert_refused(enum kind kind, const uint8_t *d, size_t bytes, const char *word) {
    scratch_write("damaged", d, bytes, 0600);
    if (load(kind, t.cx, scratch_path("damaged")) != THOR_KEY) fail_msg("not refused: %s", word);
    if (!strstr(thor_error(), word) || !strstr(thor_error(), "damaged: ") ||
        strchr(thor_error(), '\n'))
        fail_msg("\"%s\" without \"%s\"", thor_error(), word);
}

static const struct {
    const char *name;
    size_t words_at;
} files[] = {[CIPHER] = {"s1_1", SEAL_AT_CIPHER},
             [PLAIN] = {"p1_0", SEAL_AT_PLAIN},
             [SECRET] = {"secret", SEAL_AT_PLAIN},
             [PUBLIC] = {"public", SEAL_AT_CIPHER}};

static void shorter_and_longer(void **state) {
    (void)state;
    for (int kind = CIPHER; kind <= PUBLIC; kind++) {
        size_t bytes;
        uint8_t *d = fixture(files[kind].name, &bytes);
        for (size_t n = 0; n < bytes; n += n < 200 || n + 20 > bytes ? 1 : 997)
            assert_refused((enum kind)kind, d, n, "copy it again");
        assert_refused((enum kind)kind, d, bytes + 8, "copy it again");
        for (size_t n = 200; n < bytes; n += 4001) { // the header knows of it
            const uint64_t size = n;
            memcpy(d + 8, &size, 8);
            assert_refused((enum kind)kind, d, n, "copy it again");
        }
        free(d);
    }
}

/* Every byte in front of the words but minor versions; of a scale, all but the lowest bits. */
static void every_byte_of_the_heads(void **state) {
    (void)state;
    for (int kind = CIPHER; kind <= PUBLIC; kind++) {
        size_t bytes, front = files[kind].words_at;
        uint8_t *d = fixture(files[kind].name, &bytes);
        const size_t scale = kind == CIPHER || kind == PUBLIC ? SEAL_AT_SCALE : 56;
        for (size_t at = 0; at < front; at++) {
            if (at == 4 || at == front - 24 + 4) continue;
            if (at >= scale && at < scale + (kind == PLAIN ? 8 : kind == CIPHER ? 2 : 0)) continue;
            for (int bit = 0; bit < 8; bit++) {
                d[at] ^= (uint8_t)(1 << bit);
                assert_refused((enum kind)kind, d, bytes, ": ");
                d[at] ^= (uint8_t)(1 << bit);
            }
        }
        free(d);
    }
}

static void numbers_that_are_no_residues(void **state) {
    (void)state;
    for (int kind = CIPHER; kind <= PUBLIC; kind++) {
        size_t bytes;
        uint8_t *d = fixture(files[kind].name, &bytes);
        const int rows = (int)((bytes - files[kind].words_at) / 8 / N),
                  primes = kind == CIPHER || kind == PUBLIC ? rows / 2 : rows;
        for (int r = 0; r < rows; r++) {
            const uint64_t bad[] = {prime(r % primes), (uint64_t)1 << 32, UINT64_MAX};
            uint8_t *at = d + files[kind].words_at + 8 * (size_t)(N * r + 37 * r + 5), was[8];
            memcpy(was, at, 8);
            for (int i = 0; i < 3; i++) {
                memcpy(at, &bad[i], 8);
                assert_refused((enum kind)kind, d, bytes, "no residue");
            }
            memcpy(at, was, 8);
        }
        free(d);
    }
}

static void set_byte(const char *name, size_t at, uint8_t value, const char *word) {
    size_t bytes;
    uint8_t *d = fixture(name, &bytes);
    d[at] = value;
    assert_refused(CIPHER, d, bytes, word);
    free(d);
}

static void what_has_a_mend(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *d = fixture("seeded", &bytes);
    assert_refused(CIPHER, d, bytes, "seed");
    free(d);
    set_byte("s1_1", 5, 1, "compressed (zlib)");
    set_byte("s1_1", 5, 2, "compressed (zstd)");
    set_byte("s1_1", 5, 9, "compressed (unknown)");
    set_byte("s1_1", 3, 3, "SEAL 3.");
    set_byte("s1_1", 0, 0, "no file of Microsoft SEAL");
    set_byte("s1_1", 20, 0, "other parameters");
    set_byte("s1_1", 48, 0, "NTT form");
    set_byte("s1_1", 49, 3, "relinearise");
    set_byte("s1_1", 58, 16, "degree 4096");
    set_byte("s1_1", 65, 9, "9 primes");
    set_byte("s1_1", 81, 2, "correction factor");
    set_byte("s1_1", SEAL_AT_SCALE + 6, 0, "encode at that scale");
    d = fixture("secret", &bytes);
    d[SEAL_AT_PLAIN + 8 * N] ^= 1;
    assert_refused(SECRET, d, bytes, "ternary");
    free(d);
    scratch_write("open", t.secret, 8, 0644);
    assert_int_equal(load(SECRET, t.cx, scratch_path("open")), THOR_KEY);
    assert_non_null(strstr(thor_error(), "chmod 600"));
    assert_int_equal(load(CIPHER, t.cx, scratch_path("nowhere")), THOR_IO);
}

static void other_sets(void **state) {
    (void)state;
    static const char *const others[] = {"t10q28x1b25p1", "t10q28x2b24p1", "t11q28x2b25p1"};
    struct ckks *cx;
    const struct ckks_params *p;
    scratch_write("mine", t.secret, SEAL_AT_PLAIN + 8 * N * PRIMES, 0600);
    for (int i = 0; i < 3; i++) {
        OK(ckks_params_get(&p, others[i], 1));
        OK(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 0));
        assert_int_equal(load(SECRET, cx, scratch_path("mine")), THOR_KEY);
        assert_int_equal(load(PUBLIC, cx, fixture_path("public")), THOR_KEY);
        assert_int_equal(load(CIPHER, cx, fixture_path("s2_0")), THOR_KEY);
        if (i) assert_int_equal(load(PLAIN, cx, fixture_path("p1_0")), THOR_KEY);
        ckks_close(cx);
    }
    OK(ckks_params_get(&p, "toy10", 1));
    assert_int_equal(ckks_seal_params_save(p, scratch_path("none")), THOR_USAGE);
    OK(ckks_params_get(&p, "n12", 0));
    OK(ckks_seal_params_save(p, scratch_path("n12")));
}

static void secrets_stay(void **state) {
    (void)state;
    size_t bytes;
    struct ckks_ct a = {0};
    scratch_write("kept", t.secret, SEAL_AT_PLAIN + 8 * N * PRIMES, 0600);
    OK(ckks_seal_ct_load(&a, t.cx, fixture_path("s0_0")));
    assert_int_equal(ckks_seal_ct_save(&a, scratch_path("kept")), THOR_IO);
    assert_int_equal(ckks_seal_secret_save(t.sk, t.cx, scratch_path("kept")), THOR_IO);
    assert_non_null(strstr(thor_error(), "secret key"));
    uint8_t *d = scratch_read("kept", &bytes);
    assert_memory_equal(d, t.secret, bytes);
    free(d);
    OK(ckks_seal_ct_save(&a, scratch_path("cipher")));
    OK(ckks_seal_ct_save(&a, scratch_path("cipher")));
    a.pending = 1;
    assert_int_equal(ckks_seal_ct_save(&a, scratch_path("cipher")), THOR_INTERNAL);
    ckks_ct_free(&a);
    assert_int_equal(ckks_seal_ct_save(&a, scratch_path("cipher")), THOR_INTERNAL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_the_same),
        cmocka_unit_test(secret_key_is_the_same),
        cmocka_unit_test(ciphertexts_of_every_level),
        cmocka_unit_test(product_of_seal),
        cmocka_unit_test(plaintexts),
        cmocka_unit_test(seal_decrypts_ours),
        cmocka_unit_test(seal_decrypts_results),
        cmocka_unit_test(public_key_of_ours),
        cmocka_unit_test(steps_of_every_size),
        cmocka_unit_test(shorter_and_longer),
        cmocka_unit_test(every_byte_of_the_heads),
        cmocka_unit_test(numbers_that_are_no_residues),
        cmocka_unit_test(what_has_a_mend),
        cmocka_unit_test(other_sets),
        cmocka_unit_test(secrets_stay),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
