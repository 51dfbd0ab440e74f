/* Lines of a transform, as transform.cu explains them, and their stages in registers. */
#ifndef THOR_LINES_CUH
#define THOR_LINES_CUH

#include "kernels/cuda/device.cuh"

enum { ROW_LOG = KERN_LINE_LOG, COLUMN_LOG = 8, ROW_THREADS = 128, WARP = 32 };
enum { WIDE_FROM = 5, WIDE_TO = 7 }; /* stages of wide columns: above, too much shared memory */
enum lines { ROWS, NARROW, WIDE };

/* Which row a line belongs to, and where it lies.  Rows come polynomial by polynomial; with digits,
 * those of `b` that are not the digit's own. */
struct pass {
    struct grows x, o; /* read, written; columns are transformed in place, at o */
    const int32_t *twiddle;
    const gprime *prime;
    uint32_t lines; /* in all */
    uint32_t turn;  /* columns by which a block starts further in each row than in that before */
    int log, log_n;
    struct kbasis b;
    uint8_t row[KERN_MAX_LIMBS]; /* of x that becomes this row of o */
    uint32_t g;                  /* rows of an inverse transform are read under X -> X^g */
    int digits;                  /* 0: polynomials */
    struct {
        uint32_t behind; /* rows up to this digit */
        int first, n;    /* its own */
    } digit[KERN_MAX_DIGITS];
};

template <int S, lines KIND> struct shape {
    static const bool COLUMNS = KIND != ROWS;
    static const int WIDTH = KIND == WIDE ? 2 : 1; /* lines of a thread */
    static const int S1 = (S + 1) / 2, S2 = S - S1, REGS = 1 << S1, TEAM = 1 << S2;
    static const int LINES = COLUMNS ? WARP * WIDTH : ROW_THREADS / TEAM;
    static const int THREADS = LINES / WIDTH * TEAM, WORDS = REGS * WIDTH;
    /* at a time on a multiprocessor, at least: bounds the registers */
    static const int MANY = KIND == WIDE ? 768 : 1024;
    static const int BLOCKS = COLUMNS ? (THREADS < 128 ? 8 : MANY / THREADS) : 5;
    static const int PITCH = COLUMNS ? 1 << S : (1 << S) + TEAM; /* words of shared memory a line */
    static_assert(LINES * PITCH * sizeof(int32_t) <= 48 << 10, "a block has no more");
};

/* Words side by side, to and from registers: of shared memory, and of device memory, where what is
 * read once does not pass through L1. */
template <int WIDTH> __device__ __forceinline__ void get(int32_t *v, const int32_t *s) {
    if (WIDTH == 1)
        v[0] = *s;
    else {
        const int2 x = *(const int2 *)s;
        v[0] = x.x, v[1] = x.y;
    }
}
template <int WIDTH> __device__ __forceinline__ void put(int32_t *s, const int32_t *v) {
    if (WIDTH == 1)
        *s = v[0];
    else
        *(int2 *)s = {v[0], v[1]};
}
template <int WIDTH> __device__ __forceinline__ void get_far(int32_t *v, const uint32_t *p) {
    if (WIDTH == 1)
        v[0] = (int32_t)*p;
    else {
        const int2 x = __ldcg((const int2 *)p);
        v[0] = x.x, v[1] = x.y;
    }
}
template <int WIDTH> __device__ __forceinline__ void put_far(uint32_t *p, const int32_t *v) {
    if (WIDTH == 1)
        *p = (uint32_t)v[0];
    else
        __stcg((int2 *)p, int2{v[0], v[1]});
}

template <int S, lines KIND> struct line {
    typedef shape<S, KIND> sh;
    static const bool COLUMNS = sh::COLUMNS;
    static const int W = sh::WIDTH;
    const uint32_t *x; /* place i of the line at x + i * stride, */
    uint32_t *o;       /* and likewise when it is done */
    size_t stride;
    const int32_t *w;
    const gprime *p;
    int32_t q, recip;
    uint32_t qinv, m, at; /* the line is block at - m of the m blocks of a stage */
    int c, j;             /* (first) line in the block of threads, thread in the line */
    int poly, limb;
    bool live;

    __device__ __forceinline__ void find_row(const pass &a, uint32_t row) {
        if (!a.digits) {
            poly = row / a.b.n, limb = row % a.b.n;
            return;
        }
        poly = 0;
        while (row >= a.digit[poly].behind) poly++;
        limb = row - (poly ? a.digit[poly - 1].behind : 0);
        if (limb >= a.digit[poly].first) limb += a.digit[poly].n;
    }

    __device__ __forceinline__ line(const pass &a, uint32_t block = blockIdx.x) {
        c = COLUMNS ? threadIdx.x % WARP * W : threadIdx.x / sh::TEAM;
        j = COLUMNS ? threadIdx.x / WARP : threadIdx.x % sh::TEAM;
        uint32_t u = block * sh::LINES + c, rest = a.log - S;
        live = COLUMNS || u < a.lines; /* columns come 2^ROW_LOG in a row: whole blocks */
        if (!live) u = 0;
        const uint32_t i = (COLUMNS ? u + (u >> rest) * a.turn : u) & ((1u << rest) - 1);
        find_row(a, u >> rest);
        const uint32_t prime = a.b.prime[limb];
        const size_t at = COLUMNS ? i : (size_t)i << S;
        o = a.o.p + poly * a.o.step + ((size_t)limb << a.log) + at;
        x = COLUMNS ? o : a.x.p + poly * a.x.step + ((size_t)a.row[limb] << a.log) + at;
        stride = COLUMNS ? (size_t)1 << rest : 1;
        w = a.twiddle + ((size_t)prime << a.log_n);
        p = a.prime + prime;
        q = (int32_t)p->q, recip = p->recip, qinv = p->qinv;
        m = COLUMNS ? 1 : 1u << rest;
        this->at = COLUMNS ? 1 : m + i;
    }

    __device__ __forceinline__ int apart(int k) const {
        return j + (k << sh::S2);
    }
    __device__ __forceinline__ int together(int k) const {
        return (j << sh::S1) + k;
    }

    /* the word of a row that X -> X^g brings to place apart(k) of this line */
    __device__ __forceinline__ uint32_t turned(uint32_t g, int log, int k) const {
        const uint32_t place = (at - m) << S;
        return x[(int64_t)autom_place(place + (uint32_t)apart(k), g, log) - place];
    }

    __device__ __forceinline__ void sync() const {
        if (COLUMNS)
            __syncthreads();
        else
            __syncwarp(); /* a line of at most 16 threads lies in one warp */
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
        for (int k = 0; k < sh::REGS; k++) put<W>(cell_apart(s, k), v + k * W);
        sync();
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) get<W>(v + k * W, cell_together(s, k));
    }
    __device__ __forceinline__ void to_apart(int32_t *v, int32_t *s) const {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) put<W>(cell_together(s, k), v + k * W);
        sync();
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) get<W>(v + k * W, cell_apart(s, k));
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

    __device__ __forceinline__ void fwd_butterfly(int32_t &a, int32_t &b, int32_t f, int st) const {
        const int32_t z = lazy_mul(b, f, qinv, -q);
        if (!COLUMNS && st == 0) a = shrink(a, q, recip);
        b = a - z;
        a += z;
    }
    __device__ __forceinline__ void inv_butterfly(int32_t &a, int32_t &b, int32_t f, int st) const {
        const int done = S - 1 - st; /* stages before this one */
        const int32_t d = b - a;
        a += b;
        if (!COLUMNS && done == 0) a -= q;
        if (done % 3 == 2) a = shrink(a, q, recip);
        b = lazy_mul(d, f, qinv, -q);
    }
    __device__ __forceinline__ void fwd_stage(int32_t *v, int st) const {
        int32_t f[sh::REGS];
        load(f, w + first(st), block(st, sh::REGS - 1) + 1);
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            if (k & half(st)) continue;
#pragma unroll
            for (int h = 0; h < W; h++)
                fwd_butterfly(v[k * W + h], v[(k | half(st)) * W + h], f[block(st, k)], st);
        }
    }
    __device__ __forceinline__ void inv_stage(int32_t *v, int st) const {
        const int last = block(st, sh::REGS - 1);
        int32_t f[sh::REGS];
        load(f, w + (3 * (m << st) - 1 - first(st) - last), last + 1);
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            if (k & half(st)) continue;
#pragma unroll
            for (int h = 0; h < W; h++)
                inv_butterfly(v[k * W + h], v[(k | half(st)) * W + h], f[last - block(st, k)], st);
        }
    }
    /* v = the line after all its forward stages, together */
    __device__ __forceinline__ void fwd_stages(int32_t *v, int32_t *s) const {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            v[k * W] = 0;
            if (live) get_far<W>(v + k * W, x + apart(k) * stride);
        }
#pragma unroll
        for (int st = 0; st < sh::S1; st++) fwd_stage(v, st);
        to_together(v, s);
#pragma unroll
        for (int st = sh::S1; st < S; st++) fwd_stage(v, st);
    }
};

#endif
