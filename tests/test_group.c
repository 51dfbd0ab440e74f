/* thor batch --group: rows in lock step give what they give one by one, from outside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kernels/status.h"
#include "tests/dose.h"
#include "tests/program.h"
#include "tests/scratch.h"
#include "tests/toyfolder.h"

enum { ROWS = 6, LONG = 2 /* the row that is refused */ };

static char model[600], keys[600], data[600];

static void at(char path[600], const char *name) {
    snprintf(path, 600, "%s", scratch_path(name));
}

static void run(int code, const char *const *argv) {
    if (program_finish(program_start(argv, 0)) != code) fail_msg("%s%s", thor.err, thor.out);
}

#define THOR(code, ...) run(code, (const char *const[]){thor.path, __VA_ARGS__, NULL})
#define BATCH(code, dir, ...)                                                                      \
    THOR(code, "batch", "--model", model, "--data", data, "--output-dir", dir, "--keys", keys,     \
         "--insecure-test-params", "toy12", __VA_ARGS__)

static json_t *result(const char *dir, int row) {
    char path[700];
    snprintf(path, sizeof path, "%s/%06d/result.json", dir, row);
    return json_load_file(path, 0, NULL);
}

static double logit(const char *dir, int row, size_t label) {
    json_t *o = result(dir, row);
    assert_non_null(o);
    double x = json_number_value(json_array_get(json_object_get(o, "he_logits"), label));
    json_decref(o);
    return x;
}

static void lose(const char *dir, int row) {
    char path[700];
    snprintf(path, sizeof path, "%s/%06d/result.json", dir, row);
    assert_int_equal(remove(path), 0);
}

static void refusals(void **state) {
    (void)state;
    THOR(THOR_USAGE, "batch", "--data", data, "--output-dir", "no", "--group", "2", "--approx");
    assert_non_null(strstr(thor.err, "--group is not for --approx"));
    THOR(THOR_USAGE, "batch", "--data", data, "--output-dir", "no", "--group", "2", "--compact");
    assert_non_null(strstr(thor.err, "--group is not for --compact"));
    THOR(THOR_USAGE, "batch", "--data", data, "--output-dir", "no", "--group", "0");
    THOR(THOR_USAGE, "batch", "--data", data, "--output-dir", "no", "--group", "17");
}

/* Up to fresh noise (2^-12 each: test_encrypted.c) and rounding (2^-13 each); a last group that is
 * not full, a row that is refused, and resuming. */
static void as_one_by_one(void **state) {
    char one[600], three[600];
    (void)state;
    if (dose_small()) skip(); // minutes under the sanitizers
    THOR(THOR_OK, "keygen", "--model", model, "--out", keys, "--insecure-test-params", "toy12");
    at(one, "one");
    at(three, "three");
    BATCH(THOR_INPUT, one, "--group", "1");
    BATCH(THOR_INPUT, three, "--group", "3"); // rows 0 1 3, then 4 5
    assert_non_null(strstr(thor.out, "5 done, 1 failed, 0 missing"));
    json_t *kept = result(three, 3), *now;
    lose(three, 1);
    lose(three, 4);
    BATCH(THOR_INPUT, three, "--group", "3"); // rows 1 4
    assert_non_null(strstr(thor.out, "3 of 6 rows have a result already"));
    assert_non_null(strstr(thor.out, "5 done, 1 failed, 0 missing"));
    now = result(three, 3);
    assert_true(kept && json_equal(kept, now));
    json_decref(kept);
    json_decref(now);
    for (int i = 0; i < ROWS; i++)
        for (size_t l = 0; l < 2 && i != LONG; l++)
            assert_true(fabs(logit(one, i, l) - logit(three, i, l)) <= 2 * (0x1p-12 + 0x1p-13));
}

static int prepare(void **state) {
    if (scratch_open(state)) return -1;
    at(model, "m");
    at(keys, "k");
    at(data, "rows.tsv");
    if (mkdir(model, 0777)) return -1;
    toyfolder_write(model, 40);
    char texts[700];
    snprintf(texts, sizeof texts, "%s/texts.tsv", model);
    THOR(THOR_OK, "encode", "--model", model, "--calibrate", texts, "--tokens", "32");
    FILE *f = fopen(data, "w");
    if (!f) return -1;
    fputs("label\ttext\n1\tad ae\n0\taf\n0\t", f);
    for (int i = 0; i < 60; i++) fputs("ad ", f);
    fputs("\n1\tae af ad\n0\taf af\n1\tad\n", f);
    return fclose(f);
}

int main(int argc, char **argv) {
    (void)argc;
    if (!program_find(argv[0])) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(refusals), cmocka_unit_test(as_one_by_one)};
    return cmocka_run_group_tests(tests, prepare, scratch_close);
}
