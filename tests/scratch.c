#include "tests/scratch.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[512];

int scratch_open(void **state) {
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/thor-test-XXXXXX", base && *base ? base : P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

const char *scratch_path(const char *name) {
    static char path[64][1024];
    static int turn;
    turn = (turn + 1) % 64;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int each(int remove_them) {
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        n++;
        if (remove_them) remove(scratch_path(e->d_name));
    }
    if (d) closedir(d);
    return n;
}

int scratch_files(void) {
    return each(0);
}

void scratch_empty(void) {
    each(1);
}

static int remove_one(const char *path, const struct stat *s, int kind, struct FTW *at) {
    (void)s, (void)kind, (void)at;
    return remove(path);
}

int scratch_close(void **state) {
    (void)state;
    return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

uint8_t *scratch_read(const char *name, size_t *bytes) {
    struct stat s;
    int fd = open(scratch_path(name), O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &s), 0);
    *bytes = (size_t)s.st_size;
    uint8_t *data = malloc(*bytes + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, *bytes), s.st_size);
    close(fd);
    return data;
}

void scratch_write(const char *name, const void *data, size_t bytes, unsigned mode) {
    int fd = open(scratch_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), (ssize_t)bytes);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
}
