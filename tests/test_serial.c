/* Key and ciphertext files: bit-exact round trips, every kind of damage, failing disks. */
#include <fcntl.h>
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

#include <cmocka.h>

#include "ckks/internal.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

/* ---- round trips ---- */

static void secret_round_trip(void **state) {
    (void)state;
    struct ckks_secret *s;
    OK(ckks_secret_save(kf.sk, scratch_path("s")));
    OK(ckks_secret_load(&s, scratch_path("s"), 1));
    assert_ptr_equal(s->params, kf.p);
    assert_memory_equal(s->id, kf.sk->id, 16);
    assert_memory_equal(s->s, kf.sk->s, KF_N);
    ckks_secret_free(s);
}

static void public_round_trip(void **state) {
    (void)state;
    struct ckks_public *p;
    OK(ckks_public_save(kf.pk, scratch_path("p")));
    OK(ckks_public_load(&p, scratch_path("p"), 1));
    assert_ptr_equal(p->params, kf.p);
    assert_int_equal(p->rows, kf.pk->rows);
    assert_memory_equal(p->id, kf.pk->id, 16);
    assert_memory_equal(p->seed, kf.pk->seed, CKKS_SEED);
    assert_memory_equal(p->b, kf.pk->b, (size_t)p->rows * KF_N * 4);
    ckks_public_free(p);
}

static size_t bytes_of(const struct ckks_ksk *k) {
    return (size_t)(k->digits * 2 * k->rows) * KF_N * sizeof(uint32_t);
}

/* Both halves: in files a comes from the seed alone. */
static void assert_same_key(const struct ckks_ksk *a, const struct ckks_ksk *b) {
    size_t words = bytes_of(a) / 4;
    uint32_t *x = malloc(words * 4), *y = malloc(words * 4);
    assert_non_null(a->data);
    kf.cx->k->download(kf.cx->k, x, a->data, words);
    kf.cx->k->download(kf.cx->k, y, b->data, words);
    OK(kf.cx->k->sync(kf.cx->k));
    assert_memory_equal(x, y, words * 4);
    free(x);
    free(y);
}

static void keys_round_trip(void **state) {
    (void)state;
    struct ckks_keys *k;
    OK(ckks_keys_save(kf.keys, scratch_path("k")));
    OK(ckks_keys_load(&k, kf.cx, scratch_path("k")));
    assert_int_equal(k->n, KF_KEYS);
    assert_memory_equal(k->id, kf.keys->id, 16);
    for (int i = 0; i < k->n; i++) {
        const struct ckks_ksk *a = &k->key[i], *b = &kf.keys->key[i];
        assert_int_equal(a->id, b->id);
        assert_int_equal(a->level, b->level);
        assert_int_equal(a->digits, b->digits);
        assert_int_equal(a->rows, b->rows);
        assert_memory_equal(a->seed, b->seed, CKKS_SEED);
        assert_same_key(a, b);
    }
    ckks_keys_free(k);
}

static void no_keys_round_trip(void **state) {
    (void)state;
    struct ckks_keys none = {.cx = kf.cx, .n = 0}, *k;
    OK(ckks_keys_save(&none, scratch_path("k")));
    OK(ckks_keys_load(&k, kf.cx, scratch_path("k")));
    assert_int_equal(k->n, 0);
    ckks_keys_free(k);
}

static void assert_same_ct(const struct ckks_ct *a, const struct ckks_ct *b) {
    size_t words = (size_t)ckks_ct_limbs(a) * KF_N;
    uint32_t *x = malloc(words * 4), *y = malloc(words * 4);
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->polys, b->polys);
    assert_int_equal(a->pending | a->boot, 0);
    for (int p = 0; p < 2; p++) {
        kf.cx->k->download(kf.cx->k, x, a->c + (size_t)(p * a->rows) * KF_N, words);
        kf.cx->k->download(kf.cx->k, y, b->c + (size_t)(p * b->rows) * KF_N, words);
        OK(kf.cx->k->sync(kf.cx->k));
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
    OK(ckks_ct_save(kf.ct, KF_CTS, kf.sk->id, NULL, scratch_path("c")));
    OK(ckks_ct_load(&ct, &n, id, NULL, kf.cx, scratch_path("c")));
    assert_int_equal(n, KF_CTS);
    assert_memory_equal(id, kf.sk->id, 16);
    for (int i = 0; i < KF_CTS; i++) {
        assert_same_ct(&ct[i], &kf.ct[i]);
        ckks_ct_free(&ct[i]);
    }
    free(ct);
}

static int count_step(void *ctx, int done, int total) {
    int *n = ctx;
    assert_int_equal(done, ++n[0]);
    assert_int_equal(total, KF_KEYS);
    return n[0] == n[1] ? thor_fail(THOR_INTERRUPTED, "stopped") : THOR_OK;
}

/* Keys made straight into a file are those made in memory and saved, byte by byte; stopped, they
 * leave nothing. */
static void generated_is_saved(void **state) {
    (void)state;
    uint8_t seed[CKKS_SEED] = {9};
    struct ckks_need need[KF_KEYS];
    struct ckks_keys *k;
    size_t na, nb;
    int steps[2] = {0, 0};
    scratch_empty();
    for (int i = 0; i < KF_KEYS; i++) // in another order than the file's
        need[i] = (struct ckks_need){kf.keys->key[KF_KEYS - 1 - i].id,
                                     kf.keys->key[KF_KEYS - 1 - i].level};
    OK(ckks_keys_new(&k, kf.cx, kf.sk, need, KF_KEYS, seed, NULL, NULL));
    OK(ckks_keys_save(k, scratch_path("a")));
    OK(ckks_keys_generate(scratch_path("b"), kf.cx, kf.sk, need, KF_KEYS, seed, count_step, steps));
    assert_int_equal(steps[0], KF_KEYS);
    uint8_t *a = scratch_read("a", &na), *b = scratch_read("b", &nb);
    assert_int_equal(na, nb);
    assert_memory_equal(a, b, na);
    free(a);
    free(b);
    ckks_keys_free(k);
    scratch_empty();
    steps[0] = 0, steps[1] = 3;
    assert_int_equal(
        ckks_keys_generate(scratch_path("b"), kf.cx, kf.sk, need, KF_KEYS, seed, count_step, steps),
        THOR_INTERRUPTED);
    assert_int_equal(scratch_files(), 0);
}

/* Keys are taken out of a file by need, in any number. */
static void some_keys_of_a_file(void **state) {
    (void)state;
    struct ckks_keyfile *f;
    struct ckks_keys *k;
    OK(ckks_keys_save(kf.keys, scratch_path("k")));
    OK(ckks_keyfile_open(&f, kf.cx, scratch_path("k")));
    const struct ckks_ksk *last = &kf.keys->key[KF_KEYS - 1], *first = &kf.keys->key[0];
    struct ckks_need need[3] = {{last->id, last->level}, {first->id, first->level}};
    need[2].id = kf.keys->key[1].id; // there, but not asked for
    assert_true(ckks_keyfile_covers(f, need, 2));
    assert_int_equal(ckks_keyfile_memory(f, need, 2), bytes_of(first) + bytes_of(last));
    need[0].level++;
    assert_false(ckks_keyfile_covers(f, need, 2));
    assert_int_equal(ckks_keyfile_find(f, &need[0]), -1);
    OK(ckks_keys_take(&k, f, need, 2, NULL, NULL));
    assert_int_equal(k->n, 2);
    assert_int_equal(k->key[0].id, first->id);
    assert_int_equal(k->key[1].id, last->id);
    assert_same_key(&k->key[1], last);
    ckks_keys_free(k);
    ckks_keyfile_close(f);
}

static int resident(const struct ckks_keys *k, size_t *bytes) {
    int n = 0;
    *bytes = 0;
    for (int i = 0; i < k->n; i++)
        if (k->key[i].data) n++, *bytes += bytes_of(&k->key[i]);
    return n;
}

/* Room for two of three keys of one size, used in turn: the farthest next use goes, so that every
 * second use finds its key; least recently used would find none.  Any other order is served too. */
static void keys_come_and_go(void **state) {
    (void)state;
    struct ckks_keyfile *f;
    struct ckks_keys *k, *three;
    struct ckks_need need[3];
    uint8_t seed[CKKS_SEED] = {7};
    uint32_t uses[3];
    size_t held;
    for (int i = 0; i < 3; i++) need[i] = (struct ckks_need){uses[i] = (uint32_t)(2 * i + 3), 2};
    OK(ckks_keys_new(&three, kf.cx, kf.sk, need, 3, seed, NULL, NULL));
    OK(ckks_keys_save(three, scratch_path("k")));
    size_t one = bytes_of(&three->key[0]);
    OK(ckks_keyfile_open(&f, kf.cx, scratch_path("k")));
    OK(ckks_keys_stream(&k, f, need, 2, uses, 2, 0)); // of the two that are asked for
    assert_int_equal(k->n, 2);
    ckks_keys_free(k);
    OK(ckks_keys_stream(&k, f, need, 3, uses, 3, 2 * one));
    ckks_use_keys(kf.cx, k);
    for (int i = 0; i < 12; i++) {
        struct ckks_ct r = {0};
        OK(ckks_keyswitch(&r, &kf.ct[3], kf.ct[3].c, kf.ct[3].c, uses[i % 3], 1));
        assert_same_key(&k->key[i % 3], &three->key[i % 3]);
        assert_true(resident(k, &held) <= 2);
        assert_true(held <= 2 * one);
        ckks_ct_free(&r);
    }
    assert_int_equal(ckks_keys_loads(k), 3 + 9 / 2);
    for (int i = 0; i < 40; i++) {
        int st, j = (i * i + i / 3) % 3;
        const struct ckks_ksk *key = ckks_find_key(kf.cx, uses[j], 2, &st);
        OK(st);
        assert_same_key(key, &three->key[j]);
        assert_true(resident(k, &held) <= 2);
    }
    ckks_use_keys(kf.cx, NULL);
    ckks_keys_free(k);
    ckks_keys_free(three);
    ckks_keyfile_close(f);
}

/* A key that went bad on the disk after the start is refused when its turn comes. */
static void streamed_keys_are_checked(void **state) {
    (void)state;
    struct ckks_keyfile *f;
    struct ckks_keys *k;
    size_t bytes;
    int st;
    const struct ckks_ksk *last = &kf.keys->key[KF_KEYS - 1];
    struct ckks_need need = {last->id, last->level};
    OK(ckks_keys_save(kf.keys, scratch_path("k")));
    OK(ckks_keyfile_open(&f, kf.cx, scratch_path("k")));
    OK(ckks_keys_stream(&k, f, &need, 1, &last->id, 1, 0));
    int fd = open(scratch_path("k"), O_WRONLY);
    bytes = (size_t)lseek(fd, 0, SEEK_END);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)bytes - 100), 1);
    close(fd);
    ckks_use_keys(kf.cx, k);
    assert_null(ckks_find_key(kf.cx, last->id, last->level, &st));
    assert_int_equal(st, THOR_KEY);
    assert_non_null(strstr(thor_error(), "checksum"));
    assert_int_equal(resident(k, &bytes), 0);
    ckks_use_keys(kf.cx, NULL);
    ckks_keys_free(k);
    ckks_keyfile_close(f);
}

/* The writer's note comes back, lies in the clear, and is covered by the checksum of the header. */
static void note_round_trip(void **state) {
    (void)state;
    struct ckks_ct *ct;
    uint8_t id[16], note[CKKS_NOTE], back[CKKS_NOTE];
    size_t bytes;
    int n;
    for (int i = 0; i < CKKS_NOTE; i++) note[i] = (uint8_t)(200 - i);
    OK(ckks_ct_save(&kf.ct[2], 2, kf.sk->id, note, scratch_path("forged")));
    OK(ckks_ct_load(&ct, &n, id, back, kf.cx, scratch_path("forged")));
    assert_int_equal(n, 2);
    assert_memory_equal(back, note, CKKS_NOTE);
    for (int i = 0; i < n; i++) ckks_ct_free(&ct[i]);
    free(ct);
    uint8_t *f = scratch_read("forged", &bytes);
    assert_memory_equal(f + HEAD + E_SEED, note, CKKS_NOTE);
    f[HEAD + E_SEED] ^= 1;
    assert_refused(CKKS_FILE_CIPHER, f, bytes, "checksum");
    f[HEAD + ENTRY + E_SEED] = 1; /* there is one note a file */
    reseal(f, bytes);
    assert_refused(CKKS_FILE_CIPHER, f, bytes, "a seed");
    free(f);
}

/* A ciphertext with more rows than its level has limbs: only the limbs are stored. */
static void wide_ciphertext_round_trip(void **state) {
    (void)state;
    struct ckks_ct wide = {0}, *ct;
    uint8_t id[16];
    int n;
    OK(ckks_copy(&wide, &kf.ct[3]));
    wide.level = 0; /* the mains of level 0 are the first of level 2 */
    OK(ckks_ct_save(&wide, 1, kf.sk->id, NULL, scratch_path("c")));
    OK(ckks_ct_load(&ct, &n, id, NULL, kf.cx, scratch_path("c")));
    assert_int_equal(n, 1);
    assert_same_ct(ct, &wide);
    ckks_ct_free(ct);
    free(ct);
    ckks_ct_free(&wide);
}

/* Two saves agree byte by byte although the heap is dirty: nothing that was not set gets into a
 * file. */
static void equal_files_from_equal_objects(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t na, nb;
        OK(keyfiles_renew((enum ckks_file_kind)kind, "a"));
        void *dirt[64];
        for (size_t i = 0; i < 64; i++) {
            dirt[i] = malloc(1 << (i % 20));
            memset(dirt[i], 0xa5, 1 << (i % 20));
        }
        for (size_t i = 0; i < 64; i++) free(dirt[i]);
        OK(keyfiles_renew((enum ckks_file_kind)kind, "b"));
        uint8_t *a = scratch_read("a", &na), *b = scratch_read("b", &nb);
        assert_int_equal(na, nb);
        assert_memory_equal(a, b, na);
        free(a);
        free(b);
    }
}

static void described(void **state) {
    (void)state;
    static const uint32_t counts[4] = {1, 1, KF_KEYS, KF_CTS};
    for (int kind = 0; kind < 4; kind++) {
        struct serial_head h;
        size_t bytes;
        OK(keyfiles_renew((enum ckks_file_kind)kind, "a"));
        OK(ckks_file_describe(&h, scratch_path("a")));
        free(scratch_read("a", &bytes));
        assert_int_equal(h.kind, kind);
        assert_int_equal(h.count, counts[kind]);
        assert_int_equal(h.bytes, bytes);
        assert_ptr_equal(h.params, kf.p);
        assert_memory_equal(h.id, kf.sk->id, 16);
        serial_free(&h);
    }
}

/* ---- damage ---- */

/* Every length for the small secret; for the others those around every border, and a spread of the
 * rest. */
static void every_truncation(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        size_t bytes, n = 0;
        uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
        for (size_t cut = bytes; cut-- > 0; n++) {
            if (cut > 1000 && cut + 40 < bytes && cut % 997 > 3) continue;
            scratch_write("forged", f, cut, 0600);
            assert_int_equal(keyfiles_load((enum ckks_file_kind)kind, "forged"), THOR_KEY);
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
        uint8_t *f = keyfiles_small((enum ckks_file_kind)kind, &bytes);
        size_t tries = kind == CKKS_FILE_SECRET ? 8 * bytes : 2000;
        for (size_t i = 0; i < tries; i++) {
            uint32_t bit = (uint32_t)i;
            if (kind != CKKS_FILE_SECRET) ckks_rng_uniform(&rng, &bit, 1, (uint32_t)(8 * bytes));
            /* half of them up front */
            if (kind != CKKS_FILE_SECRET && i < 1000) bit %= 8 * (HEAD + ENTRY + 8);
            f[bit / 8] ^= (uint8_t)(1 << bit % 8);
            scratch_write("forged", f, bytes, 0600);
            int st = keyfiles_load((enum ckks_file_kind)kind, "forged");
            if (st != THOR_KEY)
                fail_msg("%s: bit %u: status %d", ckks_file_kind_name((enum ckks_file_kind)kind),
                         bit, st);
            f[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        scratch_write("forged", f, bytes, 0600);
        OK(keyfiles_load((enum ckks_file_kind)kind, "forged"));
        free(f);
    }
}

static void parts_cannot_be_swapped(void **state) {
    (void)state; /* both polynomials of the ciphertext have one size; each goes with its checksum */
    size_t bytes, part = 2 * KF_N * 4 + 8, first = HEAD + ENTRY + 8;
    uint8_t *f = keyfiles_small(CKKS_FILE_CIPHER, &bytes), *keep = malloc(part);
    memcpy(keep, f + first, part);
    memmove(f + first, f + first + part, part);
    memcpy(f + first + part, keep, part);
    assert_refused(CKKS_FILE_CIPHER, f, bytes, "checksum");
    free(keep);
    free(f);
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
            int st = keyfiles_renew((enum ckks_file_kind)kind, "a");
            setrlimit(RLIMIT_FSIZE, &old);
            assert_int_equal(st, THOR_IO);
            assert_int_equal(scratch_files(), 0);
        }
}

static void what_is_not_saved(void **state) {
    (void)state;
    struct ckks_ct bad = kf.ct[2];
    struct ckks_keys twice = *kf.keys;
    struct ckks_ksk key[2] = {kf.keys->key[0], kf.keys->key[0]};
    scratch_empty();
    assert_int_equal(ckks_ct_save(kf.ct, 0, kf.sk->id, NULL, scratch_path("a")), THOR_INTERNAL);
    bad.pending = 1;
    assert_int_equal(ckks_ct_save(&bad, 1, kf.sk->id, NULL, scratch_path("a")), THOR_INTERNAL);
    bad.pending = 0;
    bad.boot = 1;
    assert_int_equal(ckks_ct_save(&bad, 1, kf.sk->id, NULL, scratch_path("a")), THOR_INTERNAL);
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
        cmocka_unit_test(generated_is_saved),
        cmocka_unit_test(some_keys_of_a_file),
        cmocka_unit_test(keys_come_and_go),
        cmocka_unit_test(streamed_keys_are_checked),
        cmocka_unit_test(ciphertext_round_trip),
        cmocka_unit_test(note_round_trip),
        cmocka_unit_test(wide_ciphertext_round_trip),
        cmocka_unit_test(equal_files_from_equal_objects),
        cmocka_unit_test(described),
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(parts_cannot_be_swapped),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(what_is_not_saved),
    };
    return cmocka_run_group_tests_name("serial", tests, keyfiles_open, keyfiles_close);
}
