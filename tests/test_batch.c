/* thor batch from outside: resume after any end, kill -9 at random moments, torn files, ranks of
 * MPI. THOR_KILLS=N kills the approximate batch N times (12), THOR_TOY_KILLS=N the encrypted one
 * (1). */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/status.h"
#include "tests/dose.h"
#include "tests/program.h"
#include "tests/scratch.h"
#include "tests/toyfolder.h"

enum { MAX_ARGS = 32, ROWS = 40 };

/* ---- running the program */

/* argv = thor batch <extra> --model .. --data .. --output-dir <to>; NULL ends extra. */
static void batch_args(const char **argv, const char *data, const char *to,
                       const char *const *extra) {
    const char *fixed[] = {thor.path, "batch", "--model",      scratch_path("m"),
                           "--data",  data,    "--output-dir", to};
    int n = 0;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) argv[n++] = fixed[i];
    for (int i = 0; extra[i]; i++) argv[n++] = extra[i];
    argv[n] = NULL;
}

static pid_t start_batch(const char *data, const char *to, const char *const *extra) {
    const char *argv[MAX_ARGS];
    batch_args(argv, data, to, extra);
    return program_start(argv, 0);
}

static void batch(int code, const char *data, const char *to, const char *const *extra) {
    int got = program_finish(start_batch(data, to, extra));
    if (got != code) print_error("%s%s", thor.err, thor.out);
    assert_int_equal(got, code);
}

#define BATCH(code, data, to, ...) batch(code, data, to, (const char *const[]){__VA_ARGS__, NULL})

/* ---- looking at folders */

static char *read_row(const char *to, int row) { // NULL when there is no result
    char path[1000];
    snprintf(path, sizeof path, "%s/%06d/result.json", to, row);
    FILE *f = fopen(path, "r");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 14);
    assert_non_null(text);
    assert_true(fread(text, 1, (1 << 14) - 1, f) > 0);
    fclose(f);
    return text;
}

static void write_row(const char *to, int row, const char *text) {
    char path[1000];
    snprintf(path, sizeof path, "%s/%06d/result.json", to, row);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
}

/* A result that is there is whole: an object with the row's number and both predictions. */
static int count_whole(const char *to, int rows) {
    int n = 0;
    for (int i = 0; i < rows; i++) {
        char *text = read_row(to, i);
        if (!text) continue;
        json_t *o = json_loads(text, 0, NULL);
        assert_non_null(o);
        assert_int_equal((int)json_integer_value(json_object_get(o, "target_idx")), i);
        assert_true(json_is_integer(json_object_get(o, "pred")) &&
                    json_is_integer(json_object_get(o, "plain_pred")));
        json_decref(o);
        free(text);
        n++;
    }
    return n;
}

static int count_files(const char *to, int rows, const char *begins) {
    int n = 0;
    for (int i = 0; i < rows; i++) {
        char path[1000];
        snprintf(path, sizeof path, "%s/%06d", to, i);
        DIR *d = opendir(path);
        for (struct dirent *e; d && (e = readdir(d));)
            n += strncmp(e->d_name, begins, strlen(begins)) == 0;
        if (d) closedir(d);
    }
    return n;
}

static double summary(const char *to, const char *key) {
    char path[1000];
    snprintf(path, sizeof path, "%s/summary.json", to);
    json_t *o = json_load_file(path, 0, NULL), *v = json_object_get(o, key);
    if (!json_is_number(v)) fail_msg("summary.json: no number %s", key);
    double x = json_number_value(v);
    json_decref(o);
    return x;
}

/* ---- the tests, in order: later ones use the results of earlier ones */

static void test_whole_table(void **state) {
    (void)state;
    BATCH(THOR_OK, scratch_path("m/texts.tsv"), scratch_path("all"), "--approx");
    assert_non_null(strstr(thor.out, "40 done, 0 failed, 0 missing"));
    assert_int_equal(count_whole(scratch_path("all"), ROWS), ROWS);
    assert_true(summary(scratch_path("all"), "agreement") > 0.9);
    assert_true(summary(scratch_path("all"), "accuracy") >= 0 &&
                summary(scratch_path("all"), "f1") >= 0);
    assert_true(summary(scratch_path("all"), "mean_logit_error") <=
                summary(scratch_path("all"), "worst_logit_error"));
    assert_true(summary(scratch_path("all"), "worst_logit_error") < 0.2);
}

/* The summary against the definitions, from the files of the rows. */
static void test_summary(void **state) {
    int right = 0, hit = 0, claimed = 0, positive = 0;
    double worst = 0;
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        char *text = read_row(scratch_path("all"), i);
        json_t *o = json_loads(text, 0, NULL);
        const int pred = (int)json_integer_value(json_object_get(o, "pred"));
        const int label = (int)json_integer_value(json_object_get(o, "label"));
        right += pred == label, hit += pred == 1 && label == 1, claimed += pred == 1,
            positive += label == 1;
        worst = fmax(worst, json_number_value(json_object_get(o, "max_abs_error")));
        json_decref(o);
        free(text);
    }
    assert_true(fabs(summary(scratch_path("all"), "accuracy") - right / (double)ROWS) < 1e-8);
    const double precision = claimed ? hit / (double)claimed : 0, recall = hit / (double)positive;
    const double f1 = hit ? 2 * precision * recall / (precision + recall) : 0;
    assert_true(fabs(summary(scratch_path("all"), "f1") - f1) < 1e-8);
    assert_true(fabs(summary(scratch_path("all"), "worst_logit_error") - worst) < 1e-8);
}

/* A batch computes what forward computes. */
static void test_as_forward(void **state) {
    (void)state;
    const char *argv[] = {
        thor.path, "forward", "--model",  scratch_path("m"), "--data", scratch_path("m/texts.tsv"),
        "--index", "3",       "--approx", "--json",          NULL};
    assert_int_equal(program_finish(program_start(argv, 0)), THOR_OK);
    char *text = read_row(scratch_path("all"), 3);
    json_t *a = json_loads(thor.out, 0, NULL), *b = json_loads(text, 0, NULL);
    static const char *const same[] = {"pred",         "plain_pred", "label",       "he_logits",
                                       "plain_logits", "target_idx", "dataset_type"};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        assert_true(json_equal(json_object_get(a, same[i]), json_object_get(b, same[i])));
    json_decref(a);
    json_decref(b);
    free(text);
}

static void test_torn_results(void **state) {
    static const char *const torn[] = {"", "{", "{}", "[1]", "{\"target_idx\": 4, \"pred\": 0}"};
    (void)state;
    char *good = read_row(scratch_path("all"), 9), *other = read_row(scratch_path("all"), 10);
    char *mine[7];
    for (int i = 0; i < 5; i++) {
        mine[i] = read_row(scratch_path("all"), i);
        write_row(scratch_path("all"), i, torn[i]);
    }
    mine[5] = strdup(good);
    mine[6] = strdup(other);
    good[strlen(good) / 2] = 0;
    write_row(scratch_path("all"), 9, good);     // cut in the middle
    write_row(scratch_path("all"), 10, mine[5]); // another row's
    BATCH(THOR_OK, scratch_path("m/texts.tsv"), scratch_path("all"), "--approx");
    assert_non_null(strstr(thor.out, "33 of 40 rows have a result already"));
    assert_int_equal(count_whole(scratch_path("all"), ROWS), ROWS);
    for (int i = 0; i < 7; i++) free(mine[i]);
    free(good);
    free(other);
}

static void test_other_runs_are_kept_apart(void **state) {
    (void)state;
    FILE *f = fopen(scratch_path("other.tsv"), "w");
    fputs("1\tad\n0\tae af\n", f);
    fclose(f);
    BATCH(THOR_INPUT, scratch_path("other.tsv"), scratch_path("all"), "--approx");
    assert_non_null(strstr(thor.err, "results of other data; name another with --output-dir"));
    BATCH(THOR_INPUT, scratch_path("m/texts.tsv"), scratch_path("all"), "--insecure-test-params",
          "toy12");
    assert_non_null(strstr(thor.err, "results of other mode;"));
}

static void test_ranges(void **state) {
    (void)state;
    BATCH(THOR_OK, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx", "--start-idx",
          "5", "--end-idx", "7");
    assert_int_equal(count_whole(scratch_path("part"), ROWS), 3);
    assert_int_equal((int)summary(scratch_path("part"), "rows"), 3);
    BATCH(THOR_OK, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx", "--start-idx",
          "7", "--json");
    assert_int_equal(count_whole(scratch_path("part"), ROWS), ROWS - 5);
    json_t *o = json_loads(thor.out, 0, NULL); // nothing else on stdout
    assert_int_equal((int)json_integer_value(json_object_get(o, "end_idx")), ROWS - 1);
    json_decref(o);
    BATCH(THOR_INPUT, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx", "--end-idx",
          "40");
    BATCH(THOR_USAGE, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx", "--end-idx",
          "3", "--start-idx", "4");
    BATCH(THOR_USAGE, scratch_path("m/texts.tsv"), scratch_path("part"), "--devices", "abacus");
    BATCH(THOR_USAGE, scratch_path("m/texts.tsv"), scratch_path("part"), "--devices", "cpu,cpu");
    BATCH(THOR_USAGE, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx", "--devices",
          "cuda:0");
}

/* A row that cannot be classified is a failure of its own; the others get results. */
static void test_failures(void **state) {
    (void)state;
    FILE *f = fopen(scratch_path("bad.tsv"), "w");
    fputs("label\ttext\n1\tad ae\n0\t", f);
    for (int i = 0; i < 60; i++) fputs("ad ", f);
    fputs("\n-\taf\n", f);
    fclose(f);
    BATCH(THOR_INPUT, scratch_path("bad.tsv"), scratch_path("bad"), "--approx");
    assert_non_null(strstr(thor.out, "2 done, 1 failed, 0 missing"));
    assert_non_null(strstr(thor.err, "summary.json"));
    assert_int_equal(count_whole(scratch_path("bad"), 3), 2);
    assert_int_equal(count_files(scratch_path("bad"), 3, "failure.json"), 1);
    assert_int_equal((int)summary(scratch_path("bad"), "failed"), 1);
    assert_int_equal((int)summary(scratch_path("bad"), "labelled"), 1);
}

static uint32_t dice(void) {
    static uint32_t s = 2463534242u;
    s ^= s << 13, s ^= s >> 17, s ^= s << 5;
    return s;
}

/* Kill the batch (and with it its workers) again and again: what was finished stays as it was. */
static void kill_and_resume(const char *name, int kills, int most_ms, const char *const *extra,
                            int rows) {
    char to[900];
    snprintf(to, sizeof to, "%s", scratch_path(name));
    for (int k = 0; k < kills; k++) {
        pid_t pid = start_batch(scratch_path("m/texts.tsv"), to, extra);
        usleep(1000 * (5 + dice() % (uint32_t)most_ms));
        kill(pid, SIGKILL);
        program_finish(pid);
        usleep(20000); // the worker hears of it
        char **before = calloc((size_t)rows, sizeof *before);
        assert_non_null(before);
        count_whole(to, rows);
        for (int i = 0; i < rows; i++) before[i] = read_row(to, i);
        if (k % 3 == 2 || k + 1 == kills) batch(THOR_OK, scratch_path("m/texts.tsv"), to, extra);
        for (int i = 0; i < rows; i++) {
            char *now = before[i] ? read_row(to, i) : NULL;
            if (before[i]) assert_string_equal(now, before[i]);
            free(now);
            free(before[i]);
        }
        free(before);
    }
    assert_int_equal(count_whole(to, rows), rows);
    assert_int_equal(count_files(to, rows, ".thor-"), 0);
    assert_int_equal((int)summary(to, "missing"), 0);
}

static void test_kills(void **state) {
    static const char *const extra[] = {"--approx", "--threads", "2", NULL};
    char to[16];
    (void)state;
    // a fresh folder every three kills
    for (int k = 0, all = dose("THOR_KILLS", 12); k < all; k += 3) {
        snprintf(to, sizeof to, "kill%d", k);
        kill_and_resume(to, 3, 400, extra, ROWS);
    }
}

static void test_kills_under_encryption(void **state) {
    static const char *extra[] = {"--keys", NULL, "--insecure-test-params", "toy12", "--end-idx",
                                  "1",      NULL};
    static char keys[900];
    (void)state;
    if (dose_small()) skip(); // minutes under the sanitizers
    snprintf(keys, sizeof keys, "%s", scratch_path("k"));
    extra[1] = keys;
    const char *argv[] = {
        thor.path, "keygen", "--model", scratch_path("m"), "--out", keys, "--insecure-test-params",
        "toy12",   NULL};
    assert_int_equal(program_finish(program_start(argv, 0)), THOR_OK);
    kill_and_resume("he", dose("THOR_TOY_KILLS", 1), 12000, extra, 2);
    assert_true(summary(scratch_path("he"), "worst_logit_error") < 0.2);
    assert_true(summary(scratch_path("he"), "agreement") == 1);
}

/* The process below `pid`, 0 when there is none yet. */
static pid_t child_of(pid_t pid) {
    char path[64];
    int child = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "r");
    if (f && fscanf(f, "%d", &child) != 1) child = 0;
    if (f) fclose(f);
    return child;
}

/* SIGINT: exit code 9, a summary of what there is, no worker left, and the same command goes on. */
static void test_interrupt(void **state) {
    (void)state;
    char to[900];
    snprintf(to, sizeof to, "%s", scratch_path("int"));
    pid_t pid = start_batch(scratch_path("m/texts.tsv"), to,
                            (const char *const[]){"--insecure-test-params", "toy12", NULL}),
          worker = 0;
    for (int i = 0; i < 3000 && !worker; i++, usleep(10000)) worker = child_of(pid);
    assert_true(worker > 0);
    usleep(300000);
    kill(pid, SIGINT);
    assert_int_equal(program_finish(pid), THOR_INTERRUPTED);
    assert_non_null(strstr(thor.err, "thor batch: interrupted; the same command goes on"));
    assert_int_equal((int)summary(to, "missing") + (int)summary(to, "done"), ROWS);
    for (int i = 0; i < 100 && kill(worker, 0) == 0; i++) usleep(20000);
    assert_int_not_equal(kill(worker, 0), 0);
}

/* A killed worker before its first row is an error, not a loop. */
static void test_killed_worker(void **state) {
    (void)state;
    pid_t pid = start_batch(scratch_path("m/texts.tsv"), scratch_path("dead"),
                            (const char *const[]){"--insecure-test-params", "toy12", NULL}),
          worker = 0;
    for (int i = 0; i < 30000 && !worker; i++, usleep(1000)) worker = child_of(pid);
    assert_true(worker > 0);
    kill(worker, SIGKILL);
    assert_int_equal(program_finish(pid), THOR_INTERNAL);
    assert_non_null(strstr(thor.err, "killed by signal 9"));
}

/* A worker killed over a row: the row fails, another worker goes on, and the next run makes up for
 * it. */
static void test_killed_over_a_row(void **state) {
    char to[900], keys[900];
    (void)state;
    if (dose_small()) skip(); // minutes under the sanitizers
    snprintf(to, sizeof to, "%s", scratch_path("row"));
    snprintf(keys, sizeof keys, "%s", scratch_path("k"));
    const char *const extra[] = {"--keys", keys, "--insecure-test-params", "toy12", "--end-idx",
                                 "2",      NULL};
    pid_t pid = start_batch(scratch_path("m/texts.tsv"), to, extra);
    for (int i = 0; i < 60000 && !count_whole(to, 1); i++) usleep(2000);
    usleep(100000);
    pid_t worker = child_of(pid);
    assert_true(worker > 0);
    kill(worker, SIGKILL);
    assert_int_equal(program_finish(pid), THOR_INTERNAL);
    assert_non_null(strstr(thor.out, "2 done, 1 failed, 0 missing"));
    assert_non_null(strstr(thor.out, "killed by signal 9"));
    batch(THOR_OK, scratch_path("m/texts.tsv"), to, extra);
    assert_non_null(strstr(thor.out, "3 done, 0 failed, 0 missing"));
    assert_int_equal(count_files(to, 3, "failure.json"), 0);
}

static void test_two_at_once(void **state) {
    (void)state;
    int lock = open(scratch_path("part"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
    BATCH(THOR_IO, scratch_path("m/texts.tsv"), scratch_path("part"), "--approx");
    assert_non_null(strstr(thor.err, "another batch"));
    close(lock);
}

static void test_ranks(void **state) {
    (void)state;
    const char *alone[MAX_ARGS];
    setenv("ASAN_OPTIONS", "detect_leaks=0", 1); // the libraries of MPI keep what they have
    batch_args(alone, scratch_path("m/texts.tsv"), scratch_path("ranks"),
               (const char *const[]){"--approx", "--mpi", NULL});
    const int code = program_finish(program_start(alone, 0));
    if (code == THOR_USAGE && strstr(thor.err, "without MPI")) {
        print_message("built without MPI: ranks are not tested\n");
        skip();
    }
    if (system("command -v mpirun >/dev/null 2>&1") != 0) {
        print_message("mpirun is not there: ranks are not tested\n");
        skip();
    }
    assert_int_equal(code, THOR_OK); // one rank
    const char *argv[MAX_ARGS + 8] = {"mpirun", "--allow-run-as-root", "--oversubscribe", "-n",
                                      "3"};
    batch_args(argv + 5, scratch_path("m/texts.tsv"), scratch_path("ranks3"),
               (const char *const[]){"--approx", "--mpi", "--threads", "1", NULL});
    if (program_finish(program_start(argv, 0)) != THOR_OK) fail_msg("%s%s", thor.err, thor.out);
    assert_int_equal(count_whole(scratch_path("ranks3"), ROWS), ROWS);
    for (int i = 0; i < ROWS; i += 3) write_row(scratch_path("ranks3"), i, "{");
    if (program_finish(program_start(argv, 0)) != THOR_OK) fail_msg("%s%s", thor.err, thor.out);
    assert_non_null(strstr(thor.out, "26 of 40 rows have a result already"));
    assert_int_equal(count_whole(scratch_path("ranks3"), ROWS), ROWS);
    for (int i = 0; i < ROWS; i++) { // the same results, whoever made them
        char *a = read_row(scratch_path("ranks3"), i), *b = read_row(scratch_path("ranks"), i);
        json_t *x = json_loads(a, 0, NULL), *y = json_loads(b, 0, NULL);
        assert_true(json_equal(json_object_get(x, "he_logits"), json_object_get(y, "he_logits")));
        json_decref(x);
        json_decref(y);
        free(a);
        free(b);
    }
    unsetenv("ASAN_OPTIONS");
}

static int prepare(void **state) {
    if (scratch_open(state) || mkdir(scratch_path("m"), 0777)) return -1;
    toyfolder_write(scratch_path("m"), ROWS);
    const char *argv[] = {thor.path,         "encode",      "--model",
                          scratch_path("m"), "--calibrate", scratch_path("m/texts.tsv"),
                          "--tokens",        "32",          NULL};
    return program_finish(program_start(argv, 0));
}

int main(int argc, char **argv) {
    (void)argc;
    if (!program_find(argv[0])) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_table),
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_as_forward),
        cmocka_unit_test(test_torn_results),
        cmocka_unit_test(test_other_runs_are_kept_apart),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_kills),
        cmocka_unit_test(test_interrupt),
        cmocka_unit_test(test_killed_worker),
        cmocka_unit_test(test_two_at_once),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_kills_under_encryption),
        cmocka_unit_test(test_killed_over_a_row),
    };
    return cmocka_run_group_tests(tests, prepare, scratch_close);
}
