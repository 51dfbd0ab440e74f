#include "bert/readfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utf8proc.h>

static int open_regular(int *fd, size_t *size, const char *path, int code) {
    struct stat info;
    int st = THOR_OK;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a pipe must not hold us here
    if (*fd < 0)
        return thor_fail(code, "%s: cannot be read: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0)
        TRY(thor_fail(code, "%s: cannot be read: %s", path, strerror(errno)));
    if (!S_ISREG(info.st_mode))
        TRY(thor_fail(code, "%s: is not a regular file", path));
    *size = (size_t)info.st_size;
out:
    if (st) {
        close(*fd);
        *fd = -1;
    }
    return st;
}

int bert_read_file(char **text, size_t *len, const char *path, size_t max, int code) {
    int st = THOR_OK, fd = -1;
    size_t size = 0, done = 0;
    char *buf = NULL;
    *text = NULL;
    TRY(open_regular(&fd, &size, path, code));
    if (size > max)
        TRY(thor_fail(code, "%s: %zu bytes, more than the limit of %zu", path, size, max));
    buf = malloc(size + 1);
    if (!buf)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for its %zu bytes", path, size));
    while (done < size) {
        ssize_t got = read(fd, buf + done, size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            TRY(thor_fail(code, "%s: read stopped at byte %zu of %zu", path, done, size));
        done += (size_t)got;
    }
    buf[size] = 0;
    *text = buf;
    *len = size;
    buf = NULL;
out:
    free(buf);
    if (fd >= 0)
        close(fd);
    return st;
}

int bert_map_file(struct bert_bytes *map, const char *path, int code) {
    int st = THOR_OK, fd = -1;
    size_t size = 0;
    void *p;
    *map = (struct bert_bytes){0};
    TRY(open_regular(&fd, &size, path, code));
    if (size == 0)
        TRY(thor_fail(code, "%s: is empty", path));
    p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED)
        TRY(thor_fail(THOR_MEMORY, "%s: cannot be mapped: %s", path, strerror(errno)));
    *map = (struct bert_bytes){p, size};
out:
    if (fd >= 0)
        close(fd);
    return st;
}

void bert_unmap(struct bert_bytes *map) {
    if (map->p)
        munmap((void *)(uintptr_t)map->p, map->n);
    *map = (struct bert_bytes){0};
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
        if (took <= 0)
            break;
        at += (size_t)took;
    }
    return at;
}
