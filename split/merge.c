#include "split/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "bert/input/shards.h"
#include "split/tensorfile.h"
#include "split/weights.h"

enum { NAME = 256, PATH = 4300, PIECE = 1 << 16 };

struct merging {
    const struct split_base *b;
    const struct split_adapter *a;
    struct bert_shards *model;
    json_t *changed; /* name of a tensor: layer * SPLIT_MAPS + map, or HEAD_W, HEAD_B */
    struct split_tensor_list list;
    struct ckks_file_out *file;
};
enum { HEAD_W = -1, HEAD_B = -2 };

/* ---- which tensors change ---- */

/* Tensors are called as the usual library calls them, without the body's name, or with what
 * wrappers put in front. */
static int find_front(char *wrap, char *body, const struct merging *m, int map) {
    static const char *const wraps[] = {"", "module.", "model.", "base_model.", "encoder."};
    char name[NAME - 32], full[NAME];
    for (size_t i = 0; i < 2 * sizeof wraps / sizeof *wraps; i++) {
        snprintf(wrap, 16, "%s", wraps[i / 2]);
        snprintf(body, 32, "%s", i % 2 ? "" : m->b->body);
        split_base_name(name, sizeof name, m->b, body, 0, map);
        snprintf(full, sizeof full, "%s%s.weight", wrap, name);
        if (bert_shards_has(m->model, full)) return THOR_OK;
    }
    split_base_name(name, sizeof name, m->b, m->b->body, 0, map);
    return thor_fail(THOR_MODEL, "the model has no tensor %s.weight", name);
}

static int note(struct merging *m, const char *name, int what) {
    if (!bert_shards_has(m->model, name))
        return thor_fail(THOR_MODEL, "the model has no tensor %s", name);
    if (json_object_set_new(m->changed, name, json_integer(what)) != 0)
        return thor_fail(THOR_MEMORY, "no memory for the names of the tensors");
    return THOR_OK;
}

static int note_maps(struct merging *m) {
    int st = THOR_OK;
    char wrap[16], body[32], name[NAME - 32], full[NAME];
    if (!m->a->maps) return THOR_OK;
    TRY(find_front(wrap, body, m, __builtin_ctz(m->a->maps)));
    for (int i = 0; i < m->a->layers * SPLIT_MAPS; i++) {
        const int layer = i / SPLIT_MAPS, map = i % SPLIT_MAPS;
        if (!m->a->lora[i].a) continue;
        split_base_name(name, sizeof name, m->b, body, layer, map);
        snprintf(full, sizeof full, "%s%s.weight", wrap, name);
        TRY(note(m, full, m->b->joint && map <= SPLIT_MAP_V ? layer * SPLIT_MAPS : i));
    }
out:
    return st;
}

static int note_head(struct merging *m) {
    static const char *const wraps[] = {"", "module.", "model.", "base_model."};
    int st = THOR_OK;
    char name[NAME];
    if (!m->a->labels) return THOR_OK;
    for (size_t i = 0; i < sizeof wraps / sizeof *wraps; i++) {
        snprintf(name, sizeof name, "%s%s.weight", wraps[i], m->b->head);
        if (!bert_shards_has(m->model, name)) continue;
        TRY(note(m, name, HEAD_W));
        snprintf(name, sizeof name, "%s%s.bias", wraps[i], m->b->head);
        if (m->a->head_b) TRY(note(m, name, HEAD_B));
        return THOR_OK;
    }
    return thor_fail(THOR_MODEL, "the model has no tensor %s.weight", m->b->head);
out:
    return st;
}

/* ---- the list of the new file ---- */

/* Calls each(m, file, name, entry) for every tensor of the model, in the order of its files. */
static int for_tensors(struct merging *m,
                       int (*each)(struct merging *m, const struct bert_tensors *file,
                                   const char *name, const json_t *entry)) {
    int st = THOR_OK;
    const char *name;
    json_t *entry;
    for (int i = 0; i < bert_shards_files(m->model); i++) {
        const struct bert_tensors *file = bert_shards_file(m->model, i);
        json_object_foreach((json_t *)bert_tensors_list(file), name,
                            entry) if (strcmp(name, "__metadata__") != 0)
            TRY(each(m, file, name, entry));
    }
out:
    return st;
}

static void span_of(size_t *at, size_t *n, const json_t *entry) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    *at = (size_t)json_integer_value(json_array_get(offsets, 0));
    *n = (size_t)json_integer_value(json_array_get(offsets, 1)) - *at;
}

static int list_one(struct merging *m, const struct bert_tensors *file, const char *name,
                    const json_t *entry) {
    size_t at, n;
    const json_t *shape = json_object_get(entry, "shape");
    (void)file;
    if (!json_object_get(m->changed, name)) {
        span_of(&at, &n, entry);
        const char *dtype = json_string_value(json_object_get(entry, "dtype"));
        return split_list_add(&m->list, name, dtype, shape, n);
    }
    const int two = json_array_size(shape) == 2;
    return split_list_add_f32(&m->list, name,
                              two ? (int)json_integer_value(json_array_get(shape, 0)) : 0,
                              (int)json_integer_value(json_array_get(shape, (size_t)two)));
}

/* ---- its data ---- */

static int copy_bytes(struct merging *m, const struct bert_tensors *file, const json_t *entry) {
    int st = THOR_OK;
    unsigned char piece[PIECE];
    size_t at, n;
    span_of(&at, &n, entry);
    for (size_t k; n > 0; n -= k, at += k) {
        k = n < PIECE ? n : PIECE;
        TRY(bert_tensors_bytes(piece, file, k, at));
        TRY(ckks_file_write(m->file, piece, k));
    }
out:
    return st;
}

/* w[o][i] += scale sum_r b[o][r] a[r][i], w one row after another of `pitch` columns; turned: w is
 * in x out, and its columns begin at `first`. */
static void add_product(double *w, const struct split_adapter *a, const struct split_lora *l,
                        int turned, size_t pitch, size_t first) {
    const double scale = a->alpha / a->rank;
    const size_t in = (size_t)l->in, rank = (size_t)a->rank;
#pragma omp parallel for schedule(static)
    for (int o = 0; o < l->out; o++)
        for (size_t r = 0; r < rank; r++) {
            const double b = scale * l->b[(size_t)o * rank + r];
            for (size_t i = 0; i < in; i++) {
                const size_t place = turned ? i * pitch + first + (size_t)o : (size_t)o * pitch + i;
                w[place] += b * l->a[r * in + i];
            }
        }
}

static int read_wide(double **w, const struct bert_tensors *file, const char *name, int rows,
                     int cols) {
    int st = THOR_OK;
    const size_t n = (size_t)rows * (size_t)cols;
    float *x = NULL;
    *w = NULL;
    TRY(bert_tensors_expect(file, name, rows, cols));
    x = malloc(n * sizeof *x);
    *w = malloc(n * sizeof **w);
    if (!x || !*w) TRY(thor_fail(THOR_MEMORY, "no memory for tensor %s", name));
    TRY(bert_tensors_read(x, file, name, rows, cols));
    for (size_t i = 0; i < n; i++) (*w)[i] = (double)x[i];
out:
    free(x);
    if (st != THOR_OK) {
        free(*w);
        *w = NULL;
    }
    return st;
}

static int write_map(struct merging *m, const struct bert_tensors *file, const char *name,
                     int what) {
    int st = THOR_OK;
    const struct split_lora *l = &m->a->lora[what];
    const int map = what % SPLIT_MAPS, thirds = m->b->joint && map == SPLIT_MAP_Q ? 3 : 1;
    const int in = m->b->in[map], out = m->b->out[map] * thirds;
    double *w = NULL;
    TRY(read_wide(&w, file, name, m->b->joint ? in : out, m->b->joint ? out : in));
    for (int i = 0; i < thirds; i++)
        if (l[i].a)
            add_product(w, m->a, &l[i], m->b->joint, (size_t)(m->b->joint ? out : in),
                        (size_t)i * (size_t)m->b->out[map]);
    TRY(split_write_f32(m->file, w, (size_t)in * (size_t)out));
out:
    free(w);
    return st;
}

static int write_one(struct merging *m, const struct bert_tensors *file, const char *name,
                     const json_t *entry) {
    int st = THOR_OK;
    const json_t *what = json_object_get(m->changed, name);
    const struct split_adapter *a = m->a;
    if (!what) return copy_bytes(m, file, entry);
    const int i = (int)json_integer_value(what);
    if (i >= 0) return write_map(m, file, name, i);
    TRY(bert_tensors_expect(file, name, i == HEAD_W ? a->labels : 0,
                            i == HEAD_W ? a->hidden : a->labels));
    if (i == HEAD_W) return split_write_f32(m->file, a->head_w, (size_t)(a->labels * a->hidden));
    return split_write_f32(m->file, a->head_b, (size_t)a->labels);
out:
    return st;
}

static int open_model(struct merging *m, const char *folder) {
    char path[PATH];
    split_weights_path(path, sizeof path, folder);
    return bert_shards_open(&m->model, path);
}

int split_merge(const char *out, const char *model, const struct split_base *b,
                const struct split_adapter *a) {
    int st = THOR_OK;
    char path[PATH];
    struct merging m = {.b = b, .a = a, .changed = json_object()};
    TRY(split_base_fits(b, a));
    TRY(open_model(&m, model));
    TRY(note_maps(&m));
    TRY(note_head(&m));
    TRY(split_list_begin(&m.list));
    TRY(for_tensors(&m, list_one));
    snprintf(path, sizeof path, "%.4000s/model.safetensors", out);
    TRY(split_list_create(&m.file, &m.list, path, CKKS_FILE_PRIVATE));
    TRY(for_tensors(&m, write_one));
    TRY(ckks_file_commit(&m.file));
out:
    ckks_file_abandon(&m.file);
    split_list_end(&m.list);
    bert_shards_close(m.model);
    json_decref(m.changed);
    return st;
}
