/* CUDA itself under nvcc, its emulation on the CPU (tests/emu) under a C++ compiler.  Kernels and
 * host code of this folder use only what both have. */
#ifndef THOR_GPU_CUH
#define THOR_GPU_CUH

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
/* template kernels in parentheses: LAUNCH((f<8>), grid, block, 0, stream, args..) */
#define LAUNCH(kernel, grid, block, bytes, stream, ...)                                            \
    kernel<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__)
#define SHARED(type, name, n) __shared__ __align__(16) type name[n]
/* The high word of 64 bits, as a register of its own: a shift would draw later differences into
 * 64-bit arithmetic. */
#define HIGH_WORD(x) __double2hiint(__longlong_as_double((long long)(x)))
/* s += a b of 32-bit words; the compiler makes three products of it where it has widened a in front
 * of a loop. */
#define MAD_WIDE(s, a, b) asm("mad.wide.u32 %0, %1, %2, %0;" : "+l"(s) : "r"(a), "r"(b))
/* A value, in a register of that kind, of which the compiler knows nothing from here on: what
 * depends on it is not computed once in front of a loop. */
#define OPAQUE(x, kind) asm volatile("" : "+" kind(x))
#else
#include "cuemu.h"
#define OPAQUE(x, kind) ((void)(x))
#define HIGH_WORD(x) ((int32_t)((x) >> 32))
#define MAD_WIDE(s, a, b) ((s) += (uint64_t)(a) * (b))
#endif

#endif
