/* Linear maps: for every row and class of words a modular product of matrices, in register tiles.
 *
 * A block makes OUTS outputs of `COLS` words of one class; word x of a class is place
 * x mod 2^log_rep of its run in polynomial x >> log_rep.  STEP terms of both operands lie in shared
 * memory at a time.  A thread has 8 outputs of 4 words: 32 sums of 64 bits. */
#include "kernels/cuda/device.cuh"

enum { OUTS = 32, STEP = 16, MINE = 8, WIDE = 4, FOLD = KERN_MAX_SUM / STEP * STEP };

static_assert((UINT64_MAX - (KERN_MAX_PRIME - 1)) /
                      ((uint64_t)(KERN_MAX_PRIME - 1) * (KERN_MAX_PRIME - 1)) >=
                  KERN_MAX_SUM,
              "a sum of products and a residue stays below 2^64");

struct map {
    uint32_t *out;
    const uint32_t *a, *w;
    size_t out_step, out_pitch, a_step, a_pitch, w_step; /* words */
    const gprime *prime;
    uint32_t classes;
    int outputs, terms, polys, log_n, log_rep, accumulate;
    struct kbasis b;
};

/* Outputs vary fastest over the blocks: those that read the same words of a run at the same time,
 * and neighbouring classes, whose weights share sectors, soon after. */
struct place {
    int first_out;
    uint32_t klass, first_col;
};

__device__ __forceinline__ place place_of(const map &a, int cols) {
    const uint32_t groups = (uint32_t)(a.outputs + OUTS - 1) / OUTS, rest = blockIdx.x / groups;
    return {(int)(blockIdx.x % groups) * OUTS, rest % a.classes, rest / a.classes * (uint32_t)cols};
}

/* Where column x of the class lies, from the first word of a member and row. */
__device__ __forceinline__ size_t column(const map &a, uint32_t klass, uint32_t x, size_t pitch) {
    return (x >> a.log_rep) * pitch + ((size_t)klass << a.log_rep) + (x & ((1u << a.log_rep) - 1));
}

template <int COLS>
__global__ void __launch_bounds__(COLS, 512 / COLS) linear_map(const map __grid_constant__ a) {
    SHARED(uint32_t, as, STEP * COLS);
    SHARED(uint32_t, ws, STEP * OUTS);
    const int t = (int)threadIdx.x, lane = t % (COLS / WIDE) * WIDE,
              mine = t / (COLS / WIDE) * MINE;
    const place at = place_of(a, COLS);
    const uint32_t columns = (uint32_t)a.polys << a.log_rep, r = blockIdx.y;
    const size_t row = (size_t)r << a.log_n;
    const bool loads = at.first_col + (uint32_t)t < columns;
    const uint32_t *from =
        a.a + row + (loads ? column(a, at.klass, at.first_col + (uint32_t)t, a.a_pitch) : 0);
    const uint32_t *weights = a.w + (row >> a.log_rep) + at.klass;
    uint64_t s[MINE][WIDE];
#pragma unroll
    for (int j = 0; j < MINE; j++)
#pragma unroll
        for (int i = 0; i < WIDE; i++) {
            const uint32_t x = at.first_col + (uint32_t)(lane + i);
            const int o = at.first_out + mine + j;
            s[j][i] =
                a.accumulate && x < columns && o < a.outputs
                    ? a.out[(size_t)o * a.out_step + row + column(a, at.klass, x, a.out_pitch)]
                    : 0;
        }
    for (int k0 = 0; k0 < a.terms; k0 += STEP) {
#pragma unroll 4
        for (int k = 0; k < STEP; k++)
            as[k * COLS + t] =
                loads && k0 + k < a.terms ? __ldg(from + (size_t)(k0 + k) * a.a_step) : 0;
        for (int i = t; i < STEP * OUTS; i += COLS) {
            const int k = k0 + i % STEP, o = at.first_out + i / STEP;
            ws[i % STEP * OUTS + i / STEP] =
                k < a.terms && o < a.outputs
                    ? __ldg(weights + ((size_t)o * (size_t)a.terms + (size_t)k) * a.w_step)
                    : 0;
        }
        __syncthreads();
#pragma unroll 1 /* more does not fit the registers of an A100 */
        for (int k = 0; k < STEP; k++) {
            const uint4 x = *(const uint4 *)(as + k * COLS + lane);
            const uint32_t v[WIDE] = {x.x, x.y, x.z, x.w};
#pragma unroll
            for (int j = 0; j < MINE; j++) {
                const uint32_t y = ws[k * OUTS + mine + j];
#pragma unroll
                for (int i = 0; i < WIDE; i++) MAD_WIDE(s[j][i], v[i], y);
            }
        }
        __syncthreads();
        if ((k0 + STEP) % FOLD == 0) {
            const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
            for (int j = 0; j < MINE; j++)
#pragma unroll
                for (int i = 0; i < WIDE; i++) s[j][i] = reduce64(s[j][i], p);
        }
    }
    const gprime p = a.prime[a.b.prime[r]];
#pragma unroll
    for (int j = 0; j < MINE; j++)
#pragma unroll
        for (int i = 0; i < WIDE; i++) {
            const uint32_t x = at.first_col + (uint32_t)(lane + i);
            const int o = at.first_out + mine + j;
            if (x < columns && o < a.outputs)
                a.out[(size_t)o * a.out_step + row + column(a, at.klass, x, a.out_pitch)] =
                    reduce64(s[j][i], p);
        }
}

template <int COLS> static void launch(struct device *d, const map &a, int limbs) {
    const uint32_t columns = (uint32_t)a.polys << a.log_rep;
    const uint32_t groups = (uint32_t)(a.outputs + OUTS - 1) / OUTS;
    const size_t blocks = (size_t)groups * a.classes * ((columns + COLS - 1) / COLS);
    const dim3 grid(device_blocks(d, "linear", blocks), (unsigned)limbs, 1);
    if (!grid.x) return;
    LAUNCH((linear_map<COLS>), grid, COLS, 0, d->stream, a);
}

void gpu_linear(struct device *d, const struct klinear *l, const struct kbasis *b, int polys) {
    const int log_n = d->k.log_n;
    map a = {};
    a.out = l->out.p, a.a = l->a.p, a.w = l->w;
    a.out_step = l->out.step << log_n, a.out_pitch = l->out.pitch << log_n;
    a.a_step = l->a.step << log_n, a.a_pitch = l->a.pitch << log_n;
    a.w_step = l->w_pitch << (log_n - l->log_rep);
    a.prime = d->constants;
    a.classes = 1u << (log_n - l->log_rep);
    a.outputs = l->outputs, a.terms = l->terms, a.polys = polys;
    a.log_n = log_n, a.log_rep = l->log_rep, a.accumulate = l->accumulate;
    a.b = *b;
    const uint32_t columns = (uint32_t)polys << l->log_rep;
    if (columns <= 64)
        launch<64>(d, a, b->n);
    else if (columns <= 128)
        launch<128>(d, a, b->n);
    else
        launch<256>(d, a, b->n);
}
