#include "cli/serve/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ckks/random.h"
#include "cli/cli.h"

static const char *const folders[] = {"keys", "jobs", "gone", "servers", "accounts", "tmp"};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

int store_is_id(const char *text) {
    return strlen(text) == STORE_ID - 1 && strspn(text, "0123456789abcdef") == STORE_ID - 1;
}

void store_random(char id[STORE_ID]) {
    uint8_t seed[CKKS_SEED];
    ckks_random_seed(seed);
    sodium_bin2hex(id, STORE_ID, seed, (STORE_ID - 1) / 2);
}

void store_hash(char id[STORE_ID], const char *part, ...) {
    uint8_t out[(STORE_ID - 1) / 2];
    crypto_generichash_state h;
    va_list ap;
    crypto_generichash_init(&h, NULL, 0, sizeof out);
    va_start(ap, part);
    for (const char *p = part; p; p = va_arg(ap, const char *))
        crypto_generichash_update(&h, (const uint8_t *)p, strlen(p) + 1); // the NUL parts them
    va_end(ap);
    crypto_generichash_final(&h, out, sizeof out);
    sodium_bin2hex(id, STORE_ID, out, sizeof out);
}

void store_path(char out[STORE_PATH], const struct store *s, const char *kind, const char *id,
                const char *name) {
    snprintf(out, STORE_PATH, "%s/%s/%s%s%s", s->dir, kind, id, name ? "/" : "", name ? name : "");
}

int store_exists(const char *path) {
    return access(path, F_OK) == 0;
}

time_t store_time(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mtime : 0;
}

void store_touch(const char *path) {
    utimensat(AT_FDCWD, path, NULL, 0);
}

uint64_t store_free_bytes(const struct store *s) {
    struct statvfs v;
    return statvfs(s->dir, &v) == 0 ? (uint64_t)v.f_bavail * v.f_frsize : UINT64_MAX;
}

int store_note(const char *path, const char *text) {
    const size_t n = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    int whole = fd >= 0 && pwrite(fd, text, n, 0) == (ssize_t)n;
    whole = whole && ftruncate(fd, (off_t)n) == 0;
    if (fd >= 0) close(fd);
    return whole ? THOR_OK
                 : thor_fail(THOR_IO, "%.300s: cannot be written: %s", path, strerror(errno));
}

int store_noted(char *text, int size, const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd >= 0 ? read(fd, text, (size_t)size - 1) : 0;
    if (fd >= 0) close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (int)n : 0;
}

/* ---- one server among several ---- */

int store_open(struct store *s, const char *dir) {
    int st = THOR_OK, made;
    char path[STORE_PATH];
    s->alive = -1;
    if (strlen(dir) >= sizeof s->dir)
        return thor_fail(THOR_USAGE, "--store %.60s..: too long a name", dir);
    snprintf(s->dir, sizeof s->dir, "%s", dir);
    TRY(ckks_random_start());
    TRY(make_private_folder(dir, &made));
    for (int i = 0; i < FOLDERS; i++) {
        snprintf(path, sizeof path, "%s/%s", s->dir, folders[i]);
        TRY(make_private_folder(path, &made));
    }
    store_random(s->server);
    store_path(path, s, "servers", s->server, NULL);
    const int lock = store_lock(s); // no sweep between the file and its lock
    s->alive = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (s->alive < 0 || flock(s->alive, LOCK_EX | LOCK_NB) != 0)
        st = thor_fail(THOR_IO, "%.300s: cannot be written or locked (%s); name another --store",
                       dir, strerror(errno));
    store_unlock(lock);
out:
    return st;
}

void store_close(struct store *s) {
    char path[STORE_PATH];
    if (s->alive < 0) return;
    store_path(path, s, "servers", s->server, NULL);
    unlink(path);
    close(s->alive);
    s->alive = -1;
}

int store_lock(const struct store *s) {
    char path[STORE_PATH];
    snprintf(path, sizeof path, "%s/servers", s->dir);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd >= 0 && flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fd;
}

void store_unlock(int lock) {
    if (lock >= 0) close(lock);
}

/* A server locks its file before it writes its name anywhere. */
int store_is_dead(const struct store *s, const char *server) {
    char path[STORE_PATH];
    if (strcmp(server, s->server) == 0) return 0;
    store_path(path, s, "servers", server, NULL);
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT;
    int dead = flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return dead;
}

/* ---- folders that appear and go at once ---- */

int store_make(char out[STORE_PATH], const struct store *s) {
    static atomic_int number;
    char name[STORE_ID + 16];
    snprintf(name, sizeof name, "%s.%d", s->server, atomic_fetch_add(&number, 1));
    store_path(out, s, "tmp", name, NULL);
    if (mkdir(out, 0700) == 0) return THOR_OK;
    return thor_fail(THOR_IO, "%.300s: cannot be made: %s", out, strerror(errno));
}

void store_discard(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (e->d_name[0] != '.' || strncmp(e->d_name, ".thor-", 6) == 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d) closedir(d);
    rmdir(path);
}

int store_settle(const struct store *s, const char *tmp, const char *kind, const char *id) {
    char path[STORE_PATH];
    store_path(path, s, kind, id, NULL);
    if (rename(tmp, path) == 0) return THOR_OK;
    const int why = errno;
    store_discard(tmp);
    if (why == ENOTEMPTY || why == EEXIST) return 1;
    return thor_fail(THOR_IO, "%.300s: cannot be written: %s", path, strerror(why));
}

void store_remove(const struct store *s, const char *kind, const char *id) {
    char path[STORE_PATH], tmp[STORE_PATH];
    store_path(path, s, kind, id, NULL);
    if (store_make(tmp, s) == THOR_OK && rename(path, tmp) != 0) rmdir(tmp);
    store_discard(tmp);
}

void store_bury(const struct store *s, const char *id, const char *owner) {
    char path[STORE_PATH];
    store_path(path, s, "gone", id, NULL);
    store_note(path, owner);
}

int store_is_gone(const struct store *s, const char *id, const char *owner) {
    char path[STORE_PATH], whose[64];
    store_path(path, s, "gone", id, NULL);
    return store_noted(whose, sizeof whose, path) && strcmp(whose, owner) == 0;
}

int store_list(char (*id)[STORE_ID], int most, const struct store *s, const char *kind,
               const char *after) {
    char path[STORE_PATH];
    int n = 0;
    snprintf(path, sizeof path, "%s/%s", s->dir, kind);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        int at = n;
        if (!store_is_id(e->d_name) || (after && strcmp(e->d_name, after) <= 0)) continue;
        while (at > 0 && strcmp(id[at - 1], e->d_name) > 0) at--; // the `most` smallest, in order
        if (at == most) continue;
        const int moved = (n < most ? n : most - 1) - at;
        memmove(id[at + 1], id[at], (size_t)moved * sizeof *id);
        memcpy(id[at], e->d_name, STORE_ID);
        n += n < most;
    }
    if (d) closedir(d);
    return n;
}

static void sweep_tmp(const struct store *s, const char *name) {
    char server[STORE_ID], path[STORE_PATH];
    snprintf(server, sizeof server, "%.32s", name);
    if (!store_is_id(server) || strcmp(server, s->server) == 0 || !store_is_dead(s, server)) return;
    store_path(path, s, "tmp", name, NULL);
    store_discard(path);
}

static void sweep_folder(const struct store *s, const char *kind, time_t before) {
    char path[STORE_PATH];
    snprintf(path, sizeof path, "%s/%s", s->dir, kind);
    DIR *d = opendir(path);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
        store_path(path, s, kind, e->d_name, NULL);
        if (strcmp(kind, "tmp") == 0)
            sweep_tmp(s, e->d_name);
        else if (!store_is_id(e->d_name))
            continue; // nothing of ours: --store may name a folder that was there
        else if (strcmp(kind, "servers") == 0 ? store_is_dead(s, e->d_name)
                                              : store_time(path) < before)
            unlink(path);
    }
    if (d) closedir(d);
}

void store_sweep(const struct store *s, time_t gone_before) {
    const int lock = store_lock(s);
    sweep_folder(s, "tmp", 0);
    sweep_folder(s, "gone", gone_before);
    sweep_folder(s, "servers", 0);
    store_unlock(lock);
}

const char *plain_error(void) {
    static const char *const files[] = {"request.ct: ", "part: ", "eval.key: "};
    const char *line = thor_error();
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        const char *at = strstr(line, files[i]);
        if (at) return at + strlen(files[i]);
    }
    return strchr(line, '/') ? "internal: the server's log has more" : line;
}
