#include "ckks/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct ckks_file_out {
    int fd, lock; /* lock: the same open file, until it has its name */
    enum ckks_file_access access;
    char *path, *temp, *folder;
};

struct ckks_file_in {
    int fd;
    uint64_t bytes;
    char *path;
};

enum { NAME_SHOWN = 200, CHUNK = 1 << 30 };

const char *ckks_file_name(const char *path) {
    size_t n = strlen(path);
    return n > NAME_SHOWN ? path + n - NAME_SHOWN : path;
}

static int io_error(const char *path, const char *what) {
    int e = errno;
    return thor_fail(THOR_IO, "%s: cannot %s: %s", ckks_file_name(path), what, strerror(e));
}

/* ---- writing ---- */

/* Begins the file as those of keys do (serial.c)?  1: of a secret key, also of SEAL (sealfile.c),
 * whose plaintexts have another scale than 1; 2: of public or evaluation keys; -1: it cannot be
 * read, errno says why. */
static int holds_keys(const char *path) {
    static const char *const kinds[] = {"THORSECR", "THORPUBL", "THOREVAL"};
    static const char seal[] = {0x5E, (char)0xA1, 16, 4};
    const double one = 1;
    char begin[64] = "";
    size_t have = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return -1;
    for (ssize_t n = 1; n > 0 && have < sizeof begin;) {
        n = read(fd, begin + have, sizeof begin - have);
        if (n < 0 && errno == EINTR)
            n = 1;
        else if (n < 0)
            have = sizeof begin + 1;
        else
            have += (size_t)n;
    }
    int e = errno;
    close(fd);
    errno = e;
    if (have > sizeof begin) return -1;
    for (int i = 0; i < 3; i++)
        if (memcmp(begin, kinds[i], 8) == 0) return i ? 2 : 1;
    return memcmp(begin, seal, sizeof seal) == 0 && memcmp(begin + 56, &one, sizeof one) == 0;
}

static int in_the_way(const char *path, enum ckks_file_access access) {
    struct stat s;
    if (stat(path, &s) != 0) return THOR_OK;
    if (!S_ISREG(s.st_mode))
        return thor_fail(THOR_IO, "%s: cannot write: it is no regular file; give another name",
                         ckks_file_name(path));
    int keys = holds_keys(path);
    if (keys < 0) return io_error(path, "see whether it holds keys, which are not replaced");
    if (keys == 1 || (keys == 2 && access != CKKS_FILE_OF_KEYS))
        return thor_fail(THOR_IO, "%s: holds %s and is not replaced; give another name",
                         ckks_file_name(path), keys == 1 ? "a secret key" : "keys");
    return THOR_OK;
}

int ckks_file_free(const char *path) {
    return in_the_way(path, CKKS_FILE_SHARED);
}

/* ---- temporary files: FOLDER/.thor-<16 hex digits>.tmp, locked by their writer as long as it
 * lives ---- */

static int is_temp(const char *name) {
    return strncmp(name, ".thor-", 6) == 0 && strspn(name + 6, "0123456789abcdef") == 16 &&
           strcmp(name + 22, ".tmp") == 0;
}

static void remove_if_stale(int folder, const char *name) {
    struct stat s;
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (fstat(fd, &s) == 0 && S_ISREG(s.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0)
        unlinkat(folder, name, 0);
    close(fd);
}

/* What programs that were killed while they wrote have left; where there are no locks, all
 * stays. */
static void remove_stale(const char *folder) {
    DIR *d = opendir(folder);
    for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
        if (is_temp(e->d_name)) remove_if_stale(dirfd(d), e->d_name);
    if (d) closedir(d);
}

/* 1 when the file is ours; 0 when somebody took it for stale between its creation and the lock. */
static int lock_temp(int fd) {
    struct stat s;
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR) {
    }
    return fstat(fd, &s) != 0 || s.st_nlink > 0;
}

/* folder = the part of path up to its last '/', or ".". */
static int name_files(struct ckks_file_out *f, const char *path) {
    const char *slash = strrchr(path, '/');
    int n = slash ? (int)(slash - path) + 1 : 2;
    f->path = strdup(path);
    if (asprintf(&f->folder, "%.*s", n, slash ? path : "./") < 0) f->folder = NULL;
    return f->path && f->folder ? THOR_OK : thor_fail(THOR_MEMORY, "no memory to write a file");
}

/* A new file under a new name. */
static int open_temp(struct ckks_file_out *f, mode_t mode) {
    uint64_t salt;
    do {
        if (f->fd >= 0) close(f->fd);
        free(f->temp);
        randombytes_buf(&salt, sizeof salt);
        if (asprintf(&f->temp, "%s.thor-%016llx.tmp", f->folder, (unsigned long long)salt) < 0) {
            f->temp = NULL;
            return thor_fail(THOR_MEMORY, "no memory to write a file");
        }
        f->fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (f->fd < 0) return io_error(f->path, "write");
    } while (!lock_temp(f->fd));
    return THOR_OK;
}

static void free_out(struct ckks_file_out *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->lock >= 0) close(f->lock);
    free(f->path);
    free(f->temp);
    free(f->folder);
    free(f);
}

int ckks_file_create(struct ckks_file_out **out, const char *path, enum ckks_file_access access) {
    int st = THOR_OK;
    mode_t mode = access == CKKS_FILE_PRIVATE ? 0600 : 0666;
    struct ckks_file_out *f = calloc(1, sizeof *f);
    if (!f) return thor_fail(THOR_MEMORY, "no memory to write a file");
    f->fd = f->lock = -1;
    f->access = access;
    TRY(in_the_way(path, access));
    TRY(name_files(f, path));
    remove_stale(f->folder);
    TRY(open_temp(f, mode));
    if (access == CKKS_FILE_PRIVATE &&
        fchmod(f->fd, mode) != 0) { // also under a umask that takes too much
        st = io_error(path, "make private");
        unlink(f->temp);
        goto out;
    }
    *out = f;
    f = NULL;
out:
    if (f) free_out(f);
    return st;
}

int ckks_file_write(struct ckks_file_out *f, const void *data, size_t bytes) {
    const uint8_t *from = data;
    while (bytes > 0) {
        ssize_t n = write(f->fd, from, bytes < CHUNK ? bytes : CHUNK);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            if (n == 0) errno = ENOSPC;
            return io_error(f->path, "write");
        }
        from += n;
        bytes -= (size_t)n;
    }
    return THOR_OK;
}

static int sync_folder(const struct ckks_file_out *f) {
    int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error(f->path, "open its folder");
    int bad = fsync(fd) != 0 && errno != EINVAL; // some file systems have no fsync of folders
    int st = bad ? io_error(f->path, "flush its folder") : THOR_OK;
    close(fd);
    return st;
}

int ckks_file_commit(struct ckks_file_out **file) {
    int st = THOR_OK, closed;
    struct ckks_file_out *f = *file;
    if (fsync(f->fd) != 0) {
        st = io_error(f->path, "flush to the disk");
        goto out;
    }
    f->lock = fcntl(f->fd, F_DUPFD_CLOEXEC, 0); // keeps the lock until the file has its name
    closed = close(f->fd);
    f->fd = -1;
    if (closed != 0) {
        st = io_error(f->path, "close");
        goto out;
    }
    TRY(in_the_way(f->path, f->access));
    if (rename(f->temp, f->path) != 0) {
        st = io_error(f->path, "rename to its name");
        goto out;
    }
    *file = NULL;
    st = sync_folder(f);
    free_out(f);
    return st;
out:
    ckks_file_abandon(file);
    return st;
}

void ckks_file_abandon(struct ckks_file_out **file) {
    struct ckks_file_out *f = *file;
    *file = NULL;
    if (!f) return;
    unlink(f->temp);
    free_out(f);
}

/* ---- reading ---- */

static int check_private(const char *path, const struct stat *s) {
    if ((s->st_mode & 077) == 0) return THOR_OK;
    const char *name = ckks_file_name(path);
    return thor_fail(THOR_KEY,
                     "%s: other users can reach this secret (mode %03o); run chmod 600 %s", name,
                     (unsigned)(s->st_mode & 0777), name);
}

int ckks_file_open(struct ckks_file_in **out, const char *path, enum ckks_file_access access) {
    int st = THOR_OK;
    struct stat s;
    struct ckks_file_in *f = calloc(1, sizeof *f);
    if (!f) return thor_fail(THOR_MEMORY, "no memory to read a file");
    f->path = strdup(path);
    f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not hold us here
    if (!f->path) {
        st = thor_fail(THOR_MEMORY, "no memory to read a file");
        goto out;
    }
    if (f->fd < 0 || fstat(f->fd, &s) != 0) {
        st = io_error(path, "read");
        goto out;
    }
    if (!S_ISREG(s.st_mode)) {
        st = thor_fail(THOR_IO, "%s: cannot read: it is no regular file", ckks_file_name(path));
        goto out;
    }
    if (access == CKKS_FILE_PRIVATE) TRY(check_private(path, &s));
    f->bytes = (uint64_t)s.st_size;
    posix_fadvise(f->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    *out = f;
    f = NULL;
out:
    ckks_file_close(&f);
    return st;
}

uint64_t ckks_file_bytes(const struct ckks_file_in *f) {
    return f->bytes;
}

const char *ckks_file_path(const struct ckks_file_in *f) {
    return f->path;
}

int ckks_file_read(struct ckks_file_in *f, void *data, size_t bytes) {
    uint8_t *to = data;
    while (bytes > 0) {
        ssize_t n = read(f->fd, to, bytes < CHUNK ? bytes : CHUNK);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return io_error(f->path, "read");
        if (n == 0)
            return thor_fail(THOR_KEY,
                             "ended while it was read: it has become shorter, copy it again");
        to += n;
        bytes -= (size_t)n;
    }
    return THOR_OK;
}

int ckks_file_seek(struct ckks_file_in *f, uint64_t at) {
    return lseek(f->fd, (off_t)at, SEEK_SET) == (off_t)at ? THOR_OK : io_error(f->path, "read");
}

void ckks_file_close(struct ckks_file_in **file) {
    struct ckks_file_in *f = *file;
    *file = NULL;
    if (!f) return;
    if (f->fd >= 0) close(f->fd);
    free(f->path);
    free(f);
}
