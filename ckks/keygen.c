/* Making keys: the only file in which a secret begins.  The secret is uniform ternary; errors are
 * centred binomial (variance 10.5).  The secret key lives in libsodium's guarded memory and its
 * evaluation form only for the time of a key generation.
 *
 * Streams of one 32-byte seed, by label: 1 the secret, 2 the sparse secret of ModRaise, 3 errors,
 * 16 + id the public halves of key `id` (uniform.h, stream 64 digit + row), so that a file need
 * only hold their seed. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ckks/internal.h"
#include "ckks/serial.h"

enum {
    LABEL_SECRET = 1,
    LABEL_SPARSE,
    LABEL_ERROR,
    LABEL_ID,
    LABEL_PUBLIC_A,
    LABEL_PUBLIC_E,
    LABEL_KEY = 16
};

/* A seed, one derived from it and its stream, in guarded memory: sodium_free wipes them. */
struct stream {
    uint8_t own[CKKS_SEED], sub[CKKS_SEED];
    struct ckks_rng rng;
};

/* seed NULL: one of the system. */
static int stream_open(struct stream **out, const uint8_t seed[CKKS_SEED]) {
    struct stream *w = *out = sodium_malloc(sizeof *w);
    if (!w) return thor_fail(THOR_MEMORY, "no locked memory for a seed");
    if (seed)
        memcpy(w->own, seed, sizeof w->own);
    else
        ckks_random_seed(w->own);
    return THOR_OK;
}

int ckks_secret_new(struct ckks_secret **out, const struct ckks_params *p,
                    const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    size_t n = (size_t)1 << p->log_n;
    int64_t *c = NULL;
    struct stream *w = NULL;
    struct ckks_secret *s = calloc(1, sizeof *s);
    if (!s) return thor_fail(THOR_MEMORY, "no memory for a secret key");
    TRY(ckks_random_start());
    TRY(ckks_params_check(p, p->top_level));
    s->params = p;
    s->s = sodium_malloc(n);
    c = sodium_malloc(n * sizeof *c);
    if (!s->s || !c) {
        st = thor_fail(THOR_MEMORY, "no locked memory for a secret key");
        goto out;
    }
    TRY(stream_open(&w, seed));
    ckks_seed_derive(w->sub, w->own, LABEL_SECRET);
    ckks_rng_init(&w->rng, w->sub, 0);
    ckks_rng_ternary(&w->rng, c, n);
    for (size_t i = 0; i < n; i++) s->s[i] = (int8_t)c[i];
    ckks_seed_derive(w->sub, w->own, LABEL_ID);
    memcpy(s->id, w->sub, sizeof s->id);
    *out = s;
    s = NULL;
out:
    sodium_free(w);
    sodium_free(c);
    ckks_secret_free(s);
    return st;
}

void ckks_secret_free(struct ckks_secret *s) {
    if (!s) return;
    if (s->s) sodium_free(s->s); /* wipes */
    free(s);
}

const uint8_t *ckks_secret_id(const struct ckks_secret *s) {
    return s->id;
}

static struct kbasis all_primes(const struct ckks_params *p) {
    struct kbasis b = {0};
    for (int i = 0; i < p->primes; i++) b.prime[b.n++] = (uint8_t)i;
    return b;
}

/* Evaluation form of small signed coefficients over basis b, into rows. */
static void small_to_rows(struct ckks *cx, uint32_t *rows, const int64_t *c,
                          const struct kbasis *b) {
    cx->k->lift(cx->k, kv(rows, b->n), c, ckks_n(cx), b, 1);
    cx->k->ntt_fwd(cx->k, kv(rows, b->n), b, 1, cx->params->log_n);
}

/* Does prime i belong to digit j, and the factor that goes with it there: P mod q_i. */
static uint32_t gadget(const struct ckks *cx, uint32_t id, int j, int i) {
    const uint32_t *q = cx->params->prime;
    if (id == CKKS_KEY_TO_SPARSE)
        return i == CKKS_TERMINALS + j ? q[cx->params->special0] % q[i] : 0;
    if (i >= cx->params->special0 ||
        (id != CKKS_KEY_FROM_SPARSE && ckks_digit_of(cx->params, i) != j))
        return 0;
    return cx->tables->special[i];
}

struct key_work { /* of one ckks_keys_new */
    struct ckks *cx;
    uint32_t *s, *sparse;       /* all 63 rows, evaluation form */
    uint32_t *src, *tmp, *half; /* 63 rows each */
    uint32_t *host;
    int64_t *err; /* guarded */
    /* own: the seed of all; sub: that of the errors, once open_work is done */
    struct stream *secret;
    uint64_t errors_used;
};

/* out: rows of `from` (all primes) listed in b. */
static void select_rows(struct ckks *cx, uint32_t *out, uint32_t *from, const struct kbasis *b) {
    size_t n = ckks_n(cx);
    for (int i = 0; i < b->n; i++)
        cx->k->copy(cx->k, kv(out + (size_t)i * n, 1), kv(from + (size_t)b->prime[i] * n, 1), 1, 1);
}

/* The rows of a key of which id, level, shape and seed stand. */
static int make_key(struct key_work *w, struct ckks_ksk *key) {
    int st = THOR_OK;
    struct ckks *cx = w->cx;
    struct kernels *k = cx->k;
    struct kbasis all = all_primes(cx->params),
                  b = ckks_key_basis(cx->params, key->id, key->level, &key->digits);
    size_t halves = ckks_key_halves(cx), half = (size_t)b.n * ckks_n(cx);
    uint32_t *to = key->id == CKKS_KEY_TO_SPARSE ? w->sparse : w->s;
    if (key->id == CKKS_KEY_RELIN)
        k->mul(k, kv(w->src, 0), kv(w->s, 0), kv(w->s, 0), &all, 1);
    else if (key->id == CKKS_KEY_TO_SPARSE)
        k->copy(k, kv(w->src, 0), kv(w->s, 0), all.n, 1);
    else if (key->id == CKKS_KEY_FROM_SPARSE)
        k->copy(k, kv(w->src, 0), kv(w->sparse, 0), all.n, 1);
    else
        k->autom(k, kv(w->src, 0), kv(w->s, 0), key->id, all.n, 1);
    TRY(k->alloc(k, &key->data, (size_t)(key->digits * b.n) * halves));
    select_rows(cx, w->tmp, w->src, &b); /* tmp: source secret, later reused per digit */
    k->copy(k, kv(w->src, 0), kv(w->tmp, 0), b.n, 1);
    for (int j = 0; j < key->digits; j++) {
        uint32_t *kb = key->data + (size_t)j * halves * half,
                 *ka = halves > 1 ? kb + half : w->half;
        uint32_t one[KERN_MAX_LIMBS], g[KERN_MAX_LIMBS];
        ckks_key_uniform(cx, kv(ka, b.n), key->seed, j, &b, 1);
        ckks_rng_init(&w->secret->rng, w->secret->sub, w->errors_used++);
        ckks_rng_cbd21(&w->secret->rng, w->err, ckks_n(cx));
        small_to_rows(cx, kb, w->err, &b);
        select_rows(cx, w->tmp, to, &b);
        k->mul(k, kv(w->tmp, 0), kv(w->tmp, 0), kv(ka, 0), &b, 1);
        k->sub(k, kv(kb, 0), kv(kb, 0), kv(w->tmp, 0), &b, 1);
        for (int i = 0; i < b.n; i++) one[i] = 1, g[i] = gadget(cx, key->id, j, b.prime[i]);
        k->lincomb(k, kv(kb, 0), kv(kb, 0), one, kv(w->src, 0), g, &b, 1);
    }
out:
    return st;
}

/* w->secret is open. */
static int open_work(struct key_work *w, struct ckks *cx, const struct ckks_secret *s) {
    int st = THOR_OK;
    size_t n = ckks_n(cx);
    struct kbasis all = all_primes(cx->params);
    struct stream *t = w->secret;
    w->cx = cx;
    TRY(cx->k->alloc(cx->k, &w->s, (size_t)cx->params->primes));
    TRY(cx->k->alloc(cx->k, &w->sparse, (size_t)cx->params->primes));
    TRY(cx->k->alloc(cx->k, &w->src, (size_t)cx->params->primes));
    TRY(cx->k->alloc(cx->k, &w->tmp, (size_t)cx->params->primes));
    if (ckks_key_halves(cx) < 2) TRY(cx->k->alloc(cx->k, &w->half, (size_t)cx->params->primes));
    w->host = malloc((size_t)cx->params->primes * n * sizeof(uint32_t));
    w->err = sodium_malloc(n * sizeof(int64_t));
    if (!w->host || !w->err) {
        st = thor_fail(THOR_MEMORY, "no memory to make keys");
        goto out;
    }
    for (size_t i = 0; i < n; i++) w->err[i] = s->s[i];
    small_to_rows(cx, w->s, w->err, &all);
    ckks_seed_derive(t->sub, t->own, LABEL_SPARSE);
    ckks_rng_init(&t->rng, t->sub, 0);
    ckks_rng_sparse(&t->rng, w->err, n, CKKS_SPARSE_H);
    small_to_rows(cx, w->sparse, w->err, &all);
    ckks_seed_derive(t->sub, t->own, LABEL_ERROR);
out:
    return st;
}

static void close_work(struct key_work *w) {
    struct ckks *cx = w->cx;
    uint32_t *rows[4] = {w->s, w->sparse, w->src, w->tmp};
    for (int i = 0; i < 4; i++) {
        if (rows[i]) cx->k->zero(cx->k, kv(rows[i], cx->params->primes), cx->params->primes, 1);
        cx->k->release(cx->k, rows[i]);
    }
    cx->k->release(cx->k, w->half);
    free(w->host);
    sodium_free(w->err);
    sodium_free(w->secret);
}

static int by_id(const void *a, const void *b) {
    uint32_t x = ((const struct ckks_need *)a)->id, y = ((const struct ckks_need *)b)->id;
    return x < y ? -1 : x > y;
}

/* Ids in order, levels, shapes and seeds: all of the keys but their rows. */
static int list_keys(struct ckks_keys *k, const struct ckks_need *need, int n,
                     const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    struct ckks_need *list = malloc((size_t)(n + 1) * sizeof *list);
    k->key = calloc((size_t)n + 1, sizeof *k->key);
    if (!k->key || !list) {
        st = thor_fail(THOR_MEMORY, "no memory for keys");
        goto out;
    }
    memcpy(list, need, (size_t)n * sizeof *list);
    qsort(list, (size_t)n, sizeof *list, by_id);
    for (int i = 0; i < n; i++, k->n++) {
        struct ckks_ksk *key = &k->key[i];
        TRY(ckks_key_check(k->cx->params, list[i].id, list[i].level));
        key->id = list[i].id;
        key->level = list[i].level;
        key->rows = ckks_key_basis(k->cx->params, key->id, key->level, &key->digits).n;
        ckks_seed_derive(key->seed, seed, LABEL_KEY + (uint64_t)key->id);
    }
out:
    free(list);
    return st;
}

/* The list, and what is needed to make its rows; both are the caller's to free, also on failure. */
static int begin_keys(struct ckks_keys **out, struct key_work *w, struct ckks *cx,
                      const struct ckks_secret *s, const struct ckks_need *need, int n,
                      const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    uint8_t pub[CKKS_SEED];
    struct ckks_keys *k = *out = calloc(1, sizeof *k);
    if (!k) return thor_fail(THOR_MEMORY, "no memory for keys");
    if (s->params != cx->params) {
        st = thor_fail(THOR_KEY, "the secret key is for parameter set %s, this run uses %s",
                       s->params->name, cx->params->name);
        goto out;
    }
    k->cx = cx;
    memcpy(k->id, s->id, sizeof k->id);
    TRY(stream_open(&w->secret, seed));
    ckks_seed_derive(pub, w->secret->own, LABEL_PUBLIC_A);
    TRY(list_keys(k, need, n, pub));
    TRY(open_work(w, cx, s));
out:
    return st;
}

int ckks_keys_new(struct ckks_keys **out, struct ckks *cx, const struct ckks_secret *s,
                  const struct ckks_need *need, int n, const uint8_t seed[CKKS_SEED],
                  void (*progress)(void *, int, int), void *ctx) {
    int st = THOR_OK;
    struct key_work w = {.cx = cx};
    struct ckks_keys *k = NULL;
    TRY(begin_keys(&k, &w, cx, s, need, n, seed));
    for (int i = 0; i < n; i++) {
        TRY(make_key(&w, &k->key[i]));
        if (progress) progress(ctx, i + 1, n);
    }
    TRY(cx->k->sync(cx->k));
    *out = k;
    k = NULL;
out:
    close_work(&w);
    ckks_keys_free(k);
    return st;
}

int ckks_keys_generate(const char *path, struct ckks *cx, const struct ckks_secret *s,
                       const struct ckks_need *need, int n, const uint8_t seed[CKKS_SEED],
                       int (*step)(void *, int, int), void *ctx) {
    int st = THOR_OK;
    struct key_work w = {.cx = cx};
    struct ckks_keys *k = NULL;
    struct ckks_keyfile_out *f = NULL;
    TRY(begin_keys(&k, &w, cx, s, need, n, seed));
    TRY(ckks_keyfile_create(&f, k, path));
    for (int i = 0; i < n; i++) {
        TRY(make_key(&w, &k->key[i]));
        TRY(ckks_keyfile_write(f, &k->key[i]));
        cx->k->release(cx->k, k->key[i].data);
        k->key[i].data = NULL;
        if (step) TRY(step(ctx, i + 1, n));
    }
    TRY(ckks_keyfile_commit(&f));
out:
    ckks_keyfile_abandon(&f);
    close_work(&w);
    ckks_keys_free(k);
    return st;
}

/* ---- public key ---- */

/* Its uniform half, host order, one stream a row. */
static void public_half(const struct ckks *cx, uint32_t *host, const uint8_t seed[CKKS_SEED],
                        const struct kbasis *b) {
#pragma omp parallel for schedule(static) num_threads(cx->k->threads)
    for (int r = 0; r < b->n; r++) {
        struct ckks_rng rng;
        ckks_rng_init(&rng, seed, (uint64_t)r);
        ckks_rng_uniform(&rng, host + (size_t)r * ckks_n(cx), ckks_n(cx),
                         cx->params->prime[b->prime[r]]);
    }
}

int ckks_public_new(struct ckks_public **out, struct ckks *cx, const struct ckks_secret *s,
                    const uint8_t seed[CKKS_SEED]) {
    int st = THOR_OK;
    size_t n = ckks_n(cx);
    struct key_work w = {.cx = cx};
    struct kbasis b = ckks_public_basis(cx->params);
    if (s->params != cx->params)
        return thor_fail(THOR_KEY, "the secret key is for parameter set %s, this run uses %s",
                         s->params->name, cx->params->name);
    struct ckks_public *p = calloc(1, sizeof *p);
    if (!p) return thor_fail(THOR_MEMORY, "no memory for a public key");
    TRY(ckks_params_check(cx->params, cx->params->max_level));
    p->params = cx->params;
    p->rows = b.n;
    memcpy(p->id, s->id, sizeof p->id);
    p->b = malloc((size_t)b.n * n * sizeof *p->b);
    if (!p->b) {
        st = thor_fail(THOR_MEMORY, "no memory for a public key");
        goto out;
    }
    TRY(stream_open(&w.secret, seed));
    TRY(open_work(&w, cx, s));
    ckks_seed_derive(p->seed, w.secret->own, LABEL_PUBLIC_A);
    ckks_seed_derive(w.secret->sub, w.secret->own, LABEL_PUBLIC_E);
    public_half(cx, w.host, p->seed, &b);
    cx->k->upload(cx->k, w.tmp, w.host, (size_t)b.n * n);
    ckks_rng_init(&w.secret->rng, w.secret->sub, 0);
    ckks_rng_cbd21(&w.secret->rng, w.err, n);
    small_to_rows(cx, w.src, w.err, &b);
    cx->k->mul(cx->k, kv(w.tmp, 0), kv(w.tmp, 0), kv(w.s, 0), &b, 1);
    cx->k->sub(cx->k, kv(w.src, 0), kv(w.src, 0), kv(w.tmp, 0), &b, 1);
    cx->k->download(cx->k, p->b, w.src, (size_t)b.n * n);
    *out = p;
    p = NULL;
out:
    close_work(&w);
    ckks_public_free(p);
    return st;
}
