/* Files that hold no plain text, known by their first bytes. */
#ifndef BERT_FILEKIND_H
#define BERT_FILEKIND_H

#include <stddef.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* THOR_OK; or `code`, where the n bytes of `path` begin as a compressed file, a table of another
 * program or text in another encoding does: the line says which, and what makes text of it. */
int bert_file_is_text(const char *path, const char *bytes, size_t n, int code);

#ifdef __cplusplus
}
#endif
#endif
