/* The known answers of tests/known.h on the CUDA back end, emulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "bench/device.h"
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

/* keys without the halves that can be made again, all the way through a bootstrap */
static void made_halves(void **state) {
    (void)state;
    setenv("THOR_KEYS", "generated", 1);
    struct known have;
    assert_int_equal(known_answer(&have, 2, KERN_CUDA, KERN_TIER_BEST, 0), THOR_OK);
    assert_true(have.results == known[2].results);
    circuits(state);
    unsetenv("THOR_KEYS");
}

/* A card without the room of whole keys keeps them without those halves; one that lacks this too is
 * refused, and so is one that was told to store. */
static void a_small_card(void **state) {
    (void)state;
    const size_t keys = (size_t)64 << 20;
    const struct ckks_params *params;
    const struct device_choice d = {.kind = KERN_CUDA};
    struct ckks *cx = NULL;
    assert_int_equal(ckks_params_get(&params, "toy10", 1), THOR_OK);
    assert_int_equal(device_open(&cx, &d, params, 0), THOR_OK);
    for (int turn = 0; turn < 4; turn++) {
        size_t held = keys;
        cx->k->generates = 0;
        if (!emulation_memory(turn == 0 ? 2 * keys : turn == 1 ? keys / 4 : keys)) break;
        if (turn == 2) setenv("THOR_KEYS", "stored", 1);
        const int fits = turn == 0 || turn == 3;
        assert_int_equal(device_fit(&held, cx, &d, keys / 4), fits ? THOR_OK : THOR_MEMORY);
        if (fits) assert_int_equal(held, turn == 3 ? keys / 2 : keys);
        if (fits) assert_int_equal(cx->k->generates, turn == 3);
        unsetenv("THOR_KEYS");
    }
    ckks_close(cx);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(circuits),
                                       cmocka_unit_test(made_halves),
                                       cmocka_unit_test(a_small_card)};
    return cmocka_run_group_tests_name("known answers on emulated CUDA", tests, NULL, NULL);
}
