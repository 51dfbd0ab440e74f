/* Transforms on the device.
 *
 * A row of 2^log words is read as a matrix of 2^a rows and 2^b columns, b = min(log, 9), a = log -
 * b <= 8.  Forward: one kernel does the first a stages down the columns, one the other b along the
 * rows; inverse: the other way round.  A line of 2^S words belongs to 2^S2 threads with 2^S1
 * registers each, S1 = ceil(S/2), S2 = S - S1.  Layout "apart": thread j, register k holds place j
 * + k 2^S2, and the S1 stages of largest half length stay inside a thread; layout "together": place
 * j 2^S1 + k, and so do the other S2.  Between the two there is one exchange through shared memory;
 * rows pay a second one to meet device memory in the layout apart, where neighbours read
 * neighbours.  What a thread writes in the second it alone has read in the first, so no barrier
 * stands between them.
 *
 * Twiddles: w[m + i], stage of m blocks, block i, is psi^brv(m + i) R mod q, in [-q/2, q/2].
 * Because psi^N = -1, the inverse one is -w[2m - 1 - i]: the sign goes into the difference that it
 * multiplies.
 *
 * Bounds, in units of q < 2^28 (8 fit a word).  A product is below 1/2 + B/32.  Forward: a stage
 * takes B to at most 33/32 B + 1/2: from 1 to 6.2 in 8 stages; rows shrink the additive halves of
 * their first stage to 3/4, which leaves 1.5 after it and 6.5 after nine.  Inverse: a sum doubles
 * B; the first stage of all subtracts q from its sums of canonical words, so three stages end below
 * 4; after every third stage sums are shrunk to 3/4, three more end below 6.  Rows with columns to
 * follow have nine stages, so columns start below 3/4. */
#include "kernels/cuda/device.cuh"

enum { ROW_LOG = 9, COLUMN_LOG = 8, ROW_THREADS = 128, COLUMN_LINES = 32 };

struct pass {
    uint32_t *x;
    size_t step; /* words between polynomials */
    const int32_t *twiddle;
    const gprime *prime;
    uint32_t lines; /* in all */
    int log, log_n;
    struct kbasis b;
};

template <int S, bool COLUMNS> struct shape {
    static const int S1 = (S + 1) / 2, S2 = S - S1, REGS = 1 << S1, TEAM = 1 << S2;
    static const int LINES = COLUMNS ? COLUMN_LINES : ROW_THREADS / TEAM, THREADS = LINES * TEAM;
    /* at a time on a multiprocessor, at least: bounds the registers */
    static const int BLOCKS = COLUMNS ? (THREADS < 128 ? 8 : 1024 / THREADS) : 5;
    static const int PITCH = COLUMNS ? 1 << S : (1 << S) + TEAM; /* words of shared memory a line */
};

template <int S, bool COLUMNS> struct line {
    typedef shape<S, COLUMNS> sh;
    uint32_t *x; /* place i of the line at x + i * stride */
    size_t stride;
    const int32_t *w;
    const gprime *p;
    int32_t q, recip;
    uint32_t qinv, m, at; /* the line is block at - m of the m blocks of a stage */
    int c, j;             /* line in the block of threads, thread in the line */
    bool live;

    __device__ __forceinline__ line(const pass &a) {
        c = COLUMNS ? threadIdx.x % sh::LINES : threadIdx.x / sh::TEAM;
        j = COLUMNS ? threadIdx.x / sh::LINES : threadIdx.x % sh::TEAM;
        uint32_t u = blockIdx.x * sh::LINES + c, rest = a.log - S;
        live = u < a.lines;
        if (!live) u = 0;
        uint32_t row = u >> rest, i = u & ((1u << rest) - 1), limb = row % a.b.n,
                 prime = a.b.prime[limb];
        x = a.x + row / a.b.n * a.step + ((size_t)limb << a.log) + (COLUMNS ? i : (size_t)i << S);
        stride = COLUMNS ? (size_t)1 << rest : 1;
        w = a.twiddle + ((size_t)prime << a.log_n);
        p = a.prime + prime;
        q = (int32_t)p->q, recip = p->recip, qinv = p->qinv;
        m = COLUMNS ? 1 : 1u << rest;
        at = COLUMNS ? 1 : m + i;
    }

    __device__ __forceinline__ int apart(int k) const { return j + (k << sh::S2); }
    __device__ __forceinline__ int together(int k) const { return (j << sh::S1) + k; }

    __device__ __forceinline__ void sync() const {
        if (COLUMNS) __syncthreads();
        else __syncwarp(); /* a line of at most 16 threads lies in one warp */
    }
    /* shared memory of place apart(k), together(k); a row skips a word behind every 2^S1, which
     * spreads the banks */
    __device__ __forceinline__ int32_t *cell_apart(int32_t *s, int k) const {
        return COLUMNS ? s + j * sh::LINES + c + (k << sh::S2) * sh::LINES
                       : s + c * sh::PITCH + j + (k << sh::S2) + (k >> (sh::S1 - sh::S2));
    }
    __device__ __forceinline__ int32_t *cell_together(int32_t *s, int k) const {
        return COLUMNS ? s + (j << sh::S1) * sh::LINES + c + k * sh::LINES
                       : s + c * sh::PITCH + j * (sh::REGS + 1) + k;
    }
    __device__ __forceinline__ void to_together(int32_t *v, int32_t *s) const {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) *cell_apart(s, k) = v[k];
        sync();
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) v[k] = *cell_together(s, k);
    }
    __device__ __forceinline__ void to_apart(int32_t *v, int32_t *s) const {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) *cell_together(s, k) = v[k];
        sync();
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) v[k] = *cell_apart(s, k);
    }

    /* Stage `st` of the line's S: half length and block of register k in registers, first block of
     * the thread. */
    __device__ __forceinline__ static int half(int st) {
        return 1 << (st < sh::S1 ? sh::S1 - 1 - st : S - 1 - st);
    }
    __device__ __forceinline__ static int block(int st, int k) {
        return k >> (st < sh::S1 ? sh::S1 - st : S - st);
    }
    __device__ __forceinline__ uint32_t first(int st) const {
        return (at << st) + (st < sh::S1 ? 0 : (uint32_t)j << (st - sh::S2));
    }

    /* The twiddles of a thread in a stage lie side by side, as many as it has blocks there, at a
     * multiple of their number. */
    __device__ __forceinline__ static void load(int32_t *f, const int32_t *t, int n) {
        if (n == 1) f[0] = __ldg(t);
        if (n == 2) {
            const int2 x = __ldg((const int2 *)t);
            f[0] = x.x, f[1] = x.y;
        }
#pragma unroll
        for (int i = 0; i + 4 <= n; i += 4) {
            const int4 x = __ldg((const int4 *)(t + i));
            f[i] = x.x, f[i + 1] = x.y, f[i + 2] = x.z, f[i + 3] = x.w;
        }
    }

    __device__ __forceinline__ void fwd_stage(int32_t *v, int st) const {
        int32_t f[sh::REGS];
        load(f, w + first(st), block(st, sh::REGS - 1) + 1);
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            if (k & half(st)) continue;
            int32_t &a = v[k], &b = v[k | half(st)];
            const int32_t z = lazy_mul(b, f[block(st, k)], qinv, -q);
            if (!COLUMNS && st == 0) a = shrink(a, q, recip);
            b = a - z;
            a += z;
        }
    }
    __device__ __forceinline__ void inv_stage(int32_t *v, int st) const {
        const int done = S - 1 - st; /* stages before this one */
        const int last = block(st, sh::REGS - 1);
        int32_t f[sh::REGS];
        load(f, w + (3 * (m << st) - 1 - first(st) - last), last + 1);
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            if (k & half(st)) continue;
            int32_t &a = v[k], &b = v[k | half(st)], d = b - a;
            a += b;
            if (!COLUMNS && done == 0) a -= q;
            if (done % 3 == 2) a = shrink(a, q, recip);
            b = lazy_mul(d, f[last - block(st, k)], qinv, -q);
        }
    }
};

template <int S, bool COLUMNS>
__global__ void __launch_bounds__(shape<S, COLUMNS>::THREADS, shape<S, COLUMNS>::BLOCKS)
    forward(const pass __grid_constant__ a) {
    typedef shape<S, COLUMNS> sh;
    SHARED(int32_t, s, sh::LINES * sh::PITCH);
    const line<S, COLUMNS> l(a);
    int32_t v[sh::REGS];
#pragma unroll
    for (int k = 0; k < sh::REGS; k++) v[k] = l.live ? (int32_t)l.x[l.apart(k) * l.stride] : 0;
#pragma unroll
    for (int st = 0; st < sh::S1; st++) l.fwd_stage(v, st);
    l.to_together(v, s);
#pragma unroll
    for (int st = sh::S1; st < S; st++) l.fwd_stage(v, st);
    if (COLUMNS) {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++)
            if (l.live) l.x[l.together(k) * l.stride] = (uint32_t)v[k];
        return;
    }
    l.to_apart(v, s);
#pragma unroll
    for (int k = 0; k < sh::REGS; k++)
        if (l.live) l.x[l.apart(k)] = canonical(shrink(v[k], l.q, l.recip), l.q);
}

template <int S, bool COLUMNS>
__global__ void __launch_bounds__(shape<S, COLUMNS>::THREADS, shape<S, COLUMNS>::BLOCKS)
    inverse(const pass __grid_constant__ a) {
    typedef shape<S, COLUMNS> sh;
    SHARED(int32_t, s, sh::LINES * sh::PITCH);
    const line<S, COLUMNS> l(a);
    int32_t v[sh::REGS];
#pragma unroll
    for (int k = 0; k < sh::REGS; k++)
        v[k] = l.live ? (int32_t)l.x[(COLUMNS ? l.together(k) : l.apart(k)) * l.stride] : 0;
    if (!COLUMNS) l.to_together(v, s);
#pragma unroll
    for (int st = S - 1; st >= sh::S1; st--) l.inv_stage(v, st);
    l.to_apart(v, s);
#pragma unroll
    for (int st = sh::S1 - 1; st >= 0; st--) l.inv_stage(v, st);
    const bool last = COLUMNS || a.log == S;
    const int32_t n = l.p->halves[a.log];
#pragma unroll
    for (int k = 0; k < sh::REGS; k++) {
        if (last) v[k] = (int32_t)canonical(lazy_mul(v[k], n, l.qinv, -l.q), l.q);
        if (l.live) l.x[l.apart(k) * l.stride] = (uint32_t)v[k];
    }
}

template <int S, bool COLUMNS, bool INVERSE>
static void launch(struct device *d, pass a, int polys) {
    typedef shape<S, COLUMNS> sh;
    a.lines = (uint32_t)(a.b.n * polys) << (a.log - S);
    const dim3 grid((a.lines + sh::LINES - 1) / sh::LINES);
    if (INVERSE) LAUNCH((inverse<S, COLUMNS>), grid, sh::THREADS, 0, d->stream, a);
    else LAUNCH((forward<S, COLUMNS>), grid, sh::THREADS, 0, d->stream, a);
}

/* S of the template from s at run time */
template <int S, bool COLUMNS, bool INVERSE> struct pick {
    static void go(struct device *d, const pass &a, int polys, int s) {
        if (s == S) launch<S, COLUMNS, INVERSE>(d, a, polys);
        else pick<S - 1, COLUMNS, INVERSE>::go(d, a, polys, s);
    }
};
template <bool COLUMNS, bool INVERSE> struct pick<0, COLUMNS, INVERSE> {
    static void go(struct device *, const pass &, int, int) {}
};

static pass pass_of(struct device *d, struct kvec x, const struct kbasis *b, int log) {
    return {x.p, x.pitch << log, d->twiddle, d->constants, 0, log, d->k.log_n, *b};
}

void gpu_ntt_fwd(struct device *d, struct kvec x, const struct kbasis *b, int polys, int log) {
    const pass a = pass_of(d, x, b, log);
    const int rows = log < ROW_LOG ? log : ROW_LOG;
    pick<COLUMN_LOG, true, false>::go(d, a, polys, log - rows);
    pick<ROW_LOG, false, false>::go(d, a, polys, rows);
}

void gpu_ntt_inv(struct device *d, struct kvec x, const struct kbasis *b, int polys, int log) {
    const pass a = pass_of(d, x, b, log);
    const int rows = log < ROW_LOG ? log : ROW_LOG;
    pick<ROW_LOG, false, true>::go(d, a, polys, rows);
    pick<COLUMN_LOG, true, true>::go(d, a, polys, log - rows);
}
