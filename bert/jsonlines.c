#include "bert/jsonlines.h"

#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "bert/model.h"

static const struct {
    const char *kind, *text, *text2;
} names[] = {
    {"mrpc", "sentence1", "sentence2"},  {"qnli", "question", "sentence"},
    {"qqp", "question1", "question2"},   {"mnli", "premise", "hypothesis"},
    {"sst2", "sentence", NULL},          {"mrpc", "text", "text2"},
    {"sst2", "text", NULL},
};
enum { NAMES = sizeof names / sizeof names[0] };
/* Numbers of any length stand in columns that are not read. */
enum { AS_WRITTEN = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL };

static int layout_of(const json_t *o) {
    for (int i = 0; i < NAMES; i++)
        if (json_is_string(json_object_get(o, names[i].text)) &&
            (!names[i].text2 || json_is_string(json_object_get(o, names[i].text2))))
            return i;
    return -1;
}

static char *line_end(char *line, char *end) {
    char *stop = memchr(line, '\n', (size_t)(end - line));
    return stop ? stop : end;
}

int bert_jsonlines_is(const char *text, const char *end) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    const char *first = text + strspn(text, " \t");
    if (first >= end || *first != '{')
        return 0;
    json_t *o = json_loadb(text, (size_t)((stop ? stop : end) - text), AS_WRITTEN, NULL);
    int known = o && layout_of(o) >= 0;
    json_decref(o);
    return known;
}

/* A text without its quotes, escapes decoded, is shorter than it was in the line: it fits there. */
static const char *put(char **at, const json_t *s) {
    char *text = *at;
    size_t n = json_string_length(s);
    memcpy(text, json_string_value(s), n);
    text[n] = 0;
    *at = text + n + 1;
    return text;
}

/* A whole number, also as a string or as 1.0; else the name of a label, put at *at. */
static int parse_label(struct bert_row *row, const json_t *label, char **at) {
    const char *s = json_string_value(label);
    double n = json_number_value(label); // 0 when it is none
    row->label = -1;
    if (!label || json_is_null(label) || (s && (!strcmp(s, "-") || !strcmp(s, "-1"))))
        return THOR_OK;
    if (s && isalpha((unsigned char)*s)) {
        row->label_name = put(at, label);
        return THOR_OK;
    }
    if (s && isdigit((unsigned char)*s) && !s[1])
        n = *s - '0';
    else if (!json_is_number(label))
        return thor_fail(THOR_INPUT, "the label is neither a number nor a name");
    if (!(n >= -1 && n < BERT_MAX_LABELS) || n != (int)n)
        return thor_fail(THOR_INPUT, "the label %g is not 0..%d", n, BERT_MAX_LABELS - 1);
    row->label = (int)n;
    return THOR_OK;
}

static int parse_row(struct bert_row *row, const json_t *o, int layout, char *at) {
    int st = THOR_OK;
    TRY(parse_label(row, json_object_get(o, "label"), &at));
    row->text = put(&at, json_object_get(o, names[layout].text));
    if (names[layout].text2)
        row->text2 = put(&at, json_object_get(o, names[layout].text2));
    if (!*row->text || (row->text2 && !*row->text2))
        TRY(thor_fail(THOR_INPUT, "a text is empty"));
out:
    return st;
}

static int parse_line(struct bert_table *t, int number, char *line, char *stop) {
    int st = THOR_OK;
    json_error_t why;
    json_t *o = json_loadb(line, (size_t)(stop - line), AS_WRITTEN, &why);
    int layout = o ? layout_of(o) : -1;
    if (!o)
        TRY(thor_fail(THOR_INPUT, "is no JSON: %s", why.text));
    if (layout < 0 || (t->kind && strcmp(names[layout].kind, t->kind) != 0))
        TRY(thor_fail(THOR_INPUT, "has no texts, or under other names than the first line"));
    t->kind = names[layout].kind;
    t->row[t->n] = (struct bert_row){.line = number};
    TRY(parse_row(&t->row[t->n], o, layout, line));
out:
    json_decref(o);
    return st;
}

int bert_jsonlines_parse(struct bert_table *t, const char *path, char *text, char *end) {
    int number = 1;
    char where[400];
    for (char *line = text, *stop; line < end; line = stop + 1, number++) {
        stop = line_end(line, end);
        if (stop == line)
            continue; // an empty line
        int st = parse_line(t, number, line, stop);
        snprintf(where, sizeof where, "%.300s: line %d", path, number);
        if (st != THOR_OK)
            thor_fail_in(st, where);
        st = bert_table_end_row(t, &t->row[t->n], number, st);
        if (st != THOR_OK)
            return st;
        t->n++;
    }
    return THOR_OK;
}
