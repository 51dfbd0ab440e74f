/* Reader of .safetensors files.
 *
 *   8 bytes      length L of the header, little endian
 *   L bytes      JSON: {"name": {"dtype": "F16", "shape": [..], "data_offsets": [begin, end]}, ..},
 *                offsets from the end of the header; "__metadata__" is free text
 *   the rest     the tensors, row major, little endian
 *
 * The header is checked in full when the file is opened: every entry well formed, inside the file,
 * its shape times its type as long as its data, no name twice, no byte behind the last tensor.
 */
#ifndef BERT_SAFETENSORS_H
#define BERT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct bert_tensors;

int bert_tensors_open(struct bert_tensors **out, const char *path);
void bert_tensors_close(struct bert_tensors *t); /* NULL is allowed */

int bert_tensors_hash(uint64_t *hash, const struct bert_tensors *t); /* XXH3-64 of the whole file */
int bert_tensors_has(const struct bert_tensors *t, const char *name);

/* Refuse unless tensor `name` is a matrix of rows x cols (a vector of cols when rows is 0) of F32,
 * F16, BF16 or F64.  Allocates nothing. */
int bert_tensors_expect(const struct bert_tensors *t, const char *name, int rows, int cols);

/* Widen such a tensor into w; NaN and infinite values are refused. */
int bert_tensors_read(float *w, const struct bert_tensors *t, const char *name, int rows, int cols);

/* For writers of such files: what it holds, "name": {"dtype", "shape", "data_offsets"}, perhaps
 * with
 * "__metadata__", and n bytes of the data from byte `at` on. */
const json_t *bert_tensors_list(const struct bert_tensors *t);
int bert_tensors_bytes(void *to, const struct bert_tensors *t, size_t n, size_t at);

/* n values of type "F32", "F16", "BF16" (exact) or "F64" (rounded), little endian, as
 * floats. */
void bert_tensors_widen(float *w, const unsigned char *p, size_t n, const char *dtype);
/* The way back for finite x (`to` aligned for the type): 0 when a value is none of that type. */
int bert_tensors_narrow(void *to, const float *x, size_t n, const char *dtype);

#ifdef __cplusplus
}
#endif
#endif
