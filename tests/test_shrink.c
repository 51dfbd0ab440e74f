/* Files that become shorter while they are read: one line and a status, where a mapping would end
 * the program by SIGBUS. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "bert/input/readfile.h"
#include "bert/input/safetensors.h"
#include "tests/keyfiles.h"
#include "tests/scratch.h"

#define OK(x) assert_int_equal((x), THOR_OK)

static void assert_shrunk(int st, int code, const char *name) {
    assert_int_equal(st, code);
    assert_non_null(strstr(thor_error(), name));
    assert_non_null(strstr(thor_error(), "shorter"));
}

static void tensors(void **state) {
    (void)state;
    enum { ROWS = 64, COLS = 4096 };
    static const char head[] =
        "{\"t\":{\"dtype\":\"F32\",\"shape\":[64,4096],\"data_offsets\":[0,1048576]}}";
    const uint64_t length = sizeof head - 1;
    const size_t bytes = 8 + sizeof head - 1 + ROWS * COLS * 4;
    uint8_t *file = calloc(1, bytes);
    float *w = malloc(ROWS * COLS * sizeof *w);
    uint64_t hash;
    struct bert_tensors *t;
    memcpy(file, &length, 8);
    memcpy(file + 8, head, sizeof head - 1);
    scratch_write("t", file, bytes, 0600);
    OK(bert_tensors_open(&t, scratch_path("t")));
    OK(bert_tensors_read(w, t, "t", ROWS, COLS));
    OK(bert_tensors_hash(&hash, t));
    OK(truncate(scratch_path("t"), 8000));
    assert_shrunk(bert_tensors_read(w, t, "t", ROWS, COLS), THOR_MODEL, "/t: ");
    assert_shrunk(bert_tensors_hash(&hash, t), THOR_MODEL, "/t: ");
    bert_tensors_close(t);
    free(w);
    free(file);
}

static void pieces(void **state) {
    (void)state;
    char text[8] = {0};
    struct bert_file f;
    scratch_write("p", "0123456789", 10, 0600);
    OK(bert_file_open(&f, scratch_path("p"), THOR_INPUT));
    OK(bert_file_read(&f, text, 4, 6));
    assert_memory_equal(text, "6789", 4);
    OK(truncate(scratch_path("p"), 8));
    assert_shrunk(bert_file_read(&f, text, 4, 6), THOR_INPUT, "/p: ");
    bert_file_close(&f);
}

static void keys(void **state) {
    (void)state;
    size_t bytes;
    uint8_t *small = keyfiles_small(CKKS_FILE_CIPHER, &bytes), *part;
    struct ckks_file_in *f;
    struct serial_head h;
    scratch_write("c", small, bytes, 0600);
    OK(ckks_file_open(&f, scratch_path("c"), CKKS_FILE_SHARED));
    OK(serial_read_head(&h, f, CKKS_FILE_CIPHER, kf.cx, 1));
    OK(truncate(scratch_path("c"), (off_t)bytes / 2));
    part = malloc(bytes);
    assert_shrunk(serial_read_part(f, &h, part, bytes / 2), THOR_KEY, "/c: ");
    free(part);
    serial_free(&h);
    ckks_file_close(&f);
    free(small);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors),
        cmocka_unit_test(pieces),
        cmocka_unit_test(keys),
    };
    return cmocka_run_group_tests_name("shrink", tests, keyfiles_open, keyfiles_close);
}
