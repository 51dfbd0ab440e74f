/* Faults of the system at every place: each operation runs again and again, its first, second,
 * third .. allocation (or file operation) failing, until it runs through.  After each failure: the
 * status of the fault and one line, no block of memory and no file descriptor left behind, and
 * every file either as before, or new and whole. Beyond the first 100 places of an operation
 * FAULT_PLACES (40) more are tried, evenly spread; 0: all of them. THOR_FULL=0: 25 and 10. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/container.h"
#include "bert/input/table.h"
#include "bert/input/vocab.h"
#include "tests/dose.h"
#include "tests/faults/interpose.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"
#include "tests/synthetic.h"
#include "tests/tinyfiles.h"
#include "tests/toyfolder.h"

#define OK(x) assert_int_equal((x), THOR_OK)

/* made beforehand: nothing of the test itself allocates while a fault is armed */
enum {
    P_SECRET,
    P_PUBLIC,
    P_KEYS,
    P_CIPHER,
    P_CONTAINER,
    P_RANGES,
    P_TABLE,
    P_MODEL,
    P_OUT,
    PATHS
};
static const char *const names[PATHS] = {"secret", "public",      "keys", "cipher", "container",
                                         "ranges", "m/texts.tsv", "m",    "out"};
static char path[PATHS][256];
static struct bert_model *tiny, *toy;
static struct bert_ranges *tiny_ranges, *toy_ranges;

/* ---- operations ---- */

static int op_keys(void) {
    int st = THOR_OK;
    static const struct ckks_need need[] = {{CKKS_KEY_RELIN, 2}, {5, 1}, {CKKS_KEY_TO_SPARSE, 0}};
    struct ckks *cx = NULL;
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    struct ckks_keys *k = NULL;
    TRY(ckks_open(&cx, kf.p, KERN_CPU, KERN_TIER_BEST, 1));
    fault_rows(cx);
    TRY(ckks_secret_new(&s, kf.p, NULL));
    TRY(ckks_public_new(&p, cx, s, NULL));
    TRY(ckks_keys_new(&k, cx, s, need, 3, NULL, NULL, NULL));
out:
    ckks_keys_free(k);
    ckks_public_free(p);
    ckks_secret_free(s);
    ckks_close(cx);
    return st;
}

static int op_compute(void) {
    int st = THOR_OK;
    static double x[512] = {0.5, -0.25}, re[512], im[512];
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {8};
    struct ckks_ct a = {0}, b = {0};
    ckks_rng_init(&rng, seed, 0);
    TRY(ckks_encrypt_secret(&a, kf.cx, x, NULL, 512, 2, kf.sk, &rng));
    TRY(ckks_encrypt_public(&b, kf.cx, x, NULL, 512, 2, kf.pk, &rng));
    TRY(ckks_mul(&a, &a, &b));
    TRY(ckks_add_plain(&a, &a, x, NULL, 2));
    TRY(ckks_rotate(&a, &a, 1));
    TRY(ckks_conj(&b, &a));
    TRY(ckks_decrypt(re, im, &b, kf.sk));
    TRY(ckks_decrypt(re, NULL, &a, kf.sk));
out:
    ckks_ct_free(&a);
    ckks_ct_free(&b);
    return st;
}

static int bootstrap(struct ckks *cx, const struct ckks_secret *s) {
    int st = THOR_OK;
    static double x[2] = {0.5, -0.25};
    struct ckks_rng rng;
    uint8_t seed[CKKS_SEED] = {8};
    struct ckks_ct a = {0};
    struct ckks_boot *b = NULL;
    ckks_rng_init(&rng, seed, 0);
    TRY(ckks_encrypt_secret(&a, cx, x, NULL, 2, 1, s, &rng));
    TRY(ckks_boot_new(&b, cx, 1, 0));
    TRY(ckks_bootstrap(&a, &a, b));
out:
    ckks_boot_free(b);
    ckks_ct_free(&a);
    return st;
}

/* keys of a bootstrap of two slots */
static struct {
    struct ckks *cx;
    struct ckks_keys *keys;
} big;

static int op_dry(void) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    TRY(ckks_open(&dry, kf.p, KERN_DRY, KERN_TIER_BEST, 1));
    TRY(bootstrap(dry, kf.sk));
out:
    ckks_close(dry);
    return st;
}

static int op_bootstrap(void) {
    return bootstrap(big.cx, kf.sk);
}

static int op_save_secret(void) {
    return keyfiles_save(CKKS_FILE_SECRET, names[P_OUT]);
}
static int op_save_public(void) {
    return keyfiles_save(CKKS_FILE_PUBLIC, names[P_OUT]);
}
static int op_save_keys(void) {
    return keyfiles_save(CKKS_FILE_KEYS, names[P_OUT]);
}
static int op_save_cipher(void) {
    return keyfiles_save(CKKS_FILE_CIPHER, names[P_OUT]);
}
static int op_save_container(void) {
    return bert_container_save(path[P_OUT], tiny, tiny_ranges);
}
static int op_save_ranges(void) {
    return bert_ranges_save(tiny_ranges, path[P_OUT]);
}

static int load_secret(const char *name) {
    return keyfiles_load(CKKS_FILE_SECRET, name);
}
static int load_public(const char *name) {
    return keyfiles_load(CKKS_FILE_PUBLIC, name);
}
static int load_keys(const char *name) {
    return keyfiles_load(CKKS_FILE_KEYS, name);
}
static int load_cipher(const char *name) {
    return keyfiles_load(CKKS_FILE_CIPHER, name);
}

static int load_container(const char *name) {
    struct bert_model *m = NULL;
    struct bert_ranges *r = NULL;
    int st = bert_container_load(&m, &r, scratch_path(name));
    bert_model_free(m);
    bert_ranges_free(r);
    return st;
}

static int load_ranges(const char *name) {
    struct bert_ranges *r = NULL;
    int st = bert_ranges_load(&r, scratch_path(name), tiny);
    bert_ranges_free(r);
    return st;
}

static int op_load_secret(void) {
    return load_secret(names[P_SECRET]);
}
static int op_load_public(void) {
    return load_public(names[P_PUBLIC]);
}
static int op_load_keys(void) {
    return load_keys(names[P_KEYS]);
}
static int op_load_cipher(void) {
    return load_cipher(names[P_CIPHER]);
}
static int op_load_container(void) {
    return load_container(names[P_CONTAINER]);
}
static int op_load_ranges(void) {
    return load_ranges(names[P_RANGES]);
}

static int op_load_table(void) {
    struct bert_table *t = NULL;
    int st = bert_table_load(&t, path[P_TABLE], NULL);
    bert_table_free(t);
    return st;
}

static int op_load_model(void) {
    struct bert_model *m = NULL;
    int st = bert_model_load(&m, path[P_MODEL]);
    bert_model_free(m);
    return st;
}

static int op_plan(void) {
    struct bert_plan *p = NULL;
    int st = bert_plan_new(&p, toy, toy_ranges, 32);
    bert_plan_free(p);
    return st;
}

static const struct op {
    const char *name;
    int (*run)(void);
    int code;                       /* status of a file that cannot be read or written */
    int (*check)(const char *name); /* a save: the loader of names[P_OUT] */
} ops[] = {
    {"keys", op_keys, 0, NULL},
    {"compute", op_compute, 0, NULL},
    {"dry run", op_dry, 0, NULL},
    {"bootstrap", op_bootstrap, 0, NULL},
    {"plan", op_plan, 0, NULL},
    {"save secret key", op_save_secret, THOR_IO, load_secret},
    {"save public key", op_save_public, THOR_IO, load_public},
    {"save evaluation keys", op_save_keys, THOR_IO, load_keys},
    {"save ciphertexts", op_save_cipher, THOR_IO, load_cipher},
    {"save container", op_save_container, THOR_IO, load_container},
    {"save ranges", op_save_ranges, THOR_IO, load_ranges},
    {"load secret key", op_load_secret, THOR_IO, NULL},
    {"load public key", op_load_public, THOR_IO, NULL},
    {"load evaluation keys", op_load_keys, THOR_IO, NULL},
    {"load ciphertexts", op_load_cipher, THOR_IO, NULL},
    {"load container", op_load_container, THOR_MODEL, NULL},
    {"load ranges", op_load_ranges, THOR_MODEL, NULL},
    {"load table", op_load_table, THOR_INPUT, NULL},
    {"load model", op_load_model, THOR_MODEL, NULL},
};
enum { OPS = sizeof ops / sizeof *ops };

/* ---- the walk over the places ---- */

static long step(long n, long all) {
    const int more = dose("FAULT_PLACES", dose_small() ? 10 : 40);
    if (n <= (dose_small() ? 25 : 100) || more == 0) return 1;
    return 1 + all / more;
}

static void one_line(const struct op *op, long n) {
    const char *line = thor_error();
    if (!*line || strchr(line, '\n')) fail_msg("%s, place %ld: '%s' is no line", op->name, n, line);
}

static const char old[] = "what was there before";

/* path[P_OUT] before a save: nothing, or an older file. */
static void prepare(int older) {
    remove(path[P_OUT]);
    if (older) scratch_write("out", old, sizeof old, 0600);
}

/* Afterwards: the older file or none (a failed save only), or the new one, whole; and no other
 * file. */
static void check_out(const struct op *op, int older, int st, int files) {
    size_t bytes;
    struct stat s;
    assert_int_equal(scratch_files(), files + (stat(path[P_OUT], &s) == 0));
    if (stat(path[P_OUT], &s) != 0) {
        assert_true(!older && st != THOR_OK);
        return;
    }
    uint8_t *have = scratch_read("out", &bytes);
    int same = older && bytes == sizeof old && memcmp(have, old, bytes) == 0;
    free(have);
    if (!same && op->check(names[P_OUT]) != THOR_OK) fail_msg("%s: %s", op->name, thor_error());
    assert_true(!same || st != THOR_OK);
}

/* A fault at every place; the statuses that may come of it: ok (when it can be survived), a, b. */
static void walk(const struct op *op, enum fault kind, int on, int a, int b) {
    long hits = 0, survived = 0, all = 0;
    const int files = scratch_files() - (access(path[P_OUT], 0) == 0);
    if (op->check) prepare(0);
    fault_arm(kind, 1L << 40, 0); // only counts, and fills what is kept between runs
    OK(op->run());
    all = fault_disarm();
    // mapped files and those of the JSON library pass no read of ours, all else meets every fault
    assert_true(all > 0 || kind == FAULT_SHORT || kind == FAULT_SIGNAL);
    for (long n = 1; n <= all; n += step(n, all), hits++) {
        if (op->check) prepare((int)(n % 2));
        const long live = fault_live();
        const int fds = fault_files();
        thor_fail(0, "%s", "");
        fault_arm(kind, n, on);
        int st = op->run();
        fault_disarm();
        if (st != THOR_OK && st != a && st != b)
            fail_msg("%s, place %ld: status %d (%s)", op->name, n, st, thor_error());
        if (st != THOR_OK) one_line(op, n);
        survived += st == THOR_OK;
        if (fault_live() != live)
            fail_msg("%s, place %ld: %ld blocks left (%s)", op->name, n, fault_live() - live,
                     thor_error());
        if (fault_files() != fds)
            fail_msg("%s, place %ld: a file was left open (%s)", op->name, n, thor_error());
        if (op->check) check_out(op, (int)(n % 2), st, files);
    }
    if (op->check) prepare(0);
    OK(op->run());
    print_message("%s: %ld of %ld places, %ld survived\n", op->name, hits, all, survived);
}

/* The JSON library does not tell memory from damage: its users may say either. */
static void no_memory(void **state) {
    (void)state;
    for (int i = 0; i < OPS; i++)
        for (int on = 0; on < 2; on++)
            walk(&ops[i], FAULT_MEMORY, on, THOR_MEMORY,
                 ops[i].code == THOR_MODEL ? THOR_MODEL : THOR_MEMORY);
}

static void disk_full(void **state) {
    (void)state;
    for (int i = 0; i < OPS; i++)
        if (ops[i].check) walk(&ops[i], FAULT_FULL, 1, THOR_IO, THOR_IO);
}

static void broken_disk(void **state) {
    (void)state;
    for (int i = 0; i < OPS; i++)
        if (ops[i].code) walk(&ops[i], FAULT_IO, 0, ops[i].code, ops[i].code);
}

/* Half of what was asked for, or a signal: no reason to fail. */
static void short_and_interrupted(void **state) {
    (void)state;
    for (int i = 0; i < OPS; i++) {
        if (!ops[i].code) continue;
        walk(&ops[i], FAULT_SHORT, 0, THOR_OK, THOR_OK);
        walk(&ops[i], FAULT_SIGNAL, 0, THOR_OK, THOR_OK);
    }
}

/* ---- set-up ---- */

static int open_big(void) {
    int st = THOR_OK;
    struct ckks *dry = NULL;
    uint8_t seed[CKKS_SEED] = {1};
    TRY(ckks_open(&dry, kf.p, KERN_DRY, KERN_TIER_BEST, 1));
    TRY(bootstrap(dry, kf.sk));
    TRY(ckks_open(&big.cx, kf.p, KERN_CPU, KERN_TIER_BEST, 1));
    TRY(ckks_keys_new(&big.keys, big.cx, kf.sk, dry->needs, dry->n_needs, seed, NULL, NULL));
    ckks_use_keys(big.cx, big.keys);
    fault_rows(big.cx);
out:
    ckks_close(dry);
    return st;
}

static int setup(void **state) {
    if (keyfiles_open(state)) return -1;
    ckks_use_keys(kf.cx, kf.keys);
    fault_rows(kf.cx);
    OK(open_big());
    for (int i = 0; i < PATHS; i++) snprintf(path[i], sizeof path[i], "%s", scratch_path(names[i]));
    for (int kind = 0; kind < 4; kind++) OK(keyfiles_save((enum ckks_file_kind)kind, names[kind]));
    tinyfiles_container(path[P_CONTAINER]);
    tinyfiles_ranges(path[P_RANGES]);
    tiny = tinyfiles_model();
    tiny_ranges = tinyfiles_some_ranges();
    mkdir(path[P_MODEL], 0700);
    toyfolder_write(path[P_MODEL], 8);
    toy = synthetic_columns(7);
    toy_ranges = synthetic_ranges(toy, 60, 32);
    return 0;
}

static int teardown(void **state) {
    bert_ranges_free(toy_ranges);
    bert_ranges_free(tiny_ranges);
    bert_model_free(tiny);
    synthetic_free(toy);
    ckks_keys_free(big.keys);
    ckks_close(big.cx);
    return keyfiles_close(state);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(broken_disk),
        cmocka_unit_test(short_and_interrupted),
    };
    return cmocka_run_group_tests_name("faults", tests, setup, teardown);
}
