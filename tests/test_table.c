/* Labelled tables: the three layouts, and each kind of bad row by its line number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bert/table.h"
#include "tests/scratch.h"

#define MRPC "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"

static int load_bytes(struct bert_table **t, const char *bytes, size_t n) {
    scratch_write("table.tsv", bytes, n, 0600);
    return bert_table_load(t, scratch_path("table.tsv"));
}

struct row {
    int label, line;
    const char *text, *text2;
};

static void expect(const char *file, int n, const struct row *want) {
    struct bert_table *t = NULL;
    assert_int_equal(load_bytes(&t, file, strlen(file)), THOR_OK);
    assert_int_equal(t->n, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(t->row[i].label, want[i].label);
        assert_int_equal(t->row[i].line, want[i].line);
        assert_string_equal(t->row[i].text, want[i].text);
        assert_int_equal(t->row[i].text2 == NULL, want[i].text2 == NULL);
        if (want[i].text2)
            assert_string_equal(t->row[i].text2, want[i].text2);
    }
    bert_table_free(t);
}

static void test_layouts(void **state) {
    (void)state;
    expect("\xef\xbb\xbf" MRPC "1\t702\t703\tHe said \"no\tShe\r\n0\t-\t-\tone\t\n", 2,
           (struct row[]){{1, 2, "He said \"no", "She"}, {0, 3, "one", NULL}});
    expect("sentence\tlabel\r\ngood film\t1\r\nbad\t-1", 2,
           (struct row[]){{1, 2, "good film", NULL}, {-1, 3, "bad", NULL}});
    expect("label\ttext\n0\tbad\n-\tgood\n", 2,
           (struct row[]){{0, 2, "bad", NULL}, {-1, 3, "good", NULL}});
    expect("label\ttext\ttext2\n7\ta\tb\n", 1, (struct row[]){{7, 2, "a", "b"}});
    expect("1\tgood\n0\tbad\n", 2, (struct row[]){{1, 1, "good", NULL}, {0, 2, "bad", NULL}});
    expect("-1\ta\tb\n", 1, (struct row[]){{-1, 1, "a", "b"}});
}

static void refuse_bytes(const char *file, size_t n, const char *says) {
    struct bert_table *t = NULL;
    assert_int_equal(load_bytes(&t, file, n), THOR_INPUT);
    assert_null(t);
    if (!strstr(thor_error(), says))
        fail_msg("\"%s\" does not say \"%s\"", thor_error(), says);
}

static void refuse(const char *file, const char *says) {
    refuse_bytes(file, strlen(file), says);
}

static void test_refusals(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    refuse("", "empty");
    refuse("label\ttext\n", "no row");
    refuse("just some text\n", "line 1: is no known header");
    refuse("good\t1\n", "line 1: is no known header");
    refuse("12345\ttext\n", "line 1: is no known header");
    refuse("1\tgood\n0\tbad\textra\n", "line 2: must have 2 fields");
    refuse(MRPC "1\ta\tb\tc\n", "line 2: must have 5 fields");
    refuse(MRPC "1\ta\tb\tc\td\te\tf\tg\n", "line 2: must have 5 fields");
    refuse("1\tgood\n8\tbad\n", "line 2: the label \"8\"");
    refuse("1\tgood\nyes\tbad\n", "line 2: the label \"yes\"");
    refuse("1\tgood\n\tbad\n", "line 2: the label \"\"");
    refuse("1\tgood\n\n0\tbad\n", "line 2: is empty");
    refuse("1\tgood\n0\t\n", "line 2: a text is empty");
    refuse("1\ta\tb\n0\tc\t\n", "line 2: a text is empty");
    refuse("1\tgood\n0\tb\xe9te\n", "line 2: is not UTF-8");
    refuse_bytes("1\tgood\n0\tb\0d\n", 14, "line 2: is not UTF-8");
    assert_int_equal(bert_table_load(&t, scratch_path("absent.tsv")), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "absent.tsv"));
    assert_int_equal(bert_table_load(&t, "tests"), THOR_INPUT); // a folder
    bert_table_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts),
                                       cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
