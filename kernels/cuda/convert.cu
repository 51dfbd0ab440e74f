/* Base conversion on the device: a thread owns a column, keeps its y_i in registers and walks
 * through the rows of dst; the constants of a block of columns lie in shared memory.  They carry a
 * factor R: 16 products of a word below 2^28 and one below q, and v nq with v <= 16, stay below
 * 2^32 q, so one Montgomery step ends an output. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/lines.cuh"

enum { THREADS = 128 };

struct share { /* one conversion, of all polynomials or of a digit */
    const uint32_t *x;
    const gconv *c;
    int src, dst; /* rows */
    uint8_t prime[KERN_MAX_SRC];
    uint32_t scale[KERN_MAX_SRC]; /* pre_i (Q/q_i)^-1 R mod q_i */
};

struct conversion {
    struct grows out;
    size_t x_step;
    const gprime *prime;
    int log_n, centred, digits; /* 0: polynomials of the first share */
    share s[KERN_MAX_DIGITS];
};

/* column t from at most MAX rows; m, row: see convert */
template <int MAX>
__device__ __forceinline__ void column(const conversion &a, const share &s, uint32_t *out,
                                       const uint32_t *x, const uint4 *m, const uint4 *row) {
    uint32_t y[MAX];
    uint64_t sum = 1ull << 31;
#pragma unroll
    for (int i = 0; i < MAX; i++) { /* behind the last row the first again, times zero */
        const uint32_t r = __ldg(x + ((size_t)(i < s.src ? i : 0) << a.log_n));
        y[i] = mont_mul(r, s.scale[i], a.prime[s.prime[i]]);
        sum += (y[i] * s.c->fix[i]) >> 28;
    }
    const uint32_t v = a.centred ? (uint32_t)(sum >> 32) : 0;
    for (int k = 0; k < s.dst; k++) {
        const uint4 r = row[k];
        uint64_t o = 0;
        MAD_WIDE(o, v, r.x);
#pragma unroll
        for (int i = 0; i < MAX; i += 4) {
            const uint4 w = m[k * (KERN_MAX_SRC / 4) + i / 4];
            MAD_WIDE(o, y[i], w.x);
            MAD_WIDE(o, y[i + 1], w.y);
            MAD_WIDE(o, y[i + 2], w.z);
            MAD_WIDE(o, y[i + 3], w.w);
        }
        out[(size_t)r.w << a.log_n] = redc(o, r.y, r.z);
    }
}

__global__ void __launch_bounds__(THREADS) convert(const conversion __grid_constant__ a) {
    SHARED(uint4, m, KERN_MAX_LIMBS * KERN_MAX_SRC / 4);
    SHARED(uint4, row, KERN_MAX_LIMBS);
    const share &s = a.s[a.digits ? blockIdx.z : 0];
    for (int k = threadIdx.x; k < s.dst * (KERN_MAX_SRC / 4); k += THREADS)
        m[k] = ((const uint4 *)s.c->m)[k];
    for (int k = threadIdx.x; k < s.dst; k += THREADS) row[k] = s.c->row[k];
    __syncthreads();
    const uint32_t t = blockIdx.x * THREADS + threadIdx.x;
    if (t >> a.log_n) return;
    const uint32_t *x = s.x + (a.digits ? 0 : blockIdx.z * a.x_step) + t;
    uint32_t *o = a.out.p + blockIdx.z * a.out.step + t;
    if (s.src <= 4)
        column<4>(a, s, o, x, m, row);
    else if (s.src <= 8)
        column<8>(a, s, o, x, m, row);
    else if (s.src <= 12)
        column<12>(a, s, o, x, m, row);
    else
        column<16>(a, s, o, x, m, row);
}

/* ---- conversion and the columns of the transform that follows, in one kernel ----
 *
 * A block has 1024 words of whole columns of 2^S words, a thread four of one column, whose y_i stay
 * in registers for all rows of dst.  Its words are a group of two stages: places b 2h + j + {0,
 * h/2, h, 3h/2}.  Between two pairs of stages they change hands through shared memory; an odd S
 * ends with half a pair.  A thread overwrites what it alone has read, and rows take turns of two
 * tiles, so that one barrier an exchange is enough.  Bounds as in transform.cu: canonical words in,
 * 6.2 q out. */

enum { WORDS = 4, RAISE_THREADS = 256, TILE = WORDS * RAISE_THREADS, RAISE_FROM = 2 };

struct raising {
    conversion c;
    const int32_t *twiddle;
    uint8_t prime[KERN_MAX_LIMBS]; /* of the rows of out */
};

struct group { /* four words of a column, and where they lie */
    int32_t v[WORDS];
    int base, half; /* place of the first; from it to the second */

    /* of stages st and st + 1 of S, thread t of the column */
    __device__ __forceinline__ void find(int st, int S, int t) {
        half = 1 << (S - 2 - st);
        base = ((t & -half) << 2) + (t & (half - 1));
    }
    __device__ __forceinline__ int place(int k) const {
        return base + k * half;
    }
    __device__ __forceinline__ void butterfly(int a, int b, int32_t f, uint32_t qinv, int32_t q) {
        const int32_t z = lazy_mul(v[b], f, qinv, -q);
        v[b] = v[a] - z;
        v[a] += z;
    }
    /* w: twiddles of the prime; t >> log of the pieces: the block of stage st */
    __device__ __forceinline__ void stages(const int32_t *w, int st, int t, uint32_t qinv,
                                           int32_t q, bool first) {
        const int b = t / half;
        if (first) {
            const int32_t f = __ldg(w + (1 << st) + b);
            butterfly(0, 2, f, qinv, q);
            butterfly(1, 3, f, qinv, q);
        }
        const int2 f = __ldg((const int2 *)(w + (2 << st)) + b);
        butterfly(0, 1, f.x, qinv, q);
        butterfly(2, 3, f.y, qinv, q);
    }
};

/* a place of a column in a tile of C columns: a hole behind every fourth spreads the banks */
__device__ __forceinline__ int cell(int place, int column, int columns) {
    return (place + (place >> 2)) * columns + column;
}

template <int MAX>
__device__ __forceinline__ void raise(const raising &a, const share &s, uint32_t *out,
                                      const uint32_t *x, const uint4 *m, const uint4 *row,
                                      int32_t *tiles) {
    const int S = a.c.log_n - ROW_LOG, columns = TILE >> S;
    int c = (int)threadIdx.x & (columns - 1), t = (int)threadIdx.x / columns;
    uint32_t y[MAX][WORDS], v[WORDS];
    group g;
    g.find(0, S, t);
#pragma unroll
    for (int k = 0; k < WORDS; k++) {
        const uint32_t *from = x + ((size_t)g.place(k) << ROW_LOG) + c;
        uint64_t sum = 1ull << 31;
#pragma unroll
        for (int i = 0; i < MAX; i++) { /* behind the last row the first again, times zero */
            const uint32_t r = __ldg(from + ((size_t)(i < s.src ? i : 0) << a.c.log_n));
            y[i][k] = mont_mul(r, s.scale[i], a.c.prime[s.prime[i]]);
            if (a.c.centred) sum += (y[i][k] * s.c->fix[i]) >> 28;
        }
        v[k] = a.c.centred ? (uint32_t)(sum >> 32) : 0;
    }
#pragma unroll 1
    for (int d = 0; d < s.dst; d++) {
        OPAQUE(t, "r"); /* or all places stay in registers from row to row */
        OPAQUE(c, "r");
        const uint4 r = row[d];
        uint64_t o[WORDS] = {};
#pragma unroll
        for (int k = 0; k < WORDS; k++) MAD_WIDE(o[k], v[k], r.x);
#pragma unroll
        for (int i = 0; i < MAX; i += 4) {
            const uint4 f = m[d * (KERN_MAX_SRC / 4) + i / 4];
#pragma unroll
            for (int k = 0; k < WORDS; k++) {
                MAD_WIDE(o[k], y[i][k], f.x);
                if (i + 1 < MAX) MAD_WIDE(o[k], y[i + 1 < MAX ? i + 1 : 0][k], f.y);
                if (i + 2 < MAX) MAD_WIDE(o[k], y[i + 2 < MAX ? i + 2 : 0][k], f.z);
                if (i + 3 < MAX) MAD_WIDE(o[k], y[i + 3 < MAX ? i + 3 : 0][k], f.w);
            }
        }
#pragma unroll
        for (int k = 0; k < WORDS; k++) g.v[k] = (int32_t)redc(o[k], r.y, r.z);
        const int32_t *w = a.twiddle + ((size_t)a.prime[r.w] << a.c.log_n);
        const uint32_t qinv = 0 - r.z;
        const int32_t q = (int32_t)r.y;
        g.find(0, S, t);
        g.stages(w, 0, t, qinv, q, true);
        int32_t *tile = tiles + (d & 1) * (TILE + TILE / 4);
#pragma unroll 1
        for (int done = 2; done < S; done += 2) {
            const int st = done + 2 > S ? S - 2 : done;
#pragma unroll
            for (int k = 0; k < WORDS; k++) tile[cell(g.place(k), c, columns)] = g.v[k];
            g.find(st, S, t);
            __syncthreads();
#pragma unroll
            for (int k = 0; k < WORDS; k++) g.v[k] = tile[cell(g.place(k), c, columns)];
            g.stages(w, st, t, qinv, q, st == done);
        }
        uint32_t *to = out + ((size_t)r.w << a.c.log_n) + c;
#pragma unroll
        for (int k = 0; k < WORDS; k++) to[(size_t)g.place(k) << ROW_LOG] = (uint32_t)g.v[k];
    }
}

/* MAX: of the sources of all shares */
template <int MAX>
__global__ void __launch_bounds__(RAISE_THREADS, MAX > 13 ? 1 : 2)
    convert_columns(const raising __grid_constant__ a) {
    SHARED(uint4, m, KERN_MAX_LIMBS * KERN_MAX_SRC / 4);
    SHARED(uint4, row, KERN_MAX_LIMBS);
    SHARED(int32_t, tiles, 2 * (TILE + TILE / 4));
    const share &s = a.c.s[a.c.digits ? blockIdx.z : 0];
    for (int k = threadIdx.x; k < s.dst * (KERN_MAX_SRC / 4); k += RAISE_THREADS)
        m[k] = ((const uint4 *)s.c->m)[k];
    for (int k = threadIdx.x; k < s.dst; k += RAISE_THREADS) row[k] = s.c->row[k];
    __syncthreads();
    const uint32_t first = blockIdx.x * (TILE >> (a.c.log_n - ROW_LOG));
    const uint32_t *x = s.x + (a.c.digits ? 0 : blockIdx.z * a.c.x_step) + first;
    uint32_t *o = a.c.out.p + blockIdx.z * a.c.out.step + first;
    if (s.src <= 4)
        raise<4>(a, s, o, x, m, row, tiles);
    else if (MAX == 13 && s.src <= 12)
        raise<12>(a, s, o, x, m, row, tiles);
    else
        raise<MAX>(a, s, o, x, m, row, tiles);
}

static share share_of(const struct gpu_bconv *c, const uint32_t *x, const uint32_t *pre) {
    const struct kbconv *h = &c->host;
    share s = {};
    s.x = x, s.c = c->at;
    s.src = h->src.n, s.dst = h->dst.n;
    for (int i = 0; i < s.src; i++) {
        const uint32_t q = h->sp[i].q, w = pre ? kern_mul_mod(pre[i], h->hinv[i], q) : h->hinv[i];
        s.scale[i] = kern_mul_mod(w, h->sp[i].r1, q);
        s.prime[i] = h->src.prime[i];
    }
    return s;
}

static void launch(struct device *d, conversion *a, struct kvec out, int centred, int polys) {
    a->out = {out.p, out.pitch << d->k.log_n};
    a->prime = d->constants;
    a->log_n = d->k.log_n, a->centred = centred;
    const uint32_t blocks = (uint32_t)((((size_t)1 << a->log_n) + THREADS - 1) / THREADS);
    LAUNCH(convert, dim3(blocks, 1, (unsigned)polys), THREADS, 0, d->stream, *a);
}

template <int MAX> static void launch_columns(struct device *d, const raising &a, int polys) {
    const dim3 grid((1u << a.c.log_n) / TILE, 1, (unsigned)polys);
    LAUNCH(convert_columns<MAX>, grid, RAISE_THREADS, 0, d->stream, a);
}

/* Both kernels of this file that convert; `to`: what the rows of out are, when the columns of their
 * transform follow.  Returns whether these are done. */
static bool launch_raising(struct device *d, conversion *c, struct kvec out, int centred, int polys,
                           const struct kbasis *to) {
    if (d->k.log_n < ROW_LOG + RAISE_FROM) {
        launch(d, c, out, centred, polys);
        return false;
    }
    raising a = {};
    a.c = *c;
    a.c.out = {out.p, out.pitch << d->k.log_n};
    a.c.prime = d->constants;
    a.c.log_n = d->k.log_n, a.c.centred = centred;
    a.twiddle = d->twiddle;
    memcpy(a.prime, to->prime, sizeof a.prime);
    int most = 0;
    for (int j = 0; j < (c->digits ? c->digits : 1); j++)
        if (c->s[j].src > most) most = c->s[j].src;
    if (most <= 8)
        launch_columns<8>(d, a, polys);
    else if (most <= 13)
        launch_columns<13>(d, a, polys);
    else
        launch_columns<16>(d, a, polys);
    return true;
}

bool gpu_raise(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
               const struct gpu_bconv *c, int polys, const struct kbasis *to) {
    conversion a = {};
    a.x_step = x.pitch << d->k.log_n;
    a.s[0] = share_of(c, x.p, pre);
    return launch_raising(d, &a, out, 1, polys, to);
}

bool gpu_raise_digits(struct device *d, struct kvec out, const uint32_t *x,
                      const struct kdigit *digit, int digits, int centred,
                      const struct kbasis *ext) {
    conversion a = {};
    a.digits = digits;
    for (int j = 0; j < digits; j++)
        a.s[j] = share_of((const struct gpu_bconv *)digit[j].conv,
                          x + ((size_t)digit[j].first << d->k.log_n), NULL);
    return launch_raising(d, &a, out, centred, digits, ext);
}

void gpu_convert(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
                 const struct gpu_bconv *c, int centred, int polys) {
    conversion a = {};
    a.x_step = x.pitch << d->k.log_n;
    a.s[0] = share_of(c, x.p, pre);
    launch(d, &a, out, centred, polys);
}

/* ---- constants: cells of slabs that stay until close; making a conversion stops nothing ---- */

static struct conv_slab *slab_with_room(struct device *d) {
    for (struct conv_slab *s = d->slabs; s; s = s->next)
        if (s->used != UINT32_MAX) return s;
    struct conv_slab *s = (struct conv_slab *)calloc(1, sizeof *s);
    if (!s) return NULL;
    if (cudaMallocAsync((void **)&s->at, 32 * sizeof *s->at, d->stream) != cudaSuccess) {
        cudaGetLastError();
        free(s);
        return NULL;
    }
    s->next = d->slabs;
    return d->slabs = s;
}

static gconv *take_cell(struct device *d) {
    pthread_mutex_lock(&d->lock);
    struct conv_slab *s = slab_with_room(d);
    const int cell = s ? __builtin_ctz(~s->used) : 0;
    if (s) s->used |= 1u << cell;
    pthread_mutex_unlock(&d->lock);
    return s ? s->at + cell : NULL;
}

static void give_cell(struct device *d, const gconv *at) {
    pthread_mutex_lock(&d->lock);
    for (struct conv_slab *s = d->slabs; s; s = s->next)
        if (at >= s->at && at < s->at + 32) s->used &= ~(1u << (at - s->at));
    pthread_mutex_unlock(&d->lock);
}

int gpu_conversion_new(struct device *d, struct kbconv **out, const struct kbasis *src,
                       const struct kbasis *dst) {
    struct gpu_bconv *v = (struct gpu_bconv *)calloc(1, sizeof *v);
    gconv *h = (gconv *)calloc(1, sizeof *h);
    record_break(d);
    if (v && h) v->at = take_cell(d);
    if (!v || !h || !v->at) {
        free(h);
        free(v);
        return thor_fail(THOR_MEMORY, "no memory for a base conversion");
    }
    kbconv_fill(&v->host, d->prime, src, dst);
    memcpy(h->fix, v->host.fix, sizeof h->fix);
    memcpy(h->m, v->host.m_r, sizeof h->m);
    for (int i = 0; i < v->host.dst.n; i++)
        h->row[i] = {v->host.nq_r[i], v->host.dp[i].q, 0 - v->host.dp[i].qinv, v->host.at[i]};
    memory_upload(d, v->at, h, sizeof *h);
    free(h);
    *out = &v->host;
    return THOR_OK;
}

void gpu_conversion_free(struct device *d, struct kbconv *c) {
    struct gpu_bconv *v = (struct gpu_bconv *)c;
    give_cell(d, v->at);
    free(v);
}

void gpu_conversions_close(struct device *d) {
    while (d->slabs) {
        struct conv_slab *s = d->slabs;
        d->slabs = s->next;
        cudaFreeAsync(s->at, d->stream);
        free(s);
    }
}
