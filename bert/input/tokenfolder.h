/* The files of a model folder that say how text becomes tokens, and the class that reads them:
 * between tokenrules.c and specialtokens.c. */
#ifndef BERT_TOKENFOLDER_H
#define BERT_TOKENFOLDER_H

#include <jansson.h>

#include "bert/input/tokenrules.h"

#ifdef __cplusplus
extern "C" {
#endif

enum bert_which {
    BERT_TOKENIZER,
    BERT_TOKENIZER_CONFIG,
    BERT_SPECIAL_MAP,
    BERT_ADDED_FILE,
    BERT_MODEL_CONFIG,
    BERT_TOKEN_FILES
};

enum bert_family { BERT_FAMILY_BERT, BERT_FAMILY_BYTES, BERT_FAMILY_SENTENCE, BERT_FAMILY_OWN };

struct bert_class {
    const char *name;
    enum bert_family family;
    enum bert_types types; /* where model_input_names is not said */
    /* names of special tokens that are not said: unk, sep, pad, cls, mask, bos, eos; NULL: none */
    const char *token[7];
    int mask_lstrip;
};

struct bert_folder {
    const char *dir;
    char path[BERT_TOKEN_FILES][4300];
    json_t *json[BERT_TOKEN_FILES]; /* NULL: not there */
    const struct bert_class *kind;
};

int bert_folder_refuse(const struct bert_folder *f, enum bert_which file, const char *field,
                       const char *what);
/* NULL: not there, or null */
json_t *bert_folder_get(const struct bert_folder *f, enum bert_which file, const char *key);
/* *flag stays where `in`, a part of that file, does not say. */
int bert_folder_flag(int *flag, const struct bert_folder *f, enum bert_which file, const json_t *in,
                     const char *key);

/* specialtokens.c: added tokens of all files, and the vocabulary's special ids. */
int bert_folder_added(struct bert_rules *r, const struct bert_folder *f, struct bert_vocab *v);

#ifdef __cplusplus
}
#endif
#endif
