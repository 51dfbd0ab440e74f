#include "cli/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "bench/bench.h"
#include "cli/cli.h"

static const double MIB = 1048576, GIB = 1073741824;

int device_parse(struct device_choice *d, const char *name) {
    int end = 0;
    struct kern_device_info info;
    *d = (struct device_choice){.kind = KERN_CPU};
    if (!name || strcmp(name, "cpu") == 0) return THOR_OK;
    d->kind = KERN_CUDA;
    if (strcmp(name, "cuda") == 0 || (sscanf(name, "cuda:%3d%n", &d->number, &end) == 1 && end && !name[end]))
        return kernels_cuda_device(&info, d->number);
    return thor_fail(THOR_USAGE, "--device %.20s: no such device; name cpu, cuda or cuda:N", name);
}

int device_open(struct ckks **out, const struct device_choice *d, const struct ckks_params *p, int threads) {
    return ckks_open(out, p, d->kind, KERN_TIER_BEST, d->kind == KERN_CUDA ? d->number : threads);
}

int device_room(const struct device_choice *d, size_t bytes) {
    int st = THOR_OK;
    struct kern_device_info info;
    double need = (double)bytes / MIB, have = bench_available_mib();
    if (d->kind == KERN_CUDA) {
        TRY(kernels_cuda_device(&info, d->number));
        have = (double)info.free / MIB;
        if (need > have)
            return thor_fail(THOR_MEMORY, "keys, matrices and ciphertexts need %.0f MiB, device cuda:%d (%.60s) has %.0f "
                             "MiB free; use --compact, a larger card or --device cpu", need, d->number, info.name, have);
    } else if (have > 0 && need > have) {
        return thor_fail(THOR_MEMORY, "keys and ciphertexts need %.0f MiB, this machine has %.0f MiB free; end other "
                         "programs or take a larger machine", need, have);
    }
out:
    return st;
}

size_t device_table_bytes(const struct ckks_params *p) {
    return (size_t)CKKS_PRIMES * sizeof(uint32_t) << p->log_n;
}

/* ---- the list ---- */

struct cpu_facts {
    char name[128], tiers[32]; /* the last tier is the one in use */
    int threads;
    double total, free; /* bytes */
};

static void cpu_name(char *name, size_t size) {
    char line[256];
    FILE *f = fopen("/proc/cpuinfo", "r");
    snprintf(name, size, "unknown");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f) fclose(f);
}

static int cpu_facts(struct cpu_facts *c) {
    int st = THOR_OK;
    const char *last = "";
    const uint32_t q = 97; // the smallest ring serves to ask which tiers this machine has
    cpu_name(c->name, sizeof c->name);
    for (int tier = KERN_TIER_REF; tier <= KERN_TIER_AVX512; tier++) {
        struct kernels *k;
        size_t used = strlen(c->tiers);
        TRY(kernels_open_cpu(&k, 4, &q, 1, (enum kern_tier)tier, 0));
        c->threads = k->threads;
        if (strcmp(last, k->tier) != 0)
            snprintf(c->tiers + used, sizeof c->tiers - used, "%s%s", used ? ", " : "", k->tier);
        last = k->tier;
        kernels_close(k);
    }
    c->total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    c->free = bench_available_mib() * MIB;
out:
    return st;
}

static json_t *device_json(const struct kern_device_info *i, int number) {
    char id[16];
    snprintf(id, sizeof id, "cuda:%d", number);
    return json_pack("{s:s, s:s, s:f, s:i, s:I, s:I, s:f, s:f, s:f}", "device", id, "name", i->name,
                     "compute_capability", i->major + i->minor / 10.0, "processors", i->processors, "bytes",
                     (json_int_t)i->total, "bytes_free", (json_int_t)i->free, "bandwidth_gb_s", i->bandwidth / 1e9,
                     "driver", i->driver / 1000 + i->driver % 1000 / 100.0, "runtime",
                     i->runtime / 1000 + i->runtime % 1000 / 100.0);
}

static void device_text(const struct kern_device_info *i, int number) {
    printf("cuda:%-4d %s\n          compute capability %d.%d, %d multiprocessors\n          %.1f GiB, %.1f GiB free",
           number, i->name, i->major, i->minor, i->processors, (double)i->total / GIB, (double)i->free / GIB);
    if (i->bandwidth > 0) printf(", %.0f GB/s", i->bandwidth / 1e9);
    printf("\n          driver for CUDA %d.%d, runtime %d.%d\n", i->driver / 1000, i->driver % 1000 / 10,
           i->runtime / 1000, i->runtime % 1000 / 10);
}

static int print_json(const struct cpu_facts *c, int count, const char *why) {
    int st = THOR_OK;
    struct kern_device_info info;
    json_t *cuda = json_array();
    for (int i = 0; i < count; i++) {
        TRY(kernels_cuda_device(&info, i));
        json_array_append_new(cuda, device_json(&info, i));
    }
    json_t *o = json_pack("{s:{s:s, s:i, s:s, s:I, s:I}, s:O, s:s}", "cpu", "name", c->name, "threads", c->threads,
                          "tiers", c->tiers, "bytes", (json_int_t)c->total, "bytes_free", (json_int_t)c->free, "cuda",
                          cuda, "cuda_note", why);
    char *text = o ? json_dumps(o, JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    st = text ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for a line of JSON");
    if (text) puts(text);
    free(text);
out:
    json_decref(cuda);
    return st;
}

static int print_text(const struct cpu_facts *c, int count, const char *why) {
    int st = THOR_OK;
    struct kern_device_info info;
    printf("cpu       %s\n          %d threads, tiers %s\n          %.1f GiB, %.1f GiB free\n", c->name, c->threads,
           c->tiers, c->total / GIB, c->free / GIB);
    for (int i = 0; i < count; i++) {
        TRY(kernels_cuda_device(&info, i));
        device_text(&info, i);
    }
    if (!count) printf("cuda      none: %s\n", why);
out:
    return st;
}

int device_list(int json) {
    int st = THOR_OK, count = 0;
    char why[400] = "";
    struct cpu_facts c = {0};
    TRY(cpu_facts(&c));
    if (kernels_cuda_devices(&count) != THOR_OK) snprintf(why, sizeof why, "%.390s", thor_error());
    TRY(json ? print_json(&c, count, why) : print_text(&c, count, why));
out:
    return st;
}
