/* Secret keys of Microsoft SEAL, and public keys made of one (format: sealfile.c), in guarded
 * memory while they are numbers.  A server's program is built without this file. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/sealfile.h"

struct secret_work {
    struct kbasis q;       /* of SEAL's keys */
    uint32_t *host, *rows; /* q.n rows each, guarded; of the back end */
    int64_t *c;            /* guarded */
    uint64_t *block;       /* guarded */
};

static int open_work(struct secret_work *w, struct ckks *cx) {
    int st = THOR_OK;
    const size_t n = ckks_n(cx);
    w->q = seal_key_basis(cx->params);
    if (ckks_is_dry(cx)) return thor_fail(THOR_INTERNAL, "a dry run has no keys");
    TRY(ckks_random_start());
    TRY(seal_check_set(cx->params));
    w->host = sodium_malloc((size_t)w->q.n * n * sizeof *w->host);
    w->c = sodium_malloc(n * sizeof *w->c);
    w->block = sodium_malloc(SEAL_BLOCK * sizeof *w->block);
    if (!w->host || !w->c || !w->block)
        return thor_fail(THOR_MEMORY, "no locked memory for a secret key");
    TRY(cx->k->alloc(cx->k, &w->rows, (size_t)w->q.n));
out:
    return st;
}

static void close_work(struct secret_work *w, struct ckks *cx) {
    if (w->rows) cx->k->zero(cx->k, kv(w->rows, w->q.n), w->q.n, 1);
    cx->k->release(cx->k, w->rows);
    sodium_free(w->host); // wipes; NULL is allowed
    sodium_free(w->c);
    sodium_free(w->block);
}

static int check_same_set(const struct ckks_secret *s, const struct ckks *cx) {
    if (s->params == cx->params) return THOR_OK;
    return thor_fail(THOR_KEY, "the secret key is for parameter set %s", s->params->name);
}

/* w->rows = the evaluation form of w->c. */
static void lift_rows(struct secret_work *w, struct ckks *cx) {
    cx->k->lift(cx->k, kv(w->rows, w->q.n), w->c, ckks_n(cx), &w->q, 1);
    cx->k->ntt_fwd(cx->k, kv(w->rows, w->q.n), &w->q, 1, cx->params->log_n);
}

/* ---- secret keys ---- */

int ckks_seal_secret_save(const struct ckks_secret *s, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    struct secret_work w = {0};
    const struct seal_object o = seal_object(SEAL_SECRET, cx->params, -1);
    TRY(check_same_set(s, cx));
    TRY(open_work(&w, cx));
    for (size_t i = 0; i < ckks_n(cx); i++) w.c[i] = s->s[i];
    lift_rows(&w, cx);
    cx->k->download(cx->k, w.host, w.rows, (size_t)w.q.n * ckks_n(cx));
    TRY(cx->k->sync(cx->k));
    TRY(ckks_file_create(&f, path, CKKS_FILE_PRIVATE));
    TRY(seal_write_head(f, &o));
    TRY(seal_write_rows(f, &o, w.host, w.block));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    close_work(&w, cx);
    return st;
}

/* s = the numbers whose coefficient form host is: one row for each prime.  THOR_KEY unless all rows
 * are of the same numbers in -1, 0, 1; no branch on any of them. */
static int take_ternary(int8_t *s, const uint32_t *host, const struct kbasis *b,
                        const struct ckks_params *p) {
    const size_t n = (size_t)1 << p->log_n;
    int bad = 0;
    for (size_t i = 0; i < n; i++) s[i] = (int8_t)((host[i] == 1) - (host[i] > 1));
    for (int r = 0; r < b->n; r++, host += n) {
        const uint32_t q = p->prime[b->prime[r]];
        for (size_t i = 0; i < n; i++) {
            const uint32_t minus = host[i] == q - 1, one = host[i] == 1;
            bad |= (minus | one | (host[i] == 0)) == 0;
            bad |= s[i] != (int8_t)(one - minus);
        }
    }
    return bad ? thor_fail(THOR_KEY, "no ternary secret key: copy it again") : THOR_OK;
}

static int read_secret(struct ckks_secret *s, struct ckks *cx, struct secret_work *w,
                       const char *path) {
    int st = THOR_OK;
    static const uint8_t purpose[16] = "thor SEAL secret";
    const size_t n = ckks_n(cx), words = (size_t)w->q.n * n;
    struct seal_object o;
    struct ckks_file_in *f = NULL;
    TRY(ckks_file_open(&f, path, CKKS_FILE_PRIVATE));
    TRY(seal_read_head(&o, f, SEAL_SECRET, cx->params));
    TRY(seal_read_rows(w->host, f, &o, w->block));
    cx->k->upload(cx->k, w->rows, w->host, words);
    cx->k->ntt_inv(cx->k, kv(w->rows, w->q.n), &w->q, 1, cx->params->log_n);
    cx->k->download(cx->k, w->host, w->rows, words);
    TRY(cx->k->sync(cx->k));
    TRY(take_ternary(s->s, w->host, &w->q, cx->params));
    crypto_generichash(s->id, sizeof s->id, (const uint8_t *)s->s, n, purpose, sizeof purpose);
out:
    ckks_file_close(&f);
    return seal_name_file(st, path);
}

int ckks_seal_secret_load(struct ckks_secret **out, struct ckks *cx, const char *path) {
    int st = THOR_OK;
    struct secret_work w = {0};
    struct ckks_secret *s = calloc(1, sizeof *s);
    if (!s) return thor_fail(THOR_MEMORY, "no memory for a secret key");
    TRY(open_work(&w, cx));
    s->params = cx->params;
    s->s = sodium_malloc(ckks_n(cx));
    if (!s->s) TRY(thor_fail(THOR_MEMORY, "no locked memory for a secret key"));
    TRY(read_secret(s, cx, &w, path));
    *out = s;
    s = NULL;
out:
    close_work(&w, cx);
    ckks_secret_free(s);
    return st;
}

/* ---- public keys ---- */

/* b = e - a s over w->q into pair, in which half a is already. */
static int make_half(uint32_t *pair, struct ckks *cx, struct secret_work *w, uint32_t *a,
                     const struct ckks_secret *s, struct ckks_rng *rng) {
    struct kernels *k = cx->k;
    const size_t n = ckks_n(cx), words = (size_t)w->q.n * n;
    for (size_t i = 0; i < n; i++) w->c[i] = s->s[i];
    lift_rows(w, cx);
    k->upload(k, a, pair + words, words);
    k->mul(k, kv(a, 0), kv(a, 0), kv(w->rows, 0), &w->q, 1);
    ckks_rng_cbd21(rng, w->c, n);
    lift_rows(w, cx);
    k->sub(k, kv(a, 0), kv(w->rows, 0), kv(a, 0), &w->q, 1);
    k->download(k, pair, a, words);
    return k->sync(k);
}

int ckks_seal_public_save(struct ckks *cx, const struct ckks_secret *s, struct ckks_rng *rng,
                          const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    struct secret_work w = {0};
    const struct seal_object o = seal_object(SEAL_PUBLIC, cx->params, -1);
    const size_t n = ckks_n(cx), words = (size_t)o.basis.n * n;
    uint32_t *a = NULL, *pair = malloc(2 * words * sizeof *pair);
    if (!pair) return thor_fail(THOR_MEMORY, "no memory for a public key");
    TRY(check_same_set(s, cx));
    TRY(open_work(&w, cx));
    TRY(cx->k->alloc(cx->k, &a, (size_t)w.q.n));
    for (int r = 0; r < w.q.n; r++)
        ckks_rng_uniform(rng, pair + words + (size_t)r * n, n, cx->params->prime[w.q.prime[r]]);
    TRY(make_half(pair, cx, &w, a, s, rng));
    TRY(ckks_file_create(&f, path, CKKS_FILE_OF_KEYS));
    TRY(seal_write_head(f, &o));
    TRY(seal_write_rows(f, &o, pair, w.block));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    cx->k->release(cx->k, a);
    close_work(&w, cx);
    free(pair);
    return st;
}
