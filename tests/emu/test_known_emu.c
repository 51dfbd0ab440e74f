/* The known answers of tests/known.h on the CUDA back end, emulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/dose.h"
#include "tests/emu/emulation.h"
#include "tests/known.h"

static void known_answers(void **state) {
    (void)state;
    for (int i = 2; i < (dose_small() ? 3 : 4); i++) { // toy10, and toy11
        struct known have;
        assert_int_equal(known_answer(&have, i, KERN_CUDA, KERN_TIER_BEST, 0), THOR_OK);
        assert_true(have.keys == known[i].keys);
        assert_true(have.ciphers == known[i].ciphers);
        assert_true(have.results == known[i].results);
    }
    assert_int_equal(emulation_errors(), 0);
}

static void circuits(void **state) {
    (void)state;
    uint64_t want, have;
    if (dose_small()) skip();
    assert_int_equal(known_circuit(&want, KERN_CPU, KERN_TIER_REF, 1), THOR_OK);
    assert_int_equal(known_circuit(&have, KERN_CUDA, KERN_TIER_BEST, 0), THOR_OK);
    assert_true(have == want);
    assert_int_equal(emulation_errors(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(circuits)};
    return cmocka_run_group_tests_name("known answers on emulated CUDA", tests, NULL, NULL);
}
