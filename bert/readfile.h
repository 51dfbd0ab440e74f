/* Whole files, read into memory or mapped. */
#ifndef BERT_READFILE_H
#define BERT_READFILE_H

#include <stddef.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Read a regular file of at most `max` bytes into *text, with a NUL behind it; the caller frees it.
 * `code` is the status of every refusal but THOR_MEMORY. */
int bert_read_file(char **text, size_t *len, const char *path, size_t max, int code);

struct bert_bytes {
    const unsigned char *p;
    size_t n;
};

/* Map a regular, non-empty file for reading. */
int bert_map_file(struct bert_bytes *map, const char *path, int code);
void bert_unmap(struct bert_bytes *map);

int bert_file_exists(const char *path);

/* Length of the valid UTF-8 before the first bad byte: `len` when all of it is valid. */
size_t bert_utf8_valid(const char *text, size_t len);

#ifdef __cplusplus
}
#endif
#endif
