/* Base conversion on the device: a thread owns a column, keeps its y_i in registers and walks
 * through the rows of dst; the constants of a block of columns lie in shared memory.  They carry a
 * factor R: 16 products of a word below 2^28 and one below q, and v nq with v <= 16, stay below
 * 2^32 q, so one Montgomery step ends an output. */
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
__global__ void __launch_bounds__(THREADS) convert(const __grid_constant__ conversion a) {
    SHARED(uint4, m, KERN_MAX_LIMBS * MAX / 4);
    for (int k = threadIdx.x; k < a.dst.n * (MAX / 4); k += THREADS)
        m[k] = ((const uint4 *)a.c->m[k / (MAX / 4)])[k % (MAX / 4)];
    __syncthreads();
    const uint32_t t = blockIdx.x * THREADS + threadIdx.x;
    if (t >> a.log_n) return;
    const uint32_t *x = a.x.p + blockIdx.z * a.x.step + t;
    uint32_t *o = a.out.p + blockIdx.z * a.out.step + t, y[MAX];
    uint64_t v = 0;
#pragma unroll
    for (int i = 0; i < MAX; i++) {
        y[i] = 0;
        if (i >= a.src.n) continue;
        y[i] = mont_mul(__ldg(x + ((size_t)i << a.log_n)), a.scale[i], a.prime[a.src.prime[i]]);
        v += (y[i] * a.c->fix[i]) >> 28;
    }
    v = a.centred ? (v + (1ull << 31)) >> 32 : 0;
    for (int k = 0; k < a.dst.n; k++) {
        uint64_t s = v * a.c->nq[k];
#pragma unroll
        for (int i = 0; i < MAX; i += 4) {
            const uint4 w = m[k * (MAX / 4) + i / 4];
            s += (uint64_t)y[i] * w.x + (uint64_t)y[i + 1] * w.y;
            s += (uint64_t)y[i + 2] * w.z + (uint64_t)y[i + 3] * w.w;
        }
        o[(size_t)k << a.log_n] = redc(s, a.prime[a.dst.prime[k]]);
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
    else LAUNCH(convert<16>, grid, THREADS, 0, d->stream, a);
}
