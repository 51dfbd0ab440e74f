/* Race mode: kernels are compiled with -fsanitize=thread, and the functions that it calls at every
 * access are these (nothing is linked with -fsanitize=thread, and this file is not compiled with
 * it).  Four bytes of shared or device memory remember who wrote and who read them last; an access
 * of another thread of the same launch with no barrier in between is a race, and so is one of
 * another block.  Reads of what nobody wrote are reported too.  */
#include "cuemu_core.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef EMU_RACE

shadow *new_shadow(size_t) { return nullptr; }
void mark_written(const void *, size_t) {}

#else

struct touch { /* who: launch, block, barriers passed, thread, warp barriers passed */
    uint64_t launch, block;
    uint32_t phase, thread, warp_phase;
};

struct shadow {
    touch write, read;
    bool many; /* more than one thread has read since the last barrier */
    bool written;
};

enum { MOST_REPORTS = 20 };
extern "C" char __executable_start, end;

shadow *new_shadow(size_t bytes) { return (shadow *)calloc(bytes / 4 + 1, sizeof(shadow)); }

void mark_written(const void *p, size_t n) {
    const area *a = find_area(p);
    if (!a || !a->cells) return;
    const size_t from = (size_t)((const char *)p - a->p);
    for (size_t i = from / 4; i <= (from + n - 1) / 4; i++) a->cells[i].written = true;
}

/* file:line of an address in the program */
static const char *where(void *pc) {
    static char text[400];
    Dl_info info;
    snprintf(text, sizeof text, "%p", pc);
    if (!dladdr(pc, &info)) return text;
    char command[600];
    snprintf(command, sizeof command, "addr2line -e '%s' 0x%lx", info.dli_fname,
             (unsigned long)((char *)pc - (char *)info.dli_fbase - 1));
    if (FILE *f = popen(command, "r")) {
        if (fgets(text, sizeof text, f)) text[strcspn(text, "\n")] = 0;
        pclose(f);
    }
    return text;
}

static void race(const char *kind, const char *name, size_t at, const touch &other, void *pc) {
    if (emu_error_count() < MOST_REPORTS) {
        report("%s: %s, offset %zu, with block %lu thread %u, at %s", kind, name, at,
               (unsigned long)other.block, other.thread, where(pc));
    } else {
        set_error(cudaErrorLaunchFailure);
    }
}

/* Did another thread touch the word with no barrier in between? */
static bool conflict(const touch &t, const touch &now) {
    if (t.launch != now.launch) return false;
    if (t.block != now.block) return true;
    if (t.phase != now.phase || t.thread == now.thread) return false;
    return (t.thread ^ now.thread) >= 32 || t.warp_phase == now.warp_phase;
}

/* One access to one word; true when it was reported. */
static bool access_word(shadow *c, const touch &now, bool write, const char *name, size_t at,
                        void *pc) {
    const bool fresh =
        c->read.launch != now.launch || c->read.block != now.block || c->read.phase != now.phase;
    bool hit = false;
    if (!write && !c->written) {
        c->written = true;
        race("read of what nobody wrote", name, at, now, pc);
        return true;
    }
    if (conflict(c->write, now)) {
        race(write ? "two writes with no barrier" : "read after write with no barrier", name, at,
             c->write, pc);
        hit = true;
    }
    if (write &&
        (conflict(c->read, now) || (c->many && !fresh && (c->read.thread ^ now.thread) >= 32))) {
        race("write after read with no barrier", name, at, c->read, pc);
        hit = true;
    }
    if (write) {
        c->write = now;
        c->written = true;
    } else {
        c->many = !fresh && (c->many || c->read.thread != now.thread);
        c->read = now;
    }
    return hit;
}

static void access_words(shadow *c, const char *base, const char *q, size_t n, bool write,
                         const char *name, void *pc) {
    const block *b = the_block;
    const thread *t = b->current;
    const touch now = {launch_number(), b->linear, b->phase, t->linear, t->warp_phase};
    const size_t from = (size_t)(q - base);
    for (size_t i = from / 4; i <= (from + n - 1) / 4; i++) {
        if (!access_word(&c[i], now, write, name, 4 * i, pc)) continue;
        for (i++; i <= (from + n - 1) / 4; i++) c[i].written = true;
    }
}

static void access_in_kernel(const char *q, size_t n, bool write, void *pc) {
    block *b = the_block;
    if (q >= b->running->stack && q < b->running->stack + stack_bytes) return;
    if ((uint64_t)(q - (const char *)&threadIdx + 4096) < 8192) return; /* threadIdx and its like */
    for (shared_array &a : b->arrays) {
        if (q >= a.p && q + n <= a.p + a.n) {
            access_words(a.cells, a.p, q, n, write, a.name, pc);
            return;
        }
    }
    const area *a = find_area(q);
    if (a && q + n <= a->p + a->n) {
        if (!a->host) access_words(a->cells, a->p, q, n, write, "device memory", pc);
        return;
    }
    const char *arg = (const char *)b->l->arg;
    if (q >= arg && q < arg + b->l->arg_bytes) return;
    if (!write && q >= &__executable_start && q < &end) return;
    emu_fail("%s of %p, which is no device memory, at %s", write ? "write" : "read",
             (const void *)q, where(pc));
}

static void note_access(const void *p, size_t n, bool write, void *pc) {
    if (the_block && the_block->active) {
        if ((uintptr_t)p % n && n <= 16 && find_area(p))
            emu_fail("misaligned access of %zu bytes at %p, at %s", n, p, where(pc));
        access_in_kernel((const char *)p, n, write, pc);
        return;
    }
    const area *a = device_is_accessible() ? nullptr : find_area(p);
    if (a && !a->host) report("the host touches device memory %p at %s", p, where(pc));
}

#define HERE __builtin_return_address(0)
#define ACCESSES(n)                                                            \
    void __tsan_read##n(void *p) { note_access(p, n, false, HERE); }           \
    void __tsan_unaligned_read##n(void *p) { note_access(p, n, false, HERE); } \
    void __tsan_write##n(void *p) { note_access(p, n, true, HERE); }           \
    void __tsan_unaligned_write##n(void *p) { note_access(p, n, true, HERE); }

extern "C" {
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)
void __tsan_read_range(void *p, size_t n) {
    if (n) note_access(p, n, false, HERE);
}
void __tsan_write_range(void *p, size_t n) {
    if (n) note_access(p, n, true, HERE);
}
void *__tsan_memcpy(void *to, const void *from, size_t n) { return memcpy(to, from, n); }
void *__tsan_memset(void *to, int value, size_t n) { return memset(to, value, n); }
void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void **, void *) {}
void __tsan_vptr_read(void **) {}
int __tsan_atomic32_load(const volatile int *p, int) {
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);
}
unsigned long __tsan_atomic64_fetch_add(volatile unsigned long *p, unsigned long v, int) {
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);
}
unsigned long __tsan_atomic64_fetch_sub(volatile unsigned long *p, unsigned long v, int) {
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);
}
}
#endif
