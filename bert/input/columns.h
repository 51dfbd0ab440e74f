/* Which columns of a table, or keys of JSON lines, hold what. */
#ifndef BERT_COLUMNS_H
#define BERT_COLUMNS_H

#include "kernels/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BERT_COLUMNS_HELP "--columns text=NAME[,pair=NAME][,label=NAME]"

struct bert_columns { /* as they were named; NULL: not at all */
    const char *text, *pair, *label;
    char *copy;
};

/* From the text of --columns: `text` is named, no name is empty or stands twice.  THOR_USAGE
 * otherwise. */
int bert_columns_parse(struct bert_columns *c, const char *list);
void bert_columns_free(struct bert_columns *c);

/* Name i of those that columns of labels have, in the order in which they are looked for; NULL at
 * the end. */
const char *bert_label_column(int i);

#ifdef __cplusplus
}
#endif
#endif
