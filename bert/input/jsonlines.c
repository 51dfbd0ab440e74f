#include "bert/input/jsonlines.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/jsonfile.h"
#include "bert/input/model.h"

static const struct keys {
    const char *kind, *text, *text2;
    const char *label; /* NULL: the first of bert_label_column's that an object has, if any */
} known[] = {
    {"mrpc", "sentence1", "sentence2", NULL}, {"mrpc", "#1 String", "#2 String", NULL},
    {"qnli", "question", "sentence", NULL},   {"qqp", "question1", "question2", NULL},
    {"mnli", "premise", "hypothesis", NULL},  {"sst2", "sentence", NULL, NULL},
    {"mrpc", "text", "text2", NULL},          {"sst2", "text", NULL, NULL},
};
enum { KNOWN = sizeof known / sizeof known[0] };

struct line {
    char *at, *end, *next;
    int number;
};

/* The next line that is not blank; 0 at the end. */
static int next_line(struct line *l, char *end) {
    while (l->next < end) {
        l->at = l->next;
        l->end = memchr(l->at, '\n', (size_t)(end - l->at));
        if (!l->end) l->end = end;
        l->next = l->end + 1;
        l->number++;
        if (l->at + strspn(l->at, " \t\r") < l->end) return 1;
    }
    return 0;
}

int bert_jsonlines_is(const char *text) {
    const char *at = text + strspn(text, " \t\r\n");
    return *at == '{' && at[1 + strspn(at + 1, " \t\r\n")] == '"';
}

/* Numbers of any length stand in columns that are not read. */
static int parse_object(json_t **o, const struct line *l) {
    return bert_json_parse(o, l->at, (size_t)(l->end - l->at), BERT_JSON_SMALL,
                           JSON_DECODE_INT_AS_REAL, THOR_INPUT);
}

static const json_t *label_of(const json_t *o, const struct keys *k) {
    if (k->label) return json_object_get(o, k->label);
    const json_t *label = NULL;
    for (int i = 0; !label && bert_label_column(i); i++)
        label = json_object_get(o, bert_label_column(i));
    return label;
}

/* The first of them that the object does not have, texts as strings; NULL when it has all. */
static const char *missing(const json_t *o, const struct keys *k) {
    if (!json_is_string(json_object_get(o, k->text))) return k->text;
    if (k->text2 && !json_is_string(json_object_get(o, k->text2))) return k->text2;
    return k->label && !json_object_get(o, k->label) ? k->label : NULL;
}

/* The keys of a layout that an object has, or NULL. */
static const struct keys *known_keys(const json_t *o) {
    for (int i = 0; i < KNOWN; i++)
        if (!missing(o, &known[i])) return &known[i];
    return NULL;
}

/* Those of the object, as `k` has them, or of a layout of k's kind; NULL with the reason told. */
static const struct keys *keys_of(const json_t *o, const struct keys *k, int is_named) {
    const char *without = is_named ? missing(o, k) : NULL;
    const struct keys *own = is_named ? k : known_keys(o);
    if (without)
        thor_fail(THOR_INPUT, "has no \"%.60s\", which --columns names", without);
    else if (!own)
        thor_fail(THOR_INPUT, "has no texts under known names (text, sentence, ..); name them "
                              "with " BERT_COLUMNS_HELP);
    else if (k && strcmp(own->kind, k->kind) != 0)
        thor_fail(THOR_INPUT, "has no texts under the names that other lines have");
    else
        return own;
    return NULL;
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

/* What is no label, but may be a score. */
static int put_number(struct bert_row *row, double n, char **at) {
    if (n == floor(n))
        return thor_fail(THOR_INPUT, "the label %g is not 0..%d", n, BERT_MAX_LABELS - 1);
    row->label_name = *at;
    *at +=
        1 + snprintf(*at, 16, "%g", n); // no longer than its key and quotes of the text make room
    return THOR_OK;
}

/* Numbers and names in a list, put at *at with commas between; it is shorter than in the line. */
static int put_list(struct bert_row *row, const json_t *list, char **at) {
    char *to = *at;
    row->label_name = to;
    *to = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *v = json_array_get(list, i);
        const double n = json_number_value(v);
        const char *s = json_string_value(v);
        if (!(s && isalnum((unsigned char)*s) && !strchr(s, ',')) &&
            !(json_is_number(v) && n >= 0 && n < BERT_MAX_LABELS && n == (int)n))
            return thor_fail(THOR_INPUT, "the list of labels holds no number and no name at %zu",
                             i);
        to += s ? sprintf(to, "%s,", s) : sprintf(to, "%d,", (int)n);
    }
    if (to > *at) to[-1] = 0;
    *at = to + (to == *at);
    return THOR_OK;
}

/* A whole number, also as a string or as 1.0; else the name of a label, put at *at. */
static int parse_label(struct bert_row *row, const json_t *label, char **at) {
    const char *s = json_string_value(label);
    double n = json_number_value(label); // 0 when it is none
    row->label = -1;
    row->score = NAN;
    if (json_is_array(label)) return put_list(row, label, at);
    if (!label || json_is_null(label) || (s && (!strcmp(s, "-") || !strcmp(s, "-1"))))
        return THOR_OK;
    if (s && (isalpha((unsigned char)*s) || bert_label_list(s))) {
        row->label_name = put(at, label);
        return THOR_OK;
    }
    double score;
    if (s && strlen(s) <= 12 && bert_label_score(&score, s))
        n = score;
    else if (!json_is_number(label))
        return thor_fail(THOR_INPUT, "the label is neither a number nor a name");
    row->score = n == -1 ? NAN : n;
    if (n >= -1 && n < BERT_MAX_LABELS && n == (int)n)
        row->label = (int)n;
    else
        return put_number(row, n, at);
    return THOR_OK;
}

static int read_row(struct bert_row *row, char *at, const json_t *o, const struct keys *k) {
    int st = THOR_OK;
    TRY(parse_label(row, label_of(o, k), &at));
    row->text = put(&at, json_object_get(o, k->text));
    if (k->text2) row->text2 = put(&at, json_object_get(o, k->text2));
    if (!*row->text || (row->text2 && !*row->text2)) st = thor_fail(THOR_INPUT, "a text is empty");
out:
    return st;
}

static int parse_row(struct bert_row *row, const struct line *l, const struct keys *k,
                     int is_named) {
    json_t *o = NULL;
    *row = (struct bert_row){.line = l->number};
    int st = parse_object(&o, l);
    const struct keys *own = st == THOR_OK ? keys_of(o, k, is_named) : NULL;
    if (own)
        st = read_row(row, l->at, o, own);
    else
        st = st == THOR_OK ? THOR_INPUT : thor_fail_in(st, "is no JSON");
    json_decref(o);
    return st;
}

/* The keys that some line has: `named`, or where that is NULL those of a layout.  NULL when there
 * is no such line, with the reason of the first one. */
static const struct keys *find_keys(const struct keys *named, struct line l, char *end) {
    char why[300] = "";
    while (next_line(&l, end)) {
        json_t *o = NULL;
        const struct keys *k = NULL;
        if (parse_object(&o, &l) == THOR_OK) k = keys_of(o, named, named != NULL);
        json_decref(o);
        if (k) return k;
        if (!*why)
            snprintf(why, sizeof why, "line %d: is JSON, but %.250s", l.number, thor_error());
    }
    thor_fail(THOR_INPUT, "%s", why);
    return NULL;
}

int bert_jsonlines_parse(struct bert_table *t, const char *path, char *text, char *end,
                         const struct bert_columns *named) {
    char where[400];
    struct keys of_named = {0};
    struct line l = {.next = text};
    if (named)
        of_named =
            (struct keys){named->pair ? "mrpc" : "sst2", named->text, named->pair, named->label};
    const struct keys *k = find_keys(named ? &of_named : NULL, l, end);
    snprintf(where, sizeof where, "%.300s", path);
    if (!k) return thor_fail_in(THOR_INPUT, where);
    t->kind = k->kind;
    for (; next_line(&l, end); t->n++) {
        int st = parse_row(&t->row[t->n], &l, k, named != NULL);
        snprintf(where, sizeof where, "%.300s: line %d", path, l.number);
        if (st != THOR_OK) thor_fail_in(st, where);
        st = bert_table_end_row(t, &t->row[t->n], l.number, st);
        if (st != THOR_OK) return st;
    }
    return THOR_OK;
}
