/* Does the system lock the memory of secrets? */
#include <sodium.h>

#include "ckks/internal.h"

/* Of one set of keys in work: the key, the key as numbers, errors, seeds, and pages around them. */
enum { BYTES_A_COEFFICIENT = 32 };

int ckks_secrets_locked(const struct ckks_params *p) {
    size_t bytes = (size_t)BYTES_A_COEFFICIENT << p->log_n;
    if (ckks_random_start() != THOR_OK) return 0;
    unsigned char *probe = sodium_malloc(bytes); // locks it when it can, and does not tell
    int locked = probe && sodium_mlock(probe, bytes) == 0;
    sodium_free(probe);
    return locked;
}
