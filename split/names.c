#include "split/names.h"

#include <stdlib.h>
#include <string.h>

#include "bert/input/readfile.h"
#include "kernels/shown.h"

#define BYTES_MAX ((size_t)64 << 20)

struct split_names {
    struct split_folded *name; /* sorted; runs of spaces are one */
    size_t n, room;
    int breaks; /* inside and at the end of a name, at most */
};

/* Order of two names; spaces of any number are one space. */
static int compare(const int32_t *a, size_t n, const int32_t *b, size_t m) {
    size_t i = 0, j = 0;
    for (; i < n && j < m; i++, j++) {
        if (a[i] != b[j]) return a[i] < b[j] ? -1 : 1;
        if (a[i] != ' ') continue;
        while (i + 1 < n && a[i + 1] == ' ') i++;
        while (j + 1 < m && b[j + 1] == ' ') j++;
    }
    return i < n ? 1 : j < m ? -1 : 0;
}

static int by_name(const void *a, const void *b) {
    const struct split_folded *x = a, *y = b;
    return compare(x->c, x->n, y->c, y->n);
}

/* Without spaces around. */
static void trim(struct split_folded *f) {
    size_t skip = 0;
    while (f->n > 0 && f->c[f->n - 1] == ' ') f->n--;
    while (skip < f->n && f->c[skip] == ' ') skip++;
    f->n -= skip;
    memmove(f->c, f->c + skip, f->n * sizeof *f->c);
}

static int add(struct split_names *names, const char *line) {
    int st = THOR_OK;
    struct split_folded f;
    TRY(split_fold(&f, line));
    trim(&f);
    if (f.n == 0 || f.c[0] == '#') {
        split_folded_free(&f);
        return THOR_OK;
    }
    if (names->n == names->room) {
        const size_t more = 2 * names->room + 64;
        struct split_folded *grown = realloc(names->name, more * sizeof *grown);
        if (!grown) {
            split_folded_free(&f);
            return thor_fail(THOR_MEMORY, "no memory for a list of names");
        }
        names->name = grown;
        names->room = more;
    }
    int breaks = 0;
    for (size_t i = 1; i <= f.n; i++) breaks += split_word_break(&f, i);
    if (breaks > names->breaks) names->breaks = breaks;
    names->name[names->n++] = f;
out:
    return st;
}

int split_names_parse(struct split_names **out, char *lines, const char *path) {
    int st = THOR_OK;
    struct split_names *names = calloc(1, sizeof *names);
    *out = NULL;
    if (!names) return thor_fail(THOR_MEMORY, "no memory for a list of names");
    if (bert_utf8_valid(lines, strlen(lines)) != strlen(lines))
        TRY(thor_fail(THOR_INPUT, "%.300s: is not UTF-8 text", shown(path)));
    for (char *line = lines, *next = line; next; line = next) {
        next = strchr(line, '\n');
        if (next) *next = 0;
        st = add(names, line);
        if (next) *next++ = '\n';
        TRY(st);
    }
    if (names->n == 0)
        TRY(thor_fail(THOR_INPUT, "%.300s: has no names; write one a line", shown(path)));
    qsort(names->name, names->n, sizeof *names->name, by_name);
    *out = names;
    names = NULL;
out:
    split_names_free(names);
    return st;
}

int split_names_load(struct split_names **out, const char *path) {
    int st = THOR_OK;
    char *text = NULL;
    size_t len;
    *out = NULL;
    TRY(bert_read_file(&text, &len, path, BYTES_MAX, THOR_INPUT));
    if (strlen(text) != len) TRY(thor_fail(THOR_INPUT, "%.300s: is not UTF-8 text", shown(path)));
    TRY(split_names_parse(out, text, path));
out:
    free(text);
    return st;
}

void split_names_free(struct split_names *names) {
    if (!names) return;
    for (size_t i = 0; i < names->n; i++) split_folded_free(&names->name[i]);
    free(names->name);
    free(names);
}

static int is_listed(const struct split_names *names, const int32_t *c, size_t n) {
    size_t low = 0, high = names->n;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = compare(c, n, names->name[middle].c, names->name[middle].n);
        if (order == 0) return 1;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return 0;
}

size_t split_names_find(const struct split_names *names, const struct split_folded *f, size_t i) {
    size_t longest = 0;
    int breaks = 0;
    for (size_t j = i + 1; j <= f->n && breaks < names->breaks; j++) {
        if (!split_word_break(f, j)) continue;
        if (f->c[j - 1] == ' ' && f->c[j] == ' ') continue; // a run of spaces has two breaks
        breaks++;
        if (is_listed(names, f->c + i, j - i)) longest = j;
    }
    return longest;
}
