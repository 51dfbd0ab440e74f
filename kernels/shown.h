/* Text of others, such as names of files, as it may be printed: valid UTF-8 stays as it is, but
 * what commands a terminal, starts another line or turns the direction of text is escaped: C0, DEL,
 * C1, U+061C, U+200E, U+200F, U+2028 to U+202E and U+2066 to U+2069 as \uXXXX, bytes that are no
 * UTF-8 as \xXX.  Inside a JSON string \uXXXX means the same character. */
#ifndef THOR_KERNELS_SHOWN_H
#define THOR_KERNELS_SHOWN_H

#include <stddef.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As much of `text` as fits in `size` bytes with the NUL; no character is cut.  Returns out. */
char *shown_in(char *out, size_t size, const char *text);
/* The same ("" of NULL), up to 4,300 bytes of it, in memory of this thread: the four latest results
 * stay. */
const char *shown(const char *text);
/* All of it to a stream; failed writes show in ferror. */
void shown_put(FILE *f, const char *text);

#ifdef __cplusplus
}
#endif
#endif
