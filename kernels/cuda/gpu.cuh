/* CUDA itself under nvcc, its emulation on the CPU (tests/emu) under a C++ compiler.  Kernels and
 * host code of this folder use only what both have. */
#ifndef THOR_GPU_CUH
#define THOR_GPU_CUH

#include <stddef.h>
#include <stdint.h>

#ifdef __CUDACC__
#include <cuda_runtime.h>
/* template kernels in parentheses: LAUNCH((f<8>), grid, block, 0, stream, args..) */
#define LAUNCH(kernel, grid, block, bytes, stream, ...) \
    kernel<<<(grid), (block), (bytes), (stream)>>>(__VA_ARGS__)
#define SHARED(type, name, n) __shared__ __align__(16) type name[n]
#else
#include "cuemu.h"
#endif

#endif
