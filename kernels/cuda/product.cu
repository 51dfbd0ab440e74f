/* Pointwise entries, sums of products, automorphisms and lifts on the device. */
#include "kernels/cuda/device.cuh"

enum { THREADS = 256 };

static dim3 blocks(size_t columns, int limbs, int polys) {
    return dim3((unsigned)((columns + THREADS - 1) / THREADS), (unsigned)limbs, (unsigned)polys);
}

/* ---- pointwise: four columns a thread ---- */

struct point {
    struct grows out, x, y;
    const gprime *prime;
    uint32_t columns; /* of four words, in a row */
    struct kbasis b;
    uint32_t sx[KERN_MAX_LIMBS], sy[KERN_MAX_LIMBS];
};

__device__ __forceinline__ uint4 *row_of(const grows &v, uint32_t columns) {
    return (uint4 *)(v.p + blockIdx.z * v.step) + (size_t)blockIdx.y * columns;
}

template <int OP>
__device__ __forceinline__ uint32_t apply(uint32_t x, uint32_t y, uint32_t sx, uint32_t sy,
                                          const gprime &p) {
    switch (OP) {
    case OP_ADD:
        return add_mod(x, y, p.q);
    case OP_SUB:
        return sub_mod(x, y, p.q);
    case OP_NEG:
        return x ? p.q - x : 0;
    case OP_MUL:
        return mont_mul(mont_mul(x, y, p), p.r2, p);
    case OP_LINCOMB:
        return add_mod(mont_mul(x, sx, p), mont_mul(y, sy, p), p.q);
    case OP_SCALE:
        return mont_mul(x, sx, p);
    case OP_ADD_SCALAR:
        return add_mod(x, sx, p.q);
    case OP_COPY:
        return x;
    default:
        return 0;
    }
}

template <int OP>
__global__ void __launch_bounds__(THREADS) pointwise(const point __grid_constant__ a) {
    const bool has_x = OP != OP_ZERO,
               has_y = OP == OP_ADD || OP == OP_SUB || OP == OP_MUL || OP == OP_LINCOMB;
    const bool residues = OP != OP_ZERO && OP != OP_COPY;
    uint32_t i = blockIdx.x * THREADS + threadIdx.x, r = blockIdx.y;
    if (i >= a.columns) return;
    gprime p = {};
    if (residues) p = a.prime[a.b.prime[r]];
    uint32_t sx = 0, sy = 0;
    if (OP == OP_LINCOMB || OP == OP_SCALE || OP == OP_ADD_SCALAR) sx = a.sx[r];
    if (OP == OP_LINCOMB) sy = a.sy[r];
    uint4 x = {}, y = {}, o;
    if (has_x) x = row_of(a.x, a.columns)[i];
    if (has_y) y = row_of(a.y, a.columns)[i];
    o.x = apply<OP>(x.x, y.x, sx, sy, p);
    o.y = apply<OP>(x.y, y.y, sx, sy, p);
    o.z = apply<OP>(x.z, y.z, sx, sy, p);
    o.w = apply<OP>(x.w, y.w, sx, sy, p);
    row_of(a.out, a.columns)[i] = o;
}

static struct grows rows_of(struct device *d, struct kvec v) {
    return {v.p, v.pitch << d->k.log_n};
}

/* Scalars that multiply go to the device times R. */
static void scalars(struct device *d, uint32_t *out, const uint32_t *s, bool times_r,
                    const struct kbasis *b) {
    for (int r = 0; s && r < b->n; r++) {
        const struct kprime *p = &d->prime[b->prime[r]];
        out[r] = times_r ? kern_mul_mod(s[r], p->r1, p->q) : s[r];
    }
}

void gpu_point(struct device *d, enum point_op op, struct kvec out, struct kvec x, struct kvec y,
               const uint32_t *sx, const uint32_t *sy, const struct kbasis *b, int polys) {
    point a = {};
    a.out = rows_of(d, out), a.x = rows_of(d, x), a.y = rows_of(d, y);
    a.prime = d->constants;
    a.columns = 1u << (d->k.log_n - 2);
    a.b = *b;
    scalars(d, a.sx, sx, op != OP_ADD_SCALAR, b);
    scalars(d, a.sy, sy, true, b);
    const dim3 grid = blocks(a.columns, b->n, polys);
    switch (op) {
    case OP_ADD:
        LAUNCH(pointwise<OP_ADD>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_SUB:
        LAUNCH(pointwise<OP_SUB>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_NEG:
        LAUNCH(pointwise<OP_NEG>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_MUL:
        LAUNCH(pointwise<OP_MUL>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_LINCOMB:
        LAUNCH(pointwise<OP_LINCOMB>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_SCALE:
        LAUNCH(pointwise<OP_SCALE>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_ADD_SCALAR:
        LAUNCH(pointwise<OP_ADD_SCALAR>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_COPY:
        LAUNCH(pointwise<OP_COPY>, grid, THREADS, 0, d->stream, a);
        break;
    case OP_ZERO:
        LAUNCH(pointwise<OP_ZERO>, grid, THREADS, 0, d->stream, a);
        break;
    }
}

/* ---- sums of products ---- */

enum { FEW_TERMS = 16, MANY_TERMS = 255 };

struct gterm {
    const uint32_t *a, *b;
    size_t a_step, b_step;
    int split, gap;
};

template <int CAP> struct sum {
    struct grows out;
    const gprime *prime;
    uint32_t g;
    int log_n, log_rep, accumulate, n;
    struct kbasis b;
    gterm t[CAP];
};

/* H polynomials a thread; with H = 2 both have the same a.  255 products of canonical words and one
 * more word are below 255 2^56 + 2^28 < 2^64. */
template <int CAP, int H>
__global__ void __launch_bounds__(THREADS) products(const sum<CAP> __grid_constant__ a) {
    const size_t n = (size_t)1 << a.log_n, p0 = blockIdx.z * H;
    const int r = blockIdx.y;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const size_t from = r * n + (a.g == 1 ? i : autom_place(i, a.g, a.log_n));
    const size_t short_n = n >> a.log_rep, with = r * short_n + (i >> a.log_rep);
    uint32_t *o = a.out.p + p0 * a.out.step + r * n + i;
    uint64_t s[H];
#pragma unroll
    for (int h = 0; h < H; h++) s[h] = a.accumulate ? o[h * a.out.step] : 0;
#pragma unroll 4
    for (int j = 0; j < a.n; j++) {
        const gterm &t = a.t[j];
        const uint64_t x = __ldg(t.a + p0 * t.a_step + from);
        const uint32_t *b = t.b + with + (r < t.split ? 0 : t.gap * short_n);
#pragma unroll
        for (int h = 0; h < H; h++) s[h] += x * __ldg(b + (p0 + h) * t.b_step);
    }
    const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
    for (int h = 0; h < H; h++) o[h * a.out.step] = reduce64(s[h], p);
}

template <int CAP>
static void launch_dot(struct device *d, struct kvec out, const struct kterm *terms, int n,
                       uint32_t g, int log_rep, int accumulate, const struct kbasis *b, int polys) {
    sum<CAP> a;
    bool pairs = polys % 2 == 0;
    a.out = rows_of(d, out);
    a.prime = d->constants;
    a.g = g, a.log_n = d->k.log_n, a.log_rep = log_rep, a.accumulate = accumulate, a.n = n;
    a.b = *b;
    for (int j = 0; j < n; j++) {
        a.t[j] = {terms[j].a,
                  terms[j].b,
                  terms[j].a_pitch << a.log_n,
                  terms[j].b_pitch << (a.log_n - log_rep),
                  terms[j].split,
                  terms[j].gap};
        if (terms[j].a_pitch) pairs = false;
    }
    const size_t columns = (size_t)1 << a.log_n;
    if (pairs)
        LAUNCH((products<CAP, 2>), blocks(columns, b->n, polys / 2), THREADS, 0, d->stream, a);
    else
        LAUNCH((products<CAP, 1>), blocks(columns, b->n, polys), THREADS, 0, d->stream, a);
}

void gpu_dot(struct device *d, struct kvec out, const struct kterm *terms, int n, uint32_t g,
             int log_rep, int accumulate, const struct kbasis *b, int polys) {
    auto launch = n <= FEW_TERMS ? launch_dot<FEW_TERMS> : launch_dot<MANY_TERMS>;
    launch(d, out, terms, n, g, log_rep, accumulate, b, polys);
}

/* ---- rows that every digit has of its own ---- */

struct shares {
    struct grows out, x;
    uint32_t columns;          /* of four words */
    int last[KERN_MAX_DIGITS]; /* row behind each digit */
};

__global__ void __launch_bounds__(THREADS) share_out(const shares __grid_constant__ a) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    const int r = blockIdx.y;
    if (i >= a.columns) return;
    int j = 0;
    while (r >= a.last[j]) j++;
    const size_t at = (size_t)r * a.columns + i;
    ((uint4 *)(a.out.p + j * a.out.step))[at] = __ldg((const uint4 *)a.x.p + at);
}

void gpu_own_rows(struct device *d, struct kvec out, const uint32_t *x, const struct kdigit *digit,
                  int digits) {
    shares a = {};
    a.out = rows_of(d, out), a.x.p = (uint32_t *)x;
    a.columns = 1u << (d->k.log_n - 2);
    for (int j = 0; j < digits; j++) a.last[j] = digit[j].first + digit[j].n;
    LAUNCH(share_out, blocks(a.columns, a.last[digits - 1], 1), THREADS, 0, d->stream, a);
}

/* ---- automorphisms and lifts ---- */

__global__ void __launch_bounds__(THREADS) permute(grows out, grows x, uint32_t g, int log_n) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    const size_t row = (size_t)blockIdx.y << log_n;
    if (i >> log_n) return;
    out.p[blockIdx.z * out.step + row + i] =
        __ldg(x.p + blockIdx.z * x.step + row + autom_place(i, g, log_n));
}

void gpu_autom(struct device *d, struct kvec out, struct kvec x, uint32_t g, int limbs, int polys) {
    LAUNCH(permute, blocks((size_t)1 << d->k.log_n, limbs, polys), THREADS, 0, d->stream,
           rows_of(d, out), rows_of(d, x), g, d->k.log_n);
}

__global__ void __launch_bounds__(THREADS)
    lift(grows out, const int64_t *c, uint32_t words, const gprime *prime,
         const struct kbasis __grid_constant__ b) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= words) return;
    const gprime p = prime[b.prime[blockIdx.y]];
    const int64_t v = c[(size_t)blockIdx.z * words + i];
    const uint32_t r = reduce64((uint64_t)(v < 0 ? -v : v), p);
    out.p[blockIdx.z * out.step + (size_t)blockIdx.y * words + i] = v < 0 && r ? p.q - r : r;
}

void gpu_lift(struct device *d, struct kvec out, const int64_t *c, size_t words,
              const struct kbasis *b, int polys) {
    const grows o = {out.p, out.pitch * words};
    LAUNCH(lift, blocks(words, b->n, polys), THREADS, 0, d->stream, o, c, (uint32_t)words,
           d->constants, *b);
}
