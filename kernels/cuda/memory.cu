/* Memory of the device: one stretch set aside by reserve and cut up by the host, and the
 * stream-ordered pool of CUDA beyond it.  All work is in one stream, so what is released can be
 * handed out again at once: whoever gets it writes it behind the last reader. */
#include <string.h>

#include "kernels/cuda/device.cuh"

enum home { ARENA, POOL, WORKSPACE };
static size_t whole(size_t bytes) {
    return (bytes + 255) / 256 * 256;
} /* CUDA aligns so, too */
static size_t row_bytes(const struct kernels *k) {
    return sizeof(uint32_t) << k->log_n;
}

static int no_memory(struct device *d, cudaError_t e, size_t bytes) {
    size_t free = 0, total = 0;
    cudaGetLastError();
    cudaMemGetInfo(&free, &total);
    return thor_fail(e == cudaErrorMemoryAllocation ? THOR_MEMORY : THOR_INTERNAL,
                     "CUDA device %d gives no memory: %zu MiB more are needed, %zu MiB are in use, "
                     "%zu of %zu MiB are free (%s); --compact needs less",
                     d->number, bytes >> 20, d->k.counts.bytes_now >> 20, free >> 20, total >> 20,
                     cudaGetErrorString(e));
}

/* ---- extents of the arena and of the workspace, memory of the pool ---- */

static void from_stretch(struct device *d, struct span *v, enum home home, struct extents *e,
                         char *base) {
    if (!base) return;
    pthread_mutex_lock(&d->lock);
    v->at = extents_take(e, whole(v->bytes));
    pthread_mutex_unlock(&d->lock);
    v->home = home;
    if (v->at != EXTENTS_FULL) v->p = (uint32_t *)(base + v->at);
}

int memory_take_pool(struct device *d, struct span *v) {
    cudaError_t e = cudaSetDevice(d->number);
    v->home = POOL;
    if (e == cudaSuccess) e = cudaMallocAsync((void **)&v->p, v->bytes, d->stream);
    return e == cudaSuccess ? THOR_OK : no_memory(d, e, v->bytes);
}

static int beyond_workspace(struct device *d, struct span *v) {
    from_stretch(d, v, ARENA, &d->arena, d->arena_base);
    return v->p ? THOR_OK : memory_take_pool(d, v);
}

int memory_take(struct device *d, struct span *v) {
    int st = THOR_OK;
    v->p = NULL;
    if (d->mode == CAPTURING) {
        from_stretch(d, v, WORKSPACE, &d->work, d->work_base);
        if (!v->p) record_break(d);
    }
    if (!v->p) st = beyond_workspace(d, v);
    if (st == THOR_MEMORY && record_forget_workspace(d)) st = beyond_workspace(d, v);
    if (!st && v->home != WORKSPACE) count_alloc(&d->k, v->bytes);
    return st;
}

void memory_give_pool(struct device *d, const struct span *v) {
    record_break(d);
    device_note(d, "release", cudaSetDevice(d->number));
    device_note(d, "release", cudaFreeAsync(v->p, d->stream));
}

void memory_give(struct device *d, const struct span *v) {
    pthread_mutex_lock(&d->lock);
    if (v->home == ARENA) extents_give(&d->arena, v->at, whole(v->bytes));
    if (v->home == WORKSPACE)
        extents_give(&d->work, v->at, whole(v->bytes));
    else
        count_release(&d->k, v->bytes);
    pthread_mutex_unlock(&d->lock);
    if (v->home == POOL) memory_give_pool(d, v);
}

/* ---- rows of the caller: found by their address, and placed in the shadow of a workspace ---- */

static int put_span(struct device *d, struct span *v) {
    pthread_mutex_lock(&d->lock);
    v->pass = d->mode == MEASURING ? d->pass : 0;
    if (v->pass) v->shadow = extents_take(&d->shadow, whole(v->bytes));
    const int ok = spans_put(&d->spans, v);
    if (ok && (v->pass || v->home == WORKSPACE)) d->live++;
    pthread_mutex_unlock(&d->lock);
    return ok;
}

static int take_span(struct device *d, uint32_t *p, struct span *v) {
    pthread_mutex_lock(&d->lock);
    const int found = spans_take(&d->spans, p, v);
    const int measured = found && d->mode == MEASURING && v->pass == d->pass;
    if (measured) extents_give(&d->shadow, v->shadow, whole(v->bytes));
    if (measured || (found && v->home == WORKSPACE)) d->live--;
    pthread_mutex_unlock(&d->lock);
    return found;
}

static int cuda_alloc(struct kernels *k, uint32_t **p, size_t rows) {
    struct device *d = device_of(k);
    struct span v = {};
    v.bytes = rows ? rows * row_bytes(k) : 1;
    const int st = memory_take(d, &v);
    if (st) return st;
    if (!put_span(d, &v)) {
        memory_give(d, &v);
        return thor_fail(THOR_MEMORY, "no memory to keep account of that of the device");
    }
    *p = v.p;
    return THOR_OK;
}

static void cuda_release(struct kernels *k, uint32_t *p) {
    struct span v;
    if (p && take_span(device_of(k), p, &v)) memory_give(device_of(k), &v);
}

/* What the driver has, and what the pool of CUDA keeps of memory that was given back to it. */
static cudaError_t memory_info(int number, size_t *free, size_t *total) {
    cudaMemPool_t pool;
    cudaError_t e = cudaDeviceGetDefaultMemPool(&pool, number);
    if (e == cudaSuccess) e = cudaMemPoolTrimTo(pool, 0);
    return e == cudaSuccess ? cudaMemGetInfo(free, total) : e;
}

static int cuda_reserve(struct kernels *k, size_t bytes) {
    struct device *d = device_of(k);
    size_t free = 0, total = 0;
    const size_t want = whole(bytes);
    if (d->arena_base || !want)
        return thor_fail(THOR_INTERNAL, "memory of CUDA device %d is reserved once", d->number);
    cudaError_t e = cudaSetDevice(d->number);
    if (e == cudaSuccess) e = memory_info(d->number, &free, &total);
    if (e == cudaSuccess && want <= free)
        e = cudaMallocAsync((void **)&d->arena_base, want, d->stream);
    else if (e == cudaSuccess)
        e = cudaErrorMemoryAllocation;
    if (e == cudaSuccess) {
        extents_open(&d->arena, want);
        return THOR_OK;
    }
    cudaGetLastError();
    d->arena_base = NULL;
    return thor_fail(e == cudaErrorMemoryAllocation ? THOR_MEMORY : THOR_INTERNAL,
                     "keys, weights and ciphertexts need %zu MiB, CUDA device %d has %zu of %zu "
                     "MiB free (%s): --compact needs less",
                     want >> 20, d->number, free >> 20, total >> 20, cudaGetErrorString(e));
}

/* ---- to and from the host: up through pinned slots in turn, so that no copy waits ---- */

cudaError_t memory_open(struct device *d) {
    struct ring *r = &d->ring;
    r->slot = (size_t)64 << d->k.log_n; /* eight polynomials of 64-bit words */
    if (r->slot > (size_t)4 << 20) r->slot = (size_t)4 << 20;
    cudaError_t e = cudaMallocHost((void **)&r->host, RING_SLOTS * r->slot);
    if (e == cudaSuccess) e = cudaMallocAsync((void **)&r->at, r->slot, d->stream);
    for (int i = 0; i < 2 && e == cudaSuccess; i++)
        e = cudaMallocAsync((void **)&r->made[i], r->slot, d->stream);
    for (int i = 0; i < RING_SLOTS && e == cudaSuccess; i++)
        e = cudaEventCreateWithFlags(&r->sent[i], cudaEventDisableTiming);
    return e;
}

static void send(struct device *d, void *to, const void *host, size_t bytes) {
    struct ring *r = &d->ring;
    record_break(d);
    pthread_mutex_lock(&r->lock);
    const int i = r->next;
    char *slot = r->host + (size_t)i * r->slot;
    r->next = (i + 1) % RING_SLOTS;
    device_note(d, "upload", cudaEventSynchronize(r->sent[i]));
    memcpy(slot, host, bytes);
    device_note(d, "upload", cudaMemcpyAsync(to, slot, bytes, cudaMemcpyHostToDevice, d->stream));
    device_note(d, "upload", cudaEventRecord(r->sent[i], d->stream));
    pthread_mutex_unlock(&r->lock);
}

void *memory_send(struct device *d, const void *host, size_t bytes) {
    send(d, d->ring.at, host, bytes);
    return d->ring.at;
}

void memory_upload(struct device *d, void *to, const void *host, size_t bytes) {
    for (size_t done = 0; done < bytes; done += d->ring.slot) {
        const size_t now = bytes - done < d->ring.slot ? bytes - done : d->ring.slot;
        send(d, (char *)to + done, (const char *)host + done, now);
    }
}

void memory_close(struct device *d) {
    for (size_t i = 0; i < d->spans.cap; i++)
        if (d->spans.cell[i].p && d->spans.cell[i].home == POOL)
            cudaFreeAsync(d->spans.cell[i].p, d->stream);
    if (d->arena_base) cudaFreeAsync(d->arena_base, d->stream);
    if (d->ring.at) cudaFreeAsync(d->ring.at, d->stream);
    for (int i = 0; i < 2; i++)
        if (d->ring.made[i]) cudaFreeAsync(d->ring.made[i], d->stream);
    if (d->ring.host) cudaFreeHost(d->ring.host);
    for (int i = 0; i < RING_SLOTS; i++)
        if (d->ring.sent[i]) cudaEventDestroy(d->ring.sent[i]);
    extents_close(&d->arena);
    spans_close(&d->spans);
}

static void cuda_upload(struct kernels *k, uint32_t *dst, const uint32_t *host, size_t words) {
    count_bytes(k, words * sizeof *dst);
    struct device *d = device_enter(k, "upload");
    memory_upload(d, dst, host, words * sizeof *dst);
    device_leave(d, "upload");
}

static void cuda_download(struct kernels *k, uint32_t *host, const uint32_t *src, size_t words) {
    count_bytes(k, words * sizeof *host);
    struct device *d = device_enter(k, "download");
    record_break(d);
    device_note(
        d, "download",
        cudaMemcpyAsync(host, src, words * sizeof *host, cudaMemcpyDeviceToHost, d->stream));
    device_note(d, "download", cudaStreamSynchronize(d->stream));
    device_leave(d, "download");
}

void memory_entries(struct kernels *k) {
    k->alloc = cuda_alloc, k->release = cuda_release, k->reserve = cuda_reserve;
    k->upload = cuda_upload, k->download = cuda_download;
}

/* ---- what there is ---- */

static int old_driver(int has) {
    int needs = 0;
    cudaRuntimeGetVersion(&needs);
    cudaGetLastError();
    return thor_fail(THOR_USAGE,
                     "no CUDA device can be used: NVIDIA's driver is for CUDA %d.%d, this program "
                     "needs one for CUDA %d.%d: install a newer driver or run on the CPU",
                     has / 1000, has % 1000 / 10, needs / 1000, needs % 1000 / 10);
}

extern "C" int kernels_cuda_devices(int *count) {
    *count = 0;
    cudaError_t e = cudaGetDeviceCount(count);
    cudaGetLastError();
    if (e == cudaSuccess && *count > 0) return THOR_OK;
    *count = 0;
    int driver = 0;
    if (e == cudaErrorInsufficientDriver && !cudaDriverGetVersion(&driver) && driver)
        return old_driver(driver);
    return thor_fail(THOR_USAGE,
                     "no CUDA device can be used: %s; install NVIDIA's driver or run on the CPU",
                     e == cudaSuccess ? "there is none" : cudaGetErrorString(e));
}

int device_find(int number) {
    int have = 0;
    if (kernels_cuda_devices(&have)) return THOR_USAGE;
    if (number >= 0 && number < have) return THOR_OK;
    return thor_fail(THOR_USAGE, "there is no CUDA device %d: this machine has %d, counted from 0",
                     number, have);
}

/* Whole numbers a cycle of a multiprocessor, half of its lanes on most cards since 8.0; and what a
 * word of kernels/uniform.h takes, by make cuda-sass: 62 of ChaCha20, 13 of the multiplications. */
enum { LANES = 64, UNIFORM_INSTRUCTIONS = 75 };

extern "C" int kernels_cuda_device(struct kern_device_info *out, int device) {
    struct cudaDeviceProp p;
    int clock = 0, width = 0, cycles = 0;
    if (device_find(device)) return THOR_USAGE;
    memset(out, 0, sizeof *out);
    cudaError_t e = cudaGetDeviceProperties(&p, device);
    if (e == cudaSuccess) e = cudaSetDevice(device);
    if (e == cudaSuccess) e = memory_info(device, &out->free, &out->total);
    if (e == cudaSuccess) e = cudaDriverGetVersion(&out->driver);
    if (e == cudaSuccess) e = cudaRuntimeGetVersion(&out->runtime);
    if (e != cudaSuccess) {
        cudaGetLastError();
        return thor_fail(THOR_USAGE, "CUDA device %d cannot be used: %s", device,
                         cudaGetErrorString(e));
    }
    if (cudaDeviceGetAttribute(&clock, cudaDevAttrMemoryClockRate, device) == cudaSuccess &&
        cudaDeviceGetAttribute(&width, cudaDevAttrGlobalMemoryBusWidth, device) == cudaSuccess)
        out->bandwidth = 2e3 * clock * width / 8; /* kHz, two words a cycle */
    if (cudaDeviceGetAttribute(&cycles, cudaDevAttrClockRate, device) == cudaSuccess)
        out->uniform = 1e3 * cycles * p.multiProcessorCount * LANES / UNIFORM_INSTRUCTIONS;
    cudaGetLastError();
    memcpy(out->name, p.name, sizeof out->name - 1);
    out->major = p.major, out->minor = p.minor, out->processors = p.multiProcessorCount;
    return THOR_OK;
}
