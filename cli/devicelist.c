/* thor info --devices. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/bench.h"
#include "cli/cli.h"
#include "cli/json.h"

static const double MIB = 1048576, GIB = 1073741824;

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
                     "compute_capability", i->major + i->minor / 10.0, "processors", i->processors,
                     "bytes", (json_int_t)i->total, "bytes_free", (json_int_t)i->free,
                     "bandwidth_gb_s", i->bandwidth / 1e9, "driver",
                     i->driver / 1000 + i->driver % 1000 / 100.0, "runtime",
                     i->runtime / 1000 + i->runtime % 1000 / 100.0);
}

static void device_text(const struct kern_device_info *i, int number) {
    printf("cuda:%-4d %s\n          compute capability %d.%d, %d multiprocessors\n          %.1f "
           "GiB, %.1f GiB free",
           number, i->name, i->major, i->minor, i->processors, (double)i->total / GIB,
           (double)i->free / GIB);
    if (i->bandwidth > 0) printf(", %.0f GB/s", i->bandwidth / 1e9);
    printf("\n          driver for CUDA %d.%d, runtime %d.%d\n", i->driver / 1000,
           i->driver % 1000 / 10, i->runtime / 1000, i->runtime % 1000 / 10);
}

static int print_json(const struct cpu_facts *c, int count, const char *why) {
    int st = THOR_OK;
    struct kern_device_info info;
    json_t *cuda = json_array();
    for (int i = 0; i < count; i++) {
        TRY(kernels_cuda_device(&info, i));
        json_array_append_new(cuda, device_json(&info, i));
    }
    json_t *o = json_pack("{s:{s:s, s:i, s:s, s:I, s:I}, s:O, s:s}", "cpu", "name", c->name,
                          "threads", c->threads, "tiers", c->tiers, "bytes", (json_int_t)c->total,
                          "bytes_free", (json_int_t)c->free, "cuda", cuda, "cuda_note", why);
    st = put_object(o, JSON_REAL_PRECISION(6));
out:
    json_decref(cuda);
    return st;
}

static int print_text(const struct cpu_facts *c, int count, const char *why) {
    int st = THOR_OK;
    struct kern_device_info info;
    printf("cpu       %s\n          %d threads, tiers %s\n          %.1f GiB, %.1f GiB free\n",
           c->name, c->threads, c->tiers, c->total / GIB, c->free / GIB);
    for (int i = 0; i < count; i++) {
        TRY(kernels_cuda_device(&info, i));
        device_text(&info, i);
    }
    if (!count) printf("cuda      none: %s\n", why);
out:
    return st;
}

int list_devices(int json) {
    int st = THOR_OK, count = 0;
    char why[400] = "";
    struct cpu_facts c = {0};
    TRY(cpu_facts(&c));
    if (kernels_cuda_devices(&count) != THOR_OK) snprintf(why, sizeof why, "%.390s", thor_error());
    TRY(json ? print_json(&c, count, why) : print_text(&c, count, why));
out:
    return st;
}
