/* The frame of every file of keys and ciphertexts; serial.c describes the format. */
#ifndef THOR_CKKS_SERIAL_H
#define THOR_CKKS_SERIAL_H

#include "ckks/ckks.h"
#include "ckks/file.h"

#ifdef __cplusplus
extern "C" {
#endif

enum ckks_file_kind { CKKS_FILE_SECRET, CKKS_FILE_PUBLIC, CKKS_FILE_KEYS, CKKS_FILE_CIPHER };

struct serial_entry { /* one object; 64 bytes, stored as they are */
    uint32_t id, level, parts, rows;
    uint32_t zero[4];
    uint8_t seed[CKKS_SEED];
};

struct serial_head {
    enum ckks_file_kind kind;
    const struct ckks_params *params;
    uint8_t id[16];
    uint32_t count;
    struct serial_entry *entry; /* `count` of them */
    uint64_t bytes, hash;       /* of the whole file; of header and table */
    uint32_t parts_done;        /* written or read so far */
};

/* What a file is, from its checked header and table alone; toy sets are described too. */
int ckks_file_describe(struct serial_head *out, const char *path);
/* Bytes of a file of these objects, keys or (id 0) ciphertexts; 0: there are no such objects. */
uint64_t ckks_file_size(enum ckks_file_kind kind, const struct ckks_params *p,
                        const struct ckks_need *object, int n);
const char *ckks_file_kind_name(enum ckks_file_kind kind);
void serial_free(struct serial_head *h);
/* THOR_KEY unless both names of key pairs are one: `have` of the file at `path`, `want` of the keys
 * in use. */
int ckks_check_id(const uint8_t have[16], const uint8_t want[16], const char *path);

/* ---- evaluation keys into a file, one after the other in the order of k->key, whole or not at all
 * ---- */
struct ckks_keyfile_out;
/* needs no rows */
int ckks_keyfile_create(struct ckks_keyfile_out **out, const struct ckks_keys *k, const char *path);
int ckks_keyfile_write(struct ckks_keyfile_out *f, const struct ckks_ksk *key);
int ckks_keyfile_commit(struct ckks_keyfile_out **f);
void ckks_keyfile_abandon(struct ckks_keyfile_out **f); /* NULL is allowed */

/* ---- evaluation keys in an open file (serial_keys.c): its table is known and checked, keys are
 * read at will ---- */
struct ckks_keyfile {
    struct ckks *cx;
    struct ckks_file_in *f;
    struct serial_head h;
    uint64_t *at;   /* of entry i: where its first part begins */
    uint32_t *part; /* and the parts before it */
    uint32_t *host; /* one part */
};
int ckks_keyfile_open(struct ckks_keyfile **out, struct ckks *cx, const char *path);
void ckks_keyfile_close(struct ckks_keyfile *k); /* NULL is allowed */
/* entry that serves it, or -1 */
int ckks_keyfile_find(const struct ckks_keyfile *k, const struct ckks_need *need);
/* 1: all of them */
int ckks_keyfile_covers(const struct ckks_keyfile *k, const struct ckks_need *need, int n);
/* Their memory as the file has them, which may be at higher levels than needed. */
size_t ckks_keyfile_memory(const struct ckks_keyfile *k, const struct ckks_need *need, int n);
/* The keys of a list (NULL: all of the file); those that the file lacks are left out. */
int ckks_keys_take(struct ckks_keys **out, struct ckks_keyfile *f, const struct ckks_need *need,
                   int n, void (*progress)(void *, int, int), void *ctx);
/* The same, but a key comes into memory when it is used, and goes when `budget` bytes (at least the
 * largest key) are
 * full: keystore.c.  uses: their order, cx->uses of a dry run.  f is borrowed for the life of the
 * keys. */
int ckks_keys_stream(struct ckks_keys **out, struct ckks_keyfile *f, const struct ckks_need *need,
                     int n, const uint32_t *uses, int n_uses, size_t budget);
/* The budget of --compact: a quarter of all keys. */
static inline size_t ckks_compact_bytes(size_t all) {
    return all / 4;
}
uint64_t ckks_keys_loads(const struct ckks_keys *k); /* keys read from the file so far */
/* Entry i, checked, into fresh rows of the back end: key->data, NULL on failure. */
int ckks_keyfile_read(struct ckks_ksk *key, struct ckks_keyfile *k, int i);

/* ---- for serial_keys.c and serial_cipher.c ---- */
enum { SERIAL_CHECK = 8 }; /* bytes behind the table and behind each part */
uint64_t serial_table_end(const struct serial_head *h);
/* Primes of the stored rows of an entry, and its number of parts; THOR_KEY when there is no such
 * object. */
int serial_shape(struct kbasis *rows, uint32_t *parts, const struct serial_head *h,
                 const struct serial_entry *e);
size_t serial_part_bytes(const struct serial_head *h, const struct serial_entry *e);

int serial_new(struct serial_head *h, enum ckks_file_kind kind, const struct ckks_params *p,
               const uint8_t id[16], int count);
/* Header and table, from h->entry; then every part in order. */
int serial_write_head(struct ckks_file_out *f, struct serial_head *h);
int serial_write_part(struct ckks_file_out *f, struct serial_head *h, const void *data,
                      size_t bytes);

/* cx NULL: any known set, toys only with allow_insecure; else the file must be of cx's set. */
int serial_read_head(struct serial_head *h, struct ckks_file_in *f, enum ckks_file_kind kind,
                     const struct ckks *cx, int allow_insecure);
int serial_read_part(struct ckks_file_in *f, struct serial_head *h, void *data, size_t bytes);
/* The next part: rows over b, every residue below its prime. */
int serial_read_rows(struct ckks_file_in *f, struct serial_head *h, uint32_t *rows,
                     const struct kbasis *b);

#ifdef __cplusplus
}
#endif
#endif
