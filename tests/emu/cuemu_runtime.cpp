/* The runtime of the emulation: errors, memory, streams, events, graphs. */
#include "cuemu_core.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- reports and settings ---- */

static std::mutex report_lock;
static unsigned long errors;
static char message[1024];
static cudaError_t last_error = cudaSuccess;
static unsigned order, order_seed = 1;
static bool lazy;

void set_error(cudaError_t e) { __atomic_store_n(&last_error, e, __ATOMIC_RELAXED); }

static cudaError_t fail(cudaError_t e) {
    set_error(e);
    return e;
}

void report(const char *fmt, ...) {
    const std::lock_guard<std::mutex> guard(report_lock);
    const block *b = the_block;
    int n;
    if (b && b->active) {
        n = snprintf(message, sizeof message,
                     "cuemu: kernel %s block (%u,%u,%u) thread (%u,%u,%u): ", b->l->name,
                     blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x, threadIdx.y, threadIdx.z);
    } else {
        n = snprintf(message, sizeof message, "cuemu: host: ");
    }
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(message + n, sizeof message - (size_t)n, fmt, ap);
    va_end(ap);
    if (errors++ < 10) fprintf(stderr, "%s\n", message);
    set_error(cudaErrorLaunchFailure);
}

unsigned order_of_threads(unsigned *seed) {
    *seed = order_seed;
    return order;
}

/* ---- memory ---- */

std::recursive_mutex area_lock;
static std::map<uintptr_t, area> areas;
static int accesses;
/* Of the device: 8 GiB, or EMU_MEMORY_MIB. */
static const char *const wished = getenv("EMU_MEMORY_MIB");
static size_t memory_limit = (wished ? strtoul(wished, NULL, 10) : 8192) << 20;
static size_t in_use;
typedef std::lock_guard<std::recursive_mutex> locked;

area *find_area(const void *p) {
    auto it = areas.upper_bound((uintptr_t)p);
    if (it == areas.begin()) return nullptr;
    area *a = &(--it)->second;
    return (const char *)p < a->p + a->n ? a : nullptr;
}

/* The host must not touch the device's memory: AddressSanitizer sees to it while no kernel or copy
 * runs. */
static void forbid(const area &a, bool on) {
    if (!EMU_ASAN || a.host || race_mode) return;
    if (on) ASAN_POISON_MEMORY_REGION(a.p, a.n);
    else ASAN_UNPOISON_MEMORY_REGION(a.p, a.n);
}

/* With much memory in use that takes longer than the kernels: then after one in 32. */
static bool forbidden = true;
static unsigned turn;

device_access::device_access() {
    const locked guard(area_lock);
    if (accesses++ || !forbidden) return;
    for (auto &a : areas) forbid(a.second, false);
    forbidden = false;
}

device_access::~device_access() {
    const locked guard(area_lock);
    if (--accesses || (in_use > (size_t)8 << 20 && ++turn % 32)) return;
    for (auto &a : areas) forbid(a.second, true);
    forbidden = true;
}

bool device_is_accessible(void) { return accesses > 0; }

static cudaError_t take(void **p, size_t n, bool host) {
    const locked guard(area_lock);
    const size_t bytes = EMU_ASAN ? n : (n + 255) & ~(size_t)255;
    if (!n || n > memory_limit - (host ? 0 : in_use) || posix_memalign(p, 256, bytes))
        return fail(cudaErrorMemoryAllocation);
    if (!host) in_use += n;
    memset(*p, 0xcb, n);
    const area a = {(char *)*p, n, host, race_mode && !host ? new_shadow(n) : nullptr};
    areas[(uintptr_t)*p] = a;
    forbid(a, forbidden);
    return cudaSuccess;
}

static cudaError_t give(void *p, bool host) {
    const locked guard(area_lock);
    if (!p) return cudaSuccess;
    auto it = areas.find((uintptr_t)p);
    if (it == areas.end() || it->second.host != host) {
        report("free of %p, which is no %s memory in use", p, host ? "pinned" : "device");
        return fail(cudaErrorInvalidValue);
    }
    forbid(it->second, false);
    if (!host) in_use -= it->second.n;
    free(it->second.cells);
    free(p);
    areas.erase(it);
    return cudaSuccess;
}

static bool on_device(const void *p, size_t n, bool wanted, const char *what) {
    const locked guard(area_lock);
    const area *a = find_area(p);
    const bool device = a && !a->host;
    if (device != wanted) {
        report("%s: %p is %sdevice memory", what, p, device ? "" : "not ");
        return false;
    }
    if (a && (const char *)p + n > a->p + a->n) {
        report("%s: %zu bytes at offset %zu overrun %zu bytes", what, n,
               (size_t)((const char *)p - a->p), a->n);
        return false;
    }
    return true;
}

/* ---- streams: queues of work; lazy ones run when a synchronisation needs them ---- */

typedef std::function<void()> work;
struct item {
    work f;
    cudaEvent_t wait;
};
struct emu_graph {
    std::vector<work> items;
};
struct emu_stream {
    std::deque<item> queue;
    emu_graph *capture = nullptr;
    bool invalid = false; /* the capture */
};
struct emu_event {
    cudaStream_t stream = nullptr;
    bool done = true;
    uint64_t record = 0;
    emu_graph *capture = nullptr;
};

static std::recursive_mutex stream_lock;
static std::vector<cudaStream_t> streams;
static unsigned long refused;

/* A call that may wait for the device or change its memory: none is allowed while a stream
 * captures, and the capture is lost. */
static cudaError_t unless_capturing(const char *what) {
    const locked guard(stream_lock);
    cudaError_t e = cudaSuccess;
    for (cudaStream_t s : streams) {
        if (!s->capture) continue;
        s->invalid = true;
        e = cudaErrorStreamCaptureUnsupported;
    }
    if (e == cudaSuccess) return e;
    refused++;
    fprintf(stderr, "cuemu: %s while a stream captures\n", what);
    return fail(e);
}
#define NOT_IN_CAPTURE(what)                              \
    do {                                                  \
        const cudaError_t refused_ = unless_capturing(what); \
        if (refused_ != cudaSuccess) return refused_;     \
    } while (0)

static void drain(cudaStream_t s, cudaEvent_t until);

static void step(cudaStream_t s) {
    const item i = std::move(s->queue.front());
    s->queue.pop_front();
    if (i.wait && !i.wait->done) drain(i.wait->stream, i.wait);
    if (i.f) i.f();
}

static void drain(cudaStream_t s, cudaEvent_t until) {
    while (!s->queue.empty() && !(until && until->done)) step(s);
}

static void drain_all() {
    const locked guard(stream_lock);
    uint32_t r = order_seed;
    for (;;) {
        std::vector<cudaStream_t> busy;
        for (cudaStream_t s : streams) {
            if (!s->queue.empty()) busy.push_back(s);
        }
        if (busy.empty()) return;
        r = r * 1103515245u + 12345u;
        step(busy[(r >> 16) % busy.size()]);
    }
}

static void push(cudaStream_t s, work f, cudaEvent_t wait = nullptr) {
    const locked guard(stream_lock);
    if (s->capture) {
        if (s->invalid) set_error(cudaErrorStreamCaptureInvalidated);
        else if (f) s->capture->items.push_back(f);
        return;
    }
    s->queue.push_back({f, wait});
    if (!lazy) drain(s, nullptr);
}

/* The host's own memory is read at the call, as CUDA does; pinned memory when the copy's turn
 * comes, and both when it is the turn of a captured one. */
static work copy_work(void *to, const void *from, size_t n, cudaMemcpyKind kind, bool captured) {
    std::shared_ptr<std::vector<char>> kept;
    {
        const locked guard(area_lock);
        const char *f = (const char *)from;
        if (kind == cudaMemcpyHostToDevice && !captured && !find_area(from))
            kept.reset(new std::vector<char>(f, f + n));
    }
    return [=] {
        const device_access access;
        memcpy(to, kept ? kept->data() : from, n);
        mark_written(to, n);
    };
}

static bool is_known(const void *p) {
    const locked guard(area_lock);
    return find_area(p) != nullptr;
}

static bool launchable(const launch &l, size_t bytes) {
    const dim3 &g = l.grid, &b = l.block;
    const uint64_t n = (uint64_t)b.x * b.y * b.z;
    return n && n <= 1024 && b.z <= 64 && g.x && g.x < 1u << 31 && g.y && g.z && g.y <= 65535 &&
           g.z <= 65535 && !bytes;
}

extern "C" {

void emu_launch_raw(const char *name, void (*run)(void *), void (*drop)(void *), void *arg,
                    size_t arg_bytes, dim3 grid, dim3 block, size_t bytes, cudaStream_t s) {
    const launch l = {name, run, arg, arg_bytes, grid, block};
    const std::shared_ptr<void> kept(arg, drop); /* a graph runs it more than once */
    if (!launchable(l, bytes) || arg_bytes > 32764) {
        report("launch of %s: grid %u,%u,%u block %u,%u,%u, %zu bytes of arguments", name, grid.x,
               grid.y, grid.z, block.x, block.y, block.z, arg_bytes);
        set_error(cudaErrorInvalidConfiguration);
        return;
    }
    push(s, [l, kept] { run_launch(l); });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind kind,
                            cudaStream_t s) {
    const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!n) return cudaSuccess;
    if (s->capture && !is_known(to_device ? from : to))
        NOT_IN_CAPTURE("a copy of pageable memory");
    if (!on_device(to, n, to_device, "copy to") || !on_device(from, n, from_device, "copy from")) {
        return fail(cudaErrorInvalidValue);
    }
    push(s, copy_work(to, from, n, kind, s->capture != nullptr));
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t s) {
    if (!on_device(to, n, true, "memset")) return fail(cudaErrorInvalidValue);
    push(s, [=] {
        const device_access access;
        memset(to, value, n);
        mark_written(to, n);
    });
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **p, size_t n) {
    NOT_IN_CAPTURE("cudaMalloc");
    return take(p, n, false);
}

cudaError_t cudaMallocAsync(void **p, size_t n, cudaStream_t s) {
    if (s->capture) NOT_IN_CAPTURE("cudaMallocAsync (memory of graphs is not emulated)");
    return take(p, n, false);
}

cudaError_t cudaMallocHost(void **p, size_t n) {
    NOT_IN_CAPTURE("cudaMallocHost");
    return take(p, n, true);
}

cudaError_t cudaFree(void *p) {
    NOT_IN_CAPTURE("cudaFree");
    drain_all();
    return give(p, false);
}

cudaError_t cudaFreeHost(void *p) {
    NOT_IN_CAPTURE("cudaFreeHost");
    drain_all();
    return give(p, true);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t s) {
    if (s->capture) NOT_IN_CAPTURE("cudaFreeAsync (memory of graphs is not emulated)");
    push(s, [=] { give(p, false); });
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    const locked guard(stream_lock);
    *s = new emu_stream;
    streams.push_back(*s);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s) {
    const locked guard(stream_lock);
    drain(s, nullptr);
    streams.erase(std::find(streams.begin(), streams.end(), s));
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    const locked guard(stream_lock);
    if (s->capture) NOT_IN_CAPTURE("cudaStreamSynchronize");
    drain(s, nullptr);
    return last_error;
}

cudaError_t cudaDeviceSynchronize(void) {
    NOT_IN_CAPTURE("cudaDeviceSynchronize");
    drain_all();
    return last_error;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned) {
    *e = new emu_event;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t e) {
    cudaEventSynchronize(e);
    delete e;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s) {
    e->capture = s->capture;
    if (e->capture) return cudaSuccess;
    e->stream = s;
    e->done = false;
    const uint64_t record = ++e->record;
    push(s, [=] { e->done = e->done || e->record == record; });
    return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned) {
    if (e->capture) s->capture = e->capture;
    else if (!e->done) push(s, work(), e);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e) {
    NOT_IN_CAPTURE("cudaEventSynchronize");
    const locked guard(stream_lock);
    if (!e->done) drain(e->stream, e);
    return last_error;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
    if (s->capture) return fail(cudaErrorIllegalState);
    s->capture = new emu_graph;
    s->invalid = false;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    const locked guard(stream_lock);
    cudaGraph_t made = s->capture;
    const bool invalid = s->invalid;
    *g = nullptr;
    if (!made) return fail(cudaErrorIllegalState);
    for (cudaStream_t other : streams) {
        if (other->capture == made) other->capture = nullptr, other->invalid = false;
    }
    if (!invalid) *g = made;
    else delete made;
    return invalid ? fail(cudaErrorStreamCaptureInvalidated) : cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *x, cudaGraph_t g, unsigned long long) {
    if (!g) return fail(cudaErrorInvalidValue);
    *x = new emu_graph(*g);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t x, cudaStream_t s) {
    if (!x) return fail(cudaErrorInvalidValue);
    if (s->capture) NOT_IN_CAPTURE("cudaGraphLaunch (graphs in graphs are not emulated)");
    for (const work &f : x->items) push(s, f);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g) {
    delete g;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t x) {
    delete x;
    return cudaSuccess;
}

/* ---- the device and errors ---- */

enum { RUNTIME = 13000 };
static int driver;
void emu_set_driver(int version) { driver = version; }

cudaError_t cudaGetDeviceCount(int *n) {
    *n = 0;
    if (driver && driver < RUNTIME / 1000 * 1000) return fail(cudaErrorInsufficientDriver);
    *n = 1;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device) {
    memset(p, 0, sizeof *p);
    strcpy(p->name, "emulated device");
    p->major = 9, p->multiProcessorCount = 1;
    return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int) {
    *value = what == cudaDevAttrMultiProcessorCount; /* one; no clock, no bus */
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = driver ? driver : RUNTIME;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = RUNTIME;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total) {
    const locked guard(area_lock);
    *total = memory_limit;
    *free = memory_limit - in_use;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    return device == 0 ? cudaSuccess : fail(cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int) {
    *pool = 1;
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) { return cudaSuccess; }

cudaError_t cudaGetLastError(void) {
    const cudaError_t e = last_error;
    set_error(cudaSuccess);
    return e;
}

const char *cudaGetErrorString(cudaError_t e) {
    return e == cudaSuccess                 ? "no error"
           : e == cudaErrorLaunchFailure    ? message
           : e == cudaErrorMemoryAllocation ? "out of memory"
                                            : "error";
}

int emu_mode(void) { return race_mode ? 4 : EMU_ASAN ? 2 : 1; }
unsigned long emu_error_count(void) { return errors; }
unsigned long emu_refused_count(void) { return refused; }

void emu_clear_errors(void) {
    errors = 0;
    set_error(cudaSuccess);
}

void emu_set_order(int o, unsigned seed) {
    order = (unsigned)o;
    order_seed = seed;
}

void emu_set_memory(size_t bytes) {
    const locked guard(area_lock);
    memory_limit = in_use + bytes;
}

void emu_set_lazy(int on) {
    drain_all();
    lazy = on;
}
}
