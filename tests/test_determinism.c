/* The same seed gives the same bits: known answers for the six parameter sets, on the portable, the
 * AVX2 and the AVX-512 tier, on one thread and on several.  The CUDA emulation has the same in
 * tests/emu/test_known_emu.c. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/dose.h"
#include "tests/known.h"

#define OK(x) assert_int_equal((x), THOR_OK)
static const struct {
    enum kern_tier tier;
    const char *name;
} tiers[] = {{KERN_TIER_REF, "ref"}, {KERN_TIER_AVX2, "avx2"}, {KERN_TIER_AVX512, "avx512"}};

/* 1 unless the machine has to give a lower tier. */
static int has(int t) {
    struct kernels *k;
    const uint32_t q[1] = {12289};
    OK(kernels_open_cpu(&k, 10, q, 1, tiers[t].tier, 1));
    int same = strcmp(k->tier, tiers[t].name) == 0;
    kernels_close(k);
    if (!same) print_message("no %s here\n", tiers[t].name);
    return same;
}

static void same(const struct known *have, const struct known *want, const char *tier) {
    if (have->keys == want->keys && have->ciphers == want->ciphers &&
        have->results == want->results)
        return;
    fail_msg("%s, %s: {\"%s\", 0x%016" PRIx64 ", 0x%016" PRIx64 ", 0x%016" PRIx64 "}", have->set,
             tier, have->set, have->keys, have->ciphers, have->results);
}

static void known_answers(void **state) {
    (void)state;
    const int first = dose_small() ? 2 : 0; // the toys alone
    for (int t = 0; t < 3; t++) {
        if (!has(t)) continue;
        for (int i = first; i < KNOWN_SETS; i++) {
            struct known have;
            OK(known_answer(&have, i, KERN_CPU, tiers[t].tier, 1));
            same(&have, &known[i], tiers[t].name);
        }
    }
}

static void threads(void **state) {
    (void)state;
    struct known have;
    if (dose_small()) skip();
    OK(known_answer(&have, 1, KERN_CPU, KERN_TIER_BEST, 2)); // toy rings run on one
    same(&have, &known[1], "two threads");
}

static void circuits(void **state) {
    (void)state;
    uint64_t want, have;
    OK(known_circuit(&want, KERN_CPU, KERN_TIER_REF, 1));
    for (int t = 1; t < 3; t++) {
        if (!has(t)) continue;
        OK(known_circuit(&have, KERN_CPU, tiers[t].tier, 1));
        assert_true(have == want);
    }
    OK(known_circuit(&have, KERN_CPU, KERN_TIER_REF, 1)); // and once more
    assert_true(have == want);
}

/* keys without the halves that can be made again */
static void made_halves(void **state) {
    (void)state;
    struct known have;
    uint64_t want, circuit;
    OK(known_circuit(&want, KERN_CPU, KERN_TIER_BEST, 1));
    setenv("THOR_KEYS", "generated", 1);
    for (int t = 0; t < 3; t++) {
        OK(known_answer(&have, 2, KERN_CPU, tiers[t].tier, 2));
        assert_true(have.ciphers == known[2].ciphers && have.results == known[2].results);
    }
    OK(known_circuit(&circuit, KERN_CPU, KERN_TIER_BEST, 2));
    assert_true(circuit == want);
    setenv("THOR_KEYS", "grown", 1);
    assert_int_equal(known_answer(&have, 2, KERN_CPU, KERN_TIER_BEST, 1), THOR_USAGE);
    assert_non_null(strstr(thor_error(), "THOR_KEYS"));
    unsetenv("THOR_KEYS");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_answers), cmocka_unit_test(threads),
                                       cmocka_unit_test(circuits), cmocka_unit_test(made_halves)};
    return cmocka_run_group_tests_name("determinism", tests, NULL, NULL);
}
