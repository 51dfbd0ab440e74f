/* What the parts of the emulation share. */
#ifndef CUEMU_CORE_H
#define CUEMU_CORE_H

#include "cuemu.h"

#include <memory>
#include <mutex>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define EMU_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMU_ASAN 1
#endif
#endif
#ifdef EMU_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#else
#define EMU_ASAN 0
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#ifdef EMU_RACE
static const bool race_mode = true;
#else
static const bool race_mode = false;
#endif

/* ---- the block that this thread of the system runs ---- */

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
typedef void *context; /* the stack pointer; registers lie on the stack */
#else
#include <ucontext.h>
typedef ucontext_t context;
#endif

struct fiber {
    char *stack;
    context ctx;
    void *fake = nullptr; /* AddressSanitizer's */
};

enum thread_state { READY, AT_BARRIER, AT_WARP_BARRIER, DONE };

struct thread {
    fiber *f = nullptr;
    uint3 id = {0, 0, 0};
    uint32_t linear = 0, warp_phase = 0; /* warp barriers passed */
    thread_state state = READY;
    unsigned mask = 0; /* of the warp barrier where it waits */
    const char *site = nullptr;
};

struct shadow; /* of four bytes, in race mode */

struct shared_array {
    const void *key;
    const char *name;
    char *p;
    size_t n;
    shadow *cells;
};

struct launch {
    const char *name;
    void (*run)(void *);
    void *arg;
    size_t arg_bytes;
    dim3 grid, block;
};

struct block {
    const launch *l;
    std::vector<thread> threads;
    std::vector<uint32_t> order; /* in which they start and run */
    std::vector<std::unique_ptr<fiber>> fibers;
    std::vector<fiber *> idle;
    std::vector<shared_array> arrays;
    fiber main, *running;
    thread *current;
    uint64_t linear;
    uint32_t n, started, at, live, arrived, phase; /* phase: barriers passed */
    const char *site;                              /* of the barrier where `arrived` threads wait */
    bool failed, active;
    void *main_stack;
    size_t main_bytes;
};

extern __thread block *the_block;
extern const size_t stack_bytes;
void run_launch(const launch &l);

/* ---- memory of the device, and pinned memory of the host ---- */

struct area {
    char *p;
    size_t n;
    bool host;
    shadow *cells;
};

extern std::recursive_mutex area_lock;
area *find_area(const void *p);
shadow *new_shadow(size_t bytes);
/* Kernels and copies may touch the device's memory while one of these lives. */
struct device_access {
    device_access();
    ~device_access();
};
bool device_is_accessible(void);
void mark_written(const void *p, size_t n); /* race mode */

/* ---- reports ---- */

void report(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void set_error(cudaError_t e);
unsigned order_of_threads(unsigned *seed);
uint32_t launch_number(void);

#endif
