/* Kernels with a mistake each, and the same without it: what the emulation is there to find. */
#include "cuemu.h"

#include <stdlib.h>

#include "bugs.h"

enum { THREADS = 64, BLOCKS = 2 };

/* Every thread takes its neighbour's word; the barrier between is what `right` says. */
__global__ void neighbour(unsigned *out, int right) {
    SHARED(unsigned, s, THREADS);
    s[threadIdx.x] = threadIdx.x;
    if (right) __syncthreads();
    out[threadIdx.x] = s[(threadIdx.x + 33) % THREADS];
}

__global__ void warp_neighbour(unsigned *out, int right) {
    SHARED(unsigned, s, THREADS);
    s[threadIdx.x] = threadIdx.x;
    if (right) __syncwarp();
    out[threadIdx.x] = s[threadIdx.x ^ 1];
}

/* The word is overwritten while others may still read it. */
__global__ void reused(unsigned *out, int right) {
    SHARED(unsigned, s, 1);
    if (threadIdx.x == 0) s[0] = 1;
    __syncthreads();
    unsigned first = s[0];
    if (right) __syncthreads();
    if (threadIdx.x == 5) s[0] = 2;
    __syncthreads();
    out[threadIdx.x] = first + s[0];
}

/* Who writes last? */
__global__ void same_word(unsigned *out, int right) {
    SHARED(unsigned, s, THREADS);
    s[right ? threadIdx.x : 0] = threadIdx.x;
    __syncthreads();
    out[threadIdx.x] = s[right ? threadIdx.x : 0];
}

__global__ void same_word_of_blocks(unsigned *out, int right) {
    if (threadIdx.x == 0) out[right ? blockIdx.x : 0] = blockIdx.x + 1;
}

__global__ void half_a_barrier(unsigned *out, int right) {
    if (right || threadIdx.x < THREADS / 2) __syncthreads();
    out[threadIdx.x] = threadIdx.x;
}

__global__ void two_barriers(unsigned *out, int right) {
    if (right) __syncthreads();
    else if (threadIdx.x % 2) __syncthreads();
    else __syncthreads();
    out[threadIdx.x] = threadIdx.x;
}

__global__ void exits_before(unsigned *out, int right) {
    if (!right && threadIdx.x == 7) return;
    __syncthreads();
    out[threadIdx.x] = threadIdx.x;
}

__global__ void past_the_end(unsigned *out, int right) {
    out[threadIdx.x + (right ? 0 : 1)] = threadIdx.x;
}

__global__ void past_shared(unsigned *out, int right) {
    SHARED(unsigned, s, THREADS);
    s[threadIdx.x] = threadIdx.x;
    __syncthreads();
    const volatile unsigned *p = s;
    out[threadIdx.x] = p[threadIdx.x + (right || threadIdx.x + 1 < THREADS ? 0 : 1)];
}

__global__ void never_written(unsigned *out, int right) {
    SHARED(unsigned, s, THREADS);
    if (right || threadIdx.x != 9) s[threadIdx.x] = 1;
    __syncthreads();
    out[threadIdx.x] = s[threadIdx.x];
}

__global__ void misaligned(unsigned *out, int right) {
    const int2 x = __ldg((const int2 *)(out + (right ? 0 : 1)));
    if (threadIdx.x > 3) out[threadIdx.x] = (unsigned)(x.x | x.y);
}

template <int WORDS> __device__ void fill(unsigned *out) {
    SHARED(unsigned, s, WORDS);
    s[threadIdx.x] = threadIdx.x;
    out[threadIdx.x] = s[threadIdx.x];
}

__global__ void shared_too_large(unsigned *out, int right) {
    if (right) fill<(48 << 10) / 4>(out);
    else fill<(48 << 10) / 4 + 1>(out);
}

/* ---- the host's side ---- */

static void launch(int bug, unsigned *out, int right, cudaStream_t s) {
    static void (*const kernel[])(unsigned *, int) = {
        neighbour,      warp_neighbour, reused,       same_word,   same_word_of_blocks,
        half_a_barrier, two_barriers,   exits_before, past_the_end, past_shared,
        never_written,  misaligned,     shared_too_large};
    const unsigned threads = bug == BUG_TOO_MANY_THREADS && !right ? 2048 : THREADS;
    const unsigned blocks = bug == BUG_SAME_WORD_OF_BLOCKS ? BLOCKS : 1;
    const unsigned high = bug == BUG_GRID_TOO_HIGH && !right ? 65536 : 1;
    LAUNCH(kernel[bug < BUG_KERNELS ? bug : BUG_SAME_WORD], dim3(blocks, high), dim3(threads), 0, s,
           out, bug < BUG_KERNELS ? right : 1);
}

/* A buffer of the host is changed before the copy that reads it can have run. */
static void reuse_host(unsigned *out, int right, cudaStream_t s) {
    unsigned *host = nullptr;
    cudaMallocHost((void **)&host, THREADS * sizeof *host);
    for (unsigned i = 0; i < THREADS; i++) host[i] = i;
    cudaMemcpyAsync(out, host, THREADS * sizeof *host, cudaMemcpyHostToDevice, s);
    if (right) cudaStreamSynchronize(s);
    host[3] = 77;
    cudaStreamSynchronize(s);
    cudaFreeHost(host);
}

/* A call that waits, or one that allocates, inside a capture. */
static void capture(int bug, unsigned *out, int right, cudaStream_t s) {
    cudaGraph_t g = nullptr;
    cudaGraphExec_t x = nullptr;
    void *more = nullptr;
    const unsigned word = 5;
    cudaStreamBeginCapture(s, cudaStreamCaptureModeThreadLocal);
    LAUNCH(same_word, dim3(1), dim3(THREADS), 0, s, out, 1);
    if (!right && bug == BUG_WAIT_IN_CAPTURE) cudaStreamSynchronize(s);
    if (!right && bug == BUG_MALLOC_IN_CAPTURE) cudaMalloc(&more, 256);
    if (!right && bug == BUG_PAGEABLE_IN_CAPTURE)
        cudaMemcpyAsync(out, &word, sizeof word, cudaMemcpyHostToDevice, s);
    if (cudaStreamEndCapture(s, &g) != cudaSuccess) return;
    cudaGraphInstantiate(&x, g, 0);
    cudaGraphDestroy(g);
    cudaGraphLaunch(x, s);
    cudaStreamSynchronize(s);
    cudaGraphExecDestroy(x);
}

extern "C" unsigned long bug_run(int bug, int right, int order, unsigned out[64]) {
    cudaStream_t s = nullptr;
    unsigned *device = nullptr;
    emu_clear_errors();
    emu_set_order(order, 1);
    emu_set_lazy(bug == BUG_HOST_REUSED);
    const unsigned long refused = emu_refused_count();
    cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking);
    cudaMallocAsync((void **)&device, THREADS * sizeof *device, s);
    cudaMemsetAsync(device, 0, THREADS * sizeof *device, s);
    if (bug == BUG_HOST_REUSED) reuse_host(device, right, s);
    else if (bug == BUG_WAIT_IN_CAPTURE || bug == BUG_MALLOC_IN_CAPTURE ||
             bug == BUG_PAGEABLE_IN_CAPTURE)
        capture(bug, device, right, s);
    else if (bug == BUG_COPY_OVERRUNS)
        cudaMemcpyAsync(device, out, (THREADS + !right) * sizeof *out, cudaMemcpyHostToDevice, s);
    else launch(bug, device, right, s);
    if (bug == BUG_HOST_TOUCHES && !right) device[0] = 1;
    cudaMemcpyAsync(out, device, THREADS * sizeof *out, cudaMemcpyDeviceToHost, s);
    cudaStreamSynchronize(s);
    cudaFreeAsync(device, s);
    cudaStreamDestroy(s);
    const unsigned long found = emu_error_count() + emu_refused_count() - refused;
    emu_set_lazy(0);
    emu_set_order(0, 1);
    emu_clear_errors();
    return found;
}
