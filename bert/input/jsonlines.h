/* Labelled text as one JSON object a line, as the FHE benchmarking harness and others export GLUE:
 *   {"sentence1": S, "sentence2": S, "label": 0, ..}, or the names of table.h's other layouts.
 * For table.c. */
#ifndef BERT_JSONLINES_H
#define BERT_JSONLINES_H

#include "bert/input/columns.h"
#include "bert/input/table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 1: a text that ends with 0 begins as a JSON object, one with a name. */
int bert_jsonlines_is(const char *text);
/* Rows of t from the lines, decoded in place; t->row has room for all of them.  The keys are those
 * that are named, every one in every object; else, NULL, those of a layout that a line has. */
int bert_jsonlines_parse(struct bert_table *t, const char *path, char *text, char *end,
                         const struct bert_columns *named);

#ifdef __cplusplus
}
#endif
#endif
