/* The program from outside at a toy ring: calibration, keys, an encrypted text, damaged files,
 * signals, full disks. What needs no encryption is in cli.sh. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kernels/status.h"
#include "tests/program.h"
#include "tests/scratch.h"
#include "tests/toyfolder.h"

#define SET "--insecure-test-params", "toy12"
enum { TEXTS = 60 };

/* Run to the end; shows both outputs when the exit code is another. */
static void expect(int code, const char *const *args) {
    int got = program_finish(program_start(args, 0));
    if (got != code) print_error("%s", thor.err), print_error("%s", thor.out);
    assert_int_equal(got, code);
    if (code == THOR_OK) return;
    const char *line = strstr(thor.err, "thor ");
    assert_non_null(line);
    assert_true(strlen(line) > 20);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1); // one line, the last
}

#define EXPECT(code, ...) expect(code, (const char *const[]){thor.path, __VA_ARGS__, NULL})

static int files_in(const char *name) {
    int n = 0;
    DIR *d = opendir(scratch_path(name));
    if (!d) return 0;
    for (struct dirent *e = readdir(d); e; e = readdir(d))
        n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
    closedir(d);
    return n;
}

static int rights(const char *name) {
    struct stat s;
    assert_int_equal(stat(scratch_path(name), &s), 0);
    return (int)(s.st_mode & 0777);
}

/* Flip one bit of the byte at `at` (from the end when negative). */
static void flip(const char *name, long at) {
    FILE *f = fopen(scratch_path(name), "r+");
    assert_non_null(f);
    assert_int_equal(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    int c = fgetc(f);
    assert_int_equal(fseek(f, -1, SEEK_CUR), 0);
    fputc(c ^ 4, f);
    assert_int_equal(fclose(f), 0);
}

/* ---- the tests, in order: later ones use the model and the keys of earlier ones ---- */

static void calibrates(void **state) {
    (void)state;
    EXPECT(THOR_OK, "encode", "--model", scratch_path("m"), "--calibrate",
           scratch_path("m/texts.tsv"), "--tokens", "32");
    assert_non_null(strstr(thor.out, "bootstraps:"));
    EXPECT(THOR_INPUT, "encode", "--model", scratch_path("m"), "--calibrate",
           scratch_path("none.tsv"));
    EXPECT(THOR_OK, "info", "--plan", scratch_path("m"));
    EXPECT(THOR_OK, "info", scratch_path("m/weights.thor"), "--json");
    assert_non_null(strstr(thor.out, "\"hidden\": 48"));
    EXPECT(THOR_OK, "encode", "--model", scratch_path("m"), "--out", scratch_path("w"));
    // still there
    EXPECT(THOR_USAGE, "encode", "--model", scratch_path("m"), "--out",
           scratch_path("m/model.safetensors"));
    EXPECT(THOR_OK, "forward", "--model", scratch_path("m"), "--weights", scratch_path("w"),
           "--text", "ad", "--approx");
    flip("m/model.safetensors", -9);
    EXPECT(THOR_MODEL, "forward", "--model", scratch_path("m"), "--weights", scratch_path("w"),
           "--text", "ad", "--approx");
    assert_non_null(strstr(thor.err, "other weights"));
    flip("m/model.safetensors", -9);
    flip("w", 2000);
    EXPECT(THOR_MODEL, "info", scratch_path("w"));
    EXPECT(THOR_MODEL, "forward", "--model", scratch_path("m"), "--weights", scratch_path("w"),
           "--text", "ad", "--approx");
}

static void makes_keys(void **state) {
    (void)state;
    EXPECT(THOR_USAGE, "keygen", "--out", scratch_path("k"), "--model", scratch_path("m"),
           "--insecure-test-params", "toy1");
    EXPECT(THOR_OK, "keygen", "--out", scratch_path("k"), "--model", scratch_path("m"), SET);
    assert_non_null(strstr(thor.err, "WARNING"));
    assert_int_equal(files_in("k"), 3);
    assert_int_equal(rights("k/secret.key"), 0600);
    // never over old keys
    EXPECT(THOR_IO, "keygen", "--out", scratch_path("k"), "--model", scratch_path("m"), SET);
    EXPECT(THOR_OK, "info", "--json", scratch_path("k/eval.key"));
    assert_non_null(strstr(thor.out, "toy12"));
}

static double number(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    if (!json_is_number(v)) fail_msg("result.json: no number %s", key);
    return json_number_value(v);
}

static void check_result(const json_t *o) {
    static const char *const seconds[] = {"keygen", "encode", "compute", "total"};
    assert_string_equal(json_string_value(json_object_get(o, "dataset_type")), "sst2");
    assert_string_equal(json_string_value(json_object_get(o, "device")), "cpu");
    assert_string_equal(json_string_value(json_object_get(o, "key_size")), "full");
    assert_true(json_is_false(json_object_get(o, "compact")));
    assert_int_equal((int)number(o, "target_idx"), 3);
    assert_int_equal((int)number(o, "label"), 1);
    assert_int_equal((int)number(o, "pred"), (int)number(o, "plain_pred"));
    double worst = 0;
    for (size_t i = 0; i < 2; i++)
        worst = fmax(
            worst, fabs(json_number_value(json_array_get(json_object_get(o, "he_logits"), i)) -
                        json_number_value(json_array_get(json_object_get(o, "plain_logits"), i))));
    assert_true(fabs(worst - number(o, "max_abs_error")) < 1e-6);
    // the plan's polynomials leave about 0.02, a wrong ciphertext leaves 1 and more
    assert_true(worst < 0.2);
    assert_int_equal((int)number(json_object_get(o, "params"), "log_n"), 12);
    assert_int_equal((int)number(json_object_get(o, "params"), "security_bits"), 0);
    for (int i = 0; i < 4; i++) assert_true(number(json_object_get(o, "seconds"), seconds[i]) >= 0);
    assert_true(number(o, "peak_rss_mib") > 10);
}

/* result.json and, where gnuplot is, a picture of each of two layers and of the head. */
static void check_plots(const char *folder) {
    static const char *const name[] = {"layer-00.png", "layer-01.png", "head.png"};
    char path[64], begins[8];
    if (system("command -v gnuplot >/dev/null 2>&1") != 0) {
        assert_int_equal(files_in(folder), 1);
        return;
    }
    assert_int_equal(files_in(folder), 4);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, name[i]);
        FILE *f = fopen(scratch_path(path), "r");
        assert_non_null(f);
        assert_int_equal(fread(begins, 1, sizeof begins, f), sizeof begins);
        assert_memory_equal(begins, "\x89PNG\r\n\x1a\n", 8);
        assert_int_equal(fseek(f, 0, SEEK_END), 0);
        assert_true(ftell(f) > 5000); // an empty picture has less
        fclose(f);
    }
}

static void classifies(void **state) {
    (void)state;
    EXPECT(THOR_OK, "forward", "--model", scratch_path("m"), "--data", scratch_path("m/texts.tsv"),
           "--index", "3", "--keys", scratch_path("k"), "--weights", scratch_path("m/weights.thor"),
           "--json", "--compare", "--output-dir", scratch_path("r"), SET);
    json_t *o = json_loads(thor.out, 0, NULL); // nothing but the object on stdout
    assert_non_null(o);
    check_result(o);
    json_decref(o);
    check_plots("r");
    o = json_load_file(scratch_path("r/result.json"), 0, NULL);
    assert_non_null(o);
    check_result(o);
    json_decref(o);
}

static void does_without_gnuplot(void **state) {
    (void)state;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    EXPECT(THOR_OK, "forward", "--model", scratch_path("m"), "--text", "ad", "--keys",
           scratch_path("k"), "--output-dir", scratch_path("np"), SET);
    setenv("PATH", path, 1);
    free(path);
    const char *line = strstr(thor.err, "plots skipped: gnuplot");
    assert_non_null(line);
    assert_null(strstr(line + 1, "plots skipped"));
    assert_null(strstr(thor.out, "tensor")); // the errors are --compare's
    assert_int_equal(files_in("np"), 1);
}

static void refuses_toy_keys(void **state) {
    (void)state;
    EXPECT(THOR_KEY, "forward", "--model", scratch_path("m"), "--text", "ad", "--keys",
           scratch_path("k"));
    assert_non_null(strstr(thor.err, "insecure"));
    EXPECT(THOR_KEY, "forward", "--model", scratch_path("m"), "--text", "ad", "--keys",
           scratch_path("k"), "--insecure-test-params", "toy13");
}

static void refuses_damaged_keys(void **state) {
    (void)state;
    static const char *const name[] = {"k/secret.key", "k/public.key", "k/eval.key"};
    static const long at[] = {5, 40, 1000, -1};
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            flip(name[i], at[j]);
            EXPECT(THOR_KEY, "forward", "--model", scratch_path("m"), "--text", "ad", "--keys",
                   scratch_path("k"), SET);
            assert_non_null(strstr(thor.err, name[i] + 2));
            flip(name[i], at[j]);
        }
    assert_int_equal(truncate(scratch_path("k/public.key"), 5000), 0);
    EXPECT(THOR_KEY, "forward", "--model", scratch_path("m"), "--text", "ad", "--keys",
           scratch_path("k"), SET);
}

static void full_disk_leaves_nothing(void **state) {
    (void)state;
    const char *args[] = {thor.path, "keygen",          "--out", scratch_path("full"),
                          "--model", scratch_path("m"), SET,     NULL};
    assert_int_equal(program_finish(program_start(args, 10000000)), THOR_IO);
    assert_non_null(strstr(thor.err, "thor keygen: "));
    assert_int_equal(files_in("full"), 0);
}

static void signals_end_cleanly(void **state) {
    (void)state;
    const char *args[] = {
        thor.path,   "forward", "--model",      scratch_path("m"),    "--text", "ad",
        "--threads", "1",       "--output-dir", scratch_path("stop"), SET,      NULL};
    pid_t pid = program_start(args, 0);
    usleep(700000);
    assert_int_equal(kill(pid, SIGINT), 0);
    assert_int_equal(program_finish(pid), THOR_INTERRUPTED);
    assert_int_equal(files_in("stop"), 0);
}

static int prepare(void **state) {
    if (scratch_open(state) || mkdir(scratch_path("m"), 0777)) return -1;
    toyfolder_write(scratch_path("m"), TEXTS);
    return 0;
}

int main(int argc, char **argv) {
    (void)argc;
    if (!program_find(argv[0])) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibrates),
        cmocka_unit_test(makes_keys),
        cmocka_unit_test(classifies),
        cmocka_unit_test(does_without_gnuplot),
        cmocka_unit_test(refuses_toy_keys),
        cmocka_unit_test(refuses_damaged_keys),
        cmocka_unit_test(full_disk_leaves_nothing),
        cmocka_unit_test(signals_end_cleanly),
    };
    return cmocka_run_group_tests(tests, prepare, scratch_close);
}
