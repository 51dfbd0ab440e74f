#include "cli/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "kernels/shown.h"

enum { FILE_MOST = 1 << 20 };

json_t *json_bytes(const char *bytes, size_t n) {
    json_t *parts = json_string(""), *next;
    for (size_t at = 0, k; parts && at < n; at += k + 1, parts = next) {
        k = bert_utf8_valid(bytes + at, n - at);
        next = json_sprintf("%s%.*s%s", json_string_value(parts), (int)k, bytes + at,
                            at + k < n ? "\xef\xbf\xbd" : "");
        json_decref(parts);
    }
    return parts;
}

int put_object(json_t *o, size_t flags) {
    char *text = o ? json_dumps(o, flags) : NULL;
    json_decref(o);
    if (!text) return thor_fail(THOR_MEMORY, "no memory for a line of JSON");
    for (char *rest = text, *line; (line = strsep(&rest, "\n"));) {
        shown_put(stdout, line); // what is escaped stands in strings, where \uXXXX means the same
        putchar('\n');
    }
    free(text);
    return THOR_OK;
}

int save_object(json_t *o, const char *path) {
    char *text = o ? json_dumps(o, JSON_FILE) : NULL, *line = NULL;
    json_decref(o);
    if (text && asprintf(&line, "%s\n", text) < 0) line = NULL;
    free(text);
    if (!line) return thor_fail(THOR_MEMORY, "%.200s: no memory to write it", path);
    int st = save_text(path, line);
    free(line);
    return st;
}

int save_private(const json_t *o, const char *path, size_t flags) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    char *text = o ? json_dumps(o, flags) : NULL;
    interrupt_hold();
    if (!text) TRY(thor_fail(THOR_MEMORY, "%.300s: no memory to write it", path));
    TRY(ckks_file_create(&f, path, CKKS_FILE_PRIVATE));
    TRY(ckks_file_write(f, text, strlen(text)));
    TRY(ckks_file_write(f, "\n", 1));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    interrupt_release();
    if (text) sodium_memzero(text, strlen(text));
    free(text);
    return st;
}

int load_object(json_t **o, const char *path, int code) {
    return bert_json_read(o, path, FILE_MOST, BERT_JSON_SMALL, 0, code);
}
