/* Sums of products and of scalar multiples that read each operand once: a place a thread. */
#include "kernels/cuda/device.cuh"

enum { THREADS = 256 };

static dim3 blocks(struct device *d, int limbs, int polys) {
    const size_t n = (size_t)1 << d->k.log_n;
    return dim3((unsigned)((n + THREADS - 1) / THREADS), (unsigned)limbs, (unsigned)polys);
}

static struct grows rows_of(struct device *d, struct kvec v) {
    return {v.p, v.pitch << d->k.log_n};
}

/* ---- several sums over the same polynomials ---- */

enum { FEW_TERMS = 16, MANY_TERMS = 255 };

template <int CAP> struct many {
    uint32_t *out[KERN_MAX_OUTPUTS];
    size_t out_pitch, a_pitch; /* words */
    const gprime *prime;
    int log_n, log_rep, outputs, terms;
    unsigned accumulate;
    struct kbasis b;
    const uint32_t *a[CAP], *w[CAP * KERN_MAX_OUTPUTS]; /* w NULL: zeros */
};

/* O outputs of H polynomials a thread: a weight serves all H, a word of a all outputs */
template <int CAP, int O, int H>
__global__ void __launch_bounds__(THREADS) several(const many<CAP> __grid_constant__ a) {
    const size_t n = (size_t)1 << a.log_n, p0 = blockIdx.z * H;
    const int r = blockIdx.y;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    const size_t at = r * n + i, with = at >> a.log_rep;
    const size_t first = p0 * a.a_pitch + at;
    uint64_t s[O][H];
#pragma unroll
    for (int o = 0; o < O; o++)
#pragma unroll
        for (int h = 0; h < H; h++)
            s[o][h] = a.accumulate >> o & 1 ? a.out[o][(p0 + (size_t)h) * a.out_pitch + at] : 0;
#pragma unroll 2
    for (int k = 0; k < a.terms; k++) {
        uint32_t v[H];
#pragma unroll
        for (int h = 0; h < H; h++) v[h] = __ldg(a.a[k] + first + (size_t)h * a.a_pitch);
#pragma unroll
        for (int o = 0; o < O; o++) {
            const uint32_t *w = o < a.outputs ? a.w[o * a.terms + k] : NULL;
            if (!w) continue;
            const uint32_t y = __ldg(w + with);
#pragma unroll
            for (int h = 0; h < H; h++) MAD_WIDE(s[o][h], v[h], y);
        }
    }
    const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
    for (int o = 0; o < O; o++)
#pragma unroll
        for (int h = 0; h < H; h++)
            if (o < a.outputs) a.out[o][(p0 + (size_t)h) * a.out_pitch + at] = reduce64(s[o][h], p);
}

template <int CAP, int O>
static void launch_several(struct device *d, const many<CAP> &a, int limbs, int polys) {
    if (polys % 2 == 0)
        LAUNCH((several<CAP, O, 2>), blocks(d, limbs, polys / 2), THREADS, 0, d->stream, a);
    else
        LAUNCH((several<CAP, O, 1>), blocks(d, limbs, polys), THREADS, 0, d->stream, a);
}

template <int CAP>
static void launch_dots(struct device *d, const struct kdots *t, const struct kbasis *b,
                        int polys) {
    many<CAP> a = {};
    a.out_pitch = t->out_pitch << d->k.log_n;
    a.a_pitch = t->a_pitch << d->k.log_n;
    a.prime = d->constants;
    a.log_n = d->k.log_n, a.log_rep = t->log_rep, a.outputs = t->outputs, a.terms = t->terms;
    a.accumulate = t->accumulate;
    a.b = *b;
    for (int o = 0; o < t->outputs; o++) a.out[o] = t->out[o];
    for (int k = 0; k < t->terms; k++) a.a[k] = t->a[k];
    for (int i = 0; i < t->outputs * t->terms; i++) a.w[i] = t->b[i];
    if (t->outputs == 1)
        launch_several<CAP, 1>(d, a, b->n, polys);
    else if (t->outputs <= 4)
        launch_several<CAP, 4>(d, a, b->n, polys);
    else
        launch_several<CAP, KERN_MAX_OUTPUTS>(d, a, b->n, polys);
}

void gpu_dots(struct device *d, const struct kdots *t, const struct kbasis *b, int polys) {
    auto launch = t->terms <= FEW_TERMS ? launch_dots<FEW_TERMS> : launch_dots<MANY_TERMS>;
    launch(d, t, b, polys);
}

/* ---- products of ciphertexts ---- */

enum { FEW_PAIRS = 8, MANY_PAIRS = 127 };

struct gpair {
    const uint32_t *a, *b;
    size_t a_step, b_step;
};

template <int CAP> struct pairs {
    struct grows out;
    const gprime *prime;
    int log_n, n;
    struct kbasis b;
    gpair t[CAP];
};

/* At most 254 products of canonical words are below 2^64. */
template <int CAP>
__global__ void __launch_bounds__(THREADS) three_parts(const pairs<CAP> __grid_constant__ a) {
    const int r = blockIdx.y;
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    if (i >> a.log_n) return;
    const size_t at = ((size_t)r << a.log_n) + i;
    uint64_t s[3] = {};
#pragma unroll 2
    for (int j = 0; j < a.n; j++) {
        const gpair &t = a.t[j];
        const uint32_t x0 = __ldg(t.a + at), x1 = __ldg(t.a + t.a_step + at);
        uint32_t y0 = x0, y1 = x1;
        if (t.a != t.b) y0 = __ldg(t.b + at), y1 = __ldg(t.b + t.b_step + at);
        MAD_WIDE(s[0], x0, y0);
        MAD_WIDE(s[1], x0, y1);
        MAD_WIDE(s[1], x1, y0);
        MAD_WIDE(s[2], x1, y1);
    }
    const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
    for (int h = 0; h < 3; h++) a.out.p[h * a.out.step + at] = reduce64(s[h], p);
}

template <int CAP>
static void launch_tensor(struct device *d, struct kvec out, const struct kpair *t, int n,
                          const struct kbasis *b) {
    pairs<CAP> a = {};
    a.out = rows_of(d, out);
    a.prime = d->constants;
    a.log_n = d->k.log_n, a.n = n;
    a.b = *b;
    for (int j = 0; j < n; j++)
        a.t[j] = {t[j].a, t[j].b, t[j].a_pitch << a.log_n, t[j].b_pitch << a.log_n};
    LAUNCH(three_parts<CAP>, blocks(d, b->n, 1), THREADS, 0, d->stream, a);
}

void gpu_tensor(struct device *d, struct kvec out, const struct kpair *t, int n,
                const struct kbasis *b) {
    auto launch = n <= FEW_PAIRS ? launch_tensor<FEW_PAIRS> : launch_tensor<MANY_PAIRS>;
    launch(d, out, t, n, b);
}

/* ---- linear combinations: four columns a thread ---- */

template <int CAP> struct streams {
    struct grows out, x[CAP];
    const gprime *prime;
    uint32_t columns; /* of four words, in a row */
    int n;
    struct kbasis b;
    uint32_t s[KERN_MAX_LIMBS][CAP]; /* times R, by row */
};

template <int CAP>
__global__ void __launch_bounds__(THREADS) combination(const streams<CAP> __grid_constant__ a) {
    const uint32_t i = blockIdx.x * THREADS + threadIdx.x, r = blockIdx.y;
    if (i >= a.columns) return;
    const size_t at = (size_t)r * a.columns + i;
    const gprime p = a.prime[a.b.prime[r]];
    uint4 o = {};
#pragma unroll 2
    for (int j = 0; j < a.n; j++) {
        const uint4 x = ((const uint4 *)(a.x[j].p + blockIdx.z * a.x[j].step))[at];
        const uint32_t s = a.s[r][j];
        o.x = add_mod(o.x, mont_mul(x.x, s, p), p.q);
        o.y = add_mod(o.y, mont_mul(x.y, s, p), p.q);
        o.z = add_mod(o.z, mont_mul(x.z, s, p), p.q);
        o.w = add_mod(o.w, mont_mul(x.w, s, p), p.q);
    }
    ((uint4 *)(a.out.p + blockIdx.z * a.out.step))[at] = o;
}

template <int CAP>
static void launch_combine(struct device *d, struct kvec out, const struct kstream *x, int n,
                           const struct kbasis *b, int polys) {
    streams<CAP> a = {};
    a.out = rows_of(d, out);
    a.prime = d->constants;
    a.columns = 1u << (d->k.log_n - 2);
    a.n = n;
    a.b = *b;
    for (int j = 0; j < n; j++) {
        a.x[j] = rows_of(d, x[j].x);
        for (int r = 0; r < b->n; r++) {
            const struct kprime *p = &d->prime[b->prime[r]];
            a.s[r][j] = kern_mul_mod(x[j].s[r], p->r1, p->q);
        }
    }
    const dim3 grid((a.columns + THREADS - 1) / THREADS, (unsigned)b->n, (unsigned)polys);
    LAUNCH(combination<CAP>, grid, THREADS, 0, d->stream, a);
}

void gpu_combine(struct device *d, struct kvec out, const struct kstream *x, int n,
                 const struct kbasis *b, int polys) {
    auto launch = n <= 4 ? launch_combine<4> : launch_combine<KERN_MAX_STREAMS>;
    launch(d, out, x, n, b, polys);
}
