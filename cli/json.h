/* JSON objects on stdout and in files.  Both take the object; NULL is one that no memory was
 * for. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A text; bytes that are no UTF-8 become U+FFFD.  NULL: no memory. */
json_t *json_bytes(const char *bytes, size_t n);
/* With a newline behind; flags of json_dumps. */
int put_object(json_t *o, size_t flags);
/* How files are written: indented. */
#define JSON_FILE (JSON_INDENT(2) | JSON_REAL_PRECISION(9))
/* Whole or not at all. */
int save_object(json_t *o, const char *path);
/* The same for the owner alone (0600); flags of json_dumps; the text is wiped, o stays. */
int save_private(const json_t *o, const char *path, size_t flags);
/* What save_object wrote, which is small; a refusal has status `code`. */
int load_object(json_t **o, const char *path, int code);

#ifdef __cplusplus
}
#endif
#endif
