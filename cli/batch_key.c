/* batch.json: everything that decides a result, so that a folder never mixes two kinds of them. */
#include <inttypes.h>
#include <stdio.h>

#include <xxhash.h>

#include "bert/input/readfile.h"
#include "cli/batch.h"

enum { PATH = 4200, HEX = 20 };

static int hash_file(char hex[HEX], const char *path, int code) {
    struct bert_file f;
    uint64_t hash = 0;
    int st = bert_file_open(&f, path, code);
    if (st == THOR_OK) st = bert_file_hash(&hash, &f);
    bert_file_close(&f);
    snprintf(hex, HEX, "%016" PRIx64, hash);
    return st;
}

/* One hash of the files of the model's folder that say how a text becomes tokens; some may not be
 * there. */
static int hash_tokenizer(char hex[HEX], const char *folder) {
    static const char *const file[] = {"config.json",       "vocab.txt",
                                       "tokenizer.json",    "tokenizer_config.json",
                                       "added_tokens.json", "special_tokens_map.json",
                                       "vocab.json",        "merges.txt"};
    enum { FILES = sizeof file / sizeof *file };
    int st = THOR_OK, n = 6; // folders without the last two keep the hash of older versions
    char path[PATH], all[FILES][HEX] = {{0}};
    for (int i = 0; i < FILES; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, file[i]);
        if (!bert_file_exists(path)) continue;
        TRY(hash_file(all[i], path, THOR_MODEL));
        if (i >= n) n = i + 1;
    }
    snprintf(hex, HEX, "%016" PRIx64, (uint64_t)XXH3_64bits(all, (size_t)n * HEX));
out:
    return st;
}

int batch_describe(json_t **o, const struct batch *b) {
    int st = THOR_OK;
    char model[HEX], data[HEX], ranges[HEX], tokenizer[HEX], path[PATH];
    snprintf(model, sizeof model, "%016" PRIx64, b->s.model->hash);
    TRY(hash_file(data, b->request.data, THOR_INPUT));
    snprintf(path, sizeof path, "%s/calibration.json", b->s.model_dir);
    TRY(hash_file(ranges, b->setup.container ? b->setup.container : path, THOR_MODEL));
    TRY(hash_tokenizer(tokenizer, b->s.model_dir));
    *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "format", "thor-batch-3",
                   "model_hash", model, "data_hash", data, "columns",
                   b->request.columns ? b->request.columns : "", "ranges_hash", ranges,
                   "tokenizer_hash", tokenizer, "mode", b->approx ? "approx" : "encrypted",
                   "params", b->approx ? "none" : b->s.params->name, "tokens", b->tokens);
    const struct bert_config *c = &b->s.model->cfg;
    if (*o && bert_is_causal(c)) {
        const int first = b->s.model->before;
        snprintf(path, sizeof path, "%d..%d", first, first + c->layers - 1);
        json_object_set_new(*o, "layers", json_string(path));
    } else if (*o && c->head == BERT_HEAD_STATE) {
        snprintf(path, sizeof path, "%s%s", c->pool == BERT_POOL_CLS ? "cls" : "mean",
                 c->normalize ? ", length 1" : "");
        json_object_set_new(*o, "pooling", json_string(path));
    }
    if (!*o) st = thor_fail(THOR_MEMORY, "no memory to describe the batch");
out:
    return st;
}
