/* Vectors of ciphertexts as files (format: serial.c).  Only finished ones: two polynomials,
 * rescaled, at a level of messages, so that the level alone gives the scale. */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/serial.h"

_Static_assert(CKKS_NOTE == sizeof((struct serial_entry *)0)->seed,
               "a note lies where keys have their seed");

static int fill_table(struct serial_head *h, const struct ckks_ct *a, int n, const uint8_t id[16]) {
    int st = THOR_OK;
    if (n < 1) return thor_fail(THOR_INTERNAL, "a file of no ciphertexts");
    TRY(serial_new(h, CKKS_FILE_CIPHER, a->cx->params, id, n));
    for (int i = 0; i < n; i++) {
        if (a[i].cx != a->cx || !a[i].c || a[i].polys != 2 || a[i].pending || a[i].boot)
            return thor_fail(THOR_INTERNAL, "ciphertext %d is unfinished and cannot be saved", i);
        h->entry[i].level = (uint32_t)a[i].level;
        h->entry[i].parts = 2;
        h->entry[i].rows = (uint32_t)ckks_ct_limbs(&a[i]);
    }
out:
    return st;
}

static int write_ct(struct ckks_file_out *f, struct serial_head *h, const struct ckks_ct *a,
                    uint32_t *host) {
    int st = THOR_OK;
    size_t words = (size_t)ckks_ct_limbs(a) * ckks_n(a->cx);
    for (int p = 0; p < a->polys; p++) {
        a->cx->k->download(a->cx->k, host, ct_poly(a, p), words);
        TRY(a->cx->k->sync(a->cx->k));
        TRY(serial_write_part(f, h, host, words * sizeof *host));
    }
out:
    return st;
}

static int host_rows(uint32_t **host, const struct ckks *cx) {
    *host = calloc((size_t)cx->params->primes * ckks_n(cx), sizeof **host);
    return *host ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for a file of ciphertexts");
}

int ckks_ct_save(const struct ckks_ct *a, int n, const uint8_t id[16],
                 const uint8_t note[CKKS_NOTE], const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    struct serial_head h = {0};
    uint32_t *host = NULL;
    TRY(fill_table(&h, a, n, id));
    if (note) memcpy(h.entry[0].seed, note, CKKS_NOTE);
    TRY(host_rows(&host, a->cx));
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(serial_write_head(f, &h));
    for (int i = 0; i < n; i++) TRY(write_ct(f, &h, &a[i], host));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    serial_free(&h);
    free(host);
    return st;
}

static int read_ct(struct ckks_ct *a, struct ckks_file_in *f, struct serial_head *h,
                   struct ckks *cx, const struct serial_entry *e, uint32_t *host) {
    int st = THOR_OK;
    struct kbasis b = ckks_basis(cx->params, (int)e->level);
    TRY(ckks_ct_make(a, cx, 2, (int)e->level));
    for (int p = 0; p < a->polys; p++) {
        TRY(serial_read_rows(f, h, host, &b));
        cx->k->upload(cx->k, ct_poly(a, p), host, (size_t)b.n * ckks_n(cx));
        TRY(cx->k->sync(cx->k));
    }
out:
    return st;
}

int ckks_ct_load(struct ckks_ct **out, int *n, uint8_t id[16], uint8_t note[CKKS_NOTE],
                 struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    struct serial_head h = {0};
    uint32_t *host = NULL;
    struct ckks_ct *a = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_SHARED));
    TRY(serial_read_head(&h, f, CKKS_FILE_CIPHER, cx, 0));
    if (cx->keys) TRY(ckks_check_id(h.id, cx->keys->id, path));
    TRY(host_rows(&host, cx));
    a = calloc(h.count, sizeof *a);
    if (!a) {
        st = thor_fail(THOR_MEMORY, "no memory for a file of ciphertexts");
        goto out;
    }
    for (uint32_t i = 0; i < h.count; i++) TRY(read_ct(&a[i], f, &h, cx, &h.entry[i], host));
    *out = a;
    *n = (int)h.count;
    memcpy(id, h.id, sizeof h.id);
    if (note) memcpy(note, h.entry[0].seed, CKKS_NOTE);
    a = NULL;
out:
    for (uint32_t i = 0; a && i < h.count; i++) ckks_ct_free(&a[i]);
    free(a);
    free(host);
    serial_free(&h);
    ckks_file_close(&f);
    return st;
}
