/* The texts of one run: from the command line, or rows of a table. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "bert/model.h"
#include "bert/table.h"
#include "bert/text.h"
#include "cli/options.h"

#ifdef __cplusplus
extern "C" {
#endif

struct input {
    const char *dataset_type; /* "text", "sst2" or "mrpc" */
    int index;                /* row of the table, or -1 */
    const char *text, *pair;  /* pair may be NULL */
    int label;                /* -1: not known */
};

struct inputs {
    struct input *item;
    struct bert_tokens *tokens; /* filled by inputs_tokenize */
    int n;
    struct bert_table *table; /* owns the strings of rows */
};

struct inputs_request {
    struct option_texts texts, pairs;
    const char *data;
    struct option_spans rows;
};

int inputs_open(struct inputs *in, const struct inputs_request *q);
/* Token ids of every text; THOR_INPUT names the one that is empty, too long or not UTF-8. */
int inputs_tokenize(struct inputs *in, const struct bert_model *m);
int inputs_longest(const struct inputs *in); /* tokens */
void inputs_close(struct inputs *in);

#ifdef __cplusplus
}
#endif
#endif
