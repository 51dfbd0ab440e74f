/* Writer of .safetensors files (bert/input/safetensors.h): first the list of tensors, then their
 * data in the same order. */
#ifndef SPLIT_TENSORFILE_H
#define SPLIT_TENSORFILE_H

#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "ckks/file.h"

#ifdef __cplusplus
extern "C" {
#endif

struct split_tensor_list {
    json_t *header;
    uint64_t bytes; /* of all data so far */
};

int split_list_begin(struct split_tensor_list *l);
/* `shape` is a JSON list, which stays the caller's; `bytes` its data's. */
int split_list_add(struct split_tensor_list *l, const char *name, const char *dtype,
                   const json_t *shape, uint64_t bytes);
/* A matrix of F32; rows 0: a vector. */
int split_list_add_f32(struct split_tensor_list *l, const char *name, int rows, int cols);
void split_list_end(struct split_tensor_list *l);

/* Creates the file with its header; the data follow by ckks_file_write and ckks_file_commit. */
int split_list_create(struct ckks_file_out **f, const struct split_tensor_list *l, const char *path,
                      enum ckks_file_access access);
/* n doubles as F32, each rounded; THOR_RANGE where one is no finite float. */
int split_write_f32(struct ckks_file_out *f, const double *x, size_t n);

#ifdef __cplusplus
}
#endif
#endif
