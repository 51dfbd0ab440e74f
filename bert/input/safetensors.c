#include "bert/input/safetensors.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/input/jsonfile.h"
#include "bert/input/readfile.h"

#define HEADER_BYTES_MAX ((uint64_t)16 << 20)
#define DIMS_MAX 8
enum { PIECE = 1 << 16 };

struct bert_tensors {
    char *path;
    struct bert_file file;
    json_t *header;      /* an object of entries that check_entry() has passed */
    uint64_t data, size; /* where the tensors begin; bytes from there to the end */
};

static const struct dtype {
    const char *name;
    uint64_t bytes;
} dtypes[] = {{"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8},     {"I64", 8},
              {"U64", 8}, {"I32", 4}, {"U32", 4},  {"I16", 2},     {"U16", 2},
              {"I8", 1},  {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};

static const struct dtype *find_dtype(const char *name) {
    for (size_t i = 0; name && i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

static int fail(const struct bert_tensors *t, const char *name, const char *what) {
    return thor_fail(THOR_MODEL, "%s: tensor %.100s: %s", t->path, name, what);
}

/* A JSON integer in 0 .. 2^62; -1 for anything else. */
static int64_t natural(const json_t *v) {
    json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;
    return n < 0 || n > ((json_int_t)1 << 62) ? -1 : (int64_t)n;
}

/* *bytes = product of the shape times `each`; 0 unless all is sound and below 2^62. */
static int shape_bytes(uint64_t *bytes, const json_t *shape, uint64_t each) {
    if (!json_is_array(shape) || json_array_size(shape) > DIMS_MAX) return 0;
    *bytes = each;
    for (size_t i = 0; i < json_array_size(shape); i++) {
        int64_t dim = natural(json_array_get(shape, i));
        if (dim < 0 || __builtin_mul_overflow(*bytes, (uint64_t)dim, bytes) || *bytes >> 62)
            return 0;
    }
    return 1;
}

struct span {
    uint64_t begin, end;
};

static int check_entry(const struct bert_tensors *t, const char *name, const json_t *entry,
                       struct span *span) {
    const struct dtype *type = find_dtype(json_string_value(json_object_get(entry, "dtype")));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    int64_t begin = natural(json_array_get(offsets, 0)), end = natural(json_array_get(offsets, 1));
    uint64_t bytes;
    if (!json_is_object(entry) || json_array_size(offsets) != 2 || begin < 0 || end < begin)
        return fail(t, name, "the header entry is malformed");
    if ((uint64_t)end > t->size)
        return thor_fail(
            THOR_MODEL,
            "%s: tensor %.100s ends at byte %lld of the data, but the file holds %llu: "
            "it is truncated, fetch it again",
            t->path, name, (long long)end, (unsigned long long)t->size);
    if (!type) return fail(t, name, "unknown dtype");
    if (!shape_bytes(&bytes, json_object_get(entry, "shape"), type->bytes))
        return fail(t, name, "the shape is malformed or too large");
    if (bytes != (uint64_t)(end - begin))
        return fail(t, name, "its shape and its data have different lengths");
    *span = (struct span){(uint64_t)begin, (uint64_t)end};
    return THOR_OK;
}

/* Names are shown to people: no control characters, and no longer than any real one. */
static int is_plain_name(const char *name) {
    size_t n = 0;
    while (name[n] && !iscntrl((unsigned char)name[n])) n++;
    return name[n] == 0 && n <= 200;
}

static int before(const void *a, const void *b) {
    const struct span *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The tensors lie one behind the other, as the format wants: none holds bytes of another. */
static int check_spans(const struct bert_tensors *t, struct span *span, size_t n) {
    uint64_t at = 0;
    qsort(span, n, sizeof *span, before);
    for (size_t i = 0; i < n; at = span[i++].end)
        if (span[i].begin != at)
            return thor_fail(THOR_MODEL, "%s: tensors %s at byte %llu of the data: fetch it again",
                             t->path, span[i].begin < at ? "overlap" : "leave a gap",
                             (unsigned long long)span[i].begin);
    if (at == t->size) return THOR_OK;
    return thor_fail(THOR_MODEL, "%s: %llu bytes behind the last tensor", t->path,
                     (unsigned long long)(t->size - at));
}

static int check_header(const struct bert_tensors *t) {
    int st = THOR_OK;
    size_t n = 0;
    const char *name;
    json_t *entry;
    struct span *span = calloc(json_object_size(t->header) + 1, sizeof *span);
    if (!span) return thor_fail(THOR_MEMORY, "%s: no memory for its header", t->path);
    json_object_foreach(t->header, name, entry) {
        if (!is_plain_name(name))
            TRY(thor_fail(THOR_MODEL, "%s: the header holds a malformed name", t->path));
        if (strcmp(name, "__metadata__") != 0) TRY(check_entry(t, name, entry, &span[n++]));
    }
    st = check_spans(t, span, n);
out:
    free(span);
    return st;
}

static int parse_header(struct bert_tensors *t) {
    int st = THOR_OK;
    uint64_t len = 0;
    unsigned char length[8];
    char *text = NULL, where[440];
    if (t->file.n < sizeof length)
        return thor_fail(THOR_MODEL, "%s: too short for a safetensors file", t->path);
    TRY(bert_file_read(&t->file, length, sizeof length, 0));
    if (memcmp(length, "version ", sizeof length) == 0)
        return thor_fail(THOR_MODEL,
                         "%s: a Git LFS pointer, not the weights: run git lfs pull, or "
                         "download the file itself",
                         t->path);
    for (int i = 7; i >= 0; i--) len = len << 8 | length[i];
    if (len > HEADER_BYTES_MAX || len > t->file.n - 8)
        return thor_fail(
            THOR_MODEL, "%s: a header of %llu bytes in a file of %zu: truncated or not safetensors",
            t->path, (unsigned long long)len, t->file.n);
    t->data = 8 + len;
    t->size = t->file.n - t->data;
    text = malloc((size_t)len + 1);
    if (!text) return thor_fail(THOR_MEMORY, "%s: no memory for its header", t->path);
    TRY(bert_file_read(&t->file, text, (size_t)len, 8));
    snprintf(where, sizeof where, "%.400s: the header", t->path);
    st = bert_json_parse(&t->header, text, (size_t)len, BERT_JSON_LARGE, 0, THOR_MODEL);
    if (st != THOR_OK) TRY(thor_fail_in(st, where));
    if (!json_is_object(t->header))
        TRY(thor_fail(THOR_MODEL, "%s: not a JSON object: another kind of value", where));
    TRY(check_header(t));
out:
    free(text);
    return st;
}

int bert_tensors_open(struct bert_tensors **out, const char *path) {
    int st = THOR_OK;
    struct bert_tensors *t = calloc(1, sizeof *t);
    *out = NULL;
    if (t) t->path = strdup(path);
    if (!t || !t->path) TRY(thor_fail(THOR_MEMORY, "%s: no memory to open it", path));
    TRY(bert_file_open(&t->file, t->path, THOR_MODEL));
    if (t->file.n == 0) TRY(thor_fail(THOR_MODEL, "%s: is empty", path));
    TRY(parse_header(t));
    *out = t;
    t = NULL;
out:
    bert_tensors_close(t);
    return st;
}

void bert_tensors_close(struct bert_tensors *t) {
    if (!t) return;
    json_decref(t->header);
    bert_file_close(&t->file);
    free(t->path);
    free(t);
}

int bert_tensors_hash(uint64_t *hash, const struct bert_tensors *t) {
    return bert_file_hash(hash, &t->file);
}

int bert_tensors_has(const struct bert_tensors *t, const char *name) {
    return json_object_get(t->header, name) != NULL;
}

const json_t *bert_tensors_list(const struct bert_tensors *t) {
    return t->header;
}

int bert_tensors_bytes(void *to, const struct bert_tensors *t, size_t n, size_t at) {
    if (at > t->size || n > t->size - at)
        return thor_fail(THOR_INTERNAL, "%s: %zu bytes from byte %zu on", t->path, n, at);
    return bert_file_read(&t->file, to, n, (size_t)t->data + at);
}

static void shape_text(char *s, size_t room, const json_t *shape) {
    size_t at = 0;
    for (size_t i = 0; i < json_array_size(shape) && at < room; i++)
        at += (size_t)snprintf(s + at, room - at, "%s%lld", i ? " x " : "",
                               (long long)json_integer_value(json_array_get(shape, i)));
    if (at == 0) snprintf(s, room, "a scalar");
}

static int same_shape(const json_t *shape, int rows, int cols) {
    size_t dims = rows ? 2 : 1;
    return json_array_size(shape) == dims &&
           json_integer_value(json_array_get(shape, dims - 1)) == cols &&
           (!rows || json_integer_value(json_array_get(shape, 0)) == rows);
}

int bert_tensors_expect(const struct bert_tensors *t, const char *name, int rows, int cols) {
    const json_t *entry = json_object_get(t->header, name),
                 *shape = json_object_get(entry, "shape");
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    char found[120], want[40];
    if (!entry) return fail(t, name, "is missing");
    if (!same_shape(shape, rows, cols)) {
        shape_text(found, sizeof found, shape);
        snprintf(want, sizeof want, "%d", cols);
        if (rows) snprintf(want, sizeof want, "%d x %d", rows, cols);
        return thor_fail(THOR_MODEL, "%s: tensor %s is %s, but config.json asks for %s", t->path,
                         name, found, want);
    }
    if (strcmp(dtype, "F32") && strcmp(dtype, "F16") && strcmp(dtype, "BF16") &&
        strcmp(dtype, "F64"))
        return thor_fail(THOR_MODEL, "%s: tensor %s holds %s; F32, F16, BF16 and F64 are supported",
                         t->path, name, dtype);
    return THOR_OK;
}

/* Exact: 5 exponent bits of bias 15 and 10 fraction bits fit in a float. */
static float from_half(unsigned h) {
    const int e = (int)(h >> 10 & 31), f = (int)(h & 1023);
    float v = e == 0    ? ldexpf((float)f, -24)
              : e == 31 ? (f ? NAN : INFINITY)
                        : ldexpf((float)(1024 + f), e - 25);
    return h >> 15 ? -v : v;
}

static float from_bits(uint32_t bits) {
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Rounded to the nearest float. */
static float from_double(const unsigned char *p) {
    uint64_t bits = 0;
    double v;
    for (int i = 7; i >= 0; i--) bits = bits << 8 | p[i];
    memcpy(&v, &bits, sizeof v);
    return (float)v;
}

void bert_tensors_widen(float *w, const unsigned char *p, size_t n, const char *dtype) {
    if (strcmp(dtype, "F32") == 0)
        for (size_t i = 0; i < n; i++)
            w[i] = from_bits((uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 |
                             (uint32_t)p[4 * i + 2] << 16 | (uint32_t)p[4 * i + 3] << 24);
    else if (strcmp(dtype, "F64") == 0)
        for (size_t i = 0; i < n; i++) w[i] = from_double(p + 8 * i);
    else if (strcmp(dtype, "BF16") == 0)
        for (size_t i = 0; i < n; i++)
            w[i] = from_bits((uint32_t)p[2 * i] << 16 | (uint32_t)p[2 * i + 1] << 24);
    else
        for (size_t i = 0; i < n; i++)
            w[i] = from_half((unsigned)p[2 * i] | (unsigned)p[2 * i + 1] << 8);
}

/* 1 and *h when x is such a half. */
static int half_of(uint16_t *h, float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint32_t sign = bits >> 16 & 0x8000, fraction = bits & 0x7fffff;
    const int e = (int)(bits >> 23 & 255) - 127;
    if (e >= -14) {
        *h = (uint16_t)(sign | (uint32_t)(e + 15) << 10 | fraction >> 13);
        return e <= 15 && (fraction & 0x1fff) == 0;
    }
    const float steps = fabsf(x) * 0x1p24f; // below 2^10
    *h = (uint16_t)(sign | (uint32_t)steps);
    return steps == floorf(steps);
}

int bert_tensors_narrow(void *to, const float *x, size_t n, const char *dtype) {
    uint16_t *half = to;
    uint32_t bits;
    if (strcmp(dtype, "F32") == 0) {
        memcpy(to, x, n * sizeof *x);
    } else if (strcmp(dtype, "F16") == 0) {
        for (size_t i = 0; i < n; i++)
            if (!half_of(&half[i], x[i])) return 0;
    } else {
        for (size_t i = 0; i < n; i++) {
            memcpy(&bits, &x[i], sizeof bits);
            half[i] = (uint16_t)(bits >> 16);
            if (bits & 0xffff) return 0;
        }
    }
    return 1;
}

/* The n values of an entry, piece by piece. */
static int read_values(float *w, const struct bert_tensors *t, const json_t *entry, size_t n) {
    int st = THOR_OK;
    unsigned char piece[PIECE];
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *begin = json_array_get(json_object_get(entry, "data_offsets"), 0);
    const size_t each = (size_t)find_dtype(dtype)->bytes;
    size_t at = (size_t)t->data + (size_t)json_integer_value(begin), some;
    for (; n > 0; n -= some, w += some, at += some * each) {
        some = n < PIECE / each ? n : PIECE / each;
        TRY(bert_file_read(&t->file, piece, some * each, at));
        bert_tensors_widen(w, piece, some, dtype);
    }
out:
    return st;
}

int bert_tensors_read(float *w, const struct bert_tensors *t, const char *name, int rows,
                      int cols) {
    int st = THOR_OK;
    const size_t n = (size_t)(rows ? rows : 1) * (size_t)cols;
    const json_t *entry = json_object_get(t->header, name);
    TRY(bert_tensors_expect(t, name, rows, cols));
    TRY(read_values(w, t, entry, n));
    for (size_t i = 0; i < n; i++)
        if (!isfinite(w[i]))
            TRY(thor_fail(THOR_MODEL, "%s: tensor %s: element %zu is %s", t->path, name, i,
                          isnan(w[i]) ? "NaN" : "infinite"));
out:
    return st;
}
