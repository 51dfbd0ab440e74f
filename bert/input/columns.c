#include "bert/input/columns.h"

#include <stdlib.h>
#include <string.h>

const char *bert_label_column(int i) {
    static const char *const name[] = {"label",        "labels",     "Quality",
                                       "is_duplicate", "gold_label", NULL};
    return name[i];
}

static int is_same(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

static int take_part(struct bert_columns *c, char *part) {
    char *name = strchr(part, '=');
    if (!name) return 0;
    *name++ = 0;
    const char **to = strcmp(part, "text") == 0    ? &c->text
                      : strcmp(part, "pair") == 0  ? &c->pair
                      : strcmp(part, "label") == 0 ? &c->label
                                                   : NULL;
    if (!to || *to || !*name) return 0;
    *to = name;
    return 1;
}

int bert_columns_parse(struct bert_columns *c, const char *list) {
    int st = THOR_OK;
    *c = (struct bert_columns){.copy = strdup(list)};
    char *at = c->copy, *part;
    if (!at) TRY(thor_fail(THOR_MEMORY, "no memory for the names of columns"));
    while ((part = strsep(&at, ",")))
        if (!take_part(c, part))
            TRY(thor_fail(THOR_USAGE, "--columns %.100s: not of the form " BERT_COLUMNS_HELP,
                          list));
    if (!c->text)
        TRY(thor_fail(THOR_USAGE, "--columns %.100s: text is missing: " BERT_COLUMNS_HELP, list));
    if (is_same(c->text, c->pair) || is_same(c->text, c->label) || is_same(c->pair, c->label))
        TRY(thor_fail(THOR_USAGE, "--columns %.100s: one name twice; name each column once", list));
out:
    if (st != THOR_OK) bert_columns_free(c);
    return st;
}

void bert_columns_free(struct bert_columns *c) {
    free(c->copy);
    *c = (struct bert_columns){0};
}
