/* Whole files.  A written file appears complete under its name or not at all: it grows under a
 * temporary name in the same folder, is flushed to the disk, then renamed; what a killed program
 * left of that kind goes when the next file is written to the folder.  A read file is a regular
 * file of known size. */
#ifndef THOR_CKKS_FILE_H
#define THOR_CKKS_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ckks_file_access {
    CKKS_FILE_SHARED,  /* 0666 less the umask */
    CKKS_FILE_OF_KEYS, /* the same, of public or evaluation keys: may replace such a file */
    /* 0600 from its creation; refused for reading when others have any right to it */
    CKKS_FILE_PRIVATE
};

/* ---- writing: create, write .. write, then commit or abandon ---- */
struct ckks_file_out;
/* THOR_IO when the folder refuses, or when `path` is there and no regular file, or a file of keys
 * by its content: a secret key is never replaced, public and evaluation keys only by such. */
int ckks_file_create(struct ckks_file_out **out, const char *path, enum ckks_file_access access);
/* That refusal of a file without keys, before the work whose result is to be written. */
int ckks_file_free(const char *path);
int ckks_file_write(struct ckks_file_out *f, const void *data, size_t bytes);
/* Flushes, renames and frees *f; on failure nothing remains and an older file of that name is
 * untouched. */
int ckks_file_commit(struct ckks_file_out **f);
/* Removes the temporary file and frees *f; NULL is allowed. */
void ckks_file_abandon(struct ckks_file_out **f);

/* ---- reading ---- */
struct ckks_file_in;
int ckks_file_open(struct ckks_file_in **out, const char *path, enum ckks_file_access access);
uint64_t ckks_file_bytes(const struct ckks_file_in *f); /* when it was opened */
const char *ckks_file_path(const struct ckks_file_in *f);
/* Exactly the next `bytes`.  THOR_KEY, in a line without the file's name, when it ends before. */
int ckks_file_read(struct ckks_file_in *f, void *data, size_t bytes);
/* The next read begins at byte `at`. */
int ckks_file_seek(struct ckks_file_in *f, uint64_t at);
void ckks_file_close(struct ckks_file_in **f);
/* The name for messages: the path, or its end when it is long. */
const char *ckks_file_name(const char *path);

#ifdef __cplusplus
}
#endif
#endif
