/* thor tune merge: the model's weights with an adapter's added, as a folder that other commands
 * take. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "bert/input/readfile.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "kernels/shown.h"
#include "split/adapterfile.h"
#include "split/merge.h"

#define COPY_BYTES_MAX ((size_t)256 << 20) /* of a vocabulary, say */
enum { PATH = 4300 };

static int ends_in(const char *name, const char *end) {
    const size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* Weights are written anew, and the ranges of the old ones are not those of the new. */
static int is_copied(const char *name) {
    static const char *const left_out[] = {".safetensors",
                                           ".safetensors.index.json",
                                           ".bin",
                                           ".bin.index.json",
                                           ".h5",
                                           ".msgpack",
                                           "calibration.json",
                                           ".weights",
                                           ".py"};
    if (name[0] == '.') return 0;
    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (ends_in(name, left_out[i])) return 0;
    return 1;
}

static int copy_file(const char *to, const char *from) {
    int st = THOR_OK;
    char *bytes = NULL;
    size_t n;
    struct ckks_file_out *f = NULL;
    TRY(bert_read_file(&bytes, &n, from, COPY_BYTES_MAX, THOR_MODEL));
    TRY(ckks_file_create(&f, to, CKKS_FILE_SHARED));
    TRY(ckks_file_write(f, bytes, n));
    TRY(ckks_file_commit(&f));
out:
    ckks_file_abandon(&f);
    free(bytes);
    return st;
}

static int copy_others(const char *out, const char *model) {
    int st = THOR_OK;
    char from[PATH], to[PATH];
    struct stat s;
    DIR *d = opendir(model);
    if (!d) return thor_fail(THOR_MODEL, "%.300s: the folder cannot be read", model);
    for (struct dirent *e; (e = readdir(d));) {
        if (!is_copied(e->d_name)) continue;
        snprintf(from, sizeof from, "%.4000s/%.255s", model, e->d_name);
        snprintf(to, sizeof to, "%.4000s/%.255s", out, e->d_name);
        if (stat(from, &s) == 0 && S_ISREG(s.st_mode)) TRY(copy_file(to, from));
    }
out:
    closedir(d);
    return st;
}

static int refuse_old(const char *out) {
    char path[PATH];
    snprintf(path, sizeof path, "%.4000s/model.safetensors", out);
    if (!bert_file_exists(path)) return THOR_OK;
    return thor_fail(THOR_USAGE, "%s: is there already and is not overwritten; name another folder",
                     path);
}

/* The weights come last: a folder that has them has all. */
static int merge(const char *model, const char *adapter, const char *out) {
    int st = THOR_OK, made;
    struct split_base b;
    struct split_adapter a = {0};
    TRY(split_base_read(&b, model));
    TRY(split_adapter_load(&a, adapter, &b));
    TRY(split_base_hash(&b, model));
    TRY(split_base_fits(&b, &a));
    TRY(make_private_folder(out, &made));
    TRY(refuse_old(out));
    interrupt_hold();
    st = copy_others(out, model);
    if (st == THOR_OK) st = split_merge(out, model, &b, &a);
    interrupt_release();
    if (st == THOR_OK)
        printf("%s: %s with the adapter of rank %d merged\n", shown(out), shown(model), a.rank);
out:
    split_adapter_free(&a);
    return st;
}

int tune_merge(int argc, char **argv) {
    int st = THOR_OK;
    const char *model = NULL, *adapter = NULL, *out = NULL;
    const struct option_spec options[] = {
        {"model", "DIR", OPTION_TEXT, &model, 0, 0, "the model that the adapter was trained on"},
        {"adapter", "DIR", OPTION_TEXT, &adapter, 0, 0, "of thor tune train, or of PEFT"},
        {"out", "DIR", OPTION_TEXT, &out, 0, 0, "the model folder to write"},
        {0}};
    const struct command_spec spec = {
        "tune merge",
        "--model DIR --adapter DIR --out DIR",
        "Add an adapter (LoRA in PEFT's layout) to the weights of its model: W + alpha/r B A.  "
        "Tensors that\nchange are F32, all others stay as they are; calibrate the new folder, for "
        "ranges of values are others.",
        "  thor tune merge --model data/sst2-tiny --adapter tuned --out merged\n"
        "  thor encode --model merged --calibrate train.tsv --out merged.weights\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!model || !adapter || !out)
        return thor_fail(THOR_USAGE, "--%s is missing; see thor tune merge --help",
                         !model     ? "model"
                         : !adapter ? "adapter"
                                    : "out");
    st = merge(model, adapter, out);
out:
    return st;
}
