/* Files that are whole but not meant, or forged: with right checksums, so that each check behind
 * the checksums is reached by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/keyfiles.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

/* ---- files that are not meant ---- */

static void wrong_kinds(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int as = 0; as < 4; as++) {
            size_t bytes;
            if (as == kind) continue;
            uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
            assert_refused((enum ckks_file_kind)as, f, bytes, "holds ");
            assert_non_null(strstr(thor_error(), ckks_file_kind_name((enum ckks_file_kind)kind)));
            free(f);
        }
    assert_refused(CKKS_FILE_SECRET, (const uint8_t *)"", 0, "too short");
    uint8_t text[400];
    memset(text, 'x', sizeof text);
    for (int kind = 0; kind < 4; kind++)
        assert_refused((enum ckks_file_kind)kind, text, sizeof text, "no key or cipher");
}

static void other_versions(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        int keys = kind == CKKS_FILE_KEYS; // the only ones that are at their third version
        assert_forged((enum ckks_file_kind)kind, AT_VERSION, 4, "version 4");
        assert_forged((enum ckks_file_kind)kind, AT_VERSION, keys ? 1 : 3, "version");
        assert_forged((enum ckks_file_kind)kind, AT_VERSION, 2, keys ? "version 2" : "version");
        assert_forged((enum ckks_file_kind)kind, AT_VERSION, 0, "version 0");
    }
}

static void other_parameter_set(void **state) {
    (void)state;
    struct ckks *other;
    const struct ckks_params *p;
    struct ckks_keys *k = NULL;
    struct ckks_ct *ct = NULL;
    uint8_t id[16];
    int n;
    OK(ckks_params_get(&p, "toy11", 1));
    OK(ckks_open(&other, p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(keyfiles_renew(CKKS_FILE_KEYS, "keys"));
    OK(keyfiles_renew(CKKS_FILE_CIPHER, "cts"));
    assert_int_equal(ckks_keys_load(&k, other, scratch_path("keys")), THOR_KEY);
    assert_non_null(
        strstr(thor_error(),
               "keys: made for parameters toy10, this run uses toy11: run thor keygen again"));
    assert_int_equal(ckks_ct_load(&ct, &n, id, NULL, other, scratch_path("cts")), THOR_KEY);
    assert_non_null(
        strstr(thor_error(), "made for parameters toy10, this run uses toy11: encrypt again"));
    assert_null(k);
    assert_null(ct);
    ckks_close(other);
}

static void toys_need_leave(void **state) {
    (void)state;
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    OK(keyfiles_renew(CKKS_FILE_SECRET, "s"));
    OK(keyfiles_renew(CKKS_FILE_PUBLIC, "p"));
    assert_int_equal(ckks_secret_load(&s, scratch_path("s"), 0), THOR_KEY);
    assert_non_null(strstr(thor_error(), "insecure"));
    assert_int_equal(ckks_public_load(&p, scratch_path("p"), 0), THOR_KEY);
    assert_non_null(strstr(thor_error(), "insecure"));
    assert_null(s);
    assert_null(p);
}

static void unknown_sets(void **state) {
    (void)state;
    uint32_t toy9, odd;
    memcpy(&toy9, "toy9", 4);
    memcpy(&odd, "\n\x1b[2", 4); /* nothing of a hostile name reaches the terminal */
    assert_forged(CKKS_FILE_SECRET, AT_SET, toy9, "unknown parameter set");
    assert_forged(CKKS_FILE_KEYS, AT_SET, toy9, "made for parameters toy90");
    for (int kind = 0; kind < 4; kind++) {
        assert_forged((enum ckks_file_kind)kind, AT_SET, odd, "the name of its parameters");
        assert_forged((enum ckks_file_kind)kind, AT_SET, 0, "the name of its parameters");
        assert_forged((enum ckks_file_kind)kind, AT_SET + 12, 'x', "the name of its parameters");
        assert_forged((enum ckks_file_kind)kind, AT_LOG_N, 11, "the size of its ring");
    }
}

static void other_key_pair(void **state) {
    (void)state;
    struct ckks_ct *ct = NULL;
    uint8_t id[16] = {1, 2, 3}, back[16];
    int n;
    OK(ckks_ct_save(kf.ct, 1, id, NULL, scratch_path("c")));
    ckks_use_keys(kf.cx, kf.keys);
    int st = ckks_ct_load(&ct, &n, back, NULL, kf.cx, scratch_path("c"));
    ckks_use_keys(kf.cx, NULL);
    assert_int_equal(st, THOR_KEY);
    assert_non_null(strstr(thor_error(), "another key set"));
    assert_null(ct);
    OK(ckks_check_id(id, id, "c"));
    for (int i = 0; i < 16; i++) {
        memcpy(back, id, 16);
        back[i] ^= 1;
        assert_int_equal(ckks_check_id(back, id, "c"), THOR_KEY);
    }
}

static void reachable_secret(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *f = keyfiles_small(CKKS_FILE_SECRET, &bytes);
    scratch_write("forged", f, bytes, 0640);
    assert_int_equal(keyfiles_load(CKKS_FILE_SECRET, "forged"), THOR_KEY);
    assert_non_null(strstr(thor_error(), "chmod 600"));
    scratch_write("forged", f, bytes, 0600);
    OK(keyfiles_load(CKKS_FILE_SECRET, "forged"));
    free(f);
}

/* ---- forged files with right checksums ---- */

static long peak_kib(void) {
    char line[256];
    long kib = -1;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) sscanf(line, "VmPeak: %ld", &kib);
    if (f) fclose(f);
    return kib;
}

/* Headers that promise up to 2^60 bytes take no memory: the address space does not grow by even 8
 * MiB. */
static void huge_claims(void **state) {
    (void)state;
    static const uint32_t counts[] = {4096,       4097,       65536,     1u << 26,
                                      0x7fffffff, 0x80000000, 0xffffffff};
    long before = peak_kib();
    for (int kind = 0; kind < 4; kind++)
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            assert_forged((enum ckks_file_kind)kind, AT_COUNT, counts[i], "damaged");
            assert_forged((enum ckks_file_kind)kind, AT_BYTES + 4, counts[i] >> 4, "too long");
            assert_forged((enum ckks_file_kind)kind, HEAD + E_ROWS, counts[i], "sizes");
            assert_forged((enum ckks_file_kind)kind, HEAD + E_PARTS, counts[i], "sizes");
        }
    assert_true(peak_kib() < before + 8192);
}

/* The same when the file is as long as it says (a sparse file) and says it with a right
 * checksum. */
static void huge_sparse_file(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *f = keyfiles_small(CKKS_FILE_KEYS, &bytes);
    uint64_t claim = 1ull << 40;
    memcpy(f + AT_BYTES, &claim, 8);
    reseal(f, bytes);
    scratch_write("forged", f, bytes, 0600);
    free(f);
    if (truncate(scratch_path("forged"), (off_t)claim) != 0) skip();
    long before = peak_kib();
    assert_int_equal(keyfiles_load(CKKS_FILE_KEYS, "forged"), THOR_KEY);
    assert_non_null(strstr(thor_error(), "its size"));
    assert_true(peak_kib() < before + 8192);
    scratch_empty();
}

static void illegal_counts(void **state) {
    (void)state;
    assert_forged(CKKS_FILE_SECRET, AT_COUNT, 0, "the number of objects");
    assert_forged(CKKS_FILE_SECRET, AT_COUNT, 2, "the number of objects");
    assert_forged(CKKS_FILE_PUBLIC, AT_COUNT, 2, "the number of objects");
    assert_forged(CKKS_FILE_CIPHER, AT_COUNT, 0, "the number of objects");
    assert_forged(CKKS_FILE_CIPHER, AT_COUNT, 2, "damaged");
    assert_forged(CKKS_FILE_KEYS, AT_COUNT, 1, "its size");
    assert_forged(CKKS_FILE_KEYS, AT_ZERO, 1, "header");
}

static void illegal_entries(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        assert_forged((enum ckks_file_kind)kind, HEAD + E_LEVEL, 28, "level");
        assert_forged((enum ckks_file_kind)kind, HEAD + E_LEVEL, 0xffffffff, "level");
        assert_forged((enum ckks_file_kind)kind, HEAD + E_PARTS, 0, "sizes");
        assert_forged((enum ckks_file_kind)kind, HEAD + E_ROWS, 1, "sizes");
        for (size_t i = 0; i < 16; i += 4)
            assert_forged((enum ckks_file_kind)kind, HEAD + E_ZERO + i, 1u << 31, "reserved");
    }
    assert_forged(CKKS_FILE_SECRET, HEAD + E_LEVEL, 1, "level");
    assert_forged(CKKS_FILE_PUBLIC, HEAD + E_LEVEL, 15, "level");
    assert_forged(CKKS_FILE_CIPHER, HEAD + E_LEVEL, 17, "level"); /* inside a bootstrap only */
    assert_forged(CKKS_FILE_CIPHER, HEAD + E_LEVEL, 1, "sizes");
    assert_forged(CKKS_FILE_CIPHER, HEAD + E_ID, 1, "number");
    assert_forged(CKKS_FILE_SECRET, HEAD + E_SEED, 1, "a seed");
}

static void seeds_of_zeros(void **state) {
    (void)state;
    static const enum ckks_file_kind seeded[] = {CKKS_FILE_PUBLIC, CKKS_FILE_KEYS};
    for (int i = 0; i < 2; i++) {
        size_t bytes;
        uint8_t *f = keyfiles_small(seeded[i], &bytes);
        memset(f + HEAD + E_SEED, 0, CKKS_SEED);
        reseal(f, bytes);
        assert_refused(seeded[i], f, bytes, "a seed");
        free(f);
    }
}

/* The small key file holds CKKS_KEY_TO_SPARSE = 2, then the galois element 5. */
static void illegal_keys(void **state) {
    (void)state;
    const size_t second = HEAD + ENTRY;
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 6, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 2 * KF_N, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 2 * KF_N + 1, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 0xffffffff, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 1, "a key twice");
    assert_forged(CKKS_FILE_KEYS, HEAD + E_LEVEL, 1, "only secure at level 0");
    assert_forged(CKKS_FILE_KEYS, HEAD + E_LEVEL, 27, "only secure at level 0");

    size_t bytes;
    uint8_t *f = keyfiles_small(CKKS_FILE_KEYS, &bytes);
    memcpy(f + second, f + HEAD, ENTRY); /* the same key twice */
    reseal(f, bytes);
    assert_refused(CKKS_FILE_KEYS, f, bytes, "a key twice");
    free(f);
}

/* A key one level too high for 128 bits: n15 ends at level 9. */
static void gate_on_load(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *f = keyfiles_small(CKKS_FILE_KEYS, &bytes);
    memset(f + AT_SET, 0, 16);
    memcpy(f + AT_SET, "n15", 3);
    put32(f + AT_LOG_N, 15);
    for (uint32_t level = 10; level <= 27; level++) {
        struct serial_head h;
        put32(f + HEAD + ENTRY + E_LEVEL, level);
        reseal(f, bytes);
        scratch_write("forged", f, bytes, 0600);
        assert_int_equal(ckks_file_describe(&h, scratch_path("forged")), THOR_KEY);
        assert_non_null(strstr(thor_error(), "forged: "));
        assert_non_null(strstr(thor_error(), "level"));
    }
    free(f);
}

static void residues_beyond_their_primes(void **state) {
    (void)state;
    static const enum ckks_file_kind kinds[] = {CKKS_FILE_PUBLIC, CKKS_FILE_KEYS, CKKS_FILE_CIPHER};
    for (int i = 0; i < 3; i++) {
        /* first row of the first part: the first terminal (public key), else the first main */
        uint32_t q = kf.p->prime[kinds[i] == CKKS_FILE_PUBLIC ? 0 : CKKS_TERMINALS];
        size_t table = (kinds[i] == CKKS_FILE_KEYS ? 2 : 1) * ENTRY,
               at = HEAD + table + 8 + 4 * (KF_N - 1), bytes;
        assert_forged(kinds[i], at, q, "a residue beyond its prime");
        assert_forged(kinds[i], at, 0xffffffff, "a residue beyond its prime");
        uint8_t *f = keyfiles_small(kinds[i], &bytes);
        put32(f + at, q - 1); /* the greatest legal one */
        reseal(f, bytes);
        scratch_write("forged", f, bytes, 0600);
        OK(keyfiles_load(kinds[i], "forged"));
        free(f);
    }
}

static void coefficients_that_are_none(void **state) {
    (void)state;
    for (int pair = 0; pair < 16; pair++)
        assert_forged(CKKS_FILE_SECRET, HEAD + ENTRY + 8 + 40, 3u << 2 * pair, "not -1, 0 or 1");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_kinds),
        cmocka_unit_test(other_versions),
        cmocka_unit_test(other_parameter_set),
        cmocka_unit_test(toys_need_leave),
        cmocka_unit_test(unknown_sets),
        cmocka_unit_test(other_key_pair),
        cmocka_unit_test(reachable_secret),
        cmocka_unit_test(huge_claims),
        cmocka_unit_test(huge_sparse_file),
        cmocka_unit_test(illegal_counts),
        cmocka_unit_test(illegal_entries),
        cmocka_unit_test(seeds_of_zeros),
        cmocka_unit_test(illegal_keys),
        cmocka_unit_test(gate_on_load),
        cmocka_unit_test(residues_beyond_their_primes),
        cmocka_unit_test(coefficients_that_are_none),
    };
    return cmocka_run_group_tests_name("forged", tests, keyfiles_open, keyfiles_close);
}
