/* Sums of digits times the halves of a key: of digits in memory, or of digits while the rows of
 * their transform are in registers.
 *
 * In registers: a line (lines.cuh) is transformed for one digit after the other; a product by a
 * canonical word of the key is below q, so that four of them stay below 4 q; the last factor R^2
 * undoes the two divisions by R.
 *
 * The second half of a key is read, or made of its seed.  For digits in registers a thread holds
 * the places of one or two blocks; for those in memory 256 threads make the blocks of as many
 * digits and keys as they serve at once, for each other.
 *
 * Words of a key are read once and leave L2 first (__ldcs), before the digits. */
#include "kernels/cuda/chacha.cuh"
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

struct origin { /* of second halves that are made */
    gseed seed;
    int first;
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

__device__ __forceinline__ int row_of_key(const halves &e, int r) {
    return r < e.split ? r : r + e.gap;
}

__device__ __forceinline__ size_t key_row(const halves &e, int r, int log_n) {
    return (size_t)row_of_key(e, r) << log_n;
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
            MAD_WIDE(s[0], x[j], __ldcs(e.digit[j] + with));
            MAD_WIDE(s[1], x[j], __ldcs(e.digit[j] + e.step + with));
        }
#pragma unroll
        for (int h = 0; h < 2; h++) {
            uint32_t *o = e.out.p + h * e.out.step + row + at;
            const uint32_t sum = add_mod(reduce64(s[h], p), more[h], p.q);
            *o = e.accumulate ? add_mod(sum, *o, p.q) : sum;
        }
    }
}

/* ---- the same, the second halves made: places of a chunk of 256 go to those of one chunk ---- */

enum { UNIT = UNIFORM_CHUNK + 16, UNITS = THREADS / UNIFORM_TEAM }; /* UNIT: no two banks meet */

static_assert((int)THREADS == (int)UNIFORM_CHUNK && KERN_MAX_DIGITS <= UNITS,
              "a block has a chunk");

struct origins {
    origin key[KERN_MAX_KEYS];
};

/* The chunk of digit `unit % digits`, key from + unit / digits, by 16 threads. */
__device__ __forceinline__ void make_units(uint32_t *made, const stored &a, const origins &s,
                                           int from, int now, int r, uint32_t q) {
    const int unit = threadIdx.x / UNIFORM_TEAM, m = from + unit / a.digits;
    if (unit >= now * a.digits) return;
    const halves &e = a.key[m];
    const uint32_t c = threadIdx.x % UNIFORM_TEAM, at = blockIdx.x * UNIFORM_CHUNK;
    const uint32_t chunk = (e.g == 1 ? at : autom_place(at, e.g, a.log_n)) / UNIFORM_CHUNK;
    uint32_t *to = made + unit * UNIT + c;
    uniform_block(s.key[m].seed, chunk * UNIFORM_TEAM + c,
                  64 * (unit % a.digits) + s.key[m].first + row_of_key(e, r), q,
                  [=](int k, uint32_t x) { to[UNIFORM_TEAM * k] = x; });
}

__global__ void __launch_bounds__(THREADS)
    sum_of_made(const stored __grid_constant__ a, const origins __grid_constant__ s) {
    SHARED(uint32_t, made, UNITS * UNIT);
    const int r = blockIdx.y, most = UNITS / a.digits;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    const size_t row = (size_t)r << a.log_n;
    const gprime p = a.prime[a.b.prime[r]];
    uint32_t x[KERN_MAX_DIGITS], more[2];
#pragma unroll
    for (int j = 0; j < KERN_MAX_DIGITS; j++)
        x[j] = j < a.digits ? __ldg(a.x.p + j * a.x.step + row + i) : 0;
#pragma unroll
    for (int h = 0; h < 2; h++) more[h] = joined(a.plus, h, r, a.log_n, i, p);
#pragma unroll 1
    for (int from = 0; from < a.keys; from += most) {
        const int now = a.keys - from < most ? a.keys - from : most;
        make_units(made, a, s, from, now, r, p.q);
        __syncthreads();
#pragma unroll 1
        for (int m = from; m < from + now; m++) {
            const halves &e = a.key[m];
            const uint32_t at = e.g == 1 ? i : autom_place(i, e.g, a.log_n);
            const uint32_t *second = made + (m - from) * a.digits * UNIT + at % UNIFORM_CHUNK;
            uint64_t t[2] = {};
#pragma unroll
            for (int j = 0; j < KERN_MAX_DIGITS; j++) {
                if (j >= a.digits) break;
                MAD_WIDE(t[0], x[j], __ldcs(e.digit[j] + key_row(e, r, a.log_n) + at));
                MAD_WIDE(t[1], x[j], second[j * UNIT]);
            }
#pragma unroll
            for (int h = 0; h < 2; h++) {
                uint32_t *o = e.out.p + h * e.out.step + row + at;
                const uint32_t sum = add_mod(reduce64(t[h], p), more[h], p.q);
                *o = e.accumulate ? add_mod(sum, *o, p.q) : sum;
            }
        }
        __syncthreads();
    }
}

/* out = the halves themselves, a block a thread */
__global__ void __launch_bounds__(THREADS)
    uniform(grows out, const gseed __grid_constant__ s, uint32_t from, const gprime *prime,
            const struct kbasis __grid_constant__ b, int log_n) {
    const uint32_t c = blockIdx.x * THREADS + threadIdx.x, r = blockIdx.y;
    if (c >> (log_n - 4)) return;
    uint32_t *to = out.p + blockIdx.z * out.step + ((size_t)r << log_n) +
                   c / UNIFORM_TEAM * UNIFORM_CHUNK + c % UNIFORM_TEAM;
    uniform_block(s, c, from + 64 * blockIdx.z + r, prime[b.prime[r]].q,
                  [=](int k, uint32_t x) { to[UNIFORM_TEAM * k] = x; });
}

/* ---- digits in registers ---- */

struct single { /* what each of several sums has of its own */
    const uint32_t *x;
    struct grows out;
    joint plus;
};

struct owned { /* rows that a digit has of its own: of x, under g */
    int digits;
    int first[KERN_MAX_DIGITS], n[KERN_MAX_DIGITS];
    size_t step, sum_step; /* of the others, from digit to digit and from sum to sum */
    single sum[KERN_MAX_SUMS];
};

/* blocks on a multiprocessor: the compiler needs more registers for later cards */
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
enum { SUM_BLOCKS = 2 };
#else
enum { SUM_BLOCKS = 3 };
#endif

/* sum += the words in this thread's cells times the residues at their places, which are those of
 * its blocks; the line begins at `place`.  Not from registers: the blocks want them. */
template <int S>
__device__ __forceinline__ void add_made(int32_t *sum, int32_t *cells, const line<S, ROWS> &l,
                                         const origin &s, uint32_t place, uint32_t stream) {
    typedef shape<S, ROWS> sh;
    if constexpr (sh::TEAM == UNIFORM_TEAM) {
#pragma unroll
        for (int h = 0; h < sh::REGS / UNIFORM_TEAM; h++) {
            OPAQUE(place, "r"); /* or its blocks stay in registers from digit to digit */
            uniform_block(s.seed, (place / UNIFORM_CHUNK + h) * UNIFORM_TEAM + l.j, stream, l.q,
                          [&](int k, uint32_t x) {
                              const int at = h * UNIFORM_TEAM + k;
                              sum[at] +=
                                  lazy_mul(*l.cell_apart(cells, at), (int32_t)x, l.qinv, -l.q);
                          });
        }
    }
}

/* blocks of several sums over the same words of the key are neighbours */
template <int S, bool MADE>
__global__ void __launch_bounds__(shape<S, ROWS>::THREADS, SUM_BLOCKS)
    forward_sum(const pass __grid_constant__ a, const halves __grid_constant__ e,
                const owned __grid_constant__ d, const origin __grid_constant__ made) {
    typedef shape<S, ROWS> sh;
    SHARED(int32_t, cells, sh::LINES * sh::PITCH);
    line<S, ROWS> l(a, blockIdx.y);
    const single &own_sum = d.sum[blockIdx.x];
    const bool live = l.live;
    const uint32_t place = (l.at - l.m) << S;
    const uint32_t *x = l.x + blockIdx.x * d.sum_step;
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
            l.x = own_sum.x + row + place;
            uint32_t g = e.g;
            OPAQUE(g, "r"); /* likewise where its words come from */
            OPAQUE(l.at, "r");
#pragma unroll
            for (int k = 0; k < sh::REGS; k++)
                v[k] = (int32_t)(e.g == 1 ? __ldg(l.x + l.apart(k)) : l.turned(g, a.log, k));
        }
        if (!live) continue;
#pragma unroll
        for (int k = 0; MADE && own && k < sh::REGS; k++) *l.cell_apart(cells, k) = v[k];
        const uint32_t *key = e.digit[j] + with;
#pragma unroll
        for (int k = 0; k < sh::REGS; k++) {
            const int at = l.apart(k);
            sum[0][k] += lazy_mul(v[k], (int32_t)__ldcs(key + at), l.qinv, -l.q);
            if (!MADE)
                sum[1][k] += lazy_mul(v[k], (int32_t)__ldcs(key + e.step + at), l.qinv, -l.q);
        }
        if (MADE)
            add_made<S>(sum[1], cells, l, made, place, 64 * j + made.first + row_of_key(e, l.limb));
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
                                       joined(own_sum.plus, h, l.limb, a.log, from, p), p.q);
            uint32_t *o = own_sum.out.p + h * own_sum.out.step + row + at;
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
    const dim3 grid((unsigned)((n + THREADS - 1) / THREADS), (unsigned)ext->n);
    if (!key->seed) {
        LAUNCH(sum_of_stored, grid, THREADS, 0, d->stream, a);
        return;
    }
    origins s = {};
    for (int m = 0; m < keys; m++) s.key[m] = {seed_of(key[m].seed), key[m].first};
    LAUNCH(sum_of_made, grid, THREADS, 0, d->stream, a, s);
}

void gpu_uniform(struct device *d, struct kvec out, const uint8_t *seed, uint32_t from,
                 const struct kbasis *b, int polys) {
    const size_t blocks = (size_t)1 << (d->k.log_n - 4);
    const grows o = {out.p, out.pitch << d->k.log_n};
    LAUNCH(uniform,
           dim3((unsigned)((blocks + THREADS - 1) / THREADS), (unsigned)b->n, (unsigned)polys),
           THREADS, 0, d->stream, o, seed_of(seed), from, d->constants, *b, d->k.log_n);
}

/* made NULL: second halves are stored */
template <int S>
static void launch_rows(struct device *d, const pass &a, const halves &e, const owned &o, int n,
                        const origin *made, int s) {
    typedef shape<S, ROWS> sh;
    const dim3 grid((unsigned)n, (a.lines + sh::LINES - 1) / sh::LINES);
    if constexpr (sh::TEAM == UNIFORM_TEAM)
        if (s == S && made) {
            LAUNCH((forward_sum<S, true>), grid, sh::THREADS, 0, d->stream, a, e, o, *made);
            return;
        }
    if (s == S)
        LAUNCH((forward_sum<S, false>), grid, sh::THREADS, 0, d->stream, a, e, o, origin());
    else if constexpr (S > 1)
        launch_rows<S - 1>(d, a, e, o, n, made, s);
}

void gpu_sum_digits(struct device *d, const struct kvec *out, const uint32_t *const *x, int n,
                    struct kvec y, const struct kdigit *digit, int digits, const struct kkey *key,
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
    o.digits = digits, o.step = y.pitch << log, o.sum_step = digits * o.step;
    for (int j = 0; j < digits; j++) o.first[j] = digit[j].first, o.n[j] = digit[j].n;
    for (int i = 0; i < n; i++)
        o.sum[i] = {
            x[i], {out[i].p, out[i].pitch << log}, joint_of(d, plus ? &plus[i] : NULL, ext)};
    const origin made = {seed_of(key->seed), key->first};
    launch_rows<ROW_LOG>(d, a, halves_of(d, out[0], key, digits), o, n, key->seed ? &made : NULL,
                         s);
}
