#include "bert/table.h"

#include <stdlib.h>
#include <string.h>

#include "bert/model.h"
#include "bert/readfile.h"

#define TABLE_BYTES_MAX ((size_t)256 << 20)
#define FIELDS_MAX 6

struct layout {
    const char *header;     /* NULL: the first line is a row */
    int fields;             /* in every row */
    int label, text, text2; /* columns; text2 is -1 when there is none */
    int text2_may_be_empty;
};

static const struct layout layouts[] = {
    {"Quality\t#1 ID\t#2 ID\t#1 String\t#2 String", 5, 0, 3, 4, 1},
    {"sentence\tlabel", 2, 1, 0, -1, 0},
    {"label\ttext", 2, 0, 1, -1, 0},
    {"label\ttext\ttext2", 3, 0, 1, 2, 0},
    {NULL, 2, 0, 1, -1, 0},
    {NULL, 3, 0, 1, 2, 0},
};

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

/* Cuts line at its tabs; the number of fields, FIELDS_MAX meaning that many or more. */
static int split(char *field[FIELDS_MAX], char *line) {
    int n = 0;
    while (line && n < FIELDS_MAX) {
        field[n++] = line;
        line = strchr(line, '\t');
        if (line)
            *line++ = 0;
    }
    return n;
}

/* -2: not a label. */
static int parse_label(const char *s) {
    if (strcmp(s, "-") == 0 || strcmp(s, "-1") == 0)
        return -1;
    if (s[0] >= '0' && s[0] < '0' + BERT_MAX_LABELS && s[1] == 0)
        return s[0] - '0';
    return -2;
}

static const struct layout *find_layout(const char *first) {
    const char *tab = strchr(first, '\t');
    char label[4] = "";
    int fields = 1;
    for (const char *s = tab; s; s = strchr(s + 1, '\t'))
        fields++;
    if (tab && tab - first < (int)sizeof label)
        memcpy(label, first, (size_t)(tab - first));
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        const struct layout *l = &layouts[i];
        if (l->header ? strcmp(first, l->header) == 0
                      : l->fields == fields && parse_label(label) > -2)
            return l;
    }
    return NULL;
}

static int parse_row(struct bert_row *row, const struct layout *l, const struct reader *r,
                     char *line, size_t len) {
    char *field[FIELDS_MAX];
    if (len == 0)
        return bad(r, "is empty");
    if (memchr(line, 0, len) || bert_utf8_valid(line, len) != len)
        return bad(r, "is not UTF-8 text");
    if (split(field, line) != l->fields)
        return thor_fail(THOR_INPUT, "%s: line %d: must have %d fields with a tab between", r->path,
                         r->line, l->fields);
    *row = (struct bert_row){parse_label(field[l->label]), r->line, field[l->text], NULL};
    if (l->text2 >= 0)
        row->text2 = field[l->text2];
    if (row->label < -1)
        return thor_fail(THOR_INPUT, "%s: line %d: the label \"%.20s\" is not 0..%d or -", r->path,
                         r->line, field[l->label], BERT_MAX_LABELS - 1);
    if (row->text2 && !*row->text2 && l->text2_may_be_empty)
        row->text2 = NULL;
    if (!*row->text || (row->text2 && !*row->text2))
        return bad(r, "a text is empty");
    return THOR_OK;
}

static int parse_rows(struct bert_table *t, struct reader *r, int lines) {
    int st = THOR_OK;
    size_t len = 0;
    char *line = next_line(r, &len);
    const struct layout *l = line ? find_layout(line) : NULL;
    if (!line)
        return thor_fail(THOR_INPUT, "%s: is empty", r->path);
    if (!l)
        return bad(r,
                   "is no known header (label<TAB>text, sentence<TAB>label, or MRPC's) and no row "
                   "that begins with a label and a tab");
    t->row = calloc((size_t)lines, sizeof *t->row);
    if (!t->row)
        return thor_fail(THOR_MEMORY, "%s: no memory for %d rows", r->path, lines);
    if (l->header)
        line = next_line(r, &len);
    for (; line; line = next_line(r, &len)) {
        TRY(parse_row(&t->row[t->n], l, r, line, len));
        t->n++;
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

int bert_table_load(struct bert_table **out, const char *path) {
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
    if (len >= 3 && memcmp(r.at, "\xef\xbb\xbf", 3) == 0)
        r.at += 3;
    TRY(parse_rows(t, &r, count_lines(t->file, len)));
    *out = t;
    t = NULL;
out:
    bert_table_free(t);
    return st;
}

void bert_table_free(struct bert_table *t) {
    if (!t)
        return;
    free(t->row);
    free(t->file);
    free(t);
}
