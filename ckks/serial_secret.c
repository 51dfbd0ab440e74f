/* Secret keys as files (format: serial.c), never in memory that is not wiped.  A server's program
 * is built without this file, keygen.c and encrypt.c: it cannot read a secret. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/serial.h"

static void pack(uint8_t *out, const int8_t *s, size_t n) {
    memset(out, 0, n / 4);
    for (size_t i = 0; i < n; i++)
        out[i / 4] |= (uint8_t)((s[i] & 1) << (s[i] < 0) << (2 * (i % 4)));
}

/* 1 when a pair of bits is 3, which stands for nothing. */
static int unpack(int8_t *s, const uint8_t *in, size_t n) {
    int bad = 0;
    for (size_t i = 0; i < n; i++) {
        int pair = in[i / 4] >> (2 * (i % 4)) & 3;
        s[i] = (int8_t)((pair & 1) - (pair >> 1));
        bad |= pair == 3;
    }
    return bad;
}

int ckks_secret_save(const struct ckks_secret *s, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    struct serial_head h = {0};
    size_t n = (size_t)1 << s->params->log_n;
    uint8_t *packed = sodium_malloc(n / 4);
    if (!packed) return thor_fail(THOR_MEMORY, "no locked memory to save a secret key");
    pack(packed, s->s, n);
    TRY(serial_new(&h, CKKS_FILE_SECRET, s->params, s->id, 1));
    h.entry[0].parts = 1;
    TRY(ckks_file_create(&f, path, CKKS_FILE_PRIVATE));
    TRY(serial_write_head(f, &h));
    TRY(serial_write_part(f, &h, packed, n / 4));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    serial_free(&h);
    sodium_free(packed);
    return st;
}

static int read_secret(struct ckks_secret *s, struct ckks_file_in *f, struct serial_head *h) {
    int st = THOR_OK;
    size_t n = (size_t)1 << h->params->log_n;
    uint8_t *packed = sodium_malloc(n / 4);
    s->params = h->params;
    s->s = sodium_malloc(n);
    memcpy(s->id, h->id, sizeof s->id);
    if (!packed || !s->s) {
        st = thor_fail(THOR_MEMORY, "no locked memory for a secret key");
        goto out;
    }
    TRY(serial_read_part(f, h, packed, n / 4));
    if (unpack(s->s, packed, n))
        st = thor_fail(THOR_KEY, "%s: a coefficient that is not -1, 0 or 1: run thor keygen again",
                       ckks_file_name(ckks_file_path(f)));
out:
    sodium_free(packed); // wipes; NULL is allowed
    return st;
}

int ckks_secret_load(struct ckks_secret **out, const char *path, int allow_insecure) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    struct serial_head h = {0};
    struct ckks_secret *s = NULL;
    TRY(ckks_random_start());
    TRY(ckks_file_open(&f, path, CKKS_FILE_PRIVATE));
    TRY(serial_read_head(&h, f, CKKS_FILE_SECRET, NULL, allow_insecure));
    s = calloc(1, sizeof *s);
    if (!s) {
        st = thor_fail(THOR_MEMORY, "no memory for a secret key");
        goto out;
    }
    TRY(read_secret(s, f, &h));
    *out = s;
    s = NULL;
out:
    ckks_secret_free(s);
    serial_free(&h);
    ckks_file_close(&f);
    return st;
}
