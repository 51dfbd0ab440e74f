#include "cli/embeddings.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ckks/file.h"
#include "cli/cli.h"

int embeddings_new(struct embeddings *e, int n, int dim) {
    const size_t all = (size_t)n * (size_t)dim;
    *e = (struct embeddings){.n = n, .dim = dim};
    e->index = calloc((size_t)n + 1, sizeof *e->index);
    e->x = malloc((all + 1) * sizeof *e->x);
    if (!e->index || !e->x) return thor_fail(THOR_MEMORY, "no memory for %d embeddings", n);
    for (size_t i = 0; i < all; i++) e->x[i] = NAN;
    return THOR_OK;
}

void embeddings_free(struct embeddings *e) {
    free(e->index);
    free(e->x);
    memset(e, 0, sizeof *e);
}

void embeddings_set(struct embeddings *e, int row, int index, const double *x) {
    e->index[row] = index;
    for (int k = 0; k < e->dim; k++) e->x[(size_t)row * (size_t)e->dim + (size_t)k] = (float)x[k];
}

json_t *embeddings_json(const struct embeddings *e, int row) {
    json_t *a = json_array();
    for (int k = 0; k < e->dim; k++)
        json_array_append_new(a, json_real((double)e->x[(size_t)row * (size_t)e->dim + (size_t)k]));
    if ((int)json_array_size(a) == e->dim)
        return json_pack("{s:i, s:o}", "target_idx", e->index[row], "embedding", a);
    json_decref(a); // NaN is no JSON
    return NULL;
}

static int ends_in(const char *path, const char *end) {
    const size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

int embeddings_check(const char *path) {
    char dir[4300] = ".";
    const char *slash = strrchr(path, '/');
    if (slash) snprintf(dir, sizeof dir, "%.*s", (int)(slash - path) + 1, path);
    if (access(dir, W_OK) != 0) // before the work
        return thor_fail(THOR_IO, "--out %.200s: cannot write there: %s; name another folder", path,
                         strerror(errno));
    if (ends_in(path, ".npy") || ends_in(path, ".jsonl")) return THOR_OK;
    return thor_fail(THOR_USAGE, "--out %.200s: name a file that ends in .npy or .jsonl", path);
}

/* Format 1.0: magic, length, and a Python literal padded so that the numbers begin at 64 bytes. */
static int write_npy(struct ckks_file_out *f, const struct embeddings *e) {
    int st = THOR_OK;
    char head[128] = "\x93NUMPY\x01";
    const int n =
        snprintf(head + 10, sizeof head - 10,
                 "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", e->n, e->dim);
    memset(head + 10 + n, ' ', sizeof head - 10 - (size_t)n);
    head[8] = (char)(sizeof head - 10);
    head[sizeof head - 1] = '\n';
    TRY(ckks_file_write(f, head, sizeof head));
    st = ckks_file_write(f, e->x, (size_t)e->n * (size_t)e->dim * sizeof *e->x);
out:
    return st;
}

static int write_lines(struct ckks_file_out *f, const struct embeddings *e) {
    int st = THOR_OK;
    for (int i = 0; i < e->n && st == THOR_OK; i++) {
        json_t *o = embeddings_json(e, i);
        if (!o) continue;
        char *line = json_dumps(o, JSON_REAL_PRECISION(7));
        json_decref(o);
        if (!line) return thor_fail(THOR_MEMORY, "no memory for a line of JSON");
        st = ckks_file_write(f, line, strlen(line));
        if (st == THOR_OK) st = ckks_file_write(f, "\n", 1);
        free(line);
    }
    return st;
}

int embeddings_save(const struct embeddings *e, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    interrupt_hold();
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(ends_in(path, ".npy") ? write_npy(f, e) : write_lines(f, e));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    interrupt_release();
    return st;
}
