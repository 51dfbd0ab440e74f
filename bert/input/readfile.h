/* Files read whole into memory, or piece by piece. */
#ifndef BERT_READFILE_H
#define BERT_READFILE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Read a regular file of at most `max` bytes into *text, with a NUL behind it; the caller frees it.
 * `code` is the status of every refusal but THOR_MEMORY. */
int bert_read_file(char **text, size_t *len, const char *path, size_t max, int code);

/* The same of standard input, to its end. */
int bert_read_stdin(char **text, size_t *len, size_t max, int code);

/* A regular file that is read piece by piece, never mapped: one that shrinks meanwhile is refused
 * with `code` and a line that names it, where a mapping would end the program by SIGBUS. */
struct bert_file {
    int fd;
    size_t n; /* bytes, when it was opened */
    const char *path;
    int code;
};

/* `path` is kept and must stay; on failure *f is closed. */
int bert_file_open(struct bert_file *f, const char *path, int code);
/* Exactly the n bytes from byte `at` on. */
int bert_file_read(const struct bert_file *f, void *to, size_t n, size_t at);
int bert_file_hash(uint64_t *hash, const struct bert_file *f); /* XXH3-64 of all of it */
void bert_file_close(struct bert_file *f);                     /* also of one set to zero */

int bert_file_exists(const char *path);

/* Length of the valid UTF-8 before the first bad byte: `len` when all of it is valid. */
size_t bert_utf8_valid(const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
