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
#include "kernels/cuda/lines.cuh"

/* o = a sx + transformed x sy, where there is a row of a; + plus in polynomial 0 */
struct join {
    struct grows a;
    const uint32_t *plus; /* or NULL */
    int fresh;
    uint32_t sx[KERN_MAX_LIMBS], sy[KERN_MAX_LIMBS]; /* times R */
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
        if (!l.live) continue;
        if (sh::COLUMNS || a.g == 1)
            get_far<sh::WIDTH>(v + k * sh::WIDTH, l.x + from * l.stride);
        else
            v[k] = (int32_t)l.turned(a.g, a.log, k);
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
    a.lines = device_blocks(w.d, "a transform", (size_t)w.rows << (a.log - S));
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
    w.a.log = log, w.a.log_n = d->k.log_n, w.a.g = 1;
    w.a.b = *b;
    for (int r = 0; r < b->n; r++) w.a.row[r] = (uint8_t)r;
    w.rows = (uint32_t)(b->n * polys);
    return w;
}

/* Columns where x lies, if a row is longer than one line; then rows. */
static void go_forward(work *w, enum passes which) {
    const int rows = w->a.log < ROW_LOG ? w->a.log : ROW_LOG;
    const struct grows end = w->a.o;
    w->a.o = w->a.x;
    if (which != ROWS_ONLY) columns<false>(*w, w->a.log - rows);
    w->a.o = end;
    if (which != COLUMNS_ONLY) pick<ROW_LOG, ROWS, false>::go(*w, rows);
}

void gpu_ntt_fwd(struct device *d, struct kvec x, const struct kbasis *b, int polys, int log) {
    work w = work_of(d, x, x, b, polys, log);
    go_forward(&w, BOTH_PASSES);
}

void gpu_ntt_digits(struct device *d, struct kvec x, const struct kdigit *digit, int digits,
                    const struct kbasis *ext, enum passes which) {
    work w = work_of(d, x, x, ext, 1, d->k.log_n);
    w.rows = 0;
    w.a.digits = digits;
    for (int j = 0; j < digits; j++) {
        w.rows += (uint32_t)(ext->n - digit[j].n);
        w.a.digit[j] = {w.rows, digit[j].first, digit[j].n};
    }
    go_forward(&w, which);
}

void gpu_ntt_join(struct device *d, struct kvec out, struct kvec x, struct kvec y,
                  const struct krebase *r, int polys, enum passes which) {
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
    go_forward(&w, which);
}

void gpu_ntt_inv(struct device *d, struct kvec out, struct kvec x, const uint8_t *row, uint32_t g,
                 const struct kbasis *b, int polys, int log) {
    work w = work_of(d, out, x, b, polys, log);
    w.a.g = g;
    const int rows = log < ROW_LOG ? log : ROW_LOG;
    for (int r = 0; row && r < b->n; r++) w.a.row[r] = row[r];
    pick<ROW_LOG, ROWS, true>::go(w, rows);
    columns<true>(w, log - rows);
}
