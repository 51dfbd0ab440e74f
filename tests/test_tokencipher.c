/* The token cipher: a uniform permutation, its file, and what it does not protect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "split/tokencipher.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)
static const uint8_t key1[CKKS_SEED] = {1};

static void there_and_back(void **state) {
    (void)state;
    struct split_tokencipher c, other;
    int ids[1000], again[1000], moved = 0;
    OK(split_tokencipher_make(&c, 1000));
    for (int i = 0; i < 1000; i++) ids[i] = again[i] = 999 - i;
    OK(split_tokencipher_hide(&c, ids, 1000));
    for (int i = 0; i < 1000; i++) moved += ids[i] != again[i];
    assert_true(moved > 980); // one stays on average
    OK(split_tokencipher_show(&c, ids, 1000));
    assert_memory_equal(ids, again, sizeof ids);
    OK(split_tokencipher_make(&other, 1000)); // of another key
    assert_memory_not_equal(c.to, other.to, 1000 * sizeof *c.to);
    again[7] = 1000;
    assert_int_equal(split_tokencipher_hide(&c, again, 1000), THOR_INPUT);
    assert_int_equal(again[0], 999);
    again[7] = -1;
    assert_int_equal(split_tokencipher_show(&c, again, 1000), THOR_INPUT);
    split_tokencipher_free(&c);
    split_tokencipher_free(&other);
    assert_int_equal(split_tokencipher_make(&c, 0), THOR_USAGE);
}

/* All 24 permutations of four words come equally often: chi2 of 23 degrees of freedom stays below
 * 23 + 2 sqrt(23 t) + 2 t, t = 30. */
static void uniform(void **state) {
    (void)state;
    enum { DRAWS = 48000 };
    int seen[256] = {0};
    double chi2 = 0;
    for (uint32_t i = 0; i < DRAWS; i++) {
        struct split_tokencipher c;
        uint8_t key[CKKS_SEED] = {0};
        memcpy(key, &i, sizeof i);
        OK(split_tokencipher_of(&c, 4, key));
        seen[c.to[0] << 6 | c.to[1] << 4 | c.to[2] << 2 | c.to[3]]++;
        split_tokencipher_free(&c);
    }
    int different = 0;
    for (int i = 0; i < 256; i++) {
        if (!seen[i]) continue;
        different++;
        chi2 += (seen[i] - DRAWS / 24.0) * (seen[i] - DRAWS / 24.0) / (DRAWS / 24.0);
    }
    assert_int_equal(different, 24);
    assert_true(chi2 < 23 + 2 * 26.3 + 60);
}

static void file(void **state) {
    (void)state;
    const char *path = scratch_path("cipher");
    struct split_tokencipher c, again;
    struct stat s;
    OK(split_tokencipher_of(&c, 30522, key1));
    OK(split_tokencipher_save(&c, path));
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(split_tokencipher_save(&c, path), THOR_IO); // what it hid is lost with it
    OK(split_tokencipher_load(&again, path));
    assert_int_equal(again.words, 30522);
    assert_memory_equal(c.to, again.to, 30522 * sizeof *c.to);
    split_tokencipher_free(&again);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(split_tokencipher_load(&again, path), THOR_KEY);
    split_tokencipher_free(&c);
}

#define ZEROS "000000000000000000000000000000000000000000000000000000000000000"

static void damaged_files(void **state) {
    (void)state;
    static const char *const lines[] = {"",
                                        "\n",
                                        "thor-token-cipher 1 5 00\n",
                                        "thor-token-cipher 2 5 " ZEROS "0\n",
                                        "thor-token-cipher 1 0 " ZEROS "0\n",
                                        "thor-token-cipher 1 5 " ZEROS "g\n",
                                        "thor-token-cipher 1 5 " ZEROS "0",
                                        "thor-token-cipher 1 5 " ZEROS "0\nmore\n",
                                        "thor-token-cipher 1 99999999999 " ZEROS "0\n"};
    struct split_tokencipher c;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        scratch_write("damaged", lines[i], strlen(lines[i]), 0600);
        assert_int_equal(split_tokencipher_load(&c, scratch_path("damaged")), THOR_KEY);
        assert_null(c.to);
    }
}

struct counted {
    int id, times;
};

static int by_times(const void *a, const void *b) {
    const struct counted *x = a, *y = b;
    return y->times - x->times;
}

/* What it does not protect: words come with frequencies like 1/rank, and counting the numbers of
 * two million tokens gives the 30 commonest words back. */
static void counting_breaks_it(void **state) {
    (void)state;
    enum { WORDS = 500, TOKENS = 2000000, READ = 30 };
    static struct counted count[WORDS];
    static double upto[WORDS];
    struct split_tokencipher c;
    struct ckks_rng r;
    OK(split_tokencipher_make(&c, WORDS));
    for (int i = 0; i < WORDS; i++) {
        upto[i] = (i ? upto[i - 1] : 0) + 1.0 / (i + 1);
        count[i].id = i;
    }
    ckks_rng_init(&r, key1, 5);
    for (int i = 0; i < TOKENS; i++) {
        uint32_t x;
        int word = 0;
        ckks_rng_uniform(&r, &x, 1, 1 << 24);
        for (int high = WORDS - 1; word < high;) {
            const int middle = (word + high) / 2;
            if (upto[middle] / upto[WORDS - 1] > x * 0x1p-24)
                high = middle;
            else
                word = middle + 1;
        }
        OK(split_tokencipher_hide(&c, &word, 1));
        count[word].times++;
    }
    qsort(count, WORDS, sizeof count[0], by_times);
    for (int i = 0; i < READ; i++) assert_int_equal(c.from[count[i].id], i);
    split_tokencipher_free(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(uniform),
        cmocka_unit_test(file),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(counting_breaks_it),
    };
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
