#include "bench/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

int device_parse(struct device_choice *d, const char *name) {
    struct kern_device_info info;
    *d = (struct device_choice){.kind = KERN_CPU};
    if (!name || strcmp(name, "cpu") == 0) return THOR_OK;
    d->kind = KERN_CUDA;
    if (strcmp(name, "cuda") == 0) return kernels_cuda_device(&info, 0);
    size_t digits = strncmp(name, "cuda:", 5) == 0 ? strspn(name + 5, "0123456789") : 0;
    if (digits < 1 || digits > 3 || name[5 + digits])
        return thor_fail(THOR_USAGE, "--device %.20s: no such device; name cpu, cuda or cuda:N",
                         name);
    d->number = atoi(name + 5);
    return kernels_cuda_device(&info, d->number);
}

void device_name(char name[16], const struct device_choice *d) {
    snprintf(name, 16, d->kind == KERN_CUDA ? "cuda:%d" : "cpu", d->number);
}

int device_open(struct ckks **out, const struct device_choice *d, const struct ckks_params *p,
                int threads) {
    return ckks_open(out, p, d->kind, KERN_TIER_BEST, d->kind == KERN_CUDA ? d->number : threads);
}

int device_room(const struct device_choice *d, size_t bytes) {
    int st = THOR_OK;
    struct kern_device_info info;
    double need = (double)bytes / 1048576, have = bench_available_mib();
    if (d->kind == KERN_CUDA) {
        TRY(kernels_cuda_device(&info, d->number));
        have = (double)info.free / 1048576;
        if (need > have)
            return thor_fail(
                THOR_MEMORY,
                "keys, matrices and ciphertexts need %.0f MiB, device cuda:%d (%.60s) has "
                "%.0f MiB free; use --compact, a larger card or --device cpu",
                need, d->number, info.name, have);
    } else if (have > 0 && need > have) {
        return thor_fail(THOR_MEMORY,
                         "keys and ciphertexts need %.0f MiB, this machine and its control groups "
                         "leave %.0f MiB free; end other programs or take a larger machine",
                         need, have);
    }
out:
    return st;
}

int device_fit(size_t *keys, struct ckks *cx, const struct device_choice *d, size_t others) {
    struct kernels *k = cx->k;
    if (d->kind == KERN_CUDA && !k->generates && !getenv("THOR_KEYS") &&
        device_room(d, *keys + others) == THOR_MEMORY) {
        k->generates = 1;
        *keys /= 2;
    }
    return device_room(d, *keys + others);
}

size_t device_table_bytes(const struct ckks_params *p) {
    return (size_t)p->primes * sizeof(uint32_t) << p->log_n;
}
