/* A block of threads as fibers.  A fiber runs thread after thread until one waits at a barrier;
 * then another fiber goes on with the next thread, so a kernel without barriers needs a single one.
 */
#include "cuemu_core.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;
__thread block *the_block;
const size_t stack_bytes = EMU_ASAN ? 256 << 10 : 64 << 10;

static uint32_t launches;

uint32_t launch_number(void) { return launches; }

static const size_t shared_limit = 48 << 10, page = 4096; /* SHARED is static: no more */

/* ---- switching stacks ---- */

#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
extern "C" void emu_switch(void **save, void *to);
asm(".text\n.globl emu_switch\n.type emu_switch,@function\nemu_switch:\n"
    "pushq %rbp\npushq %rbx\npushq %r12\npushq %r13\npushq %r14\npushq %r15\n"
    "movq %rsp,(%rdi)\nmovq %rsi,%rsp\n"
    "popq %r15\npopq %r14\npopq %r13\npopq %r12\npopq %rbx\npopq %rbp\nret\n"
    ".size emu_switch,.-emu_switch\n");

static void make_context(context *c, char *stack, void (*entry)()) {
    uint64_t *sp = (uint64_t *)(stack + stack_bytes);
    *--sp = 0;
    *--sp = (uint64_t)entry;
    for (int i = 0; i < 6; i++) *--sp = 0;
    *c = sp;
}

static void switch_context(context *from, context *to) { emu_switch(from, *to); }
#else
static void make_context(context *c, char *stack, void (*entry)()) {
    getcontext(c);
    c->uc_stack.ss_sp = stack;
    c->uc_stack.ss_size = stack_bytes;
    c->uc_link = nullptr;
    makecontext(c, entry, 0);
}

static void switch_context(context *from, context *to) { swapcontext(from, to); }
#endif

static void fiber_main();

static char *new_stack() {
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    char *p = (char *)mmap(nullptr, stack_bytes + page, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) {
        perror("cuemu: mmap");
        abort();
    }
    mprotect(p, page, PROT_NONE);
    return p + page;
}

static fiber *get_fiber(block *b) {
    fiber *f;
    if (b->idle.empty()) {
        b->fibers.emplace_back(new fiber);
        f = b->fibers.back().get();
        f->stack = new_stack();
    } else {
        f = b->idle.back();
        b->idle.pop_back();
    }
    ASAN_UNPOISON_MEMORY_REGION(f->stack, stack_bytes);
    f->fake = nullptr;
    make_context(&f->ctx, f->stack, fiber_main);
    return f;
}

/* dying: the fiber that runs never comes back */
static void go(fiber *to, bool dying) {
    block *b = the_block;
    fiber *from = b->running;
    b->running = to;
#if EMU_ASAN
    const bool main = to == &b->main;
    __sanitizer_start_switch_fiber(dying ? nullptr : &from->fake, main ? b->main_stack : to->stack,
                                   main ? b->main_bytes : stack_bytes);
    switch_context(&from->ctx, &to->ctx);
    __sanitizer_finish_switch_fiber(from->fake, nullptr, nullptr);
#else
    (void)dying;
    switch_context(&from->ctx, &to->ctx);
#endif
}

/* ---- who runs next ---- */

static void make_current(block *b, thread *t) {
    b->current = t;
    threadIdx = t->id;
}

/* Returns when the caller's thread is to go on; a thread whose launch failed never does. */
static void run_next(bool dying) {
    block *b = the_block;
    if (!b->failed && b->started < b->n) {
        go(get_fiber(b), dying);
        return;
    }
    for (uint32_t i = 0, k = b->at; i < b->n && !b->failed; i++) {
        if (++k >= b->n) k = 0;
        thread *t = &b->threads[b->order[k]];
        if (t->state != READY) continue;
        b->at = k;
        if (t == b->current && !dying) return;
        make_current(b, t);
        go(t->f, dying);
        return;
    }
    go(&b->main, dying);
}

static void fiber_main() {
    block *b = the_block;
#if EMU_ASAN
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
    fiber *self = b->running;
    while (b->started < b->n && !b->failed) {
        b->at = b->started++;
        thread *t = &b->threads[b->order[b->at]];
        t->f = self;
        t->state = READY;
        make_current(b, t);
        b->l->run(b->l->arg);
        b->current->state = DONE;
        b->live--;
        if (b->arrived) {
            report("a thread exits without reaching the barrier at %s, where %u wait", b->site,
                   b->arrived);
            b->failed = true;
        }
    }
    b->idle.push_back(self);
    run_next(true);
    abort(); /* not reached */
}

/* ---- barriers ---- */

static void vfail(const char *fmt, va_list ap) {
    char text[512];
    vsnprintf(text, sizeof text, fmt, ap);
    report("%s", text);
    if (!the_block || !the_block->active) abort();
    the_block->failed = true;
    go(&the_block->main, true);
}

extern "C" void emu_fail(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vfail(fmt, ap);
    va_end(ap);
}

extern "C" void emu_barrier(const char *site) {
    block *b = the_block;
    if (!b || !b->active) emu_fail("a barrier outside a kernel");
    if (!b->arrived) b->site = site;
    if (b->site != site)
        emu_fail("divergent barrier: this thread is at %s, others wait at %s", site, b->site);
    if (b->n != b->live)
        emu_fail("barrier at %s, but %u of %u threads have exited", site, b->n - b->live, b->n);
    b->current->state = AT_BARRIER;
    b->current->site = site;
    if (++b->arrived == b->live) {
        for (thread &t : b->threads) {
            if (t.state == AT_BARRIER) t.state = READY;
        }
        b->arrived = 0;
        b->phase++;
        b->at = b->n - 1;
    }
    run_next(false);
}

/* The threads of the warp of t in the mask that wait at its barrier; all of them in *all. */
static uint32_t waiting(block *b, const thread *t, uint32_t *all) {
    const uint32_t first = t->linear & ~31u, end = b->n < first + 32 ? b->n : first + 32;
    uint32_t have = 0;
    *all = 0;
    for (uint32_t i = first; i < end; i++) {
        const thread *o = &b->threads[i];
        if (!(t->mask >> (i & 31) & 1)) continue;
        ++*all;
        if (o->state != AT_WARP_BARRIER) continue;
        if (o->mask != t->mask || o->site != t->site) {
            emu_fail("divergent warp: lane %u is at %s, lane %u at %s", t->linear & 31, t->site,
                     i & 31, o->site);
        }
        have++;
    }
    return have;
}

extern "C" void emu_warp_barrier(const char *site, unsigned mask) {
    block *b = the_block;
    if (!b || !b->active) emu_fail("a barrier outside a kernel");
    thread *t = b->current;
    if (!(mask >> (t->linear & 31) & 1))
        emu_fail("warp barrier at %s: the caller is not in its mask", site);
    t->site = site;
    t->mask = mask;
    t->state = AT_WARP_BARRIER;
    uint32_t all;
    if (waiting(b, t, &all) == all) {
        const uint32_t first = t->linear & ~31u;
        for (uint32_t i = first; i < b->n && i < first + 32; i++) {
            if (!(mask >> (i & 31) & 1)) continue;
            b->threads[i].state = READY;
            b->threads[i].warp_phase++;
        }
        return;
    }
    run_next(false);
}

/* ---- shared memory ---- */

extern "C" void *emu_shared(const void *key, const char *name, size_t n) {
    block *b = the_block;
    size_t total = n;
    for (const shared_array &a : b->arrays) {
        if (a.key == key) return a.p;
        total += a.n;
    }
    if (total > shared_limit) emu_fail("%zu bytes of shared memory", total);
    void *p = nullptr;
    if (posix_memalign(&p, 16, n)) abort();
    memset(p, 0xa5, n);
    b->arrays.push_back({key, name, (char *)p, n, race_mode ? new_shadow(n) : nullptr});
    return p;
}

/* ---- launches ---- */

static void make_order(std::vector<uint32_t> &p, uint32_t n, uint64_t salt) {
    unsigned seed;
    const unsigned order = order_of_threads(&seed);
    uint64_t r = seed * 2654435761u + salt;
    p.resize(n);
    for (uint32_t i = 0; i < n; i++) p[i] = order == 1 ? n - 1 - i : i;
    for (uint32_t i = n; order == 2 && i > 1; i--) {
        r = r * 6364136223846793005ull + 1442695040888963407ull;
        std::swap(p[i - 1], p[(r >> 33) % i]);
    }
}

static void find_main_stack(block *b) {
    pthread_attr_t a;
    if (!EMU_ASAN || b->main_bytes) return;
    pthread_getattr_np(pthread_self(), &a);
    pthread_attr_getstack(&a, &b->main_stack, &b->main_bytes);
    pthread_attr_destroy(&a);
}

static void start_block(block *b, const launch &l, uint64_t linear) {
    b->l = &l;
    b->linear = linear;
    b->n = b->live = l.block.x * l.block.y * l.block.z;
    b->started = b->arrived = b->phase = 0;
    b->at = b->n - 1;
    b->failed = false;
    b->active = true;
    b->running = &b->main;
    blockDim = l.block;
    gridDim = l.grid;
    blockIdx = {(unsigned)(linear % l.grid.x), (unsigned)(linear / l.grid.x % l.grid.y),
                (unsigned)(linear / l.grid.x / l.grid.y)};
    b->threads.assign(b->n, thread());
    for (uint32_t i = 0; i < b->n; i++) {
        b->threads[i].linear = i;
        b->threads[i].id = {i % l.block.x, i / l.block.x % l.block.y, i / l.block.x / l.block.y};
    }
    make_order(b->order, b->n, linear);
}

static void end_block(block *b) {
    if (!b->failed && b->live) {
        const thread *t = &b->threads[0];
        while (t->state == DONE) t++;
        report("%u threads wait for ever, thread %u at %s", b->live, t->linear, t->site);
        b->failed = true;
    }
    if (b->failed) { /* their fibers never ended */
        b->idle.clear();
        for (auto &f : b->fibers) b->idle.push_back(f.get());
    }
    b->active = false;
    for (shared_array &a : b->arrays) {
        free(a.p);
        free(a.cells);
    }
    b->arrays.clear();
}

static bool run_block(const launch &l, uint64_t linear) {
    static thread_local block mine;
    block *b = the_block = &mine;
    find_main_stack(b);
    start_block(b, l, linear);
    run_next(false); /* comes back when nothing can run any more */
    end_block(b);
    return !b->failed;
}

static void on_crash(int signal, siginfo_t *info, void *) {
    if (the_block && the_block->active) report("signal %d at address %p", signal, info->si_addr);
    _exit(139);
}

/* A crash in a kernel names kernel, block and thread. */
static void catch_crashes() {
    static bool done;
    static char stack[65536];
    if (done || EMU_ASAN) return;
    done = true;
    stack_t alternative = {};
    alternative.ss_sp = stack;
    alternative.ss_size = sizeof stack;
    sigaltstack(&alternative, nullptr);
    struct sigaction act = {};
    act.sa_sigaction = on_crash;
    act.sa_flags = SA_SIGINFO | SA_ONSTACK;
    sigaction(SIGSEGV, &act, nullptr);
    sigaction(SIGBUS, &act, nullptr);
}

void run_launch(const launch &l) {
    const device_access access;
    const uint64_t n = (uint64_t)l.grid.x * l.grid.y * l.grid.z;
    std::vector<uint32_t> order;
    __atomic_fetch_add(&launches, 1, __ATOMIC_RELAXED);
    catch_crashes();
    make_order(order, (uint32_t)n, 77);
    for (uint64_t i = 0; i < n; i++) {
        if (!run_block(l, order[i])) break;
    }
}
