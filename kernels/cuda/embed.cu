/* Slots to rounded coefficients on the device: the stages of kernels/embed.c, each operation
 * rounded by itself.  Stages longer than a block's shared memory are one pass over device memory
 * each; the rest of them, the scaling, the rounding and the bit reversal are one kernel. */
#include "kernels/cuda/device.cuh"

enum { THREADS = 256, LOG_NEAR = 11 };

struct vectors {
    double *z; /* 2^log real parts, then as many imaginary ones, for each polynomial */
    const double *root_re, *root_im;
    int64_t *c; /* as many coefficients in their order */
    double scale;
    int log, near; /* near: log of the piece that a block holds */
};

struct butterfly {
    double ar, ai, br, bi;
};

__device__ __forceinline__ butterfly turn(butterfly x, double wr, double wi) {
    const double dr = __dsub_rn(x.ar, x.br), di = __dsub_rn(x.ai, x.bi);
    x.ar = __dadd_rn(x.ar, x.br), x.ai = __dadd_rn(x.ai, x.bi);
    x.br = __dadd_rn(__dmul_rn(dr, wr), __dmul_rn(di, wi));
    x.bi = __dsub_rn(__dmul_rn(di, wr), __dmul_rn(dr, wi));
    return x;
}

/* the stage of half length h, a butterfly a thread */
__global__ void __launch_bounds__(THREADS) far_stage(const vectors a, uint32_t h) {
    const uint32_t t = blockIdx.x * THREADS + threadIdx.x, n = 1u << a.log, j = t & (h - 1);
    if (t >= n / 2) return;
    double *re = a.z + ((size_t)2 * blockIdx.y << a.log) + 2 * (t - j) + j, *im = re + n;
    const butterfly x = turn({re[0], im[0], re[h], im[h]}, a.root_re[h + j], a.root_im[h + j]);
    re[0] = x.ar, im[0] = x.ai;
    re[h] = x.br, im[h] = x.bi;
}

/* the stages below, and what comes after them */
__global__ void __launch_bounds__(THREADS) near_stages(const vectors a) {
    SHARED(double, re, 1 << LOG_NEAR);
    SHARED(double, im, 1 << LOG_NEAR);
    const uint32_t n = 1u << a.log, piece = 1u << a.near, first = blockIdx.x << a.near;
    const double *z = a.z + ((size_t)2 * blockIdx.y << a.log) + first;
    int64_t *c = a.c + ((size_t)2 * blockIdx.y << a.log);
    for (uint32_t i = threadIdx.x; i < piece; i += THREADS) re[i] = z[i], im[i] = z[n + i];
    for (uint32_t h = piece / 2; h; h /= 2) {
        __syncthreads();
        for (uint32_t t = threadIdx.x; t < piece / 2; t += THREADS) {
            const uint32_t j = t & (h - 1), i = 2 * (t - j) + j;
            const butterfly x =
                turn({re[i], im[i], re[i + h], im[i + h]}, a.root_re[h + j], a.root_im[h + j]);
            re[i] = x.ar, im[i] = x.ai;
            re[i + h] = x.br, im[i + h] = x.bi;
        }
    }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < piece; i += THREADS) {
        const uint32_t at = a.log ? __brev(first + i) >> (32 - a.log) : 0;
        c[at] = __double2ll_rn(__dmul_rn(re[i], a.scale));
        c[n + at] = __double2ll_rn(__dmul_rn(im[i], a.scale));
    }
}

/* every number for its 2^run slots */
__global__ void __launch_bounds__(THREADS)
    spread(double *z, const double *from, int run, uint32_t n) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i < n) z[i] = from[i >> run];
}

void gpu_embed_inv(struct device *d, int64_t *c, double *z, const double *from, int log, int run,
                   double scale, int polys) {
    const uint32_t all = (uint32_t)polys * 2 << log;
    LAUNCH(spread, (all + THREADS - 1) / THREADS, THREADS, 0, d->stream, z, from, run, all);
    vectors a;
    a.z = z, a.c = c;
    a.root_re = d->roots, a.root_im = d->roots + ((size_t)1 << (d->k.log_n - 1));
    a.scale = scale;
    a.log = log, a.near = log < LOG_NEAR ? log : LOG_NEAR;
    const uint32_t half = 1u << log >> 1;
    for (uint32_t h = half; h >= 1u << a.near; h /= 2)
        LAUNCH(far_stage, dim3((half + THREADS - 1) / THREADS, (unsigned)polys), THREADS, 0,
               d->stream, a, h);
    LAUNCH(near_stages, dim3(1u << (log - a.near), (unsigned)polys), THREADS, 0, d->stream, a);
}
