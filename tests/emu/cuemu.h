/* CUDA on the CPU, for tests: kernels are compiled as C++ and every thread of a block is a fiber.
 *
 * A source sees the CUDA spellings that kernels/cuda uses; LAUNCH and SHARED stand for <<< >>> and
 * __shared__ (a raw __shared__ does not compile: through SHARED, bounds, initialisation and races
 * can be checked).  Streams run at once, or (emu_set_lazy) only when a synchronisation needs them.
 * A capture records launches with their arguments and copies with their addresses (what they point
 * to is read when the graph runs); calls that would wait, allocate or free make it invalid.
 * Reported, with kernel, block and thread: barriers that only a part of a block reaches, launches
 * that a device refuses, copies that overrun or go the wrong way, and under AddressSanitizer
 * accesses out of bounds and device memory touched by the host.  In race mode (EMU_RACE, see
 * cuemu_race.cpp) also missing barriers, races between blocks and reads of memory that nobody
 * wrote.  Not covered: bank conflicts, registers, inline PTX, tensor cores, clusters, waiting for
 * other blocks. */
#ifndef CUEMU_H
#define CUEMU_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <tuple>

/* ---- language ---- */

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__ &/* const type __grid_constant__ name: one copy for all threads */
#define __align__(n) __attribute__((aligned(n)))
#define __shared__ use_the_SHARED_macro

#define SHARED(type, name, n)                                                                      \
    static const char name##_site_ = 0;                                                            \
    type(&name)[n] =                                                                               \
        *reinterpret_cast<type(*)[n]>(emu_shared(&name##_site_, #name, sizeof(type) * (n)))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {
    }
};
struct __align__(16) uint4 {
    unsigned x, y, z, w;
};
struct __align__(8) int2 {
    int x, y;
};
struct __align__(16) int4 {
    int x, y, z, w;
};

extern __thread uint3 threadIdx, blockIdx;
extern __thread dim3 blockDim, gridDim;

/* ---- runtime ---- */

extern "C" {
typedef enum {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInsufficientDriver = 35,
    cudaErrorInvalidDevice = 101,
    cudaErrorIllegalState = 401,
    cudaErrorNotReady = 600,
    cudaErrorLaunchFailure = 719,
    cudaErrorStreamCaptureUnsupported = 900,
    cudaErrorStreamCaptureInvalidated = 901
} cudaError_t;
typedef enum {
    cudaMemcpyHostToHost,
    cudaMemcpyHostToDevice,
    cudaMemcpyDeviceToHost,
    cudaMemcpyDeviceToDevice
} cudaMemcpyKind;
enum { cudaStreamDefault, cudaStreamNonBlocking };
enum { cudaEventDefault = 0, cudaEventDisableTiming = 2 };
typedef enum {
    cudaStreamCaptureModeGlobal,
    cudaStreamCaptureModeThreadLocal,
    cudaStreamCaptureModeRelaxed
} cudaStreamCaptureMode;
typedef enum { cudaMemPoolAttrReleaseThreshold = 4 } cudaMemPoolAttr;
typedef int cudaMemPool_t;
typedef struct emu_stream *cudaStream_t;
typedef struct emu_event *cudaEvent_t;
typedef struct emu_graph *cudaGraph_t, *cudaGraphExec_t;

struct cudaDeviceProp {
    char name[256];
    int major, minor, multiProcessorCount;
};
typedef enum {
    cudaDevAttrClockRate = 13,
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMemoryClockRate = 36,
    cudaDevAttrGlobalMemoryBusWidth = 37
} cudaDeviceAttr;

cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaRuntimeGetVersion(int *version);
cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device);
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, cudaMemPoolAttr attribute, void *value);
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep);
cudaError_t cudaMalloc(void **p, size_t n);
cudaError_t cudaFree(void *p);
cudaError_t cudaMallocAsync(void **p, size_t n, cudaStream_t s);
cudaError_t cudaFreeAsync(void *p, cudaStream_t s);
cudaError_t cudaMallocHost(void **p, size_t n);
cudaError_t cudaFreeHost(void *p);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s);
cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t s);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t e);
cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s);
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned flags);
cudaError_t cudaEventSynchronize(cudaEvent_t e);
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s);
cudaError_t cudaGraphDestroy(cudaGraph_t g);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x);
cudaError_t cudaGetLastError(void);
const char *cudaGetErrorString(cudaError_t e);

/* ---- control of the emulation ---- */

int emu_mode(void); /* how it was built: 1 plain, 2 with AddressSanitizer, 4 for races */
unsigned long emu_error_count(void);
void emu_clear_errors(void);
/* of threads and blocks: 0 forward, 1 reverse, 2 random */
void emu_set_order(int order, unsigned seed);
void emu_set_lazy(int on);
void emu_set_driver(int version);      /* 1000 major + 10 minor; 0: that of the runtime */
void emu_set_memory(size_t bytes);     /* so much is free from now on */
unsigned long emu_refused_count(void); /* calls that no capture can hold, made during one */

/* ---- behind the macros ---- */

void emu_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void emu_barrier(const char *site);
void emu_warp_barrier(const char *site, unsigned mask);
void *emu_shared(const void *key, const char *name, size_t n);
void emu_launch_raw(const char *name, void (*run)(void *), void (*drop)(void *), void *arg,
                    size_t arg_bytes, dim3 grid, dim3 block, size_t bytes, cudaStream_t s);
}

/* Arguments are converted to the types of the parameters and copied at the launch, as CUDA does. */
template <class... P> struct emu_call {
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> args;
    static void run(void *c) {
        std::apply(((emu_call *)c)->kernel, ((emu_call *)c)->args);
    }
    static void drop(void *c) {
        delete (emu_call *)c;
    }
};
template <class... P, class... A>
static inline void emu_launch(const char *name, void (*kernel)(P...), dim3 grid, dim3 block,
                              size_t bytes, cudaStream_t s, A &&...args) {
    typedef emu_call<P...> call;
    call *c = new call{kernel, {static_cast<std::decay_t<P>>(args)...}};
    emu_launch_raw(name, call::run, call::drop, c, sizeof *c, grid, block, bytes, s);
}
#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                            \
    emu_launch(#kernel, kernel, grid, block, bytes, stream, ##__VA_ARGS__)

/* ---- barriers: the place in the source is the identity of one ---- */

#define EMU_TEXT2(x) #x
#define EMU_TEXT(x) EMU_TEXT2(x)
#define EMU_HERE __FILE__ ":" EMU_TEXT(__LINE__) "#" EMU_TEXT(__COUNTER__)
#define __syncthreads() emu_barrier(EMU_HERE)
#define __syncwarp() emu_warp_barrier(EMU_HERE, 0xffffffffu)

/* ---- intrinsics ---- */

static inline unsigned umin(unsigned a, unsigned b) {
    return a < b ? a : b;
}
static inline int __mulhi(int a, int b) {
    return (int)(((int64_t)a * b) >> 32);
}
static inline double __dmul_rn(double a, double b) {
    return a * b;
}
static inline double __dadd_rn(double a, double b) {
    return a + b;
}
static inline double __dsub_rn(double a, double b) {
    return a - b;
}
static inline long long __double2ll_rn(double a) {
    return llrint(a);
}
static inline unsigned __brev(unsigned x) {
    unsigned r = 0;
    for (int i = 0; i < 32; i++) r = r << 1 | (x >> i & 1);
    return r;
}
/* Vectors lie at multiples of their size, or the device traps. */
template <class T> static __forceinline__ void emu_aligned(const T *p) {
    if ((uintptr_t)p % sizeof(T)) emu_fail("misaligned access of %zu bytes at %p", sizeof(T), p);
}
template <class T> static __forceinline__ T __ldg(const T *p) {
    emu_aligned(p);
    return *p;
}
template <class T> static __forceinline__ T __ldcs(const T *p) {
    emu_aligned(p);
    return *p;
}
template <class T> static __forceinline__ T __ldcg(const T *p) {
    emu_aligned(p);
    return *p;
}
template <class T> static __forceinline__ void __stcg(T *p, T v) {
    emu_aligned(p);
    *p = v;
}

#endif
