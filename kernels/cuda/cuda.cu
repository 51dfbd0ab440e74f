/* The CUDA back end: the table over the launches of transform.cu, product.cu, linmap.cu and
 * convert.cu, and errors that stick until sync. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/cuda/device.cuh"

/* ---- errors ---- */

void device_note(struct device *d, const char *entry, cudaError_t e) {
    if (e == cudaSuccess) return;
    pthread_mutex_lock(&d->lock);
    if (d->failed == cudaSuccess) d->failed = e, d->during = entry;
    pthread_mutex_unlock(&d->lock);
}

/* Every host thread has a current device of its own. */
struct device *device_enter(struct kernels *k, const char *entry) {
    struct device *d = device_of(k);
    device_note(d, entry, cudaSetDevice(d->number));
    return d;
}

void device_leave(struct device *d, const char *entry) {
    device_note(d, entry, cudaGetLastError());
    if (d->waits && d->mode != CAPTURING) device_note(d, entry, cudaStreamSynchronize(d->stream));
}

static int cuda_sync(struct kernels *k) {
    struct device *d = device_of(k);
    record_break(d);
    device_note(d, "sync", cudaSetDevice(d->number));
    device_note(d, "sync", cudaStreamSynchronize(d->stream));
    pthread_mutex_lock(&d->lock);
    cudaError_t e = d->failed;
    const char *during = d->during;
    d->failed = cudaSuccess;
    pthread_mutex_unlock(&d->lock);
    if (e == cudaSuccess) return THOR_OK;
    return thor_fail(e == cudaErrorMemoryAllocation ? THOR_MEMORY : THOR_INTERNAL,
                     "CUDA device %d, first seen in %s: %s", d->number, during,
                     cudaGetErrorString(e));
}

/* ---- pointwise ---- */

static const struct kvec none = {NULL, 0};

static void point(struct kernels *k, const char *entry, enum point_op op, struct kvec out,
                  struct kvec x, struct kvec y, const uint32_t *sx, const uint32_t *sy,
                  const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, (op != OP_ZERO) + (y.p != NULL) + 1);
    if (b->n < 1 || polys < 1) return;
    struct device *d = device_enter(k, entry);
    gpu_point(d, op, out, x, y, sx, sy, b, polys);
    device_leave(d, entry);
}

static void cuda_copy(struct kernels *k, struct kvec out, struct kvec a, int limbs, int polys) {
    struct kbasis b = {};
    b.n = limbs;
    point(k, "copy", OP_COPY, out, a, none, NULL, NULL, &b, polys);
}

static void cuda_zero(struct kernels *k, struct kvec out, int limbs, int polys) {
    struct kbasis b = {};
    b.n = limbs;
    point(k, "zero", OP_ZERO, out, none, none, NULL, NULL, &b, polys);
}

static void cuda_add(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                     const struct kbasis *b, int polys) {
    point(k, "add", OP_ADD, out, x, y, NULL, NULL, b, polys);
}

static void cuda_sub(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                     const struct kbasis *b, int polys) {
    point(k, "sub", OP_SUB, out, x, y, NULL, NULL, b, polys);
}

static void cuda_neg(struct kernels *k, struct kvec out, struct kvec x, const struct kbasis *b,
                     int polys) {
    point(k, "neg", OP_NEG, out, x, none, NULL, NULL, b, polys);
}

static void cuda_mul(struct kernels *k, struct kvec out, struct kvec x, struct kvec y,
                     const struct kbasis *b, int polys) {
    point(k, "mul", OP_MUL, out, x, y, NULL, NULL, b, polys);
}

static void cuda_lincomb(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *sx,
                         struct kvec y, const uint32_t *sy, const struct kbasis *b, int polys) {
    if (y.p)
        point(k, "lincomb", OP_LINCOMB, out, x, y, sx, sy, b, polys);
    else
        point(k, "lincomb", OP_SCALE, out, x, none, sx, NULL, b, polys);
}

static void cuda_add_scalar(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *s,
                            const struct kbasis *b, int polys) {
    point(k, "add_scalar", OP_ADD_SCALAR, out, x, none, s, NULL, b, polys);
}

/* ---- products, transforms, automorphisms ---- */

static void cuda_dot(struct kernels *k, struct kvec out, const struct kterm *terms, int n,
                     uint32_t g, int log_rep, int accumulate, const struct kbasis *b, int polys) {
    count_dot(k, terms, n, log_rep, accumulate, b->n, polys);
    if (b->n < 1 || polys < 1) return;
    struct device *d = device_enter(k, "dot");
    gpu_dot(d, out, terms, n, g, log_rep, accumulate, b, polys);
    device_leave(d, "dot");
}

static void cuda_dots(struct kernels *k, const struct kdots *t, const struct kbasis *b, int polys) {
    count_dots(k, t, b->n, polys);
    if (b->n < 1 || polys < 1) return;
    struct device *d = device_enter(k, "dots");
    gpu_dots(d, t, b, polys);
    device_leave(d, "dots");
}

static void cuda_combine(struct kernels *k, struct kvec out, const struct kstream *x, int n,
                         const struct kbasis *b, int polys) {
    count_point(k, b->n, polys, n + 1);
    if (b->n < 1 || polys < 1) return;
    struct device *d = device_enter(k, "combine");
    gpu_combine(d, out, x, n, b, polys);
    device_leave(d, "combine");
}

static void cuda_tensor(struct kernels *k, struct kvec out, const struct kpair *t, int n,
                        const struct kbasis *b) {
    count_tensor(k, t, n, b->n);
    if (b->n < 1) return;
    struct device *d = device_enter(k, "tensor");
    gpu_tensor(d, out, t, n, b);
    device_leave(d, "tensor");
}

static int cuda_linear(struct kernels *k, const struct klinear *l, const struct kbasis *b,
                       int polys) {
    const int st = kern_linear_check(k, l, b, polys);
    if (st) return st;
    count_linear(k, l, b->n, polys);
    struct device *d = device_enter(k, "linear");
    gpu_linear(d, l, b, polys);
    device_leave(d, "linear");
    return THOR_OK;
}

static void cuda_ntt_fwd(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                         int log) {
    count_ntt(k, &k->counts.rows_ntt, b->n, polys, log);
    struct device *d = device_enter(k, "ntt_fwd");
    gpu_ntt_fwd(d, x, b, polys, log);
    device_leave(d, "ntt_fwd");
}

static void cuda_ntt_inv(struct kernels *k, struct kvec x, const struct kbasis *b, int polys,
                         int log) {
    count_ntt(k, &k->counts.rows_intt, b->n, polys, log);
    struct device *d = device_enter(k, "ntt_inv");
    gpu_ntt_inv(d, x, x, NULL, 1, b, polys, log);
    device_leave(d, "ntt_inv");
}

static void cuda_autom(struct kernels *k, struct kvec out, struct kvec x, uint32_t g, int limbs,
                       int polys) {
    count_autom(k, limbs, polys);
    if (limbs < 1 || polys < 1) return;
    struct device *d = device_enter(k, "autom");
    gpu_autom(d, out, x, g, limbs, polys);
    device_leave(d, "autom");
}

/* ---- change of basis ---- */

static int cuda_bconv_new(struct kernels *k, struct kbconv **out, const struct kbasis *src,
                          const struct kbasis *dst) {
    struct device *d = device_enter(k, "bconv_new");
    if (src->n < 1 || src->n > KERN_MAX_SRC)
        return thor_fail(THOR_INTERNAL, "a base conversion from %d primes", src->n);
    const int st = gpu_conversion_new(d, out, src, dst);
    device_leave(d, "bconv_new");
    return st;
}

static void cuda_bconv_free(struct kernels *k, struct kbconv *c) {
    if (c) gpu_conversion_free(device_of(k), c);
}

static void cuda_bconv(struct kernels *k, struct kvec out, struct kvec x, const uint32_t *pre,
                       const struct kbconv *c, int centred, int polys) {
    count_bconv(k, c->src.n, c->dst.n, polys);
    struct device *d = device_enter(k, "bconv");
    gpu_convert(d, out, x, pre, (const struct gpu_bconv *)c, centred, polys);
    device_leave(d, "bconv");
}

static void cuda_mod_up(struct kernels *k, struct kvec out, uint32_t *x, uint32_t *work,
                        const struct kdigit *digit, int digits, const struct kbasis *ext,
                        int centred) {
    const struct kdigit *last = &digit[digits - 1];
    struct kbasis all = *ext;
    all.n = last->first + last->n;
    count_mod_up(k, digit, digits, ext->n);
    struct device *d = device_enter(k, "mod_up");
    gpu_own_rows(d, out, x, digit, digits);
    gpu_ntt_inv(d, {work, 0}, {x, 0}, NULL, 1, &all, 1, k->log_n);
    const bool raised = gpu_raise_digits(d, out, work, digit, digits, centred, ext);
    gpu_ntt_digits(d, out, digit, digits, ext, raised ? ROWS_ONLY : BOTH_PASSES);
    device_leave(d, "mod_up");
}

static void cuda_uniform(struct kernels *k, struct kvec out, const uint8_t *seed, uint32_t from,
                         const struct kbasis *b, int polys) {
    count_uniform(k, b->n, polys);
    if (b->n < 1 || polys < 1) return;
    struct device *d = device_enter(k, "uniform");
    gpu_uniform(d, out, seed, from, b, polys);
    device_leave(d, "uniform");
}

static void cuda_key_sum(struct kernels *k, const struct kvec *out, struct kvec x, int digits,
                         const struct kkey *key, int keys, const struct kplus *plus,
                         const struct kbasis *ext) {
    count_key_sum(k, key, keys, digits, plus, ext->n);
    struct device *d = device_enter(k, "key_sum");
    gpu_key_sum(d, out, x, digits, key, keys, plus, ext);
    device_leave(d, "key_sum");
}

static void cuda_mod_up_sum(struct kernels *k, const struct kvec *out, const uint32_t *const *x,
                            int n, uint32_t *work, const struct kdigit *digit, int digits,
                            const struct kkey *key, const struct kplus *plus,
                            const struct kbasis *ext, int centred) {
    const struct kdigit *last = &digit[digits - 1];
    struct kbasis all = *ext;
    all.n = last->first + last->n;
    const size_t coeffs = (size_t)n * all.n << k->log_n, each = (size_t)digits * ext->n << k->log_n;
    const struct kvec y = {work + coeffs, (size_t)ext->n};
    count_mod_up_sum(k, n, digit, digits, key, plus, ext->n);
    struct device *d = device_enter(k, "mod_up_sum");
    for (int i = 0; i < n; i++) {
        uint32_t *coeff = work + ((size_t)(i * all.n) << k->log_n);
        const struct kvec to = {y.p + i * each, y.pitch};
        gpu_ntt_inv(d, {coeff, 0}, {(uint32_t *)x[i], 0}, NULL, key->g, &all, 1, k->log_n);
        if (!gpu_raise_digits(d, to, coeff, digit, digits, centred, ext))
            gpu_ntt_digits(d, to, digit, digits, ext, COLUMNS_ONLY);
    }
    gpu_sum_digits(d, out, x, n, y, digit, digits, key, plus, ext);
    device_leave(d, "mod_up_sum");
}

static void cuda_rebase(struct kernels *k, struct kvec out, struct kvec x, uint32_t *work,
                        const struct krebase *r, int polys) {
    const struct kvec coeff = {work, (size_t)r->from.n},
                      y = {work + ((size_t)(polys * r->from.n) << k->log_n), (size_t)r->to.n};
    count_rebase(k, r, polys);
    struct device *d = device_enter(k, "rebase");
    gpu_ntt_inv(d, coeff, x, r->row, 1, &r->from, polys, k->log_n);
    const bool raised =
        gpu_raise(d, y, coeff, r->pre, (const struct gpu_bconv *)r->conv, polys, &r->to);
    gpu_ntt_join(d, out, x, y, r, polys, raised ? ROWS_ONLY : BOTH_PASSES);
    device_leave(d, "rebase");
}

/* What lies in 64-bit numbers on the host, a batch at a time: as many polynomials as fit a slot. */
struct source {
    const void *host;
    size_t numbers, words; /* of a polynomial, before and after */
    int log_slots, log_run;
    double scale;
};

static void expand(struct device *d, struct kvec out, const struct source *s,
                   const struct kbasis *b, int polys) {
    const size_t each = s->numbers * sizeof(int64_t);
    const int most = (int)(d->ring.slot / (s->words * sizeof(int64_t)));
    pthread_mutex_lock(&d->ring.at_lock);
    const char *kept = (const char *)record_keep(d, s->host, (size_t)polys * each);
    for (int done = 0; done < polys; done += most) {
        const int now = polys - done < most ? polys - done : most;
        const size_t from = (size_t)done * each, to = (size_t)done * s->words * out.pitch;
        const void *at =
            kept ? kept + from : memory_send(d, (const char *)s->host + from, (size_t)now * each);
        if (s->scale != 0) {
            gpu_embed_inv(d, (int64_t *)d->ring.made[1], (double *)d->ring.made[0],
                          (const double *)at, s->log_slots, s->log_run, s->scale, now);
            at = d->ring.made[1];
        }
        gpu_lift(d, {out.p + to, out.pitch}, (const int64_t *)at, s->words, b, now);
    }
    pthread_mutex_unlock(&d->ring.at_lock);
}

static void cuda_lift(struct kernels *k, struct kvec out, const int64_t *c, size_t words,
                      const struct kbasis *b, int polys) {
    count_lift(k, words, words, b->n, polys);
    struct device *d = device_enter(k, "lift");
    const source s = {c, words, words, 0, 0, 0};
    expand(d, out, &s, b, polys);
    device_leave(d, "lift");
}

static void cuda_encode(struct kernels *k, struct kvec out, const double *z, int log_slots,
                        int log_run, double scale, const struct kbasis *b, int polys) {
    const size_t slots = (size_t)1 << log_slots, words = 2 * slots;
    const source s = {z, words >> log_run, words, log_slots, log_run, scale / (double)slots};
    count_lift(k, s.numbers, words, b->n, polys);
    struct device *d = device_enter(k, "encode");
    expand(d, out, &s, b, polys);
    device_leave(d, "encode");
}

/* ---- opening and closing ---- */

static void cuda_close(struct kernels *k) {
    struct device *d = device_of(k);
    cudaSetDevice(d->number);
    if (d->stream) {
        cudaStreamSynchronize(d->stream);
        k->record_drop(k, 0);
        gpu_conversions_close(d);
        memory_close(d);
        if (d->constants) cudaFreeAsync(d->constants, d->stream);
        if (d->twiddle) cudaFreeAsync(d->twiddle, d->stream);
        if (d->roots) cudaFreeAsync(d->roots, d->stream);
        cudaStreamSynchronize(d->stream);
        cudaStreamDestroy(d->stream);
        cudaMemPool_t pool;
        if (cudaDeviceGetDefaultMemPool(&pool, d->number) == cudaSuccess)
            cudaMemPoolTrimTo(pool, 0);
    }
    cudaGetLastError(); /* what failed is over with the back end */
    kern_roots_free(k);
    pthread_mutex_destroy(&d->ring.lock);
    pthread_mutex_destroy(&d->ring.at_lock);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static uint32_t reversed(uint32_t x, int bits) {
    uint32_t r = 0;
    for (int i = 0; i < bits; i++) r = r << 1 | (x >> i & 1);
    return r;
}

static gprime gprime_of(const struct kprime *p) {
    gprime g;
    uint32_t half = p->r1;
    g.q = p->q, g.qinv = p->qinv, g.r1 = p->r1, g.r2 = p->r2;
    g.recip = (int32_t)((((uint64_t)1 << 32) + p->q / 2) / p->q);
    for (int i = 0; i < GPU_LOGS; i++) {
        g.halves[i] = (int32_t)half;
        half = (half + (half & 1 ? p->q : 0)) / 2;
    }
    return g;
}

/* Powers of psi in bit-reversed places, times R, in [-q/2, q/2]. */
static void twiddles_of(int32_t *w, const struct kprime *p, int log_n) {
    const uint32_t psi = kernels_psi(p->q, log_n);
    uint32_t a = p->r1;
    for (uint32_t j = 0; j < 1u << log_n; j++) {
        w[reversed(j, log_n)] = a > p->q / 2 ? (int32_t)a - (int32_t)p->q : (int32_t)a;
        a = kern_mul_mod(a, psi, p->q);
    }
}

static cudaError_t fill_tables(struct device *d, int32_t *w) {
    const size_t n = (size_t)1 << d->k.log_n, primes = (size_t)d->k.primes;
    gprime g[KERN_MAX_LIMBS];
    cudaError_t e = cudaMallocAsync((void **)&d->constants, primes * sizeof *g, d->stream);
    if (e == cudaSuccess)
        e = cudaMallocAsync((void **)&d->twiddle, primes * n * sizeof *w, d->stream);
    for (size_t i = 0; i < primes && e == cudaSuccess; i++) {
        g[i] = gprime_of(&d->prime[i]);
        twiddles_of(w, &d->prime[i], d->k.log_n);
        memory_upload(d, d->twiddle + i * n, w, n * sizeof *w);
    }
    if (e == cudaSuccess) e = cudaMallocAsync((void **)&d->roots, n * sizeof *d->roots, d->stream);
    if (e == cudaSuccess) {
        memory_upload(d, d->roots, d->k.root_re, n / 2 * sizeof *d->roots);
        memory_upload(d, d->roots + n / 2, d->k.root_im, n / 2 * sizeof *d->roots);
        memory_upload(d, d->constants, g, primes * sizeof *g);
        e = cudaStreamSynchronize(d->stream);
    }
    return e == cudaSuccess ? d->failed : e;
}

/* Memory that was given back stays with the program until a back end closes. */
static cudaError_t keep_memory(int number) {
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    cudaError_t e = cudaDeviceGetDefaultMemPool(&pool, number);
    return e == cudaSuccess ? cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all)
                            : e;
}

static void fill_table(struct kernels *k) {
    k->kind = KERN_CUDA, k->tier = "cuda";
    k->close = cuda_close, k->sync = cuda_sync;
    memory_entries(k);
    record_entries(k);
    k->copy = cuda_copy, k->zero = cuda_zero;
    k->add = cuda_add, k->sub = cuda_sub, k->neg = cuda_neg, k->mul = cuda_mul;
    k->lincomb = cuda_lincomb, k->add_scalar = cuda_add_scalar, k->dot = cuda_dot;
    k->dots = cuda_dots, k->combine = cuda_combine, k->tensor = cuda_tensor;
    k->linear = cuda_linear;
    k->ntt_fwd = cuda_ntt_fwd, k->ntt_inv = cuda_ntt_inv, k->autom = cuda_autom;
    k->bconv_new = cuda_bconv_new, k->bconv_free = cuda_bconv_free, k->bconv = cuda_bconv;
    k->mod_up = cuda_mod_up, k->rebase = cuda_rebase;
    k->key_sum = cuda_key_sum, k->mod_up_sum = cuda_mod_up_sum, k->uniform = cuda_uniform;
    k->lift = cuda_lift, k->encode = cuda_encode;
}

/* The environment variable THOR_COLUMNS forces a kind of column kernels, to measure them. */
static int read_columns(struct device *d) {
    static const char *const kinds[] = {"", "narrow", "turned", "wide"};
    const char *wish = getenv("THOR_COLUMNS");
    for (int i = 0; i < 4; i++)
        if (!strcmp(wish ? wish : "", kinds[i])) {
            d->columns = (enum columns)i;
            return THOR_OK;
        }
    return thor_fail(THOR_USAGE, "THOR_COLUMNS=%.20s: there are narrow, turned and wide", wish);
}

/* Are halves of keys made when they are used?  As THOR_KEYS says; else where making a word takes
 * less time than reading it. */
static int read_keys(struct device *d) {
    struct kern_device_info info;
    int st = kernels_cuda_device(&info, d->number);
    if (!st)
        st = kern_generates(&d->k.generates,
                            info.bandwidth > 0 && 4 * info.uniform > info.bandwidth);
    if (d->k.log_n < 8) d->k.generates = 0;
    return st;
}

static int open_device(struct device *d, int log_n, const uint32_t *q, int primes, int number) {
    struct kernels *k = &d->k;
    fill_table(k);
    pthread_mutex_init(&d->lock, NULL);
    pthread_mutex_init(&d->ring.lock, NULL);
    pthread_mutex_init(&d->ring.at_lock, NULL);
    d->number = number;
    const char *check = getenv("THOR_CUDA_CHECK");
    d->waits = check && strcmp(check, "0");
    k->log_n = log_n, k->primes = primes, k->q = d->q, k->self = d;
    k->threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    for (int i = 0; i < primes; i++) {
        d->q[i] = q[i];
        kprime_fill(&d->prime[i], q[i]);
    }
    int st = read_columns(d);
    if (!st) st = read_keys(d);
    if (!st) st = kern_roots_new(k);
    if (st) return st;
    int32_t *w = (int32_t *)malloc(sizeof *w << log_n);
    if (!w) return thor_fail(THOR_MEMORY, "no memory for the transform tables");
    cudaError_t e = cudaSetDevice(number);
    if (e == cudaSuccess) e = keep_memory(number);
    if (e == cudaSuccess)
        e = cudaDeviceGetAttribute(&d->processors, cudaDevAttrMultiProcessorCount, number);
    if (e == cudaSuccess) e = cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking);
    if (e == cudaSuccess) e = memory_open(d);
    if (e == cudaSuccess) e = fill_tables(d, w);
    free(w);
    if (e == cudaSuccess) return THOR_OK;
    return thor_fail(e == cudaErrorMemoryAllocation ? THOR_MEMORY : THOR_USAGE,
                     "CUDA device %d cannot be opened: %s", number, cudaGetErrorString(e));
}

extern "C" int kernels_open_cuda(struct kernels **out, int log_n, const uint32_t *q, int primes,
                                 int device) {
    if (log_n < 4 || log_n > 17 || primes < 1 || primes > KERN_MAX_LIMBS)
        return thor_fail(THOR_USAGE, "a ring of degree 2^%d with %d primes is not supported", log_n,
                         primes);
    for (int i = 0; i < primes; i++)
        if (kern_check_prime(q[i], log_n)) return THOR_USAGE;
    if (device_find(device)) return THOR_USAGE;
    struct device *d = (struct device *)calloc(1, sizeof *d);
    if (!d) return thor_fail(THOR_MEMORY, "no memory for the CUDA back end");
    int st = open_device(d, log_n, q, primes, device);
    if (st) {
        cuda_close(&d->k);
        return st;
    }
    *out = &d->k;
    return THOR_OK;
}
