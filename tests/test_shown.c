/* Text of others on a terminal: what stays, what is escaped, in messages too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/shown.h"
#include "kernels/status.h"

static const struct {
    const char *text, *want;
} cases[] = {
    {"", ""},
    {"plain ~ \\n", "plain ~ \\n"},
    {"na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80 \xc2\xa0",
     "na\xc3\xafve \xe6\x97\xa5 \xf0\x9f\x98\x80 \xc2\xa0"},
    {"a\x1b[2Jb\x7f", "a\\u001b[2Jb\\u007f"},
    {"a\nb\rc\td", "a\\u000ab\\u000dc\\u0009d"},
    {"c1 \xc2\x9b"
     "31m \xc2\x85",
     "c1 \\u009b31m \\u0085"},
    {"x\xe2\x80\xaetxt.exe", "x\\u202etxt.exe"},
    {"\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xa8\xe2\x80\x8f\xd8\x9c",
     "\\u2066\\u2069\\u2028\\u200f\\u061c"},
    {"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5", "\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5"}, // beside them
    {"\x9b\xff\xc0\x80\xed\xa0\x80\xf4\x90\x80\x80",
     "\\x9b\\xff\\xc0\\x80\\xed\\xa0\\x80\\xf4\\x90\\x80\\x80"},
    {"cut \xe6\x97", "cut \\xe6\\x97"},
};

static void escapes(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(shown(cases[i].text), cases[i].want);
    const char *a = shown("a"), *b = shown("b\n"), *c = shown("c"), *d = shown("d");
    assert_string_equal(a, "a");
    assert_string_equal(b, "b\\u000a");
    assert_string_equal(c, "c");
    assert_string_equal(d, "d");
}

static void cuts_no_character(void **state) {
    (void)state;
    char out[8];
    assert_string_equal(shown_in(out, 8, "123456\n"), "123456");
    assert_string_equal(shown_in(out, 8, "12345\xe6\x97\xa5"), "12345");
    assert_string_equal(shown_in(out, 8, "1234\xe6\x97\xa5"), "1234\xe6\x97\xa5");
    assert_string_equal(shown_in(out, 8, "1\n"), "1\\u000a");
}

static void streams(void **state) {
    (void)state;
    char text[64] = {0};
    FILE *f = fmemopen(text, sizeof text, "w");
    assert_non_null(f);
    shown_put(f, "a\x1b]0;t\x07 \xe6\x97\xa5\n");
    fclose(f);
    assert_string_equal(text, "a\\u001b]0;t\\u0007 \xe6\x97\xa5\\u000a");
}

static void messages(void **state) {
    (void)state;
    char longest[2000];
    assert_int_equal(thor_fail(THOR_IO, "%s: no", "a\nthor: \xe2\x80\xae\xc2\x9b\xe6\x97\xa5"),
                     THOR_IO);
    assert_string_equal(thor_error(), "a\\u000athor: \\u202e\\u009b\xe6\x97\xa5: no");
    assert_int_equal(thor_fail_in(THOR_KEY, "row\n\x1b"), THOR_KEY);
    assert_string_equal(thor_error(),
                        "row\\u000a\\u001b: a\\u000athor: \\u202e\\u009b\xe6\x97\xa5: no");
    memset(longest, '\n', sizeof longest - 1);
    longest[sizeof longest - 1] = 0;
    thor_fail(THOR_IO, "%s", longest);
    assert_int_equal(strlen(thor_error()) % 6, 0);
    assert_true(strlen(thor_error()) > 490 && strlen(thor_error()) < 512);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(escapes),
        cmocka_unit_test(cuts_no_character),
        cmocka_unit_test(streams),
        cmocka_unit_test(messages),
    };
    return cmocka_run_group_tests_name("shown", tests, NULL, NULL);
}
