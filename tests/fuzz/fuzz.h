/* What the fuzz targets share.  A target hands its bytes to one loader as a file; the loader may
 * take them or refuse them with the status of its format and one printable line.  Everything else
 * ends the process. */
#ifndef THOR_TESTS_FUZZ_H
#define THOR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "ckks/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MUST(x)                                                                               \
    do {                                                                                           \
        if (!(x)) fuzz_broken(__FILE__, __LINE__, #x);                                             \
    } while (0)
void fuzz_broken(const char *file, int line, const char *what);

/* A file of mode 0600 with these bytes: its path, valid until the next call. */
const char *fuzz_file(const uint8_t *data, size_t size);
/* A folder that holds these bytes as `name`, the same one at every call. */
const char *fuzz_folder(const char *name, const uint8_t *data, size_t size);
/* toy10 on one thread, opened at the first call. */
struct ckks *fuzz_ring(void);
/* THOR_OK, or `code` with a line fit to be shown. */
void fuzz_verdict(int st, int code);
/* Load as a file of that kind, as it is and with right checksums; use what was loaded. */
void fuzz_keyfile(enum ckks_file_kind kind, const uint8_t *data, size_t size);

#endif
