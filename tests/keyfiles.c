#include "tests/keyfiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

struct keyfiles kf;

static const struct ckks_need needs[] = {{CKKS_KEY_RELIN, 2},        {5, 1},
                                         {CKKS_KEY_TO_SPARSE, 0},    {2 * KF_N - 1, 16},
                                         {CKKS_KEY_FROM_SPARSE, 27}, {25, 13}};
_Static_assert(sizeof needs / sizeof *needs == KF_KEYS, "as promised");
static const int levels[KF_CTS] = {16, 9, 0, 2};

static void make_ct(struct ckks_ct *ct, int level, uint64_t domain) {
    double re[8] = {0.5, -0.25, 0.125, 1, 0, 0.75, -1, 0.1};
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {9};
    ckks_rng_init(&rng, seed, domain);
    OK(ckks_encrypt_secret(ct, kf.cx, re, NULL, 8, level, kf.sk, &rng));
}

int keyfiles_open(void **state) {
    uint8_t seed[CKKS_SEED] = {1};
    if (scratch_open(state)) return -1;
    OK(ckks_params_get(&kf.p, "toy10", 1));
    OK(ckks_open(&kf.cx, kf.p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&kf.sk, kf.p, seed));
    OK(ckks_public_new(&kf.pk, kf.cx, kf.sk, seed));
    OK(ckks_keys_new(&kf.keys, kf.cx, kf.sk, needs, KF_KEYS, seed, NULL, NULL));
    for (int i = 0; i < KF_CTS; i++) make_ct(&kf.ct[i], levels[i], (uint64_t)i);
    return 0;
}

int keyfiles_close(void **state) {
    for (int i = 0; i < KF_CTS; i++) ckks_ct_free(&kf.ct[i]);
    ckks_keys_free(kf.keys);
    ckks_public_free(kf.pk);
    ckks_secret_free(kf.sk);
    ckks_close(kf.cx);
    return scratch_close(state);
}

/* ---- each kind of file, saved and loaded by number ---- */

int keyfiles_save(enum ckks_file_kind kind, const char *name) {
    const char *path = scratch_path(name);
    switch (kind) {
    case CKKS_FILE_SECRET:
        return ckks_secret_save(kf.sk, path);
    case CKKS_FILE_PUBLIC:
        return ckks_public_save(kf.pk, path);
    case CKKS_FILE_KEYS:
        return ckks_keys_save(kf.keys, path);
    default:
        return ckks_ct_save(kf.ct, KF_CTS, kf.sk->id, NULL, path);
    }
}

int keyfiles_renew(enum ckks_file_kind kind, const char *name) {
    unlink(scratch_path(name));
    return keyfiles_save(kind, name);
}

int keyfiles_load_path(enum ckks_file_kind kind, struct ckks *cx, const char *path,
                       void (*use)(const struct ckks_ct *ct, int n)) {
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    struct ckks_keys *k = NULL;
    struct ckks_ct *ct = NULL;
    uint8_t id[16];
    int n = 0, st;
    if (kind == CKKS_FILE_SECRET)
        st = ckks_secret_load(&s, path, 1);
    else if (kind == CKKS_FILE_PUBLIC)
        st = ckks_public_load(&p, path, 1);
    else if (kind == CKKS_FILE_KEYS)
        st = ckks_keys_load(&k, cx, path);
    else
        st = ckks_ct_load(&ct, &n, id, NULL, cx, path);
    assert_true((st == THOR_OK) == (s || p || k || ct));
    if (use) use(ct, n);
    ckks_secret_free(s);
    ckks_public_free(p);
    ckks_keys_free(k);
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    return st;
}

int keyfiles_load(enum ckks_file_kind kind, const char *name) {
    return keyfiles_load_path(kind, kf.cx, scratch_path(name), NULL);
}

uint8_t *keyfiles_small(enum ckks_file_kind kind, size_t *bytes) {
    unlink(scratch_path("small"));
    if (kind == CKKS_FILE_KEYS) {
        struct ckks_keys some = *kf.keys;
        some.n = 0;
        some.key = malloc(2 * sizeof *some.key);
        for (int i = 0; i < kf.keys->n; i++)
            if (kf.keys->key[i].id == CKKS_KEY_TO_SPARSE || kf.keys->key[i].id == 5)
                some.key[some.n++] = kf.keys->key[i];
        OK(ckks_keys_save(&some, scratch_path("small")));
        free(some.key);
    } else if (kind == CKKS_FILE_CIPHER) {
        OK(ckks_ct_save(&kf.ct[2], 1, kf.sk->id, NULL, scratch_path("small")));
    } else {
        OK(keyfiles_save(kind, "small"));
    }
    return scratch_read("small", bytes);
}

/* ---- forging ---- */

void put32(uint8_t *at, uint32_t x) {
    memcpy(at, &x, 4);
}

static uint32_t get32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, 4);
    return x;
}

void reseal(uint8_t *f, size_t bytes) {
    uint32_t count = get32(f + AT_COUNT);
    uint8_t *table = f + HEAD, *at = table + ENTRY * (size_t)count;
    if (ENTRY * (size_t)count + HEAD + 8 > bytes) return;
    uint64_t head = XXH3_64bits_withSeed(table, ENTRY * (size_t)count, XXH3_64bits(f, HEAD)),
             part = 0;
    memcpy(at, &head, 8);
    at += 8;
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < get32(table + ENTRY * i + E_PARTS); k++) {
            uint32_t rows = get32(table + ENTRY * i + E_ROWS), n = 1u << (get32(f + AT_LOG_N) & 31);
            size_t size = memcmp(f + 4, "SECR", 4) == 0 ? n / 4 : (size_t)rows * n * 4;
            if (size + 8 > (size_t)(f + bytes - at)) return;
            uint64_t check = XXH3_64bits_withSeed(at, size, head + ++part);
            memcpy(at + size, &check, 8);
            at += size + 8;
        }
}

void assert_refused(enum ckks_file_kind kind, const uint8_t *data, size_t bytes, const char *word) {
    scratch_write("forged", data, bytes, 0600);
    assert_int_equal(keyfiles_load(kind, "forged"), THOR_KEY);
    if (!strstr(thor_error(), word)) fail_msg("'%s' has no '%s'", thor_error(), word);
    assert_non_null(strstr(thor_error(), "forged: ")); /* every refusal names its file .. */
    assert_null(strchr(thor_error(), '\n'));           /* .. in one line */
}

void assert_forged(enum ckks_file_kind kind, size_t at, uint32_t value, const char *word) {
    size_t bytes;
    uint8_t *f = keyfiles_small(kind, &bytes);
    put32(f + at, value);
    reseal(f, bytes);
    assert_refused(kind, f, bytes, word);
    free(f);
}
