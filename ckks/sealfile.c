/* Files of Microsoft SEAL 4, of its scheme CKKS, uncompressed.
 *
 * Format; all numbers little endian, doubles IEEE.
 *   header, 16 bytes   A15E u16, 16 u8, version 4 u8, its minor u8, compression u8 (0), 0 u16,
 *                      bytes of the object with this header u64
 *   parameters         scheme u8 (2), N u64, primes k u64, k times (header, prime u64), header, 0
 *   ciphertext         id of the parameters (4 u64), evaluation form u8 (1), polynomials u64, N
 *                      u64, primes k u64, scale f64, correction factor u64 (1), then an array
 *   plaintext          id of the parameters, words u64, scale f64, then an array
 *   array              header, words u64, words u64 each: polynomial by polynomial, prime by prime
 * A secret key is a plaintext, a public key a ciphertext, both over all primes and of scale 1.
 * The id is BLAKE2b-256 of the u64s scheme, N, the primes, 0: of the primes of the level.
 *
 * Evaluation form.  Place i holds m(r^(2 brv(i) + 1)) as here (kernels.h), but r is the least of
 * all primitive 2N-th roots of unity mod q; psi here is another of them, r = psi^u.  So place i of
 * SEAL is place j here with 2 brv(j) + 1 = u (2 brv(i) + 1) mod 2N: each prime has its permutation.
 *
 * A reader believes nothing: every field of the head is compared with what this program would
 * write, or refused, and the size of the file with that of the object, before memory for rows is
 * taken; every residue is below its prime. */
#include "ckks/sealfile.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"

enum { MAGIC = 0xA15E, VERSION = 4, SCHEME = 2, ID = 32 };

struct disk_head {
    uint16_t magic;
    uint8_t head_bytes, major, minor, compression;
    uint16_t zero;
    uint64_t bytes;
};
struct disk_cipher {
    uint8_t id[ID], ntt;
    uint64_t polys, n, primes;
    double scale;
    uint64_t correction;
} __attribute__((packed));
struct disk_plain {
    uint8_t id[ID];
    uint64_t words;
    double scale;
};
struct disk_array {
    struct disk_head head;
    uint64_t words;
};
_Static_assert(sizeof(struct disk_head) == 16 && sizeof(struct disk_cipher) == 73 &&
                   sizeof(struct disk_plain) == 48 && sizeof(struct disk_array) == 24,
               "stored as they are");

/* ---- sets ---- */

int seal_check_set(const struct ckks_params *p) {
    int nested = !p->bootstraps;
    for (int l = 0; l <= p->max_level; l++) nested &= p->first[l] == p->main0;
    return nested ? THOR_OK
                  : thor_fail(THOR_USAGE,
                              "parameter set %s has levels that are no chain of SEAL: make a set "
                              "with ckks_params_make()",
                              p->name);
}

struct kbasis seal_key_basis(const struct ckks_params *p) {
    struct kbasis b = ckks_basis(p, p->max_level);
    b.prime[b.n++] = (uint8_t)p->special0;
    return b;
}

struct seal_object seal_object(enum seal_kind kind, const struct ckks_params *p, int level) {
    const int key = kind == SEAL_SECRET || kind == SEAL_PUBLIC;
    return (struct seal_object){
        .kind = kind,
        .params = p,
        .basis = key ? seal_key_basis(p) : ckks_basis(p, level),
        .polys = kind == SEAL_CIPHER || kind == SEAL_PUBLIC ? 2 : 1,
        .level = key ? -1 : level,
        .scale = key ? 1 : ckks_level_scale(p, level, 0),
    };
}

static int is_pair(const struct seal_object *o) { // the form of a ciphertext
    return o->kind == SEAL_CIPHER || o->kind == SEAL_PUBLIC;
}

static uint64_t words_of(const struct seal_object *o) {
    return (uint64_t)o->polys * (uint64_t)o->basis.n << o->params->log_n;
}

static uint64_t bytes_of(const struct seal_object *o) {
    return sizeof(struct disk_head) +
           (is_pair(o) ? sizeof(struct disk_cipher) : sizeof(struct disk_plain)) +
           sizeof(struct disk_array) + 8 * words_of(o);
}

static void parms_id(uint8_t id[ID], const struct ckks_params *p, const struct kbasis *b) {
    uint64_t w[KERN_MAX_LIMBS + 3] = {SCHEME, (uint64_t)1 << p->log_n};
    for (int i = 0; i < b->n; i++) w[2 + i] = p->prime[b->prime[i]];
    crypto_generichash(id, ID, (const uint8_t *)w, (size_t)(b->n + 3) * 8, NULL, 0);
}

/* ---- rows ---- */

static uint32_t reversed(uint32_t x, int bits) {
    uint32_t r = 0;
    for (int i = 0; i < bits; i++) r |= (x >> i & 1) << (bits - 1 - i);
    return r;
}

/* u, odd: the least primitive 2N-th root is psi^u. */
static uint32_t turn_of(uint32_t q, int log_n) {
    const uint32_t psi = kernels_psi(q, log_n), square = mul_mod(psi, psi, q);
    uint32_t least = psi, u = 1, w = psi;
    for (uint32_t e = 1; e < 2u << log_n; e += 2, w = mul_mod(w, square, q))
        if (w < least) least = w, u = e;
    return u;
}

/* Place here of place i of SEAL. */
static size_t place_of(uint32_t i, uint32_t u, int log_n) {
    const uint32_t e = u * (2 * reversed(i, log_n) + 1) & ((2u << log_n) - 1);
    return reversed(e >> 1, log_n);
}

int seal_write_rows(struct ckks_file_out *f, const struct seal_object *o, const uint32_t *rows,
                    uint64_t block[SEAL_BLOCK]) {
    int st = THOR_OK;
    const int log_n = o->params->log_n;
    const size_t n = (size_t)1 << log_n;
    for (int r = 0; r < o->polys * o->basis.n; r++, rows += n) {
        const uint32_t u = turn_of(o->params->prime[o->basis.prime[r % o->basis.n]], log_n);
        for (size_t i = 0; i < n; i += SEAL_BLOCK) {
            for (size_t j = 0; j < SEAL_BLOCK; j++)
                block[j] = rows[place_of((uint32_t)(i + j), u, log_n)];
            TRY(ckks_file_write(f, block, SEAL_BLOCK * sizeof *block));
        }
    }
out:
    return st;
}

int seal_read_rows(uint32_t *rows, struct ckks_file_in *f, const struct seal_object *o,
                   uint64_t block[SEAL_BLOCK]) {
    int st = THOR_OK;
    const int log_n = o->params->log_n;
    const size_t n = (size_t)1 << log_n;
    for (int r = 0; r < o->polys * o->basis.n; r++, rows += n) {
        const uint32_t q = o->params->prime[o->basis.prime[r % o->basis.n]], u = turn_of(q, log_n);
        for (size_t i = 0; i < n; i += SEAL_BLOCK) {
            uint64_t bad = 0; // counted, not branched on: rows may be of a secret
            TRY(ckks_file_read(f, block, SEAL_BLOCK * sizeof *block));
            for (size_t j = 0; j < SEAL_BLOCK; j++) {
                bad |= block[j] >> 32 | (uint64_t)(block[j] >= q);
                rows[place_of((uint32_t)(i + j), u, log_n)] = (uint32_t)block[j];
            }
            if (bad)
                TRY(thor_fail(THOR_KEY, "a number that is no residue mod %u: copy it again", q));
        }
    }
out:
    return st;
}

/* ---- heads, written ---- */

static struct disk_head head_of(uint64_t bytes) {
    return (struct disk_head){MAGIC, sizeof(struct disk_head), VERSION, 0, 0, 0, bytes};
}

int seal_write_head(struct ckks_file_out *f, const struct seal_object *o) {
    int st = THOR_OK;
    const struct disk_head h = head_of(bytes_of(o));
    const struct disk_array a = {head_of(sizeof a + 8 * words_of(o)), words_of(o)};
    struct disk_cipher c = {
        {0},      1, (uint64_t)o->polys, (uint64_t)1 << o->params->log_n, (uint64_t)o->basis.n,
        o->scale, 1};
    struct disk_plain p = {{0}, words_of(o), o->scale};
    parms_id(p.id, o->params, &o->basis);
    memcpy(c.id, p.id, sizeof c.id);
    TRY(ckks_file_write(f, &h, sizeof h));
    if (is_pair(o))
        TRY(ckks_file_write(f, &c, sizeof c));
    else
        TRY(ckks_file_write(f, &p, sizeof p));
    TRY(ckks_file_write(f, &a, sizeof a));
out:
    return st;
}

static int write_number(struct ckks_file_out *f, uint64_t x) { // as SEAL has a modulus
    const struct disk_array a = {head_of(sizeof a), x};
    return ckks_file_write(f, &a, sizeof a);
}

int ckks_seal_params_save(const struct ckks_params *p, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    const struct kbasis b = seal_key_basis(p);
    const uint64_t size[2] = {(uint64_t)1 << p->log_n, (uint64_t)b.n};
    const uint8_t scheme = SCHEME;
    const struct disk_head h =
        head_of(sizeof h + 1 + sizeof size + (uint64_t)(b.n + 1) * sizeof(struct disk_array));
    TRY(ckks_random_start());
    TRY(seal_check_set(p));
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(ckks_file_write(f, &h, sizeof h));
    TRY(ckks_file_write(f, &scheme, 1));
    TRY(ckks_file_write(f, size, sizeof size));
    for (int i = 0; i < b.n; i++) TRY(write_number(f, p->prime[b.prime[i]]));
    TRY(write_number(f, 0));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}

/* ---- heads, read ---- */

int seal_name_file(int st, const char *path) {
    return st == THOR_KEY ? thor_fail_in(st, ckks_file_name(path)) : st;
}

static int refuse(const char *what) {
    return thor_fail(THOR_KEY, "%s", what);
}

/* A header of an object that ends where `bytes` more of the file do. */
static int check_head(const struct disk_head *h, uint64_t bytes) {
    static const char *const modes[] = {"zlib", "zstd"};
    if (h->magic != MAGIC || h->head_bytes != sizeof *h || h->zero)
        return refuse("no file of Microsoft SEAL: save it with SEAL 4");
    if (h->major != VERSION)
        return thor_fail(THOR_KEY, "a file of SEAL %d.%d: load and save it with SEAL 4", h->major,
                         h->minor);
    if (h->compression)
        return thor_fail(THOR_KEY, "compressed (%s): save it with compr_mode_type::none",
                         h->compression <= 2 ? modes[h->compression - 1] : "unknown");
    if (h->bytes != bytes)
        return thor_fail(THOR_KEY, "%llu bytes where its header says %llu: copy it again",
                         (unsigned long long)bytes, (unsigned long long)h->bytes);
    return THOR_OK;
}

/* o->level and o->basis of so many primes, with the id of the parameters. */
static int check_primes(struct seal_object *o, uint64_t primes, const uint8_t id[ID]) {
    const struct ckks_params *p = o->params;
    uint8_t want[ID];
    int level = 0;
    while (o->level >= 0 && level <= p->max_level && (uint64_t)ckks_basis(p, level).n != primes)
        level++;
    if (o->level < 0 ? (uint64_t)o->basis.n != primes : level > p->max_level)
        return thor_fail(THOR_KEY, "rows of %llu primes, of which %s of parameter set %s has none",
                         (unsigned long long)primes, o->level < 0 ? "a key" : "a level", p->name);
    if (o->level >= 0) *o = seal_object(o->kind, p, level);
    parms_id(want, p, &o->basis);
    if (memcmp(id, want, sizeof want) != 0)
        return thor_fail(THOR_KEY,
                         "of other parameters than set %s: make it with those of "
                         "ckks_seal_params_save()",
                         p->name);
    return THOR_OK;
}

static int read_cipher(struct seal_object *o, struct ckks_file_in *f) {
    int st = THOR_OK;
    struct disk_cipher c;
    TRY(ckks_file_read(f, &c, sizeof c));
    if (c.n != (uint64_t)1 << o->params->log_n)
        return thor_fail(THOR_KEY, "a ring of degree %llu, where parameter set %s has 2^%d",
                         (unsigned long long)c.n, o->params->name, o->params->log_n);
    TRY(check_primes(o, c.primes, c.id));
    if (c.ntt != 1) return refuse("not in NTT form: transform_to_ntt_inplace() in SEAL");
    if (c.polys != (uint64_t)o->polys)
        return thor_fail(THOR_KEY, "%llu polynomials, where there must be 2: relinearise in SEAL",
                         (unsigned long long)c.polys);
    if (c.correction != 1) return refuse("a correction factor: no ciphertext of CKKS");
    o->scale = c.scale;
out:
    return st;
}

static int read_plain(struct seal_object *o, struct ckks_file_in *f) {
    int st = THOR_OK;
    struct disk_plain d;
    TRY(ckks_file_read(f, &d, sizeof d));
    if (d.words & (((uint64_t)1 << o->params->log_n) - 1))
        return thor_fail(THOR_KEY,
                         "%llu words, no rows of 2^%d: of another ring, or not in NTT "
                         "form",
                         (unsigned long long)d.words, o->params->log_n);
    TRY(check_primes(o, d.words >> o->params->log_n, d.id));
    o->scale = d.scale;
out:
    return st;
}

static int read_array(const struct seal_object *o, struct ckks_file_in *f, uint64_t bytes) {
    int st = THOR_OK;
    struct disk_array a;
    TRY(ckks_file_read(f, &a, sizeof a));
    if (is_pair(o) && a.words == words_of(o) / 2)
        return refuse("holds a seed in place of its second half: load and save it with SEAL, or "
                      "make it without one (.. (.., destination))");
    TRY(check_head(&a.head, bytes));
    if (a.words != words_of(o) || bytes != sizeof a + 8 * words_of(o))
        return refuse("another number of words than its head says: copy it again");
out:
    return st;
}

int seal_read_head(struct seal_object *o, struct ckks_file_in *f, enum seal_kind kind,
                   const struct ckks_params *p) {
    int st = THOR_OK;
    const uint64_t bytes = ckks_file_bytes(f);
    struct disk_head h;
    TRY(seal_check_set(p));
    *o = seal_object(kind, p, 0);
    const size_t front =
        sizeof h + (is_pair(o) ? sizeof(struct disk_cipher) : sizeof(struct disk_plain));
    if (bytes < front + sizeof(struct disk_array))
        return refuse("too short for a file of Microsoft SEAL: copy it again");
    TRY(ckks_file_read(f, &h, sizeof h));
    TRY(check_head(&h, bytes));
    TRY(is_pair(o) ? read_cipher(o, f) : read_plain(o, f));
    if (o->level < 0 && o->scale != 1) TRY(refuse("a key of another scale than 1: copy it again"));
    TRY(read_array(o, f, bytes - front));
out:
    return st;
}
