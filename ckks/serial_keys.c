/* Public and evaluation keys as files (format: serial.c). */
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/serial.h"

/* ---- public key ---- */

int ckks_public_save(const struct ckks_public *p, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    struct serial_head h = {0};
    if (p->a)
        return thor_fail(THOR_KEY, "a public key of SEAL has no seed, which a file of ours holds: "
                                   "keep the file of SEAL");
    TRY(serial_new(&h, CKKS_FILE_PUBLIC, p->params, p->id, 1));
    struct serial_entry *e = h.entry;
    e->level = (uint32_t)p->params->max_level;
    e->parts = 1;
    e->rows = (uint32_t)p->rows;
    memcpy(e->seed, p->seed, sizeof e->seed);
    TRY(ckks_file_create(&f, path, CKKS_FILE_OF_KEYS));
    TRY(serial_write_head(f, &h));
    TRY(serial_write_part(f, &h, p->b, serial_part_bytes(&h, e)));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    serial_free(&h);
    return st;
}

static int read_public(struct ckks_public *p, struct ckks_file_in *f, struct serial_head *h) {
    struct kbasis b = ckks_public_basis(h->params);
    p->params = h->params;
    p->rows = b.n;
    memcpy(p->id, h->id, sizeof p->id);
    memcpy(p->seed, h->entry[0].seed, sizeof p->seed);
    p->b = malloc(serial_part_bytes(h, &h->entry[0]));
    if (!p->b) return thor_fail(THOR_MEMORY, "no memory for a public key");
    return serial_read_rows(f, h, p->b, &b);
}

int ckks_public_load(struct ckks_public **out, const char *path, int allow_insecure) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    struct serial_head h = {0};
    struct ckks_public *p = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_SHARED));
    TRY(serial_read_head(&h, f, CKKS_FILE_PUBLIC, NULL, allow_insecure));
    p = calloc(1, sizeof *p);
    if (!p) {
        st = thor_fail(THOR_MEMORY, "no memory for a public key");
        goto out;
    }
    TRY(read_public(p, f, &h));
    *out = p;
    p = NULL;
out:
    ckks_public_free(p);
    serial_free(&h);
    ckks_file_close(&f);
    return st;
}

/* ---- evaluation keys: one part (a digit's half b) in memory beside the keys themselves ---- */

static size_t half_words(const struct ckks *cx, const struct ckks_ksk *key) {
    return (size_t)key->rows << cx->params->log_n;
}

static int fill_table(struct serial_head *h, const struct ckks_keys *k, size_t *most) {
    int st = THOR_OK;
    TRY(serial_new(h, CKKS_FILE_KEYS, k->cx->params, k->id, k->n));
    for (int i = 0; i < k->n; i++) {
        const struct ckks_ksk *key = &k->key[i];
        struct serial_entry *e = &h->entry[i];
        e->id = key->id;
        e->level = (uint32_t)key->level;
        e->parts = (uint32_t)key->digits;
        e->rows = (uint32_t)key->rows;
        memcpy(e->seed, key->seed, sizeof e->seed);
        if (*most < half_words(k->cx, key)) *most = half_words(k->cx, key);
    }
out:
    return st;
}

struct ckks_keyfile_out {
    struct ckks *cx;
    struct ckks_file_out *f;
    struct serial_head h;
    uint32_t *host; /* one part */
};

int ckks_keyfile_create(struct ckks_keyfile_out **out, const struct ckks_keys *k,
                        const char *path) {
    int st = THOR_OK;
    size_t most = 1;
    struct ckks_keyfile_out *f = calloc(1, sizeof *f);
    if (!f) return thor_fail(THOR_MEMORY, "no memory to save keys");
    f->cx = k->cx;
    TRY(fill_table(&f->h, k, &most));
    f->host = calloc(most, sizeof *f->host);
    if (!f->host) {
        st = thor_fail(THOR_MEMORY, "no memory to save keys");
        goto out;
    }
    TRY(ckks_file_create(&f->f, path, CKKS_FILE_OF_KEYS));
    TRY(serial_write_head(f->f, &f->h));
    *out = f;
    f = NULL;
out:
    ckks_keyfile_abandon(&f);
    return st;
}

int ckks_keyfile_write(struct ckks_keyfile_out *f, const struct ckks_ksk *key) {
    int st = THOR_OK;
    struct kernels *k = f->cx->k;
    size_t half = half_words(f->cx, key);
    for (int j = 0; j < key->digits; j++) {
        k->download(k, f->host, key->data + (size_t)j * ckks_key_halves(f->cx) * half, half);
        TRY(k->sync(k));
        TRY(serial_write_part(f->f, &f->h, f->host, half * sizeof *f->host));
    }
out:
    return st;
}

int ckks_keyfile_commit(struct ckks_keyfile_out **f) {
    int st = ckks_file_commit(&(*f)->f);
    ckks_keyfile_abandon(f);
    return st;
}

void ckks_keyfile_abandon(struct ckks_keyfile_out **out) {
    struct ckks_keyfile_out *f = *out;
    *out = NULL;
    if (!f) return;
    ckks_file_abandon(&f->f);
    serial_free(&f->h);
    free(f->host);
    free(f);
}

int ckks_keys_save(const struct ckks_keys *k, const char *path) {
    int st = THOR_OK;
    struct ckks_keyfile_out *f = NULL;
    TRY(ckks_keyfile_create(&f, k, path));
    for (int i = 0; i < k->n; i++) TRY(ckks_keyfile_write(f, &k->key[i]));
    TRY(ckks_keyfile_commit(&f));
out:
    ckks_keyfile_abandon(&f);
    return st;
}

/* ---- evaluation keys in a file, any of them at a time ---- */

int ckks_keyfile_open(struct ckks_keyfile **out, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct ckks_keyfile *k = calloc(1, sizeof *k);
    if (!k) return thor_fail(THOR_MEMORY, "no memory for keys");
    TRY(ckks_file_open(&k->f, path, CKKS_FILE_SHARED));
    TRY(serial_read_head(&k->h, k->f, CKKS_FILE_KEYS, cx, 0));
    k->cx = cx;
    k->at = calloc((size_t)k->h.count + 1, sizeof *k->at);
    k->part = calloc((size_t)k->h.count + 1, sizeof *k->part);
    k->host = malloc((size_t)cx->params->primes * ckks_n(cx) * sizeof *k->host);
    if (!k->at || !k->part || !k->host) {
        st = thor_fail(THOR_MEMORY, "no memory for keys");
        goto out;
    }
    k->at[0] = serial_table_end(&k->h);
    for (uint32_t i = 0; i < k->h.count; i++) {
        const struct serial_entry *e = &k->h.entry[i];
        k->part[i + 1] = k->part[i] + e->parts;
        k->at[i + 1] = k->at[i] + e->parts * ((uint64_t)serial_part_bytes(&k->h, e) + SERIAL_CHECK);
    }
    *out = k;
    k = NULL;
out:
    ckks_keyfile_close(k);
    return st;
}

void ckks_keyfile_close(struct ckks_keyfile *k) {
    if (!k) return;
    ckks_file_close(&k->f);
    serial_free(&k->h);
    free(k->at);
    free(k->part);
    free(k->host);
    free(k);
}

int ckks_keyfile_find(const struct ckks_keyfile *k, const struct ckks_need *need) {
    for (uint32_t i = 0; i < k->h.count; i++)
        if (k->h.entry[i].id == need->id && (int)k->h.entry[i].level >= need->level) return (int)i;
    return -1;
}

int ckks_keyfile_covers(const struct ckks_keyfile *k, const struct ckks_need *need, int n) {
    for (int i = 0; i < n; i++)
        if (ckks_keyfile_find(k, &need[i]) < 0) return 0;
    return 1;
}

size_t ckks_keyfile_memory(const struct ckks_keyfile *k, const struct ckks_need *need, int n) {
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        int e = ckks_keyfile_find(k, &need[i]);
        if (e >= 0) sum += k->h.entry[e].parts * serial_part_bytes(&k->h, &k->h.entry[e]);
    }
    return sum * ckks_key_halves(k->cx);
}

/* Half b of digit j from the file; the halves a follow from the seed. */
static int read_digit(struct ckks_ksk *key, struct ckks_keyfile *k, int j, const struct kbasis *b) {
    int st = THOR_OK;
    struct kernels *kt = k->cx->k;
    size_t half = half_words(k->cx, key);
    TRY(serial_read_rows(k->f, &k->h, k->host, b));
    kt->upload(kt, key->data + (size_t)j * ckks_key_halves(k->cx) * half, k->host, half);
    st = kt->sync(kt);
out:
    return st;
}

int ckks_keyfile_read(struct ckks_ksk *key, struct ckks_keyfile *k, int i) {
    int st = THOR_OK;
    struct kbasis b;
    uint32_t parts;
    const size_t halves = ckks_key_halves(k->cx);
    const struct serial_entry *e = &k->h.entry[i];
    TRY(serial_shape(&b, &parts, &k->h, e));
    key->id = e->id;
    key->level = (int)e->level;
    key->digits = (int)parts;
    key->rows = b.n;
    memcpy(key->seed, e->seed, sizeof key->seed);
    TRY(ckks_file_seek(k->f, k->at[i]));
    k->h.parts_done = k->part[i];
    TRY(k->cx->k->alloc(k->cx->k, &key->data, (size_t)(key->digits * key->rows) * halves));
    for (int j = 0; j < key->digits; j++) TRY(read_digit(key, k, j, &b));
    if (halves > 1)
        ckks_key_uniform(k->cx, kv(key->data + half_words(k->cx, key), 2 * b.n), key->seed, 0, &b,
                         key->digits);
out:
    if (st) {
        k->cx->k->release(k->cx->k, key->data);
        key->data = NULL;
    }
    return st;
}

int ckks_keys_take(struct ckks_keys **out, struct ckks_keyfile *f, const struct ckks_need *need,
                   int n, void (*progress)(void *, int, int), void *ctx) {
    int st = THOR_OK;
    struct ckks_keys *k = calloc(1, sizeof *k);
    if (!k) return thor_fail(THOR_MEMORY, "no memory for keys");
    k->cx = f->cx;
    memcpy(k->id, f->h.id, sizeof k->id);
    k->key = calloc((size_t)f->h.count + 1, sizeof *k->key);
    if (!k->key) {
        st = thor_fail(THOR_MEMORY, "no memory for keys");
        goto out;
    }
    for (int i = 0; i < (int)f->h.count; i++) {
        int wanted = need == NULL;
        for (int j = 0; j < n && !wanted; j++) wanted = need[j].id == f->h.entry[i].id;
        if (!wanted) continue;
        TRY(ckks_keyfile_read(&k->key[k->n], f, i));
        k->n++;
        if (progress) progress(ctx, k->n, need ? n : (int)f->h.count);
    }
    *out = k;
    k = NULL;
out:
    ckks_keys_free(k);
    return st;
}

int ckks_keys_load(struct ckks_keys **out, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct ckks_keyfile *f = NULL;
    TRY(ckks_keyfile_open(&f, cx, path));
    st = ckks_keys_take(out, f, NULL, 0, NULL, NULL);
out:
    ckks_keyfile_close(f);
    return st;
}
