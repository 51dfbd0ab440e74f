/* Sums of digits times the halves of a key: of digits in memory, or of digits while the rows of
 * their transform are in registers.
 *
 * In registers: a line (lines.cuh) is transformed for one digit after the other; a product by a
 * canonical word of the key is below q, so that four of them stay below 4 q; the last factor R^2
 * undoes the two divisions by R. */
#include "kernels/cuda/lines.cuh"

enum { THREADS = 256 };

static_assert(KERN_MAX_DIGITS <= 7, "a sum of products, each below q, fits an int");

struct halves { /* a key, and what joins its sum: struct kkey, distances in words */
    const uint32_t *digit[KERN_MAX_DIGITS];
    size_t step;
    int split, gap, accumulate, digits;
    uint32_t g;
    int log_n;
    struct grows out, plus;
    int plus_polys, plus_rows;
    uint32_t s[KERN_MAX_LIMBS]; /* times R */
};

/* What joins word `at` of row r of both polynomials, all in front of row r. */
__device__ __forceinline__ uint32_t joined(const halves &e, uint32_t sum, int h, int r, uint32_t at,
                                           uint32_t from, const gprime &p) {
    const size_t row = (size_t)r << e.log_n;
    if (e.accumulate) sum = add_mod(sum, e.out.p[h * e.out.step + row + at], p.q);
    if (h < e.plus_polys && r < e.plus_rows)
        sum =
            add_mod(sum, mont_mul(__ldg(e.plus.p + h * e.plus.step + row + from), e.s[r], p), p.q);
    return sum;
}

__device__ __forceinline__ size_t key_row(const halves &e, int r) {
    return (size_t)(r < e.split ? r : r + e.gap) << e.log_n;
}

/* ---- digits in memory: a place a thread ---- */

struct stored {
    halves e;
    struct grows x;
    const gprime *prime;
    struct kbasis b;
};

__global__ void __launch_bounds__(THREADS) sum_of_stored(const stored __grid_constant__ a) {
    const halves &e = a.e;
    const int r = blockIdx.y;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >> e.log_n) return;
    const uint32_t from = e.g == 1 ? i : autom_place(i, e.g, e.log_n);
    const size_t row = (size_t)r << e.log_n, with = key_row(e, r) + i;
    uint64_t s[2] = {};
#pragma unroll
    for (int j = 0; j < KERN_MAX_DIGITS; j++) {
        if (j >= e.digits) break;
        const uint32_t x = __ldg(a.x.p + j * a.x.step + row + from);
        MAD_WIDE(s[0], x, __ldg(e.digit[j] + with));
        MAD_WIDE(s[1], x, __ldg(e.digit[j] + e.step + with));
    }
    const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
    for (int h = 0; h < 2; h++)
        e.out.p[h * e.out.step + row + i] = joined(e, reduce64(s[h], p), h, r, i, from, p);
}

/* ---- digits in registers ---- */

struct owned { /* rows that a digit has of its own: of x, under g */
    const uint32_t *x;
    int first[KERN_MAX_DIGITS], n[KERN_MAX_DIGITS];
    size_t step; /* of the others, from digit to digit */
};

/* blocks on a multiprocessor: the compiler needs more registers for later cards */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
enum { SUM_BLOCKS = 2 };
#else
enum { SUM_BLOCKS = 3 };
#endif

template <int S>
__global__ void __launch_bounds__(shape<S, ROWS>::THREADS, SUM_BLOCKS)
    forward_sum(const pass __grid_constant__ a, const halves __grid_constant__ e,
                const owned __grid_constant__ d) {
    typedef shape<S, ROWS> sh;
    SHARED(int32_t, cells, sh::LINES * sh::PITCH);
    line<S, ROWS> l(a);
    const bool live = l.live;
    const uint32_t place = (l.at - l.m) << S;
    const uint32_t *x = l.x;
    const size_t row = (size_t)l.limb << a.log, with = key_row(e, l.limb) + place;
    int32_t v[sh::REGS], sum[2][sh::REGS] = {};
#pragma unroll 1
    for (int j = 0; j < e.digits; j++) {
        const bool own = l.limb >= d.first[j] && l.limb < d.first[j] + d.n[j];
        l.live = live && !own;
        l.x = x + j * d.step;
        OPAQUE(l.w, "l");            /* or all twiddles stay in registers from digit to digit */
        if (!own || a.log - S < 1) { /* all lines of a warp, or none */
            l.fwd_stages(v, cells);
            l.to_apart(v, cells);
        }
        if (own && live) {
            l.x = d.x + row + place;
            uint32_t g = e.g;
            OPAQUE(g, "r"); /* likewise where its words come from */
#pragma unroll
            for (int k = 0; k < sh::REGS; k++)
                v[k] = (int32_t)(e.g == 1 ? __ldg(l.x + l.apart(k)) : l.turned(g, a.log, k));
        }
        if (!live) continue;
        const uint32_t *key = e.digit[j] + with;
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            const int at = l.apart(k);
            sum[0][k] += lazy_mul(v[k], (int32_t)__ldg(key + at), l.qinv, -l.q);
            sum[1][k] += lazy_mul(v[k], (int32_t)__ldg(key + e.step + at), l.qinv, -l.q);
        }
    }
    if (!live) return;
    const gprime p = *l.p;
#pragma unroll
    for (int h = 0; h < 2; h++) { /* by way of a thread's own cells: few places at a time */
#pragma unroll
        for (int k = 0; k < sh::REGS; k++)
            *l.cell_apart(cells, k) = lazy_mul(sum[h][k], (int32_t)p.r2, l.qinv, -l.q);
#pragma unroll 2
        for (int k = 0; k < sh::REGS; k++) {
            const uint32_t at = place + (uint32_t)l.apart(k);
            const uint32_t from = e.g == 1 ? at : autom_place(at, e.g, a.log);
            const uint32_t r = canonical(*l.cell_apart(cells, k), l.q);
            e.out.p[h * e.out.step + row + at] = joined(e, r, h, l.limb, at, from, p);
        }
    }
}

/* ---- launches ---- */

static halves halves_of(struct device *d, struct kvec out, const struct kkey *key, int digits,
                        const struct kbasis *ext) {
    halves e = {};
    const int log_n = d->k.log_n;
    for (int j = 0; j < digits; j++) e.digit[j] = key->digit[j];
    e.step = key->pitch << log_n;
    e.split = key->split, e.gap = key->gap, e.accumulate = key->accumulate, e.digits = digits;
    e.g = key->g, e.log_n = log_n;
    e.out = {out.p, out.pitch << log_n}, e.plus = {key->plus.p, key->plus.pitch << log_n};
    if (key->plus.p) e.plus_polys = key->plus_polys, e.plus_rows = key->plus_rows;
    for (int r = 0; r < e.plus_rows; r++) {
        const struct kprime *p = &d->prime[ext->prime[r]];
        e.s[r] = key->s ? kern_mul_mod(key->s[r], p->r1, p->q) : p->r1;
    }
    return e;
}

void gpu_key_sum(struct device *d, struct kvec out, struct kvec x, int digits,
                 const struct kkey *key, const struct kbasis *ext) {
    stored a = {};
    a.e = halves_of(d, out, key, digits, ext);
    a.x = {x.p, x.pitch << d->k.log_n};
    a.prime = d->constants;
    a.b = *ext;
    const size_t n = (size_t)1 << d->k.log_n;
    LAUNCH(sum_of_stored, dim3((unsigned)((n + THREADS - 1) / THREADS), (unsigned)ext->n), THREADS,
           0, d->stream, a);
}

template <int S>
static void launch_rows(struct device *d, const pass &a, const halves &e, const owned &o, int s) {
    typedef shape<S, ROWS> sh;
    if (s == S)
        LAUNCH(forward_sum<S>, dim3((a.lines + sh::LINES - 1) / sh::LINES), sh::THREADS, 0,
               d->stream, a, e, o);
    else if constexpr (S > 1)
        launch_rows<S - 1>(d, a, e, o, s);
}

void gpu_sum_digits(struct device *d, struct kvec out, const uint32_t *x, struct kvec y,
                    const struct kdigit *digit, int digits, const struct kkey *key,
                    const struct kbasis *ext) {
    const int log = d->k.log_n, s = log < ROW_LOG ? log : ROW_LOG;
    pass a = {};
    a.x = a.o = {y.p, y.pitch << log};
    a.twiddle = d->twiddle, a.prime = d->constants;
    a.log = a.log_n = log, a.g = 1;
    a.b = *ext;
    for (int r = 0; r < ext->n; r++) a.row[r] = (uint8_t)r;
    a.lines = (uint32_t)ext->n << (log - s);
    owned o = {};
    o.x = x, o.step = y.pitch << log;
    for (int j = 0; j < digits; j++) o.first[j] = digit[j].first, o.n[j] = digit[j].n;
    launch_rows<ROW_LOG>(d, a, halves_of(d, out, key, digits, ext), o, s);
}
