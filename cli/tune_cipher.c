/* thor tune cipher: the token ids of texts under a secret permutation (split/tokencipher.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bert/input/columns.h"
#include "bert/input/table.h"
#include "ckks/file.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/options.h"
#include "cli/tune.h"
#include "kernels/shown.h"
#include "split/clientmodel.h"
#include "split/tokencipher.h"

struct cipher {
    const char *key, *model_dir, *data, *columns, *out;
    int make;
    struct split_model *model;
    struct split_tokencipher words;
    struct bert_table *table;
    struct bert_tokens *tokens;
    struct ckks_file_out *file;
};

static int read_options(struct cipher *c, int argc, char **argv) {
    int st = THOR_OK;
    const struct option_spec options[] = {
        {"key", "FILE", OPTION_TEXT, &c->key, 0, 0, "the cipher (0600)"},
        {"make", NULL, OPTION_FLAG, &c->make, 0, 0, "make a new one there"},
        {"model", "DIR", OPTION_TEXT, &c->model_dir, 0, 0, "model folder, for its tokenizer"},
        {"data", "FILE", OPTION_TEXT, &c->data, 0, 0, "table of texts"},
        {"columns", "NAMES", OPTION_TEXT, &c->columns, 0, 0, BERT_COLUMNS_HELP},
        {"out", "FILE", OPTION_TEXT, &c->out, 0, 0, "JSON lines {\"ids\": [..], \"label\": N}"},
        {0}};
    const struct command_spec spec = {
        "tune cipher",
        "--key FILE --model DIR [--make] [--data FILE --out FILE]",
        "Write the token ids of texts under a secret permutation of the vocabulary.\n"
        "This does not protect a text from who wants to read it: it is a substitution cipher, and "
        "a count of how often each\n"
        "number comes gives the common words away, a known text every word in it. It adds nothing "
        "to encryption, which\n"
        "thor tune and thor encrypt do anyway. It is here for files in a format that others have.",
        "  thor tune cipher --make --key cipher.key --model data/sst2-tiny\n"
        "  thor tune cipher --key cipher.key --model data/sst2-tiny --data data/examples.tsv --out "
        "ids.jsonl\n",
        options,
        0};
    TRY(options_parse(&spec, argc, argv, NULL));
    if (!c->key) return thor_fail(THOR_USAGE, "--key is missing; name the file of the cipher");
    if (!c->model_dir) return thor_fail(THOR_USAGE, "--model is missing; name the model folder");
    if (!c->data != !c->out)
        return thor_fail(THOR_USAGE, "--data and --out go together: texts, and where they go");
    if (!c->make && !c->data)
        return thor_fail(THOR_USAGE, "nothing to do: give --make, or --data and --out");
out:
    return st;
}

static int open_cipher(struct cipher *c) {
    int st = THOR_OK;
    const int words = split_model_config(c->model)->vocab;
    if (c->make) {
        TRY(split_tokencipher_make(&c->words, words));
        TRY(split_tokencipher_save(&c->words, c->key));
        printf("cipher of %d words  (%s)\n", words, shown(c->key));
    } else {
        TRY(split_tokencipher_load(&c->words, c->key));
    }
    if (c->words.words != words)
        st = thor_fail(THOR_KEY, "%.300s: is for %d words, the model has %d; make one for it",
                       shown(c->key), c->words.words, words);
out:
    return st;
}

static int put_row(struct cipher *c, const struct bert_row *row) {
    int st = THOR_OK;
    json_t *ids = json_array(), *o = NULL;
    char *line = NULL;
    TRY(split_tokenize(c->tokens, c->model, row->text, row->text2, 0));
    TRY(split_tokencipher_hide(&c->words, c->tokens->ids, c->tokens->n));
    for (int i = 0; i < c->tokens->n; i++)
        json_array_append_new(ids, json_integer(c->tokens->ids[i]));
    o = json_pack("{s:O}", "ids", ids);
    if (row->label_name)
        json_object_set_new(o, "label", json_string(row->label_name));
    else if (row->label >= 0)
        json_object_set_new(o, "label", json_integer(row->label));
    line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    if (!line || json_array_size(ids) != (size_t)c->tokens->n)
        TRY(thor_fail(THOR_MEMORY, "no memory for a row"));
    TRY(ckks_file_write(c->file, line, strlen(line)));
    TRY(ckks_file_write(c->file, "\n", 1));
out:
    free(line);
    json_decref(o);
    json_decref(ids);
    return st;
}

static int rewrite(struct cipher *c) {
    int st = THOR_OK;
    interrupt_hold();
    TRY(ckks_file_create(&c->file, c->out, CKKS_FILE_SHARED));
    for (int i = 0; i < c->table->n; i++) {
        TRY(interrupt_pending());
        if (put_row(c, &c->table->row[i]) != THOR_OK) {
            char where[400];
            snprintf(where, sizeof where, "%.300s: line %d", shown(c->data), c->table->row[i].line);
            TRY(thor_fail_in(THOR_INPUT, where));
        }
    }
    TRY(ckks_file_commit(&c->file));
    printf("%d rows  (%s)\n", c->table->n, shown(c->out));
out:
    ckks_file_abandon(&c->file);
    interrupt_release();
    return st;
}

int tune_cipher(int argc, char **argv) {
    int st = THOR_OK;
    struct cipher c = {0};
    TRY(read_options(&c, argc, argv));
    TRY(split_model_open(&c.model, c.model_dir));
    TRY(open_cipher(&c));
    if (!c.data) goto out;
    TRY(ckks_file_free(c.out));
    if (!(c.tokens = malloc(sizeof *c.tokens))) TRY(thor_fail(THOR_MEMORY, "no memory for tokens"));
    TRY(bert_table_load(&c.table, c.data, c.columns));
    TRY(rewrite(&c));
out:
    free(c.tokens);
    bert_table_free(c.table);
    split_tokencipher_free(&c.words);
    split_model_free(c.model);
    return st;
}
