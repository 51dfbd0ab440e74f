/* Keys and ciphertexts of a toy ring, their files, and forgeries of them, shared by the tests of
 * serial*.c. */
#ifndef THOR_TESTS_KEYFILES_H
#define THOR_TESTS_KEYFILES_H

#include "ckks/serial.h"

/* Places of the header and, E_, of an entry of the table (format: ckks/serial.c). */
enum {
    HEAD = 64,
    AT_VERSION = 8,
    AT_LOG_N = 12,
    AT_SET = 16,
    AT_COUNT = 48,
    AT_ZERO = 52,
    AT_BYTES = 56
};
enum { ENTRY = 64, E_ID = 0, E_LEVEL = 4, E_PARTS = 8, E_ROWS = 12, E_ZERO = 16, E_SEED = 32 };
enum { KF_N = 1024, KF_KEYS = 6, KF_CTS = 4 };

struct keyfiles {
    const struct ckks_params *p;
    struct ckks *cx;
    struct ckks_secret *sk;
    struct ckks_public *pk;
    struct ckks_keys *keys;
    struct ckks_ct ct[KF_CTS]; /* at levels 16, 9, 0, 2 */
};
extern struct keyfiles kf;

int keyfiles_open(void **state); /* cmocka group setup, with a scratch folder */
int keyfiles_close(void **state);
int keyfiles_save(enum ckks_file_kind kind, const char *name);
/* The same in place of whatever is there: keys are not replaced. */
int keyfiles_renew(enum ckks_file_kind kind, const char *name);
/* And free; checks that there is an object when it is taken, and none when it is refused. */
int keyfiles_load(enum ckks_file_kind kind, const char *name);
/* The same over any context; `use`, unless NULL, gets the ciphertexts. */
int keyfiles_load_path(enum ckks_file_kind kind, struct ckks *cx, const char *path,
                       void (*use)(const struct ckks_ct *ct, int n));
/* The bytes of a small file of that kind: two low keys (to the sparse secret, galois element 5),
 * one ciphertext at level 0.  Room for one byte more. */
uint8_t *keyfiles_small(enum ckks_file_kind kind, size_t *bytes);

void put32(uint8_t *at, uint32_t x);
/* Right checksums over whatever the file holds; parts as far as the file goes. */
void reseal(uint8_t *f, size_t bytes);
/* These bytes are refused with THOR_KEY and one line that names the file and holds `word`. */
void assert_refused(enum ckks_file_kind kind, const uint8_t *data, size_t bytes, const char *word);
/* The small file with one word changed and all checksums right is refused. */
void assert_forged(enum ckks_file_kind kind, size_t at, uint32_t value, const char *word);

#endif
