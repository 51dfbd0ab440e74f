/* The known answers of tests/known.h on the CUDA back end, emulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/known.h"

unsigned long emu_error_count(void);

static void known_answers(void **state) {
    (void)state;
    const char *full = getenv("THOR_FULL"); // 0: toy10 alone, for the sanitizers; else toy11 too
    for (int i = 2; i < (full && *full == '0' ? 3 : 4); i++) {
        struct known have;
        assert_int_equal(known_answer(&have, i, KERN_CUDA, KERN_TIER_BEST, 0), THOR_OK);
        assert_true(have.keys == known[i].keys);
        assert_true(have.ciphers == known[i].ciphers);
        assert_true(have.results == known[i].results);
    }
    assert_int_equal(emu_error_count(), 0);
}

static void circuits(void **state) {
    (void)state;
    uint64_t want, have;
    const char *full = getenv("THOR_FULL");
    if (full && *full == '0') skip();
    assert_int_equal(known_circuit(&want, KERN_CPU, KERN_TIER_REF, 1), THOR_OK);
    assert_int_equal(known_circuit(&have, KERN_CUDA, KERN_TIER_BEST, 0), THOR_OK);
    assert_true(have == want);
    assert_int_equal(emu_error_count(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(circuits)};
    return cmocka_run_group_tests_name("known answers on emulated CUDA", tests, NULL, NULL);
}
