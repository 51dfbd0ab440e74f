/* Stands in for the CUDA back end in a program built without it: the linker takes this file from
 * the library only when no object of kernels/cuda defines these functions. */
#include "kernels/kernels.h"

static int refuse(int device) {
    return thor_fail(
        THOR_USAGE,
        "this program was built without CUDA, so there is no device cuda:%d: build it where "
        "nvcc is, or run on the CPU",
        device);
}

int kernels_open_cuda(struct kernels **out, int log_n, const uint32_t *q, int primes, int device) {
    (void)out, (void)log_n, (void)q, (void)primes;
    return refuse(device);
}

int kernels_cuda_devices(int *count) {
    *count = 0;
    return refuse(0);
}

int kernels_cuda_device(struct kern_device_info *out, int device) {
    (void)out;
    return refuse(device);
}
