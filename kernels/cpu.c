/* The CPU back end: tables, memory pool, OpenMP over rows; the rows themselves are a tier's
 * (rows.h). */
#include <math.h>
#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/counts.h"
#include "kernels/embed.h"
#include "kernels/pool.h"
#include "kernels/rows.h"

enum { LOG_MAPS = 10, CHUNK = 4096, PIECE = 2048 };

struct cpu {
    struct kernels k;
    struct krows rows;
    uint32_t q[KERN_MAX_LIMBS];
    struct kprime prime[KERN_MAX_LIMBS];
    struct ktwiddle tw[KERN_MAX_LIMBS];
    uint32_t *twiddles; /* 2 tables a prime */
    uint32_t *brv;      /* bit reversal of log_n bits */
    double *slots;      /* N a thread: encode */
    struct pool pool;
    pthread_mutex_t lock;              /* of the maps and `failed` */
    pthread_mutex_t encoding;          /* of slots */
    struct kautom *map[1 << LOG_MAPS]; /* one for each hash of g, the latest */
    int failed; /* THOR_MEMORY after an automorphism for which there was no room */
};

static struct cpu *of(struct kernels *k) {
    return (struct cpu *)k;
}
static size_t ring(const struct kernels *k) {
    return (size_t)1 << k->log_n;
}

/* ---- memory ---- */

static int cpu_alloc(struct kernels *k, uint32_t **p, size_t rows) {
    size_t bytes = 0, want = rows * ring(k) * sizeof(uint32_t);
    *p = pool_take(&of(k)->pool, want, &bytes);
    if (!*p)
        return thor_fail(THOR_MEMORY, "out of memory: %zu MiB more are needed, %zu MiB are in use",
                         want >> 20, k->counts.bytes_now >> 20);
    count_alloc(k, bytes);
    return THOR_OK;
}

static void cpu_release(struct kernels *k, uint32_t *p) {
    if (p) count_release(k, pool_give(&of(k)->pool, p));
}

static void cpu_upload(struct kernels *k, uint32_t *dst, const uint32_t *host, size_t words) {
    count_bytes(k, words * sizeof *dst);
    memcpy(dst, host, words * sizeof *dst);
}

static void cpu_download(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words) {
    count_bytes(k, words * sizeof *host);
    memcpy(host, src, words * sizeof *host);
}

static int cpu_sync(struct kernels *k) {
    struct cpu *c = of(k);
    pthread_mutex_lock(&c->lock);
    int st = c->failed;
    c->failed = THOR_OK;
    pthread_mutex_unlock(&c->lock);
    return st ? thor_fail(st, "no memory for the map of an automorphism") : THOR_OK;
}

/* ---- rows in parallel ---- */

static uint32_t *row(struct kvec v, int p, int r, size_t n) {
    return v.p + ((size_t)p * v.pitch + (size_t)r) * n;
}

/* Threads for `work` rows: one when the work is small or we already are inside a parallel
 * region. */
static int team(const struct kernels *k, int work) {
    if (omp_in_parallel() || work < 2 || (size_t)work << k->log_n < 131072) return 1;
    return k->threads < work ? k->threads : work;
}

#define ROWS(limbs, polys)                                                                         \
    size_t n = ring(k);                                                                            \
    int total_ = (limbs) * (polys), limbs_ = (limbs);                                              \
    struct cpu *c = of(k);                                                                         \
    (void)c, (void)limbs_;                                                                         \
    _Pragma("omp parallel for schedule(static) num_threads(team(k, total_))") for (int i = 0;      \
                                                                                   i < total_;     \
                                                                                   i++)

#define P_ int p = i / limbs_, r = i % limbs_

static void cpu_copy(struct kernels *k, struct kvec out, struct kvec a, int limbs, int polys) {
    count_point(k, limbs, polys, 2);
    ROWS(limbs, polys) {
        P_;
        if (row(out, p, r, n) != row(a, p, r, n))
            memcpy(row(out, p, r, n), row(a, p, r, n), n * sizeof(uint32_t));
    }
}

static void cpu_zero(struct kernels *k, struct kvec out, int limbs, int polys) {
    count_point(k, limbs, polys, 1);
    ROWS(limbs, polys) {
        P_;
        memset(row(out, p, r, n), 0, n * sizeof(uint32_t));
    }
}

static void cpu_add(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                    const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, 3);
    ROWS(b->n, polys) {
        P_;
        c->rows.add(row(out, p, r, n), row(x, p, r, n), row(y, p, r, n), n, &c->prime[b->prime[r]]);
    }
}

static void cpu_sub(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                    const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, 3);
    ROWS(b->n, polys) {
        P_;
        c->rows.sub(row(out, p, r, n), row(x, p, r, n), row(y, p, r, n), n, &c->prime[b->prime[r]]);
    }
}

static void cpu_neg(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                    int polys) {
    count_point(k, b->n, polys, 2);
    ROWS(b->n, polys) {
        P_;
        c->rows.neg(row(out, p, r, n), row(x, p, r, n), n, &c->prime[b->prime[r]]);
    }
}

static void cpu_mul(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                    const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, 3);
    ROWS(b->n, polys) {
        P_;
        c->rows.mul(row(out, p, r, n), row(x, p, r, n), row(y, p, r, n), n, &c->prime[b->prime[r]]);
    }
}

static void cpu_lincomb(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *sx,
                        struct kvec y, const uint32_t *sy, const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, y.p ? 3 : 2);
    ROWS(b->n, polys) {
        P_;
        c->rows.lincomb(row(out, p, r, n), row(x, p, r, n), sx[r], y.p ? row(y, p, r, n) : NULL,
                        y.p ? sy[r] : 0, n, &c->prime[b->prime[r]]);
    }
}

static void cpu_add_scalar(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *s,
                           const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, 2);
    ROWS(b->n, polys) {
        P_;
        c->rows.add_scalar(row(out, p, r, n), row(x, p, r, n), s[r], n, &c->prime[b->prime[r]]);
    }
}

/* ---- automorphisms: maps are made on demand, counted by users ---- */

static void map_drop(struct kautom *m) { /* under the lock */
    if (m && --m->users == 0) free(m);
}

static void fail_memory(struct cpu *c) {
    pthread_mutex_lock(&c->lock);
    c->failed = THOR_MEMORY;
    pthread_mutex_unlock(&c->lock);
}

static struct kautom *map_get(struct cpu *c, uint32_t g) {
    struct kautom **slot = &c->map[(g * 2654435761u) >> (32 - LOG_MAPS)];
    pthread_mutex_lock(&c->lock);
    if (!*slot || (*slot)->g != g) {
        map_drop(*slot);
        *slot = kautom_new(g, c->k.log_n);
    }
    if (*slot)
        (*slot)->users++;
    else
        c->failed = THOR_MEMORY;
    struct kautom *m = *slot;
    pthread_mutex_unlock(&c->lock);
    return m;
}

static void map_put(struct cpu *c, struct kautom *m) {
    pthread_mutex_lock(&c->lock);
    map_drop(m);
    pthread_mutex_unlock(&c->lock);
}

static void cpu_autom(struct kernels *k, struct kvec out, struct kvec x, uint32_t g, int limbs,
                      int polys) {
    count_autom(k, limbs, polys);
    struct kautom *map = map_get(of(k), g);
    if (!map) return;
    ROWS(limbs, polys) {
        P_;
        c->rows.autom(row(out, p, r, n), row(x, p, r, n), map, n);
    }
    map_put(of(k), map);
}

/* polynomials p0 .. p0+polys-1 of one row; polys 2 only when a is shared */
static void dot_row(struct cpu *c, struct kvec out, const struct kterm *t, int terms,
                    const struct kautom *map, int log_rep, int acc, int prime, int r, int p0,
                    int polys) {
    size_t n = ring(&c->k), short_n = n >> log_rep;
    const uint32_t *a[255], *b[255][2];
    uint32_t *o[2] = {row(out, p0, r, n), polys > 1 ? row(out, p0 + 1, r, n) : NULL};
    for (int j = 0; j < terms; j++) {
        a[j] = t[j].a + ((size_t)p0 * t[j].a_pitch + (size_t)r) * n;
        size_t b_row = (size_t)(r < t[j].split ? r : r + t[j].gap);
        for (int h = 0; h < polys; h++)
            b[j][h] = t[j].b + ((size_t)(p0 + h) * t[j].b_pitch + b_row) * short_n;
    }
    c->rows.dot(o, polys, a, (const uint32_t *const(*)[2])b, terms, map, log_rep, acc, n,
                &c->prime[prime]);
}

static void cpu_dot(struct kernels *k, struct kvec out, const struct kterm *terms, int n_terms,
                    uint32_t g, int log_rep, int accumulate, const struct kbasis *b, int polys) {
    count_dot(k, terms, n_terms, log_rep, accumulate, b->n, polys);
    struct kautom *map = g == 1 ? NULL : map_get(of(k), g);
    if (g != 1 && !map) return;
    int step = polys % 2 == 0 ? 2 : 1; /* pairs of polynomials share a */
    for (int j = 0; j < n_terms; j++)
        if (terms[j].a_pitch) step = 1;
    ROWS(b->n, polys / step) {
        P_;
        (void)n;
        dot_row(c, out, terms, n_terms, map, log_rep, accumulate, b->prime[r], r, p * step, step);
    }
    if (map) map_put(of(k), map);
}

/* ---- entries that go through a row in pieces, so that a near cache holds their operands ---- */

/* places from .. from + len - 1 of polynomial p of output o */
static void dots_piece(struct cpu *c, const struct kdots *d, int o, int prime, int r, int p,
                       size_t from, size_t len) {
    const size_t n = ring(&c->k), at = (size_t)r * n + from;
    const int acc = d->accumulate >> o & 1;
    const uint32_t *a[255], *b[255][2];
    uint32_t *to[2] = {d->out[o] + (size_t)p * d->out_pitch * n + at};
    int m = 0;
    for (int k = 0; k < d->terms; k++) {
        const uint32_t *w = d->b[o * d->terms + k];
        if (!w) continue;
        a[m] = d->a[k] + (size_t)p * d->a_pitch * n + at;
        b[m++][0] = w + (at >> d->log_rep);
    }
    if (m)
        c->rows.dot(to, 1, a, (const uint32_t *const(*)[2])b, m, NULL, d->log_rep, acc, len,
                    &c->prime[prime]);
    else if (!acc)
        memset(to[0], 0, len * sizeof **to);
}

static void cpu_dots(struct kernels *k, const struct kdots *d, const struct kbasis *b, int polys) {
    count_dots(k, d, b->n, polys);
    const size_t least = (size_t)1 << d->log_rep, want = least > PIECE ? least : PIECE;
    ROWS(b->n, polys) {
        P_;
        const size_t len = n < want ? n : want;
        for (size_t from = 0; from < n; from += len)
            for (int o = 0; o < d->outputs; o++) dots_piece(c, d, o, b->prime[r], r, p, from, len);
    }
}

static void cpu_combine(struct kernels *k, struct kvec out, const struct kstream *x, int terms,
                        const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, terms + 1);
    ROWS(b->n, polys) {
        P_;
        const struct kprime *q = &c->prime[b->prime[r]];
        uint32_t sum[PIECE];
        const size_t len = n < PIECE ? n : PIECE;
        for (size_t from = 0; from < n; from += len)
            for (int j = 0; j < terms; j += 2) { /* two at a time */
                const int two = j + 1 < terms;
                uint32_t *o = row(out, p, r, n) + from, *to = j ? sum : o;
                c->rows.lincomb(to, row(x[j].x, p, r, n) + from, x[j].s[r],
                                two ? row(x[j + 1].x, p, r, n) + from : NULL,
                                two ? x[j + 1].s[r] : 0, len, q);
                if (j) c->rows.add(o, o, sum, len, q);
            }
    }
}

static void cpu_tensor(struct kernels *k, struct kvec out, const struct kpair *t, int pairs,
                       const struct kbasis *b) {
    count_tensor(k, t, pairs, b->n);
    ROWS(b->n, 1) {
        const uint32_t *x[254], *y[254][2];
        const size_t len = n < PIECE ? n : PIECE;
        for (size_t from = 0; from < n; from += len)
            for (int h = 0; h < 3; h++) {
                uint32_t *to[2] = {row(out, h, i, n) + from};
                int m = 0;
                for (int j = 0; j < pairs; j++)
                    for (int u = h > 1; u <= (h > 0); u++) { /* part u of a, h - u of b */
                        const size_t at = (size_t)i * n + from;
                        x[m] = t[j].a + (size_t)u * t[j].a_pitch * n + at;
                        y[m++][0] = t[j].b + (size_t)(h - u) * t[j].b_pitch * n + at;
                    }
                c->rows.dot(to, 1, x, (const uint32_t *const(*)[2])y, m, NULL, 0, 0, len,
                            &c->prime[b->prime[i]]);
            }
    }
}

static struct klinear_row linear_row(const struct klinear *l, int r, int polys, size_t n) {
    const size_t at = (size_t)r * n, short_n = n >> l->log_rep;
    return (struct klinear_row){.outputs = l->outputs,
                                .terms = l->terms,
                                .polys = polys,
                                .log_rep = l->log_rep,
                                .accumulate = l->accumulate,
                                .out = l->out.p + at,
                                .a = l->a.p + at,
                                .w = l->w + (size_t)r * short_n,
                                .out_step = l->out.step * n,
                                .out_pitch = l->out.pitch * n,
                                .a_step = l->a.step * n,
                                .a_pitch = l->a.pitch * n,
                                .w_step = l->w_pitch * short_n};
}

/* Some classes of a row for each thread in turn. */
static int cpu_linear(struct kernels *k, const struct klinear *l, const struct kbasis *b,
                      int polys) {
    int st = kern_linear_check(k, l, b, polys);
    if (st) return st;
    struct cpu *c = of(k);
    const size_t n = ring(k), classes = n >> l->log_rep, each = kern_linear_work(l);
    const int per = (int)((classes + LINEAR_CLASSES - 1) / LINEAR_CLASSES), total = b->n * per;
    const int threads = omp_in_parallel() || total < 2 ? 1
                        : k->threads < total           ? k->threads
                                                       : total;
    uint32_t *work = aligned_alloc(64, (size_t)threads * each * sizeof *work);
    if (!work) return thor_fail(THOR_MEMORY, "no memory for the tiles of a linear map");
    count_linear(k, l, b->n, polys);
#pragma omp parallel for schedule(dynamic) num_threads(threads)
    for (int i = 0; i < total; i++) {
        const struct klinear_row row = linear_row(l, i / per, polys, n);
        size_t from = (size_t)(i % per) * LINEAR_CLASSES, to = from + LINEAR_CLASSES;
        c->rows.linear(&row, from, to < classes ? to : classes,
                       work + (size_t)omp_get_thread_num() * each, &c->prime[b->prime[i / per]]);
    }
    free(work);
    return THOR_OK;
}

static const uint32_t *next_row(struct kvec x, int i, int total, int limbs, int log) {
    return ++i < total ? row(x, i / limbs, i % limbs, (size_t)1 << log) : NULL;
}

static void cpu_ntt_fwd(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                        int log) {
    count_ntt(k, &k->counts.rows_ntt, b->n, polys, log);
    ROWS(b->n, polys) {
        P_;
        (void)n;
        c->rows.ntt_fwd(row(x, p, r, (size_t)1 << log), log, &c->prime[b->prime[r]],
                        &c->tw[b->prime[r]], next_row(x, i, total_, limbs_, log));
    }
}

static void cpu_ntt_inv(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                        int log) {
    count_ntt(k, &k->counts.rows_intt, b->n, polys, log);
    ROWS(b->n, polys) {
        P_;
        (void)n;
        c->rows.ntt_inv(row(x, p, r, (size_t)1 << log), log, &c->prime[b->prime[r]],
                        &c->tw[b->prime[r]]);
    }
}

static int cpu_bconv_new(struct kernels *k, struct kbconv **out, const struct kbasis *src,
                         const struct kbasis *dst) {
    struct cpu *c = of(k);
    if (src->n < 1 || src->n > KERN_MAX_SRC)
        return thor_fail(THOR_INTERNAL, "a base conversion from %d primes", src->n);
    struct kbconv *v = calloc(1, sizeof *v);
    if (!v) return thor_fail(THOR_MEMORY, "no memory for a base conversion");
    kbconv_fill(v, c->prime, src, dst);
    *out = v;
    return THOR_OK;
}

static void cpu_bconv_free(struct kernels *k, struct kbconv *v) {
    (void)k;
    free(v);
}

static void convert(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                    const struct kbconv *v, int centred, int polys) {
    size_t n = ring(k), chunk = n < CHUNK ? n : CHUNK;
    int per = (int)(n / chunk), total = polys * per;
    struct cpu *c = of(k);
#pragma omp parallel for schedule(static) num_threads(team(k, total))
    for (int i = 0; i < total; i++) {
        size_t from = (size_t)(i % per) * chunk;
        c->rows.bconv(row(out, i / per, 0, n), n, row(x, i / per, 0, n), n, pre, v, centred, from,
                      from + chunk);
    }
}

static void cpu_bconv(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                      const struct kbconv *v, int centred, int polys) {
    count_bconv(k, v->src.n, v->dst.n, polys);
    convert(k, out, x, pre, v, centred, polys);
}

/* ---- changes of basis in evaluation form: each row is copied, transformed and combined while a
 * cache holds it */

static void inverse_row(struct cpu *c, uint32_t *to, const uint32_t *from, int prime) {
    if (to != from) memcpy(to, from, ring(&c->k) * sizeof *to);
    c->rows.ntt_inv(to, c->k.log_n, &c->prime[prime], &c->tw[prime]);
}

/* The rows of one digit as they are, then all others from its coefficients. */
static void extend_digit(struct kernels *k, struct kvec out, const uint32_t *coeff,
                         const struct kdigit *d, int centred) {
    const struct kbconv *v = d->conv;
    size_t from = (size_t)d->first * ring(k);
    convert(k, out, (struct kvec){(uint32_t *)(uintptr_t)coeff + from, 0}, NULL, v, centred, 1);
    ROWS(v->dst.n, 1) {
        int next = i + 1 < v->dst.n ? v->at[i + 1] : -1, prime = v->dst.prime[i];
        c->rows.ntt_fwd(row(out, 0, v->at[i], n), k->log_n, &c->prime[prime], &c->tw[prime],
                        next < 0 ? NULL : row(out, 0, next, n));
    }
}

static void cpu_mod_up(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *work,
                       const struct kdigit *digit, int digits, const struct kbasis *ext,
                       int centred) {
    const struct kvec from = {x, 0}, coeff = {work, 0};
    const struct kdigit *last = &digit[digits - 1];
    count_mod_up(k, digit, digits, ext->n);
    ROWS(last->first + last->n, 1) {
        int j = 0;
        while (i >= digit[j].first + digit[j].n) j++;
        memcpy(row(out, j, i, n), row(from, 0, i, n), n * sizeof *x);
        inverse_row(c, row(coeff, 0, i, n), row(from, 0, i, n), ext->prime[i]);
    }
    for (int j = 0; j < digits; j++) {
        struct kvec to = {row(out, j, 0, ring(k)), out.pitch};
        extend_digit(k, to, work, &digit[j], centred);
    }
}

/* ---- key switching: a row of the sum while a cache holds the digits' ---- */

static void cpu_uniform(struct kernels *k, struct kvec out, const uint8_t *seed, uint32_t from,
                        const struct kbasis *b, int polys) {
    uint32_t words[UNIFORM_WORDS];
    memcpy(words, seed, sizeof words);
    count_uniform(k, b->n, polys);
    ROWS(b->n, polys) {
        P_;
        c->rows.uniform(row(out, p, r, n), words, from + 64 * (uint32_t)p + (uint32_t)r, n,
                        c->q[b->prime[r]]);
    }
}

/* The second halves of row r of a key, stored or made in `made`, a row a digit. */
static void second_halves(struct cpu *c, const uint32_t *b[][2], int digits, const struct kkey *key,
                          int r, int prime, uint32_t *made) {
    const size_t n = ring(&c->k);
    const int at = r < key->split ? r : r + key->gap;
    uint32_t words[UNIFORM_WORDS];
    if (key->seed) memcpy(words, key->seed, sizeof words);
    for (int j = 0; j < digits; j++) {
        b[j][1] = key->digit[j] + (key->pitch + (size_t)at) * n;
        if (!key->seed) continue;
        b[j][1] = made + (size_t)j * n;
        c->rows.uniform(made + (size_t)j * n, words, (uint32_t)(64 * j + key->first + at), n,
                        c->q[prime]);
    }
}

/* Row r of the sum; x[j]: of digit j, under map when it is not NULL.  spare: a row to work in;
 * made: one a digit when the key has a seed. */
static void key_row(struct cpu *c, struct kvec out, const uint32_t *const *x, int digits,
                    const struct kkey *key, const struct kautom *map, const struct kplus *plus,
                    const struct kautom *plus_map, int r, int prime, uint32_t *spare,
                    uint32_t *made) {
    const size_t n = ring(&c->k), at = (size_t)(r < key->split ? r : r + key->gap) * n;
    const struct kprime *q = &c->prime[prime];
    const uint32_t *b[KERN_MAX_DIGITS][2];
    uint32_t *o[2] = {row(out, 0, r, n), row(out, 1, r, n)};
    for (int j = 0; j < digits; j++) b[j][0] = key->digit[j] + at;
    second_halves(c, b, digits, key, r, prime, made);
    c->rows.dot(o, 2, x, (const uint32_t *const(*)[2])b, digits, map, 0, key->accumulate, n, q);
    for (int p = 0; plus && r < plus->rows && p < plus->polys; p++) {
        const uint32_t *more = row(plus->v, p, r, n);
        if (plus_map) c->rows.autom(spare, more, plus_map, n), more = spare;
        if (plus->s) c->rows.lincomb(spare, more, plus->s[r], NULL, 0, n, q), more = spare;
        c->rows.add(o[p], o[p], more, n, q);
    }
}

/* `rows` for each thread, to pool_give; NULL for none, or when there is no memory, and then *good
 * is 0. */
static uint32_t *rows_of_threads(struct kernels *k, int rows, int *good) {
    size_t got, bytes = sizeof(uint32_t) * ring(k) * (size_t)(k->threads * rows);
    uint32_t *p = rows ? pool_take(&of(k)->pool, bytes, &got) : NULL;
    *good &= p || !rows;
    return p;
}

/* a row of digits for one key after the other */
static void cpu_key_sum(struct kernels *k, const struct kvec *out, struct kvec x, int digits,
                        const struct kkey *key, int keys, const struct kplus *plus,
                        const struct kbasis *ext) {
    struct pool *pool = &of(k)->pool;
    struct kautom *map[KERN_MAX_KEYS];
    int good = 1, each = 1;
    count_key_sum(k, key, keys, digits, plus, ext->n);
    for (int m = 0; m < keys; m++) {
        map[m] = key[m].g == 1 ? NULL : map_get(of(k), key[m].g);
        good &= key[m].g == 1 || map[m];
        if (key[m].seed) each = 1 + digits;
    }
    uint32_t *spare = rows_of_threads(k, plus || each > 1 ? each : 0, &good);
    if (!good) fail_memory(of(k));
    ROWS(good ? ext->n : 0, 1) {
        const uint32_t *a[KERN_MAX_DIGITS];
        uint32_t *mine = spare ? spare + (size_t)(omp_get_thread_num() * each) * n : NULL;
        for (int j = 0; j < digits; j++) a[j] = row(x, j, i, n);
        for (int m = 0; m < keys; m++)
            key_row(c, out[m], a, digits, &key[m], map[m], plus, map[m], i, ext->prime[i], mine,
                    mine ? mine + n : NULL);
    }
    if (spare) pool_give(pool, spare);
    for (int m = 0; m < keys; m++)
        if (map[m]) map_put(of(k), map[m]);
}

/* Rows of x under g where its digits have them, and all as coefficients. */
static void own_rows(struct kernels *k, struct kvec y, uint32_t *coeff, const uint32_t *x,
                     const struct kautom *map, const struct kdigit *digit, int digits,
                     const struct kbasis *ext) {
    const struct kdigit *last = &digit[digits - 1];
    ROWS(last->first + last->n, 1) {
        int j = 0;
        const uint32_t *from = x + (size_t)i * n;
        while (i >= digit[j].first + digit[j].n) j++;
        uint32_t *own = row(y, j, i, n);
        if (map) c->rows.autom(own, from, map, n), from = own;
        inverse_row(c, coeff + (size_t)i * n, (uint32_t *)(uintptr_t)from, ext->prime[i]);
    }
}

/* of one polynomial; map: of the key, NULL for none; made: see key_row, for each thread */
static void sum_of_one(struct kernels *k, struct kvec out, const uint32_t *x, uint32_t *work,
                       const struct kdigit *digit, int digits, const struct kkey *key,
                       const struct kautom *map, const struct kplus *plus, const struct kbasis *ext,
                       int centred, uint32_t *made) {
    const struct kdigit *last = &digit[digits - 1];
    struct kvec y = {work + (size_t)(last->first + last->n) * ring(k), (size_t)ext->n};
    own_rows(k, y, work, x, map, digit, digits, ext);
    for (int j = 0; j < digits; j++)
        convert(k, (struct kvec){row(y, j, 0, ring(k)), 0},
                (struct kvec){work + (size_t)digit[j].first * ring(k), 0}, NULL, digit[j].conv,
                centred, 1);
    ROWS(ext->n, 1) {
        const uint32_t *a[KERN_MAX_DIGITS];
        const int prime = ext->prime[i];
        for (int j = 0; j < digits; j++) {
            uint32_t *t = row(y, j, i, n);
            const int own = i >= digit[j].first && i < digit[j].first + digit[j].n;
            a[j] = own && !map ? x + (size_t)i * n : t;
            if (!own)
                c->rows.ntt_fwd(t, k->log_n, &c->prime[prime], &c->tw[prime],
                                j + 1 < digits ? row(y, j + 1, i, n) : NULL);
        }
        key_row(c, out, a, digits, key, NULL, plus, map, i, prime, row(y, 0, i, n),
                made ? made + (size_t)(omp_get_thread_num() * digits) * n : NULL);
    }
}

static void cpu_mod_up_sum(struct kernels *k, const struct kvec *out, const uint32_t *const *x,
                           int n, uint32_t *work, const struct kdigit *digit, int digits,
                           const struct kkey *key, const struct kplus *plus,
                           const struct kbasis *ext, int centred) {
    struct kautom *map = key->g == 1 ? NULL : map_get(of(k), key->g);
    int good = key->g == 1 || map;
    uint32_t *made = rows_of_threads(k, key->seed ? digits : 0, &good);
    count_mod_up_sum(k, n, digit, digits, key, plus, ext->n);
    if (!good) fail_memory(of(k));
    for (int i = 0; good && i < n; i++)
        sum_of_one(k, out[i], x[i], work, digit, digits, key, map, plus ? plus + i : NULL, ext,
                   centred, made);
    if (made) pool_give(&of(k)->pool, made);
    if (map) map_put(of(k), map);
}

static void cpu_rebase(struct kernels *k, struct kvec out, struct kvec x, uint32_t *work,
                       const struct krebase *r, int polys) {
    struct kvec coeff = {work, (size_t)r->from.n},
                y = {work + (size_t)(polys * r->from.n) * ring(k), (size_t)r->to.n};
    count_rebase(k, r, polys);
    {
        ROWS(r->from.n, polys) {
            int p = i / limbs_, s = i % limbs_;
            inverse_row(c, row(coeff, p, s, n), row(x, p, r->row[s], n), r->from.prime[s]);
        }
    }
    convert(k, y, coeff, r->pre, r->conv, 1, polys);
    ROWS(r->to.n, polys) {
        int p = i / limbs_, s = i % limbs_, prime = r->to.prime[s], old = s >= r->fresh;
        const struct kprime *q = &c->prime[prime];
        uint32_t *t = row(y, p, s, n), *a = old ? row(x, p, r->kept + s - r->fresh, n) : t;
        c->rows.ntt_fwd(t, k->log_n, q, &c->tw[prime], next_row(y, i, total_, limbs_, k->log_n));
        uint32_t *o = row(out, p, s, n);
        c->rows.lincomb(o, a, old ? r->sx[s] : r->sy[s], old ? t : NULL, r->sy[s], n, q);
        if (r->plus && !p) c->rows.add(o, o, r->plus + (size_t)s * n, n, q);
    }
}

/* Numbers of 2^log_run slots each as rounded coefficients, 64 bits for 64 bits. */
static void round_slots(const struct kernels *k, double *z, const double *from, int log,
                        int log_run, double scale) {
    size_t n = (size_t)1 << log;
    for (size_t i = 0; i < 2 * n; i++) z[i] = from[i >> log_run];
    kern_embed_inv(k, z, z + n, log);
    for (size_t i = 0; i < 2 * n; i++) {
        int64_t v = llrint(z[i] * scale);
        memcpy(&z[i], &v, sizeof v);
    }
}

static void lift_rows(struct kernels *k, struct kvec out, const void *coeff, size_t words,
                      const struct kbasis *b, int polys) {
    ROWS(b->n, polys) {
        P_;
        (void)n;
        c->rows.lift(row(out, p, r, words), (const int64_t *)coeff + (size_t)p * words, words,
                     &c->prime[b->prime[r]]);
    }
}

static void cpu_lift(struct kernels *k, struct kvec out, const int64_t *coeff, size_t words,
                     const struct kbasis *b, int polys) {
    count_lift(k, words, words, b->n, polys);
    lift_rows(k, out, coeff, words, b, polys);
}

static void cpu_encode(struct kernels *k, struct kvec out, const double *z, int log_slots,
                       int log_run, double scale, const struct kbasis *b, int polys) {
    struct cpu *c = of(k);
    size_t n = ring(k), words = (size_t)2 << log_slots, numbers = words >> log_run;
    int most = k->threads * (int)(n / words);
    count_lift(k, numbers, words, b->n, polys);
    scale /= (double)((size_t)1 << log_slots);
    pthread_mutex_lock(&c->encoding);
    /* N words a thread, while caches hold them: one polynomial, or many short ones */
    for (int done = 0; done < polys; done += most) {
        int now = polys - done < most ? polys - done : most;
        const double *from = z + (size_t)done * numbers;
#pragma omp parallel for schedule(static)                                                          \
    num_threads(team(k, (int)(((size_t)now * words + n - 1) / n)))
        for (int p = 0; p < now; p++)
            round_slots(k, c->slots + (size_t)p * words, from + (size_t)p * numbers, log_slots,
                        log_run, scale);
        lift_rows(k, (struct kvec){out.p + (size_t)done * out.pitch * words, out.pitch}, c->slots,
                  words, b, now);
    }
    pthread_mutex_unlock(&c->encoding);
}

/* ---- opening and closing ---- */

static void cpu_close(struct kernels *k) {
    struct cpu *c = of(k);
    pool_close(&c->pool);
    kern_roots_free(k);
    for (int i = 0; i < 1 << LOG_MAPS; i++) map_drop(c->map[i]);
    pthread_mutex_destroy(&c->lock);
    pthread_mutex_destroy(&c->encoding);
    free(c->slots);
    free(c->brv);
    free(c->twiddles);
    free(c);
}

static void fill_twiddles(struct cpu *c, int i) {
    size_t n = ring(&c->k);
    uint32_t q = c->q[i], psi = kernels_psi(q, c->k.log_n), ipsi = kern_inv_mod(psi, q);
    uint32_t *t = c->twiddles + (size_t)i * 2 * n;
    uint32_t a = c->prime[i].r1, b = a;
    for (size_t j = 0; j < n; j++) {
        size_t at = c->brv[j];
        t[at] = a;
        t[n + at] = b;
        a = kern_mul_mod(a, psi, q);
        b = kern_mul_mod(b, ipsi, q);
    }
    c->tw[i] = (struct ktwiddle){t, t + n};
}

static enum kern_tier wanted_tier(enum kern_tier tier) {
    const char *env = getenv("THOR_CPU");
    enum kern_tier best = tier == KERN_TIER_BEST ? KERN_TIER_AVX512 : tier,
                   lower = KERN_TIER_AVX512;
    if (env && !strcmp(env, "ref")) lower = KERN_TIER_REF;
    if (env && !strcmp(env, "avx2")) lower = KERN_TIER_AVX2;
    return lower < best ? lower : best;
}

static void choose_tier(struct cpu *c, enum kern_tier tier) {
    enum kern_tier t = wanted_tier(tier);
    krows_ref(&c->rows);
    c->k.tier = "ref";
    if (t >= KERN_TIER_AVX2 && krows_avx2(&c->rows)) c->k.tier = "avx2";
    if (t >= KERN_TIER_AVX512 && krows_avx512(&c->rows)) c->k.tier = "avx512";
}

int kernels_open_cpu(struct kernels **out, int log_n, const uint32_t *q, int primes,
                     enum kern_tier tier, int threads) {
    if (log_n < 4 || log_n > 17 || primes < 1 || primes > KERN_MAX_LIMBS)
        return thor_fail(THOR_USAGE, "a ring of degree 2^%d with %d primes is not supported", log_n,
                         primes);
    for (int i = 0; i < primes; i++)
        if (kern_check_prime(q[i], log_n)) return THOR_USAGE;
    struct cpu *c = calloc(1, sizeof *c);
    if (!c) return thor_fail(THOR_MEMORY, "no memory for the CPU back end");
    struct kernels *k = &c->k;
    size_t n = (size_t)1 << log_n;
    *k = (struct kernels){.kind = KERN_CPU,
                          .log_n = log_n,
                          .primes = primes,
                          .q = c->q,
                          .threads = threads > 0 ? threads : omp_get_max_threads(),
                          .self = c,
                          .close = cpu_close,
                          .alloc = cpu_alloc,
                          .release = cpu_release,
                          .upload = cpu_upload,
                          .download = cpu_download,
                          .copy = cpu_copy,
                          .zero = cpu_zero,
                          .sync = cpu_sync,
                          .add = cpu_add,
                          .sub = cpu_sub,
                          .neg = cpu_neg,
                          .mul = cpu_mul,
                          .lincomb = cpu_lincomb,
                          .add_scalar = cpu_add_scalar,
                          .dot = cpu_dot,
                          .dots = cpu_dots,
                          .combine = cpu_combine,
                          .tensor = cpu_tensor,
                          .linear = cpu_linear,
                          .ntt_fwd = cpu_ntt_fwd,
                          .ntt_inv = cpu_ntt_inv,
                          .autom = cpu_autom,
                          .bconv_new = cpu_bconv_new,
                          .bconv_free = cpu_bconv_free,
                          .bconv = cpu_bconv,
                          .mod_up = cpu_mod_up,
                          .uniform = cpu_uniform,
                          .key_sum = cpu_key_sum,
                          .mod_up_sum = cpu_mod_up_sum,
                          .rebase = cpu_rebase,
                          .lift = cpu_lift,
                          .encode = cpu_encode};
    kern_unrecorded(k);
    pthread_mutex_init(&c->lock, NULL);
    pthread_mutex_init(&c->encoding, NULL);
    if (pool_open(&c->pool)) {
        cpu_close(k);
        return thor_fail(THOR_MEMORY, "the system reserves no address space for ciphertexts");
    }
    choose_tier(c, tier);
    if (kern_generates(&k->generates, 0)) {
        cpu_close(k);
        return THOR_USAGE;
    }
    c->brv = malloc(n * sizeof *c->brv);
    c->twiddles = malloc((size_t)primes * 2 * n * sizeof *c->twiddles);
    c->slots = malloc((size_t)k->threads * n * sizeof *c->slots);
    if (!c->brv || !c->twiddles || !c->slots || kern_roots_new(k)) {
        cpu_close(k);
        return thor_fail(THOR_MEMORY, "no memory for the transform tables");
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t r = 0;
        for (int j = 0; j < log_n; j++) r |= (uint32_t)((i >> j) & 1) << (log_n - 1 - j);
        c->brv[i] = r;
    }
    for (int i = 0; i < primes; i++) {
        c->q[i] = q[i];
        kprime_fill(&c->prime[i], q[i]);
    }
#pragma omp parallel for schedule(dynamic) num_threads(k->threads)
    for (int i = 0; i < primes; i++) fill_twiddles(c, i);
#ifdef THOR_CHECKED
    if (kernels_check(k)) {
        cpu_close(k);
        return THOR_MEMORY;
    }
#endif
    *out = k;
    return THOR_OK;
}
