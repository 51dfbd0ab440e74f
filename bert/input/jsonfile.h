/* JSON of files, read within bounds: what a tree of values may take in memory is known before one
 * is built. */
#ifndef BERT_JSONFILE_H
#define BERT_JSONFILE_H

#include <stddef.h>

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Values (numbers, texts, arrays, objects) in a tree: a value takes about 100 bytes at most beside
 * its own text, so that these trees stay below 10, 100 and 250 MB. */
enum { BERT_JSON_SMALL = 100000, BERT_JSON_LARGE = 1000000, BERT_JSON_VOCAB = 2500000 };
#define BERT_JSON_DEPTH 64 /* arrays and objects inside each other */

/* *o from len bytes of text, the only way to it; names of an object must differ.  `flags` are
 * jansson's.  A refusal has status `code` and says why, with the line where there are several. */
int bert_json_parse(json_t **o, const char *text, size_t len, int max_values, size_t flags,
                    int code);

/* The same from a regular file of at most max_bytes, which a refusal names; what it holds must be
 * an object. */
int bert_json_read(json_t **o, const char *path, size_t max_bytes, int max_values, size_t flags,
                   int code);

/* Writes root, which it takes (NULL: there was no memory for it), as a file that appears whole. */
int bert_json_save(json_t *root, const char *path);

#ifdef __cplusplus
}
#endif
#endif
