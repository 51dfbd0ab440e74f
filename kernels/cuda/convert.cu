/* Base conversion on the device: a thread owns a column, keeps its y_i in registers and walks
 * through the rows of dst; the constants of a block of columns lie in shared memory.  They carry a
 * factor R: 16 products of a word below 2^28 and one below q, and v nq with v <= 16, stay below
 * 2^32 q, so one Montgomery step ends an output. */
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/device.cuh"

enum { THREADS = 128 };

struct conversion {
    struct grows out, x;
    const gprime *prime;
    const gconv *c;
    int log_n, centred;
    struct kbasis src, dst;
    uint32_t scale[KERN_MAX_SRC]; /* pre_i (Q/q_i)^-1 R mod q_i */
};

template <int MAX>
__global__ void __launch_bounds__(THREADS) convert(const conversion __grid_constant__ a) {
    SHARED(uint4, m, KERN_MAX_LIMBS * MAX / 4);
    SHARED(uint4, row, KERN_MAX_LIMBS); /* of dst: -Q mod q, q, -1/q mod R */
    for (int k = threadIdx.x; k < a.dst.n * (MAX / 4); k += THREADS)
        m[k] = ((const uint4 *)a.c->m[k / (MAX / 4)])[k % (MAX / 4)];
    for (int k = threadIdx.x; k < a.dst.n; k += THREADS) {
        const gprime *p = a.prime + a.dst.prime[k];
        row[k] = {a.c->nq[k], p->q, 0 - p->qinv, 0};
    }
    __syncthreads();
    const uint32_t t = blockIdx.x * THREADS + threadIdx.x;
    if (t >> a.log_n) return;
    const uint32_t *x = a.x.p + blockIdx.z * a.x.step + t;
    uint32_t *o = a.out.p + blockIdx.z * a.out.step + t, y[MAX];
    uint64_t sum = 1ull << 31;
#pragma unroll
    for (int i = 0; i < MAX; i++) { /* behind the last row the first again, times zero */
        const uint32_t r = __ldg(x + ((size_t)(i < a.src.n ? i : 0) << a.log_n));
        y[i] = mont_mul(r, a.scale[i], a.prime[a.src.prime[i]]);
        sum += (y[i] * a.c->fix[i]) >> 28;
    }
    const uint32_t v = a.centred ? (uint32_t)(sum >> 32) : 0;
    for (int k = 0; k < a.dst.n; k++, o += (size_t)1 << a.log_n) {
        const uint4 r = row[k];
        uint64_t s = 0;
        MAD_WIDE(s, v, r.x);
#pragma unroll
        for (int i = 0; i < MAX; i += 4) {
            const uint4 w = m[k * (MAX / 4) + i / 4];
            MAD_WIDE(s, y[i], w.x);
            MAD_WIDE(s, y[i + 1], w.y);
            MAD_WIDE(s, y[i + 2], w.z);
            MAD_WIDE(s, y[i + 3], w.w);
        }
        *o = redc(s, r.y, r.z);
    }
}

void gpu_convert(struct device *d, struct kvec out, struct kvec x, const uint32_t *pre,
                 const struct gpu_bconv *c, int centred, int polys) {
    const struct kbconv *h = &c->host;
    const int n = h->src.n, log_n = d->k.log_n;
    conversion a;
    memset(&a, 0, sizeof a);
    a.out = {out.p, out.pitch << log_n}, a.x = {x.p, x.pitch << log_n};
    a.prime = d->constants;
    a.c = c->at;
    a.log_n = log_n, a.centred = centred;
    a.src = h->src, a.dst = h->dst;
    for (int i = 0; i < n; i++) {
        const uint32_t q = h->sp[i].q, s = pre ? kern_mul_mod(pre[i], h->hinv[i], q) : h->hinv[i];
        a.scale[i] = kern_mul_mod(s, h->sp[i].r1, q);
    }
    const dim3 grid((unsigned)((((size_t)1 << log_n) + THREADS - 1) / THREADS), 1, (unsigned)polys);
    if (n <= 4) LAUNCH(convert<4>, grid, THREADS, 0, d->stream, a);
    else if (n <= 8) LAUNCH(convert<8>, grid, THREADS, 0, d->stream, a);
    else if (n <= 12) LAUNCH(convert<12>, grid, THREADS, 0, d->stream, a);
    else LAUNCH(convert<16>, grid, THREADS, 0, d->stream, a);
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
    memcpy(h->nq, v->host.nq_r, sizeof h->nq);
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
