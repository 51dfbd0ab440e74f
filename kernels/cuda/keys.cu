/* Sums of digits times the halves of a key: of digits in memory, or of digits while the rows of
 * their transform are in registers.
 *
 * In registers: a line (lines.cuh) is transformed for one digit after the other; a product by a
 * canonical word of the key is below q, so that four of them stay below 4 q; the last factor R^2
 * undoes the two divisions by R. */
#include "kernels/cuda/lines.cuh"

enum { THREADS = 256 };

static_assert(KERN_MAX_DIGITS <= 7, "a sum of products, each below q, fits an int");

struct halves { /* a key: struct kkey, distances in words */
    const uint32_t *digit[KERN_MAX_DIGITS];
    size_t step;
    struct grows out;
    int split, gap, accumulate;
    uint32_t g; /* of digits in memory, that of the inverse */
};

struct joint { /* what joins: struct kplus */
    struct grows v;
    int polys, rows;
    uint32_t s[KERN_MAX_LIMBS]; /* times R */
};

/* Word `from` of row r of what joins polynomial h. */
__device__ __forceinline__ uint32_t joined(const joint &e, int h, int r, int log_n, uint32_t from,
                                           const gprime &p) {
    if (h >= e.polys || r >= e.rows) return 0;
    return mont_mul(__ldg(e.v.p + h * e.v.step + ((size_t)r << log_n) + from), e.s[r], p);
}

__device__ __forceinline__ size_t key_row(const halves &e, int r, int log_n) {
    return (size_t)(r < e.split ? r : r + e.gap) << log_n;
}

/* ---- digits in memory: a place of the digits a thread, which goes to another place for every key
 * (aligned runs of 16 to aligned runs) ---- */

struct stored {
    struct grows x;
    const gprime *prime;
    int log_n, digits, keys;
    struct kbasis b;
    joint plus;
    halves key[KERN_MAX_KEYS];
};

__global__ void __launch_bounds__(THREADS) sum_of_stored(const stored __grid_constant__ a) {
    const int r = blockIdx.y;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >> a.log_n) return;
    const size_t row = (size_t)r << a.log_n;
    const gprime p = a.prime[a.b.prime[r]];
    uint32_t x[KERN_MAX_DIGITS], more[2];
#pragma unroll
    for (int j = 0; j < KERN_MAX_DIGITS; j++)
        x[j] = j < a.digits ? __ldg(a.x.p + j * a.x.step + row + i) : 0;
#pragma unroll
    for (int h = 0; h < 2; h++) more[h] = joined(a.plus, h, r, a.log_n, i, p);
#pragma unroll 1
    for (int m = 0; m < a.keys; m++) {
        const halves &e = a.key[m];
        const uint32_t at = e.g == 1 ? i : autom_place(i, e.g, a.log_n);
        const size_t with = key_row(e, r, a.log_n) + at;
        uint64_t s[2] = {};
#pragma unroll
        for (int j = 0; j < KERN_MAX_DIGITS; j++) {
            if (j >= a.digits) break;
            MAD_WIDE(s[0], x[j], __ldg(e.digit[j] + with));
            MAD_WIDE(s[1], x[j], __ldg(e.digit[j] + e.step + with));
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            uint32_t *o = e.out.p + h * e.out.step + row + at;
            const uint32_t sum = add_mod(reduce64(s[h], p), more[h], p.q);
            *o = e.accumulate ? add_mod(sum, *o, p.q) : sum;
        }
    }
}

/* ---- digits in registers ---- */

struct owned { /* rows that a digit has of its own: of x, under g */
    int digits;
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
                const joint __grid_constant__ plus, const owned __grid_constant__ d) {
    typedef shape<S, ROWS> sh;
    SHARED(int32_t, cells, sh::LINES * sh::PITCH);
    line<S, ROWS> l(a);
    const bool live = l.live;
    const uint32_t place = (l.at - l.m) << S;
    const uint32_t *x = l.x;
    const size_t row = (size_t)l.limb << a.log, with = key_row(e, l.limb, a.log) + place;
    int32_t v[sh::REGS], sum[2][sh::REGS] = {};
#pragma unroll 1
    for (int j = 0; j < d.digits; j++) {
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
            const uint32_t r = add_mod(canonical(*l.cell_apart(cells, k), l.q),
                                       joined(plus, h, l.limb, a.log, from, p), p.q);
            uint32_t *o = e.out.p + h * e.out.step + row + at;
            *o = e.accumulate ? add_mod(r, *o, p.q) : r;
        }
    }
}

/* ---- launches ---- */

static halves halves_of(struct device *d, struct kvec out, const struct kkey *key, int digits) {
    halves e = {};
    for (int j = 0; j < digits; j++) e.digit[j] = key->digit[j];
    e.step = key->pitch << d->k.log_n;
    e.out = {out.p, out.pitch << d->k.log_n};
    e.split = key->split, e.gap = key->gap, e.accumulate = key->accumulate, e.g = key->g;
    return e;
}

static joint joint_of(struct device *d, const struct kplus *plus, const struct kbasis *ext) {
    joint e = {};
    if (!plus) return e;
    e.v = {plus->v.p, plus->v.pitch << d->k.log_n};
    e.polys = plus->polys, e.rows = plus->rows;
    for (int r = 0; r < plus->rows; r++) {
        const struct kprime *p = &d->prime[ext->prime[r]];
        e.s[r] = plus->s ? kern_mul_mod(plus->s[r], p->r1, p->q) : p->r1;
    }
    return e;
}

/* 1/g modulo 2^(log_n + 1): every step doubles the number of right bits, three at first */
static uint32_t inverse_of(uint32_t g, int log_n) {
    uint32_t x = g;
    for (int i = 0; i < 4; i++) x *= 2 - g * x;
    return x & ((2u << log_n) - 1);
}

void gpu_key_sum(struct device *d, const struct kvec *out, struct kvec x, int digits,
                 const struct kkey *key, int keys, const struct kplus *plus,
                 const struct kbasis *ext) {
    const size_t n = (size_t)1 << d->k.log_n;
    stored a = {};
    a.x = {x.p, x.pitch << d->k.log_n};
    a.prime = d->constants;
    a.log_n = d->k.log_n, a.digits = digits, a.keys = keys;
    a.b = *ext;
    a.plus = joint_of(d, plus, ext);
    for (int m = 0; m < keys; m++) {
        a.key[m] = halves_of(d, out[m], &key[m], digits);
        a.key[m].g = inverse_of(key[m].g, a.log_n);
    }
    LAUNCH(sum_of_stored, dim3((unsigned)((n + THREADS - 1) / THREADS), (unsigned)ext->n), THREADS,
           0, d->stream, a);
}

template <int S>
static void launch_rows(struct device *d, const pass &a, const halves &e, const joint &plus,
                        const owned &o, int s) {
    typedef shape<S, ROWS> sh;
    if (s == S)
        LAUNCH(forward_sum<S>, dim3((a.lines + sh::LINES - 1) / sh::LINES), sh::THREADS, 0,
               d->stream, a, e, plus, o);
    else if constexpr (S > 1)
        launch_rows<S - 1>(d, a, e, plus, o, s);
}

void gpu_sum_digits(struct device *d, struct kvec out, const uint32_t *x, struct kvec y,
                    const struct kdigit *digit, int digits, const struct kkey *key,
                    const struct kplus *plus, const struct kbasis *ext) {
    const int log = d->k.log_n, s = log < ROW_LOG ? log : ROW_LOG;
    pass a = {};
    a.x = a.o = {y.p, y.pitch << log};
    a.twiddle = d->twiddle, a.prime = d->constants;
    a.log = a.log_n = log, a.g = 1;
    a.b = *ext;
    for (int r = 0; r < ext->n; r++) a.row[r] = (uint8_t)r;
    a.lines = (uint32_t)ext->n << (log - s);
    owned o = {};
    o.digits = digits, o.x = x, o.step = y.pitch << log;
    for (int j = 0; j < digits; j++) o.first[j] = digit[j].first, o.n[j] = digit[j].n;
    launch_rows<ROW_LOG>(d, a, halves_of(d, out, key, digits), joint_of(d, plus, ext), o, s);
}
