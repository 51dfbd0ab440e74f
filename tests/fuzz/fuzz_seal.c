/* Files of Microsoft SEAL, of all four kinds that are read: as they are, and with the sizes that
 * their headers should say. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"

static struct ckks *ring(void) {
    static struct ckks *cx;
    const struct ckks_params *p;
    if (!cx) {
        FUZZ_MUST(ckks_params_get(&p, "t10q28x0b25p1", 1) == THOR_OK);
        FUZZ_MUST(ckks_open(&cx, p, KERN_CPU, KERN_TIER_BEST, 1) == THOR_OK);
    }
    return cx;
}

static void load(const char *path) {
    static double re[512], im[512];
    static const uint8_t id[16];
    struct ckks *cx = ring();
    struct ckks_ct a = {0};
    struct ckks_secret *s = NULL;
    struct ckks_public *p = NULL;
    fuzz_verdict(ckks_seal_secret_load(&s, cx, path), THOR_KEY);
    ckks_secret_free(s);
    fuzz_verdict(ckks_seal_plain_load(re, im, NULL, cx, path), THOR_KEY);
    fuzz_verdict(ckks_seal_public_load(&p, cx, id, path), THOR_KEY);
    ckks_public_free(p);
    fuzz_verdict(ckks_seal_ct_load(&a, cx, path), THOR_KEY);
    if (a.c) FUZZ_MUST(ckks_add(&a, &a, &a) == THOR_OK);
    ckks_ct_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t *copy = malloc(size + 1);
    FUZZ_MUST(copy);
    memcpy(copy, data, size);
    load(fuzz_file(data, size));
    for (size_t front = 64; front <= 89;
         front += 25) { // the array behind a plaintext, a ciphertext
        const uint64_t bytes = size, array = size - front;
        if (size < front + 24) break;
        memcpy(copy + 8, &bytes, sizeof bytes);
        memcpy(copy + front + 8, &array, sizeof array);
        load(fuzz_file(copy, size));
        memcpy(copy, data, size);
    }
    free(copy);
    return 0;
}
