/* What the tests of the CUDA back end ask of the emulation (cuemu.h).  Linked with the device's own
 * objects instead, there is none: then these do nothing. */
#ifndef THOR_TESTS_EMULATION_H
#define THOR_TESTS_EMULATION_H

unsigned long emu_error_count(void) __attribute__((weak));
void emu_clear_errors(void) __attribute__((weak));
void emu_set_order(int order, unsigned seed) __attribute__((weak));
void emu_set_lazy(int on) __attribute__((weak));
void emu_set_memory(size_t bytes) __attribute__((weak));
void emu_set_driver(int version) __attribute__((weak));
unsigned long emu_refused_count(void) __attribute__((weak));

int emu_mode(void) __attribute__((weak));

static inline int emulated(void) {
    return emu_error_count != 0;
}
/* 0 on a device, 1 plain, 2 with AddressSanitizer (five times slower), 4 with every access watched
 * (ten times). */
static inline int emulation_mode(void) {
    return emulated() ? emu_mode() : 0;
}
/* What it found wrong so far. */
static inline unsigned long emulation_errors(void) {
    return emulated() ? emu_error_count() : 0;
}
static inline void emulation_clear(void) {
    if (emulated()) emu_clear_errors();
}
/* Calls that no capture can hold, made during one. */
static inline unsigned long emulation_refused(void) {
    return emulated() ? emu_refused_count() : 0;
}
/* Of threads and blocks: 0 forward, 1 reverse, 2 random. */
static inline void emulation_order(int order, unsigned seed) {
    if (emulated()) emu_set_order(order, seed);
}
/* 1: work waits until the host waits for it. */
static inline void emulation_lazy(int on) {
    if (emulated()) emu_set_lazy(on);
}
/* So many bytes of device memory are free from now on; 0 where that cannot be arranged. */
static inline int emulation_memory(size_t bytes) {
    if (emulated()) emu_set_memory(bytes);
    return emulated();
}

#endif
