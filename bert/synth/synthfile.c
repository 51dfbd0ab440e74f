#include "bert/synth/synthfile.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "bert/synth/synthwords.h"
#include "ckks/file.h"

#define CHUNK ((size_t)1 << 20) /* values made and written at a time */

static size_t count(struct bert_synth_place p) {
    return (size_t)(p.rows ? p.rows : 1) * (size_t)p.cols;
}

static char *header(const struct bert_synth_file *w) {
    size_t at = 0;
    json_t *root = json_object();
    for (int i = 0; i < w->tensors; i++) {
        const struct bert_synth_place p = w->place(w->of, i);
        const size_t end = at + 2 * count(p);
        json_t *shape = p.rows ? json_pack("[i,i]", p.rows, p.cols) : json_pack("[i]", p.cols);
        json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", w->type, "shape", shape,
                                  "data_offsets", (json_int_t)at, (json_int_t)end);
        json_object_set_new(root, p.name, entry);
        at = end;
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

static int write_header(struct ckks_file_out *f, const struct bert_synth_file *w) {
    int st = THOR_OK;
    uint8_t length[8];
    char *text = header(w);
    if (!text) TRY(thor_fail(THOR_MEMORY, "no memory for the header of the weights"));
    const size_t n = strlen(text), padded = (n + 7) & ~(size_t)7; // blanks align the data
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(padded >> 8 * i);
    TRY(ckks_file_write(f, length, sizeof length));
    TRY(ckks_file_write(f, text, n));
    TRY(ckks_file_write(f, "       ", padded - n));
out:
    free(text);
    return st;
}

static int write_tensors(struct ckks_file_out *f, const struct bert_synth_file *w, uint64_t seed) {
    int st = THOR_OK;
    uint16_t *half = malloc(CHUNK * sizeof *half);
    if (!half) TRY(thor_fail(THOR_MEMORY, "no memory to write the weights"));
    for (int i = 0; i < w->tensors; i++) {
        const uint64_t key = bert_synth_draw(seed, (uint64_t)i + 1);
        for (size_t at = 0, n = count(w->place(w->of, i)); at < n; at += CHUNK) {
            const size_t k = n - at < CHUNK ? n - at : CHUNK;
            w->make(half, w->of, i, key, at, k);
            TRY(ckks_file_write(f, half, k * sizeof *half));
        }
    }
out:
    free(half);
    return st;
}

int bert_synth_file_write(const char *path, const struct bert_synth_file *w, uint64_t seed) {
    int st = THOR_OK;
    struct ckks_file_out *f = NULL;
    TRY(ckks_file_create(&f, path, CKKS_FILE_SHARED));
    TRY(write_header(f, w));
    TRY(write_tensors(f, w, seed));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    return st;
}
