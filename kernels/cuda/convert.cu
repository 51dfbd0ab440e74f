/* Base conversion on the device: a thread owns a column, keeps its y_i in registers and walks
 * through the rows of dst; the constants of a block of columns lie in shared memory.  They carry a
 * factor R: 16 products of a word below 2^28 and one below q, and v nq with v <= 16, stay below
 * 2^32 q, so one Montgomery step ends an output. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.cuh"

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

void gpu_convert(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
                 const struct gpu_bconv *c, int centred, int polys) {
    conversion a = {};
    a.x_step = x.pitch << d->k.log_n;
    a.s[0] = share_of(c, x.p, pre);
    launch(d, &a, out, centred, polys);
}

void gpu_convert_digits(struct device *d, struct kvec out, const uint32_t *x,
                        const struct kdigit *digit, int digits, int centred) {
    conversion a = {};
    a.digits = digits;
    for (int j = 0; j < digits; j++)
        a.s[j] = share_of((const struct gpu_bconv *)digit[j].conv,
                          x + ((size_t)digit[j].first << d->k.log_n), NULL);
    launch(d, &a, out, centred, digits);
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
