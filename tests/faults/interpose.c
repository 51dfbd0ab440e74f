#include "tests/faults/interpose.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static enum fault armed;
static long at, seen;
static int sticky;
static _Atomic long live;

void fault_arm(enum fault kind, long n, int on) {
    at = n, seen = 0, sticky = on;
    armed = kind;
}

long fault_disarm(void) {
    armed = FAULT_NONE;
    return seen;
}

static int hit(enum fault kind) {
    if (armed != kind) return 0;
    seen++;
    return sticky ? seen >= at : seen == at;
}

long fault_live(void) {
    return live;
}

int fault_files(void) {
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (d && readdir(d)) n++;
    if (d) closedir(d);
    return n;
}

/* ---- memory.  Under the address sanitizer only calls of our code pass here (ld --wrap) ---- */

#ifdef __SANITIZE_ADDRESS__
#define OURS(name) __wrap_##name
#define REAL(name) __real_##name
#else
#define OURS(name) name
#define REAL(name) __libc_##name
#endif
void *REAL(malloc)(size_t n);
void *REAL(calloc)(size_t n, size_t each);
void *REAL(realloc)(void *p, size_t n);
void *OURS(malloc)(size_t n);
void *OURS(calloc)(size_t n, size_t each);
void *OURS(realloc)(void *p, size_t n);

/* The OpenMP runtime ends the process when it gets no memory: that is not ours to test. */
static int no_memory(const void *caller) {
    Dl_info from;
    if (armed != FAULT_MEMORY) return 0;
    if (dladdr(caller, &from) && from.dli_fname && strstr(from.dli_fname, "libgomp")) return 0;
    return hit(FAULT_MEMORY);
}

static void *none(void) {
    errno = ENOMEM;
    return NULL;
}

static void *counted(void *p) {
#ifndef __SANITIZE_ADDRESS__
    live += p != NULL;
#endif
    return p;
}

void *OURS(malloc)(size_t n) {
    return no_memory(__builtin_return_address(0)) ? none() : counted(REAL(malloc)(n));
}

void *OURS(calloc)(size_t n, size_t each) {
    return no_memory(__builtin_return_address(0)) ? none() : counted(REAL(calloc)(n, each));
}

void *OURS(realloc)(void *p, size_t n) {
    if (no_memory(__builtin_return_address(0))) return none();
    void *q = REAL(realloc)(p, n);
#ifndef __SANITIZE_ADDRESS__
    live += !p && q;
#endif
    return q;
}

#ifndef __SANITIZE_ADDRESS__
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void free(void *p) {
    live -= p != NULL;
    __libc_free(p);
}

void *memalign(size_t align, size_t n) {
    return no_memory(__builtin_return_address(0)) ? none() : counted(__libc_memalign(align, n));
}

void *aligned_alloc(size_t align, size_t n) {
    return memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n) {
    void *q = memalign(align, n);
    if (!q) return ENOMEM;
    *p = q;
    return 0;
}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t offset) {
    if (no_memory(__builtin_return_address(0))) return none(), MAP_FAILED;
    return (void *)syscall(SYS_mmap, p, n, prot, flags, fd, offset);
}
#endif

static int (*real_rows)(struct kernels *k, uint32_t **p, size_t rows);

static int rows(struct kernels *k, uint32_t **p, size_t n) {
    return hit(FAULT_MEMORY) ? thor_fail(THOR_MEMORY, "no memory for %zu rows", n)
                             : real_rows(k, p, n);
}

void fault_rows(struct ckks *cx) {
    if (cx->k->alloc == rows) return;
    real_rows = cx->k->alloc;
    cx->k->alloc = rows;
}

/* ---- files ---- */

static int broken(void) {
    if (!hit(FAULT_IO)) return 0;
    errno = EIO;
    return 1;
}

static int interrupted(void) {
    if (!hit(FAULT_SIGNAL)) return 0;
    errno = EINTR;
    return 1;
}

int open(const char *path, int flags, ...) {
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return broken() ? -1 : (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* The JSON library opens its files with it. */
FILE *fopen(const char *path, const char *mode) {
    int fd = open(path, *mode == 'r' ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0666);
    FILE *f = fd < 0 ? NULL : fdopen(fd, mode);
    if (!f && fd >= 0) syscall(SYS_close, fd);
    return f;
}

ssize_t write(int fd, const void *data, size_t n) {
    if (fd <= 2) return syscall(SYS_write, fd, data, n);
    if (hit(FAULT_FULL)) {
        errno = ENOSPC;
        return -1;
    }
    if (broken() || interrupted()) return -1;
    if (hit(FAULT_SHORT)) n = (n + 1) / 2;
    return syscall(SYS_write, fd, data, n);
}

ssize_t read(int fd, void *data, size_t n) {
    if (broken() || interrupted()) return -1;
    if (hit(FAULT_SHORT)) n = (n + 1) / 2;
    return syscall(SYS_read, fd, data, n);
}

int fsync(int fd) {
    return broken() ? -1 : (int)syscall(SYS_fsync, fd);
}

int fchmod(int fd, mode_t mode) {
    return broken() ? -1 : (int)syscall(SYS_fchmod, fd, mode);
}

int rename(const char *from, const char *to) {
    return broken() ? -1 : (int)syscall(SYS_rename, from, to);
}

int close(int fd) { // closed even when it fails, as the system does
    int bad = broken(), r = (int)syscall(SYS_close, fd);
    if (bad) errno = EIO;
    return bad ? -1 : r;
}
