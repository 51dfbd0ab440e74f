/* Tables of labelled texts. */
#include "bert/input/model.h"
#include "bert/input/readfile.h"
#include "bert/input/table.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <string.h>

static void check_text(const char *text) {
    FUZZ_MUST(*text && bert_utf8_valid(text, strlen(text)) == strlen(text));
}

static void check(int st, struct bert_table *t) {
    fuzz_verdict(st, THOR_INPUT);
    FUZZ_MUST((st == THOR_OK) == (t != NULL));
    for (int i = 0; t && i < t->n; i++) {
        FUZZ_MUST(t->row[i].label >= -1 && t->row[i].label < BERT_MAX_LABELS);
        if (t->row[i].bad) continue;
        check_text(t->row[i].text);
        if (t->row[i].label_name && *t->row[i].label_name) check_text(t->row[i].label_name);
        if (t->row[i].text2) check_text(t->row[i].text2);
    }
    bert_table_free(t);
}

/* With tabs, with columns or keys named, or as CSV with bad rows kept. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    struct bert_table *t;
    int st = bert_table_load(&t, fuzz_file(data, size), NULL);
    check(st, t);
    st = bert_table_load_each(&t, fuzz_file(data, size), "text=sentence,label=label");
    check(st, t);
    snprintf(path, sizeof path, "%s/t.csv", fuzz_folder("t.csv", data, size));
    st = bert_table_load_each(&t, path, NULL);
    check(st, t);
    return 0;
}
