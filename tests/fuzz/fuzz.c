#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/keyfiles.h"

static char fd_path[32], folder[32], link_path[128];
static int fd = -1;

void fuzz_broken(const char *file, int line, const char *what) {
    fprintf(stderr, "%s:%d: does not hold: %s (last error: %s)\n", file, line, what, thor_error());
    abort();
}

const char *fuzz_file(const uint8_t *data, size_t size) {
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        FUZZ_MUST(fd >= 0 && fchmod(fd, 0600) == 0);
        snprintf(fd_path, sizeof fd_path, "/proc/self/fd/%d", fd);
    }
    FUZZ_MUST(ftruncate(fd, 0) == 0);
    FUZZ_MUST(pwrite(fd, data, size, 0) == (ssize_t)size);
    return fd_path;
}

static void remove_folder(void) {
    unlink(link_path);
    rmdir(folder);
}

const char *fuzz_folder(const char *name, const uint8_t *data, size_t size) {
    const char *file = fuzz_file(data, size);
    if (!folder[0]) {
        strcpy(folder, "/tmp/thor-fuzz-XXXXXX");
        FUZZ_MUST(mkdtemp(folder));
        snprintf(link_path, sizeof link_path, "%s/%s", folder, name);
        FUZZ_MUST(symlink(file, link_path) == 0);
        atexit(remove_folder);
    }
    return folder;
}

void fuzz_verdict(int st, int code) {
    const char *line = thor_error();
    if (st == THOR_OK) return;
    FUZZ_MUST(st == code);
    FUZZ_MUST(*line);
    for (; *line; line++) FUZZ_MUST(!iscntrl((unsigned char)*line));
}

/* ---- files of keys and ciphertexts ---- */

struct ckks *fuzz_ring(void) {
    static struct ckks *cx;
    const struct ckks_params *p;
    if (!cx) {
        FUZZ_MUST(ckks_params_get(&p, "toy10", 1) == THOR_OK);
        FUZZ_MUST(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1) == THOR_OK);
    }
    return cx;
}

/* A ciphertext that was taken can be computed with. */
static void use(const struct ckks_ct *ct, int n) {
    static double re[512];
    static struct ckks_secret *s;
    uint8_t seed[CKKS_SEED] = {1};
    struct ckks_ct twice = {0};
    if (!s) FUZZ_MUST(ckks_secret_new(&s, fuzz_ring()->params, seed) == THOR_OK);
    for (int i = 0; i < n; i++) {
        FUZZ_MUST(ckks_add(&twice, &ct[i], &ct[i]) == THOR_OK);
        FUZZ_MUST(ckks_decrypt(re, NULL, &twice, s) == THOR_OK);
    }
    ckks_ct_free(&twice);
}

static void load(enum ckks_file_kind kind, const char *path) {
    fuzz_verdict(keyfiles_load_path(kind, fuzz_ring(), path, use), THOR_KEY);
}

static void describe(const char *path) {
    struct serial_head h;
    int st = ckks_file_describe(&h, path);
    fuzz_verdict(st, THOR_KEY);
    if (st == THOR_OK) serial_free(&h);
}

void fuzz_keyfile(enum ckks_file_kind kind, const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    uint64_t bytes = size;
    describe(fuzz_file(data, size));
    load(kind, fd_path);
    FUZZ_MUST(copy);
    memcpy(copy, data, size);
    if (size >= HEAD) { // the bytes behind the checksums are reached too
        memcpy(copy + AT_BYTES, &bytes, sizeof bytes);
        reseal(copy, size);
        describe(fuzz_file(copy, size));
        load(kind, fd_path);
    }
    free(copy);
}
