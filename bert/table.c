#include "bert/table.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bert/jsonlines.h"
#include "bert/model.h"
#include "bert/readfile.h"

#define TABLE_BYTES_MAX ((size_t)256 << 20)
#define FIELDS_MAX 64
#define COLUMNS_HELP "--columns text=NAME[,pair=NAME][,label=NAME]"

struct fields {
    char *at[FIELDS_MAX];
    int n; /* FIELDS_MAX: that many or more */
};

struct layout {
    const char *kind;
    int fields;             /* in every row */
    int label, text, text2; /* columns; -1 when there is none */
    int header;             /* the first line is one */
};

static const struct {
    const char *text, *text2, *kind;
} known[] = {{"#1 String", "#2 String", "mrpc"},   {"sentence1", "sentence2", "rte"},
             {"question1", "question2", "qqp"},    {"question", "sentence", "qnli"},
             {"premise", "hypothesis", "mnli"},    {"text", "text2", "mrpc"},
             {"sentence", NULL, "sst2"},           {"text", NULL, "sst2"}};
static const char *const known_label[] = {"label", "labels", "Quality", "is_duplicate",
                                          "gold_label"};

struct reader {
    const char *path;
    char *at, *end;
    int line; /* of the text that next_line() gave last */
};

/* The next line, NUL-terminated in place; NULL at the end. */
static char *next_line(struct reader *r, size_t *len) {
    char *line = r->at, *stop;
    if (line >= r->end)
        return NULL;
    stop = memchr(line, '\n', (size_t)(r->end - line));
    if (!stop)
        stop = r->end;
    r->at = stop + 1;
    r->line++;
    if (stop > line && stop[-1] == '\r')
        stop--;
    *stop = 0;
    *len = (size_t)(stop - line);
    return line;
}

static int bad(const struct reader *r, const char *what) {
    return thor_fail(THOR_INPUT, "%s: line %d: %s", r->path, r->line, what);
}

static int check_text(const struct reader *r, const char *line, size_t len) {
    if (len == 0)
        return bad(r, "is empty");
    if (memchr(line, 0, len) || bert_utf8_valid(line, len) != len)
        return bad(r, "is not UTF-8 text");
    return THOR_OK;
}

/* Cuts line at its tabs. */
static void split(struct fields *f, char *line) {
    f->n = 0;
    while (line && f->n < FIELDS_MAX) {
        f->at[f->n++] = line;
        line = strchr(line, '\t');
        if (line)
            *line++ = 0;
    }
}

/* -2: not a number of a label. */
static int parse_label(const char *s) {
    if (strcmp(s, "-") == 0 || strcmp(s, "-1") == 0)
        return -1;
    if (s[0] >= '0' && s[0] < '0' + BERT_MAX_LABELS && s[1] == 0)
        return s[0] - '0';
    return -2;
}

/* ---- which columns ---- */

static int find(const struct fields *f, const char *name) {
    for (int i = 0; name && i < f->n; i++)
        if (strcmp(f->at[i], name) == 0)
            return i;
    return -1;
}

static int is_number(const char *s) {
    return *s && strspn(s, "0123456789") == strlen(s);
}

/* 1 when the line names columns; no name is a number. */
static int read_header(struct layout *l, const struct fields *f) {
    size_t i = 0;
    for (int k = 0; k < f->n; k++)
        if (is_number(f->at[k]))
            return 0;
    while (i < sizeof known / sizeof *known &&
           (find(f, known[i].text) < 0 || (known[i].text2 && find(f, known[i].text2) < 0)))
        i++;
    if (i == sizeof known / sizeof *known)
        return 0;
    *l = (struct layout){known[i].kind, f->n, .label = -1, .header = 1};
    l->text = find(f, known[i].text);
    l->text2 = find(f, known[i].text2);
    for (i = 0; l->label < 0 && i < sizeof known_label / sizeof *known_label; i++)
        l->label = find(f, known_label[i]);
    if (strcmp(l->kind, "rte") == 0 && find(f, "score") >= 0)
        l->kind = "stsb";
    return 1;
}

static int unknown_columns(const struct reader *r, const struct fields *f) {
    char names[160] = "";
    for (int i = 0; i < f->n && strlen(names) + 45 < sizeof names; i++)
        snprintf(names + strlen(names), 44, "%s%.40s", i ? ", " : "", f->at[i]);
    return thor_fail(THOR_INPUT,
                     "%s: line 1: is no known header (%s), nor a row that begins with a label; "
                     "name its columns with " COLUMNS_HELP, r->path, names);
}

static int find_layout(struct layout *l, const struct reader *r, const struct fields *f) {
    if (read_header(l, f))
        return THOR_OK;
    if (f->n == 1) {
        *l = (struct layout){"text", 1, -1, 0, -1, 0};
        return THOR_OK;
    }
    if (f->n > 3 || parse_label(f->at[0]) == -2)
        return unknown_columns(r, f);
    *l = (struct layout){f->n == 2 ? "sst2" : "mrpc", f->n, 0, 1, f->n == 2 ? -1 : 2, 0};
    return THOR_OK;
}

/* `name` as in the first line, or a number from 1; *named tells which. */
static int find_column(int *column, int *named, const struct reader *r, const struct fields *f,
                       const char *name) {
    *column = find(f, name);
    if (*column >= 0)
        *named = 1;
    else if (is_number(name) && strlen(name) < 4)
        *column = atoi(name) - 1;
    if (*column >= 0 && *column < f->n)
        return THOR_OK;
    return thor_fail(THOR_INPUT, "%s: has no column %.60s among its %d; see its first line",
                     r->path, name, f->n);
}

static int named_layout(struct layout *l, const struct reader *r, const struct fields *f,
                        const char *columns) {
    int st = THOR_OK;
    char *copy = strdup(columns), *at = copy, *part;
    if (!copy)
        return thor_fail(THOR_MEMORY, "no memory for the names of columns");
    *l = (struct layout){"sst2", f->n, -1, -1, -1, 0};
    while ((part = strsep(&at, ","))) {
        char *name = strchr(part, '=');
        if (name)
            *name++ = 0;
        int *to = strcmp(part, "text") == 0    ? &l->text
                  : strcmp(part, "pair") == 0  ? &l->text2
                  : strcmp(part, "label") == 0 ? &l->label
                                               : NULL;
        if (!to || *to >= 0 || !name)
            TRY(thor_fail(THOR_USAGE, "--columns %.100s: not of the form " COLUMNS_HELP, columns));
        TRY(find_column(to, &l->header, r, f, name));
    }
    if (l->text < 0)
        TRY(thor_fail(THOR_USAGE, "--columns %.100s: text is missing: " COLUMNS_HELP, columns));
    if (l->text2 >= 0)
        l->kind = "mrpc";
out:
    free(copy);
    return st;
}

/* ---- rows ---- */

static int set_label(struct bert_row *row, const struct layout *l, const struct reader *r,
                     const char *s) {
    row->label = parse_label(s);
    if (row->label > -2)
        return THOR_OK;
    row->label = -1;
    row->label_name = s;
    if (l->header && isalpha((unsigned char)*s))
        return THOR_OK;
    return thor_fail(THOR_INPUT, "%s: line %d: the label \"%.20s\" is not 0..%d or -", r->path,
                     r->line, s, BERT_MAX_LABELS - 1);
}

static int parse_row(struct bert_row *row, const struct layout *l, const struct reader *r,
                     const struct fields *f) {
    int st = THOR_OK;
    if (f->n != l->fields && l->fields == 1)
        return bad(r, "has a tab: lines before it hold one text each");
    if (f->n != l->fields)
        return thor_fail(THOR_INPUT, "%s: line %d: must have %d fields with a tab between", r->path,
                         r->line, l->fields);
    *row = (struct bert_row){.label = -1, .line = r->line, .text = f->at[l->text]};
    if (l->text2 >= 0)
        row->text2 = f->at[l->text2];
    if (l->label >= 0)
        TRY(set_label(row, l, r, f->at[l->label]));
    if (row->text2 && !*row->text2 && l->header && strcmp(l->kind, "mrpc") == 0)
        row->text2 = NULL;
    if (!*row->text || (row->text2 && !*row->text2))
        return bad(r, "a text is empty");
out:
    return st;
}

static int first_line(struct layout *l, struct reader *r, struct fields *f, const char *columns) {
    int st = THOR_OK;
    size_t len = 0;
    char *line = next_line(r, &len);
    if (!line)
        return thor_fail(THOR_INPUT, "%s: is empty", r->path);
    TRY(check_text(r, line, len));
    split(f, line);
    TRY(columns ? named_layout(l, r, f, columns) : find_layout(l, r, f));
out:
    return st;
}

static int parse_rows(struct bert_table *t, struct reader *r, int lines, const char *columns) {
    int st = THOR_OK;
    size_t len = 0;
    struct layout l = {0};
    struct fields f;
    TRY(first_line(&l, r, &f, columns));
    t->kind = l.kind;
    t->row = calloc((size_t)lines, sizeof *t->row);
    if (!t->row)
        TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d rows", r->path, lines));
    if (!l.header)
        TRY(parse_row(&t->row[t->n++], &l, r, &f));
    for (char *line; (line = next_line(r, &len));) {
        TRY(check_text(r, line, len));
        split(&f, line);
        TRY(parse_row(&t->row[t->n++], &l, r, &f));
    }
    if (t->n == 0)
        TRY(thor_fail(THOR_INPUT, "%s: has a header but no row", r->path));
out:
    return st;
}

static int count_lines(const char *s, size_t len) {
    int n = 1;
    for (size_t i = 0; i < len; i++)
        n += s[i] == '\n';
    return n;
}

/* Without the byte-order mark and the empty lines at the end, but for the last line's own end. */
static int trim(struct reader *r) {
    const size_t n = (size_t)(r->end - r->at);
    if (n >= 2 && (memcmp(r->at, "\xff\xfe", 2) == 0 || memcmp(r->at, "\xfe\xff", 2) == 0))
        return thor_fail(THOR_INPUT, "%s: is UTF-16: convert it to UTF-8", r->path);
    if (n >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0)
        r->at += 3;
    while (r->end > r->at && (r->end[-1] == '\n' || r->end[-1] == '\r'))
        r->end--;
    *r->end = 0;
    return THOR_OK;
}

static int json_rows(struct bert_table *t, const struct reader *r, int lines) {
    t->row = calloc((size_t)lines, sizeof *t->row);
    if (!t->row)
        return thor_fail(THOR_MEMORY, "%s: no memory for %d rows", r->path, lines);
    return bert_jsonlines_parse(t, r->path, r->at, r->end);
}

/* What would be classified as if its source were the text. */
static int refuse_others(const struct reader *r, const char *columns) {
    const char *at = r->at + strspn(r->at, " \t\r\n"), *dot = strrchr(r->path, '.');
    const size_t line = strcspn(r->at, "\n");
    const int list = *at == '[' && at[1 + strspn(at + 1, " \t\r\n")] == '{';
    if (*at == '{' && at[1 + strspn(at + 1, " \t\r\n")] == '"')
        return thor_fail(THOR_INPUT, "%s: line 1: is JSON, but no object on one line with a "
                         "text under a known name (text, sentence, ..)%s", r->path,
                         columns ? "; --columns is for tables with tabs" : "");
    if (list)
        return thor_fail(THOR_INPUT, "%s: is a JSON list: write one object a line", r->path);
    if (dot && strcasecmp(dot, ".csv") == 0 && !memchr(r->at, '\t', line))
        return thor_fail(THOR_INPUT, "%s: is CSV, which is not read: write a tab between columns, "
                         "no quotes", r->path);
    return THOR_OK;
}

int bert_table_load_columns(struct bert_table **out, const char *path, const char *columns) {
    int st = THOR_OK;
    size_t len = 0;
    struct reader r = {.path = path};
    struct bert_table *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t)
        return thor_fail(THOR_MEMORY, "%s: no memory for the table", path);
    TRY(bert_read_file(&t->file, &len, path, TABLE_BYTES_MAX, THOR_INPUT));
    r.at = t->file;
    r.end = t->file + len;
    TRY(trim(&r));
    if (!columns && bert_jsonlines_is(r.at, r.end))
        TRY(json_rows(t, &r, count_lines(t->file, len)));
    else {
        TRY(refuse_others(&r, columns));
        TRY(parse_rows(t, &r, count_lines(t->file, len), columns));
    }
    *out = t;
    t = NULL;
out:
    bert_table_free(t);
    return st;
}

int bert_table_load(struct bert_table **out, const char *path) {
    return bert_table_load_columns(out, path, NULL);
}

void bert_table_free(struct bert_table *t) {
    if (!t)
        return;
    free(t->row);
    free(t->file);
    free(t);
}
