/* The texts of one run: from the command line, or rows of a table. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "bert/input/model.h"
#include "bert/input/table.h"
#include "bert/input/text.h"
#include "cli/options.h"
#include "cli/result.h"

#ifdef __cplusplus
extern "C" {
#endif

struct input {
    const char *dataset_type; /* "text" from the command line, else the table's kind */
    int index;                /* row of the table, or -1 */
    const char *text, *pair;  /* pair may be NULL */
    int label;                /* -1: not known */
    double score;             /* NaN: not known */
    /* the label's, as the table has it; inputs_labels turns it into `label` */
    const char *label_name;
    /* NULL, or why the row of the table is none: input_tokenize refuses it so */
    const char *bad;
};

struct inputs {
    struct input *item;
    struct bert_tokens *tokens; /* filled by inputs_tokenize */
    int n;
    struct bert_table *table; /* owns the strings of rows */
    char *typed;              /* NULL, or the text of standard input */
};

#define INPUTS_END 0x7fffffff /* as the last of a span of rows: the table's last row */

struct inputs_request {
    struct option_texts texts, pairs;
    const char *data, *columns;
    struct option_spans rows;
};

int inputs_open(struct inputs *in, const struct inputs_request *q);
/* Numbers for the names of labels: those of the model or, where it has none, those of GLUE's tasks.
 * A row with another label, or without a number where the model gives scores, is bad from now on.
 * Heads for tokens, and none, know no labels of texts. */
int inputs_labels(struct inputs *in, const struct bert_config *c);
/* want[labels]: 1 for each of the text's labels, of a model that gives several; *known: 0 where
 * nothing is said of them.  THOR_INPUT names the one that the model has not. */
int input_wanted(unsigned char *want, int *known, const struct input *t,
                 const struct bert_config *c);
/* *r of the text, with what is known of its labels, and nothing computed. */
int input_result(struct result *r, const struct input *t, const struct bert_config *c);
/* Token ids of one text, and of every text; THOR_INPUT names the one that is empty, too long or not
 * UTF-8. */
int input_tokenize(struct bert_tokens *t, const struct input *in, const struct bert_model *m);
int inputs_tokenize(struct inputs *in, const struct bert_model *m);
int inputs_longest(const struct inputs *in); /* tokens */
/* one(ctx, i) for every text.  Of several, one without a result (THOR_RANGE) is told on stderr and
 * does not stop the others unless they are `together`; *refused counts them. */
int inputs_each(int *refused, const struct inputs *in, int (*one)(void *ctx, int i), void *ctx,
                int together);
/* THOR_RANGE with their number where some were refused. */
int inputs_refused(const struct inputs *in, int refused);
void inputs_close(struct inputs *in);

#ifdef __cplusplus
}
#endif
#endif
