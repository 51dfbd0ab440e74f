#include "bert/input/readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>
#include <xxhash.h>

enum { PIECE = 1 << 20 };

static int open_regular(int *fd, size_t *size, const char *path, int code) {
    struct stat info;
    int st = THOR_OK;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not hold us here
    if (*fd < 0) return thor_fail(code, "%s: cannot be read: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0)
        TRY(thor_fail(code, "%s: cannot be read: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode)) TRY(thor_fail(code, "%s: is not a regular file", path));
    *size = (size_t)info.st_size;
out:
    if (st) {
        close(*fd);
        *fd = -1;
    }
    return st;
}

/* A file may shrink while it is read; the end of a mapping would then kill the program. */
int bert_file_read(const struct bert_file *f, void *to, size_t n, size_t at) {
    size_t done = 0;
    while (done < n) {
        ssize_t got = pread(f->fd, (char *)to + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return thor_fail(f->code, "%s: cannot be read: %s", f->path, strerror(errno));
        if (got == 0)
            return thor_fail(f->code,
                             "%s: read stopped at byte %zu of %zu: it has become shorter, "
                             "copy it again",
                             f->path, at + done, f->n);
        done += (size_t)got;
    }
    return THOR_OK;
}

int bert_file_open(struct bert_file *f, const char *path, int code) {
    *f = (struct bert_file){.fd = -1, .path = path, .code = code};
    return open_regular(&f->fd, &f->n, path, code);
}

void bert_file_close(struct bert_file *f) {
    if (f->path && f->fd >= 0) close(f->fd);
    *f = (struct bert_file){.fd = -1};
}

int bert_file_hash(uint64_t *hash, const struct bert_file *f) {
    int st = THOR_OK;
    char *piece = malloc(PIECE);
    XXH3_state_t *state = XXH3_createState();
    if (!piece || !state) TRY(thor_fail(THOR_MEMORY, "%s: no memory to read it", f->path));
    XXH3_64bits_reset(state);
    for (size_t at = 0; at < f->n; at += PIECE) {
        const size_t n = f->n - at < PIECE ? f->n - at : PIECE;
        TRY(bert_file_read(f, piece, n, at));
        XXH3_64bits_update(state, piece, n);
    }
    *hash = XXH3_64bits_digest(state);
out:
    XXH3_freeState(state);
    free(piece);
    return st;
}

int bert_read_file(char **text, size_t *len, const char *path, size_t max, int code) {
    int st = THOR_OK;
    struct bert_file f;
    char *buf = NULL;
    *text = NULL;
    TRY(bert_file_open(&f, path, code));
    if (f.n > max)
        TRY(thor_fail(code, "%s: %zu bytes, more than the limit of %zu", path, f.n, max));
    buf = malloc(f.n + 1);
    if (!buf) TRY(thor_fail(THOR_MEMORY, "%s: no memory for its %zu bytes", path, f.n));
    TRY(bert_file_read(&f, buf, f.n, 0));
    buf[f.n] = 0;
    *text = buf;
    *len = f.n;
    buf = NULL;
out:
    free(buf);
    bert_file_close(&f);
    return st;
}

int bert_read_stdin(char **text, size_t *len, size_t max, int code) {
    int st = THOR_OK;
    size_t n = 0, room = PIECE;
    char *all = malloc(room + 1);
    *text = NULL;
    for (ssize_t got = 1; all && got != 0;) {
        got = read(STDIN_FILENO, all + n, room - n);
        if (got < 0 && errno != EINTR)
            TRY(thor_fail(code, "standard input: cannot be read: %s", strerror(errno)));
        n += got > 0 ? (size_t)got : 0;
        if (n > max) TRY(thor_fail(code, "standard input: more than the limit of %zu bytes", max));
        if (n < room) continue;
        char *more = realloc(all, 2 * room + 1);
        if (!more) TRY(thor_fail(THOR_MEMORY, "standard input: no memory for it"));
        all = more;
        room *= 2;
    }
    if (!all) TRY(thor_fail(THOR_MEMORY, "standard input: no memory for it"));
    all[n] = 0;
    *text = all;
    *len = n;
    all = NULL;
out:
    free(all);
    return st;
}

int bert_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

size_t bert_utf8_valid(const char *text, size_t len) {
    size_t at = 0;
    while (at < len) {
        utf8proc_int32_t c;
        utf8proc_ssize_t took =
            utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(len - at), &c);
        if (took <= 0) break;
        at += (size_t)took;
    }
    return at;
}
