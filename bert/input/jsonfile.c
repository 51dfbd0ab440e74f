#include "bert/input/jsonfile.h"

#include <stdlib.h>
#include <string.h>

#include "bert/input/filekind.h"
#include "bert/input/readfile.h"
#include "ckks/file.h"

struct count {
    int values, depth; /* depth: the largest */
};

/* p is behind the opening quote: the place behind the closing one, or end. */
static const char *skip_text(const char *p, const char *end) {
    for (; p < end; p++) {
        if (*p == '\\')
            p++;
        else if (*p == '"')
            return p + 1;
    }
    return end;
}

/* Every value but the first of an array or object stands behind a comma, so that commas and opening
 * brackets are at least as many as values.  Stops at the first that is too many. */
static struct count measure(const char *p, const char *end, int max_values) {
    struct count c = {.values = 1};
    int depth = 0;
    while (p < end && c.values <= max_values && c.depth <= BERT_JSON_DEPTH) {
        const char at = *p++;
        if (at == '"') p = skip_text(p, end);
        depth += (at == '[' || at == '{') - (at == ']' || at == '}');
        c.values += at == ',' || at == '[' || at == '{';
        if (depth > c.depth) c.depth = depth;
    }
    return c;
}

int bert_json_parse(json_t **o, const char *text, size_t len, int max_values, size_t flags,
                    int code) {
    json_error_t err;
    char line[24] = "";
    const struct count c = measure(text, text + len, max_values);
    *o = NULL;
    if (c.depth > BERT_JSON_DEPTH)
        return thor_fail(code, "JSON of more than %d levels", BERT_JSON_DEPTH);
    if (c.values > max_values) return thor_fail(code, "JSON of more than %d values", max_values);
    *o = json_loadb(text, len, JSON_REJECT_DUPLICATES | flags, &err);
    if (*o) return THOR_OK;
    if (memchr(text, '\n', len)) snprintf(line, sizeof line, " (line %d)", err.line);
    return thor_fail(code, "not a JSON object: %.200s%s", err.text, line);
}

int bert_json_read(json_t **o, const char *path, size_t max_bytes, int max_values, size_t flags,
                   int code) {
    int st = THOR_OK;
    char *text = NULL;
    size_t len = 0;
    *o = NULL;
    TRY(bert_read_file(&text, &len, path, max_bytes, code));
    TRY(bert_file_is_text(path, text, len, code));
    st = bert_json_parse(o, text, len, max_values, flags, code);
    if (st == THOR_OK && !json_is_object(*o))
        st = thor_fail(code, "not a JSON object: another kind of value");
    if (st != THOR_OK) thor_fail_in(st, path);
out:
    free(text);
    if (st != THOR_OK) {
        json_decref(*o);
        *o = NULL;
    }
    return st;
}

int bert_json_save(json_t *root, const char *path) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    const size_t style = JSON_INDENT(1) | JSON_REAL_PRECISION(12);
    const size_t bytes = root ? json_dumpb(root, NULL, 0, style) : 0;
    char *text = malloc(bytes + 1); // json_dumps would leave out what it has no memory for
    if (!bytes || !text || json_dumpb(root, text, bytes, style) != bytes)
        TRY(thor_fail(THOR_MEMORY, "no memory to write %s", path));
    text[bytes] = '\n';
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(ckks_file_write(f, text, bytes + 1));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    free(text);
    json_decref(root);
    return st;
}
