/* A folder for the files of one test program, removed with everything in it at the end. */
#ifndef THOR_TESTS_SCRATCH_H
#define THOR_TESTS_SCRATCH_H

#include <stddef.h>
#include <stdint.h>

int scratch_open(void **state);  /* cmocka group setup */
int scratch_close(void **state); /* cmocka group teardown */
/* Path of `name` in the folder; the 64 latest results stay valid. */
const char *scratch_path(const char *name);
int scratch_files(void); /* how many lie in the folder */
void scratch_empty(void);
/* malloc'ed; fails the test when it is not there. */
uint8_t *scratch_read(const char *name, size_t *bytes);
void scratch_write(const char *name, const void *data, size_t bytes, unsigned mode);

#endif
