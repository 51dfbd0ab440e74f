/* Linear maps on the CUDA back end: the bits of the portable tier, in the emulation or on a device.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/emu/emulation.h"
#include "tests/maps.h"

enum { PRIMES = 32 };
static struct kernels *both[2]; /* portable, device */

static void open_ring(int log_n) {
    uint32_t q[PRIMES];
    harness_chain(q, PRIMES, log_n);
    assert_int_equal(kernels_open_cpu(&both[0], log_n, q, PRIMES, KERN_TIER_REF, 1), THOR_OK);
    assert_int_equal(kernels_open_cuda(&both[1], log_n, q, PRIMES, 0), THOR_OK);
}

static void close_ring(void) {
    harness_same_counts(&both[0]->counts, &both[1]->counts);
    assert_int_equal(both[1]->counts.bytes_now, 0);
    kernels_close(both[0]);
    kernels_close(both[1]);
    assert_int_equal(emulation_errors(), 0);
}

static void one(struct maps m) {
    emulation_order((m.outputs + m.terms) % 3, (unsigned)m.terms);
    maps_compare(m, both, 2, 0);
}

static void shapes(void **state) {
    (void)state;
    for (int log_n = 4; log_n <= 6; log_n += 2) {
        open_ring(log_n);
        maps_shapes(both[0], one);
        close_ring();
    }
    emulation_order(0, 1);
}

/* Columns of a class that fill blocks of each width, and more; terms around every fold. */
static void widths(void **state) {
    (void)state;
    open_ring(8);
    for (int rep = 5; rep <= 8; rep++)
        one((struct maps){.outputs = 34,
                          .terms = 18,
                          .polys = 1 + rep % 2,
                          .limbs = 2,
                          .log_rep = rep,
                          .kind = FILL_RANDOM});
    for (int terms = 239; terms <= 257; terms += 2)
        one((struct maps){.outputs = 2,
                          .terms = terms,
                          .polys = 1,
                          .limbs = 1,
                          .first = 1,
                          .log_rep = 6,
                          .accumulate = 1,
                          .kind = FILL_TOP});
    close_ring();
    emulation_order(0, 1);
}

static void refusals(void **state) {
    (void)state;
    open_ring(4);
    maps_refusals(both[0]);
    maps_refusals(both[1]);
    close_ring();
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(widths),
                                       cmocka_unit_test(shapes)};
    return cmocka_run_group_tests_name("linear maps on CUDA", tests, NULL, NULL);
}
