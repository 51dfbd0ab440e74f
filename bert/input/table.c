#include "bert/input/table.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bert/input/columns.h"
#include "bert/input/filekind.h"
#include "bert/input/jsonlines.h"
#include "bert/input/model.h"
#include "bert/input/readfile.h"

#define TABLE_BYTES_MAX ((size_t)256 << 20)
#define FIELDS_MAX 64

struct fields {
    char *at[FIELDS_MAX];
    int n; /* FIELDS_MAX: that many or more */
};

struct layout {
    const char *kind;
    int fields;             /* in every row */
    int label, text, text2; /* columns; -1 when there is none */
    int score;              /* likewise: STS-B's, read as a score alone */
    int header;             /* the first line is one */
};

static const struct {
    const char *text, *text2, *kind;
} known[] = {{"#1 String", "#2 String", "mrpc"}, {"sentence1", "sentence2", "rte"},
             {"question1", "question2", "qqp"},  {"question", "sentence", "qnli"},
             {"premise", "hypothesis", "mnli"},  {"text", "text2", "mrpc"},
             {"sentence", NULL, "sst2"},         {"text", NULL, "sst2"}};

struct reader {
    const char *path;
    char *at, *end;
    int csv; /* commas and quotes, else tabs */
    /* the first of the row that next_row() gave last, or of the line that next_line() gave */
    int line;
    int next; /* CSV: the first of the next row */
};

/* The next line, NUL-terminated in place; NULL at the end. */
static char *next_line(struct reader *r, size_t *len) {
    char *line = r->at, *stop;
    if (line >= r->end) return NULL;
    stop = memchr(line, '\n', (size_t)(r->end - line));
    if (!stop) stop = r->end;
    r->at = stop + 1;
    r->line++;
    if (stop > line && stop[-1] == '\r') stop--;
    *stop = 0;
    *len = (size_t)(stop - line);
    return line;
}

static int bad(const struct reader *r, const char *what) {
    return thor_fail(THOR_INPUT, "%s: line %d: %s", r->path, r->line, what);
}

static int check_text(const struct reader *r, const char *line, size_t len) {
    if (len == 0) return bad(r, "is empty");
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
        if (line) *line++ = 0;
    }
}

/* A quoted field, in place: *in from behind its first quote to behind its last one.  Where it ends;
 * NULL: nowhere. */
static char *cut_quoted(struct reader *r, char **in, char *to) {
    for (char *p = *in; p < r->end; *to++ = *p++) {
        if (*p == '\n') r->next++;
        if (*p != '"') continue;
        if (p[1] != '"') { // *r->end is 0
            *in = p + 1;
            return to;
        }
        p++; // two stand for one
    }
    *in = r->end;
    return NULL;
}

static int check_field(const struct reader *r, const char *field, size_t len) {
    return len ? check_text(r, field, len) : THOR_OK;
}

/* RFC 4180: commas between fields; one in quotes may hold commas, ends of lines and doubled
 * quotes. */
static int cut_record(struct reader *r, struct fields *f) {
    int st = THOR_OK, more = 1;
    r->line = r->next++;
    for (f->n = 0; more; r->at++) {
        char *field = r->at, *stop = field;
        const int quoted = *field == '"';
        if (quoted) {
            r->at++;
            stop = cut_quoted(r, &r->at, field);
            if (!stop) return bad(r, "a quote is not closed");
        }
        char *rest = r->at;
        r->at += strcspn(r->at, ",\n");
        while (r->at < r->end && !*r->at) // a NUL, which check_field finds
            r->at += 1 + strcspn(r->at + 1, ",\n");
        char *end = r->at;
        if (*end != ',' && end > rest && end[-1] == '\r') end--;
        if (quoted && end > rest && st == THOR_OK)
            st = bad(r, "there is text behind a closing quote");
        if (!quoted) stop = end;
        more = *r->at == ',';
        if (st == THOR_OK) st = check_field(r, field, (size_t)(stop - field));
        *stop = 0;
        if (f->n < FIELDS_MAX) f->at[f->n++] = field;
    }
    return st == THOR_OK && f->n == 1 && !*f->at[0] ? bad(r, "is empty") : st;
}

/* The fields of the next row; 0 at the end.  *st: THOR_INPUT for a row that has none. */
static int next_row(struct reader *r, struct fields *f, int *st) {
    size_t len = 0;
    if (r->at >= r->end) return 0;
    if (r->csv) {
        *st = cut_record(r, f);
        return 1;
    }
    char *line = next_line(r, &len);
    *st = check_text(r, line, len);
    split(f, line);
    return 1;
}

/* -2: not a number of a label. */
static int parse_label(const char *s) {
    if (strcmp(s, "-") == 0 || strcmp(s, "-1") == 0) return -1;
    const size_t n = strlen(s);
    if (n == 0 || n > 3 || strspn(s, "0123456789") != n || atoi(s) >= BERT_MAX_LABELS) return -2;
    return atoi(s);
}

int bert_label_score(double *score, const char *s) {
    char *end;
    *score = NAN;
    if (!*s || strspn(s, "+-.0123456789eE") != strlen(s) || strcmp(s, "-") == 0) return 0;
    const double x = strtod(s, &end);
    if (*end || !isfinite(x)) return 0;
    *score = x;
    return 1;
}

int bert_label_list(const char *s) {
    return strchr(s, ',') && isalnum((unsigned char)*s);
}

/* ---- which columns ---- */

static int find(const struct fields *f, const char *name) {
    for (int i = 0; name && i < f->n; i++)
        if (strcmp(f->at[i], name) == 0) return i;
    return -1;
}

static int is_number(const char *s) {
    return *s && strspn(s, "0123456789") == strlen(s);
}

/* 1 when the line names columns; no name is a number. */
static int read_header(struct layout *l, const struct fields *f) {
    size_t i = 0;
    for (int k = 0; k < f->n; k++)
        if (is_number(f->at[k])) return 0;
    while (i < sizeof known / sizeof *known &&
           (find(f, known[i].text) < 0 || (known[i].text2 && find(f, known[i].text2) < 0)))
        i++;
    if (i == sizeof known / sizeof *known) return 0;
    *l = (struct layout){known[i].kind, f->n, .label = -1, .score = -1, .header = 1};
    l->text = find(f, known[i].text);
    l->text2 = find(f, known[i].text2);
    for (int k = 0; l->label < 0 && bert_label_column(k); k++)
        l->label = find(f, bert_label_column(k));
    if (strcmp(l->kind, "rte") == 0 && find(f, "score") >= 0) {
        l->kind = "stsb";
        l->score = find(f, "score");
    }
    return 1;
}

static int unknown_columns(const struct reader *r, const struct fields *f) {
    char names[160] = "";
    for (int i = 0; i < f->n && strlen(names) + 45 < sizeof names; i++)
        snprintf(names + strlen(names), 44, "%s%.40s", i ? ", " : "", f->at[i]);
    return thor_fail(THOR_INPUT,
                     "%s: line 1: is no known header (%s), nor a row that begins with a label; "
                     "name its columns with " BERT_COLUMNS_HELP,
                     r->path, names);
}

static int find_layout(struct layout *l, const struct reader *r, const struct fields *f) {
    if (read_header(l, f)) return THOR_OK;
    if (f->n == 1) {
        *l = (struct layout){"text", 1, -1, 0, -1, -1, 0};
        return THOR_OK;
    }
    double score;
    if (f->n > 3 || (parse_label(f->at[0]) == -2 &&
                     (is_number(f->at[0]) || !bert_label_score(&score, f->at[0]))))
        return unknown_columns(r, f);
    *l = (struct layout){f->n == 2 ? "sst2" : "mrpc", f->n, 0, 1, f->n == 2 ? -1 : 2, -1, 0};
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
    if (*column >= 0 && *column < f->n) return THOR_OK;
    return thor_fail(THOR_INPUT, "%s: has no column %.60s among its %d; see its first line",
                     r->path, name, f->n);
}

static int named_layout(struct layout *l, const struct reader *r, const struct fields *f,
                        const struct bert_columns *named) {
    int st = THOR_OK;
    *l = (struct layout){named->pair ? "mrpc" : "sst2", f->n, -1, -1, -1, -1, 0};
    TRY(find_column(&l->text, &l->header, r, f, named->text));
    if (named->pair) TRY(find_column(&l->text2, &l->header, r, f, named->pair));
    if (named->label) TRY(find_column(&l->label, &l->header, r, f, named->label));
out:
    return st;
}

/* ---- rows ---- */

static int set_label(struct bert_row *row, const struct layout *l, const struct reader *r,
                     const char *s) {
    row->label = parse_label(s);
    if (row->label >= 0) row->score = row->label;
    if (row->label > -2) return THOR_OK;
    row->label = -1;
    row->label_name = s;
    if (!is_number(s) && bert_label_score(&row->score, s)) return THOR_OK;
    if (l->header && (isalpha((unsigned char)*s) || bert_label_list(s))) return THOR_OK;
    return thor_fail(THOR_INPUT, "%s: line %d: the label \"%.20s\" is not 0..%d or -", r->path,
                     r->line, s, BERT_MAX_LABELS - 1);
}

static int parse_row(struct bert_row *row, const struct layout *l, const struct reader *r,
                     const struct fields *f) {
    int st = THOR_OK;
    if (f->n != l->fields && l->fields == 1 && !r->csv)
        return bad(r, "has a tab: lines before it hold one text each");
    if (f->n != l->fields)
        return thor_fail(THOR_INPUT, "%s: line %d: must have %d field%s with a %s between", r->path,
                         r->line, l->fields, l->fields == 1 ? "" : "s", r->csv ? "comma" : "tab");
    *row = (struct bert_row){.label = -1, .score = NAN, .line = r->line, .text = f->at[l->text]};
    if (l->score >= 0) bert_label_score(&row->score, f->at[l->score]);
    if (l->text2 >= 0) row->text2 = f->at[l->text2];
    if (l->label >= 0) TRY(set_label(row, l, r, f->at[l->label]));
    if (row->text2 && !*row->text2 && l->header && strcmp(l->kind, "mrpc") == 0) row->text2 = NULL;
    if (!*row->text || (row->text2 && !*row->text2)) return bad(r, "a text is empty");
out:
    return st;
}

static int first_line(struct layout *l, struct reader *r, struct fields *f,
                      const struct bert_columns *named) {
    int st = THOR_OK;
    if (!next_row(r, f, &st)) return thor_fail(THOR_INPUT, "%s: is empty", r->path);
    TRY(st);
    TRY(named ? named_layout(l, r, f, named) : find_layout(l, r, f));
out:
    return st;
}

int bert_table_end_row(struct bert_table *t, struct bert_row *row, int line, int st) {
    if (st != THOR_INPUT || !t->keeps_bad) return st;
    *row = (struct bert_row){
        .label = -1, .score = NAN, .line = line, .text = "", .bad = strdup(thor_error())};
    return row->bad ? THOR_OK : thor_fail(THOR_MEMORY, "no memory for the fault of a row");
}

static int keep_row(struct bert_table *t, const struct reader *r, int st) {
    st = bert_table_end_row(t, &t->row[t->n], r->line, st);
    t->n += st == THOR_OK;
    return st;
}

static int parse_rows(struct bert_table *t, struct reader *r, int lines,
                      const struct bert_columns *named) {
    int st = THOR_OK, bad_row = THOR_OK;
    struct layout l = {0};
    struct fields f;
    TRY(first_line(&l, r, &f, named));
    t->kind = l.kind;
    t->row = calloc((size_t)lines, sizeof *t->row);
    if (!t->row) TRY(thor_fail(THOR_MEMORY, "%s: no memory for %d rows", r->path, lines));
    if (!l.header) TRY(keep_row(t, r, parse_row(&t->row[t->n], &l, r, &f)));
    while (next_row(r, &f, &bad_row))
        TRY(keep_row(t, r, bad_row ? bad_row : parse_row(&t->row[t->n], &l, r, &f)));
    if (t->n == 0) TRY(thor_fail(THOR_INPUT, "%s: has a header but no row", r->path));
out:
    return st;
}

static int count_lines(const char *s, size_t len) {
    int n = 1;
    for (size_t i = 0; i < len; i++) n += s[i] == '\n';
    return n;
}

/* Without the byte-order mark and the empty lines at the end, but for the last line's own end. */
static void trim(struct reader *r) {
    const size_t n = (size_t)(r->end - r->at);
    if (n >= 3 && memcmp(r->at, "\xef\xbb\xbf", 3) == 0) r->at += 3;
    while (r->end > r->at && (r->end[-1] == '\n' || r->end[-1] == '\r')) r->end--;
    *r->end = 0;
}

static int json_rows(struct bert_table *t, const struct reader *r, int lines,
                     const struct bert_columns *named) {
    t->row = calloc((size_t)lines, sizeof *t->row);
    if (!t->row) return thor_fail(THOR_MEMORY, "%s: no memory for %d rows", r->path, lines);
    return bert_jsonlines_parse(t, r->path, r->at, r->end, named);
}

/* What would be classified as if its source were the text. */
static int refuse_list(const struct reader *r) {
    const char *at = r->at + strspn(r->at, " \t\r\n");
    if (*at == '[' && at[1 + strspn(at + 1, " \t\r\n")] == '{')
        return thor_fail(THOR_INPUT, "%s: is a JSON list: write one object a line", r->path);
    return THOR_OK;
}

/* By its name, unless it has tabs all the same. */
static int is_csv(const struct reader *r) {
    const char *dot = strrchr(r->path, '.');
    return dot && strcasecmp(dot, ".csv") == 0 && !memchr(r->at, '\t', strcspn(r->at, "\n"));
}

static int read_rows(struct bert_table *t, struct reader *r, int lines,
                     const struct bert_columns *named) {
    int st = THOR_OK;
    if (bert_jsonlines_is(r->at)) return json_rows(t, r, lines, named);
    TRY(refuse_list(r));
    r->csv = is_csv(r);
    r->next = 1;
    TRY(parse_rows(t, r, lines, named));
out:
    return st;
}

static int load(struct bert_table **out, const char *path, const char *columns, int keeps_bad) {
    int st = THOR_OK;
    size_t len = 0;
    struct reader r = {.path = path};
    struct bert_columns named = {0};
    struct bert_table *t = calloc(1, sizeof *t);
    *out = NULL;
    if (!t) return thor_fail(THOR_MEMORY, "%s: no memory for the table", path);
    t->keeps_bad = keeps_bad;
    if (columns) TRY(bert_columns_parse(&named, columns));
    TRY(strcmp(path, "-") == 0 ? bert_read_stdin(&t->file, &len, TABLE_BYTES_MAX, THOR_INPUT)
                               : bert_read_file(&t->file, &len, path, TABLE_BYTES_MAX, THOR_INPUT));
    TRY(bert_file_is_text(path, t->file, len, THOR_INPUT));
    r.at = t->file;
    r.end = t->file + len;
    trim(&r);
    TRY(read_rows(t, &r, count_lines(t->file, len), columns ? &named : NULL));
    *out = t;
    t = NULL;
out:
    bert_columns_free(&named);
    bert_table_free(t);
    return st;
}

int bert_table_load(struct bert_table **out, const char *path, const char *columns) {
    return load(out, path, columns, 0);
}

int bert_table_load_each(struct bert_table **out, const char *path, const char *columns) {
    return load(out, path, columns, 1);
}

void bert_table_free(struct bert_table *t) {
    if (!t) return;
    for (int i = 0; i < t->n; i++) free(t->row[i].bad);
    free(t->row);
    free(t->file);
    free(t);
}
