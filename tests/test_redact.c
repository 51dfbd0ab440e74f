/* What is taken out of texts, and what stays: forms, scripts, the edges of words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "split/redact.h"

static struct split_names *names;

static int read_names(void **state) {
    (void)state;
    char list[] =
        "# patients\nAna\nAna de la Cruz\nJosé\n\n  O'Brien \r\nJean-Luc\nMüller\nStraße\n"
        "王小明\nΣωκράτης\nLi\nEin  Wort\nМария\n";
    return split_names_parse(&names, list, "list") != THOR_OK;
}

static int drop_names(void **state) {
    (void)state;
    split_names_free(names);
    return 0;
}

static void becomes(const char *text, const char *want, unsigned kinds) {
    struct split_redaction r;
    if (split_redact(&r, text, names, kinds) != THOR_OK) fail_msg("%s: refused", text);
    if (strcmp(r.text, want) != 0) fail_msg("'%s' became '%s', not '%s'", text, r.text, want);
    split_redaction_free(&r);
}

struct pair {
    const char *text, *want;
};

static void all(const struct pair *pairs, int n) {
    for (int i = 0; i < n; i++) becomes(pairs[i].text, pairs[i].want, SPLIT_ALL_KINDS);
}
#define ALL(pairs) all(pairs, (int)(sizeof(pairs) / sizeof(pairs)[0]))

static void names_in_every_spelling(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"Ana came.", "[NAME] came."},
        {"ANA, ana; (Ana)", "[NAME], [NAME]; ([NAME])"},
        {"Anatomy of Diana and banana", "Anatomy of Diana and banana"},
        {"Ana de la Cruz y Ana", "[NAME] y [NAME]"}, // the longest
        {"Ana  de\nla\tCruz", "[NAME]"},
        {"Jose, JOSÉ, Jose\xcc\x81!", "[NAME], [NAME], [NAME]!"}, // e + U+0301
        {"Jo\xe2\x80\x8bs\xc2\xad\xc3\xa9 left", "[NAME] left"},  // zero-width space, soft hyphen
        {"O\xe2\x80\x99"
         "Brien's chart",
         "[NAME]'s chart"},                // U+2019
        {"Jean\xe2\x80\x91Luc", "[NAME]"}, // U+2011, a hyphen
        {"MUELLER, Muller, M\xc3\x9cLLER", "MUELLER, [NAME], [NAME]"},
        {"STRASSE strasse Stra\xc3\x9f"
         "e Strass",
         "[NAME] [NAME] [NAME] Strass"},
        {"\xef\xbc\xa1\xef\xbd\x8e\xef\xbd\x81", "[NAME]"}, // full width
        {"患者王小明来了", "患者[NAME]来了"},
        {"ΣΩΚΡΆΤΗΣ και σωκράτης", "[NAME] και [NAME]"},
        {"мария и Мариям", "[NAME] и Мариям"},
        {"Li-ion, Lithium, Li.", "[NAME]-ion, Lithium, [NAME]."},
        {"ein wort", "[NAME]"},
        {"", ""},
    };
    ALL(pairs);
}

static void mail_and_links(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"write to ana.cruz+x@mail.example.org.", "write to [EMAIL]."},
        {"<a@b.de>,c@d.co.uk;", "<[EMAIL]>,[EMAIL];"},
        {"'o'neil@x.org' é@é.fr", "'[EMAIL]' [EMAIL]"},
        {"me@localhost or @ana", "me@localhost or @[NAME]"},
        {"a @ b.de", "a @ b.de"},
        {"see https://x.org/p?id=5&n=ana, www.y.de.", "see [LINK], [LINK]."},
        {"http stays", "http stays"},
        {"host 10.0.0.255 up", "host [ID] up"},
    };
    ALL(pairs);
}

static void dates(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"on 2024-01-31.", "on [DATE]."},
        {"31.1.2024, 1/31/24, 3/2024", "[DATE], [DATE], [DATE]"},
        {"2024-01-31T10:30:00Z x", "[DATE] x"},
        {"31.01.2024, 9:05 Uhr", "[DATE] Uhr"},
        {"January 31, 2024; 31st of January", "[DATE]; [DATE]"},
        {"31 Jan 2024, Jan. 2024, May 5th", "[DATE], [DATE], [DATE]"},
        {"31. März 2024 und 3 de mayo de 2020", "[DATE] und [DATE]"},
        {"1er février 1999", "[DATE]"},
        {"you may go; March on", "you may go; March on"},
        {"99/99/2024 3/4 1.2.3.4.5", "[NUMBER] [NUMBER] [NUMBER]"},
        {"3/2024/", "[DATE]/"},
        {"２０２４－０１－３１", "[DATE]"}, // full width
        {"٢٠٢٤-٠١-٣١", "[DATE]"},
    };
    ALL(pairs);
}

static void telephones(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"+49 170 1234567.", "[PHONE]."},
        {"call (030) 12345-67 now", "call [PHONE] now"},
        {"0049-30-123456, 030/1234567", "[PHONE], [PHONE]"},
        {"555-123-4567 or 1-800-555-0199 or 555-0199", "[PHONE] or [PHONE] or [PHONE]"},
        {"+1\xc2\xa0(555)\xc2\xa0"
         "123\xe2\x80\x93"
         "4567",
         "[PHONE]"}, // no-break spaces, a dash
        {"030 1234567. 25 came", "[PHONE]. [NUMBER] came"},
        {"+5 points, (12) items", "+[NUMBER] points, ([NUMBER]) items"},
        {"0.1234567", "[NUMBER]"},
    };
    ALL(pairs);
}

static void identifiers(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"IBAN DE89 3704 0044 0532 0130 00 and", "IBAN [ID] and"},
        {"GB82WEST12345698765432,", "[ID],"},
        {"DE89 3704 0044 0532 0130 01 x", "[ID] x"}, // a slip
        {"SSN 078-05-1120", "SSN [ID]"},
        {"4111 1111 1111 1111", "[ID]"},
        {"MRN 4711, MRN: A-17/3; patient id #0815", "MRN [ID], MRN: [ID]; patient id #[ID]"},
        {"Case No. 12/345 closed", "Case No. [ID] closed"},
        {"passport number C01X00T47", "passport number [ID]"},
        {"P1234567 and 123456789", "[ID] and [ID]"},
        {"B12, p53, covid-19, T1", "B12, p53, covid-[NUMBER], T1"},
        {"1000mg of 2.5ml", "[NUMBER]mg of [NUMBER]ml"},
    };
    ALL(pairs);
}

static void numbers(void **state) {
    (void)state;
    static const struct pair pairs[] = {
        {"5", "[NUMBER]"},
        {"1,234.5 of 10:30 or 120/80", "[NUMBER] of [NUMBER] or [NUMBER]"},
        {"-3 %, 7th.", "-[NUMBER] %, [NUMBER]th."},
        {"在5楼", "在[NUMBER]楼"},
        {"३४५", "[NUMBER]"},
        {"five", "five"},
    };
    ALL(pairs);
}

static void kinds_that_stay(void **state) {
    (void)state;
    const unsigned but_numbers = SPLIT_ALL_KINDS & ~(1u << SPLIT_NUMBER);
    becomes("Ana, 5 mg on 2024-01-31", "[NAME], 5 mg on [DATE]", but_numbers);
    becomes("Ana a@ana.de", "Ana [EMAIL]", 1u << SPLIT_EMAIL);
    becomes("Ana a@ana.de", "[NAME] a@ana.de", 1u << SPLIT_NAME); // no name inside an address
    becomes("Ana 5", "Ana 5", 0);
}

static void twice_is_once(void **state) {
    (void)state;
    const char *once = "[NAME] [DATE] [PHONE] [ID] [NUMBER] [EMAIL] [LINK]";
    becomes(once, once, SPLIT_ALL_KINDS);
}

/* A run without an end of a word is read once, not once a character. */
static void long_runs(void **state) {
    (void)state;
    enum { N = 100000 };
    char *text = malloc(3 * N + 1);
    for (int i = 0; i < N; i++) memcpy(text + 3 * i, "是", 3);
    text[3 * N] = 0;
    becomes(text, text, SPLIT_ALL_KINDS); // a minute if each ideograph counted those behind it
    free(text);
}

static void places(void **state) {
    (void)state;
    const char *text = "é Jose\xcc\x81 b 12";
    struct split_redaction r;
    assert_int_equal(split_redact(&r, text, names, SPLIT_ALL_KINDS), THOR_OK);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.found[0].kind, SPLIT_NAME);
    assert_int_equal(r.found[0].at, 3);
    assert_int_equal(r.found[0].bytes, 6); // the accent too
    assert_int_equal(r.found[1].at, 12);
    assert_int_equal(r.found[1].bytes, 2);
    assert_int_equal(r.count[SPLIT_NAME], 1);
    assert_int_equal(r.count[SPLIT_NUMBER], 1);
    split_redaction_free(&r);
}

static void bad_texts(void **state) {
    (void)state;
    struct split_redaction r;
    struct split_names *none;
    char empty[] = "# nothing\n\n", bytes[] = "Ana\n\xff\n";
    assert_int_equal(split_redact(&r, "a\xff", names, SPLIT_ALL_KINDS), THOR_INPUT);
    assert_null(r.text);
    assert_int_equal(split_names_parse(&none, empty, "x"), THOR_INPUT);
    assert_int_equal(split_names_parse(&none, bytes, "x"), THOR_INPUT);
    assert_int_equal(split_names_load(&none, "/nonexistent/list"), THOR_INPUT);
    assert_null(none);
}

/* Texts made of the pieces that forms look for: nothing is read beyond the end (under the
 * sanitizers), what stands outside of the places found is there byte for byte. */
static void any_text(void **state) {
    (void)state;
    static const char *const piece[] = {"1",       "23", "456", "7890", "2024", "-", ".",  "/",
                                        " ",       "+",  "(",   ")",    "@",    "a", "de", "may",
                                        "id",      "no", ":",   ",",    "ana",  "é", "王", "www.",
                                        "http://", "t",  "z",   "st",   "'"};
    uint32_t x = 12345;
    for (int round = 0; round < 20000; round++) {
        char text[64] = "";
        struct split_redaction r;
        for (int k = 0; k < 7; k++) {
            x = x * 1664525 + 1013904223;
            strcat(text, piece[(x >> 8) % (sizeof piece / sizeof piece[0])]);
        }
        char *exact = strdup(text);
        assert_int_equal(split_redact(&r, exact, names, SPLIT_ALL_KINDS), THOR_OK);
        size_t from = 0;
        const char *out = r.text;
        for (int i = 0; i < r.n; i++) {
            assert_true(r.found[i].at >= from && r.found[i].bytes > 0);
            assert_memory_equal(out, exact + from, r.found[i].at - from);
            out += r.found[i].at - from;
            assert_true(*out == '[');
            out = strchr(out, ']') + 1;
            from = r.found[i].at + r.found[i].bytes;
        }
        assert_string_equal(out, exact + from);
        split_redaction_free(&r);
        free(exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_every_spelling),
        cmocka_unit_test(mail_and_links),
        cmocka_unit_test(dates),
        cmocka_unit_test(telephones),
        cmocka_unit_test(identifiers),
        cmocka_unit_test(numbers),
        cmocka_unit_test(kinds_that_stay),
        cmocka_unit_test(twice_is_once),
        cmocka_unit_test(long_runs),
        cmocka_unit_test(places),
        cmocka_unit_test(bad_texts),
        cmocka_unit_test(any_text),
    };
    return cmocka_run_group_tests(tests, read_names, drop_names);
}
