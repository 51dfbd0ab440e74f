/* Extents against a map of every byte: nothing is handed out twice, free neighbours are one,
 * nothing gets lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/extents.h"
#include "tests/harness.h"

enum { SIZE = 4096, LIVE = 64, STEPS = 20000 };

static uint8_t taken[SIZE];

static void mark(size_t at, size_t bytes, uint8_t to) {
    assert_true(at + bytes <= SIZE);
    for (size_t i = at; i < at + bytes; i++) {
        assert_true(taken[i] != to);
        taken[i] = to;
    }
}

/* The idle extents are exactly the free runs below top, in order; nothing is taken above. */
static void check(const struct extents *e) {
    size_t at = 0;
    for (int i = 0; i < e->n; i++) {
        assert_true(e->idle[i].bytes > 0);
        for (; at < e->idle[i].at; at++) assert_true(taken[at]);
        for (; at < e->idle[i].at + e->idle[i].bytes; at++) assert_false(taken[at]);
        assert_true(at < e->top && taken[at]); // neither an idle neighbour nor the free top
    }
    for (; at < e->top; at++) assert_true(taken[at]);
    for (; at < SIZE; at++) assert_false(taken[at]);
    assert_true(e->top <= e->high && e->high <= SIZE);
}

static void random_walk(void **state) {
    (void)state;
    struct extents e;
    size_t at[LIVE], bytes[LIVE] = {0};
    uint64_t s = 5;
    int full = 0;
    extents_open(&e, SIZE);
    for (int step = 0; step < STEPS; step++) {
        int i = (int)(harness_next(&s) % LIVE);
        if (bytes[i]) {
            mark(at[i], bytes[i], 0);
            extents_give(&e, at[i], bytes[i]);
            bytes[i] = 0;
        } else {
            size_t want = 1 + harness_next(&s) % (step % 100 ? 120 : 1500);
            at[i] = extents_take(&e, want);
            if (at[i] == EXTENTS_FULL) {
                full++;
                continue;
            }
            bytes[i] = want;
            mark(at[i], want, 1);
        }
        check(&e);
    }
    assert_true(full > 0);
    for (int i = 0; i < LIVE; i++)
        if (bytes[i]) extents_give(&e, at[i], bytes[i]);
    assert_int_equal(e.n, 0);
    assert_int_equal(e.top, 0);
    assert_int_equal(extents_take(&e, SIZE), 0); // all of it in one
    assert_true(extents_take(&e, 1) == EXTENTS_FULL);
    extents_close(&e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_walk)};
    return cmocka_run_group_tests_name("extents", tests, NULL, NULL);
}
