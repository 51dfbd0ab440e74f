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
 * Lines are rows, or columns: one a thread (NARROW) or two side by side (WIDE), which read and
 * write 256 contiguous bytes a warp instead of 128, past the L1 cache, with one twiddle for two.
 * Blocks of columns are turned by their row, so that those of one multiprocessor, which are as far
 * apart as there are multiprocessors, do not all lie in the same column of memory.
 * kernels/README.md has the counts.
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
 * follow have nine stages, so columns start below 3/4.  The end of a rebase multiplies 6.5 by a
 * canonical scalar: below 1/2 + 6.5/16. */
#include "kernels/cuda/device.cuh"

enum { ROW_LOG = 9, COLUMN_LOG = 8, ROW_THREADS = 128, WARP = 32 };
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
    int digits;                  /* 0: polynomials */
    struct {
        uint32_t behind; /* rows up to this digit */
        int first, n;    /* its own */
    } digit[KERN_MAX_DIGITS];
};

/* o = a sx + transformed x sy, where there is a row of a; + plus in polynomial 0 */
struct join {
    struct grows a;
    const uint32_t *plus; /* or NULL */
    int fresh;
    uint32_t sx[KERN_MAX_LIMBS], sy[KERN_MAX_LIMBS]; /* times R */
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

    __device__ __forceinline__ line(const pass &a) {
        c = COLUMNS ? threadIdx.x % WARP * W : threadIdx.x / sh::TEAM;
        j = COLUMNS ? threadIdx.x / WARP : threadIdx.x % sh::TEAM;
        uint32_t u = blockIdx.x * sh::LINES + c, rest = a.log - S;
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

template <int S, lines KIND>
__global__ void __launch_bounds__(shape<S, KIND>::THREADS, shape<S, KIND>::BLOCKS)
    forward(const pass __grid_constant__ a) {
    typedef shape<S, KIND> sh;
    SHARED(int32_t, s, sh::LINES * sh::PITCH);
    const line<S, KIND> l(a);
    int32_t v[sh::WORDS];
    l.fwd_stages(v, s);
    if (sh::COLUMNS) {
#pragma unroll
        for (int k = 0; k < sh::REGS; k++)
            put_far<sh::WIDTH>(l.o + l.together(k) * l.stride, v + k * sh::WIDTH);
        return;
    }
    l.to_apart(v, s);
#pragma unroll
    for (int k = 0; k < sh::REGS; k++)
        if (l.live) l.o[l.apart(k)] = canonical(shrink(v[k], l.q, l.recip), l.q);
}

/* rows of a forward transform, and the end of a rebase */
template <int S>
__global__ void __launch_bounds__(shape<S, ROWS>::THREADS, shape<S, ROWS>::BLOCKS)
    forward_join(const pass __grid_constant__ a, const join __grid_constant__ e) {
    typedef shape<S, ROWS> sh;
    SHARED(int32_t, s, sh::LINES * sh::PITCH);
    const line<S, ROWS> l(a);
    int32_t v[sh::REGS];
    l.fwd_stages(v, s);
    l.to_apart(v, s);
    if (!l.live) return;
    const uint32_t sx = e.sx[l.limb], sy = e.sy[l.limb];
    const bool old = l.limb >= e.fresh;
    const size_t first = l.o - (a.o.p + l.poly * a.o.step);
    const uint32_t *x = e.a.p + l.poly * e.a.step + first - ((size_t)e.fresh << a.log);
    const uint32_t *plus = e.plus && !l.poly ? e.plus + first : NULL;
    const gprime p = *l.p;
#pragma unroll
    for (int k = 0; k < sh::REGS; k++) {
        const int at = l.apart(k);
        uint32_t r = canonical(lazy_mul(v[k], (int32_t)sy, l.qinv, -l.q), l.q);
        if (old) r = add_mod(r, mont_mul(x[at], sx, p), p.q);
        if (plus) r = add_mod(r, plus[at], p.q);
        l.o[at] = r;
    }
}

template <int S, lines KIND>
__global__ void __launch_bounds__(shape<S, KIND>::THREADS, shape<S, KIND>::BLOCKS)
    inverse(const pass __grid_constant__ a) {
    typedef shape<S, KIND> sh;
    SHARED(int32_t, s, sh::LINES * sh::PITCH);
    const line<S, KIND> l(a);
    int32_t v[sh::WORDS];
#pragma unroll
    for (int k = 0; k < sh::REGS; k++) {
        const int from = sh::COLUMNS ? l.together(k) : l.apart(k);
        v[k * sh::WIDTH] = 0;
        if (l.live) get_far<sh::WIDTH>(v + k * sh::WIDTH, l.x + from * l.stride);
    }
    if (!sh::COLUMNS) l.to_together(v, s);
#pragma unroll
    for (int st = S - 1; st >= sh::S1; st--) l.inv_stage(v, st);
    l.to_apart(v, s);
#pragma unroll
    for (int st = sh::S1 - 1; st >= 0; st--) l.inv_stage(v, st);
    const bool last = sh::COLUMNS || a.log == S;
    const int32_t n = l.p->halves[a.log];
#pragma unroll
    for (int k = 0; k < sh::WORDS; k++)
        if (last) v[k] = (int32_t)canonical(lazy_mul(v[k], n, l.qinv, -l.q), l.q);
#pragma unroll
    for (int k = 0; k < sh::REGS; k++)
        if (l.live) put_far<sh::WIDTH>(l.o + l.apart(k) * l.stride, v + k * sh::WIDTH);
}

/* The passes, a function for every S; S of the template from that of run time. */
struct work {
    struct device *d;
    pass a;
    const join *e;
    uint32_t rows;
};

template <int S, lines KIND, bool INVERSE> static void launch(const work &w) {
    typedef shape<S, KIND> sh;
    pass a = w.a;
    a.lines = w.rows << (a.log - S);
    if (!a.lines) return;
    if (sh::COLUMNS && w.d->columns != COLUMNS_NARROW) a.turn = sh::LINES;
    const dim3 grid((a.lines + sh::LINES - 1) / sh::LINES);
    if (INVERSE)
        LAUNCH((inverse<S, KIND>), grid, sh::THREADS, 0, w.d->stream, a);
    else if (w.e && !sh::COLUMNS)
        LAUNCH(forward_join<S>, grid, sh::THREADS, 0, w.d->stream, a, *w.e);
    else
        LAUNCH((forward<S, KIND>), grid, sh::THREADS, 0, w.d->stream, a);
}

template <int S, lines KIND, bool INVERSE> struct pick {
    static void go(const work &w, int s) {
        if (s == S)
            launch<S, KIND, INVERSE>(w);
        else if constexpr (S > (KIND == WIDE ? WIDE_FROM : 1))
            pick<S - 1, KIND, INVERSE>::go(w, s);
    }
};

/* Two columns a thread where that leaves no multiprocessor without a block, unless one kind is
 * asked for. */
static bool wide(const work &w, int s) {
    const size_t blocks = ((size_t)w.rows << (w.a.log - s)) / shape<WIDE_TO, WIDE>::LINES;
    if (s < WIDE_FROM || s > WIDE_TO) return false;
    return w.d->columns == COLUMNS_WIDE ||
           (w.d->columns == COLUMNS_BEST && blocks >= (size_t)w.d->processors);
}

template <bool INVERSE> static void columns(const work &w, int s) {
    if (wide(w, s))
        pick<WIDE_TO, WIDE, INVERSE>::go(w, s);
    else
        pick<COLUMN_LOG, NARROW, INVERSE>::go(w, s);
}

static struct work work_of(struct device *d, struct kvec out, struct kvec x, const struct kbasis *b,
                           int polys, int log) {
    work w = {};
    w.d = d;
    w.a.x = {x.p, x.pitch << log}, w.a.o = {out.p, out.pitch << log};
    w.a.twiddle = d->twiddle, w.a.prime = d->constants;
    w.a.log = log, w.a.log_n = d->k.log_n;
    w.a.b = *b;
    for (int r = 0; r < b->n; r++) w.a.row[r] = (uint8_t)r;
    w.rows = (uint32_t)(b->n * polys);
    return w;
}

/* Columns where x lies, if a row is longer than one line; then rows. */
static void go_forward(work *w) {
    const int rows = w->a.log < ROW_LOG ? w->a.log : ROW_LOG;
    const struct grows end = w->a.o;
    w->a.o = w->a.x;
    columns<false>(*w, w->a.log - rows);
    w->a.o = end;
    pick<ROW_LOG, ROWS, false>::go(*w, rows);
}

void gpu_ntt_fwd(struct device *d, struct kvec x, const struct kbasis *b, int polys, int log) {
    work w = work_of(d, x, x, b, polys, log);
    go_forward(&w);
}

void gpu_ntt_digits(struct device *d, struct kvec x, const struct kdigit *digit, int digits,
                    const struct kbasis *ext) {
    work w = work_of(d, x, x, ext, 1, d->k.log_n);
    w.rows = 0;
    w.a.digits = digits;
    for (int j = 0; j < digits; j++) {
        w.rows += (uint32_t)(ext->n - digit[j].n);
        w.a.digit[j] = {w.rows, digit[j].first, digit[j].n};
    }
    go_forward(&w);
}

void gpu_ntt_join(struct device *d, struct kvec out, struct kvec x, struct kvec y,
                  const struct krebase *r, int polys) {
    const int log_n = d->k.log_n;
    work w = work_of(d, out, y, &r->to, polys, log_n);
    join e = {};
    e.a = {x.p + ((size_t)r->kept << log_n), x.pitch << log_n};
    e.plus = r->plus, e.fresh = r->fresh;
    for (int i = 0; i < r->to.n; i++) {
        const struct kprime *p = &d->prime[r->to.prime[i]];
        e.sx[i] = kern_mul_mod(r->sx[i], p->r1, p->q);
        e.sy[i] = kern_mul_mod(r->sy[i], p->r1, p->q);
    }
    w.e = &e;
    go_forward(&w);
}

void gpu_ntt_inv(struct device *d, struct kvec out, struct kvec x, const uint8_t *row,
                 const struct kbasis *b, int polys, int log) {
    work w = work_of(d, out, x, b, polys, log);
    const int rows = log < ROW_LOG ? log : ROW_LOG;
    for (int r = 0; row && r < b->n; r++) w.a.row[r] = row[r];
    pick<ROW_LOG, ROWS, true>::go(w, rows);
    columns<true>(w, log - rows);
}
