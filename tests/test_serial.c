/* Key and ciphertext files: bit-exact round trips, and the refusal of everything else.  Files are also forged
 * with right checksums (reseal), so that each check behind the checksums is reached by itself. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "ckks/serial.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)
enum { N = 1024, HEAD = 64, ENTRY = 64, AT_VERSION = 8, AT_LOG_N = 12, AT_SET = 16, AT_ID = 32, AT_COUNT = 48,
       AT_ZERO = 52, AT_BYTES = 56, E_ID = 0, E_LEVEL = 4, E_PARTS = 8, E_ROWS = 12, E_ZERO = 16, E_SEED = 32 };

static struct {
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *sk;
    struct ckks_public *pk;
    struct ckks_keys *keys;
    struct ckks_ct ct[4];
} e;

static const struct ckks_need needs[] = {{CKKS_KEY_RELIN, 2}, {5, 1}, {CKKS_KEY_TO_SPARSE, 0}, {2 * N - 1, 16},
                                         {CKKS_KEY_FROM_SPARSE, 27}, {25, 13}};
enum { NEEDS = sizeof needs / sizeof *needs, CTS = 4 };
static const int levels[CTS] = {16, 9, 0, 2};

static void make_ct(struct ckks_ct *ct, int level, uint64_t domain) {
    double re[8] = {0.5, -0.25, 0.125, 1, 0, 0.75, -1, 0.1};
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {9};
    ckks_rng_init(&rng, seed, domain);
    OK(ckks_encrypt_secret(ct, e.cx, re, NULL, 8, level, e.sk, &rng));
}

static int open_all(void **state) {
    uint8_t seed[CKKS_SEED] = {1};
    if (scratch_open(state)) return -1;
    OK(ckks_params_get(&e.p, "toy10", 1));
    OK(ckks_open(&e.cx, e.p, KERN_CPU, KERN_TIER_BEST, 1));
    OK(ckks_secret_new(&e.sk, e.p, seed));
    OK(ckks_public_new(&e.pk, e.cx, e.sk, seed));
    OK(ckks_keys_new(&e.keys, e.cx, e.sk, needs, NEEDS, seed, NULL, NULL));
    for (int i = 0; i < CTS; i++) make_ct(&e.ct[i], levels[i], (uint64_t)i);
    return 0;
}

static int close_all(void **state) {
    for (int i = 0; i < CTS; i++) ckks_ct_free(&e.ct[i]);
    ckks_keys_free(e.keys);
    ckks_public_free(e.pk);
    ckks_secret_free(e.sk);
    ckks_close(e.cx);
    return scratch_close(state);
}

/* ---- each kind of file, saved and loaded by number ---- */

static int save(enum ckks_file_kind kind, const char *name) {
    const char *path = scratch_path(name);
    switch (kind) {
    case CKKS_FILE_SECRET: return ckks_secret_save(e.sk, path);
    case CKKS_FILE_PUBLIC: return ckks_public_save(e.pk, path);
    case CKKS_FILE_KEYS: return ckks_keys_save(e.keys, path);
    default: return ckks_ct_save(e.ct, CTS, e.sk->id, path);
    }
}

static int load_and_free(enum ckks_file_kind kind, const char *name) {
    const char *path = scratch_path(name);
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    struct ckks_keys *k = NULL;
    struct ckks_ct *ct = NULL;
    uint8_t id[16];
    int n = 0, st;
    if (kind == CKKS_FILE_SECRET) st = ckks_secret_load(&s, path, 1);
    else if (kind == CKKS_FILE_PUBLIC) st = ckks_public_load(&p, path, 1);
    else if (kind == CKKS_FILE_KEYS) st = ckks_keys_load(&k, e.cx, path);
    else st = ckks_ct_load(&ct, &n, id, e.cx, path);
    assert_true(st == THOR_OK || (!s && !p && !k && !ct));
    ckks_secret_free(s);
    ckks_public_free(p);
    ckks_keys_free(k);
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    return st;
}

/* The bytes of a small file of that kind: few and low keys, one ciphertext at level 0. */
static uint8_t *small_file(enum ckks_file_kind kind, size_t *bytes) {
    if (kind == CKKS_FILE_KEYS) {
        struct ckks_keys some = *e.keys;
        some.n = 0;
        some.key = malloc(2 * sizeof *some.key);
        for (int i = 0; i < e.keys->n; i++)
            if (e.keys->key[i].id == CKKS_KEY_TO_SPARSE || e.keys->key[i].id == 5) some.key[some.n++] = e.keys->key[i];
        OK(ckks_keys_save(&some, scratch_path("small")));
        free(some.key);
    } else if (kind == CKKS_FILE_CIPHER) {
        OK(ckks_ct_save(&e.ct[2], 1, e.sk->id, scratch_path("small")));
    } else {
        OK(save(kind, "small"));
    }
    return scratch_read("small", bytes);
}

/* ---- forging ---- */

static void put32(uint8_t *at, uint32_t x) {
    memcpy(at, &x, 4);
}

static uint32_t get32(const uint8_t *at) {
    uint32_t x;
    memcpy(&x, at, 4);
    return x;
}

/* Right checksums over whatever the file holds; parts as far as the file goes. */
static void reseal(uint8_t *f, size_t bytes) {
    uint32_t count = get32(f + AT_COUNT);
    uint8_t *table = f + HEAD, *at = table + ENTRY * (size_t)count;
    if (ENTRY * (size_t)count + HEAD + 8 > bytes) return;
    uint64_t head = XXH3_64bits_withSeed(table, ENTRY * (size_t)count, XXH3_64bits(f, HEAD)), part = 0;
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

static void assert_refused(enum ckks_file_kind kind, const uint8_t *data, size_t bytes, const char *word) {
    scratch_write("forged", data, bytes, 0600);
    assert_int_equal(load_and_free(kind, "forged"), THOR_KEY);
    if (!strstr(thor_error(), word)) fail_msg("'%s' has no '%s'", thor_error(), word);
    assert_non_null(strstr(thor_error(), "forged: ")); /* every refusal names its file .. */
    assert_null(strchr(thor_error(), '\n'));           /* .. in one line */
}

/* The small file with a word changed and all checksums right. */
static void assert_forged(enum ckks_file_kind kind, size_t at, uint32_t value, const char *word) {
    size_t bytes;
    uint8_t *f = small_file(kind, &bytes);
    put32(f + at, value);
    reseal(f, bytes);
    assert_refused(kind, f, bytes, word);
    free(f);
}

/* ---- round trips ---- */

static void secret_round_trip(void **state) {
    (void)state;
    struct ckks_secret *s;
    OK(ckks_secret_save(e.sk, scratch_path("s")));
    OK(ckks_secret_load(&s, scratch_path("s"), 1));
    assert_ptr_equal(s->params, e.p);
    assert_memory_equal(s->id, e.sk->id, 16);
    assert_memory_equal(s->s, e.sk->s, N);
    ckks_secret_free(s);
}

static void public_round_trip(void **state) {
    (void)state;
    struct ckks_public *p;
    OK(ckks_public_save(e.pk, scratch_path("p")));
    OK(ckks_public_load(&p, scratch_path("p"), 1));
    assert_ptr_equal(p->params, e.p);
    assert_int_equal(p->rows, e.pk->rows);
    assert_memory_equal(p->id, e.pk->id, 16);
    assert_memory_equal(p->seed, e.pk->seed, CKKS_SEED);
    assert_memory_equal(p->b, e.pk->b, (size_t)p->rows * N * 4);
    ckks_public_free(p);
}

static void keys_round_trip(void **state) {
    (void)state;
    struct ckks_keys *k;
    OK(ckks_keys_save(e.keys, scratch_path("k")));
    OK(ckks_keys_load(&k, e.cx, scratch_path("k")));
    assert_int_equal(k->n, NEEDS);
    assert_memory_equal(k->id, e.keys->id, 16);
    for (int i = 0; i < k->n; i++) {
        const struct ckks_ksk *a = &k->key[i], *b = &e.keys->key[i];
        assert_int_equal(a->id, b->id);
        assert_int_equal(a->level, b->level);
        assert_int_equal(a->digits, b->digits);
        assert_int_equal(a->rows, b->rows);
        assert_memory_equal(a->seed, b->seed, CKKS_SEED);
        size_t words = (size_t)(a->digits * 2 * a->rows) * N; /* both halves: a comes from the seed alone */
        uint32_t *x = malloc(words * 4), *y = malloc(words * 4);
        e.cx->k->download(e.cx->k, x, a->data, words);
        e.cx->k->download(e.cx->k, y, b->data, words);
        OK(e.cx->k->sync(e.cx->k));
        assert_memory_equal(x, y, words * 4);
        free(x);
        free(y);
    }
    ckks_keys_free(k);
}

static void no_keys_round_trip(void **state) {
    (void)state;
    struct ckks_keys none = {.cx = e.cx, .n = 0}, *k;
    OK(ckks_keys_save(&none, scratch_path("k")));
    OK(ckks_keys_load(&k, e.cx, scratch_path("k")));
    assert_int_equal(k->n, 0);
    ckks_keys_free(k);
}

static void assert_same_ct(const struct ckks_ct *a, const struct ckks_ct *b) {
    size_t words = (size_t)ckks_ct_limbs(a) * N;
    uint32_t *x = malloc(words * 4), *y = malloc(words * 4);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->polys, b->polys);
    assert_int_equal(a->pending | a->boot, 0);
    for (int p = 0; p < 2; p++) {
        e.cx->k->download(e.cx->k, x, a->c + (size_t)(p * a->rows) * N, words);
        e.cx->k->download(e.cx->k, y, b->c + (size_t)(p * b->rows) * N, words);
        OK(e.cx->k->sync(e.cx->k));
        assert_memory_equal(x, y, words * 4);
    }
    free(x);
    free(y);
}

static void ciphertext_round_trip(void **state) {
    (void)state;
    struct ckks_ct *ct;
    uint8_t id[16];
    int n;
    OK(ckks_ct_save(e.ct, CTS, e.sk->id, scratch_path("c")));
    OK(ckks_ct_load(&ct, &n, id, e.cx, scratch_path("c")));
    assert_int_equal(n, CTS);
    assert_memory_equal(id, e.sk->id, 16);
    for (int i = 0; i < CTS; i++) {
        assert_same_ct(&ct[i], &e.ct[i]);
        ckks_ct_free(&ct[i]);
    }
    free(ct);
}

/* A ciphertext with more rows than its level has limbs: only the limbs are stored. */
static void wide_ciphertext_round_trip(void **state) {
    (void)state;
    struct ckks_ct wide = {0}, *ct;
    uint8_t id[16];
    int n;
    OK(ckks_copy(&wide, &e.ct[3]));
    wide.level = 0; /* the mains of level 0 are the first of level 2 */
    OK(ckks_ct_save(&wide, 1, e.sk->id, scratch_path("c")));
    OK(ckks_ct_load(&ct, &n, id, e.cx, scratch_path("c")));
    assert_int_equal(n, 1);
    assert_same_ct(ct, &wide);
    ckks_ct_free(ct);
    free(ct);
    ckks_ct_free(&wide);
}

/* Two saves agree byte by byte although the heap is dirty: nothing that was not set gets into a file. */
static void equal_files_from_equal_objects(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t na, nb;
        OK(save((enum ckks_file_kind)kind, "a"));
        void *dirt[64];
        for (size_t i = 0; i < 64; i++) {
            dirt[i] = malloc(1 << (i % 20));
            memset(dirt[i], 0xa5, 1 << (i % 20));
        }
        for (size_t i = 0; i < 64; i++) free(dirt[i]);
        OK(save((enum ckks_file_kind)kind, "b"));
        uint8_t *a = scratch_read("a", &na), *b = scratch_read("b", &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        free(a);
        free(b);
    }
}

static void described(void **state) {
    (void)state;
    static const uint32_t counts[4] = {1, 1, NEEDS, CTS};
    for (int kind = 0; kind < 4; kind++) {
        struct serial_head h;
        size_t bytes;
        OK(save((enum ckks_file_kind)kind, "a"));
        OK(ckks_file_describe(&h, scratch_path("a")));
        free(scratch_read("a", &bytes));
        assert_int_equal(h.kind, kind);
        assert_int_equal(h.count, counts[kind]);
        assert_int_equal(h.bytes, bytes);
        assert_ptr_equal(h.params, e.p);
        assert_memory_equal(h.id, e.sk->id, 16);
        serial_free(&h);
    }
}

/* ---- damage ---- */

/* Every length for the small secret; for the others those around every border, and a spread of the rest. */
static void every_truncation(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t bytes, n = 0;
        uint8_t *f = small_file((enum ckks_file_kind)kind, &bytes);
        for (size_t cut = bytes; cut-- > 0; n++) {
            if (cut > 1000 && cut + 40 < bytes && cut % 997 > 3) continue;
            scratch_write("forged", f, cut, 0600);
            assert_int_equal(load_and_free((enum ckks_file_kind)kind, "forged"), THOR_KEY);
        }
        f[bytes] = 0;
        assert_refused((enum ckks_file_kind)kind, f, bytes + 1, "too long");
        free(f);
    }
}

/* A single flipped bit anywhere: all of the secret's, 2000 random ones of each other kind. */
static void every_flipped_bit(void **state) {
    (void)state;
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {5};
    ckks_rng_init(&rng, seed, 0);
    for (int kind = 0; kind < 4; kind++) {
        size_t bytes;
        uint8_t *f = small_file((enum ckks_file_kind)kind, &bytes);
        size_t tries = kind == CKKS_FILE_SECRET ? 8 * bytes : 2000;
        for (size_t i = 0; i < tries; i++) {
            uint32_t bit = (uint32_t)i;
            if (kind != CKKS_FILE_SECRET) ckks_rng_uniform(&rng, &bit, 1, (uint32_t)(8 * bytes));
            if (kind != CKKS_FILE_SECRET && i < 1000) bit %= 8 * (HEAD + ENTRY + 8); /* half of them up front */
            f[bit / 8] ^= (uint8_t)(1 << bit % 8);
            scratch_write("forged", f, bytes, 0600);
            int st = load_and_free((enum ckks_file_kind)kind, "forged");
            if (st != THOR_KEY) fail_msg("%s: bit %u: status %d", ckks_file_kind_name((enum ckks_file_kind)kind), bit, st);
            f[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        scratch_write("forged", f, bytes, 0600);
        OK(load_and_free((enum ckks_file_kind)kind, "forged"));
        free(f);
    }
}

static void parts_cannot_be_swapped(void **state) {
    (void)state; /* both polynomials of the ciphertext have one size; each goes with its checksum */
    size_t bytes, part = 2 * N * 4 + 8, first = HEAD + ENTRY + 8;
    uint8_t *f = small_file(CKKS_FILE_CIPHER, &bytes), *keep = malloc(part);
    memcpy(keep, f + first, part);
    memmove(f + first, f + first + part, part);
    memcpy(f + first + part, keep, part);
    assert_refused(CKKS_FILE_CIPHER, f, bytes, "checksum");
    free(keep);
    free(f);
}

/* ---- files that are not meant ---- */

static void wrong_kinds(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++)
        for (int as = 0; as < 4; as++) {
            size_t bytes;
            if (as == kind) continue;
            uint8_t *f = small_file((enum ckks_file_kind)kind, &bytes);
            assert_refused((enum ckks_file_kind)as, f, bytes, "holds ");
            assert_non_null(strstr(thor_error(), ckks_file_kind_name((enum ckks_file_kind)kind)));
            free(f);
        }
    assert_refused(CKKS_FILE_SECRET, (const uint8_t *)"", 0, "too short");
    uint8_t text[400];
    memset(text, 'x', sizeof text);
    for (int kind = 0; kind < 4; kind++) assert_refused((enum ckks_file_kind)kind, text, sizeof text, "no key or cipher");
}

static void other_versions(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        assert_forged((enum ckks_file_kind)kind, AT_VERSION, 2, "version 2");
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
    OK(save(CKKS_FILE_KEYS, "keys"));
    OK(save(CKKS_FILE_CIPHER, "cts"));
    assert_int_equal(ckks_keys_load(&k, other, scratch_path("keys")), THOR_KEY);
    assert_non_null(strstr(thor_error(), "keys: made for parameters toy10, this run uses toy11: run thor keygen again"));
    assert_int_equal(ckks_ct_load(&ct, &n, id, other, scratch_path("cts")), THOR_KEY);
    assert_non_null(strstr(thor_error(), "made for parameters toy10, this run uses toy11: encrypt again"));
    assert_null(k);
    assert_null(ct);
    ckks_close(other);
}

static void toys_need_leave(void **state) {
    (void)state;
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    OK(save(CKKS_FILE_SECRET, "s"));
    OK(save(CKKS_FILE_PUBLIC, "p"));
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
    OK(ckks_ct_save(e.ct, 1, id, scratch_path("c")));
    ckks_use_keys(e.cx, e.keys);
    int st = ckks_ct_load(&ct, &n, back, e.cx, scratch_path("c"));
    ckks_use_keys(e.cx, NULL);
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
    uint8_t *f = small_file(CKKS_FILE_SECRET, &bytes);
    scratch_write("forged", f, bytes, 0640);
    assert_int_equal(load_and_free(CKKS_FILE_SECRET, "forged"), THOR_KEY);
    assert_non_null(strstr(thor_error(), "chmod 600"));
    scratch_write("forged", f, bytes, 0600);
    OK(load_and_free(CKKS_FILE_SECRET, "forged"));
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

/* Headers that promise up to 2^60 bytes take no memory: the address space does not grow by even 8 MiB. */
static void huge_claims(void **state) {
    (void)state;
    static const uint32_t counts[] = {4096, 4097, 65536, 1u << 26, 0x7fffffff, 0x80000000, 0xffffffff};
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

/* The same when the file is as long as it says (a sparse file) and says it with a right checksum. */
static void huge_sparse_file(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *f = small_file(CKKS_FILE_KEYS, &bytes);
    uint64_t claim = 1ull << 40;
    memcpy(f + AT_BYTES, &claim, 8);
    reseal(f, bytes);
    scratch_write("forged", f, bytes, 0600);
    free(f);
    if (truncate(scratch_path("forged"), (off_t)claim) != 0) skip();
    long before = peak_kib();
    assert_int_equal(load_and_free(CKKS_FILE_KEYS, "forged"), THOR_KEY);
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
    assert_forged(CKKS_FILE_CIPHER, HEAD + E_SEED + 28, 1, "a seed");
}

static void seeds_of_zeros(void **state) {
    (void)state;
    static const enum ckks_file_kind seeded[] = {CKKS_FILE_PUBLIC, CKKS_FILE_KEYS};
    for (int i = 0; i < 2; i++) {
        size_t bytes;
        uint8_t *f = small_file(seeded[i], &bytes);
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
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 2 * N, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 2 * N + 1, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 0xffffffff, "no operation");
    assert_forged(CKKS_FILE_KEYS, second + E_ID, 1, "a key twice");
    assert_forged(CKKS_FILE_KEYS, HEAD + E_LEVEL, 1, "only secure at level 0");
    assert_forged(CKKS_FILE_KEYS, HEAD + E_LEVEL, 27, "only secure at level 0");

    size_t bytes;
    uint8_t *f = small_file(CKKS_FILE_KEYS, &bytes);
    memcpy(f + second, f + HEAD, ENTRY); /* the same key twice */
    reseal(f, bytes);
    assert_refused(CKKS_FILE_KEYS, f, bytes, "a key twice");
    free(f);
}

/* A key one level too high for 128 bits: n15 ends at level 9. */
static void gate_on_load(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *f = small_file(CKKS_FILE_KEYS, &bytes);
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
        uint32_t q = e.p->prime[kinds[i] == CKKS_FILE_PUBLIC ? 0 : CKKS_TERMINALS];
        size_t table = (kinds[i] == CKKS_FILE_KEYS ? 2 : 1) * ENTRY, at = HEAD + table + 8 + 4 * (N - 1), bytes;
        assert_forged(kinds[i], at, q, "a residue beyond its prime");
        assert_forged(kinds[i], at, 0xffffffff, "a residue beyond its prime");
        uint8_t *f = small_file(kinds[i], &bytes);
        put32(f + at, q - 1); /* the greatest legal one */
        reseal(f, bytes);
        scratch_write("forged", f, bytes, 0600);
        OK(load_and_free(kinds[i], "forged"));
        free(f);
    }
}

static void coefficients_that_are_none(void **state) {
    (void)state;
    for (int pair = 0; pair < 16; pair++)
        assert_forged(CKKS_FILE_SECRET, HEAD + ENTRY + 8 + 40, 3u << 2 * pair, "not -1, 0 or 1");
}

/* ---- saving ---- */

static void full_disk(void **state) {
    (void)state;
    struct rlimit old, low;
    scratch_empty();
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    for (int kind = 0; kind < 4; kind++)
        for (rlim_t limit = 0; limit < 390; limit += 13) {
            low = old;
            low.rlim_cur = limit;
            setrlimit(RLIMIT_FSIZE, &low);
            int st = save((enum ckks_file_kind)kind, "a");
            setrlimit(RLIMIT_FSIZE, &old);
            assert_int_equal(st, THOR_IO);
            assert_int_equal(scratch_files(), 0);
        }
}

static void what_is_not_saved(void **state) {
    (void)state;
    struct ckks_ct bad = e.ct[2];
    struct ckks_keys twice = *e.keys;
    struct ckks_ksk key[2] = {e.keys->key[0], e.keys->key[0]};
    scratch_empty();
    assert_int_equal(ckks_ct_save(e.ct, 0, e.sk->id, scratch_path("a")), THOR_INTERNAL);
    bad.pending = 1;
    assert_int_equal(ckks_ct_save(&bad, 1, e.sk->id, scratch_path("a")), THOR_INTERNAL);
    bad.pending = 0;
    bad.boot = 1;
    assert_int_equal(ckks_ct_save(&bad, 1, e.sk->id, scratch_path("a")), THOR_INTERNAL);
    twice.key = key;
    twice.n = 2;
    assert_int_equal(ckks_keys_save(&twice, scratch_path("a")), THOR_INTERNAL);
    assert_int_equal(scratch_files(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(secret_round_trip),
        cmocka_unit_test(public_round_trip),
        cmocka_unit_test(keys_round_trip),
        cmocka_unit_test(no_keys_round_trip),
        cmocka_unit_test(ciphertext_round_trip),
        cmocka_unit_test(wide_ciphertext_round_trip),
        cmocka_unit_test(equal_files_from_equal_objects),
        cmocka_unit_test(described),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(parts_cannot_be_swapped),
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
        cmocka_unit_test(full_disk),
        cmocka_unit_test(what_is_not_saved),
    };
    return cmocka_run_group_tests_name("serial", tests, open_all, close_all);
}
