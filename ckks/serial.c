/* Files of keys and ciphertexts.
 *
 * Format (version 1, of evaluation keys 3); all numbers little endian; XXH3 is XXH3-64.
 *   header, 64 bytes   "THOR", kind "SECR" | "PUBL" | "EVAL" | "CTXT", version u32, log N u32, name
 *                      of the parameter set (16, padded with zeros), name of the key pair (16),
 *                      count u32, zero u32, bytes of the whole file u64
 *   table              count entries of 64 bytes, see below
 *   check, 8 bytes     XXH3 of the table, seeded with the XXH3 of the header
 *   parts              entry by entry; each followed by 8 bytes XXH3 of the part, seeded with the
 *                      check of the header plus the part's number from 1 on: parts can be neither
 *                      swapped nor mixed
 * Entry: id, level, parts, rows (u32 each), 16 bytes zero, seed (32 bytes).  A part is `rows` rows
 * of N residues u32, evaluation form, row r modulo the r-th prime of the object's basis.
 *   kind    count      id               level      parts    rows                   seed
 *   SECR    1          0                0          1        0: N/4 bytes, below    0
 *   PUBL    1          0                max_level  1        ckks_public_basis      of the half a
 *   EVAL    0 .. 4096  rising, odd      of the     digits   ckks_key_basis; the    of the halves a
 *                      below 2N or      key                 halves b only
 *                      CKKS_KEY_*
 *   CTXT    1 .. 4096  0                0 ..       2        ckks_basis             a note of the
 *                                       writer's
 *                                       max_level                                  in the first,
 *                                       then 0
 * The part of a secret: two bits a coefficient, lowest first, 0, 1, 2 for 0, 1, -1.
 *
 * A reader believes nothing: magic, kind, version and the bounds of count come first, then the
 * size, which must be that of the file, then check, set, security gate, every entry against what
 * this program would write, and the size again from the entries.  Only then memory for the parts is
 * taken. */
#include "ckks/serial.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "ckks/internal.h"

enum { MAX_COUNT = 4096, CHECK = SERIAL_CHECK };

struct disk_head {
    char magic[4], kind[4];
    uint32_t version, log_n;
    char set[16];
    uint8_t id[16];
    uint32_t count, zero;
    uint64_t bytes;
};
_Static_assert(sizeof(struct disk_head) == 64 && sizeof(struct serial_entry) == 64,
               "stored as they are");

static const struct {
    char tag[5];
    uint32_t version; /* 1 of evaluation keys: four digits of the key out of the sparse secret; 2:
                       * halves a by rejection */
    const char *name, *mend;
} kinds[] = {
    {"SECR", 1, "secret key", "run thor keygen again"},
    {"PUBL", 1, "public key", "run thor keygen again"},
    {"EVAL", 3, "evaluation keys", "run thor keygen again"},
    {"CTXT", 1, "ciphertexts", "encrypt again"},
};

const char *ckks_file_kind_name(enum ckks_file_kind kind) {
    return kinds[kind].name;
}

static int damaged(const struct serial_head *h, const char *what) {
    return thor_fail(THOR_KEY, "damaged %s file (%s): copy it again, or %s", kinds[h->kind].name,
                     what, kinds[h->kind].mend);
}

/* Put the file's name before a refusal, but not before the system's (they have it). */
static int name_file(int st, const struct ckks_file_in *f) {
    return st == THOR_KEY ? thor_fail_in(st, ckks_file_name(ckks_file_path(f))) : st;
}

void serial_free(struct serial_head *h) {
    free(h->entry);
    memset(h, 0, sizeof *h);
}

int ckks_check_id(const uint8_t have[16], const uint8_t want[16], const char *path) {
    if (memcmp(have, want, 16) == 0) return THOR_OK;
    return thor_fail(THOR_KEY,
                     "%s: belongs to another key set; give the files that one thor keygen made",
                     ckks_file_name(path));
}

/* ---- what an object looks like ---- */

static int key_shape(struct kbasis *rows, uint32_t *parts, const struct serial_head *h,
                     const struct serial_entry *e) {
    int digits, st = THOR_OK;
    TRY(ckks_key_check(h->params, e->id, (int)e->level));
    *rows = ckks_key_basis(h->params, e->id, (int)e->level, &digits);
    *parts = (uint32_t)digits;
out:
    return st;
}

int serial_shape(struct kbasis *rows, uint32_t *parts, const struct serial_head *h,
                 const struct serial_entry *e) {
    *rows = (struct kbasis){0};
    *parts = 1;
    if (e->level > (uint32_t)h->params->top_level) return damaged(h, "no such level");
    if (h->kind == CKKS_FILE_KEYS) return key_shape(rows, parts, h, e);
    if (e->id != 0) return damaged(h, "an object with a number");
    if (h->kind == CKKS_FILE_SECRET && e->level != 0) return damaged(h, "a secret with a level");
    if (h->kind == CKKS_FILE_PUBLIC) {
        if (e->level != (uint32_t)h->params->max_level)
            return damaged(h, "no level of fresh ciphertexts");
        *rows = ckks_public_basis(h->params);
        return ckks_params_check(h->params, (int)e->level);
    }
    if (h->kind == CKKS_FILE_CIPHER) {
        if (e->level > (uint32_t)h->params->max_level) return damaged(h, "no such level");
        *rows = ckks_basis(h->params, (int)e->level);
        *parts = 2;
    }
    return THOR_OK;
}

size_t serial_part_bytes(const struct serial_head *h, const struct serial_entry *e) {
    size_t n = (size_t)1 << h->params->log_n;
    return h->kind == CKKS_FILE_SECRET ? n / 4 : e->rows * n * sizeof(uint32_t);
}

uint64_t serial_table_end(const struct serial_head *h) {
    return sizeof(struct disk_head) + (uint64_t)h->count * sizeof(struct serial_entry) + CHECK;
}

static uint64_t legal_bytes(const struct serial_head *h) {
    uint64_t sum = serial_table_end(h);
    for (uint32_t i = 0; i < h->count; i++)
        sum += h->entry[i].parts * ((uint64_t)serial_part_bytes(h, &h->entry[i]) + CHECK);
    return sum;
}

uint64_t ckks_file_size(enum ckks_file_kind kind, const struct ckks_params *p,
                        const struct ckks_need *object, int n) {
    static const uint8_t no_id[16];
    struct serial_head h;
    uint64_t bytes = 0;
    int st = serial_new(&h, kind, p, no_id, n);
    for (int i = 0; i < n && st == THOR_OK; i++) {
        struct kbasis rows;
        struct serial_entry *e = &h.entry[i];
        e->id = object[i].id;
        e->level = (uint32_t)object[i].level;
        st = serial_shape(&rows, &e->parts, &h, e);
        e->rows = (uint32_t)rows.n;
    }
    if (st == THOR_OK) bytes = legal_bytes(&h);
    serial_free(&h);
    return bytes;
}

/* A seed there exactly where halves are made from it, a note in front of ciphertexts only; nothing
 * in the reserved words. */
static int check_filling(const struct serial_head *h, const struct serial_entry *e) {
    int seeded = h->kind == CKKS_FILE_PUBLIC || h->kind == CKKS_FILE_KEYS, any = 0;
    for (int i = 0; i < 4; i++)
        if (e->zero[i]) return damaged(h, "reserved words");
    if (h->kind == CKKS_FILE_CIPHER && e == h->entry) return THOR_OK;
    for (int i = 0; i < CKKS_SEED; i++) any |= e->seed[i];
    return seeded == (any != 0) ? THOR_OK : damaged(h, "a seed");
}

static int check_entries(const struct serial_head *h) {
    int st = THOR_OK;
    for (uint32_t i = 0; i < h->count; i++) {
        const struct serial_entry *e = &h->entry[i];
        struct kbasis rows;
        uint32_t parts;
        TRY(serial_shape(&rows, &parts, h, e));
        if (e->parts != parts || e->rows != (uint32_t)rows.n) return damaged(h, "sizes");
        TRY(check_filling(h, e));
        if (h->kind == CKKS_FILE_KEYS && i && e->id <= h->entry[i - 1].id)
            return damaged(h, "a key twice, or keys in disorder");
    }
    if (legal_bytes(h) != h->bytes) st = damaged(h, "its size");
out:
    return st;
}

static int check_count(const struct serial_head *h) {
    uint32_t low = h->kind == CKKS_FILE_KEYS ? 0 : 1;
    uint32_t high = h->kind == CKKS_FILE_SECRET || h->kind == CKKS_FILE_PUBLIC ? 1 : MAX_COUNT;
    return h->count < low || h->count > high ? damaged(h, "the number of objects") : THOR_OK;
}

/* ---- writing ---- */

int serial_new(struct serial_head *h, enum ckks_file_kind kind, const struct ckks_params *p,
               const uint8_t id[16], int count) {
    memset(h, 0, sizeof *h);
    h->kind = kind;
    h->params = p;
    memcpy(h->id, id, sizeof h->id);
    h->count = (uint32_t)count;
    if (count < 0 || count > MAX_COUNT)
        return thor_fail(THOR_INTERNAL, "a file of %d %s", count, kinds[kind].name);
    h->entry = calloc((size_t)count + 1, sizeof *h->entry);
    return h->entry ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for the table of a file");
}

static void hash_head(struct serial_head *h, const struct disk_head *d) {
    h->hash =
        XXH3_64bits_withSeed(h->entry, h->count * sizeof *h->entry, XXH3_64bits(d, sizeof *d));
}

int serial_write_head(struct ckks_file_out *f, struct serial_head *h) {
    int st = THOR_OK;
    struct disk_head d = {.magic = "THOR", .version = kinds[h->kind].version};
    h->bytes = legal_bytes(h);
    if (check_count(h) || check_entries(h)) // what could not be read again is not written
        return thor_fail_in(THOR_INTERNAL, "not saved");
    memcpy(d.kind, kinds[h->kind].tag, sizeof d.kind);
    memcpy(d.set, h->params->name, sizeof d.set);
    memcpy(d.id, h->id, sizeof d.id);
    d.log_n = (uint32_t)h->params->log_n;
    d.count = h->count;
    d.bytes = h->bytes;
    hash_head(h, &d);
    TRY(ckks_file_write(f, &d, sizeof d));
    TRY(ckks_file_write(f, h->entry, h->count * sizeof *h->entry));
    TRY(ckks_file_write(f, &h->hash, CHECK));
out:
    return st;
}

int serial_write_part(struct ckks_file_out *f, struct serial_head *h, const void *data,
                      size_t bytes) {
    int st = THOR_OK;
    uint64_t check = XXH3_64bits_withSeed(data, bytes, h->hash + ++h->parts_done);
    TRY(ckks_file_write(f, data, bytes));
    TRY(ckks_file_write(f, &check, CHECK));
out:
    return st;
}

/* ---- reading ---- */

static int find_kind(enum ckks_file_kind *kind, const struct disk_head *d) {
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i++)
        if (memcmp(d->magic, "THOR", 4) == 0 && memcmp(d->kind, kinds[i].tag, 4) == 0) {
            *kind = (enum ckks_file_kind)i;
            return THOR_OK;
        }
    return thor_fail(THOR_KEY, "no key or ciphertext file of this program: give another file");
}

static int read_table(struct serial_head *h, struct ckks_file_in *f, struct disk_head *d) {
    int st = THOR_OK;
    uint64_t check;
    if (ckks_file_bytes(f) < sizeof *d)
        return thor_fail(THOR_KEY, "too short for a key or ciphertext file: copy it again");
    TRY(ckks_file_read(f, d, sizeof *d));
    TRY(find_kind(&h->kind, d));
    if (d->version != kinds[h->kind].version)
        return thor_fail(THOR_KEY, "format version %u, this program reads %u: %s", d->version,
                         kinds[h->kind].version, kinds[h->kind].mend);
    h->count = d->count;
    h->bytes = d->bytes;
    memcpy(h->id, d->id, sizeof h->id);
    TRY(check_count(h));
    if (d->bytes != ckks_file_bytes(f) || d->bytes < serial_table_end(h))
        return damaged(h, "cut short or too long");
    h->entry = calloc((size_t)h->count + 1, sizeof *h->entry);
    if (!h->entry) return thor_fail(THOR_MEMORY, "no memory for the table of a file");
    TRY(ckks_file_read(f, h->entry, h->count * sizeof *h->entry));
    TRY(ckks_file_read(f, &check, CHECK));
    hash_head(h, d);
    if (check != h->hash || d->zero) st = damaged(h, "the checksum of its header");
out:
    return st;
}

/* The set's name as text; THOR_KEY unless it is a short plain word. */
static int read_name(char name[17], const struct disk_head *d, const struct serial_head *h) {
    memcpy(name, d->set, sizeof d->set);
    name[16] = 0;
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof d->set; i++)
        if (i < n ? !isalnum((unsigned char)d->set[i]) : d->set[i] != 0) n = 0;
    return n ? THOR_OK : damaged(h, "the name of its parameters");
}

static int choose_set(struct serial_head *h, const struct disk_head *d, const struct ckks *cx,
                      int allow_insecure) {
    int st = THOR_OK;
    char name[17];
    TRY(read_name(name, d, h));
    if (cx && strcmp(name, cx->params->name) != 0)
        return thor_fail(THOR_KEY, "made for parameters %s, this run uses %s: %s", name,
                         cx->params->name, kinds[h->kind].mend);
    if (cx)
        h->params = cx->params;
    else
        st = ckks_params_get(&h->params, name, allow_insecure);
    if (st) return st == THOR_USAGE ? THOR_KEY : st; // an unknown set is the file's fault here
    if (d->log_n != (uint32_t)h->params->log_n) st = damaged(h, "the size of its ring");
out:
    return st;
}

static int read_head(struct serial_head *h, struct ckks_file_in *f, int kind, const struct ckks *cx,
                     int allow_insecure) {
    int st = THOR_OK;
    struct disk_head d;
    TRY(read_table(h, f, &d));
    if (kind >= 0 && (int)h->kind != kind)
        return thor_fail(THOR_KEY, "holds %s, not %s: give another file", kinds[h->kind].name,
                         kinds[kind].name);
    TRY(choose_set(h, &d, cx, allow_insecure));
    TRY(check_entries(h));
out:
    return st;
}

static int read_head_named(struct serial_head *h, struct ckks_file_in *f, int kind,
                           const struct ckks *cx, int allow_insecure) {
    memset(h, 0, sizeof *h);
    int st = name_file(read_head(h, f, kind, cx, allow_insecure), f);
    if (st) serial_free(h);
    return st;
}

int serial_read_head(struct serial_head *h, struct ckks_file_in *f, enum ckks_file_kind kind,
                     const struct ckks *cx, int allow_insecure) {
    return read_head_named(h, f, (int)kind, cx, allow_insecure);
}

int ckks_file_describe(struct serial_head *out, const char *path) {
    int st = THOR_OK;
    struct ckks_file_in *f = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_SHARED));
    TRY(read_head_named(out, f, -1, NULL, 1));
out:
    ckks_file_close(&f);
    return st;
}

int serial_read_part(struct ckks_file_in *f, struct serial_head *h, void *data, size_t bytes) {
    int st = THOR_OK;
    uint64_t check;
    TRY(name_file(ckks_file_read(f, data, bytes), f));
    TRY(name_file(ckks_file_read(f, &check, CHECK), f));
    if (check != XXH3_64bits_withSeed(data, bytes, h->hash + ++h->parts_done))
        st = name_file(damaged(h, "a checksum"), f);
out:
    return st;
}

int serial_read_rows(struct ckks_file_in *f, struct serial_head *h, uint32_t *rows,
                     const struct kbasis *b) {
    int st = THOR_OK;
    size_t n = (size_t)1 << h->params->log_n;
    TRY(serial_read_part(f, h, rows, (size_t)b->n * n * sizeof *rows));
    for (int r = 0; r < b->n; r++) {
        uint32_t q = h->params->prime[b->prime[r]], bad = 0;
        for (size_t i = 0; i < n; i++) bad |= rows[(size_t)r * n + i] >= q;
        if (bad) return name_file(damaged(h, "a residue beyond its prime"), f);
    }
out:
    return st;
}
