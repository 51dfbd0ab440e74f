/* Labelled tables: the layouts of GLUE, columns by name, and each kind of bad row by its line
 * number. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "bert/input/table.h"
#include "tests/scratch.h"

#define MRPC "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"

static int load_bytes(struct bert_table **t, const char *bytes, size_t n) {
    scratch_write("table.tsv", bytes, n, 0600);
    return bert_table_load(t, scratch_path("table.tsv"), NULL);
}

struct row {
    int label, line;
    const char *text, *text2;
};

static void check(struct bert_table *t, int n, const struct row *want) {
    assert_int_equal(t->n, n);
    for (int i = 0; i < n; i++) {
        assert_int_equal(t->row[i].label, want[i].label);
        assert_int_equal(t->row[i].line, want[i].line);
        assert_string_equal(t->row[i].text, want[i].text);
        assert_int_equal(t->row[i].text2 == NULL, want[i].text2 == NULL);
        if (want[i].text2) assert_string_equal(t->row[i].text2, want[i].text2);
    }
    bert_table_free(t);
}

static void expect(const char *file, const char *kind, int n, const struct row *want) {
    struct bert_table *t = NULL;
    assert_int_equal(load_bytes(&t, file, strlen(file)), THOR_OK);
    assert_string_equal(t->kind, kind);
    check(t, n, want);
}

static void refuse_bytes(const char *file, size_t n, const char *says) {
    struct bert_table *t = NULL;
    assert_int_equal(load_bytes(&t, file, n), THOR_INPUT);
    assert_null(t);
    if (!strstr(thor_error(), says)) fail_msg("\"%s\" does not say \"%s\"", thor_error(), says);
}

static void refuse(const char *file, const char *says) {
    refuse_bytes(file, strlen(file), says);
}

static void test_layouts(void **state) {
    (void)state;
    expect("\xef\xbb\xbf" MRPC "1\t702\t703\tHe said \"no\tShe\r\n0\t-\t-\tone\t\n", "mrpc", 2,
           (struct row[]){{1, 2, "He said \"no", "She"}, {0, 3, "one", NULL}});
    expect("sentence\tlabel\r\ngood film\t1\r\nbad\t-1", "sst2", 2,
           (struct row[]){{1, 2, "good film", NULL}, {-1, 3, "bad", NULL}});
    expect("label\ttext\n0\tbad\n-\tgood\n", "sst2", 2,
           (struct row[]){{0, 2, "bad", NULL}, {-1, 3, "good", NULL}});
    expect("label\ttext\ttext2\n7\ta\tb\n", "mrpc", 1, (struct row[]){{7, 2, "a", "b"}});
    expect("1\tgood\n0\tbad\n", "sst2", 2,
           (struct row[]){{1, 1, "good", NULL}, {0, 2, "bad", NULL}});
    expect("-1\ta\tb\n", "mrpc", 1, (struct row[]){{-1, 1, "a", "b"}});
}

static void test_json_lines(void **state) {
    (void)state;
    expect("{\"target_idx\": 7, \"sentence1\": \"a \\\"b\\\"\", "
           "\"sentence2\": \"\\u00e9\\t\\ud83d\\ude00\", \"label\": 1}\n"
           "\n{\"sentence2\":\"d\",\"sentence1\":\"c\"}",
           "mrpc", 2,
           (struct row[]){{1, 1, "a \"b\"", "\xc3\xa9\t\xf0\x9f\x98\x80"}, {-1, 3, "c", "d"}});
    expect("{\"sentence\":\"s\",\"label\":-1}\n", "sst2", 1, (struct row[]){{-1, 1, "s", NULL}});
    expect("{not json\n", "text", 1, (struct row[]){{-1, 1, "{not json", NULL}}); // a line of text
    refuse("{\"sentence\":\"s\"}\n{\"sentence\":\n", "line 2: is no JSON");
    refuse("{\"sentence\":\"s\"}\n{\"title\":\"t\"}\n", "line 2: has no texts");
    refuse("{\"sentence\":\"s\",\"label\":1000}\n", "line 1: the label 1000");
    refuse("{\"sentence\":\"s\"}\n{\"sentence\":\"\"}\n", "line 2: a text is empty");
    refuse("{\"sentence\":\"s\"}\n{\"sentence\":\"a\\u0000b\"}\n", "line 2: is no JSON");
    refuse("{\"sentence\":\"s\"}\n{\"question\":\"a\",\"sentence\":\"b\"}\n",
           "line 2: has no texts");
}

/* The files of GLUE: train and dev with labels, test without; other columns are passed over. */
static void test_glue(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    expect("index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t1\t2\ta b\tc\n", "mrpc", 1,
           (struct row[]){{-1, 2, "a b", "c"}});
    expect("index\tsentence\n0\tuneasy mishmash \n", "sst2", 1,
           (struct row[]){{-1, 2, "uneasy mishmash ", NULL}});
    expect("index\tsentence1\tsentence2\n0\ta\tb\n", "rte", 1, (struct row[]){{-1, 2, "a", "b"}});
    expect(
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tmain\tMSR\t2012\t1\tnone\tnone\tA man \"x.\tA plane\t5.000\n",
        "stsb", 1, (struct row[]){{-1, 2, "A man \"x.", "A plane"}});
    expect("sentence1\tsentence2\tlabel\tidx\na\tb\t1\t0\n", "rte", 1,
           (struct row[]){{1, 2, "a", "b"}});
    expect("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\ta?\tb?\t0\n", "qqp", 1,
           (struct row[]){{0, 2, "a?", "b?"}});
    const char *qnli = "index\tquestion\tsentence\tlabel\n"
                       "0\twhen?\tthen\tentailment\n1\twho?\tme\tnot_entailment\n";
    expect(qnli, "qnli", 2, (struct row[]){{-1, 2, "when?", "then"}, {-1, 3, "who?", "me"}});
    assert_int_equal(load_bytes(&t, qnli, strlen(qnli)), THOR_OK);
    assert_string_equal(t->row[0].label_name, "entailment");
    assert_string_equal(t->row[1].label_name, "not_entailment");
    bert_table_free(t);
}

/* Labels of JSON lines: whole numbers however they are written, and names. */
static void test_json_labels(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    expect("{\"text\":\"a\",\"label\":\"12\"}\n{\"text\":\"b\",\"label\":0.0}\n"
           "{\"text\":\"c\",\"label\":null}\n{\"text\":\"d\",\"label\":\"-\"}\n",
           "sst2", 4,
           (struct row[]){
               {12, 1, "a", NULL}, {0, 2, "b", NULL}, {-1, 3, "c", NULL}, {-1, 4, "d", NULL}});
    const char *name = "{\"label\":\"positive\",\"sentence1\":\"a\",\"sentence2\":\"b\"}\n";
    assert_int_equal(load_bytes(&t, name, strlen(name)), THOR_OK);
    assert_string_equal(t->row[0].label_name, "positive");
    assert_string_equal(t->row[0].text, "a");
    assert_string_equal(t->row[0].text2, "b");
    bert_table_free(t);
    refuse("{\"text\":\"a\",\"label\":1000}\n", "line 1: the label 1000");
    refuse("{\"text\":\"a\",\"label\":-2}\n", "line 1: the label -2");
    refuse("{\"text\":\"a\",\"label\":1e300}\n", "line 1: the label 1e+300");
    refuse("{\"text\":\"a\",\"label\":\"1234\"}\n", "line 1: the label 1234");
    refuse("{\"text\":\"a\",\"label\":[true]}\n", "line 1: the list of labels holds no");
    refuse("{\"text\":\"a\",\"label\":[1,1000]}\n", "line 1: the list of labels holds no");
    refuse("{\"text\":\"a\",\"label\":[\"a,b\"]}\n", "line 1: the list of labels holds no");
    refuse("{\"text\":\"a\",\"label\":[\"\"]}\n", "line 1: the list of labels holds no");
    refuse("{\"text\":\"a\",\"label\":true}\n", "line 1: the label is neither");
}

/* The source of another format is not the text to classify; a text that only begins like one is. */
static void test_other_formats(void **state) {
    (void)state;
    expect(" {\"text\":\"a\",\"id\":12345678901234567890}\n", "sst2", 1,
           (struct row[]){{-1, 1, "a", NULL}});
    refuse("{\"text\":\"a\",\"text\":\"b\"}\n", "is JSON");
    refuse("{\"review\":\"a\"}\n", "is JSON");
    refuse("{\"text\":null}\n", "is JSON");
    refuse("{\n \"text\": \"a\"\n}\n", "is JSON");
    refuse("[\n {\"text\": \"a\"}\n]\n", "is a JSON list");
    expect("[sic] a film\n{braces}\n", "text", 2,
           (struct row[]){{-1, 1, "[sic] a film", NULL}, {-1, 2, "{braces}", NULL}});
    expect("labels\ttext\n1\ta\n", "sst2", 1, (struct row[]){{1, 2, "a", NULL}});
}

static void test_plain_lines(void **state) {
    (void)state;
    expect("\xef\xbb\xbfone line\r\n\"another\" 1 2\n\n\r\n", "text", 2,
           (struct row[]){{-1, 1, "one line", NULL}, {-1, 2, "\"another\" 1 2", NULL}});
    expect("alone", "text", 1, (struct row[]){{-1, 1, "alone", NULL}});
}

static void expect_columns(const char *columns, const char *file, int n, const struct row *want) {
    struct bert_table *t = NULL;
    scratch_write("table.tsv", file, strlen(file), 0600);
    assert_int_equal(bert_table_load(&t, scratch_path("table.tsv"), columns), THOR_OK);
    check(t, n, want);
}

static void refuse_columns(const char *columns, int code, const char *says) {
    struct bert_table *t = NULL;
    scratch_write("table.tsv", "a\tb c\n1\t2\n", 10, 0600);
    assert_int_equal(bert_table_load(&t, scratch_path("table.tsv"), columns), code);
    assert_null(t);
    if (!strstr(thor_error(), says)) fail_msg("\"%s\" does not say \"%s\"", thor_error(), says);
}

static void test_columns(void **state) {
    (void)state;
    expect_columns("text=4,label=2", "gj04\t1\t\tOur friends.\ngj04\t0\t*\tOur\n", 2,
                   (struct row[]){{1, 1, "Our friends.", NULL}, {0, 2, "Our", NULL}});
    expect_columns("pair=left text,text=right", "left text\tright\tx\na\tb\tc\n", 1,
                   (struct row[]){{-1, 2, "b", "a"}});
    expect_columns("label=gold,text=1", "what\tgold\na\t2\n", 1, (struct row[]){{2, 2, "a", NULL}});
    refuse_columns("text=c", THOR_INPUT, "no column c");
    refuse_columns("text=3", THOR_INPUT, "no column 3 among its 2");
    refuse_columns("text=0", THOR_INPUT, "no column 0");
    refuse_columns("label=1", THOR_USAGE, "text is missing");
    refuse_columns("text", THOR_USAGE, "not of the form");
    refuse_columns("text=1,text=2", THOR_USAGE, "not of the form");
    refuse_columns("words=1", THOR_USAGE, "not of the form");
    refuse_columns("", THOR_USAGE, "not of the form");
    refuse_columns("text=a,", THOR_USAGE, "not of the form");
}

/* Keys of JSON lines, named as columns are; each object has all of them. */
static void test_json_columns(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    expect_columns(
        "text=review,label=stars",
        "{\"review\":\"a\",\"stars\":1,\"text\":\"no\"}\n{\"stars\":null,\"review\":\"b\"}\n", 2,
        (struct row[]){{1, 1, "a", NULL}, {-1, 2, "b", NULL}});
    expect_columns("pair=left text,text=1", "{\"left text\":\"b\",\"1\":\"a\"}", 1,
                   (struct row[]){{-1, 1, "a", "b"}});
    scratch_write("j", "{\"a\":\"x\",\"b\":1}\n{\"a\":\"x\"}\n", 26, 0600);
    assert_int_equal(bert_table_load(&t, scratch_path("j"), "text=b"), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "line 1: is JSON, but has no \"b\""));
    assert_int_equal(bert_table_load(&t, scratch_path("j"), "text=a,label=c"), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "line 1: is JSON, but has no \"c\""));
    assert_int_equal(bert_table_load(&t, scratch_path("j"), "text=a,pair=a"), THOR_USAGE);
    assert_int_equal(bert_table_load_each(&t, scratch_path("j"), "text=a,label=b"), THOR_OK);
    assert_int_equal(t->n, 2);
    assert_int_equal(t->row[0].label, 1);
    assert_non_null(strstr(t->row[1].bad, "line 2: has no \"b\""));
    bert_table_free(t);
}

static const struct bert_row *only_row(struct bert_table **t, const char *text) {
    assert_int_equal(load_bytes(t, text, strlen(text)), THOR_OK);
    return &(*t)->row[(*t)->n - 1];
}

/* Labels that are no classes: scores, several at once. */
static void test_scores_and_lists(void **state) {
    (void)state;
    static const struct {
        const char *text, *name;
        double score;
        int label;
    } want[] = {{"sentence\tlabel\na\t3.80\n", "3.80", 3.8, -1},
                {"sentence\tlabel\na\t999\n", NULL, 999, 999},
                {"sentence\tlabel\na\t-0.5\n", "-0.5", -0.5, -1},
                {"-1.25\ta\tb\n", "-1.25", -1.25, -1},
                {"sentence1\tsentence2\tscore\na\tb\t4.6\n", NULL, 4.6, -1},
                {"sentence1\tsentence2\tscore\na\tb\t-\n", NULL, NAN, -1},
                {"sentence\tlabel\na\ttoxic,insult\n", "toxic,insult", NAN, -1},
                {"sentence\tlabel\na\t2,13\n", "2,13", NAN, -1},
                {"{\"text\":\"a\",\"label\":3.75}\n", "3.75", 3.75, -1},
                {"{\"text\":\"a\",\"label\":\"0.5\"}\n", "0.5", 0.5, -1},
                {"{\"text\":\"a\",\"label\":2}\n", NULL, 2, 2},
                {"{\"text\":\"a\",\"labels\":[\"anger\",7,\"joy\"]}\n", "anger,7,joy", NAN, -1},
                {"{\"text\":\"a\",\"labels\":[]}\n", "", NAN, -1},
                {"{\"text\":\"a\",\"labels\":\"3,4\"}\n", "3,4", NAN, -1}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct bert_table *t;
        const struct bert_row *row = only_row(&t, want[i].text);
        assert_int_equal(row->label, want[i].label);
        assert_true(isnan(want[i].score) ? isnan(row->score) : row->score == want[i].score);
        assert_int_equal(row->label_name != NULL, want[i].name != NULL);
        if (want[i].name) assert_string_equal(row->label_name, want[i].name);
        assert_string_equal(row->text, "a");
        bert_table_free(t);
    }
}

/* The names of labels that tables know; a first line that is no row leaves the others alone. */
static void test_json_names(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    expect(
        "{\"text\":\"a\",\"labels\":1}\n{\"text\":\"b\",\"is_duplicate\":0}\n"
        "{\"text\":\"c\",\"gold_label\":2}\n{\"text\":\"d\",\"Quality\":\"1\"}\n \n",
        "sst2", 4,
        (struct row[]){{1, 1, "a", NULL}, {0, 2, "b", NULL}, {2, 3, "c", NULL}, {1, 4, "d", NULL}});
    expect("{\"#1 String\":\"a\",\"#2 String\":\"b\",\"Quality\":1}", "mrpc", 1,
           (struct row[]){{1, 1, "a", "b"}});
    scratch_write("j", "{\"text\": 3}\n{\"text\":\"b\"}\n", 25, 0600);
    assert_int_equal(bert_table_load_each(&t, scratch_path("j"), NULL), THOR_OK);
    assert_int_equal(t->n, 2);
    assert_non_null(strstr(t->row[0].bad, "line 1: has no texts"));
    assert_string_equal(t->row[1].text, "b");
    bert_table_free(t);
}

/* What a row's tree may take is bounded before it is built. */
static void test_json_bounds(void **state) {
    static char file[300000];
    (void)state;
    int n = sprintf(file, "{\"text\":\"a\"}\n{\"text\":\"b\",\"x\":");
    for (int i = 0; i < 70; i++) n += sprintf(file + n, "[");
    for (int i = 0; i < 70; i++) n += sprintf(file + n, "]");
    n += sprintf(file + n, "}\n");
    refuse(file, "line 2: is no JSON: JSON of more than 64 levels");
    n = sprintf(file, "{\"text\":\"a\"}\n{\"text\":\"b\",\"x\":[0");
    for (int i = 0; i < 110000; i++) n += sprintf(file + n, ",0");
    n += sprintf(file + n, "]}\n");
    refuse(file, "line 2: is no JSON: JSON of more than 100000 values");
}

/* Files of other programs, by their first bytes; a text that begins with the same letters is
 * one. */
static void test_other_files(void **state) {
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        const char *says;
    } want[] = {
        {"PAR1\x15\x04", 6, "is a Parquet file: write it as CSV"},
        {"ARROW1\0\0", 8, "is an Arrow file: write it as CSV"},
        {"\xff\xff\xff\xff\x10\0", 6, "is an Arrow stream: write it as CSV"},
        {"PK\3\4\x14\0", 6, "save it as CSV"},
        {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8, "save it as CSV"},
        {"\x1f\x8b\x08\0", 4, "is compressed by gzip: unpack it with gunzip"},
        {"\xfd"
         "7zXZ\0",
         6, "unpack it with unxz"},
        {"\x28\xb5\x2f\xfd\x04", 5, "unpack it with unzstd"},
        {"BZh91AY&SY\xa0", 11, "unpack it with bunzip2"},
        {"\xff\xfe"
         "a\0",
         4, "is UTF-16: convert it with iconv"},
        {"\xfe\xff\0a", 4, "is UTF-16: convert it with iconv"},
        {"\xff\xfe\0\0a\0\0\0", 8, "is UTF-32: convert it with iconv"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        refuse_bytes(want[i].bytes, want[i].n, want[i].says);
    expect("PAR1 is a magic\nARROW1\nBZh91AY&SY\n", "text", 3,
           (struct row[]){{-1, 1, "PAR1 is a magic", NULL},
                          {-1, 2, "ARROW1", NULL},
                          {-1, 3, "BZh91AY&SY", NULL}});
}

static void test_refusals(void **state) {
    struct bert_table *t = NULL;
    (void)state;
    refuse("", "empty");
    refuse("label\ttext\n", "no row");
    refuse("\n\n\r\n", "empty");
    refuse("a\tb\tc\n", "line 1: is no known header (a, b, c)");
    refuse("sentence1\tlabel\na\t1\n", "line 1: is no known header");
    refuse("\ntext\n", "line 1: is empty");
    refuse("one\n\ntwo\n", "line 2: is empty");
    refuse("one\ntwo\twords\n", "line 2: has a tab");
    refuse("sentence\tlabel\na\t3.8.1\n", "line 2: the label \"3.8.1\"");
    refuse("sentence\tlabel\na\t1000\n", "line 2: the label \"1000\"");
    refuse("sentence\tlabel\na\tnan\tb\n", "line 2: must have 2 fields");
    refuse("sentence\tlabel\na\t\n", "line 2: the label \"\"");
    refuse_bytes("\xff\xfe"
                 "a\0",
                 4, "UTF-16");
    refuse("good\t1\n", "line 1: is no known header");
    refuse("12345\ttext\n", "line 1: is no known header");
    refuse("1\tgood\n0\tbad\textra\n", "line 2: must have 2 fields");
    refuse(MRPC "1\ta\tb\tc\n", "line 2: must have 5 fields");
    refuse(MRPC "1\ta\tb\tc\td\te\tf\tg\n", "line 2: must have 5 fields");
    refuse("1\tgood\n1000\tbad\n", "line 2: the label \"1000\"");
    refuse("1\tgood\nyes\tbad\n", "line 2: the label \"yes\"");
    refuse("1\tgood\n\tbad\n", "line 2: the label \"\"");
    refuse("1\tgood\n\n0\tbad\n", "line 2: is empty");
    refuse("1\tgood\n0\t\n", "line 2: a text is empty");
    refuse("1\ta\tb\n0\tc\t\n", "line 2: a text is empty");
    refuse("1\tgood\n0\tb\xe9te\n", "line 2: is not UTF-8");
    refuse_bytes("1\tgood\n0\tb\0d\n", 14, "line 2: is not UTF-8");
    assert_int_equal(bert_table_load(&t, scratch_path("absent.tsv"), NULL), THOR_INPUT);
    assert_non_null(strstr(thor_error(), "absent.tsv"));
    assert_int_equal(bert_table_load(&t, "tests", NULL), THOR_INPUT); // a folder
    bert_table_free(NULL);
}

/* ---- CSV, by its name ---- */

static int load_csv(struct bert_table **t, const char *bytes, size_t n, int each) {
    scratch_write("t.CSV", bytes, n, 0600);
    return (each ? bert_table_load_each : bert_table_load)(t, scratch_path("t.CSV"), NULL);
}

static void test_csv(void **state) {
    (void)state;
    struct bert_table *t = NULL;
    const char *file = "\xef\xbb\xbfid,text,label\r\n"
                       "1,\"a, b \"\"c\"\"\",1\r\n"
                       "2,\"two\r\nlines\",\"0\"\r\n"
                       "3,it said \"no\",-\r\n"
                       "4,last,1";
    assert_int_equal(load_csv(&t, file, strlen(file), 0), THOR_OK);
    assert_string_equal(t->kind, "sst2");
    check(t, 4,
          (struct row[]){{1, 2, "a, b \"c\"", NULL},
                         {0, 3, "two\r\nlines", NULL},
                         {-1, 5, "it said \"no\"", NULL},
                         {1, 6, "last", NULL}});
    file = "label,sentence1,sentence2\nneutral,\"\",x\nneutral,a,b\n";
    assert_int_equal(load_csv(&t, file, strlen(file), 1), THOR_OK);
    assert_int_equal(t->n, 2);
    assert_non_null(strstr(t->row[0].bad, "line 2: a text is empty"));
    assert_string_equal(t->row[1].text2, "b");
    assert_string_equal(t->row[1].label_name, "neutral");
    bert_table_free(t);
}

static void test_bad_csv(void **state) {
    (void)state;
    static const struct {
        const char *row, *says;
    } want[] = {
        {"1,\"a\"b,1\n", "line 2: there is text behind a closing quote"},
        {"1,a\n", "line 2: must have 3 fields with a comma"},
        {"1,a,1,2\n", "line 2: must have 3 fields with a comma"},
        {"\n", "line 2: is empty"},
        {"1,\xff,1\n", "line 2: is not UTF-8"},
        {"1,a,1999\n", "line 2: the label"},
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        struct bert_table *t = NULL;
        char file[200];
        snprintf(file, sizeof file, "id,text,label\n%s2,good,1\n", want[i].row);
        assert_int_equal(load_csv(&t, file, strlen(file), 0), THOR_INPUT);
        assert_non_null(strstr(thor_error(), want[i].says));
        assert_int_equal(load_csv(&t, file, strlen(file), 1), THOR_OK); // the row after it is read
        assert_int_equal(t->n, 2);
        assert_non_null(strstr(t->row[0].bad, want[i].says));
        assert_string_equal(t->row[1].text, "good");
        bert_table_free(t);
    }
}

/* What no row can follow, and what is in no field. */
static void test_hostile_csv(void **state) {
    (void)state;
    struct bert_table *t = NULL;
    const char open[] = "text,label\nx,1\n\"never closed,1\nz,0\n",
               nul[] = "text,label\na\0b,1\nc,0";
    assert_int_equal(load_csv(&t, open, sizeof open - 1, 1), THOR_OK);
    assert_int_equal(t->n, 2);
    assert_non_null(strstr(t->row[1].bad, "line 3: a quote is not closed"));
    bert_table_free(t);
    assert_int_equal(load_csv(&t, nul, sizeof nul - 1, 1), THOR_OK);
    assert_int_equal(t->n, 2);
    assert_non_null(strstr(t->row[0].bad, "line 2: is not UTF-8"));
    assert_string_equal(t->row[1].text, "c");
    bert_table_free(t);
    for (size_t n = 0; n < sizeof open; n++) // every shorter file
        if (load_csv(&t, open, n, 1) == THOR_OK) bert_table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layouts),       cmocka_unit_test(test_glue),
        cmocka_unit_test(test_plain_lines),   cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_columns),       cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_json_labels),   cmocka_unit_test(test_scores_and_lists),
        cmocka_unit_test(test_other_formats), cmocka_unit_test(test_csv),
        cmocka_unit_test(test_bad_csv),       cmocka_unit_test(test_hostile_csv),
        cmocka_unit_test(test_json_columns),  cmocka_unit_test(test_json_names),
        cmocka_unit_test(test_json_bounds),   cmocka_unit_test(test_other_files)};
    return cmocka_run_group_tests(tests, scratch_open, scratch_close);
}
