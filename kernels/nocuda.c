/* Stands in for the CUDA back end in a program built without it: the linker takes this file from
 * the library only when no object of kernels/cuda defines the function. */
#include "kernels/kernels.h"

int kernels_open_cuda(struct kernels **out, int log_n, const uint32_t *q, int primes, int device) {
    (void)out, (void)log_n, (void)q, (void)primes;
    return thor_fail(
        THOR_USAGE,
        "this program was built without CUDA, so there is no device cuda:%d: build it where "
        "nvcc is, or run on the CPU",
        device);
}
