/* Labelled text as one JSON object a line, as the FHE benchmarking harness and others export GLUE:
 *   {"sentence1": S, "sentence2": S, "label": 0, ..}, or the names of table.h's other layouts.
 * For table.c. */
#ifndef BERT_JSONLINES_H
#define BERT_JSONLINES_H

#include "bert/table.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

int bert_jsonlines_is(const char *text, const char *end); /* 1: the first line is such an object */
/* Rows of t from the lines, decoded in place; t->row has room for all of them. */
int bert_jsonlines_parse(struct bert_table *t, const char *path, char *text, char *end);

#ifdef __cplusplus
}
#endif
#endif
