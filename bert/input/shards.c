#include "bert/input/shards.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <xxhash.h>

#include "bert/input/jsonfile.h"

#define INDEX_BYTES_MAX ((size_t)16 << 20)
enum { NAME_MAX_BYTES = 255 };

struct bert_shards {
    char *path;          /* of the index, or of the one file */
    json_t *index, *map; /* NULL: one file; map is the index's weight_map */
    int n;
    const char *name[BERT_SHARDS_MAX]; /* of the files, in ascending order; they stand in map */
    struct bert_tensors *file[BERT_SHARDS_MAX];
};

static int fail(const struct bert_shards *s, const char *tensor, const char *file,
                const char *what) {
    return thor_fail(THOR_MODEL, "%.300s: tensor %.100s: %.100s %s", s->path, tensor, file, what);
}

/* A file beside the index, and nothing that a path could lead elsewhere by. */
static int is_plain(const char *name) {
    const size_t len = strlen(name);
    if (len == 0 || len > NAME_MAX_BYTES || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    for (size_t i = 0; i < len; i++)
        if (name[i] == '/' || name[i] == '\\' || iscntrl((unsigned char)name[i])) return 0;
    return 1;
}

static int find(const struct bert_shards *s, const char *name) {
    int i = 0;
    while (i < s->n && strcmp(s->name[i], name) != 0) i++;
    return i;
}

static void insert(struct bert_shards *s, const char *name) {
    int i = s->n++;
    for (; i > 0 && strcmp(s->name[i - 1], name) > 0; i--) s->name[i] = s->name[i - 1];
    s->name[i] = name;
}

/* The names of the files, each once. */
static int list_files(struct bert_shards *s) {
    const char *tensor;
    json_t *value;
    if (!json_is_object(s->map) || json_object_size(s->map) == 0)
        return thor_fail(THOR_MODEL, "%s: weight_map is missing: fetch the file again", s->path);
    json_object_foreach(s->map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !is_plain(name))
            return fail(s, tensor, name ? name : "what is no text",
                        "must be the plain name of a "
                        "file in the same folder");
        if (find(s, name) < s->n) continue;
        if (s->n == BERT_SHARDS_MAX)
            return thor_fail(THOR_MODEL, "%s: more than %d files", s->path, BERT_SHARDS_MAX);
        insert(s, name);
    }
    return THOR_OK;
}

static int open_files(struct bert_shards *s) {
    int st = THOR_OK;
    char path[4600];
    const char *slash = strrchr(s->path, '/');
    const int folder = slash ? (int)(slash - s->path) + 1 : 0;
    for (int i = 0; i < s->n; i++) {
        if (snprintf(path, sizeof path, "%.*s%s", folder, s->path, s->name[i]) >= (int)sizeof path)
            TRY(thor_fail(THOR_MODEL, "%.60s..: the folder's name is too long", s->path));
        TRY(bert_tensors_open(&s->file[i], path));
    }
out:
    return st;
}

/* Each tensor in the file that the index names, and in no other. */
static int check_map(const struct bert_shards *s) {
    const char *tensor;
    json_t *value;
    json_object_foreach(s->map, tensor, value) {
        const int at = find(s, json_string_value(value));
        if (!bert_tensors_has(s->file[at], tensor))
            return fail(s, tensor, s->name[at], "does not hold it: fetch both files again");
        for (int i = 0; i < s->n; i++)
            if (i != at && bert_tensors_has(s->file[i], tensor))
                return fail(s, tensor, s->name[i],
                            "holds it too, beside the file that the index "
                            "names: fetch the files again");
    }
    return THOR_OK;
}

static int open_index(struct bert_shards *s) {
    int st = THOR_OK;
    TRY(bert_json_read(&s->index, s->path, INDEX_BYTES_MAX, BERT_JSON_SMALL, 0, THOR_MODEL));
    s->map = json_object_get(s->index, "weight_map");
    TRY(list_files(s));
    TRY(open_files(s));
    TRY(check_map(s));
out:
    return st;
}

int bert_shards_open(struct bert_shards **out, const char *path) {
    int st = THOR_OK;
    const char *dot = strrchr(path, '.');
    struct bert_shards *s = calloc(1, sizeof *s);
    *out = NULL;
    if (s) s->path = strdup(path);
    if (!s || !s->path) TRY(thor_fail(THOR_MEMORY, "%s: no memory to open it", path));
    if (dot && strcmp(dot, ".json") == 0) {
        TRY(open_index(s));
    } else {
        s->n = 1;
        TRY(bert_tensors_open(&s->file[0], path));
    }
    *out = s;
    s = NULL;
out:
    bert_shards_close(s);
    return st;
}

void bert_shards_close(struct bert_shards *s) {
    if (!s) return;
    for (int i = 0; i < s->n; i++) bert_tensors_close(s->file[i]);
    json_decref(s->index);
    free(s->path);
    free(s);
}

int bert_shards_hash(uint64_t *hash, const struct bert_shards *s) {
    int st = THOR_OK;
    uint64_t each[BERT_SHARDS_MAX];
    unsigned char bytes[8 * BERT_SHARDS_MAX];
    if (!s->index) return bert_tensors_hash(hash, s->file[0]);
    for (int i = 0; i < s->n; i++) {
        TRY(bert_tensors_hash(&each[i], s->file[i]));
        for (int k = 0; k < 8; k++) bytes[8 * i + k] = (unsigned char)(each[i] >> 8 * k);
    }
    *hash = XXH3_64bits(bytes, 8 * (size_t)s->n);
out:
    return st;
}

int bert_shards_files(const struct bert_shards *s) {
    return s->n;
}

const struct bert_tensors *bert_shards_file(const struct bert_shards *s, int i) {
    return s->file[i];
}

/* NULL where the index does not name it. */
static const struct bert_tensors *holder(const struct bert_shards *s, const char *name) {
    if (!s->index) return s->file[0];
    const char *file = json_string_value(json_object_get(s->map, name));
    return file ? s->file[find(s, file)] : NULL;
}

int bert_shards_has(const struct bert_shards *s, const char *name) {
    const struct bert_tensors *t = holder(s, name);
    return t && bert_tensors_has(t, name);
}

int bert_shards_expect(const struct bert_shards *s, const char *name, int rows, int cols) {
    const struct bert_tensors *t = holder(s, name);
    if (!t) return thor_fail(THOR_MODEL, "%s: tensor %.100s: is missing", s->path, name);
    return bert_tensors_expect(t, name, rows, cols);
}

int bert_shards_read(float *w, const struct bert_shards *s, const char *name, int rows, int cols) {
    const struct bert_tensors *t = holder(s, name);
    if (!t) return bert_shards_expect(s, name, rows, cols);
    return bert_tensors_read(w, t, name, rows, cols);
}
