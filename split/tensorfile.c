#include "split/tensorfile.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE = 4096 };

static int no_memory(void) {
    return thor_fail(THOR_MEMORY, "no memory for the header of the weights");
}

int split_list_begin(struct split_tensor_list *l) {
    *l = (struct split_tensor_list){.header =
                                        json_pack("{s:{s:s}}", "__metadata__", "format", "pt")};
    return l->header ? THOR_OK : no_memory();
}

void split_list_end(struct split_tensor_list *l) {
    json_decref(l->header);
    *l = (struct split_tensor_list){0};
}

int split_list_add(struct split_tensor_list *l, const char *name, const char *dtype,
                   const json_t *shape, uint64_t bytes) {
    json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype, "shape", json_deep_copy(shape),
                              "data_offsets", (json_int_t)l->bytes, (json_int_t)(l->bytes + bytes));
    if (!entry || json_object_set_new(l->header, name, entry) != 0) return no_memory();
    l->bytes += bytes;
    return THOR_OK;
}

int split_list_add_f32(struct split_tensor_list *l, const char *name, int rows, int cols) {
    json_t *shape = rows ? json_pack("[i,i]", rows, cols) : json_pack("[i]", cols);
    const uint64_t n = (uint64_t)(rows ? rows : 1) * (uint64_t)cols;
    const int st = shape ? split_list_add(l, name, "F32", shape, 4 * n) : no_memory();
    json_decref(shape);
    return st;
}

int split_list_create(struct ckks_file_out **f, const struct split_tensor_list *l, const char *path,
                      enum ckks_file_access access) {
    int st = THOR_OK;
    uint8_t length[8];
    char *text = json_dumps(l->header, JSON_COMPACT);
    *f = NULL;
    if (!text) return no_memory();
    const size_t n = strlen(text), padded = (n + 7) & ~(size_t)7; // blanks align the data
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    TRY(ckks_file_create(f, path, access));
    TRY(ckks_file_write(*f, length, sizeof length));
    TRY(ckks_file_write(*f, text, n));
    TRY(ckks_file_write(*f, "       ", padded - n));
out:
    free(text);
    if (st != THOR_OK) ckks_file_abandon(f);
    return st;
}

static void put_float(uint8_t to[4], float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    for (int i = 0; i < 4; i++) to[i] = (uint8_t)(bits >> 8 * i);
}

int split_write_f32(struct ckks_file_out *f, const double *x, size_t n) {
    int st = THOR_OK;
    uint8_t piece[4 * PIECE];
    for (size_t at = 0, k; at < n; at += k) {
        k = n - at < PIECE ? n - at : PIECE;
        for (size_t i = 0; i < k; i++) {
            const float v = (float)x[at + i];
            if (!isfinite(v))
                return thor_fail(THOR_RANGE, "a weight is no finite number: nothing was written; "
                                             "train with a smaller --lr");
            put_float(piece + 4 * i, v);
        }
        TRY(ckks_file_write(f, piece, 4 * k));
    }
out:
    return st;
}
